//! Whom a source is believed to be, and the way to it.

use std::path::PathBuf;

use binauthd::http::{Credentials, Options, Proxies};

use super::authority::{Authority, Files, Shows};
use super::*;

const GOOD: Shows = Shows { expired: false, wants_certificate: false, takes_certificate: false };

fn one(_: &Question) -> Answer {
    page(&[v1(1)], "")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_answers() {
    let (files, ours, other) = (Files::new(), Authority::new("ours"), Authority::new("other"));
    let ca = files.write("ca", &ours.pem());
    let both = files.write("both", &(other.pem() + &ours.pem()));
    let client = |authority: &Authority, name: &str| {
        let both = files.write(name, &authority.sign("client"));
        Credentials::Certificate { certificate: both.clone(), key: both }
    };
    let wants = Shows { wants_certificate: true, ..GOOD };
    let local = "127.0.0.1";
    // What it is, the name that the server proves, what else of it, whom we believe, who we are, what is said.
    let rows = [
        ("ours", local, GOOD, Some(&ca), Credentials::None, None),
        ("one of two", local, GOOD, Some(&both), Credentials::None, None),
        (
            "another host's",
            "store.example",
            GOOD,
            Some(&ca),
            Credentials::None,
            Some(
                "cannot be reached: its certificate is that of another host (…not valid for name \"127.0.0.1\"",
            ),
        ),
        (
            "expired",
            local,
            Shows { expired: true, ..GOOD },
            Some(&ca),
            Credentials::None,
            Some("its certificate has expired, or the clock of this node is ahead"),
        ),
        (
            "a stranger's",
            local,
            GOOD,
            Some(&files.write("wrong-ca", &other.pem())),
            Credentials::None,
            Some("signed by nobody who is trusted here: name its authority as `ca`…UnknownIssuer"),
        ),
        (
            "not the system's",
            local,
            GOOD,
            None,
            Credentials::None,
            Some("cannot be reached…signed by nobody who is trusted here"),
        ),
        ("a client is wanted and there", local, wants, Some(&ca), client(&ours, "client"), None),
        (
            "a client is wanted",
            local,
            wants,
            Some(&ca),
            Credentials::None,
            Some("it asks for a client certificate: name `client_certificate`"),
        ),
        (
            "another client is wanted",
            local,
            wants,
            Some(&ca),
            client(&other, "foreign"),
            Some("cannot be reached: it does not accept the client certificate"),
        ),
        (
            "no certificate there",
            local,
            GOOD,
            Some(&files.write("empty", "")),
            Credentials::None,
            Some("no credentials for…holds no certificate in PEM"),
        ),
        (
            "no key there",
            local,
            GOOD,
            Some(&ca),
            Credentials::Certificate { certificate: ca.clone(), key: ca.clone() },
            Some("holds no private key in PEM"),
        ),
    ];
    for (row, name, shows, authority, credentials, expected) in rows {
        let server = Server::start(Some(ours.server(name, shows)), one).await;
        let options =
            Options { authority: authority.cloned(), credentials, ..http_options(server.url("https")) };
        let (ended, taken) = listed(&source_of(options, Api::V1, limits()), &note()).await;
        match expected {
            None => {
                ended.unwrap_or_else(|error| panic!("{row}: {error}"));
                assert_eq!(taken.names, ["1"], "{row}");
            }
            Some(parts) => {
                assert_says(&ended.expect_err(row), parts, row);
                assert_eq!(server.asked(), 0, "{row}");
            }
        }
    }
    // HTTPS asked of what speaks HTTP.
    let plain = Server::start(None, one).await;
    let options = Options { authority: Some(ca), ..http_options(plain.url("https")) };
    let limits = Limits { page: Duration::from_secs(1), ..limits() };
    assert!(listed(&source_of(options, Api::V1, limits), &note()).await.0.is_err());
    assert_eq!(plain.asked(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_read_again() {
    let (files, old, new) = (Files::new(), Authority::new("old"), Authority::new("new"));
    let server = Server::start(Some(new.server("127.0.0.1", GOOD)), one).await;
    let authority = Some(files.write("ca", &old.pem()));
    let source = source_of(Options { authority, ..http_options(server.url("https")) }, Api::V1, limits());
    assert_says(&listed(&source, &note()).await.0.unwrap_err(), "UnknownIssuer", "old");
    files.write("ca", &new.pem());
    listed(&source, &note()).await.0.unwrap();
}

/// What a process of its own says of a listing under the variables `environment`.
async fn in_a_process(url: &str, authority: Option<&PathBuf>, environment: &[(&str, String)]) -> String {
    let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "tls::as_the_environment_says", "--ignored", "--nocapture"]);
    for key in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
        command.env_remove(key).env_remove(key.to_ascii_lowercase());
    }
    command.env("TEST_URL", url).envs(environment.iter().map(|(key, value)| (key, value)));
    if let Some(authority) = authority {
        command.env("TEST_CA", authority);
    }
    let output = command.output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line =
        text.lines().find_map(|line| line.split_once("outcome: ")).map(|(_, outcome)| outcome.to_owned());
    line.unwrap_or_else(|| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
#[ignore = "a part of other tests: asks as its environment says"]
async fn as_the_environment_says() {
    let options = Options {
        authority: std::env::var("TEST_CA").ok().map(Into::into),
        proxies: Proxies::from_environment(),
        ..http_options(std::env::var("TEST_URL").unwrap())
    };
    let source = source_of(options, Api::V1, limits());
    let (ended, taken) = listed(&source, &note()).await;
    match ended {
        Ok(()) => println!("outcome: {} taken", taken.names.len()),
        Err(error) => println!("outcome: {error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_systems_certificates() {
    let (files, ours, other) = (Files::new(), Authority::new("ours"), Authority::new("other"));
    let (ca, wrong) = (files.write("ca", &ours.pem()), files.write("wrong", &other.pem()));
    let server = Server::start(Some(ours.server("127.0.0.1", GOOD)), one).await;
    let file = |path: &PathBuf| ("SSL_CERT_FILE", path.display().to_string());
    let rows = [
        (None, file(&ca), "1 taken"),
        (None, file(&wrong), "signed by nobody who is trusted here"),
        // Where `ca` is given, no others count.
        (Some(&wrong), file(&ca), "signed by nobody who is trusted here"),
        (None, file(&files.write("empty", "")), "the system's store of certificates` holds no certificate"),
    ];
    for (authority, variable, expected) in rows {
        let outcome = in_a_process(&server.url("https"), authority, std::slice::from_ref(&variable)).await;
        assert!(outcome.contains(expected), "{variable:?}: {outcome:?} lacks {expected:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proxies() {
    let (files, ours) = (Files::new(), Authority::new("ours"));
    let ca = files.write("ca", &ours.pem());
    let far = Server::start(Some(ours.server("store.invalid", GOOD)), one).await;
    let near = Server::start(Some(ours.server("127.0.0.1", GOOD)), one).await;
    let plain = Server::start(None, one).await;
    let port = far.address.port();
    let proxy = Server::start(None, move |question| match question.headers.get("proxy-authorization") {
        Some(basic) if basic == "Basic dXNlcjpoaWRkZW4=" => Answer::Tunnel(port),
        _ => Answer::Whole(407, vec![], String::new()),
    })
    .await;
    let at = format!("http://user:hidden@{}", proxy.address);
    let wrong = format!("http://user:forbidden@{}", proxy.address);
    let bare = format!("user:hidden@{}", proxy.address);
    let store = "https://store.invalid".to_owned();
    let var = |key: &'static str, value: &str| (key, value.to_owned());
    // Where to, by which variables, what comes out, whether the proxy was asked.
    let rows = [
        (&store, vec![var("HTTPS_PROXY", &at)], "1 taken", true),
        (&store, vec![var("https_proxy", &at), var("HTTPS_PROXY", "127.0.0.1:1")], "1 taken", true),
        (&store, vec![var("ALL_PROXY", &bare)], "1 taken", true),
        (&store, vec![var("HTTPS_PROXY", &at), var("NO_PROXY", "other.invalid")], "1 taken", true),
        (&store, vec![var("HTTPS_PROXY", &at), var("NO_PROXY", "a, .invalid")], "cannot be reached", false),
        (&store, vec![var("HTTPS_PROXY", &at), var("no_proxy", "store.invalid")], "cannot be reached", false),
        (&store, vec![var("HTTP_PROXY", &at)], "cannot be reached", false),
        (&store, vec![var("HTTPS_PROXY", &wrong)], "cannot be reached", true),
        (&near.url("https"), vec![var("HTTPS_PROXY", &at), var("ALL_PROXY", &at)], "1 taken", false),
        (&plain.url("http"), vec![var("HTTP_PROXY", &at), var("ALL_PROXY", &at)], "1 taken", false),
    ];
    for (url, variables, expected, asked) in rows {
        let before = proxy.asked();
        let authority = url.starts_with("https").then_some(&ca);
        let outcome = in_a_process(url, authority, &variables).await;
        assert!(outcome.contains(expected), "{url} {variables:?}: {outcome:?} lacks {expected:?}");
        assert!(!outcome.contains("hidden") && !outcome.contains("forbidden"), "{outcome}");
        assert_eq!(proxy.asked() > before, asked, "{url} {variables:?}");
    }
    let to = proxy.questions.lock().unwrap()[0].clone();
    assert_eq!(to.path, "store.invalid:443");
    // A client that is told to use none uses none.
    let options = Options { authority: Some(ca), proxies: Proxies::default(), ..http_options(store) };
    let before = proxy.asked();
    assert!(listed(&source_of(options, Api::V1, limits()), &note()).await.0.is_err());
    assert_eq!(proxy.asked(), before);
}
