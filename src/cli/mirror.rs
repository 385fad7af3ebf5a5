//! `mirror status|init|apply`: the ledger's copy outside the database, for whoever adds a replica or restores a backup.

use clap::Subcommand;

use super::{Verdict, print, progress::waiting, say, setup};
use crate::{
    config::ConfigArgs,
    ledger::mirror::{self, Lines, Mirror},
};

/// Arguments of `mirror`.
#[derive(Debug, clap::Args)]
pub(super) struct MirrorArgs {
    #[command(subcommand)]
    command: MirrorCommand,
}

#[derive(Debug, Subcommand)]
enum MirrorCommand {
    /// Compare how far the mirror and the database are; exit code 3 if the database is behind
    Status(ConfigArgs),
    /// Begin a new mirror of this database: for a new replica, or when the old mirror is lost for good
    ///
    /// The database is taken as it is. If it was restored from a backup, what was erased since comes back.
    Init(ConfigArgs),
    /// Take the database as it is, and do the mirror's erasures and restrictions again on it
    ///
    /// For a database that was restored and then written to without its mirror, which `serve` refuses. What the mirror
    /// had is put aside, not removed.
    Apply(ConfigArgs),
}

pub(super) async fn run(args: &MirrorArgs) -> anyhow::Result<Verdict> {
    match &args.command {
        MirrorCommand::Status(args) => status(args).await,
        MirrorCommand::Init(args) => init(args).await,
        MirrorCommand::Apply(args) => apply(args).await,
    }
}

async fn status(args: &ConfigArgs) -> anyhow::Result<Verdict> {
    let config = setup::config(args)?;
    let dir = &config.mirror_dir;
    mirror::identity(dir)?;
    // The mirror before the database: it has nothing that the database has not, unless that is behind.
    let last = Lines::last(dir)?.map_or(0, |line| line.entry.sequence);
    let store = setup::open(&config, false).await?;
    let head = store.ledger_head().await?.sequence;
    store.close().await;
    print(&format!(
        "mirror:   {last} entries in {}\ndatabase: {head} entries in {}",
        dir.display(),
        config.database
    ))?;
    let is_behind = last > head;
    say(if is_behind {
        "the database is behind its mirror: a backup was restored, or a failover lost something. Run serve before anything else: it applies again \
         what was erased since. With several replicas, start the one whose mirror is longest first."
    } else {
        "the database has everything that the mirror has"
    });
    Ok(if is_behind { Verdict::No } else { Verdict::Yes })
}

async fn init(args: &ConfigArgs) -> anyhow::Result<Verdict> {
    let config = setup::config(args)?;
    setup::data_dir(&config.data_dir)?;
    let store = setup::open(&config, false).await?;
    let store_id = store.store_id();
    store.close().await;
    if !Mirror::create(&config.mirror_dir, store_id)? {
        anyhow::bail!("there is a mirror in {}", config.mirror_dir.display());
    }
    say(&format!(
        "began a mirror in {}; it is filled when the service runs",
        config.mirror_dir.display()
    ));
    Ok(Verdict::Yes)
}

async fn apply(args: &ConfigArgs) -> anyhow::Result<Verdict> {
    let config = setup::config(args)?;
    let mirror = setup::mirror(&config, true);
    let opening = Box::pin(setup::open_with(&config, true, Some(mirror)));
    let store = waiting("doing the mirror's acts again", opening).await?;
    store.close().await;
    say(
        "the database has what the mirror's acts made of it; the mirror begins anew with the next start",
    );
    Ok(Verdict::Yes)
}
