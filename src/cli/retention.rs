//! `retention preview`: what the next sweep would do. Works on the database, while a server runs or not.

use clap::Subcommand;
use jiff::Timestamp;

use super::{Verdict, print, setup, show::table};
use crate::{
    clock::{Clock as _, SystemClock},
    config::ConfigArgs,
    domain::{retention::RetentionPolicy, sweep::ClockJudgement},
    store::Preview,
};

/// Arguments of `retention`.
#[derive(Debug, clap::Args)]
pub(super) struct RetentionArgs {
    #[command(subcommand)]
    command: RetentionCommand,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Subcommand)]
enum RetentionCommand {
    /// Count what a sweep would erase now; changes nothing
    Preview {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(args: &RetentionArgs) -> anyhow::Result<Verdict> {
    let config = setup::config(&args.config)?;
    let policy = config.settings.retention;
    let store = setup::open(&config, false).await?;
    let preview = store.preview_sweep(&policy, SystemClock.now()).await;
    store.close().await;
    let preview = preview?;
    let RetentionCommand::Preview { json } = args.command;
    if json {
        print(&serde_json::to_string_pretty(&value(&preview))?)?;
    } else {
        print(&text(&preview, &policy))?;
    }
    Ok(Verdict::Yes)
}

fn value(preview: &Preview) -> serde_json::Value {
    let [answered, not_relevant, converted] = preview.grace_over;
    serde_json::json!({
        "too_old": preview.too_old,
        "grace_over": {
            "answered": answered,
            "not_relevant": not_relevant,
            "converted": converted,
        },
        "kept_restricted": preview.kept_restricted,
        "oldest_month": preview.oldest.map(month),
        "swept_at": preview.swept_at.map(|at| at.to_string()),
        "clock": match preview.clock {
            ClockJudgement::Trusted => "trusted",
            ClockJudgement::First => "first",
            ClockJudgement::Doubted => "doubted",
        },
    })
}

fn text(preview: &Preview, policy: &RetentionPolicy) -> String {
    let [answered, not_relevant, converted] = preview.grace_over;
    let grace = policy.grace;
    let mut rows = table(["leads", "limit", "to erase", "kept"]);
    for (what, days, leads) in [
        ("too old", policy.max_age_days, preview.too_old),
        ("closed: answered", grace.answered, answered),
        ("closed: not relevant", grace.not_relevant, not_relevant),
        ("closed: converted", grace.converted, converted),
    ] {
        rows.add_row([what, &format!("{days} days"), &leads.to_string(), ""]);
    }
    let kept = preview.kept_restricted.to_string();
    rows.add_row(["restricted, time over", "", "", &kept]);
    let oldest = preview.oldest.map_or_else(|| "none".to_owned(), month);
    let swept_at = preview
        .swept_at
        .map_or_else(|| "never".to_owned(), |at| at.to_string());
    let clock = match preview.clock {
        ClockJudgement::Trusted => "trusted",
        ClockJudgement::First => {
            "not compared yet: the first sweep notes the time and erases nothing"
        }
        ClockJudgement::Doubted => {
            "NOT TRUSTED: it jumped since the last sweep, or that was long ago; the next sweep \
             erases nothing"
        }
    };
    format!("{rows}\noldest to erase: {oldest}\nlast sweep: {swept_at}\nclock: {clock}")
}

/// The month of a time, which tells less of a person than the day.
fn month(at: Timestamp) -> String {
    at.strftime("%Y-%m").to_string()
}
