//! A key version of Google Cloud KMS, over REST (`google.cloud.kms.v1.KeyManagementService`: `GetPublicKey`,
//! `AsymmetricSign`). Both ways are checked by CRC32C, as Google asks of its callers.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::SignError;
use super::digest::Hash;
use crate::attestation::{Algorithm, base64};
use crate::http::{self, Answer, Bounds, Client};

/// Keys and signatures are small, and a hardware module may take its time.
const BOUNDS: Bounds = Bounds { max_bytes: 256 * 1024, limit: Duration::from_secs(30) };

/// The name of a key version: `projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/V`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyVersion(String);

impl KeyVersion {
    /// Where Google's KMS is asked.
    pub const URL: &str = "https://cloudkms.googleapis.com";

    /// The id that `gcloud container binauthz attestors public-keys add --keyversion` gives the public key.
    #[must_use]
    pub fn public_key_id(&self) -> String {
        format!("//cloudkms.googleapis.com/v1/{self}")
    }
}

impl FromStr for KeyVersion {
    type Err = SignError;

    /// Reads the name, also as [`KeyVersion::public_key_id`], as a `gcpkms://` URI or with `https:` before it.
    fn from_str(text: &str) -> Result<Self, SignError> {
        let refused = || SignError::KeyVersion(crate::text::shown(text, 300));
        let name = text.strip_prefix("https:").unwrap_or(text);
        let name = name
            .strip_prefix("//cloudkms.googleapis.com/v1/")
            .or_else(|| name.strip_prefix("gcpkms://"))
            .unwrap_or(name);
        let parts: Vec<&str> = name.split('/').collect();
        let [
            "projects",
            project,
            "locations",
            location,
            "keyRings",
            ring,
            "cryptoKeys",
            key,
            "cryptoKeyVersions",
            version,
        ] = parts.as_slice()
        else {
            return Err(refused());
        };
        // What Google's own rules allow, so that nothing of it means anything in an address.
        let plain = |text: &&str, more: &str| {
            !text.is_empty()
                && !text.contains("..")
                && text.len() <= 100
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || more.as_bytes().contains(&b))
        };
        let good = plain(project, "-.:")
            && [location, ring, key].into_iter().all(|text| plain(text, "-_"))
            && version.bytes().all(|byte| byte.is_ascii_digit())
            && plain(version, "");
        if good { Ok(Self(name.to_owned())) } else { Err(refused()) }
    }
}

impl fmt::Display for KeyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key version that can be asked to sign.
#[derive(Debug)]
pub struct Kms {
    version: KeyVersion,
    client: Client,
    algorithm: Option<Algorithm>,
    kms_algorithm: String,
}

#[derive(Deserialize)]
struct PublicKeyDocument {
    #[serde(default)]
    name: String,
    algorithm: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Signed {
    #[serde(default)]
    name: String,
    signature: String,
    signature_crc32c: Option<String>,
    #[serde(default)]
    verified_digest_crc32c: bool,
}

impl Kms {
    /// Asks what kind of key it is.
    ///
    /// # Errors
    /// [`SignError::Http`] and [`SignError::Kms`].
    pub async fn open(version: KeyVersion, options: http::Options) -> Result<Self, SignError> {
        let failed = |cause| SignError::Http { version: version.to_string(), cause };
        let client = Client::new(options).map_err(failed)?;
        let mut key =
            Self { version: version.clone(), client, algorithm: None, kms_algorithm: String::new() };
        let answer = key.client.get(key.url("/publicKey")?, BOUNDS, None).await.map_err(failed)?;
        let Answer::Body { bytes, .. } = answer else { return Err(key.wrong("it gives no public key")) };
        let about: PublicKeyDocument = key.read(&bytes)?;
        key.is_of_it(&about.name)?;
        key.algorithm = Algorithm::parse(&about.algorithm).ok();
        key.kms_algorithm = crate::text::shown(&about.algorithm, 60);
        Ok(key)
    }

    /// Which it is.
    #[must_use]
    pub fn version(&self) -> &KeyVersion {
        &self.version
    }

    /// The one algorithm that it signs with; `None` for one that attestors cannot have.
    #[must_use]
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm
    }

    /// The same, as KMS names it.
    #[must_use]
    pub fn kms_algorithm(&self) -> &str {
        &self.kms_algorithm
    }

    /// The signature over `message`, of which only the digest is sent.
    ///
    /// # Errors
    /// [`SignError::Http`] and [`SignError::Kms`].
    pub async fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let unfit =
            || SignError::Algorithm { origin: format!("the key version `{}`", self.version), algorithm };
        let hash = Hash::of(algorithm).ok_or_else(unfit)?;
        let digest = hash.digest(message);
        let question = json!({
            "digest": {hash.name(): base64::encode(&digest)},
            "digestCrc32c": crc32c::crc32c(&digest).to_string(),
        });
        let answer =
            self.client.post(self.url(":asymmetricSign")?, question.to_string().into(), BOUNDS).await;
        let bytes = answer.map_err(|cause| SignError::Http { version: self.version.to_string(), cause })?;
        let signed: Signed = self.read(&bytes)?;
        self.is_of_it(&signed.name)?;
        if !signed.verified_digest_crc32c {
            return Err(self.wrong("it did not get the digest as it was sent (verifiedDigestCrc32c)"));
        }
        let signature =
            base64::decode(&signed.signature).ok_or_else(|| self.wrong("`signature` is not base64"))?;
        match signed.signature_crc32c.as_deref().map(str::parse::<u32>) {
            Some(Ok(sum)) if sum == crc32c::crc32c(&signature) => Ok(signature),
            _ => Err(self.wrong("the signature did not come as it was sent (signatureCrc32c)")),
        }
    }

    fn url(&self, what: &str) -> Result<reqwest::Url, SignError> {
        let base = self.client.url().as_str().trim_end_matches('/');
        format!("{base}/v1/{}{what}", self.version)
            .parse()
            .map_err(|error| self.wrong(&format!("its address cannot be made: {error}")))
    }

    fn read<'a, T: Deserialize<'a>>(&self, bytes: &'a [u8]) -> Result<T, SignError> {
        serde_json::from_slice(bytes)
            .map_err(|error| self.wrong(&format!("the answer is not understood: {error}")))
    }

    fn is_of_it(&self, name: &str) -> Result<(), SignError> {
        if name == self.version.0 {
            Ok(())
        } else {
            Err(self.wrong("the answer is about another key version"))
        }
    }

    fn wrong(&self, what: &str) -> SignError {
        SignError::Kms { version: self.version.to_string(), what: what.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_key_versions() {
        let name = "projects/example.com:acme/locations/us-central1/keyRings/prod/cryptoKeys/attestor/cryptoKeyVersions/1";
        for text in [
            name.to_owned(),
            format!("gcpkms://{name}"),
            format!("//cloudkms.googleapis.com/v1/{name}"),
            format!("https://cloudkms.googleapis.com/v1/{name}"),
        ] {
            let version: KeyVersion = text.parse().unwrap();
            assert_eq!(version.to_string(), name);
            assert_eq!(version.public_key_id(), format!("//cloudkms.googleapis.com/v1/{name}"));
        }
        for text in [
            "",
            "projects/p/locations/l/keyRings/r/cryptoKeys/k",
            "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/one",
            "projects/../locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
            "projects/p/locations/l/keyRings/r?x=/cryptoKeys/k/cryptoKeyVersions/1",
            "projects/p/locations//keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
            "https://other.example/v1/projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
        ] {
            assert!(text.parse::<KeyVersion>().is_err(), "{text}");
        }
    }
}
