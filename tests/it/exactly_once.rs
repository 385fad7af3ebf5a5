//! I1: a website behind a bad line. The connection is cut at random places, the website sends each form again under the
//! same key until it has an answer, and every form becomes one lead. Repeats that meet, that differ, that come after an
//! erasure, from another client or after years are in `submit.rs` (I2 to I6).
//!
//! `LEAD_INTAKE_TEST_SUBMITS` makes it longer, as `.ci/soak` does; `LEAD_INTAKE_TEST_SEED` cuts elsewhere.
#![expect(clippy::print_stdout, reason = "figures, for whoever runs the tests")]

use std::{
    collections::HashSet,
    env,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use lead_intake::{
    pb::{ChangeKind, EntryKind, intake_service_client::IntakeServiceClient},
    rpc::limits::Limits,
    server::Parts,
    token::Role,
};
use tokio::task::JoinSet;
use tonic::{Code, service::interceptor::InterceptedService, transport::Endpoint};

use crate::{
    steps::{heard, ledger, pull_all, verify},
    support::{cutting_proxy::CuttingProxy, trace::Recorded, *},
};

/// Websites that submit at the same time, each by a connection of its own.
const WEBSITES: usize = 16;
/// How often a form is sent: once, and eight times again.
const TRIES_MAX: usize = 9;

fn setting(name: &str, default: usize) -> usize {
    env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// What may or may not have happened: the call is made again.
fn is_unknown(code: Code) -> bool {
    // What tonic makes of a connection that was cut, by how far the call was.
    let cut = [
        Code::Unavailable,
        Code::Unknown,
        Code::Cancelled,
        Code::Internal,
    ];
    cut.contains(&code)
}

/// Submits forms one after the other; gives the leads that were acknowledged. With `anew` each try has a key of its own.
async fn website(
    api: std::net::SocketAddr,
    token: String,
    (site, forms): (usize, usize),
    anew: bool,
    repeats: Arc<AtomicUsize>,
) -> Vec<String> {
    let channel = Endpoint::from_shared(format!("http://{api}"))
        .unwrap()
        .connect_lazy();
    let bearer = Bearer::new(format!("Bearer {token}").parse().unwrap());
    let caller = InterceptedService::new(Recorded::new(channel), bearer);
    let mut intake = IntakeServiceClient::new(caller);
    let mut stored = Vec::new();
    for number in 0..forms {
        let mut form = form("Kari Nordmann", &format!("i1-{site}-{number}@example.no"));
        for tried in 1.. {
            match intake.submit_lead(form.clone()).await {
                Ok(answer) => {
                    stored.push(answer.into_inner().lead_id);
                    break;
                }
                Err(status) => {
                    assert!(is_unknown(status.code()) && tried < TRIES_MAX, "{status:?}");
                    repeats.fetch_add(1, Ordering::Relaxed);
                    if anew {
                        form.request_id = new_id().to_string();
                    }
                }
            }
        }
    }
    stored
}

/// What became of so many forms behind a line that is cut.
struct Outcome {
    acknowledged: Vec<String>,
    leads: usize,
}

async fn submit_through_cuts(backend: Backend, forms: usize, anew: bool) -> Outcome {
    let world = World::new(backend).await;
    let limits = || {
        |parts| Parts {
            limits: Limits::none(),
            ..parts
        }
    };
    let mut replicas = vec![world.start_with(limits()).await];
    if backend == Backend::Postgres {
        replicas.push(world.start_with(limits()).await);
    }
    let seed = setting("LEAD_INTAKE_TEST_SEED", 1);
    let servers = replicas.iter().map(|replica| replica.api).collect();
    let proxy = CuttingProxy::start(servers, u64::try_from(seed).unwrap()).await;
    let repeats = Arc::new(AtomicUsize::new(0));
    let mut websites = JoinSet::new();
    for site in 0..WEBSITES {
        let token = replicas[0].token(Role::Intake).to_owned();
        let own = (
            site,
            forms / WEBSITES + usize::from(site < forms % WEBSITES),
        );
        websites.spawn(website(proxy.address, token, own, anew, repeats.clone()));
    }
    let acknowledged = websites.join_all().await.concat();
    let (cuts, repeats) = (proxy.cuts(), repeats.load(Ordering::Relaxed));
    println!(
        "{backend:?}, seed {seed}: {forms} forms, {cuts:?} cuts there and back, {repeats} repeats"
    );
    // Or it proves nothing.
    assert!(cuts.iter().all(|cuts| *cuts > 5), "{cuts:?} cuts");
    assert!(repeats > forms / 50, "{repeats} repeats");

    let entries = ledger(&replicas[0]).await;
    let submitted = entries
        .iter()
        .filter(|it| it.kind() == EntryKind::Submitted);
    let leads = submitted.count();
    for replica in &replicas {
        let (changes, _) = pull_all(&mut replica.crm(), "", 1000).await;
        assert!(changes.iter().all(|it| it.kind() == ChangeKind::Submitted));
        let told: HashSet<&str> = changes.iter().map(|it| heard(it).1).collect();
        assert_eq!(
            (changes.len(), told.len()),
            (leads, leads),
            "once in the feed"
        );
        assert!(
            acknowledged.iter().all(|id| told.contains(&**id)),
            "a lead is missing"
        );
        verify(replica).await;
    }
    for replica in replicas {
        replica.stop().await;
    }
    Outcome {
        acknowledged,
        leads,
    }
}

on_both! {
    /// I1: however the line is cut, each form that a website sends until it is answered is one lead, once in the feed;
    /// with two replicas a repeat goes to either.
    async fn i1_a_form_behind_a_bad_line_is_one_lead(backend: Backend) {
        let forms = setting("LEAD_INTAKE_TEST_SUBMITS", 1000);
        let Outcome { acknowledged, leads } = submit_through_cuts(backend, forms, false).await;
        let distinct: HashSet<_> = acknowledged.iter().collect();
        assert_eq!((acknowledged.len(), distinct.len(), leads), (forms, forms, forms));
    }
}

/// I1, the negative control: with a new key for each try the same line makes leads of the same form twice. So the test
/// above is not blind, and a website must keep its key.
#[tokio::test(flavor = "multi_thread")]
async fn i1_a_new_key_for_each_try_doubles_leads() {
    let Outcome {
        acknowledged,
        leads,
    } = submit_through_cuts(Backend::Sqlite, 500, true).await;
    println!("{leads} leads of {} forms", acknowledged.len());
    assert!(leads > acknowledged.len(), "the control must double leads");
}
