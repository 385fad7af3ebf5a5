//! `completions` and `man`: what a shell and a reader are given of the commands, made from their definition, so that
//! neither lags behind it.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Cli, Verdict, say, write};

/// The name of the program, whatever it was started as.
const NAME: &str = "lead-intake";

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// Write a page for each command into this directory, which is made if missing
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints what a shell completes the commands by.
pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<Verdict> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), NAME, &mut script);
    write(&script)?;
    Ok(Verdict::Yes)
}

/// Prints the manual page, or writes those of all commands.
pub(super) fn man(args: &ManArgs) -> anyhow::Result<Verdict> {
    let Some(dir) = &args.out else {
        let mut page = Vec::new();
        // As the pages that are written have it: none is made of `help`.
        Man::new(Cli::command().disable_help_subcommand(true)).render(&mut page)?;
        write(&page)?;
        return Ok(Verdict::Yes);
    };
    fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
        .with_context(|| format!("cannot write to {}", dir.display()))?;
    say(&format!("manual pages are in {}", dir.display()));
    Ok(Verdict::Yes)
}
