//! The pull gate: whether kubelet's pulls reach our verifier.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::Patient;
use super::item::Items;
use crate::cli::owner::not_roots_alone;
use crate::containerd::wiring::{Effective, Mode, Places, VERIFIER_PLUGIN, VERIFIER_TIME, Verifiers};

/// What the wiring does by itself.
pub(super) const ENABLE: &str = "`binauthctl containerd enable` sets it";

pub(super) fn look(patient: &Patient<'_>, items: &mut Items) {
    let (Ok(installed), Ok(effective)) = (&patient.installed, &patient.effective) else { return };
    let Some(verifiers) = &effective.verifier else {
        if installed.release.is_at_least(2, 0) {
            // Its table is not shown then.
            return plugin(patient, effective, items);
        }
        items.warning(
            "verifier-plugin",
            format!(
                "containerd {} has no image verifiers: pulls are not judged, creation is",
                installed.version
            ),
            "2.1 and later have them",
        );
        return;
    };
    plugin(patient, effective, items);
    folder(patient, verifiers, items);
    order(verifiers, items);
    if !installed.release.is_at_least(2, 1) {
        let found = format!(
            "CRI of containerd {} asks no verifier: kubelet's pulls are not judged, creation is",
            installed.version
        );
        items.warning("pull-path", found, "2.1 and later do");
        return;
    }
    for one in &effective.around {
        items.broken(
            "pull-path",
            format!("`{}` is {}: kubelet's pulls go around every verifier", one.key, one.found),
            format!("it must be {}; {ENABLE}, where a drop-in can", one.wanted),
        );
    }
    if effective.around.is_empty() {
        items.fine("pull-path", "kubelet's pulls reach the verifiers");
    }
    let path = &effective.registry_path;
    if path.contains(':') {
        items.warning(
            "registry-path",
            format!("`config_path` is the list `{path}`, and pulls that reach a verifier know one folder"),
            "move the hosts.toml files into one folder, and name that",
        );
    } else {
        items.fine("registry-path", if path.is_empty() { "none is set" } else { path });
    }
    let (snapshotter, is_unpacked) = &effective.snapshotter;
    items.unless(
        "unpack-config",
        (!is_unpacked).then(|| format!("no `unpack_config` of the transfer service names snapshotter `{snapshotter}`: pulls that reach a verifier fail")),
        snapshotter,
        "add one to `plugins.\"io.containerd.transfer.v1.local\"`",
    );
}

fn plugin(patient: &Patient<'_>, effective: &Effective, items: &mut Items) {
    let is_disabled = effective.disabled_plugins.iter().any(|plugin| plugin == VERIFIER_PLUGIN);
    let loaded = patient.at("/containerd/verifierPlugin").as_bool();
    let wrong = if is_disabled || effective.verifier.is_none() {
        Some("it is among `disabled_plugins`: no pull is judged".to_owned())
    } else {
        (loaded == Some(false) && !patient.text("/containerd/version").is_empty())
            .then(|| "containerd runs without it".to_owned())
    };
    items.unless(
        "verifier-plugin",
        wrong,
        VERIFIER_PLUGIN,
        "take it out of `disabled_plugins`, and restart containerd",
    );
    let is_required = effective.required_plugins.iter().any(|plugin| plugin == VERIFIER_PLUGIN);
    if is_required || !patient.enforces() {
        items.fine(
            "verifier-required",
            if is_required { "containerd does not start without it" } else { "not while gates observe" },
        );
    } else {
        items.warning(
            "verifier-required",
            format!("`required_plugins` does not name `{VERIFIER_PLUGIN}`: a containerd without it would ask nobody, in silence"),
            ENABLE,
        );
    }
}

fn folder(patient: &Patient<'_>, verifiers: &Verifiers, items: &mut Items) {
    let folder = &verifiers.folder;
    if let Err(error) = fs::read_dir(folder) {
        items.broken(
            "verifier-folder",
            format!("`{}`: {error}: no pull is judged", folder.display()),
            "`binauthctl containerd enable` makes it",
        );
        return;
    }
    items.unless(
        "verifier-folder",
        not_roots_alone(folder),
        folder.display().to_string(),
        "what lies there is executed by root: give it to root alone",
    );
    let all = [Mode::Enforce, Mode::Observe].map(|mode| folder.join(mode.verifier()));
    match patient.pull_mode {
        None => items.broken(
            "verifier-program",
            format!("`{}` holds no verifier of ours: no pull is judged", folder.display()),
            "`binauthctl containerd enable` puts it there",
        ),
        Some(mode) => program(
            "verifier-program",
            &folder.join(mode.verifier()),
            &patient.programs.join(Places::VERIFIER),
            items,
        ),
    }
    if all.iter().filter(|path| path.exists()).count() > 1 {
        items.warning(
            "verifier-order",
            "both verifiers of ours are there: the one that enforces refuses for both",
            "`binauthctl containerd enable` leaves one",
        );
    }
    let mut strangers: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| !all.contains(path))
        .collect();
    strangers.sort();
    for path in &strangers {
        let runs =
            fs::metadata(path).is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0);
        let shown = path.display();
        if runs {
            items.warning(
                "verifier-strangers",
                format!("`{shown}` is executed at every pull too, and may refuse"),
                "take it away where nobody knows it",
            );
        } else {
            items.broken(
                "verifier-strangers",
                format!("`{shown}` cannot be executed, and so every pull is refused"),
                "take it away: backups and editors' files do not belong there",
            );
        }
    }
    if strangers.is_empty() {
        items.fine("verifier-strangers", "none");
    }
}

fn order(verifiers: &Verifiers, items: &mut Items) {
    let mut names: Vec<_> = fs::read_dir(&verifiers.folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let ours = [Mode::Enforce, Mode::Observe].map(Mode::verifier);
    let place = names.iter().position(|name| ours.contains(&name.as_str())).unwrap_or_default();
    let most = verifiers.most;
    let wrong = if most == 0 {
        Some("`max_verifiers` is 0: containerd executes none, and lets every pull through".to_owned())
    } else {
        (most > 0 && i64::try_from(place).is_ok_and(|place| place >= most)).then(|| {
            format!("`max_verifiers` is {most}, and ours is number {} of those in the folder", place + 1)
        })
    };
    let all = if most < 0 { "all are executed".to_owned() } else { format!("{most} are executed") };
    items.unless("verifier-order", wrong, all, ENABLE);
    let time = humantime::parse_duration(&verifiers.time);
    if time.as_ref().is_ok_and(|time| *time >= VERIFIER_TIME) {
        items.fine("verifier-time", &verifiers.time);
    } else {
        items.warning(
            "verifier-time",
            format!("`per_verifier_timeout` is {}: a look-up at the store may take longer, and containerd then refuses without a reason", verifiers.time),
            format!("it should be {} s; {ENABLE}", VERIFIER_TIME.as_secs()),
        );
    }
}

/// A copy of a program that root runs.
pub(super) fn program(name: &'static str, path: &Path, packaged: &Path, items: &mut Items) {
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) => {
            let found = format!("`{}`: {error}: everything is refused", path.display());
            return items.broken(name, found, "`binauthctl containerd refresh` puts it there");
        }
    };
    if about.uid() != 0 || about.mode() & 0o022 != 0 {
        let found = format!("others than root may write `{}`", path.display());
        return items.broken(name, found, "give it to root alone");
    }
    if !about.is_file() || about.mode() & 0o111 == 0 {
        let found = format!("`{}` cannot be executed: everything is refused", path.display());
        return items.broken(name, found, "`binauthctl containerd refresh`, or chmod 755");
    }
    match (fs::read(path), fs::read(packaged)) {
        (Ok(one), Ok(other)) if one != other => items.warning(
            name,
            format!("`{}` is of another version than `{}`", path.display(), packaged.display()),
            "`binauthctl containerd refresh`",
        ),
        _ => items.fine(name, path.display().to_string()),
    }
}
