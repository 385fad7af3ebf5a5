//! A lead: one submission of a contact form, and nothing more than the notice names.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use uuid::Uuid;
use zeroize::ZeroizeOnDrop;

use super::{
    contact::{Email, Line, Phone},
    lifecycle::FieldSet,
    notice::NoticeVersion,
};

/// Identifies a lead: a UUID of version 7, so that rows are written in order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeadId(Uuid);

impl LeadId {
    /// A new identifier from the time (to a millisecond) and ten random bytes (RFC 9562, 5.7).
    #[must_use]
    pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// The identifier as a UUID.
    #[must_use]
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for LeadId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl FromStr for LeadId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::try_parse(text).map(Self)
    }
}

impl fmt::Display for LeadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a lead may be processed: the two bases of the notice. The numbers are those of the contract,
/// of the database and of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LawfulBasis {
    /// Art. 6(1)(a).
    Consent = 1,
    /// Art. 6(1)(b).
    PreContract = 2,
}

impl LawfulBasis {
    /// The basis with this number.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        match number {
            1 => Some(Self::Consent),
            2 => Some(Self::PreContract),
            _ => None,
        }
    }

    /// Its IRI in the Data Privacy Vocabulary 2.3.
    #[must_use]
    pub fn iri(self) -> &'static str {
        match self {
            Self::Consent => "eu-gdpr:A6-1-a",
            Self::PreContract => "eu-gdpr:A6-1-b-enter-into-contract",
        }
    }
}

/// What a person filled in, checked and normalised. Field rules are those of [`super::contact`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewContent {
    /// Name of the person.
    pub name: Option<Line>,
    /// Name of the company.
    pub company: Option<Line>,
    /// Phone.
    pub phone: Option<Phone>,
    /// E-mail.
    pub email: Option<Email>,
}

impl NewContent {
    /// Name, company, phone and e-mail in the form in which they are stored; empty where not given.
    #[must_use]
    pub fn fields(&self) -> [&str; 4] {
        [
            self.name.as_ref().map_or("", Line::as_str),
            self.company.as_ref().map_or("", Line::as_str),
            self.phone.as_ref().map_or("", Phone::as_e164),
            self.email.as_ref().map_or("", Email::as_given),
        ]
    }
}

/// The four content fields as stored; empty where not given. Prints nothing and is wiped on drop.
#[derive(Clone, Default, PartialEq, Eq, ZeroizeOnDrop)]
pub struct Content {
    /// Name of the person.
    pub name: String,
    /// Name of the company.
    pub company: String,
    /// Phone in E.164 form.
    pub phone: String,
    /// E-mail as given.
    pub email: String,
}

impl Content {
    /// Name, company, phone and e-mail.
    #[must_use]
    pub fn fields(&self) -> [&str; 4] {
        [&self.name, &self.company, &self.phone, &self.email]
    }
}

/// A correction of some fields (Art. 16): what is in `fields` takes the value in `values`, or none.
#[derive(Clone, Debug)]
pub struct Amendment {
    /// Which fields.
    pub fields: FieldSet,
    /// Their values.
    pub values: NewContent,
}

/// A correction that would leave a lead nobody could answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Incomplete {
    /// Neither name nor company would remain.
    #[error("name or company must remain")]
    NameOrCompany,
    /// Neither phone nor e-mail would remain.
    #[error("phone or e-mail must remain")]
    PhoneOrEmail,
}

impl Amendment {
    /// The content as corrected.
    pub fn apply(&self, content: &Content) -> Result<Content, Incomplete> {
        let [name, company, phone, email] = self.values.fields();
        let pick = |field, value: &str, old: &str| {
            let text = if self.fields.contains(field) {
                value
            } else {
                old
            };
            text.to_owned()
        };
        let amended = Content {
            name: pick(FieldSet::NAME, name, &content.name),
            company: pick(FieldSet::COMPANY, company, &content.company),
            phone: pick(FieldSet::PHONE, phone, &content.phone),
            email: pick(FieldSet::EMAIL, email, &content.email),
        };
        if amended.name.is_empty() && amended.company.is_empty() {
            Err(Incomplete::NameOrCompany)
        } else if amended.phone.is_empty() && amended.email.is_empty() {
            Err(Incomplete::PhoneOrEmail)
        } else {
            Ok(amended)
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Content(..)")
    }
}

/// A lead on its way in: everything checked, nothing sealed yet.
#[derive(Clone, Debug)]
pub struct NewLead {
    /// Idempotency key of the submission.
    pub request_id: Uuid,
    /// What the person filled in.
    pub content: NewContent,
    /// Why it may be processed.
    pub basis: LawfulBasis,
    /// Whether consent was given; always true with [`LawfulBasis::Consent`].
    pub consent: bool,
    /// The notice the person was shown.
    pub notice_version: NoticeVersion,
}

/// What is known of a lead beside its content: nothing of it is sealed, and none of it identifies.
#[derive(Clone, Debug)]
pub struct LeadFacts {
    /// Identifier.
    pub id: LeadId,
    /// Why it may be processed.
    pub basis: LawfulBasis,
    /// Whether consent stands.
    pub consent: bool,
    /// The notice the person was shown.
    pub notice_version: String,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// How and when the enquiry was closed, if it was.
    pub closing: Option<Closing>,
    /// Why it is restricted, if it is.
    pub restrictions: Restrictions,
    /// Counts the changes of the row, from 1.
    pub revision: i64,
}

impl LeadFacts {
    /// Where the lead is in its life.
    #[must_use]
    pub fn state(&self) -> LeadState {
        LeadState::of(!self.restrictions.is_empty(), self.closing.is_some())
    }

    /// Whether a CRM client may read the content now (Art. 18(2): a restricted lead is only stored).
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.restrictions.is_empty()
    }
}

/// Where a lead is in its life. An erased lead has no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeadState {
    /// Stored and readable by CRM clients.
    Available,
    /// Stored only.
    Restricted,
    /// Waiting for its grace to end.
    Closed,
}

impl LeadState {
    /// The state of a lead. A restriction wins over a closing: it shields from deletion.
    #[must_use]
    pub fn of(is_restricted: bool, is_closed: bool) -> Self {
        if is_restricted {
            Self::Restricted
        } else if is_closed {
            Self::Closed
        } else {
            Self::Available
        }
    }
}

/// How an enquiry ended. The numbers are those of the contract, of the database and of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseOutcome {
    /// It was answered.
    Answered = 1,
    /// There was nothing to answer.
    NotRelevant = 2,
    /// The person became a customer: the CRM keeps its own record of them.
    Converted = 3,
}

impl CloseOutcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Answered, Self::NotRelevant, Self::Converted];

    /// The outcome with this number.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|it| *it as i64 == number)
    }
}

/// The end of an enquiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// When.
    pub at: Timestamp,
    /// How.
    pub outcome: CloseOutcome,
}

/// Why a lead is restricted. The numbers are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RestrictionReason {
    /// Art. 18(1)(a).
    AccuracyContested = 1,
    /// Art. 18(1)(b).
    UnlawfulErasureOpposed = 2,
    /// Art. 18(1)(c).
    SubjectLegalClaim = 3,
    /// Art. 18(1)(d).
    ObjectionPending = 4,
    /// Art. 17(3)(e).
    ControllerLegalClaim = 5,
}

impl RestrictionReason {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::AccuracyContested,
        Self::UnlawfulErasureOpposed,
        Self::SubjectLegalClaim,
        Self::ObjectionPending,
        Self::ControllerLegalClaim,
    ];

    /// The reason with this number.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|it| *it as i64 == number)
    }
}

/// A set of restriction reasons, stored as one number with a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Restrictions(i64);

impl Restrictions {
    /// The set as stored.
    #[must_use]
    pub fn from_bits(bits: i64) -> Self {
        Self(bits)
    }

    /// This set and one reason more.
    #[must_use]
    pub fn with(self, reason: RestrictionReason) -> Self {
        Self(self.0 | 1 << (reason as u8))
    }

    /// This set but for one reason.
    #[must_use]
    pub fn without(self, reason: RestrictionReason) -> Self {
        Self(self.0 & !(1 << (reason as u8)))
    }

    /// The set as stored.
    #[must_use]
    pub fn bits(self) -> i64 {
        self.0
    }

    /// The reasons, in order of their numbers.
    pub fn reasons(self) -> impl Iterator<Item = RestrictionReason> {
        RestrictionReason::ALL
            .into_iter()
            .filter(move |reason| self.contains(*reason))
    }

    /// Whether a reason is among them.
    #[must_use]
    pub fn contains(self, reason: RestrictionReason) -> bool {
        self.0 & (1 << (reason as u8)) != 0
    }

    /// Whether there is none: the lead is not restricted.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}
