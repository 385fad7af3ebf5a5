//! `erase`: a person's leads, for good.
//!
//! On a terminal it shows first what would happen and asks; a program says `--yes`. The question uses the
//! dry run of the same request, which does not use up its idempotency key.

use std::io::{self, BufRead as _, IsTerminal as _};

use anyhow::ensure;

use super::{
    Verdict,
    answer::{AnswerArgs, LanguageArgs},
    privacy::due,
    receipt::entries,
    say,
    show::{clean, clean_text, table, word},
    subject::{SubjectArgs, candidates, nothing},
};
use crate::{pb, token::Role};

/// Arguments of `erase`.
#[derive(Debug, clap::Args)]
pub(super) struct EraseArgs {
    /// Why
    #[arg(long, value_enum)]
    ground: Ground,
    /// Say what would happen and change nothing
    #[arg(long)]
    dry_run: bool,
    /// The person knows that erasing ends the restriction they asked for
    #[arg(long)]
    confirm_supersedes_restriction: bool,
    /// Erase without asking
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    #[command(flatten)]
    language: LanguageArgs,
    #[command(flatten)]
    subject: SubjectArgs,
    #[command(flatten)]
    answer: AnswerArgs,
}

/// The grounds of Art. 17(1).
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Ground {
    /// 17(1)(a): no longer necessary for the purpose
    NoLongerNecessary = pb::ErasureGround::NoLongerNecessary as isize,
    /// 17(1)(b): consent withdrawn and no other basis
    ConsentWithdrawn = pb::ErasureGround::ConsentWithdrawn as isize,
    /// 17(1)(c): the person objected
    Objection = pb::ErasureGround::Objection as isize,
    /// 17(1)(d): processed unlawfully
    UnlawfulProcessing = pb::ErasureGround::UnlawfulProcessing as isize,
    /// 17(1)(e): the law demands it
    LegalObligation = pb::ErasureGround::LegalObligation as isize,
    /// 17(1)(f): data of a child
    ChildData = pb::ErasureGround::ChildData as isize,
}

/// Exit code 3 if a lead of the person was not erased, or the question was answered with no.
pub(super) async fn run(args: &EraseArgs) -> anyhow::Result<Verdict> {
    let asks = !args.yes && !args.dry_run;
    ensure!(
        !asks || io::stdin().is_terminal() && !args.subject.takes_stdin(),
        "an erasure cannot be undone and nobody is here to be asked: say --yes, or --dry-run to \
         see what it would do"
    );
    let request = pb::EraseSubjectRequest {
        request: Some(args.subject.request()?),
        ground: args.ground as i32,
        dry_run: args.dry_run,
        confirm_supersedes_restriction: args.confirm_supersedes_restriction,
        language: args.language.language.clone(),
    };
    let session = args.answer.connect(Role::Privacy).await?;
    let mut privacy = session.privacy();
    if asks {
        let mut preview = request.clone();
        preview.dry_run = true;
        let answer = session.answer(privacy.erase_subject(preview).await)?;
        say(&outcomes(&answer, true));
        if !confirmed()? {
            say("nothing was erased");
            return Ok(Verdict::No);
        }
    }
    let answer = session.answer(privacy.erase_subject(request).await)?;
    let words = |answer: &_| outcomes(answer, args.dry_run);
    args.answer.print(&answer, words)?;
    let erased = pb::ErasureOutcome::Erased;
    let all = answer.leads.iter().all(|lead| lead.outcome() == erased);
    Ok(if all { Verdict::Yes } else { Verdict::No })
}

/// Asks; gives whether the answer was yes.
pub(super) fn confirmed() -> anyhow::Result<bool> {
    say("erase for good? It cannot be undone. Type yes:");
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim().eq_ignore_ascii_case("yes"))
}

/// What became of each lead, what the person must be told of those that stay, what was not touched, and the
/// receipt.
fn outcomes(answer: &pb::EraseSubjectResponse, dry_run: bool) -> String {
    let mut parts = Vec::new();
    if answer.leads.is_empty() {
        parts.push(nothing(&answer.unconfirmed).to_owned());
    } else {
        let would = if dry_run { "would be" } else { "outcome" };
        let mut rows = table(["lead", would]);
        for lead in &answer.leads {
            let outcome = word(lead.outcome().as_str_name(), "ERASURE_OUTCOME");
            rows.add_row([clean(&lead.lead_id), outcome]);
        }
        parts.push(rows.to_string());
    }
    parts.extend(refusals(&answer.leads));
    let needs = pb::ErasureOutcome::NeedsConfirmation;
    if answer.leads.iter().any(|lead| lead.outcome() == needs) {
        parts.push(
            "next: ask the person, then repeat with --confirm-supersedes-restriction".to_owned(),
        );
    }
    let rows = candidates(&answer.unconfirmed);
    parts.extend(rows.map(|rows| format!("not touched:\n{rows}")));
    parts.extend(answer.receipt.as_ref().map(entries));
    parts.push(due(answer.due_at.as_ref()));
    parts.join("\n")
}

/// What the person must be told of the leads that were not erased (Art. 12(4)); the same text once.
fn refusals(leads: &[pb::ErasedLead]) -> Vec<String> {
    let mut told: Vec<(&pb::Refusal, Vec<String>)> = Vec::new();
    for lead in leads {
        let Some(refusal) = &lead.refusal else {
            continue;
        };
        let id = clean(&lead.lead_id);
        match told.iter_mut().find(|(same, _)| *same == refusal) {
            Some((_, ids)) => ids.push(id),
            None => told.push((refusal, vec![id])),
        }
    }
    let text = |(refusal, ids): (&pb::Refusal, Vec<String>)| {
        let mut lines = vec![format!("to be told to the person, of {}:", ids.join(", "))];
        let texts = [
            &refusal.reason,
            &refusal.complaint,
            &refusal.judicial_remedy,
        ];
        let texts = texts.into_iter().filter(|text| !text.is_empty());
        lines.extend(texts.map(|text| clean_text(text)));
        lines.join("\n  ")
    };
    told.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(id: &str, reason: &str) -> pb::ErasedLead {
        pb::ErasedLead {
            lead_id: id.to_owned(),
            outcome: pb::ErasureOutcome::Retained.into(),
            refusal: Some(pb::Refusal {
                reason: reason.to_owned(),
                complaint: "To the authority.".to_owned(),
                judicial_remedy: "To a court.\u{1b}[2J".to_owned(),
            }),
        }
    }

    /// Art. 12(4): whoever reads the outcome reads what the person must be told, once for each reason.
    #[test]
    fn art_12_4_what_the_person_must_be_told() {
        let answer = pb::EraseSubjectResponse {
            leads: vec![
                kept("a", "A claim."),
                kept("b", "Else."),
                kept("c", "A claim."),
            ],
            ..Default::default()
        };
        let text = outcomes(&answer, false);
        assert!(
            text.contains("of a, c:\n  A claim.\n  To the authority.\n  To a court.[2J\n"),
            "{text}"
        );
        assert_eq!(text.matches("To the authority.").count(), 2, "{text}");
        assert!(!text.contains("next:"), "{text}");
    }
}
