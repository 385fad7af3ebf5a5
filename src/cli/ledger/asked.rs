//! `ledger verify` by the server, which tells how far it is if it can.

use tonic::{Code, Status};

use crate::{
    cli::{
        connect::Session,
        progress::{Progress, Unit, waiting},
    },
    pb::{StreamVerifyLedgerRequest, VerifyLedgerRequest, VerifyLedgerResponse},
};

/// What is shown meanwhile.
const WHAT: &str = "the server verifies";

/// Has the server verify, and shows how far it is.
pub(super) async fn verify(session: &Session) -> Result<VerifyLedgerResponse, Status> {
    match stream(session).await {
        // A server from before there was this stream: it says nothing until it is done.
        Err(status) if status.code() == Code::Unimplemented => {
            let mut ledger = session.ledger();
            let verified = waiting(WHAT, ledger.verify_ledger(VerifyLedgerRequest {})).await?;
            Ok(verified.into_inner())
        }
        verified => verified,
    }
}

async fn stream(session: &Session) -> Result<VerifyLedgerResponse, Status> {
    let progress = Progress::counting(WHAT, Unit::Entries);
    let request = StreamVerifyLedgerRequest {};
    let mut messages = session
        .ledger()
        .stream_verify_ledger(request)
        .await?
        .into_inner();
    while let Some(message) = messages.message().await? {
        if let Some(result) = message.result {
            return Ok(result);
        }
        progress.size(u64::try_from(message.entries_total).unwrap_or(0));
        progress.set(u64::try_from(message.entries_checked).unwrap_or(0));
    }
    Err(Status::unavailable("the answer ended before its result"))
}
