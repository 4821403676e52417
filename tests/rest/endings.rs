//! Listings, and how they end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::*;

type Saying = Box<dyn Fn(&Question) -> Answer + Send + Sync>;

fn says(answer: impl Fn(&Question) -> Answer + Send + Sync + 'static) -> Saying {
    Box::new(answer)
}

fn text(body: &'static str) -> Saying {
    says(move |_| Answer::Text(body.to_owned()))
}

fn refuses(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Saying {
    let headers: Vec<_> = headers.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    says(move |_| Answer::Whole(status, headers.clone(), body.to_owned()))
}

fn numbered(numbers: std::ops::Range<usize>) -> Vec<Value> {
    numbers.map(v1).collect()
}

/// v1beta1, as Kritis and the open-source server of Grafeas have it.
fn v1beta1(n: usize, attestation: Value) -> Value {
    json!({
        "name": format!("projects/kritis/occurrences/{n}"),
        "resource": {"uri": format!("https://registry.example.com/team/app@{}", digest(n))},
        "noteName": NOTE, "kind": "ATTESTATION",
        "attestation": {"attestation": attestation},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_end() {
    let beta = vec![
        v1beta1(
            1,
            json!({"pgpSignedAttestation": {"signature": "-----BEGIN PGP MESSAGE-----\n",
                "contentType": "SIMPLE_SIGNING_JSON", "pgpKeyId": "586C"}}),
        ),
        v1beta1(
            2,
            json!({"genericSignedAttestation": {"contentType": "SIMPLE_SIGNING_JSON",
                "serializedPayload": "AAAA", "signatures": [{"publicKeyId": "k", "signature": "AAAA"}]}}),
        ),
    ];
    let large = but(5, &[("remediation", json!("x".repeat(1024 * 1024)))]);
    let odd = vec![
        v1(1),
        but(2, &[("noteName", json!("projects/p/notes/other"))]),
        json!({"name": "projects/p/occurrences/3", "kind": "VULNERABILITY", "vulnerability": {}}),
        but(4, &[("resourceUri", json!("https://registry.example.com/team/app:latest"))]),
        large,
        json!(null),
        json!("text"),
        v1(6),
    ];
    let twice = vec![vec![v1(1), v1(1), v1(2)], vec![v1(2), v1(3)], vec![v1(4)]];
    let nameless: Vec<_> = (1..4).map(|n| vec![but(n, &[("name", json!(""))])]).collect();
    let mut empties = vec![vec![v1(1)]];
    empties.extend(vec![vec![]; 10]);
    empties.push(vec![v1(2)]);
    empties.extend(vec![vec![]; 10]);
    empties.push(vec![]);
    let project = vec![
        but(1, &[("noteName", json!("projects/q/notes/m"))]),
        but(2, &[("name", json!("projects/pq/occurrences/2"))]),
        but(3, &[("name", json!(""))]),
    ];
    // What it is, the scope, what is answered, what comes out, how much is left out, in how many questions.
    type Row = (&'static str, Scope, Saying, &'static [&'static str], usize, usize);
    let rows: Vec<Row> = vec![
        ("nothing", note(), text("{}"), &[], 0, 1),
        ("nothing, in words", note(), text(r#"{"occurrences":null,"nextPageToken":""}"#), &[], 0, 1),
        ("nothing, after white space", note(), text(" \n{\"occurrences\":[]}\n"), &[], 0, 1),
        ("more than is known", note(), text(r#"{"colour":"red","unreachable":[]}"#), &[], 0, 1),
        ("one page", note(), says(|q| paged(q, &[numbered(1..4)])), &["1", "2", "3"], 0, 1),
        (
            "three pages",
            note(),
            says(|q| paged(q, &[numbered(1..3), numbered(3..4), numbered(4..5)])),
            &["1", "2", "3", "4"],
            0,
            3,
        ),
        (
            "names of the proto",
            note(),
            says(|q| match q.of("pageToken") {
                "" => Answer::Json(json!({"occurrences": [v1(1)], "next_page_token": "more"})),
                _ => page(&[v1(2)], ""),
            }),
            &["1", "2"],
            0,
            2,
        ),
        ("ten empty pages in a row", note(), says(move |q| paged(q, &empties)), &["1", "2"], 0, 23),
        ("doubles in and across pages", note(), says(move |q| paged(q, &twice)), &["1", "2", "3", "4"], 0, 3),
        ("no names", note(), says(move |q| paged(q, &nameless)), &["", "", ""], 0, 3),
        (
            "one name with two contents",
            note(),
            says(|_| page(&[v1(1), but(1, &[("createTime", json!("2027-01-01T00:00:00Z"))])], "")),
            &["1", "1"],
            0,
            1,
        ),
        ("others' and what is none", note(), says(move |_| page(&odd, "")), &["1", "6"], 6, 1),
        ("v1beta1", note(), says(move |_| page(&beta, "")), &["1", "2"], 0, 1),
        (
            "a project",
            Scope::Project("p".into()),
            says(move |q| {
                assert_eq!(q.of("filter"), "kind=\"ATTESTATION\"");
                page(&project, "")
            }),
            &["1", ""],
            1,
            1,
        ),
    ];
    for (row, scope, answer, names, left_out, asked) in rows {
        let server = Server::start(None, answer).await;
        let source = source(&server);
        let (ended, taken) = listed(&source, &scope).await;
        ended.unwrap_or_else(|error| panic!("{row}: {error}"));
        assert_eq!(
            (taken.names, taken.left_out, server.asked()),
            (to_owned(names), left_out, asked),
            "{row}"
        );
        for question in server.questions.lock().unwrap().iter() {
            assert_eq!(question.size(), 1_000, "{row}");
            assert_eq!(
                question.headers.get("accept-encoding").map(String::as_str),
                Some("identity"),
                "{row}"
            );
            assert!(!question.headers.contains_key("authorization"), "{row}");
        }
    }
}

fn to_owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_asked() {
    let at_note = "projects/p/notes/n/occurrences";
    let rows = [
        ("", Api::V1, note(), format!("/v1/{at_note}")),
        ("/", Api::V1Beta1, note(), format!("/v1beta1/{at_note}")),
        ("/grafeas/eu", Api::V1Beta1, note(), format!("/grafeas/eu/v1beta1/{at_note}")),
        ("/grafeas/", Api::V1, Scope::Project("p".into()), "/grafeas/v1/projects/p/occurrences".to_owned()),
    ];
    let server = Server::start(None, |_| page(&[], "")).await;
    for (prefix, api, scope, expected) in rows {
        let source = source_of(http_options(server.url("http") + prefix), api, limits());
        listed(&source, &scope).await.0.unwrap();
        assert_eq!(server.questions.lock().unwrap().last().unwrap().path, expected);
    }
    let source = source(&server);
    let (ended, _) = listed(&source, &Scope::Everything).await;
    assert_says(&ended.unwrap_err(), "everything…by note or by project", "everything");
    assert_eq!(server.asked(), 4);
    assert_eq!((source.name(), source.location()), ("store", server.url("http") + "/"));
}

/// A hundred occurrences in pages of ten, where the token after the last page leads to an empty one, and the
/// token of that to the beginning: the PostgreSQL store of Grafeas.
fn postgres(question: &Question) -> Answer {
    match question.of("pageToken") {
        "empty" => page(&[], "restart"),
        "" | "restart" => page(&numbered(0..10), "10"),
        token => {
            let at: usize = token.parse().unwrap();
            let next = if at + 10 < 100 { (at + 10).to_string() } else { "empty".to_owned() };
            page(&numbered(at..at + 10), &next)
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_do_not() {
    let count = || Arc::new(AtomicUsize::new(1));
    let (empty, same, ever, few, other) = (count(), count(), count(), count(), count());
    let next = |count: &AtomicUsize| count.fetch_add(1, Ordering::SeqCst);
    let in_an_hour = httpdate(Duration::from_secs(90));
    let many: Vec<_> = (0..100_001).map(|_| json!({})).collect();
    let strange = says(|_| Answer::Bytes(b"{\"occurrences\":[\xff]}".to_vec()));
    // What it is, what is answered, what the error says, how many documents were taken before.
    let rows: Vec<(&str, Saying, &str, usize)> = vec![
        (
            "tokens for ever, pages empty",
            says(move |_| page(&[], &format!("t{}", next(&empty)))),
            "listing of projects/p/notes/n…/v1/projects/p/notes/n/occurrences…more than 10 pages in a row are empty",
            0,
        ),
        (
            "tokens for ever, one page",
            says(move |_| page(&[v1(1)], &format!("t{}", next(&same)))),
            "nothing that was not on a page before",
            1,
        ),
        (
            "tokens for ever, all pages new",
            says(move |_| {
                let n = next(&ever);
                page(&[v1(n)], &format!("t{n}"))
            }),
            "more than 40 pages",
            40,
        ),
        (
            "occurrences for ever",
            says(move |_| {
                let n = next(&few) * 20;
                page(&numbered(n..n + 20), &format!("t{n}"))
            }),
            "more than 500 occurrences",
            520,
        ),
        (
            "bytes for ever",
            says(move |_| {
                let n = next(&other);
                let filler = json!("x".repeat(400_000));
                page(&[but(n, &[("remediation", filler)])], &format!("t{n}"))
            }),
            "more than 3000000 bytes",
            7,
        ),
        (
            "a token that came before",
            says(|q| match q.of("pageToken") {
                "" => page(&[v1(1)], "a"),
                "a" => page(&[v1(2)], "b"),
                _ => page(&[v1(3)], "a"),
            }),
            "a page token came a second time",
            3,
        ),
        ("the same token", says(|_| page(&[], "a")), "a page token came a second time", 0),
        (
            "a token that restarts",
            says(|q| match q.of("pageToken") {
                "" => page(&numbered(0..5), "a"),
                "a" => page(&numbered(5..9), "b"),
                _ => page(&numbered(0..5), "c"),
            }),
            "nothing that was not on a page before",
            9,
        ),
        ("the store that restarts", says(postgres), "nothing that was not on a page before", 100),
        (
            "nothing new at the end",
            says(|q| if q.of("pageToken").is_empty() { page(&[v1(1)], "a") } else { page(&[v1(1)], "") }),
            "nothing that was not on a page before",
            1,
        ),
        (
            "a token without end",
            says(|_| page(&[v1(1)], &"t".repeat(8_193))),
            "token has more than 8192 bytes",
            0,
        ),
        (
            "a token that is none",
            text(r#"{"nextPageToken":5}"#),
            "does not answer as such a server…integer `5`",
            0,
        ),
        ("a part", text(r#"{"occurrences":[],"unreachable":["eu"]}"#), "a part of it is unreachable", 0),
        (
            "HTML",
            text("<!DOCTYPE html><html><title>Sign\u{1b} in</title>"),
            "does not answer as such a server does: `<!DOCTYPE html><html><title>Sign\u{fffd} in</title>` is no page",
            0,
        ),
        ("nothing at all", text(""), "`` is no page of occurrences: EOF", 0),
        ("an array", text("[]"), "`[]` is no page of occurrences", 0),
        ("an occurrence, not in a list", text(r#"{"occurrences":{}}"#), "expected a list of occurrences", 0),
        ("a string", text("\"{}\""), "is no page of occurrences", 0),
        ("null", text("null"), "is no page of occurrences", 0),
        ("torn JSON", text(r#"{"occurrences":[{}"#), "is no page of occurrences: EOF", 0),
        ("two lists", text(r#"{"occurrences":[],"occurrences":[]}"#), "duplicate field `occurrences`", 0),
        ("more behind it", text("{} {}"), "trailing characters", 0),
        ("no text", strange, "is not UTF-8", 0),
        ("a page of everything", says(move |_| page(&many, "")), "more than 100000 occurrences", 0),
        ("brackets", text(BRACKETS.get_or_init(|| "[".repeat(100_000))), "is no page of occurrences", 0),
        (
            "500",
            refuses(500, &[], "<h1>oops</h1>"),
            "500 Internal Server Error (<h1>oops</h1>): the server is",
            0,
        ),
        (
            "503",
            refuses(503, &[("Retry-After", "7")], ""),
            "503 Service Unavailable: the server is at fault",
            0,
        ),
        (
            "429",
            refuses(429, &[("Retry-After", "99999")], ""),
            "429 Too Many Requests: it is asked less often",
            0,
        ),
        (
            "429 until",
            says(move |_| Answer::Whole(429, vec![("retry-after", in_an_hour.clone())], String::new())),
            "429",
            0,
        ),
        (
            "400",
            refuses(400, &[], r#"{"error":{"message":"no"}}"#),
            "400 Bad Request (no): it does not und",
            0,
        ),
        (
            "401",
            refuses(401, &[], r#"{"message":"who?"}"#),
            "401 Unauthorized (who?): it wants to know who asks",
            0,
        ),
        ("403", refuses(403, &[], ""), "403 Forbidden: allow the caller…notes.listOccurrences", 0),
        (
            "404",
            refuses(404, &[], "page not found"),
            "404 Not Found (page not found): there is no such note",
            0,
        ),
        ("204", refuses(204, &[], ""), "204 No Content: this is no answer of such a server", 0),
        ("304", refuses(304, &[], ""), "304 Not Modified", 0),
        (
            "compressed",
            refuses(200, &[("Content-Encoding", "gzip")], "\u{1f}"),
            "does not answer as such a server does: it sends the encoding `gzip`",
            0,
        ),
        ("a reset in the body", says(|_| Answer::Reset), "cannot be reached", 0),
        ("fewer bytes than said", refuses(200, &[("Content-Length", "100")], "{}"), "cannot be reached", 0),
        ("silence", says(|_| Answer::Silence), "did not answer within 1 s", 0),
        ("a drip", says(|_| Answer::Drip("{} ".repeat(500), Duration::from_millis(20))), "within 1 s", 0),
        (
            "late pages without end",
            says(|q| {
                let n = q.of("pageToken").trim_start_matches('t').parse().unwrap_or(0);
                let body = json!({"occurrences": [v1(n)], "nextPageToken": format!("t{}", n + 1)});
                Answer::Late(Duration::from_millis(600), body)
            }),
            "is not at its end after 2 s",
            1,
        ),
    ];
    let rows = rows.into_iter().map(|(row, answer, expected, before)| {
        tokio::spawn(async move {
            let server = Server::start(None, answer).await;
            let second = Duration::from_secs(1);
            let limits = Limits { pages: 40, occurrences: 500, bytes: 3_000_000, ..limits() };
            let limits = match row {
                "silence" | "a drip" => Limits { page: second, ..limits },
                "late pages without end" => Limits { listing: 2 * second, ..limits },
                _ => limits,
            };
            let source = source_of(http_options(server.url("http")), Api::V1, limits);
            let began = Instant::now();
            let (ended, taken) = listed(&source, &note()).await;
            let error = ended.expect_err(row);
            assert_says(&error, expected, row);
            // How many come in time is the machine's affair.
            let late = row == "late pages without end";
            let enough = if late { taken.names.len() >= before } else { taken.names.len() == before };
            assert!(enough, "{row}: {} documents, not {before}", taken.names.len());
            assert!(began.elapsed() < Duration::from_secs(20), "{row} took {:?}", began.elapsed());
            let after = match row {
                "503" => Some(7..=7),
                "429" => Some(3_600..=3_600),
                "429 until" => Some(60..=90),
                _ => None,
            };
            match (error.retry_after(), after) {
                (None, None) => {}
                (Some(found), Some(expected)) => {
                    assert!(expected.contains(&found.as_secs()), "{row}: {found:?}")
                }
                (found, _) => panic!("{row}: retry after {found:?}"),
            }
        })
    });
    let rows: Vec<_> = rows.collect();
    for row in rows {
        row.await.unwrap();
    }
}

static BRACKETS: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// This far from now, as HTTP writes it.
fn httpdate(ahead: Duration) -> String {
    httpdate::fmt_http_date(std::time::SystemTime::now() + ahead)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there() {
    let server = Server::start(None, |_| page(&[], "")).await;
    let source = source(&server);
    drop(server);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (ended, _) = listed(&source, &note()).await;
    assert_says(&ended.unwrap_err(), "cannot be reached…onnection refused", "down");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_it_may_stop() {
    let server = Server::start(None, postgres).await;
    let mut taken = Taken { at_most: Some(2), ..Taken::default() };
    let ended = source(&server).list(&note(), &mut taken).await;
    assert_says(&ended.unwrap_err(), "was not taken whole: that is enough", "stopped");
    assert_eq!((taken.names.len(), server.asked()), (20, 3));
    // What is done with pages meanwhile is not the server's time.
    struct Slowly(usize);
    impl Pages for Slowly {
        fn take<'a>(&'a mut self, _: Page) -> Work<'a, Result<(), String>> {
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(300)).await;
                self.0 += 1;
                Ok(())
            })
        }
    }
    let pages: Vec<_> = (0..5).map(|n| vec![v1(n)]).collect();
    let server = Server::start(None, move |q| paged(q, &pages)).await;
    let limits = Limits { listing: Duration::from_secs(1), ..limits() };
    let mut slowly = Slowly(0);
    source_of(http_options(server.url("http")), Api::V1, limits).list(&note(), &mut slowly).await.unwrap();
    assert_eq!(slowly.0, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_over_the_bound_is_given_before_it_is_told() {
    // A server that gives more a page than it is asked for: who follows it must see that it has too many.
    let many: Vec<_> = (0..600).map(v1).collect();
    let server = Server::start(None, move |_| page(&many, "more")).await;
    let limits = Limits { occurrences: 500, ..limits() };
    let (ended, taken) = listed(&source_of(http_options(server.url("http")), Api::V1, limits), &note()).await;
    assert_says(&ended.unwrap_err(), "more than 500 occurrences", "too many");
    assert_eq!((taken.names.len(), server.asked()), (600, 1));
}
