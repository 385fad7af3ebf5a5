// The pages in Norwegian (bokmål). The same keys as en.js: a test compares them.

import { company } from '../company.js';
import { dates } from './dates.js';
import { after } from './nb-after.js';

const orReachUs = `Du kan også ringe oss på ${company.phone} eller skrive til ${company.email}.`;

export const nb = {
  language: 'nb',
  ...after,
  ...dates('nb-NO'),
  layout: {
    skip: 'Hopp til innholdet',
    organisationNumber: 'org.nr.',
    otherWays: orReachUs,
  },
  contact: {
    title: 'Kontakt oss',
    intro: 'Vi lager kjøkken, garderober og trapper etter mål. Legg igjen navn og telefon eller e-post, så hører du fra oss innen to virkedager.',
    noMessage: 'Du trenger ikke å skrive noen melding. Vi spør om resten når vi snakkes, og ber ikke om mer enn vi trenger for å svare deg.',
    phone: 'Telefon',
    email: 'E-post',
    visit: 'Besøk oss',
    who: 'Hvem er du?',
    whoHint: 'Fyll inn navn eller firma, gjerne begge.',
    how: 'Hvordan når vi deg?',
    howHint: 'Fyll inn telefon eller e-post, gjerne begge.',
    fields: { name: 'Navn', company: 'Firma', phone: 'Telefon', email: 'E-post' },
    send: 'Send',
    sending: 'Sender …',
    errorPrefix: 'Feil:',
    errorsTitle: 'Noe må rettes før vi kan ta imot skjemaet',
    trap: 'La dette feltet stå tomt',
  },
  choices: {
    legend: 'Hva gjelder det?',
    offer: {
      label: 'Jeg vil ha et tilbud',
      hint: 'Vi bruker opplysningene til å gjøre det du ber om før en eventuell avtale. Det trenger vi ikke samtykke til.',
    },
    other: {
      label: 'Jeg vil ha kontakt om noe annet',
      hint: 'Da trenger vi samtykket ditt for å kunne svare.',
    },
    consent: (name) => `Jeg samtykker til at ${name} bruker opplysningene i skjemaet til å svare meg.`,
    consentHint: 'Du kan når som helst trekke samtykket tilbake. Du får en lenke til det når du har sendt.',
  },
  notice: {
    title: 'Personvern',
    controller: (name) => `${name} er ansvarlig for opplysningene.`,
    purpose: 'Hva vi bruker dem til',
    retention: 'Hvor lenge vi har dem',
    rights: 'Rettighetene dine',
    rightsText: 'Du kan blant annet be om innsyn, retting og sletting, og du kan klage til Datatilsynet. Alt står i erklæringen.',
    whole: (version) => `Les hele personvernerklæringen (versjon ${version})`,
    away: 'Vi får ikke hentet personvernerklæringen akkurat nå. Det er den du så da du åpnet skjemaet, som gjelder.',
  },
  errors: {
    NAME_OR_COMPANY_REQUIRED: 'Fyll inn navn eller firma.',
    PHONE_OR_EMAIL_REQUIRED: 'Fyll inn telefon eller e-post.',
    EMAIL_INVALID: 'Skriv e-postadressen slik: navn@eksempel.no.',
    PHONE_INVALID: 'Skriv et telefonnummer, med landkode hvis det ikke er norsk: +46 8 123 456 78.',
    CONSENT_REQUIRED: 'Kryss av for at du samtykker, eller velg «Jeg vil ha et tilbud».',
    REQUIRED: 'Velg hva det gjelder.',
    TOO_LONG: 'Skriv kortere: høyst 200 tegn.',
    CONTROL_CHARACTER: 'Skriv på én linje, uten usynlige tegn.',
    other: 'Dette kan vi ikke ta imot. Rett det, og send på nytt.',
  },
  alerts: {
    away: {
      title: 'Vi fikk ikke tatt imot skjemaet akkurat nå',
      text: `Det du skrev, står fortsatt her. Vent litt og send på nytt. Det blir ikke sendt to ganger. ${orReachUs}`,
      button: 'Send på nytt',
    },
    broken: {
      title: 'Noe er galt hos oss',
      text: `Det du skrev, står fortsatt her, og du kan prøve igjen senere. ${orReachUs}`,
      button: 'Prøv igjen',
    },
    newNotice: {
      title: 'Personvernerklæringen er ny',
      text: 'Vi har fått en ny personvernerklæring siden du åpnet skjemaet. Les den nedenfor, og send på nytt hvis du fortsatt vil. Et samtykke må du gi på nytt.',
    },
    sentBefore: {
      title: 'Dette skjemaet er alt sendt, med et annet innhold',
      text: 'Vi har tatt imot det du sendte først. Sender du det som står her nå, blir det en ny henvendelse i tillegg.',
      button: 'Send som ny henvendelse',
    },
    tooMany: {
      title: 'Det er sendt mange skjemaer fra nettverket ditt',
      text: `Det du skrev, står fortsatt her. Vent ti minutter og send på nytt. ${orReachUs}`,
    },
    trap: {
      title: 'Vi trodde et øyeblikk at et program fylte ut skjemaet',
      text: 'Noe fylte ut et felt som mennesker ikke ser, kanskje nettleseren din. Nå er feltet tomt. Se over det som står her, og send på nytt.',
    },
  },
};
