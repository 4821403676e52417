//! How old evidence may be: since its source was last read to the end, what was deleted there may still
//! count here. Ours, not Google's: it has no sources that can be lost.

use std::time::Duration;

/// What becomes of an image whose evidence is older than it may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum OnStale {
    /// It is denied.
    #[default]
    Deny,
    /// It is allowed, and the verdict says so.
    Allow,
}

/// Bounds of a rule; what one leaves open, the configuration says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Freshness {
    /// The greatest age; without one evidence may be of any age.
    pub max_staleness: Option<Duration>,
    /// What becomes of what is older.
    pub on_stale: Option<OnStale>,
}

impl Freshness {
    /// What this says, and for the rest what `default` does.
    #[must_use]
    pub fn or(self, default: Self) -> Self {
        Self {
            max_staleness: self.max_staleness.or(default.max_staleness),
            on_stale: self.on_stale.or(default.on_stale),
        }
    }

    /// The bound that evidence of `age` is beyond; of an unknown age it is beyond any.
    #[must_use]
    pub fn exceeded(self, age: Option<Duration>) -> Option<Duration> {
        self.max_staleness.filter(|max| age.is_none_or(|age| age > *max))
    }

    /// Nothing is said.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }
}

impl OnStale {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "DENY",
            Self::Allow => "ALLOW",
        }
    }

    /// Reads it as it is written.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        match text {
            "DENY" => Some(Self::Deny),
            "ALLOW" => Some(Self::Allow),
            _ => None,
        }
    }
}

/// A span such as `24h` or `86400s`, more than none.
#[must_use]
pub fn read_span(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok().filter(|span| !span.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_speaks_before_the_configuration() {
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
        let of = |max_staleness, on_stale| Freshness { max_staleness, on_stale };
        let (open, default) = (Freshness::default(), of(hours(24), Some(OnStale::Allow)));
        let rows = [
            (open, open, open),
            (open, default, default),
            (of(hours(1), None), default, of(hours(1), Some(OnStale::Allow))),
            (of(None, Some(OnStale::Deny)), default, of(hours(24), Some(OnStale::Deny))),
        ];
        for (rule, configured, expected) in rows {
            assert_eq!(rule.or(configured), expected);
        }
        let rows = [(hours(23), None), (hours(24), None), (hours(25), hours(24)), (None, hours(24))];
        for (age, exceeded) in rows {
            assert_eq!(default.exceeded(age), exceeded, "{age:?}");
            assert_eq!(open.exceeded(age), None);
        }
    }
}
