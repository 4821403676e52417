//! Restarts containerd, and sees whether it came back as it should.

use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::cli::Context;
use crate::cli::attestations::runtime;
use crate::cli::error::CliError;
use crate::cli::output::warn;
use crate::containerd::wiring::{Places, Record};
use crate::containerd::{Handlers, output, run};

/// How long `systemctl restart` may take: containerd tells systemd that it is ready.
const RESTART: Duration = Duration::from_secs(90);
/// How long CRI may take to answer afterwards.
const ANSWER: Duration = Duration::from_secs(30);

/// Restarts it, and waits for its CRI. Where `record` is given, CRI must show its base runtime specs.
pub(super) fn restart(context: &Context, unit: &str, record: Option<&Record>) -> Result<(), CliError> {
    let failed = |why: String| CliError::Restart { unit: unit.to_owned(), why };
    let address = &context.defaults.settings.containerd.address;
    let before = run(address);
    let mut command = Command::new("systemctl");
    command.args(["restart", "--", unit]);
    output(&mut command, 64 * 1024, RESTART).map_err(|error| failed(error.to_string()))?;
    let runtime = runtime()?;
    let until = Instant::now() + ANSWER;
    let handlers = loop {
        match runtime.block_on(Handlers::ask(address)) {
            Ok(handlers) => break handlers,
            Err(error) if Instant::now() >= until => {
                return Err(failed(format!("{error}; it was waited for {} s", ANSWER.as_secs())));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    };
    if before.is_some() && run(address) == before {
        return Err(failed(format!(
            "the containerd behind `{}` is another one: name its unit with --unit",
            address.display()
        )));
    }
    for spec in record.into_iter().flat_map(|record| &record.specs) {
        let handler = handlers.all.iter().find(|handler| handler.name == spec.handler);
        let found = handler.and_then(|handler| handler.base_runtime_spec.as_ref());
        if found != Some(&spec.path) {
            return Err(failed(format!(
                "CRI does not show `{}` as the base runtime spec of handler `{}`",
                spec.path.display(),
                spec.handler
            )));
        }
    }
    Ok(())
}

/// Whether the containerd that runs may still use what lies in the folder of copies; it does where that cannot be known.
pub(super) fn may_use_copies(context: &Context, unit: &str, places: &Places) -> Result<bool, CliError> {
    let address = &context.defaults.settings.containerd.address;
    if let Ok(handlers) = runtime()?.block_on(Handlers::ask(address)) {
        let mut specs = handlers.all.iter().filter_map(|handler| handler.base_runtime_spec.as_ref());
        return Ok(specs.any(|spec| places.holds(spec)));
    }
    let mut command = Command::new("systemctl");
    let is_active = output(command.args(["is-active", "--quiet", "--", unit]), 1024, RESTART).is_ok();
    Ok(is_active || UnixStream::connect(address).is_ok())
}

/// A restart after everything was put back: what goes wrong now is told, and no more can be done.
pub(super) fn back(context: &Context, unit: &str) {
    if let Err(error) = restart(context, unit, None) {
        warn(&format!("containerd does not come back: {}", crate::chain(&error)));
    }
}
