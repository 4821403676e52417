//! Answers on the gate socket, whichever gate asks.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::create::CreateGate;
use super::engine::Engine;
use super::pull;
use crate::audit::Asked;
use crate::decision::Verdict;
use crate::gate::message::{Answer, Ask, Decision};
use crate::gate::server::Peer;
use crate::text::{cut, shown};

/// The longest message of an answer, in bytes: a gate prints less. An answer over the bound of a message
/// would be none.
const MAX_MESSAGE: usize = 8 * 1024;

type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Answers what the gate socket is asked.
pub(super) fn handler(
    engine: Arc<Engine>,
    create: Arc<CreateGate>,
) -> impl Fn(Peer, Ask) -> Answering + Send + Sync + 'static {
    move |peer, ask| {
        let (engine, create) = (Arc::clone(&engine), Arc::clone(&create));
        Box::pin(async move {
            let verdict = match ask.gate.as_str() {
                "create" => create.answer(&ask, &asked(&peer, &ask)).await,
                _ => pull::answer(engine, asked(&peer, &ask), ask, create.is_wired()).await,
            };
            answer(&verdict)
        })
    }
}

fn asked(peer: &Peer, ask: &Ask) -> Asked {
    let brief = |text: &str| shown(text, 80);
    Asked { pid: peer.pid, uid: peer.uid, program: brief(&ask.program), entry: brief(&ask.entry) }
}

fn answer(verdict: &Verdict) -> Answer {
    Answer {
        decision: match verdict.allows() {
            true if verdict.deferred => Decision::Defer,
            true => Decision::Allow,
            false => Decision::Refuse,
        },
        reason: verdict.reason.code().to_owned(),
        message: cut(&verdict.line(), MAX_MESSAGE).to_owned(),
    }
}
