//! What a store with leads does: the feed, what people ask for, a live follower, the start, memory.
//!
//! One store grows from size to size, by submissions at full rate, and is measured at each; one thing is asked at a time,
//! with nothing else under way. So a figure that grows with the leads is seen beside the one before, and a goal that
//! holds at a million can be told from one that holds by smallness.

mod feed;
mod fill;
mod follower;
mod people;
mod repeat;

use std::time::Duration;

use lead_intake::cli::say;
use tokio::time::sleep;

use self::people::People;
use super::{
    Subject,
    figures::{Column, Sheet, mib},
    form::Keys,
    home::Limits,
    server::{End, Server},
};

/// How long a server must have done next to nothing to be idle, and what that is: its timers cost a little.
const IDLE: Duration = Duration::from_millis(500);
const NOTHING: Duration = Duration::from_millis(20);

pub(crate) async fn run(subject: &Subject, sizes: &[u64], keys: Keys) -> anyhow::Result<Sheet> {
    let mut sizes = sizes.to_vec();
    sizes.sort_unstable();
    let mut server = Server::start(subject, Limits::Off).await?;
    let mut people = People::of_now();
    let mut done = Vec::new();
    for leads in sizes {
        say(&format!("{}: {leads} leads", subject.name()));
        let mut size = Column::new(format!("{leads} leads"));
        let figures = &mut size;
        fill::fill(&server, leads, &mut people, keys, figures).await?;
        server = start(server, figures).await?;
        let end = feed::measure(&server, &people, figures).await?;
        people.measure(&server, figures).await?;
        follower::measure(&server, subject, &end, &mut people, figures).await?;
        repeat::measure(&server, &mut people, figures).await?;
        done.push(size);
    }
    server.stop().await?;
    Ok(Sheet {
        subject: subject.name(),
        columns: done,
    })
}

/// Starts again, after an orderly end and after one that was none.
async fn start(server: Server, size: &mut Column) -> anyhow::Result<Server> {
    let (server, after_end) = server.restart(End::Asked).await?;
    size.add("start to ready, ms", after_end.as_secs_f64() * 1e3, 0);
    idle(&server).await?;
    size.add("idle, resident MiB", mib(server.memory()?), 1);
    let (server, after_kill) = server.restart(End::Killed).await?;
    size.add("start after a kill, ms", after_kill.as_secs_f64() * 1e3, 0);
    idle(&server).await?;
    Ok(server)
}

/// Waits until a server has nothing left to do in the background.
async fn idle(server: &Server) -> anyhow::Result<()> {
    loop {
        let before = server.used().await?;
        sleep(IDLE).await;
        let used = server.used().await?.since(before);
        if used.server <= NOTHING && used.database.is_none_or(|it| it <= NOTHING) {
            return Ok(());
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
