//! The pull gate's questions: from the wire to a subject, and from a verdict to the answer.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::engine::Engine;
use crate::audit::{Asked, Gate};
use crate::decision::{Decision, Reason, Subject, SubjectError, Verdict};
use crate::gate::message::{Answer, Ask, AskedImage, Decision as Gated};
use crate::gate::server::Peer;
use crate::gate::unanswered::{self, Record};
use crate::image::Digest;

/// How often the daemon looks for questions that nobody answered.
const COLLECT: Duration = Duration::from_secs(1);

/// How often it looks whether the audit trail takes more of them.
const ROOM: Duration = Duration::from_millis(50);
/// The last second that RFC 3339 can write.
const LAST_SECOND: u64 = 253_402_300_799;

/// Media types of what a pull of an image may lead to.
const IMAGES: &[&str] = &[
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
const DESCRIPTOR: &str = "application/vnd.oci.descriptor.v1+json";

type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Answers what the gate socket is asked.
pub(super) fn handler(engine: Arc<Engine>) -> impl Fn(Peer, Ask) -> Answering + Send + Sync + 'static {
    move |peer, ask| {
        let engine = Arc::clone(&engine);
        Box::pin(async move {
            if let Some(answer) = answer_at_once(&engine, &peer, &ask) {
                return answer;
            }
            match tokio::task::spawn_blocking(move || answer(&engine, &peer, &ask)).await {
                Ok(answer) => answer,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        })
    }
}

/// The usual case without another thread, which would cost more than the judging: an allowance for a
/// digest whose evidence is in the cache. `None` for all others, because signature checks and the log
/// line of a refusal may take their time, and this thread serves others too.
fn answer_at_once(engine: &Engine, peer: &Peer, ask: &Ask) -> Option<Answer> {
    let started = Instant::now();
    let [digest] = ask.image.digests.as_slice() else { return None };
    if !engine.has_at_hand(digest.parse().ok()?) {
        return None;
    }
    let verdict = judge_pull(engine, ask);
    (verdict.would == Decision::Allow).then(|| recorded(engine, peer, ask, &verdict, started))
}

fn answer(engine: &Engine, peer: &Peer, ask: &Ask) -> Answer {
    let started = Instant::now();
    let verdict = judge_pull(engine, ask);
    recorded(engine, peer, ask, &verdict, started)
}

fn recorded(engine: &Engine, peer: &Peer, ask: &Ask, verdict: &Verdict, started: Instant) -> Answer {
    let asked =
        Asked { pid: peer.pid, uid: peer.uid, program: brief(&ask.program), entry: brief(&ask.entry) };
    engine.record(Gate::Pull, verdict, &asked, started.elapsed());
    Answer {
        decision: if verdict.allows() { Gated::Allow } else { Gated::Refuse },
        reason: verdict.reason.code().to_owned(),
        message: verdict.line(),
    }
}

fn judge_pull(engine: &Engine, ask: &Ask) -> Verdict {
    match read(ask) {
        Ok(subject) => engine.decide(&subject),
        Err((reason, cause)) => {
            let remedy =
                "This is no question about an image that can be judged; the pull must name one sha256 digest";
            Verdict::undecidable(&shown(&ask.image.name), None, reason, &cause, remedy)
        }
    }
}

fn read(ask: &Ask) -> Result<Subject, (Reason, String)> {
    let bad = |cause: String| (Reason::BadRequest, cause);
    if ask.gate != "pull" {
        return Err(bad(format!("`{}` is not a gate that this version knows", brief(&ask.gate))));
    }
    if let Some(problem) = &ask.problem {
        return Err(bad(problem.chars().take(300).collect()));
    }
    let [digest] = ask.image.digests.as_slice() else {
        return Err(bad(format!("{} digests were given, exactly one is needed", ask.image.digests.len())));
    };
    let digest: Digest = digest.parse().map_err(|error| (Reason::DigestUnsupported, format!("{error}")))?;
    if let Some(other) = ask.image.stdin_media_type.as_deref().filter(|media_type| *media_type != DESCRIPTOR)
    {
        return Err(bad(format!("`{}` is not a media type that is handed to verifiers", brief(other))));
    }
    check_descriptor(&ask.image, digest)?;
    Subject::pulled(&ask.image.name, digest).map_err(|error| match error {
        SubjectError::Contradiction { .. } => (Reason::DigestMismatch, error.to_string()),
        SubjectError::Reference(_) => bad(error.to_string()),
    })
}

/// A descriptor is a registry's word: it can refuse a pull here and allow none.
fn check_descriptor(image: &AskedImage, digest: Digest) -> Result<(), (Reason, String)> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Descriptor {
        media_type: String,
        digest: String,
    }
    let Some(descriptor) = &image.descriptor else { return Ok(()) };
    let descriptor = Descriptor::deserialize(descriptor)
        .map_err(|error| (Reason::BadRequest, format!("the descriptor on standard input: {error}")))?;
    if descriptor.digest != digest.to_string() {
        let cause = format!("the descriptor on standard input is of `{}`", brief(&descriptor.digest));
        return Err((Reason::DigestMismatch, cause));
    }
    if !IMAGES.contains(&descriptor.media_type.as_str()) {
        let cause =
            format!("the registry calls it `{}`, which is not an image", brief(&descriptor.media_type));
        return Err((Reason::MediaTypeUnknown, cause));
    }
    Ok(())
}

/// Audits the questions that gates wired to observe got no answer to, until told to stop.
pub(super) async fn collect_unanswered(engine: Arc<Engine>, path: PathBuf, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    loop {
        match unanswered::take(&path) {
            Ok(None) => {}
            Ok(Some(taken)) => {
                for record in &taken.records {
                    // What is on disk can wait there; what finds the queue full would be lost.
                    while !engine.audit_has_room() {
                        tokio::select! {
                            () = &mut stop => return,
                            () = tokio::time::sleep(ROOM) => {}
                        }
                    }
                    audit_unanswered(&engine, record);
                    tokio::task::yield_now().await;
                }
                if taken.unreadable > 0 {
                    tracing::warn!("`{}`: {} lines could not be read", path.display(), taken.unreadable);
                }
                if let Err(error) = taken.done() {
                    tracing::warn!("`{}`: {error}", path.display());
                }
            }
            Err(error) => tracing::warn!("`{}`: {error}", path.display()),
        }
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(COLLECT) => {}
        }
    }
}

/// It was allowed for want of an answer; what the answer would be is judged now.
fn audit_unanswered(engine: &Engine, record: &Record) {
    let image = AskedImage {
        name: record.name.clone(),
        digests: vec![record.digest.clone()],
        ..AskedImage::default()
    };
    let asked = Asked { pid: 0, uid: 0, program: String::new(), entry: String::new() };
    let ask =
        Ask { gate: record.gate.clone(), program: String::new(), entry: String::new(), image, problem: None };
    let mut verdict = judge_pull(engine, &ask);
    let since = Duration::from_secs(record.time.min(LAST_SECOND));
    let time = humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + since);
    let cause: String = record.cause.chars().take(200).collect();
    verdict.message = format!(
        "Image {} allowed at {time} without an answer, because the gate observes ({cause}). Judged now: {} [{}] {}",
        verdict.image, verdict.would, verdict.reason, verdict.message
    );
    verdict.verdict = Decision::Allow;
    verdict.enforced = false;
    verdict.reason = Reason::Unanswered;
    engine.record(Gate::Pull, &verdict, &asked, Duration::ZERO);
}

fn brief(text: &str) -> String {
    shown(text).chars().take(80).collect()
}

fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(512).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:abababababababababababababababababababababababababababababababab";

    fn ask(name: &str, digests: &[&str]) -> Ask {
        let image = AskedImage {
            name: name.into(),
            digests: digests.iter().map(|digest| (*digest).to_owned()).collect(),
            stdin_media_type: Some(DESCRIPTOR.into()),
            descriptor: None,
        };
        Ask { gate: "pull".into(), program: "p".into(), entry: "e".into(), image, problem: None }
    }

    fn with(descriptor: serde_json::Value) -> Ask {
        let mut ask = ask("r.io/a:1", &[D]);
        ask.image.descriptor = Some(descriptor);
        ask
    }

    fn descriptor(media_type: &str, digest: &str) -> serde_json::Value {
        serde_json::json!({"mediaType": media_type, "digest": digest, "size": 1})
    }

    fn engine(folder: &std::path::Path, audit: &std::path::Path) -> Arc<Engine> {
        let at = |name: &str| folder.join(name);
        let documents = crate::config::Documents::open(
            &at("policy.yaml"),
            &at("attestors"),
            &at("state"),
            std::time::SystemTime::now(),
        );
        let ledger = crate::evidence::Ledger::open([]);
        Arc::new(Engine::new(documents, ledger, crate::audit::Audit::open(audit)))
    }

    fn unanswered(time: u64) -> String {
        format!(r#"{{"time":{time},"gate":"pull","name":"r/a:1","digest":"{D}","cause":"silent"}}"#) + "\n"
    }

    #[tokio::test]
    async fn unanswered_questions_wait_on_disk_for_an_audit_trail_that_is_full() {
        let folder = tempfile::tempdir().unwrap();
        let records = folder.path().join("unanswered.jsonl");
        std::fs::write(&records, unanswered(7).repeat(20_000)).unwrap();
        std::fs::write(folder.path().join("file"), "in the way").unwrap();
        let engine = engine(folder.path(), &folder.path().join("file/audit.jsonl"));
        let patience = tokio::time::sleep(Duration::from_secs(3));
        collect_unanswered(Arc::clone(&engine), records.clone(), patience).await;
        assert_eq!(engine.audit().lost, 0);
        assert!(records.with_extension("jsonl.taken").exists(), "they come again");
    }

    #[tokio::test]
    async fn an_unanswered_question_of_any_time_is_audited() {
        let folder = tempfile::tempdir().unwrap();
        let records = folder.path().join("unanswered.jsonl");
        std::fs::write(&records, unanswered(u64::MAX) + &unanswered(LAST_SECOND + 1) + &unanswered(7))
            .unwrap();
        let audit = folder.path().join("audit.jsonl");
        let engine = engine(folder.path(), &audit);
        collect_unanswered(Arc::clone(&engine), records, std::future::ready(())).await;
        engine.finish();
        let text = std::fs::read_to_string(audit).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert_eq!(text.matches("9999-12-31T23:59:59Z").count(), 2, "{text}");
    }

    #[test]
    fn questions_that_can_be_judged() {
        let mut bare = ask("r.io/a:1", &[D]);
        bare.image.stdin_media_type = None;
        let mut rows = vec![bare, ask("r.io/a:1", &[D]), ask(&format!("r.io/a@{D}"), &[D])];
        rows.extend(IMAGES.iter().map(|media_type| with(descriptor(media_type, D))));
        for row in rows {
            let subject = read(&row).unwrap();
            assert_eq!((subject.digest().unwrap().to_string().as_str(), subject.name().is_some()), (D, true));
        }
        // No name at all is a subject that only its digest speaks for.
        assert!(read(&ask("!", &[D])).unwrap().name().is_none());
    }

    #[test]
    fn questions_that_cannot() {
        let other = D.replace("ab", "cd");
        let sha512 = format!("sha512:{}", "ab".repeat(64));
        let upper = format!("sha256:{}", "AB".repeat(32));
        let mut gate = ask("a", &[D]);
        gate.gate = "create".into();
        let mut media_type = ask("a", &[D]);
        media_type.image.stdin_media_type = Some("application/json".into());
        let mut problem = ask("a", &[D]);
        problem.problem = Some("the name has 1048576 bytes".into());
        let rows = [
            (ask("a", &[]), Reason::BadRequest, "0 digests"),
            (ask("a", &[D, D]), Reason::BadRequest, "2 digests"),
            (ask("a", &[&sha512]), Reason::DigestUnsupported, "`sha512` is not supported"),
            (ask("a", &[&upper]), Reason::DigestUnsupported, "upper-case"),
            (ask("a", &["latest"]), Reason::DigestUnsupported, "not a digest"),
            (ask(&format!("r.io/a@{other}"), &[D]), Reason::DigestMismatch, "the name pins"),
            (gate, Reason::BadRequest, "`create`"),
            (media_type, Reason::BadRequest, "`application/json`"),
            (problem, Reason::BadRequest, "1048576"),
            (with(serde_json::json!("x")), Reason::BadRequest, "descriptor"),
            (with(descriptor(IMAGES[0], &other)), Reason::DigestMismatch, "descriptor"),
            (with(descriptor("text/html", D)), Reason::MediaTypeUnknown, "`text/html`"),
        ];
        for (row, reason, part) in rows {
            let (found, cause) = read(&row).unwrap_err();
            assert_eq!(found, reason, "{cause}");
            assert!(cause.contains(part), "{cause:?} lacks {part:?}");
        }
    }
}
