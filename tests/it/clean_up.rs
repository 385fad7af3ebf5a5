//! What an erasure leaves on the database's own disk, how soon it is gone, and that it is told until then.

use std::{path::Path, time::Duration};

use lead_intake::pb::{
    self, CleanUp, intake_service_client::IntakeServiceClient,
    privacy_service_client::PrivacyServiceClient,
};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    raw::Raw,
    scan::{
        Needles,
        places::{Place, superuser, table_files},
    },
    steps::*,
    support::{binary::Binary, *},
};

/// The columns that hold something of a person, all of it under keys.
pub const SEALED: &str = "SELECT sealed FROM lead UNION ALL SELECT email_index FROM lead \
                          UNION ALL SELECT phone_index FROM lead UNION ALL SELECT content_mac FROM lead";

/// A connection to the database of a data directory, past the service.
pub async fn stranger(data: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(data.join("lead-intake.db"));
    options.connect().await.unwrap()
}

pub async fn sealed(connection: &mut SqliteConnection) -> Vec<Vec<u8>> {
    let found: Vec<Option<Vec<u8>>> = sqlx::query_scalar(SEALED)
        .fetch_all(connection)
        .await
        .unwrap();
    found.into_iter().flatten().collect()
}

/// Begins to read, and does not end.
pub async fn hold_the_log(connection: &mut SqliteConnection) {
    sqlx::raw_sql("BEGIN; SELECT COUNT(*) FROM lead")
        .execute(connection)
        .await
        .unwrap();
}

/// The state that the receipt of an erasure tells.
async fn told(privacy: &mut PrivacyServiceClient<Caller>, request_id: &str) -> CleanUp {
    let request = pb::GetErasureReceiptRequest {
        request_id: request_id.to_owned(),
        ..Default::default()
    };
    privacy
        .get_erasure_receipt(request)
        .await
        .unwrap()
        .into_inner()
        .clean_up()
}

/// Waits until everything that was erased before is gone from the files, and the clean-up at the start is over.
pub async fn settle(replica: &Replica) {
    let email = format!("{}@example.no", new_id());
    submit_mail(replica, &email).await;
    let erasure = erasure(&email);
    let id = erasure.request.clone().unwrap().request_id;
    let mut privacy = replica.privacy();
    privacy.erase_subject(erasure).await.unwrap();
    eventually(async || (told(&mut privacy, &id).await == CleanUp::Done).then_some(())).await;
}

/// Two people, each with an address and a number.
const TWO: [(&str, &str); 2] = [
    ("first@example.no", "40605600"),
    ("second@example.no", "40605601"),
];

/// Waits until the gauge shows this.
async fn shows(server: &Binary, pending: char) {
    eventually(async || {
        let metrics = server.get("/metrics").await;
        let gauge = metrics
            .lines()
            .find(|line| line.starts_with("lead_intake_clean_up_pending "));
        gauge.expect("a gauge").ends_with(pending).then_some(())
    })
    .await;
}

/// Fails if anything of what is no longer in the database is in its files.
async fn assert_gone(all: &[Vec<u8>], reader: &mut SqliteConnection, data: &Path) {
    let kept = sealed(reader).await;
    let gone: Vec<_> = all
        .iter()
        .filter(|bytes| !kept.contains(bytes))
        .cloned()
        .collect();
    assert!(!gone.is_empty());
    let gone = Needles::of_bytes(&gone);
    assert_eq!(gone.found_below(data), Vec::<String>::new());
}

/// E1: while a reader holds the write-ahead log, the receipt says "pending", the gauge is 1, the log warns, and
/// others write on; so it is when the server was killed before it could clean up. When the reader is done, receipt and
/// gauge say so, and nothing of the lead is in any file.
#[tokio::test(flavor = "multi_thread")]
async fn e1_a_reader_that_holds_the_log_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut server = Binary::serve(&data, &[]).await;
    let mut intake = IntakeServiceClient::new(server.caller(&data, "intake"));
    let mut privacy = PrivacyServiceClient::new(server.caller(&data, "privacy"));
    for (email, phone) in TWO {
        let mut form = form("Kari Nordmann", email);
        form.phone = phone.to_owned();
        intake.submit_lead(form).await.unwrap();
    }
    let mut reader = stranger(&data).await;
    let all = sealed(&mut reader).await;
    assert_eq!(all.len(), 8);
    let needles = Needles::of_bytes(&all);
    let mut erased = Vec::new();
    for (email, _) in TWO {
        hold_the_log(&mut reader).await;
        let erasure = erasure(email);
        let id = erasure.request.clone().unwrap().request_id;
        let done = privacy.erase_subject(erasure).await.unwrap().into_inner();
        assert_eq!(done.leads.len(), 1);
        eventually(async || {
            server
                .log()
                .contains("still in the database's files")
                .then_some(())
        })
        .await;
        assert_eq!(told(&mut privacy, &id).await, CleanUp::Pending);
        shows(&server, '1').await;
        assert!(!needles.found_below(&data).is_empty());
        let form = form("Ola Nordmann", "ola@example.no");
        intake.submit_lead(form).await.unwrap();
        // The other time it is killed in this state.
        if !erased.is_empty() {
            server.child.start_kill().unwrap();
            server.child.wait().await.unwrap();
            server = Binary::serve(&data, &[]).await;
            privacy = PrivacyServiceClient::new(server.caller(&data, "privacy"));
            assert_eq!(told(&mut privacy, &id).await, CleanUp::Pending);
            shows(&server, '1').await;
        }
        sqlx::raw_sql("COMMIT").execute(&mut reader).await.unwrap();
        eventually(async || (told(&mut privacy, &id).await == CleanUp::Done).then_some(())).await;
        shows(&server, '0').await;
        assert_gone(&all, &mut reader, &data).await;
        erased.push(id);
    }
    // What was done once stays done, whatever comes after it.
    for id in &erased {
        assert_eq!(told(&mut privacy, id).await, CleanUp::Done);
    }
    reader.close().await.unwrap();
}

/// E1: a stop right after an erasure leaves nothing of it either.
#[tokio::test(flavor = "multi_thread")]
async fn e1_a_stop_leaves_nothing() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    submit_mail(&replica, "first@example.no").await;
    settle(&replica).await;
    let mut raw = Raw::open(&world).await;
    let gone = Needles::of_bytes(&raw.bytes(SEALED).await);
    raw.close().await;
    assert!(!gone.found_below(world.dir.path()).is_empty());
    erase(&replica, "first@example.no").await;
    replica.stop().await;
    assert_eq!(gone.found_below(world.dir.path()), Vec::<String>::new());
}

/// E1: an attempt to clean up does not wait for a reader that holds the log, since everybody who writes would wait with
/// it, each time for the five seconds that SQLite waits for a lock.
#[tokio::test(flavor = "multi_thread")]
async fn e1_a_reader_that_holds_the_log_holds_no_writer() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    submit_mail(&replica, "first@example.no").await;
    let mut reader = Raw::open(&world).await;
    reader.execute("BEGIN; SELECT COUNT(*) FROM lead").await;
    erase(&replica, "first@example.no").await;
    let attempts = async {
        for number in 0..12 {
            assert!(!replica.store.clean_up().await.unwrap());
            submit_mail(&replica, &format!("{number}@example.no")).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), attempts)
        .await
        .expect("writers wait");
    reader.execute("COMMIT").await;
    eventually(async || replica.store.clean_up().await.unwrap().then_some(())).await;
    reader.close().await;
    replica.stop().await;
}

/// E1: not in any page but the ledger's: an erased lead's row is gone from its table, and its entries alone know its
/// identifier.
#[tokio::test(flavor = "multi_thread")]
async fn e1_the_row_is_gone_from_its_table() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let mut ids = Vec::new();
    for number in 0..200 {
        ids.push(submit_mail(&replica, &format!("{}@example.no", number % 20)).await);
    }
    let file = world.dir.path().join("lead-intake.db");
    let mut raw = Raw::open(&world).await;
    settle(&replica).await;
    // The pages of all but the ledger: free pages too.
    let ledger = "SELECT pageno FROM dbstat WHERE name IN ('ledger', 'withheld') OR name IN \
                  (SELECT name FROM sqlite_schema WHERE tbl_name IN ('ledger', 'withheld'))";
    let mut elsewhere = async |id: &str| {
        let pages = raw.numbers(ledger).await;
        let size = raw.numbers("PRAGMA page_size").await[0];
        let bytes = std::fs::read(&file).unwrap();
        let others = bytes.chunks(usize::try_from(size).unwrap()).zip(1_i64..);
        let others = others.filter(|(_, number)| !pages.contains(number));
        let others: Vec<_> = others.map(|(page, _)| Place::new("a page", page)).collect();
        let id: uuid::Uuid = id.parse().unwrap();
        let needles = Needles::of_bytes(&[id.as_bytes().to_vec()]);
        !needles.found_at(&others).is_empty()
    };
    assert!(elsewhere(&ids[0]).await, "the look is blind");
    for number in 0..19 {
        erase(&replica, &format!("{number}@example.no")).await;
    }
    settle(&replica).await;
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(elsewhere(id).await, number % 20 == 19, "{number}");
    }
    raw.close().await;
    replica.stop().await;
}

/// E1: statistics keep samples of what they count. The service makes none; those that an operator's ANALYZE made, blind
/// index values of people among them, go with the next erasure or the next start, and the counts, which change plans, with
/// them.
#[tokio::test(flavor = "multi_thread")]
async fn e1_no_statistics_remember_the_erased() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    for number in 0..40 {
        submit_mail(&replica, &format!("{number}@example.no")).await;
    }
    for number in 0..40 {
        let find = pb::FindSubjectRequest {
            request: subject(&format!("{number}@example.no")),
        };
        replica.privacy().find_subject(find).await.unwrap();
    }
    let statistics = "SELECT COUNT(*) FROM sqlite_schema WHERE name LIKE 'sqlite_stat%'";
    replica.stop().await;
    let mut raw = Raw::open(&world).await;
    assert_eq!(raw.numbers(statistics).await, [0], "a stop counts nothing");

    let replica = world.start().await;
    raw.execute("ANALYZE").await;
    assert_eq!(
        raw.numbers("SELECT COUNT(*) > 0 FROM sqlite_stat4 WHERE tbl = 'lead'")
            .await,
        [1]
    );
    let mut all = Vec::new();
    for column in ["sealed", "email_index", "content_mac"] {
        all.extend(raw.bytes(&format!("SELECT {column} FROM lead")).await);
    }
    let gone = Needles::of_bytes(&all);
    for number in 0..40 {
        erase(&replica, &format!("{number}@example.no")).await;
    }
    eventually(async || gone.found_below(world.dir.path()).is_empty().then_some(())).await;
    assert_eq!(raw.numbers(statistics).await, [0]);
    replica.stop().await;
    raw.execute("ANALYZE").await;
    assert!(raw.numbers(statistics).await[0] > 0);
    let replica = world.start().await;
    eventually(async || (raw.numbers(statistics).await == [0]).then_some(())).await;
    raw.close().await;
    replica.stop().await;
}

/// E3: on PostgreSQL the receipt says that it is vacuum's. Until then what lies in the table's files is sealed; after
/// it, in a table written anew, nothing of the lead is left. Statistics hold no samples of it.
#[tokio::test(flavor = "multi_thread")]
async fn e3_sealed_bytes_are_gone_from_the_table_after_vacuum() {
    let world = World::new(Backend::Postgres).await;
    let replica = world.start().await;
    for number in 0..40 {
        submit_mail(&replica, &format!("{number}@example.no")).await;
    }
    let mut raw = Raw::open(&world).await;
    let mut connection = superuser(&world.url).await;
    raw.execute("ANALYZE lead").await;
    let sampled = "SELECT attname::text FROM pg_stats WHERE tablename = 'lead'";
    let sampled: Vec<String> = sqlx::query_scalar(sampled)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert!(
        sampled.contains(&"submitted_at".to_owned()),
        "the look is blind: {sampled:?}"
    );
    for column in ["sealed", "email_index", "phone_index", "content_mac"] {
        assert!(!sampled.contains(&column.to_owned()), "{column} is sampled");
    }
    // One dead row is enough for autovacuum, which leaves no index out.
    let options = "SELECT unnest(reloptions) FROM pg_class WHERE oid = 'lead'::regclass";
    let options: Vec<String> = sqlx::query_scalar(options)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    for option in [
        "autovacuum_vacuum_scale_factor=0",
        "autovacuum_vacuum_threshold=1",
        "vacuum_index_cleanup=on",
    ] {
        assert!(
            options.contains(&option.to_owned()),
            "{option}: {options:?}"
        );
    }
    let all = raw.bytes(SEALED).await;
    let files = table_files(&mut connection, "lead").await;
    let found = Needles::of_bytes(&all).found_at(&files);
    assert!(!found.is_empty(), "the look is blind");
    let erasure = erasure("0@example.no");
    let id = erasure.request.clone().unwrap().request_id;
    replica.privacy().erase_subject(erasure).await.unwrap();
    assert_eq!(told(&mut replica.privacy(), &id).await, CleanUp::ByVacuum);
    let kept = raw.bytes(SEALED).await;
    let gone: Vec<_> = all
        .into_iter()
        .filter(|bytes| !kept.contains(bytes))
        .collect();
    assert_eq!(gone.len(), 3);
    let (gone, kept) = (Needles::of_bytes(&gone), Needles::of_bytes(&kept));
    raw.execute("VACUUM FULL lead").await;
    let files = table_files(&mut connection, "lead").await;
    assert_eq!(gone.found_at(&files), Vec::<String>::new());
    assert!(!kept.found_at(&files).is_empty());
    connection.close().await.unwrap();
    raw.close().await;
    replica.stop().await;
}
