//! Files an attestation once: in a folder of occurrences, or at a server of them.

use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;

use super::artifact::Artifact;
use super::error::CliError;
use super::files::Place;
use super::remote::Server;
use super::{files, write};
use crate::attestation::occurrence::{self, Form, Signature};
use crate::attestation::{Attestor, AttestorName, Evidence, Key, KeyRing, NoteName, Occurrence, base64};
use crate::decision::{Reason, weigh};
use crate::image::{Digest, Reference};

/// An attestation to be filed.
pub(super) struct Attestation<'a> {
    pub(super) attestor: &'a Attestor,
    /// The project that the occurrence belongs to.
    pub(super) project: &'a str,
    pub(super) artifact: &'a Artifact,
    pub(super) payload: Vec<u8>,
    pub(super) key_id: &'a str,
    pub(super) signature: Vec<u8>,
    /// Payload types under which a PAE counts.
    pub(super) dsse_types: &'a [String],
    /// Whether it must be one that the attestor accepts.
    pub(super) validate: bool,
}

/// Where an attestation is filed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Filed {
    pub(super) name: String,
    attestor: AttestorName,
    digest: Digest,
    key_id: String,
    #[serde(flatten)]
    pub(super) place: Place,
    /// False where it was there before.
    pub(super) created: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OccurrenceDocument<'a> {
    /// Servers choose it themselves, and the times.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    resource_uri: String,
    note_name: &'a str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_time: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    update_time: Option<&'a str>,
    attestation: AttestationDocument<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttestationDocument<'a> {
    serialized_payload: String,
    signatures: [SignatureDocument<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignatureDocument<'a> {
    public_key_id: &'a str,
    signature: String,
}

impl Attestation<'_> {
    /// Files it, unless it is filed already, and checks what lies on disk afterwards.
    pub(super) fn file(&self, folder: &Path, now: SystemTime) -> Result<Filed, CliError> {
        let id = self.id();
        let name = format!("projects/{}/occurrences/{}", self.project, uuid(&id));
        let document = self.document(Some((&name, now)))?;
        self.check(&document)?;
        write::ensure_folder(folder)?;
        let (filed, _) = files::occurrences(folder)?;
        if let Some(same) = filed.iter().find(|filed| self.is_in(&filed.occurrence)) {
            return Ok(self.filed(same.occurrence.name.clone(), same.place.clone(), false));
        }
        let hex = |digest: &Digest, digits: usize| digest.hex().chars().take(digits).collect::<String>();
        let attestor = self.attestor.name().id();
        let path = folder.join(format!("{attestor}-{}-{}.json", hex(&self.artifact.digest, 12), hex(&id, 8)));
        // A file of this name that is no occurrence, or a spoilt one of this attestation, is mended.
        if filed.iter().any(|filed| filed.place == Place::File(path.clone()) && filed.occurrence.name != name)
        {
            let way_out = "it holds another occurrence; move it away first";
            return Err(CliError::Exists { path, way_out });
        }
        write::replace(&path, &document)?;
        let cannot = |cause| CliError::Read { what: "occurrence", path: path.clone(), cause };
        self.check(&files::read(&path, occurrence::MAX_BYTES).map_err(cannot)?)?;
        Ok(self.filed(name, Place::File(path), true))
    }

    /// The same at a server, which is asked first whether it has it already. Checks what the server says that it
    /// has filed.
    pub(super) async fn send(&self, server: &Server, now: SystemTime) -> Result<Filed, CliError> {
        let id = self.id();
        let name = format!("projects/{}/occurrences/{}", self.project, uuid(&id));
        self.check(&self.document(Some((&name, now)))?)?;
        let place = || Place::Store(server.location());
        let Some(note) = self.attestor.note() else {
            return Err(CliError::MalformedCommand(format!(
                "attestor `{}` has no note to file an occurrence under",
                self.attestor.name()
            )));
        };
        let filed = server.occurrences(note, self.artifact.digest).await?;
        if let Some(same) = filed.iter().find(|occurrence| self.is_in(occurrence)) {
            return Ok(self.filed(same.name.clone(), place(), false));
        }
        let created = server.create(self.project, self.document(None)?).await?;
        let otherwise =
            |why: &str| CliError::StoredOtherwise { location: server.location(), why: why.to_owned() };
        if created.note != self.note() {
            return Err(otherwise("it is filed under another note"));
        }
        if created.digest != self.artifact.digest {
            return Err(otherwise("it is about another digest"));
        }
        let is_it = |signature: &Signature| {
            signature.key_id == self.key_id
                && signature.bytes == self.signature
                && matches!(&signature.form, Form::Detached(payload) if **payload == *self.payload)
        };
        if !created.signatures.iter().any(is_it) {
            return Err(otherwise("payload, key id or signature are not those that were sent"));
        }
        Ok(self.filed(created.name, place(), true))
    }

    fn note(&self) -> &str {
        self.attestor.note().map_or("", NoteName::as_str)
    }

    /// The same attestation always has the same id.
    fn id(&self) -> Digest {
        let note = self.note().as_bytes();
        let digest = self.artifact.digest.to_string();
        let mut text = Vec::new();
        for field in [note, digest.as_bytes(), self.key_id.as_bytes(), &self.payload] {
            text.extend_from_slice(&(field.len() as u64).to_be_bytes());
            text.extend_from_slice(field);
        }
        Digest::of(&text)
    }

    /// With name and time, where they are not chosen by a server.
    fn document(&self, given: Option<(&str, SystemTime)>) -> Result<Vec<u8>, CliError> {
        let now = given.map(|(_, now)| humantime::format_rfc3339_seconds(now).to_string());
        let document = OccurrenceDocument {
            name: given.map(|(name, _)| name),
            resource_uri: self.artifact.resource_uri(),
            note_name: self.note(),
            kind: "ATTESTATION",
            create_time: now.as_deref(),
            update_time: now.as_deref(),
            attestation: AttestationDocument {
                serialized_payload: base64::encode(&self.payload),
                signatures: [SignatureDocument {
                    public_key_id: self.key_id,
                    signature: base64::encode(&self.signature),
                }],
            },
        };
        let mut bytes = serde_json::to_vec_pretty(&document).map_err(std::io::Error::other)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    fn check(&self, document: &[u8]) -> Result<(), CliError> {
        let occurrence = Occurrence::parse(document)?;
        if !self.validate {
            return Ok(());
        }
        let name = Reference::parse(&self.artifact.docker_reference).ok();
        let found = weigh(self.attestor.name(), [&self.evidence(&occurrence)], name.as_ref());
        if found.satisfied {
            return Ok(());
        }
        let is_pgp = self.attestor.key(self.key_id).is_some_and(|key| matches!(key.key, Key::Pgp(_)));
        let way_out = match found.reason {
            Reason::MalformedSignature if is_pgp => ": make it with `gpg --sign --armor`, over the payload",
            _ => "",
        };
        let why = format!("{} [{}]{way_out}", found.detail.unwrap_or_default(), found.reason);
        Err(CliError::NotVerified { name: found.name, why })
    }

    fn evidence(&self, occurrence: &Occurrence) -> Evidence {
        let key_ring = KeyRing::accepting([self.attestor.clone()], self.dsse_types);
        Evidence::gather(self.artifact.digest, [occurrence], &key_ring)
    }

    /// Whether this occurrence says the same already: under this key, over these bytes.
    fn is_in(&self, occurrence: &Occurrence) -> bool {
        let same = |other: &&Signature| {
            other.key_id == self.key_id
                && matches!(&other.form, Form::Detached(payload) if **payload == *self.payload)
        };
        // Signing again makes other bytes: what holds already is enough.
        let holds = |other: &Signature| {
            let alone = Occurrence { signatures: vec![other.clone()], ..occurrence.clone() };
            other.bytes == self.signature || self.evidence(&alone).is_found()
        };
        occurrence.note == self.note()
            && occurrence.digest == self.artifact.digest
            && occurrence.signatures.iter().filter(same).any(holds)
    }

    fn filed(&self, name: String, place: Place, created: bool) -> Filed {
        Filed {
            name,
            attestor: self.attestor.name().clone(),
            digest: self.artifact.digest,
            key_id: self.key_id.to_owned(),
            place,
            created,
        }
    }
}

/// The first 128 bits as a UUID of version 8 (RFC 9562: the maker's own scheme).
fn uuid(id: &Digest) -> String {
    let mut digits: Vec<char> = id.hex().chars().take(32).collect();
    for (place, digit) in [(12, '8'), (16, 'a')] {
        if let Some(old) = digits.get_mut(place) {
            *old = digit;
        }
    }
    let mut digits = digits.into_iter();
    let groups = [8, 4, 4, 4, 12].map(|length| digits.by_ref().take(length).collect::<String>());
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_shaped_as_uuids() {
        assert_eq!(uuid(&Digest::of(b"hello")), "2cf24dba-5fb0-830e-a6e8-3b2ac5b9e29e");
    }
}
