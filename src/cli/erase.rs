//! `erase`: a person's leads, for good.
//!
//! On a terminal it shows first what would happen and asks; a program says `--yes`. The question uses the
//! dry run of the same request, which does not use up its idempotency key.

use std::io::{self, BufRead as _, IsTerminal as _};

use anyhow::ensure;

use super::{
    Verdict,
    connect::ConnectArgs,
    json, print, say,
    show::{clean, table, time, word},
    subject::{SubjectArgs, candidates, nothing},
};
use crate::{pb, token::Role};

/// Arguments of `erase`.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
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
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    subject: SubjectArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// The grounds of Art. 17(1).
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Ground {
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
        language: String::new(),
    };
    let session = args.connect.connect(Role::Privacy).await?;
    let mut privacy = session.privacy();
    if asks {
        let mut preview = request.clone();
        preview.dry_run = true;
        let answer = privacy.erase_subject(preview).await;
        let answer = answer.map_err(|status| session.refused(&status))?;
        say(&outcomes(answer.get_ref(), true));
        if !confirmed()? {
            say("nothing was erased");
            return Ok(Verdict::No);
        }
    }
    let answer = privacy.erase_subject(request).await;
    let answer = answer
        .map_err(|status| session.refused(&status))?
        .into_inner();
    if args.json {
        json::show(&answer)?;
    } else {
        print(&outcomes(&answer, args.dry_run))?;
    }
    let erased = pb::ErasureOutcome::Erased;
    let all = answer.leads.iter().all(|lead| lead.outcome() == erased);
    Ok(if all { Verdict::Yes } else { Verdict::No })
}

fn confirmed() -> anyhow::Result<bool> {
    say("erase for good? It cannot be undone. Type yes:");
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim().eq_ignore_ascii_case("yes"))
}

/// What became of each lead, what was not touched, and the receipt.
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
    let rows = candidates(&answer.unconfirmed);
    parts.extend(rows.map(|rows| format!("not touched:\n{rows}")));
    if let Some(receipt) = &answer.receipt {
        let mut rows = table(["entry", "lead", "hash"]);
        for entry in &receipt.entries {
            let sequence = entry.sequence.to_string();
            rows.add_row([sequence, clean(&entry.lead_id), clean(&entry.hash)]);
        }
        let (id, at) = (clean(&receipt.request_id), time(receipt.erased_at.as_ref()));
        parts.push(format!("receipt {id} of {at}:\n{rows}"));
    }
    parts.push(format!(
        "to be answered by {}",
        time(answer.due_at.as_ref())
    ));
    parts.join("\n")
}
