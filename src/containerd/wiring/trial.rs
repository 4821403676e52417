//! Tries files on copies: what containerd says that they would come to.

use std::fs;
use std::path::{Path, PathBuf};

use toml_edit::{Array, value};

use super::error::PlanError;
use super::sources::Source;
use super::view::View;
use crate::containerd::Installed;

/// What a root file of this text would come to, at the place of `root`, importing `listed`, of which one may be `ours`.
///
/// # Errors
/// [`PlanError`] where the text is no TOML, there is no room for copies, or containerd refuses them.
pub(super) fn try_out(
    installed: &Installed,
    root: &Path,
    text: &str,
    listed: Vec<PathBuf>,
    ours: Option<(&Path, &str)>,
) -> Result<View, PlanError> {
    let folder = nix::unistd::mkdtemp(&std::env::temp_dir().join("binauthctl.XXXXXX"))
        .map_err(|cause| PlanError::Trial { path: std::env::temp_dir(), cause: cause.into() })?;
    let trial = Trial(folder);
    let cannot = |cause| PlanError::Trial { path: trial.0.clone(), cause };
    let staged = trial.0.join("drop-in.toml");
    if let Some((_, text)) = ours {
        fs::write(&staged, text).map_err(cannot)?;
    }
    let listed: Array = listed
        .iter()
        .map(|path| match ours {
            Some((ours, _)) if ours == path => staged.display().to_string(),
            _ => path.display().to_string(),
        })
        .collect();
    let mut document = Source::of(root, text.to_owned())?.document;
    document.remove("imports");
    if !listed.is_empty() {
        document.insert("imports", value(listed));
    }
    let copy = trial.0.join("config.toml");
    fs::write(&copy, document.to_string()).map_err(cannot)?;
    Ok(View::of(installed.dump(&copy)?))
}

/// Removes its folder.
struct Trial(PathBuf);

impl Drop for Trial {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
