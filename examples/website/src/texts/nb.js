// The pages in Norwegian (bokmål). The same keys as en.js: a test compares them.

import { company } from '../company.js';
import { dates } from './dates.js';

const orReachUs = `Du kan også ringe oss på ${company.phone} eller skrive til ${company.email}.`;

export const nb = {
  language: 'nb',
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
  received: {
    title: 'Takk, vi har fått henvendelsen din',
    text: 'Du hører fra oss innen to virkedager.',
    submitted: 'Mottatt',
    basis: 'Hvorfor vi kan bruke opplysningene',
    kept: 'Hvor lenge vi har dem',
    keptText: (date) => `Til vi er ferdige med henvendelsen. Senest ${date} er de slettet.`,
    reference: 'Referanse',
    offer: {
      why: 'Du ba oss om et tilbud (GDPR artikkel 6 nr. 1 bokstav b).',
      mind: `Vil du ikke ha tilbudet likevel? Skriv til ${company.email} med referansen over, og be oss slette opplysningene. Du kan også si fra på siden under.`,
      link: 'Si fra at du har ombestemt deg',
    },
    consent: {
      why: 'Du har samtykket (GDPR artikkel 6 nr. 1 bokstav a).',
      mind: 'Du kan når som helst trekke samtykket tilbake. Da sletter vi opplysningene med det samme.',
      link: 'Trekk samtykket tilbake',
    },
    receipt: { text: 'Last ned kvittering for samtykket', file: 'samtykke' },
    receiptHint: 'En fil som viser hva du samtykket til, og når. Navnet ditt står ikke i den.',
    mindTitle: 'Har du ombestemt deg?',
    saveLink: 'Ta vare på lenken hvis du kan få bruk for den senere. Vi kan ikke sende den på nytt.',
  },
  withdrawal: {
    title: 'Trekke samtykket tilbake',
    ask: 'Dette gjelder henvendelsen du fikk lenken for.',
    consequences: [
      'Samtykket du til å bli kontaktet, sletter vi opplysningene med det samme.',
      'Ba du om et tilbud, noterer vi at du ikke samtykker. Da blir opplysningene liggende til vi er ferdige med dem, men du kan be oss slette dem.',
    ],
    noReason: 'Du trenger ikke å oppgi noen grunn.',
    button: 'Trekk tilbake',
    sending: 'Trekker tilbake …',
    away: {
      title: 'Vi vet ikke om det gikk',
      text: `Vi fikk ikke svar fra systemet vårt. Vent litt og prøv igjen. Det gjør ikke noe om det skjer to ganger. ${orReachUs}`,
      button: 'Prøv igjen',
    },
    unknownLink: {
      title: 'Lenken virker ikke',
      text: 'Kanskje er den ikke kommet med i sin helhet. Retten din henger ikke på lenken: Ta kontakt, så ordner vi det.',
    },
    receipt: { text: 'Last ned kvittering', file: 'tilbaketrekking' },
    receiptHint: 'En fil som viser hva som ble gjort, og når. Navnet ditt står ikke i den.',
    rightsTitle: 'Dette kan du fortsatt kreve',
    outcomes: {
      WITHDRAWAL_OUTCOME_ERASED: {
        title: 'Opplysningene er slettet',
        text: 'Samtykket er trukket tilbake, og opplysningene er slettet hos oss. De som følger opp henvendelser, får beskjed om å slette sin kopi.',
      },
      WITHDRAWAL_OUTCOME_FLAG_WITHDRAWN: {
        title: 'Vi har notert det',
        text: 'Vi har notert at du ikke samtykker. Henvendelsen bygger på at du ba om et tilbud, ikke på samtykke, så opplysningene ligger her til vi er ferdige med dem. Vil du ha dem slettet nå, kan du be om det.',
      },
      WITHDRAWAL_OUTCOME_ERASED_WHEN_LIFTED: {
        title: 'Samtykket er trukket tilbake',
        text: 'Bruken av opplysningene er satt på vent, så de blir bare lagret og ikke brukt mer. De slettes når det ikke lenger er grunn til å vente.',
      },
      WITHDRAWAL_OUTCOME_NOTHING_HELD: {
        title: 'Vi har ingen opplysninger om denne henvendelsen',
        text: 'De er slettet: enten nettopp, om du trykket to ganger, eller tidligere.',
      },
      WITHDRAWAL_OUTCOME_UNSPECIFIED: {
        title: 'Vi har tatt imot beskjeden',
        text: 'Ta kontakt hvis du vil vite hva som ble gjort.',
      },
    },
  },
  formAway: {
    title: 'Skjemaet er borte en liten stund',
    text: 'Vi kan ikke vise det akkurat nå. Prøv igjen om noen minutter.',
    action: 'Prøv igjen',
  },
  erasedSince: {
    title: 'Denne henvendelsen er slettet',
    text: 'Du har sendt dette skjemaet før, og opplysningene er slettet siden. Vi har ikke lagret dem på nytt. Vil du ha kontakt likevel, fyll ut et nytt skjema.',
    action: 'Nytt skjema',
  },
  notFound: { title: 'Siden finnes ikke', text: 'Kanskje er adressen ikke kommet med i sin helhet.', action: 'Til kontaktskjemaet' },
  otherSite: { title: 'Skjemaet kom fra et annet nettsted', text: 'Vi tar bare imot skjemaer fra våre egne sider. Ingenting er lagret.', action: 'Til kontaktskjemaet' },
  tooLarge: { title: 'Det var for mye på én gang', text: 'Skjemaet er laget for navn, telefon og e-post. Ingenting er lagret.', action: 'Til kontaktskjemaet' },
  badRequest: { title: 'Dette forstod vi ikke', text: 'Ingenting er lagret.', action: 'Til kontaktskjemaet' },
  broken: { title: 'Noe er galt hos oss', text: 'Prøv igjen senere.', action: 'Til kontaktskjemaet' },
};
