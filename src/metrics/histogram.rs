//! How long something took, by how often it took no longer than what. Counting is two atomic additions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper ends of the buckets, in nanoseconds and as they are written, in seconds: from an allowance out of
/// memory to a decision that somebody has given up waiting for.
pub(super) const BUCKETS: [(u64, &str); 13] = [
    (10_000, "0.00001"),
    (25_000, "0.000025"),
    (100_000, "0.0001"),
    (250_000, "0.00025"),
    (1_000_000, "0.001"),
    (2_500_000, "0.0025"),
    (10_000_000, "0.01"),
    (25_000_000, "0.025"),
    (100_000_000, "0.1"),
    (250_000_000, "0.25"),
    (1_000_000_000, "1"),
    (2_500_000_000, "2.5"),
    (10_000_000_000, "10"),
];

/// Counts of durations.
#[derive(Debug, Default)]
pub struct Histogram {
    /// In each bucket; the last is of what fits in none.
    counts: [AtomicU64; BUCKETS.len() + 1],
    /// Nanoseconds: enough for 584 years.
    sum: AtomicU64,
}

/// A reading of a [`Histogram`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    pub(super) counts: [u64; BUCKETS.len() + 1],
    pub(super) sum: Duration,
}

impl Histogram {
    /// Counts one that took so long.
    pub fn observe(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.partition_point(|(end, _)| *end < nanos);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(nanos, Ordering::Relaxed);
    }

    /// The counts now.
    #[must_use]
    pub fn read(&self) -> Reading {
        Reading {
            counts: self.counts.each_ref().map(|count| count.load(Ordering::Relaxed)),
            sum: Duration::from_nanos(self.sum.load(Ordering::Relaxed)),
        }
    }
}

impl Reading {
    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.iter().all(|count| *count == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_what_they_are_written_as() {
        for (nanos, text) in BUCKETS {
            assert_eq!(Duration::from_secs_f64(text.parse().unwrap()), Duration::from_nanos(nanos));
        }
        assert!(BUCKETS.is_sorted());
    }
}
