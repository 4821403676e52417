//! Why the node's pods could not be looked up.

use std::io;
use std::path::PathBuf;

use crate::http::HeldError;

/// Why a look at the node's pods failed, or will not be tried.
#[derive(Debug, thiserror::Error)]
pub enum KubeletError {
    /// An address that is not asked.
    #[error("`{url}` is not asked: {cause}")]
    Url {
        /// The address.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The kernel's tables of sockets cannot be read.
    #[error("`{path}`: {cause}")]
    Io {
        /// The table.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Certificates, keys, tokens or a kubeconfig that cannot be used, or that others could have written.
    #[error(transparent)]
    Held(#[from] HeldError),
    /// A kubeconfig that does not say how to ask, or not in a way that is taken.
    #[error("`{path}`: {cause}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The pods of no node can be asked for.
    #[error("`{0}` is no name of a node: give the name under which the API server knows this one")]
    Node(String),
    /// Somebody else than root listens where kubelet should.
    #[error(
        "port {port} is listened on by uid {uid}, not by root: pods could be made up there, ask kubelet over https"
    )]
    Listener {
        /// The port on loopback.
        port: u16,
        /// Whose it is.
        uid: u32,
    },
    /// No connection, no TLS, or no HTTP.
    #[error("`{url}` cannot be asked: {cause}")]
    Unreachable {
        /// The address.
        url: String,
        /// Why.
        cause: String,
    },
    /// Another answer than 200.
    #[error("`{url}` answers {status}{said}: {remedy}")]
    Status {
        /// The address.
        url: String,
        /// The status with its words.
        status: String,
        /// What it says, in brackets.
        said: String,
        /// The way out.
        remedy: &'static str,
    },
    /// Redirects are not followed: credentials go to one place.
    #[error("`{url}` redirects to `{to}`: name the place itself")]
    Redirect {
        /// The address.
        url: String,
        /// Where it points.
        to: String,
    },
    /// Nothing whole in time.
    #[error("`{0}` gave no whole answer within 5 s")]
    Slow(String),
    /// Over a bound.
    #[error("`{url}` answers with more than {bound}")]
    TooMuch {
        /// The address.
        url: String,
        /// The bound, with its unit.
        bound: &'static str,
    },
    /// Something else than a list of pods.
    #[error("`{url}` answers with no list of pods: {cause}")]
    NotPods {
        /// The address.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The process is ending.
    #[error("the look was given up")]
    GivenUp,
}
