//! The steps that change the ring.

use anyhow::{bail, ensure};

use super::{Keys, RetireArgs, count_leads};
use crate::{
    cli::{say, setup},
    clock::{Clock as _, SystemClock},
    seal::{KeyFile, KeyName, KeyPurpose},
    store::KeyRecord,
};

/// Step 1.
pub(super) async fn rotate(keys: &Keys<'_>, purpose: Option<KeyPurpose>) -> anyhow::Result<()> {
    keys.require_newest()?;
    let mut changed = keys.next();
    let mut added = Vec::new();
    for wanted in KeyPurpose::ALL {
        if purpose.is_none_or(|purpose| purpose == wanted) {
            added.push(changed.add(wanted, keys.taken(wanted), &setup::today())?);
        }
    }
    keys.save(changed).await?;
    for key in added {
        say(&format!("{key}: added; it opens, and does not seal yet"));
    }
    say_copy(keys, "`lead-intake keys promote`");
    Ok(())
}

/// Step 2.
pub(super) async fn promote(keys: &Keys<'_>, key: Option<KeyName>) -> anyhow::Result<()> {
    let wanted = named_or_all(keys, key, |key| keys.file.is_waiting(key));
    keys.require_every_key()?;
    let mut changed = keys.next();
    // Every ring that is in use must be able to open what the new key seals.
    let mut needed = 0;
    for key in &wanted {
        needed = needed.max(keys.file.generation_of(*key)?);
        changed.promote(*key)?;
    }
    ensure!(
        wanted.iter().any(|key| keys.file.is_waiting(*key)),
        "no key waits to be promoted: `lead-intake keys rotate` adds one"
    );
    keys.require_ring(needed).await?;
    if keys.is_known(changed.ring(&keys.path)?.facts()) {
        // Another machine did the same to the same ring: the two files are one ring, and have one generation.
        changed = keys.file.next(keys.known.generation - 1);
        for key in &wanted {
            changed.promote(*key)?;
        }
    }
    keys.save(changed).await?;
    for key in wanted {
        say(&format!("{key}: primary; new leads come under it"));
    }
    say_copy(keys, "`lead-intake keys reseal`");
    Ok(())
}

/// Step 4.
pub(super) async fn retire(keys: &Keys<'_>, args: &RetireArgs) -> anyhow::Result<()> {
    if let Some(key) = args.key
        && let Some(lost) = lost(keys, key)
    {
        return give_up(keys, lost).await;
    }
    keys.require_newest()?;
    let wanted = named_or_all(keys, args.key, |key| keys.file.is_old(key));
    ensure!(!wanted.is_empty(), "there is no old key to retire");
    let mut changed = keys.next();
    for key in &wanted {
        changed.remove(*key)?;
    }
    // From now on nobody writes under an old key, so that a count of none stays one.
    keys.require_ring(keys.facts().generation).await?;
    require_no_leads(keys, &wanted).await?;
    if let Some(kept) = &args.ring_before.keep {
        // Kept already, by the same step that broke off?
        let there = KeyFile::load(kept).and_then(|file| file.ring(kept));
        if !there.is_ok_and(|ring| ring.facts() == keys.facts()) {
            keys.file.create(kept)?;
        }
    }
    // If this breaks off before the file is written, the key is retired and still there: run again, it goes.
    for key in &wanted {
        keys.store.retire_key(*key, SystemClock.now()).await?;
    }
    keys.save(changed).await?;
    for key in wanted {
        say(&format!("{key}: retired"));
    }
    if let Some(kept) = &args.ring_before.keep {
        say(&format!(
            "kept the ring of before in {}: put it where the rings of your backups are, and not beside \
             the backups",
            kept.display()
        ));
    }
    say(&format!(
        "next: copy {} to every replica",
        keys.path.display()
    ));
    Ok(())
}

/// A key that another machine added and that this ring does not have.
fn lost<'a>(keys: &'a Keys<'_>, key: KeyName) -> Option<&'a KeyRecord> {
    let is_here = keys.file.keys().any(|(here, _)| here == key);
    let mut records = keys.records.iter();
    records.find(|record| record.name == key && record.retired_at.is_none() && !is_here)
}

/// Gives up a key whose ring was lost before the key was ever used.
async fn give_up(keys: &Keys<'_>, lost: &KeyRecord) -> anyhow::Result<()> {
    let key = lost.name;
    ensure!(
        lost.generation > keys.known.ring_min,
        "{key} was in use: without the ring that has it leads cannot be opened; put that ring back"
    );
    require_no_leads(keys, &[key]).await?;
    keys.store.retire_key(key, SystemClock.now()).await?;
    say(&format!("{key}: given up; it was never used"));
    Ok(())
}

async fn require_no_leads(keys: &Keys<'_>, wanted: &[KeyName]) -> anyhow::Result<()> {
    let counted = count_leads(&**keys.store).await?;
    for key in wanted {
        let left = counted.by_key.get(key).copied().unwrap_or(0);
        if left > 0 {
            bail!("{key}: {left} lead(s) still lie under it; run `lead-intake keys reseal` first");
        }
    }
    Ok(())
}

/// The key that was named, or every one that fits.
fn named_or_all(
    keys: &Keys<'_>,
    key: Option<KeyName>,
    fits: impl Fn(KeyName) -> bool,
) -> Vec<KeyName> {
    let all = keys.file.keys().map(|(key, _)| key);
    key.map_or_else(|| all.filter(|key| fits(*key)).collect(), |key| vec![key])
}

fn say_copy(keys: &Keys<'_>, next: &str) {
    say(&format!(
        "next: copy {} to every replica, each takes it within a second; then {next}",
        keys.path.display()
    ));
}
