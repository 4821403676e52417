//! The runtime handlers of this node, and which of them carry the create hook.
//!
//! Where the hook holds creations while the daemon is down, a handler without it is a hole: its pods are
//! refused unless the configuration lists it. A node on which no handler carries the hook has no such gate to
//! go around: there NRI alone holds, which the status says.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::containerd::{Containerd, CreateHook, Handlers as Found, HandlersError, Hooked};
use crate::decision::Reason;

const PERIOD: Duration = Duration::from_secs(30);
/// The same while containerd does not tell.
const SOON: Duration = Duration::from_secs(2);

/// What is known of the handlers.
pub(super) struct Handlers {
    address: PathBuf,
    allowed: BTreeSet<String>,
    last: Mutex<Option<Arc<Known>>>,
    restarted: Notify,
}

/// One look at containerd's configuration.
struct Known {
    /// containerd's own; none where it does not tell.
    version: Option<String>,
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
        Self { address, allowed, last: Mutex::default(), restarted: Notify::new() }
    }

    /// containerd has started, perhaps with another configuration.
    pub(super) fn restarted(&self) {
        self.restarted.notify_one();
    }

    /// Looks again and again.
    pub(super) async fn follow(&self) {
        loop {
            let wait = if self.look().await.is_some() { PERIOD } else { SOON };
            let _ = tokio::time::timeout(wait, self.restarted.notified()).await;
        }
    }

    /// Asks containerd's CRI for its configuration, and reads the base specs that it names.
    async fn look(&self) -> Option<Arc<Known>> {
        let found = match Found::ask(&self.address).await {
            Ok(found) => {
                let version = Containerd::new(&self.address).version().await.ok();
                Arc::new(Known::from(found, version).await)
            }
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

    /// Whether a handler carries the hook so that no answer allows.
    pub(super) fn observe(&self) -> bool {
        let observes = |hooked: &Hooked| matches!(hooked, Hooked::Yes(hook) if hook.observe);
        self.known().is_some_and(|known| known.all.iter().any(|(_, hooked)| observes(hooked)))
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
    async fn from(found: Found, version: Option<String>) -> Self {
        super::off_the_runtime(move || Self {
            version,
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
        let handlers = self.all.iter().filter_map(|(name, hooked)| {
            let why = match hooked {
                Hooked::Yes(hook) => {
                    return Some(format!(
                        "containerd: runtime handler `{name}`: {}",
                        self.hook_problem(hook)?
                    ));
                }
                Hooked::NoSpec => "it has no base runtime spec",
                Hooked::NoHook => "its base runtime spec has no hook of binauthd's",
                Hooked::OtherRuntime => "its runtime may run no hooks",
                Hooked::Unusable(why) => why,
            };
            let so = match hooked {
                _ if !self.is_admitted(name, allowed) => "its pods are refused",
                // Somebody has meant it to carry one.
                Hooked::Unusable(_) if !allowed.contains(name) => "nothing holds its pods but NRI",
                _ => return None,
            };
            Some(format!("containerd: runtime handler `{name}` carries no create hook ({why}): {so}"))
        });
        tag.into_iter().chain(handlers).collect()
    }

    /// What is wrong with a hook that is there.
    fn hook_problem(&self, hook: &CreateHook) -> Option<String> {
        let timeout = hook.timeout_problem();
        timeout.or_else(|| {
            let (made_for, version) = (hook.made_for.as_deref()?, self.version.as_deref()?);
            (release(made_for) != release(version)).then(|| {
                format!(
                    "its base runtime spec has the defaults of containerd {made_for}, and this is {version}: write it \
                     anew with `binauthctl containerd base-spec`"
                )
            })
        })
    }
}

fn is_hooked(hooked: &Hooked) -> bool {
    matches!(hooked, Hooked::Yes(_))
}

/// Of `v2.1.9+ds1` the part `2.1.9`: what packagers add changes no defaults.
fn release(version: &str) -> &str {
    let version = version.trim_start_matches('v');
    let end = version.find(|c: char| c != '.' && !c.is_ascii_digit());
    end.and_then(|end| version.get(..end)).unwrap_or(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(hooked: &[(&str, bool)]) -> Known {
        let of = |hooked: bool| if hooked { Hooked::Yes(CreateHook::new("/hook")) } else { Hooked::NoSpec };
        Known {
            version: Some("v2.1.9+ds1".to_owned()),
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

    #[test]
    fn a_hook_that_does_not_hold_what_it_should_is_an_alarm() {
        let told = |hooked: Hooked, allowed: &[&str]| {
            let known = Known { all: vec![("runc".to_owned(), hooked)], ..known(&[]) };
            known.problems(&allowed.iter().map(|name| (*name).to_owned()).collect()).join("\n")
        };
        let made_for = |version: &str| {
            Hooked::Yes(CreateHook { made_for: Some(version.to_owned()), ..CreateHook::new("/hook") })
        };
        let unusable = || Hooked::Unusable("others than root may write it".to_owned());
        let rows = [
            (made_for("2.1.9"), &[][..], ""),
            (made_for("v2.1.9~rc"), &[], ""),
            (made_for("2.1.8"), &[], "has the defaults of containerd 2.1.8, and this is v2.1.9+ds1"),
            (
                Hooked::Yes(CreateHook { found_timeout: Some(5), ..CreateHook::new("/hook") }),
                &[],
                "the runtime ends the hook `/hook` after 5 s",
            ),
            (unusable(), &[], "(others than root may write it): nothing holds its pods but NRI"),
            (unusable(), &["runc"], ""),
            (Hooked::NoSpec, &[], ""),
        ];
        for (hooked, allowed, part) in rows {
            let what = format!("{hooked:?} {allowed:?}");
            let problems = told(hooked, allowed);
            assert!(problems.contains(part) && problems.is_empty() == part.is_empty(), "{what}: {problems}");
        }
    }
}
