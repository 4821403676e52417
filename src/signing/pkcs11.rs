//! A private key on a PKCS#11 token (OASIS PKCS #11 2.40 and later).

use std::fmt;
use std::path::{Path, PathBuf};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use p256::elliptic_curve::zeroize::Zeroizing;

use super::digest::Hash;
use super::{SignError, TokenUri};
use crate::attestation::{Algorithm, Kind};

/// DER of the curves' object identifiers, as CKA_EC_PARAMS has them (SEC 2).
const CURVES: [(&[u8], Kind); 3] = [
    (&[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07], Kind::P256),
    (&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22], Kind::P384),
    (&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23], Kind::P521),
];

/// A private key that never leaves its token. The session ends when it is dropped.
pub struct TokenKey {
    uri: TokenUri,
    module: PathBuf,
    session: Session,
    key: ObjectHandle,
    kind: Option<Kind>,
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey")
            .field("uri", &self.uri)
            .field("module", &self.module)
            .finish_non_exhaustive()
    }
}

impl TokenKey {
    /// Loads the module, logs in and finds the key: exactly one must be what `uri` says.
    ///
    /// # Errors
    /// [`SignError::Token`] with what the module says.
    pub fn open(uri: TokenUri, module: &Path, pin: Zeroizing<String>) -> Result<Self, SignError> {
        let failed = |what: &str| {
            let what = what.to_owned();
            move |cause| SignError::Token { module: module.to_owned(), what, cause: Some(cause) }
        };
        let none = |what: String| SignError::Token { module: module.to_owned(), what, cause: None };
        let driver = Pkcs11::new(module).map_err(failed("cannot use the library"))?;
        match driver.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(cause) => return Err(failed("cannot start the library")(cause)),
        }
        let slot = match slots(&driver, &uri).map_err(failed("cannot list the tokens"))?.as_slice() {
            [slot] => *slot,
            [] => return Err(none(format!("no token of `{uri}` is there"))),
            _ => return Err(none(format!("several tokens could be that of `{uri}`: add `serial`"))),
        };
        let session = driver.open_ro_session(slot).map_err(failed("cannot open a session"))?;
        let pin = AuthPin::from(pin.as_str());
        match session.login(UserType::User, Some(&pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(cause) => return Err(failed("the PIN was not taken")(cause)),
        }
        let mut wanted = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
        wanted.extend(uri.object.clone().map(Attribute::Label));
        wanted.extend(uri.id.clone().map(Attribute::Id));
        let found = session.find_objects(&wanted).map_err(failed("cannot look for the key"))?;
        let key = match found.as_slice() {
            [key] => *key,
            [] => return Err(none(format!("there is no private key `{uri}` on the token"))),
            _ => return Err(none(format!("several private keys could be `{uri}`: add `id`"))),
        };
        let kind = kind(&session, key).map_err(failed("cannot read of what kind the key is"))?;
        Ok(Self { uri, module: module.to_owned(), session, key, kind })
    }

    /// What was asked for.
    #[must_use]
    pub fn uri(&self) -> &TokenUri {
        &self.uri
    }

    /// What it is; `None` for a kind that no algorithm here is for.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// The signature over `message`.
    ///
    /// # Errors
    /// [`SignError::Token`] with what the module says, [`SignError::Algorithm`] for what tokens cannot do.
    pub fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let unfit = || SignError::Algorithm { origin: format!("the key `{}`", self.uri), algorithm };
        let hash = Hash::of(algorithm).ok_or_else(unfit)?;
        let failed = |cause| SignError::Token {
            module: self.module.clone(),
            what: format!("`{}` does not sign", self.uri),
            cause: Some(cause),
        };
        if matches!(algorithm.kind(), Kind::Rsa(_)) {
            return self.session.sign(&rsa(algorithm, hash), self.key, message).map_err(failed);
        }
        let raw = self.session.sign(&Mechanism::Ecdsa, self.key, &hash.digest(message)).map_err(failed)?;
        der(algorithm, &raw).ok_or_else(|| SignError::Token {
            module: self.module.clone(),
            what: format!("what `{}` signed is no signature", self.uri),
            cause: None,
        })
    }
}

/// Tokens that are what `uri` says.
fn slots(driver: &Pkcs11, uri: &TokenUri) -> Result<Vec<Slot>, Error> {
    let same = |wanted: &Option<String>, found: &str| {
        wanted.as_ref().is_none_or(|wanted| wanted.trim_end() == found.trim_end())
    };
    let mut fit = Vec::new();
    for slot in driver.get_slots_with_initialized_token()? {
        let about = driver.get_token_info(slot)?;
        if same(&uri.token, about.label())
            && same(&uri.manufacturer, about.manufacturer_id())
            && same(&uri.model, about.model())
            && same(&uri.serial, about.serial_number())
            && uri.slot.is_none_or(|wanted| wanted == slot.id())
        {
            fit.push(slot);
        }
    }
    Ok(fit)
}

fn kind(session: &Session, key: ObjectHandle) -> Result<Option<Kind>, Error> {
    let asked = |types: &[AttributeType]| session.get_attributes(key, types);
    let found = asked(&[AttributeType::KeyType])?;
    match found.first() {
        Some(Attribute::KeyType(KeyType::EC)) => {
            let found = asked(&[AttributeType::EcParams])?;
            let Some(Attribute::EcParams(curve)) = found.first() else { return Ok(None) };
            Ok(CURVES.iter().find(|(oid, _)| oid == curve).map(|(_, kind)| *kind))
        }
        Some(Attribute::KeyType(KeyType::RSA)) => {
            let found = asked(&[AttributeType::Modulus])?;
            let Some(Attribute::Modulus(modulus)) = found.first() else { return Ok(None) };
            let bytes = modulus.iter().skip_while(|byte| **byte == 0).count();
            Ok(Some(Kind::Rsa(bytes * 8)))
        }
        _ => Ok(None),
    }
}

fn rsa(algorithm: Algorithm, hash: Hash) -> Mechanism<'static> {
    let pss = |hash_alg, mgf, s_len: u64| PkcsPssParams { hash_alg, mgf, s_len: s_len.into() };
    match (algorithm, hash) {
        (Algorithm::RsaPss4096Sha512, _) => {
            Mechanism::Sha512RsaPkcsPss(pss(MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64))
        }
        (Algorithm::RsaPss2048Sha256 | Algorithm::RsaPss3072Sha256 | Algorithm::RsaPss4096Sha256, _) => {
            Mechanism::Sha256RsaPkcsPss(pss(MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32))
        }
        (_, Hash::Sha512) => Mechanism::Sha512RsaPkcs,
        (_, Hash::Sha384) => Mechanism::Sha384RsaPkcs,
        (_, Hash::Sha256) => Mechanism::Sha256RsaPkcs,
    }
}

/// Tokens give r and s, one behind the other.
fn der(algorithm: Algorithm, raw: &[u8]) -> Option<Vec<u8>> {
    match algorithm.kind() {
        Kind::P256 => Some(p256::ecdsa::Signature::from_slice(raw).ok()?.to_der().as_bytes().to_vec()),
        Kind::P384 => Some(p384::ecdsa::Signature::from_slice(raw).ok()?.to_der().as_bytes().to_vec()),
        Kind::P521 => Some(p521::ecdsa::Signature::from_slice(raw).ok()?.to_der().as_bytes().to_vec()),
        _ => None,
    }
}
