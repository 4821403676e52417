//! The daemon that is not there, the configuration, usage.

use std::fs;
use std::process::Command;

use super::bench::{Bench, ENFORCED, app};

#[test]
fn without_the_daemon() {
    let bench = Bench::new();
    let socket = bench.at("run/admin.sock");
    let config = format!("config_version = 1\nruntime_dir = '{}'\n", bench.at("run").display());
    fs::write(bench.at("config.toml"), config).unwrap();
    for line in ["status", &format!("evaluate {}", app())] {
        let line = format!("--config config.toml {line}");
        let expected = format!("binauthd does not answer on `{}`", socket.display());
        let ran = bench.run(&line).gave(3, &expected);
        assert!(ran.err.contains("systemctl status binauthd") && ran.err.contains("No such file"), "{ran:?}");
        assert_eq!((ran.out.as_str(), ran.err.lines().count()), ("", 1));
    }
}

#[test]
fn configuration() {
    let bench = Bench::new();
    let rows = [
        ("config_version = 1\n", 0, "yes"),
        ("config_version = 1\ncolour = 'red'\n", 1, "unknown key `colour`"),
        ("config_version = 9\n", 1, "9 is not known"),
        ("=", 1, "line 1"),
    ];
    for (text, code, part) in rows {
        fs::write(bench.at("config.toml"), text).unwrap();
        bench.run("config check config.toml").gave(code, part);
        bench.run("--config config.toml config check").gave(code, part);
    }
    bench.run("--config config.toml policy check").gave(2, "`binauthctl config check` says what is wrong");
    bench.run("config check nothing.toml").gave(2, "cannot read configuration");
}

#[test]
fn usage() {
    let bench = Bench::new();
    bench.policy("ALWAYS_DENY", ENFORCED);
    fs::create_dir(bench.at("attestors")).unwrap();
    let nobody = format!("attestations verify --artifact-url {} --policy policy.yaml $A", app());
    let rows = [
        ("--help", 0, "Exit codes"),
        ("evaluate --help", 0, "Tell how the verdict comes about"),
        ("--version", 0, "binauthctl "),
        ("", 2, "Usage"),
        ("frobnicate", 2, "unrecognized subcommand"),
        ("evaluate", 2, "<IMAGE>"),
        ("evaluate x -o xml", 2, "possible values: table, json, yaml"),
        ("--config nowhere.toml status", 2, "cannot read configuration `nowhere.toml`"),
        (&nobody, 2, "no attestor to ask"),
    ];
    for (line, code, part) in rows {
        bench.run(line).gave(code, part);
    }
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let bench = Bench::new();
    bench.policy("ALWAYS_DENY", ENFORCED);
    let line = format!("{} evaluate {} --policy policy.yaml", env!("CARGO_BIN_EXE_binauthctl"), app());
    let script = format!("{{ sleep 0.2; {line}; echo $? >&2; }} | true");
    let output = Command::new("sh").args(["-c", &script]).current_dir(bench.folder.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "1\n");
}
