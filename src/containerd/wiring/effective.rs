//! What of a containerd configuration decides whether its gates are asked, read from what it comes to.

use std::path::{Path, PathBuf};

use super::sources::{Source, SourceError, Sources};
use super::view::{Form, NRI_PLUGIN, VERIFIER_PLUGIN, View, nri, verifier};
use super::wanted;
use crate::containerd::Handler;

/// The settings that matter, as containerd would have them when it starts now.
#[derive(Debug, Clone)]
pub struct Effective {
    /// Plugins that are not loaded.
    pub disabled_plugins: Vec<String>,
    /// Plugins without which it does not start.
    pub required_plugins: Vec<String>,
    /// The image verifiers; none before 2.0.
    pub verifier: Option<Verifiers>,
    /// Settings that lead kubelet's pulls around the verifiers, each with what it is and what it must be.
    pub around: Vec<Around>,
    /// Where `hosts.toml` files are looked for (`config_path`).
    pub registry_path: String,
    /// The snapshotter of images, and whether pulls that reach a verifier can unpack for it.
    pub snapshotter: (String, bool),
    /// NRI; none before 1.7.
    pub nri: Option<Nri>,
    /// The pause image.
    pub pause: String,
    /// The runtime handlers, without the OCI runtimes and snapshotters of their own.
    pub handlers: Vec<Handler>,
}

/// A setting of CRI's images that is not what it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Around {
    /// Its key.
    pub key: &'static str,
    /// What it is.
    pub found: String,
    /// What it must be.
    pub wanted: &'static str,
}

/// `plugins."io.containerd.image-verifier.v1.bindir"`
#[derive(Debug, Clone)]
pub struct Verifiers {
    /// The folder, every file of which is executed at every pull.
    pub folder: PathBuf,
    /// How many of them, by their names' order; below 0 all.
    pub most: i64,
    /// What each may take.
    pub time: String,
}

/// `plugins."io.containerd.nri.v1.nri"`
#[derive(Debug, Clone)]
pub struct Nri {
    /// Whether it is off.
    pub is_disabled: bool,
    /// Whether plugins may not connect.
    pub refuses_connections: bool,
    /// Its socket.
    pub socket: PathBuf,
    /// What a plugin may take for an answer.
    pub time: String,
    /// Plugins without which no container is created; none where nothing holds to that.
    pub required: Vec<String>,
    /// The pod annotation with which anybody opts out of that; empty for none.
    pub tolerated_by: String,
}

impl Effective {
    /// Of what `containerd config dump` shows.
    #[must_use]
    pub fn of(view: &View) -> Self {
        let form = Form::of(view.version());
        let top = |key: &str| view.texts(&[key.to_owned()]);
        let whole = |place: &[String]| view.at(place).and_then(toml::Value::as_integer);
        let flag = |place: &[String]| view.at(place).and_then(toml::Value::as_bool).unwrap_or_default();
        let disabled_plugins = top("disabled_plugins");
        // Of a plugin that is not loaded a dump shows what was written, without the defaults.
        let is_loaded = |plugin: &str| !disabled_plugins.iter().any(|disabled| disabled == plugin);
        let has_nri = is_loaded(NRI_PLUGIN) && view.at(&nri(&["disable"])).is_some();
        let verifiers = view.bin_dir().filter(|_| is_loaded(VERIFIER_PLUGIN)).map(|folder| Verifiers {
            folder,
            most: whole(&verifier(&["max_verifiers"])).unwrap_or_default(),
            time: view.text(&verifier(&["per_verifier_timeout"])).to_owned(),
        });
        let validator = |key: &str| nri(&["default_validator", key]);
        let snapshotter = match form {
            Form::Two => String::new(),
            Form::Three => form
                .image_setting("snapshotter")
                .map(|place| view.text(&place).to_owned())
                .unwrap_or_default(),
        };
        let handlers = form.handlers();
        let of_handler = |name: &str, key: &str| {
            let place: Vec<_> = handlers.iter().cloned().chain([name.to_owned(), key.to_owned()]).collect();
            view.text(&place).to_owned()
        };
        Self {
            disabled_plugins: disabled_plugins.clone(),
            required_plugins: top("required_plugins"),
            around: verifiers.iter().flat_map(|_| wanted::around(view, form)).collect(),
            verifier: verifiers,
            registry_path: view.text(&form.registry("config_path")).to_owned(),
            snapshotter: (snapshotter.clone(), view.unpacks(&snapshotter)),
            nri: has_nri.then(|| Nri {
                is_disabled: flag(&nri(&["disable"])),
                refuses_connections: flag(&nri(&["disable_connections"])),
                socket: PathBuf::from(view.text(&nri(&["socket_path"]))),
                time: view.text(&nri(&["plugin_request_timeout"])).to_owned(),
                required: if flag(&validator("enable")) {
                    view.texts(&validator("required_plugins"))
                } else {
                    Vec::new()
                },
                tolerated_by: view.text(&validator("tolerate_missing_plugins_annotation")).to_owned(),
            }),
            pause: view.text(&form.pause()).to_owned(),
            handlers: view
                .keys(&handlers)
                .into_iter()
                .map(|name| Handler {
                    runtime_type: of_handler(&name, "runtime_type"),
                    runtime: None,
                    snapshotter: None,
                    base_runtime_spec: Some(of_handler(&name, "base_runtime_spec"))
                        .filter(|spec| !spec.is_empty())
                        .map(PathBuf::from),
                    name,
                })
                .collect(),
        }
    }
}

/// Drop-ins of ours beside a root file that it does not import: containerd passes over them in silence.
///
/// # Errors
/// [`SourceError`] where the files cannot be read.
pub fn not_imported(root: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let ours = super::drop_in(root);
    let text = Source::read(root)?.map(|source| source.text);
    let sources = Sources::of(root, text, &ours)?;
    let listed = sources.listed(sources.takes_ours);
    let folder = ours.parent().unwrap_or(root);
    let there = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let of_ours = there.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.contains("binauthd") && path.extension().is_some_and(|extension| extension == "toml")
    });
    let mut left: Vec<_> = of_ours.filter(|path| !listed.contains(path)).collect();
    left.sort();
    Ok(left)
}

/// The files that a root file comes from: itself, and all that it imports.
///
/// # Errors
/// [`SourceError`] where they cannot be read.
pub fn files(root: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let text = Source::read(root)?.map(|source| source.text);
    let sources = Sources::of(root, text, &super::drop_in(root))?;
    let imported = sources.imported.iter().map(|source| source.path.clone());
    let ours = sources.takes_ours.then(|| super::drop_in(root));
    Ok([root.to_owned()].into_iter().chain(imported).chain(ours).filter(|path| path.exists()).collect())
}
