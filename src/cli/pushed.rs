//! `policy push` and `policy fetch`: signed bundles at a binauth-store, which nodes fetch them from. To the store they are
//! opaque; what they are worth is checked here, and again by each node.

use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;
use serde::Serialize;

use super::Context;
use super::attestations::runtime;
use super::documents::{self, RemoteError};
use super::error::{CliError, Outcome};
use super::files::{self, Place};
use super::output::{self, Answer};
use super::policy_bundle::Keys;
use super::remote::Store;
use super::write;
use crate::http::Seen;
use crate::policy::bundle::{Contents, Payload, SEAL};
use crate::policy::sealed::Sealed;
use crate::policy::{BundleError, SealKey};

#[derive(Debug, Args)]
pub(super) struct Push {
    /// The bundle
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    keys: Keys,
    /// Put it there whatever version is there now, such as after a mistake
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    store: Store,
}

#[derive(Debug, Args)]
pub(super) struct Fetch {
    /// Whose bundle
    #[arg(long)]
    project: String,
    /// Where it is written to
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    store: Store,
}

#[derive(Serialize)]
struct Pushed<'a> {
    project: &'a str,
    version: u64,
    store: String,
    /// False where it was there before.
    pushed: bool,
}

#[derive(Serialize)]
struct Fetched<'a> {
    project: &'a str,
    version: u64,
    #[serde(flatten)]
    place: Place,
}

impl Push {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        let bytes = files::document(&self.file, "policy bundle")?;
        let refused = |cause: String| CliError::NotPushed { path: self.file.clone(), cause };
        let keys = known(&self.keys, context)?;
        let sealed = sealed(&bytes, &keys).map_err(|cause| refused(cause.to_string()))?;
        let contents = Contents::parse(sealed.payload(), self.keys.options(context))
            .and_then(|contents| contents.within_time(SystemTime::now()).map(|()| contents))
            .map_err(|cause| refused(cause.to_string()))?;
        let (project, version) = (documents::project(contents.project())?, contents.version());
        let store = self.store.needed()?;
        let pushed = runtime()?.block_on(async {
            let there = match store.bundle(project).await {
                Ok(there) => Some(there),
                Err(RemoteError::Missing { .. }) => None,
                Err(error) => return Err(error.into()),
            };
            let seen = match &there {
                None => Seen::Nothing,
                Some((_, Some(etag))) => Seen::This(etag),
                Some((_, None)) => Seen::Unsaid,
            };
            if !self.replace
                && let Some((there, _)) = &there
            {
                if is_same(there, &bytes) {
                    return Ok(false);
                }
                // The same with other signatures is no other bundle.
                if let Some(there) = payload(there, &keys).filter(|there| there != sealed.payload()) {
                    follows(&there, version).map_err(refused)?;
                }
            }
            store.put_bundle(project, bytes.clone(), seen).await?;
            Ok::<_, CliError>(true)
        })?;
        let value = Pushed { project, version, store: store.location(), pushed };
        context.answer(Outcome::Fine, &value, || {
            let is_new = if pushed { "is" } else { "is already" };
            format!("version {version} of project {project} {is_new} at {}\n", value.store)
        })
    }
}

impl Fetch {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        let store = self.store.needed()?;
        let bytes = runtime()?.block_on(store.bundle(documents::project(&self.project)?))?.0;
        let keys = known(&self.keys, context)?;
        let at = store.location();
        let refused = |cause: BundleError| CliError::NotFetched {
            project: self.project.clone(),
            at: at.clone(),
            cause,
        };
        let sealed = sealed(&bytes, &keys).map_err(refused)?;
        let Payload { project, version, .. } = Payload::parse(sealed.payload()).map_err(refused)?;
        if project != self.project {
            let other = crate::text::shown(&project, 120);
            let cause =
                format!("asked for the bundle of project `{}`, it gives that of `{other}`", self.project);
            return Err(RemoteError::Malformed { at, cause }.into());
        }
        write::replace(&self.to, &bytes)?;
        let value = Fetched { project: &self.project, version, place: Place::File(self.to.clone()) };
        context.answer(Outcome::Fine, &value, || {
            let Fetched { project, version, place } = &value;
            format!("version {version} of project {project} is in {place}\n")
        })
    }
}

/// The keys by which bundles are checked here; where there are none, that is said.
fn known(keys: &Keys, context: &Context) -> Result<Vec<SealKey>, CliError> {
    let keys = keys.read(context)?;
    if keys.is_empty() {
        output::warn(
            "no bundle key is known here, so its signature is not checked: name one with --bundle-keys",
        );
    }
    Ok(keys)
}

/// Whether two envelopes are the same, signatures and all, however they are written.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let read = |bytes| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    one == other || read(one).is_some_and(|one| read(other) == Some(one))
}

/// The envelope, if one of these keys has signed it; where none is known, as it stands.
fn sealed(bytes: &[u8], keys: &[SealKey]) -> Result<Sealed, BundleError> {
    let sealed = Sealed::parse(bytes, &[&SEAL])?;
    if !keys.is_empty() {
        sealed.signer(keys)?;
    }
    Ok(sealed)
}

/// What is there, unless nobody would obey it anyway.
fn payload(envelope: &[u8], keys: &[SealKey]) -> Option<Vec<u8>> {
    Some(sealed(envelope, keys).ok()?.payload().to_vec())
}

/// Whether a bundle of this version may follow the one with that payload.
fn follows(there: &[u8], version: u64) -> Result<(), String> {
    match Payload::parse(there).map(|payload| payload.version) {
        Ok(there) if there > version => Err(format!(
            "version {there} is there already, and nodes that have it refuse a lower one: sign it with a higher version"
        )),
        Ok(there) if there == version => Err(format!(
            "another bundle of version {there} is there already, and nodes that have that refuse this one: sign it with a \
             higher version"
        )),
        _ => Ok(()),
    }
}
