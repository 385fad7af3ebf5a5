// The pages in English. The same keys as nb.js: a test compares them.

import { company } from '../company.js';
import { dates } from './dates.js';
import { after } from './en-after.js';

const orReachUs = `You can also call us on ${company.phone} or write to ${company.email}.`;

export const en = {
  language: 'en',
  ...after,
  ...dates('en-GB'),
  layout: {
    skip: 'Skip to content',
    organisationNumber: 'org. no.',
    otherWays: orReachUs,
  },
  contact: {
    title: 'Contact us',
    intro: 'We make kitchens, wardrobes and stairs to measure. Leave your name and a phone number or e-mail address, and you will hear from us within two working days.',
    noMessage: 'There is no message to write. We ask about the rest when we talk, and ask for no more than we need to answer you.',
    phone: 'Phone',
    email: 'E-mail',
    visit: 'Visit us',
    who: 'Who are you?',
    whoHint: 'Fill in your name or your company, or both.',
    how: 'How do we reach you?',
    howHint: 'Fill in a phone number or an e-mail address, or both.',
    fields: { name: 'Name', company: 'Company', phone: 'Phone', email: 'E-mail' },
    send: 'Send',
    sending: 'Sending …',
    errorPrefix: 'Error:',
    errorsTitle: 'Something has to be put right before we can take the form',
    trap: 'Leave this field empty',
  },
  choices: {
    legend: 'What is it about?',
    offer: {
      label: 'I would like an offer',
      hint: 'We use your details to do what you ask for before a possible contract. For that we need no consent.',
    },
    other: {
      label: 'I would like to talk about something else',
      hint: 'Then we need your consent to be able to answer.',
    },
    consent: (name) => `I consent to ${name} using the details in this form to answer me.`,
    consentHint: 'You can withdraw your consent at any time. You get a link for that when you have sent the form.',
  },
  notice: {
    title: 'Privacy',
    controller: (name) => `${name} is responsible for your details.`,
    purpose: 'What we use them for',
    retention: 'How long we keep them',
    rights: 'Your rights',
    rightsText: 'Among other things you can ask for a copy, for correction and for erasure, and you can complain to Datatilsynet. All of it is in the notice.',
    whole: (version) => `Read the whole privacy notice (version ${version})`,
    away: 'We cannot fetch the privacy notice right now. The one you saw when you opened the form applies.',
  },
  errors: {
    NAME_OR_COMPANY_REQUIRED: 'Fill in your name or your company.',
    PHONE_OR_EMAIL_REQUIRED: 'Fill in a phone number or an e-mail address.',
    EMAIL_INVALID: 'Write the e-mail address like this: name@example.com.',
    PHONE_INVALID: 'Write a phone number, with its country code if it is not Norwegian: +44 20 7946 0000.',
    CONSENT_REQUIRED: 'Tick the box if you consent, or choose “I would like an offer”.',
    REQUIRED: 'Choose what it is about.',
    TOO_LONG: 'Write less: at most 200 characters.',
    CONTROL_CHARACTER: 'Write on a single line, without invisible characters.',
    other: 'We cannot take this. Put it right and send again.',
  },
  alerts: {
    away: {
      title: 'We could not take your form just now',
      text: `What you wrote is still here. Wait a little and send it again. It will not be sent twice. ${orReachUs}`,
      button: 'Send again',
    },
    broken: {
      title: 'Something is wrong on our side',
      text: `What you wrote is still here, and you can try again later. ${orReachUs}`,
      button: 'Try again',
    },
    newNotice: {
      title: 'The privacy notice is new',
      text: 'We have a new privacy notice since you opened the form. Read it below, and send again if you still want to. A consent has to be given again.',
    },
    sentBefore: {
      title: 'This form has been sent already, with something else in it',
      text: 'We have what you sent first. If you send what stands here now, it becomes another enquiry besides.',
      button: 'Send as a new enquiry',
    },
    tooMany: {
      title: 'Many forms have been sent from your network',
      text: `What you wrote is still here. Wait ten minutes and send it again. ${orReachUs}`,
    },
    trap: {
      title: 'For a moment we thought that a program filled in the form',
      text: 'Something filled in a field that people do not see, perhaps your browser. The field is empty now. Look over what stands here, and send again.',
    },
  },
};
