//! The pull gate's questions: from the wire to a subject and its verdict.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::engine::{Engine, Occasion};
use crate::audit::{Asked, Gate};
use crate::decision::{Decision, Reason, Subject, SubjectError, Verdict};
use crate::evidence::Asker;
use crate::gate::message::{Ask, AskedImage};
use crate::gate::verifier::arguments::DESCRIPTOR;
use crate::image::{Digest, DigestKind, Reference};
use crate::text::shown;

/// How long an image that is not known here is looked up before its pull is refused. With what judging takes
/// it stays below the 8 s that the gate's server gives.
const PATIENCE: Duration = Duration::from_secs(7);

/// Media types of what a pull of an image may lead to.
const IMAGES: &[(&str, DigestKind)] = &[
    ("application/vnd.oci.image.index.v1+json", DigestKind::Index),
    ("application/vnd.oci.image.manifest.v1+json", DigestKind::Manifest),
    ("application/vnd.docker.distribution.manifest.list.v2+json", DigestKind::Index),
    ("application/vnd.docker.distribution.manifest.v2+json", DigestKind::Manifest),
];

/// Answers a question of the gate `pull` with a verdict, and records it. Where creation `is_judged` too, an
/// image that only its pod could decide about may be fetched.
pub(super) async fn answer(engine: Arc<Engine>, asked: Asked, ask: Ask, is_judged: bool) -> Verdict {
    match answer_at_once(&engine, &asked, &ask) {
        Some(verdict) => verdict,
        None => answer_slowly(engine, asked, ask, is_judged).await,
    }
}

/// The usual case without another thread, which would cost more than the judging: an allowance that
/// takes no time. `None` for all others, because signature checks and the log line of a refusal may take
/// theirs, and this thread serves others too.
fn answer_at_once(engine: &Engine, asked: &Asked, ask: &Ask) -> Option<Verdict> {
    let started = Instant::now();
    let verdict = engine.decide_at_once(&read(ask).ok()?.in_workload(engine.workload()))?;
    if verdict.would != Decision::Allow || engine.waits_for_records() {
        return None;
    }
    engine.record(&verdict, Occasion::at(Gate::Pull, asked, started.elapsed()));
    Some(verdict)
}

async fn answer_slowly(engine: Arc<Engine>, asked: Asked, ask: Ask, is_judged: bool) -> Verdict {
    let started = Instant::now();
    let verdict = match read(&ask) {
        Ok(subject) => {
            let asker = Asker { repository: subject.name().map(Reference::repository), namespace: None };
            let subject = subject.in_workload(engine.workload());
            let verdict = engine.decide_looking(subject.clone(), asker, Some(PATIENCE)).await;
            if is_judged { engine.at_pull(&subject, verdict) } else { verdict }
        }
        Err(wrong) => no_question(&ask, wrong),
    };
    let verdict = engine.if_recorded(verdict);
    let took = started.elapsed();
    let recording = Arc::clone(&engine);
    let (verdict, written, asked) = super::off_the_runtime(move || {
        let written = recording.record(&verdict, Occasion::at(Gate::Pull, &asked, took));
        (verdict, written, asked)
    })
    .await;
    engine.once_written(verdict, written, Occasion::at(Gate::Pull, &asked, took)).await
}

/// By what is known here alone.
pub(super) fn judge_pull(engine: &Engine, ask: &Ask) -> Verdict {
    match read(ask) {
        Ok(subject) => engine.decide(&subject.in_workload(engine.workload())),
        Err(wrong) => no_question(ask, wrong),
    }
}

fn no_question(ask: &Ask, (reason, cause): (Reason, String)) -> Verdict {
    let remedy =
        "This is no question about an image that can be judged; the pull must name one sha256 digest";
    Verdict::refused(&shown(&ask.image.name, 512), None, reason, &cause, remedy)
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
    let kind = check_descriptor(&ask.image, digest)?;
    let subject = Subject::pulled(&ask.image.name, &[(digest, kind)]);
    subject.map_err(|error| match error {
        SubjectError::Contradiction { .. } => (Reason::DigestMismatch, error.to_string()),
        SubjectError::Reference(_) => bad(error.to_string()),
    })
}

/// What the digest is of, by the descriptor. That is a registry's word: it can refuse a pull here, and
/// where `subjects` narrows what an attestation may name it says which of the two kinds was asked for;
/// containerd reads the bytes as what the descriptor calls them, or fails.
fn check_descriptor(image: &AskedImage, digest: Digest) -> Result<DigestKind, (Reason, String)> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Descriptor {
        media_type: String,
        digest: String,
    }
    let Some(descriptor) = &image.descriptor else { return Ok(DigestKind::Unknown) };
    let descriptor = Descriptor::deserialize(descriptor)
        .map_err(|error| (Reason::BadRequest, format!("the descriptor on standard input: {error}")))?;
    if descriptor.digest != digest.to_string() {
        let cause = format!("the descriptor on standard input is of `{}`", brief(&descriptor.digest));
        return Err((Reason::DigestMismatch, cause));
    }
    let media_type = descriptor.media_type.as_str();
    IMAGES.iter().find(|(known, _)| *known == media_type).map(|(_, kind)| *kind).ok_or_else(|| {
        let cause = format!("the registry calls it `{}`, which is not an image", brief(media_type));
        (Reason::MediaTypeUnknown, cause)
    })
}

fn brief(text: &str) -> String {
    shown(text, 80)
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
        Ask {
            gate: "pull".into(),
            program: "p".into(),
            entry: "e".into(),
            image,
            container: None,
            observes: None,
            problem: None,
        }
    }

    fn with(descriptor: serde_json::Value) -> Ask {
        let mut ask = ask("r.io/a:1", &[D]);
        ask.image.descriptor = Some(descriptor);
        ask
    }

    fn descriptor(media_type: &str, digest: &str) -> serde_json::Value {
        serde_json::json!({"mediaType": media_type, "digest": digest, "size": 1})
    }

    #[test]
    fn questions_that_can_be_judged() {
        let mut bare = ask("r.io/a:1", &[D]);
        bare.image.stdin_media_type = None;
        let mut rows = vec![bare, ask("r.io/a:1", &[D]), ask(&format!("r.io/a@{D}"), &[D])];
        rows.extend(IMAGES.iter().map(|(media_type, _)| with(descriptor(media_type, D))));
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
            (with(descriptor(IMAGES[0].0, &other)), Reason::DigestMismatch, "descriptor"),
            (with(descriptor("text/html", D)), Reason::MediaTypeUnknown, "`text/html`"),
        ];
        for (row, reason, part) in rows {
            let (found, cause) = read(&row).unwrap_err();
            assert_eq!(found, reason, "{cause}");
            assert!(cause.contains(part), "{cause:?} lacks {part:?}");
        }
    }
}
