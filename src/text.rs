//! Text of strangers, for people: bounded, and without what a terminal would obey or what could break or
//! reorder a line of a log.

/// Whether `c` breaks a line, moves a cursor or changes the direction of what follows.
#[must_use]
pub fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// At most `max` characters of `text`, each that misleads replaced by U+FFFD.
#[must_use]
pub fn shown(text: &str, max: usize) -> String {
    text.chars().map(|c| if misleads(c) { '\u{fffd}' } else { c }).take(max).collect()
}

/// The longest beginning of `text` with at most `max` bytes that ends between characters.
#[must_use]
pub fn cut(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_misleads_is_replaced() {
        assert_eq!(super::shown("a\n\u{9b}\u{202e}\u{2028}b cd", 6), "a\u{fffd}\u{fffd}\u{fffd}\u{fffd}b");
    }
}
