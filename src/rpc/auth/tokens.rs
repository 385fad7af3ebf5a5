//! The tokens that were looked up, and how often the database is asked for one.
//!
//! A token that is remembered is asked for again when the trust in it ends, whatever happens around it. One that nobody
//! remembers may be anything that a stranger made up: for such ones the database is asked only so often. When a flood of
//! them has used that up, all clients are read at once, now and then, so that a client that comes for the first time is
//! known after all.

use std::{
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

    /// The token with this identifier, at most [`TRUST`] old.
    pub(super) async fn find(&self, key_id: &str) -> Result<Option<Known>, Status> {
        match self.remembered(key_id) {
            Some((since, known)) if since.elapsed() < TRUST => return Ok(Some(known)),
            Some(_) => {}
            None => {
                if let Err(wait) = self.strangers.check() {
                    self.read_all().await?;
                    let known = self.remembered(key_id).map(|(_, known)| known);
                    return known
                        .map(Some)
                        .ok_or_else(|| Refusal::UnknownTokens.after(wait));
                }
            }
        }
        let record = self.store.token(key_id).await?;
        if record.is_none() {
            self.lock().remove(key_id);
        }
        Ok(record.map(|record| self.remember(record)))
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
                self.remember(record);
            }
        }
        Ok(())
    }

    fn remembered(&self, key_id: &str) -> Option<(Instant, Known)> {
        self.lock().get(key_id).cloned()
    }

    fn remember(&self, record: TokenRecord) -> Known {
        let known = Known {
            allowance: self.allowances.of(record.client.id),
            record: Arc::new(record),
        };
        let mut remembered = self.lock();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        let key_id = known.record.key_id.clone();
        remembered.insert(key_id, (Instant::now(), known.clone()));
        known
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Instant, Known)>> {
        // A panic while it is held leaves at worst one entry less.
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
