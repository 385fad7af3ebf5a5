//! `restrict`, `lift` and `object`: what limits the processing of a lead, and what ends the limit.

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    Verdict,
    answer::{AnswerArgs, LanguageArgs},
    asked::{AskedArgs, RequestIdArgs},
    given,
    privacy::due,
    show::{clean, clean_text, table, word},
    subject::{SubjectArgs, candidates, nothing},
};
use crate::{pb, rpc::convert::timestamp, token::Role};

/// Why a lead is restricted.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Reason {
    /// 18(1)(a): the person contests the accuracy of the data
    AccuracyContested = pb::RestrictionReason::AccuracyContested as isize,
    /// 18(1)(b): the processing was unlawful, and the person opposes erasure
    UnlawfulErasureOpposed = pb::RestrictionReason::UnlawfulErasureOpposed as isize,
    /// 18(1)(c): the person needs the data for a legal claim
    SubjectLegalClaim = pb::RestrictionReason::SubjectLegalClaim as isize,
    /// 18(1)(d): an objection is being considered
    ObjectionPending = pb::RestrictionReason::ObjectionPending as isize,
    /// 17(3)(e): the controller needs the data for a legal claim
    ControllerLegalClaim = pb::RestrictionReason::ControllerLegalClaim as isize,
}

/// Arguments of `restrict`.
#[derive(Debug, clap::Args)]
pub(super) struct RestrictArgs {
    /// Identifier of the lead
    #[arg(value_parser = given::uuid)]
    lead_id: Uuid,
    /// Why
    #[arg(long, value_enum)]
    reason: Reason,
    #[command(flatten)]
    asked: AskedArgs,
    #[command(flatten)]
    answer: AnswerArgs,
}

pub(super) async fn restrict(args: &RestrictArgs) -> anyhow::Result<Verdict> {
    let session = args.answer.connect(Role::Privacy).await?;
    let request = pb::RestrictLeadRequest {
        request_id: args.asked.id()?,
        lead_id: args.lead_id.to_string(),
        reason: args.reason as i32,
        received_at: args.asked.received_at(),
        verification: args.asked.verification(),
    };
    let answer = session.answer(session.privacy().restrict_lead(request).await)?;
    args.answer.print(&answer, |answer| {
        let reasons = words(answer.reasons());
        format!("restricted: {reasons}\n{}", due(answer.due_at.as_ref()))
    })?;
    Ok(Verdict::Yes)
}

/// Arguments of `lift`.
#[derive(Debug, clap::Args)]
pub(super) struct LiftArgs {
    /// Identifier of the lead
    #[arg(value_parser = given::uuid)]
    lead_id: Uuid,
    /// The reason that no longer holds
    #[arg(long, value_enum)]
    reason: Reason,
    /// When the person was told that it will be lifted, as RFC 3339
    #[arg(long, value_name = "TIME", value_parser = given::time)]
    informed_at: Timestamp,
    #[command(flatten)]
    id: RequestIdArgs,
    #[command(flatten)]
    answer: AnswerArgs,
}

pub(super) async fn lift(args: &LiftArgs) -> anyhow::Result<Verdict> {
    let session = args.answer.connect(Role::Privacy).await?;
    let request = pb::LiftRestrictionRequest {
        request_id: args.id.id()?,
        lead_id: args.lead_id.to_string(),
        reason: args.reason as i32,
        subject_informed_at: Some(timestamp(args.informed_at)),
    };
    let answer = session.answer(session.privacy().lift_restriction(request).await)?;
    args.answer.print(&answer, lifted)?;
    Ok(Verdict::Yes)
}

fn lifted(answer: &pb::LiftRestrictionResponse) -> String {
    if answer.erased {
        "lifted, and the lead is erased: its time had ended, or its consent was withdrawn"
            .to_owned()
    } else if answer.reasons.is_empty() {
        "lifted: the lead is no longer restricted".to_owned()
    } else {
        format!("lifted; still restricted: {}", words(answer.reasons()))
    }
}

fn words(reasons: impl Iterator<Item = pb::RestrictionReason>) -> String {
    let words: Vec<_> = reasons
        .map(|reason| word(reason.as_str_name(), "RESTRICTION_REASON"))
        .collect();
    words.join(", ")
}

/// Arguments of `object`.
#[derive(Debug, clap::Args)]
pub(super) struct ObjectArgs {
    /// What the person objects to
    #[arg(long, value_enum)]
    kind: Kind,
    #[command(flatten)]
    language: LanguageArgs,
    #[command(flatten)]
    subject: SubjectArgs,
    #[command(flatten)]
    answer: AnswerArgs,
}

/// What the person objects to.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    /// 21(1): the processing as such; restricts the leads first
    General = pb::ObjectionKind::General as isize,
    /// 21(2): direct marketing; always accepted, and told to every CRM
    DirectMarketing = pb::ObjectionKind::DirectMarketing as isize,
}

pub(super) async fn object(args: &ObjectArgs) -> anyhow::Result<Verdict> {
    let request = pb::ObjectToProcessingRequest {
        request: Some(args.subject.request()?),
        kind: args.kind as i32,
        language: args.language.language.clone(),
    };
    let session = args.answer.connect(Role::Privacy).await?;
    let answer = session.answer(session.privacy().object_to_processing(request).await)?;
    args.answer.print(&answer, objected)?;
    Ok(Verdict::Yes)
}

fn objected(answer: &pb::ObjectToProcessingResponse) -> String {
    let mut parts = Vec::new();
    if answer.lead_ids.is_empty() {
        parts.push(nothing(&answer.unconfirmed).to_owned());
    } else {
        let mut rows = table(["lead"]);
        for id in &answer.lead_ids {
            rows.add_row([clean(id)]);
        }
        parts.push(rows.to_string());
    }
    let rows = candidates(&answer.unconfirmed);
    parts.extend(rows.map(|rows| format!("not touched:\n{rows}")));
    let told = clean_text(&answer.explanation);
    parts.push(format!("to be told to the person:\n  {told}"));
    parts.push(due(answer.due_at.as_ref()));
    parts.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three ends of a lifting, told apart: free, still held for another reason, erased.
    #[test]
    fn art_18_3_what_lifting_did() {
        let answer = |reasons: &[pb::RestrictionReason], erased| pb::LiftRestrictionResponse {
            reasons: reasons.iter().map(|reason| *reason as i32).collect(),
            erased,
        };
        assert!(lifted(&answer(&[], false)).contains("no longer restricted"));
        assert!(lifted(&answer(&[], true)).contains("erased"));
        let held = answer(&[pb::RestrictionReason::SubjectLegalClaim], false);
        assert!(lifted(&held).ends_with("still restricted: subject-legal-claim"));
    }
}
