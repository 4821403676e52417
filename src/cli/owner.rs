//! Who may change what a folder holds.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Who else than root may change what a folder holds, by itself or by a folder above it.
pub(super) fn not_roots_alone(folder: &Path) -> Option<String> {
    folder.ancestors().find_map(|folder| {
        let about = fs::metadata(folder).ok()?;
        let is_sticky = about.mode() & 0o1000 != 0;
        if about.uid() != 0 {
            return Some(format!("`{}` belongs to uid {}", folder.display(), about.uid()));
        }
        (about.mode() & 0o022 != 0 && !is_sticky)
            .then(|| format!("others than root may write `{}`", folder.display()))
    })
}
