//! Who a request is about: the arguments that `find`, `export` and `erase` share.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
};

use anyhow::{Context as _, anyhow, ensure};
use comfy_table::Table;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use uuid::Uuid;

use super::show::{clean, request_id, table, word};
use crate::{pb, rpc::convert::timestamp};

/// The largest file with a subject: 1000 lead ids fit.
const SUBJECT_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Arguments that name a person. What stands on a command line is seen by others on the machine and kept in
/// the shell's history, so it may come from a file instead.
#[derive(Debug, clap::Args)]
pub(super) struct SubjectArgs {
    /// E-mail address of the person; others on this machine see it here: see --subject-file
    #[arg(long, help_heading = "Subject")]
    email: Option<SecretString>,
    /// Phone number of the person; as --email
    #[arg(long, help_heading = "Subject")]
    phone: Option<SecretString>,
    /// Name: a lead under another name is then only a candidate
    #[arg(long, help_heading = "Subject")]
    name: Option<SecretString>,
    /// Candidate that was checked by a human and is to be acted on too; repeatable
    #[arg(long, value_name = "LEAD_ID", help_heading = "Subject")]
    lead_id: Vec<Uuid>,
    #[arg(long, help = "JSON file with email, phone, name and lead_ids; - for standard input", value_name = "FILE", conflicts_with_all = ["email", "phone", "name"], help_heading = "Subject")]
    subject_file: Option<PathBuf>,
    /// When the person asked, as RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", help_heading = "Subject")]
    received_at: Option<Timestamp>,
    /// How the person's identity was checked
    #[arg(long, value_enum, help_heading = "Subject")]
    verification: Option<Verification>,
    /// Makes the call safe to repeat [default: a new one]
    #[arg(long, value_name = "UUID", help_heading = "Subject")]
    request_id: Option<Uuid>,
}

/// How identity was checked.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Verification {
    /// The person answered from the e-mail address of the lead
    EmailReply = pb::Verification::EmailReply as isize,
    /// The person was called back on the phone number of the lead
    PhoneCallback = pb::Verification::PhoneCallback as isize,
    /// The person showed proof of identity, which was not kept
    DocumentShown = pb::Verification::DocumentShown as isize,
    /// The person signed in with an electronic identity
    ElectronicId = pb::Verification::ElectronicId as isize,
}

/// The file. It has no `Debug`: it names a person.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SubjectFile {
    email: String,
    phone: String,
    name: String,
    #[serde(alias = "leadIds")]
    lead_ids: Vec<String>,
}

impl SubjectArgs {
    /// The request.
    pub(super) fn request(&self) -> anyhow::Result<pb::SubjectRequest> {
        let mut subject = match &self.subject_file {
            Some(path) => read(path)?,
            None => pb::Subject {
                email: text(self.email.as_ref()),
                phone: text(self.phone.as_ref()),
                name: text(self.name.as_ref()),
                lead_ids: Vec::new(),
            },
        };
        let named = self.lead_id.iter().map(ToString::to_string);
        subject.lead_ids.extend(named);
        Ok(pb::SubjectRequest {
            request_id: request_id(self.request_id)?,
            received_at: self.received_at.map(timestamp),
            verification: self.verification.map_or(0, |checked| checked as i32),
            subject: Some(subject),
        })
    }

    /// Whether standard input is used up by the subject.
    pub(super) fn takes_stdin(&self) -> bool {
        self.subject_file
            .as_ref()
            .is_some_and(|path| is_stdin(path))
    }
}

fn text(value: Option<&SecretString>) -> String {
    value.map_or_else(String::new, |value| value.expose_secret().to_owned())
}

fn is_stdin(path: &std::path::Path) -> bool {
    path.as_os_str() == "-"
}

fn read(path: &std::path::Path) -> anyhow::Result<pb::Subject> {
    let name = path.display();
    let mut source: Box<dyn Read> = if is_stdin(path) {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).with_context(|| format!("cannot read {name}"))?)
    };
    let mut content = String::new();
    source
        .by_ref()
        .take(SUBJECT_FILE_BYTES_MAX + 1)
        .read_to_string(&mut content)
        .with_context(|| format!("cannot read {name}"))?;
    ensure!(
        content.len() as u64 <= SUBJECT_FILE_BYTES_MAX,
        "{name} is larger than {SUBJECT_FILE_BYTES_MAX} bytes"
    );
    // The parser's own text may quote what it fails on, and that names a person.
    let file: SubjectFile = serde_json::from_str(&content).map_err(|error| {
        anyhow!(
            "{name}, line {}, column {}: must be a JSON object with \"email\", \"phone\", \"name\" \
             and \"lead_ids\", and nothing else",
            error.line(),
            error.column()
        )
    })?;
    Ok(pb::Subject {
        email: file.email,
        phone: file.phone,
        name: file.name,
        lead_ids: file.lead_ids,
    })
}

/// What to say where no lead is certain to be the person's.
pub(super) fn nothing(unconfirmed: &[pb::UnconfirmedLead]) -> &'static str {
    if unconfirmed.is_empty() {
        "nothing is held of this person"
    } else {
        "no lead is certain to be this person's"
    }
}

/// Leads that may be the person's, and why that is not certain. `None` if there are none.
pub(super) fn candidates(unconfirmed: &[pb::UnconfirmedLead]) -> Option<Table> {
    if unconfirmed.is_empty() {
        return None;
    }
    let mut rows = table(["may be theirs", "state", "month", "not certain because of"]);
    for lead in unconfirmed {
        rows.add_row([
            clean(&lead.lead_id),
            word(lead.state().as_str_name(), "LEAD_STATE"),
            clean(&lead.submitted_month),
            word(lead.reason().as_str_name(), "UNCONFIRMED_REASON"),
        ]);
    }
    Some(rows)
}
