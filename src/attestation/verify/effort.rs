//! What the signatures of one attestor may cost to check, in time, whatever is filed.
//!
//! The measure is the check of an ECDSA P-256 signature over a short message, about 140 µs. Keys that are
//! slower get fewer checks, those that are faster no more: so that the bound holds for every kind of key.

use super::MAX_VERIFICATIONS;
use crate::attestation::algorithm::Algorithm;
use crate::attestation::pgp::Toil;

/// The check of one ECDSA P-256 signature. The finest grain is a sixteenth of it.
const VERIFICATION: usize = 16;
/// Octets that are hashed, unpacked or copied in a sixteenth.
const OCTETS: usize = 4 * 1024;

/// What is left to spend; one more thing is begun as long as that is anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Effort(usize);

impl Effort {
    /// Enough for [`MAX_VERIFICATIONS`].
    pub(super) fn whole() -> Self {
        Self(MAX_VERIFICATIONS * VERIFICATION)
    }

    pub(super) fn none() -> Self {
        Self(0)
    }

    pub(super) fn is_spent(&self) -> bool {
        self.0 == 0
    }

    /// A check with a PKIX key.
    pub(super) fn check(&mut self, algorithm: Algorithm, message: usize) {
        self.spend(slowness(algorithm) + message / OCTETS);
    }

    /// Reading so many octets once.
    pub(super) fn read(&mut self, octets: usize) {
        self.spend(octets / OCTETS);
    }

    /// An OpenPGP message that was opened, or was not: unpacking is work as well.
    pub(super) fn open(&mut self, toil: Toil) {
        self.spend(toil.checks.max(1) * VERIFICATION + toil.octets / OCTETS);
    }

    fn spend(&mut self, cost: usize) {
        self.0 = self.0.saturating_sub(cost);
    }
}

/// As measured; never less than that of P-256, so that [`MAX_VERIFICATIONS`] is what its name says.
fn slowness(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::EcdsaP384Sha384 | Algorithm::EcdsaP521Sha512 => 4 * VERIFICATION,
        Algorithm::RsaPss4096Sha256
        | Algorithm::RsaPss4096Sha512
        | Algorithm::RsaPkcs14096Sha256
        | Algorithm::RsaPkcs14096Sha512 => 3 * VERIFICATION / 2,
        Algorithm::RsaPss2048Sha256
        | Algorithm::RsaPss3072Sha256
        | Algorithm::RsaPkcs12048Sha256
        | Algorithm::RsaPkcs13072Sha256
        | Algorithm::EcdsaP256Sha256
        | Algorithm::MlDsa65 => VERIFICATION,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(cost: impl Fn(&mut Effort)) -> usize {
        let mut effort = Effort::whole();
        std::iter::from_fn(|| (!effort.is_spent()).then(|| cost(&mut effort))).count()
    }

    #[test]
    fn slow_keys_and_long_messages_get_fewer_checks() {
        for algorithm in Algorithm::ALL {
            let most = checks(|effort| effort.check(*algorithm, 300));
            assert!((32..=MAX_VERIFICATIONS).contains(&most), "{algorithm}: {most}");
        }
        assert_eq!(checks(|effort| effort.check(Algorithm::EcdsaP256Sha256, 300)), MAX_VERIFICATIONS);
        assert_eq!(checks(|effort| effort.check(Algorithm::EcdsaP256Sha256, 1 << 20)), 16);
        assert_eq!(checks(|effort| effort.open(Toil { checks: 0, octets: 500 })), MAX_VERIFICATIONS);
        assert_eq!(checks(|effort| effort.open(Toil { checks: 8, octets: 500 })), 32);
        assert_eq!(checks(|effort| effort.open(Toil { checks: 0, octets: 16 << 20 })), 1);
    }
}
