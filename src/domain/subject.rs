//! Whose lead is it? The person is known only by e-mail or phone, and a wrong guess shows one person's
//! data to another (Art. 12(6), 15(4)). So there are three answers, not two.

use unicode_normalization::UnicodeNormalization as _;

use super::{
    contact::{Email, Line, Phone},
    lead::{Content, LeadId, RestrictionReason},
    lifecycle::Act,
};

/// Most leads one request may name, and most candidates one look-up may judge.
pub const CANDIDATES_MAX: usize = 10_000;

/// A person, as privacy tooling describes one.
#[derive(Clone, Debug)]
pub struct SubjectQuery {
    /// E-mail; this or the phone is there.
    pub email: Option<Email>,
    /// Phone.
    pub phone: Option<Phone>,
    /// Name: leads under another name are then only candidates.
    pub name: Option<Line>,
    /// Candidates that a human has checked.
    pub lead_ids: Vec<LeadId>,
}

/// Whether a lead is the person's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// It is.
    Confirmed,
    /// It may be.
    Unconfirmed(UnconfirmedReason),
    /// It is not.
    None,
}

/// Why a lead is only a candidate. The numbers are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnconfirmedReason {
    /// It is under another name than the one given.
    OtherName = 1,
    /// It has the same phone and another e-mail, as behind a switchboard.
    OtherEmail = 2,
}

/// What a person objects to. The numbers are those of the contract and of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectionKind {
    /// Art. 21(1): the processing as such.
    General = 1,
    /// Art. 21(2): direct marketing.
    DirectMarketing = 2,
}

impl ObjectionKind {
    /// The kind with this number.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        match number {
            1 => Some(Self::General),
            2 => Some(Self::DirectMarketing),
            _ => None,
        }
    }

    /// What it asks of each lead.
    #[must_use]
    pub fn act(self) -> Act {
        match self {
            Self::General => Act::Restrict(RestrictionReason::ObjectionPending),
            Self::DirectMarketing => Act::ObjectToMarketing,
        }
    }
}

impl SubjectQuery {
    /// Judges one lead, by content alone: `lead_ids` is for the caller to apply.
    #[must_use]
    pub fn judge(&self, content: &Content) -> Match {
        // What was stored was parsed on its way in, so it parses again; if the rules were tightened
        // since, the lead counts as having an e-mail that is not the given one: never a wrong match.
        let stored_email = Email::parse(&content.email).ok().flatten();
        let same_email = self.email.is_some()
            && self.email.as_ref().map(Email::lookup) == stored_email.as_ref().map(Email::lookup);
        let same_phone = self
            .phone
            .as_ref()
            .is_some_and(|phone| phone.as_e164() == content.phone);
        match (same_email, same_phone) {
            (false, false) => Match::None,
            (false, true) if !content.email.is_empty() => {
                Match::Unconfirmed(UnconfirmedReason::OtherEmail)
            }
            _ if self.is_other_name(content) => Match::Unconfirmed(UnconfirmedReason::OtherName),
            _ => Match::Confirmed,
        }
    }

    /// Whether a name is given and neither the person nor the company of the lead bears it.
    fn is_other_name(&self, content: &Content) -> bool {
        self.name.as_ref().is_some_and(|name| {
            let name = fold(name.as_str());
            name != fold(&content.name) && name != fold(&content.company)
        })
    }
}

/// A name without regard to case, width and spacing.
fn fold(name: &str) -> String {
    let folded: String = name.nfkc().flat_map(char::to_lowercase).collect();
    folded.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{super::contact::Region, *};

    fn query(email: &str, phone: &str, name: &str) -> SubjectQuery {
        SubjectQuery {
            email: Email::parse(email).expect("an e-mail of the table"),
            phone: Phone::parse(phone, Region::default()).expect("a phone of the table"),
            name: Line::parse(name).expect("a name of the table"),
            lead_ids: Vec::new(),
        }
    }

    fn content(name: &str, company: &str, phone: &str, email: &str) -> Content {
        Content {
            name: name.into(),
            company: company.into(),
            phone: phone.into(),
            email: email.into(),
        }
    }

    /// Art. 12(6), 15(4): identity in doubt is never a guess.
    #[test]
    fn art_12_6_matching_table() {
        use UnconfirmedReason::{OtherEmail, OtherName};
        let kari = content("Kari Nordmann", "", "+4740605600", "Kari@Example.no");
        let phone_only = content("Kari Nordmann", "", "+4740605600", "");
        let company = content("", "Nordmann AS", "", "post@example.no");
        for (query, lead, expected) in [
            (query("kari@example.no", "", ""), &kari, Match::Confirmed),
            (
                query("KARI@EXAMPLE.NO", "", "kari  nordmann"),
                &kari,
                Match::Confirmed,
            ),
            (
                query("kari@example.no", "", "Ola"),
                &kari,
                Match::Unconfirmed(OtherName),
            ),
            (
                query("", "4060 5600", ""),
                &kari,
                Match::Unconfirmed(OtherEmail),
            ),
            (
                query("ola@example.no", "4060 5600", ""),
                &kari,
                Match::Unconfirmed(OtherEmail),
            ),
            (
                query("kari@example.no", "4060 5600", ""),
                &kari,
                Match::Confirmed,
            ),
            (query("", "4060 5600", ""), &phone_only, Match::Confirmed),
            (
                query("x@example.no", "4060 5600", ""),
                &phone_only,
                Match::Confirmed,
            ),
            (
                query("", "4060 5600", "Ola"),
                &phone_only,
                Match::Unconfirmed(OtherName),
            ),
            (query("x@example.no", "", ""), &phone_only, Match::None),
            (query("x@example.no", "22 12 34 56", ""), &kari, Match::None),
            (
                query("post@example.no", "", "Nordmann as"),
                &company,
                Match::Confirmed,
            ),
            (
                query("post@example.no", "", "Kari"),
                &company,
                Match::Unconfirmed(OtherName),
            ),
        ] {
            assert_eq!(query.judge(lead), expected, "{query:?}");
        }
    }
}
