//! The arguments of an OCI runtime, as runc and crun read them (runc 1.0 to 1.4, crun 1.x).
//!
//! What creates nothing is not understood here and need not be. What creates is understood whole or is a problem,
//! which refuses it: a flag that is not known might name another bundle, as crun's `--config` does.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::text::cut;

/// The commands that start something.
const CREATING: [&str; 3] = ["create", "run", "restore"];

/// Flags before the command that take a value, and those that take none.
const GLOBAL_VALUES: [&str; 7] =
    ["--root", "--log", "--log-format", "--log-level", "--criu", "--rootless", "--cgroup-manager"];
const GLOBAL_SWITCHES: [&str; 6] = ["--debug", "--systemd-cgroup", "--help", "-h", "--version", "-v"];
/// The same after one of [`CREATING`].
const VALUES: [&str; 13] = [
    "--bundle",
    "-b",
    "--console-socket",
    "--pidfd-socket",
    "--pid-file",
    "--preserve-fds",
    "--image-path",
    "--work-path",
    "--manage-cgroups-mode",
    "--empty-ns",
    "--status-fd",
    "--lsm-profile",
    "--lsm-mount-context",
];
const SWITCHES: [&str; 14] = [
    "--detach",
    "-d",
    "--keep",
    "--no-pivot",
    "--no-new-keyring",
    "--no-subreaper",
    "--tcp-established",
    "--ext-unix-sk",
    "--shell-job",
    "--file-locks",
    "--link-remap",
    "--auto-dedup",
    "--lazy-pages",
    "--debug",
];

/// A command that creates a container.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Creation {
    /// One of [`CREATING`].
    pub(super) command: String,
    /// The container's id, empty with a problem.
    pub(super) id: String,
    /// As given, else the folder this runs in.
    pub(super) bundle: PathBuf,
    pub(super) root: Option<PathBuf>,
    pub(super) log: Option<PathBuf>,
    /// The first thing that is not understood.
    pub(super) problem: Option<String>,
}

impl Creation {
    /// Reads the elements after the program's own name; `None` where they create nothing.
    pub(super) fn of(elements: &[OsString]) -> Option<Self> {
        let mut reading = Reading { elements: elements.iter(), ..Reading::default() };
        let command = reading.command()?;
        match (command.as_str(), reading.elements.as_slice()) {
            (_, [only]) if only == "--help" || only == "-h" => return None,
            _ => {}
        }
        reading.rest();
        let Reading { bundle, root, log, mut ids, mut problem, .. } = reading;
        match ids.len() {
            1 => {}
            0 => drop(problem.get_or_insert_with(|| format!("`{command}` has no container id"))),
            many => drop(problem.get_or_insert_with(|| format!("`{command}` has {many} container ids"))),
        }
        Some(Self {
            command,
            id: ids.pop().unwrap_or_default(),
            bundle: bundle.unwrap_or_else(|| PathBuf::from(".")),
            root,
            log,
            problem,
        })
    }
}

#[derive(Default)]
struct Reading<'a> {
    elements: std::slice::Iter<'a, OsString>,
    bundle: Option<PathBuf>,
    root: Option<PathBuf>,
    log: Option<PathBuf>,
    ids: Vec<String>,
    problem: Option<String>,
}

impl Reading<'_> {
    fn problem(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }

    /// The command, if it creates something, with the elements before it taken.
    fn command(&mut self) -> Option<String> {
        while let Some(element) = self.elements.next() {
            let text = element.to_string_lossy();
            if text == "--" {
                return self.elements.next().and_then(creating);
            }
            if !text.starts_with('-') || text == "-" {
                return creating(element);
            }
            if !self.flag(&text, &GLOBAL_VALUES, &GLOBAL_SWITCHES) {
                // Whether it takes a value is not known, so neither is where the command is.
                self.problem(format!("the flag `{}` is not known here", cut(&text, 128)));
                return self.elements.by_ref().find_map(creating);
            }
        }
        None
    }

    /// What follows the command. Flags may come after the id: runc sorts them to the front, as crun does.
    fn rest(&mut self) {
        let mut only_ids = false;
        while let Some(element) = self.elements.next() {
            let text = element.to_string_lossy();
            if !only_ids && text == "--" {
                only_ids = true;
            } else if only_ids || !text.starts_with('-') || text == "-" {
                let id = self.utf8(element);
                self.ids.push(id);
            } else if !self.flag(&text, &VALUES, &SWITCHES) {
                self.problem(format!("the flag `{}` is not known here", cut(&text, 128)));
            }
        }
    }

    /// Takes a flag and its value; false if it is neither of the two.
    fn flag(&mut self, text: &str, values: &[&str], switches: &[&str]) -> bool {
        let (flag, attached) = match text.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (text, None),
        };
        if switches.contains(&flag) {
            // `-d=x` is `-d` to one runtime and several flags to another.
            return attached.is_none() || flag.starts_with("--");
        }
        // Likewise the value of `-b=x` is `x` to one and `=x` to the other.
        if !values.contains(&flag) || (attached.is_some() && !flag.starts_with("--")) {
            return false;
        }
        let value = match attached {
            Some(value) => value.to_owned(),
            None => match self.elements.next() {
                Some(value) => self.utf8(value),
                None => {
                    self.problem(format!("the flag `{flag}` has no value"));
                    return true;
                }
            },
        };
        if text.contains('\u{fffd}') {
            self.problem(format!("the value of `{flag}` is not UTF-8"));
        }
        let place = match flag {
            "--bundle" | "-b" => &mut self.bundle,
            "--root" => &mut self.root,
            "--log" => &mut self.log,
            _ => return true,
        };
        if place.replace(PathBuf::from(&value)).is_some() {
            self.problem(format!("the flag `{flag}` is given more than once"));
        } else if value.is_empty() {
            self.problem(format!("the flag `{flag}` is empty"));
        }
        true
    }

    fn utf8(&mut self, element: &OsString) -> String {
        if element.to_str().is_none() {
            self.problem("an argument is not UTF-8".to_owned());
        }
        element.to_string_lossy().into_owned()
    }
}

fn creating(element: &OsString) -> Option<String> {
    let text = element.to_str()?;
    CREATING.contains(&text).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn read(line: &str) -> Option<Creation> {
        let elements: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        Creation::of(&elements)
    }

    #[test]
    fn what_creates_nothing_is_passed_on() {
        for line in [
            "",
            "--version",
            "features",
            "--root /r state create",
            "--root /r --log /l --log-format json kill create 9",
            "--log run delete c",
            "--systemd-cgroup exec --process p c",
            "--debug=true list",
            "-- ps c",
            "- create",
            "update --resources - run",
            "--unknown value state c",
            "create --help",
            "run -h",
            "Create c",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    #[test]
    fn what_creates() {
        let containerd = "--root /run/containerd/runc/k8s.io --log /b/log.json --log-format json --systemd-cgroup \
                          create --bundle /b --pid-file /b/init.pid --console-socket /s c";
        for (line, command, bundle, root, log) in [
            (containerd, "create", "/b", Some("/run/containerd/runc/k8s.io"), Some("/b/log.json")),
            (
                "--root=/r --log=/l --debug run --detach -b /b --preserve-fds 3 c",
                "run",
                "/b",
                Some("/r"),
                Some("/l"),
            ),
            ("create c", "create", ".", None, None),
            ("create c --bundle=rel/x", "create", "rel/x", None, None),
            (
                "--rootless auto --criu /c restore --image-path /i --work-path /w c",
                "restore",
                ".",
                None,
                None,
            ),
            ("--cgroup-manager create create --no-pivot -- c", "create", ".", None, None),
            ("-- create -b --help c", "create", "--help", None, None),
            ("--log create --systemd-cgroup=false run c", "run", ".", None, Some("create")),
        ] {
            let path = |path: Option<&str>| path.map(PathBuf::from);
            let expected = Creation {
                command: command.into(),
                id: "c".into(),
                bundle: bundle.into(),
                root: path(root),
                log: path(log),
                problem: None,
            };
            assert_eq!(read(line), Some(expected), "{line}");
        }
    }

    #[test]
    fn what_is_not_understood_whole_is_a_problem() {
        for (line, expected) in [
            ("create", "`create` has no container id"),
            ("create --bundle", "the flag `--bundle` has no value"),
            ("run a b", "`run` has 2 container ids"),
            ("create --config /c x", "the flag `--config` is not known here"),
            ("create -f /c x", "the flag `-f` is not known here"),
            ("create -b=/b x", "the flag `-b=/b` is not known here"),
            ("create -b/b x", "the flag `-b/b` is not known here"),
            ("create -bundle /b x", "the flag `-bundle` is not known here"),
            ("create --bundle /a --bundle=/b x", "`--bundle` is given more than once"),
            ("create --bundle /a -b /b x", "`-b` is given more than once"),
            ("create --bundle= x", "`--bundle` is empty"),
            ("create --help x", "the flag `--help` is not known here"),
            ("--root /a --root /b create x", "`--root` is given more than once"),
            ("--unknown create x", "the flag `--unknown` is not known here"),
            ("--unknown value run x", "the flag `--unknown` is not known here"),
            ("-root /r restore x", "the flag `-root` is not known here"),
            ("--unknown state create", "the flag `--unknown` is not known here"),
        ] {
            let problem = read(line).unwrap().problem.unwrap();
            assert!(problem.contains(expected), "{line}: {problem}");
        }
        let foreign = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        for line in [
            vec![foreign(b"create"), foreign(b"\xff")],
            vec![foreign(b"create"), foreign(b"--bundle"), foreign(b"/\xff"), foreign(b"c")],
            vec![foreign(b"create"), foreign(b"--bundle=/\xff"), foreign(b"c")],
            vec![foreign(b"--root=\xff"), foreign(b"create"), foreign(b"c")],
        ] {
            assert!(Creation::of(&line).unwrap().problem.unwrap().contains("not UTF-8"), "{line:?}");
        }
    }
}
