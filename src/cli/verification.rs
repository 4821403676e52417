//! `attestations list` and `verify`: what is filed, and whether it holds.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::Context;
use super::artifact::{Artifact, ArtifactUrl};
use super::attestations::{Occurrences, runtime};
use super::error::{CliError, Outcome};
use super::files::{self, Attestors, OccurrenceFile, Place};
use super::keeper::Trusted;
use super::output::{Answer, fields, table};
use super::remote::{Server, Store};
use crate::attestation::{Attestor, AttestorName, Evidence, KeyRing, Occurrence};
use crate::decision::{AttestorVerdict, Reason, weigh};
use crate::image::{Digest, Reference};

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only those of this attestor
    #[arg(long, value_name = "NAME")]
    attestor: Option<String>,
    /// The project of an attestor that is named by its id
    #[arg(long, visible_alias = "project", value_name = "PROJECT")]
    attestor_project: Option<String>,
    /// Only those of this image's digest
    #[arg(long, value_name = "IMAGE@DIGEST")]
    artifact_url: Option<String>,
    #[command(flatten)]
    trusted: Trusted,
    #[command(flatten)]
    occurrences: Occurrences,
    #[command(flatten)]
    store: Store,
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    artifact: ArtifactUrl,
    /// An attestor that must have attested it, again for more [default: those the policy requires]
    #[arg(long, value_name = "NAME")]
    attestor: Vec<String>,
    /// The project of attestors that are named by their ids
    #[arg(long, visible_alias = "project", value_name = "PROJECT")]
    attestor_project: Option<String>,
    /// The policy that says whom to ask [default: the configured one]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    trusted: Trusted,
    #[command(flatten)]
    occurrences: Occurrences,
    #[command(flatten)]
    store: Store,
}

/// An occurrence as it is listed, once for every attestor whose note it hangs on.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    name: &'a str,
    /// Absent where no attestor has the note.
    #[serde(skip_serializing_if = "Option::is_none")]
    attestor: Option<&'a AttestorName>,
    note: &'a str,
    digest: Digest,
    resource: &'a str,
    key_ids: Vec<&'a str>,
    verified: bool,
    reason: Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_time: Option<String>,
    #[serde(flatten)]
    place: &'a Place,
}

impl List {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        let digest = match &self.artifact_url {
            Some(url) => Some(url.parse::<Artifact>()?.digest),
            None => None,
        };
        let project = self.attestor_project.as_deref();
        let attestors = self.trusted.read(self.attestor.as_slice(), project, &self.store, context)?;
        let only = match &self.attestor {
            Some(name) => Some(attestors.name(name, project)?),
            None => None,
        };
        let (found, problems) = match self.store.server()? {
            Some(server) => (listed(&server, &attestors, only.as_ref(), digest)?, Vec::new()),
            None => files::occurrences(self.occurrences.path(context))?,
        };
        files::warn_of(&problems);
        let key_ring = attestors.key_ring(&context.defaults.settings.dsse_types);
        let mut rows: Vec<_> = found
            .iter()
            .filter(|filed| digest.is_none_or(|digest| digest == filed.occurrence.digest))
            .flat_map(|filed| rows(filed, &attestors, &key_ring))
            .collect();
        rows.retain(|row| only.as_ref().is_none_or(|only| row.attestor == Some(only)));
        let whole = problems.is_empty() && attestors.problems.is_empty();
        let outcome = if whole { Outcome::Fine } else { Outcome::Failed };
        context.answer(outcome, &rows, || list_table(&rows))
    }
}

/// What a server holds below the notes of all these attestors, or of one.
fn listed(
    server: &Server,
    attestors: &Attestors,
    only: Option<&AttestorName>,
    digest: Option<Digest>,
) -> Result<Vec<OccurrenceFile>, CliError> {
    let all = attestors.all.iter().map(|defined| &defined.attestor);
    let notes: BTreeSet<_> = all
        .filter(|attestor| only.is_none_or(|only| attestor.name() == only))
        .filter_map(Attestor::note)
        .collect();
    let place = Place::Store(server.location());
    let mut found = Vec::new();
    runtime()?.block_on(async {
        for note in notes {
            let occurrences = match digest {
                Some(digest) => server.occurrences(note, digest).await?,
                None => server.list(note).await?,
            };
            let filed = |occurrence| OccurrenceFile { place: place.clone(), occurrence };
            found.extend(occurrences.into_iter().map(filed));
        }
        Ok(found)
    })
}

fn rows<'a>(file: &'a OccurrenceFile, attestors: &'a Attestors, key_ring: &KeyRing) -> Vec<Row<'a>> {
    let occurrence = &file.occurrence;
    let row = |attestor, verified, reason, detail| Row {
        name: &occurrence.name,
        attestor,
        note: &occurrence.note,
        digest: occurrence.digest,
        resource: &occurrence.resource,
        key_ids: occurrence.signatures.iter().map(|signature| signature.key_id.as_str()).collect(),
        verified,
        reason,
        detail,
        create_time: occurrence.created.map(|time| humantime::format_rfc3339_seconds(time).to_string()),
        place: &file.place,
    };
    let of_note = attestors
        .all
        .iter()
        .map(|defined| &defined.attestor)
        .filter(|attestor| attestor.filing().holds(&occurrence.note, &occurrence.name));
    let names: BTreeSet<_> = of_note.map(Attestor::name).collect();
    if names.is_empty() {
        let detail = Some("no attestor has this note".to_owned());
        return vec![row(None, false, Reason::AttestorMissing, detail)];
    }
    let evidence = Evidence::gather(occurrence.digest, [occurrence], key_ring);
    let judged = names.into_iter().map(|name| (name, weigh(name, [&evidence], None)));
    judged.map(|(name, found)| row(Some(name), found.satisfied, found.reason, found.detail)).collect()
}

fn list_table(rows: &[Row<'_>]) -> String {
    let cells = |row: &Row<'_>| {
        let attestor = row.attestor.map_or_else(|| format!("- ({})", row.note), ToString::to_string);
        let verified = if row.verified { "verified".to_owned() } else { row.reason.to_string() };
        let file = match row.place {
            Place::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            Place::Store(_) => row.name.to_owned(),
        };
        let (resource, created) = (row.resource.to_owned(), row.create_time.clone().unwrap_or_default());
        vec![attestor, verified, resource, row.key_ids.join(","), created, file]
    };
    let is_stored = rows.iter().any(|row| matches!(row.place, Place::Store(_)));
    let heading = if is_stored { "NAME" } else { "FILE" };
    let headings = ["ATTESTOR", "STATE", "RESOURCE", "KEY IDS", "CREATED", heading];
    table(&headings, rows.iter().map(cells).collect())
}

#[derive(Serialize)]
struct Verification<'a> {
    image: &'a str,
    digest: Digest,
    verified: bool,
    attestors: Vec<AttestorVerdict>,
}

impl Verify {
    pub(super) fn run(self, context: &Context) -> Result<Answer, CliError> {
        let artifact: Artifact = self.artifact.artifact_url.parse()?;
        let (attestors, names): (_, Vec<_>) = if self.attestor.is_empty() {
            let path = self.policy.as_ref().unwrap_or(&context.defaults.policy);
            let policy = files::policy(path, context.defaults.options())?;
            let attestors = self.trusted.read_some(policy.attestors(), false, &self.store, context)?;
            (attestors, policy.attestors().cloned().collect())
        } else {
            let project = self.attestor_project.as_deref();
            let attestors = self.trusted.read(&self.attestor, project, &self.store, context)?;
            let names = self.attestor.iter().map(|name| attestors.name(name, project));
            let names = names.collect::<Result<_, _>>()?;
            (attestors, names)
        };
        if names.is_empty() {
            return Err(CliError::NobodyToAsk);
        }
        let occurrences = match self.store.server()? {
            Some(server) => runtime()?.block_on(held(&server, &attestors, &names, artifact.digest))?,
            None => self.occurrences.read(context)?.into_iter().map(|file| file.occurrence).collect(),
        };
        let key_ring = attestors.key_ring(&context.defaults.settings.dsse_types);
        let evidence = Evidence::gather(artifact.digest, &occurrences, &key_ring);
        let reference = Reference::parse(&artifact.docker_reference).ok();
        let judged: Vec<_> = names.iter().map(|name| weigh(name, [&evidence], reference.as_ref())).collect();
        let verified = judged.iter().all(|attestor| attestor.satisfied);
        let image = &self.artifact.artifact_url;
        let value = Verification { image, digest: artifact.digest, verified, attestors: judged };
        let outcome = if verified { Outcome::Fine } else { Outcome::Failed };
        context.answer(outcome, &value, || {
            let state = if verified { "verified" } else { "not verified" };
            let head = fields(&[("image", image.clone()), ("state", state.to_owned())]);
            format!("{head}\n{}", attestors_table(&value.attestors))
        })
    }
}

/// What a server holds for `digest` below the notes of these attestors.
async fn held(
    server: &Server,
    attestors: &Attestors,
    names: &[AttestorName],
    digest: Digest,
) -> Result<Vec<Occurrence>, CliError> {
    let all = attestors.all.iter().map(|defined| &defined.attestor);
    let notes: BTreeSet<_> =
        all.filter(|attestor| names.contains(attestor.name())).filter_map(Attestor::note).collect();
    let mut found = Vec::new();
    for note in notes {
        found.extend(server.occurrences(note, digest).await?);
    }
    Ok(found)
}

fn attestors_table(attestors: &[AttestorVerdict]) -> String {
    let row = |attestor: &AttestorVerdict| {
        let key = attestor.key_id.as_ref().map(ToString::to_string);
        let why = key.or_else(|| attestor.detail.clone()).unwrap_or_default();
        vec![attestor.name.to_string(), attestor.reason.to_string(), why]
    };
    table(&["ATTESTOR", "STATE", "KEY OR CAUSE"], attestors.iter().map(row).collect())
}
