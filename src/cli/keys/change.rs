//! The steps that change the ring.

use anyhow::{bail, ensure};

use super::{Keys, progress};
use crate::{
    cli::{say, setup},
    clock::{Clock as _, SystemClock},
    jobs::count,
    seal::{KeyName, KeyPurpose},
};

/// Step 1.
pub(super) async fn rotate(keys: &Keys<'_>, purpose: Option<KeyPurpose>) -> anyhow::Result<()> {
    let mut changed = keys.file.clone();
    let mut added = Vec::new();
    for wanted in KeyPurpose::ALL {
        if purpose.is_none_or(|purpose| purpose == wanted) {
            added.push(changed.add(wanted, &setup::today())?);
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
    let mut changed = keys.file.clone();
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
    keys.save(changed).await?;
    for key in wanted {
        say(&format!("{key}: primary; new leads come under it"));
    }
    say_copy(keys, "`lead-intake keys reseal`");
    Ok(())
}

/// Step 4.
pub(super) async fn retire(keys: &Keys<'_>, key: Option<KeyName>) -> anyhow::Result<()> {
    let wanted = named_or_all(keys, key, |key| keys.file.is_old(key));
    ensure!(!wanted.is_empty(), "there is no old key to retire");
    let mut changed = keys.file.clone();
    for key in &wanted {
        changed.remove(*key)?;
    }
    // From now on nobody writes under an old key, so that a count of none stays one.
    keys.require_ring(keys.facts().generation).await?;
    let counted = progress::counting(async |progress| count(&**keys.store, progress).await).await?;
    for key in &wanted {
        let left = counted.by_key.get(key).copied().unwrap_or(0);
        if left > 0 {
            bail!("{key}: {left} lead(s) still lie under it; run `lead-intake keys reseal` first");
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
    say(&format!(
        "copy {} to every replica; backups from before need the ring that was: keep a copy of that one \
         as long as them, apart from them",
        keys.path.display()
    ));
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
