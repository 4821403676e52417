//! Refusals, as Google's APIs write them (`google.rpc.Status` over HTTP, AIP-193).

use std::fmt;

use serde_json::{Value, json};

/// Why a call is refused (`google.rpc.Code`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// It asks for something that makes no sense.
    InvalidArgument,
    /// It is larger than such a call may be.
    TooLarge,
    /// It does not say who asks, or nobody known.
    Unauthenticated,
    /// Who asks may not.
    PermissionDenied,
    /// There is no such thing.
    NotFound,
    /// There is one already.
    AlreadyExists,
    /// Somebody else was faster: read again.
    Aborted,
    /// Something must be done first.
    FailedPrecondition,
    /// Too much at a time.
    ResourceExhausted,
    /// No such call.
    Unimplemented,
    /// The database fails.
    Unavailable,
}

/// A refused call.
#[derive(Debug)]
pub struct ApiError {
    /// Why.
    pub code: Code,
    /// For people.
    pub message: String,
}

impl Code {
    /// Status of HTTP, and the name.
    #[must_use]
    pub const fn parts(self) -> (u16, &'static str) {
        match self {
            Self::InvalidArgument => (400, "INVALID_ARGUMENT"),
            Self::TooLarge => (413, "INVALID_ARGUMENT"),
            Self::Unauthenticated => (401, "UNAUTHENTICATED"),
            Self::PermissionDenied => (403, "PERMISSION_DENIED"),
            Self::NotFound => (404, "NOT_FOUND"),
            Self::AlreadyExists => (409, "ALREADY_EXISTS"),
            Self::Aborted => (409, "ABORTED"),
            Self::FailedPrecondition => (400, "FAILED_PRECONDITION"),
            Self::ResourceExhausted => (429, "RESOURCE_EXHAUSTED"),
            Self::Unimplemented => (501, "UNIMPLEMENTED"),
            Self::Unavailable => (503, "UNAVAILABLE"),
        }
    }

    /// A refusal for this reason.
    pub fn because(self, message: impl Into<String>) -> ApiError {
        ApiError { code: self, message: message.into() }
    }
}

impl ApiError {
    /// The body of the answer.
    #[must_use]
    pub fn body(&self) -> Value {
        let (status, name) = self.code.parts();
        json!({"error": {"code": status, "message": self.message, "status": name}})
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        tracing::error!("database: {}", crate::chain(&error));
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        let why = code.map_or("the database cannot do this now", |code| why(&code));
        Code::Unavailable.because(format!("{why}; nothing was changed"))
    }
}

/// Why a database refuses, where whoever asks can tell it to somebody: by PostgreSQL's SQLSTATE (5 characters), or by SQLite's
/// result code, whose last byte is the kind.
fn why(code: &str) -> &'static str {
    match (code, code.parse::<u32>().map(|code| code % 256)) {
        ("25006", _) => "the database is read-only",
        ("53100", _) => "the disk of the database is full",
        ("42501", _) => "the database does not let the store do this",
        (code, Ok(8)) if code.len() < 5 => "the database is read-only",
        (code, Ok(13)) if code.len() < 5 => "the disk of the database is full",
        _ => "the database cannot do this now",
    }
}

impl From<serde_json::Error> for ApiError {
    fn from(error: serde_json::Error) -> Self {
        Code::InvalidArgument.because(format!("the body is not what this call takes: {error}"))
    }
}
