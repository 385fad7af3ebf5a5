// What is said when the form is sent, in Norwegian (bokmål). The same keys as en-after.js.

import { company } from '../company.js';

const orReachUs = `Du kan også ringe oss på ${company.phone} eller skrive til ${company.email}.`;

export const after = {
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
