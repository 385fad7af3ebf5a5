//! What client commands do with an answer: connect as a role, ask, and print what came as JSON or in words.
//!
//! A command flattens [`AnswerArgs`], passes what a call gave through [`Session::answer`](super::connect::Session),
//! and hands the answer to [`AnswerArgs::print`] with a function that puts it into words. So a refusal reads the same
//! everywhere, and no command can forget `--json`.

use super::{
    connect::{ConnectArgs, Session},
    json::{self, Named},
    print,
};
use crate::token::Role;

/// Arguments of a command that prints one answer.
#[derive(Debug, clap::Args)]
pub(super) struct AnswerArgs {
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

impl AnswerArgs {
    /// Connects as a client of this role.
    pub(super) async fn connect(&self, role: Role) -> anyhow::Result<Session> {
        self.connect.connect(role).await
    }

    /// Whether JSON is asked for.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints an answer: for programs if they asked, else in these words.
    pub(super) fn print<M: Named>(
        &self,
        answer: &M,
        words: impl FnOnce(&M) -> String,
    ) -> anyhow::Result<()> {
        if self.json {
            json::show(answer)
        } else {
            print(&words(answer))
        }
    }
}

/// The language of an answer's texts.
#[derive(Debug, clap::Args)]
pub(super) struct LanguageArgs {
    /// Language of its texts: nb or en [default: nb]
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(super) language: String,
}
