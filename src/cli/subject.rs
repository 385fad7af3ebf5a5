//! Who a request is about: the arguments that `find`, `export`, `erase` and `object` share.

use std::path::{Path, PathBuf};

use comfy_table::Table;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    asked::AskedArgs,
    file::{is_stdin, read_json},
    given,
    show::{clean, table, word},
};
use crate::pb;

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
    #[arg(long, value_name = "LEAD_ID", help_heading = "Subject", value_parser = given::uuid)]
    lead_id: Vec<Uuid>,
    #[arg(long, help = "JSON file with email, phone, name and lead_ids; - for standard input", value_name = "FILE", conflicts_with_all = ["email", "phone", "name"], help_heading = "Subject")]
    subject_file: Option<PathBuf>,
    #[command(flatten)]
    asked: AskedArgs,
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
            request_id: self.asked.id()?,
            received_at: self.asked.received_at(),
            verification: self.asked.verification(),
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

/// The value in the clear; empty if there is none.
pub(super) fn text(value: Option<&SecretString>) -> String {
    value.map_or_else(String::new, |value| value.expose_secret().to_owned())
}

fn read(path: &Path) -> anyhow::Result<pb::Subject> {
    let file: SubjectFile = read_json(
        path,
        "must be a JSON object with \"email\", \"phone\", \"name\" and \"lead_ids\", and nothing else",
    )?;
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
