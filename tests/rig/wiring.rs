//! What a test may want different about a node: which containerd, which handlers, what they carry.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::program;

/// A generation of containerd, told by what it can ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generation {
    /// 1.6: the OCI hook only.
    V1_6,
    /// 1.7: NRI and the OCI hook.
    V1_7,
    /// 2.1: the image verifier, NRI and the OCI hook.
    V2_1,
}

impl Generation {
    pub(crate) const ALL: [Self; 3] = [Self::V1_6, Self::V1_7, Self::V2_1];

    /// `containerd`, its shim or `ctr` of this generation.
    pub(crate) fn program(self, name: &str) -> PathBuf {
        match self {
            Self::V1_6 => super::fetched(&format!("root/containerd-1.6/usr/bin/{name}")),
            Self::V1_7 => super::fetched(&format!("root/containerd-1.7/usr/bin/{name}")),
            Self::V2_1 => program(name),
        }
    }

    /// What CRI starts a container's `config.json` from where a handler names no base runtime spec:
    /// `ctr oci spec`, without the limits that CRI takes out.
    pub(crate) fn default_spec(self) -> Value {
        let output = Command::new(self.program("ctr")).args(["oci", "spec"]).output().unwrap();
        let mut spec: Value = serde_json::from_slice(&output.stdout).unwrap();
        spec["process"].as_object_mut().unwrap().remove("rlimits");
        spec
    }
}

/// A runtime handler beside the default one, which is `runc`.
#[derive(Clone, Debug)]
pub(crate) struct Handler {
    /// As a RuntimeClass names it.
    pub(crate) name: &'static str,
    /// The OCI runtime (`BinaryName`), where it is not the rig's runc.
    pub(crate) runtime: Option<PathBuf>,
    /// Its base runtime spec, as JSON. In all of them `@NODE@` stands for the node's folder.
    pub(crate) base_spec: Option<String>,
}

/// What a test may want different about a node.
#[derive(Clone)]
pub(crate) struct Wiring {
    pub(crate) generation: Generation,
    /// Whether containerd serves NRI, on [`Node::nri_socket`](super::Node::nri_socket). 1.6 has none.
    pub(crate) nri: bool,
    /// The base runtime spec of the default handler, as JSON.
    pub(crate) base_spec: Option<String>,
    pub(crate) handlers: Vec<Handler>,
    /// containerd's own limit for one verifier, in its notation.
    pub(crate) per_verifier_timeout: &'static str,
    /// containerd's environment is the verifiers' environment.
    pub(crate) env: Vec<(String, String)>,
    /// TOML put after the rest of containerd's configuration.
    pub(crate) more: String,
}

impl Default for Wiring {
    fn default() -> Self {
        Self {
            generation: Generation::V2_1,
            nri: false,
            base_spec: None,
            handlers: Vec::new(),
            per_verifier_timeout: "10s",
            env: Vec::new(),
            more: String::new(),
        }
    }
}

impl Wiring {
    pub(crate) fn of(generation: Generation) -> Self {
        Self { generation, ..Self::default() }
    }

    pub(crate) fn with_nri(self) -> Self {
        Self { nri: true, ..self }
    }

    /// One more handler, without a base runtime spec.
    pub(crate) fn with_handler(mut self, name: &'static str) -> Self {
        self.handlers.push(Handler { name, runtime: None, base_spec: None });
        self
    }

    /// Every handler there is by now carries `hook` as a `createRuntime` hook that asks this node's daemon,
    /// with these flags besides.
    pub(crate) fn hooked(mut self, hook: &Path, flags: &[&str]) -> Self {
        let name = hook.file_name().unwrap().to_string_lossy();
        let args = [&*name, "--socket", "@NODE@/run/gate.sock"].into_iter().chain(flags.iter().copied());
        let mut spec = self.generation.default_spec();
        spec["hooks"] = json!({
            "createRuntime": [{ "path": hook, "args": args.collect::<Vec<_>>(), "timeout": 40 }],
        });
        let spec = Some(spec.to_string());
        for handler in &mut self.handlers {
            handler.base_spec.clone_from(&spec);
        }
        self.base_spec = spec;
        self
    }

    /// The one that pods get which name none.
    pub(super) fn default_handler(&self) -> Handler {
        Handler { name: "runc", runtime: None, base_spec: self.base_spec.clone() }
    }

    /// All handlers, the default one first.
    pub(super) fn all_handlers(&self) -> impl Iterator<Item = Handler> {
        [self.default_handler()].into_iter().chain(self.handlers.clone())
    }
}
