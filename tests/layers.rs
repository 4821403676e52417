//! Holds the direction of modules as `src/lib.rs` draws it: a module names only modules in rows above
//! its own, and the core does nothing but compute.
//!
//! Works on the source text: comments and literals are taken out, then every path is expanded
//! (`use crate::{a, b::{c, d}}` is three paths) and those that lead through `crate`, `super` or `self`
//! are resolved. A module that has no place here fails the test, so a new one gets its place first.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each names only those before it.
const CORE: &[&str] = &["text", "document", "image", "attestation", "policy", "decision"];
/// What several edges do alike; each names only the core.
const SHARED: &[&str] = &["pace", "apart", "bounded", "http", "logging"];
/// Each names core and shared. Those of later versions have their place already.
const EDGES: &[&str] =
    &["config", "gate", "evidence", "containerd", "kubelet", "audit", "nri", "metrics", "signing"];
/// Each names core and edges, and neither the other; nobody names them.
const PROGRAMS: &[&str] = &["daemon", "cli", "store"];
/// Items of the crate's root that any module may name.
const ROOT_ITEMS: &[&str] = &["chain"];

/// What the core names of no crate: these do something, or run something later.
const NOT_IN_CORE: &[&str] = &[
    "bytes",
    "caps",
    "clap",
    "containerd_client",
    "cryptoki",
    "hyper",
    "k8s_cri",
    "log",
    "nix",
    "notify",
    "redb",
    "reqwest",
    "rustls",
    "sd_notify",
    "sqlx",
    "tempfile",
    "tokio",
    "tonic",
    "tracing",
    "tracing_subscriber",
];
/// What the core names of the standard library, where the module as a whole could do something.
const PURE_PARTS: &[(&str, &[&str])] = &[
    ("env", &[]),
    ("fs", &[]),
    ("io", &["Read"]), // the trait: what decompresses in memory is read through it
    ("net", &["IpAddr", "Ipv4Addr", "Ipv6Addr"]),
    ("os", &[]),
    ("process", &[]),
    ("thread", &[]),
    ("time", &["Duration", "SystemTime"]),
];

/// Words that may stand before `::` and are no part of the path.
const KEYWORDS: &[&str] = &[
    "as", "break", "const", "dyn", "else", "for", "if", "impl", "in", "let", "match", "move", "mut", "ref",
    "return", "static", "unsafe", "use", "where", "while",
];

#[test]
fn modules_name_only_what_is_above_them() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut violations = Vec::new();
    let mut seen = BTreeSet::new();
    for file in rust_files(&source) {
        let text = fs::read_to_string(&file).unwrap();
        let module = module_of(file.strip_prefix(&source).unwrap());
        seen.extend(module.first().cloned());
        let shown = file.strip_prefix(&source).unwrap().display().to_string();
        violations.extend(check(&module, &text).into_iter().map(|what| format!("src/{shown}: {what}")));
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
    // A walk that found nothing would hold everything.
    for module in CORE.iter().chain(SHARED).chain(&["config", "gate", "evidence", "audit", "daemon"]) {
        assert!(seen.contains(*module), "no file of `{module}` was read");
    }
}

#[test]
fn every_row_of_the_map_is_held() {
    let library = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let known: BTreeSet<&str> = [CORE, SHARED, EDGES, PROGRAMS].concat().into_iter().collect();
    let tokens = tokens(&library);
    let declared: Vec<&str> = tokens
        .windows(3)
        .filter(|three| three[0] == "mod" && three[2] == ";")
        .map(|three| three[1].as_str())
        .collect();
    assert!(declared.len() >= 10, "{declared:?}");
    for module in declared {
        assert!(known.contains(module), "`{module}` has no row here");
        assert!(library.contains(&format!("[`{module}`]")), "`{module}` is not on the map of src/lib.rs");
    }
}

#[test]
fn planted_violations_are_found() {
    let rows: &[(&str, &str, &str)] = &[
        ("image", "use crate::policy::Policy;", "names `policy`"),
        ("document", "use crate::image::Digest;", "names `image`"),
        ("policy", "fn f() -> crate::decision::Verdict { todo!() }", "names `decision`"),
        ("decision", "use crate::{image::Digest, evidence::{cache::Cache, Ledger}};", "names `evidence`"),
        ("decision", "pub(in crate::daemon) fn f() {}", "names `daemon`"),
        ("gate", "use crate\n  ::  config ::file::Config;", "names `config`"),
        ("gate::verifier", "use super::super::audit;", "names `audit`"),
        ("audit", "mod a { mod b { use super::super::super::config; } }", "names `config`"),
        ("audit", "macro_rules! m { () => { $crate::config::f() } }", "names `config`"),
        ("evidence", "/* crate::image */ use crate::gate; // crate::image", "names `gate`"),
        ("config", "use crate::daemon::Engine;", "names `daemon`"),
        ("image", "use crate::http::Client;", "names `http`"),
        ("http", "use crate::evidence::rest;", "names `evidence`"),
        ("http", "use crate::daemon;", "names `daemon`"),
        ("daemon", "use crate::cli;", "names `cli`"),
        ("cli", "use crate::daemon;", "names `daemon`"),
        ("config", "use crate::*;", "names everything"),
        ("config", "use crate::{self as all, image};", "names everything"),
        ("config", "use crate as all;", "names everything"),
        ("config", "use crate::nowhere::X;", "names `nowhere`, which is no module"),
        ("nowhere", "", "`nowhere` has no row"),
        ("image", "use std::fs;", "`std::fs`"),
        ("image", "use std::{fmt, fs::File, str};", "`std::fs::File`"),
        ("image", "use std::*;", "`std::*`"),
        ("policy", "fn f() { std::env::var(\"a\"); }", "`std::env::var`"),
        ("policy", "use std::time::{Duration, Instant};", "`std::time::Instant`"),
        ("policy", "use std::time::SystemTime; fn f() { SystemTime::now(); }", "`SystemTime::now`"),
        ("policy", "use std::time;", "`std::time`"),
        ("policy", "use ::std::net::TcpStream;", "`std::net::TcpStream`"),
        ("attestation", "fn f() { tracing::info!(\"a\"); }", "`tracing"),
        ("attestation", "use tokio::{io, net};", "`tokio"),
        ("attestation", "async fn f() {}", "`async`"),
        (
            "attestation",
            "fn f<'a>(c: char) -> bool { c == '\"' && std::fs::exists(\"\").is_ok() }",
            "std::fs",
        ),
        ("attestation", "fn f() { g(r#\"\" use x \"#); std::process::abort() }", "`std::process::abort`"),
    ];
    for (module, text, expected) in rows {
        let module: Vec<String> = module.split("::").map(str::to_owned).collect();
        let found = check(&module, text);
        assert!(found.iter().any(|what| what.contains(expected)), "{module:?} {text}: {found:?}");
    }
    let allowed: &[(&str, &str)] = &[
        ("image", "use crate::document::Format; use super::document; use self::digest::Digest;"),
        (
            "image",
            "// use crate::policy;\n/* /* crate::policy */ std::fs */ const A: &str = \"crate::policy\";",
        ),
        ("image", "/// Read by [`crate::policy`].\nfn f() { r#\"std::fs \" crate::policy\"#; }"),
        ("policy", "use std::time::Duration; use std::{fmt, net::Ipv6Addr};"),
        ("policy", "fn f<'a>(x: &'a str) -> char { let tokio = '\\''; tokio }"),
        ("gate::server", "use super::frame; use crate::chain; use std::io; mod tests { use super::*; }"),
        ("daemon", "use crate::{audit::Audit, gate::server, config::Config, decision::{judge, Verdict}};"),
        ("cli", "use crate::gate::client;"),
        ("http", "use crate::{text::shown, chain};"),
        ("kubelet", "use crate::http::Held;"),
        ("daemon", "use crate::http::Proxies;"),
        ("bin", "use binauthd::cli;"),
    ];
    for (module, text) in allowed {
        let module: Vec<String> = module.split("::").map(str::to_owned).collect();
        assert_eq!(check(&module, text), [""; 0], "{module:?} {text}");
    }
}

/// Everything that the source `text` of `module` must not say.
fn check(module: &[String], text: &str) -> Vec<String> {
    let Some(own) = module.first().map(String::as_str).filter(|own| *own != "bin") else {
        return Vec::new(); // the root declares all, and the programs' few lines start them
    };
    let in_core = CORE.contains(&own);
    if !in_core && !SHARED.contains(&own) && !EDGES.contains(&own) && !PROGRAMS.contains(&own) {
        return vec![format!("`{own}` has no row in tests/layers.rs")];
    }
    let tokens = tokens(text);
    let mut violations = Vec::new();
    for path in paths(&tokens, module) {
        let shown = path.join("::");
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["crate"] | ["crate", "*" | "self", ..] => {
                violations.push(format!("`{shown}` names everything, also what is below"));
            }
            ["crate", named, ..] => {
                violations.extend(refusal(own, named).map(|why| format!("`{shown}` names `{named}`, {why}")))
            }
            _ if !in_core => {}
            [_, .., "now"] => violations.push(format!("`{shown}` in the core")),
            ["std"] | ["std", "*"] => violations.push(format!("`{shown}` in the core")),
            ["std", part, rest @ ..] => {
                let pure = PURE_PARTS.iter().find(|(name, _)| name == part).map(|(_, pure)| *pure);
                let allowed = pure.is_none_or(|pure| rest.first().is_some_and(|item| pure.contains(item)));
                violations.extend((!allowed).then(|| format!("`{shown}` in the core")));
            }
            [krate, ..] if NOT_IN_CORE.contains(krate) => violations.push(format!("`{shown}` in the core")),
            _ => {}
        }
    }
    let runs_later = |token: &&String| matches!(token.as_str(), "async" | "await");
    if let Some(token) = tokens.iter().find(runs_later).filter(|_| in_core) {
        violations.push(format!("`{token}` in the core"));
    }
    violations
}

/// Why `own` may not name `named`.
fn refusal(own: &str, named: &str) -> Option<&'static str> {
    if own == named || ROOT_ITEMS.contains(&named) {
        return None;
    }
    let place = |name: &str| CORE.iter().position(|core| *core == name);
    match (place(own), place(named)) {
        (Some(own), Some(named)) if named < own => None,
        (Some(_), Some(_)) => Some("which comes after it in the core"),
        (None, Some(_)) => None,
        (_, None) if SHARED.contains(&named) => match () {
            () if EDGES.contains(&own) || PROGRAMS.contains(&own) => None,
            () => Some("which is below it"),
        },
        (_, None) if EDGES.contains(&named) => match () {
            () if PROGRAMS.contains(&own) => None,
            () if EDGES.contains(&own) => Some("another edge"),
            () => Some("an edge"),
        },
        (_, None) if PROGRAMS.contains(&named) => Some("a program"),
        _ => Some("which is no module known here"),
    }
}

/// Every path in `tokens`, as a list of its parts. Those through `self` and `super` are resolved to
/// `crate::…`, with `module` as the place of the file; a group in braces is one path for each entry.
/// Words that stand alone are paths only where they name the root or are used as a whole.
fn paths(tokens: &[String], module: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut place = module.to_vec();
    let mut inline = Vec::new(); // depth of the braces of `mod x { … }`
    let mut depth = 0;
    let mut at = 0;
    while at < tokens.len() {
        let before = |back: usize| at.checked_sub(back).map_or("", |at| tokens[at].as_str());
        match tokens[at].as_str() {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if inline.last() == Some(&depth) {
                    inline.pop();
                    place.pop();
                }
            }
            "mod" if tokens.get(at + 2).is_some_and(|token| token == "{") => {
                inline.push(depth);
                place.push(tokens[at + 1].clone());
                depth += 1;
                at += 2;
            }
            word if is_word(word) && !KEYWORDS.contains(&word) && before(1) != "." => {
                let whole = before(1) == "use" || word == "crate" && (before(2), before(1)) != ("pub", "(");
                let mut here = Vec::new();
                at = expand(tokens, at, &[], &mut here);
                let kept = here.into_iter().filter(|path| path.len() > 1 || whole);
                found.extend(kept.map(|path| resolved(path, &place)));
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Adds the paths of the tree at `at`, each behind `prefix`, and returns where the tree ends.
fn expand(tokens: &[String], mut at: usize, prefix: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    let start = at;
                    at = expand(tokens, at, &path, found);
                    if tokens.get(at).is_some_and(|token| token == "as") {
                        at += 2;
                    }
                    if tokens.get(at).is_some_and(|token| token == ",") || at == start {
                        at += 1;
                    }
                }
                return at + 1;
            }
            Some("self") if !path.is_empty() && path != ["super"] => at += 1, // the module itself
            Some("*") => {
                path.push("*".to_owned());
                at += 1;
            }
            Some(word) if is_word(word) => {
                path.push(word.to_owned());
                at += 1;
            }
            Some("::") if path == prefix => {} // `::std`
            _ => break,
        }
        if tokens.get(at).is_none_or(|token| token != "::") {
            break;
        }
        at += 1;
    }
    if path != prefix || tokens.get(at - 1).is_some_and(|token| token == "self") {
        found.push(path);
    }
    at
}

fn resolved(path: Vec<String>, place: &[String]) -> Vec<String> {
    let up = path.iter().take_while(|part| *part == "super").count();
    let rest = match path.first().map(String::as_str) {
        Some("super") => path.into_iter().skip(up),
        Some("self") => {
            let up = path.iter().skip(1).take_while(|part| *part == "super").count();
            return resolved_from(place, up, path.into_iter().skip(1 + up));
        }
        _ => return path,
    };
    resolved_from(place, up, rest)
}

fn resolved_from(place: &[String], up: usize, rest: impl Iterator<Item = String>) -> Vec<String> {
    let above = place.iter().take(place.len().saturating_sub(up)).cloned();
    std::iter::once("crate".to_owned()).chain(above).chain(rest).collect()
}

fn is_word(token: &str) -> bool {
    token.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
}

/// Words, `::` and single signs; no comments, literals and lifetimes.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let at = |place: usize| chars.get(place).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let mut here = 0;
    while here < chars.len() {
        match (at(here), at(here + 1)) {
            ('/', '/') => here = until(&chars, here, |place| at(place) == '\n'),
            ('/', '*') => here = end_of_comment(&chars, here),
            ('"', _) => here = end_of_string(&chars, here),
            ('\'', '\\') => here = until(&chars, here + 3, |place| at(place) == '\'') + 1,
            ('\'', _) if at(here + 2) == '\'' => here += 3,
            ('\'', _) => here = until(&chars, here + 1, |place| !is_word_char(at(place))),
            (':', ':') => {
                tokens.push("::".to_owned());
                here += 2;
            }
            (c, _) if is_word_char(c) => {
                let end = until(&chars, here, |place| !is_word_char(at(place)));
                let word: String = chars[here..end].iter().collect();
                let hashes = until(&chars, end, |place| at(place) != '#') - end;
                here = match word.as_str() {
                    "b" if at(end) == '\'' => end, // a byte literal
                    "b" | "c" if at(end) == '"' => end_of_string(&chars, end),
                    "r" | "br" | "cr" if at(end + hashes) == '"' => {
                        let close = |place: usize| {
                            at(place) == '"' && (1..=hashes).all(|hash| at(place + hash) == '#')
                        };
                        until(&chars, end + hashes + 1, close) + 1 + hashes
                    }
                    "r" if hashes == 1 => end + 1, // a raw word
                    _ => {
                        tokens.push(word);
                        end
                    }
                };
            }
            (c, _) => {
                if !c.is_whitespace() {
                    tokens.push(c.to_string());
                }
                here += 1;
            }
        }
    }
    tokens
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn until(chars: &[char], from: usize, stop: impl Fn(usize) -> bool) -> usize {
    (from..chars.len()).find(|place| stop(*place)).unwrap_or(chars.len())
}

/// Comments nest.
fn end_of_comment(chars: &[char], mut here: usize) -> usize {
    let mut open = 0;
    while here < chars.len() {
        match chars.get(here..here + 2) {
            Some(['/', '*']) => (open, here) = (open + 1, here + 2),
            Some(['*', '/']) => (open, here) = (open - 1, here + 2),
            _ => here += 1,
        }
        if open == 0 {
            break;
        }
    }
    here
}

fn end_of_string(chars: &[char], quote: usize) -> usize {
    let mut here = quote + 1;
    while here < chars.len() && chars[here] != '"' {
        here += if chars[here] == '\\' { 2 } else { 1 };
    }
    here + 1
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// `gate/verifier/mod.rs` is `gate::verifier`, `lib.rs` is the root.
fn module_of(file: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        file.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod" || last == "lib" || last == "main") {
        parts.pop();
    }
    parts
}
