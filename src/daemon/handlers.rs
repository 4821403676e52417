//! The runtime handlers of this node, and which of them carry the create hook.
//!
//! Where the hook holds creations while the daemon is down, a handler without it is a hole: its pods are
//! refused unless the configuration lists it. A node on which no handler carries the hook has no such gate to
//! go around: there NRI alone holds, which the status says.
//!
//! A pod is admitted by the base runtime spec that lies on disk. What is claimed of the gate is claimed of what containerd
//! has loaded: a spec that was changed since it started is not that, and what its hook says when it asks counts for
//! more than any file. Where neither tells, nothing is claimed. The clock may have been set since: what was seen to change
//! in this run of containerd has changed whatever it says, and one that began later than now tells nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use crate::containerd::{self, Containerd, CreateHook, Handler, Handlers as Found, HandlersError, Hooked};
use crate::containerd::{Run, Stamp};
use crate::decision::Reason;

const PERIOD: Duration = Duration::from_secs(30);
/// The same while containerd does not tell.
const SOON: Duration = Duration::from_secs(2);

/// What is known of the handlers.
pub(super) struct Handlers {
    address: PathBuf,
    allowed: BTreeSet<String>,
    last: Mutex<Option<Arc<Known>>>,
    /// By handlers' own names.
    asked: Mutex<BTreeMap<String, LastAsk>>,
    seen: Mutex<Seen>,
    restarted: Notify,
}

/// What the create hook of a handler said last.
#[derive(Debug, Clone, Copy)]
struct LastAsk {
    /// When that was.
    run: Run,
    /// Whether it is one that was loaded in this run: the container that it asked about was made in it, by containerd's
    /// clock.
    is_of_run: bool,
    observes: bool,
}

/// The base runtime specs as they were at the first look in a run.
#[derive(Debug, Default)]
struct Seen {
    run: Option<Run>,
    specs: BTreeMap<PathBuf, Option<Stamp>>,
}

/// One look at containerd's configuration.
struct Known {
    /// containerd's own; none where it does not tell.
    version: Option<String>,
    default: String,
    all: Vec<OnDisk>,
    sandbox_image: Option<String>,
    /// Its own program, where it can be seen, and the runtimes that it executes.
    programs: Vec<String>,
    /// Since before it was asked.
    run: Option<Run>,
}

/// What lies on disk for a handler.
struct OnDisk {
    name: String,
    hooked: Hooked,
    /// Its base runtime spec, where it names one.
    spec: Option<PathBuf>,
    stamp: Option<Stamp>,
    /// It is not what lay there at the first look in this run.
    differs: bool,
}

/// What containerd starts the containers of a handler with.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Loaded {
    /// The hook, for which no answer refuses.
    Enforcing,
    /// The hook, for which no answer allows.
    Observing,
    /// No hook that can be relied upon.
    Bare,
    /// Not known, and why: its base runtime spec was changed since it started, and no hook has asked since.
    Unsure(String),
}

impl Loaded {
    const fn carries_hook(&self) -> bool {
        matches!(self, Self::Enforcing | Self::Observing)
    }
}

/// Why a pod may not run under its handler.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ungated {
    pub(super) reason: Reason,
    pub(super) cause: String,
}

impl Handlers {
    pub(super) fn new(address: PathBuf, allowed: BTreeSet<String>) -> Self {
        let (last, asked, seen) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { address, allowed, last, asked, seen, restarted: Notify::new() }
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
        // Before all else: one that starts meanwhile has what is read now, or is looked at again.
        let address = self.address.clone();
        let run = super::off_the_runtime(move || containerd::run(&address)).await;
        let found = match Found::ask(&self.address).await {
            Ok(found) => {
                let version = Containerd::new(&self.address).version().await.ok();
                Known::from(found, version, run, self.address.clone()).await
            }
            Err(HandlersError::NoAnswer { .. }) => return None,
            Err(error) => {
                tracing::warn!("{}", crate::chain(&error));
                return None;
            }
        };
        let (found, told) = (Arc::new(self.compared(found)), self.problems());
        *lock(&self.last) = Some(Arc::clone(&found));
        for problem in self.problems().iter().filter(|problem| !told.contains(problem)) {
            tracing::warn!("{problem}");
        }
        Some(found)
    }

    /// What was found, beside what lay there at the first look in this run.
    fn compared(&self, mut found: Known) -> Known {
        let mut seen = lock(&self.seen);
        if seen.run != found.run {
            *seen = Seen { run: found.run, specs: BTreeMap::new() };
        }
        for one in &mut found.all {
            let Some(spec) = &one.spec else { continue };
            let first = seen.specs.entry(spec.clone()).or_insert_with(|| one.stamp.clone());
            one.differs = *first != one.stamp;
        }
        found
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

    /// The create hook has asked about a container of `handler` that was `made` then, and says whether it observes. What a
    /// container carries that an earlier containerd made says nothing about this one; that it observes is taken from any,
    /// because what is claimed for it is less.
    pub(super) fn heard(&self, handler: &str, observes: bool, made: Option<SystemTime>) {
        let Some(known) = self.known().filter(|known| known.of(handler).is_some()) else { return };
        let Some(run) = known.run else { return };
        let is_of_run = made.is_some_and(|made| known.began().is_some_and(|began| began <= made));
        if is_of_run || observes {
            let name = known.name(handler).to_owned();
            lock(&self.asked).insert(name, LastAsk { run, is_of_run, observes });
        }
    }

    /// Whether every handler starts containers with the hook, but for those that need not.
    pub(super) fn hold(&self) -> bool {
        let loaded = self.loaded();
        !loaded.is_empty() && loaded.iter().all(|(name, loaded)| self.is_held(name, loaded))
    }

    /// Why a refusal, or no answer, would not refuse; none where it would.
    pub(super) fn hindrance(&self) -> Option<String> {
        let loaded = self.loaded();
        let unheld =
            loaded.iter().filter(|(name, loaded)| !self.is_held(name, loaded)).map(|(_, loaded)| loaded);
        match unheld.reduce(|one, other| if *one == Loaded::Bare { one } else { other }) {
            Some(Loaded::Unsure(why)) => Some(why.clone()),
            Some(_) => Some("a runtime handler carries no create hook".to_owned()),
            None if loaded.is_empty() => Some("a runtime handler carries no create hook".to_owned()),
            None => self.observe().then(|| "a create hook observes: no answer allows".to_owned()),
        }
    }

    fn is_held(&self, name: &str, loaded: &Loaded) -> bool {
        loaded.carries_hook() || self.allowed.contains(name)
    }

    /// Whether a handler starts containers with the hook so that no answer allows.
    pub(super) fn observe(&self) -> bool {
        self.loaded().iter().any(|(_, loaded)| *loaded == Loaded::Observing)
    }

    /// Every handler, and whether it starts containers with the hook.
    pub(super) fn list(&self) -> Vec<(String, bool)> {
        self.loaded().into_iter().map(|(name, loaded)| (name, loaded.carries_hook())).collect()
    }

    /// What this containerd executes, itself among it where that can be seen: absolute paths, as written and as they resolve.
    pub(super) fn programs(&self) -> Vec<String> {
        self.known().map(|known| known.programs.clone()).unwrap_or_default()
    }

    /// What wants looking at.
    pub(super) fn problems(&self) -> Vec<String> {
        self.known().map(|known| known.problems(&self.allowed, &lock(&self.asked))).unwrap_or_default()
    }

    /// By name.
    fn loaded(&self) -> Vec<(String, Loaded)> {
        let Some(known) = self.known() else { return Vec::new() };
        let asked = lock(&self.asked);
        let of = |one: &OnDisk| (one.name.clone(), known.loaded(one, asked.get(&one.name)));
        known.all.iter().map(of).collect()
    }

    fn known(&self) -> Option<Arc<Known>> {
        lock(&self.last).clone()
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Known {
    async fn from(found: Found, version: Option<String>, run: Option<Run>, address: PathBuf) -> Self {
        let on_disk = |handler: &Handler| OnDisk {
            name: handler.name.clone(),
            hooked: handler.hooked(),
            spec: handler.base_runtime_spec.clone(),
            // After it was read: what is changed meanwhile is newer than what was read.
            stamp: handler.stamp(),
            differs: false,
        };
        super::off_the_runtime(move || Self {
            version,
            all: found.all.iter().map(on_disk).collect(),
            default: found.default,
            sandbox_image: found.sandbox_image,
            programs: programs(found.all.iter().filter_map(|handler| handler.runtime.as_deref()), &address),
            run,
        })
        .await
    }

    /// What containerd has loaded, by what lies there and by what the hook said last.
    fn loaded(&self, one: &OnDisk, asked: Option<&LastAsk>) -> Loaded {
        let Hooked::Yes(hook) = &one.hooked else { return Loaded::Bare };
        match (self.said(asked), &one.spec) {
            (Some(LastAsk { observes: true, .. }), _) => Loaded::Observing,
            (Some(_), Some(_)) if !self.has_read(one) => Loaded::Enforcing,
            (None, Some(spec)) if !self.has_read(one) => Loaded::Unsure(self.unread(spec)),
            // What lies there has been loaded; one that has not, and says otherwise, was made before.
            _ if hook.observe => Loaded::Observing,
            _ => Loaded::Enforcing,
        }
    }

    /// What the hook said last, if that was in this run.
    fn said<'a>(&self, asked: Option<&'a LastAsk>) -> Option<&'a LastAsk> {
        asked.filter(|asked| Some(asked.run) == self.run)
    }

    /// When it had read the base runtime specs; none where the clock was set to an earlier time since.
    fn began(&self) -> Option<SystemTime> {
        self.run.map(|run| run.started).filter(|started| *started <= SystemTime::now())
    }

    /// Whether the base runtime spec that lies there is surely the one that containerd read.
    fn has_read(&self, one: &OnDisk) -> bool {
        let changed = one.stamp.as_ref().and_then(Stamp::changed);
        !one.differs && matches!((changed, self.began()), (Some(changed), Some(began)) if changed <= began)
    }

    /// Whether the hook that containerd has loaded has spoken for a base runtime spec of which the clock alone says that it
    /// was changed: where the clock was behind when containerd started, it says so for ever.
    fn is_vouched_for(&self, one: &OnDisk, hook: &CreateHook, asked: Option<&LastAsk>) -> bool {
        let said = self.said(asked).filter(|asked| asked.is_of_run);
        !one.differs && said.is_some_and(|said| said.observes == hook.observe)
    }

    /// What is wrong with a base runtime spec that containerd has not read.
    fn unread(&self, spec: &Path) -> String {
        let spec = spec.display();
        if self.run.is_some() && self.began().is_none() {
            return format!(
                "whether containerd has read `{spec}` as it is does not show, because it started later than now by the \
                 clock: `systemctl restart containerd`"
            );
        }
        format!(
            "`{spec}` was changed since containerd started, which goes on with what it read then: `systemctl restart \
             containerd`"
        )
    }

    /// The handler's own name.
    fn name<'a>(&'a self, handler: &'a str) -> &'a str {
        if handler.is_empty() { &self.default } else { handler }
    }

    fn of(&self, handler: &str) -> Option<&Hooked> {
        let name = self.name(handler);
        self.all.iter().find(|one| one.name == name).map(|one| &one.hooked)
    }

    fn is_admitted(&self, handler: &str, allowed: &BTreeSet<String>) -> bool {
        allowed.contains(self.name(handler))
            || self.of(handler).is_some_and(is_hooked)
            || !self.all.iter().any(|one| is_hooked(&one.hooked))
    }

    fn problems(&self, allowed: &BTreeSet<String>, asked: &BTreeMap<String, LastAsk>) -> Vec<String> {
        let tag = self.sandbox_image.as_deref().filter(|image| !image.contains("@sha256:")).map(|image| {
            format!("containerd: the pause image `{image}` is named by a tag, which others may move: pin its digest")
        });
        let unread = self.all.iter().filter_map(|one| {
            let (Hooked::Yes(hook), Some(spec)) = (&one.hooked, &one.spec) else { return None };
            let is_fine = self.has_read(one) || self.is_vouched_for(one, hook, asked.get(&one.name));
            (!is_fine).then(|| format!("containerd: runtime handler `{}`: {}", one.name, self.unread(spec)))
        });
        let handlers = self.all.iter().filter_map(|OnDisk { name, hooked, .. }| {
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
        tag.into_iter().chain(handlers).chain(unread).collect()
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

/// The `runtimes` that are named by a path, and the containerd that serves on `address`.
fn programs<'a>(runtimes: impl Iterator<Item = &'a str>, address: &Path) -> Vec<String> {
    let runtimes = runtimes.map(PathBuf::from).filter(|path| path.is_absolute());
    let written = runtimes.chain(containerd::program_behind(address));
    let all = written.flat_map(|path| [path.canonicalize().ok(), Some(path)].into_iter().flatten());
    all.map(|path| path.to_string_lossy().into_owned()).collect()
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
mod tests;
