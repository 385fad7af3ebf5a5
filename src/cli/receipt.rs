//! `receipt`: an erasure as it stands now. Its proof, the CRM clients that had the leads, and whether each has said
//! that it erased its copies (Art. 19); and what is left of the leads on the database's disk.

use uuid::Uuid;

use super::{
    Verdict,
    answer::AnswerArgs,
    show::{clean, elapsed, table, time, word},
};
use crate::{pb, token::Role};

/// Arguments of `receipt`.
#[derive(Debug, clap::Args)]
pub(super) struct ReceiptArgs {
    /// The request id of the erasure
    request_id: Uuid,
    #[command(flatten)]
    answer: AnswerArgs,
}

/// Exit code 3 while a client that had the leads has not acknowledged their tombstones, or the database's files are
/// not clean of them.
pub(super) async fn run(args: &ReceiptArgs) -> anyhow::Result<Verdict> {
    let session = args.answer.connect(Role::Privacy).await?;
    let request = pb::GetErasureReceiptRequest {
        request_id: args.request_id.to_string(),
    };
    let answer = session.answer(session.privacy().get_erasure_receipt(request).await)?;
    args.answer.print(&answer, standing)?;
    let is_pending = answer.clean_up() == pb::CleanUp::Pending;
    let is_open = is_pending || answer.recipients.iter().any(is_open);
    Ok(if is_open { Verdict::No } else { Verdict::Yes })
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
    let mut parts: Vec<_> = answer.receipt.as_ref().map(proof).into_iter().collect();
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

/// The proof of an erasure: its ledger entries.
pub(super) fn proof(receipt: &pb::ErasureReceipt) -> String {
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
