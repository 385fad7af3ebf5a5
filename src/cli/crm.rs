//! `ack` and `get`: what a CRM calls beside the feed, which is [`pull`](super::pull).

use super::{
    Verdict,
    connect::ConnectArgs,
    json, print,
    show::{clean, table, time, word},
};
use crate::{pb, token::Role};

/// Arguments of `ack`.
#[derive(Debug, clap::Args)]
pub(super) struct AckArgs {
    /// The last position dealt with, tombstones included
    cursor: String,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(super) async fn ack(args: &AckArgs) -> anyhow::Result<Verdict> {
    let session = args.connect.connect(Role::Crm).await?;
    let request = pb::AcknowledgeLeadsRequest {
        cursor: args.cursor.clone(),
    };
    let answer = session.crm().acknowledge_leads(request).await;
    let answer = answer
        .map_err(|status| session.refused(&status))?
        .into_inner();
    if args.json {
        json::show(&answer)?;
        return Ok(Verdict::Yes);
    }
    print(&format!(
        "acknowledged up to {}; at most {} change(s) to come",
        clean(&answer.acknowledged_cursor),
        answer.changes_behind
    ))?;
    Ok(Verdict::Yes)
}

/// Arguments of `get`.
#[derive(Debug, clap::Args)]
pub(super) struct GetArgs {
    /// Identifier of the lead
    lead_id: String,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(super) async fn get(args: &GetArgs) -> anyhow::Result<Verdict> {
    let session = args.connect.connect(Role::Crm).await?;
    let request = pb::GetLeadRequest {
        lead_id: args.lead_id.clone(),
    };
    let answer = session.crm().get_lead(request).await;
    let answer = answer
        .map_err(|status| session.refused(&status))?
        .into_inner();
    if args.json {
        json::show(&answer)?;
        return Ok(Verdict::Yes);
    }
    let lead = answer.lead.unwrap_or_default();
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
    print(&rows.to_string())?;
    Ok(Verdict::Yes)
}
