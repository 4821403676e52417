//! Who asks: tokens from files and from the metadata server, and where they never go.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use binauthd::http::{Answer as Got, Bounds, Client, Credentials, HttpError, Options, Proxies};

use super::authority::{Authority, Files, Shows};
use super::*;

/// Answers whoever has the token.
fn guarded(question: &Question) -> Answer {
    match question.bearer() {
        Some("secret") => page(&[v1(1)], ""),
        Some(_) => Answer::Whole(401, vec![], "expired".into()),
        None => Answer::Whole(401, vec![], "nobody".into()),
    }
}

fn with(server: &Server, credentials: Credentials) -> RestSource {
    source_of(Options { credentials, ..http_options(server.url("http")) }, Api::V1, limits())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_read_again() {
    let files = Files::new();
    let server = Server::start(None, guarded).await;
    let path = files.write("token", "old\n");
    let source = with(&server, Credentials::Token(path.clone()));
    assert_says(&listed(&source, &note()).await.0.unwrap_err(), "401 Unauthorized (expired)", "old");
    files.write("token", "secret\n");
    let (ended, taken) = listed(&source, &note()).await;
    ended.unwrap();
    assert_eq!(taken.names, ["1"]);
    let asked = server.asked();
    let mode = |bits| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(bits)).unwrap();
    let rows = [(0o644, "everybody may read…chmod o-r"), (0o660, "writable by others…chmod go-w")];
    for (bits, expected) in rows {
        mode(bits);
        assert_says(&listed(&source, &note()).await.0.unwrap_err(), expected, "mode");
    }
    mode(0o640);
    std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
    assert_says(&listed(&source, &note()).await.0.unwrap_err(), "no credentials for…uid 65534", "owner");
    std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    for text in ["", "two words", "two\nlines"] {
        files.write("token", text);
        assert_says(&listed(&source, &note()).await.0.unwrap_err(), "holds no bearer token", text);
    }
    std::fs::remove_file(&path).unwrap();
    assert_says(&listed(&source, &note()).await.0.unwrap_err(), "no credentials for…No such file", "gone");
    assert_eq!(server.asked(), asked, "it was asked without credentials");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_repeats_the_token_is_not_quoted() {
    const TOKEN: &str = "ya29.not-for-the-eyes-of-others";
    let files = Files::new();
    let path = files.write("token", TOKEN);
    let echo = |question: &Question| format!("headers: {:?}", question.headers.get("authorization"));
    type Saying = Box<dyn Fn(&Question) -> Answer + Send + Sync>;
    let rows: [(&str, Saying); 4] = [
        ("401 Unauthorized", Box::new(move |q| Answer::Whole(401, vec![], echo(q)))),
        (
            "500 Internal Server Error",
            Box::new(move |q| Answer::Whole(500, vec![], "x".repeat(150) + &echo(q))),
        ),
        (
            "302 Found",
            Box::new(move |q| Answer::Whole(302, vec![("location", format!("/?{}", echo(q)))], "".into())),
        ),
        ("sends back the token", Box::new(move |q| Answer::Text(echo(q)))),
    ];
    for (expected, answer) in rows {
        let server = Server::start(None, answer).await;
        let error = listed(&with(&server, Credentials::Token(path.clone())), &note()).await.0.unwrap_err();
        assert_says(&error, expected, expected);
        assert!(!format!("{error} {error:?}").contains(&TOKEN[..12]), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_middle_of_a_listing() {
    let files = Files::new();
    let path = files.write("token", "first");
    let server = Server::start(None, move |question| match (question.of("pageToken"), question.bearer()) {
        ("", Some("first")) => {
            std::fs::write(&path, "second").unwrap();
            page(&[v1(1)], "a")
        }
        ("a", Some("second")) => page(&[v1(2)], ""),
        _ => Answer::Whole(401, vec![], String::new()),
    })
    .await;
    let source = with(&server, Credentials::Token(files.path().join("token")));
    let (ended, taken) = listed(&source, &note()).await;
    ended.unwrap();
    assert_eq!(taken.names, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_not_followed() {
    let files = Files::new();
    let elsewhere = Server::start(None, |_| page(&[v1(1)], "")).await;
    let path = files.write("token", "secret");
    for status in [301, 302, 303, 307, 308] {
        let to = elsewhere.url("http").replace("http://", "http://user:hidden@") + "/v1";
        let server = Server::start(None, move |_| {
            Answer::Whole(status, vec![("Location", to.clone())], String::new())
        })
        .await;
        let source = with(&server, Credentials::Token(path.clone()));
        let error = listed(&source, &note()).await.0.unwrap_err();
        let expected = format!(
            "answers {status}…it leads to `127.0.0.1:{}/v1`…name the place itself",
            elsewhere.address.port()
        );
        assert_says(&error, &expected, "redirect");
        assert!(!error.to_string().contains("hidden"), "{error}");
    }
    assert_eq!(elsewhere.asked(), 0);
}

#[test]
fn what_is_not_asked() {
    let token = || Credentials::Token("/nowhere".into());
    let pair = || Credentials::Certificate { certificate: "/nowhere".into(), key: "/nowhere".into() };
    let rows = [
        ("http://store.example", Credentials::None, Some("plain http is for a loopback address alone")),
        ("http://localhost:8080", Credentials::None, Some("plain http is for a loopback address alone")),
        ("http://10.0.0.1", token(), Some("plain http is for a loopback address alone")),
        ("http://127.0.0.1.store.example", token(), Some("loopback")),
        ("http://127.0.0.1:8080", Credentials::None, None),
        ("http://[::1]:8080/a", token(), None),
        ("http://127.0.0.1:8080", pair(), Some("a client certificate has no place in plain http")),
        ("https://store.example", Credentials::None, None),
        ("https://store.example/a/b", token(), None),
        ("https://store.example", pair(), None),
        ("https://user:hidden@store.example", Credentials::None, Some("more than scheme")),
        ("https://store.example?token=hidden", Credentials::None, Some("more than scheme")),
        ("ftp://store.example", Credentials::None, Some("only https and http")),
        ("store.example", Credentials::None, Some("is not asked")),
        (
            "https://store.example",
            Credentials::MetadataServer("https://user:hidden@metadata".into()),
            Some("`metadata` is not asked: it has more than scheme"),
        ),
        (
            "https://store.example",
            Credentials::MetadataServer("http://metadata/path".into()),
            Some("a metadata server is named as"),
        ),
        (
            "https://store.example",
            Credentials::MetadataServer("http://metadata.google.internal".into()),
            None,
        ),
    ];
    for (url, credentials, expected) in rows {
        let http = Options { credentials, ..http_options(url.to_owned()) };
        let made = RestSource::new(RestOptions {
            name: "s".into(),
            api: Api::V1,
            http,
            tells: false,
            limits: limits(),
        });
        match (made, expected) {
            (Ok(_), None) => {}
            (Err(error), Some(part)) => {
                let error = error.to_string();
                assert!(error.contains(part), "{url}: {error:?} lacks {part:?}");
                let shown = error.replace("token=hidden", "");
                assert!(!shown.contains("user:hidden"), "{error}");
            }
            (made, expected) => panic!("{url}: {made:?}, not {expected:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_printed() {
    let (files, ours) = (Files::new(), Authority::new("ours"));
    let server = Server::start(Some(ours.server("127.0.0.1", Shows::default())), |question| {
        assert_eq!(question.bearer(), Some("hidden-token"));
        // A server that says what it was told.
        Answer::Whole(403, vec![], "not for you".into())
    })
    .await;
    let options = Options {
        authority: Some(files.write("ca", &ours.pem())),
        credentials: Credentials::Token(files.write("token", "hidden-token")),
        proxies: Proxies { https: Some("http://user:hidden-word@127.0.0.1:1".into()), exempt: None },
        ..http_options(server.url("https"))
    };
    let client = Client::new(options.clone()).unwrap();
    let source = source_of(options.clone(), Api::V1, limits());
    let error = listed(&source, &note()).await.0.unwrap_err();
    assert_says(&error, "403 Forbidden (not for you)", "forbidden");
    // After the files were read as before.
    let printed = format!("{options:?} {client:?} {source:?} {error:?} {error} {}", source.location());
    assert!(!printed.contains("hidden"), "{printed}");
    assert!(printed.contains("127.0.0.1:1"), "{printed}");
}

/// A metadata server whose `n`th token is `token-n`.
async fn metadata(lasts: u64, flavor: Option<&'static str>) -> Server {
    let given = AtomicUsize::new(0);
    Server::start(None, move |question| {
        assert_eq!(question.path, "/computeMetadata/v1/instance/service-accounts/default/token");
        assert_eq!(question.headers.get("metadata-flavor").map(String::as_str), Some("Google"));
        let n = given.fetch_add(1, Ordering::SeqCst) + 1;
        let body = json!({"access_token": format!("token-{n}"), "expires_in": lasts, "token_type": "Bearer"});
        let headers = flavor.map(|flavor| ("Metadata-Flavor", flavor.to_owned()));
        Answer::Whole(200, headers.into_iter().collect(), body.to_string())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_server() {
    let (files, ours) = (Files::new(), Authority::new("ours"));
    let refused = Arc::new(AtomicUsize::new(0));
    let refuses = Arc::clone(&refused);
    // Every page is asked for with a token; those up to `refused` are no good.
    let server = Server::start(Some(ours.server("127.0.0.1", Shows::default())), move |question| {
        let n: usize = question.bearer().unwrap().strip_prefix("token-").unwrap().parse().unwrap();
        if n <= refuses.load(Ordering::SeqCst) {
            return Answer::Whole(401, vec![], String::new());
        }
        paged(question, &[vec![v1(1)], vec![v1(2)]])
    })
    .await;
    let ca = files.write("ca", &ours.pem());
    let of = |from: &Server| {
        let credentials = Credentials::MetadataServer(from.url("http"));
        let authority = Some(ca.clone());
        source_of(Options { authority, credentials, ..http_options(server.url("https")) }, Api::V1, limits())
    };
    // One for as long as it lasts, also where many ask at once.
    let from = metadata(3_600, Some("Google")).await;
    let source = Arc::new(of(&from));
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let source = Arc::clone(&source);
            tokio::spawn(async move { listed(&source, &note()).await.0.unwrap() })
        })
        .collect();
    for task in asking {
        task.await.unwrap();
    }
    assert_eq!(from.asked(), 1);
    // One that is not accepted is not used again.
    refused.store(1, Ordering::SeqCst);
    assert_says(&listed(&source, &note()).await.0.unwrap_err(), "401", "refused");
    listed(&source, &note()).await.0.unwrap();
    assert_eq!(from.asked(), 2);
    refused.store(0, Ordering::SeqCst);
    // One that ends within a minute is used once.
    let from = metadata(60, Some("Google")).await;
    listed(&of(&from), &note()).await.0.unwrap();
    assert_eq!(from.asked(), 2);
    let from = metadata(62, Some("Google")).await;
    let source = of(&from);
    listed(&source, &note()).await.0.unwrap();
    assert_eq!(from.asked(), 1);
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    listed(&source, &note()).await.0.unwrap();
    assert_eq!(from.asked(), 2);
    let asked = server.asked();
    // Whoever is not a metadata server is not believed.
    let flavor = || vec![("Metadata-Flavor", "Google".to_owned())];
    let rows = [
        (metadata(3_600, None).await, "gives no token: its answer lacks the header"),
        (metadata(3_600, Some("other")).await, "gives no token: its answer lacks the header"),
        (
            Server::start(None, move |_| Answer::Whole(404, flavor(), "no account".into())).await,
            "it answers 404 Not Found (no account)",
        ),
        (
            Server::start(None, move |_| Answer::Whole(200, flavor(), r#"{"access_token":"hidden"}"#.into()))
                .await,
            "does not answer with a token",
        ),
        (
            Server::start(None, move |_| {
                let body = r#"{"access_token":"hidden","expires_in":9,"token_type":"MAC"}"#;
                Answer::Whole(200, flavor(), body.into())
            })
            .await,
            "no bearer token",
        ),
        (
            Server::start(None, move |_| Answer::Whole(200, flavor(), "x".repeat(70_000))).await,
            "more than 65536 bytes",
        ),
        (
            Server::start(None, move |_| {
                Answer::Whole(302, vec![("Location", "http://127.0.0.1:1/".into())], String::new())
            })
            .await,
            "it answers 302",
        ),
    ];
    for (from, expected) in rows {
        let error = listed(&of(&from), &note()).await.0.unwrap_err();
        assert_says(&error, &format!("no credentials for `{}…{expected}", server.url("https")), expected);
        assert!(!error.to_string().contains("hidden"), "{error}");
    }
    assert_eq!(server.asked(), asked, "it was asked without credentials");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_document() {
    let server = Server::start(None, |question| {
        let etag = vec![("ETag", "\"v7\"".to_owned())];
        match question.headers.get("if-none-match").map(String::as_str) {
            Some("\"v7\"") => Answer::Whole(304, etag, String::new()),
            _ => Answer::Whole(200, etag, "bundle".into()),
        }
    })
    .await;
    let client = Client::new(http_options(server.url("http") + "/bundle")).unwrap();
    let bounds = Bounds { max_bytes: 6, limit: Duration::from_secs(5) };
    let url = client.url().clone();
    let Got::Body { bytes, etag } = client.get(url.clone(), bounds, None).await.unwrap() else {
        panic!("nothing new");
    };
    assert_eq!((bytes.as_slice(), etag.as_deref()), (b"bundle".as_slice(), Some("\"v7\"")));
    let again = client.get(url.clone(), bounds, etag.as_deref()).await.unwrap();
    assert!(matches!(again, Got::Unchanged));
    let small = Bounds { max_bytes: 5, ..bounds };
    let error = client.get(url, small, None).await.unwrap_err();
    assert!(matches!(error, HttpError::TooMuch { max: 5, .. }), "{error}");
    // Credentials go to one place.
    for other in ["http://127.0.0.2:1/bundle", "https://store.example/"] {
        let error = client.get(other.parse().unwrap(), bounds, None).await.unwrap_err();
        assert!(error.to_string().contains("another place"), "{error}");
    }
    assert_eq!(server.asked(), 3);
}
