//! PKCS#11 URIs (RFC 7512), as far as they name a private key, its module and its PIN.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use p256::elliptic_curve::zeroize::Zeroizing;
use percent_encoding::percent_decode_str;

use super::SignError;

/// The environment variable that holds the PIN where the URI does not say where to find it.
pub const PIN_VARIABLE: &str = "BINAUTHCTL_PKCS11_PIN";

/// The longest URI, in bytes.
const MAX_URI: usize = 4 * 1024;

/// Which private key, on which token, by which module.
///
/// Known are `token`, `manufacturer`, `model`, `serial`, `slot-id`, `object`, `id` and `type`, which must be
/// `private` where it is given; of the query `module-path`, `pin-value` and `pin-source` (a path, with or without
/// `file:`). Anything else is refused: RFC 7512 section 2.3 has unknown attributes match nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TokenUri {
    pub(super) token: Option<String>,
    pub(super) manufacturer: Option<String>,
    pub(super) model: Option<String>,
    pub(super) serial: Option<String>,
    pub(super) slot: Option<u64>,
    /// CKA_LABEL.
    pub(super) object: Option<Vec<u8>>,
    /// CKA_ID.
    pub(super) id: Option<Vec<u8>>,
    module: Option<PathBuf>,
    pin: Option<Pin>,
    /// The path of the URI, in which nothing is secret.
    shown: String,
}

#[derive(Clone, PartialEq, Eq)]
enum Pin {
    Value(Zeroizing<String>),
    File(PathBuf),
}

/// As it was written, without the query: a PIN may be in that.
impl fmt::Display for TokenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for TokenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenUri").field(&self.shown).finish()
    }
}

impl TokenUri {
    /// Reads `pkcs11:token=…;object=…?module-path=…`.
    ///
    /// # Errors
    /// [`SignError::Uri`] for anything else, also where neither `object` nor `id` is given.
    pub fn parse(text: &str) -> Result<Self, SignError> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let refused = |what: String| SignError::Uri { uri: crate::text::shown(path, 200), what };
        if text.len() > MAX_URI {
            return Err(refused(format!("it has more than {MAX_URI} bytes")));
        }
        let Some(path) = path.strip_prefix("pkcs11:") else {
            return Err(refused("it does not begin with `pkcs11:`".into()));
        };
        let mut uri = Self { shown: crate::text::shown(&format!("pkcs11:{path}"), 200), ..Self::default() };
        for part in path.split(';').filter(|part| !part.is_empty()) {
            uri.attribute(part).map_err(refused)?;
        }
        for part in query.split('&').filter(|part| !part.is_empty()) {
            uri.query(part).map_err(refused)?;
        }
        if uri.object.is_none() && uri.id.is_none() {
            return Err(refused("it has neither `object` nor `id`".into()));
        }
        Ok(uri)
    }

    fn attribute(&mut self, part: &str) -> Result<(), String> {
        let (name, bytes) = pair(part)?;
        match name {
            "token" => once(&mut self.token, name, text(name, bytes)?),
            "manufacturer" => once(&mut self.manufacturer, name, text(name, bytes)?),
            "model" => once(&mut self.model, name, text(name, bytes)?),
            "serial" => once(&mut self.serial, name, text(name, bytes)?),
            "slot-id" => {
                let number = text(name, bytes)?;
                let number = number.parse().map_err(|_| format!("`{name}` is not a number"))?;
                once(&mut self.slot, name, number)
            }
            "object" => once(&mut self.object, name, bytes),
            "id" => once(&mut self.id, name, bytes),
            "type" if bytes == b"private" => Ok(()),
            "type" => Err("`type` is not `private`".into()),
            _ => Err(format!("`{name}` is not known: {KNOWN}")),
        }
    }

    fn query(&mut self, part: &str) -> Result<(), String> {
        let (name, bytes) = pair(part)?;
        match name {
            "module-path" => once(&mut self.module, name, text(name, bytes)?.into()),
            "pin-value" => once(&mut self.pin, name, Pin::Value(Zeroizing::new(text(name, bytes)?))),
            "pin-source" => {
                let path = text(name, bytes)?;
                let path = path.strip_prefix("file://").or(path.strip_prefix("file:")).unwrap_or(&path);
                if !path.starts_with('/') {
                    return Err("`pin-source` is not the path of a file: only files are read".into());
                }
                once(&mut self.pin, name, Pin::File(path.into()))
            }
            _ => Err(format!("`{name}` is not known: {KNOWN}")),
        }
    }

    /// The module that drives the token.
    ///
    /// # Errors
    /// [`SignError::Uri`] where neither the URI nor `given` names one.
    pub fn module(&self, given: Option<&Path>) -> Result<PathBuf, SignError> {
        let module = given.map(Path::to_owned).or_else(|| self.module.clone());
        module.ok_or_else(|| SignError::Uri {
            uri: self.shown.clone(),
            what: "add `?module-path=…`, or name the module with --pkcs11-module".into(),
        })
    }

    /// Whether the PIN stands in the URI itself, where the list of processes shows it.
    #[must_use]
    pub fn tells_pin(&self) -> bool {
        matches!(self.pin, Some(Pin::Value(_)))
    }

    /// The PIN: of the URI, of the file that it names, or `environment`; a line break at its end is no part of it.
    ///
    /// # Errors
    /// [`SignError::Uri`] where it is nowhere to be found.
    pub fn pin(&self, environment: Option<String>) -> Result<Zeroizing<String>, SignError> {
        let refused = |what| SignError::Uri { uri: self.shown.clone(), what };
        let pin = match &self.pin {
            Some(Pin::Value(pin)) => pin.clone(),
            Some(Pin::File(path)) => Zeroizing::new(
                fs::read_to_string(path)
                    .map_err(|cause| refused(format!("`pin-source` `{}`: {cause}", path.display())))?,
            ),
            None => Zeroizing::new(environment.ok_or_else(|| {
                refused(format!("its PIN is not known: set {PIN_VARIABLE}, or add `?pin-source=file:/PATH`"))
            })?),
        };
        Ok(Zeroizing::new(pin.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

const KNOWN: &str = "token, manufacturer, model, serial, slot-id, object, id and type, \
    and behind `?` module-path, pin-value and pin-source";

fn pair(part: &str) -> Result<(&str, Vec<u8>), String> {
    let (name, value) = part.split_once('=').ok_or("an attribute has no `=`")?;
    let marks = value.bytes().filter(|byte| *byte == b'%').count();
    let good = value
        .split('%')
        .skip(1)
        .filter(|rest| rest.get(..2).is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit())));
    if good.count() != marks {
        return Err(format!("`{name}` has a `%` without two hexadecimal digits"));
    }
    Ok((name, percent_decode_str(value).collect()))
}

fn text(name: &str, bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| format!("`{name}` is not UTF-8"))
}

fn once<T>(field: &mut Option<T>, name: &str, value: T) -> Result<(), String> {
    if field.is_some() {
        return Err(format!("`{name}` is there twice"));
    }
    *field = Some(value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_uri_names() {
        let uri = TokenUri::parse(
            "pkcs11:token=The%20Token;object=ci;id=%01%AB;type=private;serial=0f;slot-id=7\
             ?module-path=/usr/lib/m.so&pin-source=file:/run/pin",
        )
        .unwrap();
        assert_eq!(uri.token.as_deref(), Some("The Token"));
        assert_eq!((uri.object.as_deref(), uri.id.as_deref()), (Some(&b"ci"[..]), Some(&[1, 0xab][..])));
        assert_eq!((uri.serial.as_deref(), uri.slot), (Some("0f"), Some(7)));
        assert_eq!(uri.module(None).unwrap(), Path::new("/usr/lib/m.so"));
        assert_eq!(uri.module(Some(Path::new("/other"))).unwrap(), Path::new("/other"));
        assert!(uri.pin(None).unwrap_err().to_string().contains("`pin-source` `/run/pin`"));
        assert!(!uri.tells_pin());
    }

    #[test]
    fn a_pin_is_never_shown() {
        let uri = TokenUri::parse("pkcs11:object=a?pin-value=12%3334%0a").unwrap();
        assert_eq!(uri.pin(None).unwrap().as_str(), "12334");
        assert!(uri.tells_pin());
        assert_eq!(format!("{uri} {uri:?}"), "pkcs11:object=a TokenUri(\"pkcs11:object=a\")");
        let bad = TokenUri::parse("pkcs11:object=a?pin-value=1234&pin-value=1234").unwrap_err();
        assert!(!bad.to_string().contains("1234"), "{bad}");
        let uri = TokenUri::parse("pkcs11:object=a").unwrap();
        assert_eq!(uri.pin(Some("99\n".into())).unwrap().as_str(), "99");
        assert!(uri.pin(None).unwrap_err().to_string().contains(PIN_VARIABLE));
        assert!(uri.module(None).unwrap_err().to_string().contains("--pkcs11-module"));
    }

    #[test]
    fn what_names_no_key() {
        let long = format!("pkcs11:object={}", "a".repeat(MAX_URI));
        for (text, part) in [
            ("file:/key", "`pkcs11:`"),
            ("pkcs11:token=a", "neither `object` nor `id`"),
            ("pkcs11:object=a;object=b", "twice"),
            ("pkcs11:object=a;type=public", "`private`"),
            ("pkcs11:object=a;colour=red", "`colour` is not known"),
            ("pkcs11:object=a?pin-file=/x", "`pin-file` is not known"),
            ("pkcs11:object=a?pin-source=https://h/pin", "only files"),
            ("pkcs11:object=a;slot-id=x", "not a number"),
            ("pkcs11:object=%1", "hexadecimal"),
            ("pkcs11:object=%zz", "hexadecimal"),
            ("pkcs11:token=%ff;object=a", "UTF-8"),
            ("pkcs11:object", "no `=`"),
            (&long, "bytes"),
        ] {
            let error = TokenUri::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
