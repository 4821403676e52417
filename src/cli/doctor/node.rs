//! The node: containerd, its files, the daemon, its files, sockets and units.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::Patient;
use super::item::Items;
use crate::cli::owner::not_roots_alone;
use crate::config::Config;
use crate::config::file::MAX_BYTES;
use crate::containerd::output;
use crate::containerd::wiring::{files, not_imported};

/// What systemd starts.
const UNITS: &[&str] = &["binauthd.service", "binauthd.socket", "binauthd-admin.socket"];
const DEADLINE: Duration = Duration::from_secs(10);

pub(super) fn look(patient: &Patient<'_>, items: &mut Items) {
    containerd(patient, items);
    daemon(patient, items);
    config(patient, items);
    places(patient, items);
    units(items);
}

fn containerd(patient: &Patient<'_>, items: &mut Items) {
    let installed = match &patient.installed {
        Ok(installed) => installed,
        Err(error) => {
            return items.broken("containerd", error.clone(), "name its program with --containerd");
        }
    };
    match installed.running {
        Some(running) => items.fine(
            "containerd",
            format!("{}, `{}`, process {}", installed.version, installed.program.display(), running.pid),
        ),
        None => items.broken(
            "containerd",
            format!(
                "{}, and nobody answers on `{}`",
                installed.version,
                patient.context.defaults.settings.containerd.address.display()
            ),
            "start it; `[containerd] address` of config.toml must be its socket",
        ),
    }
    let shown = installed.file.display();
    match &patient.effective {
        Ok(_) => items.fine("containerd-config", format!("`{shown}`")),
        Err(error) => items.broken(
            "containerd-config",
            // containerd does not say in which file.
            files(&installed.file)
                .err()
                .map_or_else(|| format!("`{shown}`: {error}"), |error| crate::chain(&error)),
            "mend it: containerd will not start with it",
        ),
    }
    match not_imported(&installed.file) {
        Ok(left) if left.is_empty() => items.fine("drop-in", "all are imported"),
        Ok(left) => {
            let left: Vec<_> = left.iter().map(|path| format!("`{}`", path.display())).collect();
            items.broken(
                "drop-in",
                format!(
                    "`{shown}` does not import {}: containerd passes over it in silence",
                    left.join(", ")
                ),
                "add it to `imports` there; `binauthctl containerd enable` does",
            );
        }
        Err(error) => items.warning("drop-in", crate::chain(&error), "mend it"),
    }
    let Some(running) = installed.running else { return };
    let specs = patient.effective.iter().flat_map(|effective| &effective.handlers);
    let specs = specs.filter_map(|handler| handler.base_runtime_spec.clone());
    let newer = files(&installed.file).unwrap_or_default().into_iter().chain(specs);
    let mut newer: Vec<_> = newer.filter(|path| running.is_older_than(path)).collect();
    newer.sort();
    newer.dedup();
    if newer.is_empty() {
        items.fine("containerd-restart", "it has started since its files were changed");
    } else {
        let newer: Vec<_> = newer.iter().map(|path| format!("`{}`", path.display())).collect();
        items.warning(
            "containerd-restart",
            format!(
                "it started before {} was changed, and may do something else than is told here",
                newer.join(", ")
            ),
            "systemctl restart containerd",
        );
    }
}

fn daemon(patient: &Patient<'_>, items: &mut Items) {
    match &patient.status {
        Err(error) => items.broken(
            "daemon",
            crate::chain(error),
            "systemctl start binauthd; binauthd-recovery(7) says what else",
        ),
        Ok(_) => {
            let (version, own) = (patient.text("/version"), env!("CARGO_PKG_VERSION"));
            if version == own {
                items.fine("daemon", format!("{version}, up {} s", patient.text("/uptimeSeconds")));
            } else {
                items.warning(
                    "daemon",
                    format!("it is of version {version}, and this program of {own}"),
                    "systemctl restart binauthd, or install one version of both packages",
                );
            }
        }
    }
}

fn config(patient: &Patient<'_>, items: &mut Items) {
    let path = &patient.context.defaults.config;
    let wrong = match crate::cli::files::read(path, MAX_BYTES) {
        Ok(bytes) => match Config::parse(path, &bytes) {
            Ok(config) => config.warnings,
            Err(error) => vec![crate::chain(&error)],
        },
        // Then defaults count.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => vec![error.to_string()],
    };
    for one in &wrong {
        items.broken(
            "config",
            format!("`{}`: {one}", path.display()),
            "mend it; `binauthctl config check` tells again",
        );
    }
    if wrong.is_empty() {
        items.fine("config", path.display().to_string());
    }
}

fn places(patient: &Patient<'_>, items: &mut Items) {
    let settings = &patient.context.defaults.settings;
    let before = items.0.len();
    for (path, most) in [(settings.gate_socket(), 0o600), (settings.admin_socket(), 0o660)] {
        let wrong = match fs::metadata(&path) {
            Err(error) => Some(error.to_string()),
            Ok(about) if !about.file_type().is_socket() => Some("it is no socket".to_owned()),
            Ok(about) if about.uid() != 0 => Some("it is not root's".to_owned()),
            Ok(about) if about.mode() & 0o7777 & !most != 0 => {
                Some(format!("its mode is {:o}, more than {most:o}", about.mode() & 0o7777))
            }
            Ok(_) => path.parent().and_then(not_roots_alone),
        };
        if let Some(wrong) = wrong {
            items.broken(
                "sockets",
                format!("`{}`: {wrong}", path.display()),
                "systemctl restart binauthd.socket binauthd-admin.socket binauthd.service",
            );
        }
    }
    if items.0.len() == before {
        items.fine("sockets", settings.runtime_dir.display().to_string());
    }
    let before = items.0.len();
    let config = patient.context.defaults.config.clone();
    let deciding = [&config, &settings.policy, &settings.attestors, &settings.system_policy];
    let mut folders: Vec<_> = deciding.iter().filter_map(|path| path.parent()).collect();
    folders.extend([settings.attestors.as_path(), settings.state_dir.as_path()]);
    folders.sort_unstable();
    folders.dedup();
    for folder in folders.into_iter().filter(|folder| folder.exists()) {
        let open = fs::metadata(folder).is_ok_and(|about| about.mode() & 0o077 != 0);
        let wrong = not_roots_alone(folder).or_else(|| {
            (folder == settings.state_dir && open).then(|| "others than root may look into it".to_owned())
        });
        if let Some(wrong) = wrong {
            items.broken(
                "folders",
                format!("`{}`: {wrong}", folder.display()),
                "systemd-tmpfiles --create binauthd.conf, or chown and chmod",
            );
        }
    }
    if items.0.len() == before {
        items.fine("folders", "root's alone");
    }
}

fn units(items: &mut Items) {
    if !Path::new("/run/systemd/system").is_dir() {
        return;
    }
    let before = items.0.len();
    for unit in UNITS {
        let mut command = Command::new("systemctl");
        command.args(["show", "--property", "LoadState,UnitFileState,ActiveState", "--", unit]);
        let Ok(text) = output(&mut command, 64 * 1024, DEADLINE) else { continue };
        let value = |key: &str| {
            text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default()
        };
        let wrong = match (value("LoadState"), value("UnitFileState"), value("ActiveState")) {
            ("loaded", "enabled" | "enabled-runtime" | "static", "active") => continue,
            ("loaded", "enabled" | "enabled-runtime" | "static", state) => format!("it is {state}"),
            ("loaded", file, _) => format!("it is {file}: the next boot does not start it"),
            (state, ..) => format!("it is {state}"),
        };
        items.broken("units", format!("`{unit}`: {wrong}"), format!("systemctl enable --now {unit}"));
    }
    if items.0.len() == before {
        items.fine("units", "enabled and active");
    }
}
