//! How each client stands: until when its token holds and, of a CRM, how far it is behind. Counts and times; it names
//! no person.

use jiff::Timestamp;

use super::{
    Result, StoreError,
    dialect::{Columns as _, Dialect, values},
    ledger::HEAD_ROW,
    sql::{Sql, statements},
};
use crate::{clock::from_micros, token::Role};

statements! {
    // A client without a token that holds is nobody who could do anything.
    CLIENTS = "SELECT client.name, client.role, COALESCE(consumer.acknowledged, 0), \
               (SELECT MAX(token.not_after) FROM token WHERE token.client_id = client.id \
                   AND token.revoked_at IS NULL AND token.not_after > $1) \
               FROM client LEFT JOIN consumer ON consumer.client_id = client.id ORDER BY client.id";
    // The first submission after a position whose lead may still be read: what is gone or restricted waits for nobody.
    WAITING = "SELECT next.at FROM (SELECT sequence, kind, lead_id, at FROM ledger \
                   WHERE sequence > $1 ORDER BY sequence LIMIT $2) AS next \
               JOIN lead ON lead.id = next.lead_id \
               WHERE next.kind = 1 AND lead.restrictions = 0 ORDER BY next.sequence LIMIT 1";
}

/// Entries looked at for one client.
const SCAN_MAX: i64 = 10_000;

/// How a client stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Its name.
    pub client: String,
    /// Its role.
    pub role: Role,
    /// Until when it has a token that holds; none: it has none.
    pub token_until: Option<Timestamp>,
    /// Of a CRM, how it stands with the feed.
    pub feed: Option<FeedStanding>,
}

/// How a CRM client stands with the feed.
#[derive(Clone, Copy, Debug)]
pub struct FeedStanding {
    /// Entries of the ledger after its acknowledged position.
    pub behind: i64,
    /// When the oldest lead that it has not acknowledged was submitted.
    pub waiting_since: Option<Timestamp>,
}

impl<DB: Dialect> Sql<DB> {
    pub(super) async fn standings(&self, now: Timestamp) -> Result<Vec<Standing>> {
        // The head first: nobody is ahead of it then but by what came in between.
        let rows = self.read(HEAD_ROW, Vec::new()).await?;
        let head = rows.first().map_or(Ok(0), |row| row.int(0))?;
        let rows = self.read(CLIENTS, values![now.as_microsecond()]).await?;
        let mut standings = Vec::new();
        for row in &rows {
            let role = Role::from_number(row.int(1)?);
            let role = role.ok_or(StoreError::Corrupt("a client without a role"))?;
            let token_until = row.opt_int(3)?.map(from_micros);
            // One whose tokens are gone reads nothing any more: it waits for nothing either.
            let is_reader = role == Role::Crm && token_until.is_some();
            let feed = if is_reader {
                Some(self.feed_standing(row.int(2)?, head).await?)
            } else {
                None
            };
            standings.push(Standing {
                client: row.text(0)?,
                role,
                token_until,
                feed,
            });
        }
        Ok(standings)
    }

    async fn feed_standing(&self, acknowledged: i64, head: i64) -> Result<FeedStanding> {
        let rows = self.read(WAITING, values![acknowledged, SCAN_MAX]).await?;
        let waiting_since = rows
            .first()
            .map(|row| row.int(0).map(from_micros))
            .transpose()?;
        Ok(FeedStanding {
            behind: (head - acknowledged).max(0),
            waiting_since,
        })
    }
}
