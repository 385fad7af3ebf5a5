//! Figures side by side: the same of one subject under several conditions.

use hdrhistogram::Histogram;

use super::report::float;

/// What takes longer counts as this, in microseconds: a minute.
pub(crate) const LATENCY_MAX: u64 = 60_000_000;
const MIB: f64 = 1024.0 * 1024.0;

/// A figure, and with how many digits it is worth printing.
pub(crate) struct Figure {
    /// What, of what, in which unit.
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) digits: usize,
}

/// What was measured under one condition.
pub(crate) struct Column {
    pub(crate) condition: String,
    pub(crate) figures: Vec<Figure>,
}

/// What was measured of one subject. The columns have the same figures.
pub(crate) struct Sheet {
    pub(crate) subject: &'static str,
    pub(crate) columns: Vec<Column>,
}

impl Column {
    pub(crate) fn new(condition: impl Into<String>) -> Self {
        Self {
            condition: condition.into(),
            figures: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, name: impl Into<String>, value: f64, digits: usize) {
        self.figures.push(Figure {
            name: name.into(),
            value,
            digits,
        });
    }

    /// The median and the 99th percentile, in milliseconds, of latencies in microseconds.
    pub(crate) fn add_latencies(&mut self, name: &str, latencies: &Histogram<u64>) {
        for (quantile, what) in [(0.5, "p50"), (0.99, "p99")] {
            let ms = float(latencies.value_at_quantile(quantile)) / 1000.0;
            self.add(format!("{name}, {what} ms"), ms, 2);
        }
    }
}

pub(crate) fn mib(bytes: u64) -> f64 {
    float(bytes) / MIB
}
