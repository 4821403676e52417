//! A node that no network leads to, fed from one that has a store.

use std::fs;

use super::node::{Node, image};

#[test]
fn attestations_are_carried_to_a_node_without_a_network() {
    let (_store, connected) = Node::listing(200);
    let carried = connected.at("carried");
    let file = carried.to_str().unwrap();
    let exported = connected.json(&["bundle", "export", "--to", file]);
    assert_eq!(exported["attestations"], 200, "{exported}");

    let mut alone = Node::with("name = 'local'\nurl = 'file:///nowhere'", "");
    let occurrences = alone.at("occurrences");
    let config = fs::read_to_string(alone.at("config.toml")).unwrap();
    fs::write(alone.at("config.toml"), config.replace("/nowhere", occurrences.to_str().unwrap())).unwrap();
    alone.start();
    assert_eq!(alone.pull(0).as_deref(), Some("NO_ATTESTATION"));
    let imported = alone.json(&["bundle", "import", file]);
    assert_eq!((&imported["attestations"], &imported["new"]), (&200.into(), &200.into()), "{imported}");
    alone.until("they count", |node| (0..200).all(|n| node.pull(n).is_none()));
    let again = alone.json(&["bundle", "import", file]);
    assert_eq!(again["new"], 0, "{again}");
    // From there it can be carried on, in part.
    let part = alone.at("part");
    let folder = occurrences.to_str().unwrap();
    let two = [image(3).to_string(), image(4).to_string()];
    let flags = ["bundle", "export", "--to", part.to_str().unwrap(), "--occurrences", folder];
    let exported = alone.json(&[&flags[..], &["--digest", &two[0], "--digest", &two[1]]].concat());
    assert_eq!(exported["attestations"], 2, "{exported}");
}

#[test]
fn a_file_that_is_not_whole_is_put_nowhere() {
    let (_store, node) = Node::listing(3);
    let file = node.at("carried");
    node.json(&["bundle", "export", "--to", file.to_str().unwrap()]);
    let whole = fs::read_to_string(&file).unwrap();
    let lines: Vec<_> = whole.lines().collect();
    let rows = [
        (String::new(), "it is empty"),
        ("hello\n".to_owned(), "its first line is none"),
        (whole.replace("\"binauthdTransfer\":1", "\"binauthdTransfer\":2"), "its format is version 2"),
        (whole[..whole.len() - 10].to_owned(), "cut short"),
        (lines[..3].join("\n") + "\n", "3 attestations are to be in it and 2 are"),
        (whole.replace("noteName", "nameNote"), "line 2: not an occurrence"),
        (whole.clone() + "{\"attestation\": 7}\n", "line 5: "),
    ];
    let (to, target) = (node.at("imported"), node.at("broken"));
    for (text, part) in rows {
        fs::write(&target, text).unwrap();
        let (code, said) =
            node.ctl(&["bundle", "import", target.to_str().unwrap(), "--occurrences", to.to_str().unwrap()]);
        assert!(code == Some(2) && said.contains(part), "{part}: {code:?} {said}");
        assert!(!to.exists());
    }
    let (code, said) = node.ctl(&["bundle", "import", "/nowhere"]);
    assert!(code == Some(2) && said.contains("cannot read transfer file `/nowhere`"), "{said}");
}
