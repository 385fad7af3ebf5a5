//! Websites that do what `docs/operations.md` asks of clients, and write down what they know of each form.

use std::{
    collections::{BTreeMap, VecDeque},
    error::Error as _,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use lead_intake::pb::{self, intake_service_client::IntakeServiceClient};
use tokio::{
    task::JoinSet,
    time::{interval, sleep, timeout},
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::fleet::{Fleet, REPLICAS};
use crate::support::{random::Random, *};

/// Websites that submit at the same time.
const WEBSITES: usize = 15;
/// One form in so many is mistyped, and must be refused.
const MISTYPED: usize = 16;
/// As `examples/retry-policy.json` has it.
const TRIES_MAX: u32 = 5;
const BACKOFF: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(2);
const DEADLINE: Duration = Duration::from_secs(10);

/// What became of a form, or is about to.
pub enum Event {
    Sent,
    /// It is a lead, with this identifier.
    Stored(String),
    /// It is none.
    Refused,
    /// It may be one.
    Unknown,
}

/// What websites know: a line when a form is sent, and a line when there is an answer, or none.
#[derive(Default)]
pub struct Journal {
    /// Each with the form's mailbox.
    pub lines: Vec<(String, Event, Instant)>,
    /// How often a try failed, by code and reason.
    pub tries: BTreeMap<(i32, String), usize>,
    /// What a website's own code was told after all tries.
    pub errors: Vec<String>,
}

impl Journal {
    fn note(&mut self, form: &pb::SubmitLeadRequest, event: Event) {
        self.lines.push((form.email.clone(), event, Instant::now()));
    }

    fn failed(&mut self, status: &Status) {
        let error = (status.code() as i32, reason(status));
        *self.tries.entry(error).or_default() += 1;
    }

    /// Leads acknowledged in a second of these times.
    pub fn rate(&self, times: &[(Instant, Instant)]) -> f64 {
        let is_in = |at: &Instant| times.iter().any(|(from, to)| (from..to).contains(&at));
        let stored = self.lines.iter();
        let stored = stored.filter(|(_, event, at)| matches!(event, Event::Stored(_)) && is_in(at));
        let stored = u32::try_from(stored.count()).unwrap();
        let time: Duration = times.iter().map(|(from, to)| *to - *from).sum();
        f64::from(stored) / time.as_secs_f64()
    }
}

/// A website, with a connection to each replica. Each form goes to one replica of its own first, as a balancer's choice.
struct Website {
    number: usize,
    replicas: Vec<IntakeServiceClient<Caller>>,
    random: Random,
    journal: Journal,
}

impl Website {
    /// One call, as a gRPC library makes it that has the retry policy.
    async fn call(&mut self, form: &pb::SubmitLeadRequest) -> Result<String, Status> {
        let mut backoff = BACKOFF;
        let mut place = self.number;
        for tried in 1.. {
            self.journal.note(form, Event::Sent);
            let status = match self.send(form, &mut place).await {
                Ok(lead) => {
                    self.journal.note(form, Event::Stored(lead.clone()));
                    return Ok(lead);
                }
                Err(status) => status,
            };
            self.journal.note(form, meaning(&status));
            if status.code() == Code::InvalidArgument {
                return Err(status);
            }
            self.journal.failed(&status);
            if tried == TRIES_MAX || !may_be_tried_again(&status) {
                return Err(status);
            }
            let asked = status.get_error_details();
            let asked = asked.retry_info().and_then(|info| info.retry_delay);
            let part = u32::try_from(self.random.below(1000)).unwrap();
            sleep(asked.unwrap_or(backoff * part / 1000)).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
            // Another replica, as it comes.
            place += 1;
        }
        unreachable!()
    }

    /// One try: by the first replica from a place on whose door is open, as a balancer does; while none is, it waits.
    async fn send(
        &mut self,
        form: &pb::SubmitLeadRequest,
        place: &mut usize,
    ) -> Result<String, Status> {
        let mut pause = interval(Duration::from_millis(20));
        loop {
            pause.tick().await;
            for _ in 0..REPLICAS {
                match self.replicas[*place % REPLICAS]
                    .submit_lead(form.clone())
                    .await
                {
                    Ok(stored) => return Ok(stored.into_inner().lead_id),
                    Err(status) if is_closed_door(&status) => *place += 1,
                    Err(status) => return Err(status),
                }
            }
        }
    }

    /// Submits one form after the other until told to stop, and what is not known again.
    async fn live(mut self, stopping: Arc<AtomicBool>, stored: Arc<AtomicUsize>) -> Journal {
        let mut again = VecDeque::new();
        for number in 0.. {
            let is_ending = stopping.load(Ordering::Relaxed);
            let form = match again.pop_front() {
                Some(form) => form,
                None if is_ending => break,
                None => self.form(number),
            };
            let called = timeout(DEADLINE, self.call(&form)).await;
            match called.unwrap_or_else(|_| {
                let late = Status::deadline_exceeded("the website's own");
                self.journal.note(&form, Event::Unknown);
                self.journal.failed(&late);
                Err(late)
            }) {
                Ok(_) => drop(stored.fetch_add(1, Ordering::Relaxed)),
                Err(status) if status.code() == Code::InvalidArgument => {}
                Err(status) => {
                    let told = format!(
                        "{:?} {} {}",
                        status.code(),
                        reason(&status),
                        status.message()
                    );
                    self.journal.errors.push(told);
                    again.push_back(form);
                }
            }
        }
        self.journal
    }

    fn form(&self, number: usize) -> pb::SubmitLeadRequest {
        let mail = format!("load-{}-{number}@example.no", self.number);
        let phone = if number % MISTYPED == 7 { "12" } else { "" };
        pb::SubmitLeadRequest {
            phone: phone.to_owned(),
            ..form("Kari Nordmann", &mail)
        }
    }
}

/// Nobody listens: nothing was sent.
fn is_closed_door(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return error.kind() == io::ErrorKind::ConnectionRefused;
        }
        cause = error.source();
    }
    false
}

/// The policy's codes; and those that a connection's end leaves, which have no reason: the libraries say `UNAVAILABLE`, or
/// have it sent once more.
fn may_be_tried_again(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::ResourceExhausted | Code::Aborted => true,
        Code::Unknown | Code::Cancelled | Code::Internal => reason(status).is_empty(),
        _ => false,
    }
}

fn meaning(status: &Status) -> Event {
    match status.code() {
        Code::InvalidArgument | Code::ResourceExhausted | Code::Aborted => Event::Refused,
        _ => Event::Unknown,
    }
}

/// Websites at work.
pub struct Load {
    stopping: Arc<AtomicBool>,
    stored: Arc<AtomicUsize>,
    websites: JoinSet<Journal>,
}

impl Load {
    pub fn start(fleet: &Fleet) -> Self {
        let (stopping, stored) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let mut websites = JoinSet::new();
        for number in 0..WEBSITES {
            let website = Website {
                number,
                replicas: (0..REPLICAS)
                    .map(|place| IntakeServiceClient::new(fleet.caller(place, "intake")))
                    .collect(),
                random: Random::new(u64::try_from(number).unwrap()),
                journal: Journal::default(),
            };
            websites.spawn(website.live(stopping.clone(), stored.clone()));
        }
        Self {
            stopping,
            stored,
            websites,
        }
    }

    pub fn stored(&self) -> usize {
        self.stored.load(Ordering::Relaxed)
    }

    /// Waits until so many leads more are acknowledged; gives when it began and when it ended.
    pub async fn goes_on(&self, leads: usize) -> (Instant, Instant) {
        let (start, before) = (Instant::now(), self.stored());
        eventually(async || (self.stored() >= before + leads).then_some(())).await;
        (start, Instant::now())
    }

    /// Ends when each form that was sent has its answer.
    pub async fn stop(self) -> Journal {
        self.stopping.store(true, Ordering::Relaxed);
        let mut all = Journal::default();
        for journal in self.websites.join_all().await {
            all.lines.extend(journal.lines);
            all.errors.extend(journal.errors);
            for (error, times) in journal.tries {
                *all.tries.entry(error).or_default() += times;
            }
        }
        all
    }
}
