//! Receipts of consent: what they say, and what they never say (Art. 7(1), 7(3); ISO/IEC TS 27560).

use lead_intake::pb;
use serde_json::{Value, json};

use crate::{export::understood, steps::*, support::*};

/// A lead on consent.
fn consenting() -> pb::SubmitLeadRequest {
    pb::SubmitLeadRequest {
        company: "Nordmann AS".to_owned(),
        phone: "40605600".to_owned(),
        lawful_basis: pb::LawfulBasis::Consent.into(),
        consent: true,
        ..form("Kari Nordmann", "kari@example.no")
    }
}

async fn stored(replica: &Replica, form: pb::SubmitLeadRequest) -> pb::SubmitLeadResponse {
    replica
        .intake()
        .submit_lead(form)
        .await
        .unwrap()
        .into_inner()
}

/// No receipt names a person; each is JSON-LD of the profile, by a processor that is not ours.
fn assert_receipt(receipt: &str) -> Value {
    for value in ["Kari", "Nordmann", "40605600", "kari@"] {
        assert!(!receipt.contains(value), "{value} in {receipt}");
    }
    assert!(
        understood(receipt).contains("<https://w3id.org/dpv/schema/dpv-27560#receipt-eu-gdpr>")
    );
    let receipt: Value = serde_json::from_str(receipt).unwrap();
    assert_eq!(receipt["@type"], "dpv:ConsentReceipt");
    receipt
}

on_both! {
    /// Art. 7(1): consent is answered with a receipt that says what, when, by which notice and how, in no
    /// language and without the person. A repeat is answered with the same one.
    async fn art_7_1_a_receipt_for_consent(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let form = consenting();
        let first = stored(&replica, form.clone()).await;
        let receipt = assert_receipt(&first.consent_receipt);
        let record = &receipt["dpv:hasRecordOfActivity"];
        let lead = format!("urn:uuid:{}", first.lead_id);
        assert_eq!(record["dpv:hasDataSubject"]["@id"], lead);
        assert_eq!(record["dpv:hasLegalBasis"], json!({ "@id": "eu-gdpr:A6-1-a" }));
        assert_eq!(record["dpv:hasDataController"]["dpv:hasName"], "Ajour Nordic/Norge AS");
        let status = &record["dpv:hasConsentStatus"];
        assert_eq!(status["@type"][0], "dpv:ConsentGiven");
        assert_eq!(status["dpv:isIndicatedAtTime"]["@value"], START);
        assert_eq!(status["dpv:hasIndicationMethod"], "web form");
        assert_eq!(status["dpv:hasDuration"]["rdf:value"]["@value"], "2027-05-22T12:00:00Z");
        assert_eq!(record["dpv:hasConsentControl"]["dpv:isExercisedAt"]["@id"], "mailto:hei@ajourpos.com");
        let shown = &record["dpv:hasNotice"];
        assert_eq!(shown["schema:version"], "1.1");
        for text in shown["schema:encoding"].as_array().unwrap() {
            let language = text["schema:inLanguage"].as_str().unwrap().to_owned();
            let request = pb::GetPrivacyNoticeRequest { version: "1.1".to_owned(), language };
            let notice = replica.intake().get_privacy_notice(request).await.unwrap().into_inner();
            assert_eq!(text["schema:sha256"], notice.sha256);
        }
        world.clock.advance_seconds(3600);
        assert_eq!(stored(&replica, form).await, first);
        replica.stop().await;
    }

    /// Nothing to receipt: a lead on steps before a contract, with or without consent beside.
    async fn no_receipt_without_the_basis(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        for consent in [false, true] {
            let form = pb::SubmitLeadRequest {
                lawful_basis: pb::LawfulBasis::PreContract.into(),
                consent,
                ..consenting()
            };
            assert_eq!(stored(&replica, form).await.consent_receipt, "");
        }
        replica.stop().await;
    }

    /// Art. 7(3): a withdrawal is answered with a receipt that names the ledger's entry; where nothing is held
    /// there is none.
    async fn art_7_3_a_receipt_for_withdrawal(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let lead_id = stored(&replica, consenting()).await.lead_id;
        world.clock.advance_seconds(60);
        let withdraw = pb::WithdrawConsentRequest { lead_id: lead_id.clone() };
        let done = replica.intake().withdraw_consent(withdraw.clone()).await.unwrap().into_inner();
        let receipt = assert_receipt(&done.receipt);
        let record = &receipt["dpv:hasRecordOfActivity"];
        assert_eq!(record["dpv:hasDataSubject"]["dct:identifier"], lead_id);
        let status = &record["dpv:hasConsentStatus"];
        assert_eq!(status["@type"], "dpv:ConsentWithdrawn");
        assert_eq!(status["dpv:isIndicatedAtTime"]["@value"], "2026-11-23T12:01:00Z");
        assert_eq!(status["schema:result"], "ERASED");
        let entry = ledger(&replica).await.pop().unwrap();
        let proof = &record["prov:wasGeneratedBy"];
        assert_eq!(proof["dct:identifier"], entry.sequence.to_string());
        assert_eq!(proof["schema:sha256"], entry.hash);
        let again = replica.intake().withdraw_consent(withdraw).await.unwrap().into_inner();
        assert_eq!(again.outcome(), pb::WithdrawalOutcome::NothingHeld);
        assert_eq!(again.receipt, "");
        replica.stop().await;
    }
}
