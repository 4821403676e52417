//! `floor`: the digests that a node needs before it can reach anything.

mod document;
mod needs;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::attestations::runtime;
use super::error::{CliError, Outcome};
use super::output::{self, Answer, table};
use super::{Context, daemon, files};
use crate::document::Format;
use crate::gate::admin::{AdminAsk, AskedPod};
use crate::image::Digest;
use crate::policy::SystemPolicy;
use document::Floor;
use needs::{Need, Needs};

/// Where kubelet looks for static pods.
const MANIFESTS: &str = "/etc/kubernetes/manifests";

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List what this node needs before it can reach anything, and make the system policy of it
    ///
    /// From the node: the images of its static pods, the pause image, and those of running containers that are a CNI or
    /// CSI plugin, kube-proxy, DNS or a metadata store by the name of their image; of other running containers only
    /// those of the namespaces named with --namespace. Digests are those of the images on this node. Without --write
    /// nothing is changed: read the list, then write it. What the system policy holds already stays in it.
    Generate(Generate),
    /// Tell which images of a list, or of this node, are not in the system policy
    ///
    /// Run it before the reboot into a new Kubernetes version, with what it will run: `kubeadm config images list >
    /// images`, pull them, `floor check --from-images images`. Fails where one is missing, or where the policy does not
    /// ask the system policy at all.
    Check(Check),
}

/// Where the images come from.
#[derive(Debug, Args)]
struct From {
    /// What this node runs and would run at its next boot (the default)
    #[arg(long)]
    from_node: bool,
    /// Images, one a line, `#` begins a comment; again for more
    #[arg(long, value_name = "FILE")]
    from_images: Vec<PathBuf>,
    /// One more image, such as the metadata store's; again for more
    #[arg(long, value_name = "IMAGE")]
    image: Vec<String>,
    /// The folder of static pods
    #[arg(long, value_name = "DIR", default_value = MANIFESTS)]
    manifests: PathBuf,
    /// Take all running containers of this Kubernetes namespace, such as calico-system; again for more
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Vec<String>,
    /// The system policy [default: the configured one]
    #[arg(long, value_name = "FILE")]
    system_policy: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Generate {
    #[command(flatten)]
    from: From,
    /// Write the system policy; the one from before is kept beside it with `.old` behind its name
    #[arg(long)]
    write: bool,
}

#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    from: From,
}

/// What `generate` says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Generated<'a> {
    system_policy: PathBuf,
    written: bool,
    needs: &'a [Need],
    /// Running containers that were not taken.
    left_out: &'a [String],
    problems: &'a [String],
    /// The document, where it was not written.
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<String>,
}

/// What `check` says of one image.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checked<'a> {
    #[serde(flatten)]
    need: &'a Need,
    in_floor: bool,
    /// What the daemon says of it now, where it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checks<'a> {
    system_policy: PathBuf,
    /// Whether the policy asks it (`globalPolicyEvaluationMode: ENABLE`); absent where no policy can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<bool>,
    missing: usize,
    images: Vec<Checked<'a>>,
    problems: &'a [String],
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        match self {
            Self::Generate(verb) => verb.run(context),
            Self::Check(verb) => verb.run(context),
        }
    }
}

/// The digests that this node needs before it can reach anything, and what could not be looked at.
pub(super) fn of_node(context: &Context) -> Result<(BTreeSet<Digest>, Vec<String>), CliError> {
    let settings = &context.defaults.settings.containerd;
    let needs = runtime()?.block_on(needs::gather(settings, &[], Some(Path::new(MANIFESTS)), &[]));
    Ok((needs.found.into_iter().filter_map(|need| need.digest).collect(), needs.problems))
}

impl From {
    fn path(&self, context: &Context) -> PathBuf {
        self.system_policy.clone().unwrap_or_else(|| context.defaults.settings.system_policy.clone())
    }

    fn needs(&self, context: &Context) -> Result<Needs, CliError> {
        let mut listed = Vec::new();
        for path in &self.from_images {
            let bytes = files::document(path, "list of images")?;
            let text = String::from_utf8_lossy(&bytes);
            let lines = text.lines().map(|line| line.split_once('#').map_or(line, |(image, _)| image).trim());
            listed.extend(lines.filter(|line| !line.is_empty()).map(str::to_owned));
        }
        listed.extend(self.image.iter().cloned());
        let from_node = self.from_node || listed.is_empty();
        let manifests = from_node.then_some(self.manifests.as_path());
        let settings = &context.defaults.settings.containerd;
        Ok(runtime()?.block_on(needs::gather(settings, &listed, manifests, &self.namespace)))
    }
}

impl Generate {
    fn run(self, context: &Context) -> Result<Answer, CliError> {
        let path = self.from.path(context);
        let needs = self.from.needs(context)?;
        let mut floor = Floor::read(&path)?;
        floor.add(&needs.found);
        let written = self.write && floor.write(&path)?;
        if is_asked(context) == Some(false) {
            output::warn(NOT_ASKED);
        }
        // What could not be resolved is not in the floor: whoever writes it must see that.
        let whole = needs.problems.is_empty() && needs.found.iter().all(|need| need.digest.is_some());
        let outcome = if whole { Outcome::Fine } else { Outcome::Failed };
        let document = if self.write { None } else { Some(floor.text()?) };
        let value = Generated {
            system_policy: path,
            written,
            needs: &needs.found,
            left_out: &needs.left_out,
            problems: &needs.problems,
            document,
        };
        context.answer(outcome, &value, || generated_table(&value))
    }
}

impl Check {
    fn run(self, context: &Context) -> Result<Answer, CliError> {
        let path = self.from.path(context);
        let needs = self.from.needs(context)?;
        let bytes = files::document(&path, "system policy")?;
        let policy = SystemPolicy::parse(&bytes, Format::of(&path))
            .map_err(|cause| refused(&path, crate::chain(&cause)))?;
        let socket = context.defaults.admin_socket();
        let mut answers = true;
        let mut verdict = |digest: Digest, image: &str| {
            let repository = crate::image::Reference::parse(image).ok()?.repository().to_owned();
            let question = AdminAsk::Evaluate {
                image: format!("{repository}@{digest}"),
                pod: AskedPod::default(),
                explain: false,
            };
            if !answers {
                return None;
            }
            let Ok(verdict) = daemon::evaluate(&socket, &question) else {
                answers = false;
                return None;
            };
            let of =
                |field| verdict.get(field).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
            Some(format!("{} {}", of("verdict"), of("reason")))
        };
        let images: Vec<_> = needs
            .found
            .iter()
            .map(|need| Checked {
                need,
                in_floor: need.digest.is_some_and(|digest| policy.allows_digest(digest).is_some()),
                verdict: need.digest.and_then(|digest| verdict(digest, &need.image)),
            })
            .collect();
        let missing = images.iter().filter(|image| !image.in_floor).count();
        let asked = is_asked(context);
        if asked == Some(false) {
            output::warn(NOT_ASKED);
        }
        let fine = missing == 0 && needs.problems.is_empty() && asked != Some(false);
        let value = Checks { system_policy: path, asked, missing, images, problems: &needs.problems };
        let outcome = if fine { Outcome::Fine } else { Outcome::Failed };
        context.answer(outcome, &value, || checks_table(&value))
    }
}

const NOT_ASKED: &str =
    "the policy does not ask the system policy: add `globalPolicyEvaluationMode: ENABLE` to it";

/// Whether the configured policy asks the system policy; none where it cannot be read.
fn is_asked(context: &Context) -> Option<bool> {
    let policy = files::policy(&context.defaults.policy, context.defaults.options()).ok()?;
    Some(policy.uses_system_policy())
}

fn refused(path: &std::path::Path, cause: String) -> CliError {
    CliError::Document { what: "system policy", path: path.to_owned(), cause }
}

fn generated_table(value: &Generated<'_>) -> String {
    let rows = value.needs.iter().map(Need::row).collect();
    let mut text = table(&["WHAT", "IMAGE", "DIGEST"], rows);
    text += &told("not taken, because nothing says that the node needs it to come up", value.left_out);
    text += &told("problem", value.problems);
    let path = value.system_policy.display();
    match &value.document {
        Some(document) => text += &format!("\nWith --write `{path}` becomes:\n\n{document}"),
        None if value.written => text += &format!("\nwritten to `{path}`\n"),
        None => text += &format!("\n`{path}` holds all of it already\n"),
    }
    text
}

fn checks_table(value: &Checks<'_>) -> String {
    let row = |checked: &Checked<'_>| {
        let mut row = checked.need.row();
        let state = if checked.in_floor { "in the floor" } else { "MISSING" };
        row.extend([state.to_owned(), checked.verdict.clone().unwrap_or_default()]);
        row
    };
    let rows = value.images.iter().map(row).collect();
    let mut text = table(&["WHAT", "IMAGE", "DIGEST", "STATE", "NOW"], rows);
    text += &told("problem", value.problems);
    let path = value.system_policy.display();
    if value.missing == 0 {
        text += &format!("\n`{path}` holds all of {} images\n", value.images.len());
    } else {
        text += &format!(
            "\n{} of {} images are not in `{path}`: `binauthctl floor generate` with the same flags adds them\n",
            value.missing,
            value.images.len()
        );
    }
    text
}

fn told(what: &str, lines: &[String]) -> String {
    lines.iter().map(|line| format!("{what}: {line}\n")).collect()
}
