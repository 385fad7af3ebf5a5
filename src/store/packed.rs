//! Many entries of the ledger as one text: for a verification, which reads them all. A row for each, with a value for each
//! column, costs the driver more than all the rest of the work.

use std::str::Split;

use data_encoding::HEXLOWER_PERMISSIVE;
use uuid::Uuid;

use super::{Result, StoreError};
use crate::{
    domain::lead::LeadId,
    ledger::{Entry, EntryKind, Hash, NewEntry},
};

/// Between two entries, and between two columns of one.
const BETWEEN: [char; 2] = [';', ' '];
/// Stands for an identifier that is not there; one that is empty is none.
const ABSENT: &str = "-";

/// The statement that packs the entries after `$1` up to `$2`, `$3` at most, with what the dialect writes bytes by.
macro_rules! entries_packed {
    ($lead:literal, $request:literal, $hash:literal) => {
        concat!(
            "SELECT COALESCE(STRING_AGG(sequence || ' ' || kind || ' ' || COALESCE(",
            $lead,
            ", '-') || ' ' || client_id || ' ' || COALESCE(",
            $request,
            ", '-') || ' ' || detail || ' ' || submission || ' ' || at || ' ' || ",
            $hash,
            ", ';'), '') FROM (SELECT sequence, kind, lead_id, client_id, request_id, detail, \
             submission, at, hash FROM ledger WHERE sequence > $1 AND sequence <= $2 \
             ORDER BY sequence LIMIT $3) AS entry"
        )
    };
}

/// On SQLite.
pub(super) const SQLITE: &str = entries_packed!(
    "CASE WHEN lead_id IS NOT NULL THEN HEX(lead_id) END",
    "CASE WHEN request_id IS NOT NULL THEN HEX(request_id) END",
    "HEX(hash)"
);
/// On PostgreSQL.
pub(super) const POSTGRES: &str =
    entries_packed!("lead_id::text", "request_id::text", "ENCODE(hash, 'hex')");

/// Reads what a statement packed, in order of the numbers: the entries before the first that is none, and what is wrong
/// with that one.
pub(super) fn unpack(text: &str) -> (Vec<Entry>, Result<()>) {
    let mut entries = Vec::new();
    let mut end = Ok(());
    for text in text.split_terminator(BETWEEN[0]) {
        match entry(text) {
            Ok(entry) => entries.push(entry),
            Err(error) => {
                end = Err(error);
                break;
            }
        }
    }
    // An aggregate promises no order. It has one, so this only looks.
    entries.sort_by_key(|entry| entry.sequence);
    (entries, end)
}

fn entry(text: &str) -> Result<Entry> {
    let mut columns = text.split(BETWEEN[1]);
    let columns = &mut columns;
    let sequence = number(columns)?;
    let kind = EntryKind::from_number(number(columns)?);
    let new = NewEntry {
        kind: kind.ok_or(StoreError::Corrupt("an entry of an unknown kind"))?,
        lead_id: identifier(columns)?.map(LeadId::from),
        client_id: number(columns)?,
        request_id: identifier(columns)?,
        detail: number(columns)?,
        submission: number(columns)?,
    };
    Ok(Entry {
        sequence,
        new,
        at: number(columns)?,
        hash: hash(next(columns)?)?,
    })
}

fn next<'a>(columns: &mut Split<'a, char>) -> Result<&'a str> {
    let next = columns.next();
    next.ok_or(StoreError::Corrupt("an entry without all its columns"))
}

fn number(columns: &mut Split<'_, char>) -> Result<i64> {
    let number = next(columns)?.parse();
    number.map_err(|_| StoreError::Corrupt("an entry with a number that is none"))
}

fn identifier(columns: &mut Split<'_, char>) -> Result<Option<Uuid>> {
    match next(columns)? {
        ABSENT => Ok(None),
        id => Uuid::try_parse(id)
            .map(Some)
            .map_err(|_| StoreError::Corrupt("an entry with an identifier that is none")),
    }
}

fn hash(hex: &str) -> Result<Hash> {
    let mut hash = Hash::default();
    let (hex, len) = (hex.as_bytes(), 2 * hash.len());
    let decoded = hex.len() == len && HEXLOWER_PERMISSIVE.decode_mut(hex, &mut hash).is_ok();
    decoded
        .then_some(hash)
        .ok_or(StoreError::Corrupt("a hash that is not 32 bytes long"))
}
