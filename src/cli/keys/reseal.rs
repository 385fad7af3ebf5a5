//! Step 3: every lead under the primary keys.

use std::time::{Duration, Instant};

use super::{Keys, count_leads};
use crate::{
    cli::{
        Verdict,
        progress::{Progress, Unit},
        say,
    },
    config::Config,
    jobs::reseal,
    seal::{KeyPurpose, Resealer},
    store::{SharedStore, StoreUrl},
};

/// How often the database's log is asked to be emptied of what was replaced.
const CLEAN_UPS: u32 = 100;
/// The wait between two.
const CLEAN_UP: Duration = Duration::from_millis(100);

pub(super) async fn run(keys: &Keys<'_>, config: &Config) -> anyhow::Result<Verdict> {
    keys.require_newest()?;
    let ring = keys.facts();
    // A replica that still seals with an old key would never be done with.
    keys.require_ring(ring.generation).await?;
    let counted = count_leads(&**keys.store).await?;
    let primary = (ring.primary_sealing, ring.primary_index);
    let pairs = counted.by_pair.iter();
    let left: i64 = pairs
        .filter(|(pair, _)| **pair != primary)
        .map(|(_, leads)| leads)
        .sum();
    let started = Instant::now();
    let progress = Progress::of("resealing", Unit::Leads, u64::try_from(left).unwrap_or(0));
    let resealer = Resealer::new(keys.ring.clone());
    let done = reseal(&**keys.store, &resealer, &|leads| progress.add(leads)).await;
    drop(progress);
    let done = done?;
    let seconds = started.elapsed().as_secs_f64();
    say(&format!(
        "resealed {} of {left} lead(s) in {seconds:.1} s; all are under {} and {} now{}",
        done.moved,
        ring.primary(KeyPurpose::Sealing),
        ring.primary(KeyPurpose::Index),
        if done.failed > 0 {
            ", but for those below"
        } else {
            ""
        },
    ));
    clean_up(keys.store, config).await?;
    for unopened in &done.unopened {
        say(&format!(
            "lead {} stays as it was: {}",
            unopened.id, unopened.error
        ));
    }
    if done.failed == 0 {
        say("next: `lead-intake keys retire --keep FILE`");
        return Ok(Verdict::Yes);
    }
    say(&format!(
        "{} lead(s) cannot be moved; while they are there the old key cannot be retired",
        done.failed
    ));
    Ok(Verdict::No)
}

/// Removes what was replaced from SQLite's log; a reader may hold it for a while.
async fn clean_up(store: &SharedStore, config: &Config) -> anyhow::Result<()> {
    for _ in 0..CLEAN_UPS {
        // Busy is an error to a service that writes, and no reason to give up here.
        if matches!(store.clean_up().await, Ok(true)) {
            return Ok(());
        }
        tokio::time::sleep(CLEAN_UP).await;
    }
    if let StoreUrl::Sqlite(path) = &config.database {
        say(&format!(
            "what was replaced still lies in {}-wal, sealed: a reader holds it; the service empties it with \
             its next erasure",
            path.display()
        ));
    }
    Ok(())
}
