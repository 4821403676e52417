//! Our `createRuntime` hook as a base runtime spec carries it: which program, in which mode, how long it
//! waits. The program itself is `gate`'s; this is the other end of its command line.

use std::time::Duration;

/// The hook and what it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateHook {
    /// The program, an absolute path.
    pub path: String,
    /// Whether a container for which the daemon gives no answer starts.
    pub observe: bool,
    /// How long a daemon that gives no answer is asked, in seconds: 0 (once) to [`CreateHook::MAX_WAIT`].
    pub wait: u16,
    /// The gate socket, where it is not the usual one.
    pub socket: Option<String>,
    /// The version of containerd whose defaults are in the spec; none where the spec was somebody's own. The
    /// hook ignores it. It stands here because an annotation would go into every container's `config.json`.
    pub made_for: Option<String>,
    /// After how many seconds the runtime ends the hook and refuses, as found in a spec; what is written is
    /// [`CreateHook::timeout`].
    pub found_timeout: Option<i64>,
}

impl CreateHook {
    /// The program's name.
    pub const PROGRAM: &str = "binauthd-create-hook";
    /// Where the package puts it.
    pub const PATH: &str = "/usr/libexec/binauthd/binauthd-create-hook";
    /// The hook's own default, in seconds.
    pub const WAIT: u16 = 20;
    /// The longest wait the hook takes, in seconds.
    pub const MAX_WAIT: u16 = 300;
    /// What the runtime grants beyond the wait, in seconds: for a last try, and for reading the bundle.
    const GRACE: u16 = 10;

    /// An enforcing hook at its usual place.
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            observe: false,
            wait: Self::WAIT,
            socket: None,
            made_for: None,
            found_timeout: None,
        }
    }

    /// Whether a hook that runs `program` is ours: by its name, wherever it lies. One that moved is still
    /// the same hook.
    #[must_use]
    pub fn is_run_by(program: &str) -> bool {
        program.rsplit('/').next() == Some(Self::PROGRAM)
    }

    /// The `timeout` that is written, in seconds. It must not come before the hook's own answer: the runtime
    /// then refuses without a reason, in either mode.
    #[must_use]
    pub fn timeout(&self) -> u16 {
        self.wait.saturating_add(Self::GRACE)
    }

    /// What is wrong with the timeout that was found, if anything is.
    #[must_use]
    pub fn timeout_problem(&self) -> Option<String> {
        let found = self.found_timeout?;
        let wait = Duration::from_secs(self.wait.into());
        (found <= i64::from(self.wait)).then(|| {
            format!(
                "the runtime ends the hook `{}` after {found} s, but it waits {} s for the daemon",
                self.path,
                wait.as_secs()
            )
        })
    }

    /// The arguments, the program's name first, as execve(2) has them.
    pub(super) fn args(&self) -> Vec<String> {
        let mut args = vec![Self::PROGRAM.to_owned()];
        if self.observe {
            args.push("--observe".to_owned());
        }
        let wait = (self.wait != Self::WAIT).then(|| self.wait.to_string());
        let with_value = [("--wait", &wait), ("--socket", &self.socket), ("--made-for", &self.made_for)];
        for (flag, value) in with_value {
            args.extend(value.iter().flat_map(|value| [flag.to_owned(), value.clone()]));
        }
        args
    }

    /// The reverse of [`CreateHook::args`].
    ///
    /// # Errors
    /// What cannot be understood: the hook refuses to run with it, and so every container.
    pub(super) fn from_args(path: &str, args: &[String], timeout: Option<i64>) -> Result<Self, String> {
        if !path.starts_with('/') {
            return Err("a relative path".to_owned());
        }
        let mut hook = Self { found_timeout: timeout, ..Self::new(path) };
        let mut rest = args.iter().skip(1);
        while let Some(arg) = rest.next() {
            if arg == "--observe" {
                hook.observe = true;
                continue;
            }
            let (flag, inline) = match arg.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (arg.as_str(), None),
            };
            if !matches!(flag, "--wait" | "--socket" | "--made-for") {
                return Err(format!("an unknown argument `{arg}`"));
            }
            let value = inline.or_else(|| rest.next().cloned());
            let value = value.ok_or_else(|| format!("no value for `{flag}`"))?;
            match flag {
                "--wait" => hook.wait = wait(&value)?,
                "--socket" => hook.socket = Some(value),
                _ => hook.made_for = Some(value),
            }
        }
        Ok(hook)
    }
}

fn wait(value: &str) -> Result<u16, String> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = value.parse().ok().filter(|seconds| digits && *seconds <= CreateHook::MAX_WAIT);
    seconds.ok_or_else(|| format!("`--wait {value}`, which is not 0 to {} seconds", CreateHook::MAX_WAIT))
}
