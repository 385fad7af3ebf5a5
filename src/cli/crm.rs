//! `ack`, `get` and `close`: what a CRM calls beside the feed, which is [`pull`](super::pull).

use uuid::Uuid;

use super::{
    Verdict,
    answer::AnswerArgs,
    given,
    show::{clean, table, time, word},
};
use crate::{pb, token::Role};

/// Arguments of `ack`.
#[derive(Debug, clap::Args)]
pub(super) struct AckArgs {
    /// The last position dealt with, tombstones included
    cursor: String,
    #[command(flatten)]
    answer: AnswerArgs,
}

pub(super) async fn ack(args: &AckArgs) -> anyhow::Result<Verdict> {
    let session = args.answer.connect(Role::Crm).await?;
    let request = pb::AcknowledgeLeadsRequest {
        cursor: args.cursor.clone(),
    };
    let answer = session.answer(session.crm().acknowledge_leads(request).await)?;
    args.answer.print(&answer, |answer| {
        format!(
            "acknowledged up to {}; at most {} change(s) to come",
            clean(&answer.acknowledged_cursor),
            answer.changes_behind
        )
    })?;
    Ok(Verdict::Yes)
}

/// Arguments of `get`.
#[derive(Debug, clap::Args)]
pub(super) struct GetArgs {
    /// Identifier of the lead
    lead_id: String,
    #[command(flatten)]
    answer: AnswerArgs,
}

pub(super) async fn get(args: &GetArgs) -> anyhow::Result<Verdict> {
    let session = args.answer.connect(Role::Crm).await?;
    let request = pb::GetLeadRequest {
        lead_id: args.lead_id.clone(),
    };
    let answer = session.answer(session.crm().get_lead(request).await)?;
    args.answer.print(&answer, fields)?;
    Ok(Verdict::Yes)
}

fn fields(answer: &pb::GetLeadResponse) -> String {
    let lead = answer.lead.clone().unwrap_or_default();
    let basis = word(lead.lawful_basis().as_str_name(), "LAWFUL_BASIS");
    let mut rows = table(["field", "value"]);
    for (field, value) in [
        ("lead", &*lead.lead_id),
        ("name", &lead.name),
        ("company", &lead.company),
        ("phone", &lead.phone),
        ("e-mail", &lead.email),
        ("lawful basis", &basis),
        ("consent", if lead.consent { "yes" } else { "no" }),
        ("notice", &lead.notice_version),
        ("submitted at", &time(lead.submitted_at.as_ref())),
        ("erased by", &time(lead.erase_by.as_ref())),
        ("revision", &lead.revision.to_string()),
    ] {
        rows.add_row([field, &clean(value)]);
    }
    rows.to_string()
}

/// Arguments of `close`.
#[derive(Debug, clap::Args)]
pub(super) struct CloseArgs {
    /// Identifier of the lead
    #[arg(value_parser = given::uuid)]
    lead_id: Uuid,
    /// How the enquiry ended
    #[arg(long, value_enum)]
    outcome: Outcome,
    #[command(flatten)]
    answer: AnswerArgs,
}

/// How an enquiry ends.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Outcome {
    /// The enquiry was answered
    Answered = pb::CloseOutcome::Answered as isize,
    /// There was nothing to answer
    NotRelevant = pb::CloseOutcome::NotRelevant as isize,
    /// The person became a customer, whom the CRM keeps itself
    Converted = pb::CloseOutcome::Converted as isize,
}

pub(super) async fn close(args: &CloseArgs) -> anyhow::Result<Verdict> {
    let session = args.answer.connect(Role::Crm).await?;
    let request = pb::CloseLeadRequest {
        lead_id: args.lead_id.to_string(),
        outcome: args.outcome as i32,
    };
    let answer = session.answer(session.crm().close_lead(request).await)?;
    args.answer.print(&answer, |answer| {
        format!(
            "closed as {}; erased by {}",
            word(answer.outcome().as_str_name(), "CLOSE_OUTCOME"),
            time(answer.erase_by.as_ref())
        )
    })?;
    Ok(Verdict::Yes)
}
