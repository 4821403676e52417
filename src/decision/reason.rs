//! Reason codes: stable names for why a verdict is what it is. They appear in answers, audit records,
//! log lines and metrics, and do not change between versions. [`Reason`] has the table.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::attestation::Miss;

/// What a reason makes of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// The image may run.
    Allowed,
    /// The image may not run.
    Denied,
    /// The question has no answer, and so the image may not run.
    Undecided,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $class:ident $name:ident => $code:literal,)*) => {
        /// Why a verdict is what it is.
        ///
        /// | code | class | when |
        /// |---|---|---|
        $(#[doc = concat!("| `", $code, "` | ", stringify!($class), " |", $($doc,)* " |")])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])* $name,)*
        }

        impl Reason {
            /// Every reason, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stable code.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// When it is given, as a sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc,)*).trim_ascii(),)*
                }
            }

            /// What it makes of a question.
            #[must_use]
            pub fn class(self) -> Class {
                match self {
                    $(Self::$name => Class::$class,)*
                }
            }
        }
    };
}

reasons! {
    /// The system policy lists the digest, or trusts a registry that the image's name matches.
    Allowed SystemPolicy => "SYSTEM_POLICY",
    /// An admission allowlist pattern matches the image's name.
    Allowed Allowlisted => "ALLOWLISTED",
    /// The rule allows everything.
    Allowed AlwaysAllow => "ALWAYS_ALLOW",
    /// Every required attestor has attested the digest.
    Allowed Attested => "ATTESTED",
    /// Only a platform policy decides, and it refuses nothing.
    Allowed Conformant => "CONFORMANT",
    /// A rule or a check refuses, and a signed break-glass grant or, where the node allows that, the pod's label overrides it.
    Allowed BreakGlass => "BREAK_GLASS",
    /// The gate got no answer and is wired to observe; recorded afterwards.
    Allowed Unanswered => "UNANSWERED",
    /// A container was started without having passed a gate; recorded afterwards.
    Allowed UngatedStart => "UNGATED_START",
    /// It is the image that binauthd refuses to prove that it is asked; see `binauthctl doctor --canary`.
    Denied Canary => "CANARY",
    /// The deny list names the index, the manifest or the config of the image.
    Denied DenyListed => "DENY_LISTED",
    /// The rule denies everything.
    Denied AlwaysDeny => "ALWAYS_DENY",
    /// Attestation is required and the image was named without a digest.
    Denied DigestMissing => "DIGEST_MISSING",
    /// Attestation is required, the image was named by a tag, and `deny_tags` is set.
    Denied TagDenied => "TAG_DENIED",
    /// `subjects` leaves no digest of the image that an attestation may name.
    Denied SubjectNotAttestable => "SUBJECT_NOT_ATTESTABLE",
    /// No document defines a required attestor.
    Denied AttestorMissing => "ATTESTOR_MISSING",
    /// Several documents define a required attestor.
    Denied AttestorAmbiguous => "ATTESTOR_AMBIGUOUS",
    /// A required attestor has no keys.
    Denied AttestorWithoutKeys => "ATTESTOR_WITHOUT_KEYS",
    /// No occurrence of the attestor's note names the digest.
    Denied NoAttestation => "NO_ATTESTATION",
    /// The same, and a source that could hold one cannot be asked.
    Denied SourceUnreachable => "SOURCE_UNREACHABLE",
    /// The same, and it is being looked up; to be tried again.
    Denied LookupPending => "LOOKUP_PENDING",
    /// The same, and too much of its repository or namespace was looked up lately; to be tried again.
    Denied LookupLimited => "LOOKUP_LIMITED",
    /// The digest is attested, by evidence older than the rule or the configuration allows.
    Denied EvidenceStale => "EVIDENCE_STALE",
    /// There are signatures, none under a key id of the attestor.
    Denied UnknownKey => "UNKNOWN_KEY",
    /// More signatures than are checked, none of those checked good.
    Denied TooManySignatures => "TOO_MANY_SIGNATURES",
    /// What stands under a key id of the attestor is no signature of that kind of key.
    Denied MalformedSignature => "MALFORMED_SIGNATURE",
    /// A signature under a key id of the attestor does not verify.
    Denied BadSignature => "BAD_SIGNATURE",
    /// A signature was made after its OpenPGP key had expired.
    Denied KeyExpired => "KEY_EXPIRED",
    /// A signature was made with an OpenPGP key that was revoked.
    Denied KeyRevoked => "KEY_REVOKED",
    /// A signature holds, but over something else than an attestation of this digest.
    Denied WrongPayload => "WRONG_PAYLOAD",
    /// The digest is attested, under another `docker-reference` than the image's, and the attestor compares it.
    Denied DockerReferenceMismatch => "DOCKER_REFERENCE_MISMATCH",
    /// A check of the platform policy denies everything.
    Denied CheckAlwaysDeny => "CHECK_ALWAYS_DENY",
    /// The image lies in no trusted directory.
    Denied UntrustedDirectory => "UNTRUSTED_DIRECTORY",
    /// No verified statement says when the image was built or scanned.
    Denied NoSignedTime => "NO_SIGNED_TIME",
    /// The newest signed build or scan time is older than the freshness check allows.
    Denied ImageTooOld => "IMAGE_TOO_OLD",
    /// No verified SLSA provenance names the digest.
    Denied NoProvenance => "NO_PROVENANCE",
    /// Verified provenance names a builder that is not trusted.
    Denied UntrustedBuilder => "UNTRUSTED_BUILDER",
    /// Verified provenance tells of no build configuration in the source, and one is required.
    Denied NotConfigBased => "NOT_CONFIG_BASED",
    /// Verified provenance names a source repository that is not trusted.
    Denied UntrustedSource => "UNTRUSTED_SOURCE",
    /// No verified vulnerability scan names the digest.
    Denied NoScan => "NO_SCAN",
    /// The newest verified scan is older than `maxScanAge`.
    Denied ScanTooOld => "SCAN_TOO_OLD",
    /// A verified scan cannot be read or is dated in the future, or not every scan could be looked at.
    Denied ScanUnreadable => "SCAN_UNREADABLE",
    /// The newest verified scan found more than the check allows.
    Denied Vulnerable => "VULNERABLE",
    /// The container would be restored from a checkpoint, whose memory and files nobody has attested.
    Denied CheckpointRestore => "CHECKPOINT_RESTORE",
    /// The container's runtime handler carries no create hook and is not among `allow_handlers`.
    Denied HandlerUngated => "HANDLER_UNGATED",
    /// The container reaches the files, sockets or processes by which this node guards itself, or where that is refused what it
    /// runs as root, and its digest is not listed.
    Denied HostAccess => "HOST_ACCESS",
    /// There is no policy.
    Undecided PolicyMissing => "POLICY_MISSING",
    /// A policy document cannot be obeyed and there is no last good version of it.
    Undecided PolicyUnreadable => "POLICY_UNREADABLE",
    /// No copy of what the node has accepted before can be read: its highest policy bundle and its last good documents.
    Undecided TrustLost => "TRUST_LOST",
    /// The sources of attestations have not been read once since the daemon started.
    Undecided EvidenceUnread => "EVIDENCE_UNREAD",
    /// Rules that may apply to the pod disagree, and what would tell them apart is not known here.
    Undecided PodContextUnknown => "POD_CONTEXT_UNKNOWN",
    /// What the gate was handed breaks its contract.
    Undecided BadRequest => "BAD_REQUEST",
    /// The digest is not a sha256 digest in lower case.
    Undecided DigestUnsupported => "DIGEST_UNSUPPORTED",
    /// Name, digest and descriptor contradict each other.
    Undecided DigestMismatch => "DIGEST_MISMATCH",
    /// The descriptor's media type is not that of an image.
    Undecided MediaTypeUnknown => "MEDIA_TYPE_UNKNOWN",
    /// containerd has no snapshot of the container, or several.
    Undecided SnapshotUnknown => "SNAPSHOT_UNKNOWN",
    /// The container's snapshotter is not among `snapshotters`.
    Undecided SnapshotterUnlisted => "SNAPSHOTTER_UNLISTED",
    /// No image on this node leads, by hashes recomputed here, to the file system that the container would run.
    Undecided ImageUnknown => "IMAGE_UNKNOWN",
    /// The image config of the container's record does not lead to its file system.
    Undecided ImageMismatch => "IMAGE_MISMATCH",
    /// containerd did not answer what has to be known.
    Undecided ContainerdUnread => "CONTAINERD_UNREAD",
    /// There was no decision within the time that the runtime gives.
    Undecided NotInTime => "NOT_IN_TIME",
    /// The audit trail cannot be written, and `audit.on_failure` is `refuse`.
    Undecided AuditUnavailable => "AUDIT_UNAVAILABLE",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl From<&Miss> for Reason {
    fn from(miss: &Miss) -> Self {
        match miss {
            Miss::Ambiguous => Self::AttestorAmbiguous,
            Miss::NoKeys => Self::AttestorWithoutKeys,
            Miss::NoAttestation => Self::NoAttestation,
            Miss::UnknownKey(_) => Self::UnknownKey,
            Miss::TooMany => Self::TooManySignatures,
            Miss::Malformed(..) => Self::MalformedSignature,
            Miss::BadSignature(_) => Self::BadSignature,
            Miss::Expired(_) => Self::KeyExpired,
            Miss::Revoked(_) => Self::KeyRevoked,
            Miss::WrongPayload(..) => Self::WrongPayload,
        }
    }
}
