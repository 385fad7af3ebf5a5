//! What a call, a client and a stranger may take, and that the others have theirs: by counts, never by the clock.
//!
//! A place is held by holding the ledger's head ([`Held`]): a submission then waits for as long as the test likes.

mod attacks;
mod deadlines;
mod pace;
mod places;
mod strangers;
mod streams;

use lead_intake::{pb, rpc::limits::Limits, server::Parts};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{raw::Raw, support::*};

/// A method that every role may call, and that asks the database for nothing.
const NOTICE: &str = "/leadintake.v1.IntakeService/GetPrivacyNotice";
const SUBMIT: &str = "/leadintake.v1.IntakeService/SubmitLead";

/// A server with other limits.
async fn start(world: &World, limits: Limits) -> Replica {
    world.start_with(|parts| Parts { limits, ..parts }).await
}

/// The ledger's head, held by somebody else: whoever writes waits.
pub struct Held(Raw);

impl Held {
    pub async fn hold(world: &World) -> Self {
        Self::at(Raw::open(world).await).await
    }

    async fn at(mut raw: Raw) -> Self {
        let begin = match raw {
            Raw::Sqlite(_) => "BEGIN IMMEDIATE",
            Raw::Postgres(_) => "BEGIN; SELECT * FROM ledger_head FOR UPDATE",
        };
        raw.execute(begin).await;
        Self(raw)
    }

    pub async fn release(mut self) {
        self.0.execute("ROLLBACK").await;
        self.0.close().await;
    }
}

/// A website that calls one after the other.
type Intake = pb::intake_service_client::IntakeServiceClient<Caller>;

/// Asks for the notice: a call that costs nothing.
async fn notice(intake: &mut Intake) -> Result<(), Status> {
    let request = pb::GetPrivacyNoticeRequest::default();
    intake.get_privacy_notice(request).await.map(|_| ())
}

fn intake_as(replica: &Replica, token: &str) -> Intake {
    Intake::new(replica.caller(token))
}

/// Fails unless a call was refused before anything was done, for this reason and with when to try again, for programs
/// and for libraries.
fn assert_refused(status: &Status, expected: &str) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(reason(status), expected);
    let details = status.get_error_details();
    let delay = details.retry_info().unwrap().retry_delay.unwrap();
    let pushback = status.metadata().get("grpc-retry-pushback-ms").unwrap();
    let pushback: u128 = pushback.to_str().unwrap().parse().unwrap();
    assert!(
        pushback > 0 && pushback == delay.as_millis().max(1),
        "{delay:?}"
    );
}
