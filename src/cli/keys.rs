//! `keys list|rotate|promote|reseal|retire`: the keys that leads are sealed with and looked up by.
//!
//! Works on the key ring's file and the database, while services run or not. The order of a rotation, and why each
//! step waits for every replica, is in docs/operations.md and decision 0013. No key is ever printed.

mod change;
mod list;
mod reseal;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail, ensure};
use clap::Subcommand;

use super::{
    Verdict,
    progress::{Progress, Unit},
    say, setup,
};
use crate::{
    config::{Config, ConfigArgs},
    jobs::{self, ASKED_EVERY},
    seal::{KeyFile, KeyName, KeyPurpose, KeyRing, KeyRingError, RingFacts},
    store::{KeyCounts, KeyRecord, KeyStore, RingState, SharedStore},
};

/// Arguments of `keys`.
#[derive(Debug, clap::Args)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// List the keys, and how many leads lie under each; never a key itself
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Step 1: add a new key of each purpose, which opens and does not seal yet
    Rotate {
        /// Only a key of this purpose: sealing or index
        #[arg(long, value_parser = parse_purpose)]
        purpose: Option<KeyPurpose>,
    },
    /// Step 2, when every replica has the new ring: seal with the new keys from now on
    Promote {
        /// Only this key, such as sealing-2 [default: every key that waits]
        #[arg(value_name = "KEY")]
        key: Option<KeyName>,
    },
    /// Step 3, when every replica has the new ring: move every lead to the new keys, beside the running service
    Reseal,
    /// Step 4: take out an old key under which no lead is left
    Retire(RetireArgs),
}

#[derive(Debug, clap::Args)]
struct RetireArgs {
    /// Only this key, such as sealing-1 [default: every old key]
    #[arg(value_name = "KEY")]
    key: Option<KeyName>,
    #[command(flatten)]
    ring_before: RingBefore,
}

/// Backups from before need the ring that still has the key. Nobody loses that by accident.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct RingBefore {
    /// Write the ring as it was to this new file: backups of the database from before need it
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
    /// Keep no copy: what lies under the key in backups can never be opened again
    #[arg(long)]
    forget: bool,
}

fn parse_purpose(text: &str) -> Result<KeyPurpose, &'static str> {
    let known = KeyPurpose::ALL
        .into_iter()
        .find(|known| known.name() == text);
    known.ok_or("one of sealing, index")
}

pub(super) async fn run(args: &KeysArgs) -> anyhow::Result<Verdict> {
    let config = setup::config(&args.config)?;
    let path = setup::key_path(&config);
    // Before the database is opened: without a ring there is nothing to do here.
    KeyFile::load(&path)?;
    let store = setup::open(&config, false).await?;
    let done = on_store(&args.command, &path, &config, &store).await;
    store.close().await;
    done
}

async fn on_store(
    command: &KeysCommand,
    path: &Path,
    config: &Config,
    store: &SharedStore,
) -> anyhow::Result<Verdict> {
    if let KeysCommand::List { json } = command {
        return list::run(path, store, *json).await;
    }
    if matches!(command, KeysCommand::Reseal) {
        let keys = Keys::open(path, store).await?;
        return reseal::run(&keys, config).await;
    }
    let mut lock = KeyFile::lock(path)?;
    let _held = lock.try_write().map_err(|_| KeyRingError::Busy {
        path: path.to_owned(),
    })?;
    let keys = Keys::open(path, store).await?;
    match command {
        KeysCommand::Rotate { purpose } => change::rotate(&keys, *purpose).await,
        KeysCommand::Promote { key } => change::promote(&keys, *key).await,
        KeysCommand::Retire(args) => change::retire(&keys, args).await,
        KeysCommand::List { .. } | KeysCommand::Reseal => Ok(()),
    }?;
    Ok(Verdict::Yes)
}

/// The ring of this machine, which is that of the database.
struct Keys<'a> {
    path: PathBuf,
    file: KeyFile,
    ring: Arc<KeyRing>,
    store: &'a SharedStore,
    /// What the database knows of rings.
    known: RingState,
    /// What it knows of keys.
    records: Vec<KeyRecord>,
}

impl<'a> Keys<'a> {
    /// Reads the ring; what a command that broke off left unrecorded is recorded now.
    async fn open(path: &Path, store: &'a SharedStore) -> anyhow::Result<Self> {
        let file = KeyFile::load(path)?;
        let ring = Arc::new(file.ring(path)?);
        store.check_keys(ring.facts()).await?;
        Ok(Self {
            path: path.to_owned(),
            file,
            ring,
            store,
            known: store.ring_state().await?,
            records: store.key_records().await?,
        })
    }

    /// Refuses a ring that another machine has changed since: what it lacks would be lost.
    fn require_every_key(&self) -> anyhow::Result<()> {
        let here: Vec<KeyName> = self.file.keys().map(|(key, _)| key).collect();
        let mut records = self
            .records
            .iter()
            .filter(|record| record.retired_at.is_none());
        if let Some(record) = records.find(|record| !here.contains(&record.name)) {
            let key = record.name;
            bail!(
                "another machine added {key}: copy the ring from there to {} first. Is that ring lost, \
                 on every machine? Then give the key up: `lead-intake keys retire {key} --forget`",
                self.path.display()
            );
        }
        Ok(())
    }

    /// The same for the choice of primary keys.
    fn require_newest(&self) -> anyhow::Result<()> {
        self.require_every_key()?;
        ensure!(
            self.is_known(self.facts()),
            "another machine promoted a key: copy the ring from there to {} first, or promote the \
             same keys here",
            self.path.display()
        );
        Ok(())
    }

    /// Whether a ring has the primary keys of the newest one that the database has seen.
    fn is_known(&self, ring: &RingFacts) -> bool {
        (ring.primary_sealing, ring.primary_index)
            == (self.known.primary_sealing, self.known.primary_index)
    }

    /// The highest number of a key that the database knows of.
    fn taken(&self, purpose: KeyPurpose) -> u32 {
        let of_purpose = self.records.iter().map(|record| record.name);
        let ids = of_purpose
            .filter(|name| name.purpose == purpose)
            .map(|name| name.id);
        ids.max().unwrap_or(0)
    }

    /// A copy of the ring to change.
    fn next(&self) -> KeyFile {
        self.file.next(self.known.generation)
    }

    fn facts(&self) -> &RingFacts {
        self.ring.facts()
    }

    /// Makes sure that no ring older than this generation is in use, nor ever will be again: asks the replicas
    /// that run, and shuts out those that do not.
    async fn require_ring(&self, generation: i64) -> anyhow::Result<()> {
        if self.store.ring_state().await?.ring_min >= generation {
            return Ok(());
        }
        say("asking every replica for its key ring");
        self.store.ask_for_ring(generation).await?;
        // Each answers within `ASKED_EVERY`; one that is late is shut out with those that do not run, and takes
        // the new ring as soon as it notices.
        tokio::time::sleep(3 * ASKED_EVERY).await;
        let state = self.store.ring_state().await?;
        ensure!(
            state.asked == generation,
            "another command asks for a key ring at this moment: try again"
        );
        ensure!(
            state.objections == 0,
            "a running replica has an older key ring: copy {} to each of them, and try again (each \
             shows its lead_intake_key_ring_generation on /metrics; it must be {generation} at least)",
            self.path.display()
        );
        self.store.raise_ring_min(generation).await?;
        Ok(())
    }

    /// Writes a changed ring: first the file, so that no key is in the database that is in no file.
    async fn save(&self, changed: KeyFile) -> anyhow::Result<()> {
        let ring = changed.ring(&self.path)?;
        changed.replace(&self.path)?;
        match self.store.check_keys(ring.facts()).await {
            Err(error) if error.is_about_keys() => {
                // Another machine was faster, and this ring is nobody's.
                self.file.replace(&self.path)?;
                Err(error.into())
            }
            recorded => recorded.context(
                "the key ring was changed, and the database did not take note of it: try again",
            ),
        }
    }
}

/// Counts the leads under each key.
async fn count_leads(store: &dyn KeyStore) -> anyhow::Result<KeyCounts> {
    let progress = Progress::counting("counting leads", Unit::Leads);
    Ok(jobs::count(store, &|leads| progress.add(leads)).await?)
}
