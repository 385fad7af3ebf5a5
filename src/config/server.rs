//! The section `[server]`: where the service listens, whether that is private, and how it ends.

use std::{net::SocketAddr, time::Duration};

use serde::Deserialize;

use super::{ConfigError, ListenArgs};
use crate::server::{DRAIN_MAX, Ending};

/// How long a balancer gets to see that the service is not ready, if nobody says: one or two of its checks.
const STOP_WAIT: Duration = Duration::from_secs(3);
const ENDING_SECONDS_MAX: u64 = 300;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerSection {
    pub(super) listen: Option<SocketAddr>,
    pub(super) admin_listen: Option<SocketAddr>,
    pub(super) insecure: Option<bool>,
    pub(super) connections_max: Option<usize>,
    pub(super) stop_wait_seconds: Option<u64>,
    pub(super) drain_seconds: Option<u64>,
    #[serde(default)]
    pub(super) cors_origins: Vec<String>,
}

/// Beyond this machine nothing goes in the clear, unless somebody says so.
pub(super) fn stay_private(
    insecure: bool,
    api: SocketAddr,
    admin: SocketAddr,
    has_tls: bool,
) -> Result<(), ConfigError> {
    if insecure {
        return Ok(());
    }
    if !api.ip().is_loopback() && !has_tls {
        return Err(ConfigError(
            "refusing to listen beyond loopback without TLS: give it a certificate ([tls]), or \
             put a TLS proxy in front and say --insecure, or listen on 127.0.0.1"
                .to_owned(),
        ));
    }
    if !admin.ip().is_loopback() {
        return Err(ConfigError(
            "refusing to show metrics beyond loopback: the admin listener has no TLS and asks \
             for no token. Say --insecure if its network is closed to others, or listen on 127.0.0.1"
                .to_owned(),
        ));
    }
    Ok(())
}

/// How the service ends: a wait and a drain, each of a minute or two at most, or whoever stops it kills it first.
pub(super) fn ending(section: &ServerSection, listen: &ListenArgs) -> Result<Ending, ConfigError> {
    let wait = listen.stop_wait_seconds.or(section.stop_wait_seconds);
    let seconds = |key: &str, value: Option<u64>, default: Duration| match value {
        None => Ok(default),
        Some(value) if value <= ENDING_SECONDS_MAX => Ok(Duration::from_secs(value)),
        Some(_) => Err(ConfigError(format!(
            "server.{key} must be at most {ENDING_SECONDS_MAX}"
        ))),
    };
    Ok(Ending {
        wait: seconds("stop_wait_seconds", wait, STOP_WAIT)?,
        drain_max: seconds("drain_seconds", section.drain_seconds, DRAIN_MAX)?,
    })
}
