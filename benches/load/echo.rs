//! The baseline: tonic, the same message, and nothing behind it.

use lead_intake::{
    cli::say,
    pb::{
        self,
        intake_service_server::{IntakeService, IntakeServiceServer},
    },
    seal::random,
};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};
use uuid::Uuid;

/// Serves on a free port until it is killed, and says where.
pub(crate) async fn serve() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    say(&format!("listening on {}", listener.local_addr()?));
    Server::builder()
        .add_service(IntakeServiceServer::new(Echo))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await?;
    Ok(())
}

struct Echo;

#[tonic::async_trait]
impl IntakeService for Echo {
    async fn submit_lead(
        &self,
        request: Request<pb::SubmitLeadRequest>,
    ) -> Result<Response<pb::SubmitLeadResponse>, Status> {
        let id = random().map_err(|_| Status::internal("no randomness"))?;
        Ok(Response::new(pb::SubmitLeadResponse {
            lead_id: Uuid::from_bytes(id).to_string(),
            submitted_at: Some(prost_types::Timestamp::default()),
            erase_by: Some(prost_types::Timestamp::default()),
            lawful_basis: request.get_ref().lawful_basis,
            consent_receipt: String::new(),
        }))
    }

    async fn withdraw_consent(
        &self,
        _: Request<pb::WithdrawConsentRequest>,
    ) -> Result<Response<pb::WithdrawConsentResponse>, Status> {
        Err(Status::unimplemented("an echo"))
    }

    async fn get_privacy_notice(
        &self,
        _: Request<pb::GetPrivacyNoticeRequest>,
    ) -> Result<Response<pb::GetPrivacyNoticeResponse>, Status> {
        Ok(Response::new(pb::GetPrivacyNoticeResponse {
            version: "1.1".to_owned(),
            ..Default::default()
        }))
    }
}
