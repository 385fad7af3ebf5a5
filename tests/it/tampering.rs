//! A2: what somebody with the database in hand can do to the ledger, and who notices.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use lead_intake::{
    ledger::{Against, Entry, Head, genesis},
    pb::{self, LedgerFault},
};

use crate::{
    raw::Raw,
    steps::*,
    support::{binary, *},
};

/// A way to forge a ledger. Gives what is left of it.
type Forge = fn(Vec<Entry>, Head) -> Vec<Entry>;

/// The entries again from the first on, each with the hash that follows.
fn chained(entries: Vec<Entry>, start: Head) -> Vec<Entry> {
    let mut head = start;
    entries
        .into_iter()
        .map(|entry| head.append(entry.new, entry.at))
        .collect()
}

const CLASSES: [(&str, Forge, bool, LedgerFault); 9] = [
    // Name; what it does; whether the chain alone shows it; what is found with the mirror and a checkpoint.
    (
        "a changed entry",
        |mut it, _| {
            it[3].new.detail += 1;
            it
        },
        true,
        LedgerFault::HashMismatch,
    ),
    (
        "a changed hash",
        |mut it, _| {
            it[3].hash[0] ^= 1;
            it
        },
        true,
        LedgerFault::HashMismatch,
    ),
    (
        "a removed entry",
        |mut it, _| {
            it.remove(3);
            it
        },
        true,
        LedgerFault::SequenceBroken,
    ),
    (
        "two entries swapped",
        |mut it, _| {
            let (third, fourth) = (it[3].sequence, it[4].sequence);
            (it[3].sequence, it[4].sequence) = (fourth, third);
            it.swap(3, 4);
            it
        },
        true,
        LedgerFault::HashMismatch,
    ),
    (
        "the end cut off",
        |mut it, _| {
            it.truncate(5);
            it
        },
        false,
        LedgerFault::Truncated,
    ),
    ("emptied", |_, _| Vec::new(), false, LedgerFault::Truncated),
    (
        "rewritten from an entry on",
        |mut it, start| {
            it[3].new.detail += 1;
            chained(it, start)
        },
        false,
        LedgerFault::CheckpointMismatch,
    ),
    (
        "an entry removed and the rest chained anew",
        |mut it, start| {
            it.remove(3);
            chained(it, start)
        },
        false,
        LedgerFault::Truncated,
    ),
    (
        "spliced with another ledger",
        |mut it, _| {
            let other = Head {
                sequence: 0,
                hash: genesis(new_id()),
                at: 0,
            };
            let other = chained(it.clone(), other);
            it.truncate(4);
            it.extend(&other[4..]);
            it
        },
        true,
        LedgerFault::HashMismatch,
    ),
];

fn bytes(backend: Backend, bytes: &[u8]) -> String {
    let hex = HEXLOWER.encode(bytes);
    match backend {
        Backend::Sqlite => format!("x'{hex}'"),
        Backend::Postgres => format!("'\\x{hex}'"),
    }
}

/// Puts these entries in the place of those that are there, and the head where they end.
async fn write(world: &World, entries: &[Entry], start: Head) {
    let id = |id: Option<uuid::Uuid>| match (id, world.backend) {
        (None, _) => "NULL".to_owned(),
        (Some(id), Backend::Sqlite) => bytes(Backend::Sqlite, id.as_bytes()),
        (Some(id), Backend::Postgres) => format!("'{id}'"),
    };
    let mut sql = vec!["DELETE FROM ledger".to_owned()];
    for Entry {
        sequence,
        new,
        at,
        hash,
    } in entries
    {
        sql.push(format!(
            "INSERT INTO ledger (sequence, kind, lead_id, client_id, request_id, detail, submission, at, hash) \
             VALUES ({sequence}, {}, {}, {}, {}, {}, {}, {at}, {})",
            new.kind as i64,
            id(new.lead_id.map(lead_intake::domain::lead::LeadId::uuid)),
            new.client_id,
            id(new.request_id),
            new.detail,
            new.submission,
            bytes(world.backend, hash),
        ));
    }
    let head = entries.last().map_or(start, Entry::head);
    sql.push(format!(
        "UPDATE ledger_head SET sequence = {}, at = {}, hash = {}",
        head.sequence,
        head.at,
        bytes(world.backend, &head.hash)
    ));
    let mut raw = Raw::open(world).await;
    raw.execute(&sql.join(";")).await;
    raw.close().await;
}

/// What a verification finds, whichever is asked for.
async fn verified(replica: &Replica) -> pb::VerifyLedgerResponse {
    let mut ledger = replica.ledger();
    let request = pb::VerifyLedgerRequest {};
    let found = ledger.verify_ledger(request).await.unwrap().into_inner();
    let request = pb::StreamVerifyLedgerRequest {};
    let mut stream = ledger
        .stream_verify_ledger(request)
        .await
        .unwrap()
        .into_inner();
    let mut last = None;
    while let Some(message) = stream.message().await.unwrap() {
        last = Some(message);
    }
    let last = last.expect("it tells what it found");
    assert_eq!(last.entries_checked, found.entries_checked);
    assert_eq!(last.result.as_ref(), Some(&found));
    found
}

on_both! {
    /// A2: every class of tampering with the ledger in the database is seen by a verification that has the mirror
    /// and a checkpoint; one that has only the database sees what breaks the chain, and says what it cannot see.
    async fn a2_every_class_of_tampering_is_seen(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        for number in 0..4 {
            submit_mail(&replica, &format!("{number}@example.no")).await;
        }
        erase(&replica, "1@example.no").await;
        let intact = verified(&replica).await;
        assert!(intact.intact, "{intact:?}");
        let length = intact.head_sequence;
        assert_eq!((intact.entries_mirrored, intact.entries_signed), (length, length));
        let named = replica.store.entries(0, 1000, None).await.unwrap();
        let entries: Vec<Entry> = named.into_iter().map(|it| it.entry).collect();
        let start = Head { sequence: 0, hash: genesis(replica.store.store_id()), at: 0 };
        for (name, forge, is_seen_alone, expected) in CLASSES {
            write(&world, &forge(entries.clone(), start), start).await;
            let found = verified(&replica).await;
            assert_eq!((found.intact, found.fault()), (false, expected), "{name}");
            let alone = replica.store.verify(&Against::default(), &Arc::default()).await.unwrap();
            assert_eq!(alone.fault.is_some(), is_seen_alone, "{name}");
            // With the mirror and without a checkpoint.
            let mirror = Some(world.mirror(1));
            let against = Against { mirror, ..Against::default() };
            assert!(replica.store.verify(&against, &Arc::default()).await.unwrap().fault.is_some(), "{name}");
        }
        assert_eq!(Against::default().blind_to().len(), 4);
        write(&world, &entries, start).await;
        assert!(verified(&replica).await.intact);
        replica.stop().await;
    }

    /// A2: any byte of the mirror that is changed is seen.
    async fn a2_every_changed_byte_of_the_mirror_is_seen(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        submit_mail(&replica, "kari@example.no").await;
        erase(&replica, "kari@example.no").await;
        verified(&replica).await;
        let file = entries_file(&world.mirror(1));
        let whole = std::fs::read(&file).unwrap();
        let against = Against { mirror: Some(world.mirror(1)), ..Against::default() };
        // What stands beside the entries is not part of the chain: it is what a restore puts back, no proof.
        let text = String::from_utf8(whole.clone()).unwrap();
        let proven = |place: usize| {
            let line = text[..place].rfind('\n').map_or(0, |it| it + 1);
            let beside = ["\"asked\"", "\"added\""].iter().filter_map(|key| text[line..].find(key)).min();
            let end = text[line..].find('\n').unwrap_or(text.len() - line);
            place - line < beside.unwrap_or(end).min(end)
        };
        for place in (0..whole.len()).filter(|place| proven(*place)).step_by(7) {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            std::fs::write(&file, &changed).unwrap();
            let found = replica.store.verify(&against, &Arc::default()).await;
            assert!(found.is_err() || found.unwrap().fault.is_some(), "byte {place}");
        }
        std::fs::write(&file, &whole).unwrap();
        assert_eq!(replica.store.verify(&against, &Arc::default()).await.unwrap().fault, None);
        replica.stop().await;
    }

    /// A2: a ledger whose end was cut off in the database and in the mirror alike does not start: a checkpoint
    /// knows how long it was.
    async fn a2_a_ledger_shorter_than_its_checkpoint_does_not_start(backend: Backend) {
        let mut world = World::new(backend).await;
        world.start().await.stop().await;
        let backup = world.back_up().await;
        let kept = files(&world.mirror(1)).into_iter()
            .filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with("entries-"))
            .map(|file| (file.clone(), std::fs::read(file).unwrap())).collect::<Vec<_>>();
        let replica = world.start().await;
        submit_mail(&replica, "kari@example.no").await;
        replica.stop().await;
        world.restore(&backup).await;
        for (file, bytes) in kept {
            std::fs::write(file, bytes).unwrap();
        }
        let store = world.try_open(Some(world.mirror(1))).await.unwrap();
        let refused = lead_intake::cli::setup::witness(&store, world.signer.clone()).await.unwrap_err();
        assert!(refused.to_string().contains("entries are missing"), "{refused}");
        store.close().await;
    }
}

/// A2: an auditor verifies a copy of a mirror without a server. What is changed in it is seen; that its end is cut off
/// is seen with the public key, or with a checkpoint that was kept, and said to be unseen without.
#[tokio::test(flavor = "multi_thread")]
async fn a2_a_mirror_is_verified_without_a_server() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    for number in 0..3 {
        submit_mail(&replica, &format!("{number}@example.no")).await;
    }
    erase(&replica, "1@example.no").await;
    verified(&replica).await;
    replica.stop().await;
    let (mirror, key) = (world.mirror(1), world.signer.verifier().to_string());
    let dir = mirror.to_str().unwrap();
    let verify = async |more: &[&str]| {
        let args = [&["ledger", "verify", "--mirror", dir], more].concat();
        binary::run(&[], &args, "").await
    };
    let with_key = ["--public-key", &*key];
    let whole = verify(&with_key).await.with_code(0);
    assert!(
        whole.out.contains("intact") && whole.out.contains("a checkpoint signed the first"),
        "{}",
        whole.out
    );
    let json = verify(&[&with_key[..], &["--json"]].concat())
        .await
        .with_code(0)
        .json();
    assert_eq!(json["intact"], true);
    let file = entries_file(&mirror);
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let rewrite = |lines: &[&str]| std::fs::write(&file, lines.concat()).unwrap();
    rewrite(&lines[..lines.len() - 2]);
    let cut = verify(&with_key).await.with_code(3);
    assert!(cut.out.contains("Truncated"), "{}", cut.out);
    let blind = verify(&[]).await.with_code(0);
    assert!(
        blind
            .out
            .contains("cannot see: entries removed from the end"),
        "{}",
        blind.out
    );
    let changed = lines[2].replacen("\"at\":1", "\"at\":2", 1);
    rewrite(&[&lines[..2], &[&*changed], &lines[3..]].concat());
    let changed = verify(&[]).await.with_code(3);
    assert!(
        changed.out.contains("MirrorDamaged at entry 3"),
        "{}",
        changed.out
    );
}
