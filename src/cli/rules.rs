//! The documents that decide, as files: what `evaluate` judges by where no daemon is asked.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::Context;
use super::error::CliError;
use super::{break_glass, files};
use crate::document::Format;
use crate::policy::break_glass::Word;
use crate::policy::{BreakGlass, DenyList, Grant, Options, PlatformPolicy, Policy, Rulebook, SystemPolicy};

/// Where the documents that decide lie.
#[derive(Debug, Args)]
pub(super) struct Rules {
    /// Policy to judge by [default: the configured one, and none beside --platform-policy]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Platform policy (check sets) to judge by as well [default: the configured one]
    #[arg(long, value_name = "FILE")]
    platform_policy: Option<PathBuf>,
    /// Deny list to judge by [default: the configured one, where there is one]
    #[arg(long, value_name = "FILE")]
    deny_list: Option<PathBuf>,
    /// System policy to judge by [default: the configured one, where there is one]
    #[arg(long, value_name = "FILE")]
    system_policy: Option<PathBuf>,
    /// Break-glass grant to judge by as well, again for more [default: none]
    #[arg(long, value_name = "FILE")]
    break_glass: Vec<PathBuf>,
    /// PEM file of a key that grants may be signed with, again for more [default: the configured ones]
    #[arg(long, value_name = "FILE", requires = "break_glass")]
    break_glass_key: Vec<PathBuf>,
    /// Take a policy that has rules of several kinds (service account, mesh identity, namespace, cluster)
    #[arg(long)]
    allow_multiple_rule_maps: bool,
}

impl Rules {
    /// Whether any file was named, or how to read one.
    pub(super) fn is_given(&self) -> bool {
        let files = [&self.policy, &self.platform_policy, &self.deny_list, &self.system_policy];
        files.into_iter().any(Option::is_some)
            || self.allow_multiple_rule_maps
            || !self.break_glass.is_empty()
    }

    /// What a policy may contain.
    pub(super) fn options(&self, context: &Context) -> Options {
        super::policy::options(self.allow_multiple_rule_maps, context)
    }

    /// Reads everything, but for a `policy` that comes from elsewhere.
    pub(super) fn read(&self, policy: Option<Policy>, context: &Context) -> Result<Rulebook, CliError> {
        let settings = &context.defaults.settings;
        let options = self.options(context);
        let is_named = self.policy.is_some() || policy.is_some();
        let policy = match (policy, &self.policy, &self.platform_policy) {
            (Some(policy), ..) => Some(policy),
            (None, Some(path), _) => Some(files::policy(path, options)?),
            // Check sets may be tried by themselves.
            (None, None, Some(_)) => None,
            (None, None, None) => Some(files::policy(&context.defaults.policy, options)?),
        };
        // A policy that was named is judged by alone, whatever this machine is configured with.
        let configured_platform = settings.platform_policy.as_ref().filter(|_| !is_named);
        let platform_policy = match self.platform_policy.as_ref().or(configured_platform) {
            Some(path) => Some(platform_policy(path)?),
            None => None,
        };
        let deny_list =
            list(self.deny_list.as_deref(), &settings.deny_list, "deny list", |bytes, format| {
                DenyList::parse(bytes, format).map_err(|error| error.to_string())
            })?;
        let system = &settings.system_policy;
        let system_policy = list(self.system_policy.as_deref(), system, "system policy", |bytes, format| {
            SystemPolicy::parse(bytes, format).map_err(|error| error.to_string())
        })?;
        Ok(Rulebook {
            policy: policy.map(Arc::new),
            platform_policy: platform_policy.map(Arc::new),
            deny_list: Arc::new(deny_list),
            system_policy: Arc::new(system_policy),
            break_glass: Arc::new(BreakGlass::new(settings.break_glass.pod_label, self.grants(context)?)),
            subjects: settings.subjects,
            deny_tags: settings.deny_tags,
            freshness: settings.freshness,
        })
    }
}

impl Rules {
    fn grants(&self, context: &Context) -> Result<Vec<Arc<Grant>>, CliError> {
        if self.break_glass.is_empty() {
            return Ok(Vec::new());
        }
        let configured = &context.defaults.settings.break_glass;
        let keys = break_glass::keys(&self.break_glass_key, context)?;
        let mut grants = Vec::new();
        for path in &self.break_glass {
            match break_glass::read(path, &keys)? {
                Word::Grant(grant) => {
                    let is_short = grant.within(configured.max_duration);
                    is_short.map_err(|cause| break_glass::refused(path, &cause))?;
                    grants.push(grant);
                }
                Word::Revocation(_) => {
                    let what = format!("`{}` revokes grants, and is none", path.display());
                    return Err(CliError::MalformedCommand(what));
                }
            }
        }
        Ok(grants)
    }
}

/// Reads a platform policy.
pub(super) fn platform_policy(path: &Path) -> Result<PlatformPolicy, CliError> {
    let bytes = files::document(path, "platform policy")?;
    PlatformPolicy::parse(&bytes, Format::of(path)).map_err(|cause| CliError::Document {
        what: "platform policy",
        path: path.to_owned(),
        cause: cause.to_string(),
    })
}

/// Reads a list that need not be there where nobody named it.
fn list<T: Default>(
    named: Option<&Path>,
    configured: &Path,
    what: &'static str,
    parse: impl Fn(&[u8], Format) -> Result<T, String>,
) -> Result<T, CliError> {
    let path = named.unwrap_or(configured);
    let bytes = match files::document(path, what) {
        Ok(bytes) => bytes,
        Err(CliError::Read { cause, .. }) if named.is_none() && cause.kind() == io::ErrorKind::NotFound => {
            return Ok(T::default());
        }
        Err(error) => return Err(error),
    };
    parse(&bytes, Format::of(path)).map_err(|cause| CliError::Document { what, path: path.to_owned(), cause })
}
