//! D1: the real program, killed in the middle of its work, again and again.
#![expect(clippy::print_stdout, reason = "figures, for whoever runs the tests")]

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use lead_intake::{
    pb::{
        self, crm_service_client::CrmServiceClient, intake_service_client::IntakeServiceClient,
        ledger_service_client::LedgerServiceClient,
    },
    store::StoreUrl,
};
use secrecy::ExposeSecret as _;
use tokio::{sync::Semaphore, task::JoinSet};
use tonic::{
    metadata::AsciiMetadataValue, service::interceptor::InterceptedService, transport::Endpoint,
};

use crate::{
    steps::pull_all,
    support::{binary::Binary, *},
};

/// Kills, if [`CYCLES`] does not say how many.
const CYCLES_SHORT: u32 = 20;
const CYCLES: &str = "LEAD_INTAKE_TEST_KILLS";
const CLIENTS: usize = 16;

/// The program, serving.
struct Program {
    binary: Binary,
    dir: PathBuf,
    /// From its start until it said that it was ready.
    ready_after: Duration,
}

impl Program {
    async fn start(world: &World, dir: &Path) -> Self {
        let started = Instant::now();
        let url = match &world.url {
            StoreUrl::Postgres(url) => Some(("LEAD_INTAKE_DATABASE_URL", url.expose_secret())),
            StoreUrl::Sqlite(_) => None,
        };
        let binary = Binary::serve(dir, url.as_slice()).await;
        eventually(async || {
            let answer = binary.probe("/readyz").await;
            answer.contains(" 200 ").then_some(())
        })
        .await;
        Self {
            binary,
            dir: dir.to_owned(),
            ready_after: started.elapsed(),
        }
    }

    /// Ends it at once, as a power cut would for the program itself.
    async fn kill(mut self) {
        self.binary.child.start_kill().unwrap();
        self.binary.child.wait().await.unwrap();
    }

    fn caller(&self, role: &str) -> Caller {
        let token = std::fs::read_to_string(self.dir.join("tokens").join(role)).unwrap();
        let header: AsciiMetadataValue = format!("Bearer {}", token.trim()).parse().unwrap();
        let channel = Endpoint::from_shared(self.binary.url())
            .unwrap()
            .connect_lazy();
        InterceptedService::new(trace::Recorded::new(channel), Bearer::new(header))
    }

    async fn verify(&self) {
        let mut ledger = LedgerServiceClient::new(self.caller("auditor"));
        let verified = ledger
            .verify_ledger(pb::VerifyLedgerRequest {})
            .await
            .unwrap()
            .into_inner();
        assert!(verified.intact, "{verified:?}");
    }
}

/// What one client knows about its own submissions.
struct Journal {
    client: usize,
    /// Identifier of each acknowledged lead, by its mailbox.
    acknowledged: HashMap<String, String>,
    /// What was sent and not answered: it may have happened or not.
    unknown: Vec<pb::SubmitLeadRequest>,
}

impl Journal {
    fn new(client: usize) -> Self {
        Self {
            client,
            acknowledged: HashMap::new(),
            unknown: Vec::new(),
        }
    }
}

/// Sends what is not known again, then new forms, until the server is gone. Each acknowledgement is a permit.
async fn submit(
    mut intake: IntakeServiceClient<Caller>,
    mut journal: Journal,
    acknowledgements: Arc<Semaphore>,
) -> Journal {
    let mut again = std::mem::take(&mut journal.unknown);
    loop {
        let number = journal.acknowledged.len();
        let next = || {
            form(
                "Kari",
                &format!("crash-{}-{number}@example.no", journal.client),
            )
        };
        let form = again.pop().unwrap_or_else(next);
        let Ok(stored) = intake.submit_lead(form.clone()).await else {
            again.push(form);
            journal.unknown = again;
            return journal;
        };
        let id = stored.into_inner().lead_id;
        journal.acknowledged.insert(form.email, id);
        acknowledgements.add_permits(1);
    }
}

/// One life of the program: the clients submit until it is killed, after so many acknowledgements.
async fn live(program: Program, journals: Vec<Journal>, kill_after: u32) -> Vec<Journal> {
    let acknowledgements = Arc::new(Semaphore::new(0));
    let mut clients = JoinSet::new();
    for journal in journals {
        let intake = IntakeServiceClient::new(program.caller("intake"));
        clients.spawn(submit(intake, journal, acknowledgements.clone()));
    }
    acknowledgements
        .acquire_many(kill_after)
        .await
        .unwrap()
        .forget();
    program.kill().await;
    clients.join_all().await
}

/// Reads on in the feed; the cursor is from before the crash.
async fn read_on(program: &Program, cursor: &mut String, told: &mut HashMap<String, String>) {
    let mut crm = CrmServiceClient::new(program.caller("crm"));
    let (changes, next) = pull_all(&mut crm, cursor, 1000).await;
    *cursor = next;
    for change in changes {
        let lead = change.lead.unwrap();
        let twice = told.insert(lead.email, lead.lead_id);
        assert!(twice.is_none(), "a lead is in the feed twice");
    }
}

on_both! {
    /// D1: killed at any moment, the server comes back ready by itself; every acknowledged lead is there
    /// exactly once, an unacknowledged one that is sent again at most once, and the ledger holds.
    async fn d1_killed_again_and_again(backend: Backend) {
        let world = World::new(backend).await;
        // A data directory of the program's own; on PostgreSQL it has the clients of the world already,
        // and would make no tokens: so a fresh database too.
        let world = World { url: fresh(&world).await, ..world };
        let dir = world.dir.path().join("data");
        let mut journals: Vec<Journal> = (0..CLIENTS).map(Journal::new).collect();
        let (mut cursor, mut told, mut ready) = (String::new(), HashMap::new(), Vec::new());
        let cycles = std::env::var(CYCLES).map_or(CYCLES_SHORT, |cycles| cycles.parse().unwrap());
        for cycle in 0..=cycles {
            let program = Program::start(&world, &dir).await;
            ready.push(program.ready_after);
            program.verify().await;
            read_on(&program, &mut cursor, &mut told).await;
            for (email, id) in journals.iter().flat_map(|journal| &journal.acknowledged) {
                assert_eq!(told.get(email), Some(id), "an acknowledged lead is lost");
            }
            // From the first acknowledgement to the middle of a busy time.
            journals = live(program, journals, 1 + cycle * 37 % 200).await;
        }
        // What is still not known, once more, and the feed as a whole.
        let program = Program::start(&world, &dir).await;
        let mut intake = IntakeServiceClient::new(program.caller("intake"));
        for journal in &mut journals {
            for form in std::mem::take(&mut journal.unknown) {
                let stored = intake.submit_lead(form.clone()).await.unwrap().into_inner();
                journal.acknowledged.insert(form.email, stored.lead_id);
            }
        }
        read_on(&program, &mut cursor, &mut told).await;
        let mut acknowledged = HashMap::new();
        acknowledged.extend(journals.into_iter().flat_map(|journal| journal.acknowledged));
        assert_eq!(told, acknowledged);
        program.verify().await;
        program.kill().await;
        ready.sort();
        println!(
            "{backend:?}: {} leads over {cycles} kills; ready again after {:?} (median), {:?} (worst)",
            told.len(), ready[ready.len() / 2], ready[ready.len() - 1],
        );
    }
}

/// A database without clients.
async fn fresh(world: &World) -> StoreUrl {
    match world.backend {
        Backend::Sqlite => world.url.clone(),
        Backend::Postgres => new_postgres_database().await.parse().unwrap(),
    }
}
