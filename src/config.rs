//! Configuration: `lead-intake.toml`, environment and flags, in rising order. Without any, it works.
//!
//! Unknown keys are errors. Secrets come by file or environment, never by flag, where others on the machine
//! would see them. With a file, the operator decides: it must name the controller and the retention limit.

mod limits;
mod retention;
mod server;
mod telemetry;
mod tls;

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;

pub use self::telemetry::TracesSettings;
use crate::{
    domain::{contact::Region, notice::Controller, retention::RetentionPolicy},
    door::TlsFiles,
    rpc::{
        auth::certificate::Certificates,
        intake::IntakeSettings,
        limits::Limits,
        web::{Origin, OriginError},
    },
    server::Ending,
    store::StoreUrl,
    telemetry::LogFormat,
};

/// Where things are, if nobody says.
const DATA_DIR: &str = "data";
const MIRROR_DIR: &str = "ledger";
const LISTEN: &str = "127.0.0.1:50051";
const ADMIN_LISTEN: &str = "127.0.0.1:9464";
/// Most connections to PostgreSQL, if nobody says.
const CONNECTIONS_MAX: u32 = 20;

/// Flags and environment variables of the commands that use the database.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ConfigArgs {
    /// Configuration file
    #[arg(long, env = "LEAD_INTAKE_CONFIG", value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Directory for keys, tokens, mirror and the SQLite file [default: data]
    #[arg(long, env = "LEAD_INTAKE_DATA_DIR", value_name = "DIR", global = true)]
    pub data_dir: Option<PathBuf>,
}

/// Flags and environment variables of `serve`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ListenArgs {
    /// Address of the API [default: 127.0.0.1:50051]
    #[arg(long, env = "LEAD_INTAKE_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Address of metrics and probes [default: 127.0.0.1:9464]
    #[arg(long, env = "LEAD_INTAKE_ADMIN_LISTEN", value_name = "ADDRESS")]
    pub admin_listen: Option<SocketAddr>,
    /// Listen beyond loopback in the clear: something in front must provide it
    #[arg(long, env = "LEAD_INTAKE_INSECURE", value_parser = clap::builder::BoolishValueParser::new(), num_args = 0..=1, default_missing_value = "true")]
    pub insecure: Option<bool>,
    /// Certificate of the service, and what leads to its authority, as PEM
    #[arg(long, env = "LEAD_INTAKE_TLS_CERTIFICATE", value_name = "FILE")]
    pub tls_certificate: Option<PathBuf>,
    /// Its private key, as PEM
    #[arg(long, env = "LEAD_INTAKE_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Seconds for which calls are still taken after SIGTERM, while health says that they are not [default: 3]
    #[arg(long, env = "LEAD_INTAKE_STOP_WAIT_SECONDS", value_name = "SECONDS")]
    pub stop_wait_seconds: Option<u64>,
    /// Whether calls beyond [limits] are refused: false to measure what the service can do [default: true]
    #[arg(long, env = "LEAD_INTAKE_LIMITS", value_name = "BOOL", value_parser = clap::builder::BoolishValueParser::new())]
    pub limits: Option<bool>,
}

/// The settings in force.
#[derive(Clone, Debug)]
pub struct Config {
    /// Directory for keys, tokens, mirror and the SQLite file.
    pub data_dir: PathBuf,
    /// Directory of the ledger's mirror: on another disk than the database, if it can be.
    pub mirror_dir: PathBuf,
    /// The database.
    pub database: StoreUrl,
    /// Most connections to PostgreSQL.
    pub connections_max: u32,
    /// Whether to keep a ballast beside a SQLite database, for a full disk.
    pub ballast: bool,
    /// Address of the API.
    pub listen: SocketAddr,
    /// Address of metrics and probes.
    pub admin_listen: SocketAddr,
    /// TLS on the API, if there is any.
    pub tls: Option<TlsFiles>,
    /// Whose certificates stand for a client.
    pub certificates: Arc<Certificates>,
    /// Most connections to the API at once, if somebody says.
    pub api_connections_max: Option<usize>,
    /// How the service ends.
    pub ending: Ending,
    /// Origins whose pages may call: none, unless somebody says.
    pub cors_origins: Vec<Origin>,
    /// How logs are written.
    pub log_format: LogFormat,
    /// Where traces go, if anywhere.
    pub traces: Option<TracesSettings>,
    /// What the services need.
    pub settings: IntakeSettings,
    /// What calls and clients may take.
    pub limits: Limits,
}

/// Why a configuration cannot be used. Never quotes a value that may be secret.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    data_dir: Option<PathBuf>,
    #[serde(default)]
    server: server::ServerSection,
    #[serde(default)]
    tls: tls::TlsSection,
    #[serde(default)]
    database: DatabaseSection,
    #[serde(default)]
    mirror: MirrorSection,
    controller: Option<Controller>,
    retention: Option<retention::RetentionSection>,
    #[serde(default)]
    erasure: retention::ErasureSection,
    #[serde(default)]
    notice: NoticeSection,
    #[serde(default)]
    intake: IntakeSection,
    #[serde(default)]
    log: LogSection,
    #[serde(default)]
    telemetry: telemetry::TelemetrySection,
    #[serde(default)]
    limits: limits::LimitsSection,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DatabaseSection {
    url_file: Option<PathBuf>,
    connections_max: Option<u32>,
    ballast: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct MirrorSection {
    dir: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoticeSection {
    #[serde(default)]
    grace_days: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct IntakeSection {
    region: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogSection {
    #[serde(default)]
    format: LogFormat,
}

impl Config {
    /// The settings from file, environment and flags.
    pub fn load(args: &ConfigArgs, listen: &ListenArgs) -> Result<Self, ConfigError> {
        let file = match &args.config {
            Some(path) => parse(&read("the configuration", path)?, path)?,
            None => ConfigFile::default(),
        };
        Self::settle(file, args, listen)
    }

    /// The settings from the text of a file. No file that it names is read.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn from_text(text: &str) -> Result<Self, ConfigError> {
        let mut file = parse(text, Path::new("lead-intake.toml"))?;
        file.database.url_file = None;
        Self::settle(file, &ConfigArgs::default(), &ListenArgs::default())
    }

    /// The settings from what a file says, environment and flags.
    fn settle(
        file: ConfigFile,
        args: &ConfigArgs,
        listen: &ListenArgs,
    ) -> Result<Self, ConfigError> {
        let data_dir = args
            .data_dir
            .clone()
            .or(file.data_dir)
            .unwrap_or_else(|| DATA_DIR.into());
        let api = listen
            .listen
            .or(file.server.listen)
            .map_or_else(|| LISTEN.parse(), Ok);
        let admin = listen.admin_listen.or(file.server.admin_listen);
        let admin = admin.map_or_else(|| ADMIN_LISTEN.parse(), Ok);
        let (Ok(api), Ok(admin)) = (api, admin) else {
            return Err(ConfigError("an address is not one".to_owned()));
        };
        let (tls, certificates) = tls::tls(file.tls, listen)?;
        let insecure = listen.insecure.or(file.server.insecure).unwrap_or(false);
        server::stay_private(insecure, api, admin, tls.is_some())?;
        let region = file
            .intake
            .region
            .as_deref()
            .map_or(Ok(Region::default()), str::parse);
        Ok(Self {
            database: database(file.database.url_file, &data_dir)?,
            mirror_dir: env::var_os("LEAD_INTAKE_MIRROR_DIR")
                .map(PathBuf::from)
                .or(file.mirror.dir)
                .unwrap_or_else(|| data_dir.join(MIRROR_DIR)),
            data_dir,
            connections_max: file.database.connections_max.unwrap_or(CONNECTIONS_MAX),
            ballast: file.database.ballast.unwrap_or(true),
            listen: api,
            admin_listen: admin,
            tls,
            certificates: Arc::new(certificates),
            api_connections_max: file.server.connections_max,
            ending: server::ending(&file.server, listen)?,
            cors_origins: file
                .server
                .cors_origins
                .iter()
                .map(|origin| origin.parse())
                .collect::<Result<_, OriginError>>()
                .map_err(|error| ConfigError(format!("server.cors_origins: {error}")))?,
            log_format: file.log.format,
            traces: telemetry::traces(&file.telemetry)?,
            limits: limits::limits(&file.limits, listen.limits)?,
            settings: IntakeSettings {
                controller: file.controller.unwrap_or_default(),
                region: region
                    .map_err(|_| ConfigError("intake.region is not a country code".to_owned()))?,
                notice_grace_days: file.notice.grace_days,
                retention: match &file.retention {
                    Some(section) => retention::retention(section)?,
                    None => RetentionPolicy::default(),
                },
                erasure: retention::erasure(&file.erasure)?,
            },
        })
    }
}

fn read(what: &str, path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path)
        .map_err(|error| ConfigError(format!("cannot read {what} in {}: {error}", path.display())))
}

/// What the text of a file says. `path` is for errors only.
fn parse(text: &str, path: &Path) -> Result<ConfigFile, ConfigError> {
    let file: ConfigFile = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        let (path, message) = (path.display(), without_value(error.message()));
        ConfigError(format!(
            "{path}, line {line}: {message}\n  lead-intake.example.toml has every key, with its values"
        ))
    })?;
    if file.controller.is_none() {
        return Err(ConfigError(format!(
            "{}: [controller] is missing",
            path.display()
        )));
    }
    if file.retention.is_none() {
        return Err(ConfigError(format!(
            "{}: [retention] max_age is missing",
            path.display()
        )));
    }
    Ok(file)
}

/// What the parser says of a file, without the value that it quotes: a password may stand in the wrong place. The name
/// of a key stays.
fn without_value(message: &str) -> String {
    let quotes = [
        "invalid type",
        "invalid value",
        "invalid length",
        "unknown variant",
    ];
    if !quotes.iter().any(|words| message.starts_with(words)) {
        return message.to_owned();
    }
    // The value may have any of these words too: what is cut goes from the first quote to the last "expected".
    let said = message
        .split(['"', '`'])
        .next()
        .unwrap_or_default()
        .trim_end();
    let expected = message
        .rsplit_once(", expected ")
        .map(|(_, expected)| expected);
    expected.map_or_else(
        || said.to_owned(),
        |expected| format!("{said}, expected {expected}"),
    )
}

/// The database from the environment, from a file that holds its URL, or in the data directory.
fn database(url_file: Option<PathBuf>, data_dir: &Path) -> Result<StoreUrl, ConfigError> {
    let url_file = env::var_os("LEAD_INTAKE_DATABASE_URL_FILE")
        .map(PathBuf::from)
        .or(url_file);
    let url = match (env::var("LEAD_INTAKE_DATABASE_URL"), url_file) {
        (Ok(url), _) => url,
        // An error would show the path, and with it the password.
        (Err(_), Some(path)) if path.to_string_lossy().contains("://") => {
            return Err(ConfigError(
                "database.url_file is a URL: it must name a file, for its owner only, with the URL in it".to_owned(),
            ));
        }
        (Err(_), Some(path)) => read("the database's URL", &path)?,
        (Err(_), None) => return Ok(StoreUrl::Sqlite(data_dir.join("lead-intake.db"))),
    };
    url.trim()
        .parse()
        .map_err(|error: &str| ConfigError(error.to_owned()))
}

#[cfg(test)]
mod tests;
