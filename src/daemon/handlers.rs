//! The runtime handlers of this node, and which of them carry the create hook.
//!
//! Where the hook holds creations while the daemon is down, a handler without it is a hole: its pods are
//! refused unless the configuration lists it. A node on which no handler carries the hook has no such gate to
//! go around: there NRI alone holds, which the status says.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::containerd::{Handlers as Found, HandlersError, Hooked};
use crate::decision::Reason;

const PERIOD: Duration = Duration::from_secs(30);

/// What is known of the handlers.
pub(super) struct Handlers {
    address: PathBuf,
    allowed: BTreeSet<String>,
    last: Mutex<Option<Arc<Known>>>,
}

/// One look at containerd's configuration.
struct Known {
    default: String,
    all: Vec<(String, Hooked)>,
    sandbox_image: Option<String>,
}

/// Why a pod may not run under its handler.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ungated {
    pub(super) reason: Reason,
    pub(super) cause: String,
}

impl Handlers {
    pub(super) fn new(address: PathBuf, allowed: BTreeSet<String>) -> Self {
        Self { address, allowed, last: Mutex::default() }
    }

    /// Looks again and again.
    pub(super) async fn follow(&self) {
        loop {
            self.look().await;
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Asks containerd's CRI for its configuration, and reads the base specs that it names.
    async fn look(&self) -> Option<Arc<Known>> {
        let found = Found::ask(&self.address).await.map(Known::from);
        let found = match found {
            Ok(found) => Arc::new(found.await),
            Err(HandlersError::NoAnswer { .. }) => return None,
            Err(error) => {
                tracing::warn!("{}", crate::chain(&error));
                return None;
            }
        };
        let before = self.lock().replace(Arc::clone(&found));
        let told = before.map(|before| before.problems(&self.allowed)).unwrap_or_default();
        for problem in found.problems(&self.allowed).iter().filter(|problem| !told.contains(problem)) {
            tracing::warn!("{problem}");
        }
        Some(found)
    }

    /// Whether pods may run under `handler`; empty is the default one.
    pub(super) async fn admit(&self, handler: &str) -> Result<(), Ungated> {
        if self.allowed.contains(handler) {
            return Ok(());
        }
        let known = match self.known() {
            Some(known) if known.of(handler).is_some() => Some(known),
            // A runtime that was restarted may have others now.
            _ => self.look().await,
        };
        let Some(known) = known else {
            let cause = "containerd does not tell which runtime handlers it has".to_owned();
            return Err(Ungated { reason: Reason::ContainerdUnread, cause });
        };
        if known.is_admitted(handler, &self.allowed) {
            return Ok(());
        }
        let cause = format!("its runtime handler `{}` carries no create hook", known.name(handler));
        Err(Ungated { reason: Reason::HandlerUngated, cause })
    }

    /// Whether every handler carries the hook, but for those that need not.
    pub(super) fn hold(&self) -> bool {
        self.known().is_some_and(|known| {
            let mut all = known.all.iter();
            !known.all.is_empty()
                && all.all(|(name, hooked)| is_hooked(hooked) || self.allowed.contains(name))
        })
    }

    /// Every handler, and whether it carries the hook.
    pub(super) fn list(&self) -> Vec<(String, bool)> {
        let Some(known) = self.known() else { return Vec::new() };
        known.all.iter().map(|(name, hooked)| (name.clone(), is_hooked(hooked))).collect()
    }

    /// What wants looking at.
    pub(super) fn problems(&self) -> Vec<String> {
        self.known().map(|known| known.problems(&self.allowed)).unwrap_or_default()
    }

    fn known(&self) -> Option<Arc<Known>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Known>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    async fn from(found: Found) -> Self {
        super::off_the_runtime(move || Self {
            all: found.all.iter().map(|handler| (handler.name.clone(), handler.hooked())).collect(),
            default: found.default,
            sandbox_image: found.sandbox_image,
        })
        .await
    }

    /// The handler's own name.
    fn name<'a>(&'a self, handler: &'a str) -> &'a str {
        if handler.is_empty() { &self.default } else { handler }
    }

    fn of(&self, handler: &str) -> Option<&Hooked> {
        let name = self.name(handler);
        self.all.iter().find(|(known, _)| known == name).map(|(_, hooked)| hooked)
    }

    fn is_admitted(&self, handler: &str, allowed: &BTreeSet<String>) -> bool {
        allowed.contains(self.name(handler))
            || self.of(handler).is_some_and(is_hooked)
            || !self.all.iter().any(|(_, hooked)| is_hooked(hooked))
    }

    fn problems(&self, allowed: &BTreeSet<String>) -> Vec<String> {
        let tag = self.sandbox_image.as_deref().filter(|image| !image.contains("@sha256:")).map(|image| {
            format!("containerd: the pause image `{image}` is named by a tag, which others may move: pin its digest")
        });
        let unhooked = self.all.iter().filter(|(name, _)| !self.is_admitted(name, allowed));
        let handlers = unhooked.map(|(name, hooked)| {
            let why = match hooked {
                Hooked::Yes(_) => String::new(),
                Hooked::NoSpec => "it has no base runtime spec".to_owned(),
                Hooked::NoHook => "its base runtime spec has no hook of binauthd's".to_owned(),
                Hooked::OtherRuntime => "its runtime may run no hooks".to_owned(),
                Hooked::Unusable(why) => why.clone(),
            };
            format!(
                "containerd: runtime handler `{name}` carries no create hook ({why}): its pods are refused"
            )
        });
        tag.into_iter().chain(handlers).collect()
    }
}

fn is_hooked(hooked: &Hooked) -> bool {
    matches!(hooked, Hooked::Yes(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containerd::CreateHook;

    fn known(hooked: &[(&str, bool)]) -> Known {
        let of = |hooked: bool| if hooked { Hooked::Yes(CreateHook::new("/hook")) } else { Hooked::NoSpec };
        Known {
            default: "runc".to_owned(),
            all: hooked.iter().map(|(name, hooked)| ((*name).to_owned(), of(*hooked))).collect(),
            sandbox_image: None,
        }
    }

    #[test]
    fn a_handler_beside_hooked_ones_must_carry_the_hook_or_be_listed() {
        let listed = BTreeSet::from(["kata".to_owned()]);
        let rows = [
            (&[("runc", true), ("kata", false), ("gvisor", false)][..], "", true),
            (&[("runc", true), ("kata", false), ("gvisor", false)], "kata", true),
            (&[("runc", true), ("kata", false), ("gvisor", false)], "gvisor", false),
            (&[("runc", true)], "unheard-of", false),
            (&[("runc", false), ("gvisor", false)], "", true),
            (&[("runc", false), ("gvisor", true)], "", false),
        ];
        for (all, handler, admitted) in rows {
            let known = known(all);
            assert_eq!(known.is_admitted(handler, &listed), admitted, "{handler} {all:?}");
            let alarmed = known.problems(&listed).iter().any(|problem| problem.contains("gvisor"));
            assert_eq!(alarmed, !known.is_admitted("gvisor", &listed) && known.of("gvisor").is_some());
        }
    }

    #[test]
    fn a_pause_image_by_its_tag_is_an_alarm() {
        let with = |image: &str| {
            Known { sandbox_image: Some(image.to_owned()), ..known(&[]) }.problems(&BTreeSet::new())
        };
        assert!(with("r.io/pause:3.10").iter().any(|problem| problem.contains("pin its digest")));
        assert!(with("r.io/pause@sha256:ab").is_empty());
    }
}
