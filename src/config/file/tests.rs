use std::time::Duration;

use super::super::sections::{
    Api, BundleConfig, BundleOrigin, EventsConfig, Login, OnViolation, PodSource, RestConfig,
};
use super::*;
use crate::decision::host_access::Mode;
use crate::http::Credentials;
use crate::policy::Freshness;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("config.toml"), text.as_bytes())
}

#[test]
fn defaults_and_values() {
    assert_eq!(parse("config_version = 1").unwrap(), Config::default());
    let config = parse(
        r#"
        config_version = 1
        runtime_dir = "/run/x"
        [containerd]
        address = "/run/containerd/containerd.sock"
        [[sources]]
        name = "a"
        url = "file:///srv/a"
        [audit]
        file = "/srv/audit.jsonl"
        "#,
    )
    .unwrap();
    assert_eq!(config.gate_socket(), Path::new("/run/x/gate.sock"));
    assert_eq!(config.folders().collect::<Vec<_>>(), [("a", Path::new("/srv/a"))]);
    assert_eq!(config.containerd.address, Path::new("/run/containerd/containerd.sock"));
    assert!(config.warnings.is_empty());
}

/// The file with every line that begins with `mark` uncommented, of those that hold a key or a table.
fn uncommented(text: &str, mark: &str) -> String {
    let holds = |line: &&str| line.contains('=') || line.starts_with('[');
    let uncomment = |line| str::strip_prefix(line, mark).filter(holds).unwrap_or(line);
    text.lines().map(uncomment).flat_map(|line| [line, "\n"]).collect()
}

#[test]
fn the_shipped_file_names_the_defaults() {
    let shipped = include_str!("../../../packaging/etc/config.toml");
    for text in [shipped, &uncommented(shipped, "# ")] {
        assert_eq!(parse(text).unwrap(), Config::default(), "{text}");
    }
    let examples = Config {
        cluster: Some("us-central1-a.prod".into()),
        platform_policy: Some("/etc/binauthd/platform-policy.yaml".into()),
        trust_domain: Some("cluster.local".into()),
        break_glass: BreakGlassConfig {
            keys: vec!["/etc/binauthd/break-glass-keys/on-call.pem".into()],
            ..BreakGlassConfig::default()
        },
        freshness: Freshness {
            max_staleness: Some(Duration::from_secs(24 * 3600)),
            ..Config::default().freshness
        },
        sources: vec![Source {
            name: "container-analysis".into(),
            location: Location::Rest(RestConfig {
                ca: Some("/etc/binauthd/container-analysis.crt".into()),
                credentials: Credentials::MetadataServer("http://metadata.google.internal".into()),
                ..RestConfig::at("https://containeranalysis.googleapis.com")
            }),
        }],
        kubelet: Some(KubeletConfig {
            node_name: Some("node-1".into()),
            source: PodSource::Endpoint {
                url: "https://127.0.0.1:10250/pods".into(),
                ca: "/etc/kubernetes/pki/ca.crt".into(),
                login: Some(Login::Certificate {
                    certificate: "/var/lib/kubelet/pki/kubelet-client-current.pem".into(),
                    key: "/var/lib/kubelet/pki/kubelet-client-current.pem".into(),
                }),
            },
        }),
        events: Some(EventsConfig {
            kubeconfig: "/etc/kubernetes/kubelet.conf".into(),
            node_name: Some("node-1".into()),
            pods: true,
            dry_run: false,
            node_condition: false,
        }),
        ..Config::default()
    };
    assert_eq!(parse(&uncommented(shipped, "#: ")).unwrap(), examples);
    let kubeconfig = PodSource::Kubeconfig("/etc/kubernetes/kubelet.conf".into());
    let others = parse(&uncommented(shipped, "#:: ")).unwrap();
    assert_eq!(others.kubelet, Some(KubeletConfig { node_name: None, source: kubeconfig }));
    let local = BundleConfig {
        origin: BundleOrigin::Path("/var/lib/binauthd/bundles".into()),
        keys: vec!["/etc/binauthd/bundle-keys/release.pem".into()],
        project: "shop".to_owned(),
        interval: Duration::from_secs(60),
        ca: None,
        token_file: None,
    };
    assert_eq!(others.bundle.as_ref(), Some(&local));
    let remote = BundleConfig {
        origin: BundleOrigin::Url("https://bundles.example.com/shop.json".to_owned()),
        ca: Some("/etc/binauthd/bundles-ca.pem".into()),
        token_file: Some("/etc/binauthd/bundles.token".into()),
        ..local
    };
    assert_eq!(parse(&uncommented(shipped, "#::: ")).unwrap().bundle, Some(remote));
}

#[test]
fn the_cluster_is_told_where_a_kubeconfig_says_how() {
    let read = |tables: &str| parse(&format!("config_version = 1\n{tables}")).map(|config| config.events);
    let kubelet = "[kubelet]\nkubeconfig = '/k'\nnode_name = 'n1'\n";
    let by_kubelet = EventsConfig {
        kubeconfig: "/k".into(),
        node_name: Some("n1".into()),
        pods: true,
        dry_run: false,
        node_condition: false,
    };
    let own = EventsConfig { kubeconfig: "/e".into(), node_name: None, dry_run: true, ..by_kubelet.clone() };
    let rows = [
        ("", None),
        ("[events]\npods = false", None),
        ("[kubelet]\nca = '/c'", None),
        (kubelet, Some(by_kubelet.clone())),
        ("[events]\nkubeconfig = '/e'\ndry_run = true", Some(own)),
        (
            &format!("{kubelet}[events]\npods = false\nnode_condition = true\nnode_name = 'n2'"),
            Some(EventsConfig {
                pods: false,
                node_condition: true,
                node_name: Some("n2".into()),
                ..by_kubelet
            }),
        ),
    ];
    for (tables, wanted) in rows {
        assert_eq!(read(tables).unwrap(), wanted, "{tables}");
    }
    for (tables, part) in [
        ("[events]\npods = true", "events.kubeconfig: is missing"),
        ("[events]\nnode_condition = true", "events.kubeconfig: is missing"),
        ("[events]\nkubeconfig = 'e'", "events.kubeconfig: `e` is not an absolute path"),
        (
            "[events]\nkubeconfig = '/e'\nnode_name = 'a b'",
            "events.node_name: `a b` is not the name of a node",
        ),
    ] {
        let error = read(tables).unwrap_err().to_string();
        assert!(error.contains(part), "{tables}: {error}");
    }
}

#[test]
fn metrics_are_read_here_alone_unless_that_is_said() {
    let read =
        |metrics: &str| parse(&format!("config_version = 1\nruntime_dir = '/run/x'\n[metrics]\n{metrics}"));
    let listen = |metrics: &str| read(metrics).unwrap().metrics.to_string();
    for (metrics, wanted) in [
        ("", "unix:/run/x/metrics.sock"),
        ("listen = 'unix:/run/y.sock'", "unix:/run/y.sock"),
        ("listen = '127.0.0.1:9464'", "127.0.0.1:9464"),
        ("listen = '127.9.9.9:1'", "127.9.9.9:1"),
        ("listen = '[::1]:9464'", "[::1]:9464"),
        ("listen = '0.0.0.0:9464'\nallow_remote = true", "0.0.0.0:9464"),
    ] {
        assert_eq!(listen(metrics), wanted);
    }
    for (metrics, part) in [
        ("listen = 'unix:y.sock'", "`y.sock` is not an absolute path"),
        ("listen = 'unix:'", "`` is not an absolute path"),
        ("listen = '/run/y.sock'", "is neither `unix:/PATH` nor an address and a port"),
        ("listen = 'localhost:9464'", "is neither `unix:/PATH` nor"),
        ("listen = '127.0.0.1'", "is neither `unix:/PATH` nor"),
        ("listen = '127.0.0.1:0'", "names no port"),
        ("listen = '0.0.0.0:9464'", "is no loopback address"),
        ("listen = '[::]:9464'", "is no loopback address"),
        ("listen = '192.0.2.7:9464'\nallow_remote = false", "`allow_remote = true`"),
    ] {
        let error = read(metrics).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("metrics.listen"), "{metrics}: {error}");
    }
}

#[test]
fn the_shipped_documents_are_read() {
    use crate::document::Format::Yaml;
    use crate::policy::{DenyList, Policy, SystemPolicy};
    let policy = include_bytes!("../../../packaging/etc/policy.yaml");
    Policy::parse(policy, Yaml, Default::default()).unwrap();
    let deny = include_str!("../../../packaging/etc/deny.yaml");
    let system = include_str!("../../../packaging/etc/system-policy.yaml");
    assert!(DenyList::parse(deny.as_bytes(), Yaml).unwrap().is_empty());
    assert!(SystemPolicy::parse(system.as_bytes(), Yaml).unwrap().is_empty());
    // And what they show as examples.
    let example = |text: &str| -> String {
        text.lines().filter_map(|line| line.strip_prefix("#   ")).flat_map(|line| [line, "\n"]).collect()
    };
    assert_eq!(DenyList::parse(example(deny).as_bytes(), Yaml).unwrap().len(), 1);
    assert_eq!(SystemPolicy::parse(example(system).as_bytes(), Yaml).unwrap().len(), 2);
}

#[test]
fn what_is_not_known_warns() {
    let text = "config_version = 1\ncolour = 'red'\n[containerd]\nshade = 1\n\
                [kubelet]\nca = '/c'\nshade = 1\n[[sources]]\nname = 'remote'\nurl = 's3://bucket'\n";
    let config = parse(text).unwrap();
    assert!(config.notes.is_empty());
    let warnings = config.warnings.join("\n");
    for part in [
        "unknown key `colour`",
        "unknown key `kubelet.shade`",
        "unknown key `containerd.shade`",
        "source `remote`",
    ] {
        assert!(warnings.contains(part), "{warnings:?} lacks {part:?}");
    }
}

#[test]
fn a_policy_is_a_path_or_a_table() {
    let at = |text: &str| parse(&format!("config_version = 1\n{text}"));
    for text in
        ["policy = '/srv/p.yaml'", "[policy]\npath = '/srv/p.yaml'", "policy = {path = '/srv/p.yaml'}"]
    {
        let config = at(text).unwrap();
        assert_eq!((config.policy.as_path(), config.bundle), (Path::new("/srv/p.yaml"), None), "{text}");
    }
    assert_eq!(at("[policy]").unwrap(), Config::default());
    let base = "[policy]\nbundle_keys = ['/k']\nproject = 'p'\n";
    for (bundle, shown) in [("/b", "/b"), ("file:///b/c.json", "/b/c.json"), ("https://h/p", "https://h/p")] {
        let config = at(&format!("{base}bundle = '{bundle}'\ncolour = 'red'")).unwrap();
        assert_eq!(config.bundle.unwrap().origin.to_string(), shown);
        assert_eq!(
            (config.policy, config.warnings),
            (Config::default().policy, vec!["unknown key `policy.colour`".to_owned()])
        );
    }
    let rows = [
        ("[policy]\nbundle = '/b'\nproject = 'p'", "policy.bundle_keys: is missing"),
        ("[policy]\nbundle = '/b'\nproject = 'p'\nbundle_keys = []", "policy.bundle_keys: is missing"),
        ("[policy]\nbundle = '/b'\nbundle_keys = ['/k']", "policy.project: is missing"),
        (
            "[policy]\nbundle = '/b'\nbundle_keys = ['/k']\nproject = 'a/b'",
            "`a/b` is not the id of a project",
        ),
        (
            "[policy]\nbundle = '/b'\nbundle_keys = ['k']\nproject = 'p'",
            "policy.bundle_keys: `k` is not an absolute",
        ),
        (
            "[policy]\nbundle = 'b'\nbundle_keys = ['/k']\nproject = 'p'",
            "policy.bundle: `b` is not an absolute",
        ),
        ("[policy]\nbundle = 'http://h/p'\nbundle_keys = ['/k']\nproject = 'p'", "is neither https://"),
        ("[policy]\nbundle = 'http://u:p@h/p'\nbundle_keys = ['/k']\nproject = 'p'", "`h/p` is neither"),
        (
            "[policy]\nbundle = 'https://u:p@h/p'\nbundle_keys = ['/k']\nproject = 'p'",
            "`h/p` is not of the form",
        ),
        ("[policy]\nbundle = 'https://u@h/p'\nbundle_keys = ['/k']\nproject = 'p'", "policy.bundle: `h/p`"),
        ("[policy]\nproject = 'p'", "policy.project: means nothing without `bundle`"),
        ("policy = 5", "line 2"),
        ("policy = ['/a']", "line 2"),
    ];
    for (text, part) in rows {
        let error = at(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text:?} gave {error:?}, which lacks {part:?}");
    }
    for (more, part) in [
        ("interval = '1m'", "policy.interval: means nothing where"),
        ("ca = '/c'", "policy.ca: means nothing where"),
        ("token_file = '/t'", "policy.token_file: means nothing where"),
    ] {
        let error = at(&format!("{base}bundle = '/b'\n{more}")).unwrap_err().to_string();
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
    for (interval, fits) in [("10s", true), ("24h", true), ("9s", false), ("25h", false), ("often", false)] {
        let config = at(&format!("{base}bundle = 'https://h/p'\ninterval = '{interval}'"));
        assert_eq!(config.is_ok(), fits, "{interval}");
    }
    let keys = vec!["'/k'"; 17].join(",");
    let many = at(&format!("[policy]\nproject = 'p'\nbundle = '/b'\nbundle_keys = [{keys}]"));
    assert!(many.unwrap_err().to_string().contains("at most 16 are taken"));
}

#[test]
fn refused() {
    let rows = [
        ("config_version = 2", "2 is not known"),
        ("config_version = 1\npolicy = 'policy.yaml'", "`policy.yaml` is not an absolute path"),
        ("config_version = 1\npolicy = 5", "line 2"),
        ("policy = '/a'\npolicy = '/b'", "duplicate key"),
        ("config_version = 1\ncluster = 'prod'", "LOCATION.NAME"),
        ("config_version = 1\nsubjects = []", "subjects: is empty"),
        ("config_version = 1\nsubjects = ['config']", "expected `index` or `manifest`"),
        ("config_version = 1\ndsse_types = ['']", "none of them empty"),
        ("config_version = 1\ndeny_list = 'deny.yaml'", "`deny.yaml` is not an absolute path"),
        ("[[sources]]\nname = 'a'", "missing field `url`"),
        ("[[sources]]\nname = 'a'\nurl = 'file://relative'", "not an absolute path"),
        ("[[sources]]\nname = ''\nurl = 'file:///a'", "sources.name: `` is not the name of a source"),
        ("[[sources]]\nname = 'a b'\nurl = 'file:///a'", "sources.name: `a b` is not the name"),
        (
            "[[sources]]\nname = 'a'\nurl = 'file:///a'\n[[sources]]\nname = 'a'\nurl = 'file:///b'",
            "called `a`",
        ),
        (
            "[[sources]]\nname = 'a'\nurl = 'file:///a'\ninterval = '1m'",
            "sources.interval: is for https and http",
        ),
        ("trust_domain = 'Cluster.local'", "`Cluster.local` is not a trust domain"),
        ("trust_domain = ''", "is not a trust domain"),
        ("trust_domain = 'spiffe://a'", "is not a trust domain"),
        ("[containerd]\naddress = 'a.sock'", "containerd.address: `a.sock` is not an absolute path"),
        ("[containerd]\nnri_socket = 'a'", "containerd.nri_socket: `a` is not an absolute path"),
        ("[containerd]\nroot = 'a'", "containerd.root: `a` is not an absolute path"),
        ("[containerd]\nstate = 'a'", "containerd.state: `a` is not an absolute path"),
        ("[containerd]\nnamespace = ''", "containerd.namespace: ``"),
        ("[containerd]\nnamespace = 'a b'", "containerd.namespace: `a b` is not the name"),
        ("[containerd]\nsnapshotters = []", "containerd.snapshotters: is empty"),
        ("[containerd]\nsnapshotters = ['a/b']", "containerd.snapshotters: `a/b` is not a name"),
        ("[containerd]\nallow_handlers = ['']", "containerd.allow_handlers: `` is not a name"),
        ("[running]\non_violation = 'kill'", "expected `log` or `stop`"),
        ("[running]\nperiod = 'soon'", "running.period: `soon` is not a duration"),
        ("[running]\nperiod = '9s'", "running.period: `9s` is not between"),
        ("[running]\nperiod = '24h 1ms'", "running.period: `24h 1ms` is not between"),
        ("[running]\nperiod = 300", "line 2"),
        ("[host_access]\npaths = 'deny'", "expected one of `refuse`, `report`, `allow`"),
        ("[host_access]\nprivileged = true", "line 2"),
        ("[host_access]\nallow_digests = ['sha256:ab']", "host_access.allow_digests: a sha256 digest has 64"),
        ("[host_access]\nallow_digests = ['nginx']", "host_access.allow_digests: `nginx` is not a digest"),
        ("[kubelet]", "kubelet.ca: is missing"),
        ("[kubelet]\nca = 'a'", "kubelet.ca: `a` is not an absolute path"),
        ("[kubelet]\nca = '/a'\nurl = 'http://127.0.0.1:10255/pods'", "not of the form https://HOST"),
        ("[kubelet]\nca = '/a'\nurl = 'https:///pods'", "not of the form https://HOST"),
        ("[kubelet]\nca = '/a'\nurl = 'https://a@b/pods'", "not of the form https://HOST"),
        ("[kubelet]\nca = '/a'\nclient_key = '/k'", "`client_certificate` and `client_key`"),
        ("[kubelet]\nca = '/a'\ntoken_file = '/t'\nclient_key = '/k'", "kubelet: name `token_file`, or"),
        ("[kubelet]\nca = '/a'\ntoken_file = 't'", "kubelet.token_file: `t` is not an absolute path"),
        ("[kubelet]\nkubeconfig = 'k'", "kubelet.kubeconfig: `k` is not an absolute path"),
        ("[kubelet]\nkubeconfig = '/k'\nca = '/a'", "kubelet.kubeconfig: says who is asked"),
        ("[kubelet]\nkubeconfig = '/k'\ntoken_file = '/t'", "kubelet.kubeconfig: says who is asked"),
        ("[kubelet]\nkubeconfig = '/k'\nnode_name = 'a/b'", "`a/b` is not the name of a node"),
        ("=", "line 1"),
    ];
    for (text, part) in rows {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text:?} gave {error:?}, which lacks {part:?}");
    }
}

#[test]
fn tables_with_values() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    let text = format!(
        "config_version = 1\ntrust_domain = 'acme.example'\n\
         [containerd]\nnamespace = 'moby'\nnri_socket = '/n'\nsnapshotters = ['stargz', 'native']\n\
         allow_handlers = ['kata', 'kata']\nroot = '/r'\nstate = '/s'\n\
         [running]\non_violation = 'stop'\nperiod = '1h 30m'\nstop_static_pods = true\n\
         [host_access]\npaths = 'allow'\nprograms = 'refuse'\nprivileged = 'refuse'\nhost_pid = 'report'\nallow_digests = ['{digest}']\n\
         [kubelet]\nnode_name = 'node-1.local'\nca = '/ca'\nclient_certificate = '/c'\nclient_key = '/k'\n"
    );
    let config = parse(&text).unwrap();
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let expected = Config {
        trust_domain: Some("acme.example".into()),
        containerd: ContainerdConfig {
            address: "/run/containerd/containerd.sock".into(),
            namespace: "moby".into(),
            nri_socket: "/n".into(),
            snapshotters: names(&["native", "stargz"]),
            allow_handlers: names(&["kata"]),
            root: "/r".into(),
            state: "/s".into(),
        },
        running: RunningConfig {
            on_violation: OnViolation::Stop,
            period: Duration::from_secs(5_400),
            stop_static_pods: true,
        },
        host_access: HostAccessConfig {
            paths: Mode::Allow,
            programs: Mode::Refuse,
            privileged: Mode::Refuse,
            host_pid: Mode::Report,
            allow_digests: [digest.parse().unwrap()].into(),
        },
        kubelet: Some(KubeletConfig {
            node_name: Some("node-1.local".into()),
            source: PodSource::Endpoint {
                url: "https://127.0.0.1:10250/pods".into(),
                ca: "/ca".into(),
                login: Some(Login::Certificate { certificate: "/c".into(), key: "/k".into() }),
            },
        }),
        notes: config.notes.clone(),
        ..Config::default()
    };
    assert_eq!(config, expected);
    assert_eq!(config.notes.len(), 1, "{:?}", config.notes);
    assert!(config.notes[0].contains("snapshotter `stargz`"));
    let named = "[kubelet]\nca = '/ca'\nurl = 'https://[::1]:1/pods'\ntoken_file = '/t'";
    let Some(KubeletConfig { source: PodSource::Endpoint { url, login, .. }, .. }) =
        parse(named).unwrap().kubelet
    else {
        panic!("not kubelet itself");
    };
    assert_eq!((url.as_str(), login), ("https://[::1]:1/pods", Some(Login::Token("/t".into()))));
}

#[test]
fn tables_are_bounded() {
    let list = |one: &dyn Fn(usize) -> String, count| (0..count).map(one).collect::<Vec<_>>().join(", ");
    let name = |at: usize| format!("'n{at}'");
    let digest = |at: usize| format!("'sha256:{at:064x}'");
    let rows = [
        ("[containerd]\nsnapshotters", 64),
        ("[containerd]\nallow_handlers", 64),
        ("[host_access]\nallow_digests", 10_000),
    ];
    for (key, bound) in rows {
        let one: &dyn Fn(usize) -> String = if key.ends_with("digests") { &digest } else { &name };
        assert!(parse(&format!("{key} = [{}]", list(one, bound))).is_ok(), "{key}");
        let error = parse(&format!("{key} = [{}]", list(one, bound + 1))).unwrap_err().to_string();
        assert!(error.contains(&format!("at most {bound} are taken")), "{key}: {error}");
    }
}

#[test]
fn under_a_folder_nothing_else_is_named() {
    let config = Config::under(Path::new("/srv/x"));
    assert_eq!(config.platform_policy, None);
    for (key, path) in config.paths() {
        assert!(path.starts_with("/srv/x"), "{key} is {}", path.display());
    }
}

#[test]
fn what_lies_elsewhere_is_guarded_too() {
    let here = Config::under(Path::new("/srv/x")).host_rules();
    let everywhere = HostRules::default();
    for path in everywhere.guarded() {
        assert!(here.guarded().any(|guarded| guarded == path), "{path}");
    }
    let more: Vec<_> = here.guarded().filter_map(|path| path.strip_prefix("/srv/x/")).collect();
    let expected = [
        "attestors",
        "audit.jsonl",
        "break-glass",
        "containerd-root",
        "containerd-state",
        "containerd.sock",
        "deny.yaml",
        "nri.sock",
        "policy.yaml",
        "run",
        "state",
        "system-policy.yaml",
    ];
    assert_eq!(more, expected);
    let text = format!("[host_access]\npaths = 'report'\nallow_digests = ['sha256:{}']", "ab".repeat(32));
    let rules = parse(&text).unwrap().host_rules();
    assert_eq!((rules.paths, rules.privileged, rules.allowed.len()), (Mode::Report, Mode::Report, 1));
}

#[test]
fn servers() {
    let source = |more: &str| format!("config_version = 1\n[[sources]]\nname = 'a'\n{more}");
    let at = |url: &str| RestConfig::at(url);
    let store = "https://store.example/grafeas";
    let rows = [
        ("url = 'http://127.0.0.1:8080'", at("http://127.0.0.1:8080")),
        (
            "url = 'https://store.example/grafeas'\napi = 'v1beta1'\nca = '/ca'\ntoken_file = '/t'\n\
             interval = '24h'\nlist_limit = 0\nproxy = false\nchanges = true",
            RestConfig {
                api: Api::V1Beta1,
                ca: Some("/ca".into()),
                credentials: Credentials::Token("/t".into()),
                interval: Duration::from_secs(86_400),
                list_limit: 0,
                proxy: false,
                changes: true,
                ..at(store)
            },
        ),
        (
            "url = 'https://store.example/grafeas'\nclient_certificate = '/c'\nclient_key = '/k'\n\
             metadata_server = false",
            RestConfig {
                credentials: Credentials::Certificate { certificate: "/c".into(), key: "/k".into() },
                ..at(store)
            },
        ),
        (
            "url = 'https://store.example/grafeas'\nmetadata_server = 'http://169.254.169.254'",
            RestConfig {
                credentials: Credentials::MetadataServer("http://169.254.169.254".into()),
                ..at(store)
            },
        ),
        ("url = 'https://containeranalysis.googleapis.com'", at("https://containeranalysis.googleapis.com")),
    ];
    for (text, expected) in rows {
        let config = parse(&source(text)).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(config.servers().collect::<Vec<_>>(), [("a", &expected)], "{text}");
        assert_eq!((config.warnings.len(), config.folders().count()), (0, 0));
    }
    let refused = [
        ("url = 'http://store.example'", "sources: `http://store.example` is not asked: plain http"),
        ("url = 'https://user:hidden@store.example'", "more than scheme, host, port and path"),
        ("url = 'https://'", "is not asked"),
        ("url = 'https://a'\napi = 'v2'", "expected `v1` or `v1beta1`"),
        ("url = 'https://a'\nca = 'ca'", "sources.ca: `ca` is not an absolute path"),
        ("url = 'https://a'\ntoken_file = 't'", "sources.token_file: `t` is not an absolute path"),
        ("url = 'https://a'\nclient_certificate = '/c'", "name one of `token_file`"),
        ("url = 'https://a'\nmetadata_server = true\ntoken_file = '/t'", "name one of `token_file`"),
        ("url = 'https://a'\nmetadata_server = 'https://b'", "a metadata server is named as"),
        ("url = 'https://a'\nmetadata_server = 5", "an address such as"),
        ("url = 'https://a'\ninterval = '9s'", "sources.interval: `9s` is not between"),
        (
            "url = 'https://a'\nlist_limit = 1000001",
            "sources.list_limit: 1000001 is not between 0 and 1000000",
        ),
        ("url = 'http://127.0.0.1'\nclient_certificate = '/c'\nclient_key = '/k'", "no place in plain http"),
    ];
    for (text, part) in refused {
        let error = parse(&source(text)).unwrap_err().to_string();
        assert!(error.contains(part), "{text:?} gave {error:?}, which lacks {part:?}");
        assert!(!error.contains("hidden"), "{error}");
    }
}

#[test]
fn break_glass() {
    let parse = |text: &str| parse(&format!("config_version = 1\n[break_glass]\n{text}"));
    let config =
        parse("pod_label = true\nkeys = ['/k/a.pem']\ngrants = '/srv/g'\nmax_duration = '90m'").unwrap();
    let expected = BreakGlassConfig {
        pod_label: true,
        keys: vec!["/k/a.pem".into()],
        grants: "/srv/g".into(),
        max_duration: Duration::from_secs(5400),
    };
    assert_eq!((&config.break_glass, config.warnings.len()), (&expected, 0));
    assert!(config.notes.iter().any(|note| note.contains("runs any image that is not on the deny list")));
    for path in ["/k/a.pem", "/srv/g"] {
        assert!(config.host_rules().guarded().any(|guarded| guarded == path), "{path}");
    }
    let keys = vec!["'/k'"; 17].join(", ");
    let rows = [
        (format!("keys = [{keys}]"), "break_glass.keys: at most 16 are taken"),
        ("keys = ['k.pem']".to_owned(), "break_glass.keys: `k.pem` is not an absolute path"),
        ("grants = 'g'".to_owned(), "break_glass.grants: `g` is not an absolute path"),
        ("max_duration = '32d'".to_owned(), "`32d` is not between `1m` and `31d`"),
        ("max_duration = '59s'".to_owned(), "is not between `1m` and `31d`"),
        ("max_duration = 'long'".to_owned(), "`long` is not a duration such as `24h`"),
        ("pod_label = 'yes'".to_owned(), "invalid type"),
    ];
    for (text, part) in rows {
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
    assert_eq!(parse("key = 'x'").unwrap().warnings, ["unknown key `break_glass.key`"]);
}
