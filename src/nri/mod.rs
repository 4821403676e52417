//! A runtime for NRI plugins: what containerd or CRI-O asks through the Node Resource Interface, as the
//! methods of a trait.
//!
//! Knows nothing of the program around it, and stands as if it were a crate of its own.
//!
//! * [`Plugin`] is what you write, [`run`] keeps it connected, a [`Status`] says how it stands.
//! * [`mux`] and [`ttrpc`] are the protocol as a pure codec, [`api`] its messages, [`call`] a request read.
//!
//! # What it promises
//!
//! A runtime takes a plugin that does not answer in time for dead: it drops it, *and goes on with what it
//! asked about*. So:
//!
//! * Every request is answered, once, and before the runtime's deadline: by the handler, or by a refusal
//!   that says that the handler took too long, panicked or had no room. A refusal is an error status with
//!   code 7, never code 12, which runtimes take for a plugin that is too old to be asked. That holds for
//!   `ValidateContainerAdjustment` too, although it has a way of its own to say no: an error blocks there
//!   in every version, and there is one way to refuse.
//! * A plugin is subscribed to what it wants and the runtime knows: one event too many ends a connection.
//! * A connection that ends is made again, for ever; the runtime tells everything that is there again.
//! * Whatever the runtime sends takes bounded memory and time; see [`Limits`].
//!
//! What it cannot promise: that there is a connection. Between a runtime's start and this plugin's
//! registration nobody is asked, unless the runtime is told to require the plugin (`required_plugins` of
//! containerd 2.2 and later; subscribe to [`Event::CreateContainer`] *and*
//! [`Event::ValidateContainerAdjustment`] then, or a plugin that dies over a request lets it through).
//!
//! # What it does not do
//!
//! It decides and changes nothing: containers are allowed as they are or refused. It does not take over the
//! file descriptor that a runtime hands to a plugin it starts itself (`NRI_PLUGIN_SOCKET`), which cannot
//! be done without unsafe code; a program that has one as a stream calls [`serve`].
//!
//! # Versions
//!
//! NRI 0.3 to 0.12: containerd 1.7 to 2.3, CRI-O 1.26 and later. Run against recorded sessions of
//! containerd 2.1.9, 2.2.7 and 2.3.4, and against containerd itself.
//!
//! # Example
//!
//! A plugin that refuses containers without a command line.
//!
//! ```no_run
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! use binauthd::nri::api::{Container, PodSandbox};
//! use binauthd::nri::{Event, Events, Options, Plugin, Proposal, Refusal, Status, run};
//!
//! struct Gate;
//!
//! impl Plugin for Gate {
//!     async fn synchronize(&self, pods: Vec<PodSandbox>, _: Vec<Container>) -> Result<(), Refusal> {
//!         println!("{} pods are there already", pods.len());
//!         Ok(())
//!     }
//!     async fn run_pod(&self, _: &PodSandbox) -> Result<(), Refusal> {
//!         Ok(())
//!     }
//!     async fn create(&self, pod: &PodSandbox, container: &Container) -> Result<(), Refusal> {
//!         if container.args.is_empty() {
//!             return Err(format!("`{}` of pod `{}` has no command", container.name, pod.name).into());
//!         }
//!         Ok(())
//!     }
//!     async fn validate(&self, pod: &PodSandbox, container: &Container, _: &Proposal) -> Result<(), Refusal> {
//!         self.create(pod, container).await
//!     }
//!     async fn start(&self, _: &PodSandbox, _: &Container) -> Result<(), Refusal> {
//!         Ok(())
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let wanted = Events::of([Event::CreateContainer, Event::ValidateContainerAdjustment]);
//!     let options = Options::new(Path::new("/var/run/nri/nri.sock"), "gate", "10", wanted)?;
//!     let (status, watched) = tokio::sync::watch::channel(Status::default());
//!     let stop = async { drop(tokio::signal::ctrl_c().await) };
//!     run(options, Arc::new(Gate), status, stop).await;
//!     println!("{:?}", watched.borrow());
//!     Ok(())
//! }
//! ```

pub mod api;
pub mod call;
mod chunks;
#[cfg(feature = "full")]
mod connect;
#[cfg(feature = "full")]
mod ended;
mod event;
pub mod mux;
#[cfg(feature = "full")]
mod options;
mod plugin;
#[cfg(feature = "full")]
mod session;
#[cfg(feature = "full")]
mod status;
pub mod ttrpc;
pub mod version;
#[cfg(feature = "full")]
mod work;

pub use chunks::Chunks;
#[cfg(feature = "full")]
pub use connect::run;
#[cfg(feature = "full")]
pub use ended::Ended;
pub use event::{Event, Events};
#[cfg(feature = "full")]
pub use options::{Limits, Options, OptionsError};
pub use plugin::{Plugin, Proposal, Refusal, Runtime};
#[cfg(feature = "full")]
pub use session::serve;
#[cfg(feature = "full")]
pub use status::{State, Status, Synchronized};
pub use version::Version;
