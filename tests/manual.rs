//! Holds the manual to the code: pages that list what the code defines are made from it.
//!
//! `make manual` writes them anew.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

#[path = "manual/commands.rs"]
mod commands;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use binauthd::attestation::{Algorithm, attestor, jwt, occurrence, pgp, statement, verify};
use binauthd::containerd::base_spec;
use binauthd::decision::Reason;
use binauthd::decision::reason::Class;
use binauthd::document::{self, Format};
use binauthd::evidence::rest::Limits;
use binauthd::evidence::{cache, source, store};
use binauthd::gate::container;
use binauthd::image::content;
use binauthd::metrics::family;
use binauthd::policy::{
    DenyList, PlatformPolicy, Policy, SystemPolicy, allowlist, break_glass, bundle, digest_list, maps, rule,
    sealed,
};

const REASONS: &str = "packaging/man/binauthd-reasons.7";
const METRICS: &str = "packaging/man/binauthd-metrics.7";
const POLICY: &str = include_str!("../packaging/man/binauthd-policy.5");
const LINT: &str = include_str!("../src/policy/lint.rs");
const README: &str = include_str!("../README.md");

#[test]
fn the_table_of_reasons() {
    is_what_the_code_says(REASONS, &reasons());
}

#[test]
fn the_table_of_metrics() {
    is_what_the_code_says(METRICS, &metrics());
}

/// Neither packager fills in a version, so they are written by hand.
#[test]
fn packages_name_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let read = |file: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let metadata = &manifest["package"]["metadata"];
    let revision = metadata["deb"]["revision"].as_str().unwrap();
    let depends = metadata["deb"]["variants"]["binauthd"]["depends"].as_str().unwrap();
    assert!(depends.contains(&format!("binauthctl (= {version}-{revision})")), "{depends}");
    let requires = metadata["generate-rpm"]["variants"]["binauthd"]["requires"]["binauthctl"].as_str();
    assert_eq!(requires, Some(format!("= {version}").as_str()));
    for (file, begins) in [
        ("packaging/deb/changelog", format!("binauthd ({version}-{revision}) ")),
        ("packaging/selinux/binauthd.te", format!("policy_module(binauthd, {version})")),
    ] {
        assert!(read(file).starts_with(&begins), "`{file}` does not begin with `{begins}`");
    }
}

/// A file of the repository is made from the code; where it is asked for, it is made now.
fn is_what_the_code_says(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("BINAUTHD_UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "{file} is not what the code says: run `make manual`");
}

#[test]
fn codes_are_told_apart_and_explained() {
    let codes: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(codes.len(), Reason::ALL.len());
    for reason in Reason::ALL {
        assert!(reason.meaning().ends_with('.') && reason.meaning().len() > 15, "{reason}");
        assert!(reason.code().bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{reason}");
    }
}

#[test]
fn the_examples_of_the_manual_are_read() {
    let mut kinds = Vec::new();
    for part in POLICY.split(".\\\" example: ").skip(1) {
        let (kind, rest) = part.split_once("\n.EX\n").unwrap();
        let example = rest.split_once(".EE").unwrap().0.replace("\\-", "-");
        let (bytes, format) = (example.as_bytes(), Format::Yaml);
        let refused = match kind {
            "policy" => Policy::parse(bytes, format, Default::default()).err().map(|error| error.to_string()),
            "platform" => PlatformPolicy::parse(bytes, format).err().map(|error| error.to_string()),
            "deny" => DenyList::parse(bytes, format).err().map(|error| error.to_string()),
            "system" => SystemPolicy::parse(bytes, format).err().map(|error| error.to_string()),
            other => Some(format!("`{other}` is no kind of document")),
        };
        assert_eq!(refused, None, "{kind}: {example}");
        kinds.push(kind);
    }
    assert_eq!(kinds, ["policy", "platform", "deny", "system"]);
}

#[test]
fn the_manual_explains_every_warning() {
    let codes = LINT.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => \""));
    let codes: Vec<_> = codes.map(|(_, code)| code.trim_end_matches("\",")).collect();
    assert_eq!(codes.len(), 13);
    for code in codes {
        assert!(POLICY.contains(code), "binauthd-policy(5) lacks {code}");
    }
}

#[test]
fn the_readme_names_every_algorithm() {
    for algorithm in Algorithm::ALL {
        let row = README.lines().find(|line| line.starts_with('|') && line.contains(algorithm.as_str()));
        let jws = format!("| `{}` |", algorithm.jws());
        assert!(row.is_some_and(|row| row.ends_with(&jws)), "{algorithm} is not told with {jws}");
    }
}

#[test]
fn the_platform_policy_of_the_readme_is_valid_and_the_one_of_its_transcript() {
    let (_, rest) = README.split_once("```yaml\n").unwrap();
    let (example, rest) = rest.split_once("```").unwrap();
    assert!(!rest.contains("```yaml"), "another example, which nobody checks");
    let platform = PlatformPolicy::parse(example.as_bytes(), Format::Yaml).unwrap();
    assert_eq!(platform.check_sets().len(), 1);
    assert!(README.contains(&format!("version:         {}\n", platform.version())), "{}", platform.version());
}

#[test]
fn the_readme_tells_the_bounds() {
    let count = |number: usize| {
        let digits = number.to_string();
        match digits.len().checked_sub(3).filter(|at| *at > 0) {
            Some(at) => format!("{},{}", &digits[..at], &digits[at..]),
            None => digits,
        }
    };
    let bytes = |number: usize| match number {
        _ if number.is_multiple_of(1024 * 1024) => format!("{} MiB", number / (1024 * 1024)),
        _ => format!("{} KiB", number / 1024),
    };
    let digests = format!(
        "{}, with reasons of {} bytes each",
        count(digest_list::MAX_DIGESTS),
        count(digest_list::MAX_REASON)
    );
    let certificate = format!("{}, with {} subkeys", bytes(pgp::MAX_CERTIFICATE), pgp::MAX_SUBKEYS);
    let message = format!("{}, holding {}", bytes(pgp::MAX_MESSAGE), bytes(pgp::MAX_LITERAL));
    let limits = Limits::default();
    let rows = [
        ("a policy, attestor, list or platform policy", bytes(document::MAX_BYTES)),
        ("`config.toml`", bytes(binauthd::config::file::MAX_BYTES)),
        ("an occurrence", bytes(occurrence::MAX_BYTES)),
        (
            "a look-up of a digest at a server",
            format!(
                "{} occurrences and {} of each note, within 8 s; in the background {} s; {} and {} s a page",
                count(source::MAX_LOOKED_UP),
                bytes(source::MAX_LOOKED_UP_BYTES),
                limits.whole_look_up.as_secs(),
                bytes(limits.look_up_page_bytes),
                limits.look_up.as_secs()
            ),
        ),
        (
            "what is on file of a note for a digest",
            format!(
                "{} occurrences, {}; more of them are not looked at",
                count(store::MAX_ROWS),
                bytes(store::MAX_ROW_BYTES)
            ),
        ),
        (
            "digests that are attested, in memory",
            format!(
                "{}, {}; and what containers run",
                count(cache::MAX_FOUND),
                bytes(cache::MAX_FOUND_BYTES)
            ),
        ),
        ("other digests in memory", count(cache::MAX_ABSENT.get())),
        (
            "signatures checked for an attestor and a digest",
            format!("{}, and as many of envelopes that name no key of it", verify::MAX_VERIFICATIONS),
        ),
        ("keys of an attestor", count(attestor::MAX_KEYS)),
        ("attestors of a rule", count(rule::MAX_ATTESTORS)),
        ("attestors of a policy", count(binauthd::policy::document::MAX_POLICY_ATTESTORS)),
        ("rules of one kind", count(maps::MAX_RULES)),
        (
            "patterns of an allowlist",
            format!("{}, of 1,024 bytes each", count(binauthd::policy::document::MAX_PATTERNS)),
        ),
        ("digests of a deny list or system policy", digests),
        (
            "a policy bundle, and its payload",
            format!(
                "{}, with {} attestors and {} signatures",
                bytes(bundle::MAX_BYTES),
                count(bundle::MAX_ATTESTORS),
                sealed::MAX_SIGNATURES
            ),
        ),
        ("`bundle_keys`", count(sealed::MAX_KEYS)),
        (
            "a break-glass grant",
            format!(
                "{}, with {} digests, namespaces, clusters and nodes each",
                bytes(break_glass::MAX_BYTES),
                break_glass::MAX_ENTRIES
            ),
        ),
        ("owner and ticket of an exception", format!("{} bytes each", allowlist::MAX_TEXT)),
        ("an OpenPGP certificate", certificate),
        ("an OpenPGP message", message),
        ("a JSON Web Token", bytes(jwt::MAX_BYTES)),
        ("findings of a scan", count(statement::MAX_FINDINGS)),
        ("a manifest, config or index in containerd", bytes(content::MAX_BYTES)),
        ("manifests of an index", count(content::MAX_CHILDREN)),
        ("layers of an image", count(content::MAX_LAYERS)),
        ("`config.json` of a container", bytes(usize::try_from(container::MAX_CONFIG).unwrap())),
        ("a base runtime spec", bytes(base_spec::MAX_BYTES)),
    ];
    for (what, bound) in rows {
        let row = format!("| {what} | {bound} |\n");
        assert!(README.contains(&row), "README.md lacks {row}");
    }
}

fn reasons() -> String {
    let mut page = String::from(
        ".TH BINAUTHD-REASONS 7 \"\" binauthd \"binauthd manual\"\n\
         .SH NAME\n\
         binauthd-reasons \\- why an image was allowed or refused\n\
         .SH DESCRIPTION\n\
         Every verdict of\n.BR binauthd (8)\nand\n.BR binauthctl (1)\n\
         carries one of these codes: in answers of the gates, in audit records, log lines and metrics.\n\
         They do not change between versions.\n",
    );
    let sections = [
        (Class::Allowed, "ALLOWED", "The image may run."),
        (
            Class::Denied,
            "DENIED",
            "The image may not run; in dry run it runs, and this is what it would have been.",
        ),
        (Class::Undecided, "CANNOT DECIDE", "The question has no answer, and so the image may not run."),
    ];
    for (class, title, what) in sections {
        write!(page, ".SH {title}\n{what}\n").unwrap();
        for reason in Reason::ALL.iter().filter(|reason| reason.class() == class) {
            let meaning = reason.meaning().replace('-', "\\-").replace('`', "");
            write!(page, ".TP\n.B {reason}\n{meaning}\n").unwrap();
        }
    }
    page + ".SH SEE ALSO\n.BR binauthctl (1),\n.BR binauthd (8)\n"
}

fn metrics() -> String {
    let mut page = String::from(
        ".TH BINAUTHD-METRICS 7 \"\" binauthd \"binauthd manual\"\n\
         .SH NAME\n\
         binauthd-metrics \\- what binauthd tells Prometheus\n\
         .SH DESCRIPTION\n\
         .BR binauthd (8)\nanswers GET /metrics where\n.B [metrics] listen\nof config.toml says: a unix socket, or a \
         port on a loopback address.\n\
         Whoever may connect may read; nobody is asked who they are, and no image, digest or pod is told.\n\
         Names and labels do not change between versions.\n\
         Alert rules are in\n.I binauthd.rules.yaml\nand a Grafana dashboard in\n.IR binauthd.json ,\nas the package \
         brings them.\n\
         .SH METRICS\n",
    );
    for family::Described { name, kind, labels, help } in family::ALL {
        let labels = if labels.is_empty() { String::new() } else { format!(" {{{}}}", labels.join(", ")) };
        let help = help.replace('-', "\\-").replace('`', "");
        write!(page, ".TP\n.BR {name} \"{labels}, {}\"\n{help}\n", kind.name()).unwrap();
    }
    page + ".SH SEE ALSO\n.BR binauthctl (1),\n.BR binauthd\\-reasons (7),\n.BR binauthd (8)\n"
}
