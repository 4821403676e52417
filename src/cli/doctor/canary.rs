//! `doctor --canary`: what becomes of an image that nobody may let through.

use std::collections::BTreeMap;

use super::Patient;
use super::item::Items;
use crate::cli::attestations::runtime;
use crate::cli::daemon;
use crate::cli::error::CliError;
use crate::containerd::canary::{Shown, prove_creation, prove_pull};
use crate::decision::Canary;

/// Shows it at both gates, and tells the daemon what came of it.
pub(super) fn show(patient: &Patient<'_>, items: &mut Items) -> Result<(), CliError> {
    let settings = &patient.context.defaults.settings.containerd;
    let image = Canary::of(architecture());
    let runtime = runtime()?;
    let mut refused = BTreeMap::new();
    let has_pull_gate = patient.installed.as_ref().is_ok_and(|installed| installed.release.is_at_least(2, 1));
    if has_pull_gate {
        let shown = runtime.block_on(prove_pull(&settings.address, &image));
        refused.insert(
            "pull".to_owned(),
            tell("canary-pull", shown, "see `verifier-program` and `pull-path`", items),
        );
    }
    let shown = runtime.block_on(prove_creation(&settings.address, &settings.namespace, &image));
    refused
        .insert("create".to_owned(), tell("canary-create", shown, "see `nri-plugin` and `handler`", items));
    // Where it does not answer, an item says so already.
    if let Err(error) = daemon::canary(&patient.context.defaults.settings.admin_socket(), refused)
        && patient.status.is_ok()
    {
        items.warning(
            "canary-told",
            crate::chain(&error),
            "metrics and alerts do not know of it: run it as root",
        );
    }
    Ok(())
}

/// One item; whether it was refused as what it is.
fn tell(name: &'static str, shown: Shown, fix: &str, items: &mut Items) -> bool {
    match shown {
        Shown::Refused(by) => {
            items.fine(name, format!("the canary was refused, by the {by}"));
            return true;
        }
        Shown::Otherwise(why) => {
            items.warning(
                name,
                format!("it was refused, and not as the canary: {why}"),
                "the daemon must answer for a proof",
            );
        }
        Shown::Through(how) => {
            items.broken(name, format!("an image that nobody may let through got through: {how}"), fix);
        }
        Shown::NotShown(why) => {
            items.warning(name, format!("it could not be shown: {why}"), "nothing is proven until it can");
        }
    }
    false
}

/// `GOARCH` of this machine.
const fn architecture() -> &'static str {
    match std::env::consts::ARCH.as_bytes() {
        b"x86_64" => "amd64",
        b"aarch64" => "arm64",
        b"x86" => "386",
        b"powerpc64" => "ppc64le",
        b"loongarch64" => "loong64",
        _ => std::env::consts::ARCH,
    }
}
