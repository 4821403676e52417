//! What the patterns of every dialect have in common before their own grammar is looked at.

/// The longest pattern, in bytes.
pub const MAX_PATTERN: usize = 1024;

/// Why a text is no pattern in any dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrittenError {
    /// Nothing there.
    #[error("the pattern is empty")]
    Empty,
    /// Over [`MAX_PATTERN`] bytes.
    #[error("the pattern has {0} bytes, more than the {MAX_PATTERN} allowed")]
    TooLong(usize),
    /// No image has white space in its name.
    #[error("`{0}` contains white space")]
    WhiteSpace(String),
}

/// There is something, and not too much of it.
pub(super) fn bounded(text: &str) -> Result<(), WrittenError> {
    match text.len() {
        0 => Err(WrittenError::Empty),
        1..=MAX_PATTERN => Ok(()),
        length => Err(WrittenError::TooLong(length)),
    }
}

/// The same, and it is one word: what names images.
pub(super) fn word(text: &str) -> Result<(), WrittenError> {
    bounded(text)?;
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(WrittenError::WhiteSpace(text.to_owned()));
    }
    Ok(())
}
