//! The stream of changes that binauth-store gives (`GET /v1/changes`): lines of JSON, each with the token behind it.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::{RestSource, trouble};
use crate::attestation::{NoteName, occurrence};
use crate::evidence::look_ups::{Bucket, Share};
use crate::evidence::source::{Heard, Listener, SourceError};
use crate::http::{self, HttpError, address};
use crate::image::Digest;

/// Three of its heartbeats.
const SILENCE: Duration = Duration::from_secs(30);
/// The longest token that is kept, in bytes.
const MAX_TOKEN: usize = 256;
/// The longest line that is read, in bytes. What is filed may come along, in JSON once more.
const MAX_LINE: usize = 2 * occurrence::MAX_BYTES;
/// After so many lines others on this thread have their turn, even if more have come already.
const AT_A_TIME: usize = 32;
/// How many lines are taken: reading costs the node more than sending costs whoever sends without end. What comes sooner
/// waits on the connection.
const LINES: Share = Share { burst: 5_000.0, each_second: 500.0 };
/// The least that is waited then: the time of several lines, so as to wake less often.
const BREATH: Duration = Duration::from_millis(50);

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
        session.lines(url, SILENCE, MAX_LINE).await
    };
    let mut lines = match followed.await {
        Ok(lines) => lines,
        Err(error) => return trouble::of(error, &asked),
    };
    let (mut is_new, mut left) = (token.is_none(), Bucket::full(LINES, Instant::now()));
    let broken = loop {
        match some(&mut lines, &mut left, &mut is_new, token, listener).await {
            Ok(()) => tokio::task::yield_now().await,
            Err(broken) => break broken,
        }
    };
    match broken {
        Broken::Off(error) => trouble::of(error, &asked),
        Broken::Nonsense(cause) => {
            // From there it would be given again, and again.
            *token = None;
            SourceError::Malformed { url: asked, cause }
        }
    }
}

/// Why no more lines are taken.
enum Broken {
    Off(HttpError),
    Nonsense(String),
}

/// Takes the next [`AT_A_TIME`] lines.
async fn some(
    lines: &mut http::Lines,
    left: &mut Bucket,
    is_new: &mut bool,
    token: &mut Option<String>,
    listener: &mut dyn Listener,
) -> Result<(), Broken> {
    for _ in 0..AT_A_TIME {
        while let Err(pause) = left.take(LINES, Instant::now()) {
            tokio::time::sleep(pause.max(BREATH)).await;
        }
        let line = match lines.next().await {
            Ok(Some(http::Line::Whole(line))) => line,
            Ok(Some(http::Line::TooLong)) => {
                // Whatever it told is found by listing; the next line has the token behind it.
                listener.hear(Heard::Relist).await;
                continue;
            }
            Ok(None) => return Err(Broken::Off(HttpError::GivenUp)),
            Err(HttpError::TooMuch { max, .. }) => {
                return Err(Broken::Nonsense(format!("a line of its changes has more than {max} bytes")));
            }
            Err(error) => return Err(Broken::Off(error)),
        };
        let line: Line = serde_json::from_slice(&line).map_err(|error| {
            Broken::Nonsense(format!("a line of its changes is none that is known: {error}"))
        })?;
        if line.token.len() > MAX_TOKEN {
            return Err(Broken::Nonsense("the token of a change is too long".to_owned()));
        }
        if line.relist || std::mem::take(is_new) {
            listener.hear(Heard::Relist).await;
        }
        if let Some((note, digest)) = line.filed.and_then(about) {
            listener.hear(Heard::Filed(note, digest)).await;
        }
        if let Some((note, digest)) = line.gone.and_then(about) {
            listener.hear(Heard::Gone(note, digest)).await;
        }
        if line.bundle.is_some() {
            listener.hear(Heard::Bundle).await;
        }
        listener.hear(Heard::Follows).await;
        *token = Some(line.token);
    }
    Ok(())
}

/// Where to look. What is of no digest is no attestation.
fn about(about: About) -> Option<(NoteName, Digest)> {
    let digest = about.resource_uri.rsplit_once('@')?.1.parse().ok()?;
    Some((about.note_name.parse().ok()?, digest))
}
