//! What went wrong with a question, and what to do about it.

use reqwest::StatusCode;

use crate::evidence::source::SourceError;
use crate::http::HttpError;

/// What a question to `asked` that has no answer says of its source.
pub(super) fn of(error: HttpError, asked: &str) -> SourceError {
    let (text, asked) = (error.to_string(), asked.to_owned());
    match error {
        HttpError::Unreachable { url, cause } | HttpError::Url { url, cause } => {
            SourceError::Unreachable { url, cause }
        }
        HttpError::Slow { url, limit } => SourceError::Slow { url, limit },
        HttpError::Status { url, status, said, retry_after } => {
            SourceError::Status { url, status: status.to_string(), said, remedy: remedy(status), retry_after }
        }
        HttpError::Redirect { url, status, to } => SourceError::Status {
            url,
            status,
            said: format!(" (it leads to `{to}`)"),
            remedy: "no redirect is followed, name the place itself as `url`",
            retry_after: None,
        },
        HttpError::TooMuch { url, max, .. } => SourceError::Malformed {
            url,
            cause: format!("a page of one occurrence has more than {max} bytes"),
        },
        HttpError::Encoded { url, encoding } => SourceError::Malformed {
            url,
            cause: format!("it sends the encoding `{encoding}`, which was not asked for"),
        },
        HttpError::Echo { url } => {
            let cause = "it sends back the token that it was asked with".to_owned();
            SourceError::Malformed { url, cause }
        }
        HttpError::Held(_) | HttpError::NoToken { .. } => {
            SourceError::Credentials { url: asked, cause: text }
        }
        HttpError::Proxy { .. } | HttpError::GivenUp => SourceError::Unreachable { url: asked, cause: text },
    }
}

fn remedy(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "it does not understand the question, look at `api`",
        StatusCode::UNAUTHORIZED => {
            "it wants to know who asks, give a valid `token_file`, `metadata_server` or `client_certificate`"
        }
        StatusCode::FORBIDDEN => {
            "allow the caller to list a note's occurrences (`containeranalysis.notes.listOccurrences`), for a project `containeranalysis.occurrences.list`"
        }
        StatusCode::NOT_FOUND => "there is no such note or project, or `url` or `api` is wrong",
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => "the proxy wants user and password in `HTTPS_PROXY`",
        StatusCode::TOO_MANY_REQUESTS => {
            "it is asked less often for a while, raise its `interval` or its quota"
        }
        status if status.is_server_error() => "the server is at fault, it is asked again",
        _ => "this is no answer of such a server, look at `url` and `api`",
    }
}
