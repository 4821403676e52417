//! The stream of changes that binauth-store gives (`GET /v1/changes`): lines of JSON, each with the token behind it.

use std::time::Duration;

use serde::Deserialize;

use super::{RestSource, trouble};
use crate::attestation::{NoteName, occurrence};
use crate::evidence::source::{Heard, Listener, SourceError};
use crate::http::{HttpError, address};
use crate::image::Digest;

/// Three of its heartbeats.
const SILENCE: Duration = Duration::from_secs(30);
/// The longest token that is kept, in bytes.
const MAX_TOKEN: usize = 256;

/// A line. What is filed comes along, and is not looked at: it is looked up, as anything else that counts.
#[derive(Deserialize)]
struct Line {
    token: String,
    #[serde(default)]
    relist: bool,
    filed: Option<About>,
    gone: Option<About>,
    bundle: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct About {
    #[serde(default)]
    note_name: String,
    #[serde(default)]
    resource_uri: String,
}

/// Follows it until it breaks off.
pub(super) async fn follow(
    source: &RestSource,
    token: &mut Option<String>,
    listener: &mut dyn Listener,
) -> SourceError {
    let mut url = source.client.url().clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["v1", "changes"]);
    }
    let asked = address::plain(&url);
    if let Some(token) = token.as_deref() {
        url.query_pairs_mut().append_pair("token", token);
    }
    let followed = async {
        let session = source.client.session().await?;
        session.lines(url, SILENCE, 2 * occurrence::MAX_BYTES).await
    };
    let mut lines = match followed.await {
        Ok(lines) => lines,
        Err(error) => return trouble::of(error, &asked),
    };
    let mut is_new = token.is_none();
    loop {
        let line = match lines.next().await {
            Ok(Some(line)) => line,
            Ok(None) => return trouble::of(HttpError::GivenUp, &asked),
            Err(error) => return trouble::of(error, &asked),
        };
        let line: Line = match serde_json::from_slice(&line) {
            Ok(line) => line,
            Err(error) => return SourceError::Malformed { url: asked, cause: error.to_string() },
        };
        if line.token.len() > MAX_TOKEN {
            return SourceError::Malformed { url: asked, cause: "its token is too long".to_owned() };
        }
        if line.relist || std::mem::take(&mut is_new) {
            listener.hear(Heard::Relist).await;
        }
        if let Some((note, digest)) = line.filed.or(line.gone).and_then(about) {
            listener.hear(Heard::Changed(note, digest)).await;
        }
        if line.bundle.is_some() {
            listener.hear(Heard::Bundle).await;
        }
        listener.hear(Heard::Follows).await;
        *token = Some(line.token);
    }
}

/// Where to look. What is of no digest is no attestation.
fn about(about: About) -> Option<(NoteName, Digest)> {
    let digest = about.resource_uri.rsplit_once('@')?.1.parse().ok()?;
    Some((about.note_name.parse().ok()?, digest))
}
