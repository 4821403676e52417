//! What is to be known before containerd is told to enforce, and which image a pause container is made from.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::audit::blocked::{self, WouldBlock, would_block};
use crate::cli::attestations::runtime;
use crate::cli::error::CliError;
use crate::cli::output::table;
use crate::cli::{Context, daemon, files, floor};
use crate::containerd::wiring::Pause;
use crate::containerd::{Containerd, Installed};
use crate::document::Format;
use crate::image::{Digest, Reference};
use crate::policy::SystemPolicy;

/// How far back is looked.
const SPAN: Duration = Duration::from_secs(24 * 60 * 60);
/// Rows that are shown of it.
const ROWS: usize = 20;

/// An image that would have been blocked.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Blocked {
    #[serde(flatten)]
    of: blocked::Blocked,
    /// Whether the node needs it before it can reach anything.
    floor: bool,
}

/// What speaks for and against it.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) blocked: Vec<Blocked>,
    pub(super) notes: Vec<String>,
    /// Why the daemon gives no answer.
    silent: Option<String>,
}

/// Looks at the last 24 hours, and at the daemon.
pub(super) fn to_enforce(context: &Context) -> Result<Ready, CliError> {
    let settings = &context.defaults.settings;
    let silent = daemon::status(&settings.admin_socket()).err().map(|error| crate::chain(&error));
    let mut notes = Vec::new();
    let now = SystemTime::now();
    let file = &settings.audit_file;
    let found = would_block(file, now.checked_sub(SPAN).unwrap_or(now), now).unwrap_or_else(|error| {
        notes.push(format!(
            "what the last 24 hours would have blocked is not known: `{}`: {error}",
            file.display()
        ));
        WouldBlock::default()
    });
    if found.beyond > 0 {
        notes.push(format!("{} decisions about still more images would have been refusals", found.beyond));
    }
    let floor = if found.images.is_empty() { Floor::default() } else { Floor::of(context, &mut notes) };
    let blocked = found
        .images
        .into_iter()
        .map(|one| Blocked { floor: one.digest.is_some_and(|digest| floor.has(digest)), of: one });
    Ok(Ready { blocked: blocked.collect(), notes, silent })
}

impl Ready {
    /// Why it had better not be done yet.
    pub(super) fn against(&self) -> Option<String> {
        if let Some(silent) = &self.silent {
            return Some(format!(
                "the daemon does not answer, and once gates enforce everything is refused without it: {silent}. \
                 Start it (systemctl start binauthd), or say --force"
            ));
        }
        let floor: BTreeSet<_> =
            self.blocked.iter().filter(|one| one.floor).map(|one| one.of.image.as_str()).collect();
        (!floor.is_empty()).then(|| {
            format!(
                "the node needs {} before it can reach anything, and would have been refused it: `binauthctl floor generate \
                 --write` puts it into the system policy; or say --force",
                floor.into_iter().map(|image| format!("`{image}`")).collect::<Vec<_>>().join(", ")
            )
        })
    }
}

/// What would have been blocked, for people.
pub(super) fn text(blocked: &[Blocked]) -> String {
    if blocked.is_empty() {
        return "the last 24 hours would have blocked nothing\n".to_owned();
    }
    let mut text = "the last 24 hours would have blocked:\n".to_owned();
    let rows = blocked.iter().take(ROWS).map(|Blocked { of, floor }| {
        vec![
            of.image.clone(),
            of.digest.map(|digest| digest.to_string()).unwrap_or_default(),
            of.reason.clone(),
            of.namespaces.iter().cloned().collect::<Vec<_>>().join(","),
            of.count.to_string(),
            humantime::format_rfc3339_seconds(of.last).to_string(),
            if *floor { "floor".to_owned() } else { String::new() },
        ]
    });
    text.push_str(&table(&["IMAGE", "DIGEST", "REASON", "NAMESPACES", "COUNT", "LAST", ""], rows.collect()));
    if let Some(more @ 1..) = blocked.len().checked_sub(ROWS) {
        text.push_str(&format!("and {more} more: binauthctl audit query --would DENY\n"));
    }
    text
}

/// The digests of the system policy, and those that the node needs.
#[derive(Default)]
struct Floor {
    policy: SystemPolicy,
    needs: BTreeSet<Digest>,
}

impl Floor {
    fn of(context: &Context, notes: &mut Vec<String>) -> Self {
        let settings = &context.defaults.settings;
        let path = &settings.system_policy;
        let policy = files::document(path, "system policy").ok();
        let policy = policy.and_then(|bytes| SystemPolicy::parse(&bytes, Format::of(path)).ok());
        let (needs, problems) = floor::of_node(context).unwrap_or_default();
        notes.extend(problems);
        Self { policy: policy.unwrap_or_default(), needs }
    }

    fn has(&self, digest: Digest) -> bool {
        self.needs.contains(&digest) || self.policy.allows_digest(digest).is_some()
    }
}

/// What becomes of the pause image that is configured. A name is pinned to what it points at on this node, where containerd
/// has a record of that digest too: without one it would be fetched.
pub(super) fn pause(
    context: &Context,
    installed: &Installed,
    configured: &str,
    wanted: Option<&str>,
) -> Result<Pause, CliError> {
    let has_digest = |text: &str| Reference::parse(text).is_ok_and(|image| image.digest().is_some());
    if let Some(wanted) = wanted {
        if !has_digest(wanted) {
            return Err(CliError::NoDigest(wanted.to_owned()));
        }
        return Ok(if wanted == configured { Pause::Pinned } else { Pause::To(wanted.to_owned()) });
    }
    if has_digest(configured) {
        return Ok(Pause::Pinned);
    }
    let way_out = "pull it by digest and say `enable` again, or name it with --pause IMAGE@DIGEST";
    let unknown = |why: String| Ok(Pause::Unknown(format!("{why}; {way_out}")));
    if installed.running.is_none() {
        return unknown("containerd does not run, and tells nothing of its images".to_owned());
    }
    let Ok(name) = Reference::parse(configured) else {
        return unknown("its name cannot be understood".to_owned());
    };
    let settings = &context.defaults.settings.containerd;
    let found = runtime()?.block_on(async {
        let containerd = Containerd::new(&settings.address);
        let Some(pointer) = containerd.pointer(&settings.namespace, &name).await? else { return Ok(None) };
        let pinned = format!("{}@{}", name.repository(), pointer.target);
        let record = containerd.image(&settings.namespace, &pinned).await?;
        Ok::<_, crate::containerd::ReadError>(Some((pinned, record.is_some())))
    });
    match found {
        Ok(Some((pinned, true))) => Ok(Pause::To(pinned)),
        Ok(Some((pinned, false))) => {
            unknown(format!("this node has it by its tag alone, and `{pinned}` would be fetched"))
        }
        Ok(None) => unknown("it is not on this node".to_owned()),
        Err(error) => unknown(format!("containerd does not tell which it is: {}", crate::chain(&error))),
    }
}
