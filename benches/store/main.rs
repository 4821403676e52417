//! binauth-store with many occurrences, on SQLite and on PostgreSQL: pages, look-ups, followers, memory.
//!
//! It is filled by its own `import`, from lines that are made on the spot; SQLite and PostgreSQL write to the disk as they do
//! unless told otherwise. Each question is asked over loopback HTTP on a connection that stays. Numbers are printed and never
//! asserted; the exit code tells whether everything worked.
//!
//! `BINAUTH_STORE_BENCH` says how many occurrences: `10000,1000000` unless set. Goals are about a million. Needs root and
//! `tests/rig/install.sh --postgres`, and 5 GB of disk for the million.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a bench that cannot be set up, or whose subject fails, ends there"
)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

mod client;
mod followers;
#[path = "../gate/resident.rs"]
#[allow(dead_code, reason = "this bench uses a part of it")]
mod resident;
#[path = "../../tests/store/rig.rs"]
#[allow(dead_code, unused, reason = "this bench uses a part of it")]
mod rig;
#[path = "../gate/samples.rs"]
#[allow(dead_code, reason = "this bench uses a part of it")]
mod samples;
mod stock;
#[path = "../gate/table.rs"]
#[allow(dead_code, reason = "this bench uses a part of it")]
mod table;

use client::Client;
use followers::FOLLOWERS;
use resident::Resident;
use rig::{Database, Postgres, Store};
use samples::Samples;
use table::Table;

/// What goals are about.
const MEANT: usize = 1_000_000;
const SIZES: &str = "BINAUTH_STORE_BENCH";
/// Occurrences of a page.
const PAGE: usize = 1_000;
/// Pages that are read at least.
const PAGES: usize = 200;
/// Look-ups of each kind.
const LOOK_UPS: usize = 1_000;
/// Between two of them: no principal may ask more than 500 times a second.
const PAUSE: Duration = Duration::from_millis(2);

/// What was measured of one database with so many occurrences.
struct Figures {
    name: &'static str,
    size: usize,
    filled: Duration,
    pages: Samples,
    /// Of a note, of a project, of a digest that nothing is filed for.
    look_ups: [Samples; 3],
    /// Until each follower, and until the last one has heard.
    told: [Samples; 2],
    /// After the start, with its followers, and the most there was.
    resident: [f64; 3],
}

fn main() -> ExitCode {
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS; // `cargo test --benches` wants to know that it compiles
    }
    let sizes = std::env::var(SIZES).unwrap_or_else(|_| format!("10000,{MEANT}"));
    let sizes: Vec<usize> = sizes.split(',').map(|size| size.trim().parse().expect(SIZES)).collect();
    let start = Instant::now();
    let mut all = Vec::new();
    for size in sizes {
        for (name, database) in
            [("SQLite", Database::sqlite()), ("PostgreSQL", Database::Postgres(Postgres::start(&[])))]
        {
            println!("{name}, {size} occurrences");
            all.push(measured(name, size, &database));
        }
    }
    let mut table = Table::default();
    print(&all, &table);
    goals(&all, &mut table);
    table.finish();
    println!("\n{:.0} s in all", start.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}

fn measured(name: &'static str, size: usize, database: &Database) -> Figures {
    let start = Instant::now();
    stock::fill(&database.url(), size);
    let filled = start.elapsed();
    println!("  filled in {:.1} s", filled.as_secs_f64());
    // As it is run: whoever asks is looked up.
    let add = |name: &str, role: &str| database.verb(&["access", "add", name, "--role", role]);
    let (admin, node) = (add("admin", &format!("attacher={}", stock::NOTE)), add("node", "viewer"));
    let store = Store::start(&database.url(), &[]);
    let mut client = Client::of(&store.url, &admin);
    // Its first connections are made.
    client.done("GET", &stock::at_digest_of_note(&stock::digest(0)));
    let idle = Resident::of(store.pid()).all;
    let pages = pages(&mut client, size);
    println!("  pages read");
    let mut look_ups = [(); 3].map(|()| Samples::default());
    for turn in 0..LOOK_UPS {
        // All over the place.
        let there = stock::digest(turn * 7_919 % size);
        let asked = [
            (stock::at_digest_of_note(&there), 1),
            (stock::at_digest_of_project(&there), 1),
            (stock::at_digest_of_note(&stock::digest(size + turn)), 0),
        ];
        for ((target, count), samples) in asked.iter().zip(&mut look_ups) {
            let (took, answer) = client.done("GET", target);
            samples.push(took);
            assert_eq!(client::occurrences(&answer).0, *count, "{target}");
            std::thread::sleep(PAUSE);
        }
    }
    println!("  looked up");
    let told = followers::measured(&store, &node, &mut client, size);
    println!("  followed");
    let resident = Resident::of(store.pid());
    Figures { name, size, filled, pages, look_ups, told, resident: [idle, resident.all, resident.peak] }
}

/// From the first page to the last, and again until there are enough.
fn pages(client: &mut Client, size: usize) -> Samples {
    let mut samples = Samples::default();
    while samples.len() < PAGES {
        let (mut seen, mut token) = (0, String::new());
        loop {
            let (took, answer) = client.done("GET", &stock::page(&token));
            samples.push(took);
            let (count, next) = client::occurrences(&answer);
            seen += count;
            token = next;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, size, "all of it is listed");
    }
    samples
}

fn print(all: &[Figures], table: &Table) {
    table.section(
        "binauth-store over loopback HTTP",
        &[
            "page: 1,000 occurrences of a note, from the first to the last. look-up: by digest, as nodes ask; of a note, of a",
            "project (with a kind), and of a digest that nothing is filed for. told: from the beginning of a deletion until each",
            "of 500 followers has its line, and until the last of them has. Milliseconds, median and p99; memory in MiB.",
        ],
    );
    for Figures { name, size, filled, pages, look_ups, told, resident } in all {
        let [idle, followed, peak] = resident;
        let rate = *size as f64 / filled.as_secs_f64();
        println!(
            "\n  {name}, {size} occurrences, filled in {:.1} s ({rate:.0} a second)",
            filled.as_secs_f64()
        );
        println!("  {:<44}{:>6}{:>9}{:>9}{:>9}", "", "n", "median", "p99", "most");
        let [of_note, of_project, of_nothing] = look_ups;
        let [each, last] = told;
        for (what, samples) in [
            ("a page of 1,000", pages),
            ("look-up of a note", of_note),
            ("look-up of a project", of_project),
            ("look-up, nothing there", of_nothing),
            ("told, each follower", each),
            ("told, the last follower", last),
        ] {
            let (median, p99, most) = (samples.median(), samples.quantile(0.99), samples.quantile(1.0));
            println!("  {what:<44}{:>6}{median:>9.2}{p99:>9.2}{most:>9.2}", samples.len());
        }
        println!(
            "  memory after its start {idle:.1}, with {FOLLOWERS} followers {followed:.1}, the most {peak:.1}"
        );
    }
}

fn goals(all: &[Figures], table: &mut Table) {
    for Figures { name, pages, look_ups: [look_up, ..], told: [_, last], .. } in
        all.iter().filter(|figures| figures.size == MEANT)
    {
        let is_lite = *name == "SQLite";
        let of = |lite, postgres| if is_lite { lite } else { postgres };
        for (what, samples, limit) in [
            (of("a page of 1,000 in p99, SQLite", "a page of 1,000 in p99, PostgreSQL"), pages, 50.0),
            (
                of("a look-up by digest in p99, SQLite", "a look-up by digest in p99, PostgreSQL"),
                look_up,
                5.0,
            ),
            (
                of("a revocation told to 500 in p99, SQLite", "a revocation told to 500 in p99, PostgreSQL"),
                last,
                1000.0,
            ),
        ] {
            let p99 = samples.quantile(0.99);
            table.goal(what, &format!("< {limit:.0} ms"), format!("{p99:.1} ms"), p99 < limit);
        }
    }
}
