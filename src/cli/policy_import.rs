//! `policy import`: a policy becomes that of this node, or of a project at a store.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};

use super::attestations::runtime;
use super::documents::{self, Documents};
use super::error::{CliError, Outcome};
use super::files::{self, Place};
use super::output::Answer;
use super::policy::options;
use super::remote::Store;
use super::{Context, write};
use crate::document::Format;
use crate::policy::{Options, Policy, PolicyError};

#[derive(Debug, Args)]
pub(super) struct Import {
    /// The policy to put in place
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where to [default: where the daemon is configured to read it]
    #[arg(long, value_name = "FILE", conflicts_with = "store")]
    to: Option<PathBuf>,
    /// The project whose policy it becomes at the store [default: that of `name` in the file]
    #[arg(long, requires = "store")]
    project: Option<String>,
    #[command(flatten)]
    store: Store,
    /// Take a policy that has rules of several kinds (service account, mesh identity, namespace, cluster)
    #[arg(long)]
    allow_multiple_rule_maps: bool,
}

impl Import {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        let bytes = files::document(&self.file, "policy")?;
        let options = options(self.allow_multiple_rule_maps, context);
        if let Some(store) = self.store.documents()? {
            return self.send(&store, &bytes, options, context);
        }
        let to = self.to.as_ref().unwrap_or(&context.defaults.policy);
        // By the name it will have: the format that the daemon will read it in.
        let format = Format::of(to);
        let policy =
            Policy::parse(&bytes, format, options).map_err(|cause| self.refused(to, format, cause))?;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        if let Some(folder) = folder {
            return Err(CliError::NoFolder { path: to.clone(), folder: folder.to_owned() });
        }
        write::replace(to, &bytes)?;
        let value = json!({"file": to, "version": policy.version()});
        context
            .answer(Outcome::Fine, &value, || format!("policy {} is in {}\n", policy.version(), to.display()))
    }

    /// Puts it at a store, in place of what its `etag` names; without one, of what is there now.
    fn send(
        &self,
        store: &Documents,
        bytes: &[u8],
        options: Options,
        context: &Context,
    ) -> Result<Answer, CliError> {
        let format = Format::of(&self.file);
        let policy =
            Policy::parse(bytes, format, options).map_err(|cause| self.refused(&self.file, format, cause))?;
        let project = self.project(&policy)?;
        let name = format!("projects/{project}/policy");
        let mut document: Map<String, Value> =
            serde_json::from_str(&policy.export(Format::Json)).map_err(io::Error::other)?;
        document.remove("updateTime");
        document.insert("name".to_owned(), name.clone().into());
        let etag = runtime()?.block_on(async {
            if policy.etag().is_none() {
                // Of two who do so at a time one is told all the same.
                let there: Map<String, Value> = serde_json::from_slice(&store.policy(project).await?)
                    .map_err(|error| documents::malformed(&store.location(), &error))?;
                document.extend(etag_of(&there).map(|etag| ("etag".to_owned(), etag.into())));
            }
            let json = serde_json::to_vec(&document).map_err(io::Error::other)?;
            let put = store.put_policy(project, json).await?;
            Ok::<_, CliError>(serde_json::from_slice(&put).ok().as_ref().and_then(etag_of))
        })?;
        let at = store.location();
        let value = json!({"name": name, "store": at, "version": policy.version(), "etag": etag});
        context.answer(Outcome::Fine, &value, || format!("policy {} is {name} at {at}\n", policy.version()))
    }

    /// Whose policy it becomes.
    fn project<'a>(&'a self, policy: &'a Policy) -> Result<&'a str, CliError> {
        let named = policy.name().and_then(|name| name.split('/').nth(1));
        let wrong = match (self.project.as_deref(), named) {
            (Some(project), Some(named)) if project != named => format!(
                "`{}` says that it is the policy of `{}`, and --project is `{project}`: mend the one that is wrong",
                self.file.display(),
                crate::text::shown(named, 120)
            ),
            (Some(project), _) | (None, Some(project)) => return documents::project(project),
            (None, None) => "--project is missing: whose policy does it become?".to_owned(),
        };
        Err(CliError::MalformedCommand(wrong))
    }

    fn refused(&self, to: &Path, format: Format, cause: PolicyError) -> CliError {
        let (path, cause) = (self.file.clone(), Box::new(cause));
        if Format::of(&path) == format {
            return CliError::Policy { place: Place::File(path), cause };
        }
        let format = if format == Format::Json { "JSON" } else { "YAML" };
        CliError::PolicyFormat { path, to: to.to_owned(), format, cause }
    }
}

fn etag_of(document: &Map<String, Value>) -> Option<String> {
    document.get("etag").and_then(Value::as_str).map(ToOwned::to_owned)
}
