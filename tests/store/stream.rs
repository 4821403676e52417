//! The stream of changes.

use std::time::{Duration, Instant};

use serde_json::json;

use super::rig::{Database, on_both, text};

const NOTE: &str = "projects/sec/notes/qa";

on_both! {
    changes_are_told_in_order_and_go_on_by_token
    a_token_that_says_nothing_is_answered_with_relist
}

fn changes_are_told_in_order_and_go_on_by_token(database: &mut Database) {
    let store = database.open();
    store.note("sec", "qa");
    let follower = store.follow("");
    let first = follower.any(Duration::from_secs(10)).unwrap();
    assert_eq!(first["heartbeat"], true, "{first}");
    let start = Instant::now();
    let name = store.file("shop", NOTE, 'a');
    let filed = follower.next();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(
        (text(&filed, "/filed/name"), text(&filed, "/filed/noteName")),
        (name.clone(), NOTE.to_owned()),
        "{filed}"
    );
    drop(follower);
    // While nobody listens.
    let other = store.file("shop", NOTE, 'b');
    store.done(&format!("DELETE /v1/{name}"), None);
    store.done("PUT /v1/projects/shop/bundle", Some(&json!({"payload": "x"})));
    let again = store.follow(&format!("?token={}", text(&filed, "/token")));
    assert_eq!(text(&again.next(), "/filed/name"), other);
    let gone = again.next();
    assert_eq!((text(&gone, "/gone/name"), text(&gone, "/gone/noteName")), (name, NOTE.to_owned()), "{gone}");
    assert_eq!(text(&again.next(), "/bundle"), "projects/shop/bundle");
    // Of one note alone.
    store.note("sec", "qb");
    let narrow = store.follow("?note=projects/sec/notes/qb");
    narrow.any(Duration::from_secs(10)).unwrap();
    store.file("shop", NOTE, 'c');
    let of_other = store.file("shop", "projects/sec/notes/qb", 'c');
    assert_eq!(text(&narrow.next(), "/filed/name"), of_other);
    assert_eq!(text(&again.next(), "/filed/noteName"), NOTE);
}

fn a_token_that_says_nothing_is_answered_with_relist(database: &mut Database) {
    let store = database.open();
    store.note("sec", "qa");
    for token in ["x", "1.1", "..", "0.99999999"] {
        let follower = store.follow(&format!("?token={token}"));
        let first = follower.any(Duration::from_secs(10)).unwrap();
        assert_eq!(first["relist"], true, "{token}: {first}");
    }
}
