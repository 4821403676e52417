//! The evidence file damaged, foreign or without room.

use std::fs;
use std::os::unix::fs::FileExt;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::node::{Node, attestation};
use super::store::{Mode, Store};

#[test]
fn a_file_that_is_damaged_is_set_aside_and_built_anew() {
    let (store, mut node) = Node::listing(200);
    node.terminate();
    let file = node.at("state/evidence.redb");
    let damages: [(&str, &dyn Fn()); 4] = [
        ("cut short", &|| {
            let whole = fs::metadata(&file).unwrap().len();
            fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(whole / 3).unwrap();
        }),
        ("no database", &|| fs::write(&file, "hello").unwrap()),
        ("empty", &|| fs::write(&file, "").unwrap()),
        ("overwritten in the middle", &|| {
            let disk = fs::OpenOptions::new().write(true).open(&file).unwrap();
            let whole = disk.metadata().unwrap().len();
            for at in (8_192..whole).step_by(4_096) {
                disk.write_all_at(&[0x5a; 64], at + 100).unwrap();
            }
        }),
    ];
    for (what, damage) in damages {
        damage();
        // Without the store everything is unknown, and refused by name.
        store.be(Mode::Status(503));
        node.start();
        let refusals: Vec<_> = (0..200).filter_map(|n| node.pull(n)).collect();
        let named =
            refusals.iter().all(|reason| reason == "SOURCE_UNREACHABLE" || reason == "NO_ATTESTATION");
        assert!(named, "{what}: {refusals:?}");
        store.be(Mode::Good);
        node.until("it is built anew", |node| {
            node.refresh();
            (0..200).all(|n| node.pull(n).is_none())
        });
        println!("{what}: {} of 200 refused until it was built anew", refusals.len());
        node.terminate();
        node.start();
        store.be(Mode::Status(503));
        node.all_allowed(0..200);
        node.terminate();
        store.be(Mode::Good);
    }
}

#[test]
fn a_full_disk_takes_nothing_from_what_is_known() {
    let store = Store::start();
    store.file((0..50).map(attestation));
    let mut node = Node::new(&store);
    let state = node.at("state");
    mount(Some("tmpfs"), &state, Some("tmpfs"), MsFlags::empty(), Some("size=12m,mode=0700")).unwrap();
    let unmounted = Unmount(state.clone());
    node.start();
    node.until("the first listing", |node| node.pull(49).is_none());
    // Until nothing more fits.
    let hog = state.join("hog");
    let disk = fs::File::create(&hog).unwrap();
    let mut length = 0;
    while disk.write_all_at(&[1; 4096], length).is_ok() {
        length += 4096;
    }
    store.file((50..600).map(attestation));
    node.refresh();
    node.all_allowed(0..50);
    // What is looked up counts all the same, from memory.
    assert_eq!(node.pull(599), None);
    assert!(node.pull(9_999).is_some());
    let alarms = node.alarms();
    assert!(alarms.contains("room"), "{alarms}");
    println!("full: {alarms}");
    fs::remove_file(&hog).unwrap();
    drop(disk);
    node.until("there is room again", |node| {
        node.refresh();
        !node.alarms().contains("room") && node.pull(60).is_none()
    });
    node.all_allowed(0..50);
    node.kill();
    drop(unmounted);
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}
