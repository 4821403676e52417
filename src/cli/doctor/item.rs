//! What the doctor says of one thing.

use serde::Serialize;

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// As it should be.
    Fine,
    /// It works, and may not be meant so, or will not hold for long.
    Warning,
    /// A gate is not asked, does not refuse, or refuses what it should not; or that is not known.
    Broken,
}

/// One thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Item {
    /// Stable; binauthctl-doctor(1) explains each.
    pub(super) name: &'static str,
    pub(super) state: State,
    /// What was found.
    pub(super) found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<String>,
}

impl State {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Warning => "warning",
            Self::Broken => "broken",
        }
    }
}

/// All that was looked at, in order.
#[derive(Debug, Default)]
pub(super) struct Items(pub(super) Vec<Item>);

impl Items {
    pub(super) fn fine(&mut self, name: &'static str, found: impl Into<String>) {
        self.add(Item { name, state: State::Fine, found: found.into(), fix: None });
    }

    pub(super) fn warning(&mut self, name: &'static str, found: impl Into<String>, fix: impl Into<String>) {
        self.add(Item { name, state: State::Warning, found: found.into(), fix: Some(fix.into()) });
    }

    pub(super) fn broken(&mut self, name: &'static str, found: impl Into<String>, fix: impl Into<String>) {
        self.add(Item { name, state: State::Broken, found: found.into(), fix: Some(fix.into()) });
    }

    fn add(&mut self, item: Item) {
        debug_assert!(
            super::NAMES.iter().any(|(name, _)| *name == item.name),
            "`{}` is not explained",
            item.name
        );
        self.0.push(item);
    }

    /// Broken where `wrong` says how, else fine.
    pub(super) fn unless(
        &mut self,
        name: &'static str,
        wrong: Option<String>,
        fine: impl Into<String>,
        fix: impl Into<String>,
    ) {
        match wrong {
            Some(wrong) => self.broken(name, wrong, fix),
            None => self.fine(name, fine),
        }
    }
}
