//! K2: sealed data that was moved, cut or changed in the database opens nothing, through the real server.

use lead_intake::pb;
use tonic::{Code, Status};

use super::Fleet;
use crate::{
    scan::Needles,
    steps::get_lead,
    support::{raw::everything, *},
};

/// What can be done to the first lead's blob by somebody with the database: the statement, and how its lead is called.
/// Blobs are `version | key id | nonce | ciphertext | tag`.
fn damages(backend: Backend, first: &str, second: &str) -> Vec<(&'static str, String)> {
    let id = |id: &str| match backend {
        Backend::Sqlite => format!("x'{}'", id.replace('-', "")),
        Backend::Postgres => format!("'{id}'"),
    };
    // SQLite has no function that puts bytes in a place; `substr` of a blob counts bytes on both.
    let spliced = |from: usize, bytes: &str| {
        let literal = match backend {
            Backend::Sqlite => format!("x'{bytes}'"),
            Backend::Postgres => format!("'\\x{bytes}'::bytea"),
        };
        let head = format!("substr(sealed, 1, {})", from - 1);
        let tail = format!("substr(sealed, {})", from + bytes.len() / 2);
        match backend {
            // What is joined is text to SQLite, until it is told otherwise.
            Backend::Sqlite => format!("CAST({head} || {literal} || {tail} AS BLOB)"),
            Backend::Postgres => format!("{head} || {literal} || {tail}"),
        }
    };
    let other = format!("(SELECT sealed FROM lead WHERE id = {})", id(second));
    let column = "(SELECT email_index FROM lead WHERE email_index IS NOT NULL LIMIT 1)";
    [
        ("another lead's", other),
        ("another column's", column.to_owned()),
        ("cut short", "substr(sealed, 1, 60)".to_owned()),
        ("cut to nothing", "substr(sealed, 1, 0)".to_owned()),
        ("of another version", spliced(1, "02")),
        ("with another nonce", spliced(6, "00000000000000000000ffff")),
        ("with other content", spliced(20, "abcd")),
    ]
    .into_iter()
    .map(|(what, sealed)| {
        let place = id(first);
        (
            what,
            format!("UPDATE lead SET sealed = {sealed} WHERE id = {place}"),
        )
    })
    .collect()
}

fn is_constant(status: &Status) {
    assert_eq!(
        (status.code(), &*reason(status)),
        (Code::Internal, "INTERNAL")
    );
    assert_eq!(
        status.message(),
        "something is wrong in the server; the operator's log says what"
    );
}

on_both! {
    /// K2: a blob that was moved to another row or column, cut, given another version, or changed in any byte, is an
    /// error with a constant text, whoever reads it, and not somebody else's data; the log says which fault it is, and
    /// nothing of anybody. Resealing does not touch it, says which lead it is, and the key it was sealed with stays.
    async fn k2_what_was_moved_or_changed_opens_nothing(backend: Backend) {
        let mut fleet = Fleet::new(backend).await;
        let mails = ["kari.hvalvik@example.no", "ola.hvalvik@example.no"];
        let mut ids = Vec::new();
        for mail in mails {
            let stored = fleet.intake(0).submit_lead(form("Solveig Hvalvik", mail)).await.unwrap();
            ids.push(stored.into_inner().lead_id);
        }
        let mut raw = fleet.raw().await;
        let needles = Needles::of_values(&["Solveig Hvalvik", mails[0], mails[1]]);
        raw.execute("CREATE TABLE kept AS SELECT id, sealed FROM lead").await;
        let mend = "UPDATE lead SET sealed = (SELECT sealed FROM kept WHERE kept.id = lead.id)";
        for (what, damage) in damages(backend, &ids[0], &ids[1]) {
            raw.execute(&damage).await;
            let read = get_lead(&mut fleet.crm(0), &ids[0]).await.unwrap_err();
            let find = pb::FindSubjectRequest { request: subject(mails[0]) };
            let found = fleet.privacy(0).find_subject(find).await.unwrap_err();
            let erased = fleet.privacy(0).erase_subject(crate::steps::erasure(mails[0])).await.unwrap_err();
            for status in [read, found, erased] {
                is_constant(&status);
                assert!(needles.found_in(&everything(&status)).is_empty(), "{what}");
            }
            // The other lead is as it was.
            assert_eq!(get_lead(&mut fleet.crm(0), &ids[1]).await.unwrap().email, mails[1]);
            raw.execute(mend).await;
            assert_eq!(get_lead(&mut fleet.crm(0), &ids[0]).await.unwrap().email, mails[0], "{what}");
        }

        fleet.keys(&["rotate"]).await;
        fleet.roll_out().await;
        fleet.keys(&["promote"]).await;
        fleet.roll_out().await;
        let (_, moved) = damages(backend, &ids[0], &ids[1]).remove(0);
        raw.execute(&moved).await;
        let resealed = fleet.keys_at(0, &["reseal"]).await.with_code(3);
        let names = format!("lead {} stays as it was", ids[0]);
        assert!(resealed.err.contains(&names), "{}", resealed.err);
        assert!(needles.found_in(resealed.err.as_bytes()).is_empty());
        let refused = fleet.keys_at(0, &["retire", "--forget"]).await.with_code(1);
        assert!(refused.err.contains("1 lead(s) still lie under it"), "{}", refused.err);
        let under = "SELECT key_id * 10 + index_key_id FROM lead ORDER BY 1";
        assert_eq!(raw.numbers(under).await, [11, 22]);
        raw.execute(&format!("{mend} WHERE key_id = 1")).await;
        fleet.keys(&["reseal"]).await;
        fleet.keys(&["retire", "--forget"]).await;
        fleet.roll_out().await;
        for (id, mail) in ids.iter().zip(mails) {
            assert_eq!(get_lead(&mut fleet.crm(0), id).await.unwrap().email, mail);
        }
        raw.execute("DROP TABLE kept").await;
        raw.close().await;
        let logs = fleet.stop().await;
        assert!(logs[0].contains("sealed data is damaged or belongs to another lead"), "{}", logs[0]);
        for log in logs {
            assert!(needles.found_in(log.as_bytes()).is_empty());
        }
    }
}
