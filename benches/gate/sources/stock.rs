//! Attestations for a store, signed and laid out in pages before anything is measured.

use std::sync::Arc;

use binauthd::image::Digest;

use super::super::attest::{Key, attestor, policy};

/// Occurrences of a page.
pub(super) const PAGE: usize = 1_000;
const ATTESTOR: &str = "build";
const REPOSITORY: &str = "registry.example.com/team/app";
const SIGNERS: usize = 2;

/// What a store may hold.
pub(super) struct Stock {
    /// Each the elements of a JSON list.
    pub(super) pages: Arc<[Vec<u8>]>,
    key: Key,
}

impl Stock {
    /// So many, a multiple of [`PAGE`].
    pub(super) fn of(count: usize) -> Self {
        let key = Key::new(1);
        let mut pages = vec![Vec::new(); count / PAGE];
        std::thread::scope(|scope| {
            for some in pages.chunks_mut((count / PAGE).div_ceil(SIGNERS)).enumerate() {
                let (signer, some) = (some.0 * (count / PAGE).div_ceil(SIGNERS), some.1);
                let key = &key;
                scope.spawn(move || {
                    for (page, text) in (signer..).zip(some) {
                        let all: Vec<_> = (page * PAGE..(page + 1) * PAGE)
                            .map(|n| attestation(key, digest("listed", n)))
                            .collect();
                        *text = all.join(",").into_bytes();
                    }
                });
            }
        });
        Self { pages: pages.into(), key }
    }

    pub(super) fn len(&self) -> usize {
        self.pages.len() * PAGE
    }

    /// The image of attestation number `n`.
    pub(super) fn digest(&self, n: usize) -> Digest {
        digest("listed", n)
    }

    /// An image that no page names, and its attestation.
    pub(super) fn unlisted(&self, n: usize) -> (Digest, String) {
        let digest = digest("unlisted", n);
        (digest, attestation(&self.key, digest))
    }
}

fn digest(kind: &str, n: usize) -> Digest {
    Digest::of(format!("{kind} {n}").as_bytes())
}

fn attestation(key: &Key, digest: Digest) -> String {
    key.attest(ATTESTOR, REPOSITORY, digest)
}

/// A policy that requires the attestor of all this, and its document.
pub(super) fn documents() -> (String, String) {
    (policy(&[ATTESTOR], &[]), attestor(ATTESTOR, &[&Key::new(1)]))
}
