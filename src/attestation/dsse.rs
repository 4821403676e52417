//! Dead Simple Signing Envelope: a payload, its type, and the bytes that a signature over both is made of
//! (secure-systems-lab/dsse, `protocol.md` 1.0).
//!
//! Knows nothing of signatures and of what a payload says. Key ids in an envelope are hints that nobody
//! signed, so they stay with the signatures.

/// What an envelope holds, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// How to read the payload, as the signer wrote it: a media type by custom.
    pub payload_type: String,
    /// The bytes the signer meant.
    pub payload: Vec<u8>,
}

/// The pre-authentication encoding: what is signed in place of `payload`, so that it cannot be taken for a
/// payload of another type.
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attestation::payload;
    use crate::image::Digest;

    #[test]
    fn vectors() {
        let digest =
            "sha256:abababababababababababababababababababababababababababababababab".parse().unwrap();
        let gcloud = payload::gcloud("registry.example.com/team/app", digest);
        let cosign = pae("application/vnd.dev.cosign.simplesigning.v1+json", gcloud.as_bytes());
        let hash = "sha256:ec6ad157ff016582b5f08f89fb0954fa13bfa0950afedbaad1fce55b08314c52";
        assert_eq!((cosign.len(), Digest::of(&cosign).to_string().as_str()), (354, hash));
        let example = pae("http://example.com/HelloWorld", b"hello world");
        assert_eq!(example, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
        // Lengths count bytes.
        assert_eq!(pae("é", b""), "DSSEv1 2 é 0 ".as_bytes());
    }
}
