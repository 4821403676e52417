//! A JSON Web Token in compact form (RFC 7515, RFC 7519), taken apart and not believed.
//!
//! A token may choose neither its key nor how it is checked: both come from the attestor. So the header holds
//! `typ`, `alg` and `kid` and nothing else; members that bring keys (`jwk`, `x5c`, `jku` ...), change what is
//! signed (`b64`) or ask to be understood (`crit`) refuse the token, as does any other. `alg` is text here and
//! no more: `verify` compares it with the algorithm of the key, which `none` never equals.

use serde::Deserialize;

use super::base64;
use crate::document::Object;

/// The longest token, in bytes.
pub const MAX_BYTES: usize = 256 * 1024;

/// A token of the right shape, unverified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compact<'a> {
    key_id: String,
    algorithm: String,
    signing_input: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// Why a text is not a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Over [`MAX_BYTES`].
    #[error("the token has {0} bytes, more than the {MAX_BYTES} allowed")]
    TooLarge(usize),
    /// Not `header.payload.signature`.
    #[error("a compact token has three parts, none of them empty")]
    Parts,
    /// One of them is not base64url.
    #[error("the {0} of the token is not base64url without padding")]
    Base64(&'static str),
    /// The header is not what belongs there.
    #[error("the header of the token is refused: {0}")]
    Header(String),
    /// Another kind of token.
    #[error("the header of the token has type `{0}`, not `JWT`")]
    Type(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    typ: String,
    alg: String,
    kid: String,
}

impl<'a> Compact<'a> {
    /// Takes a token apart. Parts are non-empty base64url without padding; the header is an object of exactly
    /// `typ` (`JWT`), `alg` and `kid`, each a non-empty text and there once.
    ///
    /// # Errors
    /// See [`JwtError`].
    pub fn parse(text: &'a str) -> Result<Self, JwtError> {
        if text.len() > MAX_BYTES {
            return Err(JwtError::TooLarge(text.len()));
        }
        let (signing_input, signature) = text.rsplit_once('.').ok_or(JwtError::Parts)?;
        let (header, payload) = signing_input.split_once('.').ok_or(JwtError::Parts)?;
        if header.is_empty() || payload.is_empty() || signature.is_empty() || payload.contains('.') {
            return Err(JwtError::Parts);
        }
        let decode = |part, name| base64::decode_url(part).ok_or(JwtError::Base64(name));
        let header = decode(header, "header")?;
        let Object(header): Object<Header> =
            serde_json::from_slice(&header).map_err(|error| JwtError::Header(error.to_string()))?;
        if header.typ != "JWT" {
            return Err(JwtError::Type(header.typ.chars().take(40).collect()));
        }
        if header.alg.is_empty() || header.kid.is_empty() {
            return Err(JwtError::Header("`alg` or `kid` is empty".into()));
        }
        Ok(Self {
            key_id: header.kid,
            algorithm: header.alg,
            signing_input,
            payload: decode(payload, "payload")?,
            signature: decode(signature, "signature")?,
        })
    }

    /// `kid`: which key, by the signer's word.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// `alg`: a name of RFC 7518, or any other text.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// What the signature is over: header and payload as they stand, with the dot between.
    #[must_use]
    pub fn signing_input(&self) -> &[u8] {
        self.signing_input.as_bytes()
    }

    /// The signature, decoded.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The claims, decoded and unread.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str) -> String {
        format!("{}.{}.{}", base64::encode_url(header.as_bytes()), base64::encode_url(b"{}"), "-_8")
    }

    const GOOD: &str = r#""typ":"JWT","alg":"ES256","kid":"k""#;

    #[test]
    fn taken_apart() {
        let text = token(&format!("{{{GOOD}}}"));
        let token = Compact::parse(&text).unwrap();
        assert_eq!((token.key_id(), token.algorithm()), ("k", "ES256"));
        assert_eq!((token.payload(), token.signature()), (&b"{}"[..], &b"\xfb\xff"[..]));
        assert_eq!(token.signing_input(), text.strip_suffix(".-_8").unwrap().as_bytes());
        let none = self::token(r#"{"typ":"JWT","alg":"none","kid":"k"}"#);
        assert_eq!(Compact::parse(&none).unwrap().algorithm(), "none");
    }

    #[test]
    fn refused() {
        let good = token(&format!("{{{GOOD}}}"));
        let (header, _) = good.split_once('.').unwrap();
        let mut rows = vec![
            (String::new(), "three parts"),
            ("a.b".into(), "three parts"),
            (format!("{good}.a"), "three parts"),
            (format!("{header}.."), "three parts"),
            (format!(".{good}"), "three parts"),
            (format!("{header}=.e30.-_8"), "header of the token is not base64url"),
            (format!("{header}.e30=.-_8"), "payload of the token is not base64url"),
            (format!("{header}.e30.+/8"), "signature of the token is not base64url"),
            (format!("{header}. e30.-_8"), "payload of the token is not base64url"),
            (token("[]"), "expected an object"),
            (token(r#"["JWT","ES256","k"]"#), "expected an object"),
            (token(&format!("{{{GOOD}}} x")), "trailing"),
            (token(r#"{"typ":"JWT","alg":"ES256"}"#), "missing field `kid`"),
            (token(r#"{"typ":"JWT","kid":"k"}"#), "missing field `alg`"),
            (token(r#"{"alg":"ES256","kid":"k"}"#), "missing field `typ`"),
            (token(r#"{"typ":"JWT","alg":"ES256","kid":5}"#), "invalid type"),
            (token(r#"{"typ":"JWT","alg":"ES256","kid":""}"#), "is empty"),
            (token(r#"{"typ":"jwt","alg":"ES256","kid":"k"}"#), "type `jwt`"),
            (token(r#"{"typ":"at+jwt","alg":"ES256","kid":"k"}"#), "type `at+jwt`"),
            (token(&format!(r#"{{{GOOD},"kid":"k"}}"#)), "duplicate field `kid`"),
            (token(&format!(r#"{{{GOOD},"\u006bid":"k"}}"#)), "duplicate field `kid`"),
            ("x".repeat(MAX_BYTES + 1), "more than"),
        ];
        let others = ["crit", "b64", "cty", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "enc", "KID", ""];
        rows.extend(others.map(|name| (token(&format!(r#"{{{GOOD},"{name}":[]}}"#)), "unknown field")));
        for (text, part) in rows {
            let error = Compact::parse(&text).unwrap_err().to_string();
            assert!(error.contains(part), "{text:.200} gave {error:?}, which lacks {part:?}");
        }
    }

    proptest::proptest! {
        /// Whatever is changed or cut, the parser answers.
        #[test]
        fn spoilt_tokens_are_refused_or_read(place in 0usize..70, with in "[ -~é]", end in 0usize..70) {
            let good = token(&format!("{{{GOOD}}}"));
            let mut text: Vec<char> = good.chars().collect();
            if let Some(old) = text.get_mut(place) {
                *old = with.chars().next().unwrap();
            }
            let _ = Compact::parse(&text.iter().collect::<String>());
            let _ = Compact::parse(&text.iter().take(end).collect::<String>());
            // The same in the header, below base64.
            let mut header = format!("{{{GOOD}}}").into_bytes();
            if let Some(old) = header.get_mut(place) {
                *old = with.as_bytes()[0];
            }
            let _ = Compact::parse(&format!("{}.e30.AA", base64::encode_url(&header)));
        }
    }
}
