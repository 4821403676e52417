use super::*;

const MINIMAL: &str = r#"{"ociVersion":"1.1.0"}"#;

fn hook() -> CreateHook {
    CreateHook::new(CreateHook::PATH)
}

/// As the hook is found again: with the timeout it was written with.
fn found(hook: &CreateHook) -> CreateHook {
    CreateHook { found_timeout: Some(hook.timeout().into()), ..hook.clone() }
}

#[test]
fn the_hook_is_put_in_and_all_else_stays() {
    const OURS: &str = r#"{"path":"/usr/libexec/binauthd/binauthd-create-hook","args":["binauthd-create-hook"],"timeout":30}"#;
    let other = r#"{"timeout":1.50,"path":"/other","args":["a",{"b":1e999}]}"#;
    let old =
        r#"{"path":"/old/binauthd-create-hook","args":["binauthd-create-hook","--observe"],"env":["A=1"]}"#;
    let broken = r#"{"path":"/old/binauthd-create-hook","args":["x","--what"]}"#;
    let rows = [
        // before, after
        (r#""z":1,"a":2"#.to_owned(), format!(r#""z":1,"a":2,"hooks":{{"createRuntime":[{OURS}]}}"#)),
        (r#""hooks":null,"a":2"#.to_owned(), format!(r#""hooks":{{"createRuntime":[{OURS}]}},"a":2"#)),
        (r#""hooks":{}"#.to_owned(), format!(r#""hooks":{{"createRuntime":[{OURS}]}}"#)),
        (r#""hooks":{"createRuntime":null}"#.to_owned(), format!(r#""hooks":{{"createRuntime":[{OURS}]}}"#)),
        (
            format!(r#""hooks":{{"poststop":[{other}],"createRuntime":[{other}],"prestart":[{old}]}},"a":2"#),
            format!(
                r#""hooks":{{"poststop":[{other}],"createRuntime":[{other},{OURS}],"prestart":[{old}]}},"a":2"#
            ),
        ),
        (
            format!(r#""hooks":{{"createRuntime":[{other},{old},{other},{broken}]}}"#),
            format!(r#""hooks":{{"createRuntime":[{other},{OURS},{other}]}}"#),
        ),
        // Numbers that no type holds, and escapes, stay as they were written.
        (
            r#""n":18446744073709551616,"f":1.0E+2,"s":"\u003c\" , : {","e":{},"l":[]"#.to_owned(),
            format!(
                r#""n":18446744073709551616,"f":1.0E+2,"s":"\u003c\" , : {{","e":{{}},"l":[],"hooks":{{"createRuntime":[{OURS}]}}"#
            ),
        ),
    ];
    for (before, after) in rows {
        let merged = merge(&format!(r#"{{"ociVersion":"1.1.0",{before}}}"#), &hook()).unwrap();
        let wanted = format!(r#"{{"ociVersion":"1.1.0",{after}}}"#);
        // Spaces within the texts above are all within strings.
        assert_eq!(unspaced(&merged), unspaced(&wanted), "{before}");
        assert_eq!(merge(&merged, &hook()).unwrap(), merged, "again: {before}");
        assert_eq!(hooks(&merged).unwrap(), [found(&hook())], "{before}");
    }
}

fn unspaced(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_whitespace()).collect()
}

#[test]
fn what_the_hook_is_told_is_found_again() {
    let told = [
        hook(),
        CreateHook { observe: true, ..hook() },
        CreateHook { wait: 0, ..hook() },
        CreateHook {
            wait: 300,
            socket: Some("/run/x/gate.sock".into()),
            made_for: Some("1.7.24~ds1".into()),
            ..CreateHook::new("/opt/binauthd-create-hook")
        },
    ];
    for told in told {
        let merged = merge(MINIMAL, &told).unwrap();
        assert_eq!(hooks(&merged).unwrap(), [found(&told)]);
        assert_eq!(found(&told).timeout_problem(), None);
        let changed = merge(&merged, &hook()).unwrap();
        assert_eq!(hooks(&changed).unwrap(), [found(&hook())]);
    }
    assert!(hooks(MINIMAL).unwrap().is_empty());
}

#[test]
fn a_hook_that_cannot_be_understood_is_named() {
    let rows = [
        (r#""args":["h","--obsrve"]"#, "an unknown argument `--obsrve`"),
        (r#""args":["h","--wait"]"#, "no value for `--wait`"),
        (r#""args":["h","--wait","301"]"#, "`--wait 301`, which is not 0 to 300 seconds"),
        (r#""args":["h","--wait=+1"]"#, "`--wait +1`, which is not 0 to 300 seconds"),
    ];
    for (args, wanted) in rows {
        let spec = format!(
            r#"{{"ociVersion":"1","hooks":{{"createRuntime":[{{"path":"/x/binauthd-create-hook",{args}}}]}}}}"#
        );
        match hooks(&spec) {
            Err(BaseSpecError::Hook { path, what }) => {
                assert_eq!((path.as_str(), what.as_str()), ("/x/binauthd-create-hook", wanted));
            }
            other => panic!("{args}: {other:?}"),
        }
        merge(&spec, &hook()).unwrap();
    }
}

#[test]
fn a_timeout_that_comes_before_the_hooks_own_answer_is_a_problem() {
    for (timeout, is_problem) in [(None, false), (Some(31), false), (Some(20), true), (Some(-1), true)] {
        let hook = CreateHook { found_timeout: timeout, ..hook() };
        assert_eq!(hook.timeout_problem().is_some(), is_problem, "{timeout:?}");
    }
}

#[test]
fn what_containerd_may_read_otherwise_is_refused() {
    let rows = [
        ("", "not the JSON"),
        (r#"{"ociVersion":"1"} {}"#, "not the JSON"),
        ("[]", "`the spec` is not an object"),
        ("{}", "no `ociVersion`"),
        (r#"{"ociVersion":1}"#, "no `ociVersion`"),
        (r#"{"ociVersion":"1","hooks":[]}"#, "`hooks` is not an object"),
        (r#"{"ociVersion":"1","hooks":{"createRuntime":{}}}"#, "`createRuntime` is not a list"),
        (r#"{"ociVersion":"1","hooks":{"createRuntime":[1]}}"#, "`createRuntime` is not an object"),
        (r#"{"ociVersion":"1","hooks":{"createRuntime":[{}]}}"#, "`path` is not a string"),
        (r#"{"ociVersion":"1","hooks":{},"hooks":{}}"#, "`hooks` is there twice"),
        (r#"{"ociVersion":"1","Hooks":{}}"#, "`Hooks` is what containerd takes for `hooks`"),
        ("{\"ociVersion\":\"1\",\"hoo\u{212a}s\":{}}", "takes for `hooks`"),
        ("{\"ociVersion\":\"1\",\"hook\u{17f}\":{}}", "takes for `hooks`"),
        (r#"{"ociVersion":"1","hooks":{"createruntime":[]}}"#, "takes for `createRuntime`"),
        (r#"{"ociVersion":"1","hooks":{"createRuntime":[{"path":"/a","PATH":"/b"}]}}"#, "takes for `path`"),
        (r#"{"ociVersion":"1","hooks":{"createRuntime":[{"path":"/a","path":"/b"}]}}"#, "twice"),
    ];
    for (spec, wanted) in rows {
        let refusals = [merge(spec, &hook()).unwrap_err(), hooks(spec).unwrap_err()];
        for refusal in refusals {
            assert!(refusal.to_string().contains(wanted), "{spec}: {refusal}");
        }
    }
}

#[test]
fn depth_is_no_matter() {
    let depth = 200_000;
    let spec = format!(r#"{{"ociVersion":"1","a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    let merged = merge(&spec, &hook()).unwrap();
    assert!(merged.len() < 40 * spec.len());
    assert_eq!(hooks(&merged).unwrap().len(), 1);
}

#[test]
fn limits_and_profiles_are_not_among_the_defaults() {
    let spec = r#"{"ociVersion":"1","process":{"a":1,"rlimits":[{"type":"RLIMIT_NOFILE","hard":1024,"soft":1024}],
        "apparmorProfile":"p","z":2},"linux":{"seccomp":{},"maskedPaths":["/proc/acpi"]},"mounts":[]}"#;
    let wanted =
        r#"{"ociVersion":"1","process":{"a":1,"z":2},"linux":{"maskedPaths":["/proc/acpi"]},"mounts":[]}"#;
    assert_eq!(unspaced(&defaults(spec).unwrap()), wanted);
}
