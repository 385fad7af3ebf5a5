//! How often the database is asked, by a store that counts and that answers when it is told to.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::{sync::Semaphore, task::JoinSet};
use tonic::Code;

use super::*;
use crate::{
    rpc::limits::CallsPerSecond,
    store::{self, Client, NewToken, StoreError},
};

/// Calls that are under way at once.
const CALLS: usize = 50;

/// After which the database, asked for all tokens, is given up.
const SILENCE: Duration = Duration::from_secs(5);

/// Knows the token `known`. Closed, the semaphore makes each look-up fail.
#[derive(Debug)]
struct Stub {
    asked: AtomicUsize,
    answers: Semaphore,
}

fn record() -> TokenRecord {
    TokenRecord {
        key_id: "known".to_owned(),
        client: Client {
            id: 1,
            name: "website".to_owned(),
            role: 1,
            relation: 1,
        },
        secret_hash: vec![0; 32],
        not_after: Timestamp::MAX,
        revoked_at: None,
    }
}

#[async_trait]
impl ClientStore for Stub {
    async fn token(&self, key_id: &str) -> store::Result<Option<TokenRecord>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.answers.acquire().await {
            Ok(answer) => answer.forget(),
            Err(_) => return Err(StoreError::Lost),
        }
        Ok((key_id == "known").then(record))
    }

    async fn clients(&self) -> store::Result<Vec<(Client, Option<TokenRecord>)>> {
        tokio::time::sleep(SILENCE).await;
        Err(StoreError::Lost)
    }

    async fn token_of(&self, _: &str) -> store::Result<Option<TokenRecord>> {
        unreachable!("no certificate is shown")
    }

    async fn add_token(&self, _: NewToken<'_>) -> store::Result<Option<Client>> {
        unreachable!("nothing is added")
    }

    async fn revoke(&self, _: &str, _: Timestamp) -> store::Result<Option<u64>> {
        unreachable!("nothing is revoked")
    }
}

fn tokens() -> (Arc<Stub>, Arc<Tokens>) {
    let store = Arc::new(Stub {
        asked: AtomicUsize::new(0),
        answers: Semaphore::new(0),
    });
    let unknown_tokens = Some(CallsPerSecond {
        steady: 1,
        burst: 1,
    });
    let limits = Limits {
        unknown_tokens,
        ..Limits::default()
    };
    let tokens = Tokens::new(store.clone(), &limits);
    (store, Arc::new(tokens))
}

/// Calls with the known token, all of which wait for an answer when this returns.
async fn calls(tokens: &Arc<Tokens>) -> JoinSet<Result<Option<Known>, Status>> {
    let mut calls = JoinSet::new();
    for _ in 0..CALLS {
        let tokens = tokens.clone();
        calls.spawn(async move { tokens.find(Key::Token("known")).await });
    }
    // On one thread each of them comes as far as it can.
    tokio::task::yield_now().await;
    calls
}

/// Calls at once are one question: at the start, and when the trust ends.
#[tokio::test(start_paused = true)]
async fn calls_with_one_token_are_one_look_up() {
    let (store, tokens) = tokens();
    for round in 1..=2 {
        let calls = calls(&tokens).await;
        store.answers.add_permits(1);
        let answers = calls.join_all().await;
        assert!(answers.into_iter().all(|known| known.unwrap().is_some()));
        assert_eq!(store.asked.load(Ordering::Relaxed), round);
        tokio::time::advance(TRUST).await;
    }
}

/// Who shares a look-up shares its failure: a database that is silent keeps each of them once, not one after the other.
#[tokio::test(start_paused = true)]
async fn a_failure_is_shared() {
    let (store, tokens) = tokens();
    let calls = calls(&tokens).await;
    store.answers.close();
    let answers = calls.join_all().await;
    let refused = |known: &Result<_, Status>| {
        known
            .as_ref()
            .is_err_and(|it| it.code() == Code::Unavailable)
    };
    assert!(answers.iter().all(refused));
    assert_eq!(store.asked.load(Ordering::Relaxed), 1);
}

/// A look-up ends with the last who waits for it, and leaves nothing behind for the next.
#[tokio::test(start_paused = true)]
async fn a_look_up_that_nobody_waits_for_is_begun_anew() {
    let (store, tokens) = tokens();
    // So that it is no stranger any more.
    store.answers.add_permits(1);
    assert!(tokens.find(Key::Token("known")).await.unwrap().is_some());
    tokio::time::advance(TRUST).await;
    let mut left = calls(&tokens).await;
    left.shutdown().await;
    store.answers.add_permits(1);
    assert!(tokens.find(Key::Token("known")).await.unwrap().is_some());
    assert_eq!(store.asked.load(Ordering::Relaxed), 3);
    assert!(tokens.lock().under_way.is_empty());
}

/// While all are read by a database that is silent, a flood waits for a second, each by itself, and not in line.
#[tokio::test(start_paused = true)]
async fn a_flood_does_not_wait_for_a_silent_database() {
    let (store, tokens) = tokens();
    store.answers.add_permits(1);
    assert!(tokens.find(Key::Token("stranger")).await.unwrap().is_none());
    let first = tokens.clone();
    let reading = tokio::spawn(async move { first.find(Key::Token("stranger")).await });
    tokio::task::yield_now().await;
    let begun = Instant::now();
    let mut flood = JoinSet::new();
    for number in 0..CALLS {
        let tokens = tokens.clone();
        flood.spawn(async move { tokens.find(Key::Token(&format!("stranger-{number}"))).await });
    }
    for answer in flood.join_all().await {
        assert_eq!(answer.unwrap_err().code(), Code::ResourceExhausted);
    }
    assert_eq!(begun.elapsed(), READING_MAX);
    reading.abort();
}
