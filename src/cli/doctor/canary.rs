//! `doctor --canary`: what becomes of an image that nobody may let through.

use std::collections::BTreeMap;

use super::Patient;
use super::item::Items;
use crate::cli::attestations::runtime;
use crate::cli::daemon;
use crate::cli::error::CliError;
use crate::containerd::canary::{Blob, Bytes, Shown, prove_creation, prove_pull};
use crate::decision::Canary;
use crate::image::Digest;

/// Shows it at both gates, and tells the daemon what came of it.
pub(super) fn show(patient: &Patient<'_>, items: &mut Items) -> Result<(), CliError> {
    let settings = &patient.context.defaults.settings.containerd;
    let image = image();
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

/// The canary of this machine's architecture.
fn image() -> Bytes {
    let canary = Canary::of(match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    });
    let blob = |bytes: Vec<u8>, kind| Blob { digest: Digest::of(&bytes).to_string(), kind, bytes };
    Bytes::new(
        blob(canary.manifest, Canary::MANIFEST),
        blob(canary.config, Canary::CONFIG),
        blob(canary.layer, Canary::LAYER),
    )
}
