//! `find` and `export`: what a person's leads are, and what is in them. [`erase`](super::erase) has its own file.

use std::{
    fs,
    io::{self, IsTerminal as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};

use super::{
    Verdict,
    connect::ConnectArgs,
    json, print, say,
    show::{clean, clean_text, table, time, word},
    subject::{SubjectArgs, candidates, nothing},
};
use crate::{pb, token::Role};

/// Arguments of `find`.
#[derive(Debug, clap::Args)]
pub(super) struct FindArgs {
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    subject: SubjectArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(super) async fn find(args: &FindArgs) -> anyhow::Result<Verdict> {
    let request = args.subject.request()?;
    let session = args.connect.connect(Role::Privacy).await?;
    let request = pb::FindSubjectRequest {
        request: Some(request),
    };
    let answer = session.privacy().find_subject(request).await;
    let answer = answer
        .map_err(|status| session.refused(&status))?
        .into_inner();
    if args.json {
        json::show(&answer)?;
        return Ok(Verdict::Yes);
    }
    let mut rows = table(["lead", "state", "month"]);
    for lead in &answer.leads {
        let state = word(lead.state().as_str_name(), "LEAD_STATE");
        rows.add_row([clean(&lead.lead_id), state, clean(&lead.submitted_month)]);
    }
    if answer.leads.is_empty() {
        say(nothing(&answer.unconfirmed));
    } else {
        print(&rows.to_string())?;
    }
    if let Some(rows) = candidates(&answer.unconfirmed) {
        print(&rows.to_string())?;
    }
    say(&format!(
        "to be answered by {}",
        time(answer.due_at.as_ref())
    ));
    Ok(Verdict::Yes)
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
    /// Language of its texts: nb or en [default: nb]
    #[arg(long, default_value = "", hide_default_value = true)]
    language: String,
    /// Write it to this file, for its owner only [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if there is one
    #[arg(long, requires = "output")]
    force: bool,
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
    if let Some(path) = &args.output {
        // Before the call: every export is recorded as a disclosure.
        ensure!(
            args.force || !path.exists(),
            "{} is there already; --force replaces it",
            path.display()
        );
    }
    let request = args.subject.request()?;
    let session = args.connect.connect(Role::Privacy).await?;
    let request = pb::ExportSubjectRequest {
        request: Some(request),
        kind: args.kind as i32,
        format: args.format as i32,
        language: args.language.clone(),
    };
    let answer = session.privacy().export_subject(request).await;
    let answer = answer
        .map_err(|status| session.refused(&status))?
        .into_inner();
    match &args.output {
        Some(path) => {
            create(path, &answer.content, args.force)
                .with_context(|| format!("cannot write {}", path.display()))?;
            say(&format!("wrote {}", path.display()));
        }
        None if io::stdout().is_terminal() => {
            print(&clean_text(&String::from_utf8_lossy(&answer.content)))?;
        }
        // A program gets exactly the bytes that the checksum is of.
        None => drop(super::write(&answer.content)?),
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
    say(&format!(
        "to be answered by {}",
        time(answer.due_at.as_ref())
    ));
    Ok(Verdict::Yes)
}

/// Writes a new file for its owner only. One that it replaces is removed first: its mode and its other names
/// are not taken over.
fn create(path: &Path, content: &[u8], replace: bool) -> io::Result<()> {
    if replace {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content).and_then(|()| file.sync_all())
}
