//! What Art. 13 asks for and a notice does not say.
//!
//! Art. 13(1)(a), the controller, is configuration and is checked when the registry loads. Art. 13(1)(d)
//! and 14 never apply: the service knows no legitimate interests (see [`Article`]) and no other source.

use super::{Article, Facts, Language};

/// One thing the law asks for that a notice does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The paragraph of the GDPR that asks for it, for example `13(2)(c)`.
    pub paragraph: &'static str,
    /// The absent key of the notice file, for example `rights.withdrawal`.
    pub key: &'static str,
    /// What is missing, for people, in the language asked for.
    pub text: &'static str,
}

struct Requirement {
    paragraph: &'static str,
    key: &'static str,
    is_missing: fn(&Facts) -> bool,
    nb: &'static str,
    en: &'static str,
}

/// Everything asked for, in the order of the articles.
const REQUIREMENTS: [Requirement; 18] = [
    Requirement {
        paragraph: "13(1)(b)",
        key: "data_protection_officer",
        is_missing: |facts| blank(facts.data_protection_officer.as_ref()),
        nb: "Det står ikke om det finnes et personvernombud.",
        en: "It does not say whether there is a data protection officer.",
    },
    Requirement {
        paragraph: "13(1)(c)",
        key: "purposes",
        is_missing: |facts| all_blank(&facts.purposes),
        nb: "Det står ikke hva opplysningene brukes til.",
        en: "It does not say what the data is used for.",
    },
    Requirement {
        paragraph: "13(1)(c)",
        key: "lawful_bases",
        is_missing: |facts| facts.lawful_bases.is_empty(),
        nb: "Det rettslige grunnlaget mangler.",
        en: "The lawful basis is missing.",
    },
    Requirement {
        paragraph: "13(1)(e)",
        key: "recipients",
        is_missing: |facts| blank(facts.recipients.as_ref().map(|recipients| &recipients.text)),
        nb: "Det står ikke hvem som får opplysningene.",
        en: "It does not say who receives the data.",
    },
    Requirement {
        paragraph: "13(1)(f)",
        key: "transfers",
        is_missing: |facts| blank(facts.transfers.as_ref()),
        nb: "Det står ikke om opplysningene overføres til land utenfor EØS.",
        en: "It does not say whether data is transferred outside the EEA.",
    },
    Requirement {
        paragraph: "13(2)(a)",
        key: "retention",
        is_missing: |facts| {
            blank(
                facts
                    .retention
                    .as_ref()
                    .map(|retention| &retention.criteria),
            )
        },
        nb: "Det står ikke hvor lenge opplysningene lagres, eller hva som avgjør det.",
        en: "It does not say how long the data is kept, or what decides that.",
    },
    Requirement {
        paragraph: "13(2)(b)",
        key: "rights.access",
        is_missing: |facts| blank(facts.rights.access.as_ref()),
        nb: "Retten til innsyn mangler.",
        en: "The right of access is missing.",
    },
    Requirement {
        paragraph: "13(2)(b)",
        key: "rights.rectification",
        is_missing: |facts| blank(facts.rights.rectification.as_ref()),
        nb: "Retten til retting mangler.",
        en: "The right to rectification is missing.",
    },
    Requirement {
        paragraph: "13(2)(b)",
        key: "rights.erasure",
        is_missing: |facts| blank(facts.rights.erasure.as_ref()),
        nb: "Retten til sletting mangler.",
        en: "The right to erasure is missing.",
    },
    Requirement {
        paragraph: "13(2)(b)",
        key: "rights.restriction",
        is_missing: |facts| blank(facts.rights.restriction.as_ref()),
        nb: "Retten til begrensning mangler.",
        en: "The right to restriction is missing.",
    },
    Requirement {
        paragraph: "13(2)(b)",
        key: "rights.objection",
        is_missing: |facts| blank(facts.rights.objection.as_ref().map(|right| &right.general)),
        nb: "Retten til å protestere mangler.",
        en: "The right to object is missing.",
    },
    Requirement {
        paragraph: "21(4)",
        key: "rights.objection.direct_marketing",
        is_missing: |facts| {
            blank(
                facts
                    .rights
                    .objection
                    .as_ref()
                    .and_then(|right| right.direct_marketing.as_ref()),
            )
        },
        nb: "Retten til å si nei til direkte markedsføring mangler.",
        en: "The right to object to direct marketing is missing.",
    },
    Requirement {
        paragraph: "13(2)(b)",
        key: "rights.portability",
        is_missing: |facts| blank(facts.rights.portability.as_ref()),
        nb: "Retten til dataportabilitet mangler.",
        en: "The right to data portability is missing.",
    },
    Requirement {
        paragraph: "13(2)(c)",
        key: "rights.withdrawal",
        is_missing: |facts| relies_on_consent(facts) && blank(facts.rights.withdrawal.as_ref()),
        nb: "Det står ikke at samtykket kan trekkes tilbake.",
        en: "It does not say that consent can be withdrawn.",
    },
    Requirement {
        paragraph: "13(2)(d)",
        key: "complaint",
        is_missing: |facts| blank(facts.complaint.as_ref().map(|complaint| &complaint.text)),
        nb: "Retten til å klage mangler.",
        en: "The right to complain is missing.",
    },
    Requirement {
        paragraph: "13(2)(d)",
        key: "complaint.authority",
        is_missing: |facts| {
            facts
                .complaint
                .as_ref()
                .is_none_or(|it| it.authority.is_none())
        },
        nb: "Det står ikke hvilken tilsynsmyndighet man kan klage til.",
        en: "It does not say which supervisory authority takes complaints.",
    },
    Requirement {
        paragraph: "13(2)(e)",
        key: "provision_required",
        is_missing: |facts| blank(facts.provision_required.as_ref()),
        nb: "Det står ikke om man må gi opplysningene, og hva som skjer hvis man lar være.",
        en: "It does not say whether the data must be given, and what happens otherwise.",
    },
    Requirement {
        paragraph: "13(2)(f)",
        key: "automated_decisions",
        is_missing: |facts| blank(facts.automated_decisions.as_ref()),
        nb: "Det står ikke om det tas automatiserte avgjørelser.",
        en: "It does not say whether automated decisions are taken.",
    },
];

/// The gaps of a notice against Art. 13, in the order of the articles. `language` is that of the
/// answer, not of the notice: an operator may read English about the Norwegian text.
///
/// Items the article asks for "where applicable" (officer, transfers, automated decisions) count too:
/// silence does not tell a person that there is none.
#[must_use]
pub fn lint(facts: &Facts, language: Language) -> Vec<Gap> {
    let gap = |requirement: &Requirement| Gap {
        paragraph: requirement.paragraph,
        key: requirement.key,
        text: match language {
            Language::Nb => requirement.nb,
            Language::En => requirement.en,
        },
    };
    REQUIREMENTS
        .iter()
        .filter(|it| (it.is_missing)(facts))
        .map(gap)
        .collect()
}

fn blank(text: Option<&String>) -> bool {
    text.is_none_or(|text| text.trim().is_empty())
}

fn all_blank(texts: &[String]) -> bool {
    texts.iter().all(|text| text.trim().is_empty())
}

fn relies_on_consent(facts: &Facts) -> bool {
    facts
        .lawful_bases
        .iter()
        .any(|basis| basis.article == Article::Consent)
}
