//! Samples of one side, and the order in which sides are measured.

use std::time::Duration;

/// Times in milliseconds, in the order they were taken.
#[derive(Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, took: Duration) {
        self.0.push(took.as_secs_f64() * 1e3);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Between 0 (the least) and 1 (the worst), interpolated.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
        let place = part * last as f64;
        let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
        below + (above - below) * place.fract()
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Sample by sample what this side took more than `other` in the same round.
    pub(crate) fn over(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(mine, others)| mine - others).collect())
    }

    /// The bounds of the median's 95 % confidence interval, by order statistics.
    pub(crate) fn median_between(&self) -> (f64, f64) {
        let half = 0.98 / (self.0.len().max(1) as f64).sqrt();
        (self.quantile((0.5 - half).max(0.0)), self.quantile((0.5 + half).min(1.0)))
    }
}

/// In which order `sides` are measured in a round: each is first, and each is before and after each
/// other, equally often.
pub(crate) fn order(round: usize, sides: usize) -> impl Iterator<Item = usize> {
    let backwards = (round / sides) % 2 == 1;
    (0..sides).map(move |step| {
        let step = if backwards { sides - 1 - step } else { step };
        (step + round) % sides
    })
}
