//! `containerd base-spec`, without a containerd.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::bench::Bench;

const HOOK: &str = "/usr/libexec/binauthd/binauthd-create-hook";
/// What `ctr oci spec` prints, in short.
const CTR: &str = r#"{"ociVersion":"1.2.1","process":{"cwd":"/","rlimits":[{"type":"RLIMIT_NOFILE","hard":1024,"soft":1024}]},
    "linux":{"maskedPaths":["/proc/acpi"]}}"#;

/// A `ctr` of this version.
fn ctr(bench: &Bench, name: &str, version: &str) {
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in\n--version) echo ctr github.com/containerd/containerd/v2 {version} ;;\n\
         'oci spec') echo '{CTR}' ;;\n*) exit 1 ;;\nesac\n"
    );
    fs::write(bench.at(name), text).unwrap();
    fs::set_permissions(bench.at(name), fs::Permissions::from_mode(0o755)).unwrap();
}

fn spec(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_defaults_are_those_of_the_version_named() {
    let bench = Bench::new();
    ctr(&bench, "ctr", "v2.1.9");
    fs::write(bench.at("saved.json"), CTR).unwrap();
    let sources = ["--ctr ./ctr", "--defaults saved.json"];
    for source in sources {
        let line = format!("containerd base-spec {source} --containerd-version 2.1.9");
        let written = spec(&bench.run(&line).gave(0, "createRuntime").out);
        let wanted = json!({
            "ociVersion": "1.2.1",
            "process": { "cwd": "/" },
            "linux": { "maskedPaths": ["/proc/acpi"] },
            "hooks": { "createRuntime": [{
                "path": HOOK,
                "args": ["binauthd-create-hook", "--made-for", "2.1.9"],
                "timeout": 30,
            }] },
        });
        assert_eq!(written, wanted, "{source}");
    }
    bench
        .run("containerd base-spec --ctr ./ctr --containerd-version 2.1.8")
        .gave(2, "it is of version v2.1.9");
}

#[test]
fn what_was_there_stays_and_says_whose_defaults_it_has() {
    let bench = Bench::new();
    fs::write(bench.at("theirs.json"), CTR).unwrap();
    let line = "containerd base-spec --from theirs.json --to ours.json --observe --wait 5 -o json";
    let report = spec(&bench.run(line).gave(0, "observe").out);
    assert_eq!(report, json!({ "file": "ours.json", "hook": HOOK, "mode": "observe" }));
    let ours = fs::read_to_string(bench.at("ours.json")).unwrap();
    let mut merged = spec(&ours);
    let hook = merged.as_object_mut().unwrap().remove("hooks").unwrap();
    assert_eq!(merged, spec(CTR));
    assert_eq!(hook["createRuntime"][0]["args"], json!(["binauthd-create-hook", "--observe", "--wait", "5"]));
    assert_eq!(hook["createRuntime"][0]["timeout"], 15);

    // Written anew from itself, it keeps the version that its defaults are of.
    fs::write(bench.at("made.json"), ours.replace("\"--observe\"", "\"--made-for=1.7.1\"")).unwrap();
    bench.run("containerd base-spec --from made.json --to made.json").gave(0, "1.7.1");
    let made = spec(&fs::read_to_string(bench.at("made.json")).unwrap());
    let args = &made["hooks"]["createRuntime"][0]["args"];
    assert_eq!(*args, json!(["binauthd-create-hook", "--made-for", "1.7.1"]));
}

#[test]
fn a_gate_socket_elsewhere_is_told_to_the_hook() {
    let bench = Bench::new();
    fs::write(bench.at("theirs.json"), CTR).unwrap();
    fs::write(bench.at("config.toml"), "config_version = 1\nruntime_dir = '/run/x'\n").unwrap();
    let ran = bench.run("--config config.toml containerd base-spec --from theirs.json");
    let written = spec(&ran.gave(0, "").out);
    let args = &written["hooks"]["createRuntime"][0]["args"];
    assert_eq!(*args, json!(["binauthd-create-hook", "--socket", "/run/x/gate.sock"]));
}

/// The spec is written by one part and the hook's arguments are read by another, which do not know each other.
#[test]
fn the_hook_waits_as_long_as_its_writer_says() {
    use binauthd::containerd::CreateHook;
    use binauthd::gate::asking::{MAX_WAIT, WAIT};
    assert_eq!(
        (u64::from(CreateHook::WAIT), u64::from(CreateHook::MAX_WAIT)),
        (WAIT.as_secs(), MAX_WAIT.as_secs())
    );
}

#[test]
fn refusals_say_the_way_out() {
    let bench = Bench::new();
    fs::write(bench.at("broken.json"), r#"{"ociVersion":"1.0.2","Hooks":{}}"#).unwrap();
    let rows = [
        ("--from broken.json", "what containerd takes for `hooks`"),
        ("--from nothing.json", "cannot read base runtime spec `nothing.json`"),
        ("--from broken.json --hook hook", "`hook` cannot be the hook"),
        ("--from broken.json --hook /bin/true", "ends in `binauthd-create-hook`"),
        ("--from broken.json --wait 301", "0..=300"),
        ("--from broken.json --defaults broken.json", "cannot be used with"),
        ("--address ./nobody.sock", "name its version with --containerd-version"),
        ("--ctr ./nothing --containerd-version 2.1.9", "name the right one with --ctr"),
    ];
    for (flags, part) in rows {
        bench.run(&format!("containerd base-spec {flags}")).gave(2, part);
    }
}
