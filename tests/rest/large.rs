//! Answers that are too large.

use std::time::Instant;

use super::*;

/// As many as are asked for, of 40 kB each.
fn heavy(question: &Question) -> Answer {
    let at: usize = question.of("pageToken").parse().unwrap_or(0);
    let end = (at + question.size()).min(100);
    let filler = json!("x".repeat(40_000));
    let occurrences: Vec<_> = (at..end).map(|n| but(n, &[("remediation", filler.clone())])).collect();
    page(&occurrences, &if end < 100 { end.to_string() } else { String::new() })
}

#[tokio::test(flavor = "multi_thread")]
async fn large_pages_are_halved() {
    // Of a page, and what is asked for at first, in the end, or at most what is said of it.
    let rows = [
        (4_200_000, 1_000, Ok(1_000)),
        (1_100_000, 64, Ok(16)),
        (90_000, 1_000, Ok(1)),
        (30_000, 1_000, Err(())),
    ];
    for (page_bytes, page_size, expected) in rows {
        let server = Server::start(None, heavy).await;
        let source = source_of(
            http_options(server.url("http")),
            Api::V1,
            Limits { page_bytes, page_size, ..limits() },
        );
        let (ended, taken) = listed(&source, &note()).await;
        match expected {
            Ok(size) => {
                ended.unwrap();
                assert_eq!(taken.names, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
                assert_eq!(server.questions.lock().unwrap().last().unwrap().size(), size);
            }
            Err(()) => {
                assert_says(&ended.unwrap_err(), "one occurrence has more than 30000 bytes", "too large")
            }
        }
    }
}

/// The most memory that this process ever had, and what it has now, in bytes.
fn memory(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gigabyte() {
    for announced in [true, false] {
        let server = Server::start(None, move |_| Answer::Gigabyte { announced }).await;
        let source = source_of(http_options(server.url("http")), Api::V1, limits());
        let (before, began) = (memory("VmRSS"), Instant::now());
        let (ended, taken) = listed(&source, &note()).await;
        assert_says(
            &ended.unwrap_err(),
            "a page of one occurrence has more than 33554432 bytes",
            "a gigabyte",
        );
        let more = memory("VmHWM").saturating_sub(before);
        println!(
            "1 GB, announced: {announced}: {} questions, {} MiB taken, {:?}, {} MiB of memory more at most",
            server.asked(),
            server.sent() >> 20,
            began.elapsed(),
            more >> 20
        );
        assert_eq!((server.asked(), taken.names.len()), (10, 0));
        assert!(more < 160 << 20, "{} MiB", more >> 20);
        // Each of the ten is given up after 32 MiB, and what the sockets hold.
        assert!(server.sent() < 10 * (48 << 20), "{}", server.sent());
        assert!(began.elapsed() < Duration::from_secs(30));
    }
}
