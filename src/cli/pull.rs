//! `pull`: the feed of leads and their changes.
//!
//! A page, all pages, or with `--follow` what happens from now on: a stream that ends, because the server
//! stops or the stream's life is over, is resumed from its last cursor. Nothing is acknowledged: that is
//! `ack`, when the changes are dealt with.

use std::{io::IsTerminal as _, time::Duration};

use tonic::{Code, Status};

use super::{
    Verdict,
    connect::{ConnectArgs, Session},
    json,
    progress::{Progress, Unit},
    say,
    show::{clean, table, time, word},
    write,
};
use crate::{pb, token::Role};

/// How long to wait before a stream is resumed, times the tries so far.
const RESUME_PAUSE: Duration = Duration::from_secs(1);
/// Most tries to resume a stream before the command gives up: about a minute and a half.
const RESUME_TRIES_MAX: u32 = 12;

/// Arguments of `pull`.
#[derive(Debug, clap::Args)]
pub(super) struct PullArgs {
    /// Where to go on [default: the acknowledged position]
    #[arg(long, default_value = "", hide_default_value = true)]
    cursor: String,
    /// Most changes in a page: 1 to 1000 [default: 100]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    page_size: i32,
    /// Every page to the end of the feed
    #[arg(long)]
    all: bool,
    /// Every page, and then what happens from now on
    #[arg(long, conflicts_with_all = ["all", "page_size"])]
    follow: bool,
    /// As JSON lines: one change on each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(super) async fn run(args: &PullArgs) -> anyhow::Result<Verdict> {
    let session = args.connect.connect(Role::Crm).await?;
    if args.follow {
        follow(args, &session).await?;
    } else {
        pages(args, &session).await?;
    }
    Ok(Verdict::Yes)
}

async fn pages(args: &PullArgs, session: &Session) -> anyhow::Result<()> {
    let mut cursor = args.cursor.clone();
    // Where the changes themselves are not seen.
    let progress = (args.all && !std::io::stdout().is_terminal())
        .then(|| Progress::counting("pulling", Unit::Changes));
    loop {
        let request = pb::PullLeadsRequest {
            cursor,
            page_size: args.page_size,
        };
        let page = session.answer(session.crm().pull_leads(request).await)?;
        let read = changes(&page.changes, args.json)?;
        if let Some(progress) = &progress {
            progress.add(page.changes.len() as u64);
        }
        cursor = page.next_cursor;
        if !(read && args.all && page.has_more) {
            drop(progress);
            let next = clean(&cursor);
            say(&format!("next cursor: {next}"));
            if page.has_more {
                say(&format!("there is more: pull --cursor {next}, or --all"));
            }
            return Ok(());
        }
    }
}

async fn follow(args: &PullArgs, session: &Session) -> anyhow::Result<()> {
    let mut cursor = args.cursor.clone();
    let mut tries = 0;
    loop {
        match stream(args, session, &mut cursor, &mut tries).await? {
            End::Unread => return Ok(()),
            End::Over => {}
            End::Broken(status) => {
                tries += 1;
                if status.code() != Code::Unavailable || tries > RESUME_TRIES_MAX {
                    return Err(session.refused(&status));
                }
                say("the connection broke; trying again");
            }
        }
        tokio::time::sleep(RESUME_PAUSE * tries.max(1)).await;
    }
}

/// How a stream ended.
enum End {
    /// By itself, to be resumed.
    Over,
    /// By this error.
    Broken(Status),
    /// Nobody reads what the command prints.
    Unread,
}

/// One stream to its end. The cursor moves on, and the tries start afresh, with every message.
async fn stream(
    args: &PullArgs,
    session: &Session,
    cursor: &mut String,
    tries: &mut u32,
) -> anyhow::Result<End> {
    let request = pb::StreamLeadsRequest {
        cursor: cursor.clone(),
        follow: true,
    };
    let mut messages = match session.crm().stream_leads(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return Ok(End::Broken(status)),
    };
    loop {
        match messages.message().await {
            Ok(Some(message)) => {
                *tries = 0;
                if !changes(&message.changes, args.json)? {
                    return Ok(End::Unread);
                }
                // A message without changes is a heartbeat.
                if !message.changes.is_empty() {
                    say(&format!("next cursor: {}", clean(&message.next_cursor)));
                }
                *cursor = message.next_cursor;
            }
            Ok(None) => return Ok(End::Over),
            Err(status) => return Ok(End::Broken(status)),
        }
    }
}

/// Prints changes; gives whether somebody still reads them.
fn changes(changes: &[pb::LeadChange], as_json: bool) -> anyhow::Result<bool> {
    if changes.is_empty() {
        return Ok(true);
    }
    if as_json {
        let lines: Result<Vec<_>, _> = changes.iter().map(json::line).collect();
        return write(format!("{}\n", lines?.join("\n")).as_bytes());
    }
    let mut rows = table([
        "change", "lead", "time", "name", "company", "phone", "e-mail",
    ]);
    for change in changes {
        let kind = word(change.kind().as_str_name(), "CHANGE_KIND");
        let lead = change.lead.clone().unwrap_or_default();
        let (id, at) = (&change.lead_id, time(change.changed_at.as_ref()));
        let fields = [
            &kind,
            id,
            &at,
            &lead.name,
            &lead.company,
            &lead.phone,
            &lead.email,
        ];
        rows.add_row(fields.map(|field| clean(field)));
    }
    write(format!("{rows}\n").as_bytes())
}
