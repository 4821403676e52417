//! What a server tells of changes, and what is made of what makes no sense.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use binauthd::evidence::source::{Heard, Listener};
use binauthd::http::{Credentials, Options};

use super::*;

/// What was heard.
#[derive(Debug, Default)]
struct Ear(Vec<Heard>);

impl Listener for Ear {
    fn hear<'a>(&'a mut self, heard: Heard) -> Work<'a, ()> {
        Box::pin(async move { self.0.push(heard) })
    }
}

fn telling(http: Options) -> RestSource {
    let (name, api) = ("store".into(), Api::V1);
    RestSource::new(RestOptions { name, api, http, tells: true, limits: limits() }).unwrap()
}

/// Follows it to its end; what was heard, and why it ended.
async fn followed(source: &RestSource, token: &mut Option<String>) -> (Vec<Heard>, String) {
    let mut ear = Ear::default();
    let broken = source.follow(token, &mut ear).unwrap().await;
    (ear.0, broken.to_string())
}

fn line(token: &str, more: &[(&str, Value)]) -> String {
    let mut line = json!({"token": token});
    more.iter().for_each(|(key, value)| line[*key] = value.clone());
    format!("{line}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_and_what_is_none() {
    let (filed, gone) = (line("2", &[("filed", v1(1))]), line("3", &[("gone", v1(2))]));
    let bundle = line("4", &[("bundle", json!("projects/p/bundle"))]);
    let long = line("5", &[("filed", but(3, &[("remediation", json!("x".repeat(3 << 20)))]))]);
    let relist = line("6", &[("relist", json!(true))]);
    let is_filed = Heard::Filed(NOTE.parse().unwrap(), digest(1));
    let is_gone = Heard::Gone(NOTE.parse().unwrap(), digest(2));
    let follows = || Heard::Follows;
    let ended = "the question was given up";
    // From which token on, what is sent, what is heard, the token then, how it ended.
    let rows = [
        (None, line("1", &[]), vec![Heard::Relist, follows()], Some("1"), ended),
        (
            Some("1"),
            [filed, gone, bundle].concat(),
            vec![is_filed, follows(), is_gone, follows(), Heard::Bundle, follows()],
            Some("4"),
            ended,
        ),
        // What one line told is found by listing, and the next one leads on.
        (Some("4"), long.clone() + &line("5", &[]), vec![Heard::Relist, follows()], Some("5"), ended),
        (Some("4"), long, vec![Heard::Relist], Some("4"), ended),
        (Some("5"), relist, vec![Heard::Relist, follows()], Some("6"), ended),
        // The same is not asked for again.
        (
            Some("6"),
            line("7", &[]) + "<html>\n",
            vec![follows()],
            None,
            "does not answer as such a server does: a line of its changes is none that is known",
        ),
        (Some("6"), line(&"7".repeat(257), &[]), vec![], None, "the token of a change is too long"),
        (Some("6"), "x".repeat(70 << 20), vec![], None, "a line of its changes has more than 67108864 bytes"),
    ];
    for (from, sent, heard, token, ending) in rows {
        let server = Server::start(None, move |_| Answer::Text(sent.clone())).await;
        let source = telling(http_options(server.url("http")));
        let mut kept = from.map(ToOwned::to_owned);
        let said = followed(&source, &mut kept).await;
        assert_eq!(said.0, heard, "{from:?}: {}", said.1);
        assert!(said.1.contains(ending), "{from:?}: {}", said.1);
        assert_eq!(kept.as_deref(), token, "{from:?}");
        let asked = server.questions.lock().unwrap()[0].clone();
        assert_eq!((asked.path.as_str(), asked.of("token")), ("/v1/changes", from.unwrap_or_default()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_does_not_count_is_asked_for_anew() {
    let given = AtomicUsize::new(0);
    let from = Server::start(None, move |_| {
        let n = given.fetch_add(1, Ordering::SeqCst) + 1;
        let body = json!({"access_token": format!("token-{n}"), "expires_in": 3_600, "token_type": "Bearer"});
        Answer::Whole(200, vec![("Metadata-Flavor", "Google".to_owned())], body.to_string())
    })
    .await;
    let server = Server::start(None, |question| match question.bearer() {
        Some("token-2") => Answer::Text(line("1", &[])),
        _ => Answer::Whole(401, vec![], String::new()),
    })
    .await;
    let credentials = Credentials::MetadataServer(from.url("http"));
    let source = telling(Options { credentials, ..http_options(server.url("http")) });
    let mut token = None;
    let (heard, broken) = followed(&source, &mut token).await;
    assert!(heard.is_empty() && broken.contains("401"), "{heard:?}: {broken}");
    assert_eq!(followed(&source, &mut token).await.0, [Heard::Relist, Heard::Follows]);
}

#[tokio::test]
async fn who_tells_without_end_is_read_no_faster_than_a_node_can_bear() {
    let told = line("1", &[]).repeat(6_000);
    let server = Server::start(None, move |_| Answer::Text(told.clone())).await;
    let source = telling(http_options(server.url("http")));
    let (mut token, began) = (Some("0".to_owned()), std::time::Instant::now());
    let (heard, _) = followed(&source, &mut token).await;
    let took = began.elapsed();
    assert_eq!(heard.len(), 6_000);
    // 5,000 at once, and 500 a second behind them.
    assert!(took > Duration::from_millis(1_500), "{took:?}");
}

/// One thread serves all sources.
#[tokio::test]
async fn who_tells_much_leaves_others_their_turn() {
    const LINES: usize = 4_800;
    let told = line("1", &[]).repeat(LINES);
    let server = Server::start(None, move |_| Answer::Text(told.clone())).await;
    let source = telling(http_options(server.url("http")));
    let turns = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&turns);
    let other = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    let mut token = Some("0".to_owned());
    let followed = tokio::time::timeout(Duration::from_secs(60), followed(&source, &mut token));
    assert_eq!(followed.await.unwrap().0.len(), LINES);
    other.abort();
    let turns = turns.load(Ordering::Relaxed);
    assert!(turns > LINES / 64, "{turns} turns beside {LINES} lines");
}
