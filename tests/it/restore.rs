//! A backup comes back (Art. 5(1)(f), 17, 32(1)(c)): nobody who was erased since comes with it.

mod given;

use std::collections::BTreeMap;

use lead_intake::{
    ledger::mirror::MirrorError,
    pb::{self, ChangeKind, EntryKind, RestrictionReason},
    store::{MirrorOptions, StoreError, StoreUrl},
    token::Role,
};
use secrecy::ExposeSecret as _;
use tonic::Code;

use crate::{
    raw::Raw,
    rights,
    steps::*,
    support::{binary, *},
};

/// What was done since the backup, and to whom.
struct Since {
    erasure: pb::EraseSubjectRequest,
    receipt: pb::ErasureReceipt,
    /// The form of a lead that was submitted and erased since.
    passing: pb::SubmitLeadRequest,
    /// The lead that was submitted since, and is lost.
    lost: String,
    /// The leads from before, by what became of them.
    leads: BTreeMap<&'static str, String>,
}

const BEFORE: [&str; 6] = [
    "erased",
    "restricted",
    "rectified",
    "withdrawn",
    "closed",
    "kept",
];

fn mail(who: &str) -> String {
    format!("{who}@example.no")
}

async fn submit_before(replica: &Replica) -> BTreeMap<&'static str, String> {
    let mut leads = BTreeMap::new();
    for who in BEFORE {
        let form = if who == "withdrawn" {
            rights::consent_form(&mail(who))
        } else {
            form("Kari Nordmann", &mail(who))
        };
        leads.insert(who, submit(replica, form).await);
    }
    leads
}

/// Erases one, restricts one, corrects one, withdraws one, closes one, submits one; and one comes and goes.
async fn act(replica: &Replica, leads: BTreeMap<&'static str, String>) -> Since {
    let erasure = erasure(&mail("erased"));
    let erased = replica.privacy().erase_subject(erasure.clone()).await;
    let receipt = erased.unwrap().into_inner().receipt.unwrap();
    rights::restrict(
        replica,
        &leads["restricted"],
        RestrictionReason::SubjectLegalClaim,
    )
    .await;
    let right = rights::correction(&leads["rectified"], 1, "email", "right@example.no");
    rights::rectify(replica, &right).await;
    rights::withdraw(replica, &leads["withdrawn"]).await;
    let closing = pb::CloseLeadRequest {
        lead_id: leads["closed"].clone(),
        outcome: pb::CloseOutcome::Converted.into(),
    };
    replica.crm().close_lead(closing).await.unwrap();
    let passing = form("Kari Nordmann", &mail("passing"));
    submit(replica, passing.clone()).await;
    erase(replica, &mail("passing")).await;
    let lost = submit_mail(replica, &mail("lost")).await;
    Since {
        erasure,
        receipt,
        passing,
        lost,
        leads,
    }
}

/// A copy of the feed as a CRM keeps it: what it was given last of each lead, without those it must erase.
fn apply(copy: &mut BTreeMap<String, Option<pb::Lead>>, changes: Vec<pb::LeadChange>) {
    for change in changes {
        match change.kind() {
            ChangeKind::Erased | ChangeKind::HandedOver => drop(copy.remove(&change.lead_id)),
            _ => drop(copy.insert(change.lead_id, change.lead)),
        }
    }
}

/// Everything about the people of the drill is as the ledger says, whatever the backup said.
async fn check(replica: &Replica, since: &Since) {
    for gone in ["erased", "withdrawn", "closed", "passing", "lost", "right"] {
        assert!(
            rights::theirs(replica, &mail(gone)).await.is_empty(),
            "{gone}"
        );
    }
    let found = rights::find(replica, &mail("restricted")).await;
    assert_eq!(found.leads[0].state(), pb::LeadState::Restricted);
    // The corrected address is lost, so nobody may use the wrong one.
    let found = rights::find(replica, &mail("rectified")).await;
    assert_eq!(found.leads[0].state(), pb::LeadState::Restricted);
    let contested = (
        EntryKind::Restricted,
        RestrictionReason::AccuracyContested as i32,
    );
    let story = rights::entries(replica, &since.leads["rectified"]).await;
    assert_eq!(story.last(), Some(&contested));
    for hidden in ["erased", "restricted", "rectified", "withdrawn", "closed"] {
        let read = get_lead(&mut replica.crm(), &since.leads[hidden]).await;
        assert_eq!(read.unwrap_err().code(), Code::NotFound, "{hidden}");
    }
    get_lead(&mut replica.crm(), &since.leads["kept"])
        .await
        .unwrap();
    // A retry of what was erased stores nothing; a repeat of the erasure has the same proof.
    let retried = replica.intake().submit_lead(since.passing.clone()).await;
    assert_eq!(reason(&retried.unwrap_err()), "LEAD_ERASED");
    let repeated = replica.privacy().erase_subject(since.erasure.clone()).await;
    assert_eq!(
        repeated.unwrap().into_inner().receipt.as_ref(),
        Some(&since.receipt)
    );
    verify(replica).await;
}

on_both! {
    /// The drill: a backup, then one erased, one restricted, one corrected, one withdrawn, one closed, one
    /// submitted, one submitted and erased; the backup comes back, and all of it still holds. The ledger has
    /// every entry as it was and goes on; old cursors expire, and a CRM that starts again ends with what the
    /// service shows. So also the second time.
    async fn e4_a_restored_backup_brings_nobody_back(backend: Backend) {
        let mut world = World::new(backend).await;
        let replica = world.start().await;
        let leads = submit_before(&replica).await;
        let mut copy = BTreeMap::new();
        let (changes, _) = pull_all(&mut replica.crm(), "", 2).await;
        apply(&mut copy, changes);
        replica.stop().await;
        let backup = world.back_up().await;

        let replica = world.start().await;
        let since = act(&replica, leads).await;
        let (changes, cursor) = pull_all(&mut replica.crm(), "", 2).await;
        apply(&mut copy, changes);
        assert!(copy.contains_key(&since.lost));
        let before = ledger(&replica).await;
        replica.stop().await;

        for _ in 0..2 {
            world.restore(&backup).await;
            let replica = world.start().await;
            check(&replica, &since).await;
            let after = ledger(&replica).await;
            assert_eq!(after[..before.len()], before);
            assert_eq!(after[before.len()].kind(), EntryKind::Restored);
            let expired = pull(&mut replica.crm(), &cursor, 0).await.unwrap_err();
            assert_eq!((expired.code(), &*reason(&expired)), (Code::OutOfRange, "CURSOR_EXPIRED"));
            let (changes, _) = pull_all(&mut replica.crm(), "", 3).await;
            let mut again = BTreeMap::new();
            apply(&mut again, changes.clone());
            apply(&mut copy, changes);
            assert_eq!(copy, again);
            assert!(!copy.contains_key(&since.lost));
            replica.stop().await;
        }
        // And once more without a restore in between.
        let replica = world.start().await;
        check(&replica, &since).await;
        replica.stop().await;
    }

    /// A client that was revoked since the backup stays revoked, and the number of one that was added since is
    /// not given to another.
    async fn r3_a_restored_backup_brings_no_token_back(backend: Backend) {
        let mut world = World::new(backend).await;
        world.start().await.stop().await;
        let backup = world.back_up().await;
        let replica = world.start().await;
        let now = lead_intake::clock::Clock::now(&*world.clock);
        let added = world.new_token(&replica.store, "partner", Role::Crm).await;
        replica.store.revoke("intake", now).await.unwrap();
        replica.stop().await;
        world.restore(&backup).await;
        let replica = world.start().await;
        let refused = replica.intake().submit_lead(form("Kari", "kari@example.no")).await;
        assert_eq!(reason(&refused.unwrap_err()), "TOKEN_REVOKED");
        let refused = pull(&mut replica.crm_as(added.expose()), "", 0).await;
        assert_eq!(reason(&refused.unwrap_err()), "TOKEN_INVALID");
        let clients = replica.store.clients().await.unwrap();
        let partner = clients.iter().find(|(client, _)| client.name == "partner");
        let partner = partner.expect("the client is known again").0.id;
        world.new_token(&replica.store, "another", Role::Crm).await;
        let clients = replica.store.clients().await.unwrap();
        let another = clients.iter().find(|(client, _)| client.name == "another").unwrap();
        assert_ne!(another.0.id, partner);
        replica.stop().await;
    }

    /// A stream that is open while another replica restores ends: its position means something else now.
    async fn f9_an_open_stream_ends_when_the_epoch_moves(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        submit_mail(&replica, "kari@example.no").await;
        let request = pb::StreamLeadsRequest {
            follow: true,
            ..Default::default()
        };
        let stream = replica.crm().stream_leads(request).await.unwrap();
        let mut stream = stream.into_inner();
        stream.message().await.unwrap();
        let mut raw = Raw::open(&world).await;
        raw.execute("UPDATE store SET epoch = epoch + 1").await;
        raw.close().await;
        // Once the replica knows, the next change ends the stream.
        eventually(async || (replica.store.epoch() == 2).then_some(())).await;
        submit_mail(&replica, "ola@example.no").await;
        let ended = stream.message().await.unwrap_err();
        assert_eq!(reason(&ended), "CURSOR_EXPIRED");
        replica.stop().await;
    }

    /// A command that writes to the ledger does not do so on a restored database before the service has put back what
    /// it lost.
    async fn e4_no_command_writes_to_a_database_that_is_behind(backend: Backend) {
        let mut world = World::new(backend).await;
        world.start().await.stop().await;
        let backup = world.back_up().await;
        let replica = world.start().await;
        submit_mail(&replica, "kari@example.no").await;
        replica.stop().await;
        world.restore(&backup).await;
        let dir = world.dir.path().to_str().unwrap().to_owned();
        let mut envs = vec![("LEAD_INTAKE_DATA_DIR", &*dir)];
        if let StoreUrl::Postgres(url) = &world.url {
            envs.push(("LEAD_INTAKE_DATABASE_URL", url.expose_secret()));
        }
        for args in [&["client", "add", "another", "--role", "crm"][..], &["client", "revoke", "crm"]] {
            let refused = binary::run(&envs, args, "").await.with_code(1);
            assert!(refused.err.contains("behind its mirror"), "{}", refused.err);
        }
        binary::run(&envs, &["mirror", "status"], "").await.with_code(3);
        world.start().await.stop().await;
        binary::run(&envs, &["client", "revoke", "crm"], "").await.with_code(0);
        binary::run(&envs, &["mirror", "status"], "").await.with_code(0);
    }

    /// Without its mirror a service whose ledger was mirrored does not start, nor with the mirror of another
    /// database: it could not tell whether a backup was restored.
    async fn e4_a_missing_or_foreign_mirror_stops_the_start(backend: Backend) {
        let world = World::new(backend).await;
        world.start().await.stop().await;
        let (mirror, aside) = (world.mirror(1), world.dir.path().join("aside"));
        std::fs::rename(&mirror, &aside).unwrap();
        let missing = world.try_open(Some(mirror.clone())).await.unwrap_err();
        assert!(matches!(missing, StoreError::Mirror(MirrorError::Missing(_))), "{missing}");
        let other = World::new(backend).await;
        other.start().await.stop().await;
        let foreign = world.try_open(Some(other.mirror(1))).await.unwrap_err();
        assert!(matches!(foreign, StoreError::Mirror(MirrorError::Foreign(_))), "{foreign}");
        std::fs::rename(&aside, &mirror).unwrap();
        world.start().await.stop().await;
    }

    /// A ledger that somebody went on writing without the mirror is refused: no restore explains the
    /// difference. When the operator says that the database is to be taken, the mirror's acts are done again on
    /// it, and what the mirror had is put aside, not lost.
    async fn e4_another_history_is_refused_until_it_is_taken(backend: Backend) {
        let mut world = World::new(backend).await;
        let replica = world.start().await;
        let id = submit_mail(&replica, "kari@example.no").await;
        replica.stop().await;
        let backup = world.back_up().await;
        let replica = world.start().await;
        erase(&replica, "kari@example.no").await;
        replica.stop().await;
        world.restore(&backup).await;
        let store = world.open().await;
        world.new_token(&store, "intruder", Role::Crm).await;
        store.close().await;
        let forked = world.try_open(Some(world.mirror(1))).await.unwrap_err();
        assert!(matches!(forked, StoreError::Mirror(MirrorError::Forked(_))), "{forked}");
        let taken = MirrorOptions {
            dir: world.mirror(1),
            takes_other_history: true,
        };
        world.open_with(Some(taken)).await.unwrap().close().await;
        let replica = world.start().await;
        assert!(rights::theirs(&replica, "kari@example.no").await.is_empty());
        let told = rights::entries(&replica, &id).await;
        assert_eq!(told.last().unwrap().0, EntryKind::Erased);
        verify(&replica).await;
        replica.stop().await;
        assert!(world.mirror(1).join("aside-1").is_dir());
    }
}

/// Two replicas, of which one knew more than the other when the backup came back: whichever is started first, what
/// was erased stays erased.
#[tokio::test(flavor = "multi_thread")]
async fn e4_the_replica_that_knows_more_may_come_second() {
    let mut world = World::new(Backend::Postgres).await;
    let first = world.start().await;
    let id = submit_mail(&first, "kari@example.no").await;
    first.stop().await;
    let backup = world.back_up().await;
    let (first, second) = (world.start().await, world.start().await);
    submit_mail(&first, "ola@example.no").await;
    first.stop().await;
    // The second one alone: the first knows nothing of this.
    erase(&second, "kari@example.no").await;
    let late = submit_mail(&second, "late@example.no").await;
    rights::restrict(&second, &late, RestrictionReason::SubjectLegalClaim).await;
    second.stop().await;
    world.restore(&backup).await;
    let first = world.start().await;
    submit_mail(&first, "per@example.no").await;
    // She comes back as far as the first one knows, and goes when the second one says so.
    assert_eq!(rights::theirs(&first, "kari@example.no").await, [&*id]);
    let second = world.start().await;
    assert!(rights::theirs(&first, "kari@example.no").await.is_empty());
    let told = rights::entries(&first, &id).await;
    assert_eq!(told.last().unwrap().0, EntryKind::Erased);
    verify(&second).await;
    first.stop().await;
    second.stop().await;
}
