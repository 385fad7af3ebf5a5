//! L3: every place that the scan looks at shows what is planted there, by the way that a leak would take; and shows
//! it no more when it is taken away.

use std::fs;

use tonic::{Code, Status};

use super::scenario::{Scenario, on_disk};
use crate::{
    cli::House,
    raw::Raw,
    scan::{Needles, places::Place},
    support::*,
};

/// Lies nowhere until it is planted. A value for each test: PostgreSQL's log is of all databases.
const VALUE: &str = "Nedlagt Avsløring-5150";
/// The name of the data directory, which the server's own process shows by right.
const DIRECTORY: &str = "plantet-katalog-5151";
/// The name of a client, which metrics show by right.
const CLIENT: &str = "plantet-klient-5152";

/// Where a value was found.
fn found(value: &str, places: &[Place]) -> Vec<String> {
    let needles = Needles::of_values(&[value]);
    needles.found_at(places)
}

fn is_at(found: &[String], place: &str) -> bool {
    found.iter().any(|leak| leak.contains(place))
}

on_both! {
    /// L3: on disk. A file in the data directory, one in the ledger's mirror, the database, its log, a backup; of
    /// PostgreSQL the tables' files, the write-ahead log, and the server's log with every statement's parameters.
    async fn l3_on_disk(backend: Backend) {
        let house = House::new(backend).await;
        let url = house.database_url();
        let data = house.data();
        let look = async || found(VALUE, &on_disk(&url, house.dir.path()).await);
        assert_eq!(look().await, Vec::<String>::new());
        fs::create_dir_all(data.join("ledger")).unwrap();
        for file in ["leak", "ledger/00000000.jsonl"] {
            let file = data.join(file);
            fs::write(&file, format!("x{VALUE}x")).unwrap();
            assert!(is_at(&look().await, file.to_str().unwrap()));
            fs::remove_file(&file).unwrap();
            assert_eq!(look().await, Vec::<String>::new());
        }
        let mut raw = Raw::at(&url).await;
        raw.execute("CREATE TABLE leak (value TEXT)").await;
        raw.execute(&format!("INSERT INTO leak VALUES ('{VALUE}')")).await;
        let places = match backend {
            Backend::Sqlite => ["lead-intake.db-wal"].as_slice(),
            Backend::Postgres => &["/base/", "/pg_wal/", "server.log"],
        };
        for place in places {
            assert!(is_at(&look().await, place), "{place}");
        }
        if backend == Backend::Sqlite {
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").await;
            assert!(is_at(&look().await, "lead-intake.db"));
            let backup = house.dir.path().join("backup");
            house.run(&["backup", backup.to_str().unwrap()]).await.with_code(0);
            assert!(is_at(&look().await, backup.to_str().unwrap()));
            fs::remove_file(&backup).unwrap();
            raw.execute("PRAGMA secure_delete = ON; DROP TABLE leak; PRAGMA wal_checkpoint(TRUNCATE)").await;
            assert_eq!(look().await, Vec::<String>::new());
        }
        raw.close().await;
    }

    /// L3: out of the process. Its log, its command line and its environment, its metrics, its spans; what a command writes; and
    /// the text, the details and the headers of a refusal.
    async fn l3_out_of_the_process(backend: Backend) {
        const VALUE: &str = "Nedlagt Avsløring-5153";
        let dir = tempfile::tempdir().unwrap();
        let mut scenario = Scenario::below(dir, DIRECTORY, backend).await;
        let places = scenario.everything().await;
        let seen = found(DIRECTORY, &places);
        for place in ["the server's log", "/cmdline"] {
            assert!(is_at(&seen, place), "{place}: {seen:?}");
        }
        assert!(is_at(&found("trace", &places), "/environ"));
        assert_eq!(found(CLIENT, &scenario.everything().await), Vec::<String>::new());
        // Counted at the start, then each quarter of a minute.
        scenario.command(&["client", "add", CLIENT, "--role", "crm"], "", 0).await;
        eventually(async || {
            let seen = found(CLIENT, &scenario.everything().await);
            is_at(&seen, "the metrics").then_some(())
        })
        .await;
        assert_eq!(found(VALUE, &scenario.everything().await), Vec::<String>::new());
        // A command repeats what its user typed wrong.
        scenario.command(&["submit", "--basis", VALUE], "", 2).await;
        assert!(is_at(&found(VALUE, &scenario.everything().await), "stderr of submit"));
        scenario.command(&["client", "list"], "", 0).await;
        assert!(is_at(&found(CLIENT, &scenario.everything().await), "stdout of client list"));

        let mut in_header = Status::new(Code::Internal, "");
        in_header.metadata_mut().insert("x-leak", VALUE.parse().unwrap());
        for status in [
            Status::new(Code::Internal, VALUE),
            Status::with_details(Code::Internal, "", VALUE.as_bytes().into()),
            in_header,
        ] {
            scenario.keep_refusal("planted", &status);
            assert!(is_at(&found(VALUE, &scenario.everything().await), "a refusal of planted"));
        }
        assert_eq!(found(VALUE, &scenario.everything().await), Vec::<String>::new());
        // Last: what a collector was sent stays there.
        scenario.collector.plant(VALUE).await;
        assert!(is_at(&found(VALUE, &scenario.everything().await), "the spans"));
    }
}
