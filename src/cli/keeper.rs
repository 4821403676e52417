//! Who keeps attestors: a folder of documents, or a store; and whose keys count where a store is asked for attestations.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;

use super::attestations::runtime;
use super::documents::{self, Documents, RemoteError};
use super::error::{CliError, Problem};
use super::files::{self, Attestors, Defined, Place};
use super::remote::Store;
use super::{Context, output, write};
use crate::attestation::attestor::AttestorDocument;
use crate::attestation::{Attestor, AttestorName};
use crate::document::{self, Format};

/// Where attestor documents lie.
#[derive(Debug, Args)]
pub(super) struct Folder {
    /// Folder of attestor documents [default: the configured one]
    #[arg(long, value_name = "DIR")]
    attestors: Option<PathBuf>,
}

/// Where attestors are kept: in a folder, or in a store.
#[derive(Debug, Args)]
pub(super) struct Keeper {
    #[command(flatten)]
    pub(super) folder: Folder,
    #[command(flatten)]
    pub(super) store: Store,
}

/// Whose keys count, where a store is asked for attestations.
#[derive(Debug, Args)]
pub(super) struct Trusted {
    #[command(flatten)]
    folder: Folder,
    /// Ask the store for attestors too, in place of a folder: whoever keeps it says then whose keys count
    #[arg(long, requires = "store", conflicts_with = "attestors")]
    store_attestors: bool,
}

impl Folder {
    pub(super) fn path<'a>(&'a self, context: &'a Context) -> &'a Path {
        self.attestors.as_deref().unwrap_or(&context.defaults.attestors)
    }

    /// Whether a flag names it.
    pub(super) fn is_given(&self) -> bool {
        self.attestors.is_some()
    }

    /// Reads it, with a warning for every file that counts for nothing.
    pub(super) fn read(&self, context: &Context) -> Result<Attestors, CliError> {
        let attestors = files::attestors(self.path(context))?;
        files::warn_of(&attestors.problems);
        Ok(attestors)
    }
}

impl Keeper {
    /// The store, where it is one.
    pub(super) fn documents(&self) -> Result<Option<Documents>, CliError> {
        if self.store.is_given() && self.folder.is_given() {
            let what = "--attestors names a folder and --store a server: leave out the one that is not meant";
            return Err(CliError::MalformedCommand(what.to_owned()));
        }
        self.store.documents()
    }

    /// All of them; of a store those of `project`, of a folder those of any without it.
    pub(super) fn all(&self, project: Option<&str>, context: &Context) -> Result<Attestors, CliError> {
        let Some(store) = self.documents()? else {
            let mut attestors = self.folder.read(context)?;
            attestors
                .all
                .retain(|one| project.is_none_or(|project| one.attestor.name().project() == project));
            return Ok(attestors);
        };
        of_project(&store, project, "project")
    }

    /// One of them.
    pub(super) fn find(
        &self,
        name: &str,
        project: Option<&str>,
        context: &Context,
    ) -> Result<Defined, CliError> {
        match self.documents()? {
            None => self.folder.read(context)?.find(name, project).cloned(),
            Some(store) => {
                let name: AttestorName = in_full(name, project, "attestors")?.parse()?;
                runtime()?.block_on(held(&store, &name))
            }
        }
    }

    /// Puts what `change` makes of an attestor in its place, if anything; nobody else changes it in between, or this is
    /// refused.
    pub(super) fn change<T>(
        &self,
        name: &str,
        project: Option<&str>,
        context: &Context,
        change: impl FnOnce(&Defined) -> Result<(Option<AttestorDocument>, T), CliError>,
    ) -> Result<T, CliError> {
        let Some(store) = self.documents()? else {
            let folder = self.folder.path(context);
            let _lock = write::lock(folder)?;
            let attestors = self.folder.read(context)?;
            let defined = attestors.find(name, project)?;
            let (document, told) = change(defined)?;
            if let (Some(document), Place::File(path)) = (document, &defined.place) {
                write::replace(path, &render(&document, path)?)?;
            }
            return Ok(told);
        };
        let name: AttestorName = in_full(name, project, "attestors")?.parse()?;
        runtime()?.block_on(async {
            let (document, told) = change(&held(&store, &name).await?)?;
            if let Some(document) = document {
                is_valid(&document)?;
                store.put_attestor(&name, &document).await?;
            }
            Ok(told)
        })
    }
}

impl Trusted {
    /// Whether a flag says which.
    pub(super) fn is_given(&self) -> bool {
        self.folder.is_given() || self.store_attestors
    }

    /// The folder's, or those that `store` has of these names, or without any of `project`; a name may be an id of that.
    pub(super) fn read(
        &self,
        names: &[String],
        project: Option<&str>,
        store: &Store,
        context: &Context,
    ) -> Result<Attestors, CliError> {
        let Some(store) = store.documents()?.filter(|_| self.store_attestors) else {
            return self.folder.read(context);
        };
        if names.is_empty() {
            return of_project(&store, project, "attestor-project");
        }
        let mut found = of_store(&store, Vec::new());
        for name in names {
            let name: AttestorName = in_full(name, project, "attestors")?.parse()?;
            if !found.all.iter().any(|other| *other.attestor.name() == name) {
                found.all.push(runtime()?.block_on(held(&store, &name))?);
            }
        }
        Ok(found)
    }

    /// The folder's, or those of these names that `store` has; with `asks_store` these also where no flag says so.
    pub(super) fn read_some<'a>(
        &self,
        names: impl Iterator<Item = &'a AttestorName>,
        asks_store: bool,
        store: &Store,
        context: &Context,
    ) -> Result<Attestors, CliError> {
        let is_asked = self.store_attestors || (asks_store && !self.folder.is_given());
        let Some(store) = store.documents()?.filter(|_| is_asked) else {
            return self.folder.read(context);
        };
        some_of(&store, names)
    }
}

/// All those of a project.
fn of_project(store: &Documents, project: Option<&str>, flag: &str) -> Result<Attestors, CliError> {
    let missing = || CliError::MalformedCommand(format!("--{flag} is missing: whose attestors are meant?"));
    let project = documents::project(project.ok_or_else(missing)?)?;
    let attestors = of_store(store, runtime()?.block_on(store.attestors(project))?);
    files::warn_of(&attestors.problems);
    Ok(attestors)
}

/// Those of these names that a store has.
pub(super) fn some_of<'a>(
    store: &Documents,
    names: impl Iterator<Item = &'a AttestorName>,
) -> Result<Attestors, CliError> {
    let mut found = Vec::new();
    let names: BTreeSet<_> = names.collect();
    runtime()?.block_on(async {
        for name in names {
            match store.attestor(name).await {
                Ok(document) => found.push(document),
                Err(RemoteError::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    })?;
    let attestors = of_store(store, found);
    files::warn_of(&attestors.problems);
    Ok(attestors)
}

async fn held(store: &Documents, name: &AttestorName) -> Result<Defined, CliError> {
    let document = store.attestor(name).await?;
    let place = Place::Store(store.location());
    let attestor = Attestor::try_from(document.clone())
        .map_err(|cause| documents::malformed(&store.location(), &cause))?;
    Ok(Defined { place, document, attestor })
}

/// What a store has given; what cannot be obeyed hides nothing else.
fn of_store(store: &Documents, documents: Vec<AttestorDocument>) -> Attestors {
    let place = Place::Store(store.location());
    let mut found = Attestors { place: place.clone(), all: Vec::new(), problems: Vec::new() };
    for document in documents {
        match Attestor::try_from(document.clone()) {
            Ok(attestor) => found.all.push(Defined { place: place.clone(), document, attestor }),
            Err(cause) => {
                let place = Place::Store(format!("{}: {place}", document.name));
                found.problems.push(Problem { place, cause: cause.into() });
            }
        }
    }
    found
}

/// The name in full.
pub(super) fn in_full(
    text: &str,
    project: Option<&str>,
    collection: &'static str,
) -> Result<String, CliError> {
    match project {
        _ if text.contains('/') => Ok(text.to_owned()),
        Some(project) => Ok(format!("projects/{project}/{collection}/{text}")),
        None => Err(CliError::NoProject(text.to_owned(), collection)),
    }
}

/// Refuses what no reader would take.
fn is_valid(document: &AttestorDocument) -> Result<(), CliError> {
    let refused = |cause| CliError::Attestor { name: document.name.clone(), cause };
    Attestor::try_from(document.clone()).map(drop).map_err(refused)
}

/// The document in the format of its file, once what a reader makes of it has been seen to be valid and
/// the same.
pub(super) fn render(document: &AttestorDocument, path: &Path) -> Result<Vec<u8>, CliError> {
    let format = Format::of(path);
    let text = match format {
        Format::Json => serde_json::to_string_pretty(document).map_err(std::io::Error::other)? + "\n",
        Format::Yaml => output::yaml(document)?,
    };
    let refused = |cause| CliError::Attestor { name: document.name.clone(), cause };
    Attestor::parse(text.as_bytes(), format).map_err(refused)?;
    let read: AttestorDocument =
        document::parse(text.as_bytes(), format).map_err(|cause| refused(cause.into()))?;
    let as_value = |document| serde_json::to_value(document).map_err(std::io::Error::other);
    if as_value(&read)? != as_value(document)? {
        return Err(std::io::Error::other("the document would not read back as it was meant").into());
    }
    Ok(text.into_bytes())
}
