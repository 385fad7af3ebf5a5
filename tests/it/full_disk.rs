//! D6, D7: a disk that is full, and one that may only be read, under the real program.
#![expect(clippy::print_stdout, reason = "figures, for whoever runs the tests")]

use std::{os::unix::fs::MetadataExt as _, time::Instant};

use lead_intake::pb::{
    self, CleanUp, RestrictionReason, crm_service_client::CrmServiceClient,
    intake_service_client::IntakeServiceClient, ledger_service_client::LedgerServiceClient,
    privacy_service_client::PrivacyServiceClient,
};
use tonic::Code;

use crate::{
    rights,
    steps::{erasure, pull_all},
    support::{binary::Binary, small_disk::SmallDisk, strace, *},
};

/// The data directory on the disk.
const DATA: &str = "data";
/// Bytes of the ballast.
const BALLAST: u64 = 16 * 1024 * 1024;

/// A service with its data on a small disk.
struct OnDisk<'a> {
    disk: &'a SmallDisk,
    server: Binary,
}

impl<'a> OnDisk<'a> {
    async fn start(disk: &'a SmallDisk) -> Self {
        let server = disk.serve(DATA).await;
        Self { disk, server }
    }

    fn caller(&self, role: &str) -> Caller {
        self.server.caller(&self.disk.outside(DATA), role)
    }

    async fn submit(&self, mail: &str) -> Result<String, tonic::Status> {
        let mut intake = IntakeServiceClient::new(self.caller("intake"));
        let stored = intake.submit_lead(form("Kari Nordmann", mail)).await?;
        Ok(stored.into_inner().lead_id)
    }

    async fn is_ready(&self, wanted: bool) {
        let code = if wanted { " 200 " } else { " 503 " };
        eventually(async || {
            let answer = self.server.probe("/readyz").await;
            answer.contains(code).then_some(())
        })
        .await;
    }

    /// Forms are refused, with nothing done, whatever the ballast gave.
    async fn takes_no_forms(&self) {
        for number in 0..30 {
            let refused = self.submit(&format!("late{number}@example.no")).await;
            let refused = refused.unwrap_err();
            assert_eq!(
                (refused.code(), &*reason(&refused)),
                (Code::ResourceExhausted, "STORE_FULL")
            );
        }
    }

    /// What reads without a record of it reads.
    async fn reads(&self) {
        let mut intake = IntakeServiceClient::new(self.caller("intake"));
        let notice = pb::GetPrivacyNoticeRequest::default();
        intake.get_privacy_notice(notice).await.unwrap();
        let mut ledger = LedgerServiceClient::new(self.caller("auditor"));
        let verified = ledger.verify_ledger(pb::VerifyLedgerRequest {}).await;
        assert!(verified.unwrap().into_inner().intact);
        let statistics = pb::GetStatisticsRequest::default();
        ledger.get_statistics(statistics).await.unwrap();
    }

    async fn erases(&self, mail: &str) {
        let mut privacy = PrivacyServiceClient::new(self.caller("privacy"));
        let order = erasure(mail);
        let asked = order.request.clone().unwrap().request_id;
        let erased = privacy.erase_subject(order).await.unwrap().into_inner();
        assert_eq!(erased.leads.len(), 1, "{mail}");
        // Its bytes leave the disk too, though the log has to be moved into the file for that.
        eventually(async || {
            let request_id = asked.clone();
            let receipt = pb::GetErasureReceiptRequest {
                request_id,
                ..Default::default()
            };
            let receipt = privacy.get_erasure_receipt(receipt).await.unwrap();
            (receipt.into_inner().clean_up() == CleanUp::Done).then_some(())
        })
        .await;
    }

    async fn finds(&self, mail: &str) -> usize {
        let mut privacy = PrivacyServiceClient::new(self.caller("privacy"));
        let find = pb::FindSubjectRequest {
            request: subject(mail),
        };
        let found = privacy.find_subject(find).await.unwrap().into_inner();
        found.leads.len()
    }

    /// Bytes of the ballast that are there.
    fn ballast(&self) -> u64 {
        let path = format!("{DATA}/lead-intake.db-ballast");
        std::fs::metadata(self.disk.outside(&path)).map_or(0, |it| it.blocks() * 512)
    }

    async fn stop(self) {
        let (ended, log) = self.server.signal("TERM").await;
        assert!(ended.success(), "{log}");
        assert!(!log.contains("panicked"), "{log}");
    }
}

/// D6: a full disk is seen, and takes no forms; a person's requests are answered all the same, on what the ballast gives, and
/// nothing else has that. A start in the midst of it changes nothing. With room again everything goes on by itself.
#[tokio::test(flavor = "multi_thread")]
async fn d6_a_full_disk_lets_erasures_go_on() {
    let disk = SmallDisk::new("64m").await;
    let service = OnDisk::start(&disk).await;
    service.is_ready(true).await;
    assert_eq!(service.ballast(), BALLAST);
    for who in ["erased", "corrected", "later"] {
        service.submit(&format!("{who}@example.no")).await.unwrap();
    }
    let restricted = service.submit("restricted@example.no").await.unwrap();

    let filled = Instant::now();
    disk.fill();
    service.is_ready(false).await;
    println!(
        "D6: not ready {:?} after the disk was full",
        filled.elapsed()
    );
    service.takes_no_forms().await;
    service.reads().await;
    service.erases("erased@example.no").await;
    assert_eq!(service.ballast(), 0);
    let mut privacy = PrivacyServiceClient::new(service.caller("privacy"));
    let restriction = rights::restriction(&restricted, RestrictionReason::SubjectLegalClaim);
    privacy.restrict_lead(restriction).await.unwrap();
    assert_eq!(service.finds("corrected@example.no").await, 1);
    let mut crm = CrmServiceClient::new(service.caller("crm"));
    let (changes, _) = pull_all(&mut crm, "", 1000).await;
    assert!(!changes.is_empty());
    service.takes_no_forms().await;
    service.reads().await;

    service.stop().await;
    let service = OnDisk::start(&disk).await;
    service.is_ready(false).await;
    service.takes_no_forms().await;
    service.erases("later@example.no").await;

    let freed = Instant::now();
    disk.free();
    service.is_ready(true).await;
    println!("D6: ready {:?} after there was room", freed.elapsed());
    assert_eq!(service.ballast(), BALLAST);
    service.submit("new@example.no").await.unwrap();
    for (who, leads) in [("erased", 0), ("later", 0), ("restricted", 1), ("new", 1)] {
        let mail = format!("{who}@example.no");
        assert_eq!(service.finds(&mail).await, leads, "{mail}");
    }
    assert_eq!(service.finds("late0@example.no").await, 0);
    service.reads().await;
    service.stop().await;
}

/// D7: on a disk that is mounted read-only the service does not start, and says why in a line.
#[tokio::test(flavor = "multi_thread")]
async fn d7_on_a_read_only_disk_it_does_not_start() {
    let disk = SmallDisk::new("64m").await;
    OnDisk::start(&disk).await.stop().await;
    disk.becomes_read_only().await;
    let data = disk.inside(DATA);
    let serve = ["serve", "--listen", "127.0.0.1:0", "--admin-listen"];
    let serve = [
        &serve[..],
        &["127.0.0.1:0", "--data-dir", data.to_str().unwrap()],
    ]
    .concat();
    let ran = disk.run(env!("CARGO_BIN_EXE_lead-intake"), &serve).await;
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(1), "{said}");
    let line = said.strip_suffix('\n').unwrap();
    assert!(!line.contains('\n') && line.contains("read-only"), "{said}");
}

/// D7: when the disk takes no more writes in the midst of it, the service is not ready, and reads go on.
#[tokio::test(flavor = "multi_thread")]
async fn d7_a_disk_that_becomes_read_only_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let (ended, log) = Binary::serve(dir.path(), &[]).await.signal("TERM").await;
    assert!(ended.success(), "{log}");
    // As the system answers when it has made a file system read-only below an open file: the log takes nothing more, and no
    // new file is made.
    let of = ["lead-intake.db-wal", "lead-intake.db-probe"].map(|name| dir.path().join(name));
    let read_only = strace::command(
        &[],
        &[
            "inject=pwrite64:error=EROFS:when=200+",
            "inject=fallocate:error=EROFS",
        ],
        &of.each_ref().map(std::path::PathBuf::as_path),
    );
    let server = Binary::serve_by(read_only, "127.0.0.1:0", dir.path()).await;
    let mut intake = IntakeServiceClient::new(server.caller(dir.path(), "intake"));
    let mut stored = 0;
    let refused = loop {
        match intake
            .submit_lead(form("Kari Nordmann", "kari@example.no"))
            .await
        {
            Ok(_) => stored += 1,
            Err(refused) => break refused,
        }
        assert!(stored < 200, "the fault was never met");
    };
    assert!(stored > 0);
    assert_eq!(refused.code(), Code::Unavailable);
    eventually(async || {
        let answer = server.probe("/readyz").await;
        answer.contains(" 503 ").then_some(())
    })
    .await;
    let late = intake
        .submit_lead(form("Kari Nordmann", "kari@example.no"))
        .await;
    assert_eq!(late.unwrap_err().code(), Code::Unavailable);
    let mut ledger = LedgerServiceClient::new(server.caller(dir.path(), "auditor"));
    let verified = ledger.verify_ledger(pb::VerifyLedgerRequest {}).await;
    assert!(verified.unwrap().into_inner().intact);
    let (_, log) = strace::stop(server).await;
    assert!(log.contains("read-only"), "{log}");
    assert!(!log.contains("panicked"), "{log}");
}
