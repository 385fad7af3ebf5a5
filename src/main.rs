//! `lead-intake`: parse, run, exit code. The house is in the library.

use std::process::ExitCode;

use clap::Parser as _;
use lead_intake::{
    cli::{Cli, run},
    process,
};

// Measured against the system's in one run of the load bench; see docs/performance.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before there is any other thread.
    process::close();
    process::keep_small_pages();
    start()
}

#[tokio::main]
async fn start() -> ExitCode {
    run(Cli::parse()).await
}
