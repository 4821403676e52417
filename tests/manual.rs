//! Holds the manual to the code: pages that list what the code defines are made from it.
//!
//! `BINAUTHD_UPDATE=1 cargo test --test manual` writes them anew.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use binauthd::decision::Reason;
use binauthd::decision::reason::Class;

const REASONS: &str = "packaging/man/binauthd-reasons.7";

#[test]
fn the_table_of_reasons() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(REASONS);
    let page = reasons();
    if std::env::var_os("BINAUTHD_UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, page, "{REASONS} is not what the code says: run with BINAUTHD_UPDATE=1");
}

#[test]
fn codes_are_told_apart_and_explained() {
    let codes: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(codes.len(), Reason::ALL.len());
    for reason in Reason::ALL {
        assert!(reason.meaning().ends_with('.') && reason.meaning().len() > 15, "{reason}");
        assert!(reason.code().bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{reason}");
    }
}

fn reasons() -> String {
    let mut page = String::from(
        ".TH BINAUTHD-REASONS 7 \"\" binauthd \"binauthd manual\"\n\
         .SH NAME\n\
         binauthd-reasons \\- why an image was allowed or refused\n\
         .SH DESCRIPTION\n\
         Every verdict of\n.BR binauthd (8)\nand\n.BR binauthctl (1)\n\
         carries one of these codes: in answers of the gates, in audit records, log lines and metrics.\n\
         They do not change between versions.\n",
    );
    let sections = [
        (Class::Allowed, "ALLOWED", "The image may run."),
        (
            Class::Denied,
            "DENIED",
            "The image may not run; in dry run it runs, and this is what it would have been.",
        ),
        (Class::Undecided, "CANNOT DECIDE", "The question has no answer, and so the image may not run."),
    ];
    for (class, title, what) in sections {
        write!(page, ".SH {title}\n{what}\n").unwrap();
        for reason in Reason::ALL.iter().filter(|reason| reason.class() == class) {
            let meaning = reason.meaning().replace('-', "\\-").replace('`', "");
            write!(page, ".TP\n.B {reason}\n{meaning}\n").unwrap();
        }
    }
    page + ".SH SEE ALSO\n.BR binauthctl (1),\n.BR binauthd (8)\n"
}
