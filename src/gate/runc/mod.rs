//! `binauthd-runc`: an OCI runtime that asks before it creates, and otherwise is the runtime behind it.
//!
//! For what no hook reaches: `ctr run`, `nerdctl run` and the pause container. It takes the place of runc where
//! containerd executes it (`BinaryName`), asks the daemon about `create`, `run` and `restore`, and becomes the real
//! runtime, with its arguments, descriptors and environment as they came. A refusal ends it with 1, the reason on
//! standard error and in the runtime's log, where containerd reads it. By itself it decides only what no answer
//! means ([`super::asking`]), and that by the name it is executed by: [`OBSERVE`], or any other to enforce.

mod arguments;
mod log;
mod runtime;

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use self::arguments::Creation;
use super::SOCKET_VARIABLE;
use super::asking::{self, Mode, Outcome, WAIT};
use super::message::{Ask, AskedContainer};
use super::verifier::entry;

/// The one name that observes; by every other name the wrapper enforces.
pub const OBSERVE: &str = "binauthd-runc-observe";
const PROGRAM: &str = concat!("binauthd-runc/", env!("CARGO_PKG_VERSION"));

/// The whole program. Returns only if there is nothing to become.
#[must_use]
pub fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    let entry = entry(argv.first().cloned());
    let Some(creation) = Creation::of(argv.get(1..).unwrap_or_default()) else {
        return give_up(&runtime::become_real(&entry, &argv), None);
    };
    let log = creation.log.clone();
    let socket = asking::socket(None, std::env::var_os(SOCKET_VARIABLE));
    let observing = entry == OBSERVE;
    let (container, problem) = container(&creation);
    let ask = Ask::about_container(PROGRAM, entry, container, observing, problem);
    match asking::outcome(&socket, &ask, if observing { Mode::Observe } else { Mode::Enforce(WAIT) }) {
        Outcome::Refused(line) => return give_up(&line, log.as_deref()),
        Outcome::LetThrough(Some(line)) => drop(std::io::stderr().write_all(line.as_bytes())),
        Outcome::Allowed | Outcome::LetThrough(None) => {}
    }
    give_up(&runtime::become_real(&ask.entry, &argv), log.as_deref())
}

/// What is asked about, and what is wrong with it.
fn container(creation: &Creation) -> (AskedContainer, Option<String>) {
    let Creation { command, id, bundle, root, problem, .. } = creation;
    let folder = super::container::absolute(bundle);
    let Some(folder) = folder else {
        let container =
            AskedContainer { id: id.clone(), command: command.clone(), ..AskedContainer::default() };
        return (container, Some("the folder this was executed in has gone".to_owned()));
    };
    let (container, unreadable) = super::container::describe(id, &folder, command);
    let contradiction = || contradiction(root.as_deref()?, container.namespace.as_deref());
    let problem = problem.clone().or(unreadable).or_else(contradiction);
    (container, problem)
}

/// containerd keeps the state of its namespaces apart, `--root …/NAMESPACE`, and the bundles likewise.
fn contradiction(root: &Path, namespace: Option<&str>) -> Option<String> {
    let last = root.file_name().and_then(|name| name.to_str());
    match namespace {
        Some(namespace) if last == Some(namespace) => None,
        Some(namespace) => Some(format!(
            "the bundle lies in containerd's namespace `{namespace}`, and `--root` is `{}`",
            root.display()
        )),
        None => root.parent().is_some_and(|parent| parent.ends_with("containerd/runc")).then(|| {
            format!(
                "`--root` is that of containerd's namespace, `{}`, and the bundle lies in none",
                root.display()
            )
        }),
    }
}

/// Says why, for people and for containerd, and ends. Nobody may be reading: the exit code is what counts.
fn give_up(line: &str, log: Option<&Path>) -> ExitCode {
    if let Some(log) = log {
        log::append(log, line.trim_end(), SystemTime::now());
    }
    std::io::stderr().write_all(line.as_bytes()).ok();
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_bundle_must_agree() {
        for (root, namespace, contradicts) in [
            ("/run/containerd/runc/k8s.io", Some("k8s.io"), false),
            ("/var/run/docker/runtime-runc/moby/", Some("moby"), false),
            ("/run/containerd/runc/k8s.io", Some("default"), true),
            ("/run/containerd/runc/k8s.io/..", Some("k8s.io"), true),
            ("/", Some("k8s.io"), true),
            ("/run/containerd/runc/k8s.io", None, true),
            ("/run/runc", None, false),
        ] {
            assert_eq!(
                contradiction(Path::new(root), namespace).is_some(),
                contradicts,
                "{root} {namespace:?}"
            );
        }
    }
}
