//! From the configuration to the sources that are followed.

use std::sync::Arc;
use std::time::Duration;

use super::StartError;
use super::engine::Engine;
use crate::config::{Config, Location};
use crate::evidence::{Folder, Followed, Ledger, Queue, Source, Sources};

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
            Location::Unsupported(_) => {}
        }
    }
    let node = Arc::clone(engine);
    let sync = Sources::start(ledger, Arc::clone(engine.look_ups()), queue, node, followed);
    let sync = Arc::new(sync.map_err(StartError::Serve)?);
    engine.followed_by(&sync);
    Ok(sync)
}
