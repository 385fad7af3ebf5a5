//! Z1, Z2: time tells nothing either. Two kinds of calls, in an order drawn by chance, are timed and compared by Welch's
//! t, as dudect does (Reparaz, Balasch, Verbauwhede 2017): beyond 4.5 they differ.
//!
//! A busy machine makes times that mean little, so the suite only walks through it and looks at what is answered;
//! `LEAD_INTAKE_TEST_TIMING=1` takes many samples and holds them to the mark, on a machine that does nothing else
//! (`.ci/soak`). Its controls show that it sees a difference where there is one.
#![expect(clippy::print_stdout, reason = "figures, for whoever runs the tests")]

use std::{hint::black_box, time::Instant};

use lead_intake::{
    pb,
    token::{Role, Token},
};
use tonic::Code;

use crate::{
    steps::{erase, get_lead, submit_mail},
    support::{random::Random, *},
};

/// Beyond this two kinds differ.
const T_MAX: f64 = 4.5;

fn is_long() -> bool {
    std::env::var_os("LEAD_INTAKE_TEST_TIMING").is_some()
}

/// Mean and variance, one value after the other (Welford).
#[derive(Default)]
struct Sample {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Sample {
    fn push(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }

    fn squared_error(&self) -> f64 {
        self.squares / (self.count - 1.0) / self.count
    }
}

/// Times of the two kinds, in nanoseconds.
#[derive(Default)]
struct Times([Vec<f64>; 2]);

impl Times {
    /// Welch's t of what is below a percentile of all, so that an interrupt here or there does not hide everything:
    /// the largest of several such.
    fn t(&self) -> f64 {
        let mut all = self.0.concat();
        all.sort_by(f64::total_cmp);
        let percentiles = [50, 80, 90, 95, 99, 100];
        let limits = percentiles.map(|percent| all[(all.len() - 1) * percent / 100]);
        limits
            .map(|limit| self.t_below(limit))
            .into_iter()
            .fold(0.0, f64::max)
    }

    fn t_below(&self, limit: f64) -> f64 {
        let [one, other] = [0, 1].map(|kind| {
            let mut sample = Sample::default();
            self.0[kind]
                .iter()
                .filter(|it| **it <= limit)
                .for_each(|it| sample.push(*it));
            sample
        });
        if one.count < 2.0 || other.count < 2.0 {
            return 0.0;
        }
        let error = (one.squared_error() + other.squared_error()).sqrt();
        // Equal to the nanosecond: no difference at all.
        if error == 0.0 {
            0.0
        } else {
            ((one.mean - other.mean) / error).abs()
        }
    }
}

/// Holds what was measured to the mark, if it was measured well; a control must be beyond it.
fn judge(what: &str, t: f64, differs: bool) {
    println!("{what}: |t| = {t:.2}");
    if is_long() {
        assert_eq!(t > T_MAX, differs, "{what}: |t| = {t:.2}");
    }
}

/// Times a function of the kind, with an order drawn by chance.
fn time_all(samples: usize, mut act: impl FnMut(usize)) -> Times {
    let mut random = Random::new(1);
    let mut times = Times::default();
    for _ in 0..samples {
        let kind = random.below(2);
        let start = Instant::now();
        act(kind);
        times.0[kind].push(nanos(start));
    }
    times
}

#[expect(
    clippy::cast_precision_loss,
    reason = "nanoseconds of a call: far below 2^52"
)]
fn nanos(start: Instant) -> f64 {
    start.elapsed().as_nanos() as f64
}

/// Z2: whether the first or the last byte of a secret's hash is wrong, or none, does not show in the time of the
/// comparison. The control stops at the first difference, as `==` may.
#[test]
fn z2_a_comparison_takes_as_long_whatever_differs() {
    let samples = if is_long() { 1_000_000 } else { 2_000 };
    let token = Token::generate(Role::Crm).unwrap();
    let right = token.secret_hash();
    let differing = |place: usize| {
        let mut hash = right;
        hash[place] ^= 1;
        hash
    };
    // Several comparisons in one sample: one alone is shorter than the clock can tell.
    let early = [differing(0), differing(31)];
    let times = time_all(samples, |kind| {
        for _ in 0..8 {
            assert!(!token.matches(black_box(&early[kind])));
        }
    });
    judge("first byte or last byte wrong", times.t(), false);
    let one_wrong = [right, differing(0)];
    let times = time_all(samples, |kind| {
        for _ in 0..8 {
            assert_eq!(token.matches(black_box(&one_wrong[kind])), kind == 0);
        }
    });
    judge("right or wrong", times.t(), false);
    let times = time_all(samples, |kind| {
        for _ in 0..8 {
            let same = right
                .iter()
                .zip(black_box(&early[kind]))
                .all(|(one, other)| one == other);
            assert!(!black_box(same));
        }
    });
    judge("control: a comparison that stops early", times.t(), true);
}

/// What a CRM hears of a lead, and how long it takes.
async fn time_look_ups(replica: &Replica, samples: usize, ids: [&str; 2]) -> Times {
    let mut random = Random::new(2);
    let mut times = Times::default();
    let mut crm = replica.crm();
    for _ in 0..samples {
        let kind = random.below(2);
        let start = Instant::now();
        let status = get_lead(&mut crm, ids[kind]).await.unwrap_err();
        times.0[kind].push(nanos(start));
        assert_eq!(reason(&status), "LEAD_NOT_FOUND");
    }
    times
}

on_both! {
    /// Z1: a lead that was erased takes as long to be not there as one that never was, and whoever may not ask about
    /// people learns nothing from the time of the refusal.
    async fn z1_a_look_up_takes_as_long_whoever_is_known(backend: Backend) {
        let samples = if is_long() { 20_000 } else { 100 };
        let mut world = World::new(backend).await;
        // Nothing beside it.
        world.signs = false;
        let replica = world
            .start_with(|parts| lead_intake::server::Parts {
                limits: lead_intake::rpc::limits::Limits::none(),
                ..parts
            })
            .await;
        for number in 0..200 {
            submit_mail(&replica, &format!("z1-{number}@example.no")).await;
        }
        let erased = submit_mail(&replica, "z1-erased@example.no").await;
        erase(&replica, "z1-erased@example.no").await;
        let never = uuid::Uuid::parse_str(&erased).unwrap().as_u128() ^ 1;
        let never = uuid::Uuid::from_u128(never).to_string();
        let times = time_look_ups(&replica, samples, [&erased, &never]).await;
        judge(&format!("{backend:?}: erased or never there"), times.t(), false);

        let mut random = Random::new(3);
        let mut times = Times::default();
        let mut stranger = pb::privacy_service_client::PrivacyServiceClient::new(
            replica.caller(replica.token(Role::Crm)),
        );
        for _ in 0..samples {
            let kind = random.below(2);
            let email = ["z1-100@example.no", "z1-nobody@example.no"][kind];
            let find = pb::FindSubjectRequest { request: subject(&email[..17]) };
            let start = Instant::now();
            let status = stranger.find_subject(find).await.unwrap_err();
            times.0[kind].push(nanos(start));
            assert_eq!(status.code(), Code::PermissionDenied);
        }
        judge(&format!("{backend:?}: a known or an unknown person, refused"), times.t(), false);
        replica.stop().await;
    }
}
