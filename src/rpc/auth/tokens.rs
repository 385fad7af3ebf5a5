//! The tokens that were looked up, and how often the database is asked for one.
//!
//! A token that is remembered is asked for again when the trust in it ends, whatever happens around it. One that nobody
//! remembers may be anything that a stranger made up: for such ones the database is asked only so often. When a flood of
//! them has used that up, all clients are read at once, now and then, so that a client that comes for the first time is
//! known after all.
//!
//! Calls with the same token share a look-up, and its failure: the hundred that a busy client has in flight when a server
//! starts, or when the trust ends, are one question, and no flood.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};
use tokio::{
    sync::Mutex as AsyncMutex,
    time::{Instant, timeout},
};
use tonic::Status;

use super::super::{
    limits::{Allowance, Allowances, Limits, Rate},
    status::Refusal,
};
use crate::store::{ClientStore, TokenRecord};

/// How long a token is trusted without asking the database: with it, a revocation acts within 5 s.
pub(in super::super) const TRUST: Duration = Duration::from_secs(4);
/// How long a token waits while all are read: they are some milliseconds' work, and of a database that is silent nobody learns
/// more by waiting longer.
const READING_MAX: Duration = Duration::from_secs(1);
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

/// The record that a look-up found, and when it was begun.
type Found = (Instant, Option<Arc<TokenRecord>>);
type LookUp = BoxFuture<'static, Result<Found, Status>>;

/// What there is to do for a token.
enum Next {
    /// Nothing: it is remembered.
    Know(Known),
    /// The database is asked.
    Wait(Shared<LookUp>),
    /// The database is not asked before this time has passed.
    Refuse(Duration),
}

/// Looks tokens up by their identifiers.
#[derive(Debug)]
pub(super) struct Tokens {
    store: Arc<dyn ClientStore>,
    allowances: Allowances,
    strangers: Rate,
    memory: Mutex<Memory>,
    /// When all of them were read.
    all_read: AsyncMutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Memory {
    /// From when it was what the database says.
    remembered: HashMap<String, (Instant, Known)>,
    /// Weak: what nobody waits for any more is not asked.
    under_way: HashMap<String, WeakShared<LookUp>>,
}

impl Tokens {
    pub(super) fn new(store: Arc<dyn ClientStore>, limits: &Limits) -> Self {
        Self {
            store,
            allowances: Allowances::new(limits.clone()),
            strangers: Rate::new(limits.unknown_tokens),
            memory: Mutex::default(),
            all_read: AsyncMutex::default(),
        }
    }

    /// The token, at most [`TRUST`] old.
    pub(super) async fn find(&self, key: Key<'_>) -> Result<Option<Known>, Status> {
        let name = key.remembered_as();
        let look_up = match self.next(key, &name) {
            Next::Know(known) => return Ok(Some(known)),
            Next::Wait(look_up) => look_up,
            Next::Refuse(wait) => {
                self.read_all().await?;
                let known = self.lock().remembered.get(&*name).cloned();
                return known
                    .map(|(_, known)| Some(known))
                    .ok_or_else(|| Refusal::UnknownTokens.after(wait));
            }
        };
        let found = look_up.await;
        // Where the next one is under way already, that loses sharing and nothing else.
        self.lock().under_way.remove(&*name);
        let (since, Some(record)) = found? else {
            self.lock().remembered.remove(&*name);
            return Ok(None);
        };
        Ok(Some(self.remember(name.into_owned(), record, since)))
    }

    fn next(&self, key: Key<'_>, name: &str) -> Next {
        let mut memory = self.lock();
        let is_stranger = match (memory.remembered.get(name), key) {
            (Some((since, known)), _) if since.elapsed() < TRUST => {
                return Next::Know(known.clone());
            }
            // Whoever has a certificate of the authority is no stranger.
            (Some(_), _) | (None, Key::Client(_)) => false,
            (None, Key::Token(_)) => true,
        };
        let under_way = memory.under_way.get(name).and_then(WeakShared::upgrade);
        if let Some(look_up) = under_way {
            return Next::Wait(look_up);
        }
        if is_stranger && let Err(wait) = self.strangers.check() {
            return Next::Refuse(wait);
        }
        let look_up = self.look_up(key).shared();
        let under_way = &mut memory.under_way;
        // Of callers that went away.
        under_way.retain(|_, look_up| look_up.upgrade().is_some());
        if let Some(look_up) = look_up.downgrade() {
            under_way.insert(name.to_owned(), look_up);
        }
        Next::Wait(look_up)
    }

    fn look_up(&self, key: Key<'_>) -> LookUp {
        let store = self.store.clone();
        let (name, is_client) = match key {
            Key::Token(key_id) => (key_id.to_owned(), false),
            Key::Client(client) => (client.to_owned(), true),
        };
        Box::pin(async move {
            let begun = Instant::now();
            let record = if is_client {
                store.token_of(&name).await?
            } else {
                store.token(&name).await?
            };
            Ok((begun, record.map(Arc::new)))
        })
    }

    /// Reads all tokens, unless that was done just now; whoever comes meanwhile waits for it, for a while.
    async fn read_all(&self) -> Result<(), Status> {
        let Ok(mut last) = timeout(READING_MAX, self.all_read.lock()).await else {
            return Ok(());
        };
        if last.is_some_and(|last| last.elapsed() < TRUST) {
            return Ok(());
        }
        let begun = Instant::now();
        *last = Some(begun);
        let tokens = self.store.clients().await?.into_iter();
        for record in tokens.filter_map(|(_, token)| token) {
            if record.revoked_at.is_none() {
                self.remember(record.key_id.clone(), Arc::new(record), begun);
            }
        }
        Ok(())
    }

    fn remember(&self, name: String, record: Arc<TokenRecord>, since: Instant) -> Known {
        let allowance = self.allowances.of(record.client.id);
        let known = Known { record, allowance };
        let remembered = &mut self.lock().remembered;
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(name, (since, known.clone()));
        known
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Memory> {
        // A panic while it is held leaves at worst one entry less.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
