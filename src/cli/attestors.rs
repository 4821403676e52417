//! `attestors`: the documents that say who may attest.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::attestations::runtime;
use super::error::{CliError, Outcome};
use super::files::{Attestors, Defined, Place};
use super::keeper::{Folder, Keeper, in_full, render};
use super::output::{Answer, fields, table};
use super::{Context, public_keys, write};
use crate::attestation::attestor::{AttestorDocument, NoteDocument};
use crate::attestation::{AttestorName, NoteName};

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
