//! `ledger verify|list|checkpoint`: what an auditor calls.

mod asked;
mod offline;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;

use super::{
    Verdict,
    answer::AnswerArgs,
    kept::{Kept, Since, verifier_key},
    say,
    show::{clean, table, time, word},
};
use crate::{
    ledger::notary::{Checkpoint, VerifierKey},
    pb,
    token::Role,
};

/// Arguments of `ledger`.
#[derive(Debug, clap::Args)]
pub(super) struct LedgerArgs {
    #[command(subcommand)]
    command: LedgerCommand,
}

#[derive(Debug, Subcommand)]
enum LedgerCommand {
    /// Recompute the chain from the first entry to the head; exit code 3 if it does not hold
    ///
    /// The server compares its database with its mirror and its last checkpoint. With --mirror a mirror, or a copy of
    /// one, is verified here, without a server.
    Verify(VerifyArgs),
    /// List entries in order
    List(ListArgs),
    /// Print a signed checkpoint to keep; exit code 3 if it does not continue an earlier one
    Checkpoint(CheckpointArgs),
}

#[derive(Debug, clap::Args)]
struct VerifyArgs {
    /// Verify the mirror in this directory, without a server
    #[arg(long, value_name = "DIR")]
    mirror: Option<PathBuf>,
    /// The public key of the ledger, or the file with it, as its operator published it: without it no checkpoint is
    /// believed
    #[arg(long, value_name = "KEY|FILE", requires = "mirror")]
    public_key: Option<String>,
    /// A checkpoint that was kept, beside the mirror's own; may be given several times
    #[arg(long, value_name = "FILE", requires = "public_key")]
    checkpoint: Vec<PathBuf>,
    #[command(flatten)]
    answer: AnswerArgs,
}

#[derive(Debug, clap::Args)]
struct CheckpointArgs {
    /// A checkpoint that was kept earlier, or a receipt with one: check that the new one continues it
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
    /// The public key of the ledger, or the file with it, as its operator published it
    #[arg(long, value_name = "KEY|FILE")]
    public_key: Option<String>,
    #[command(flatten)]
    answer: AnswerArgs,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Entries after this sequence number
    #[arg(long, default_value_t = 0, value_name = "SEQUENCE")]
    after: i64,
    /// Most entries to list: 1 to 1000 [default: 100]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    page_size: i32,
    /// Only entries of this lead
    #[arg(long, default_value = "", hide_default_value = true)]
    lead_id: String,
    #[command(flatten)]
    answer: AnswerArgs,
}

pub(super) async fn run(args: &LedgerArgs) -> anyhow::Result<Verdict> {
    match &args.command {
        LedgerCommand::Verify(args) => match &args.mirror {
            Some(dir) => {
                let key = args.public_key.as_deref();
                offline::verify(dir, key, &args.checkpoint, args.answer.is_json())
            }
            None => verify(&args.answer).await,
        },
        LedgerCommand::List(args) => list(args).await,
        LedgerCommand::Checkpoint(args) => checkpoint(args).await,
    }
}

async fn checkpoint(args: &CheckpointArgs) -> anyhow::Result<Verdict> {
    let key = args.public_key.as_deref().map(verifier_key).transpose()?;
    let kept = args.since.as_deref().map(Kept::read).transpose()?;
    let since_size = kept.as_ref().map(Kept::claimed_size).transpose()?;
    let session = args.answer.connect(Role::Auditor).await?;
    let request = pb::GetCheckpointRequest {
        since_size: since_size.unwrap_or(0),
    };
    let answer = session.answer(session.ledger().get_checkpoint(request).await)?;
    // Without a key of the auditor's own it is the server's word, or that of the earlier checkpoint.
    let named = answer.verifier_key.parse::<VerifierKey>();
    let named = named.context("the server names no public key")?;
    match continues(&answer, key.as_ref().unwrap_or(&named), kept.as_ref()) {
        Ok(words) => {
            args.answer
                .print(&answer, |answer| answer.note.trim_end().to_owned())?;
            say(&words);
            Ok(Verdict::Yes)
        }
        Err(what) => {
            say(&format!("NOT PROVEN: {what}"));
            Ok(Verdict::No)
        }
    }
}

/// Checks a new checkpoint by itself and against the one that was kept.
fn continues(
    answer: &pb::GetCheckpointResponse,
    key: &VerifierKey,
    kept: Option<&Kept>,
) -> Result<String, String> {
    let new = Checkpoint::open(&answer.note, key)
        .map_err(|error| format!("the checkpoint: {error} ({key})"))?;
    let size = new.size;
    let Some(kept) = kept else {
        return Ok(format!("{size} entries, signed by {key}"));
    };
    let since = Since::new(answer.since_size, &answer.consistency);
    let old = kept.ties(key, &new, &since)?;
    Ok(format!(
        "{size} entries, signed by {key}; the {} of the earlier checkpoint are their beginning",
        old.size
    ))
}

async fn verify(args: &AnswerArgs) -> anyhow::Result<Verdict> {
    let session = args.connect(Role::Auditor).await?;
    let answer = asked::verify(&session).await;
    let answer = answer.map_err(|status| session.refused(&status))?;
    args.print(&answer, findings)?;
    Ok(if answer.intact {
        Verdict::Yes
    } else {
        Verdict::No
    })
}

fn findings(answer: &pb::VerifyLedgerResponse) -> String {
    let mut lines = vec![if answer.intact {
        format!("intact: {} entries", answer.entries_checked)
    } else {
        let fault = word(answer.fault().as_str_name(), "LEDGER_FAULT");
        let place = answer.faulty_sequence;
        format!("NOT INTACT: {fault} at entry {place}")
    }];
    let hash = clean(&answer.head_hash);
    lines.push(format!("head: {} {hash}", answer.head_sequence));
    if answer.entries_mirrored > 0 {
        lines.push(format!(
            "the mirror has {} of them, the same",
            answer.entries_mirrored
        ));
    }
    if answer.entries_signed > 0 {
        lines.push(format!(
            "a checkpoint signed the first {}",
            answer.entries_signed
        ));
    }
    let unseen = answer.blind_to.iter();
    lines.extend(unseen.map(|class| format!("cannot see: {}", clean(class))));
    lines.join("\n")
}

async fn list(args: &ListArgs) -> anyhow::Result<Verdict> {
    let session = args.answer.connect(Role::Auditor).await?;
    let request = pb::ListEntriesRequest {
        after_sequence: args.after,
        page_size: args.page_size,
        lead_id: args.lead_id.clone(),
    };
    let answer = session.answer(session.ledger().list_entries(request).await)?;
    args.answer.print(&answer, entries)?;
    if let Some(last) = answer.entries.last().filter(|_| answer.has_more) {
        let last = last.sequence;
        say(&format!("there is more: ledger list --after {last}"));
    }
    Ok(Verdict::Yes)
}

fn entries(answer: &pb::ListEntriesResponse) -> String {
    let mut rows = table([
        "entry", "time", "what", "lead", "client", "request", "detail",
    ]);
    for entry in &answer.entries {
        rows.add_row([
            entry.sequence.to_string(),
            time(entry.recorded_at.as_ref()),
            word(entry.kind().as_str_name(), "ENTRY_KIND"),
            clean(&entry.lead_id),
            clean(&entry.client),
            clean(&entry.request_id),
            entry.detail.to_string(),
        ]);
    }
    rows.to_string()
}
