//! `attestors`: the documents that say who may attest.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::error::{CliError, Outcome};
use super::files::{self, AttestorFile, Attestors};
use super::output::{self, Answer, fields, table};
use super::{Context, public_keys, write};
use crate::attestation::attestor::{AttestorDocument, NoteDocument};
use crate::attestation::{Attestor, AttestorName, NoteName};
use crate::document::{self, Format};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Write the document of a new attestor, without keys
    Create(Create),
    /// List the attestors
    List(Folder),
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

#[derive(Debug, Args)]
pub(super) struct Name {
    /// The attestor: its id, or projects/PROJECT/attestors/ID
    name: String,
    /// The project of an attestor that is named by its id
    #[arg(long)]
    project: Option<String>,
    #[command(flatten)]
    folder: Folder,
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
    #[command(flatten)]
    folder: Folder,
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
    file: &'a Path,
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

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        match self {
            Self::Create(verb) => verb.run(context),
            Self::List(folder) => list(&folder.read(context)?, context),
            Self::Describe(verb) => {
                let attestors = verb.folder.read(context)?;
                describe(attestors.find(&verb.name, verb.project.as_deref())?, context)
            }
            Self::Delete(verb) => {
                let _lock = write::lock(verb.folder.path(context))?;
                let attestors = verb.folder.read(context)?;
                let file = attestors.find(&verb.name, verb.project.as_deref())?;
                write::remove(&file.path)?;
                let name = file.attestor.name();
                let value = serde_json::json!({"name": name, "file": file.path, "deleted": true});
                context.answer(Outcome::Fine, &value, || format!("{name} deleted\n"))
            }
            Self::PublicKeys(verb) => verb.run(context),
        }
    }
}

impl Create {
    fn run(self, context: &Context) -> Result<Answer, CliError> {
        let name: AttestorName = in_full(&self.name, self.project.as_deref(), "attestors")?.parse()?;
        let note_project = self.attestation_authority_note_project.as_deref().unwrap_or(name.project());
        let note: NoteName =
            in_full(&self.attestation_authority_note, Some(note_project), "notes")?.parse()?;
        let folder = self.folder.path(context);
        write::ensure_folder(folder)?;
        let _lock = write::lock(folder)?;
        let attestors = self.folder.read(context)?;
        if let Some(file) = attestors.files.iter().find(|file| *file.attestor.name() == name) {
            return Err(CliError::AttestorExists { name, path: file.path.clone() });
        }
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
        // Attestors of two projects may have one id.
        let short = folder.join(format!("{}.yaml", name.id()));
        let another = attestors.files.iter().any(|file| file.path == short);
        let long = || folder.join(format!("{}-{}.yaml", name.project(), name.id()));
        let path = if another { long() } else { short };
        let way_out = "it does not define this attestor; move it away first";
        write::create(&path, &render(&document, &path)?, way_out)?;
        let value = serde_json::json!({"name": name, "note": note, "file": path, "created": true});
        context.answer(Outcome::Fine, &value, || format!("{name} created in {}\n", path.display()))
    }
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
        .files
        .iter()
        .map(|file| Listed {
            name: file.attestor.name(),
            note: &file.document.user_owned_grafeas_note.note_reference,
            keys: file.attestor.keys().len(),
            description: file.document.description.as_deref(),
            file: &file.path,
        })
        .collect();
    let outcome = if attestors.problems.is_empty() { Outcome::Fine } else { Outcome::Failed };
    context.answer(outcome, &listed, || {
        let row = |row: &Listed<'_>| {
            let file = row.file.display().to_string();
            vec![row.name.to_string(), row.note.to_owned(), row.keys.to_string(), file]
        };
        table(&["NAME", "NOTE", "KEYS", "FILE"], listed.iter().map(row).collect())
    })
}

fn describe(file: &AttestorFile, context: &Context) -> Result<Answer, CliError> {
    context.answer(Outcome::Fine, &file.document, || {
        let note = &file.document.user_owned_grafeas_note;
        let mut text = fields(&[
            ("name", file.document.name.clone()),
            ("note", note.note_reference.clone()),
            ("description", file.document.description.clone().unwrap_or_default()),
            ("file", file.path.display().to_string()),
        ]);
        text.push('\n');
        text + &public_keys::keys_table(file)
    })
}

/// Writes a changed document in place of the old one.
pub(super) fn save(file: &AttestorFile, document: &AttestorDocument) -> Result<(), CliError> {
    write::replace(&file.path, &render(document, &file.path)?)
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
