//! What can go wrong, and the one place that turns an outcome into an exit code.

use std::io;
use std::path::PathBuf;

use super::documents::RemoteError;
use super::files::Place;
use crate::attestation::{AttestorError, AttestorName, KeyError, KeyId, Kind, NameError, OccurrenceError};
use crate::config::ConfigError;
use crate::config::lock::LockError;
use crate::config::trust::ResetError;
use crate::containerd::InstalledError;
use crate::containerd::base_spec::BaseSpecError;
use crate::containerd::wiring::{PlanError, RecordError};
use crate::decision::SubjectError;
use crate::document::DocumentError;
use crate::evidence::folder::ReadError;
use crate::evidence::source::SourceError;
use crate::gate::client::NoAnswer;
use crate::image::ReferenceError;
use crate::policy::{BreakGlassError, BundleError, PolicyError};
use crate::signing::SignError;

/// What an answer comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Allowed, verified, done.
    Fine,
    /// Denied, or a check failed.
    Failed,
    /// The question has no answer.
    Undecided,
    /// Answered as far as that goes without the daemon.
    Unreachable,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Not an image.
    #[error("`{text}` does not name an image")]
    Artifact {
        /// As it was written.
        text: String,
        /// What is wrong with it.
        #[source]
        cause: ReferenceError,
    },
    /// An image without a digest.
    #[error(
        "`{0}` has no digest: an attestation is about content, so name the image as REPOSITORY@sha256:DIGITS"
    )]
    NoDigest(String),
    /// Not a subject of a verdict.
    #[error("`{text}` does not name an image")]
    Subject {
        /// As it was written.
        text: String,
        /// What is wrong with it.
        #[source]
        cause: SubjectError,
    },
    /// Not a resource name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// An id alone, where nothing tells its project.
    #[error(
        "`{0}` is an id without a project: add --project, or write the name in full as projects/PROJECT/{1}/ID"
    )]
    NoProject(String, &'static str),
    /// An id that attestors of several projects have.
    #[error("`{0}` could be any of {1}: write the name in full")]
    SeveralNames(String, String),
    /// A file or folder that cannot be read.
    #[error("cannot read {what} `{}`", path.display())]
    Read {
        /// What it is.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// A file that cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// Standard output, or an answer that cannot be written down.
    #[error("cannot write the answer")]
    Answer(#[from] io::Error),
    /// A folder to write into that is not there.
    #[error("cannot write `{}`: there is no folder `{}`: make it first, or name another place", path.display(), folder.display())]
    NoFolder {
        /// What was to be written.
        path: PathBuf,
        /// What is not there.
        folder: PathBuf,
    },
    /// A document that must not be replaced.
    #[error("`{}` exists already: {way_out}", path.display())]
    Exists {
        /// Where.
        path: PathBuf,
        /// What to do about it.
        way_out: &'static str,
    },
    /// A name that is taken.
    #[error("`{name}` is defined already, in `{place}`: add keys to it with `attestors public-keys add`")]
    AttestorExists {
        /// Who.
        name: AttestorName,
        /// Where.
        place: Place,
    },
    /// Nobody of that name.
    #[error(
        "no document in `{place}` defines attestor `{name}`: `attestors list` shows those there are, `attestors create` makes one"
    )]
    NoAttestor {
        /// As it was written.
        name: String,
        /// Where it was looked for.
        place: Place,
    },
    /// Two documents of one name.
    #[error("several documents define attestor `{name}`: {files}; leave one of them")]
    AmbiguousAttestor {
        /// Who.
        name: AttestorName,
        /// Where.
        files: String,
    },
    /// The attestor document would not be valid with this change.
    #[error("attestor `{name}` would be refused with this change")]
    Attestor {
        /// Who.
        name: String,
        /// Why.
        #[source]
        cause: AttestorError,
    },
    /// An id that stands for another key.
    #[error(
        "key id `{id}` of attestor `{name}` is that of another key: choose another with --public-key-id-override"
    )]
    KeyIdTaken {
        /// Who.
        name: AttestorName,
        /// The id.
        id: KeyId,
    },
    /// No key of that id.
    #[error("attestor `{name}` has no key with id `{id}`: `attestors public-keys list` shows those it has")]
    NoKey {
        /// Who.
        name: AttestorName,
        /// The id.
        id: String,
    },
    /// A private key that the attestor does not know.
    #[error(
        "{origin} is not {which} of attestor `{name}`: add its public key with `attestors public-keys add`"
    )]
    NotItsKey {
        /// Who.
        name: AttestorName,
        /// The private key.
        origin: String,
        /// `a key`, or the key that was asked for.
        which: String,
    },
    /// A public key file that holds something else.
    #[error("`{}` is not a public key to add", path.display())]
    PublicKey {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: KeyError,
    },
    /// A private key in place of the public one.
    #[error("`{}` holds a private key, which must not become public: write the public one with `{way_out}`", path.display())]
    PrivateKeyGiven {
        /// The file.
        path: PathBuf,
        /// The command that does.
        way_out: &'static str,
    },
    /// A key of the other family.
    #[error("`{}` holds {what}: name it with {flag}", path.display())]
    OtherKeyFile {
        /// The file.
        path: PathBuf,
        /// Such as `an OpenPGP certificate`.
        what: &'static str,
        /// The flag for it.
        flag: &'static str,
    },
    /// A key of a kind that no algorithm takes.
    #[error("the key in `{}` is {kind}, which no signature algorithm is for: use RSA of 2048, 3072 or 4096 bits, EC P-256, P-384 or P-521, or ML-DSA-65", path.display())]
    KeyKind {
        /// The file.
        path: PathBuf,
        /// What it is.
        kind: Kind,
    },
    /// Nothing is signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A store that does not answer, or refuses.
    #[error("the store does not do it: {0}")]
    Store(#[from] SourceError),
    /// The same, of its documents.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A store that has filed something else.
    #[error("`{location}` does not hold the attestation as it was sent: {why}")]
    StoredOtherwise {
        /// The store.
        location: String,
        /// What is different.
        why: String,
    },
    /// An attestation that does not hold, and so is not stored.
    #[error("refused: attestor `{name}` would not accept this attestation: {why}")]
    NotVerified {
        /// Who.
        name: AttestorName,
        /// Reason and code.
        why: String,
    },
    /// What was made is not what belongs there.
    #[error("the occurrence cannot be stored")]
    Occurrence(#[from] OccurrenceError),
    /// Nobody to ask.
    #[error("no attestor to ask: give --attestor, or a policy that requires attestation with --policy")]
    NobodyToAsk,
    /// A policy that cannot be obeyed.
    #[error("policy `{place}` is refused")]
    Policy {
        /// Where it is.
        place: Place,
        /// Why.
        #[source]
        cause: Box<PolicyError>,
    },
    /// A policy that the daemon would read in another format than it is written in.
    #[error("policy `{}` is refused: it is read as {format}, because of the name `{}`", path.display(), to.display())]
    PolicyFormat {
        /// Where it is.
        path: PathBuf,
        /// Where it would be.
        to: PathBuf,
        /// What the name says.
        format: &'static str,
        /// Why not.
        #[source]
        cause: Box<PolicyError>,
    },
    /// A bundle that no node would take.
    #[error("no bundle is made: {0}")]
    NotSigned(String),
    /// Neither is it a bundle.
    #[error("policy bundle `{place}` is refused: {cause}")]
    NotABundle {
        /// Where it is.
        place: Place,
        /// Why.
        cause: String,
    },
    /// A bundle that nodes would not take from where it was to be put.
    #[error("`{}` is not pushed: {cause}", path.display())]
    NotPushed {
        /// Where it is.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// What a store gives for a bundle.
    #[error("the bundle of project `{project}` at `{at}` is refused")]
    NotFetched {
        /// Whose.
        project: String,
        /// Where.
        at: String,
        /// Why.
        #[source]
        cause: BundleError,
    },
    /// A grant or a revocation that no node would take.
    #[error("nothing is signed: {0}")]
    NotGranted(#[from] BreakGlassError),
    /// A grant that this node does not take.
    #[error("`{}` does not count on this node: {cause}", path.display())]
    NotApplied {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// A grant that is revoked, but not for good.
    #[error("not revoked for good: {0}")]
    NotRevoked(String),
    /// A key of sealed documents that is none.
    #[error("`{}` is not a {what}", path.display())]
    SealKey {
        /// What it should be, such as `bundle key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: KeyError,
    },
    /// What is remembered is in use.
    #[error("what this node remembers cannot be changed")]
    Lock(#[from] LockError),
    /// What is remembered stays.
    #[error("nothing is forgotten")]
    Reset(#[from] ResetError),
    /// Another document that cannot be obeyed.
    #[error("{what} `{}` is refused: {cause}", path.display())]
    Document {
        /// Such as `deny list`.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// A base runtime spec that is refused.
    #[error("the base runtime spec {from} is refused")]
    BaseSpec {
        /// Where it is from.
        from: String,
        /// Why.
        #[source]
        cause: BaseSpecError,
    },
    /// containerd is left as it is.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The same, for its files alone.
    #[error(transparent)]
    Source(#[from] crate::containerd::wiring::SourceError),
    /// Nothing is known of containerd.
    #[error(transparent)]
    Installed(#[from] InstalledError),
    /// Nobody knows what was done to containerd.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Something went wrong on the way, and everything is as it was.
    #[error("everything is as it was before{}", left(.problems))]
    RolledBack {
        /// What could not be put back.
        problems: Vec<String>,
        /// What went wrong.
        #[source]
        cause: Box<Self>,
    },
    /// containerd after a restart.
    #[error("`systemctl restart {unit}`: {why}")]
    Restart {
        /// The unit.
        unit: String,
        /// What went wrong.
        why: String,
    },
    /// containerd still has what is to go.
    #[error(
        "containerd still gives handlers base runtime specs of `{}`: something has written them into its configuration again",
        _0.display()
    )]
    StillUsed(PathBuf),
    /// containerd does not say which it is.
    #[error("{0}: name its version with --containerd-version")]
    ContainerdVersion(crate::containerd::ReadError),
    /// Flags that contradict each other.
    #[error("{0}")]
    MalformedCommand(String),
    /// The daemon gave no answer.
    #[error("binauthd does not answer on `{}`, see `systemctl status binauthd`", socket.display())]
    Unreachable {
        /// The admin socket.
        socket: PathBuf,
        /// Why not.
        #[source]
        cause: NoAnswer,
    },
    /// The daemon answered that it has no answer.
    #[error("binauthd cannot answer that: {message} ({reason})")]
    Daemon {
        /// Stable code.
        reason: String,
        /// For people.
        message: String,
    },
    /// A file of `bundle export` that cannot be put anywhere.
    #[error("cannot import `{}`: {cause}", path.display())]
    Transfer {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: String,
    },
    /// The configuration cannot be understood.
    #[error("the configuration cannot be used: `binauthctl config check` says what is wrong with it")]
    Config(#[from] ConfigError),
}

/// A file in a folder that counts for nothing, and why.
#[derive(Debug, thiserror::Error)]
#[error("`{place}` counts for nothing")]
pub(super) struct Problem {
    pub(super) place: Place,
    #[source]
    pub(super) cause: ProblemCause,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ProblemCause {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error(transparent)]
    Attestor(#[from] AttestorError),
    #[error(transparent)]
    Occurrence(#[from] ReadError),
}

/// The exit code of an answer, or of there being none: a refusal of what was understood is 1, what
/// could not be understood or decided is 2.
#[must_use]
pub fn exit_code(answer: &Result<Outcome, CliError>) -> u8 {
    match answer {
        Ok(Outcome::Fine) => 0,
        Ok(Outcome::Failed) => 1,
        Ok(Outcome::Undecided) => 2,
        Ok(Outcome::Unreachable) => 3,
        Err(CliError::Unreachable { .. }) => 3,
        Err(
            CliError::Exists { .. }
            | CliError::AttestorExists { .. }
            | CliError::KeyIdTaken { .. }
            | CliError::NoKey { .. }
            | CliError::NotItsKey { .. }
            | CliError::NotSigned(_)
            | CliError::NotPushed { .. }
            | CliError::NotFetched { .. }
            | CliError::NotGranted(_)
            | CliError::NotApplied { .. }
            | CliError::NotRevoked(_)
            | CliError::RolledBack { .. }
            | CliError::NotVerified { .. }
            | CliError::StoredOtherwise { .. }
            | CliError::Remote(RemoteError::Exists { .. } | RemoteError::Changed { .. }),
        ) => 1,
        Err(_) => 2,
    }
}

fn left(problems: &[String]) -> String {
    if problems.is_empty() { String::new() } else { format!(", but for this: {}", problems.join("; ")) }
}
