//! The page as HTML: one file, nothing fetched, nothing that runs. Whatever the trail quotes is an attacker's, and is text.

use std::fmt::Write as _;
use std::time::SystemTime;

use super::Document;
use super::compliance::Evidence;
use super::content::{Kind, Table, chain, sections};
use crate::audit::report::Counts;

/// Bars of a plot by name.
const BARS: usize = 12;
/// Characters of a name beside a bar.
const NAME: usize = 80;
/// No script, no picture, no font, no request; styles are the page's own.
const CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#59636e;--line:#d1d9e0;--paper:#fff;--would:#bf8700;--refused:#cf222e;--good:#1a7f37}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--dim:#9198a1;--line:#3d444d;--paper:#0d1117;--would:#d29922;--refused:#f85149;--good:#3fb950}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:1rem;color:var(--ink);background:var(--paper);font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:.5rem 0}h2{font-size:1.15rem;margin:2rem 0 .5rem}
p{margin:.4rem 0}.dim{color:var(--dim)}
.good{color:var(--good)}.bad{color:var(--refused)}.open{color:var(--would)}
.wide{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;width:100%;font-size:13px}
caption{text-align:left;color:var(--dim);padding:.2rem 0}
th,td{border-bottom:1px solid var(--line);padding:.3rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere;min-width:5.5rem}
th{font-weight:600}td.n{text-align:right;font-variant-numeric:tabular-nums}
svg{display:block;width:100%;height:auto;max-width:60rem}
svg text{fill:var(--dim);font:11px system-ui,sans-serif}
.would{fill:var(--would)}.refused{fill:var(--refused)}.axis{stroke:var(--line)}
code{font:12px ui-monospace,monospace;overflow-wrap:anywhere}
@media print{body{max-width:none;font-size:11px}h2{break-after:avoid}tr,svg{break-inside:avoid}}
";

pub(super) fn page(document: &Document) -> String {
    let trail = &document.trail;
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"{CSP}\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>Binary Authorization on {node}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>Binary Authorization on {node}</h1>\n\
         <p class=\"dim\">{} to {}, made {}.</p>\n",
        escaped(&document.since),
        escaped(&document.until),
        escaped(&document.made),
        node = escaped(&document.node),
    );
    if !document.filters.is_empty() {
        let _ = writeln!(page, "<p>Only lines with {}.</p>", escaped(&document.filters.join(", ")));
    }
    match chain(document) {
        Ok(intact) => {
            let _ = writeln!(page, "<p class=\"good\">{intact}</p>");
        }
        Err((broken, problems)) => {
            let _ = writeln!(page, "<p class=\"bad\"><strong>{broken}</strong></p>");
            table(&mut page, &problems);
        }
    }
    if trail.passed_over > 0 {
        let _ = writeln!(page, "<p class=\"bad\">{} lines are none of a trail.</p>", trail.passed_over);
    }
    for section in sections(document) {
        heading(&mut page, section.title);
        if let Some(problem) = &section.problem {
            let _ = writeln!(page, "<p class=\"bad\">{}</p>", escaped(problem));
        }
        match section.kind {
            Kind::Plain => table(&mut page, &section.table),
            Kind::Blocked => {
                plots(&mut page, document);
                table(&mut page, &section.table);
            }
            Kind::Controls => controls(&mut page, document, &section.table),
        }
    }
    heading(&mut page, "How to ask");
    page.push_str("<ul>\n");
    for query in &document.queries {
        let _ = writeln!(
            page,
            "<li>{}<br><code>{}</code></li>",
            escaped(query.question),
            escaped(&query.command)
        );
    }
    page.push_str("</ul>\n</body>\n</html>\n");
    page
}

/// What would be blocked over time, by namespace, and by image and reason.
fn plots(page: &mut String, document: &Document) {
    let trail = &document.trail;
    over_time(page, document);
    let blocked = |counts: &Counts| counts.would_block + counts.refused;
    let mut namespaces = trail.namespaces.named.clone();
    namespaces.retain(|(_, counts)| blocked(counts) > 0);
    namespaces.sort_by_key(|(_, counts)| std::cmp::Reverse(blocked(counts)));
    bars(page, "by-namespace", "By namespace", &namespaces);
    let images = trail.would_block.images.iter().map(|one| {
        let would_block = one.count.saturating_sub(one.refused);
        let counts = Counts { allowed: 0, would_block, refused: one.refused };
        (format!("{} ({})", one.image, one.reason), counts)
    });
    bars(page, "by-image", "By image and reason", &images.collect::<Vec<_>>());
}

/// Each row is headed by its control, and coloured by its evidence.
fn controls(page: &mut String, document: &Document, table: &Table) {
    begin(page, table);
    for one in &document.controls {
        let class = match one.evidence {
            Evidence::There => "good",
            Evidence::Open => "open",
            Evidence::None => "bad",
        };
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td class=\"{class}\">{}</td></tr>",
            escaped(one.control),
            escaped(one.asks),
            escaped(&one.shown),
            one.evidence.as_str()
        );
    }
    end(page, table);
}

/// Bars over time, what would be blocked below what was.
fn over_time(page: &mut String, document: &Document) {
    const WIDTH: f64 = 720.0;
    const HEIGHT: f64 = 160.0;
    let all = &document.trail.over_time;
    let seconds = |text: &str| {
        let time = humantime::parse_rfc3339(text).unwrap_or(SystemTime::UNIX_EPOCH);
        time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
    };
    let most = all.iter().map(|(_, counts)| counts.would_block + counts.refused).max().unwrap_or_default();
    let (Some((first, _)), Some((last, _))) = (all.first(), all.last()) else { return };
    if most == 0 {
        page.push_str("<p>Nothing would have been blocked.</p>\n");
        return;
    }
    let each = document.trail.bucket_seconds.max(1);
    let buckets = (seconds(last) - seconds(first)) / each + 1;
    #[allow(clippy::cast_precision_loss, reason = "a picture")]
    let (buckets, scale) = (buckets as f64, HEIGHT / most as f64);
    let (left, top) = (48.0, 12.0);
    let width = (WIDTH - left) / buckets;
    let _ = write!(
        page,
        "<svg id=\"over-time\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-labelledby=\"over-time-title over-time-desc\">\n\
         <title id=\"over-time-title\">What would be blocked, over time</title>\n\
         <desc id=\"over-time-desc\">At most {most} in one bar, {} bars from {} to {}</desc>\n\
         <line class=\"axis\" x1=\"{left}\" y1=\"{base}\" x2=\"{WIDTH}\" y2=\"{base}\"/>\n\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{most}</text>\n<text x=\"{}\" y=\"{base}\" text-anchor=\"end\">0</text>\n",
        HEIGHT + top + 24.0,
        all.len(),
        escaped(first),
        escaped(last),
        left - 6.0,
        top + 8.0,
        left - 6.0,
        base = HEIGHT + top,
    );
    for (start, counts) in all {
        #[allow(clippy::cast_precision_loss, reason = "a picture")]
        let (place, would, refused) = (
            ((seconds(start) - seconds(first)) / each) as f64,
            counts.would_block as f64 * scale,
            counts.refused as f64 * scale,
        );
        let x = left + place * width;
        for (class, height, below) in [("would", would, 0.0), ("refused", refused, would)] {
            if height > 0.0 {
                let _ = writeln!(
                    page,
                    "<rect class=\"{class}\" x=\"{x:.2}\" y=\"{:.2}\" width=\"{:.2}\" height=\"{height:.2}\"><title>{}: {} would be blocked, {} refused</title></rect>",
                    HEIGHT + top - below - height,
                    (width * 0.86).max(0.5),
                    escaped(start),
                    counts.would_block,
                    counts.refused
                );
            }
        }
    }
    let _ = write!(
        page,
        "<text x=\"{left}\" y=\"{y}\">{}</text>\n<text x=\"{WIDTH}\" y=\"{y}\" text-anchor=\"end\">{}</text>\n</svg>\n\
         <p class=\"dim\"><svg style=\"display:inline;width:10px\" viewBox=\"0 0 10 10\" aria-hidden=\"true\"><rect class=\"would\" width=\"10\" height=\"10\"/></svg> \
         let through, and would be blocked \
         <svg style=\"display:inline;width:10px\" viewBox=\"0 0 10 10\" aria-hidden=\"true\"><rect class=\"refused\" width=\"10\" height=\"10\"/></svg> refused</p>\n",
        escaped(first),
        escaped(last),
        y = HEIGHT + top + 18.0,
    );
}

/// Bars by name, the longest first.
fn bars(page: &mut String, id: &str, title: &str, all: &[(String, Counts)]) {
    const WIDTH: f64 = 720.0;
    const LINE: f64 = 34.0;
    let shown = all.get(..BARS).unwrap_or(all);
    let most = shown.iter().map(|(_, counts)| counts.would_block + counts.refused).max().unwrap_or_default();
    if most == 0 {
        return;
    }
    #[allow(clippy::cast_precision_loss, reason = "a picture")]
    let (scale, height) = ((WIDTH - 60.0) / most as f64, 20.0 + LINE * shown.len() as f64);
    let _ = write!(
        page,
        "<svg id=\"{id}\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\">\n\
         <title id=\"{id}-title\">{title}</title>\n<desc id=\"{id}-desc\">{} of {}, at most {most}</desc>\n\
         <text x=\"0\" y=\"12\" font-weight=\"600\">{title}</text>\n",
        shown.len(),
        all.len(),
    );
    let mut y = 20.0;
    for (name, counts) in shown {
        #[allow(clippy::cast_precision_loss, reason = "a picture")]
        let (would, refused) = (counts.would_block as f64 * scale, counts.refused as f64 * scale);
        let mut short: String = name.chars().take(NAME).collect();
        if short.len() < name.len() {
            short.push('…');
        }
        let _ = write!(
            page,
            "<text x=\"0\" y=\"{:.1}\">{}<title>{}</title></text>\n\
             <rect class=\"would\" x=\"0\" y=\"{bar:.1}\" width=\"{would:.2}\" height=\"10\"/>\n\
             <rect class=\"refused\" x=\"{would:.2}\" y=\"{bar:.1}\" width=\"{refused:.2}\" height=\"10\"/>\n\
             <text x=\"{:.2}\" y=\"{:.1}\">{}</text>\n",
            y + 11.0,
            escaped(&short),
            escaped(name),
            would + refused + 6.0,
            y + 25.0,
            counts.would_block + counts.refused,
            bar = y + 16.0,
        );
        y += LINE;
    }
    page.push_str("</svg>\n");
}

fn heading(page: &mut String, title: &str) {
    let _ = writeln!(page, "<h2>{}</h2>", escaped(title));
}

fn table(page: &mut String, table: &Table) {
    if table.rows.is_empty() {
        page.push_str("<p>None.</p>\n");
        return;
    }
    begin(page, table);
    for row in &table.rows {
        page.push_str("<tr>");
        for cell in row {
            let is_number = !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit());
            let class = if is_number { " class=\"n\"" } else { "" };
            let _ = write!(page, "<td{class}>{}</td>", escaped(cell));
        }
        page.push_str("</tr>\n");
    }
    end(page, table);
}

fn begin(page: &mut String, table: &Table) {
    let caption = escaped(table.caption);
    let _ = write!(page, "<div class=\"wide\"><table><caption>{caption}</caption>\n<thead><tr>");
    for heading in &table.headings {
        let _ = write!(page, "<th scope=\"col\">{}</th>", escaped(heading));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
}

fn end(page: &mut String, table: &Table) {
    page.push_str("</tbody></table></div>\n");
    if table.beyond > 0 {
        let _ = writeln!(page, "<p class=\"dim\">And {} more.</p>", table.beyond);
    }
}

/// Text in an element or in an attribute.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character if character.is_control() || is_bidi(character) => escaped.push('\u{fffd}'),
            character => escaped.push(character),
        }
    }
    escaped
}

/// What turns the text around it about.
const fn is_bidi(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}
