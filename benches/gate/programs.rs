//! The programs that are measured, and the small ones they are measured beside.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

/// Where everything that runs lies.
#[derive(Clone)]
pub(crate) struct Programs {
    pub(crate) daemon: PathBuf,
    pub(crate) verifier: PathBuf,
    pub(crate) hook: PathBuf,
    pub(crate) cosign: PathBuf,
    pub(crate) notation: PathBuf,
    /// Does nothing, successfully: the empty program, the no-op verifier and the no-op hook.
    pub(crate) nothing: PathBuf,
    folder: PathBuf,
}

impl Programs {
    /// Compiles the small ones into `folder`.
    ///
    /// # Errors
    /// What is missing and how to make it.
    pub(crate) fn find(folder: &Path) -> Result<Self, String> {
        let built = PathBuf::from(env!("CARGO_BIN_EXE_binauthd"));
        let target = built.ancestors().nth(2).unwrap_or(&built);
        let gate = target.join(host()?).join("gate");
        let (verifier, hook) = (gate.join("binauthd-image-verifier"), gate.join("binauthd-create-hook"));
        let daemon = program("BINAUTHD_DAEMON", &built, "make gate")?;
        Ok(Self {
            daemon: as_by_its_unit(&daemon, folder).map_err(|error| error.to_string())?,
            verifier: program("BINAUTHD_VERIFIER", &verifier, "make gate")?,
            hook: program("BINAUTHD_CREATE_HOOK", &hook, "make gate")?,
            cosign: fetched("cosign")?,
            notation: fetched("notation")?,
            nothing: compile("nothing", "nothing", folder, &[])?,
            folder: folder.to_owned(),
        })
    }

    /// A program that runs `verifier` and appends its time to `file`.
    pub(crate) fn stopwatch(&self, name: &str, verifier: &Path, file: &Path) -> PathBuf {
        let env = [("STOPWATCH_VERIFIER", verifier), ("STOPWATCH_FILE", file)];
        compile("stopwatch", name, &self.folder, &env).unwrap()
    }
}

/// A program that becomes `daemon`, with the priority and the environment that its unit gives it.
fn as_by_its_unit(daemon: &Path, folder: &Path) -> io::Result<PathBuf> {
    let unit = include_str!("../../systemd/binauthd.service");
    let of = |key| unit.lines().filter_map(move |line| line.strip_prefix(key)?.strip_prefix('='));
    let environment: Vec<_> = of("Environment").collect();
    let nice = of("Nice").next().unwrap_or("0");
    let path = folder.join("daemon");
    let (environment, daemon) = (environment.join(" "), daemon.display());
    fs::write(&path, format!("#!/bin/sh\nexec env {environment} nice -n {nice} '{daemon}' \"$@\"\n"))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

fn program(variable: &str, default: &Path, remedy: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os(variable).map_or_else(|| default.to_owned(), PathBuf::from);
    path.canonicalize().map_err(|error| {
        format!("`{}`: {error}; run `{remedy}` first, or name another one in {variable}", path.display())
    })
}

fn fetched(name: &str) -> Result<PathBuf, String> {
    let folder = std::env::var_os("BINAUTHD_RIG_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/rig"), PathBuf::from);
    let path = folder.join("bin").join(name);
    path.canonicalize()
        .map_err(|error| format!("`{}`: {error}; run `tests/rig/install.sh --bench` first", path.display()))
}

/// Static, small, and without unwinding, as the verifier itself.
fn compile(source: &str, name: &str, folder: &Path, env: &[(&str, &Path)]) -> Result<PathBuf, String> {
    let path = folder.join(name);
    let text = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("benches/programs/{source}.rs"));
    let status = rustc()
        .args(["--edition=2024", "-O", "-C", "target-feature=+crt-static", "-C", "panic=abort"])
        .args(["-C", "strip=symbols", "-C", "lto", "--crate-name", source, "-o"])
        .arg(&path)
        .arg(text)
        .envs(env.iter().copied())
        .status();
    match status {
        Ok(status) if status.success() => Ok(path),
        Ok(status) => Err(format!("rustc cannot compile `{source}.rs`: {status}")),
        Err(error) => Err(format!("rustc does not start: {error}")),
    }
}

/// The triple of this machine.
fn host() -> Result<String, String> {
    let output = rustc().arg("-vV").output().map_err(|error| format!("rustc does not start: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(ToOwned::to_owned).ok_or_else(|| "`rustc -vV` names no host".to_owned())
}

fn rustc() -> Command {
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}
