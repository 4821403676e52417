use std::fs;

use super::*;

fn documents(text: &str) -> Documents {
    Documents::from([("policy".to_owned(), text.to_owned())])
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn kept(version: u64) -> Kept {
    let envelope = format!("envelope {version}");
    Kept::new(Highest { version, digest: Digest::of(envelope.as_bytes()) }, envelope)
}

struct Node {
    folder: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn open(&self) -> Trust {
        Trust::open(self.folder.path())
    }

    fn path(&self, copy: usize) -> PathBuf {
        self.folder.path().join(format!("trust.{copy}"))
    }

    fn spoil(&self, copy: usize) {
        fs::write(self.path(copy), "spoilt").unwrap();
    }
}

#[test]
fn the_newest_whole_copy_counts() {
    let node = Node::new();
    let mut trust = node.open();
    assert!(trust.documents().is_empty() && trust.problems().next().is_none() && !trust.lost());
    for text in ["1", "2", "3"] {
        trust.keep(documents(text), at(1));
    }
    assert_eq!(node.open().documents(), &documents("3"));
    let whole = fs::read(node.path(1)).unwrap();
    for broken in [&whole[..whole.len() - 1], b"", &[b"x", whole.as_slice()].concat()] {
        fs::write(node.path(1), broken).unwrap();
        let trust = node.open();
        assert_eq!((trust.documents(), trust.lost()), (&documents("2"), false));
        assert_eq!(trust.problems().count(), 1);
    }
}

#[test]
fn what_an_earlier_version_wrote_is_read() {
    let node = Node::new();
    let body = r#"{"generation":4,"documents":{"policy":"x"}}"#;
    fs::write(node.path(0), format!("{}\n{body}", Digest::of(body.as_bytes()))).unwrap();
    let mut trust = node.open();
    assert_eq!((trust.documents(), trust.bundle(), trust.mark()), (&documents("x"), None, None));
    trust.keep(documents("x"), at(9));
    assert_eq!(node.open().mark(), Some(at(9)));
}

#[test]
fn a_bundle_is_known_whichever_copy_is_lost() {
    for spoilt in [0, 1] {
        let node = Node::new();
        let mut trust = node.open();
        trust.keep(documents("x"), at(1));
        trust.record(kept(7), at(2)).unwrap();
        node.spoil(spoilt);
        let mut trust = node.open();
        assert_eq!((trust.bundle(), trust.documents()), (Some(&kept(7)), &documents("x")));
        assert!(!trust.lost());
        // The next writing mends it.
        trust.keep(documents("y"), at(3));
        trust.keep(documents("z"), at(3));
        assert_eq!(node.open().problems().count(), 0);
    }
}

#[test]
fn with_no_copy_whole_nothing_is_known_until_it_is_reset() {
    for copies in [&[0][..], &[1], &[0, 1]] {
        let node = Node::new();
        let mut trust = node.open();
        trust.record(kept(7), at(2)).unwrap();
        for copy in [0, 1] {
            if copies.contains(&copy) { node.spoil(copy) } else { fs::remove_file(node.path(copy)).unwrap() }
        }
        let mut trust = node.open();
        assert!(trust.lost() && trust.bundle().is_none() && report(node.folder.path()).lost);
        assert!(trust.problems().any(|problem| problem.contains("binauthctl trust reset")));
        trust.keep(documents("x"), at(3));
        trust.mark_time(at(3));
        assert_eq!(trust.record(kept(8), at(3)).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(node.open().lost());
        trust.reset(Forget::Broken, SystemTime::now()).unwrap();
        trust.record(kept(1), at(4)).unwrap();
        let trust = node.open();
        assert_eq!((trust.bundle(), trust.problems().count()), (Some(&kept(1)), 0));
        let aside = fs::read_dir(node.folder.path()).unwrap().flatten();
        let aside = aside.filter(|entry| entry.file_name().to_string_lossy().ends_with("-broken")).count();
        assert_eq!(aside, copies.len());
    }
}

#[test]
fn only_what_is_named_is_forgotten() {
    let rows = [
        (Forget::Bundle, false, true, true),
        (Forget::Time, true, false, true),
        (Forget::All, false, false, false),
    ];
    for (what, bundle, mark, texts) in rows {
        let node = Node::new();
        let mut trust = node.open();
        trust.keep(documents("x"), at(5));
        trust.record(kept(7), at(5)).unwrap();
        assert!(matches!(trust.reset(Forget::Broken, SystemTime::now()), Err(ResetError::Whole)));
        trust.reset(what, SystemTime::now()).unwrap();
        // In both copies.
        for spoilt in [None, Some(0)] {
            spoilt.into_iter().for_each(|copy| node.spoil(copy));
            let trust = node.open();
            let found = (trust.bundle().is_some(), trust.mark().is_some(), !trust.documents().is_empty());
            assert_eq!(found, (bundle, mark, texts), "{what:?}");
        }
    }
}

#[test]
fn the_mark_only_rises_and_is_written_now_and_then() {
    let node = Node::new();
    let mut trust = node.open();
    let rows = [(1000, 1000), (1599, 1000), (1600, 1600), (10, 1600), (2200, 2200)];
    for (now, expected) in rows {
        trust.keep(documents("x"), at(now));
        assert_eq!(node.open().mark(), Some(at(expected)), "{now}");
    }
    trust.record(kept(1), at(10)).unwrap();
    assert_eq!(node.open().mark(), Some(at(2200)));
    trust.mark_time(at(2201));
    assert_eq!(node.open().mark(), Some(at(2201)));
}

#[test]
fn what_cannot_be_written_is_tried_again() {
    let node = Node::new();
    let mut trust = node.open();
    trust.record(kept(7), at(1)).unwrap();
    let aside = node.folder.path().with_extension("aside");
    fs::rename(node.folder.path(), &aside).unwrap();
    assert!(trust.record(kept(8), at(1)).is_err());
    trust.keep(documents("x"), at(1));
    assert_eq!(trust.bundle(), Some(&kept(7)));
    assert!(trust.problems().any(|problem| problem.contains("cannot be kept")));
    fs::rename(&aside, node.folder.path()).unwrap();
    trust.keep(documents("x"), at(1));
    assert_eq!((trust.problems().count(), node.open().documents()), (0, &documents("x")));
}

#[test]
fn the_report_tells_of_both_copies() {
    let node = Node::new();
    let mut trust = node.open();
    trust.keep(documents("x"), at(0));
    let report = |node: &Node| serde_json::json!(super::report(node.folder.path()));
    assert_eq!(report(&node)["copies"][0]["state"], "absent");
    trust.record(kept(7), at(60)).unwrap();
    node.spoil(0);
    let told = report(&node);
    assert_eq!((&told["bundle"]["version"], &told["mark"]), (&7.into(), &"1970-01-01T00:01:00Z".into()));
    assert_eq!(told["documents"][0]["version"], serde_json::json!(Version::of(b"x")));
    assert_eq!(
        (&told["copies"][0]["state"], &told["copies"][1]["state"]),
        (&"broken".into(), &"whole".into())
    );
    assert_eq!((&told["copies"][1]["generation"], &told["lost"]), (&3.into(), &false.into()));
}
