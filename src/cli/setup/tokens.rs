//! Tokens: how one is made, and the first ones.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::Path,
};

use anyhow::Context as _;
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};

use super::Relation;
use crate::{
    clock::{Clock as _, SystemClock},
    durable,
    store::{Client, ClientStore, NewToken},
    token::{Role, Token},
};

/// How long a token lives: a year, so that rotation is practised.
const TOKEN_DAYS: i64 = 365;

/// Makes a token for a client, and the client if it is new. `None` if the client cannot have it.
pub async fn add_token(
    store: &dyn ClientStore,
    name: &str,
    role: Role,
    relation: i64,
    now: Timestamp,
) -> anyhow::Result<Option<(Client, Token)>> {
    let token = Token::generate(role)?;
    let added = record(store, name, role, relation, &token, now).await?;
    Ok(added.map(|client| (client, token)))
}

async fn record(
    store: &dyn ClientStore,
    name: &str,
    role: Role,
    relation: i64,
    token: &Token,
    now: Timestamp,
) -> anyhow::Result<Option<Client>> {
    let new = NewToken {
        client: name,
        role: role as i64,
        relation,
        key_id: token.key_id(),
        secret_hash: token.secret_hash(),
        now,
        not_after: expiry(now)?,
    };
    Ok(store.add_token(new).await?)
}

fn expiry(now: Timestamp) -> anyhow::Result<Timestamp> {
    Ok(now
        .to_zoned(TimeZone::UTC)
        .checked_add(TOKEN_DAYS.days())?
        .timestamp())
}

/// On first run: a client and a token for each role, in files for their owner only. Gives whether they were made now.
///
/// The database keeps a token's hash and nobody makes the first tokens twice, so each file is durable before the database
/// knows of it; and until all are there they lie in a directory of another name, by which a start sees that the one
/// before it was cut off, and goes on.
pub async fn first_tokens(store: &dyn ClientStore, data_dir: &Path) -> anyhow::Result<bool> {
    let (dir, unfinished) = (data_dir.join("tokens"), data_dir.join("tokens.new"));
    let clients = store.clients().await?;
    if dir.exists() || !(clients.is_empty() || unfinished.exists()) {
        return Ok(false);
    }
    match DirBuilder::new().mode(0o700).create(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
        _ => durable::sync_name(&unfinished)?,
    }
    for role in Role::ALL {
        let name = if role == Role::Intake {
            "website"
        } else {
            role.name()
        };
        if clients.iter().any(|(client, _)| client.name == name) {
            continue;
        }
        let token = Token::generate(role)?;
        let line = format!("{}\n", token.expose());
        durable::replace(&unfinished.join(role.name()), line.as_bytes())?;
        let relation = Relation::Internal as i64;
        let now = SystemClock.now();
        let made = record(store, name, role, relation, &token, now).await?;
        made.context("a new client refused its first token")?;
    }
    fs::rename(&unfinished, &dir)?;
    durable::sync_name(&dir)?;
    Ok(true)
}
