//! Google's own clients, as they are published for Python: tests/rig/install.sh has put them into an environment of their own.

use std::path::Path;
use std::process::Command;

use super::rig::{Database, on_both};

on_both! {
    googles_clients_work_unmodified
}

fn googles_clients_work_unmodified(database: &mut Database) {
    let store = database.open();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/rig/clients/bin/python");
    let ran = Command::new(&python).arg(root.join("tests/store/clients.py")).arg(&store.url).output();
    let ran = ran
        .unwrap_or_else(|error| panic!("{}: {error}: run tests/rig/install.sh --clients", python.display()));
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}
