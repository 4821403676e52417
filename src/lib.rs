//! binauthd: Binary Authorization on the Kubernetes node.
//!
//! containerd asks at its own hooks whether an image may be fetched and whether a container may be created;
//! the daemon answers from policy, attestors and attestations that lie on the node, where it copies what servers
//! hold, and refuses what is not attested.
//!
//! # The map
//!
//! A module names only modules in rows above its own; `tests/layers.rs` holds it to that.
//!
//! | row | modules | what |
//! |---|---|---|
//! | core | [`text`], [`document`], [`image`], [`attestation`], [`policy`], [`decision`] | no IO, no clock, no environment, no async; each names only those before it |
//! | shared | [`pace`], [`apart`], [`bounded`], [`http`], [`logging`] | what several edges and programs do alike; each names the core alone |
//! | edges | [`config`], [`gate`], [`evidence`], [`containerd`], [`kubelet`], [`audit`], [`metrics`], [`nri`], [`signing`] | each talks to one outside thing, none names another |
//! | programs | [`daemon`], [`cli`], [`store`] | put the edges together; the store is a server by itself |
//!
//! # The main path
//!
//! At a pull, containerd executes `binauthd-image-verifier` ([`gate::verifier`]), which asks the daemon on
//! `gate.sock` ([`gate::client`], [`gate::server`]). The daemon reads the question into a
//! [`decision::Subject`], takes what is in force ([`config::InForce`]: a [`policy::Rulebook`] and the
//! keys), finds what decides ([`decision::Case`]), takes what is known of the digests that this asks for
//! ([`evidence::Ledger`]), judges, and records the [`decision::Verdict`] once. Where that would be a refusal for
//! want of evidence, the digests are looked up first ([`evidence::LookUps`]), and it is judged again. `binauthctl
//! evaluate` goes the same way by files.
//!
//! What is known comes from sources ([`evidence::Source`]: a folder, or a server over [`http`]).
//! [`evidence::Sources`] follows all of them, files what they give in the ledger, on disk, and answers the
//! look-ups. No decision waits for a listing, but for the first one of the folders on this node.
//!
//! When a container is created, containerd asks the daemon by NRI ([`nri::run`] calls the plugin in
//! `daemon::create`), and the runtime executes `binauthd-create-hook` ([`gate::create_hook`]) or is
//! `binauthd-runc` ([`gate::runc`]), which ask on `gate.sock` too. `daemon::create` finds out what the container
//! would run: its snapshot and record ([`containerd::Containerd`]), the images whose hashes lead there
//! ([`containerd::Links`]), its pod ([`kubelet::Pods`]). Each of these images is a [`decision::Subject`] that is
//! judged as above; then what the container reaches of the node ([`decision::host_access`]). What runs already
//! goes the same way again whenever something that decides has changed.
//!
//! # Where to look
//!
//! | question | answer |
//! |---|---|
//! | in which order things are asked | [`decision::judge`](mod@decision::judge) |
//! | what a policy may say | [`policy::document`], its rule maps [`policy::maps`], its patterns [`policy::pattern`] |
//! | check sets | read by [`policy::platform`] into [`policy::check`], judged in `decision::conformance` |
//! | deny list, system policy | [`policy::deny_list`], [`policy::system`] |
//! | everything in force at one moment | [`policy::rulebook`] |
//! | what lets through what is refused, and what of that is remembered | [`policy::break_glass`], `decision::break_glass`; [`config::trust`] |
//! | which signed bundle is accepted, and what is remembered of it | [`policy::bundle`], [`config::trust`] |
//! | which sources there are, and how they are asked | [`evidence::source`]; [`evidence::folder`], [`evidence::rest`] |
//! | when they are listed, and what is looked up | [`evidence::sync`], [`evidence::look_ups`] |
//! | what is kept of them, and what becomes of what they no longer give | [`evidence::ledger`], [`evidence::store`]; [`evidence::brake`] |
//! | how old evidence may be | [`policy::freshness`] |
//! | what counts as an attestation | [`attestation::verify`]; its forms [`attestation::occurrence`], its keys [`attestation::algorithm`] and [`attestation::pgp`] |
//! | what signed statements say | [`attestation::statement`] |
//! | how a verdict came about | [`decision::explain`]; its reason codes [`decision::reason`] |
//! | what a container may reach of the node | [`decision::host_access`] |
//! | what a container runs | `daemon::create::bind`, by hashes that [`containerd::Links`] recomputes |
//! | which handlers carry the hook, and how it gets there | [`containerd::Handlers`], [`containerd::base_spec`] |
//! | what the cluster is told | `daemon::cluster`; events [`kubelet::Events`], the node's condition [`kubelet::Condition`] |
//! | which metrics there are, and who may read them | [`metrics::family`], [`metrics::server`] |
//! | what no answer means | [`gate::asking`], by the wiring alone |
//! | what is valid and probably not meant | [`policy::lint`] |
//! | which keys sign, and where they are | [`signing`] |
//! | what the node needs before it can reach anything | `cli::floor`, [`kubelet::static_pods`] |
//!
//! [`nri`] stands as if it were a crate of its own: a runtime for NRI plugins that knows nothing of
//! binauthd.
//!
//! Without the feature `full` only [`gate`] is there, without its server: what the gate programs link.

#[cfg(feature = "full")]
pub mod apart;
#[cfg(feature = "core")]
pub mod attestation;
#[cfg(feature = "full")]
pub mod audit;
#[cfg(feature = "full")]
pub mod bounded;
#[cfg(feature = "full")]
pub mod cli;
#[cfg(feature = "full")]
pub mod config;
#[cfg(feature = "full")]
pub mod containerd;
#[cfg(feature = "full")]
pub mod daemon;
#[cfg(feature = "core")]
pub mod decision;
#[cfg(feature = "core")]
pub mod document;
#[cfg(feature = "full")]
pub mod evidence;
pub mod gate;
#[cfg(feature = "full")]
pub mod http;
#[cfg(feature = "core")]
pub mod image;
#[cfg(feature = "full")]
pub mod kubelet;
#[cfg(feature = "full")]
pub mod logging;
#[cfg(feature = "full")]
pub mod metrics;
#[cfg(feature = "nri")]
pub mod nri;
#[cfg(feature = "full")]
pub mod pace;
#[cfg(feature = "core")]
pub mod policy;
#[cfg(feature = "full")]
pub mod signing;
#[cfg(feature = "store")]
pub mod store;
pub mod text;

/// An error and its causes on one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source()).fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        // Many errors of libraries, and some of ours, tell their cause themselves.
        if text.ends_with(&cause) { text } else { format!("{text}: {cause}") }
    })
}
