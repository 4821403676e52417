//! One signature against one attestor: which bytes it proves, and whether those attest a digest.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{MAX_VERIFICATIONS, Miss};
use crate::attestation::attestor::{Attestor, AttestorKey, Key};
use crate::attestation::dsse::{self, Envelope};
use crate::attestation::jwt::Compact;
use crate::attestation::key::{Check, KeyId, PublicKey};
use crate::attestation::occurrence::{Form, Signature};
use crate::attestation::payload::Claim;
use crate::attestation::pgp::{Certificate, PgpMiss};
use crate::attestation::statement::{self, Predicate, Statement};
use crate::image::Digest;
use crate::text::shown;

/// A signature that holds, over what attests the digest.
pub(super) struct Approval {
    pub(super) key_id: KeyId,
    /// How it was made, for people.
    pub(super) form: &'static str,
    /// Where the signer saw the image, if that is said.
    pub(super) docker_reference: Option<String>,
}

/// Bytes that a signature has been seen to hold over.
struct Signed<'a> {
    key: &'a AttestorKey,
    form: &'static str,
    bytes: Cow<'a, [u8]>,
    /// Signed with them; without one they are a simple-signing payload or nothing.
    media_type: Option<&'a str>,
}

/// What is left to spend on the signatures of one attestor.
pub(super) struct Search<'a> {
    attestor: &'a Attestor,
    dsse_types: &'a [String],
    left: usize,
    /// Which was looked at as the how-manieth.
    tried: HashMap<(&'a str, Over<'a>, &'a [u8]), usize>,
}

/// What a signature is over. Two are the same only where this, the bytes and the key they name are:
/// whoever files a good one again with another of these must not pass for it.
#[derive(PartialEq, Eq, Hash)]
enum Over<'a> {
    Detached(&'a [u8]),
    Dsse(&'a str, &'a [u8]),
    /// These two carry what they are over.
    Attached,
    Jwt,
}

impl<'a> Over<'a> {
    fn of(signature: &'a Signature) -> Self {
        match &signature.form {
            Form::Detached(payload) => Self::Detached(payload),
            Form::Dsse(envelope) => Self::Dsse(&envelope.payload_type, &envelope.payload),
            Form::Attached => Self::Attached,
            Form::Jwt => Self::Jwt,
        }
    }
}

/// Identifies what a signature is over and the key that it names; together with its bytes, the signature.
pub(super) fn hash(signature: &Signature) -> Digest {
    let (form, kind, payload): (u8, &str, &[u8]) = match Over::of(signature) {
        Over::Detached(payload) => (0, "", payload),
        Over::Dsse(kind, payload) => (1, kind, payload),
        Over::Attached => (2, "", &[]),
        Over::Jwt => (3, "", &[]),
    };
    let mut bytes = vec![form];
    for field in [signature.key_id.as_bytes(), kind.as_bytes(), payload] {
        bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
        bytes.extend_from_slice(field);
    }
    Digest::of(&bytes)
}

/// Why no key can be read from a token, if so.
pub(super) fn unreadable(signature: &Signature) -> Option<String> {
    if !matches!(signature.form, Form::Jwt) || !signature.key_id.is_empty() {
        return None;
    }
    let text = std::str::from_utf8(&signature.bytes).unwrap_or_default();
    Compact::parse(text).err().map(|error| shown(&error.to_string(), 200))
}

impl<'a> Search<'a> {
    pub(super) fn new(attestor: &'a Attestor, dsse_types: &'a [String]) -> Self {
        Self { attestor, dsse_types, left: 0, tried: HashMap::new() }
    }

    /// Allows [`MAX_VERIFICATIONS`] from here on.
    pub(super) fn refill(&mut self) {
        self.left = MAX_VERIFICATIONS;
    }

    /// Whether `signature` attests `digest`; `None` where the same one was asked about before.
    pub(super) fn approval(
        &mut self,
        signature: &'a Signature,
        digest: Digest,
    ) -> Option<Result<Approval, Miss>> {
        let (_, true) = self.turn(signature) else { return None };
        Some(self.signed(signature).and_then(|signed| self.read_approval(&signed, digest)))
    }

    /// The statement that `signature` holds over.
    pub(super) fn statement(&mut self, signature: &'a Signature) -> Result<(KeyId, Statement), Miss> {
        let signed = self.signed(signature)?;
        let statement = Statement::parse(&signed.bytes).map_err(|error| signed.wrong(&error))?;
        Ok((signed.key.id.clone(), statement))
    }

    /// The number of a signature, the same each time, and whether it is new.
    pub(super) fn turn(&mut self, signature: &'a Signature) -> (usize, bool) {
        let next = self.tried.len();
        match self.tried.entry((&signature.key_id, Over::of(signature), &signature.bytes)) {
            Entry::Occupied(known) => (*known.get(), false),
            Entry::Vacant(new) => (*new.insert(next), true),
        }
    }

    /// Finds the key that the signature holds under.
    fn signed(&mut self, signature: &'a Signature) -> Result<Signed<'a>, Miss> {
        if let Some(key) = self.attestor.key(&signature.key_id) {
            return self.signed_by(key, signature);
        }
        let mut last = Miss::UnknownKey(shown(&signature.key_id, 120));
        // Only an envelope may leave its key to be found.
        if !matches!(signature.form, Form::Dsse(_)) {
            return Err(last);
        }
        for key in self.attestor.keys() {
            match self.signed_by(key, signature) {
                Err(Miss::TooMany) => return Err(Miss::TooMany),
                Err(miss) if signature.key_id.is_empty() => last = miss,
                Err(_) => {}
                Ok(signed) => return Ok(signed),
            }
        }
        Err(last)
    }

    fn signed_by(&mut self, key: &'a AttestorKey, signature: &'a Signature) -> Result<Signed<'a>, Miss> {
        match (&signature.form, &key.key) {
            (Form::Detached(payload), Key::Pkix(public)) => self.detached(key, public, payload, signature),
            (Form::Detached(payload), Key::Pgp(certificate)) => {
                let signed = self.open(key, certificate, &signature.bytes)?;
                if *signed.bytes == **payload {
                    return Ok(signed);
                }
                Err(signed.wrong(&"the OpenPGP message holds other bytes than the occurrence's payload"))
            }
            (Form::Attached, Key::Pgp(certificate)) => self.open(key, certificate, &signature.bytes),
            (Form::Dsse(envelope), Key::Pkix(public)) => self.enveloped(key, public, envelope, signature),
            (Form::Jwt, Key::Pkix(public)) => self.token(key, public, &signature.bytes),
            (Form::Attached, Key::Pkix(_)) => {
                Err(malformed(key, "an OpenPGP message, and the key is a PKIX key"))
            }
            (Form::Dsse(_) | Form::Jwt, Key::Pgp(_)) => {
                Err(malformed(key, "a PKIX signature, and the key is an OpenPGP key"))
            }
        }
    }

    /// Over the payload as it is, or over its PAE under one of the types that are accepted; nothing in the
    /// occurrence says which.
    fn detached(
        &mut self,
        key: &'a AttestorKey,
        public: &PublicKey,
        payload: &'a [u8],
        signature: &Signature,
    ) -> Result<Signed<'a>, Miss> {
        let signed = |form, media_type| Signed { key, form, bytes: Cow::Borrowed(payload), media_type };
        let miss = match self.spend(key, || public.check(payload, &signature.bytes)) {
            Ok(()) => return Ok(signed("signature over the payload", None)),
            Err(miss @ Miss::BadSignature(_)) => miss,
            Err(miss) => return Err(miss),
        };
        for media_type in self.dsse_types {
            let encoded = dsse::pae(media_type, payload);
            match self.spend(key, || public.check(&encoded, &signature.bytes)) {
                Ok(()) => return Ok(signed("signature over the PAE of the payload", Some(media_type))),
                // It was checked and does not hold; that the bound ends here is the lesser news.
                Err(Miss::TooMany) => break,
                Err(_) => {}
            }
        }
        Err(miss)
    }

    fn enveloped(
        &mut self,
        key: &'a AttestorKey,
        public: &PublicKey,
        envelope: &'a Envelope,
        signature: &Signature,
    ) -> Result<Signed<'a>, Miss> {
        let encoded = dsse::pae(&envelope.payload_type, &envelope.payload);
        self.spend(key, || public.check(&encoded, &signature.bytes))?;
        let bytes = Cow::Borrowed(envelope.payload.as_slice());
        Ok(Signed { key, form: "DSSE envelope", bytes, media_type: Some(&envelope.payload_type) })
    }

    /// The algorithm is the key's: what the token says of it must agree (RFC 8725, 3.1).
    fn token(
        &mut self,
        key: &'a AttestorKey,
        public: &PublicKey,
        text: &'a [u8],
    ) -> Result<Signed<'a>, Miss> {
        let text = std::str::from_utf8(text).map_err(|_| malformed(key, "not a token"))?;
        let token = Compact::parse(text).map_err(|error| malformed(key, &error.to_string()))?;
        if public.algorithm().jws() != token.algorithm() {
            let (declared, actual) = (shown(token.algorithm(), 40), public.algorithm().as_str());
            return Err(malformed(key, &format!("a token for `{declared}`, and the key is for {actual}")));
        }
        self.spend(key, || public.check_jws(token.signing_input(), token.signature()))?;
        Ok(Signed {
            key,
            form: "JSON Web Token",
            bytes: Cow::Owned(token.payload().to_vec()),
            media_type: None,
        })
    }

    fn open(
        &mut self,
        key: &'a AttestorKey,
        certificate: &Certificate,
        message: &[u8],
    ) -> Result<Signed<'a>, Miss> {
        if self.left == 0 {
            return Err(Miss::TooMany);
        }
        // Unpacking is work too, so a message that proves nothing counts as well.
        self.left -= 1;
        let literal = certificate.open(message).map_err(|miss| match miss {
            PgpMiss::Malformed(why) | PgpMiss::Unsupported(why) => malformed(key, &why),
            PgpMiss::UnknownKey | PgpMiss::BadSignature => Miss::BadSignature(key.id.clone()),
            PgpMiss::Expired => Miss::Expired(key.id.clone()),
            PgpMiss::Revoked => Miss::Revoked(key.id.clone()),
        })?;
        Ok(Signed { key, form: "OpenPGP message", bytes: Cow::Owned(literal), media_type: None })
    }

    /// One public-key operation. What is not even shaped as a signature costs none.
    fn spend(&mut self, key: &AttestorKey, check: impl FnOnce() -> Check) -> Result<(), Miss> {
        if self.left == 0 {
            return Err(Miss::TooMany);
        }
        match check() {
            Check::Malformed => Err(malformed(key, "not a signature of the key's algorithm")),
            Check::Holds => Ok(()),
            Check::Fails => {
                self.left -= 1;
                Err(Miss::BadSignature(key.id.clone()))
            }
        }
    }

    /// Reads what a signature holds over. The type that was signed says as what.
    fn read_approval(&self, signed: &Signed<'_>, digest: Digest) -> Result<Approval, Miss> {
        let docker_reference = match signed.media_type {
            Some(statement::PAYLOAD_TYPE) => {
                self.read_statement(signed, digest)?;
                None
            }
            Some(other) if !self.dsse_types.iter().any(|accepted| accepted == other) => {
                let other = shown(other, 120);
                return Err(
                    signed.wrong(&format!("payload type `{other}` is not accepted as an attestation"))
                );
            }
            Some(_) | None => {
                let claim = Claim::parse(&signed.bytes).map_err(|error| signed.wrong(&error))?;
                if claim.digest != digest {
                    return Err(signed.wrong(&format!("the signed payload is for {}", claim.digest)));
                }
                Some(claim.docker_reference)
            }
        };
        Ok(Approval { key_id: signed.key.id.clone(), form: signed.form, docker_reference })
    }

    /// A statement about the digest attests it, unless it tells what was found, or that something failed.
    fn read_statement(&self, signed: &Signed<'_>, digest: Digest) -> Result<(), Miss> {
        let statement = Statement::parse(&signed.bytes).map_err(|error| signed.wrong(&error))?;
        if !statement.subjects.contains(&digest) {
            return Err(signed.wrong(&"the signed statement is about other digests"));
        }
        let kind = shown(&statement.predicate_type, 120);
        if self.attestor.predicate_types().is_some_and(|types| !types.contains(&statement.predicate_type)) {
            return Err(signed.wrong(&format!("predicate `{kind}` is none that this attestor attests with")));
        }
        match &statement.predicate {
            Predicate::Provenance(_) | Predicate::Other => Ok(()),
            Predicate::Scan(_) => {
                Err(signed.wrong(&format!("`{kind}` tells what a scan found and approves nothing")))
            }
            Predicate::Negative(what) => Err(signed.wrong(&format!("`{kind}` says {}", shown(what, 60)))),
            Predicate::Unreadable(why) => Err(signed.wrong(&format!("`{kind}`: {}", shown(why, 100)))),
        }
    }
}

impl Signed<'_> {
    fn wrong(&self, what: &dyn std::fmt::Display) -> Miss {
        Miss::WrongPayload(self.key.id.clone(), shown(&what.to_string(), 200))
    }
}

fn malformed(key: &AttestorKey, what: &str) -> Miss {
    Miss::Malformed(Some(key.id.clone()), shown(what, 200))
}
