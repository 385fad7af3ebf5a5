//! What the operator's commands share: the data directory, the keys, the database, the notices; and the [`tokens`].

mod tokens;

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, anyhow, bail};
use jiff::tz::TimeZone;

pub use self::tokens::{add_token, first_tokens};
use super::{Verdict, progress::waiting, say};
use crate::{
    clock::{Clock as _, SharedClock, SystemClock},
    config::{Config, ConfigArgs, ListenArgs},
    domain::notice::{Language, NoticeRegistry},
    durable,
    ledger::{
        Against,
        mirror::{Lines, Witness},
        notary::{self, Checkpoint, SigningKey},
    },
    seal::{KeyFile, KeyRing, LiveKeyRing},
    store::{self, ClientStore, MirrorOptions, OpenOptions, SharedStore, StoreError, StoreUrl},
};

/// The configuration of a command that does not listen.
pub fn config(args: &ConfigArgs) -> anyhow::Result<Config> {
    Ok(Config::load(args, &ListenArgs::default())?)
}

/// Makes the data directory, for its owner only; gives whether it was made now.
pub fn data_dir(path: &Path) -> anyhow::Result<bool> {
    // With its name, or all that is flushed in it may go with that.
    let made = DirBuilder::new().mode(0o700).create(path);
    match made.and_then(|()| durable::sync_name(path)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{} is no directory", path.display())
        }
        Err(error) => Err(error).with_context(|| format!("cannot make {}", path.display())),
    }
}

/// Why a file in a directory of the service cannot be made.
#[must_use]
pub fn unwritable(dir: &Path, error: io::Error) -> anyhow::Error {
    let dir = dir.display();
    if error.kind() == io::ErrorKind::ReadOnlyFilesystem {
        return anyhow!(
            "{dir} is on a disk that is mounted read-only: the system's log says why; mount it writable, and start again"
        );
    }
    anyhow::Error::new(error).context(format!("cannot write in {dir}"))
}

/// The key ring of this store; made on first use, and only for a store that has none yet. Gives whether
/// it was made now.
pub async fn key_ring(
    config: &Config,
    store: &SharedStore,
) -> anyhow::Result<(Arc<LiveKeyRing>, bool)> {
    let path = key_path(config);
    let is_new = !path.exists();
    if is_new && store.has_keys().await? {
        bail!(
            "{} is missing, and the leads in {} are sealed with it: put the key ring back (every \
             replica needs a copy of the same one)",
            path.display(),
            config.database
        );
    }
    if is_new {
        KeyFile::generate(&today())?.create(&path)?;
    }
    let ring = KeyRing::load(&path)?;
    let checked = store.check_keys(ring.facts()).await;
    if is_new && checked.as_ref().is_err_and(StoreError::is_about_keys) {
        // Another replica was faster with a ring of its own, and this one belongs to nothing. After any
        // other error the database may have taken note of it.
        fs::remove_file(&path)?;
    }
    checked?;
    Ok((LiveKeyRing::from_file(ring, path), is_new))
}

/// Where the key ring is.
#[must_use]
pub fn key_path(config: &Config) -> PathBuf {
    config.data_dir.join("keys.toml")
}

/// The date, for what is made today.
#[must_use]
pub fn today() -> String {
    SystemClock.now().strftime("%Y-%m-%d").to_string()
}

/// The file with the key that signs checkpoints, in the data directory.
pub const SIGNING_KEY: &str = "checkpoint.key";
/// The file with its public half.
const VERIFIER_KEY: &str = "checkpoint.pub";

/// The key that signs this store's checkpoints, made and recorded as the key ring is; its public half is written
/// beside it. Gives whether it was made now.
pub async fn signing_key(
    config: &Config,
    store: &SharedStore,
) -> anyhow::Result<(Arc<SigningKey>, bool)> {
    let path = config.data_dir.join(SIGNING_KEY);
    let is_new = !path.exists();
    if is_new && store.has_signing_key().await? {
        bail!(
            "{} is missing, and auditors know the ledger by it: put it back (every replica needs a \
             copy of the same one); docs/operations.md says what to do if it is lost",
            path.display()
        );
    }
    let origin = notary::origin(store.store_id());
    let key = if is_new {
        let key = SigningKey::generate(&origin)?;
        key.create(&path)?;
        key
    } else {
        SigningKey::load(&path, &origin)?
    };
    let checked = store.check_signing_key(key.commitment()).await;
    if is_new && matches!(checked, Err(StoreError::ForeignSigningKey)) {
        // Another replica was faster, as with the key ring.
        fs::remove_file(&path)?;
    }
    checked.with_context(|| format!("{}: every replica needs the same one", path.display()))?;
    key.publish(&config.data_dir.join(VERIFIER_KEY))?;
    Ok((Arc::new(key), is_new))
}

/// Who signs what the mirror has. Refuses a ledger that is shorter than one that was signed: entries are missing from
/// its end, and from that of its mirror.
pub async fn witness(store: &SharedStore, key: Arc<SigningKey>) -> anyhow::Result<Option<Witness>> {
    let Some(mirror) = store.mirror() else {
        return Ok(None);
    };
    let witness = Witness::open(mirror, key)?;
    let head = store.ledger_head().await?.sequence;
    let signed = i64::try_from(witness.signed()).unwrap_or(i64::MAX);
    if signed > head {
        bail!(
            "the ledger ends with entry {head}, but a checkpoint of {signed} entries was signed: entries are missing \
             from its end, in the database and in the mirror; docs/operations.md says how to go on"
        );
    }
    Ok(Some(witness))
}

/// What the ledger can be compared with here: the mirror and its last checkpoint, if there are any.
pub fn against(config: &Config, store: &SharedStore) -> anyhow::Result<Against> {
    let mirror = Some(config.mirror_dir.clone()).filter(|dir| dir.is_dir());
    let note = config.mirror_dir.join("checkpoint");
    let key = config.data_dir.join(SIGNING_KEY);
    let mut checkpoints = Vec::new();
    if note.exists() && key.exists() {
        let key = SigningKey::load(&key, &notary::origin(store.store_id()))?;
        let note = fs::read_to_string(&note)?;
        checkpoints.push(Checkpoint::open(&note, key.verifier())?);
    }
    Ok(Against {
        mirror,
        checkpoints,
    })
}

/// Opens the store to serve it: with the ledger's mirror, in step with that.
pub async fn open_to_serve(config: &Config) -> anyhow::Result<SharedStore> {
    open_with(config, true, Some(mirror(config, false))).await
}

/// The configured mirror.
#[must_use]
pub fn mirror(config: &Config, takes_other_history: bool) -> MirrorOptions {
    MirrorOptions {
        dir: config.mirror_dir.clone(),
        takes_other_history,
    }
}

/// Opens the store for a command that acts on no lead.
pub async fn open(config: &Config, migrate: bool) -> anyhow::Result<SharedStore> {
    open_with(config, migrate, None).await
}

/// Opens the store for a command that writes to the ledger. Refuses a database that is behind its mirror: numbers that
/// the service is about to put back would be given twice.
pub async fn open_to_record(config: &Config) -> anyhow::Result<SharedStore> {
    // The mirror before the database: it has nothing that the database has not, unless that is behind.
    let mirrored = match Lines::last(&config.mirror_dir) {
        Ok(last) => last.map_or(0, |line| line.entry.sequence),
        // There is none here, as on another machine than the service's.
        Err(_) => 0,
    };
    let store = open(config, false).await?;
    if mirrored > store.ledger_head().await?.sequence {
        store.close().await;
        bail!(
            "{} is behind its mirror: a backup was restored, or a failover lost something. Start the service first; it puts back what is missing",
            config.database
        );
    }
    Ok(store)
}

/// Opens the store.
pub async fn open_with(
    config: &Config,
    migrate: bool,
    mirror: Option<MirrorOptions>,
) -> anyhow::Result<SharedStore> {
    let clock: SharedClock = Arc::new(SystemClock);
    let options = OpenOptions {
        url: config.database.clone(),
        connections_max: config.connections_max,
        clock,
        migrate,
        tail_max: store::TAIL_MAX,
        ballast: config.ballast,
        mirror,
    };
    let store = store::open(options)
        .await
        .with_context(|| format!("cannot open {}", config.database))?;
    if let StoreUrl::Sqlite(path) = &config.database {
        only_for_owner(path)?;
    }
    Ok(store)
}

/// SQLite makes its files by the umask; ours are for their owner only.
fn only_for_owner(path: &Path) -> anyhow::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match fs::set_permissions(&name, fs::Permissions::from_mode(0o600)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| Path::new(&name).display().to_string());
            }
            _ => {}
        }
    }
    Ok(())
}

/// The notices, which the configuration must not contradict.
pub fn notices(config: &Config) -> anyhow::Result<Arc<NoticeRegistry>> {
    let registry = NoticeRegistry::shipped(&config.settings.controller)?;
    let today = SystemClock.now().to_zoned(TimeZone::UTC).date();
    let promised = registry
        .current(today)
        .and_then(|version| registry.get(version.as_str(), Language::Nb))
        .and_then(|notice| notice.facts.retention.as_ref()?.days_max);
    if let Some(days) = promised
        && config.settings.retention.max_age_days > i64::from(days)
    {
        bail!("retention.max_age is longer than the {days} days that the privacy notice promises");
    }
    Ok(Arc::new(registry))
}

/// Whether the notice in force allows a recipient of this relation: the controller itself always, a
/// processor if it says so, anybody else never (Art. 13(1)(e)).
#[must_use]
pub fn allows(notices: &NoticeRegistry, relation: i64) -> bool {
    let processors_allowed = || {
        let today = SystemClock.now().to_zoned(TimeZone::UTC).date();
        notices
            .current(today)
            .and_then(|version| notices.get(version.as_str(), Language::Nb))
            .is_some_and(|notice| notice.facts.processors_allowed())
    };
    relation == Relation::Internal as i64
        || relation == Relation::Processor as i64 && processors_allowed()
}

/// Refuses to serve a client that the notice in force does not allow: it may have, when it was added.
pub async fn check_recipients(
    store: &dyn ClientStore,
    notices: &NoticeRegistry,
) -> anyhow::Result<()> {
    let now = SystemClock.now();
    for (client, token) in store.clients().await? {
        let is_live =
            token.is_some_and(|token| token.revoked_at.is_none() && token.not_after > now);
        if is_live && !allows(notices, client.relation) {
            bail!(
                "the privacy notice in force does not allow the recipient {name}\n  \
                 end its access with `lead-intake client revoke {name}`",
                name = client.name
            );
        }
    }
    Ok(())
}

/// `migrate`.
pub async fn migrate(args: &ConfigArgs) -> anyhow::Result<Verdict> {
    let config = config(args)?;
    data_dir(&config.data_dir)?;
    let opening = Box::pin(open(&config, true));
    let opened = waiting("bringing the schema up to date", opening).await;
    opened?.close().await;
    say("the schema is up to date");
    Ok(Verdict::Yes)
}

/// What the company behind a CRM is to the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Relation {
    /// The controller itself
    Internal = 1,
    /// A processor (Art. 28); only if the privacy notice names processors
    Processor = 2,
    /// Anybody else: always refused, since the notice promises no other recipients
    ThirdParty = 3,
}
