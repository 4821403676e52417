//! Reason codes: stable names for why a verdict is what it is. They appear in answers, audit records,
//! log lines and metrics, and do not change between versions.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::attestation::Miss;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident => $code:literal,)*) => {
        /// Why a verdict is what it is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// The stable code.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }
        }
    };
}

reasons! {
    // Allowed.
    /// An admission allowlist pattern matches the image's name.
    Allowlisted => "ALLOWLISTED",
    /// The rule allows everything.
    AlwaysAllow => "ALWAYS_ALLOW",
    /// Every required attestor has attested the digest.
    Attested => "ATTESTED",
    /// The gate got no answer and is wired to observe; recorded afterwards.
    Unanswered => "UNANSWERED",
    // Denied.
    /// The rule denies everything.
    AlwaysDeny => "ALWAYS_DENY",
    /// Attestation is required and the image was named without a digest.
    DigestMissing => "DIGEST_MISSING",
    /// No document defines a required attestor.
    AttestorMissing => "ATTESTOR_MISSING",
    /// Several documents define a required attestor.
    AttestorAmbiguous => "ATTESTOR_AMBIGUOUS",
    /// A required attestor has no keys.
    AttestorWithoutKeys => "ATTESTOR_WITHOUT_KEYS",
    /// No occurrence of the attestor's note names the digest.
    NoAttestation => "NO_ATTESTATION",
    /// There are signatures, none under a key id of the attestor.
    UnknownKey => "UNKNOWN_KEY",
    /// More signatures than are checked, none of those checked good.
    TooManySignatures => "TOO_MANY_SIGNATURES",
    /// A signature under a key id of the attestor does not verify.
    BadSignature => "BAD_SIGNATURE",
    /// A signature holds, but over something else than this digest.
    WrongPayload => "WRONG_PAYLOAD",
    // Cannot be decided, and so refused.
    /// There is no policy.
    PolicyMissing => "POLICY_MISSING",
    /// The policy cannot be obeyed and there is no last good version of it.
    PolicyUnreadable => "POLICY_UNREADABLE",
    /// The sources of attestations have not been read once since the daemon started.
    EvidenceUnread => "EVIDENCE_UNREAD",
    /// What the gate was handed breaks its contract.
    BadRequest => "BAD_REQUEST",
    /// The digest is not a sha256 digest in lower case.
    DigestUnsupported => "DIGEST_UNSUPPORTED",
    /// Name, digest and descriptor contradict each other.
    DigestMismatch => "DIGEST_MISMATCH",
    /// The descriptor's media type is not that of an image.
    MediaTypeUnknown => "MEDIA_TYPE_UNKNOWN",
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
            Miss::BadSignature(_) => Self::BadSignature,
            Miss::WrongPayload(..) => Self::WrongPayload,
        }
    }
}
