//! L1: nothing of a person, no token and no key, anywhere but where it belongs.
//!
//! [`scenario`] runs the real program at the finest level of its log and keeps what comes out of it; [`calls`] makes
//! every call of the contract, [`hostile`] makes them wrong in every way, [`commands`] runs every command; the test
//! here scans all of it, and the disk. A call or a command without a place in the scenario fails it. [`planted`] shows,
//! place by place, that the scan is not blind; [`panics`] and [`lines`] look at what a panic writes, and at what control
//! characters do to a log.
//!
//! To add a call: a step in `calls`. To add a command: a step in `commands`. To add a place where something could lie:
//! a line in `Scenario::everything`, and one in `planted`.

mod calls;
mod commands;
mod hostile;
mod lines;
mod panics;
mod planted;
mod scenario;

use self::scenario::Scenario;
use crate::{clean_up::SEALED, raw::Raw, scan::Needles, support::*};

/// A person whose values are found nowhere else.
pub const NAME: &str = "Ærlig Kanarifugl";
pub const COMPANY: &str = "Kanarikompani Øst ANS";
pub const EMAIL: &str = "kanari.fugl@kanari-eksempel.no";
/// As typed; it is stored as +4740605619.
pub const PHONE: &str = "406 05 619";
/// What the contract has no place for: unknown fields, headers, paths.
pub const NOTE: &str = "kanarinotat-7391";

/// All of it, and its parts.
pub const CANARIES: [&str; 7] = [
    NAME,
    "Kanarifugl",
    COMPANY,
    "Kanarikompani",
    EMAIL,
    "+4740605619",
    NOTE,
];

/// How many metric series there may be (M1), a histogram counted as one.
const SERIES_MAX: usize = 500;

on_both! {
    /// L1, Z3, E6: after every call of the contract, by every role, well and badly made, after every command, and
    /// after a stop, with everything logged: no value of a person, no token and no key is in any output, error,
    /// metric, file, table or log, but in the answers that are asked for them; and after an erasure not even what
    /// was sealed is in what the service wrote.
    async fn l1_nothing_leaks_anywhere(backend: Backend) {
        let mut scenario = Scenario::start(backend).await;
        let needles = scenario.needles();
        calls::stored(&mut scenario).await;
        let sealed = sealed(&scenario).await;
        hostile::every_call_made_badly(&mut scenario).await;
        calls::rights(&mut scenario).await;
        let nothing = Vec::<String>::new();
        let before = scenario.everything().await;
        assert_eq!(needles.found_at(&before), nothing);
        calls::erased(&mut scenario).await;
        commands::every_command(&mut scenario).await;
        calls::account(&mut scenario).await;
        scenario.assert_complete().await;
        let metrics = scenario.house.server.get("/metrics").await;
        // A histogram counts once, as its count.
        let part = |line: &str| line.contains("_bucket{") || line.contains("_sum{");
        let series = metrics.lines().filter(|line| line.starts_with("lead_intake") && !part(line));
        let series = series.count();
        assert!(series <= SERIES_MAX, "{series} series");
        let paths: Vec<_> = scenario.methods().map(|method| method.path.clone()).collect();
        assert_eq!(needles.found_at(&scenario.everything().await), nothing);
        let (log, places) = scenario.stop().await;
        // The log had something to say of every call, each in a line of its own, and so had the spans.
        let spans = places.iter().find(|place| place.name == "the spans").unwrap();
        let spans = String::from_utf8_lossy(&spans.bytes);
        for path in paths {
            assert!(log.contains(&path), "{path} is not in the log");
            assert!(spans.contains(&path[1..]), "{path} is in no span");
        }
        lines::assert_whole(&log);
        assert_eq!(needles.found_at(&places), nothing);
        if backend == Backend::Sqlite {
            let sealed = Needles::of_bytes(&sealed);
            assert!(!sealed.found_at(&before).is_empty(), "the look is blind");
            assert_eq!(sealed.found_at(&places), nothing);
        }
    }
}

/// What is sealed, or under keys, in the database.
async fn sealed(scenario: &Scenario) -> Vec<Vec<u8>> {
    let mut raw = Raw::at(&scenario.house.database_url()).await;
    let bytes = raw.bytes(SEALED).await;
    raw.close().await;
    assert!(!bytes.is_empty());
    bytes
}
