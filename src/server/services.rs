//! Which service a call goes to.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::{BoxFuture, Either};
use http::{Request, Response};
use tonic::{body::Body, service::Routes};
use tower::Service;

use crate::{
    pb::{
        crm_service_server::{self as crm, CrmServiceServer},
        intake_service_server::{self as intake, IntakeServiceServer},
        ledger_service_server::{self as ledger, LedgerServiceServer},
        privacy_service_server::{self as privacy, PrivacyServiceServer},
    },
    rpc::{crm::Crm, intake::Intake, ledger::Ledger, privacy::Privacy},
};

/// Our services by their names. A router for any path, which is what tonic has, would take eight more allocations a call.
pub(super) struct Ours {
    pub(super) intake: IntakeServiceServer<Intake>,
    pub(super) crm: CrmServiceServer<Crm>,
    pub(super) privacy: PrivacyServiceServer<Privacy>,
    pub(super) ledger: LedgerServiceServer<Ledger>,
}

/// Every service of the API.
#[derive(Clone)]
pub(super) struct Services {
    ours: Arc<Ours>,
    /// Health, reflection, and the answer to what is nothing of all this.
    others: Routes,
}

impl Services {
    pub(super) fn new(ours: Ours, others: Routes) -> Self {
        let (ours, others) = (Arc::new(ours), others.prepare());
        Self { ours, others }
    }
}

impl Service<Request<Body>> for Services {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<
        BoxFuture<'static, Result<Response<Body>, Infallible>>,
        <Routes as Service<Request<Body>>>::Future,
    >;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path().trim_start_matches('/');
        let service = path.split_once('/').map_or(path, |(service, _)| service);
        Either::Left(match service {
            intake::SERVICE_NAME => self.ours.intake.clone().call(request),
            crm::SERVICE_NAME => self.ours.crm.clone().call(request),
            privacy::SERVICE_NAME => self.ours.privacy.clone().call(request),
            ledger::SERVICE_NAME => self.ours.ledger.clone().call(request),
            _ => return Either::Right(self.others.call(request)),
        })
    }
}
