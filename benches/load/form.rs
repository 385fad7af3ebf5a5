//! The forms that callers send: no two share an e-mail, a phone or an identifier.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use clap::ValueEnum;
use lead_intake::{
    clock::{Clock as _, SystemClock},
    pb,
    seal::random,
};
use uuid::{Builder, Uuid};

/// How callers make the identifiers of their requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Keys {
    /// At random, as most callers do: a database finds each in a place of its own.
    V4,
    /// By time (`UUIDv7`): those of one moment are neighbours.
    V7,
}

impl Keys {
    fn make(self) -> anyhow::Result<Uuid> {
        Ok(match self {
            Self::V4 => Builder::from_random_bytes(random()?),
            Self::V7 => {
                let millis = SystemClock.now().as_millisecond();
                let millis = u64::try_from(millis).context("a time before 1970")?;
                Builder::from_unix_timestamp_millis(millis, &random()?)
            }
        }
        .into_uuid())
    }
}

/// Distinguishes the forms of this process.
static FORMS: AtomicU64 = AtomicU64::new(0);

/// How many forms there are: the number of the next one.
pub(crate) fn forms() -> u64 {
    FORMS.load(Ordering::Relaxed)
}

/// The address in a form.
pub(crate) fn email(number: u64) -> String {
    format!("kari.nordmann.{number}@example.no")
}

/// A form of an ordinary size. `version` is that of the privacy notice in force.
pub(crate) fn form(version: &str, keys: Keys) -> anyhow::Result<pb::SubmitLeadRequest> {
    let number = FORMS.fetch_add(1, Ordering::Relaxed);
    Ok(pb::SubmitLeadRequest {
        request_id: keys.make()?.to_string(),
        name: "Kari Nordmann".to_owned(),
        company: "Nordmann Bakeri AS".to_owned(),
        // Norwegian mobile numbers: 9 and seven digits. Ten million are enough for any one database.
        phone: format!("+47{:08}", 90_000_000 + number % 10_000_000),
        email: email(number),
        lawful_basis: pb::LawfulBasis::PreContract.into(),
        consent: false,
        notice_version: version.to_owned(),
    })
}
