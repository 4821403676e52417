//! What a metadata store costs a node: the first listing, memory and disk, the start with what is on disk,
//! and questions about what is not there yet; each for several sizes of the store.
//!
//! The daemon has the environment of its unit. The store is a thread of this process with every page ready
//! before the clock starts. A million attestations take minutes more than the rest:
//! `BINAUTHD_BENCH_SOURCES=all` measures them too.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::resident::Resident;
use super::samples::Samples;
use super::table::Table;

mod misses;
mod site;
mod stock;
mod store;

use misses::Misses;
use site::Site;
use stock::Stock;
use store::Store;

/// The size that goals are about.
const MEANT: usize = 100_000;
const SIZES: [usize; 3] = [1_000, 10_000, MEANT];
const LARGE: usize = 1_000_000;
const LARGE_TOO: &str = "BINAUTHD_BENCH_SOURCES";
/// How many of a store's images are asked about at most: more than any node runs.
const ASKED: usize = MEANT;
const STARTS: usize = 15;
const MIB: f64 = 1024.0 * 1024.0;

/// What was measured with a store of one size.
struct Figures {
    size: usize,
    listed: Duration,
    /// After the listing, and after all were asked about.
    resident: [Resident; 2],
    file: u64,
    /// From the start to the first verdict: after an orderly end and after a kill.
    starts: [Samples; 2],
}

/// Prints all of it.
pub(crate) fn measure(daemon: &Path, table: &mut Table) {
    let with_large = std::env::var_os(LARGE_TOO).is_some();
    let start = Instant::now();
    let stock = Stock::of(if with_large { LARGE } else { MEANT });
    println!("\n{} attestations signed in {:.0} s", stock.len(), start.elapsed().as_secs_f64());
    let mut all = Vec::new();
    for size in SIZES.into_iter().chain(with_large.then_some(LARGE)) {
        let store = Store::start(&stock, size);
        let mut site = Site::new(daemon, &store.url(), Some(size));
        let figures = one(&stock, size, &mut site, store, table);
        all.push(figures);
    }
    print_growth(&all, table);
    goals(&all, table);
    if with_large {
        only_asked(&stock, daemon, table);
    } else {
        table.line(&format!("a store of 1,000,000 is measured with {LARGE_TOO}=all"));
    }
}

fn one(stock: &Stock, size: usize, site: &mut Site, store: Store, table: &mut Table) -> Figures {
    let listed = site.list(size);
    // What is answered here is on file: the store has no answer to look-ups of these.
    site.allows(stock.digest(0));
    site.allows(stock.digest(size - 1));
    std::thread::sleep(Duration::from_secs(1));
    let listing = site.resident();
    let asked = site.ask_all(stock, size.min(ASKED));
    std::thread::sleep(Duration::from_secs(1));
    let resident = [listing, site.resident()];
    if size == MEANT {
        Misses::of(stock).measure(site, &store, table);
    }
    assert_eq!(store.listings(), 1, "listed once");
    drop(store);
    let rate = asked.as_secs_f64() * 1e6 / size.min(ASKED) as f64;
    println!("  {size} listed in {:.2} s; {rate:.0} us for each question", listed.as_secs_f64());
    let mut starts = [Samples::default(), Samples::default()];
    for round in 0..STARTS {
        for (side, kill) in [false, true].into_iter().enumerate() {
            site.stop(kill);
            starts[side].push(site.first_verdict(stock.digest(round * 31 % size)));
        }
    }
    let file = fs::metadata(site.evidence()).unwrap().len();
    Figures { size, listed, resident, file, starts }
}

fn print_growth(all: &[Figures], table: &mut Table) {
    table.section(
        "A metadata store of so many attestations, over loopback HTTP in pages of 1,000",
        &[
            "listed: from the start of the daemon with an empty folder until all are on file. Memory in MiB:",
            "after that, after each image (at most 100,000) was asked about once, and the most there was.",
            "first verdict: from the start with the file to an allowance, store gone, after SIGTERM and SIGKILL.",
        ],
    );
    table.line(&format!(
        "{:>12}{:>11}{:>10}{:>9}{:>9}{:>9}{:>12}{:>12}",
        "attestations", "listed, s", "file, MiB", "listed", "asked", "most", "TERM, ms", "KILL, ms"
    ));
    for Figures { size, listed, resident: [idle, asked], file, starts: [term, kill] } in all {
        let file = *file as f64 / MIB;
        let (idle, most, asked) = (idle.all, asked.peak, asked.all);
        let (listed, term, kill) = (listed.as_secs_f64(), term.median(), kill.median());
        table.line(&format!(
            "{size:>12}{listed:>11.2}{file:>10.1}{idle:>9.1}{asked:>9.1}{most:>9.1}{term:>12.1}{kill:>12.1}"
        ));
    }
}

fn goals(all: &[Figures], table: &mut Table) {
    let meant = all.iter().find(|figures| figures.size == MEANT).unwrap();
    let Figures { listed, resident: [_, asked], starts: [term, kill], .. } = meant;
    let listed = listed.as_secs_f64();
    table.goal("100,000 attestations listed and on file", "< 15 s", format!("{listed:.1} s"), listed < 15.0);
    for (what, resident) in [
        ("daemon's memory, 100,000 digests asked about", asked.all),
        ("the same: the most there was, listing too", asked.peak),
    ] {
        table.goal(what, "< 64 MiB", format!("{resident:.1} MiB"), resident < 64.0);
    }
    for (what, samples) in
        [("first verdict after SIGTERM, store gone", term), ("first verdict after SIGKILL, store gone", kill)]
    {
        let median = samples.median();
        table.goal(what, "< 150 ms", format!("{median:.0} ms"), median < 150.0);
    }
}

/// A store that is too large for `list_limit` as it is by default: each image is asked for.
fn only_asked(stock: &Stock, daemon: &Path, table: &mut Table) {
    let store = Store::start(stock, LARGE);
    let mut site = Site::new(daemon, &store.url(), None);
    let decided = site.find_too_long();
    std::thread::sleep(Duration::from_secs(1));
    table.section("A store of 1,000,000 with the usual `list_limit` of 250,000", &[]);
    let resident = site.resident();
    let file = fs::metadata(site.evidence()).unwrap().len() as f64 / MIB;
    table.line(&format!(
        "after {:.1} s it is only asked for each digest; {:.1} MiB on file, memory {:.1} MiB, the most {:.1}",
        decided.as_secs_f64(),
        file,
        resident.all,
        resident.peak
    ));
    Misses::of(stock).measure(&site, &store, table);
}
