//! D11: a database of each schema that there was, brought up to this one by the real program: nothing is lost, every lead
//! opens, an old cursor is taken, and a migration that was killed is ended by the next.
//!
//! Of the first schema there is what its own program wrote (`tests/it/golden/schema-1.sql`). For the others [`past`] makes the
//! database that one would have left: one with the first migrations alone is given what this program wrote of what that
//! schema could hold. How leads are sealed, how entries are hashed and what a cursor says has not changed since the first
//! schema; whoever changes one of them keeps a database of before, and reads it here.
//!
//! `LEAD_INTAKE_TEST_ROWS` and `LEAD_INTAKE_TEST_EVERY_POINT` make it longer, as `.ci/soak` does.
#![expect(clippy::print_stdout, reason = "figures, for whoever runs the tests")]

mod past;

use std::{env, fs, process::Stdio};

use lead_intake::pb::{
    self, ChangeKind, RestrictionReason, crm_service_client::CrmServiceClient,
    intake_service_client::IntakeServiceClient, ledger_service_client::LedgerServiceClient,
    privacy_service_client::PrivacyServiceClient,
};
use tokio::{task::JoinSet, time::timeout};

use crate::{
    crash_points::{EVERY_POINT, POINTS_MAX, Place, calls},
    rights::{consent_form, correction, restriction},
    steps::{acknowledge, erasure, get_lead, ledger_after, pull, pull_all, verify_by},
    support::{
        binary::{Binary, PATIENCE, command},
        strace, *,
    },
};

/// As the files in `migrations/` have it.
const SCHEMAS: usize = 10;
/// The first one under which a lead could be corrected, restricted and closed.
const RIGHTS: usize = 2;
/// Callers that fill a database.
const CALLERS: usize = 8;

const NAMES: [&str; 5] = [
    "Kari Nordmann",
    "Zoë Ñuñez-Łukasiewicz",
    "山田 太郎",
    "Ase\u{301} Ødegård 🌲",
    "Σωκράτης Ὀδυσσεύς",
];

/// A database, and what it told.
struct Scene {
    place: Place,
    cursor: String,
    before: Answers,
}

/// What the service tells of what is in it.
struct Answers {
    feed: Vec<pb::LeadChange>,
    found: Vec<(&'static str, Vec<pb::MatchedLead>)>,
    entries: Vec<pb::LedgerEntry>,
}

/// People of whom more is known than their form.
const PEOPLE: [&str; 5] = ["erased", "restricted", "rectified", "withdrawn", "closed"];

fn mail(who: &str) -> String {
    format!("{who}@example.no")
}

fn rows() -> usize {
    env::var("LEAD_INTAKE_TEST_ROWS").map_or(40, |rows| rows.parse().expect("a number"))
}

async fn serve(place: &Place) -> Binary {
    // Ten thousand rows are more than one website may send in a few seconds.
    let mut envs = place.envs();
    envs.push(("LEAD_INTAKE_LIMITS", "false"));
    let server = Binary::serve(place.dir.path(), &envs).await;
    assert!(server.is_ready().await, "{}", server.log());
    server
}

async fn stop(server: Binary) {
    let (ended, log) = server.signal("TERM").await;
    assert!(ended.success() && !log.contains("panicked"), "{log}");
}

/// A database that was filled with what a schema could hold, and what it told of that.
async fn fill(backend: Backend, schema: usize) -> Scene {
    let place = Place::new(backend).await;
    let server = serve(&place).await;
    let caller = |role| server.caller(place.dir.path(), role);
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let mut intake = IntakeServiceClient::new(caller("intake"));
        callers.spawn(async move {
            for row in (number..rows()).step_by(CALLERS) {
                let form = form(NAMES[row % NAMES.len()], &mail(&format!("row-{row}")));
                intake.submit_lead(form).await.unwrap();
            }
        });
    }
    callers.join_all().await;
    let mut crm = CrmServiceClient::new(caller("crm"));
    let cursor = pull(&mut crm, "", 10).await.unwrap().next_cursor;
    acknowledge(&mut crm, &cursor).await.unwrap();
    let mut intake = IntakeServiceClient::new(caller("intake"));
    let mut leads = Vec::new();
    for (who, name) in PEOPLE.into_iter().zip(NAMES) {
        let form = pb::SubmitLeadRequest {
            name: name.to_owned(),
            phone: "+47 406 05 600".to_owned(),
            ..consent_form(&mail(who))
        };
        leads.push(intake.submit_lead(form).await.unwrap().into_inner().lead_id);
    }
    pull_all(&mut crm, &cursor, 100).await;
    let mut privacy = PrivacyServiceClient::new(caller("privacy"));
    let erased = privacy.erase_subject(erasure(&mail(PEOPLE[0]))).await;
    assert_eq!(erased.unwrap().into_inner().leads.len(), 1);
    if schema >= RIGHTS {
        let request = restriction(&leads[1], RestrictionReason::SubjectLegalClaim);
        privacy.restrict_lead(request).await.unwrap();
        let request = correction(&leads[2], 1, "company", "Blåbær & Sønner AS");
        privacy.rectify_lead(request).await.unwrap();
        let request = pb::WithdrawConsentRequest {
            lead_id: leads[3].clone(),
        };
        intake.withdraw_consent(request).await.unwrap();
        let request = pb::CloseLeadRequest {
            lead_id: leads[4].clone(),
            outcome: pb::CloseOutcome::Answered.into(),
        };
        crm.close_lead(request).await.unwrap();
    }
    let before = answers(&server, &place, &cursor).await;
    stop(server).await;
    Scene {
        place,
        cursor,
        before,
    }
}

async fn answers(server: &Binary, place: &Place, cursor: &str) -> Answers {
    let caller = |role| server.caller(place.dir.path(), role);
    let mut auditor = LedgerServiceClient::new(caller("auditor"));
    verify_by(&mut auditor).await;
    let mut crm = CrmServiceClient::new(caller("crm"));
    let (feed, _) = pull_all(&mut crm, cursor, 1000).await;
    let mut found = Vec::new();
    let mut privacy = PrivacyServiceClient::new(caller("privacy"));
    for who in PEOPLE.into_iter().chain(["row-1"]) {
        let request = pb::FindSubjectRequest {
            request: subject(&mail(who)),
        };
        let answer = privacy.find_subject(request).await.unwrap();
        found.push((who, answer.into_inner().leads));
    }
    Answers {
        feed,
        found,
        entries: ledger_after(&mut auditor, 0).await.unwrap(),
    }
}

/// What a database tells after the migration is what it told before.
async fn assert_same(place: &Place, scene: &Scene, what: &str) {
    let server = serve(place).await;
    let after = answers(&server, place, &scene.cursor).await;
    let before = &scene.before;
    assert!(before.feed.len() > rows() - 10, "{what}");
    assert!(after.feed == before.feed, "{what}: the feed");
    assert!(after.found == before.found, "{what}: people");
    // What was found since is on record too.
    let entries = &after.entries[..before.entries.len()];
    assert!(entries == before.entries, "{what}: the ledger");
    let erased = before
        .feed
        .iter()
        .filter(|it| it.kind() == ChangeKind::Erased);
    assert!(erased.count() > 0, "{what}: no tombstone");
    // And it takes more.
    let mut intake = IntakeServiceClient::new(server.caller(place.dir.path(), "intake"));
    let form = form(NAMES[3], &mail("afterwards"));
    intake.submit_lead(form).await.unwrap();
    stop(server).await;
}

/// `migrate`, killed at a call to the system or not; gives whether it came to its end.
async fn migrate(place: &Place, killed_at: Option<(&str, usize)>) -> bool {
    let mut command = match killed_at {
        None => command(&place.envs()),
        Some((call, point)) => {
            let kill = [
                format!("trace={call}"),
                format!("inject={call}:signal=KILL:when={point}"),
            ];
            strace::command(&place.envs(), &[&kill[0], &kill[1]], &[])
        }
    };
    command
        .arg("migrate")
        .arg("--data-dir")
        .arg(place.dir.path());
    let run = timeout(PATIENCE, command.stdin(Stdio::null()).output()).await;
    let ran = run.expect("it hangs").unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() || killed_at.is_some(), "{said}");
    ran.status.success()
}

/// D11: what the first program itself wrote: every lead opens, its person is found, the chain holds, and the CRM's cursor of
/// then goes on.
#[tokio::test(flavor = "multi_thread")]
async fn d11_what_the_first_program_wrote_is_read() {
    const CURSOR: &str = "aeaaaaaaaaaaaaiaaaaaaaaaaajkvc276u";
    let place = past::first().await;
    assert!(migrate(&place, None).await);
    let tokens = place.dir.path().join("tokens");
    fs::create_dir(&tokens).unwrap();
    for name in ["crm", "privacy", "auditor"] {
        // Those of then live for a year.
        let data = place.dir.path().to_str().unwrap();
        let add = ["client", "add", name, "--role", name, "--data-dir", data];
        let token = binary::run(&[], &add, "").await.with_code(0).out;
        fs::write(tokens.join(name), token).unwrap();
    }
    let server = serve(&place).await;
    let caller = |role| server.caller(place.dir.path(), role);
    verify_by(&mut LedgerServiceClient::new(caller("auditor"))).await;
    let rows = (0..10).map(|row| (NAMES[row % NAMES.len()], mail(&format!("row-{row}"))));
    let people = NAMES.into_iter().zip(PEOPLE.map(mail));
    let (mut privacy, mut crm) = (
        PrivacyServiceClient::new(caller("privacy")),
        CrmServiceClient::new(caller("crm")),
    );
    for (name, mail) in rows.chain(people) {
        let request = pb::FindSubjectRequest {
            request: subject(&mail),
        };
        let found = privacy.find_subject(request).await.unwrap();
        let found = found.into_inner().leads;
        if mail == "erased@example.no" {
            assert!(found.is_empty());
            continue;
        }
        let lead = get_lead(&mut crm, &found[0].lead_id).await.unwrap();
        // A name is kept composed.
        let name = name.replace("e\u{301}", "é");
        assert_eq!((found.len(), lead.name, lead.email), (1, name, mail));
    }
    let (feed, _) = pull_all(&mut crm, CURSOR, 100).await;
    let kinds: Vec<ChangeKind> = feed.iter().map(pb::LeadChange::kind).collect();
    let submitted = [ChangeKind::Submitted; 4];
    assert_eq!(kinds, [&submitted[..], &[ChangeKind::Erased]].concat());
    stop(server).await;
}

on_both! {
    /// D11: from each schema to this one, with people who were erased and restricted, and names of many scripts.
    async fn d11_every_schema_is_brought_up_to_date(backend: Backend) {
        let [first, later] = [fill(backend, 1).await, fill(backend, RIGHTS).await];
        for schema in 1..=SCHEMAS {
            let scene = if schema < RIGHTS { &first } else { &later };
            let place = past::of(&scene.place, schema).await;
            let mut rows_before = past::counts(&place).await;
            assert!(migrate(&place, None).await);
            let rows = past::counts(&place).await;
            rows_before.retain(|table, _| rows.contains_key(table));
            for (table, before) in rows_before {
                assert_eq!(rows[&table], before, "schema {schema}: {table}");
            }
            assert_same(&place, scene, &format!("schema {schema}")).await;
        }
    }

    /// D11: a migration from the first schema that is killed at any call by which it changes the database is ended by the
    /// next, and what comes out is what one that nobody killed makes.
    async fn d11_a_killed_migration_is_ended_by_the_next(backend: Backend) {
        let scene = fill(backend, 1).await;
        let old = past::of(&scene.place, 1).await;
        let whole = old.copy().await;
        assert!(migrate(&whole, None).await);
        let wanted = past::dump(&whole).await;
        assert!(wanted != past::dump(&old).await);
        let mut killed_in_all = 0;
        for call in calls(backend) {
            let stride = if env::var_os(EVERY_POINT).is_some() { 1 } else { 9 };
            let mut killed = 0;
            for point in (1..POINTS_MAX).step_by(stride) {
                let place = old.copy().await;
                if migrate(&place, Some((call, point))).await {
                    break;
                }
                killed += 1;
                assert!(migrate(&place, None).await);
                assert!(past::dump(&place).await == wanted, "{call} {point}");
                place.remove().await;
            }
            println!("{backend:?}: killed at {killed} of its calls of {call}");
            killed_in_all += killed;
        }
        assert!(killed_in_all > 5, "nothing was killed");
        assert_same(&whole, &scene, "whole").await;
    }

    /// D11: a program that is older than the schema refuses it, in every command that would use it, and changes nothing.
    async fn d11_an_older_program_refuses(backend: Backend) {
        let place = Place::new(backend).await;
        stop(serve(&place).await).await;
        past::claim_a_newer_schema(&place).await;
        let before = past::dump(&place).await;
        for args in [&["migrate"][..], &["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"], &["client", "list"]] {
            let data = place.dir.path().to_str().unwrap();
            let args = [args, &["--data-dir", data]].concat();
            let refused = binary::run(&place.envs(), &args, "").await.with_code(1);
            let told = "made by a newer lead-intake; use that version";
            assert!(refused.err.contains(told), "{args:?}: {}", refused.err);
        }
        assert!(past::dump(&place).await == before);
    }
}
