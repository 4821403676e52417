//! `attestors public-keys`: the keys that verify an attestor's attestations.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::Context;
use super::error::{CliError, Outcome};
use super::files::{self, Defined, Place};
use super::keeper::Keeper;
use super::output::{Answer, table};
use crate::attestation::attestor::{AttestorDocument, KeyDocument, PkixDocument};
use crate::attestation::{Attestor, AttestorError, AttestorName, KeyId, Kind, PublicKey};

const MAX_ARMOR: usize = 256 * 1024;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Add a key; comments in a YAML document are lost when it is rewritten
    Add(Add),
    /// Remove a key: what it signed no longer counts
    Remove(Remove),
    /// List the keys of an attestor
    List(Of),
}

/// Which attestor.
#[derive(Debug, Args)]
pub(super) struct Of {
    /// The attestor: its id, or projects/PROJECT/attestors/ID
    #[arg(long, value_name = "NAME")]
    attestor: String,
    /// The project of an attestor that is named by its id
    #[arg(long, visible_alias = "attestor-project")]
    project: Option<String>,
    #[command(flatten)]
    keeper: Keeper,
}

#[derive(Debug, Args)]
pub(super) struct Add {
    #[command(flatten)]
    of: Of,
    #[command(flatten)]
    file: KeyFile,
    /// Such as ecdsa-p256-sha256 or RSA_PSS_4096_SHA512 [default: told from the key; for RSA, PKCS#1 v1.5 with SHA-256]
    #[arg(long, value_name = "ALGORITHM", conflicts_with = "pgp_public_key_file")]
    pkix_public_key_algorithm: Option<String>,
    /// The id that signatures name the key by [default: ni:///sha-256;… of the key]
    #[arg(long, value_name = "ID", conflicts_with = "pgp_public_key_file")]
    public_key_id_override: Option<String>,
    /// Free text for people
    #[arg(long)]
    comment: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct KeyFile {
    /// PEM file with one PUBLIC KEY block
    #[arg(long, value_name = "FILE")]
    pkix_public_key_file: Option<PathBuf>,
    /// OpenPGP certificate, as `gpg --export --armor` writes it; its id is its fingerprint
    #[arg(long, value_name = "FILE")]
    pgp_public_key_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Remove {
    /// The id of the key
    public_key_id: String,
    #[command(flatten)]
    of: Of,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    id: &'a KeyId,
    algorithm: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Added {
    attestor: AttestorName,
    key_id: KeyId,
    algorithm: &'static str,
    added: bool,
    #[serde(flatten)]
    place: Place,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Removed<'a> {
    attestor: &'a AttestorName,
    key_id: &'a str,
    removed: bool,
    #[serde(flatten)]
    place: &'a Place,
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        match self {
            Self::Add(verb) => verb.run(context),
            Self::Remove(verb) => verb.run(context),
            Self::List(of) => {
                let defined = of.keeper.find(&of.attestor, of.project.as_deref(), context)?;
                context.answer(Outcome::Fine, &listed(&defined), || keys_table(&defined))
            }
        }
    }
}

impl Of {
    fn change<T>(
        &self,
        context: &Context,
        change: impl FnOnce(&Defined) -> Result<(Option<AttestorDocument>, T), CliError>,
    ) -> Result<T, CliError> {
        self.keeper.change(&self.attestor, self.project.as_deref(), context, change)
    }
}

impl Add {
    fn run(self, context: &Context) -> Result<Answer, CliError> {
        let key = self.document()?;
        let added = self.of.change(context, |defined| self.add(key, defined))?;
        context.answer(Outcome::Fine, &added, || {
            let Added { attestor, key_id, added, .. } = &added;
            if *added {
                format!("{key_id} added to {attestor}\n")
            } else {
                format!("{key_id} is a key of {attestor} already\n")
            }
        })
    }

    /// The document with the key, where that is new.
    fn add(
        &self,
        mut key: KeyDocument,
        defined: &Defined,
    ) -> Result<(Option<AttestorDocument>, Added), CliError> {
        let mut document = defined.document.clone();
        document.user_owned_grafeas_note.public_keys = vec![key.clone()];
        let alone = parse(&document).map_err(|error| self.of_the_key(error))?;
        let Some(added) = alone.keys().first() else {
            return Err(CliError::NoKey { name: alone.name().clone(), id: String::new() });
        };
        let name = defined.attestor.name();
        let (id, algorithm) = (&added.id, added.key.kind());
        let known = defined.attestor.key(id.as_str());
        if known.is_some_and(|known| known.key.bytes() != added.key.bytes()) {
            return Err(CliError::KeyIdTaken { name: name.clone(), id: id.clone() });
        }
        let told = Added {
            attestor: name.clone(),
            key_id: id.clone(),
            algorithm,
            added: known.is_none(),
            place: defined.place.clone(),
        };
        if known.is_some() {
            return Ok((None, told));
        }
        key.id = Some(id.to_string());
        if let Some(pkix) = &mut key.pkix_public_key {
            pkix.signature_algorithm = algorithm.to_owned();
        }
        document.user_owned_grafeas_note.public_keys =
            [defined.document.user_owned_grafeas_note.public_keys.as_slice(), &[key]].concat();
        Ok((Some(document), told))
    }
}

impl Add {
    /// What is wrong with the key itself is told of its file, not of a place in a document.
    fn of_the_key(&self, error: CliError) -> CliError {
        let Some(path) = &self.file.pkix_public_key_file else { return error };
        match error {
            CliError::Attestor { cause: AttestorError::Key { cause, .. }, .. } => {
                CliError::PublicKey { path: path.clone(), cause }
            }
            other => other,
        }
    }

    fn document(&self) -> Result<KeyDocument, CliError> {
        let comment = self.comment.clone();
        let Some(path) = &self.file.pkix_public_key_file else {
            let path = self.file.pgp_public_key_file.as_deref().unwrap_or(Path::new(""));
            let armored = read_text(path, MAX_ARMOR)?;
            if armored.contains("-----BEGIN PUBLIC KEY-----") {
                return Err(other_file(path, "a PEM public key", "--pkix-public-key-file"));
            }
            let ascii_armored_pgp_public_key = Some(armored);
            return Ok(KeyDocument { comment, ascii_armored_pgp_public_key, ..KeyDocument::default() });
        };
        let (public_key_pem, kind) = read_pem(path)?;
        let usual = || kind.usual_algorithm().map(|algorithm| algorithm.as_str().to_owned());
        let Some(signature_algorithm) = self.pkix_public_key_algorithm.clone().or_else(usual) else {
            return Err(CliError::KeyKind { path: path.clone(), kind });
        };
        Ok(KeyDocument {
            id: self.public_key_id_override.clone(),
            comment,
            pkix_public_key: Some(PkixDocument { public_key_pem, signature_algorithm, key_id: None }),
            ascii_armored_pgp_public_key: None,
        })
    }
}

impl Remove {
    fn run(self, context: &Context) -> Result<Answer, CliError> {
        let id = self.public_key_id;
        let (name, place) = self.of.change(context, |defined| {
            let name = defined.attestor.name();
            // Ids that the document leaves out are computed, so the place counts, not the text.
            let Some(at) = defined.attestor.keys().iter().position(|key| key.id.as_str() == id) else {
                return Err(CliError::NoKey { name: name.clone(), id: id.clone() });
            };
            let mut document = defined.document.clone();
            document.user_owned_grafeas_note.public_keys.remove(at);
            Ok((Some(document), (name.clone(), defined.place.clone())))
        })?;
        let value = Removed { attestor: &name, key_id: &id, removed: true, place: &place };
        context.answer(Outcome::Fine, &value, || format!("{id} removed from {name}\n"))
    }
}

fn parse(document: &AttestorDocument) -> Result<Attestor, CliError> {
    let refused = |cause| CliError::Attestor { name: document.name.clone(), cause };
    document.clone().try_into().map_err(refused)
}

/// The PEM as it will stand in the document, and the kind of its key. Whether key and declared algorithm
/// fit is for the document to say.
fn read_pem(path: &Path) -> Result<(String, Kind), CliError> {
    let text = read_text(path, MAX_ARMOR)?;
    if text.contains("-----BEGIN PGP PUBLIC KEY BLOCK-----") {
        return Err(other_file(path, "an OpenPGP certificate", "--pgp-public-key-file"));
    }
    let kind =
        PublicKey::kind(&text).map_err(|cause| CliError::PublicKey { path: path.to_owned(), cause })?;
    Ok((text.trim().lines().map(|line| format!("{}\n", line.trim())).collect(), kind))
}

fn other_file(path: &Path, what: &'static str, flag: &'static str) -> CliError {
    CliError::OtherKeyFile { path: path.to_owned(), what, flag }
}

/// A text that holds no private key.
fn read_text(path: &Path, limit: usize) -> Result<String, CliError> {
    let cannot = |cause| CliError::Read { what: "public key", path: path.to_owned(), cause };
    let text = String::from_utf8_lossy(&files::read(path, limit).map_err(cannot)?).into_owned();
    let private = |way_out| Err(CliError::PrivateKeyGiven { path: path.to_owned(), way_out });
    if text.contains("PRIVATE KEY BLOCK-----") {
        return private("gpg --export --armor");
    }
    if text.contains("PRIVATE KEY-----") {
        return private("openssl pkey -in KEY -pubout");
    }
    Ok(text)
}

fn listed(defined: &Defined) -> Vec<Listed<'_>> {
    let documents = &defined.document.user_owned_grafeas_note.public_keys;
    let keys = defined.attestor.keys().iter().zip(documents);
    keys.map(|(key, document)| Listed {
        id: &key.id,
        algorithm: key.key.kind(),
        comment: document.comment.as_deref(),
    })
    .collect()
}

/// The keys of an attestor, for people.
pub(super) fn keys_table(defined: &Defined) -> String {
    let row = |key: Listed<'_>| {
        let comment = key.comment.unwrap_or_default().to_owned();
        vec![key.id.to_string(), key.algorithm.to_owned(), comment]
    };
    table(&["KEY ID", "ALGORITHM", "COMMENT"], listed(defined).into_iter().map(row).collect())
}
