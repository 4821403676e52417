//! What operators ask about evidence, and what they have done to it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::engine::Engine;
use crate::attestation::Occurrence;
use crate::attestation::verify::Finding;
use crate::decision::{Lack, Reason};
use crate::evidence::{Ledger, Node as _, Sources};
use crate::gate::admin::{AdminAnswer, CacheAsk};
use crate::gate::server::Refusal as _;
use crate::image::Digest;

/// How long sources are waited for: less than the socket gives.
const PATIENCE: Duration = Duration::from_secs(7);
/// The most digests of one answer.
const LISTED: usize = 1_000;
/// About the most bytes of documents in one answer: those of a digest are not parted.
const EXPORTED: usize = 2 * 1024 * 1024;

type Answer = Result<Value, (&'static str, String)>;

pub(super) fn answer(engine: &Engine, ask: &CacheAsk) -> AdminAnswer {
    let answer = match ask {
        CacheAsk::List { after, limit } => list(engine.ledger(), after.as_deref(), *limit),
        CacheAsk::Show { digest } => read(digest).and_then(|digest| show(engine, digest)),
        CacheAsk::Export { after } => export(engine.ledger(), after.as_deref()),
        CacheAsk::Refresh { .. } => {
            with_sync(engine, |sync| Ok(json!({"refreshes": awaited(sync.refresh())})))
        }
        CacheAsk::Drop { digest } => with_sync(engine, |sync| forget(engine, sync, digest.as_deref())),
        CacheAsk::AcceptDeletions { source } => with_sync(engine, |sync| {
            let gone = sync.accept_deletions(source.as_deref()).map_err(|error| ("NOT_DONE", error))?;
            Ok(json!({"deleted": gone}))
        }),
    };
    given(answer)
}

/// Asks every source for a digest now, whatever was asked before.
pub(super) async fn look_up(engine: &Engine, digest: &str) -> AdminAnswer {
    let digest = match read(digest) {
        Ok(digest) => digest,
        Err(wrong) => return given(Err(wrong)),
    };
    if !engine.look_ups().is_possible() {
        let only = "there is no source beyond this node: its folders are followed by themselves";
        return given(Err(("NO_SOURCE", only.to_owned())));
    }
    if let Some(wait) = engine.look_ups().ask_again(digest, Instant::now()) {
        let _ = tokio::time::timeout(PATIENCE, wait.ended()).await;
    }
    given(show(engine, digest))
}

fn given(answer: Answer) -> AdminAnswer {
    match answer {
        Ok(value) => AdminAnswer::Cache(value),
        Err((reason, message)) => AdminAnswer::refusal(reason, message),
    }
}

fn read(digest: &str) -> Result<Digest, (&'static str, String)> {
    digest.parse().map_err(|error| ("BAD_REQUEST", format!("{error}")))
}

fn disk(error: &dyn std::error::Error) -> (&'static str, String) {
    ("DISK", crate::chain(error))
}

fn with_sync(engine: &Engine, work: impl FnOnce(&Sources) -> Answer) -> Answer {
    match engine.sync() {
        Some(sync) => work(&sync),
        None => Err(("INTERNAL", "no source is followed yet".to_owned())),
    }
}

/// What the status of each source has as `refreshed` once it was read.
fn awaited(refreshes: Vec<(String, u64)>) -> Value {
    refreshes.into_iter().map(|(name, number)| (name, Value::from(number))).collect()
}

fn list(ledger: &Ledger, after: Option<&str>, limit: usize) -> Answer {
    let after = after.map(read).transpose()?;
    let digests = ledger.digests(after, limit.min(LISTED)).map_err(|error| disk(&error))?;
    let digests: Vec<_> = digests
        .into_iter()
        .map(|(digest, documents)| json!({"digest": digest.to_string(), "documents": documents}))
        .collect();
    Ok(json!({"digests": digests}))
}

fn show(engine: &Engine, digest: Digest) -> Answer {
    let (ledger, in_force) = (engine.ledger(), engine.in_force());
    let documents = ledger.documents(digest).map_err(|error| disk(&error))?;
    let documents: Vec<_> = documents
        .iter()
        .map(|(source, scope, text)| {
            let read = Occurrence::parse(text);
            let name = read.as_ref().map(|one| one.name.clone()).unwrap_or_default();
            let note = read.as_ref().map(|one| one.note.clone()).unwrap_or_default();
            let created = read.ok().and_then(|one| one.created);
            let created = created.map(|time| humantime::format_rfc3339_seconds(time).to_string());
            json!({"source": source, "scope": scope, "name": name, "note": note, "created": created,
                "bytes": text.len()})
        })
        .collect();
    let answer = ledger.evidence(digest, &in_force.asked, engine.now());
    let age = answer.as_ref().and_then(|answer| answer.age).map(|age| age.as_secs());
    let findings: Vec<_> = answer
        .iter()
        .flat_map(|answer| answer.evidence.findings())
        .map(|(attestor, finding)| json!({"attestor": attestor, "reason": reason(finding)}))
        .collect();
    let lack = engine.look_ups().lack(digest).map(|lack| match lack {
        Lack::Pending => "under way".to_owned(),
        Lack::Limited(wait) => format!("not before {} s", wait.as_secs().max(1)),
        Lack::Unreachable(cause) => cause,
    });
    Ok(json!({"digest": digest.to_string(), "ageSeconds": age, "attestors": findings,
        "documents": documents, "lookUp": lack, "pinned": ledger.is_pinned(digest)}))
}

fn reason(finding: &Finding) -> Reason {
    match finding {
        Ok(_) => Reason::Attested,
        Err(miss) => Reason::from(miss),
    }
}

fn export(ledger: &Ledger, after: Option<&str>) -> Answer {
    let mut after = after.map(read).transpose()?;
    let (mut documents, mut bytes) = (Vec::new(), 0);
    let end = loop {
        let next = ledger.digests(after, 1).map_err(|error| disk(&error))?;
        let Some((digest, _)) = next.first().copied() else { break true };
        for (source, _, text) in ledger.documents(digest).map_err(|error| disk(&error))? {
            bytes += text.len();
            let text = String::from_utf8_lossy(&text).into_owned();
            documents.push(json!({"source": source, "document": text}));
        }
        after = Some(digest);
        if bytes >= EXPORTED {
            break false;
        }
    };
    let after = after.filter(|_| !end).map(|digest| digest.to_string());
    Ok(json!({"documents": documents, "after": after}))
}

fn forget(engine: &Engine, sync: &Sources, digest: Option<&str>) -> Answer {
    let ledger = engine.ledger();
    match digest {
        Some(digest) => ledger.drop_digest(read(digest)?).map_err(|error| disk(&error))?,
        None => ledger.clear().map_err(|error| disk(&error))?,
    }
    let refreshes = awaited(sync.forget());
    engine.changed();
    Ok(json!({"dropped": digest.unwrap_or("everything"), "refreshes": refreshes}))
}
