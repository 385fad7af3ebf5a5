//! What a person is told whose request is not met in full (Art. 12(4)), or who objects (Art. 21).
//!
//! Constant texts in the languages of the notices; the authority to complain to is the notice's own.

use jiff::Timestamp;

use super::Exporter;
use crate::domain::{
    erasure::ErasureOutcome,
    notice::{Complaint, Language},
    subject::ObjectionKind,
};

/// Why a request is not met, and what the person can do about it (Art. 12(4)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: &'static str,
    /// Where to complain (Art. 77).
    pub complaint: String,
    /// The way to court (Art. 79).
    pub judicial_remedy: &'static str,
}

impl Exporter {
    /// What a person is told about a lead that was not erased. `None`: it was.
    #[must_use]
    pub fn refusal(
        &self,
        outcome: ErasureOutcome,
        language: Language,
        now: Timestamp,
    ) -> Option<Refusal> {
        let reason = match (outcome, language) {
            (ErasureOutcome::Erased, _) => return None,
            (ErasureOutcome::Retained, Language::Nb) => {
                "Vi sletter ikke denne henvendelsen nå, fordi vi trenger den for å fastsette, gjøre gjeldende eller \
                 forsvare et rettskrav (personvernforordningen artikkel 17 nr. 3 bokstav e). Behandlingen av den er \
                 begrenset: den blir bare lagret. Den slettes når kravet er avgjort."
            }
            (ErasureOutcome::Retained, Language::En) => {
                "We do not erase this enquiry now, because we need it to establish, exercise or defend a legal claim \
                 (GDPR Art. 17(3)(e)). Its processing is restricted: it is only stored. It is erased when the claim \
                 is settled."
            }
            (ErasureOutcome::NeedsConfirmation, Language::Nb) => {
                "Behandlingen av denne henvendelsen er begrenset etter ditt eget ønske, og sletting opphever \
                 begrensningen. Bekreft at du likevel vil ha den slettet."
            }
            (ErasureOutcome::NeedsConfirmation, Language::En) => {
                "The processing of this enquiry is restricted at your own wish, and erasing ends the restriction. \
                 Please confirm that you want it erased nevertheless."
            }
        };
        let complaint = self
            .notice(language, now)
            .and_then(|notice| notice.facts.complaint.as_ref());
        Some(Refusal {
            reason,
            complaint: complaint.map_or_else(String::new, Complaint::line),
            judicial_remedy: match language {
                Language::Nb => {
                    "Du kan også bringe saken inn for domstolene (personvernforordningen artikkel 79)."
                }
                Language::En => "You may also bring the matter before a court (GDPR Art. 79).",
            },
        })
    }
}

/// What a person is told who objects.
#[must_use]
pub fn objection(kind: ObjectionKind, language: Language) -> &'static str {
    match (kind, language) {
        (ObjectionKind::General, Language::Nb) => {
            "Retten til å protestere etter personvernforordningen artikkel 21 nr. 1 gjelder behandling som bygger på \
             artikkel 6 nr. 1 bokstav e eller f. Vi bygger ikke på dem: grunnlaget er ditt samtykke, eller tiltak på \
             din anmodning før en avtale. Vi har likevel begrenset behandlingen mens vi vurderer saken: opplysningene \
             blir bare lagret. Du kan når som helst trekke tilbake samtykket eller be om sletting."
        }
        (ObjectionKind::General, Language::En) => {
            "The right to object under GDPR Art. 21(1) concerns processing that rests on Art. 6(1)(e) or (f). We do \
             not rely on those: the basis is your consent, or steps at your request before a contract. We have \
             nevertheless restricted the processing while we consider the matter: the data is only stored. You may \
             withdraw your consent or ask for erasure at any time."
        }
        (ObjectionKind::DirectMarketing, Language::Nb) => {
            "Protesten er registrert og gjelder uten vilkår (personvernforordningen artikkel 21 nr. 2 og 3). \
             Opplysningene brukes ikke til direkte markedsføring, og hvert system som har fått dem, får beskjed."
        }
        (ObjectionKind::DirectMarketing, Language::En) => {
            "The objection is recorded and holds without conditions (GDPR Art. 21(2) and (3)). The data is not used \
             for direct marketing, and every system that was given it is told."
        }
    }
}
