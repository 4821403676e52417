//! Whether containerd would start with its files, and its CRI with it: `containerd config dump` passes over what is missing.

use std::path::Path;

use super::error::PlanError;
use super::sources::{Source, imported};
use super::view::{Form, View};
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

    /// Whether the handler of pods that name none has a runtime: before 2.0 half of its table is enough to take it away.
    pub(super) fn has_runtime(&self) -> Result<(), PlanError> {
        let handlers = Form::of(self.version()).handlers();
        let mut place = handlers.clone();
        place.pop();
        place.push("default_runtime_name".to_owned());
        let handler = self.text(&place);
        let place: Vec<_> =
            handlers.into_iter().chain([handler.to_owned(), "runtime_type".to_owned()]).collect();
        if !handler.is_empty() && self.text(&place).is_empty() {
            return Err(PlanError::NoRuntime(handler.to_owned()));
        }
        Ok(())
    }
}

/// The same, where each handler has its base runtime spec, too; without one that is there no CRI starts. Where `none_of` is
/// given, none may be in its folder of copies.
///
/// # Errors
/// [`PlanError`]
pub fn startable(installed: &Installed, root: &Path, none_of: Option<&Places>) -> Result<View, PlanError> {
    let view = View::read(installed, root)?;
    view.has_runtime()?;
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
