//! Whether containerd would start with its files, and its CRI with it: `containerd config dump` passes over what is missing.

use std::path::Path;

use super::error::PlanError;
use super::sources::{Source, imported};
use super::view::View;
use super::{Effective, Places};
use crate::containerd::Installed;

impl View {
    /// What a root file comes to, with all that it imports. Of a file that is not there, the defaults.
    ///
    /// # Errors
    /// [`PlanError`] where containerd refuses the files, or one that is imported by its name is not there.
    pub fn read(installed: &Installed, root: &Path) -> Result<Self, PlanError> {
        if let Some(source) = Source::read(root)? {
            imported(&source)?;
        }
        Ok(Self::of(installed.dump(root)?))
    }
}

/// The same, where each handler has its base runtime spec, too; without one that is there no CRI starts. Where `none_of` is
/// given, none may be in its folder of copies.
///
/// # Errors
/// [`PlanError`]
pub fn startable(installed: &Installed, root: &Path, none_of: Option<&Places>) -> Result<View, PlanError> {
    let view = View::read(installed, root)?;
    for handler in Effective::of(&view).handlers {
        let Some(spec) = handler.base_runtime_spec else { continue };
        if none_of.is_some_and(|places| places.holds(&spec)) {
            return Err(PlanError::StillNamed { handler: handler.name, spec });
        }
        if !spec.exists() {
            return Err(PlanError::NoSpec { handler: handler.name, spec });
        }
    }
    Ok(view)
}
