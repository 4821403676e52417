//! `binauthctl`: the operator's and the build pipeline's tool.
//!
//! Verbs and flags follow the groups of `gcloud container binauthz`. Offline verbs read policy,
//! attestors and occurrences as plain files, by the caller's own rights; what decides on a node is read
//! by the daemon, under its own rules of ownership. Nothing here trusts an occurrence: `verify` in the
//! core is the only judge of one.
//!
//! Exit codes: 0 allowed or fine; 1 denied or a check failed; 2 usage, or it could not be decided;
//! 3 the daemon is unreachable.

mod artifact;
mod attestations;
mod attestors;
mod audit;
mod break_glass;
mod bundle;
mod cache;
mod completion;
mod config;
mod containerd;
mod daemon;
mod defaults;
mod doctor;
mod documents;
mod error;
mod evaluate;
mod files;
mod floor;
mod keeper;
mod output;
mod owner;
mod policy;
mod policy_bundle;
mod policy_import;
mod public_keys;
mod pushed;
mod remote;
mod rules;
mod sign;
mod status;
mod store;
mod trust;
mod verification;
mod write;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use defaults::Defaults;
pub use doctor::NAMES as DOCTOR_ITEMS;
pub use documents::RemoteError;
pub use error::{CliError, Outcome, exit_code};
pub use files::Place;
pub use output::report;
use output::{Answer, Format};

/// Binary Authorization on the Kubernetes node: policy, attestors, attestations and verdicts.
#[derive(Debug, Parser)]
#[command(name = "binauthctl", version, propagate_version = true, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 allowed or fine; 1 denied or a check failed; 2 usage, or it could not be decided; 3 the daemon is unreachable";

#[derive(Debug, Args)]
struct Global {
    /// Configuration that the default paths come from [default: /etc/binauthd/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How the answer is written
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    output: Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the payload that an attestation of an image signs
    CreateSignaturePayload(artifact::CreateSignaturePayload),
    /// Who may attest: attestors and their keys
    #[command(subcommand)]
    Attestors(attestors::Verb),
    /// What was attested: sign, file, list and verify
    #[command(subcommand)]
    Attestations(attestations::Verb),
    /// The policy document: check, import, export; signed bundles: sign, show
    #[command(subcommand)]
    Policy(policy::Verb),
    /// The daemon's configuration file
    #[command(subcommand)]
    Config(config::Verb),
    /// What containerd is told, so that it asks binauthd
    #[command(subcommand)]
    Containerd(containerd::Verb),
    /// What this node needs before it can reach anything
    #[command(subcommand)]
    Floor(floor::Verb),
    /// What this node remembers of what it has accepted
    #[command(subcommand)]
    Trust(trust::Verb),
    /// Let images run although the policy refuses them: signed, for a while, by digest and namespace
    #[command(subcommand)]
    BreakGlass(break_glass::Verb),
    /// Judge an image, by files or by the daemon
    ///
    /// Without flags the daemon on this node is asked. Files decide with --offline, or with any flag that names a
    /// document, a folder, a further digest or a time (--now); what is not named then is the configured one.
    /// --policy leaves a configured platform policy aside, and --platform-policy alone tries check sets
    /// without a policy. An image without a digest is denied where attestation is required. An attestor or
    /// occurrence file that cannot be read counts for nothing, with a warning.
    ///
    /// With --store the attestations are those of a server. With --project the policy is one of its own as well, and so
    /// are the attestors where --attestors names no folder: whoever keeps the server says then what counts.
    ///
    /// Rules that depend on a pod need --namespace, --service-account or --mesh-identity; where they are left
    /// out, every rule that may apply must come to the same, as at a pull.
    Evaluate(Box<evaluate::Evaluate>),
    /// Carry policy bundle and attestations to where no network leads
    #[command(subcommand)]
    Bundle(bundle::Verb),
    /// What the daemon on this node has on file, and where from
    #[command(subcommand)]
    Cache(cache::Verb),
    /// The audit trail: whether it is what the daemon wrote
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Tell what the daemon on this node knows and does
    Status,
    /// Tell whether this node is asked, and refuses: item by item, with the fix
    ///
    /// Looks at what containerd's files come to, at its handlers, at the copies of our programs, at sockets, folders and units,
    /// and asks the daemon. Nothing is changed, and whatever cannot be asked is told. Exits with 1 where something is broken, and
    /// with 3 where the daemon does not answer, whatever else is wrong.
    ///
    /// With --canary the real runtime is shown an image that is a part of this program and refused before every policy, mode
    /// and grant: a pull of it from a registry on the loopback, and a container of it in a sandbox on the host's network, with
    /// nothing in it that could run. Whatever that needs is removed again. binauthd-canary.timer does so every 15 minutes
    /// where `containerd enable` has wired the gates.
    Doctor(doctor::Doctor),
    /// Print what a shell needs to complete command lines
    Completion(completion::Completion),
}

/// What every verb is told.
struct Context {
    format: Format,
    defaults: Defaults,
}

impl Cli {
    /// Does what the command line asks and prints the answer.
    ///
    /// # Errors
    /// [`CliError`], where there is no answer; nothing has been printed then.
    pub fn run(self) -> Result<Outcome, CliError> {
        let config = self.global.config.as_deref();
        let context = Context {
            format: self.global.output,
            defaults: match &self.command {
                // What is to be checked need not be valid.
                Command::Config(_) | Command::Completion(_) => {
                    Defaults::of(defaults::path(config), crate::config::Config::default())
                }
                // A node whose daemon cannot start must be able to take its gates away.
                Command::Containerd(_) | Command::Doctor(_) => {
                    defaults::defaults(config).or_else(|error| {
                        let path = defaults::path(config);
                        let shown = path.display();
                        output::warn(&format!(
                            "`{shown}` counts for nothing, defaults do: {}",
                            crate::chain(&error)
                        ));
                        Ok::<_, CliError>(Defaults::of(path, crate::config::Config::default()))
                    })?
                }
                _ => defaults::defaults(config)?,
            },
        };
        let answer = self.command.run(&context)?;
        output::print(&answer.text)?;
        Ok(answer.outcome)
    }
}

impl Command {
    fn run(self, context: &Context) -> Result<Answer, CliError> {
        match self {
            Self::CreateSignaturePayload(verb) => verb.run(),
            Self::Attestors(verb) => verb.run(context),
            Self::Attestations(verb) => verb.run(context),
            Self::Policy(verb) => verb.run(context),
            Self::Config(verb) => verb.run(context),
            Self::Containerd(verb) => verb.run(context),
            Self::Floor(verb) => verb.run(context),
            Self::Trust(verb) => verb.run(context),
            Self::BreakGlass(verb) => verb.run(context),
            Self::Evaluate(verb) => verb.run(context),
            Self::Bundle(verb) => verb.run(context),
            Self::Cache(verb) => verb.run(context),
            Self::Audit(verb) => verb.run(context),
            Self::Status => status::status(context),
            Self::Doctor(verb) => verb.run(context),
            Self::Completion(verb) => verb.run(),
        }
    }
}
