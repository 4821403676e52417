//! Restarts containerd, and sees whether it came back as it should.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::cli::Context;
use crate::cli::attestations::runtime;
use crate::cli::error::CliError;
use crate::cli::output::warn;
use crate::containerd::wiring::Record;
use crate::containerd::{Handlers, output};

/// How long `systemctl restart` may take: containerd tells systemd that it is ready.
const RESTART: Duration = Duration::from_secs(90);
/// How long CRI may take to answer afterwards.
const ANSWER: Duration = Duration::from_secs(30);

/// Restarts it, and waits for its CRI. Where `record` is given, CRI must show its base runtime specs.
pub(super) fn restart(context: &Context, unit: &str, record: Option<&Record>) -> Result<(), CliError> {
    let failed = |why: String| CliError::Restart { unit: unit.to_owned(), why };
    let mut command = Command::new("systemctl");
    command.args(["restart", "--", unit]);
    output(&mut command, 64 * 1024, RESTART).map_err(|error| failed(error.to_string()))?;
    let address = &context.defaults.settings.containerd.address;
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

/// The same after everything was put back: what goes wrong now is told, and no more can be done.
pub(super) fn back(context: &Context, unit: &str) {
    if let Err(error) = restart(context, unit, None) {
        warn(&format!("containerd does not come back: {}", crate::chain(&error)));
    }
}
