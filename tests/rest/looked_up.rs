//! Look-ups by digest.

use super::*;

async fn found(server: &Server, scope: &Scope, n: usize) -> Result<Vec<String>, SourceError> {
    let documents = source(server).look_up(scope, digest(n)).await?.documents;
    Ok(documents.into_iter().map(|document| document.occurrence.name).collect())
}

fn filter(n: usize) -> String {
    format!("has_suffix(resourceUrl, \"{}\")", digest(n))
}

#[tokio::test(flavor = "multi_thread")]
async fn filters() {
    let all: Vec<Vec<Value>> = (0..5).map(|at| (at * 10..at * 10 + 10).map(v1).collect()).collect();
    // Two for one digest, and one that another note has.
    let mine = vec![
        v1(7),
        but(8, &[("resourceUri", json!(format!("registry.example.com/x@{}", digest(7))))]),
        but(7, &[("name", json!("projects/p/occurrences/x")), ("noteName", json!("projects/p/notes/other"))]),
    ];
    let (two, project) = (mine.clone(), mine.clone());
    let everything = all.clone();
    type Saying = Box<dyn Fn(&Question) -> Answer + Send + Sync>;
    type Row = (&'static str, Scope, Saying, &'static [&'static str], usize);
    let rows: Vec<Row> = vec![
        (
            "obeyed",
            note(),
            Box::new(move |q| {
                assert_eq!(q.of("filter"), filter(7));
                page(&two, "")
            }),
            &["7", "8"],
            1,
        ),
        ("nothing there", note(), Box::new(|_| Answer::Text("{}".into())), &[], 1),
        ("ignored", note(), Box::new(move |q| paged(q, &all)), &["7"], 5),
        (
            "refused",
            note(),
            Box::new(move |q| match q.of("filter") {
                "" => paged(q, &everything),
                _ => Answer::Whole(400, vec![], "invalid filter".into()),
            }),
            &["7"],
            6,
        ),
        (
            "of a project",
            Scope::Project("p".into()),
            Box::new(move |q| {
                assert_eq!(q.of("filter"), format!("kind=\"ATTESTATION\" AND {}", filter(7)));
                page(&project, "")
            }),
            &["7", "8", "x"],
            1,
        ),
    ];
    for (row, scope, answer, names, asked) in rows {
        let server = Server::start(None, answer).await;
        let found = found(&server, &scope, 7).await.unwrap_or_else(|error| panic!("{row}: {error}"));
        let names: Vec<_> = names.iter().map(|name| format!("projects/p/occurrences/{name}")).collect();
        assert_eq!((found, server.asked()), (names, asked), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_end_is_no_absence() {
    type Saying = Box<dyn Fn(&Question) -> Answer + Send + Sync>;
    let after = |q: &Question| q.of("pageToken").parse().unwrap_or(0_usize) + 1;
    let rows: Vec<(&str, Saying, &str, usize)> = vec![
        (
            "refused with and without",
            Box::new(|_| Answer::Whole(400, vec![], "unknown page size".into())),
            "400 Bad Request (unknown page size)",
            2,
        ),
        (
            "refused on a later page",
            Box::new(|q| match q.of("pageToken") {
                "" => page(&[], "1"),
                _ => Answer::Whole(400, vec![], "token".into()),
            }),
            "400 Bad Request (token)",
            2,
        ),
        (
            "pages for ever",
            Box::new(move |q| page(&[v1(after(q) + 100)], &after(q).to_string())),
            "more than 30 pages",
            30,
        ),
        ("silence", Box::new(|_| Answer::Silence), "did not answer within 1 s", 1),
        (
            "busy",
            Box::new(|_| Answer::Whole(503, vec![("Retry-After", "1".into())], String::new())),
            "503",
            1,
        ),
    ];
    for (row, answer, expected, asked) in rows {
        let server = Server::start(None, answer).await;
        let look_up = if row == "silence" { Duration::from_secs(1) } else { limits().look_up };
        let limits = Limits { pages: 30, look_up, ..limits() };
        let source = source_of(http_options(server.url("http")), Api::V1, limits);
        let error = source.look_up(&note(), digest(7)).await.expect_err(row);
        assert_says(&error, expected, row);
        assert_eq!(server.asked(), asked, "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_taken_than_wanted() {
    // One digest with more than any look-up takes, in pages of 2,000.
    let server = Server::start(None, |q| {
        let at: usize = q.of("pageToken").parse().unwrap_or(0);
        let resource = json!(format!("registry.example.com/x@{}", digest(7)));
        let occurrences: Vec<_> =
            (at..at + 2_000).map(|n| but(n, &[("resourceUri", resource.clone())])).collect();
        page(&occurrences, &if at < 10_000 { (at + 2_000).to_string() } else { String::new() })
    })
    .await;
    let source = source(&server);
    let found = source.look_up(&note(), digest(7)).await.unwrap();
    assert_eq!((found.documents.len(), found.is_cut, server.asked()), (10_000, true, 6));
    // The same of bytes: half a megabyte each, for as long as anybody asks.
    let server = Server::start(None, |q| {
        let at: usize = q.of("pageToken").parse().unwrap_or(0);
        let resource = json!(format!("registry.example.com/x@{}", digest(7)));
        let padding = json!("x".repeat(500_000));
        let one = |n| but(n, &[("resourceUri", resource.clone()), ("remediation", padding.clone())]);
        let occurrences: Vec<_> = (at..at + q.size().min(10)).map(one).collect();
        page(&occurrences, &(at + occurrences.len()).to_string())
    })
    .await;
    let found =
        source_of(http_options(server.url("http")), Api::V1, limits()).look_up(&note(), digest(7)).await;
    let found = found.unwrap();
    let bytes: usize = found.documents.iter().map(|document| document.text.len()).sum();
    assert!(found.is_cut && (15 << 20..=16 << 20).contains(&bytes), "{bytes}");
}
