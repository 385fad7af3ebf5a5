//! What became of the calls of an open loop.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::{figures::LATENCY_MAX, wire::Call};

/// A call that is sent so much after its time is late.
const LATE: Duration = Duration::from_millis(10);
/// What is called normal, or not, as a whole.
const SLICE: Duration = Duration::from_millis(250);

/// Calls by their planned times.
#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    calls: u64,
    /// Those that were missed, refused, or slower than is normal.
    abnormal: u64,
}

/// What became of calls. Latencies are in microseconds.
pub(crate) struct Answers {
    start: Instant,
    end: Instant,
    /// The latency up to which an accepted call counts as normal, if it is known.
    normal: Option<Duration>,
    /// From the planned time.
    pub(crate) accepted: Histogram<u64>,
    pub(crate) refused: Histogram<u64>,
    /// Of refusals, from the time when the call was sent.
    pub(crate) refused_of_sent: Histogram<u64>,
    /// Calls that were answered before the end.
    pub(crate) accepted_in_time: u64,
    pub(crate) refused_in_time: u64,
    pub(crate) sent: u64,
    pub(crate) late: u64,
    /// Calls that were never sent.
    pub(crate) missed: u64,
    /// Of the late and the missed: those that waited for a place on a full connection, so for the server.
    pub(crate) held: u64,
    slices: Vec<Slice>,
}

impl Answers {
    pub(crate) fn new(
        (start, end): (Instant, Instant),
        normal: Option<Duration>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            start,
            end,
            normal,
            accepted: Histogram::new_with_max(LATENCY_MAX, 3)?,
            refused: Histogram::new_with_max(LATENCY_MAX, 3)?,
            refused_of_sent: Histogram::new_with_max(LATENCY_MAX, 3)?,
            accepted_in_time: 0,
            refused_in_time: 0,
            sent: 0,
            late: 0,
            missed: 0,
            held: 0,
            slices: Vec::new(),
        })
    }

    pub(crate) fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        self.accepted.add(&other.accepted)?;
        self.refused.add(&other.refused)?;
        self.refused_of_sent.add(&other.refused_of_sent)?;
        self.accepted_in_time += other.accepted_in_time;
        self.refused_in_time += other.refused_in_time;
        self.sent += other.sent;
        self.late += other.late;
        self.missed += other.missed;
        self.held += other.held;
        let count = self.slices.len().max(other.slices.len());
        self.slices.resize(count, Slice::default());
        for (slice, other) in self.slices.iter_mut().zip(&other.slices) {
            slice.calls += other.calls;
            slice.abnormal += other.abnormal;
        }
        Ok(())
    }

    /// Counts a call that is sent now.
    pub(crate) fn sent(&mut self, planned: Instant, was_held: bool) {
        let is_late = planned.elapsed() > LATE;
        self.sent += 1;
        self.late += u64::from(is_late);
        self.held += u64::from(is_late && was_held);
    }

    /// Counts a call that was given up before it was sent.
    pub(crate) fn missed(&mut self, planned: Instant, was_held: bool) {
        self.missed += 1;
        self.held += u64::from(was_held);
        self.place(planned, true);
    }

    /// Counts a call that is answered now.
    pub(crate) fn answered(&mut self, call: Call) {
        let now = Instant::now();
        let latency = now - call.planned;
        let in_time = u64::from(now < self.end);
        if call.is_accepted {
            self.accepted.saturating_record(micros(latency));
            self.accepted_in_time += in_time;
        } else {
            self.refused.saturating_record(micros(latency));
            self.refused_of_sent
                .saturating_record(micros(now - call.sent));
            self.refused_in_time += in_time;
        }
        let is_slow = self.normal.is_some_and(|normal| latency > normal);
        self.place(call.planned, is_slow || !call.is_accepted);
    }

    /// Counts a call into the slice of its planned time.
    fn place(&mut self, planned: Instant, is_abnormal: bool) {
        let index = (planned - self.start).as_micros() / SLICE.as_micros();
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        if self.slices.len() <= index {
            self.slices.resize(index + 1, Slice::default());
        }
        if let Some(slice) = self.slices.get_mut(index) {
            slice.calls += 1;
            slice.abnormal += u64::from(is_abnormal);
        }
    }

    /// The start of the first two slices in a row of which no more than one call in a hundred was not normal: the 99th
    /// percentile is. `None` if there are none.
    pub(crate) fn normal_since(&self) -> Option<Instant> {
        let is_normal = |slice: &Slice| slice.calls > 0 && slice.abnormal * 100 <= slice.calls;
        let index = self
            .slices
            .windows(2)
            .position(|pair| pair.iter().all(is_normal))?;
        Some(self.start + SLICE * u32::try_from(index).ok()?)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
