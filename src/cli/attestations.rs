//! `attestations`: signing and filing. Listing and verifying are in `verification`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::{Args, Subcommand};
use tokio::runtime::Runtime;

use super::Context;
use super::artifact::{Artifact, ArtifactUrl};
use super::error::{CliError, Outcome};
use super::files::{self, Attestors, OccurrenceFile};
use super::keeper::Trusted;
use super::output::{self, Answer};
use super::remote::Store;
use super::sign::SigningKey;
use super::store::{Attestation, Filed};
use super::verification::{List, Verify};
use crate::attestation::attestor::AttestorKey;
use crate::attestation::{Algorithm, Attestor, AttestorName, Key, base64, dsse, occurrence, payload};
use crate::bounded;
use crate::signing::Signer;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Sign an image's payload with a key of a file, a PKCS#11 token or Cloud KMS, and file the attestation
    SignAndCreate(Box<SignAndCreate>),
    /// File an attestation whose signature was made elsewhere
    Create(Create),
    /// List attestations and whether they verify
    ///
    /// With --store those under the notes of the attestors that are known; --attestor or --artifact-url narrows that.
    List(List),
    /// Check that an image is attested
    Verify(Verify),
}

/// Whose attestation of what, and where it is filed.
#[derive(Debug, Args)]
pub(super) struct Target {
    #[command(flatten)]
    artifact: ArtifactUrl,
    /// The attestor: its id, or projects/PROJECT/attestors/ID
    #[arg(long, value_name = "NAME")]
    attestor: String,
    /// The project of an attestor that is named by its id
    #[arg(long, value_name = "PROJECT")]
    attestor_project: Option<String>,
    /// The project that the occurrence belongs to [default: the attestor's]
    #[arg(long)]
    project: Option<String>,
    #[command(flatten)]
    trusted: Trusted,
    #[command(flatten)]
    occurrences: Occurrences,
    #[command(flatten)]
    store: Store,
}

/// Where occurrence documents lie.
#[derive(Debug, Args)]
pub(super) struct Occurrences {
    /// Folder of occurrence documents [default: the configured one]
    #[arg(long, value_name = "DIR", conflicts_with = "store")]
    occurrences: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct SignAndCreate {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    key: SigningKey,
    /// The id of the attestor's key to sign under [default: the one that is this key]
    #[arg(long, value_name = "ID")]
    public_key_id: Option<String>,
    /// Sign the DSSE pre-authentication encoding of the payload, as Google recommends for check sets
    #[arg(long)]
    pae_encode_payload: bool,
    /// The payload type of that encoding; verifiers must have it among their `dsse_types`
    #[arg(long, value_name = "TYPE", default_value = payload::MEDIA_TYPE, requires = "pae_encode_payload")]
    dsse_type: String,
}

#[derive(Debug, Args)]
pub(super) struct Create {
    #[command(flatten)]
    target: Target,
    /// The signature as a tool writes it (`openssl dgst -sign`, `gpg --sign`); base64 of it is understood too
    #[arg(long, value_name = "FILE")]
    signature_file: PathBuf,
    /// The id of the key it was made with, as `attestors public-keys list` shows it
    #[arg(long, value_name = "ID")]
    public_key_id: String,
    /// What was signed [default: what create-signature-payload prints]
    #[arg(long, value_name = "FILE")]
    payload_file: Option<PathBuf>,
    /// File it only if the attestor accepts it (the default)
    #[arg(long, conflicts_with = "no_validate")]
    validate: bool,
    /// File it whether or not the attestor accepts it
    #[arg(long)]
    no_validate: bool,
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        match self {
            Self::SignAndCreate(verb) => verb.run(context),
            Self::Create(verb) => verb.run(context),
            Self::List(verb) => verb.run(context),
            Self::Verify(verb) => verb.run(context),
        }
    }
}

impl Occurrences {
    pub(super) fn path<'a>(&'a self, context: &'a Context) -> &'a Path {
        self.occurrences.as_deref().unwrap_or(&context.defaults.occurrences)
    }

    /// Whether a flag names it.
    pub(super) fn is_given(&self) -> bool {
        self.occurrences.is_some()
    }

    /// Reads it, with a warning for every file that counts for nothing.
    pub(super) fn read(&self, context: &Context) -> Result<Vec<OccurrenceFile>, CliError> {
        let (found, problems) = files::occurrences(self.path(context))?;
        files::warn_of(&problems);
        Ok(found)
    }
}

impl SignAndCreate {
    fn run(self, context: &Context) -> Result<Answer, CliError> {
        let target = self.target;
        let artifact: Artifact = target.artifact.artifact_url.parse()?;
        let attestors = target.attestors(context)?;
        let attestor = &attestors.find(&target.attestor, target.attestor_project.as_deref())?.attestor;
        let payload = artifact.payload();
        let mut dsse_types = context.defaults.settings.dsse_types.clone();
        let signed = if self.pae_encode_payload {
            if !dsse_types.contains(&self.dsse_type) {
                output::warn(&format!(
                    "payload type `{}` is not among the configured `dsse_types`: where it is not, this \
                     attestation does not count",
                    self.dsse_type
                ));
            }
            dsse_types.insert(0, self.dsse_type.clone());
            dsse::pae(&self.dsse_type, &payload)
        } else {
            payload.clone()
        };
        let (key_id, signature) = runtime()?.block_on(async {
            let signer = self.key.open().await?;
            signature(&signer, attestor, self.public_key_id.as_deref(), &signed).await
        })?;
        let attestation = Attestation {
            attestor,
            project: project(target.project.as_deref(), attestor.name())?,
            artifact: &artifact,
            payload,
            key_id: &key_id,
            signature,
            dsse_types: &dsse_types,
            validate: true,
        };
        target.file(&attestation, context)
    }
}

impl Create {
    fn run(self, context: &Context) -> Result<Answer, CliError> {
        let target = self.target;
        let artifact: Artifact = target.artifact.artifact_url.parse()?;
        let attestors = target.attestors(context)?;
        let attestor = &attestors.find(&target.attestor, target.attestor_project.as_deref())?.attestor;
        let payload = match &self.payload_file {
            Some(path) => read(path, "payload")?,
            None => artifact.payload(),
        };
        let mut signature = read(&self.signature_file, "signature")?;
        if let (Some(key), Some(decoded)) = (attestor.key(&self.public_key_id), decoded(&signature))
            && key.key.verifies(&payload, &decoded)
        {
            signature = decoded;
        }
        let attestation = Attestation {
            attestor,
            project: project(target.project.as_deref(), attestor.name())?,
            artifact: &artifact,
            payload,
            key_id: &self.public_key_id,
            signature,
            dsse_types: &context.defaults.settings.dsse_types,
            validate: !self.no_validate,
        };
        target.file(&attestation, context)
    }
}

impl Target {
    fn attestors(&self, context: &Context) -> Result<Attestors, CliError> {
        let (name, project) = (std::slice::from_ref(&self.attestor), self.attestor_project.as_deref());
        self.trusted.read(name, project, &self.store, context)
    }

    fn file(&self, attestation: &Attestation<'_>, context: &Context) -> Result<Answer, CliError> {
        let now = SystemTime::now();
        let filed = match self.store.server()? {
            Some(server) => runtime()?.block_on(attestation.send(&server, now))?,
            None => attestation.file(self.occurrences.path(context), now)?,
        };
        filed_answer(&filed, context)
    }
}

/// What waits for servers.
pub(super) fn runtime() -> Result<Runtime, CliError> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// A signature over `signed` that is good under a key of `attestor`, and that key's id.
async fn signature(
    signer: &Signer,
    attestor: &Attestor,
    wanted: Option<&str>,
    signed: &[u8],
) -> Result<(String, Vec<u8>), CliError> {
    if let Some(id) = wanted
        && attestor.key(id).is_none()
    {
        return Err(CliError::NoKey { name: attestor.name().clone(), id: id.to_owned() });
    }
    let usual = signer.usual_id();
    let mut keys: Vec<&AttestorKey> = attestor.keys().iter().collect();
    keys.retain(|key| wanted.is_none_or(|wanted| wanted == key.id.as_str()));
    keys.sort_by_key(|key| usual.as_deref() != Some(key.id.as_str()));
    let mut made: Vec<(Algorithm, Vec<u8>)> = Vec::new();
    for key in keys {
        let Key::Pkix(public) = &key.key else { continue };
        let algorithm = public.algorithm();
        if !signer.signs_with(algorithm) {
            continue;
        }
        let signature = match made.iter().find(|(other, _)| *other == algorithm) {
            Some((_, signature)) => signature.clone(),
            None => signer.sign(algorithm, signed).await?,
        };
        if public.verifies(signed, &signature) {
            return Ok((key.id.as_str().to_owned(), signature));
        }
        made.push((algorithm, signature));
    }
    let which = wanted.map_or("a key".to_owned(), |id| format!("key `{id}`"));
    Err(CliError::NotItsKey { name: attestor.name().clone(), origin: signer.origin(), which })
}

fn project<'a>(given: Option<&'a str>, attestor: &'a AttestorName) -> Result<&'a str, CliError> {
    let Some(project) = given else { return Ok(attestor.project()) };
    format!("projects/{project}/attestors/{}", attestor.id()).parse::<AttestorName>()?;
    Ok(project)
}

/// Reads a small file, or a pipe such as `/dev/stdin`.
pub(super) fn read(path: &Path, what: &'static str) -> Result<Vec<u8>, CliError> {
    File::open(path)
        .and_then(|file| bounded::bytes(file, occurrence::MAX_BYTES / 2))
        .map_err(|cause| CliError::Read { what, path: path.to_owned(), cause })
}

/// The bytes behind base64, if it is that.
pub(super) fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let text: String = std::str::from_utf8(text).ok()?.split_ascii_whitespace().collect();
    base64::decode(&text)
}

fn filed_answer(filed: &Filed, context: &Context) -> Result<Answer, CliError> {
    context.answer(Outcome::Fine, filed, || {
        let (name, place) = (&filed.name, &filed.place);
        if filed.created {
            format!("{name} created in {place}\n")
        } else {
            format!("{name} is there already, in {place}\n")
        }
    })
}
