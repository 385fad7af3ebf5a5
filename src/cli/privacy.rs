//! `find` and `export`: what a person's leads are, and what is in them. [`erase`](super::erase) has its own file.

use std::io::{self, IsTerminal as _};

use super::{
    Verdict,
    answer::{AnswerArgs, LanguageArgs},
    connect::ConnectArgs,
    file::OutputArgs,
    print, say,
    show::{clean, clean_text, table, time, word},
    subject::{SubjectArgs, candidates, nothing},
};
use crate::{pb, token::Role};

/// Arguments of `find`.
#[derive(Debug, clap::Args)]
pub(super) struct FindArgs {
    /// Only the identifiers of the person's leads, one on each line
    #[arg(long, conflicts_with = "json")]
    ids: bool,
    #[command(flatten)]
    subject: SubjectArgs,
    #[command(flatten)]
    answer: AnswerArgs,
}

pub(super) async fn find(args: &FindArgs) -> anyhow::Result<Verdict> {
    let request = args.subject.request()?;
    let session = args.answer.connect(Role::Privacy).await?;
    let request = pb::FindSubjectRequest {
        request: Some(request),
    };
    let answer = session.answer(session.privacy().find_subject(request).await)?;
    if args.ids {
        for lead in &answer.leads {
            print(&clean(&lead.lead_id))?;
        }
        return Ok(Verdict::Yes);
    }
    args.answer.print(&answer, found)?;
    Ok(Verdict::Yes)
}

fn found(answer: &pb::FindSubjectResponse) -> String {
    let mut parts = Vec::new();
    if answer.leads.is_empty() {
        parts.push(nothing(&answer.unconfirmed).to_owned());
    } else {
        let mut rows = table(["lead", "state", "month", "revision"]);
        for lead in &answer.leads {
            let state = word(lead.state().as_str_name(), "LEAD_STATE");
            let revision = lead.revision.to_string();
            rows.add_row([
                clean(&lead.lead_id),
                state,
                clean(&lead.submitted_month),
                revision,
            ]);
        }
        parts.push(rows.to_string());
    }
    parts.extend(candidates(&answer.unconfirmed).map(|rows| rows.to_string()));
    parts.push(due(answer.due_at.as_ref()));
    parts.join("\n")
}

/// When a request must be answered.
pub(super) fn due(at: Option<&prost_types::Timestamp>) -> String {
    format!("to be answered by {}", time(at))
}

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// Which right it answers
    #[arg(long, value_enum)]
    kind: ExportKind,
    /// Format of the document
    #[arg(long, value_enum, default_value = "json")]
    format: ExportFormat,
    #[command(flatten)]
    language: LanguageArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    subject: SubjectArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Which right an export answers.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ExportKind {
    /// Art. 15: the data, and what is done with it
    Access = pb::ExportKind::Access as isize,
    /// Art. 20: the fields that the person provided
    Portability = pb::ExportKind::Portability as isize,
}

/// Formats of the documents.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ExportFormat {
    /// JSON-LD
    Json = pb::ExportFormat::Json as isize,
    /// Comma-separated values; portability only
    Csv = pb::ExportFormat::Csv as isize,
    /// RFC 7095; portability only
    Jcard = pb::ExportFormat::Jcard as isize,
    /// A page to read; access only
    Html = pb::ExportFormat::Html as isize,
}

pub(super) async fn export(args: &ExportArgs) -> anyhow::Result<Verdict> {
    // Before the call: every export is recorded as a disclosure.
    args.output.check()?;
    let request = args.subject.request()?;
    let session = args.connect.connect(Role::Privacy).await?;
    let request = pb::ExportSubjectRequest {
        request: Some(request),
        kind: args.kind as i32,
        format: args.format as i32,
        language: args.language.language.clone(),
    };
    let answer = session.answer(session.privacy().export_subject(request).await)?;
    if !args.output.write(&answer.content)? {
        if io::stdout().is_terminal() {
            print(&clean_text(&String::from_utf8_lossy(&answer.content)))?;
        } else {
            // A program gets exactly the bytes that the checksum is of.
            super::write(&answer.content)?;
        }
    }
    say(&format!(
        "{} lead(s), {}, sha256 {}",
        answer.leads,
        clean(&answer.content_type),
        clean(&answer.sha256)
    ));
    if let Some(rows) = candidates(&answer.unconfirmed) {
        say(&format!("not in it:\n{rows}"));
    }
    say(&due(answer.due_at.as_ref()));
    Ok(Verdict::Yes)
}
