//! One signature against one attestor: which bytes it proves, and whether those attest a digest.

use std::borrow::Cow;

use super::Miss;
use super::effort::Effort;
use super::tried::{Trial, Tried};
use crate::attestation::attestor::{Attestor, AttestorKey, Key};
use crate::attestation::dsse::{self, Envelope};
use crate::attestation::jwt::Compact;
use crate::attestation::key::{Check, KeyId, PublicKey};
use crate::attestation::occurrence::{Form, Signature};
use crate::attestation::payload::Claim;
use crate::attestation::pgp::{Certificate, PgpMiss, Toil};
use crate::attestation::statement::{self, Predicate, Statement};
use crate::image::Digest;
use crate::text::shown;

const OTHER_DIGESTS: &str = "the signed statement is about other digests";

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
    effort: Effort,
    tried: Tried<'a>,
}

/// What one key made of a signature, unless it was asked about it before.
type Tries<'a> = Option<Result<Signed<'a>, Miss>>;

/// Identifies what a signature is over, and how; together with its bytes, the signature.
pub(super) fn hash(signature: &Signature) -> Digest {
    let payload = Digest::of(payload(signature));
    match &signature.form {
        Form::Detached(_) => payload,
        Form::Dsse(envelope) => Digest::of(format!("{payload} {}", envelope.payload_type).as_bytes()),
        Form::Attached => Digest::of(b"attached"),
        Form::Jwt => Digest::of(b"token"),
    }
}

/// Why no key can be read from a token, if so.
pub(super) fn unreadable(signature: &Signature) -> Option<String> {
    if !matches!(signature.form, Form::Jwt) || !signature.key_id.is_empty() {
        return None;
    }
    let text = std::str::from_utf8(&signature.bytes).unwrap_or_default();
    Compact::parse(text).err().map(|error| shown(&error.to_string(), 200))
}

pub(super) fn payload(signature: &Signature) -> &[u8] {
    match &signature.form {
        Form::Detached(payload) => payload,
        Form::Dsse(envelope) => &envelope.payload,
        // They carry it.
        Form::Attached | Form::Jwt => &[],
    }
}

impl<'a> Search<'a> {
    pub(super) fn new(attestor: &'a Attestor, dsse_types: &'a [String]) -> Self {
        Self { attestor, dsse_types, effort: Effort::none(), tried: Tried::default() }
    }

    /// Allows as much as [`MAX_VERIFICATIONS`](super::MAX_VERIFICATIONS) cost from here on.
    pub(super) fn refill(&mut self) {
        self.effort = Effort::whole();
    }

    /// Whether `signature` attests `digest`; `None` where every key that it could be of was tried with the
    /// same one before.
    pub(super) fn approval(
        &mut self,
        signature: &'a Signature,
        digest: Digest,
    ) -> Option<Result<Approval, Miss>> {
        let signed = self.signed(signature)?;
        Some(signed.and_then(|signed| self.read_approval(&signed, digest)))
    }

    /// The statement about `digest` that `signature` holds over; `None` as for [`Self::approval`]. One that
    /// there is costs nothing: nobody but the signer makes more of them.
    pub(super) fn statement(
        &mut self,
        signature: &'a Signature,
        digest: Digest,
    ) -> Option<Result<(KeyId, Statement), Miss>> {
        let before = self.effort;
        let signed = self.signed(signature)?;
        Some(signed.and_then(|signed| {
            let statement = Statement::parse(&signed.bytes).map_err(|error| signed.wrong(&error))?;
            if !statement.subjects.contains(&digest) {
                return Err(signed.wrong(&OTHER_DIGESTS));
            }
            self.effort = before;
            Ok((signed.key.id.clone(), statement))
        }))
    }

    /// Finds the key that the signature holds under.
    fn signed(&mut self, signature: &'a Signature) -> Tries<'a> {
        if let Some(place) = self.attestor.place_of(&signature.key_id) {
            return self.signed_by(place, signature);
        }
        let unknown = || Miss::UnknownKey(shown(&signature.key_id, 120));
        // Only an envelope may leave its key to be found.
        if !matches!(signature.form, Form::Dsse(_)) {
            return Some(Err(unknown()));
        }
        let mut last = None;
        // Every key has its try, however many there are: one envelope is not too many.
        if self.effort.is_spent() {
            return Some(Err(Miss::TooMany));
        }
        for place in 0..self.attestor.keys().len() {
            match self.tried_by(place, signature) {
                None => {}
                Some(Err(miss)) => last = Some(if signature.key_id.is_empty() { miss } else { unknown() }),
                Some(Ok(signed)) => return Some(Ok(signed)),
            }
        }
        last.map(Err)
    }

    fn signed_by(&mut self, place: usize, signature: &'a Signature) -> Tries<'a> {
        if self.effort.is_spent() {
            return Some(Err(Miss::TooMany));
        }
        self.tried_by(place, signature)
    }

    fn tried_by(&mut self, place: usize, signature: &'a Signature) -> Tries<'a> {
        let key = self.attestor.keys().get(place)?;
        let media_type = match &signature.form {
            Form::Dsse(envelope) => envelope.payload_type.as_str(),
            Form::Detached(_) | Form::Attached | Form::Jwt => "",
        };
        let form = std::mem::discriminant(&signature.form);
        let trial = Trial { key: place, form, media_type, signature: &signature.bytes };
        let over = payload(signature);
        if self.tried.contains(trial, over, &mut self.effort) {
            return None;
        }
        let before = self.effort;
        let outcome = self.try_key(key, signature);
        // What cost nothing is seen to be no signature as fast as that it was there before.
        if self.effort != before {
            self.tried.note(trial, over, &mut self.effort);
        }
        Some(outcome)
    }

    fn try_key(&mut self, key: &'a AttestorKey, signature: &'a Signature) -> Result<Signed<'a>, Miss> {
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
        let check = public.check(payload, &signature.bytes);
        let miss = match self.spend(key, public, payload, check) {
            Ok(()) => return Ok(signed("signature over the payload", None)),
            Err(miss @ Miss::BadSignature(_)) => miss,
            Err(miss) => return Err(miss),
        };
        for media_type in self.dsse_types {
            // It was checked and does not hold; that the bound ends here is the lesser news.
            if self.effort.is_spent() {
                break;
            }
            let check = public.check(&dsse::pae(media_type, payload), &signature.bytes);
            if self.spend(key, public, payload, check).is_ok() {
                return Ok(signed("signature over the PAE of the payload", Some(media_type)));
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
        let encoded = || dsse::pae(&envelope.payload_type, &envelope.payload);
        let check = public.check_lazily(encoded, &signature.bytes);
        self.spend(key, public, &envelope.payload, check)?;
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
        let check = public.check_jws(token.signing_input(), token.signature());
        self.spend(key, public, text.as_bytes(), check)?;
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
        let mut toil = Toil::default();
        let opened = certificate.open_counting(message, &mut toil);
        self.effort.open(toil);
        let literal = opened.map_err(|miss| match miss {
            PgpMiss::Malformed(why) | PgpMiss::Unsupported(why) => malformed(key, &why),
            PgpMiss::UnknownKey | PgpMiss::BadSignature => Miss::BadSignature(key.id.clone()),
            PgpMiss::Expired => Miss::Expired(key.id.clone()),
            PgpMiss::Revoked => Miss::Revoked(key.id.clone()),
        })?;
        Ok(Signed { key, form: "OpenPGP message", bytes: Cow::Owned(literal), media_type: None })
    }

    /// Pays for a check. What is not even shaped as a signature costs nothing here.
    fn spend(
        &mut self,
        key: &AttestorKey,
        public: &PublicKey,
        message: &[u8],
        check: Check,
    ) -> Result<(), Miss> {
        if check != Check::Malformed {
            self.effort.check(public.algorithm(), message.len());
        }
        match check {
            Check::Malformed => Err(malformed(key, "not a signature of the key's algorithm")),
            Check::Holds => Ok(()),
            Check::Fails => Err(Miss::BadSignature(key.id.clone())),
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
            return Err(signed.wrong(&OTHER_DIGESTS));
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
            Predicate::Unreadable(why) | Predicate::UnreadableScan(why) => {
                Err(signed.wrong(&format!("`{kind}`: {}", shown(why, 100))))
            }
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
