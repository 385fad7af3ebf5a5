//! `lead-intake`: parse, run, exit code. The house is in the library.

use std::process::ExitCode;

use clap::Parser as _;
use lead_intake::cli::{Cli, run};

#[tokio::main]
async fn main() -> ExitCode {
    run(Cli::parse()).await
}
