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

#[cfg(test)]
mod tests {
    use super::*;

    const LEAD: &str = "0193a0b0-0000-7000-8000-000000000001";

    /// An entry as the databases pack it: without its lead, if there is none.
    fn packed(sequence: i64, lead: &str) -> String {
        let hash = "0a".repeat(32);
        format!("{sequence} 1 {lead} 7 - 0 2 3 {hash}")
    }

    /// Every column comes back as it was written by either database, which write identifiers and hashes differently.
    #[test]
    fn each_column_is_read() {
        let upper = LEAD.replace('-', "").to_uppercase();
        for lead in [LEAD, &upper] {
            let (entries, end) = unpack(&packed(5, lead).replace("0a", "0A"));
            assert!(end.is_ok());
            let [entry] = entries[..] else {
                panic!("{entries:?}")
            };
            assert_eq!(
                entry.new.lead_id,
                Uuid::try_parse(LEAD).ok().map(LeadId::from)
            );
            assert_eq!(entry.new.request_id, None);
            assert_eq!((entry.sequence, entry.new.client_id), (5, 7));
            assert_eq!(
                (entry.new.detail, entry.new.submission, entry.at),
                (0, 2, 3)
            );
            assert_eq!(entry.hash, [10; 32]);
        }
        assert!(unpack("").0.is_empty());
    }

    /// What cannot be read is an error, behind what can; and the order is that of the numbers.
    #[test]
    fn what_cannot_be_read_is_an_error_behind_what_can() {
        let good = [packed(2, "-"), packed(1, LEAD)].join(";");
        let spoilt = packed(3, LEAD);
        for bad in [
            spoilt.replace(" 1 ", " 99 "),
            spoilt.replace(LEAD, ""),
            spoilt.replace(" 7 ", " x "),
            spoilt[..spoilt.len() - 1].to_owned(),
            "3 1".to_owned(),
        ] {
            let (entries, end) = unpack(&[&*good, &bad, &packed(4, "-")].join(";"));
            let sequences: Vec<i64> = entries.iter().map(|entry| entry.sequence).collect();
            assert_eq!(sequences, [1, 2], "{bad}");
            assert!(matches!(end, Err(StoreError::Corrupt(_))), "{bad}");
        }
    }
}
