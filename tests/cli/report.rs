//! `audit report`: its figures, and its page in a real browser.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::bench::Bench;

/// What an image or a namespace may be called by whoever wants to get into the page.
const HOSTILE: &[&str] = &[
    "x\"><script>document.title='owned'</script>",
    "y'><img src=x onerror=\"document.title='owned'\">",
    "</title></svg><svg onload=\"document.title='owned'\">",
    "z\u{202e}|`a`\n# b",
];

fn line(minute: u64, more: Value) -> String {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_790_000_000 + minute * 60);
    let mut line = json!({"time": humantime::format_rfc3339_millis(time).to_string(), "kind": "decision", "gate": "create",
        "rule": "defaultAdmissionRule"});
    line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    line.to_string() + "\n"
}

/// Ten days, in which every fourth decision would be a refusal.
fn trail() -> String {
    let mut text = String::new();
    for minute in (0..14_400).step_by(30) {
        let number = minute / 30;
        let would = number % 4 == 0;
        let image = if would {
            format!("r.example/{}", HOSTILE[usize::try_from(number / 4).unwrap() % HOSTILE.len()])
        } else {
            "r.example/good:1".to_owned()
        };
        let verdict = if would && number % 8 == 0 { "DENY" } else { "ALLOW" };
        text += &line(
            minute,
            json!({"image": image, "verdict": verdict, "would": if would { "DENY" } else { "ALLOW" },
            "reason": if would { "NO_ATTESTATION" } else { "ATTESTED" },
            "container": {"podNamespace": if would { HOSTILE[0] } else { "shop" }}}),
        );
    }
    text += &line(
        14_400,
        json!({"kind": "change", "what": "policy", "before": "a", "after": "b", "who": {"uid": 0}}),
    );
    text += &line(
        14_401,
        json!({"kind": "repeats", "count": 20, "image": "r.example/loop", "verdict": "DENY", "would": "DENY",
        "reason": "ALWAYS_DENY"}),
    );
    text += &line(
        14_402,
        json!({"image": "r.example/canary", "verdict": "DENY", "would": "DENY", "reason": "CANARY"}),
    );
    text
}

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("audit.jsonl", trail());
    bench.policy("evaluationMode: ALWAYS_ALLOW", "DRYRUN_AUDIT_LOG_ONLY");
    bench
}

#[test]
fn the_figures_are_those_of_the_trail() {
    let bench = bench();
    let ran = bench.run("audit report --file audit.jsonl --since 2026-01-01T00:00:00Z -o json");
    let report = ran.json();
    let trail = &report["trail"];
    assert_eq!(trail["decisions"], json!({"allowed": 360, "wouldBlock": 60, "refused": 80}));
    assert_eq!(
        (&trail["canaries"], &trail["changes"][0], &trail["lines"]),
        (&json!(1), &json!(1), &json!(483))
    );
    let images: Vec<_> = trail["wouldBlock"]["images"].as_array().unwrap().iter().collect();
    assert_eq!((images.len(), &images[0]["count"], &images[4]["count"]), (5, &json!(30), &json!(20)));
    assert!(images.iter().any(|one| one["image"] == format!("r.example/{}", HOSTILE[0])), "{images:?}");
    assert_eq!(trail["bucketSeconds"], 86_400);
    // Nobody has chained these lines.
    assert_eq!(report["chain"]["intact"], false);
    let control = |name: &str| {
        let all = report["controls"].as_array().unwrap();
        all.iter().find(|one| one["control"] == name).unwrap().clone()
    };
    assert_eq!(control("SOC 2 CC6.1")["evidence"], "open");
    assert!(control("SOC 2 CC6.1")["shown"].as_str().unwrap().starts_with("500 decisions: 360 allowed"));
    assert_eq!(control("SLSA Non-falsifiable")["evidence"], "none");

    // Filters are those of `audit query`; a span without lines is one without evidence.
    let shop = bench
        .run("audit report --file audit.jsonl --since 2026-01-01T00:00:00Z --namespace shop -o json")
        .json();
    assert_eq!(shop["trail"]["decisions"], json!({"allowed": 360, "wouldBlock": 0, "refused": 0}));
    let none = bench.run("audit report --file audit.jsonl --since 2027-01-01T00:00:00Z -o json").json();
    let evidence: Vec<_> =
        none["controls"].as_array().unwrap().iter().map(|one| one["evidence"].clone()).collect();
    assert_eq!(evidence.iter().filter(|evidence| **evidence == "none").count(), 7, "{evidence:?}");
    bench.run("audit report --file none.jsonl").gave(2, "none.jsonl");
}

#[test]
fn markdown_has_no_markup_of_others() {
    let bench = bench();
    let ran = bench.run("audit report --file audit.jsonl --since 2026-01-01T00:00:00Z --to report.md");
    ran.gave(0, "report.md");
    let page = bench.read("report.md");
    for part in
        ["| all | 500 |", "## What would be blocked", "## Controls", "| SOC 2 CC8.1 |", "audit query --since"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("\n# b"), "{page}");
    // Every row of a table has the columns of its heading.
    let mut columns = 0;
    for line in page.lines() {
        let found = line.replace("\\|", "").matches('|').count();
        match (line.starts_with('|'), columns) {
            (false, _) => columns = 0,
            (true, 0) => columns = found,
            (true, _) => assert_eq!(found, columns, "{line}"),
        }
    }
}

/// What a browser makes of a page.
fn dom(page: &Path, width: u32) -> String {
    let programs = ["chromium-headless-shell", "chromium"];
    let run = |program: &str| {
        Command::new(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"])
            .arg(format!("--window-size={width},900"))
            .arg(format!("--user-data-dir={}", page.with_extension("profile").display()))
            .arg(format!("file://{}", page.display()))
            .output()
    };
    let output = programs.into_iter().find_map(|program| run(program).ok());
    let output = output.expect("a browser: run `tests/rig/install.sh --browser` first");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_page_is_laid_out_by_a_browser_and_runs_nothing() {
    let bench = bench();
    bench
        .run("audit report --file audit.jsonl --since 2026-01-01T00:00:00Z --format html --to report.html")
        .gave(0, "report.html");
    let page = bench.read("report.html");
    // It asks for nothing: neither by an address nor by a style.
    for part in ["http:", "https:", "src=\"", "href=\"", "url(", "@import", "<script", "<img", "<iframe"] {
        assert!(!page.contains(part), "{part}");
    }
    let seen = dom(&bench.at("report.html"), 1280);
    assert!(seen.contains("<title>Binary Authorization on") && !seen.contains("<title>owned"), "{seen}");
    assert!(!seen.contains("<script") && !seen.contains("<img") && seen.contains("&lt;script&gt;"), "{seen}");

    // The same with a ruler in it, which its policy would not let run.
    let (policy, rest) = page
        .split_once("<meta http-equiv")
        .and_then(|(head, rest)| Some((head, rest.split_once(">\n")?.1)))
        .unwrap();
    let ruler = "<script>\
        const box = one => { const at = one.getBoundingClientRect(); return [at.left, at.right, at.width, at.height].map(Math.round); };\
        const found = { width: innerWidth, page: document.documentElement.scrollWidth, plots: {} };\
        for (const plot of document.querySelectorAll('svg[id]')) found.plots[plot.id] = { plot: box(plot), bars: [...plot.querySelectorAll('rect')].map(box) };\
        document.body.setAttribute('data-found', JSON.stringify(found));</script>";
    bench.write("ruled.html", format!("{policy}{}", rest.replace("</body>", &format!("{ruler}</body>"))));
    for width in [1280, 400] {
        let seen = dom(&bench.at("ruled.html"), width);
        let found =
            seen.split_once("data-found=\"").unwrap().1.split_once('"').unwrap().0.replace("&quot;", "\"");
        let found: Value = serde_json::from_str(&found).unwrap();
        assert!(found["page"].as_u64() <= found["width"].as_u64(), "{width}: {found}");
        for (plot, bars) in [("over-time", 20), ("by-namespace", 2), ("by-image", 10)] {
            let plot = &found["plots"][plot];
            let number = |value: &Value, at: usize| value[at].as_f64().unwrap();
            assert!(number(&plot["plot"], 2) > 200.0, "{width}: {found}");
            let drawn = plot["bars"].as_array().unwrap();
            let is_in = |bar: &&Value| {
                number(bar, 0) >= number(&plot["plot"], 0) - 1.0
                    && number(bar, 1) <= number(&plot["plot"], 1) + 1.0
            };
            assert!(drawn.len() >= bars && drawn.iter().all(|bar| is_in(&bar)), "{width}: {plot}");
            assert!(drawn.iter().any(|bar| number(bar, 3) > 3.0 && number(bar, 2) > 3.0), "{width}: {plot}");
        }
    }
}
