//! Clients and their tokens.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    Client, ClientStore, Result,
    dialect::{Columns, Dialect, values},
    error::retrying,
    sql::{Sql, SqlStore, statements},
};
use crate::{
    clock::from_micros,
    ledger::{EntryKind, NewEntry},
};

statements! {
    TOKEN = "SELECT client.id, client.name, client.role, client.relation, token.key_id, token.secret_hash, \
             token.not_after, token.revoked_at \
             FROM token JOIN client ON client.id = token.client_id WHERE token.key_id = $1";
    TOKEN_OF = "SELECT client.id, client.name, client.role, client.relation, token.key_id, token.secret_hash, \
                token.not_after, token.revoked_at \
                FROM token JOIN client ON client.id = token.client_id WHERE client.name = $1 \
                ORDER BY CASE WHEN token.revoked_at IS NULL THEN 0 ELSE 1 END, token.not_after DESC LIMIT 1";
    CLIENTS = "SELECT client.id, client.name, client.role, client.relation, token.key_id, token.secret_hash, \
               token.not_after, token.revoked_at \
               FROM client LEFT JOIN token ON token.client_id = client.id \
               ORDER BY client.id, token.created_at, token.key_id";
    CLIENT = "SELECT id, name, role, relation FROM client WHERE name = $1";
    // Numbers are never reused: there is no statement that deletes a client.
    ADD_CLIENT = "INSERT INTO client (id, name, role, relation, created_at) \
                  SELECT COALESCE(MAX(id), 0) + 1, $1, $2, $3, $4 FROM client \
                  RETURNING id, name, role, relation";
    LIVE_TOKENS = "SELECT COUNT(*) FROM token \
                   WHERE client_id = $1 AND revoked_at IS NULL AND not_after > $2";
    ADD_TOKEN = "INSERT INTO token (key_id, client_id, secret_hash, created_at, not_after) \
                 VALUES ($1, $2, $3, $4, $5)";
    REVOKE = "UPDATE token SET revoked_at = $2 WHERE client_id = $1 AND revoked_at IS NULL";
}

/// Live tokens a client may have: the one in use, and the next one while it is rolled out.
const LIVE_TOKENS_MAX: i64 = 2;

/// A token as stored: without its secret.
#[derive(Clone, Debug)]
pub struct TokenRecord {
    /// Public identifier.
    pub key_id: String,
    /// Whose it is.
    pub client: Client,
    /// SHA-256 of the secret.
    pub secret_hash: Vec<u8>,
    /// End of its life.
    pub not_after: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A token to be stored.
#[derive(Clone, Debug)]
pub struct NewToken<'a> {
    /// Name of the client.
    pub client: &'a str,
    /// Its role.
    pub role: i64,
    /// How the CRM behind it relates to the controller, as numbered in `config`.
    pub relation: i64,
    /// Public identifier.
    pub key_id: &'a str,
    /// SHA-256 of the secret.
    pub secret_hash: [u8; 32],
    /// Now.
    pub now: Timestamp,
    /// End of its life.
    pub not_after: Timestamp,
}

#[async_trait]
impl<DB: Dialect> ClientStore for SqlStore<DB> {
    async fn token(&self, key_id: &str) -> Result<Option<TokenRecord>> {
        let rows = self.vital.read(TOKEN, values![key_id]).await?;
        rows.first().map(token_at).transpose()
    }

    async fn token_of(&self, name: &str) -> Result<Option<TokenRecord>> {
        let rows = self.vital.read(TOKEN_OF, values![name]).await?;
        rows.first().map(token_at).transpose()
    }

    async fn add_token(&self, new: NewToken<'_>) -> Result<Option<Client>> {
        retrying(|| self.sql.add_token(&new)).await
    }

    async fn revoke(&self, name: &str, now: Timestamp) -> Result<Option<u64>> {
        let sql = &self.sql;
        let mut tx = sql.begin().await?;
        let Some(row) = tx.fetch_optional(CLIENT, values![name]).await? else {
            return Ok(None);
        };
        let client = client_at(&row)?;
        let revoked = tx
            .execute(REVOKE, values![client.id, now.as_microsecond()])
            .await?;
        tx.append(&[NewEntry::new(EntryKind::ClientRevoked, client.id)], now)
            .await?;
        tx.commit().await?;
        Ok(Some(revoked))
    }

    async fn clients(&self) -> Result<Vec<(Client, Option<TokenRecord>)>> {
        let rows = self.sql.read(CLIENTS, Vec::new()).await?;
        rows.iter()
            .map(|row| {
                let has_token = row.opt_bytes(5)?.is_some();
                Ok((
                    client_at(row)?,
                    has_token.then(|| token_at(row)).transpose()?,
                ))
            })
            .collect()
    }
}

impl<DB: Dialect> Sql<DB> {
    async fn add_token(&self, new: &NewToken<'_>) -> Result<Option<Client>> {
        let now = new.now.as_microsecond();
        let mut tx = self.begin().await?;
        let mut entries = Vec::with_capacity(2);
        let client = if let Some(row) = tx.fetch_optional(CLIENT, values![new.client]).await? {
            client_at(&row)?
        } else {
            let row = values![new.client, new.role, new.relation, now];
            let rows = tx.fetch(ADD_CLIENT, row).await?;
            let row = rows
                .first()
                .ok_or(super::StoreError::Corrupt("a client without a row"))?;
            let client = client_at(row)?;
            entries.push(NewEntry::new(EntryKind::ClientAdded, client.id).detail(client.role));
            client
        };
        let live = tx
            .fetch_optional(LIVE_TOKENS, values![client.id, now])
            .await?;
        let live = live.map_or(Ok(0), |row| row.int(0))?;
        if client.role != new.role || live >= LIVE_TOKENS_MAX {
            return Ok(None);
        }
        let row = values![
            new.key_id,
            client.id,
            new.secret_hash,
            now,
            new.not_after.as_microsecond(),
        ];
        tx.execute(ADD_TOKEN, row).await?;
        entries.push(NewEntry::new(EntryKind::TokenIssued, client.id));
        tx.append(&entries, new.now).await?;
        tx.commit().await?;
        Ok(Some(client))
    }
}

fn client_at(row: &impl Columns) -> Result<Client> {
    Ok(Client {
        id: row.int(0)?,
        name: row.text(1)?,
        role: row.int(2)?,
        relation: row.int(3)?,
    })
}

fn token_at(row: &impl Columns) -> Result<TokenRecord> {
    Ok(TokenRecord {
        client: client_at(row)?,
        key_id: row.text(4)?,
        secret_hash: row.bytes(5)?,
        not_after: from_micros(row.int(6)?),
        revoked_at: row.opt_int(7)?.map(from_micros),
    })
}
