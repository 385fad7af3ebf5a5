//! What is recorded of a request: its idempotency key, when the person asked, how identity was checked.

use jiff::Timestamp;
use uuid::Uuid;

use super::{given, say};
use crate::{pb, rpc::convert::timestamp, seal::random};

/// The idempotency key of a call.
#[derive(Debug, clap::Args)]
pub(super) struct RequestIdArgs {
    /// Makes the call safe to repeat [default: a new one]
    #[arg(long, value_name = "UUID", help_heading = "Request", value_parser = given::uuid)]
    request_id: Option<Uuid>,
}

impl RequestIdArgs {
    /// The given key, or a new one, which is printed so that the call can be repeated.
    pub(super) fn id(&self) -> anyhow::Result<String> {
        if let Some(id) = self.request_id {
            return Ok(id.to_string());
        }
        let id = uuid::Builder::from_random_bytes(random()?).into_uuid();
        say(&format!(
            "request id: {id} (to repeat this call: --request-id {id})"
        ));
        Ok(id.to_string())
    }
}

/// What is recorded of a person's request.
#[derive(Debug, clap::Args)]
pub(super) struct AskedArgs {
    /// When the person asked, as RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", help_heading = "Request", value_parser = given::time)]
    received_at: Option<Timestamp>,
    #[command(flatten)]
    verification: VerificationArgs,
    #[command(flatten)]
    id: RequestIdArgs,
}

impl AskedArgs {
    /// The idempotency key, as [`RequestIdArgs::id`].
    pub(super) fn id(&self) -> anyhow::Result<String> {
        self.id.id()
    }

    /// When the person asked, if that was said.
    pub(super) fn received_at(&self) -> Option<prost_types::Timestamp> {
        self.received_at.map(timestamp)
    }

    /// The number of the way in which identity was checked; 0 if that was not said.
    pub(super) fn verification(&self) -> i32 {
        self.verification.number()
    }
}

/// How the person's identity was checked.
#[derive(Debug, clap::Args)]
pub(super) struct VerificationArgs {
    /// How the person's identity was checked
    #[arg(long, value_enum, help_heading = "Request")]
    verification: Option<Verification>,
}

impl VerificationArgs {
    /// Its number in the contract; 0 if it was not said.
    pub(super) fn number(&self) -> i32 {
        self.verification.map_or(0, |checked| checked as i32)
    }
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
