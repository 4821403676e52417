//! From the configuration to the sources that are followed.

use std::sync::Arc;
use std::time::Duration;

use super::StartError;
use super::engine::Engine;
use crate::config::{self, Config, Location, RestConfig};
use crate::evidence::rest::{Api, Limits, RestOptions, RestSource};
use crate::evidence::{Folder, Followed, Ledger, Queue, Source, Sources};
use crate::http::{self, Proxies};

/// Folders are looked at when they change; this finds what is not noticed.
const FULL_LOOK: Duration = Duration::from_secs(10);

/// Follows every source that `config` names.
pub(super) fn follow(
    config: &Config,
    ledger: Arc<Ledger>,
    queue: Queue,
    engine: &Arc<Engine>,
) -> Result<Arc<Sources>, StartError> {
    let mut followed = Vec::new();
    for source in &config.sources {
        match &source.location {
            Location::Folder(path) => followed.push(Followed {
                source: Arc::new(Folder::new(&source.name, path)) as Arc<dyn Source>,
                local: true,
                interval: FULL_LOOK,
                list_limit: u64::MAX,
            }),
            Location::Rest(rest) => followed.push(Followed {
                source: Arc::new(server(&source.name, rest)?) as Arc<dyn Source>,
                local: false,
                interval: rest.interval,
                list_limit: rest.list_limit as u64,
            }),
            Location::Unsupported(_) => {}
        }
    }
    let node = Arc::clone(engine);
    let sync = Sources::start(ledger, Arc::clone(engine.look_ups()), queue, node, followed);
    let sync = Arc::new(sync.map_err(StartError::Serve)?);
    engine.followed_by(&sync);
    Ok(sync)
}

fn server(name: &str, config: &RestConfig) -> Result<RestSource, StartError> {
    let http = http::Options {
        url: config.url.clone(),
        authority: config.ca.clone(),
        credentials: config.credentials.clone(),
        proxies: if config.proxy { Proxies::from_environment() } else { Proxies::of(|_| None) },
    };
    let api = match config.api {
        config::Api::V1 => Api::V1,
        config::Api::V1Beta1 => Api::V1Beta1,
    };
    // The bound of a listing is the ledger's, which then asks for each digest instead.
    let limits = Limits { occurrences: config.list_limit.saturating_add(1_000), ..Limits::default() };
    RestSource::new(RestOptions { name: name.to_owned(), api, http, tells: config.changes, limits })
        .map_err(|error| StartError::Serve(std::io::Error::other(error)))
}
