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

    /// Whether a signing key was recorded.
    pub(super) async fn has_signing_key(&self) -> Result<bool> {
        for row in self.read(COMMITMENTS, Vec::new()).await? {
            if row.int(0)? == KeyPurpose::Signing as i64 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Refuses a ring in which a recorded key is missing or another; records what is new. The signing key is
    /// checked in the same way, and by itself.
    pub(super) async fn check_keys(&self, ring: &[KeyCommitment]) -> Result<()> {
        let mut tx = self.begin().await?;
        let mut recorded = HashMap::new();
        for row in tx.fetch(COMMITMENTS, Vec::new()).await? {
            recorded.insert((row.int(0)?, row.int(1)?), row.bytes(2)?);
        }
        let is_signing = |purpose: i64| purpose == KeyPurpose::Signing as i64;
        let of_signing = ring.iter().any(|key| is_signing(key.purpose as i64));
        recorded.retain(|(purpose, _), _| is_signing(*purpose) == of_signing);
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
            let mut others = [KeyPurpose::Index, KeyPurpose::Signing].into_iter();
            let purpose = others.find(|other| *other as i64 == purpose);
            let purpose = purpose.unwrap_or(KeyPurpose::Sealing);
            return Err(StoreError::MissingKey(
                purpose,
                u32::try_from(key_id).unwrap_or(0),
            ));
        }
        tx.commit().await
    }
}
