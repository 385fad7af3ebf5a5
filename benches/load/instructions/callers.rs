//! Callers that send a number of submissions, and not as many as a time allows.

use std::sync::Arc;

use anyhow::Context as _;
use lead_intake::pb::intake_service_client::IntakeServiceClient;
use tokio::task::JoinSet;
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use super::{
    super::{
        client::{bearer, connect, notice_version, request},
        form::{Keys, form},
        server::Server,
    },
    Load,
};

/// Connected callers.
pub(crate) struct Callers {
    /// A channel for each caller.
    channels: Vec<Channel>,
    token: MetadataValue<Ascii>,
    version: Arc<str>,
    keys: Keys,
}

impl Callers {
    pub(crate) async fn connect(server: &Server, load: Load, keys: Keys) -> anyhow::Result<Self> {
        let mut channels = Vec::new();
        for _ in 0..load.connections {
            let channel = connect(server).await?;
            channels.extend((0..load.calls).map(|_| channel.clone()));
        }
        Ok(Self {
            channels,
            token: bearer(&server.token)?,
            version: notice_version(server).await?,
            keys,
        })
    }

    /// Sends what the load says; each must be accepted.
    pub(crate) async fn submit(&self, load: Load) -> anyhow::Result<()> {
        let mut callers = JoinSet::new();
        for channel in &self.channels {
            let mut client = IntakeServiceClient::new(channel.clone());
            let (token, version, keys) = (self.token.clone(), self.version.clone(), self.keys);
            callers.spawn(async move {
                for _ in 0..load.each {
                    client
                        .submit_lead(request(form(&version, keys)?, &token))
                        .await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = callers.join_next().await {
            done?.context("a submission")?;
        }
        Ok(())
    }
}
