//! The replicas of a world, their callers, and what befalls them: starts, stops, kills, and a backup that comes back.

use std::path::PathBuf;

use lead_intake::{
    clock::Clock as _,
    ledger::mirror::{Lines, Mirror},
    store::StoreUrl,
    token::Role,
};
use secrecy::ExposeSecret as _;

use super::{
    backup::{Backup, Rows},
    callers::{Callers, Tokens},
    feed::crm_name,
    process::{Process, hand_over_keys, set_policy},
    rules::Policy,
};
use crate::{raw::Raw, support::*};

/// The replicas of a world: two on PostgreSQL, one on SQLite.
pub struct House {
    pub world: World,
    policy: Policy,
    tokens: Tokens,
    processes: Vec<Option<Process>>,
    callers: Vec<Callers>,
    /// The session that is kept for a next look past the replicas.
    raw: Option<Raw>,
}

/// How the replicas end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    Stopped,
    Killed,
}

/// What the database has of a CRM client: delivered, acknowledged, the head at its last delivery, and how many leads it
/// was given that were withheld before.
pub type Place = (i64, i64, i64, i64);

impl House {
    /// A new world with this many CRM clients.
    pub async fn new(backend: Backend, policy: Policy, readers: usize) -> Self {
        let mut world = World::new(backend).await;
        set_policy(&mut world.settings, policy);
        hand_over_keys(&world);
        let count = match backend {
            Backend::Sqlite => 1,
            Backend::Postgres => 2,
        };
        let store = world.open().await;
        let token = |role: Role| {
            let (_, token) = world.tokens.iter().find(|(of, _)| *of == role).unwrap();
            token.expose().to_owned()
        };
        let mut crms = vec![token(Role::Crm)];
        for by in 1..readers {
            let token = world.new_token(&store, &crm_name(by), Role::Crm).await;
            crms.push(token.expose().to_owned());
        }
        let store_id = store.store_id();
        store.close().await;
        let mut house = Self {
            policy,
            tokens: Tokens {
                intake: token(Role::Intake),
                privacy: token(Role::Privacy),
                auditor: token(Role::Auditor),
                crms,
            },
            processes: Vec::new(),
            callers: Vec::new(),
            raw: None,
            world,
        };
        for replica in 0..count {
            std::fs::create_dir(house.dir(replica)).unwrap();
            Mirror::create(&house.mirror(replica), store_id).unwrap();
            house.processes.push(None);
            house.start(replica).await;
        }
        house
    }

    /// How many replicas there are.
    pub fn replicas(&self) -> usize {
        self.processes.len()
    }

    /// The callers of a replica.
    pub fn callers(&mut self, replica: usize) -> &mut Callers {
        &mut self.callers[replica]
    }

    fn dir(&self, replica: usize) -> PathBuf {
        self.world.dir.path().join(format!("replica-{replica}"))
    }

    /// Where the mirror of a replica is.
    pub fn mirror(&self, replica: usize) -> PathBuf {
        self.dir(replica).join("ledger")
    }

    /// Starts a replica. Its own first round of the sweep finds that there was one just now.
    pub async fn start(&mut self, replica: usize) {
        let now = self.world.clock.now().as_microsecond();
        let mut raw = self.raw().await;
        raw.execute(&format!(
            "UPDATE sweep SET run = run + 1, seen_at = {now}, is_doubted = FALSE"
        ))
        .await;
        self.keep(raw).await;
        let process = Process::start(&self.world, &self.dir(replica), self.policy).await;
        let callers = Callers::new(process.api, &self.tokens);
        self.callers.truncate(self.replicas());
        if replica < self.callers.len() {
            self.callers[replica] = callers;
        } else {
            self.callers.push(callers);
        }
        self.processes[replica] = Some(process);
    }

    pub async fn end(&mut self, replica: usize, end: End) {
        let process = self.processes[replica].take().unwrap();
        match end {
            End::Stopped => process.stop().await,
            End::Killed => process.kill().await,
        }
    }

    /// Ends every replica. Before a kill, each mirror has the whole ledger, so that what the world knows is what
    /// the mirrors know.
    pub async fn end_all(&mut self, end: End, head: i64) {
        for replica in 0..self.replicas() {
            if end == End::Killed {
                let dir = self.mirror(replica);
                let is_whole = || {
                    let last = Lines::last(&dir).unwrap();
                    last.is_some_and(|line| line.entry.sequence == head)
                };
                eventually(async || is_whole().then_some(())).await;
            }
        }
        for replica in 0..self.replicas() {
            self.end(replica, end).await;
        }
    }

    /// Starts every replica, this one first.
    pub async fn start_all(&mut self, first: usize) {
        let count = self.replicas();
        for place in 0..count {
            self.start((first + place) % count).await;
        }
    }

    pub async fn sweep(&mut self, replica: usize) -> u64 {
        self.processes[replica].as_mut().unwrap().sweep().await
    }

    pub async fn wait(&mut self, seconds: i64) {
        self.world.clock.advance_seconds(seconds);
        for process in self.processes.iter_mut().flatten() {
            process.wait(seconds).await;
        }
    }

    /// A session past the replicas, for a look into the database.
    pub async fn raw(&mut self) -> Raw {
        match self.raw.take() {
            Some(raw) => raw,
            None => Raw::open(&self.world).await,
        }
    }

    /// The look is over. PostgreSQL's sessions are dear; SQLite's file is whole when nobody has it open.
    pub async fn keep(&mut self, raw: Raw) {
        match raw {
            Raw::Postgres(_) => self.raw = Some(raw),
            Raw::Sqlite(_) => raw.close().await,
        }
    }

    /// Takes a backup. Replicas that had to be stopped for it are started again, this one first.
    pub async fn back_up(&mut self, first: usize, head: i64) -> Backup {
        match self.world.backend {
            Backend::Sqlite => {
                self.end_all(End::Stopped, head).await;
                let copy = self.world.back_up().await;
                self.start_all(first).await;
                Backup::Copy(copy)
            }
            Backend::Postgres => {
                let mut raw = self.raw().await;
                let rows = Rows::of(&mut raw).await;
                self.keep(raw).await;
                Backup::Rows(rows)
            }
        }
    }

    /// Puts a backup in the place of the database. No replica runs.
    pub async fn restore(&mut self, backup: &Backup) {
        match backup {
            Backup::Copy(copy) => self.world.restore(copy).await,
            Backup::Rows(rows) => {
                // The server may not have seen yet that a replica was killed, and be busy for it.
                self.sever().await;
                let mut raw = self.raw().await;
                rows.put_back(&mut raw).await;
                self.keep(raw).await;
            }
        }
    }

    /// What the database has of each CRM client.
    pub async fn places(&mut self) -> Vec<Place> {
        let mut raw = self.raw().await;
        let mut columns = Vec::new();
        for column in [
            "consumer.delivered",
            "consumer.acknowledged",
            "(SELECT snapshot FROM delivery WHERE delivery.client_id = client.id \
              AND delivery.upto = consumer.delivered)",
            "(SELECT COUNT(disclosed_at) FROM withheld WHERE withheld.client_id = client.id)",
        ] {
            let sql = format!(
                "SELECT COALESCE({column}, 0) FROM client \
                 LEFT JOIN consumer ON consumer.client_id = client.id \
                 WHERE client.role = 2 ORDER BY client.id"
            );
            columns.push(raw.numbers(&sql).await);
        }
        self.keep(raw).await;
        let place = |by: usize| {
            let [delivered, acknowledged, snapshot, disclosed] =
                [0, 1, 2, 3].map(|of| columns[of][by]);
            (delivered, acknowledged, snapshot, disclosed)
        };
        (0..self.tokens.crms.len()).map(place).collect()
    }

    /// Ends every session of the database, as a database that goes away for a moment does.
    pub async fn sever(&mut self) {
        let mut raw = self.raw().await;
        raw.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
        self.keep(raw).await;
    }

    /// The end of the world. One database more would be there: thousands of them would fill the disk.
    pub async fn close(mut self) {
        for replica in 0..self.replicas() {
            self.end(replica, End::Stopped).await;
            trace::add(&std::fs::read(self.dir(replica).join("log")).unwrap());
        }
        if let StoreUrl::Postgres(url) = &self.world.url {
            drop_postgres_database(url.expose_secret()).await;
        }
    }
}
