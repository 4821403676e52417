//! The real runtime: which it is, and becoming it.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::gate::asking::line;

/// Where the runtime is looked for if nothing beside the wrapper names it, in this order.
const USUAL: [&str; 4] = ["/usr/bin/runc", "/usr/sbin/runc", "/usr/local/bin/runc", "/usr/local/sbin/runc"];

/// Becomes the real runtime, with `argv` whole. Returns only to say why it could not.
pub(super) fn become_real(entry: &str, argv: &[OsString]) -> String {
    let (name, arguments) = argv.split_first().map_or((None, argv), |(name, rest)| (Some(name), rest));
    let found = own_path().and_then(|own| find(entry, &own, &USUAL.map(Path::new)));
    let runtime = match found {
        Ok(runtime) => runtime,
        Err(problem) => return line(&problem),
    };
    let mut command = Command::new(&runtime);
    if let Some(name) = name {
        command.arg0(name);
    }
    let error = command.args(arguments).exec();
    line(&format!("the real runtime `{}` cannot be executed: {error}", runtime.display()))
}

/// This program's file, by the kernel's word.
fn own_path() -> Result<PathBuf, String> {
    std::fs::read_link("/proc/self/exe").map_err(|error| format!("`/proc/self/exe` cannot be read: {error}"))
}

/// What `<name>.runtime` beside the program names, by the name it was executed by or by that of its file. What is
/// named must do: only where nothing is named the usual places are looked at.
fn find(entry: &str, own: &Path, usual: &[&Path]) -> Result<PathBuf, String> {
    let folder = own.parent().unwrap_or(Path::new("/"));
    let file = own.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    // The kernel's word on a program that was replaced while it started.
    let file = file.strip_suffix(" (deleted)").unwrap_or(file);
    let itself = File::open("/proc/self/exe").and_then(|itself| Ok((itself.metadata()?, itself)));
    let (itself, _open) = itself.map_err(|error| format!("`/proc/self/exe` cannot be read: {error}"))?;
    for name in [entry, file] {
        let named = folder.join(format!("{name}.runtime"));
        if name.is_empty() || std::fs::symlink_metadata(&named).is_err() {
            continue;
        }
        return match usable(&named, &itself) {
            Ok(()) => Ok(named),
            Err(problem) => Err(format!(
                "the real runtime that `{}` names {problem}; it must be, or link to, the runtime",
                named.display()
            )),
        };
    }
    let found = usual.iter().find(|path| usable(path, &itself).is_ok());
    found.map(|path| path.to_path_buf()).ok_or_else(|| {
        let looked: Vec<_> = usual.iter().map(|path| format!("`{}`", path.display())).collect();
        let named = folder.join(format!("{file}.runtime"));
        format!("there is no runtime at {}; link `{}` to it", looked.join(", "), named.display())
    })
}

/// A program that is not this one, nor a copy of it, which would become this one for ever.
fn usable(path: &Path, itself: &Metadata) -> Result<(), String> {
    let unreadable = |error: io::Error| format!("cannot be read: {error}");
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        return Err("is not a program".to_owned());
    }
    let is_itself = (metadata.dev(), metadata.ino()) == (itself.dev(), itself.ino());
    if is_itself || (metadata.len() == itself.len() && is_copy(path).map_err(unreadable)?) {
        return Err("is this program itself".to_owned());
    }
    Ok(())
}

fn is_copy(path: &Path) -> io::Result<bool> {
    let mut theirs = BufReader::new(File::open(path)?).bytes();
    for ours in BufReader::new(File::open("/proc/self/exe")?).bytes() {
        if theirs.next().transpose()? != Some(ours?) {
            return Ok(false);
        }
    }
    Ok(theirs.next().is_none())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn program(path: &Path) {
        fs::write(path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn what_is_named_beside_it_comes_first_and_must_do() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let own = at("binauthd-runc");
        let (real, usual) = (at("real"), at("usual"));
        program(&real);
        program(&usual);
        let itself = fs::read_link("/proc/self/exe").unwrap();
        symlink(&itself, at("itself")).unwrap();
        fs::write(at("text"), "").unwrap();
        fs::hard_link(&itself, at("copy")).or_else(|_| fs::copy(&itself, at("copy")).map(drop)).unwrap();
        let find = |entry: &str, usual: &[&Path]| super::find(entry, &own, usual);

        // Nothing is named: the first that is a program and not this one.
        let usuals = [at("none"), at("itself"), at("text"), usual.clone(), real.clone()];
        let usuals = usuals.each_ref().map(PathBuf::as_path);
        assert_eq!(find("binauthd-runc", &usuals), Ok(usual.clone()));
        let problem = find("binauthd-runc", &usuals[..3]).unwrap_err();
        assert!(
            problem.contains("there is no runtime at `") && problem.contains("binauthd-runc.runtime` to it")
        );

        symlink(&real, at("binauthd-runc.runtime")).unwrap();
        for entry in ["binauthd-runc", "binauthd-runc-observe", "runc", ""] {
            assert_eq!(find(entry, &usuals), Ok(at("binauthd-runc.runtime")), "{entry}");
        }
        symlink(&usual, at("binauthd-runc-observe.runtime")).unwrap();
        assert_eq!(find("binauthd-runc-observe", &usuals), Ok(at("binauthd-runc-observe.runtime")));
        let replaced = at("binauthd-runc (deleted)");
        assert_eq!(super::find("runc", &replaced, &usuals), Ok(at("binauthd-runc.runtime")));

        for (target, expected) in [
            ("none", "cannot be read: No such file"),
            ("itself", "is this program itself"),
            ("copy", "is this program itself"),
            ("text", "is not a program"),
            (".", "is not a program"),
        ] {
            fs::remove_file(at("binauthd-runc.runtime")).unwrap();
            symlink(at(target), at("binauthd-runc.runtime")).unwrap();
            let problem = find("runc", &usuals).unwrap_err();
            assert!(problem.contains(expected), "{target}: {problem}");
        }
    }

    #[test]
    fn a_copy_is_told_from_another_of_the_same_length() {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("copy");
        fs::copy("/proc/self/exe", &copy).unwrap();
        assert!(is_copy(&copy).unwrap());
        let length = fs::metadata(&copy).unwrap().len();
        fs::File::create(&copy).unwrap().set_len(length).unwrap();
        assert!(!is_copy(&copy).unwrap());
    }
}
