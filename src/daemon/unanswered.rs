//! Audits the questions that gates wired to observe got no answer to.
//!
//! They lie on disk until the audit trail has written them: a crash in between has them audited twice, and
//! none is lost to a disk that is full.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::engine::{Engine, Occasion};
use super::pull::judge_pull;
use crate::audit::{Asked, Gate, Place, QUEUE};
use crate::decision::{Decision, Reason, Verdict};
use crate::gate::message::{Ask, AskedImage};
use crate::gate::unanswered::{self, Record};
use crate::text::shown;

/// How often there is a look at the disk.
const LOOK: Duration = Duration::from_secs(1);
/// How often there is a look at the audit trail and at whether to stop.
const STEP: Duration = Duration::from_millis(50);
/// The last second that RFC 3339 can write.
const LAST_SECOND: u64 = 253_402_300_799;

/// Collects from `path` until `stopped` says so. Blocks: belongs on a thread of its own.
pub(super) fn collect(engine: &Arc<Engine>, path: &Path, stopped: impl Fn() -> bool) {
    loop {
        if let Err(error) = audit_all(engine, path, &stopped) {
            tracing::warn!("`{}`: {error}", path.display());
        }
        let mut rest = LOOK;
        while !rest.is_zero() {
            if stopped() {
                return;
            }
            std::thread::sleep(STEP);
            rest = rest.saturating_sub(STEP);
        }
    }
}

fn audit_all(engine: &Engine, path: &Path, stopped: &impl Fn() -> bool) -> std::io::Result<()> {
    while let Some(taken) = unanswered::take(path)? {
        for record in &taken.records {
            let has_room = || {
                let (taken, written) = engine.audit_progress();
                taken.saturating_sub(written) < QUEUE as u64 / 2
            };
            if !wait_until(has_room, stopped) {
                return Ok(());
            }
            audit(engine, record);
        }
        if taken.unreadable > 0 {
            tracing::warn!("`{}`: {} lines could not be read", path.display(), taken.unreadable);
        }
        let (ours, _) = engine.audit_progress();
        if !wait_until(|| engine.audit_progress().1 >= ours, stopped) {
            return Ok(());
        }
        taken.done()?;
    }
    Ok(())
}

/// Whether it came before the time to stop did.
fn wait_until(ready: impl Fn() -> bool, stopped: &impl Fn() -> bool) -> bool {
    while !ready() {
        if stopped() {
            return false;
        }
        std::thread::sleep(STEP);
    }
    true
}

/// It was allowed for want of an answer; what the answer would be is judged now.
fn audit(engine: &Engine, record: &Record) {
    let image = AskedImage {
        name: record.name.clone(),
        digests: vec![record.digest.clone()],
        ..AskedImage::default()
    };
    let nobody = Asked { pid: 0, uid: 0, program: String::new(), entry: String::new() };
    let since = Duration::from_secs(record.time.min(LAST_SECOND));
    let time = humantime::format_rfc3339_seconds(UNIX_EPOCH + since);
    if record.gate == "create" {
        let mut verdict = unknown_container(record, &time);
        verdict.verdict = Decision::Allow;
        verdict.enforced = false;
        let place = place(record);
        engine.record(&verdict, Occasion::at(Gate::Create, &nobody, Duration::ZERO).of(&place));
        return;
    }
    let ask = Ask {
        gate: record.gate.clone(),
        program: String::new(),
        entry: String::new(),
        image,
        container: None,
        observes: None,
        problem: None,
    };
    let mut verdict = judge_pull(engine, &ask);
    verdict.message = format!(
        "Image {} allowed at {time} without an answer, because the gate observes ({}). Judged now: {} [{}] {}",
        verdict.image,
        shown(&record.cause, 200),
        verdict.would,
        verdict.reason,
        verdict.message
    );
    verdict.verdict = Decision::Allow;
    verdict.enforced = false;
    verdict.reason = Reason::Unanswered;
    engine.record(&verdict, Occasion::at(Gate::Pull, &nobody, Duration::ZERO));
}

fn place(record: &Record) -> Place {
    let container = record.container.clone().unwrap_or_default();
    Place {
        namespace: container.namespace,
        id: container.id,
        name: container.name,
        pod_namespace: container.pod_namespace,
        pod: container.pod_name,
        ..Place::default()
    }
}

/// A container that was created without an answer. What it was made from is not known here: it has no digest,
/// and what the answer would have been is not decided.
fn unknown_container(record: &Record, time: &impl std::fmt::Display) -> Verdict {
    let container = record.container.clone().unwrap_or_default();
    let image = if record.name.is_empty() { "(not known)".to_owned() } else { shown(&record.name, 512) };
    let remedy =
        "What runs now is judged by what it was made from; this record says only that nobody was asked";
    let mut verdict = Verdict::refused(&image, None, Reason::Unanswered, "", remedy);
    let mut what = format!("Container `{}`", shown(&container.id, 80));
    for (of, text) in [
        (" in containerd's namespace", &container.namespace),
        (", named", &container.name),
        (", of pod", &container.pod_name),
        (" in namespace", &container.pod_namespace),
    ] {
        if !text.is_empty() {
            what.push_str(&format!("{of} `{}`", shown(text, 260)));
        }
    }
    verdict.message = format!(
        "{what}, of image {image}, allowed at {time} without an answer, because the gate observes ({})",
        shown(&record.cause, 200)
    );
    verdict
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::audit::{Audit, Settings};
    use crate::config::{Config, Documents};
    use crate::evidence::{Ledger, LookUps};

    fn engine(folder: &Path, audit: &Path) -> Arc<Engine> {
        let config = Config::under(folder);
        let documents = Documents::open(&config, std::time::SystemTime::now());
        let ledger = Arc::new(Ledger::open(folder, []).0);
        Arc::new(Engine::new(
            documents,
            ledger,
            Arc::new(LookUps::new().0),
            Audit::open(Settings::at(audit, folder)),
            &config,
        ))
    }

    /// What was decided, as the trail has it.
    fn decisions(audit: &Path) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(audit).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.filter(|line: &serde_json::Value| line["kind"] == "decision").collect()
    }

    fn line(time: u64) -> String {
        let digest = "ab".repeat(32);
        format!(
            r#"{{"time":{time},"gate":"pull","name":"r/a:1","digest":"sha256:{digest}","cause":"silent"}}"#
        ) + "\n"
    }

    #[test]
    fn they_wait_on_disk_for_an_audit_trail_that_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let records = folder.path().join("unanswered.jsonl");
        std::fs::write(&records, line(7).repeat(20_000)).unwrap();
        std::fs::write(folder.path().join("file"), "in the way").unwrap();
        let engine = engine(folder.path(), &folder.path().join("file/audit.jsonl"));
        let end = Instant::now() + Duration::from_secs(2);
        collect(&engine, &records, || Instant::now() > end);
        assert_eq!(engine.audit().lost, 0);
        assert!(records.with_extension("jsonl.taken").exists(), "they come again");
        // The audit trail would make its folder anew while this one is removed.
        engine.finish();
    }

    #[test]
    fn a_container_is_audited_without_a_digest() {
        let folder = tempfile::tempdir().unwrap();
        let records = folder.path().join("unanswered.jsonl");
        let whole = r#"{"time":7,"gate":"create","name":"r/a:1","digest":"","cause":"silent","container":{"id":"c1","namespace":"k8s.io","name":"web","podNamespace":"prod","podName":"shop-0"}}"#;
        let bare = r#"{"time":7,"gate":"create","name":"","digest":"","cause":"silent"}"#;
        std::fs::write(&records, format!("{whole}\n{bare}\n")).unwrap();
        let audit = folder.path().join("audit.jsonl");
        let engine = engine(folder.path(), &audit);
        collect(&engine, &records, || engine.audit().written == 2);
        engine.finish();
        let lines = decisions(&audit);
        assert_eq!(lines.len(), 2);
        for line in &lines {
            let said = (&line["gate"], &line["verdict"], &line["reason"], &line["enforced"]);
            assert_eq!(
                said,
                (&"create".into(), &"ALLOW".into(), &"UNANSWERED".into(), &false.into()),
                "{line}"
            );
            assert!(line.get("digest").is_none() && line["would"] == "CANNOT_DECIDE", "{line}");
        }
        assert_eq!(lines[0]["image"], "r/a:1");
        assert_eq!(
            lines[0]["message"],
            "Container `c1` in containerd's namespace `k8s.io`, named `web`, of pod `shop-0` in namespace `prod`, of \
             image r/a:1, allowed at 1970-01-01T00:00:07Z without an answer, because the gate observes (silent)"
        );
    }

    #[test]
    fn one_of_any_time_is_audited() {
        let folder = tempfile::tempdir().unwrap();
        let records = folder.path().join("unanswered.jsonl");
        std::fs::write(&records, line(u64::MAX) + &line(LAST_SECOND + 1) + &line(7)).unwrap();
        let audit = folder.path().join("audit.jsonl");
        let engine = engine(folder.path(), &audit);
        collect(&engine, &records, || engine.audit().written == 3);
        engine.finish();
        let text = std::fs::read_to_string(&audit).unwrap();
        assert_eq!(decisions(&audit).len(), 3);
        assert_eq!(text.matches("9999-12-31T23:59:59Z").count(), 2, "{text}");
    }
}
