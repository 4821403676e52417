//! Why a question over HTTP has no answer.

use std::time::Duration;

use rustls::{AlertDescription, CertificateError, Error as TlsError};

use super::body;
use super::held::HeldError;

/// Why a question over HTTP has no answer. No variant holds a credential.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// An address that is not asked.
    #[error("`{url}` is not asked: {cause}")]
    Url {
        /// The address.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A proxy that is none.
    #[error("`HTTPS_PROXY` is `{proxy}`, which is no address of an http or https proxy")]
    Proxy {
        /// Its address, without user and password.
        proxy: String,
    },
    /// Certificates, keys or tokens that cannot be used.
    #[error(transparent)]
    Held(#[from] HeldError),
    /// A metadata server that gives no token.
    #[error("`{server}` gives no token: {cause}")]
    NoToken {
        /// Its address.
        server: String,
        /// Why not.
        cause: String,
    },
    /// No connection, no TLS, or no HTTP.
    #[error("`{url}` cannot be reached: {cause}")]
    Unreachable {
        /// Scheme, host, port and path.
        url: String,
        /// Why, with a hint where there is one.
        cause: String,
    },
    /// Nothing whole in time.
    #[error("`{url}` did not answer within {} s", limit.as_secs_f32())]
    Slow {
        /// Scheme, host, port and path.
        url: String,
        /// How long that is.
        limit: Duration,
    },
    /// Redirects are not followed: credentials go to one place.
    #[error("`{url}` redirects to `{to}`: name the place itself")]
    Redirect {
        /// Scheme, host, port and path.
        url: String,
        /// Code and name.
        status: String,
        /// Where it points.
        to: String,
    },
    /// Another answer than 200.
    #[error("`{url}` answers {status}{said}")]
    Status {
        /// Scheme, host, port and path.
        url: String,
        /// Code and name.
        status: reqwest::StatusCode,
        /// What it says, in brackets after a space; or nothing.
        said: String,
        /// When it may be asked again, by its own word (`Retry-After`), at most an hour.
        retry_after: Option<Duration>,
    },
    /// Over the bound.
    #[error("`{url}` answers with more than {max} bytes")]
    TooMuch {
        /// Scheme, host, port and path.
        url: String,
        /// The bound.
        max: usize,
        /// How many bytes came before it was given up.
        read: usize,
    },
    /// Compressed, which nobody asked for: what it becomes has no bound.
    #[error("`{url}` answers in the encoding `{encoding}`, which was not asked for")]
    Encoded {
        /// Scheme, host, port and path.
        url: String,
        /// What it says of itself.
        encoding: String,
    },
    /// It repeats who asks, to whoever reads what it says.
    #[error("`{url}` sends back the token that it was asked with")]
    Echo {
        /// Scheme, host, port and path.
        url: String,
    },
    /// The process is ending.
    #[error("the question was given up")]
    GivenUp,
}

impl HttpError {
    /// The question to `url` broke off.
    pub(super) fn broken(url: String, error: reqwest::Error) -> Self {
        let hint = tls(&error).and_then(hint);
        let cause = body::cause(error);
        Self::Unreachable {
            url,
            cause: hint.map_or_else(|| cause.clone(), |hint| format!("{hint} ({cause})")),
        }
    }
}

/// What TLS found wrong, where that is the reason.
fn tls<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a TlsError> {
    std::iter::successors(Some(error), |error| {
        // What an `io::Error` wraps is not its source.
        match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        }
    })
    .find_map(|error| error.downcast_ref())
}

fn hint(error: &TlsError) -> Option<&'static str> {
    use {AlertDescription as Alert, CertificateError as Certificate};
    match error {
        TlsError::InvalidCertificate(why) => match why {
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                Some("its certificate is that of another host")
            }
            Certificate::Expired | Certificate::ExpiredContext { .. } => {
                Some("its certificate has expired, or the clock of this node is ahead")
            }
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
                Some("its certificate is not valid yet, or the clock of this node is behind")
            }
            Certificate::UnknownIssuer => {
                Some("its certificate is signed by nobody who is trusted here: name its authority as `ca`")
            }
            _ => Some("its certificate is not accepted"),
        },
        TlsError::AlertReceived(Alert::CertificateRequired) => {
            Some("it asks for a client certificate: name `client_certificate` and `client_key`")
        }
        TlsError::AlertReceived(
            Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::CertificateUnknown
            | Alert::CertificateRevoked
            | Alert::UnsupportedCertificate,
        ) => Some("it does not accept the client certificate"),
        _ => None,
    }
}
