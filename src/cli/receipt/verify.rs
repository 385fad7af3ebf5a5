//! `receipt verify`: offline, with the receipt and the public key alone. No server, no token, no data directory.

use std::path::PathBuf;

use anyhow::Context as _;
use data_encoding::BASE64;
use serde_json::json;

use super::{
    super::{
        Verdict,
        connect::ANSWER_BYTES_MAX,
        file::read_text,
        json,
        kept::{Kept, verifier_key},
        print,
        show::{table, time, word},
    },
    check::{Proven, check, recorded_at},
};
use crate::{
    ledger::notary::{Checkpoint, VerifierKey},
    pb::{self, ErasureOutcome},
};

/// What stands in a receipt, or might, and is not proven by it.
const NOT_COVERED: [&str; 3] = [
    "recipients: who had the leads, and what they acknowledged, is told by the service as of the day it was asked",
    "clean-up: what is left on the database's disk is told by the service as of the day it was asked",
    "completeness: that the request concerned no other leads than these",
];

/// Arguments of `receipt verify`.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// The receipt, as `receipt --output` wrote it
    file: PathBuf,
    /// The public key of the ledger, or the file with it, as its operator published it
    #[arg(long, value_name = "KEY|FILE")]
    public_key: String,
    /// A checkpoint that was kept, older or newer: check that it is of the same ledger. May be repeated
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Exit code 3 if the receipt is not proven.
pub(super) fn run(args: &VerifyArgs) -> anyhow::Result<Verdict> {
    let key = verifier_key(&args.public_key)?;
    let text = read_text(&args.file, ANSWER_BYTES_MAX as u64)?;
    let answer: pb::GetErasureReceiptResponse =
        json::read(&text).with_context(|| format!("{} is not a receipt", args.file.display()))?;
    let kept = args.checkpoint.iter().map(|path| Kept::read(path));
    let kept = kept.collect::<anyhow::Result<Vec<_>>>()?;
    match prove(&answer, &key, &kept) {
        Ok((proven, kept)) => {
            print(&if args.json {
                serde_json::to_string_pretty(&for_programs(&proven, &kept, &key))?
            } else {
                for_people(&answer, &proven, &kept, &key)
            })?;
            Ok(Verdict::Yes)
        }
        Err(what) => {
            print(&if args.json {
                serde_json::to_string_pretty(&json!({ "proven": false, "problem": what }))?
            } else {
                format!("NOT PROVEN: {what}")
            })?;
            Ok(Verdict::No)
        }
    }
}

/// Checks the receipt, and its checkpoint against those that were kept.
fn prove(
    answer: &pb::GetErasureReceiptResponse,
    key: &VerifierKey,
    kept: &[Kept],
) -> Result<(Proven, Vec<Checkpoint>), String> {
    let proven = check(answer, key)?;
    let tied = kept
        .iter()
        .map(|kept| kept.ties(key, &proven.checkpoint, &proven.since));
    let tied = tied.collect::<Result<_, _>>()?;
    Ok((proven, tied))
}

/// What stands in the receipt and nobody may take for proven.
fn not_covered(proven: &Proven, kept: &[Checkpoint]) -> Vec<String> {
    let mut all: Vec<String> = NOT_COVERED.map(str::to_owned).to_vec();
    let since = proven.since.size();
    if since > 0 && kept.iter().all(|kept| kept.size != since) {
        all.push(format!(
            "consistency: that the checkpoint continues one of {since} entries; give that one with --checkpoint"
        ));
    }
    all
}

fn for_people(
    answer: &pb::GetErasureReceiptResponse,
    proven: &Proven,
    kept: &[Checkpoint],
    key: &VerifierKey,
) -> String {
    let request = &proven.request;
    let id = request.new.request_id.unwrap_or_default();
    let at = time(Some(&recorded_at(request)));
    let ground = answer
        .receipt
        .as_ref()
        .map(|receipt| receipt.ground().as_str_name());
    let ground = word(ground.unwrap_or_default(), "ERASURE_GROUND");
    let count = |wanted| {
        let leads = proven.leads.iter();
        leads.filter(|(_, outcome)| *outcome == wanted).count()
    };
    let erased = count(ErasureOutcome::Erased);
    let kept_back = proven.leads.len() - erased;
    let mut lines = vec![format!(
        "PROVEN: request {id} of {at}, ground {ground}, by client {}: {erased} lead(s) erased, {kept_back} not",
        request.new.client_id
    )];
    if !proven.leads.is_empty() {
        let mut rows = table(["entry", "lead", "outcome", "submitted as entry"]);
        for (entry, outcome) in &proven.leads {
            rows.add_row([
                entry.sequence.to_string(),
                entry
                    .new
                    .lead_id
                    .map_or_else(String::new, |id| id.to_string()),
                word(outcome.as_str_name(), "ERASURE_OUTCOME"),
                entry.new.submission.to_string(),
            ]);
        }
        lines.push(rows.to_string());
    }
    let Checkpoint { size, root, .. } = &proven.checkpoint;
    let last = proven
        .leads
        .last()
        .map_or(request, |(entry, _)| entry)
        .sequence;
    lines.push(format!(
        "entries {} to {last} are in the ledger of {size} entries with root {}",
        request.sequence,
        BASE64.encode(root)
    ));
    lines.push(format!("signed by {key}"));
    for kept in kept {
        lines.push(format!(
            "and it is the ledger whose checkpoint of {} entries was kept: one is the beginning of the other",
            kept.size
        ));
    }
    let open = not_covered(proven, kept).into_iter();
    lines.extend(open.map(|what| format!("not covered: {what}")));
    lines.join("\n")
}

fn for_programs(proven: &Proven, kept: &[Checkpoint], key: &VerifierKey) -> serde_json::Value {
    let request = &proven.request;
    let leads = proven.leads.iter().map(|(entry, outcome)| {
        json!({
            "sequence": entry.sequence,
            "leadId": entry.new.lead_id.map(|id| id.to_string()),
            "outcome": outcome.as_str_name(),
            "submissionSequence": entry.new.submission,
        })
    });
    json!({
        "proven": true,
        "requestId": request.new.request_id.map(|id| id.to_string()),
        "erasedAt": time(Some(&recorded_at(request))),
        "ground": request.new.detail,
        "clientNumber": request.new.client_id,
        "sequence": request.sequence,
        "leads": leads.collect::<Vec<_>>(),
        "size": proven.checkpoint.size,
        "root": BASE64.encode(&proven.checkpoint.root),
        "verifierKey": key.to_string(),
        "keptSizes": kept.iter().map(|kept| kept.size).collect::<Vec<_>>(),
        "notCovered": not_covered(proven, kept),
    })
}
