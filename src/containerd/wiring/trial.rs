//! Tries files on copies: what containerd says that they would come to.

use std::fs;
use std::path::{Path, PathBuf};

use toml_edit::{Array, value};

use super::error::PlanError;
use super::sources::Source;
use super::view::View;
use crate::containerd::Installed;

/// What a root file of this text would come to, at the place of `root`, with these files imported, of which some are of other
/// texts than on disk.
///
/// # Errors
/// [`PlanError`] where the text is no TOML, there is no room for copies, or containerd refuses them.
pub(super) fn try_out(
    installed: &Installed,
    root: &Path,
    text: &str,
    imported: &[(PathBuf, Option<String>)],
) -> Result<View, PlanError> {
    let folder = nix::unistd::mkdtemp(&std::env::temp_dir().join("binauthctl.XXXXXX"))
        .map_err(|cause| PlanError::Trial { path: std::env::temp_dir(), cause: cause.into() })?;
    let trial = Trial(folder);
    let cannot = |cause| PlanError::Trial { path: trial.0.clone(), cause };
    let mut imports = Array::new();
    for (number, (path, text)) in imported.iter().enumerate() {
        let Some(text) = text else {
            imports.push(path.display().to_string());
            continue;
        };
        let staged = trial.0.join(format!("import-{number}.toml"));
        fs::write(&staged, text).map_err(cannot)?;
        imports.push(staged.display().to_string());
    }
    let mut document = Source::of(root, text.to_owned())?.document;
    document.remove("imports");
    if !imports.is_empty() {
        document.insert("imports", value(imports));
    }
    let copy = trial.0.join("config.toml");
    fs::write(&copy, document.to_string()).map_err(cannot)?;
    View::read(installed, &copy)
}

/// Removes its folder.
struct Trial(PathBuf);

impl Drop for Trial {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
