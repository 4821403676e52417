//! What is printed: rows of one table, and at its end the goals. At most 100 columns wide.

use super::samples::Samples;

/// Collects goals while sections print their rows.
#[derive(Default)]
pub(crate) struct Table {
    goals: Vec<Goal>,
}

struct Goal {
    what: &'static str,
    limit: String,
    measured: String,
    reached: bool,
}

impl Table {
    /// A heading and what its rows have in common.
    pub(crate) fn section(&self, title: &str, notes: &[&str]) {
        println!("\n{title}");
        for note in notes {
            println!("  {note}");
        }
    }

    /// The heading of [`Table::row`]. `base` is the side that differences are taken from.
    pub(crate) fn columns(&self, unit: &str, base: Option<&str>) {
        let more = base.map_or_else(String::new, |base| format!("more than `{base}`"));
        println!("  {unit:<30}{:>5}{:>8}{:>16}{:>8}  {more}", "n", "median", "middle half", "p90");
    }

    /// One side; with `base`, the median of the differences in the same round and its 95 % interval.
    pub(crate) fn row(&self, name: &str, side: &Samples, base: Option<&Samples>) {
        let half = format!("{} - {}", brief(side.quantile(0.25)), brief(side.quantile(0.75)));
        let (n, median, p90) = (side.len(), brief(side.median()), brief(side.quantile(0.9)));
        let more = base.map_or_else(String::new, |base| {
            let more = side.over(base);
            let (low, high) = more.median_between();
            format!("{} [{} {}]", signed(more.median()), signed(low), signed(high))
        });
        println!("  {name:<30}{n:>5}{median:>8}{half:>16}{p90:>8}  {more}");
    }

    /// A line of its own form.
    pub(crate) fn line(&self, text: &str) {
        println!("  {text}");
    }

    /// Notes a goal and what was measured for it.
    pub(crate) fn goal(&mut self, what: &'static str, limit: &str, measured: String, reached: bool) {
        self.goals.push(Goal { what, limit: limit.to_owned(), measured, reached });
    }

    /// The goals, last of all.
    pub(crate) fn finish(self) {
        println!("\n{:<56} {:>12} {:>14}   reached", "goal", "to reach", "measured");
        for Goal { what, limit, measured, reached } in self.goals {
            println!("  {what:<54} {limit:>12} {measured:>14}   {}", if reached { "yes" } else { "NO" });
        }
    }
}

/// As many decimals as there is room for and sense in.
fn brief(number: f64) -> String {
    let decimals = if number.abs() < 10.0 { 3 } else { 2 };
    format!("{number:.decimals$}")
}

fn signed(number: f64) -> String {
    format!("{}{}", if number < 0.0 { '-' } else { '+' }, brief(number.abs()))
}
