//! Receipts as they stand now (Art. 5(2), 19): who had the erased leads, who acknowledged that they are gone, and
//! when; who is late.

use lead_intake::{
    pb::{self, ErasureOutcome, RestrictionReason},
    token::Role,
};
use tonic::Code;

use crate::{steps::*, support::*};

const DAY: i64 = 86_400;

async fn crm(world: &World, replica: &Replica, name: &str) -> Crm {
    let token = world.new_token(&replica.store, name, Role::Crm).await;
    replica.crm_as(token.expose())
}

/// The receipt of an erasure as it stands now.
async fn receipt(replica: &Replica, request_id: &str) -> pb::GetErasureReceiptResponse {
    let request = pb::GetErasureReceiptRequest {
        request_id: request_id.to_owned(),
        ..Default::default()
    };
    let receipt = replica.privacy().get_erasure_receipt(request).await;
    receipt.unwrap().into_inner()
}

/// Who is named in the receipt of an erasure: client, leads, acknowledged, overdue.
async fn named(
    replica: &Replica,
    erased: &pb::EraseSubjectResponse,
) -> Vec<(String, i32, i32, bool)> {
    let id = &erased.receipt.as_ref().unwrap().request_id;
    let named = receipt(replica, id).await.recipients.into_iter();
    named
        .map(|it| (it.client, it.leads, it.acknowledged, it.overdue))
        .collect()
}

fn had(client: &str, leads: i32, acknowledged: i32, overdue: bool) -> (String, i32, i32, bool) {
    (client.to_owned(), leads, acknowledged, overdue)
}

async fn acknowledge_all(crm: &mut Crm) {
    let (_, cursor) = pull_all(crm, "", 0).await;
    acknowledge(crm, &cursor).await.unwrap();
}

async fn restrict(replica: &Replica, lead_id: &str, reason: RestrictionReason) {
    let request = pb::RestrictLeadRequest {
        request_id: new_id().to_string(),
        lead_id: lead_id.to_owned(),
        reason: reason.into(),
        ..Default::default()
    };
    replica.privacy().restrict_lead(request).await.unwrap();
}

fn seconds(time: Option<&prost_types::Timestamp>) -> i64 {
    time.unwrap().seconds
}

on_both! {
    /// Art. 19: of two clients that had a lead, the one that acknowledged its tombstone is done, at that time
    /// and for good; the other is named with the age of what is open, and overdue once the controller's
    /// time is over. A client that never pulled is not named. The proof is what the erasure answered first.
    async fn art_19_the_receipt_names_who_is_overdue(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        submit_mail(&replica, "kari@example.no").await;
        let mut prompt = crm(&world, &replica, "prompt").await;
        let mut silent = crm(&world, &replica, "silent").await;
        let _never = crm(&world, &replica, "never").await;
        acknowledge_all(&mut prompt).await;
        acknowledge_all(&mut silent).await;
        let erased = erase(&replica, "kari@example.no").await;
        let proof = erased.receipt.clone().unwrap();
        assert_eq!(named(&replica, &erased).await, [had("prompt", 1, 0, false), had("silent", 1, 0, false)]);

        world.clock.advance_seconds(60);
        acknowledge_all(&mut prompt).await;
        let now = receipt(&replica, &proof.request_id).await;
        assert!(now.receipt.as_ref() == Some(&proof));
        let at = seconds(now.recipients[0].acknowledged_at.as_ref());
        assert_eq!(at, seconds(proof.erased_at.as_ref()) + 60);
        assert_eq!(now.recipients[0].oldest_open_seconds, 0);
        assert_eq!(now.recipients[1].oldest_open_seconds, 60);
        assert!(now.recipients[1].acknowledged_at.is_none());

        // What it acknowledges later does not move the time of this one.
        submit_mail(&replica, "ola@example.no").await;
        world.clock.advance_seconds(7 * DAY - 60);
        acknowledge_all(&mut prompt).await;
        erase(&replica, "ola@example.no").await;
        acknowledge_all(&mut prompt).await;
        // Seven days to the second are within the time; a second more is not.
        assert_eq!(named(&replica, &erased).await, [had("prompt", 1, 1, false), had("silent", 1, 0, false)]);
        world.clock.advance_seconds(1);
        assert_eq!(named(&replica, &erased).await, [had("prompt", 1, 1, false), had("silent", 1, 0, true)]);
        world.clock.advance_seconds(DAY);
        // To be told is not to acknowledge.
        let (_, cursor) = pull_all(&mut silent, "", 0).await;
        let now = receipt(&replica, &proof.request_id).await;
        assert_eq!(seconds(now.recipients[0].acknowledged_at.as_ref()), at);
        assert!(now.recipients[1].overdue);
        assert_eq!(now.recipients[1].oldest_open_seconds, 8 * DAY + 1);
        acknowledge(&mut silent, &cursor).await.unwrap();
        let now = receipt(&replica, &proof.request_id).await;
        assert!(!now.recipients[1].overdue && now.recipients[1].oldest_open_seconds == 0);
        assert_eq!(seconds(now.recipients[1].acknowledged_at.as_ref()), at - 60 + 8 * DAY + 1);
        assert!(now.receipt == Some(proof));
        replica.stop().await;
    }

    /// Art. 19: a position in between acknowledges what lies before it, and no more; only with the last
    /// one is there a time.
    async fn art_19_each_tombstone_is_acknowledged_by_itself(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        for _ in 0..3 {
            submit_mail(&replica, "kari@example.no").await;
        }
        let mut crm = crm(&world, &replica, "slow").await;
        acknowledge_all(&mut crm).await;
        let erased = erase(&replica, "kari@example.no").await;
        let id = erased.receipt.as_ref().unwrap().request_id.clone();
        let mut before = String::new();
        for acknowledged in 1..=3 {
            world.clock.advance_seconds(DAY);
            let page = pull(&mut crm, "", 1).await.unwrap();
            acknowledge(&mut crm, &page.next_cursor).await.unwrap();
            // A repeat, and a step back, change nothing.
            world.clock.advance_seconds(1);
            acknowledge(&mut crm, &page.next_cursor).await.unwrap();
            if !before.is_empty() {
                acknowledge(&mut crm, &before).await.unwrap();
            }
            before = page.next_cursor;
            let now = receipt(&replica, &id).await.recipients.remove(0);
            assert_eq!((now.leads, now.acknowledged), (3, acknowledged));
            assert_eq!(now.acknowledged_at.is_some(), acknowledged == 3);
            let open = if acknowledged == 3 { 0 } else { i64::from(acknowledged) * (DAY + 1) };
            assert_eq!(now.oldest_open_seconds, open);
        }
        let done = receipt(&replica, &id).await;
        let erased_at = seconds(done.receipt.as_ref().unwrap().erased_at.as_ref());
        let at = seconds(done.recipients[0].acknowledged_at.as_ref());
        assert_eq!(at, erased_at + 3 * DAY + 2);
        replica.stop().await;
    }

    /// Art. 19: who read a lead by `GetLead` had it; who was added after the erasure had not, however far it
    /// pulls; who was revoked since still has what it was given.
    async fn art_19_whoever_had_it_is_named_and_nobody_else(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let id = submit_mail(&replica, "kari@example.no").await;
        let mut reader = crm(&world, &replica, "reader").await;
        get_lead(&mut reader, &id).await.unwrap();
        let mut revoked = crm(&world, &replica, "revoked").await;
        pull_all(&mut revoked, "", 0).await;
        replica.store.revoke("revoked", START.parse().unwrap()).await.unwrap();
        let erased = erase(&replica, "kari@example.no").await;
        let mut late = crm(&world, &replica, "late").await;
        acknowledge_all(&mut late).await;
        assert_eq!(named(&replica, &erased).await, [had("reader", 1, 0, false), had("revoked", 1, 0, false)]);
        acknowledge_all(&mut reader).await;
        assert_eq!(named(&replica, &erased).await, [had("reader", 1, 1, false), had("revoked", 1, 0, false)]);
        replica.stop().await;
    }

    /// Who is named in a receipt is who hears the tombstone, for clients at every place in the feed, leads
    /// withheld from some of them included; and what statistics count as unacknowledged is the same.
    async fn a_receipt_and_the_feed_agree(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let mut ids = Vec::new();
        for number in 0..4 {
            ids.push(submit_mail(&replica, &format!("kari{number}@example.no")).await);
        }
        restrict(&replica, &ids[1], RestrictionReason::SubjectLegalClaim).await;
        let mut clients = Vec::new();
        for pages in 0..6 {
            let name = format!("crm-{pages}");
            let mut client = crm(&world, &replica, &name).await;
            let mut cursor = String::new();
            for _ in 0..pages {
                cursor = pull(&mut client, &cursor, 1).await.unwrap().next_cursor;
            }
            if pages == 2 {
                get_lead(&mut client, &ids[3]).await.unwrap();
            }
            clients.push((name, client));
        }
        let mut erasures = Vec::new();
        for number in [2, 0, 1, 3] {
            let mut request = erasure(&format!("kari{number}@example.no"));
            request.confirm_supersedes_restriction = true;
            let erased = replica.privacy().erase_subject(request).await.unwrap().into_inner();
            assert_eq!(erased.leads[0].outcome(), ErasureOutcome::Erased);
            erasures.push(erased);
            // One page more for some, in between.
            pull(&mut clients[3].1, "", 1).await.unwrap();
        }
        let counted = replica.ledger().get_statistics(pb::GetStatisticsRequest {}).await.unwrap();
        let counted = counted.into_inner();
        let mut met = 0;
        for (name, client) in &mut clients {
            let (changes, _) = pull_all(client, "", 0).await;
            let heard: Vec<String> = changes
                .into_iter()
                .filter(|change| change.kind() == pb::ChangeKind::Erased)
                .map(|change| change.lead_id)
                .collect();
            let mut told = Vec::new();
            for erased in &erasures {
                let named = named(&replica, erased).await;
                told.extend(named.iter().filter(|it| it.0 == *name).map(|_| erased.leads[0].lead_id.clone()));
            }
            assert_eq!(told, heard, "{name}");
            let status = counted.consumers.iter().find(|status| status.client == *name).unwrap();
            assert_eq!(usize::try_from(status.unacknowledged_erasures).unwrap(), heard.len(), "{name}");
            met += heard.len();
        }
        assert!(met > 8, "{met} tombstones are no comparison");
        replica.stop().await;
    }

    /// Art. 17(3)(e), 18: a lead that was not erased stands in the proof with what became of it; nobody owes
    /// an acknowledgement for it.
    async fn art_17_3_e_what_was_kept_stands_in_the_proof_only(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(submit_mail(&replica, "kari@example.no").await);
            // Oldest first is by the millisecond.
            world.clock.advance_seconds(1);
        }
        let mut crm = crm(&world, &replica, "crm-a").await;
        pull_all(&mut crm, "", 0).await;
        restrict(&replica, &ids[0], RestrictionReason::ControllerLegalClaim).await;
        restrict(&replica, &ids[1], RestrictionReason::AccuracyContested).await;
        let erased = erase(&replica, "kari@example.no").await;
        let proof = erased.receipt.clone().unwrap();
        let found = receipt(&replica, &proof.request_id).await.receipt.unwrap();
        assert!(found == proof);
        let outcomes: Vec<_> = found.entries.iter().map(|entry| (&*entry.lead_id, entry.outcome())).collect();
        assert_eq!(outcomes, [
            ("", ErasureOutcome::Unspecified),
            (&*ids[0], ErasureOutcome::Retained),
            (&*ids[1], ErasureOutcome::NeedsConfirmation),
            (&*ids[2], ErasureOutcome::Erased),
        ]);
        assert_eq!(named(&replica, &erased).await, [had("crm-a", 1, 0, false)]);
        replica.stop().await;
    }

    /// A key that no erasure had, or that was used for something else or in a dry run, has no receipt. A
    /// colleague's request has one, and where two used the same key each sees their own.
    async fn a_receipt_is_found_by_its_request_or_not_at_all(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        submit_mail(&replica, "kari@example.no").await;
        submit_mail(&replica, "ola@example.no").await;
        let find = subject("kari@example.no");
        let found = find.as_ref().unwrap().request_id.clone();
        replica.privacy().find_subject(pb::FindSubjectRequest { request: find }).await.unwrap();
        let mut dry = erasure("kari@example.no");
        dry.dry_run = true;
        let looked = dry.request.as_ref().unwrap().request_id.clone();
        replica.privacy().erase_subject(dry).await.unwrap();
        for request_id in [new_id().to_string(), found, looked] {
            let request = pb::GetErasureReceiptRequest { request_id, ..Default::default() };
            let refused = replica.privacy().get_erasure_receipt(request).await.unwrap_err();
            assert_eq!((refused.code(), &*reason(&refused)), (Code::NotFound, "RECEIPT_UNKNOWN"));
        }
        for (id, fault) in [("", "REQUIRED"), ("kari@example.no", "UUID_INVALID")] {
            let request = pb::GetErasureReceiptRequest { request_id: id.to_owned(), ..Default::default() };
            let refused = replica.privacy().get_erasure_receipt(request).await.unwrap_err();
            assert_eq!(violations(&refused), [("request_id".to_owned(), fault.to_owned())]);
        }

        let own = erasure("kari@example.no");
        let mut others = erasure("ola@example.no");
        let id = own.request.as_ref().unwrap().request_id.clone();
        others.request.as_mut().unwrap().request_id.clone_from(&id);
        let token = world.new_token(&replica.store, "colleague", Role::Privacy).await;
        let mut colleague = pb::privacy_service_client::PrivacyServiceClient::new(
            replica.caller(token.expose()),
        );
        let request = pb::GetErasureReceiptRequest { request_id: id.clone(), ..Default::default() };
        let own = replica.privacy().erase_subject(own).await.unwrap().into_inner().receipt;
        let seen = colleague.get_erasure_receipt(request.clone()).await.unwrap().into_inner();
        assert!(seen.receipt == own);
        let others = colleague.erase_subject(others).await.unwrap().into_inner().receipt;
        let seen = colleague.get_erasure_receipt(request).await.unwrap().into_inner();
        assert!(seen.receipt == others && others != own);
        assert!(receipt(&replica, &id).await.receipt == own);
        replica.stop().await;
    }
}
