//! `withdraw`: the consent to one lead. No reason is asked, and nobody is asked to be sure: withdrawing must be as easy
//! as giving (Art. 7(3)).

use uuid::Uuid;

use super::{
    Verdict,
    answer::AnswerArgs,
    file::OutputArgs,
    given, say,
    show::{clean, clean_text},
};
use crate::{pb, token::Role};

/// Arguments of `withdraw`.
#[derive(Debug, clap::Args)]
pub(super) struct WithdrawArgs {
    /// Identifier of the lead
    #[arg(value_parser = given::uuid)]
    lead_id: Uuid,
    #[command(flatten)]
    receipt: OutputArgs,
    #[command(flatten)]
    answer: AnswerArgs,
}

/// Calls as the privacy tooling, unless a token is named: a website may withdraw too.
pub(super) async fn run(args: &WithdrawArgs) -> anyhow::Result<Verdict> {
    args.receipt.check()?;
    let session = args.answer.connect(Role::Privacy).await?;
    let request = pb::WithdrawConsentRequest {
        lead_id: args.lead_id.to_string(),
    };
    let answer = session.answer(session.intake().withdraw_consent(request).await)?;
    let has_receipt = !answer.receipt.is_empty();
    let is_filed = has_receipt && args.receipt.write(answer.receipt.as_bytes())?;
    if !has_receipt && args.receipt.is_asked() {
        say("the answer has no receipt: no file was written");
    }
    args.answer
        .print(&answer, |answer| words(answer, is_filed))?;
    Ok(Verdict::Yes)
}

fn words(answer: &pb::WithdrawConsentResponse, is_filed: bool) -> String {
    let outcome = match answer.outcome() {
        pb::WithdrawalOutcome::Erased => "consent is withdrawn, and the lead is erased",
        pb::WithdrawalOutcome::FlagWithdrawn => {
            "consent is withdrawn; the lead rests on Art. 6(1)(b) and stays"
        }
        pb::WithdrawalOutcome::ErasedWhenLifted => {
            "consent is withdrawn; the lead is restricted: hidden for good, and erased when the \
             restriction is lifted"
        }
        pb::WithdrawalOutcome::NothingHeld => "nothing is held under this identifier",
        pb::WithdrawalOutcome::Unspecified => "the outcome is one that this client does not know",
    };
    let mut lines = vec![outcome.to_owned()];
    if !answer.applicable_rights.is_empty() {
        lines.push("the person still has the right".to_owned());
        let rights = answer.applicable_rights.iter();
        lines.extend(rights.map(|iri| format!("  {}", right(iri))));
    }
    if !is_filed && !answer.receipt.is_empty() {
        lines.push(format!("receipt:\n{}", clean_text(&answer.receipt)));
    }
    lines.join("\n")
}

/// A right in words; one that is not known here as its IRI.
fn right(iri: &str) -> String {
    let text = match iri {
        "eu-gdpr:A7-3" => "to withdraw consent (Art. 7(3))",
        "eu-gdpr:A13" => "to be informed (Art. 13)",
        "eu-gdpr:A15" => "of access (Art. 15)",
        "eu-gdpr:A16" => "to rectification (Art. 16)",
        "eu-gdpr:A17" => "to erasure (Art. 17)",
        "eu-gdpr:A18" => "to restriction (Art. 18)",
        "eu-gdpr:A19" => "to be told who was notified (Art. 19)",
        "eu-gdpr:A20" => "to data portability (Art. 20)",
        "eu-gdpr:A21" => "to object (Art. 21)",
        "eu-gdpr:A77" => "to complain to the supervisory authority (Art. 77)",
        other => return clean(other),
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A receipt stands in the file or in the answer, and what the person may still ask for in words.
    #[test]
    fn art_7_3_what_a_withdrawal_did() {
        let answer = pb::WithdrawConsentResponse {
            outcome: pb::WithdrawalOutcome::FlagWithdrawn.into(),
            applicable_rights: vec!["eu-gdpr:A17".to_owned(), "eu-gdpr:A99\u{7}".to_owned()],
            receipt: "{}".to_owned(),
        };
        let text = words(&answer, false);
        assert!(
            text.contains("to erasure (Art. 17)\n  eu-gdpr:A99\nreceipt:\n{}"),
            "{text}"
        );
        assert!(!words(&answer, true).contains("receipt"));
    }
}
