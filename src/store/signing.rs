//! The commitment to the key that signs checkpoints, so that a replica with another one is refused at its start.
//!
//! It lies beside those of the key ring, with a purpose of its own, and is never rotated with them.

use super::{
    Result, StoreError,
    dialect::{Columns as _, Dialect, values},
    error::retrying,
    sql::{Sql, statements},
};

/// What the key is for, as stored: the key ring has 1 and 2.
const PURPOSE: i64 = 3;
/// Its number: there is one.
const NUMBER: i64 = 1;

statements! {
    SIGNING_KEY = "SELECT commitment FROM key_commitment WHERE purpose = $1";
    ADD_SIGNING_KEY = "INSERT INTO key_commitment (purpose, key_id, commitment, generation, recorded_at) \
                       VALUES ($1, $2, $3, 0, $4)";
}

impl<DB: Dialect> Sql<DB> {
    /// Whether a signing key was recorded.
    pub(super) async fn has_signing_key(&self) -> Result<bool> {
        Ok(!self.read(SIGNING_KEY, values![PURPOSE]).await?.is_empty())
    }

    /// Records the signing key on first use; later refuses another one.
    pub(super) async fn check_signing_key(&self, commitment: [u8; 16]) -> Result<()> {
        // Two replicas may record theirs at once: the second then finds the first one's.
        retrying(async || {
            self.check_signing_key_once(commitment)
                .await
                .map_err(StoreError::or_contended)
        })
        .await
    }

    async fn check_signing_key_once(&self, commitment: [u8; 16]) -> Result<()> {
        let mut tx = self.begin().await?;
        match tx.fetch_optional(SIGNING_KEY, values![PURPOSE]).await? {
            Some(row) if row.bytes(0)? == commitment => Ok(()),
            Some(_) => Err(StoreError::ForeignSigningKey),
            None => {
                let now = self.clock.now().as_microsecond();
                let row = values![PURPOSE, NUMBER, commitment, now];
                tx.execute(ADD_SIGNING_KEY, row).await?;
                tx.commit().await
            }
        }
    }
}
