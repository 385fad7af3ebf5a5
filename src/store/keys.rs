//! Commitments to the keys of the ring, so that a wrong ring is refused at start.

use std::collections::HashMap;

use super::{
    Result, StoreError,
    dialect::{Columns as _, Dialect, values},
    sql::{Sql, statements},
};
use crate::seal::{KeyCommitment, KeyPurpose};

statements! {
    COMMITMENTS = "SELECT purpose, key_id, commitment FROM key_commitment";
    ADD_COMMITMENT = "INSERT INTO key_commitment (purpose, key_id, commitment) \
                      VALUES ($1, $2, $3)";
}

impl<DB: Dialect> Sql<DB> {
    /// Whether a key was recorded.
    pub(super) async fn has_keys(&self) -> Result<bool> {
        Ok(!self.read(COMMITMENTS, Vec::new()).await?.is_empty())
    }

    /// Refuses a ring in which a recorded key is missing or another; records what is new.
    pub(super) async fn check_keys(&self, ring: &[KeyCommitment]) -> Result<()> {
        let mut tx = self.begin().await?;
        let mut recorded = HashMap::new();
        for row in tx.fetch(COMMITMENTS, Vec::new()).await? {
            recorded.insert((row.int(0)?, row.int(1)?), row.bytes(2)?);
        }
        for key in ring {
            let place = (key.purpose as i64, i64::from(key.key_id));
            match recorded.remove(&place) {
                Some(commitment) if commitment == key.commitment => {}
                Some(_) => return Err(StoreError::ForeignKey(key.purpose, key.key_id)),
                None => {
                    // A second index key would hide what the first one indexed.
                    let row = values![place.0, place.1, key.commitment];
                    tx.execute(ADD_COMMITMENT, row).await?;
                }
            }
        }
        if let Some((purpose, key_id)) = recorded.into_keys().next() {
            let purpose = if purpose == KeyPurpose::Index as i64 {
                KeyPurpose::Index
            } else {
                KeyPurpose::Sealing
            };
            return Err(StoreError::MissingKey(
                purpose,
                u32::try_from(key_id).unwrap_or(0),
            ));
        }
        tx.commit().await
    }
}
