//! `receipt`: an erasure as it stands now. Its entries, the CRM clients that had the leads, and whether each has said
//! that it erased its copies (Art. 19); and what is left of the leads on the database's disk. `--output` keeps it with
//! its proof; `receipt verify` checks that without a server ([`verify`]).

mod check;
mod verify;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use uuid::Uuid;

use super::{
    Verdict,
    answer::AnswerArgs,
    file::OutputArgs,
    given, json,
    kept::Kept,
    say,
    show::{clean, elapsed, table, time, word},
};
#[cfg(any(test, feature = "fuzzing"))]
use crate::ledger::notary::{Checkpoint, VerifierKey};
use crate::{pb, token::Role};

/// Arguments of `receipt`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct ReceiptArgs {
    #[command(subcommand)]
    command: Option<ReceiptCommand>,
    /// The request id of the erasure
    #[arg(required = true, value_parser = given::uuid)]
    request_id: Option<Uuid>,
    /// Have the proof continue this checkpoint, which was kept earlier
    #[arg(long, value_name = "FILE", requires = "output")]
    since: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    answer: AnswerArgs,
}

#[derive(Debug, clap::Subcommand)]
enum ReceiptCommand {
    /// Check a receipt that was kept, without a server; exit code 3 if it is not proven
    Verify(verify::VerifyArgs),
}

/// Exit code 3 while a client that had the leads has not acknowledged their tombstones, or the database's files are
/// not clean of them.
pub(super) async fn run(args: &ReceiptArgs) -> anyhow::Result<Verdict> {
    if let Some(ReceiptCommand::Verify(args)) = &args.command {
        return verify::run(args);
    }
    args.output.check()?;
    let since = args.since.as_deref().map(Kept::read).transpose()?;
    let since = since.map(|kept| kept.claimed_size()).transpose()?;
    let id = args.request_id.context("which request?")?;
    let session = args.answer.connect(Role::Privacy).await?;
    let request = pb::GetErasureReceiptRequest {
        request_id: id.to_string(),
        since_size: since.unwrap_or(0),
    };
    let answer = session.answer(session.privacy().get_erasure_receipt(request).await)?;
    if args.output.is_asked() {
        if answer.proof.is_none() {
            bail!("nothing written: {}", absence(&answer));
        }
        args.output.write(json::pretty(&answer)?.as_bytes())?;
    }
    args.answer.print(&answer, standing)?;
    if answer.proof.is_some() && !args.output.is_asked() {
        say("its proof can be kept: --output FILE");
    }
    let is_pending = answer.clean_up() == pb::CleanUp::Pending;
    let is_open = is_pending || answer.recipients.iter().any(is_open);
    Ok(if is_open { Verdict::No } else { Verdict::Yes })
}

/// The checkpoint of the receipt in this text, if it is proven.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn proven(text: &str, key: &VerifierKey) -> Option<Checkpoint> {
    let answer = json::read(text).ok()?;
    check::check(&answer, key)
        .ok()
        .map(|proven| proven.checkpoint)
}

/// A receipt as `--output` writes it.
#[cfg(test)]
pub(crate) fn written(answer: &pb::GetErasureReceiptResponse) -> String {
    json::pretty(answer).unwrap_or_default()
}

/// What is left on the database's disk, in words.
fn left(clean_up: pb::CleanUp) -> &'static str {
    match clean_up {
        pb::CleanUp::Unspecified => "what is left on disk: not said by this server",
        pb::CleanUp::Done => "on disk: nothing is left in the database's files",
        pb::CleanUp::Pending => {
            "on disk: PENDING, sealed bytes are still in the database's log; ask again in a second"
        }
        pb::CleanUp::ByVacuum => {
            "on disk: sealed bytes stay in PostgreSQL's files until vacuum and the log's recycling"
        }
    }
}

fn is_open(recipient: &pb::ErasureRecipient) -> bool {
    recipient.overdue || recipient.acknowledged < recipient.leads
}

fn standing(answer: &pb::GetErasureReceiptResponse) -> String {
    let mut parts: Vec<_> = answer.receipt.as_ref().map(entries).into_iter().collect();
    if answer.proof.is_none() {
        parts.push(absence(answer).to_owned());
    }
    parts.push(left(answer.clean_up()).to_owned());
    if answer.recipients.is_empty() {
        parts.push("no CRM client had been given the leads".to_owned());
        return parts.join("\n");
    }
    let mut rows = table(["client", "was given", "acknowledged", "state"]);
    for recipient in &answer.recipients {
        let state = if recipient.overdue {
            format!(
                "OVERDUE, open for {}",
                elapsed(recipient.oldest_open_seconds)
            )
        } else if is_open(recipient) {
            format!("open for {}", elapsed(recipient.oldest_open_seconds))
        } else {
            format!("done {}", time(recipient.acknowledged_at.as_ref()))
                .trim_end()
                .to_owned()
        };
        rows.add_row([
            clean(&recipient.client),
            recipient.leads.to_string(),
            recipient.acknowledged.to_string(),
            state,
        ]);
    }
    parts.push(rows.to_string());
    let open = answer.recipients.iter().filter(|at| is_open(at)).count();
    parts.push(if open == 0 {
        "every client that had the leads has acknowledged".to_owned()
    } else {
        format!("{open} client(s) have still to erase their copies and acknowledge the feed")
    });
    parts.join("\n")
}

/// Why a receipt has no proof.
fn absence(answer: &pb::GetErasureReceiptResponse) -> &'static str {
    match answer.proof_absence() {
        pb::ProofAbsence::NotSignedYet => {
            "no proof yet: its entries are not signed, ask again in a moment"
        }
        pb::ProofAbsence::Contradicted => {
            "NO PROOF: the ledger's entries are not those that were signed"
        }
        pb::ProofAbsence::Unavailable | pb::ProofAbsence::Unspecified => {
            "no proof: the service has no checkpoints now"
        }
    }
}

/// An erasure's ledger entries.
pub(super) fn entries(receipt: &pb::ErasureReceipt) -> String {
    let mut rows = table(["entry", "lead", "hash"]);
    for entry in &receipt.entries {
        let sequence = entry.sequence.to_string();
        rows.add_row([sequence, clean(&entry.lead_id), clean(&entry.hash)]);
    }
    format!(
        "receipt {} of {}, ground {}:\n{rows}",
        clean(&receipt.request_id),
        time(receipt.erased_at.as_ref()),
        word(receipt.ground().as_str_name(), "ERASURE_GROUND")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipient(client: &str, acknowledged: i32, overdue: bool) -> pb::ErasureRecipient {
        pb::ErasureRecipient {
            client: client.to_owned(),
            leads: 2,
            acknowledged,
            overdue,
            oldest_open_seconds: 3 * 86_400,
            ..Default::default()
        }
    }

    /// Art. 19: who is done, who is not, and who is late is told apart; nobody is done before every tombstone is.
    #[test]
    fn art_19_who_has_still_to_erase() {
        let recipients = vec![
            recipient("done", 2, false),
            recipient("half", 1, false),
            recipient("late", 0, true),
        ];
        let open: Vec<_> = recipients.iter().map(is_open).collect();
        assert_eq!(open, [false, true, true]);
        let text = standing(&pb::GetErasureReceiptResponse {
            recipients,
            ..Default::default()
        });
        for (client, state) in [
            ("done", "done"),
            ("half", "open for 3 days"),
            ("late", "OVERDUE, open for 3 days"),
        ] {
            let row = text
                .lines()
                .find(|line| line.trim_start().starts_with(client));
            assert!(
                row.is_some_and(|row| row.trim_end().ends_with(state)),
                "{text}"
            );
        }
        assert!(
            text.ends_with("2 client(s) have still to erase their copies and acknowledge the feed")
        );
    }
}
