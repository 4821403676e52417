//! The image that an attestation is about, as `--artifact-url` names it.

use std::str::FromStr;

use clap::Args;

use super::error::{CliError, Outcome};
use super::output::Answer;
use crate::attestation::payload;
use crate::image::reference::{without_scheme, written_repository};
use crate::image::{Digest, Reference};

/// An image by repository and digest.
#[derive(Debug, Clone)]
pub(super) struct Artifact {
    /// The repository as it was written, without scheme, tag and digest; not normalised, as gcloud does
    /// not either.
    pub(super) docker_reference: String,
    /// What is attested.
    pub(super) digest: Digest,
}

impl FromStr for Artifact {
    type Err = CliError;

    fn from_str(text: &str) -> Result<Self, CliError> {
        let written = without_scheme(text);
        let reference = Reference::parse(written)
            .map_err(|cause| CliError::Artifact { text: text.chars().take(200).collect(), cause })?;
        let digest = reference.digest().ok_or_else(|| CliError::NoDigest(text.to_owned()))?;
        Ok(Self { docker_reference: written_repository(written).to_owned(), digest })
    }
}

impl Artifact {
    /// The bytes that gcloud signs.
    pub(super) fn payload(&self) -> Vec<u8> {
        payload::gcloud(&self.docker_reference, self.digest).into_bytes()
    }

    /// As occurrences spell it.
    pub(super) fn resource_uri(&self) -> String {
        format!("https://{}@{}", self.docker_reference, self.digest)
    }
}

/// The image that a verb is about.
#[derive(Debug, Args)]
pub(super) struct ArtifactUrl {
    /// The image, by its digest: REPOSITORY@sha256:DIGITS, with or without https://
    #[arg(long, value_name = "IMAGE@DIGEST")]
    pub(super) artifact_url: String,
}

/// Prints the payload, byte for byte as gcloud does, in every output format.
#[derive(Debug, Args)]
pub(super) struct CreateSignaturePayload {
    #[command(flatten)]
    artifact: ArtifactUrl,
}

impl CreateSignaturePayload {
    pub(super) fn run(self) -> Result<Answer, CliError> {
        let artifact: Artifact = self.artifact.artifact_url.parse()?;
        let text = payload::gcloud(&artifact.docker_reference, artifact.digest);
        Ok(Answer { text, outcome: Outcome::Fine })
    }
}
