//! Audits the questions that gates wired to observe got no answer to.
//!
//! They lie on disk until the audit trail has written them: a crash in between has them audited twice, and
//! none is lost to a disk that is full.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::engine::Engine;
use super::pull::judge_pull;
use crate::audit::{Asked, Gate, QUEUE};
use crate::decision::{Decision, Reason};
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
    let ask =
        Ask { gate: record.gate.clone(), program: String::new(), entry: String::new(), image, problem: None };
    let mut verdict = judge_pull(engine, &ask);
    let since = Duration::from_secs(record.time.min(LAST_SECOND));
    let time = humantime::format_rfc3339_seconds(UNIX_EPOCH + since);
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
    engine.record(Gate::Pull, &verdict, &nobody, Duration::ZERO);
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::audit::Audit;
    use crate::config::{Config, Documents};
    use crate::evidence::Ledger;

    fn engine(folder: &Path, audit: &Path) -> Arc<Engine> {
        let documents = Documents::open(&Config::under(folder), std::time::SystemTime::now());
        Arc::new(Engine::new(documents, Ledger::new([]), Audit::open(audit), None))
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
    fn one_of_any_time_is_audited() {
        let folder = tempfile::tempdir().unwrap();
        let records = folder.path().join("unanswered.jsonl");
        std::fs::write(&records, line(u64::MAX) + &line(LAST_SECOND + 1) + &line(7)).unwrap();
        let audit = folder.path().join("audit.jsonl");
        let engine = engine(folder.path(), &audit);
        collect(&engine, &records, || engine.audit().written == 3);
        engine.finish();
        let text = std::fs::read_to_string(audit).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert_eq!(text.matches("9999-12-31T23:59:59Z").count(), 2, "{text}");
    }
}
