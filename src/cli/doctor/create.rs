//! The create gate: whether every container is asked about, by NRI and by the hook.

use std::path::Path;
use std::time::Duration;

use super::Patient;
use super::item::Items;
use super::pull::{ENABLE, program};
use crate::containerd::wiring::{Mode, NRI_NAME, Nri};
use crate::containerd::{CreateHook, Hooked, Installed};

/// What the daemon takes at most for one of NRI's questions is well inside this, which is containerd's default.
const TIME: Duration = Duration::from_secs(2);

pub(super) fn look(patient: &Patient<'_>, items: &mut Items) {
    if let (Ok(installed), Ok(effective)) = (&patient.installed, &patient.effective) {
        match &effective.nri {
            None if installed.release.is_at_least(1, 7) => items.broken(
                "nri",
                "it is among `disabled_plugins`: nobody is asked by NRI",
                "take it out of `disabled_plugins`, and restart containerd",
            ),
            None => items.warning(
                "nri",
                format!("containerd {} has none: the hook alone judges containers", installed.version),
                "1.7 and later have it",
            ),
            Some(nri) => look_at_nri(patient, installed, nri, items),
        }
        let pause = &effective.pause;
        if pause.contains("@sha256:") {
            items.fine("pause", pause);
        } else {
            items.warning(
                "pause",
                format!("`{pause}` is named by a tag, which others may move, and no gate sees it"),
                "pin its digest: `binauthctl containerd enable --pause IMAGE@DIGEST`",
            );
        }
    }
    if patient.status.is_ok() {
        let state = patient.text("/create/nri/state");
        let has_nri = patient.effective.as_ref().is_ok_and(|effective| effective.nri.is_some());
        if state == "synchronized" {
            items.fine("nri-plugin", patient.text("/create/nri/runtime"));
        } else if has_nri {
            let cause = patient.text("/create/nri/cause");
            items.broken(
                "nri-plugin",
                format!("the daemon is {state}: {cause}").trim_end_matches(": ").to_owned(),
                "see `nri`; containerd must have been restarted since NRI was switched on",
            );
        }
    }
    handlers(patient, items);
}

fn look_at_nri(patient: &Patient<'_>, installed: &Installed, nri: &Nri, items: &mut Items) {
    let wanted = &patient.context.defaults.settings.containerd.nri_socket;
    let same = |one: &Path, other: &Path| {
        one == other
            || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
    };
    let wrong = if nri.is_disabled {
        Some("`disable` is true: nobody is asked by NRI".to_owned())
    } else if nri.refuses_connections {
        Some("`disable_connections` is true: the daemon is not let in".to_owned())
    } else {
        (!same(&nri.socket, wanted)).then(|| {
            format!(
                "it listens on `{}`, and the daemon looks for `{}`",
                nri.socket.display(),
                wanted.display()
            )
        })
    };
    let fix = format!("{ENABLE}; `[containerd] nri_socket` of config.toml must be its `socket_path`");
    items.unless("nri", wrong, nri.socket.display().to_string(), fix);
    let time = humantime::parse_duration(&nri.time);
    if time.as_ref().is_ok_and(|time| *time >= TIME) {
        items.fine("nri-time", &nri.time);
    } else {
        items.warning(
            "nri-time",
            format!("`plugin_request_timeout` is {}: a late answer drops the plugin, and the container is created", nri.time),
            format!("leave it at {} s or more", TIME.as_secs()),
        );
    }
    if !installed.release.is_at_least(2, 2) {
        return;
    }
    let is_required = nri
        .required
        .iter()
        .any(|name| name.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-') == NRI_NAME);
    if is_required {
        items.fine("nri-required", "no container is created without the daemon");
    } else if patient.enforces() {
        items.broken(
            "nri-required",
            format!("`default_validator.required_plugins` does not name `{NRI_NAME}`: while the daemon is away, containers without the hook are created unasked"),
            "`binauthctl containerd enable --enforce` sets it",
        );
    } else {
        items.fine("nri-required", "not while gates observe");
    }
    items.unless(
        "nri-tolerated",
        (!nri.tolerated_by.is_empty())
            .then(|| format!("a pod with the annotation `{}` opts out", nri.tolerated_by)),
        "by nothing",
        format!("unset `tolerate_missing_plugins_annotation`; {ENABLE}"),
    );
    if let Some(validates) = patient.at("/create/nri/validates").as_bool() {
        items.unless(
            "nri-validate",
            (!validates).then(|| {
                "it does not ask at the end: a daemon that ends over a question lets it through".to_owned()
            }),
            "asked at the end too",
            "restart the daemon: it subscribes by containerd's version",
        );
    }
}

fn handlers(patient: &Patient<'_>, items: &mut Items) {
    if let Some(error) = &patient.handlers_problem {
        items.warning("handler", format!("{error}: what its files say is told instead"), "start containerd");
    }
    let allowed = &patient.context.defaults.settings.containerd.allow_handlers;
    for (name, hooked) in &patient.hooks {
        let why = match hooked {
            Hooked::Yes(hook) => match hook.timeout_problem() {
                Some(problem) => problem,
                None => {
                    items.fine("handler", format!("`{name}` carries the hook"));
                    continue;
                }
            },
            _ if allowed.contains(name) => {
                items.warning(
                    "handler",
                    format!("`{name}` carries no hook, and `allow_handlers` lists it: NRI alone judges its containers"),
                    "take it out of the list once it carries one",
                );
                continue;
            }
            Hooked::NoSpec => "it has no base runtime spec".to_owned(),
            Hooked::NoHook => "its base runtime spec has no hook of ours".to_owned(),
            Hooked::OtherRuntime => "its runtime may run no hooks".to_owned(),
            Hooked::Unusable(why) => why.clone(),
        };
        items.broken(
            "handler",
            format!("`{name}`: {why}"),
            "`binauthctl containerd enable` gives every handler of runc the hook; others must be listed in `[containerd] allow_handlers`",
        );
    }
    let mut programs: Vec<_> = patient.hooked().collect();
    programs.sort_by(|one, other| one.path.cmp(&other.path));
    programs.dedup_by(|one, other| one.path == other.path);
    for hook in &programs {
        program("hook-program", Path::new(&hook.path), &patient.programs.join(CreateHook::PROGRAM), items);
    }
    made_for(patient, items);
    mode(patient, items);
}

fn made_for(patient: &Patient<'_>, items: &mut Items) {
    let Ok(installed) = &patient.installed else { return };
    let of: Vec<_> = patient.hooked().filter_map(|hook| hook.made_for.as_deref()).collect();
    let plain = |version: &str| version.trim_start_matches('v').to_owned();
    match of.iter().find(|version| plain(version) != plain(&installed.version)) {
        Some(version) => items.warning(
            "base-spec",
            format!("made of the defaults of containerd {version}, and {} runs", installed.version),
            "`binauthctl containerd refresh`, then restart containerd",
        ),
        None if !of.is_empty() => items.fine("base-spec", installed.version.clone()),
        None => {}
    }
}

fn mode(patient: &Patient<'_>, items: &mut Items) {
    if patient.hooked().next().is_none() {
        return;
    }
    let observes = patient.hooked().any(|hook| hook.observe);
    let create = if observes { Mode::Observe } else { Mode::Enforce };
    match patient.pull_mode {
        Some(pull) if pull != create => items.warning(
            "mode",
            format!("the pull gate is wired to {pull}, the create gate to {create}"),
            "`binauthctl containerd enable` says the same to both",
        ),
        _ if observes => items.warning(
            "mode",
            "the gates observe: what gets no answer from the daemon is let through",
            "`binauthctl containerd enable --enforce`, once nothing speaks against it",
        ),
        _ => items.fine("mode", "what gets no answer is refused"),
    }
}
