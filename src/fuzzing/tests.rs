//! The corpora, run with the other tests: what once was found stays found.

use std::{collections::BTreeSet, env, fs, path::PathBuf};

use bytes::BytesMut;
use data_encoding::{BASE64, HEXLOWER};
use uuid::Uuid;

use super::{
    ledger::{KEY, STORE},
    wire::REQUESTS,
    *,
};
use crate::{
    cli::receipt,
    clock::from_micros,
    domain::{erasure::ErasureCause, lead::LeadId, lifecycle::Event},
    ledger::{
        Entry, EntryKind, Hash, Head, NewEntry, genesis,
        mirror::Line,
        notary::Checkpoint,
        tree::{leaf_hash, node_hash},
    },
    pb,
    rpc::{convert::timestamp, json as contract},
    token::checksum,
};

fn corpus() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "fuzz", "corpus"]
        .iter()
        .collect()
}

fn names(dir: PathBuf) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

/// Every input that is kept is run through its target, as the fuzzer would; no target and no directory is left out.
#[test]
fn every_input_that_is_kept_is_run() {
    let targets: BTreeSet<_> = TARGETS.iter().map(|it| it.name.to_owned()).collect();
    assert_eq!(names(corpus()), targets);
    for target in TARGETS {
        let dir = corpus().join(target.name);
        let files = names(dir.clone());
        assert!(!files.is_empty(), "{} has no inputs", target.name);
        for file in files {
            let input = fs::read(dir.join(&file)).unwrap();
            let run = std::panic::catch_unwind(|| (target.run)(&input));
            assert!(run.is_ok(), "{}/{file}", target.name);
        }
    }
}

/// No request of the contract is forgotten.
#[test]
fn every_request_is_a_target() {
    let contract = contract::CONTRACT.as_ref().unwrap();
    let requests: BTreeSet<_> = contract
        .all_messages()
        .map(|message| message.full_name().to_owned())
        .filter(|name| name.starts_with("leadintake.") && name.ends_with("Request"))
        .collect();
    let targets: BTreeSet<_> = REQUESTS.iter().map(|it| it.name.to_owned()).collect();
    assert_eq!(targets, requests);
}

/// A refusal that repeats what was sent is found; one that has the same words of its own is not taken for one.
#[test]
fn what_is_repeated_is_found() {
    let sent = b"{\"email\": \"kari.nordmann@example.no\"}";
    untold(sent, |_| {
        Some(b"email: not an address such as kari.nordmann@example.no".to_vec())
    });
    let repeats = |sent: &[u8]| Some([b"not an address: ", &sent[11..25]].concat());
    let found = std::panic::catch_unwind(|| untold(sent, repeats));
    assert!(found.is_err());
}

/// The inputs that hold together by hashes and signatures are what they are meant to be, so that the fuzzer begins
/// behind them. With `LEAD_INTAKE_FUZZ_SEEDS=1` they are written.
#[test]
fn what_is_signed_is_believed() {
    let made = made();
    for (path, content) in &made {
        let path = corpus().join(path);
        if env::var_os("LEAD_INTAKE_FUZZ_SEEDS").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
        }
        assert!(fs::read(&path).unwrap() == *content, "{}", path.display());
    }
    let text = |name: &str| {
        let (_, content) = made.iter().find(|(path, _)| *path == name).unwrap();
        String::from_utf8(content.clone()).unwrap()
    };
    assert!(receipt::proven(&text("receipt/proven"), KEY.verifier()).is_some());
    assert!(Checkpoint::open(&text("note/checkpoint")[1..], KEY.verifier()).is_ok());
}

/// A ledger of three entries: a submission, a request for erasure, what it did.
fn entries() -> [(Entry, Hash); 3] {
    let mut head = Head {
        sequence: 0,
        hash: genesis(STORE),
        at: 0,
    };
    let lead = LeadId::from(Uuid::from_u128(1));
    let request = Uuid::from_u128(2);
    [
        NewEntry::new(EntryKind::Submitted, 1)
            .lead(lead)
            .request(request),
        NewEntry::new(EntryKind::ErasureRequested, 3)
            .request(request)
            .detail(1),
        NewEntry::of(Event::Erased(ErasureCause::Request), 3, lead, 1),
    ]
    .map(|new| {
        let previous = head.hash;
        (head.append(new, 1_795_521_600_000_000), previous)
    })
}

/// The inputs that no hand can write.
fn made() -> Vec<(String, Vec<u8>)> {
    let entries = entries();
    let records = entries.map(|(entry, previous)| entry.record(&previous).as_bytes().to_vec());
    let lines = entries.map(|(entry, _)| serde_json::to_string(&Line::from(entry)).unwrap() + "\n");
    let leaves: Vec<Hash> = records.iter().map(|record| leaf_hash(record)).collect();
    let below = node_hash(&leaves[0], &leaves[1]);
    let checkpoint = Checkpoint::sign(3, node_hash(&below, &leaves[2]), &KEY);
    let hex = |hash: &Hash| HEXLOWER.encode(hash);
    let paths = [vec![hex(&leaves[0]), hex(&leaves[2])], vec![hex(&below)]];
    let told = entries[1..].iter().map(|(entry, _)| pb::ReceiptEntry {
        sequence: entry.sequence,
        hash: hex(&entry.hash),
        lead_id: entry
            .new
            .lead_id
            .map(|id| id.to_string())
            .unwrap_or_default(),
        outcome: i32::from(entry.new.lead_id.is_some()),
    });
    let proven = entries[1..].iter().zip(&records[1..]).zip(paths);
    let proven = proven.map(|(((entry, _), record), inclusion)| pb::EntryProof {
        sequence: entry.sequence,
        record: HEXLOWER.encode(record),
        inclusion,
    });
    let receipt = pb::GetErasureReceiptResponse {
        receipt: Some(pb::ErasureReceipt {
            request_id: Uuid::from_u128(2).to_string(),
            erased_at: Some(timestamp(from_micros(entries[1].0.at))),
            ground: 1,
            entries: told.collect(),
        }),
        proof: Some(pb::ErasureProof {
            note: checkpoint.note.clone(),
            verifier_key: KEY.verifier().to_string(),
            entries: proven.collect(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let made = [
        ("entry/record", records[2].clone()),
        ("entry/line", lines[2].trim_end().as_bytes().to_vec()),
        ("mirror/one_file", lines.concat().into_bytes()),
        (
            "mirror/two_files",
            [&lines[0], "\0", &lines[1], &lines[2]]
                .concat()
                .into_bytes(),
        ),
        (
            "mirror/cut_off",
            (lines[0].clone() + &lines[1][..40]).into_bytes(),
        ),
        ("note/key", format!("0{}", KEY.verifier()).into_bytes()),
        (
            "note/checkpoint",
            format!("1{}", checkpoint.note).into_bytes(),
        ),
        ("note/text", checkpoint_text(&checkpoint)),
        ("receipt/proven", receipt::written(&receipt).into_bytes()),
    ]
    .map(|(path, content)| (path.to_owned(), content));
    made.into_iter().chain(tokens()).chain(protobuf()).collect()
}

/// A token, whole and without its checksum.
fn tokens() -> [(String, Vec<u8>); 2] {
    let token = format!("li_crm_abcdefghijkl_{}", "A1".repeat(21) + "z");
    [
        (
            "token/whole",
            format!("{token}_{}", String::from_iter(checksum(&token))).into_bytes(),
        ),
        ("token/without_checksum", token.into_bytes()),
    ]
    .map(|(path, content): (&str, Vec<u8>)| (path.to_owned(), content))
}

/// The inputs of `json/` as protobuf.
fn protobuf() -> impl Iterator<Item = (String, Vec<u8>)> {
    names(corpus().join("json")).into_iter().filter_map(|name| {
        let json = fs::read(corpus().join("json").join(&name)).unwrap();
        let (first, json) = json.split_first()?;
        let request = wire::chosen(*first).name;
        let message = contract::CONTRACT.as_ref()?.get_message_by_name(request)?;
        let mut encoded = BytesMut::from(&[*first][..]);
        contract::read(&message, json, &mut encoded).ok()?;
        Some((format!("protobuf/{name}"), encoded.to_vec()))
    })
}

/// The text that is signed, for the form that signs it again.
fn checkpoint_text(checkpoint: &Checkpoint) -> Vec<u8> {
    let origin = KEY.verifier().name();
    let root = BASE64.encode(&checkpoint.root);
    format!("2{origin}\n{}\n{root}", checkpoint.size).into_bytes()
}
