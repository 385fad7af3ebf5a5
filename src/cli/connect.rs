//! What the client's commands share: where the service is, who calls, and how a refusal reads.
//!
//! A flag goes before the environment, and that before the files of the data directory. A token never stands
//! in a message, only where it came from.

use std::{env, fs, io, path::PathBuf, time::Duration};

use anyhow::{Context as _, anyhow, bail};
use secrecy::{ExposeSecret as _, SecretString};
use tonic::{
    Code, Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;
use zeroize::Zeroizing;

use super::{say, show::clean, tls::TlsArgs};
use crate::{
    pb::{
        crm_service_client::CrmServiceClient, intake_service_client::IntakeServiceClient,
        ledger_service_client::LedgerServiceClient, privacy_service_client::PrivacyServiceClient,
    },
    token::Role,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// An open stream notices within this time that the server is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The largest answer taken: a page of 1000 changes and an export of 10,000 leads fit.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The token, where no flag names one.
const TOKEN: &str = "LEAD_INTAKE_TOKEN";

/// Arguments of every client command.
#[derive(Debug, clap::Args)]
pub(super) struct ConnectArgs {
    /// Where the service listens
    #[arg(
        long,
        env = "LEAD_INTAKE_URL",
        default_value = "http://127.0.0.1:50051",
        help_heading = "Connection"
    )]
    url: String,
    #[arg(
        long,
        conflicts_with = "token_file",
        help_heading = "Connection",
        help = "Token. Others on this machine can see it here: better use LEAD_INTAKE_TOKEN in the environment, or --token-file"
    )]
    token: Option<SecretString>,
    /// File with the token [default: tokens/ROLE in the data directory]
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    token_file: Option<PathBuf>,
    /// Directory with the tokens that the service made on its first run
    #[arg(
        long,
        env = "LEAD_INTAKE_DATA_DIR",
        default_value = "data",
        value_name = "DIR",
        help_heading = "Connection"
    )]
    data_dir: PathBuf,
    #[command(flatten)]
    tls: TlsArgs,
}

/// A channel that sends a token.
pub(super) type Caller = InterceptedService<Channel, Bearer>;

/// Puts the token on each call, unless a certificate says who calls.
#[derive(Clone)]
pub(super) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(header) = self.0.clone() {
            request.metadata_mut().insert("authorization", header);
        }
        Ok(request)
    }
}

impl ConnectArgs {
    /// Connects as a client of this role.
    pub(super) async fn connect(&self, role: Role) -> anyhow::Result<Session> {
        let (token, source) = self.token(role)?;
        let header = token.map(|token| header(&token, &source)).transpose()?;
        let channel = self
            .endpoint()?
            .connect()
            .await
            .map_err(|_| unreachable(&self.url))?;
        Ok(Session {
            caller: InterceptedService::new(channel, Bearer(header)),
            source,
            role,
            url: self.url.clone(),
        })
    }

    fn endpoint(&self) -> anyhow::Result<Endpoint> {
        let endpoint = self.tls.endpoint(&self.url)?;
        let uri = endpoint.uri();
        let host = uri.host().unwrap_or_default();
        if uri.scheme_str() == Some("http") && !is_loopback(host) {
            say(&format!(
                "warning: the token and the data travel unencrypted to {host}"
            ));
        }
        Ok(endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_while_idle(true))
    }

    /// The token, and where it came from; none where a certificate says who calls and nobody gave a token.
    fn token(&self, role: Role) -> anyhow::Result<(Option<SecretString>, String)> {
        if let Some(token) = &self.token {
            return Ok((Some(token.clone()), "--token".to_owned()));
        }
        let path = match (&self.token_file, env::var(TOKEN)) {
            (Some(path), _) => path.clone(),
            (None, Ok(token)) => return Ok((Some(token.into()), TOKEN.to_owned())),
            (None, Err(_)) if self.tls.has_certificate() => {
                return Ok((None, "no file: a certificate was sent instead".to_owned()));
            }
            (None, Err(_)) => self.data_dir.join("tokens").join(role.name()),
        };
        let source = path.display().to_string();
        match fs::read_to_string(&path) {
            Ok(token) => Ok((Some(token.into()), source)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
                "no token: {source} is not there\n  \
                 `lead-intake serve` makes it on its first run, in its data directory (--data-dir);\n  \
                 `lead-intake client add NAME --role {role}` makes a new one: put it into {TOKEN}, \
                 or name its file by --token-file"
            ),
            Err(error) => Err(error).with_context(|| format!("cannot read the token in {source}")),
        }
    }
}

/// What is said where nothing listens.
pub(super) fn unreachable(url: &str) -> anyhow::Error {
    if url.starts_with("https:") {
        return anyhow!(
            "nothing answers at {url}, or its certificate is not trusted\n  \
             --ca names the file with the authority that made it; the host in the URL must be in it"
        );
    }
    anyhow!(
        "nothing answers at {url}\n  start the service with `lead-intake serve`, or say where it is: --url"
    )
}

/// What is said where something else listens. Its own words stay out: nobody knows whose they are.
pub(super) fn another(url: &str) -> anyhow::Error {
    anyhow!(
        "what answers at {url} is not the API of lead-intake: another program, or the port of its metrics\n  \
         `lead-intake serve` says where it listens: --url"
    )
}

/// The header that carries a token.
fn header(token: &SecretString, source: &str) -> anyhow::Result<MetadataValue<Ascii>> {
    let bearer = Zeroizing::new(format!("Bearer {}", token.expose_secret().trim()));
    let mut header: MetadataValue<Ascii> = bearer
        .parse()
        .map_err(|_| anyhow!("what {source} holds is not a token"))?;
    // Kept out of debug output and of the header compression's memory.
    header.set_sensitive(true);
    Ok(header)
}

/// Whether the host is this machine.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// A connection with a token.
pub(super) struct Session {
    caller: Caller,
    source: String,
    role: Role,
    url: String,
}

impl Session {
    pub(super) fn intake(&self) -> IntakeServiceClient<Caller> {
        IntakeServiceClient::new(self.caller.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(super) fn crm(&self) -> CrmServiceClient<Caller> {
        CrmServiceClient::new(self.caller.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(super) fn privacy(&self) -> PrivacyServiceClient<Caller> {
        PrivacyServiceClient::new(self.caller.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(super) fn ledger(&self) -> LedgerServiceClient<Caller> {
        LedgerServiceClient::new(self.caller.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// What a call answered, or its refusal as people read it.
    pub(super) fn answer<T>(&self, called: Result<Response<T>, Status>) -> anyhow::Result<T> {
        called
            .map(Response::into_inner)
            .map_err(|status| self.refused(&status))
    }

    /// A refusal as people read it: the text and its reason, then each violation, then what to do.
    pub(super) fn refused(&self, status: &Status) -> anyhow::Error {
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| clean(&info.reason));
        // Every refusal of ours has a reason; these are what a client makes of an answer that is none of gRPC.
        if reason.is_none()
            && matches!(
                status.code(),
                Code::Unimplemented | Code::Internal | Code::Unknown | Code::Cancelled
            )
        {
            return another(&self.url);
        }
        let code = || status.code().description().to_owned();
        let message = clean(status.message());
        let mut lines = vec![format!(
            "{message} ({})",
            reason.clone().unwrap_or_else(code)
        )];
        let violations = details.bad_request().map(|bad| &bad.field_violations[..]);
        for violation in violations.unwrap_or_default() {
            let (field, fault) = (clean(&violation.field), clean(&violation.description));
            lines.push(format!("{field}: {fault}"));
        }
        lines.extend(reason.as_deref().and_then(next_step).map(str::to_owned));
        match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => {
                let (source, role) = (&self.source, self.role);
                lines.push(format!(
                    "the token came from {source}; this takes one of the role {role}, as `lead-intake client add NAME \
                     --role {role}` makes it"
                ));
            }
            Code::Unavailable if reason.is_none() => {
                lines.push(format!("does the service at {} still run?", self.url));
            }
            _ => {}
        }
        if let Some(delay) = details.retry_info().and_then(|info| info.retry_delay) {
            lines.push(format!("to be tried again in {} ms", delay.as_millis()));
        }
        anyhow!(lines.join("\n  "))
    }
}

/// What to do after a refusal, where the server's own text cannot name the command.
fn next_step(reason: &str) -> Option<&'static str> {
    match reason {
        "CURSOR_INVALID" => Some(
            "`lead-intake pull` without --cursor goes on from what was acknowledged, and tells the next",
        ),
        "LEAD_NOT_FOUND" => Some("`lead-intake find` shows the leads of a person"),
        "LEAD_RESTRICTED" => Some("end the other reasons first: `lead-intake lift`"),
        "NOT_A_CANDIDATE" => Some("`lead-intake find` shows the candidates"),
        "REASON_NOT_IN_FORCE" => {
            Some("`lead-intake ledger list --lead-id` shows what happened to the lead")
        }
        "REQUEST_ID_REUSED" => Some("without --request-id the call gets a new one"),
        "REVISION_MISMATCH" => Some(
            "a lead begins at 1, and each change of it adds one; `lead-intake get` shows where it is",
        ),
        "SUBJECT_NOT_INFORMED" => Some("--informed-at says when the person was told"),
        _ => None,
    }
}
