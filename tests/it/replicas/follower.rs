//! A CRM that follows the feed from replica to replica, and what the feed and the websites must agree on.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use lead_intake::pb::{self, ChangeKind};
use tokio::{task::JoinHandle, time::interval};

use super::{
    fleet::{Fleet, REPLICAS},
    website::{Event, Journal},
};
use crate::{
    steps::{Crm, pull_all, verify_by},
    support::*,
};

/// Mailbox and identifier of each lead of the websites, as told, in order.
type Told = Vec<(String, String)>;

/// A CRM that goes on from its last cursor, by the next replica, whenever its stream ends.
pub struct Follower {
    told: Arc<Mutex<Told>>,
    following: JoinHandle<()>,
}

impl Follower {
    pub fn start(fleet: &Fleet) -> Self {
        let told = Arc::<Mutex<Told>>::default();
        let replicas = (0..REPLICAS).map(|place| fleet.crm(place)).collect();
        let following = tokio::spawn(follow(replicas, told.clone()));
        Self { told, following }
    }

    /// What it was told, as soon as that is so much.
    async fn told(self, leads: usize) -> Told {
        eventually(async || (self.told.lock().unwrap().len() >= leads).then_some(())).await;
        self.following.abort();
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

async fn follow(mut replicas: Vec<Crm>, told: Arc<Mutex<Told>>) {
    let (mut cursor, mut pause) = (String::new(), interval(Duration::from_millis(20)));
    for place in 0.. {
        pause.tick().await;
        let request = pb::StreamLeadsRequest {
            cursor: cursor.clone(),
            follow: true,
        };
        let Ok(stream) = replicas[place % REPLICAS].stream_leads(request).await else {
            continue;
        };
        let mut stream = stream.into_inner();
        while let Ok(Some(page)) = stream.message().await {
            told.lock().unwrap().extend(of_load(page.changes));
            cursor = page.next_cursor;
        }
    }
}

/// The leads of the websites among these changes.
fn of_load(changes: Vec<pb::LeadChange>) -> Told {
    let submitted = changes
        .into_iter()
        .filter(|change| change.kind() == ChangeKind::Submitted);
    let mails = submitted.map(|change| (change.lead.unwrap().email, change.lead_id));
    mails
        .filter(|(mail, _)| mail.starts_with("load-"))
        .collect()
}

/// Nothing that was acknowledged is missing, nothing that was refused is there, nothing is there twice; every replica and the
/// follower tell the same in the same order; the ledger's numbers have no gap and its chain holds.
pub async fn assert_agreed(fleet: &Fleet, journal: &Journal, follower: Follower) -> usize {
    let mut feeds = Vec::new();
    for place in 0..REPLICAS {
        let (changes, _) = pull_all(&mut fleet.crm(place), "", 1000).await;
        feeds.push(of_load(changes));
        verify_by(&mut fleet.auditor(place)).await;
    }
    let feed = feeds.pop().unwrap();
    assert!(feeds.iter().all(|other| *other == feed), "replicas differ");
    assert_agrees(&feed, journal);
    let heard = follower.told(feed.len()).await;
    assert!(heard == feed, "the follower was told something else");
    feed.len()
}

fn assert_agrees(feed: &Told, journal: &Journal) {
    let mut forms: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for (mail, event, _) in &journal.lines {
        forms.entry(mail).or_default().push(event);
    }
    let told: HashMap<&str, &str> = feed.iter().map(|(mail, id)| (&**mail, &**id)).collect();
    let ids: HashSet<&str> = told.values().copied().collect();
    assert_eq!(told.len(), feed.len(), "a form is a lead twice");
    assert_eq!(ids.len(), feed.len(), "a lead was told twice");
    assert!(told.keys().all(|mail| forms.contains_key(mail)));
    for (mail, events) in forms {
        let stored = events.iter().find_map(|event| match event {
            Event::Stored(id) => Some(&**id),
            _ => None,
        });
        let told = told.get(mail).copied();
        if stored.is_some() {
            assert_eq!(told, stored, "{mail} was acknowledged");
        } else if !events.iter().any(|event| matches!(event, Event::Unknown)) {
            assert_eq!(told, None, "{mail} was refused");
        }
    }
}
