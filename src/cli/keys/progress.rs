//! Progress on standard error, where that is a terminal.

use std::fmt::Write;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::{jobs::Progress, store};

/// Runs a count and shows how far it is; how many leads there are is not known before.
pub(super) async fn counting<T>(
    count: impl AsyncFnOnce(Progress<'_>) -> store::Result<T>,
) -> anyhow::Result<T> {
    let bar = ProgressBar::new_spinner();
    bar.set_style(style("{spinner} counting leads: {human_pos}"));
    let counted = count(&|leads| bar.inc(leads)).await;
    bar.finish_and_clear();
    Ok(counted?)
}

/// A bar over this many leads.
pub(super) fn bar(leads: u64) -> ProgressBar {
    let bar = ProgressBar::new(leads);
    let style = style("resealing {bar:30} {human_pos} of {human_len} leads, {rate}, {eta} left");
    let rate = |state: &ProgressState, out: &mut dyn Write| {
        // A terminal that takes nothing is no matter of the rate's.
        let _ = write!(out, "{:.0}/s", state.per_sec());
    };
    bar.set_style(style.with_key("rate", rate));
    bar
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants; one that is none would show the library's own.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
