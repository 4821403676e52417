//! Which key signs, as flags name it.

use std::path::{Path, PathBuf};

use clap::Args;

use super::error::CliError;
use super::output;
use super::remote::Access;
use crate::signing::{KeyVersion, Kms, PIN_VARIABLE, PrivateKey, Signer, TokenKey, TokenUri};

/// A flag that says more of a key version has no place beside these; that it requires one is not asked then.
const OTHER_KEYS: [&str; 2] = ["private_key_file", "pkcs11_key"];

/// One of: a PEM file, a PKCS#11 token, a key version of Cloud KMS.
#[derive(Debug, Args)]
pub(super) struct SigningKey {
    /// PEM file with an EC P-256 private key, SEC1 or PKCS#8, not encrypted
    #[arg(long, visible_alias = "key", value_name = "FILE", group = "signing-key")]
    private_key_file: Option<PathBuf>,
    /// A private key on a PKCS#11 token (RFC 7512): pkcs11:token=T;object=O, EC or RSA. The PIN is read
    /// from `?pin-source=file:/PATH`, or from the environment as BINAUTHCTL_PKCS11_PIN
    #[arg(long, value_name = "URI", group = "signing-key")]
    pkcs11_key: Option<String>,
    /// The token's library [default: `?module-path=` of the URI]
    #[arg(long, value_name = "PATH", requires = "pkcs11_key", conflicts_with_all = ["private_key_file", "keyversion"])]
    pkcs11_module: Option<PathBuf>,
    /// A key version of Google Cloud KMS: its name in full, or its number beside the four flags below
    #[arg(long, value_name = "NAME", group = "signing-key")]
    keyversion: Option<String>,
    /// The project of its key
    #[arg(long, value_name = "PROJECT", requires = "keyversion", conflicts_with_all = OTHER_KEYS)]
    keyversion_project: Option<String>,
    /// The location of its key ring
    #[arg(long, value_name = "LOCATION", requires = "keyversion", conflicts_with_all = OTHER_KEYS)]
    keyversion_location: Option<String>,
    /// The key ring
    #[arg(long, value_name = "KEYRING", requires = "keyversion", conflicts_with_all = OTHER_KEYS)]
    keyversion_keyring: Option<String>,
    /// The key
    #[arg(long, value_name = "KEY", requires = "keyversion", conflicts_with_all = OTHER_KEYS)]
    keyversion_key: Option<String>,
    /// Where KMS is asked; plain http for a loopback address alone
    #[arg(long, value_name = "URL", default_value = KeyVersion::URL, requires = "keyversion", conflicts_with_all = OTHER_KEYS)]
    kms_url: String,
    /// File with the token for KMS [default: BINAUTHCTL_KMS_TOKEN of the environment, or none]
    #[arg(long, value_name = "FILE", requires = "keyversion", conflicts_with_all = OTHER_KEYS)]
    kms_token_file: Option<PathBuf>,
    /// Sign as the service account of this machine of Google's: ask its metadata server for the token
    #[arg(long, requires = "keyversion", conflicts_with_all = ["private_key_file", "pkcs11_key", "kms_token_file"])]
    kms_metadata_server: bool,
    /// Certificates (PEM) that vouch for KMS, and no others [default: the system's]
    #[arg(long, value_name = "FILE", requires = "keyversion", conflicts_with_all = OTHER_KEYS)]
    kms_ca: Option<PathBuf>,
}

/// Reads a PEM file; warns where others may read it too.
pub(super) fn private_key(path: &Path) -> Result<PrivateKey, CliError> {
    let key = PrivateKey::read(path)?;
    if key.is_exposed() {
        let shown = path.display();
        output::warn(&format!("private key `{shown}` can be read by others: chmod 600 `{shown}`"));
    }
    Ok(key)
}

impl SigningKey {
    /// Opens it.
    pub(super) async fn open(&self) -> Result<Signer, CliError> {
        if let Some(path) = &self.private_key_file {
            return Ok(Signer::File(private_key(path)?));
        }
        if let Some(uri) = &self.pkcs11_key {
            let uri = TokenUri::parse(uri)?;
            if uri.tells_pin() {
                output::warn(&format!(
                    "the PIN of `{uri}` stands in the list of processes: set {PIN_VARIABLE}, or use `pin-source`"
                ));
            }
            let module = uri.module(self.pkcs11_module.as_deref())?;
            let pin = uri.pin(std::env::var(PIN_VARIABLE).ok())?;
            return Ok(Signer::Token(TokenKey::open(uri, &module, pin)?));
        }
        let access = Access {
            url: &self.kms_url,
            authority: self.kms_ca.as_deref(),
            token_file: self.kms_token_file.as_deref(),
            token_variable: "BINAUTHCTL_KMS_TOKEN",
            metadata_server: self.kms_metadata_server,
            certificate: None,
        };
        Ok(Signer::Kms(Kms::open(self.key_version()?, access.options()).await?))
    }

    fn key_version(&self) -> Result<KeyVersion, CliError> {
        let Some(version) = &self.keyversion else {
            return Err(CliError::MalformedCommand(
                "no key to sign with: give --private-key-file, --pkcs11-key or --keyversion".to_owned(),
            ));
        };
        let parts = [
            (&self.keyversion_project, "--keyversion-project"),
            (&self.keyversion_location, "--keyversion-location"),
            (&self.keyversion_keyring, "--keyversion-keyring"),
            (&self.keyversion_key, "--keyversion-key"),
        ];
        if parts.iter().all(|(part, _)| part.is_none()) {
            return Ok(version.parse()?);
        }
        if version.contains('/') {
            let text = "--keyversion is a name in full already: leave the other --keyversion flags out";
            return Err(CliError::MalformedCommand(text.to_owned()));
        }
        let part = |(part, flag): (&Option<String>, &str)| {
            part.clone().ok_or_else(|| {
                CliError::MalformedCommand(format!(
                    "{flag} is missing, or give --keyversion its name in full"
                ))
            })
        };
        let [project, location, ring, key] = parts.map(part);
        let name = format!(
            "projects/{}/locations/{}/keyRings/{}/cryptoKeys/{}/cryptoKeyVersions/{version}",
            project?, location?, ring?, key?
        );
        Ok(name.parse()?)
    }
}
