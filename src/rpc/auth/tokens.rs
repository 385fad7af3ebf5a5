//! The tokens that were looked up, and how often the database is asked for one.
//!
//! A token that is remembered is asked for again when the trust in it ends, whatever happens around it. One that nobody
//! remembers may be anything that a stranger made up: for such ones the database is asked only so often. When a flood of
//! them has used that up, all clients are read at once, now and then, so that a client that comes for the first time is
//! known after all.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Mutex as AsyncMutex, time::Instant};
use tonic::Status;

use super::super::{
    limits::{Allowance, Allowances, Limits, Rate},
    status::Refusal,
};
use crate::store::{ClientStore, TokenRecord};

/// How long a token is trusted without asking the database: with it, a revocation acts within 5 s.
pub(in super::super) const TRUST: Duration = Duration::from_secs(4);
/// Tokens remembered: far more than there are clients.
const REMEMBERED_MAX: usize = 1024;

/// What a token is looked up by.
#[derive(Clone, Copy)]
pub(super) enum Key<'a> {
    /// Its identifier.
    Token(&'a str),
    /// Its client's name.
    Client(&'a str),
}

impl<'a> Key<'a> {
    /// One memory for both: no identifier has a colon in it.
    fn remembered_as(self) -> Cow<'a, str> {
        match self {
            Self::Token(key_id) => key_id.into(),
            Self::Client(name) => format!("client:{name}").into(),
        }
    }
}

/// A token's record, and what its client may take.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) record: Arc<TokenRecord>,
    pub(super) allowance: Arc<Allowance>,
}

/// Looks tokens up by their identifiers.
#[derive(Debug)]
pub(super) struct Tokens {
    store: Arc<dyn ClientStore>,
    allowances: Allowances,
    strangers: Rate,
    remembered: Mutex<HashMap<String, (Instant, Known)>>,
    /// When all of them were read.
    all_read: AsyncMutex<Option<Instant>>,
}

impl Tokens {
    pub(super) fn new(store: Arc<dyn ClientStore>, limits: &Limits) -> Self {
        Self {
            store,
            allowances: Allowances::new(limits.clone()),
            strangers: Rate::new(limits.unknown_tokens),
            remembered: Mutex::default(),
            all_read: AsyncMutex::default(),
        }
    }

    /// The token, at most [`TRUST`] old.
    pub(super) async fn find(&self, key: Key<'_>) -> Result<Option<Known>, Status> {
        let name = key.remembered_as();
        match (self.remembered(&name), key) {
            (Some((since, known)), _) if since.elapsed() < TRUST => return Ok(Some(known)),
            // Whoever has a certificate of the authority is no stranger.
            (Some(_), _) | (None, Key::Client(_)) => {}
            (None, Key::Token(_)) => {
                if let Err(wait) = self.strangers.check() {
                    self.read_all().await?;
                    let known = self.remembered(&name).map(|(_, known)| known);
                    return known
                        .map(Some)
                        .ok_or_else(|| Refusal::UnknownTokens.after(wait));
                }
            }
        }
        let record = match key {
            Key::Token(key_id) => self.store.token(key_id).await?,
            Key::Client(client) => self.store.token_of(client).await?,
        };
        if record.is_none() {
            self.lock().remove(&*name);
        }
        Ok(record.map(|record| self.remember(name.into_owned(), record)))
    }

    /// Reads all tokens, unless that was done just now or is being done.
    async fn read_all(&self) -> Result<(), Status> {
        let Ok(mut last) = self.all_read.try_lock() else {
            return Ok(());
        };
        if last.is_some_and(|last| last.elapsed() < TRUST) {
            return Ok(());
        }
        *last = Some(Instant::now());
        let tokens = self.store.clients().await?.into_iter();
        for record in tokens.filter_map(|(_, token)| token) {
            if record.revoked_at.is_none() {
                self.remember(record.key_id.clone(), record);
            }
        }
        Ok(())
    }

    fn remembered(&self, name: &str) -> Option<(Instant, Known)> {
        self.lock().get(name).cloned()
    }

    fn remember(&self, name: String, record: TokenRecord) -> Known {
        let known = Known {
            allowance: self.allowances.of(record.client.id),
            record: Arc::new(record),
        };
        let mut remembered = self.lock();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(name, (Instant::now(), known.clone()));
        known
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Instant, Known)>> {
        // A panic while it is held leaves at worst one entry less.
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
