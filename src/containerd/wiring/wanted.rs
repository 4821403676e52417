//! What containerd is to be told.

use std::path::PathBuf;

use toml_edit::{Array, Value};

use super::edit::Place;
use super::effective::Around;
use super::sources::Sources;
use super::view::{Form, View, nri, required, verifier};
use super::{Mode, NRI_NAME, Pause, VERIFIER_TIME};
use crate::containerd::Release;
use crate::containerd::handlers::RUNC;

/// Each set otherwise makes CRI fetch images by itself, around every verifier (`CheckLocalImagePullConfigs`).
const PULL_SETTINGS: &[(&str, &str)] = &[
    ("use_local_image_pull", "false"),
    ("disable_snapshot_annotations", "true"),
    ("discard_unpacked_layers", "false"),
    ("max_concurrent_downloads", "3"),
    ("image_pull_with_sync_fs", "false"),
];
/// The same, where only whoever wrote them can take them away.
const PULL_TABLES: &[(&str, &str)] =
    &[("mirrors", "registry.mirrors"), ("configs", "registry.configs"), ("auths", "registry.auths")];

/// One value that is to be in force.
#[derive(Debug, Clone)]
pub(super) struct Want {
    /// Where a dump shows it.
    pub(super) shown: Place,
    /// Where the file has it.
    pub(super) written: Place,
    pub(super) value: Value,
}

/// All of it, and what cannot be had.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) wants: Vec<Want>,
    /// Handlers that get a base runtime spec, and the one that they have.
    pub(super) handlers: Vec<(String, Option<String>)>,
    /// Where verifiers lie; none where this containerd has none.
    pub(super) bin_dir: Option<PathBuf>,
    pub(super) notes: Vec<String>,
}

/// What decides.
pub(super) struct Asked<'a> {
    pub(super) release: Release,
    pub(super) mode: Mode,
    pub(super) pause: &'a Pause,
    /// Whether the settings that lead pulls around the verifier are changed.
    pub(super) pull_settings: bool,
    /// Where a handler's base runtime spec will be.
    pub(super) spec_of: &'a dyn Fn(&str) -> String,
}

impl Wanted {
    /// What is to be in force where `view` is, by files of the form of `sources`.
    pub(super) fn new(view: &View, sources: &Sources, asked: &Asked<'_>) -> Self {
        let shown = Form::of(view.version());
        let written = sources.version().map_or(shown, Form::of);
        let mut wanted = Self::default();
        wanted.verifier(view, asked.release);
        if asked.release.is_at_least(2, 1) {
            wanted.pulls(view, shown, written, asked.pull_settings);
        } else {
            wanted.note("CRI of this containerd asks no verifier: images are judged when containers are created. 2.1 and later ask");
        }
        wanted.nri(view, asked);
        wanted.pause(view, shown, written, asked.pause);
        wanted.handlers(view, sources, asked, shown, written);
        if asked.mode == Mode::Enforce {
            let place = vec!["required_plugins".to_owned()];
            let all = with(view.texts(&place), &required(asked.release));
            wanted.want(&place, &place, list(&all));
        }
        wanted
    }

    fn want(&mut self, shown: &Place, written: &Place, value: impl Into<Value>) {
        self.wants.push(Want { shown: shown.clone(), written: written.clone(), value: value.into() });
    }

    fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    fn verifier(&mut self, view: &View, release: Release) {
        if !release.is_at_least(2, 0) {
            return;
        }
        self.bin_dir = view.bin_dir();
        if self.bin_dir.is_none() {
            self.note("`bin_dir` of the image verifier is no absolute path: no verifier is put anywhere");
            return;
        }
        let place = verifier(&["max_verifiers"]);
        self.want(&place, &place, -1);
        let place = verifier(&["per_verifier_timeout"]);
        let is_long = humantime::parse_duration(view.text(&place)).is_ok_and(|found| found >= VERIFIER_TIME);
        if !is_long {
            self.want(&place, &place, format!("{}s", VERIFIER_TIME.as_secs()));
        }
    }

    fn pulls(&mut self, view: &View, shown: Form, written: Form, are_wanted: bool) {
        let snapshotter =
            shown.image_setting("snapshotter").map(|place| view.text(&place)).unwrap_or_default();
        let is_unpacked = view.unpacks(snapshotter);
        let are_set = are_wanted && is_unpacked;
        let mut remain = around(view, shown);
        for (name, wanted) in PULL_SETTINGS.iter().filter(|_| are_set) {
            let (Some(place), Some(written)) = (shown.image_setting(name), written.image_setting(name))
            else {
                continue;
            };
            if let (Some(_), Ok(value)) = (view.at(&place), wanted.parse::<Value>()) {
                self.want(&place, &written, value);
                remain.retain(|one| one.key != *name);
            }
        }
        if !is_unpacked {
            self.note(format!(
                "pulls that reach a verifier fail with snapshotter `{snapshotter}`: no `unpack_config` of \
                 `plugins.\"io.containerd.transfer.v1.local\"` names it. What leads pulls around the verifier is left as it is until one does"
            ));
        }
        let remain: Vec<_> = remain.iter().map(|one| one.key).collect();
        if !remain.is_empty() {
            self.note(format!(
                "kubelet's pulls go around the verifier, and images are judged when containers are created: because of `{}`",
                remain.join("`, `")
            ));
        }
        let place = shown.registry("config_path");
        let path = view.text(&place);
        if path.contains(':') {
            let there = path.split(':').filter(|path| std::path::Path::new(path).is_dir());
            let there: Vec<_> = there.collect();
            if let (true, &[one]) = (are_set, there.as_slice()) {
                self.want(&place, &written.registry("config_path"), one);
            } else if !there.is_empty() {
                self.note(format!(
                    "`config_path = \"{path}\"` is several folders, and pulls that reach a verifier know one: their hosts.toml files are not found. \
                     Move them into one folder"
                ));
            }
        }
    }

    fn nri(&mut self, view: &View, asked: &Asked<'_>) {
        if !asked.release.is_at_least(1, 7) {
            self.note("this containerd has no NRI: only the hook judges containers");
            return;
        }
        for key in ["disable", "disable_connections"] {
            let place = nri(&[key]);
            self.want(&place, &place, false);
        }
        if !asked.release.is_at_least(2, 2) {
            if asked.mode == Mode::Enforce {
                self.note(
                    "before 2.2, containerd asks nobody by NRI while the daemon is away: until it is back only the hook refuses, for the handlers that carry it",
                );
            }
            return;
        }
        let place = nri(&["default_validator", "tolerate_missing_plugins_annotation"]);
        if !view.text(&place).is_empty() {
            // Whoever writes a pod could opt out.
            self.want(&place, &place, "");
        }
        if asked.mode == Mode::Enforce {
            let place = nri(&["default_validator", "enable"]);
            self.want(&place, &place, true);
            let place = nri(&["default_validator", "required_plugins"]);
            let all = with(view.texts(&place), &[NRI_NAME]);
            self.want(&place, &place, list(&all));
        }
    }

    fn pause(&mut self, view: &View, shown: Form, written: Form, pause: &Pause) {
        let place = shown.pause();
        match pause {
            Pause::To(image) => self.want(&place, &written.pause(), image.as_str()),
            Pause::Pinned => {}
            Pause::Unknown(why) => self.note(format!(
                "the pause image `{}` is not pinned by digest, and nothing else judges it: {why}",
                view.text(&place)
            )),
        }
    }

    fn handlers(&mut self, view: &View, sources: &Sources, asked: &Asked<'_>, shown: Form, written: Form) {
        let all = shown.handlers();
        let under = |all: &Place, keys: &[&str]| -> Place {
            all.iter().cloned().chain(keys.iter().map(|key| (*key).to_owned())).collect()
        };
        for name in view.keys(&all) {
            let handler = under(&all, &[&name]);
            let kind = view.text(&under(&handler, &["runtime_type"])).to_owned();
            if kind != RUNC {
                self.note(format!(
                    "handler `{name}` is of `{kind}`, which may run no hooks: its pods are refused unless `[containerd] allow_handlers` of binauthd's config.toml names it"
                ));
                continue;
            }
            if !is_file_name(&name) {
                self.note(format!("handler `{name}` gets no hook: its name cannot be part of a file's"));
                continue;
            }
            let found = view.text(&under(&handler, &["base_runtime_spec"])).to_owned();
            let target = under(&written.handlers(), &[&name]);
            let spec = (asked.spec_of)(&name);
            self.handlers.push((name.clone(), Some(found).filter(|found| !found.is_empty())));
            // Before 2.0 a table in a file replaces the default one: then all of it is written.
            if !asked.release.is_at_least(2, 0) && !sources.has_table(&target) {
                self.whole_handler(view, &handler, &target);
            }
            self.want(
                &under(&handler, &["base_runtime_spec"]),
                &under(&target, &["base_runtime_spec"]),
                spec,
            );
        }
    }

    /// What a default handler has, so that it keeps it.
    fn whole_handler(&mut self, view: &View, shown: &Place, written: &Place) {
        let mut tables = vec![(shown.clone(), written.clone())];
        while let Some((shown, written)) = tables.pop() {
            for key in view.keys(&shown) {
                let place: Place = shown.iter().cloned().chain([key.clone()]).collect();
                let target: Place = written.iter().cloned().chain([key.clone()]).collect();
                let is_option = written.iter().any(|key| key == "options");
                match view.at(&place) {
                    _ if key == "base_runtime_spec" => {}
                    Some(toml::Value::Table(_)) => tables.push((place, target)),
                    Some(found) if is_option || !is_zero(found) => {
                        if let Ok(value) = found.to_string().parse::<Value>() {
                            self.want(&place, &target, value);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

/// The settings that lead kubelet's pulls around the verifiers.
pub(super) fn around(view: &View, shown: Form) -> Vec<Around> {
    let settings = PULL_SETTINGS.iter().filter_map(|(key, wanted)| {
        let found = view.at(&shown.image_setting(key)?)?;
        let is_so = wanted.parse::<Value>().is_ok_and(|value| is(found, &value));
        (!is_so).then(|| Around { key, found: found.to_string(), wanted })
    });
    let tables = PULL_TABLES.iter().filter_map(|(name, key)| {
        let found = view.keys(&shown.registry(name));
        (!found.is_empty()).then(|| Around { key, found: found.join(", "), wanted: "empty" })
    });
    settings.chain(tables).collect()
}

/// Whether a dump shows what was written.
pub(super) fn is(found: &toml::Value, wanted: &Value) -> bool {
    let wanted = format!("value = {}", wanted.to_string().trim()).parse::<toml::Table>();
    wanted.is_ok_and(|table| table.get("value") == Some(found))
}

/// Whether it can be a part of one, and nothing else.
fn is_file_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= 100 && text.bytes().all(is_plain)
}

fn is_zero(value: &toml::Value) -> bool {
    match value {
        toml::Value::String(text) => text.is_empty(),
        toml::Value::Integer(number) => *number == 0,
        toml::Value::Boolean(flag) => !flag,
        toml::Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

fn with(mut all: Vec<String>, more: &[&str]) -> Vec<String> {
    for one in more {
        if !all.iter().any(|found| found == one) {
            all.push((*one).to_owned());
        }
    }
    all
}

fn list(texts: &[String]) -> Array {
    texts.iter().map(String::as_str).collect()
}
