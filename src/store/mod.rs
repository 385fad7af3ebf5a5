//! Where leads lie: one generic implementation over SQLite and PostgreSQL.
//!
//! How to read it: a trait for each capability stands here (that of keys in [`rotation`], that of accounts in [`account`]), so that a service holds no more than it may use
//! ([`IntakeStore`] cannot read leads); [`sql::SqlStore`] implements them all, a file for each; what the databases do
//! differently is in [`dialect`]. The rules: one call is one method is one transaction, its ledger entries
//! included, appended last ([`append`], and [`foreseen`] for batches); statements are constants beside their use, the same text for both
//! databases but for lists of rows ([`bulk`]); every list has a bound. To add a call: a trait method here, a body in the file of its
//! capability, its statements in that file's `statements!` (a test prepares them all on both databases).

mod account;
mod act;
mod append;
mod backup;
mod broken;
mod bulk;
mod client;
mod dialect;
mod disclosed;
mod erase;
mod error;
mod feed;
mod foreseen;
mod group;
mod history;
mod intake;
mod kept;
mod keys;
mod ledger;
mod lookup;
mod migrations;
mod mirror;
mod object;
mod open;
mod packed;
mod postgres;
mod privacy;
mod refused;
mod repeat;
mod reseal;
mod residue;
mod restore;
mod rights;
mod room;
mod rotation;
mod signal;
mod signing;
mod sql;
mod sqlite;
mod standing;
mod statistics;
mod sweep;
mod tx;
mod url;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use self::{
    account::{AccountStore, Backlog, Cleared, Duties, Receipt, Recipient},
    backup::{Copied, SqliteFile},
    client::{NewToken, TokenRecord},
    error::{Result, StoreError},
    feed::Acknowledgement,
    ledger::{LedgerStore, NamedEntry},
    lookup::{STEP as INDEX_STEP, TAIL_MAX},
    open::{MirrorOptions, OpenOptions, open},
    residue::CleanUp,
    rights::{
        Amend, Amended, Candidate, Closed, Disclosure, Erasure, ErasureOrder, Export, Judge,
        Lifting, Objection, Rectification, Rectified, Restriction, RightsCall, Selection,
        SubjectLookup, Withdrawal,
    },
    rotation::{KeyCounts, KeyRecord, KeyStore, NewSeals, ResealBatch, RingState, Walk},
    sql::all_statements,
    standing::{FeedStanding, Standing},
    statistics::{LeadCount, OpenRequests, Statistics},
    sweep::{Batch, Claim, Claimed, Overdue, Preview, Turn},
    url::StoreUrl,
};
use crate::{
    domain::{
        lead::{CloseOutcome, LeadFacts, LeadId, RestrictionReason},
        retention::RetentionPolicy,
        subject::ObjectionKind,
    },
    ledger::{
        Entry,
        mirror::{Line, Mirror},
    },
    seal::SealedLead,
};

/// A caller, as its token proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Number, as in the ledger.
    pub id: i64,
    /// Name.
    pub name: String,
    /// The one role, as numbered in the contract.
    pub role: i64,
    /// How the system behind it relates to the controller, as numbered in `cli::setup`.
    pub relation: i64,
}

/// Takes leads, and can read none.
#[async_trait]
pub trait IntakeStore: fmt::Debug + Send + Sync {
    /// Stores a lead, durably, together with what else arrives at the same time.
    async fn submit(&self, client_id: i64, lead: SealedLead) -> Result<Submission>;

    /// What an earlier submission with the same key left; stores nothing. `None`: there was none.
    async fn repeat(&self, client_id: i64, lead: &SealedLead) -> Result<Option<Submission>>;

    /// Withdraws the consent to a lead.
    async fn withdraw(
        &self,
        client_id: i64,
        id: LeadId,
        policy: &RetentionPolicy,
    ) -> Result<Withdrawal>;
}

/// What became of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submission {
    /// The lead is stored, now or by an earlier call with the same key and content.
    Stored {
        /// Its identifier.
        id: LeadId,
        /// When it was submitted.
        submitted_at: Timestamp,
    },
    /// The key was used for something else.
    RequestIdReused,
    /// The key's lead was erased since.
    LeadErased,
}

/// Reads the feed.
#[async_trait]
pub trait FeedStore: fmt::Debug + Send + Sync {
    /// The restore epoch: a position from another one means nothing.
    fn epoch(&self) -> i64;

    /// Tells the number of the ledger's last entry as it moves, from other replicas too.
    fn head(&self) -> watch::Receiver<i64>;

    /// What a client hears after position `after` (`None`: after its acknowledged position), at most
    /// `limit` changes. Records what is about to be disclosed before it returns. Refuses a position that
    /// the client was never given.
    async fn page(&self, client_id: i64, after: Option<i64>, limit: i64) -> Result<FeedPage>;

    /// Moves the client's acknowledged position forward. `None` for a position it was never given.
    async fn acknowledge(
        &self,
        client_id: i64,
        position: i64,
        now: Timestamp,
    ) -> Result<Option<Acknowledgement>>;

    /// One lead that may be read now, with a ledger entry that says so.
    async fn lead(&self, client_id: i64, id: LeadId) -> Result<Option<StoredLead>>;

    /// Ends the enquiry of a lead. `None`: there is no lead that the client may see.
    async fn close_lead(
        &self,
        client_id: i64,
        id: LeadId,
        outcome: CloseOutcome,
        policy: &RetentionPolicy,
    ) -> Result<Option<Closed>>;
}

/// A page of the feed.
#[derive(Debug)]
pub struct FeedPage {
    /// Changes in order.
    pub changes: Vec<FeedChange>,
    /// The position after the page.
    pub next: i64,
    /// Whether more follows.
    pub has_more: bool,
}

/// A change as a client hears it.
#[derive(Debug)]
pub struct FeedChange {
    /// Its position.
    pub sequence: i64,
    /// What happened; always a kind with [`crate::ledger::EntryKind::is_change`].
    pub kind: crate::ledger::EntryKind,
    /// The lead it happened to.
    pub lead_id: LeadId,
    /// When.
    pub at: Timestamp,
    /// The lead as it is now, where it may be read now.
    pub lead: Option<StoredLead>,
}

/// A lead as it lies in the database.
#[derive(Clone, Debug)]
pub struct StoredLead {
    /// What is not sealed.
    pub facts: LeadFacts,
    /// What is.
    pub sealed: Vec<u8>,
    /// The key of its look-up values.
    pub index_key_id: u32,
}

/// Answers the rights of people.
#[async_trait]
pub trait PrivacyStore: fmt::Debug + Send + Sync {
    /// The leads of a person and those that may be; recorded.
    async fn find(&self, subject: &SubjectLookup<'_>) -> Result<Selection>;

    /// The same, as a copy for the person, with who was given them; recorded lead by lead.
    async fn export(&self, subject: &SubjectLookup<'_>) -> Result<Export>;

    /// Erases the leads of a person.
    async fn erase(&self, subject: &SubjectLookup<'_>, order: ErasureOrder) -> Result<Erasure>;

    /// Records an objection of a person.
    async fn object(&self, subject: &SubjectLookup<'_>, kind: ObjectionKind) -> Result<Objection>;

    /// Corrects a lead. `None`, here and below: there is no such lead.
    async fn rectify(
        &self,
        call: &RightsCall,
        order: Rectification<'_>,
    ) -> Result<Option<Rectified>>;

    /// Restricts a lead.
    async fn restrict(
        &self,
        call: &RightsCall,
        id: LeadId,
        reason: RestrictionReason,
    ) -> Result<Option<Restriction>>;

    /// Lifts a reason of a restriction; `call.received_at` is when the person was told.
    async fn lift(
        &self,
        call: &RightsCall,
        id: LeadId,
        reason: RestrictionReason,
        policy: &RetentionPolicy,
    ) -> Result<Option<Lifting>>;
}

/// Feeds the ledger's mirror.
#[async_trait]
pub trait MirrorStore: fmt::Debug + Send + Sync {
    /// The mirror, if this process writes one.
    fn mirror(&self) -> Option<Arc<Mirror>>;

    /// Submissions as this process commits them. Who is too slow misses some, and reads them by
    /// [`MirrorStore::lines`].
    fn committed(&self) -> broadcast::Receiver<Arc<[Entry]>>;

    /// At most `limit` entries after a number, in order, with what a restore needs beside them.
    async fn lines(&self, after: i64, limit: i64) -> Result<Vec<Line>>;
}

/// Knows the clients.
#[async_trait]
pub trait ClientStore: fmt::Debug + Send + Sync {
    /// The token with this identifier, and its client.
    async fn token(&self, key_id: &str) -> Result<Option<TokenRecord>>;

    /// The token of the client with this name that holds longest; a revoked one only if there is no other.
    async fn token_of(&self, name: &str) -> Result<Option<TokenRecord>>;

    /// Adds a client, or a second token for one that has the same role. `Ok(None)`: the client has another
    /// role, or two live tokens already.
    async fn add_token(&self, new: NewToken<'_>) -> Result<Option<Client>>;

    /// Revokes every token of a client. `None`: there is no such client.
    async fn revoke(&self, name: &str, now: Timestamp) -> Result<Option<u64>>;

    /// Every client with its tokens.
    async fn clients(&self) -> Result<Vec<(Client, Option<TokenRecord>)>>;
}

/// Erases what has reached its time (Art. 5(1)(e)).
#[async_trait]
pub trait RetentionStore: fmt::Debug + Send + Sync {
    /// Claims the next round of the sweep, for one replica of all, if the clock is to be trusted.
    async fn claim_sweep(&self, turn: Turn, now: Timestamp) -> Result<Claim>;

    /// Erases a batch of what is overdue in this way: at most 500 leads, never a restricted one. What may
    /// go, goes by [`crate::domain::sweep::horizon`].
    async fn sweep_batch(
        &self,
        overdue: Overdue,
        policy: &RetentionPolicy,
        now: Timestamp,
    ) -> Result<Batch>;

    /// Records that a round came to its end.
    async fn finish_sweep(&self, run: i64, now: Timestamp) -> Result<()>;

    /// What a round would do at `now`; changes nothing.
    async fn preview_sweep(&self, policy: &RetentionPolicy, now: Timestamp) -> Result<Preview>;
}

/// What else the service asks of its database.
#[async_trait]
pub trait AdminStore: fmt::Debug + Send + Sync {
    /// Whether the database answers and takes writes, and the mirror too.
    async fn ping(&self) -> Result<()>;

    /// Removes what deletions leave behind in the database's files; `false` while a reader holds it.
    async fn clean_up(&self) -> Result<bool>;

    /// Records the key that signs checkpoints on first use; later refuses another one.
    async fn check_signing_key(&self, commitment: [u8; 16]) -> Result<()>;

    /// Whether a signing key was recorded.
    async fn has_signing_key(&self) -> Result<bool>;

    /// The identity of the database: the genesis of its ledger and the name of its checkpoints are made of it.
    fn store_id(&self) -> Uuid;

    /// Changes whenever this process leaves something to clean up. `None`: the database does it itself.
    fn residue(&self) -> Option<watch::Receiver<()>>;

    /// How many entries of the ledger await [`Self::index`], as far as this process knows. `None`: none ever do.
    fn unindexed(&self) -> Option<i64>;

    /// Puts the leads into the blind indexes that are not in them: until then a look-up has to look through them.
    async fn index(&self) -> Result<()>;

    /// Cancelled when the database's disk failed to flush, or the database lost what was committed: nothing is written any
    /// more, and the process must end.
    fn broken(&self) -> CancellationToken;

    /// Waits for what was accepted, then closes every connection.
    async fn close(&self);
}

/// A store with every capability.
pub trait Store:
    IntakeStore
    + FeedStore
    + PrivacyStore
    + RetentionStore
    + AccountStore
    + LedgerStore
    + MirrorStore
    + ClientStore
    + KeyStore
    + AdminStore
{
}

impl<T> Store for T where
    T: IntakeStore
        + FeedStore
        + PrivacyStore
        + AccountStore
        + RetentionStore
        + LedgerStore
        + MirrorStore
        + ClientStore
        + KeyStore
        + AdminStore
{
}

/// A store that many services share.
pub type SharedStore = Arc<dyn Store>;
