use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// As containerd 1.6.20, 1.7.24 and 2.1.9 wrote it, less what is not read.
const V1_6: &str = r#"{"containerd":{"snapshotter":"overlayfs","defaultRuntimeName":"runc","defaultRuntime":{"runtimeType":"","options":null,
    "baseRuntimeSpec":""},"runtimes":{"runc":{"runtimeType":"io.containerd.runc.v2","runtimePath":"","runtimeEngine":"","PodAnnotations":null,
    "runtimeRoot":"","options":{"BinaryName":"/usr/sbin/runc","Root":"/r","SystemdCgroup":false},"baseRuntimeSpec":"/etc/base.json",
    "cniConfDir":"","cniMaxConfNum":0}}},"sandboxImage":"localhost:35987/pause@sha256:0f6e","enableSelinux":false}"#;
const V1_7: &str = r#"{"containerd":{"snapshotter":"overlayfs","defaultRuntimeName":"runc","runtimes":{"bare":{"runtimeType":
    "io.containerd.kata.v2","options":null,"baseRuntimeSpec":"","snapshotter":"nydus","sandboxMode":"podsandbox"}}},
    "sandboxImage":"registry.k8s.io/pause:3.8"}"#;
const V2_1: &str = r#"{"containerd":{"defaultRuntimeName":"other","runtimes":{"other":{"runtimeType":"io.containerd.runc.v2","options":
    {"BinaryName":"","CriuPath":"","IoGid":0},"cgroupWritable":false,"baseRuntimeSpec":"/b.json","snapshotter":"","sandboxer":"podsandbox",
    "io_type":""},"a":{"runtimeType":"x","baseRuntimeSpec":""}}},"enableCDI":true}"#;

fn handler(name: &str, runtime_type: &str) -> Handler {
    Handler {
        name: name.into(),
        runtime_type: runtime_type.into(),
        runtime: None,
        snapshotter: None,
        base_runtime_spec: None,
    }
}

#[test]
fn every_generation_shows_its_handlers() {
    let runc = |name, spec: &str| Handler { base_runtime_spec: Some(spec.into()), ..handler(name, RUNC) };
    let rows = [
        (
            V1_6,
            vec![Handler { runtime: Some("/usr/sbin/runc".into()), ..runc("runc", "/etc/base.json") }],
            "runc",
            Some("localhost:35987/pause@sha256:0f6e"),
        ),
        (
            V1_7,
            vec![Handler { snapshotter: Some("nydus".into()), ..handler("bare", "io.containerd.kata.v2") }],
            "runc",
            Some("registry.k8s.io/pause:3.8"),
        ),
        (V2_1, vec![handler("a", "x"), runc("other", "/b.json")], "other", None),
    ];
    for (config, all, default, pause) in rows {
        let wanted = Handlers { all, default: default.into(), sandbox_image: pause.map(ToOwned::to_owned) };
        assert_eq!(Handlers::parse(config).unwrap(), wanted);
    }
}

#[test]
fn a_shape_that_is_not_known_is_refused() {
    for part in ["containerd", "defaultRuntimeName", "runtimes", "runtimeType", "baseRuntimeSpec"] {
        let config = V2_1.replace(&format!("\"{part}\""), "\"another\"");
        assert!(Handlers::parse(&config).is_err(), "{part}");
    }
}

#[test]
fn a_handler_is_hooked_only_by_what_can_be_relied_upon() {
    if !nix::unistd::geteuid().is_root() {
        return; // whose files they are is what is tested
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let put = |name: &str, text: &str, mode: u32| {
        fs::write(at(name), text).unwrap();
        fs::set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
    };
    put("binauthd-create-hook", "", 0o755);
    let hook = CreateHook::new(at("binauthd-create-hook").to_str().unwrap());
    let with = |hook: &CreateHook| base_spec::merge(r#"{"ociVersion":"1.1.0"}"#, hook).unwrap();
    let found = |hook: &CreateHook| CreateHook { found_timeout: Some(hook.timeout().into()), ..hook.clone() };
    let observing = CreateHook { observe: true, ..hook.clone() };
    let gone = CreateHook::new("/nowhere/binauthd-create-hook");
    let both = with(&observing).replacen(
        "\"createRuntime\": [",
        &format!("\"createRuntime\": [{{\"path\":{:?},\"args\":[\"h\"],\"timeout\":30}},", hook.path),
        1,
    );
    put("good", &with(&hook), 0o644);
    put("observing", &with(&observing), 0o644);
    put("both", &both, 0o644);
    put("without", r#"{"ociVersion":"1"}"#, 0o644);
    put("writable", &with(&hook), 0o664);
    put("broken", "{", 0o644);
    put("gone", &with(&gone), 0o644);
    put("large", &format!("{}{}", with(&hook), " ".repeat(MAX_BYTES)), 0o644);
    let hooked = |name: &str| Handler { base_runtime_spec: Some(at(name)), ..handler("h", RUNC) }.hooked();

    assert_eq!(hooked("good"), Hooked::Yes(found(&hook)));
    assert_eq!(hooked("observing"), Hooked::Yes(found(&observing)));
    assert_eq!(hooked("both"), Hooked::Yes(found(&hook)));
    assert_eq!(hooked("without"), Hooked::NoHook);
    assert_eq!(handler("h", RUNC).hooked(), Hooked::NoSpec);
    let other = Handler { base_runtime_spec: Some(at("good")), ..handler("h", "io.containerd.kata.v2") };
    assert_eq!(other.hooked(), Hooked::OtherRuntime);
    let unusable = [
        ("writable", "others than root may write it"),
        ("broken", "cannot be understood"),
        ("absent", "No such file"),
        ("gone", "/nowhere/binauthd-create-hook"),
        ("large", "bytes allowed"),
        (".", "not a regular file"),
    ];
    for (name, wanted) in unusable {
        match hooked(name) {
            Hooked::Unusable(why) => assert!(why.contains(wanted), "{name}: {why}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    fs::set_permissions(&hook.path, Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(hooked("good"), Hooked::Unusable(why) if why.contains("not executable")));
}
