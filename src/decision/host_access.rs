//! Host access: whether a container reaches that by which this node guards itself.

/// What is done about a container that reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// It is refused.
    Refuse,
    /// It is let through, and recorded.
    Report,
    /// It is let through.
    Allow,
}
