//! `backup`: a copy of a SQLite database, while a server runs or not.
//!
//! The copy comes to be in a directory of its own beside the file that was named, and gets that name when it is
//! whole, read through and on the disk. Whatever goes wrong before, nothing is there under that name. It never holds
//! keys, and never replaces a file.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use data_encoding::HEXLOWER;
use tokio::signal::unix::{SignalKind, signal};

use super::{
    Verdict, print,
    progress::{Progress, Unit, waiting},
    say, setup,
};
use crate::{
    config::{Config, ConfigArgs},
    store::{Copied, SqliteFile, StoreUrl},
};

/// How often the copy is looked at for the progress bar.
const LOOK: Duration = Duration::from_millis(100);

/// What is said where PostgreSQL is configured.
const POSTGRES: &str = "the leads are in PostgreSQL, which has its own tools for this\n  \
    take a base backup and archive the write-ahead log, or run: pg_dump --format=custom \
    --file=FILE DATABASE\n  the procedure, and what restoring needs, are in docs/operations.md, \
    \"Backups\"";

/// Arguments of `backup`.
#[derive(Debug, clap::Args)]
pub(super) struct BackupArgs {
    /// The file to make; it must not exist yet
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) async fn run(args: &BackupArgs) -> anyhow::Result<Verdict> {
    let config = setup::config(&args.config)?;
    let StoreUrl::Sqlite(database) = &config.database else {
        bail!(POSTGRES);
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let copied = tokio::select! {
        copied = backup(&args.file, database, &config) => copied?,
        // What was begun is removed on the way out.
        _ = tokio::signal::ctrl_c() => bail!("interrupted; there is no backup"),
        _ = terminate.recv() => bail!("interrupted; there is no backup"),
    };
    let bytes = fs::metadata(&args.file)?.len();
    let head = copied.head;
    let hash = HEXLOWER.encode(&head.hash);
    if args.json {
        print(&serde_json::to_string_pretty(&serde_json::json!({
            "file": args.file.display().to_string(),
            "bytes": bytes,
            "store_id": copied.store_id.to_string(),
            "epoch": copied.epoch,
            "schema": copied.schema,
            "head_sequence": head.sequence,
            "head_hash": hash,
        }))?)?;
    } else {
        let file = args.file.display();
        print(&format!(
            "{file}: {bytes} bytes, whole, schema {}\nledger head: {} {hash}",
            copied.schema, head.sequence
        ))?;
    }
    say(&format!(
        "the key ring ({}/keys.toml) is not in it: keep a copy of that in another place, with other people",
        config.data_dir.display()
    ));
    Ok(Verdict::Yes)
}

/// Makes the copy, reads it through, and gives it its name.
async fn backup(file: &Path, database: &Path, config: &Config) -> anyhow::Result<Copied> {
    let (parent, file) = destination(file, config)?;
    let mut source = SqliteFile::open(database)
        .await
        .with_context(|| format!("cannot open {}", config.database))?;
    let unfinished = tempfile::Builder::new()
        .prefix(".lead-intake-backup-")
        .tempdir_in(&parent)
        .with_context(|| format!("cannot write in {}", parent.display()))?;
    let copy = unfinished.path().join("copy.db");
    // SQLite takes an empty file as it takes none, and leaves its mode.
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&copy)?;
    let progress = Progress::of("copying", Unit::Bytes, source.copy_bytes().await?);
    let copying = source.copy_to(&copy);
    tokio::pin!(copying);
    loop {
        tokio::select! {
            copied = &mut copying => {
                copied.context("cannot copy the database")?;
                break;
            }
            () = tokio::time::sleep(LOOK) => {
                progress.set(fs::metadata(&copy).map_or(0, |copy| copy.len()));
            }
        }
    }
    drop(progress);
    let written = SqliteFile::open(&copy).await?;
    let copied = waiting("reading the copy through", written.inspect()).await;
    let copied = copied.context("the copy is not whole")?;
    File::open(&copy)?.sync_all()?;
    give_name(&copy, &file)?;
    drop(unfinished);
    File::open(&parent)?.sync_all()?;
    Ok(copied)
}

/// The directory of the backup, and its file in it; refuses what would do harm.
fn destination(file: &Path, config: &Config) -> anyhow::Result<(PathBuf, PathBuf)> {
    let shown = file.display();
    let name = file.file_name();
    let name: OsString = name
        .with_context(|| format!("{shown} is no file name"))?
        .into();
    ensure!(
        fs::symlink_metadata(file).is_err(),
        "{shown} is there already; a backup never replaces a file"
    );
    let parent = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let parent = parent
        .canonicalize()
        .with_context(|| format!("there is no directory {}", parent.display()))?;
    if let Ok(mirror) = config.mirror_dir.canonicalize() {
        ensure!(
            !parent.starts_with(&mirror),
            "{shown} is in the ledger's mirror, which is compared with backups when one is restored: \
             choose a place that does not go with it"
        );
    }
    if let Ok(data) = config.data_dir.canonicalize()
        && parent.starts_with(&data)
    {
        say(
            "warning: this is beside the key ring and the database themselves; move it to another place",
        );
    }
    Ok((parent.clone(), parent.join(name)))
}

/// Gives a whole copy its name, unless somebody else took that meanwhile.
fn give_name(copy: &Path, file: &Path) -> anyhow::Result<()> {
    match fs::hard_link(copy, file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!(
                "{} is there already; a backup never replaces a file",
                file.display()
            )
        }
        // Not every file system has second names.
        Err(_) if fs::symlink_metadata(file).is_err() => fs::rename(copy, file),
        done => done,
    }
    .with_context(|| format!("cannot write {}", file.display()))
}
