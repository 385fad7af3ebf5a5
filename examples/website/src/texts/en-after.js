// What is said when the form is sent, in English. The same keys as nb-after.js.

import { company } from '../company.js';

const orReachUs = `You can also call us on ${company.phone} or write to ${company.email}.`;

export const after = {
  received: {
    title: 'Thank you, we have your enquiry',
    text: 'You will hear from us within two working days.',
    submitted: 'Received',
    basis: 'Why we may use your details',
    kept: 'How long we keep them',
    keptText: (date) => `Until we have finished with your enquiry. They are erased by ${date} at the latest.`,
    reference: 'Reference',
    offer: {
      why: 'You asked us for an offer (GDPR Article 6(1)(b)).',
      mind: `You do not want the offer after all? Write to ${company.email} with the reference above, and ask us to erase your details. You can also tell us on the page below.`,
      link: 'Tell us that you changed your mind',
    },
    consent: {
      why: 'You have consented (GDPR Article 6(1)(a)).',
      mind: 'You can withdraw your consent at any time. We then erase your details at once.',
      link: 'Withdraw consent',
    },
    receipt: { text: 'Download a receipt of your consent', file: 'consent' },
    receiptHint: 'A file that shows what you consented to, and when. Your name is not in it.',
    mindTitle: 'Have you changed your mind?',
    saveLink: 'Keep the link if you may want it later. We cannot send it again.',
  },
  withdrawal: {
    title: 'Withdraw consent',
    ask: 'This is about the enquiry that you got the link for.',
    consequences: [
      'If you consented to be contacted, we erase your details at once.',
      'If you asked for an offer, we note that you do not consent. Your details then stay until we have finished with them, but you can ask us to erase them.',
    ],
    noReason: 'You need not give a reason.',
    button: 'Withdraw',
    sending: 'Withdrawing …',
    away: {
      title: 'We do not know whether that worked',
      text: `Our system did not answer. Wait a little and try again. It does no harm if it happens twice. ${orReachUs}`,
      button: 'Try again',
    },
    unknownLink: {
      title: 'The link does not work',
      text: 'Perhaps part of it is missing. Your right does not hang on the link: get in touch, and we will see to it.',
    },
    receipt: { text: 'Download a receipt', file: 'withdrawal' },
    receiptHint: 'A file that shows what was done, and when. Your name is not in it.',
    rightsTitle: 'What you can still ask for',
    outcomes: {
      WITHDRAWAL_OUTCOME_ERASED: {
        title: 'Your details are erased',
        text: 'Your consent is withdrawn, and your details are erased here. Those who follow up enquiries are told to erase their copy.',
      },
      WITHDRAWAL_OUTCOME_FLAG_WITHDRAWN: {
        title: 'We have noted it',
        text: 'We have noted that you do not consent. The enquiry rests on your having asked for an offer, not on consent, so your details stay here until we have finished with them. If you want them erased now, you can ask for that.',
      },
      WITHDRAWAL_OUTCOME_ERASED_WHEN_LIFTED: {
        title: 'Your consent is withdrawn',
        text: 'The use of your details is on hold, so they are only stored and no longer used. They are erased when there is no longer a reason to wait.',
      },
      WITHDRAWAL_OUTCOME_NOTHING_HELD: {
        title: 'We hold no details of this enquiry',
        text: 'They are erased: either just now, if you pressed twice, or earlier.',
      },
      WITHDRAWAL_OUTCOME_UNSPECIFIED: {
        title: 'We have got your message',
        text: 'Get in touch if you want to know what was done.',
      },
    },
  },
  formAway: {
    title: 'The form is away for a little while',
    text: 'We cannot show it just now. Try again in a few minutes.',
    action: 'Try again',
  },
  erasedSince: {
    title: 'This enquiry is erased',
    text: 'You have sent this form before, and your details were erased since. We have not stored them again. If you want to be contacted after all, fill in a new form.',
    action: 'New form',
  },
  notFound: { title: 'There is no such page', text: 'Perhaps part of the address is missing.', action: 'To the contact form' },
  otherSite: { title: 'The form came from another site', text: 'We take forms from our own pages only. Nothing is stored.', action: 'To the contact form' },
  tooLarge: { title: 'That was too much at once', text: 'The form is made for a name, a phone number and an e-mail address. Nothing is stored.', action: 'To the contact form' },
  badRequest: { title: 'We did not understand this', text: 'Nothing is stored.', action: 'To the contact form' },
  broken: { title: 'Something is wrong on our side', text: 'Try again later.', action: 'To the contact form' },
};
