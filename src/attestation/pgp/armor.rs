//! ASCII armor (RFC 9580, section 6): one block, nothing around it.
//!
//! The checksum is read over and not compared, as the RFC asks: the signatures inside are what holds.

use super::super::base64;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// What the block says it is, such as `PGP MESSAGE`; `None` where the text does not begin as armor.
pub(super) fn label(text: &str) -> Option<&str> {
    text.trim_start().lines().next()?.trim_end().strip_prefix(BEGIN)?.strip_suffix(DASHES)
}

/// The bytes of the only block in `text`, which [`label`] named.
pub(super) fn body(text: &str, label: &str) -> Result<Vec<u8>, &'static str> {
    let mut lines = text.trim().lines().map(str::trim_end).skip(1);
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        if !line.contains(':') {
            return Err("no blank line between the armor's headers and its body");
        }
    }
    let mut encoded = String::with_capacity(text.len());
    loop {
        let line = lines.next().ok_or("no END line")?;
        let is_checksum = line.len() == 5 && line.starts_with('=');
        if is_checksum || line.starts_with(DASHES) {
            let end = if is_checksum { lines.next().ok_or("no END line")? } else { line };
            let matches = end.strip_prefix(END).and_then(|end| end.strip_suffix(DASHES)) == Some(label);
            if !matches {
                return Err("the END line does not match the BEGIN line");
            }
            break;
        }
        encoded.push_str(line);
    }
    if lines.next().is_some() {
        return Err("text after the END line");
    }
    base64::decode(&encoded).filter(|bytes| !bytes.is_empty()).ok_or("the armor's body is not base64")
}
