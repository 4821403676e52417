//! `attestors`: the documents that say who may attest.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::attestations::runtime;
use super::documents::{self, Documents, RemoteError};
use super::error::{CliError, Outcome, Problem};
use super::files::{self, Attestors, Defined, Place};
use super::output::{self, Answer, fields, table};
use super::remote::Store;
use super::{Context, public_keys, write};
use crate::attestation::attestor::{AttestorDocument, NoteDocument};
use crate::attestation::{Attestor, AttestorName, NoteName};
use crate::document::{self, Format};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Write the document of a new attestor, without keys
    ///
    /// With --store it is made there. Nothing can be filed under its note until that is there: --create-note makes it too.
    Create(Create),
    /// List the attestors
    List(List),
    /// Show one attestor
    Describe(Name),
    /// Remove the document of an attestor; what requires it is refused from then on
    Delete(Name),
    /// The keys that verify an attestor's attestations
    #[command(subcommand)]
    PublicKeys(public_keys::Verb),
}

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
    folder: Folder,
    #[command(flatten)]
    store: Store,
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

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only those of this project; a store must be told which
    #[arg(long)]
    project: Option<String>,
    #[command(flatten)]
    keeper: Keeper,
}

#[derive(Debug, Args)]
pub(super) struct Name {
    /// The attestor: its id, or projects/PROJECT/attestors/ID
    name: String,
    /// The project of an attestor that is named by its id
    #[arg(long)]
    project: Option<String>,
    #[command(flatten)]
    keeper: Keeper,
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// The attestor: projects/PROJECT/attestors/ID, or its id together with --project
    name: String,
    /// The note its attestations hang on: an id, or projects/PROJECT/notes/ID
    #[arg(long, value_name = "NOTE")]
    attestation_authority_note: String,
    /// The project of a note that is named by its id [default: the attestor's]
    #[arg(long, value_name = "PROJECT")]
    attestation_authority_note_project: Option<String>,
    /// The project of the attestor
    #[arg(long)]
    project: Option<String>,
    /// Free text for people
    #[arg(long)]
    description: Option<String>,
    /// Make the note at the store as well, where it is not there
    #[arg(long, requires = "store")]
    create_note: bool,
    #[command(flatten)]
    keeper: Keeper,
}

/// An attestor as it is listed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    name: &'a AttestorName,
    note: &'a str,
    keys: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(flatten)]
    place: &'a Place,
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
    fn all(&self, project: Option<&str>, context: &Context) -> Result<Attestors, CliError> {
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

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        match self {
            Self::Create(verb) => verb.run(context),
            Self::List(verb) => list(&verb.keeper.all(verb.project.as_deref(), context)?, context),
            Self::Describe(verb) => {
                describe(&verb.keeper.find(&verb.name, verb.project.as_deref(), context)?, context)
            }
            Self::Delete(verb) => {
                let (name, place) = verb.delete(context)?;
                let value = Deleted { name: &name, place: &place, deleted: true };
                context.answer(Outcome::Fine, &value, || format!("{name} deleted\n"))
            }
            Self::PublicKeys(verb) => verb.run(context),
        }
    }
}

#[derive(Serialize)]
struct Deleted<'a> {
    name: &'a AttestorName,
    #[serde(flatten)]
    place: &'a Place,
    deleted: bool,
}

impl Name {
    fn delete(&self, context: &Context) -> Result<(AttestorName, Place), CliError> {
        let project = self.project.as_deref();
        if let Some(store) = self.keeper.documents()? {
            let name: AttestorName = in_full(&self.name, project, "attestors")?.parse()?;
            runtime()?.block_on(store.delete_attestor(&name))?;
            return Ok((name, Place::Store(store.location())));
        }
        let _lock = write::lock(self.keeper.folder.path(context))?;
        let attestors = self.keeper.folder.read(context)?;
        let Defined { place, attestor, .. } = attestors.find(&self.name, project)?;
        if let Place::File(path) = place {
            write::remove(path)?;
        }
        Ok((attestor.name().clone(), place.clone()))
    }
}

#[derive(Serialize)]
struct Created<'a> {
    name: &'a AttestorName,
    note: &'a NoteName,
    #[serde(flatten)]
    place: Place,
    created: bool,
}

impl Create {
    fn run(self, context: &Context) -> Result<Answer, CliError> {
        let name: AttestorName = in_full(&self.name, self.project.as_deref(), "attestors")?.parse()?;
        let note_project = self.attestation_authority_note_project.as_deref().unwrap_or(name.project());
        let note: NoteName =
            in_full(&self.attestation_authority_note, Some(note_project), "notes")?.parse()?;
        let document = AttestorDocument {
            name: name.to_string(),
            description: self.description,
            user_owned_grafeas_note: NoteDocument {
                note_reference: note.to_string(),
                public_keys: Vec::new(),
                delegation_service_account_email: None,
            },
            binauthd_require_docker_reference: false,
            binauthd_predicate_types: None,
            update_time: None,
            etag: None,
        };
        let place = match self.keeper.documents()? {
            Some(store) => {
                let notes = self.keeper.store.notes()?.filter(|_| self.create_note);
                runtime()?.block_on(async {
                    if let Some(notes) = notes {
                        notes.create_note(&note, name.id()).await?;
                    }
                    store.create_attestor(&name, &document).await
                })?;
                Place::Store(store.location())
            }
            None => Place::File(file(&self.keeper.folder, &name, &document, context)?),
        };
        let value = Created { name: &name, note: &note, place, created: true };
        context.answer(Outcome::Fine, &value, || format!("{name} created in {}\n", value.place))
    }
}

/// Writes the document of a new attestor into the folder.
fn file(
    folder: &Folder,
    name: &AttestorName,
    document: &AttestorDocument,
    context: &Context,
) -> Result<PathBuf, CliError> {
    let path = folder.path(context);
    write::ensure_folder(path)?;
    let _lock = write::lock(path)?;
    let attestors = folder.read(context)?;
    if let Some(defined) = attestors.all.iter().find(|defined| defined.attestor.name() == name) {
        return Err(CliError::AttestorExists { name: name.clone(), place: defined.place.clone() });
    }
    // Attestors of two projects may have one id.
    let short = path.join(format!("{}.yaml", name.id()));
    let another = attestors.all.iter().any(|defined| defined.place == Place::File(short.clone()));
    let long = || path.join(format!("{}-{}.yaml", name.project(), name.id()));
    let path = if another { long() } else { short };
    let way_out = "it does not define this attestor; move it away first";
    write::create(&path, &render(document, &path)?, way_out)?;
    Ok(path)
}

fn in_full(text: &str, project: Option<&str>, collection: &'static str) -> Result<String, CliError> {
    match project {
        _ if text.contains('/') => Ok(text.to_owned()),
        Some(project) => Ok(format!("projects/{project}/{collection}/{text}")),
        None => Err(CliError::NoProject(text.to_owned(), collection)),
    }
}

fn list(attestors: &Attestors, context: &Context) -> Result<Answer, CliError> {
    let listed: Vec<_> = attestors
        .all
        .iter()
        .map(|defined| Listed {
            name: defined.attestor.name(),
            note: &defined.document.user_owned_grafeas_note.note_reference,
            keys: defined.attestor.keys().len(),
            description: defined.document.description.as_deref(),
            place: &defined.place,
        })
        .collect();
    let outcome = if attestors.problems.is_empty() { Outcome::Fine } else { Outcome::Failed };
    context.answer(outcome, &listed, || {
        let row = |row: &Listed<'_>| {
            vec![row.name.to_string(), row.note.to_owned(), row.keys.to_string(), row.place.to_string()]
        };
        let heading = attestors.place.heading();
        table(&["NAME", "NOTE", "KEYS", heading], listed.iter().map(row).collect())
    })
}

fn describe(defined: &Defined, context: &Context) -> Result<Answer, CliError> {
    context.answer(Outcome::Fine, &defined.document, || {
        let note = &defined.document.user_owned_grafeas_note;
        let mut text = fields(&[
            ("name", defined.document.name.clone()),
            ("note", note.note_reference.clone()),
            ("description", defined.document.description.clone().unwrap_or_default()),
            (&defined.place.heading().to_ascii_lowercase(), defined.place.to_string()),
        ]);
        text.push('\n');
        text + &public_keys::keys_table(defined)
    })
}

/// Refuses what no reader would take.
fn is_valid(document: &AttestorDocument) -> Result<(), CliError> {
    let refused = |cause| CliError::Attestor { name: document.name.clone(), cause };
    Attestor::try_from(document.clone()).map(drop).map_err(refused)
}

/// The document in the format of its file, once what a reader makes of it has been seen to be valid and
/// the same.
fn render(document: &AttestorDocument, path: &Path) -> Result<Vec<u8>, CliError> {
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
