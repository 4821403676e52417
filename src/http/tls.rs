//! TLS from PEM: whom to believe, and who we are.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::held::{Held, HeldError};

/// Whom to believe.
#[derive(Debug)]
pub enum Roots {
    /// Nobody: nothing can be proved.
    None,
    /// Whom the system believes: what OpenSSL would look at, or `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    System,
    /// These certificates (PEM) and no others.
    Given(Held),
}

/// TLS 1.2 or 1.3 under these roots alone, as the owner of a certificate and its key where they are given.
/// Reads the system's certificates, so it may block.
///
/// # Errors
/// [`HeldError::Credentials`] for PEM that holds nothing, [`HeldError::Tls`] for what cannot be used.
pub fn client(roots: Roots, identity: Option<(Held, Held)>) -> Result<ClientConfig, HeldError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| HeldError::Tls { origin: "TLS".into(), cause })?
        .with_root_certificates(believed(roots)?);
    let Some((certificate, key)) = identity else { return Ok(builder.with_no_client_auth()) };
    let private = PrivateKeyDer::from_pem_slice(&key.bytes)
        .map_err(|_| HeldError::Credentials { origin: key.origin, what: "private key in PEM" })?;
    builder
        .with_client_auth_cert(certificates(&certificate)?, private)
        .map_err(|cause| HeldError::Tls { origin: certificate.origin, cause })
}

fn believed(roots: Roots) -> Result<RootCertStore, HeldError> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::None => {}
        Roots::Given(held) => {
            for one in certificates(&held)? {
                store.add(one).map_err(|cause| HeldError::Tls { origin: held.origin.clone(), cause })?;
            }
        }
        Roots::System => {
            // Systems carry certificates that are out of use; those that can be read count.
            let (added, _) = store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if added == 0 {
                let origin = "the system's store of certificates".into();
                return Err(HeldError::Credentials {
                    origin,
                    what: "certificate: install them, or name a `ca`",
                });
            }
        }
    }
    Ok(store)
}

fn certificates(held: &Held) -> Result<Vec<CertificateDer<'static>>, HeldError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&held.bytes).collect();
    let none = || HeldError::Credentials { origin: held.origin.clone(), what: "certificate in PEM" };
    found.ok().filter(|found| !found.is_empty()).ok_or_else(none)
}
