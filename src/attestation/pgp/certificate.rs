//! Reading a certificate: which of its keys may sign, and when.
//!
//! The newest of the primary key's signatures decides, as it replaces those before it. Where several are
//! equally new, or a direct key signature stands beside those on user ids, the strictest of what they say
//! does. A revocation is never taken back by anything newer.

use pgp::packet::{PublicKey, PublicSubkey, Signature, SignatureType, UserId};
use pgp::types::{KeyDetails as _, Tag};

use super::super::KeyId;
use super::message::Message;
use super::packet::{self, Packet, Packets};
use super::signer::{Key, Name, Signer, least_digest, legible_in_certificate};
use super::terms::{Terms, earliest, made, revocation};
use super::{MAX_CERTIFICATE, MAX_SIGNATURES, MAX_SUBKEYS, MAX_USER_IDS, PgpError, PgpMiss, Toil, armor};

const LABEL: &str = "PGP PUBLIC KEY BLOCK";
const PRIVATE_LABEL: &str = "PGP PRIVATE KEY BLOCK";
/// Octets; each signature on it hashes it again.
const MAX_USER_ID: usize = 4096;
const VERSION: u8 = 4;

/// One OpenPGP certificate with at least one key that may sign.
#[derive(Debug, Clone)]
pub struct Certificate {
    bytes: Vec<u8>,
    key_id: KeyId,
    signers: Vec<Signer>,
    /// Signing keys that are not accepted, with the reason.
    unfit: Vec<(Name, String)>,
}

impl Certificate {
    /// Reads what `gpg --export --armor` writes for one key: LF or CRLF, white space around it.
    ///
    /// # Errors
    /// See [`PgpError`].
    pub fn parse(armored: &str) -> Result<Self, PgpError> {
        if armored.len() > MAX_CERTIFICATE {
            return Err(PgpError::TooLong(armored.len()));
        }
        match armor::label(armored) {
            Some(LABEL) => Self::read(armor::body(armored, LABEL).map_err(PgpError::Armor)?),
            Some(PRIVATE_LABEL) => Err(PgpError::PrivateKey),
            Some(_) => Err(PgpError::Armor("it is a block of another kind")),
            None => Err(PgpError::Armor("no BEGIN line at its start")),
        }
    }

    /// Of the primary key: the upper-case hex of its fingerprint, 40 digits.
    #[must_use]
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// The packets without their armor.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The content of an attached message that exactly one key of this certificate signed, once: armored
    /// text, base64 of armored text, or the packets as they are.
    ///
    /// # Errors
    /// See [`PgpMiss`].
    pub fn open(&self, message: &[u8]) -> Result<Vec<u8>, PgpMiss> {
        self.open_counting(message, &mut Toil::default())
    }

    /// The same, telling what it took.
    ///
    /// # Errors
    /// See [`PgpMiss`].
    pub fn open_counting(&self, message: &[u8], toil: &mut Toil) -> Result<Vec<u8>, PgpMiss> {
        let Message { signature, literal, one_pass_id } = Message::read(message, &mut toil.octets)?;
        let Some(signer) = self.signers.iter().find(|signer| signer.name.issued(&signature)) else {
            let unfit = self.unfit.iter().find(|(name, _)| name.issued(&signature));
            return Err(unfit.map_or(PgpMiss::UnknownKey, |(_, cause)| PgpMiss::Unsupported(cause.clone())));
        };
        if one_pass_id.is_some_and(|id| !signer.name.is_id(&id)) {
            let cause = "signature and one-pass signature name different keys";
            return Err(PgpMiss::Malformed(cause.to_owned()));
        }
        toil.checks = signer.slowness();
        signer.check(&signature, &literal)?;
        Ok(literal)
    }

    pub(super) fn read(bytes: Vec<u8>) -> Result<Self, PgpError> {
        let parts = Parts::read(&bytes)?;
        let name = Name::of(&parts.primary);
        let least = least_digest(&parts.primary).map_err(PgpError::Primary)?;
        let key_id = KeyId::parse(&name.fingerprint().to_string().to_uppercase())
            .map_err(|_| PgpError::Malformed("no fingerprint"))?;

        let (terms, revoked) = parts.primary_terms()?;
        let expires = terms.expires_after.map(|after| u64::from(parts.created()) + u64::from(after));
        let primary = Signer {
            name,
            created: parts.created(),
            algorithm: parts.primary.algorithm(),
            least_digest: least,
            expires,
            revoked: None,
            key: Key::Primary(parts.primary.clone()),
        };
        let mut signers = if terms.signs == Some(false) { Vec::new() } else { vec![primary] };
        let mut unfit = Vec::new();
        for (key, signatures) in &parts.subkeys {
            match parts.subkey(key, signatures, expires)? {
                Subkey::Signs(signer) => signers.push(*signer),
                Subkey::Unfit(cause) => unfit.push((Name::of(key), cause)),
                Subkey::Other => {}
            }
        }
        if signers.is_empty() {
            return Err(PgpError::NoSigner);
        }
        for signer in &mut signers {
            signer.revoked = earliest(signer.revoked, revoked);
        }
        Ok(Self { bytes, key_id, signers, unfit })
    }
}

enum Subkey {
    Signs(Box<Signer>),
    /// It would sign, but is not of an accepted kind.
    Unfit(String),
    Other,
}

/// A certificate taken apart; signatures of others are left out already.
struct Parts {
    primary: PublicKey,
    /// Direct key signatures and key revocations.
    direct: Vec<Signature>,
    users: Vec<(UserId, Vec<Signature>)>,
    subkeys: Vec<(PublicSubkey, Vec<Signature>)>,
}

/// What the signatures before this point are on.
#[derive(Clone, Copy)]
enum On {
    Primary,
    User,
    Subkey,
    /// A user attribute, or a subkey that the library cannot read and that can therefore not sign.
    Nothing,
}

impl Parts {
    fn read(bytes: &[u8]) -> Result<Self, PgpError> {
        let mut packets = Packets::new(bytes);
        let first = packets.next().and_then(Result::ok);
        let mut parts = match first {
            Some(Packet { tag: packet::PUBLIC_KEY, body }) => Self::new(primary(&body)?),
            Some(Packet { tag: packet::SECRET_KEY, .. }) => return Err(PgpError::PrivateKey),
            _ => return Err(PgpError::Malformed("it does not begin with a public key")),
        };
        let name = Name::of(&parts.primary);
        let (mut on, mut users, mut subkeys, mut signatures) = (On::Primary, 0, 0, 0);
        for packet in packets {
            let Ok(Packet { tag, body }) = packet else {
                return Err(PgpError::Malformed("a packet is cut short or has no valid header"));
            };
            match tag {
                packet::SIGNATURE => {
                    count(&mut signatures, MAX_SIGNATURES, "signatures")?;
                    let signature = packet::signature(&body)
                        .ok_or(PgpError::Malformed("a signature that cannot be read"))?;
                    if name.may_have_issued(&signature) {
                        parts.file(on, signature);
                    }
                }
                packet::USER_ID | packet::USER_ATTRIBUTE => {
                    count(&mut users, MAX_USER_IDS, "user ids")?;
                    on = On::Nothing;
                    if tag == packet::USER_ID {
                        let user = Some(&body).filter(|body| body.len() <= MAX_USER_ID);
                        let user = user.and_then(|body| packet::user_id(body));
                        let user = user.ok_or(PgpError::Malformed("a user id that cannot be read"))?;
                        parts.users.push((user, Vec::new()));
                        on = On::User;
                    }
                }
                packet::PUBLIC_SUBKEY => {
                    count(&mut subkeys, MAX_SUBKEYS, "subkeys")?;
                    on = On::Nothing;
                    if let Some(key) = subkey(&body)? {
                        parts.subkeys.push((key, Vec::new()));
                        on = On::Subkey;
                    }
                }
                packet::PUBLIC_KEY => return Err(PgpError::Several),
                packet::SECRET_KEY | packet::SECRET_SUBKEY => return Err(PgpError::PrivateKey),
                _ => return Err(PgpError::Malformed("a packet that belongs to no certificate")),
            }
        }
        Ok(parts)
    }

    fn new(primary: PublicKey) -> Self {
        Self { primary, direct: Vec::new(), users: Vec::new(), subkeys: Vec::new() }
    }

    /// Puts a signature where it belongs; a key revocation counts wherever it stands.
    fn file(&mut self, on: On, signature: Signature) {
        use SignatureType as Type;
        let Some(kind) = signature.typ() else {
            // Of an unknown version: whatever it is on refuses it by name.
            return self.direct.push(signature);
        };
        match (on, kind) {
            (_, Type::KeyRevocation) | (On::Primary, Type::Key) => self.direct.push(signature),
            (
                On::User,
                Type::CertGeneric
                | Type::CertPersona
                | Type::CertCasual
                | Type::CertPositive
                | Type::CertRevocation,
            ) => self.users.last_mut().into_iter().for_each(|(_, list)| list.push(signature.clone())),
            (On::Subkey, Type::SubkeyBinding | Type::SubkeyRevocation) => {
                self.subkeys.last_mut().into_iter().for_each(|(_, list)| list.push(signature.clone()));
            }
            _ => {}
        }
    }

    fn created(&self) -> u32 {
        self.primary.created_at().as_secs()
    }

    fn judge(&self, signature: &Signature, on: &'static str) -> Result<(), PgpError> {
        legible_in_certificate(signature, self.primary.algorithm())
            .map_err(|cause| PgpError::Signature { on, cause })
    }

    /// What holds for the primary key, and from when on it is revoked.
    fn primary_terms(&self) -> Result<(Terms, Option<u32>), PgpError> {
        let (mut direct, mut revoked) = (None, None);
        for signature in &self.direct {
            self.judge(signature, "primary key")?;
            if signature.verify_key(&self.primary).is_err() {
                continue;
            }
            match signature.typ() {
                Some(SignatureType::KeyRevocation) => {
                    revoked = earliest(revoked, Some(revocation(signature)))
                }
                _ => direct = Terms::newest(direct, Terms::of(signature)),
            }
        }
        let mut on_users = None;
        for (user, signatures) in &self.users {
            let (mut terms, mut withdrawn) = (None, None);
            for signature in signatures {
                self.judge(signature, "user id")?;
                if signature.verify_certification(&self.primary, Tag::UserId, user).is_err() {
                    continue;
                }
                match signature.typ() {
                    Some(SignatureType::CertRevocation) => withdrawn = withdrawn.max(Some(made(signature))),
                    _ => terms = Terms::newest(terms, Terms::of(signature)),
                }
            }
            if let Some(terms) = terms.filter(|terms: &Terms| Some(terms.made) > withdrawn) {
                on_users = Terms::newest(on_users, terms);
            }
        }
        let terms = match (direct, on_users) {
            (Some(direct), Some(on_users)) => direct.strictest(on_users),
            (Some(terms), None) | (None, Some(terms)) => terms,
            (None, None) => return Err(PgpError::Unbound),
        };
        Ok((terms, revoked))
    }

    fn subkey(
        &self,
        key: &PublicSubkey,
        signatures: &[Signature],
        primary_expires: Option<u64>,
    ) -> Result<Subkey, PgpError> {
        // Keys that nothing claims to sign are most of them, and cost no verification.
        if !signatures.iter().any(|signature| signature.key_flags().sign()) {
            return Ok(Subkey::Other);
        }
        let least_digest = match least_digest(key) {
            Ok(octets) => octets,
            Err(cause) => return Ok(Subkey::Unfit(cause)),
        };
        let (mut terms, mut revoked) = (None, None);
        for signature in signatures {
            self.judge(signature, "subkeys")?;
            if signature.verify_subkey_binding(&self.primary, key).is_err() {
                continue;
            }
            match signature.typ() {
                Some(SignatureType::SubkeyRevocation) => {
                    revoked = earliest(revoked, Some(revocation(signature)));
                }
                _ => {
                    let mut bound = Terms::of(signature);
                    let signs = bound.signs == Some(true) && self.agreed(key, signature);
                    bound.signs = Some(signs);
                    terms = Terms::newest(terms, bound);
                }
            }
        }
        let Some(terms) = terms.filter(|terms: &Terms| terms.signs == Some(true)) else {
            return Ok(Subkey::Other);
        };
        let created = key.created_at().as_secs();
        let expires = terms.expires_after.map(|after| u64::from(created) + u64::from(after));
        Ok(Subkey::Signs(Box::new(Signer {
            name: Name::of(key),
            key: Key::Subkey(key.clone()),
            created,
            algorithm: key.algorithm(),
            least_digest,
            expires: earliest(expires, primary_expires),
            revoked,
        })))
    }

    /// Whether the subkey agreed to be bound: without that, anybody could claim another's signatures by
    /// binding the key that made them.
    fn agreed(&self, key: &PublicSubkey, binding: &Signature) -> bool {
        binding.embedded_signature().is_some_and(|back| {
            legible_in_certificate(back, key.algorithm()).is_ok()
                && back.verify_primary_key_binding(key, &self.primary).is_ok()
        })
    }
}

fn primary(body: &[u8]) -> Result<PublicKey, PgpError> {
    version(body)?;
    let mut rest = body;
    let key = PublicKey::try_from_reader(packet::header(Tag::PublicKey, body), &mut rest).ok();
    key.filter(|_| rest.is_empty()).ok_or(PgpError::Malformed("a primary key that cannot be read"))
}

/// `None` for a subkey that the library cannot read.
fn subkey(body: &[u8]) -> Result<Option<PublicSubkey>, PgpError> {
    version(body)?;
    let mut rest = body;
    let key = PublicSubkey::try_from_reader(packet::header(Tag::PublicSubkey, body), &mut rest).ok();
    Ok(key.filter(|_| rest.is_empty()))
}

fn version(body: &[u8]) -> Result<(), PgpError> {
    match body.first() {
        Some(&VERSION) => Ok(()),
        Some(&other) => Err(PgpError::Version(other)),
        None => Err(PgpError::Malformed("a key without content")),
    }
}

fn count(counted: &mut usize, limit: usize, what: &'static str) -> Result<(), PgpError> {
    *counted += 1;
    if *counted > limit { Err(PgpError::TooMany { what, limit }) } else { Ok(()) }
}
