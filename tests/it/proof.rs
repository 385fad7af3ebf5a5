//! Checkpoints and proofs through the server (A3, Art. 5(2)), checked by an implementation that is not ours.

use std::sync::atomic::Ordering;

use data_encoding::HEXLOWER;
use lead_intake::pb::{self, ErasureOutcome, ProofAbsence};
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::tlog;
use tonic::{Code, Status};

use crate::{raw::Raw, steps::*, support::*};

/// The checkpoint of a note, as the implementation that is not ours reads it: size and root.
fn open(note: &str, key: &str) -> (u64, tlog::Hash) {
    let verifier = StandardVerifier::new(key).unwrap();
    let note = Note::from_bytes(note.as_bytes()).unwrap();
    note.verify(&VerifierList::new(vec![Box::new(verifier)]))
        .unwrap();
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    (checkpoint.size(), *checkpoint.hash())
}

fn hashes(proof: &[String]) -> Vec<tlog::Hash> {
    let hash = |text: &String| {
        HEXLOWER
            .decode(text.as_bytes())
            .unwrap()
            .try_into()
            .unwrap()
    };
    proof.iter().map(hash).map(tlog::Hash).collect()
}

async fn checkpoint(
    replica: &Replica,
    since_size: i64,
) -> Result<pb::GetCheckpointResponse, Status> {
    let request = pb::GetCheckpointRequest { since_size };
    Ok(replica.ledger().get_checkpoint(request).await?.into_inner())
}

async fn receipt(
    replica: &Replica,
    erased: &pb::EraseSubjectResponse,
    since_size: i64,
) -> pb::GetErasureReceiptResponse {
    let request_id = erased.receipt.as_ref().unwrap().request_id.clone();
    let request = pb::GetErasureReceiptRequest {
        request_id,
        since_size,
    };
    let receipt = replica.privacy().get_erasure_receipt(request).await;
    receipt.unwrap().into_inner()
}

on_both! {
    /// A3: every checkpoint covers the ledger as it was when it was asked for, and is proven to continue any earlier
    /// one, also one of another replica; its name is the store's.
    async fn a3_each_checkpoint_continues_the_earlier_ones(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let mut earlier: Vec<(u64, tlog::Hash)> = Vec::new();
        let mut replicas = vec![replica];
        if backend == Backend::Postgres {
            replicas.push(world.start().await);
        }
        for round in 0..8 {
            let replica = &replicas[round % replicas.len()];
            submit_mail(replica, &format!("kari{round}@example.no")).await;
            let head = i64::try_from(ledger(replica).await.len()).unwrap();
            for (old, old_root) in &earlier {
                let answer = checkpoint(replica, i64::try_from(*old).unwrap()).await.unwrap();
                let (size, root) = open(&answer.note, &answer.verifier_key);
                assert_eq!((size, answer.since_size), (u64::try_from(head).unwrap(), i64::try_from(*old).unwrap()));
                tlog::check_tree(&hashes(&answer.consistency), size, root, *old, *old_root).unwrap();
            }
            let answer = checkpoint(replica, 0).await.unwrap();
            assert_eq!((answer.size, answer.consistency.len()), (head, 0));
            let key = &answer.verifier_key;
            assert!(key.starts_with(&format!("lead-intake/{}+", replica.store.store_id())), "{key}");
            assert_eq!(*key, world.signer.verifier().to_string());
            earlier.push(open(&answer.note, key));
        }
        for replica in replicas {
            replica.stop().await;
        }
    }

    /// A size that the ledger has not, a negative one and a service that signs nothing are told apart.
    async fn a_checkpoint_that_cannot_be_had(backend: Backend) {
        let mut world = World::new(backend).await;
        let replica = world.start().await;
        let size = checkpoint(&replica, 0).await.unwrap().size;
        checkpoint(&replica, size).await.unwrap();
        let beyond = checkpoint(&replica, size + 1).await.unwrap_err();
        assert_eq!((beyond.code(), &*reason(&beyond)), (Code::OutOfRange, "SIZE_NOT_REACHED"));
        let negative = checkpoint(&replica, -1).await.unwrap_err();
        assert_eq!(violations(&negative), [("since_size".to_owned(), "OUT_OF_RANGE".to_owned())]);
        replica.stop().await;

        world.signs = false;
        let replica = world.start().await;
        let unsigned = checkpoint(&replica, 0).await.unwrap_err();
        assert_eq!((unsigned.code(), &*reason(&unsigned)), (Code::Unavailable, "CHECKPOINT_UNAVAILABLE"));
        submit_mail(&replica, "kari@example.no").await;
        let erased = erase(&replica, "kari@example.no").await;
        let told = receipt(&replica, &erased, 0).await;
        assert_eq!((told.receipt, told.proof), (erased.receipt, None));
        assert_eq!(told.proof_absence, i32::from(ProofAbsence::Unavailable));
        replica.stop().await;
    }

    /// Art. 5(2): a receipt comes with its entries' records, each of which says what the receipt says and is proven to
    /// be in the ledger that was signed; and with the proof that this continues an earlier checkpoint.
    async fn art_5_2_a_receipt_comes_with_its_proof(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let earlier = checkpoint(&replica, 0).await.unwrap();
        let (old, old_root) = open(&earlier.note, &earlier.verifier_key);
        let mut leads = Vec::new();
        for _ in 0..3 {
            leads.push(submit_mail(&replica, "kari@example.no").await);
            world.clock.advance_seconds(1);
        }
        let claim = pb::RestrictLeadRequest {
            request_id: new_id().to_string(),
            lead_id: leads[1].clone(),
            reason: pb::RestrictionReason::ControllerLegalClaim.into(),
            ..Default::default()
        };
        replica.privacy().restrict_lead(claim).await.unwrap();
        let erased = erase(&replica, "kari@example.no").await;
        submit_mail(&replica, "ola@example.no").await;

        let told = receipt(&replica, &erased, earlier.size).await;
        assert_eq!((&told.receipt, told.proof_absence), (&erased.receipt, 0));
        let (entries, proof) = (told.receipt.unwrap().entries, told.proof.unwrap());
        assert_eq!((entries.len(), proof.entries.len()), (4, 4));
        let (size, root) = open(&proof.note, &proof.verifier_key);
        tlog::check_tree(&hashes(&proof.consistency), size, root, old, old_root).unwrap();
        let all = ledger(&replica).await;
        for (entry, proven) in entries.iter().zip(&proof.entries) {
            assert_eq!(entry.sequence, proven.sequence);
            let record = HEXLOWER.decode(proven.record.as_bytes()).unwrap();
            let index = u64::try_from(entry.sequence).unwrap() - 1;
            let leaf = tlog::record_hash(&record);
            tlog::check_record(&hashes(&proven.inclusion), size, root, index, leaf).unwrap();
            // The hash before, and what the ledger lists.
            let listed = &all[usize::try_from(index).unwrap()];
            let before = &all[usize::try_from(index).unwrap() - 1];
            assert_eq!(HEXLOWER.encode(&record[1..33]), before.hash);
            let number = |at: usize| i64::from_be_bytes(record[at..at + 8].try_into().unwrap());
            assert_eq!((number(33), number(41)), (listed.sequence, i64::from(listed.kind)));
            assert_eq!((number(57), number(65)), (listed.client_number, i64::from(listed.detail)));
            assert_eq!(listed.hash, entry.hash);
        }
        let outcomes: Vec<_> = entries.iter().map(pb::ReceiptEntry::outcome).collect();
        let (unspecified, erased) = (ErasureOutcome::Unspecified, ErasureOutcome::Erased);
        assert_eq!(outcomes, [unspecified, erased, ErasureOutcome::Retained, erased]);
        replica.stop().await;
    }

    /// Art. 5(2): as long as no checkpoint covers an erasure, and when the database tells it otherwise than what was
    /// signed, its receipt has no proof and says why.
    async fn art_5_2_a_receipt_without_a_proof_says_why(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        submit_mail(&replica, "kari@example.no").await;
        let absence = async |erased: &pb::EraseSubjectResponse| {
            let told = receipt(&replica, erased, 0).await;
            assert_eq!((&told.receipt.is_some(), told.proof.is_some()), (&true, told.proof_absence == 0));
            told.proof_absence()
        };
        replica.prover.sign().await;
        replica.prover.signs.store(false, Ordering::Relaxed);
        let erased = erase(&replica, "kari@example.no").await;
        assert_eq!(absence(&erased).await, ProofAbsence::NotSignedYet);
        replica.prover.signs.store(true, Ordering::Relaxed);
        assert_eq!(absence(&erased).await, ProofAbsence::Unspecified);

        // Another ground, with a hash that fits: a chain that is rewritten to its end cannot tell.
        let mut raw = Raw::open(&world).await;
        let last = ledger(&replica).await.len();
        raw.execute(&format!("UPDATE ledger SET submission = submission + 1 WHERE sequence = {last}")).await;
        assert_eq!(absence(&erased).await, ProofAbsence::Contradicted);
        let size = i64::try_from(last).unwrap();
        assert_eq!(checkpoint(&replica, size).await.unwrap().size, size, "what was signed stands");
        replica.stop().await;
    }
}
