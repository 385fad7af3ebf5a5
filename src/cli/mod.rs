//! The commands: one file for each group.
//!
//! Client commands speak to a server over the same API as everyone else ([`connect`]); operator commands use the
//! database itself ([`setup`]). Tables are for people, `--json` for programs; nothing personal is printed unless
//! that is what was asked for. Exit codes: 0 done; 1 failed, or refused by the server; 2 wrong usage; 3 the answer
//! is "no" (a ledger that is not intact, a check that found something, an erasure that left a lead, a tombstone that
//! a CRM has still to acknowledge, a request that is not completed).
//!
//! To add a client command: its arguments with a flattened [`answer::AnswerArgs`], a function that connects with the
//! role it needs, asks, and prints the answer by them; then a line in `Command` and in [`run`], a name in [`json`],
//! and an example in the README or in `docs/operations.md` (a test looks for it). What may take longer than a few seconds
//! shows its [`progress`].

mod act;
mod answer;
mod asked;
mod backup;
mod check;
mod client;
mod connect;
mod crm;
mod erase;
mod file;
mod given;
mod intake;
mod json;
mod kept;
mod keys;
mod ledger;
mod mirror;
pub(crate) mod opendsr;
mod privacy;
mod progress;
mod pull;
pub(crate) mod receipt;
mod record;
mod rectify;
mod retention;
mod serve;
pub mod setup;
mod shell;
mod show;
mod stats;
mod subject;
mod tls;
mod withdraw;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{config::ConfigArgs, telemetry};

/// The contact-form backend that can prove it forgot you
#[derive(Debug, Parser)]
#[command(name = "lead-intake", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service
    Serve(serve::ServeArgs),

    // Client commands.
    /// Hand over a lead
    Submit(intake::SubmitArgs),
    /// Show the privacy notice
    Notice(intake::NoticeArgs),
    /// Read the feed of leads and their changes
    Pull(pull::PullArgs),
    /// Acknowledge the feed up to a cursor
    Ack(crm::AckArgs),
    /// Read one lead
    Get(crm::GetArgs),
    /// Say that an enquiry is over: its lead is erased
    Close(crm::CloseArgs),
    /// Find the leads of a person
    Find(privacy::FindArgs),
    /// Export the data of a person (Art. 15, Art. 20)
    Export(privacy::ExportArgs),
    /// Erase a person (Art. 17)
    Erase(erase::EraseArgs),
    /// Show who had the leads of an erasure and who acknowledged it (Art. 19), keep its proof, verify it
    Receipt(receipt::ReceiptArgs),
    /// Carry out a data-subject request of another tool (OpenDSR 2.0)
    #[command(name = "opendsr")]
    OpenDsr(opendsr::OpenDsrArgs),
    /// Correct a lead (Art. 16)
    Rectify(rectify::RectifyArgs),
    /// Restrict a lead: stored, and nothing else (Art. 18)
    Restrict(act::RestrictArgs),
    /// Lift a restriction after the person was told (Art. 18(3))
    Lift(act::LiftArgs),
    /// Record an objection (Art. 21)
    Object(act::ObjectArgs),
    /// Withdraw the consent to a lead (Art. 7(3))
    Withdraw(withdraw::WithdrawArgs),
    /// Verify and list the ledger, and have its checkpoint
    Ledger(ledger::LedgerArgs),
    /// Count leads, late answers and open tombstones
    Stats(stats::StatsArgs),
    /// Show the record of processing activities (Art. 30)
    Record(record::RecordArgs),

    // Operator commands.
    /// Bring the database's schema up to date
    Migrate(ConfigArgs),
    /// Copy the SQLite database, while the service runs or not
    Backup(backup::BackupArgs),
    /// Check configuration, keys, database and privacy notice
    Check(ConfigArgs),
    /// Ask a running service whether it serves
    Healthcheck(check::HealthArgs),
    /// Add, list and revoke clients and their tokens
    Client(client::ClientArgs),
    /// List, rotate and retire the keys that leads are sealed with
    Keys(keys::KeysArgs),
    /// Show what the retention rules are about to erase
    Retention(retention::RetentionArgs),
    /// Look after the ledger's copy outside the database
    Mirror(mirror::MirrorArgs),

    // For whoever installs the program.
    /// Print what a shell completes the commands by
    Completions(shell::CompletionsArgs),
    /// Print the manual page, or write one for each command
    Man(shell::ManArgs),
}

/// What a command found, where that is a yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Exit code 0.
    Yes,
    /// Exit code 3.
    No,
}

/// Runs the command and gives the exit code.
pub async fn run(cli: Cli) -> ExitCode {
    telemetry::quiet_panics();
    let verdict = match cli.command {
        Command::Serve(args) => serve::run(args).await,
        Command::Submit(args) => intake::submit(&args).await,
        Command::Notice(args) => intake::notice(&args).await,
        Command::Pull(args) => pull::run(&args).await,
        Command::Ack(args) => crm::ack(&args).await,
        Command::Get(args) => crm::get(&args).await,
        Command::Close(args) => crm::close(&args).await,
        Command::Find(args) => privacy::find(&args).await,
        Command::Export(args) => privacy::export(&args).await,
        Command::Erase(args) => erase::run(&args).await,
        Command::Receipt(args) => receipt::run(&args).await,
        Command::OpenDsr(args) => opendsr::run(&args).await,
        Command::Rectify(args) => rectify::run(&args).await,
        Command::Restrict(args) => act::restrict(&args).await,
        Command::Lift(args) => act::lift(&args).await,
        Command::Object(args) => act::object(&args).await,
        Command::Withdraw(args) => withdraw::run(&args).await,
        Command::Ledger(args) => ledger::run(&args).await,
        Command::Stats(args) => stats::run(&args).await,
        Command::Record(args) => record::run(&args).await,
        Command::Migrate(args) => setup::migrate(&args).await,
        Command::Backup(args) => backup::run(&args).await,
        Command::Check(args) => check::run(&args).await,
        Command::Healthcheck(args) => check::health(&args).await,
        Command::Client(args) => client::run(args).await,
        Command::Keys(args) => keys::run(&args).await,
        Command::Retention(args) => retention::run(&args).await,
        Command::Mirror(args) => mirror::run(&args).await,
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
    };
    match verdict {
        Ok(Verdict::Yes) => ExitCode::SUCCESS,
        Ok(Verdict::No) => ExitCode::from(3),
        Err(error) => {
            say(&format!("lead-intake: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints a line for people on standard error, where it does not mix with what was asked for.
pub fn say(line: &str) {
    use std::io::Write as _;
    // Nobody is left to be told if this fails.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Prints what was asked for on standard output. A reader that has seen enough, such as `head`, is no error.
pub fn print(text: &str) -> anyhow::Result<()> {
    write(format!("{text}\n").as_bytes()).map(|_| ())
}

/// Writes to standard output; gives whether somebody still reads it. What goes on and on ends when nobody does.
fn write(bytes: &[u8]) -> anyhow::Result<bool> {
    use std::io::{ErrorKind, Write as _};
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
    }
}
