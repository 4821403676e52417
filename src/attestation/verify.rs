//! The check: which attestors have attested a digest. The only maker of [`Verified`] and of
//! [`VerifiedStatement`].
//!
//! OR over occurrences, signatures and keys; a bad one never spoils a good one, as far as
//! [`MAX_VERIFICATIONS`] reaches. The digest in the signed bytes is the authority; they are parsed only
//! once a signature over them has held.

mod signed;

use std::time::SystemTime;

use serde::Serialize;

use self::signed::{Approval, Search};
use super::attestor::{Attestor, is_filed_in, project_of_occurrence};
use super::candidates::{in_turn, may_name, ordered};
use super::key::KeyId;
use super::key_ring::{Entry, KeyRing};
use super::name::AttestorName;
use super::occurrence::{Form, Occurrence, Signature};
use super::statement::{self, Predicate, Statement};
use crate::document::Version;
use crate::image::Digest;
use crate::text::shown;

/// The most signatures that are checked for one attestor and digest, as often again for envelopes that
/// name no key of it. Those that cannot be signatures of their key, repeat one that was checked, or name
/// a key that the attestor does not have cost nothing and do not count.
pub const MAX_VERIFICATIONS: usize = 256;

/// The most verified statements of one signer that are kept for a digest.
const MAX_STATEMENTS: usize = 64;

/// The most projects that are kept of those that one statement is filed in.
const MAX_FILINGS: usize = 64;

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
    /// The signature, and the hash of what it is over and of the key it names: by which it is found again.
    signature: Box<[u8]>,
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

    /// The very signature in `occurrence`, if it is there.
    fn find_in<'a>(&self, occurrence: &'a Occurrence) -> Option<(&'a Occurrence, &'a Signature)> {
        let same = |one: &&Signature| *one.bytes == *self.signature && signed::hash(one) == self.over;
        Some((occurrence, occurrence.signatures.iter().find(same)?))
    }
}

/// Proof that a key of a signer signed an in-toto statement about a digest.
#[derive(Debug, Clone)]
pub struct VerifiedStatement {
    key_id: KeyId,
    /// Its note and its occurrence, by its own name, wherever it is filed. Of each project one.
    filed: Vec<(String, String)>,
    statement: Statement,
    /// The number of its signature among those that were looked at.
    turn: usize,
}

impl VerifiedStatement {
    /// With which key.
    #[must_use]
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// Whether it is filed in one of these projects.
    #[must_use]
    pub fn is_filed_in(&self, projects: &[String]) -> bool {
        self.filed.iter().any(|(note, occurrence)| is_filed_in(projects, note, occurrence))
    }

    /// What it says.
    #[must_use]
    pub fn statement(&self) -> &Statement {
        &self.statement
    }
}

/// The statements of one signer about a digest.
#[derive(Debug, Clone, Default)]
pub struct Statements {
    /// Of scans only the newest.
    pub verified: Vec<VerifiedStatement>,
    /// Whether everything that may be one was looked at.
    pub complete: bool,
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
            || best.looks(in_turn(self.ours, named))
            || best.looks(in_turn(self.ours, unnamed))
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
        let states = |one: &Signature| match &one.form {
            Form::Dsse(envelope) => {
                envelope.payload_type == statement::PAYLOAD_TYPE && may_name(one, &digits)
            }
            _ => false,
        };
        let named = |one: &Signature| attestor.key(&one.key_id).is_some();
        let mut search = Search::new(attestor, self.dsse_types);
        let mut found = Statements { verified: Vec::new(), complete: true };
        for known in [true, false] {
            search.refill();
            for (occurrence, signature) in in_turn(self.ours, |one| states(one) && named(one) == known) {
                let (turn, is_new) = search.turn(signature);
                if !is_new {
                    found.file(turn, occurrence);
                    observer.look(attestor.name(), occurrence, Some(signature), Look::Repeats);
                    continue;
                }
                let look = match search.statement(signature) {
                    Ok((key_id, statement)) if statement.subjects.contains(&digest) => {
                        let look = Look::States(shown(&statement.predicate_type, 120));
                        found.add(VerifiedStatement {
                            key_id,
                            filed: vec![(occurrence.note.clone(), occurrence.name.clone())],
                            statement,
                            turn,
                        });
                        look
                    }
                    Ok((key_id, _)) => Look::Misses(Miss::WrongPayload(
                        key_id,
                        "the signed statement is about other digests".to_owned(),
                    )),
                    Err(miss) => Look::Misses(miss),
                };
                let too_many = look == Look::Misses(Miss::TooMany);
                observer.look(attestor.name(), occurrence, Some(signature), look);
                if too_many {
                    found.complete = false;
                    break;
                }
            }
        }
        found
    }
}

impl Statements {
    /// The same once more, elsewhere: a check may look in that project alone.
    fn file(&mut self, turn: usize, at: &Occurrence) {
        let Some(known) = self.verified.iter_mut().find(|known| known.turn == turn) else { return };
        let project = project_of_occurrence(&at.note, &at.name);
        let is_new = project.is_some_and(|project| !known.is_filed_in(&[project.to_owned()]));
        if is_new && known.filed.len() < MAX_FILINGS {
            known.filed.push((at.note.clone(), at.name.clone()));
        }
    }

    /// Of scans the newest alone can decide, so the others need no room.
    fn add(&mut self, statement: VerifiedStatement) {
        if let Some(finished) = scanned(&statement) {
            let newest = self.verified.iter().filter_map(scanned).max();
            if newest.is_some_and(|newest| newest > finished) {
                return;
            }
            self.verified.retain(|other| scanned(other).is_none_or(|other| other >= finished));
        }
        if self.verified.len() < MAX_STATEMENTS {
            self.verified.push(statement);
        } else {
            self.complete = false;
        }
    }
}

fn scanned(statement: &VerifiedStatement) -> Option<SystemTime> {
    match &statement.statement.predicate {
        Predicate::Scan(scan) => Some(scan.finished),
        _ => None,
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
