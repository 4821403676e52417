//! Pauses between one try and the next: longer and longer after failures, and not the same on every node.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// The pause after so many failures in a row, at least one: `first`, and twice as long with each further one.
/// The caller bounds it.
#[must_use]
pub fn doubled(first: Duration, failures: u32) -> Duration {
    first.saturating_mul(1 << failures.saturating_sub(1).min(16))
}

/// A tenth more or less, so that nodes that were started together do not ask at the same moment.
#[must_use]
pub fn jittered(pause: Duration) -> Duration {
    let random = u32::try_from(RandomState::new().hash_one(0_u8) % 2_001).unwrap_or_default();
    pause.saturating_mul(9_000 + random) / 10_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_it() {
        let rows = [(0, 2), (1, 2), (2, 4), (5, 32), (17, 131_072), (400, 131_072)];
        for (failures, seconds) in rows {
            assert_eq!(doubled(Duration::from_secs(2), failures).as_secs(), seconds, "{failures}");
        }
    }

    #[test]
    fn a_tenth_more_or_less() {
        let times: Vec<_> = (0..1_000).map(|_| jittered(Duration::from_secs(10))).collect();
        assert!(times.iter().all(|time| (9_000..=11_001).contains(&time.as_millis())));
        assert!(times.iter().max().unwrap().as_millis() - times.iter().min().unwrap().as_millis() > 500);
    }
}
