//! One page of samples, in the text format 0.0.4 of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::family::{self, Family};
use super::histogram::{BUCKETS, Reading};

/// What the page is served as.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A number as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(String);

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self(number.to_string())
    }
}

impl From<bool> for Value {
    fn from(is_so: bool) -> Self {
        Self(u8::from(is_so).to_string())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self(match number {
            _ if number.is_nan() => "NaN".to_owned(),
            f64::INFINITY => "+Inf".to_owned(),
            f64::NEG_INFINITY => "-Inf".to_owned(),
            _ => number.to_string(),
        })
    }
}

/// In seconds.
impl From<Duration> for Value {
    fn from(time: Duration) -> Self {
        Self::from(time.as_secs_f64())
    }
}

/// Samples by family, each set of labels once.
#[derive(Debug, Default)]
pub struct Page(BTreeMap<&'static str, BTreeMap<String, String>>);

impl Page {
    /// Sets a sample; of two under the same labels the later one stands.
    pub fn set<const N: usize>(&mut self, family: &Family<N>, labels: [&str; N], value: impl Into<Value>) {
        let Value(value) = value.into();
        let labels = written(family.labels.into_iter().zip(labels));
        let line = format!("{}{} {value}\n", family.name, braced(&labels));
        self.0.entry(family.name).or_default().insert(labels, line);
    }

    /// The same for a family of histograms.
    pub fn histogram<const N: usize>(
        &mut self,
        family: &Family<N>,
        labels: [&str; N],
        Reading { counts, sum }: &Reading,
    ) {
        let labels = written(family.labels.into_iter().zip(labels));
        let (name, mut lines, mut so_far) = (family.name, String::new(), 0);
        let ends = BUCKETS.iter().map(|(_, text)| *text).chain(["+Inf"]);
        for (count, end) in counts.iter().zip(ends) {
            so_far += count;
            let comma = if labels.is_empty() { "" } else { "," };
            // Writing into a `String` does not fail.
            let _ = writeln!(lines, "{name}_bucket{{{labels}{comma}le=\"{end}\"}} {so_far}");
        }
        let (Value(sum), labelled) = (Value::from(*sum), braced(&labels));
        let _ = write!(lines, "{name}_sum{labelled} {sum}\n{name}_count{labelled} {so_far}\n");
        self.0.entry(name).or_default().insert(labels, lines);
    }

    /// The page, its families in the order of the table. A family without samples is left out.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for family in family::ALL {
            let Some(samples) = self.0.get(family.name) else { continue };
            let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
            let (name, kind) = (family.name, family.kind.name());
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
            samples.values().for_each(|lines| text.push_str(lines));
        }
        text
    }
}

fn written<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let label = |(name, value): (&str, &str)| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        format!("{name}=\"{value}\"")
    };
    labels.map(label).collect::<Vec<_>>().join(",")
}

fn braced(labels: &str) -> String {
    if labels.is_empty() { String::new() } else { format!("{{{labels}}}") }
}

#[cfg(test)]
mod tests {
    use super::super::Histogram;
    use super::*;

    #[test]
    fn values_as_prometheus_reads_them() {
        let rows = [
            (Value::from(u64::MAX), "18446744073709551615"),
            (Value::from(7_usize), "7"),
            (Value::from(true), "1"),
            (Value::from(0.000_01), "0.00001"),
            (Value::from(f64::NAN), "NaN"),
            (Value::from(f64::INFINITY), "+Inf"),
            (Value::from(f64::NEG_INFINITY), "-Inf"),
            (Value::from(Duration::from_millis(1500)), "1.5"),
        ];
        for (Value(written), text) in rows {
            assert_eq!(written, text);
        }
    }

    #[test]
    fn a_page_escapes_and_has_each_set_of_labels_once() {
        let mut page = Page::default();
        page.set(&family::SYNC_FAILURES, ["b"], 1_u64);
        page.set(&family::SYNC_FAILURES, ["a\"\\\n"], 2_u64);
        page.set(&family::SYNC_FAILURES, ["b"], 3_u64);
        page.set(&family::CACHE_BYTES, [], 5_usize);
        let text = page.text();
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "binauthd_cache_bytes 5",
                r#"binauthd_sync_failures_total{source="a\"\\\n"} 2"#,
                r#"binauthd_sync_failures_total{source="b"} 3"#
            ]
        );
        assert_eq!(text.matches("# TYPE").count(), 2);
        assert!(text.starts_with("# HELP binauthd_cache_bytes "), "{text}");
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_in_infinity() {
        let histogram = Histogram::default();
        for micros in [1, 10, 11, 30_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let mut page = Page::default();
        page.histogram(&family::DECISION_DURATION, ["pull", "hit"], &histogram.read());
        let text = page.text();
        let name = "binauthd_decision_duration_seconds";
        for line in [
            r#"_bucket{gate="pull",cache="hit",le="0.00001"} 2"#,
            r#"_bucket{gate="pull",cache="hit",le="0.000025"} 3"#,
            r#"_bucket{gate="pull",cache="hit",le="10"} 3"#,
            r#"_bucket{gate="pull",cache="hit",le="+Inf"} 4"#,
            r#"_sum{gate="pull",cache="hit"} 30.000022"#,
            r#"_count{gate="pull",cache="hit"} 4"#,
        ] {
            assert!(text.contains(&format!("{name}{line}\n")), "{line}: {text}");
        }
    }
}
