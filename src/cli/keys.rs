//! `keys list|rotate|promote|reseal|retire`: the keys that leads are sealed with and looked up by.
//!
//! Works on the key ring's file and the database, while services run or not. The order of a rotation, and why each
//! step waits for every replica, is in docs/operations.md and decision 0013. No key is ever printed.

mod change;
mod list;
mod progress;
mod reseal;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use clap::Subcommand;

use super::{Verdict, say, setup};
use crate::{
    config::{Config, ConfigArgs},
    jobs::ASKED_EVERY,
    seal::{KeyFile, KeyName, KeyPurpose, KeyRing, KeyRingError, RingFacts},
    store::SharedStore,
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
    Retire {
        /// Only this key, such as sealing-1 [default: every old key]
        #[arg(value_name = "KEY")]
        key: Option<KeyName>,
    },
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
        KeysCommand::Retire { key } => change::retire(&keys, *key).await,
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
        })
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
        anyhow::ensure!(
            state.asked == generation,
            "another command asks for a key ring at this moment: try again"
        );
        anyhow::ensure!(
            state.objections == 0,
            "a running replica has an older key ring: copy {} to each of them, and try again (each \
             shows its lead_intake_key_ring_generation on /metrics; it must be {generation} at least)",
            self.path.display()
        );
        self.store.raise_ring_min(generation).await?;
        Ok(())
    }

    /// Writes a changed ring: first the file, so that no key is in the database that is in no file.
    async fn save(&self, mut changed: KeyFile) -> anyhow::Result<()> {
        changed.raise_generation();
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
