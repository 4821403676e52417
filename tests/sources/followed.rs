//! A node that follows a real binauth-store: what is filed, taken away or pushed counts at once, though it is listed once a day.

use std::time::{Duration, Instant};

use super::node::{Node, attestation};
use super::rig::{Database, Store, text};

/// The design asks for a second; a test machine may be busy.
const SOON: Duration = Duration::from_secs(3);

fn following(url: &str) -> Node {
    let mut node =
        Node::with(&format!("name = 'store'\nurl = '{url}'\ninterval = '24h'\nchanges = true"), "");
    node.start();
    node.until("it follows", |node| node.json(&["status"])["sources"][0]["tells"] == true);
    node
}

fn within(what: &str, node: &Node, reached: impl Fn(&Node) -> bool) {
    let start = Instant::now();
    while !reached(node) {
        assert!(start.elapsed() < SOON, "{what}: {}", node.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    println!("{what}: {:?}", start.elapsed());
}

#[test]
fn what_a_store_tells_counts_at_once() {
    let database = Database::sqlite();
    let mut store = database.open();
    store.note("shop", "ci");
    let names: Vec<_> = (0..20).map(|n| store.put("shop", &attestation(n))).collect();
    let node = following(&store.url);
    node.all_allowed(0..20);
    assert!(node.pull(20).is_some(), "it is known that there is none");
    store.put("shop", &attestation(20));
    within("filed", &node, |node| node.pull(20).is_none());
    store.done(&format!("DELETE /v1/{}", names[3]), None);
    within("taken away", &node, |node| node.pull(3).is_some());

    // While the store is away; it comes back as another process, and the node goes on where it was.
    let (url, address) = (store.url.clone(), store.url.strip_prefix("http://").unwrap().to_owned());
    store.kill();
    node.until("it does not follow", |node| node.json(&["status"])["sources"][0]["tells"] == false);
    let other = database.open();
    other.done(&format!("DELETE /v1/{}", names[4]), None);
    let store = Store::start_on(&address, &database.url(), &["--open-on-loopback"]);
    assert_eq!(store.url, url);
    node.until("what was missed", |node| node.pull(4).is_some());
    node.all_allowed(5..20);
    let filed = other.put("shop", &attestation(3));
    assert_eq!(text(&store.done(&format!("GET /v1/{filed}"), None), "/name"), filed);
    within("filed at another server", &node, |node| node.pull(3).is_none());
}
