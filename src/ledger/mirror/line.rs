//! A line of the mirror: one entry as JSON, with what the database keeps beside it and a restore needs.
//!
//! Nothing in it is personal data: numbers, random identifiers, times, and names of the controller's own systems.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use uuid::Uuid;

use crate::{
    domain::lead::LeadId,
    ledger::{Entry, EntryKind, Hash, NewEntry},
};

/// An entry as the mirror has it.
#[derive(Clone, Debug)]
pub struct Line {
    /// The entry.
    pub entry: Entry,
    /// Of the entry of a person's request: what was recorded of the request.
    pub request: Option<RequestFacts>,
    /// Of the entry of a new client: who it is.
    pub client: Option<ClientFacts>,
}

/// What is recorded of a person's request, beside its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestFacts {
    /// How identity was checked, as numbered in the contract.
    pub verification: i64,
    /// When the person asked, in microseconds since 1970.
    pub received_at: i64,
    /// When it was done, in microseconds since 1970.
    pub completed_at: i64,
    /// How many entries of leads follow that of the request.
    pub leads: i64,
}

/// A client, beside the entry that it was added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientFacts {
    /// Its name.
    pub name: String,
    /// How the system behind it relates to the controller.
    pub relation: i64,
}

impl From<Entry> for Line {
    fn from(entry: Entry) -> Self {
        Self {
            entry,
            request: None,
            client: None,
        }
    }
}

/// The form on disk: short keys, and nothing for what is not there, since there is one for each entry.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    seq: i64,
    kind: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lead: Option<Uuid>,
    client: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<Uuid>,
    #[serde(default, skip_serializing_if = "is_zero")]
    detail: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    submission: i64,
    at: i64,
    #[serde(serialize_with = "write_hash", deserialize_with = "read_hash")]
    hash: Hash,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked: Option<RequestFacts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    added: Option<ClientFacts>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde calls"
)]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Writes a hash as lower-case hexadecimal.
pub(super) fn write_hash<S: Serializer>(hash: &Hash, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&HEXLOWER.encode(hash))
}

/// Reads a hash from lower-case hexadecimal.
pub(super) fn read_hash<'de, D: Deserializer<'de>>(from: D) -> Result<Hash, D::Error> {
    let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
    let bytes = HEXLOWER.decode(text.as_bytes()).map_err(D::Error::custom)?;
    bytes
        .try_into()
        .map_err(|_| D::Error::custom("a hash of another length"))
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let new = &self.entry.new;
        Written {
            seq: self.entry.sequence,
            kind: new.kind as i64,
            lead: new.lead_id.map(LeadId::uuid),
            client: new.client_id,
            request: new.request_id,
            detail: new.detail,
            submission: new.submission,
            at: self.entry.at,
            hash: self.entry.hash,
            asked: self.request,
            added: self.client.clone(),
        }
        .serialize(to)
    }
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(from)?;
        let kind = EntryKind::from_number(written.kind)
            .ok_or_else(|| D::Error::custom("an unknown kind"))?;
        Ok(Self {
            entry: Entry {
                sequence: written.seq,
                new: NewEntry {
                    kind,
                    lead_id: written.lead.map(LeadId::from),
                    client_id: written.client,
                    request_id: written.request,
                    detail: written.detail,
                    submission: written.submission,
                },
                at: written.at,
                hash: written.hash,
            },
            request: written.asked,
            client: written.added,
        })
    }
}
