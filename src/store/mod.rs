//! The metadata store: a server of the API of Container Analysis and Binary Authorization, for those who have neither.
//!
//! Nodes do not trust it: it can hide, never forge. It keeps notes, occurrences, policies, attestors and signed bundles in SQLite
//! or PostgreSQL, says who changed what, and tells followers of it at once. Many of them may serve one PostgreSQL.
//!
//! | question | answer |
//! |---|---|
//! | what is asked | [`call`] |
//! | who may | [`access`] |
//! | how it is kept, and in which order changes are made | [`database`] |
//! | what a note or an occurrence is | [`grafeas`] |
//! | which rows a list gives | [`filter`], [`paging`] |
//! | who is told of changes | [`changes`] |
//! | who is connected | `connection` |
//! | what an answer is, and how much a client may ask | [`server`] |

pub mod access;
pub mod call;
pub mod changes;
mod connection;
pub mod database;
mod documents;
mod enums;
pub mod error;
pub mod filter;
pub mod grafeas;
mod notes;
mod occurrences;
pub mod options;
pub mod paging;
pub mod server;
pub mod transfer;

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use changes::Hub;
use database::{Database, DatabaseError};
use error::ApiError;
use options::{Access, Options, Tls, Verb};
use server::Store;

/// Why the store does not start, or a verb fails.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Its database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Everybody on the network could change everything.
    #[error("--open-on-loopback is for a loopback address, and {0} is none")]
    Open(SocketAddr),
    /// Tokens would be there to read for everybody on the way.
    #[error(
        "{0} is no loopback address, and without --tls-certificate tokens would travel in the clear: name a certificate, or \
         say --plain where a proxy in front protects connections"
    )]
    Plain(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        cause: std::io::Error,
    },
    /// A certificate or key.
    #[error("`{path}` cannot be used: {cause}")]
    Tls {
        /// The file.
        path: String,
        /// Why not.
        cause: String,
    },
    /// A verb.
    #[error("{0}")]
    Refused(#[from] ApiError),
    /// A file.
    #[error("`{path}`")]
    File {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        cause: std::io::Error,
    },
    /// The system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Does what it is told.
///
/// # Errors
/// [`StoreError`]
pub async fn run(options: Options) -> Result<(), StoreError> {
    let database =
        Arc::new(Database::open(&options.database, options.verb.as_ref().is_none_or(Verb::makes)).await?);
    match options.verb {
        None => serve(&options, database).await,
        Some(Verb::Access(verb)) => access_verb(verb, &database).await,
        Some(Verb::Export { to }) => transfer::export(&database, to.as_deref()).await,
        Some(Verb::Import { from }) => transfer::import(&database, &from).await,
        Some(Verb::Changes { after }) => transfer::changes(&database, after).await,
    }
}

async fn serve(options: &Options, database: Arc<Database>) -> Result<(), StoreError> {
    let address = options.listen;
    if options.open_on_loopback && !address.ip().is_loopback() {
        return Err(StoreError::Open(address));
    }
    let tls = options.tls.acceptor()?;
    if tls.is_none() && !options.plain && !address.ip().is_loopback() {
        return Err(StoreError::Plain(address));
    }
    let hub = Arc::new(Hub::open(Arc::clone(&database)).await.map_err(DatabaseError::from)?);
    let listener = TcpListener::bind(address).await.map_err(|cause| StoreError::Listen { address, cause })?;
    let address = listener.local_addr()?;
    if !options.open_on_loopback && access::all(&database).await?.is_empty() {
        tracing::warn!(
            "nobody may do anything: `binauth-store access add NAME --role ROLE` makes somebody known"
        );
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    let (stop, stopped) = watch::channel(false);
    let following = tokio::spawn(Arc::clone(&hub).follow(options.database.clone()));
    let store = Arc::new(Store::new(Arc::clone(&database), hub, options.open_on_loopback));
    let serving = tokio::spawn(connection::serve(store, listener, tls, stopped));
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    tracing::info!("serves {scheme}://{address}");
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    stop.send_replace(true);
    following.abort();
    serving.await.map_err(std::io::Error::other)?;
    database.close().await;
    Ok(())
}

async fn access_verb(verb: Access, database: &Database) -> Result<(), StoreError> {
    match verb {
        Access::Add { name, roles, certificate } => match certificate {
            Some(path) => {
                let shown = path.display().to_string();
                let certificate = CertificateDer::from_pem_file(&path)
                    .map_err(|error| StoreError::Tls { path: shown, cause: error.to_string() })?;
                access::add(database, &access::of_certificate(&certificate), &name, &roles).await?;
            }
            None => {
                let token = access::new_token()?;
                access::add(database, &access::of_token(&token), &name, &roles).await?;
                println!("{token}");
            }
        },
        Access::Remove { name } => access::remove(database, &name).await?,
        Access::List => {
            for [name, roles, kind, since] in access::all(database).await? {
                println!("{name}\t{kind}\t{roles}\t{since}");
            }
        }
    }
    Ok(())
}

impl Tls {
    /// None where no certificate is named.
    fn acceptor(&self) -> Result<Option<TlsAcceptor>, StoreError> {
        let (Some(certificate), Some(key)) = (&self.tls_certificate, &self.tls_key) else { return Ok(None) };
        let wrong = |path: &std::path::Path, cause: &dyn std::error::Error| StoreError::Tls {
            path: path.display().to_string(),
            cause: crate::chain(cause),
        };
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| wrong(certificate, &error))?;
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, &error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(certificate, &error))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                let all =
                    CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
                for one in all.map_err(|error| wrong(path, &error))? {
                    roots.add(one).map_err(|error| wrong(path, &error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                // Who has none may have a token.
                let verifier =
                    verifier.allow_unauthenticated().build().map_err(|error| wrong(path, &error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config =
            builder.with_single_cert(chain, private).map_err(|error| wrong(certificate, &error))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Some(TlsAcceptor::from(Arc::new(config))))
    }
}
