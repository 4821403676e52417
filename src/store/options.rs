//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::access::Role;

/// The metadata store: serves notes, attestations, policies and attestors by the API of Container Analysis and Binary Authorization
///
/// Without a verb it serves. Nobody may do anything before `access add` has made somebody known.
#[derive(Debug, Parser)]
#[command(name = "binauth-store", version, subcommand_negates_reqs = true)]
pub struct Options {
    /// Address and port to serve on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Where everything is kept: sqlite:///PATH, or postgres://USER@HOST/NAME for several servers at once
    #[arg(
        long,
        value_name = "URL",
        default_value = "sqlite:///var/lib/binauth-store/store.db",
        global = true,
        env = "BINAUTH_STORE_DATABASE",
        hide_env_values = true
    )]
    pub database: String,
    /// Let everybody on this machine do everything: for trying it out
    #[arg(long)]
    pub open_on_loopback: bool,
    /// Serve without TLS on an address that is no loopback: a proxy in front protects connections
    #[arg(long, conflicts_with = "tls_certificate")]
    pub plain: bool,
    /// How connections are protected.
    #[command(flatten)]
    pub tls: Tls,
    /// What is done instead of serving.
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// How connections are protected.
#[derive(Debug, Args)]
pub struct Tls {
    /// Certificate and its chain (PEM); without it connections are not protected
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
    /// Who vouches for certificates of clients (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub client_ca: Option<PathBuf>,
}

/// What is done instead of serving.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Say who may do what
    #[command(subcommand)]
    Access(Access),
    /// Write everything as lines of JSON
    Export {
        /// Where to [default: standard output]
        #[arg(value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Take in what `export` wrote; what is there already stays
    Import {
        /// The file
        #[arg(value_name = "FILE")]
        from: PathBuf,
    },
    /// Print who changed what, as lines of JSON, the oldest first
    Changes {
        /// Those behind this number
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: i64,
    },
}

impl Verb {
    /// Whether there need be no database before.
    #[must_use]
    pub const fn makes(&self) -> bool {
        matches!(self, Self::Import { .. } | Self::Access(Access::Add { .. }))
    }
}

/// Who may do what.
#[derive(Debug, Subcommand)]
pub enum Access {
    /// Make somebody known; the token that is printed is kept nowhere
    Add {
        /// As the log of changes has it
        name: String,
        /// viewer, attacher=projects/P/notes/N, attestor-admin, policy-admin; may be given several times
        #[arg(long = "role", value_name = "ROLE", required = true)]
        roles: Vec<Role>,
        /// Known by this client certificate (PEM) in place of a token
        #[arg(long, value_name = "FILE")]
        certificate: Option<PathBuf>,
    },
    /// Let somebody do nothing any more
    Remove {
        /// The name
        name: String,
    },
    /// Print who is known: name, by what, roles, since when
    List,
}
