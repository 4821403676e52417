//! Bodies of answers: no more of them than is wanted, and nothing of them that misleads.

use reqwest::Response;

use crate::text::shown;

/// Of a refusal, in bytes.
const MAX_SAID: usize = 16 * 1024;

/// Why a body was not read to its end.
#[derive(Debug)]
pub enum Unread {
    /// It has more bytes than wanted. The bytes that came are counted.
    TooMuch(usize),
    /// It broke off.
    Broken(reqwest::Error),
}

/// The whole body, if it has at most `max` bytes. One that is announced as larger is not begun.
///
/// # Errors
/// See [`Unread`].
pub async fn whole(response: &mut Response, max: usize) -> Result<Vec<u8>, Unread> {
    if response.content_length().is_some_and(|length| length > max as u64) {
        return Err(Unread::TooMuch(0));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Unread::Broken)? {
        if body.len() + chunk.len() > max {
            return Err(Unread::TooMuch(body.len() + chunk.len()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What a refusal says, in brackets after a space: the message of a `Status` (Kubernetes, gRPC, Google), or
/// plain text. Nothing where it says nothing.
pub async fn said(response: &mut Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_SAID {
            break;
        }
    }
    let text = String::from_utf8_lossy(&body);
    let document: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    let message = document.as_ref().and_then(|document| {
        ["/message", "/error/message", "/error"].iter().find_map(|place| document.pointer(place)?.as_str())
    });
    let text = message.unwrap_or(&text).trim();
    if text.is_empty() { String::new() } else { format!(" ({})", shown(text, 200)) }
}

/// Why a question or its answer broke, without the address.
#[must_use]
pub fn cause(error: reqwest::Error) -> String {
    shown(&crate::chain(&error.without_url()), 400)
}
