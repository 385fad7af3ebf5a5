//! `client add|list|revoke`: who may call. Works on the database, while a server runs or not.

use anyhow::bail;
use clap::Subcommand;
use comfy_table::Table;

use super::{
    Verdict, print, say,
    setup::{self, Relation},
};
use crate::{
    clock::{Clock as _, SystemClock},
    config::{Config, ConfigArgs},
    domain::notice::NoticeRegistry,
    store::{SharedStore, TokenRecord},
    token::Role,
};

/// The longest name of a client, in characters.
const NAME_CHARS_MAX: usize = 40;

/// Arguments of `client`.
#[derive(Debug, clap::Args)]
pub(super) struct ClientArgs {
    #[command(subcommand)]
    command: ClientCommand,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Subcommand)]
enum ClientCommand {
    /// Add a client, or a second token for one (to change over without a gap); prints the token once
    Add {
        /// Name: lower-case letters, digits and hyphens
        name: String,
        /// What it may do
        #[arg(long, value_parser = parse_role)]
        role: Role,
        /// What the company behind it is to the controller
        #[arg(long, value_enum, default_value = "internal")]
        relation: Relation,
    },
    /// List clients and their tokens
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke every token of a client; takes effect within 5 seconds
    Revoke {
        /// Name of the client
        name: String,
    },
}

fn parse_role(text: &str) -> Result<Role, &'static str> {
    Role::from_name(text).ok_or("one of intake, crm, privacy, auditor")
}

pub(super) async fn run(args: ClientArgs) -> anyhow::Result<Verdict> {
    let config = setup::config(&args.config)?;
    if let ClientCommand::Add { name, relation, .. } = &args.command {
        check_name(name)?;
        check_relation(&config, *relation)?;
    }
    let store = match args.command {
        ClientCommand::List { .. } => setup::open(&config, false).await?,
        ClientCommand::Add { .. } | ClientCommand::Revoke { .. } => {
            setup::open_to_record(&config).await?
        }
    };
    let result = match args.command {
        ClientCommand::Add {
            name,
            role,
            relation,
        } => add(&store, &name, role, relation).await,
        ClientCommand::List { json } => list(&store, json).await,
        ClientCommand::Revoke { name } => revoke(&store, &name).await,
    };
    store.close().await;
    result.map(|()| Verdict::Yes)
}

fn check_name(name: &str) -> anyhow::Result<()> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(allowed) {
        bail!("a client's name is 1 to {NAME_CHARS_MAX} lower-case letters, digits and hyphens");
    }
    Ok(())
}

/// A recipient that the notice does not allow is not added.
fn check_relation(config: &Config, relation: Relation) -> anyhow::Result<()> {
    let notices = NoticeRegistry::shipped(&config.settings.controller)?;
    if !setup::allows(&notices, relation as i64) {
        bail!("the privacy notice in force does not allow such a recipient");
    }
    Ok(())
}

async fn add(
    store: &SharedStore,
    name: &str,
    role: Role,
    relation: Relation,
) -> anyhow::Result<()> {
    let Some((_, token)) =
        setup::add_token(&**store, name, role, relation as i64, SystemClock.now()).await?
    else {
        bail!("{name} has another role, or two live tokens already: revoke one first");
    };
    say("shown once; only its hash is stored:");
    print(token.expose())
}

async fn list(store: &SharedStore, json: bool) -> anyhow::Result<()> {
    let clients = store.clients().await?;
    let rows = clients.iter().map(|(client, token)| {
        let role = Role::from_number(client.role).map_or("?", Role::name);
        (client.name.as_str(), role, token.as_ref())
    });
    if json {
        let rows: Vec<_> = rows
            .map(|(name, role, token)| {
                serde_json::json!({
                    "client": name,
                    "role": role,
                    "token": token.map(|token| &token.key_id),
                    "state": token.map(state),
                    "not_after": token.map(|token| token.not_after.to_string()),
                })
            })
            .collect();
        return print(&serde_json::to_string_pretty(&rows)?);
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["client", "role", "token", "state", "until"]);
    for (name, role, token) in rows {
        let until = token.map(|token| token.not_after.strftime("%Y-%m-%d").to_string());
        table.add_row([
            name,
            role,
            token.map_or("", |token| &token.key_id),
            token.map_or("", state),
            &until.unwrap_or_default(),
        ]);
    }
    print(&table.to_string())
}

fn state(token: &TokenRecord) -> &'static str {
    if token.revoked_at.is_some() {
        "revoked"
    } else if token.not_after <= SystemClock.now() {
        "expired"
    } else {
        "live"
    }
}

async fn revoke(store: &SharedStore, name: &str) -> anyhow::Result<()> {
    match store.revoke(name, SystemClock.now()).await? {
        Some(tokens) => {
            say(&format!("revoked {tokens} token(s) of {name}"));
            Ok(())
        }
        None => bail!("there is no client {name}"),
    }
}
