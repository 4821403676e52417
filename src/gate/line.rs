//! Text for people, cut to size: what a gate prints ends up in pod events.

use crate::text::{cut, misleads};

/// `text` on one line of at most `max` bytes; what would break the line or reorder it on a terminal
/// becomes a space.
pub(super) fn one_line(text: &str, max: usize) -> String {
    let line: String = text.chars().map(|c| if misleads(c) { ' ' } else { c }).collect();
    let line = line.trim();
    if line.len() <= max {
        return line.to_owned();
    }
    format!("{}…", cut(line, max.saturating_sub('…'.len_utf8())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_single_and_bounded() {
        for (text, max, expected) in [
            ("plain", 10, "plain"),
            (" a\nb\r\tc\u{1b}[31m\u{0} ", 40, "a b  c [31m"),
            ("x\u{202e}y\u{2028}z\u{85}", 40, "x y z"),
            ("abcdefghij", 8, "abcde…"),
            ("ääääää", 8, "ää…"),
            ("", 8, ""),
        ] {
            assert_eq!(one_line(text, max), expected, "{text:?}");
        }
        assert_eq!(cut("aä", 2), "a");
    }
}
