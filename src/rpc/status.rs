//! The one mapping of errors to the wire.
//!
//! Each error has its canonical code, a reason in capitals and a constant text; bad input lists every
//! violation; what may be tried again says when. Nothing here can carry a submitted value. To add an
//! error, add a row to the table of [`Refusal`], or of [`Fault`] if it is about one field.

mod refusal;
mod violations;

use tonic::Status;

pub use self::{
    refusal::Refusal,
    violations::{Fault, Violations},
};
use super::observe::request_id;
use crate::store::StoreError;

/// The domain of every reason.
const DOMAIN: &str = "lead-intake";

impl From<StoreError> for Status {
    fn from(error: StoreError) -> Self {
        store_status(&error)
    }
}

/// What the caller hears of a store's error; what happened is logged here, once.
fn store_status(error: &StoreError) -> Status {
    let refusal = match error {
        StoreError::QueueFull => Refusal::QueueFull,
        StoreError::Closing => Refusal::Stopping,
        StoreError::Contended => Refusal::Contended,
        StoreError::NotDelivered => Refusal::CursorNotDelivered,
        StoreError::RequestIdReused => Refusal::RequestIdReused,
        StoreError::NotACandidate => Refusal::NotACandidate,
        StoreError::TooManyCandidates => Refusal::TooManyCandidates,
        StoreError::Shared(error) => return store_status(error),
        StoreError::Database(_) | StoreError::Lost => {
            tracing::error!(%error, request_id = request_id(), "the store failed");
            Refusal::Unavailable
        }
        StoreError::Corrupt(_)
        | StoreError::Unseal(_)
        | StoreError::ForeignKey(..)
        | StoreError::MissingKey(..)
        | StoreError::NewerSchema
        | StoreError::Migration(_)
        | StoreError::Setting(_) => {
            tracing::error!(%error, request_id = request_id(), "the store cannot be used");
            Refusal::Internal
        }
    };
    refusal.into()
}
