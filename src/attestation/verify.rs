//! The check: which attestors have attested a digest. The only maker of [`Verified`] and of
//! [`VerifiedStatement`].
//!
//! OR over occurrences, signatures and keys; a bad one never spoils a good one, as far as
//! [`MAX_VERIFICATIONS`] reaches. The digest in the signed bytes is the authority; they are parsed only
//! once a signature over them has held.

mod effort;
mod signed;
mod statements;
mod tried;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use self::signed::{Approval, Search};
use self::statements::Filings;
pub use self::statements::{Statements, VerifiedStatement};
use super::attestor::Attestor;
pub use super::candidates::MAX_LOOKED_AT;
use super::candidates::{Turns, in_turn, may_name, ordered};
use super::key::KeyId;
use super::key_ring::{Entry, KeyRing};
use super::name::AttestorName;
use super::occurrence::{Form, Occurrence, Signature};
use super::statement;
use crate::document::Version;
use crate::image::Digest;
use crate::text::shown;

/// The most signatures that are checked for one attestor and digest, as often again for envelopes that
/// name no key of it. Fewer where a check takes longer than one with ECDSA P-256, as with P-521, with RSA
/// of 4096 bits, with OpenPGP, and over payloads of many KiB: the time that they take together is bounded.
/// Those that cannot be signatures of their key, repeat one that was checked, or name a key that the
/// attestor does not have do not count; of these there is a bound of its own, [`MAX_LOOKED_AT`].
pub const MAX_VERIFICATIONS: usize = 256;

/// The most different `docker-reference`s that are kept of an attestor that compares them.
const MAX_REFERENCES: usize = 64;

/// Proof that a key of an attestor signed what attests a digest. Only [`Evidence`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    attestor: AttestorName,
    key_id: KeyId,
    digest: Digest,
    occurrence: String,
    /// Under which names the signer saw the image, where the attestor compares that.
    references: Option<Box<[String]>>,
    /// The signature, the key id that it names, and the hash of what it is over: by which it is found again.
    signature: Box<[u8]>,
    names: Box<str>,
    over: Digest,
}

impl Verified {
    /// Who attested.
    #[must_use]
    pub fn attestor(&self) -> &AttestorName {
        &self.attestor
    }

    /// With which key.
    #[must_use]
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// What was attested.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The occurrence that held the signature, by its own name.
    #[must_use]
    pub fn occurrence(&self) -> &str {
        &self.occurrence
    }

    /// Every `docker-reference` under which the image is attested, where the attestor compares them;
    /// `None` where it does not.
    #[must_use]
    pub fn references(&self) -> Option<&[String]> {
        self.references.as_deref()
    }

    /// Whether the very signature is in `occurrence`.
    #[must_use]
    pub fn is_in(&self, occurrence: &Occurrence) -> bool {
        self.find_in(occurrence).is_some()
    }

    /// The very signature in `occurrence`, if it is there.
    fn find_in<'a>(&self, occurrence: &'a Occurrence) -> Option<(&'a Occurrence, &'a Signature)> {
        // Thousands of copies may share one payload.
        let mut hashed = None;
        let mut hash = |one: &Signature| {
            let over = (std::mem::discriminant(&one.form), std::ptr::from_ref(signed::payload(one)));
            match hashed {
                Some((known, hash)) if known == over => hash,
                _ => hashed.insert((over, signed::hash(one))).1,
            }
        };
        let same = |one: &&Signature| {
            *one.bytes == *self.signature && *one.key_id == *self.names && hash(one) == self.over
        };
        Some((occurrence, occurrence.signatures.iter().find(same)?))
    }
}

/// Why an attestor has no attestation of a digest that counts, from least to most specific.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Miss {
    /// Several documents define the attestor.
    Ambiguous,
    /// It has no keys, so nothing can satisfy it.
    NoKeys,
    /// No occurrence of its note names the digest.
    NoAttestation,
    /// There are signatures, all under key ids it does not have; this is one of them.
    UnknownKey(String),
    /// What stands under this key id is no signature of its kind of key, and why; without an id a token
    /// that none can be read from.
    Malformed(Option<KeyId>, String),
    /// A signature under this key id does not verify.
    BadSignature(KeyId),
    /// More signatures under its key ids than are checked, none of those checked good: a good one may be
    /// among the others.
    TooMany,
    /// A signature was made after this key had expired.
    Expired(KeyId),
    /// A signature was made with this key, which was revoked.
    Revoked(KeyId),
    /// A signature under this key id holds, but over something else.
    WrongPayload(KeyId, String),
}

/// What was found for one attestor.
pub type Finding = Result<Verified, Miss>;

/// What became of one signature that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// It attests the digest; how it was made.
    Attests(&'static str),
    /// It holds over a statement about the digest, of this predicate type.
    States(String),
    /// It does not count.
    Misses(Miss),
    /// The same signature was looked at before.
    Repeats,
    /// Its occurrence is filed elsewhere: under another note, or in another project.
    Elsewhere,
}

/// Is told of every signature that is looked at, in order; `None` stands for all of an occurrence.
pub trait Observer {
    /// Whether it wants to be told: what is only for telling is not made otherwise.
    const WATCHES: bool = true;

    /// One look, by `attestor`.
    fn look(&mut self, attestor: &AttestorName, at: &Occurrence, signature: Option<&Signature>, look: Look);
}

/// Nobody watches.
impl Observer for () {
    const WATCHES: bool = false;

    fn look(&mut self, _: &AttestorName, _: &Occurrence, _: Option<&Signature>, _: Look) {}
}

/// What is known of one digest under one key ring: a finding for every attestor in it.
#[derive(Debug, Clone)]
pub struct Evidence {
    digest: Digest,
    key_ring: Version,
    key_ring_identity: Digest,
    /// In the order of names. Not a map: most have one entry, and up to 18,000 of these are kept.
    findings: Box<[(AttestorName, Finding)]>,
    /// Of those whose statements are asked for.
    statements: Box<[(AttestorName, Statements)]>,
}

impl Evidence {
    /// Checks `occurrences` for `digest` with every attestor of `key_ring`.
    #[must_use]
    pub fn gather<'a>(
        digest: Digest,
        occurrences: impl IntoIterator<Item = &'a Occurrence>,
        key_ring: &KeyRing,
    ) -> Self {
        Self::gather_watched(digest, occurrences, key_ring, None, &mut ())
    }

    /// The same where something was known `before`: what was verified then stays, as long as it is filed
    /// and its key is there.
    #[must_use]
    pub fn gather_again<'a>(
        digest: Digest,
        occurrences: impl IntoIterator<Item = &'a Occurrence>,
        key_ring: &KeyRing,
        before: Option<&Self>,
    ) -> Self {
        Self::gather_watched(digest, occurrences, key_ring, before, &mut ())
    }

    /// The same, telling `observer` of each signature that is looked at.
    #[must_use]
    pub fn gather_watched<'a>(
        digest: Digest,
        occurrences: impl IntoIterator<Item = &'a Occurrence>,
        key_ring: &KeyRing,
        before: Option<&Self>,
        observer: &mut impl Observer,
    ) -> Self {
        let before = before.filter(|before| before.digest == digest);
        let about = occurrences.into_iter().filter(|occurrence| occurrence.digest == digest);
        let candidates = ordered(digest, about);
        let mut findings = Vec::new();
        let mut statements = Vec::new();
        for (name, entry) in key_ring.entries() {
            let Entry::Defined(attestor) = entry else {
                findings.push((name.clone(), Err(Miss::Ambiguous)));
                continue;
            };
            let mut ours = Vec::new();
            for &occurrence in &candidates {
                if attestor.filing().holds(&occurrence.note, &occurrence.name) {
                    ours.push(occurrence);
                } else {
                    observer.look(name, occurrence, None, Look::Elsewhere);
                }
            }
            let case = Asked { digest, ours: &ours, attestor, dsse_types: key_ring.dsse_types() };
            if key_ring.approves(name) {
                let before = before.and_then(|before| before.finding(name)?.as_ref().ok());
                findings.push((name.clone(), case.examine(before, observer)));
            }
            if key_ring.states(name) {
                statements.push((name.clone(), case.collect(observer)));
            }
        }
        Self {
            digest,
            key_ring: key_ring.version().clone(),
            key_ring_identity: key_ring.identity(),
            findings: findings.into(),
            statements: statements.into(),
        }
    }

    /// The digest it is about.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The key ring it was checked with; under another it says nothing.
    #[must_use]
    pub fn key_ring(&self) -> &Version {
        &self.key_ring
    }

    /// Whether it was checked with exactly this key ring.
    #[must_use]
    pub fn is_under(&self, key_ring: &KeyRing) -> bool {
        self.key_ring_identity == key_ring.identity()
    }

    /// What was found for `attestor`; `None` where the key ring does not know it.
    #[must_use]
    pub fn finding(&self, attestor: &AttestorName) -> Option<&Finding> {
        find(&self.findings, attestor)
    }

    /// The statements of `signer` about the digest; `None` where they were not asked for.
    #[must_use]
    pub fn statements(&self, signer: &AttestorName) -> Option<&Statements> {
        find(&self.statements, signer)
    }

    /// Everything that attests, in the order of attestor names.
    pub fn verified(&self) -> impl Iterator<Item = &Verified> {
        self.findings.iter().filter_map(|(_, finding)| finding.as_ref().ok())
    }

    /// What was found, in the order of attestor names.
    pub fn findings(&self) -> impl Iterator<Item = (&AttestorName, &Finding)> {
        self.findings.iter().map(|(name, finding)| (name, finding))
    }

    /// Why attestors have not attested it, one each.
    pub fn misses(&self) -> impl Iterator<Item = &Miss> {
        self.findings.iter().filter_map(|(_, finding)| finding.as_ref().err())
    }

    /// How many statements were verified, of all signers together.
    #[must_use]
    pub fn statement_count(&self) -> usize {
        self.statements.iter().map(|(_, statements)| statements.verified.len()).sum()
    }

    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        /// What a statement takes, which holds texts of its own.
        const STATEMENT: usize = 2_048;
        let names = |name: &AttestorName| name.as_str().len();
        let findings = self.findings.iter().map(|(name, finding)| {
            let text = match finding {
                Ok(verified) => verified.signature.len() + verified.names.len() + verified.occurrence.len(),
                Err(_) => 0,
            };
            size_of::<(AttestorName, Finding)>() + 2 * names(name) + text
        });
        let statements = self.statements.iter().map(|(name, statements)| {
            size_of::<Statements>() + names(name) + statements.verified.len() * STATEMENT
        });
        size_of::<Self>() + findings.sum::<usize>() + statements.sum::<usize>()
    }

    /// Whether anything verified is in it.
    #[must_use]
    pub fn is_found(&self) -> bool {
        self.verified().next().is_some()
            || self.statements.iter().any(|(_, statements)| !statements.verified.is_empty())
    }
}

fn find<'a, T>(sorted: &'a [(AttestorName, T)], name: &AttestorName) -> Option<&'a T> {
    let place = sorted.binary_search_by(|(other, _)| other.cmp(name)).ok()?;
    sorted.get(place).map(|(_, value)| value)
}

/// One attestor, and what is filed where it files.
#[derive(Clone, Copy)]
struct Asked<'a> {
    digest: Digest,
    ours: &'a [&'a Occurrence],
    attestor: &'a Attestor,
    dsse_types: &'a [String],
}

impl<'a> Asked<'a> {
    /// Looks for an attestation. What was verified `before` is looked for first and checked again: nothing
    /// that is filed beside it can push it out of [`MAX_VERIFICATIONS`].
    fn examine(self, before: Option<&Verified>, observer: &mut impl Observer) -> Finding {
        let Self { attestor, .. } = self;
        if attestor.keys().is_empty() {
            return Err(Miss::NoKeys);
        }
        let named = |one: &Signature| attestor.key(&one.key_id).is_some();
        // An envelope's key id is a hint that may be absent or of another spelling (DSSE, protocol.md).
        let unnamed = |one: &Signature| matches!(one.form, Form::Dsse(_)) && !named(one);
        let mut best = Best::new(self, observer);
        let again = before.and_then(|before| self.ours.iter().find_map(|filed| before.find_in(filed)));
        if best.looks(again.into_iter())
            || best.looks_in_turn(in_turn(self.ours, named))
            || best.looks_in_turn(in_turn(self.ours, unnamed))
        {
            return best.finding();
        }
        let stranger = |one: &Signature| !named(one) && !unnamed(one);
        best.strangers(in_turn(self.ours, stranger));
        best.finding()
    }

    /// Every statement that a key of the signer has signed about the digest.
    fn collect(self, observer: &mut impl Observer) -> Statements {
        let Self { attestor, digest, .. } = self;
        let digits = digest.hex();
        // Each envelope is searched once, whatever number of signatures it has.
        let searched = RefCell::new(HashMap::new());
        let states = |one: &Signature| match &one.form {
            Form::Dsse(envelope) => {
                envelope.payload_type == statement::PAYLOAD_TYPE
                    && *searched
                        .borrow_mut()
                        .entry(Arc::as_ptr(envelope))
                        .or_insert_with(|| may_name(one, &digits))
            }
            _ => false,
        };
        let named = |one: &Signature| attestor.key(&one.key_id).is_some();
        let mut search = Search::new(attestor, self.dsse_types);
        let filings = Filings::of(self.ours);
        // Without keys nothing of it can be known, which is not the same as that there is nothing.
        let mut found = Statements { verified: Vec::new(), complete: !attestor.keys().is_empty() };
        for known in [true, false] {
            search.refill();
            let mut turns = in_turn(self.ours, |one| states(one) && named(one) == known);
            for (occurrence, signature) in &mut turns {
                let Some(looked) = search.statement(signature, digest) else {
                    observer.look(attestor.name(), occurrence, Some(signature), Look::Repeats);
                    continue;
                };
                let look = match looked {
                    Ok((key_id, statement)) => {
                        let look = Look::States(shown(&statement.predicate_type, 120));
                        match filings.projects(signature) {
                            Some(projects) => found.add(VerifiedStatement { key_id, projects, statement }),
                            None => found.complete = false,
                        }
                        look
                    }
                    Err(miss) => Look::Misses(miss),
                };
                let too_many = look == Look::Misses(Miss::TooMany);
                observer.look(attestor.name(), occurrence, Some(signature), look);
                if too_many {
                    found.complete = false;
                    break;
                }
            }
            found.complete &= !turns.is_cut();
        }
        found
    }
}

/// The best that was found so far.
struct Best<'a, 'o, O> {
    asked: Asked<'a>,
    search: Search<'a>,
    verified: Option<Verified>,
    miss: Miss,
    observer: &'o mut O,
}

impl<'a, 'o, O: Observer> Best<'a, 'o, O> {
    fn new(asked: Asked<'a>, observer: &'o mut O) -> Self {
        let search = Search::new(asked.attestor, asked.dsse_types);
        Self { asked, search, verified: None, miss: Miss::NoAttestation, observer }
    }

    /// Looks at these until nothing more is to be found; whether that is so.
    fn looks(&mut self, candidates: impl Iterator<Item = (&'a Occurrence, &'a Signature)>) -> bool {
        self.search.refill();
        let name = self.asked.attestor.name();
        for (occurrence, signature) in candidates {
            let Some(outcome) = self.search.approval(signature, self.asked.digest) else {
                self.observer.look(name, occurrence, Some(signature), Look::Repeats);
                continue;
            };
            if O::WATCHES {
                let look = match &outcome {
                    Ok(approval) => Look::Attests(approval.form),
                    Err(miss) => Look::Misses(miss.clone()),
                };
                self.observer.look(name, occurrence, Some(signature), look);
            }
            match outcome {
                Ok(approval) => {
                    if self.take(occurrence, signature, approval) {
                        return true;
                    }
                }
                Err(miss) => {
                    let spent = miss == Miss::TooMany;
                    if self.miss < miss {
                        self.miss = miss;
                    }
                    if spent {
                        break;
                    }
                }
            }
        }
        false
    }

    /// The same; that not everything was looked at is a miss.
    fn looks_in_turn<F: Fn(&'a Signature) -> bool>(&mut self, mut turns: Turns<'a, F>) -> bool {
        let found = self.looks(&mut turns);
        if turns.is_cut() && self.miss < Miss::TooMany {
            self.miss = Miss::TooMany;
        }
        found
    }

    /// Keeps an approval; whether no other is needed.
    fn take(&mut self, occurrence: &Occurrence, signature: &Signature, approval: Approval) -> bool {
        let compares = self.asked.attestor.compares_docker_reference();
        let verified = self.verified.get_or_insert_with(|| Verified {
            attestor: self.asked.attestor.name().clone(),
            key_id: approval.key_id,
            digest: self.asked.digest,
            occurrence: occurrence.name.clone(),
            references: compares.then(Box::default),
            signature: signature.bytes.clone().into(),
            names: signature.key_id.as_str().into(),
            over: signed::hash(signature),
        });
        let Some(references) = &mut verified.references else { return true };
        if let Some(reference) = approval.docker_reference.filter(|new| !references.contains(new)) {
            let mut more = std::mem::take(references).into_vec();
            more.push(reference);
            *references = more.into();
        }
        references.len() >= MAX_REFERENCES
    }

    /// Signatures that name no key of the attestor; told only where nothing better is.
    fn strangers(&mut self, strangers: impl Iterator<Item = (&'a Occurrence, &'a Signature)>) {
        for (occurrence, signature) in strangers {
            // One is told of the thousands that there may be.
            if !O::WATCHES && self.miss >= Miss::Malformed(None, String::new()) {
                return;
            }
            // Only a token that cannot be read is worse than this.
            if !O::WATCHES && matches!(self.miss, Miss::UnknownKey(_)) && !matches!(signature.form, Form::Jwt)
            {
                continue;
            }
            let miss = match signed::unreadable(signature) {
                None => Miss::UnknownKey(shown(&signature.key_id, 120)),
                Some(why) => Miss::Malformed(None, why),
            };
            if O::WATCHES {
                let look = Look::Misses(miss.clone());
                self.observer.look(self.asked.attestor.name(), occurrence, Some(signature), look);
            }
            if std::mem::discriminant(&self.miss) != std::mem::discriminant(&miss) && self.miss < miss {
                self.miss = miss;
            }
        }
    }

    fn finding(self) -> Finding {
        self.verified.ok_or(self.miss)
    }
}

#[cfg(test)]
mod tests;
