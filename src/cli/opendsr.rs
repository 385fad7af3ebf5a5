//! `opendsr apply`: a data-subject request as other privacy tools write it, run through our API.
//!
//! The file is an OpenDSR 2.0 request, the answer on standard output its status document, or an error document. The rule:
//! nothing of the request is passed over in silence, and it is `completed` only when nothing is open. A repeated file is
//! the same request: what was done is done once, and the answer shows where it stands now (decision 0017).
//!
//! [`request`] and [`identity`] read the file, [`desk`] makes the calls, [`erasure`] and [`copies`] are the acts,
//! [`document`] is the answer. One more type of request is one more [`request::RequestType`] with an act of its own.

mod copies;
mod desk;
mod document;
mod erasure;
mod fault;
mod identity;
mod ids;
mod request;
mod strict;

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal as _},
    path::PathBuf,
};

use anyhow::{anyhow, ensure};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use self::{
    desk::{Desk, Failure, Found, Result},
    document::{ErrorDocument, Extensions, Open, Ours, StatusDocument},
    fault::Fault,
    identity::Handling,
    request::{Request, RequestType},
};
use super::{
    Verdict,
    answer::LanguageArgs,
    asked::VerificationArgs,
    connect::ConnectArgs,
    erase::{Ground, confirmed},
    file::{INPUT_BYTES_MAX, is_stdin, read_text},
    json, print, say,
};
use crate::{
    clock::{Clock as _, SystemClock, due_at},
    token::Role,
};

const CANDIDATE: (&str, &str) = (
    "CANDIDATE",
    "may be the person's and was not touched: check it, then run this again with --lead-id, or with --not-theirs",
);

/// Arguments of `opendsr`.
#[derive(Debug, clap::Args)]
pub(super) struct OpenDsrArgs {
    #[command(subcommand)]
    command: OpenDsrCommand,
}

#[derive(Debug, clap::Subcommand)]
enum OpenDsrCommand {
    /// Carry a request out, or see where it stands; exit code 3 while it is not completed
    Apply(Box<ApplyArgs>),
}

/// Arguments of `opendsr apply`.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line, and they combine"
)]
struct ApplyArgs {
    /// The request, JSON of OpenDSR 2.0; - for standard input
    file: PathBuf,
    /// Where the copy goes of an access or portability request: a directory, or a new file
    #[arg(long, value_name = "DIR|FILE")]
    out: Option<PathBuf>,
    /// Replace copies that are there
    #[arg(long, requires = "out")]
    force: bool,
    /// Say what would happen and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Erase without asking
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Why it is erased
    #[arg(long, value_enum, default_value = "no-longer-necessary")]
    ground: Ground,
    /// The person knows that erasing ends the restriction they asked for
    #[arg(long)]
    confirm_supersedes_restriction: bool,
    /// Candidate that was checked by a human and is to be acted on too; repeatable
    #[arg(long, value_name = "LEAD_ID")]
    lead_id: Vec<Uuid>,
    /// Candidate that was checked by a human and is another person's; repeatable
    #[arg(long, value_name = "LEAD_ID")]
    not_theirs: Vec<Uuid>,
    #[command(flatten)]
    verification: VerificationArgs,
    #[command(flatten)]
    language: LanguageArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

impl ApplyArgs {
    fn ground(&self) -> i32 {
        self.ground as i32
    }
}

pub(super) async fn run(args: &OpenDsrArgs) -> anyhow::Result<Verdict> {
    let OpenDsrCommand::Apply(args) = &args.command;
    match apply(args).await {
        Ok(status) => {
            print(&serde_json::to_string_pretty(&status)?)?;
            for open in &status.extensions.ours.open {
                say(&open.words());
            }
            let is_done = status.request_status == "completed";
            Ok(if is_done { Verdict::Yes } else { Verdict::No })
        }
        Err(Failure::Answer(document)) => {
            print(&serde_json::to_string_pretty(&document)?)?;
            Err(anyhow!(document.words()))
        }
        Err(Failure::Here(error)) => Err(error),
    }
}

async fn apply(args: &ApplyArgs) -> Result<StatusDocument> {
    let text = read_text(&args.file, INPUT_BYTES_MAX)?;
    let request = read(&text, SystemClock.now())?;
    let asks = request.kind == RequestType::Erasure && !args.yes && !args.dry_run;
    let is_asked = || io::stdin().is_terminal() && !is_stdin(&args.file);
    if asks && !is_asked() {
        let text = "an erasure cannot be undone and nobody is here to be asked: say --yes, or --dry-run to see what \
                    it would do";
        return Err(anyhow!(text).into());
    }
    let session = args.connect.connect(Role::Privacy).await;
    let session = session.map_err(|error| {
        say(&format!("{error:#}"));
        ErrorDocument::unreachable()
    })?;
    let desk = Desk {
        args,
        request: &request,
        session,
    };
    let targets = copies::targets(&desk)?;
    let controller_id = desk.controller_id().await?;
    let found = desk.find().await?;
    desk.check_named(&found).await?;
    if asks {
        ask(&found)?;
    }
    let mut ours = Ours {
        subject_request_type: request.kind.word(),
        dry_run: args.dry_run,
        ..Ours::default()
    };
    ours.open.extend(unsearched(&request));
    let count = match &targets {
        Some(targets) => copies::run(&desk, &found, targets, &mut ours).await?,
        None if request.kind == RequestType::Erasure => {
            erasure::run(&desk, &found, &mut ours).await?
        }
        None => found.iter().map(|found| found.leads.len()).sum(),
    };
    identities(&desk, &mut ours);
    candidates(&desk, &found, &mut ours)?;
    if request.callbacks > 0 {
        ours.notes.push(
            "no status_callback_urls were called: this command calls nobody but the service, and its answer is to be \
             sent on by whoever runs it",
        );
    }
    Ok(status(&desk, controller_id, ours, count))
}

/// The request in this text, or what is said of it.
fn read(text: &str, now: Timestamp) -> std::result::Result<Request, ErrorDocument> {
    let strict: strict::Strict =
        serde_json::from_str(text).map_err(|error| ErrorDocument::malformed(&error))?;
    request::read(&strict.0, now).map_err(|violations| ErrorDocument::bad(&violations.0))
}

/// What is said of the request in this text, to programs and to people, if it is not one.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn refusal(text: &str, now: Timestamp) -> Option<String> {
    let document = read(text, now).err()?;
    let told = serde_json::to_string(&document).unwrap_or_default();
    Some(told + &document.words())
}

/// Asks whoever is at the terminal.
fn ask(found: &[Found]) -> anyhow::Result<()> {
    let leads: usize = found.iter().map(|found| found.leads.len()).sum();
    let named: usize = found.iter().map(|found| found.named.len()).sum();
    say(&format!(
        "{} lead(s) are held; unless a restriction keeps one, or this was done before, all go",
        leads + named
    ));
    ensure!(confirmed()?, "nothing was erased");
    Ok(())
}

/// Hashes that cannot be searched: something may be held under them.
fn unsearched(request: &Request) -> Vec<Open> {
    let all = request.identities.all.iter();
    all.filter_map(|(path, handling)| match handling {
        Handling::NotSearched(fault @ Fault::HashNotSearchable) => {
            Some(Open::new(fault.row(), path))
        }
        _ => None,
    })
    .collect()
}

/// What was done with each identity.
fn identities(desk: &Desk<'_>, ours: &mut Ours) {
    for (path, handling) in &desk.request.identities.all {
        ours.identities.push(match handling {
            Handling::Searched(place) => {
                let mut told = document::identity(path, "SEARCHED");
                let number = u32::try_from(*place).unwrap_or(u32::MAX);
                told["request_id"] = json!(ids::act(desk.request.id, number, 0).to_string());
                told
            }
            Handling::SameAs(other) => {
                let mut told = document::identity(path, "SAME_AS");
                told["same_as"] = json!(other);
                told
            }
            Handling::NotSearched(fault) => document::not_searched(path, *fault),
        });
    }
}

/// The leads that may be the person's: not those that another identity made certain, nor those that somebody has
/// decided about.
fn candidates(desk: &Desk<'_>, found: &[Found], ours: &mut Ours) -> Result<()> {
    let certain = found.iter().flat_map(|found| {
        let leads = found.leads.iter().map(|lead| lead.lead_id.clone());
        leads.chain(found.named.clone())
    });
    let others = desk.args.not_theirs.iter().map(Uuid::to_string);
    let mut decided: BTreeSet<String> = certain.chain(others).collect();
    let touched = ours.leads.iter().filter_map(|lead| lead["leadId"].as_str());
    decided.extend(touched.map(str::to_owned));
    for lead in found.iter().flat_map(|found| &found.unconfirmed) {
        if decided.insert(lead.lead_id.clone()) {
            ours.open.push(Open::new(CANDIDATE, &lead.lead_id));
            ours.candidates.push(json::value(lead)?);
        }
    }
    Ok(())
}

fn status(desk: &Desk<'_>, controller_id: String, ours: Ours, count: usize) -> StatusDocument {
    let request = desk.request;
    let request_status = match (desk.args.dry_run, ours.open.is_empty()) {
        (true, _) => "pending",
        (false, true) => "completed",
        (false, false) => "in_progress",
    };
    StatusDocument {
        controller_id,
        expected_completion_time: due_at(request.submitted).to_string(),
        received_time: request.submitted.to_string(),
        subject_request_id: request.id.to_string(),
        request_status,
        api_version: document::VERSION,
        results_count: count,
        extensions: Extensions { ours },
    }
}
