//! Base64 as proto3 JSON writes `bytes`: standard or URL-safe alphabet, with or without padding
//! (protobuf JSON mapping, "bytes").

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// Decodes either alphabet; `None` when the text is neither.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let alphabet =
        if text.contains(['-', '_']) { &base64::alphabet::URL_SAFE } else { &base64::alphabet::STANDARD };
    GeneralPurpose::new(alphabet, LENIENT).decode(text).ok()
}

/// Encodes as protobuf does: standard alphabet, padded.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes what RFC 7515 calls base64url: URL-safe, without padding, one text for the same bytes.
#[must_use]
pub(super) fn decode_url(text: &str) -> Option<Vec<u8>> {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).ok()
}

/// URL-safe without padding, as in key ids (RFC 6920).
#[must_use]
pub(super) fn encode_url(bytes: &[u8]) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_alphabets_padded_or_not() {
        for (text, bytes) in [
            ("", Some(&b""[..])),
            ("+/8=", Some(b"\xfb\xff")),
            ("+/8", Some(b"\xfb\xff")),
            ("-_8=", Some(b"\xfb\xff")),
            ("-_8", Some(b"\xfb\xff")),
            ("+_8=", None),
            ("+/9=", None),
            ("+/8=\n", None),
            ("%", None),
        ] {
            assert_eq!(decode(text).as_deref(), bytes, "{text}");
        }
    }

    #[test]
    fn base64url_is_one_text() {
        assert_eq!(decode_url("-_8").as_deref(), Some(&b"\xfb\xff"[..]));
        for other in ["-_8=", "+/8", "-_9"] {
            assert_eq!(decode_url(other), None, "{other}");
        }
    }
}
