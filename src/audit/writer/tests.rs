use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::*;
use crate::audit::{Asked, Gate, QUEUE, fold, verify};
use crate::decision::{Reason, Verdict};

fn settings(path: &Path, folder: &Path) -> Settings {
    Settings { journal: folder.join("no-journal"), ..Settings::at(path, folder) }
}

fn decisions(path: &Path) -> Vec<serde_json::Value> {
    lines(path).into_iter().filter(|line| line["kind"] == "decision").collect()
}

fn record(audit: &Audit, image: &str) {
    record_of(audit, &Verdict::refused(image, None, Reason::BadRequest, "cause", ""));
}

fn record_allowed(audit: &Audit, image: &str) {
    let allowed = Decision::Allow;
    let verdict = Verdict::refused(image, None, Reason::Attested, "cause", "");
    record_of(audit, &Verdict { verdict: allowed, would: allowed, ..verdict });
}

fn record_of(audit: &Audit, verdict: &Verdict) {
    let asked = Asked { pid: 1, uid: 0, program: "p".into(), entry: "e".into() };
    let (time, duration_micros) = (SystemTime::UNIX_EPOCH, Duration::from_micros(7));
    let (gate, container, event) = (Gate::Pull, None, None);
    audit.record(&Record { time, gate, verdict, asked: &asked, container, event, duration_micros });
}

fn lines(path: &Path) -> Vec<serde_json::Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn writes_json_lines_through_rotation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log/audit.jsonl");
    let audit = Audit::open(settings(&path, folder.path()));
    record(&audit, "one");
    while audit.status().written < 1 {
        std::thread::sleep(Duration::from_millis(1));
    }
    fs::rename(&path, folder.path().join("old")).unwrap();
    record(&audit, "two");
    audit.finish();
    assert_eq!(decisions(&folder.path().join("old"))[0]["image"], "one");
    let second = &decisions(&path)[0];
    assert_eq!((&second["image"], &second["gate"]), (&"two".into(), &"pull".into()));
    assert_eq!((&second["time"], &second["durationMicros"]), (&"1970-01-01T00:00:00.000Z".into(), &7.into()));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_line_cut_off_spoils_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    fs::write(&path, "{\"time\":\"2026").unwrap();
    let audit = Audit::open(settings(&path, folder.path()));
    record(&audit, "after");
    audit.finish();
    let text = fs::read_to_string(&path).unwrap();
    let (torn, whole) = text.split_once('\n').unwrap();
    assert_eq!(torn, "{\"time\":\"2026");
    let kinds: Vec<_> = whole
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["kind"].clone())
        .collect();
    assert_eq!(kinds, ["start", "decision", "stop"]);
    let report = verify::trail(&path, None).unwrap();
    assert_eq!((report.problems, report.notes[0].what), (Vec::new(), "torn"));
}

#[test]
fn a_disk_that_fails_costs_records_only_beyond_the_queue() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file/audit.jsonl");
    fs::write(folder.path().join("file"), "in the way").unwrap();
    let audit = Audit::open(settings(&path, folder.path()));
    let asked = QUEUE as u64 + 100;
    for number in 0..asked {
        record_allowed(&audit, &format!("waiting {number}"));
    }
    let lost = audit.status().lost;
    assert!((98..=100).contains(&lost), "{lost}");
    assert!(audit.hindrance().is_none(), "the journal stands in for it");
    assert!(audit.status().problem.is_some());
    fs::remove_file(folder.path().join("file")).unwrap();
    while audit.status().written < asked - lost {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(audit.status().problem.is_none());
    audit.finish();
    let gaps: Vec<_> = lines(&path).into_iter().filter(|line| line["kind"] == "gap").collect();
    assert_eq!(gaps.len(), 1);
    assert_eq!((&gaps[0]["lost"], &gaps[0]["journaled"]), (&lost.into(), &0.into()));
    assert_eq!(decisions(&path).len() as u64, asked - lost);
    assert_eq!(verify::trail(&path, None).unwrap().problems, []);
}

#[test]
fn the_chain_goes_on_over_files_and_starts_and_tells_what_was_pruned() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    for start in 0..3 {
        let audit = Audit::open(Settings {
            rotate_bytes: 4_096,
            keep_bytes: 16_384,
            ..settings(&path, folder.path())
        });
        for number in 0..40 {
            record(&audit, &format!("image {start} {number}"));
        }
        audit.finish();
    }
    let head = crate::audit::head::read(&crate::audit::head::path(folder.path())).unwrap();
    let report = verify::trail(&path, head).unwrap();
    assert_eq!(report.problems, []);
    assert_eq!(report.last, head.map(|head| head.seq));
    assert!(report.files.len() >= 3 && report.first.unwrap() > 1, "{report:?}");
    assert!(report.notes.iter().any(|note| note.what == "pruned"));
    fs::remove_file(&report.files[1]).unwrap();
    assert_eq!(verify::trail(&path, head).unwrap().problems[0].what, "missing");
}

#[test]
fn repeats_of_a_refusal_are_folded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = Audit::open(settings(&path, folder.path()));
    (0..10).for_each(|_| record(&audit, "same"));
    record(&audit, "other");
    assert_eq!(audit.status().folded, 9);
    audit.finish();
    assert_eq!(decisions(&path).len(), 2);
    let repeats: Vec<_> = lines(&path).into_iter().filter(|line| line["kind"] == "repeats").collect();
    assert_eq!((repeats.len(), &repeats[0]["count"], &repeats[0]["image"]), (1, &9.into(), &"same".into()));
}

#[test]
fn a_count_that_finds_the_queue_full_is_lost_whole() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "in the way").unwrap();
    let audit = Audit::open(settings(&folder.path().join("file/audit.jsonl"), folder.path()));
    (0..10).for_each(|_| record(&audit, "same"));
    while audit.status().lost == 0 {
        record_allowed(&audit, "waiting");
    }
    let before = audit.status().lost;
    audit.state.push_repeats(None);
    assert_eq!(audit.status().lost, before + 9);
}

#[test]
fn a_flood_of_refusals_pushes_nothing_out_of_the_trail() {
    const FLOOD: u64 = 100_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let bound = 2 * fold::MOST_A_MINUTE as u64;
    let audit = Audit::open(Settings {
        rotate_bytes: bound,
        keep_bytes: 2 * bound,
        ..settings(&path, folder.path())
    });
    record_allowed(&audit, "allowed before");
    audit.change(&Change {
        what: "policy".to_owned(),
        name: String::new(),
        before: Value::Null,
        after: json!("v1"),
        who: Value::Null,
    });
    let start = Instant::now();
    (0..FLOOD).for_each(|number| record(&audit, &format!("refused {number}")));
    record_allowed(&audit, "allowed meanwhile");
    audit.finish();
    // Where the machine is that slow, there are as many minutes.
    let minutes = start.elapsed().as_secs() / 60 + 1;
    let length = fs::metadata(&path).unwrap().len();
    assert!(length <= minutes * fold::MOST_A_MINUTE as u64 + 4_096, "{length} bytes in {minutes} min");
    let found = verify::trail(&path, None).unwrap();
    assert_eq!((found.problems, found.files.len(), found.first), (Vec::new(), 1, Some(1)));

    let all = lines(&path);
    let allowed = all.iter().filter(|line| line["verdict"] == "ALLOW").map(|line| line["image"].clone());
    assert_eq!(allowed.collect::<Vec<_>>(), ["allowed before", "allowed meanwhile"]);
    assert!(all.iter().any(|line| line["kind"] == "change") && audit.status().lost == 0);
    let summaries: Vec<_> = all.iter().filter(|line| line["kind"] == "summary").collect();
    let (gate, reason) = (&summaries[0]["gate"], &summaries[0]["reason"]);
    assert_eq!((gate, reason, summaries[0].get("image")), (&json!("pull"), &json!("BAD_REQUEST"), None));
    let report = crate::audit::report::report(&path, &Default::default()).unwrap();
    assert_eq!((report.decisions.refused, report.decisions.allowed), (FLOOD, 2));
    let of_reason = report.reasons.named.iter().find(|(name, _)| name == "BAD_REQUEST");
    assert_eq!(of_reason.unwrap().1.refused, FLOOD);
}

#[test]
fn what_was_done_to_a_trail_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = Audit::open(settings(&path, folder.path()));
    (0..4).for_each(|number| record(&audit, &format!("image {number}")));
    audit.finish();
    let head = crate::audit::head::read(&crate::audit::head::path(folder.path())).unwrap();
    let whole: Vec<String> = fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(whole.len(), 6);
    type Deed = fn(&mut Vec<String>);
    let rows: [(&str, u64, Deed); 6] = [
        ("edited", 3, |lines| lines[2] = lines[2].replace("image 1", "image 9")),
        ("edited", 6, |lines| lines[5] = lines[5].replace("stop", "halt")),
        ("missing", 3, |lines| drop(lines.remove(2))),
        ("missing", 1, |lines| drop(lines.remove(0))),
        ("truncated", 5, |lines| drop(lines.pop())),
        ("foreign", 3, |lines| lines.insert(2, "{\"kind\":\"decision\"}".to_owned())),
    ];
    for (what, line, deed) in rows {
        let mut lines = whole.clone();
        deed(&mut lines);
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        let report = verify::trail(&path, head).unwrap();
        let found: Vec<_> = report.problems.iter().map(|found| (found.what, found.line)).collect();
        assert_eq!(found, [(what, line)]);
    }
    let mut lines = whole.clone();
    lines.swap(2, 3);
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    let found: Vec<_> = verify::trail(&path, head).unwrap().problems.iter().map(|found| found.what).collect();
    assert_eq!(found, ["missing", "reordered"]);
    fs::write(&path, whole.join("\n") + "\n").unwrap();
    assert_eq!(verify::trail(&path, head).unwrap().problems, []);
}
