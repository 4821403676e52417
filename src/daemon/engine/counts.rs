//! How often each gate decided what, and how long that took. Counting takes no lock.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::Serialize;

use super::{Engine, Occasion};
use crate::audit::Gate;
use crate::decision::{Cached, Decision, Reason, Verdict};
use crate::gate::verifier;
use crate::metrics::family::{DECISION_DURATION, DECISIONS};
use crate::metrics::{Histogram, Page};

/// What let an image through, or whether anything would have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// The verdict stands as it is.
    Enforced,
    /// A refusal that dry run made an allowance.
    DryRun,
    /// A refusal that break-glass made one.
    BreakGlass,
    /// A gate that observes got no answer.
    Observe,
}

impl Mode {
    const ALL: [Self; 4] = [Self::Enforced, Self::DryRun, Self::BreakGlass, Self::Observe];

    fn of(verdict: &Verdict) -> Self {
        if verdict.reason == Reason::Unanswered {
            Self::Observe
        } else if verdict.break_glass.is_some() {
            Self::BreakGlass
        } else if verdict.allows() && verdict.would != Decision::Allow {
            Self::DryRun
        } else {
            Self::Enforced
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Enforced => "enforced",
            Self::DryRun => "dry_run",
            Self::BreakGlass => "break_glass",
            Self::Observe => "observe",
        }
    }
}

const VERDICTS: [Decision; 3] = [Decision::Allow, Decision::Deny, Decision::CannotDecide];
const CACHED: [Cached; 3] = [Cached::Hit, Cached::Miss, Cached::None];
const MODES: usize = Mode::ALL.len();

/// What every gate has decided since start.
#[derive(Debug, Default)]
pub(super) struct GatesCounts([Counts; Gate::ALL.len()]);

impl GatesCounts {
    pub(super) fn of(&self, gate: Gate) -> &Counts {
        let [pull, pod, create, running] = &self.0;
        match gate {
            Gate::Pull => pull,
            Gate::Pod => pod,
            Gate::Create => create,
            Gate::Running => running,
        }
    }

    /// Writes what was counted.
    fn expose(&self, page: &mut Page) {
        for gate in Gate::ALL {
            let counts = self.of(gate);
            for (verdict, reason, mode, count) in counts.all().filter(|(.., count)| *count > 0) {
                let labels = [gate.name(), verdict.as_str(), reason.code(), mode.name()];
                page.set(&DECISIONS, labels, count);
            }
            for (cached, took) in CACHED.iter().zip(&counts.took) {
                page.histogram(&DECISION_DURATION, [gate.name(), cached.name()], &took.read());
            }
        }
    }
}

impl Engine {
    pub(in crate::daemon) fn counts(&self, gate: Gate) -> GateCounts {
        self.counts.of(gate).read()
    }

    /// Writes how often what was decided.
    pub(in crate::daemon) fn expose_decisions(&self, page: &mut Page) {
        self.counts.expose(page);
    }

    /// Whether the last pull was asked about by a verifier that is wired to observe.
    pub(in crate::daemon) fn pulls_are_observed(&self) -> bool {
        self.counts.of(Gate::Pull).observes()
    }
}

#[derive(Debug)]
pub(super) struct Counts {
    /// By verdict, reason and mode.
    decisions: Box<[AtomicU64]>,
    took: [Histogram; CACHED.len()],
    /// Whether the last who asked was wired to observe.
    observes: AtomicBool,
}

/// Decisions of a gate since start.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::daemon) struct GateCounts {
    pub(in crate::daemon) allowed: u64,
    pub(in crate::daemon) denied: u64,
    pub(in crate::daemon) undecidable: u64,
    pub(in crate::daemon) dry_run: u64,
    pub(in crate::daemon) break_glass: u64,
    pub(in crate::daemon) unanswered: u64,
}

impl Default for Counts {
    fn default() -> Self {
        let places = VERDICTS.len() * Reason::ALL.len() * MODES;
        Self {
            decisions: (0..places).map(|_| AtomicU64::default()).collect(),
            took: Default::default(),
            observes: AtomicBool::default(),
        }
    }
}

impl Counts {
    /// Counts a decision.
    pub(super) fn count(&self, verdict: &Verdict, occasion: &Occasion<'_>) {
        let mode = Mode::of(verdict);
        let place =
            (verdict.verdict as usize * Reason::ALL.len() + verdict.reason as usize) * MODES + mode as usize;
        if let Some(count) = self.decisions.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if mode == Mode::Observe {
            // Nobody was waiting for it.
            return;
        }
        let [hit, miss, none] = &self.took;
        let took = match verdict.cached {
            Cached::Hit => hit,
            Cached::Miss => miss,
            Cached::None => none,
        };
        took.observe(occasion.duration);
        if occasion.gate == Gate::Pull {
            self.observes.store(occasion.asked.entry == verifier::OBSERVE, Ordering::Relaxed);
        }
    }

    /// Whether the last who asked was wired to observe; of the gate of pulls.
    fn observes(&self) -> bool {
        self.observes.load(Ordering::Relaxed)
    }

    fn all(&self) -> impl Iterator<Item = (Decision, Reason, Mode, u64)> {
        let kinds = VERDICTS.into_iter().flat_map(|verdict| {
            let modes = move |reason: &'static Reason| {
                Mode::ALL.into_iter().map(move |mode| (verdict, *reason, mode))
            };
            Reason::ALL.iter().flat_map(modes)
        });
        let counted = self.decisions.iter().map(|count| count.load(Ordering::Relaxed));
        kinds.zip(counted).map(|((verdict, reason, mode), count)| (verdict, reason, mode, count))
    }

    fn read(&self) -> GateCounts {
        let mut counts = GateCounts::default();
        for (verdict, _, mode, count) in self.all() {
            match verdict {
                Decision::Allow => counts.allowed += count,
                Decision::Deny => counts.denied += count,
                Decision::CannotDecide => counts.undecidable += count,
            }
            match mode {
                Mode::Enforced => {}
                Mode::DryRun => counts.dry_run += count,
                Mode::BreakGlass => counts.break_glass += count,
                Mode::Observe => counts.unanswered += count,
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::audit::Asked;
    use crate::decision::BrokenGlass;

    #[test]
    fn each_decision_is_counted_in_its_place() {
        let counts = GatesCounts::default();
        let asked = Asked { pid: 0, uid: 0, program: String::new(), entry: verifier::OBSERVE.to_owned() };
        let refused = |reason| Verdict::refused("r.io/a", None, reason, "why", "");
        let last = *Reason::ALL.last().unwrap();
        let unanswered = refused(Reason::Unanswered).in_dry_run();
        let dry_run = refused(Reason::DenyListed).in_dry_run();
        let broken = BrokenGlass { overrides: Reason::NoAttestation, grant: None, pod_label: true };
        let broken = Verdict {
            verdict: Decision::Allow,
            break_glass: Some(Box::new(broken)),
            ..refused(Reason::BreakGlass)
        };
        for verdict in
            [refused(Reason::DenyListed), dry_run, broken, refused(last), refused(last), unanswered]
        {
            let occasion = Occasion::at(Gate::Pull, &asked, Duration::from_millis(3));
            counts.of(Gate::Pull).count(&verdict, &occasion);
        }
        let mut page = Page::default();
        counts.expose(&mut page);
        let text = page.text();
        let samples: Vec<_> =
            text.lines().filter(|line| line.starts_with("binauthd_decisions_total")).collect();
        let sample = |verdict: &str, reason: &str, mode: &str, count: u64| {
            format!(
                "binauthd_decisions_total{{gate=\"pull\",verdict=\"{verdict}\",reason=\"{reason}\",mode=\"{mode}\"}} {count}"
            )
        };
        let mut wanted = [
            sample("ALLOW", "DENY_LISTED", "dry_run", 1),
            sample("ALLOW", "BREAK_GLASS", "break_glass", 1),
            sample("ALLOW", "UNANSWERED", "observe", 1),
            sample("CANNOT_DECIDE", last.code(), "enforced", 2),
            sample("DENY", "DENY_LISTED", "enforced", 1),
        ];
        wanted.sort();
        assert_eq!(samples, wanted);
        // One that nobody waited for took no time.
        assert!(
            text.contains("binauthd_decision_duration_seconds_count{gate=\"pull\",cache=\"none\"} 5\n"),
            "{text}"
        );
        assert!(counts.of(Gate::Pull).observes() && !counts.of(Gate::Create).observes());
        let GateCounts { allowed, denied, undecidable, dry_run, break_glass, unanswered } =
            counts.of(Gate::Pull).read();
        assert_eq!((allowed, denied, undecidable, dry_run, unanswered), (3, 1, 2, 1, 1));
        assert_eq!(break_glass, 1);
    }
}
