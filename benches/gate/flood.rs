//! What a digest costs that somebody floods: time and memory, each flood in a process of its own.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::hostile::{FLOODS, Hostile};
use super::samples::Samples;
use super::table::Table;

/// Names the flood to the process that measures it.
const VARIABLE: &str = "BINAUTHD_BENCH_FLOOD";
const ROUNDS: usize = 11;
/// What goes beyond this is to see the bounds work, and has no goal of memory: in MiB, as filed.
const ORDINARY: f64 = 24.0;

/// Measures the flood that this process was started for, if it was.
pub(crate) fn is_measured_here() -> bool {
    let Ok(flood) = std::env::var(VARIABLE) else { return false };
    let empty = resident("VmRSS");
    let hostile = Hostile::new(&flood);
    let filed = resident("VmRSS");
    fs::write("/proc/self/clear_refs", "5").unwrap(); // the peak is now what there is
    let first = hostile.gather();
    let peak = resident("VmHWM");
    drop(first);
    let times = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        hostile.gather();
        start.elapsed().as_micros().to_string()
    });
    let times: Vec<_> = times.collect();
    println!("{:.1} {:.1} {}", filed - empty, (peak - filed).max(0.0), times.join(" "));
    true
}

/// Prints a row for each flood.
pub(crate) fn measure(table: &mut Table) {
    table.section(
        "A digest that is flooded, checked for two attestors on one note",
        &[
            "One good attestation is filed beside each flood, and counts; the other attestor has none.",
            "10,000 signatures unless named otherwise, all newer. more: peak memory beyond what is filed.",
        ],
    );
    table
        .line(&format!("{:<42}{:>10}{:>10}{:>12}{:>12}", "", "median ms", "p90 ms", "filed MiB", "more MiB"));
    let (mut slowest, mut largest) = (0.0_f64, 0.0_f64);
    for flood in FLOODS {
        let output = Command::new(std::env::current_exe().unwrap())
            .arg("--bench")
            .env(VARIABLE, flood)
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "{flood}: {}", output.status);
        let text = String::from_utf8(output.stdout).unwrap();
        let numbers: Vec<f64> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
        let (filed, more) = (numbers[0], numbers[1]);
        let mut samples = Samples::default();
        for micros in &numbers[2..] {
            samples.push(Duration::from_secs_f64(micros / 1e6));
        }
        let (median, p90) = (samples.median(), samples.quantile(0.9));
        table.line(&format!("{flood:<42}{median:>10.2}{p90:>10.2}{filed:>12.1}{more:>12.1}"));
        slowest = slowest.max(median);
        if filed < ORDINARY {
            largest = largest.max(filed + more);
        }
    }
    table.goal("a flooded digest checked", "< 100.0 ms", format!("{slowest:.1} ms"), slowest < 100.0);
    table.goal("its memory, with what is filed", "< 32.0 MiB", format!("{largest:.1} MiB"), largest < 32.0);
}

/// A field of this process's status, in MiB.
fn resident(name: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib: f64 = line.unwrap().trim().trim_end_matches(" kB").parse().unwrap();
    kib / 1024.0
}
