//! `binauthctl containerd enable`, `disable` and `refresh` on configurations of every generation of containerd: the
//! programs are real, and asked what the files come to; none of them runs. `tests/node` has one that does.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::gated::program;
use crate::rig::Generation;

const TWO: &str = r#"# The node's own.
version = 2
root = "/var/lib/containerd" # data

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.k8s.io/pause:3.9"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2" # the usual one
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = true
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.strong]
      runtime_type = "io.containerd.runc.v2"
      base_runtime_spec = "@/theirs.json"

# Of 2.x.
[plugins."io.containerd.image-verifier.v1.bindir"]
  bin_dir = "@/bin"
"#;
const THREE: &str = r#"version = 3
imports = ["@/conf.d/*.toml"] # all of them

[plugins.'io.containerd.cri.v1.images']
  discard_unpacked_layers = true
[plugins.'io.containerd.image-verifier.v1.bindir']
  bin_dir = "@/bin"
  per_verifier_timeout = "3s"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.strong]
  runtime_type = "io.containerd.runc.v2"
  base_runtime_spec = "@/theirs.json"
"#;

/// A folder with a configuration.
struct Files {
    folder: tempfile::TempDir,
    containerd: PathBuf,
}

impl Files {
    /// `@` in the text stands for the folder.
    fn new(generation: Generation, text: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = Self { folder, containerd: generation.program("containerd") };
        fs::create_dir(files.at("programs")).unwrap();
        for (name, variable) in [
            ("binauthd-image-verifier", "BINAUTHD_VERIFIER"),
            ("binauthd-create-hook", "BINAUTHD_CREATE_HOOK"),
        ] {
            fs::copy(program(name, variable), files.at("programs").join(name)).unwrap();
        }
        files.write("theirs.json", &generation.default_spec().to_string());
        if let Some(text) = text {
            files.write("config.toml", text);
        }
        files
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.replace('@', &self.folder.path().display().to_string())).unwrap();
    }

    /// Everything in it: files with their bytes, links with where they lead.
    fn all(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let about = path.symlink_metadata().unwrap();
                let bytes = if about.is_symlink() {
                    fs::read_link(&path).unwrap().to_string_lossy().into_owned().into_bytes()
                } else if about.is_dir() {
                    folders.push(path.clone());
                    Vec::new()
                } else {
                    fs::read(&path).unwrap()
                };
                found.insert(path, bytes);
            }
        }
        found
    }

    /// Exit code, and what was printed on both.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_binauthctl"));
        command.arg("containerd").args(arguments).arg("--containerd").arg(&self.containerd);
        command.arg("--containerd-config").arg(self.at("config.toml"));
        command.arg("--copies").arg(self.at("copies")).arg("--programs").arg(self.at("programs"));
        command.arg("--config").arg(self.at("binauthd.toml"));
        if !self.at("binauthd.toml").exists() {
            self.write("binauthd.toml", "config_version = 1\nruntime_dir = \"@/run\"\n[audit]\nfile = \"@/audit.jsonl\"\n[containerd]\naddress = \"@/none.sock\"\n");
        }
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    fn fine(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        out
    }

    /// What the files come to.
    fn dump(&self) -> toml::Table {
        let output = Command::new(&self.containerd)
            .arg("--config")
            .arg(self.at("config.toml"))
            .args(["config", "dump"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().parse().unwrap()
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.at(name)).unwrap()).unwrap()
    }
}

fn at<'a>(dump: &'a toml::Table, place: &[&str]) -> &'a toml::Value {
    let mut keys = place.iter();
    let first = dump.get(*keys.next().unwrap()).unwrap_or_else(|| panic!("{place:?}"));
    keys.fold(first, |at, key| at.get(key).unwrap_or_else(|| panic!("{place:?}: no `{key}`")))
}

const CRI: &str = "io.containerd.grpc.v1.cri";
const RUNTIME: &str = "io.containerd.cri.v1.runtime";
const IMAGES: &str = "io.containerd.cri.v1.images";
const VERIFIER: &str = "io.containerd.image-verifier.v1.bindir";
const NRI: &str = "io.containerd.nri.v1.nri";

#[test]
fn every_generation_is_wired_and_unwired() {
    let digest =
        "registry.k8s.io/pause@sha256:1111111111111111111111111111111111111111111111111111111111111111";
    for (generation, text) in [
        (Generation::V1_6, Some(TWO)),
        (Generation::V1_7, Some(TWO)),
        (Generation::V2_1, Some(TWO)),
        (Generation::V2_1, Some(THREE)),
        (Generation::V1_6, Some("version = 2")),
        (Generation::V1_7, None),
        (
            Generation::V2_1,
            Some("version = 3\n[plugins.'io.containerd.image-verifier.v1.bindir']\nbin_dir = '@/bin'\n"),
        ),
    ] {
        let files = Files::new(generation, text);
        let case = format!("{generation:?} {text:?}");
        if let Some(text) = text {
            let version = text.chars().find(char::is_ascii_digit).unwrap();
            files.write("conf.d/10-other.toml", &format!("version = {version}\n[debug]\nlevel = \"info\"\n"));
        }
        files.run(&["refresh"]);
        let before = files.all();
        let has_handlers = text.is_some_and(|text| text.contains("strong"));
        let two = generation != Generation::V2_1;

        assert!(
            files
                .fine(&["enable", "--observe", "--pause", digest, "--dry-run"])
                .contains("nothing was changed")
        );
        assert_eq!(files.all(), before, "{case}: a dry run changed something");
        let said = files.fine(&["enable", "--observe", "--pause", digest]);
        assert!(said.contains("is wired, to observe"), "{case}: {said}");
        let dump = files.dump();
        let handlers: &[&str] = if two {
            &["plugins", CRI, "containerd", "runtimes"]
        } else {
            &["plugins", RUNTIME, "containerd", "runtimes"]
        };
        let spec = |handler: &str| {
            let place: Vec<_> = handlers.iter().copied().chain([handler, "base_runtime_spec"]).collect();
            at(&dump, &place).as_str().unwrap().to_owned()
        };
        assert_eq!(Path::new(&spec("runc")), files.at("copies/base-spec-runc.json"), "{case}");
        let kind: Vec<_> = handlers.iter().copied().chain(["runc", "runtime_type"]).collect();
        assert_eq!(at(&dump, &kind).as_str(), Some("io.containerd.runc.v2"), "{case}");
        if text == Some(TWO) {
            let cgroup: Vec<_> =
                handlers.iter().copied().chain(["runc", "options", "SystemdCgroup"]).collect();
            assert_eq!(at(&dump, &cgroup).as_bool(), Some(true), "{case}");
        }
        let pause: &[&str] = if two {
            &["plugins", CRI, "sandbox_image"]
        } else {
            &["plugins", IMAGES, "pinned_images", "sandbox"]
        };
        assert_eq!(at(&dump, pause).as_str(), Some(digest), "{case}");
        for (handler, made_for) in [("runc", true), ("strong", false)] {
            if handler == "strong" && !has_handlers {
                continue;
            }
            let spec = files.json(&format!("copies/base-spec-{handler}.json"));
            let hook = &spec["hooks"]["createRuntime"][0];
            assert_eq!(
                hook["path"].as_str().map(PathBuf::from),
                Some(files.at("copies/binauthd-create-hook")),
                "{case}"
            );
            let args = hook["args"].to_string();
            assert!(args.contains("--observe") && args.contains("--made-for") == made_for, "{case}: {args}");
        }
        if generation != Generation::V1_6 {
            assert_eq!(at(&dump, &["plugins", NRI, "disable"]).as_bool(), Some(false), "{case}");
        }
        if !two {
            let dir = PathBuf::from(at(&dump, &["plugins", VERIFIER, "bin_dir"]).as_str().unwrap());
            assert!(dir.join("00-binauthd-observe").exists(), "{case}");
            assert_eq!(at(&dump, &["plugins", IMAGES, "discard_unpacked_layers"]).as_bool(), Some(false));
            assert_eq!(at(&dump, &["plugins", VERIFIER, "max_verifiers"]).as_integer(), Some(-1));
            assert_eq!(at(&dump, &["plugins", VERIFIER, "per_verifier_timeout"]).as_str(), Some("10s"));
        }

        // Again changes nothing; the other mode does.
        let wired = files.all();
        assert!(
            files.fine(&["enable", "--observe", "--pause", digest]).contains("is wired already"),
            "{case}"
        );
        assert_eq!(files.all(), wired, "{case}");
        let (code, said, _) = files.run(&["enable", "--enforce", "--pause", digest]);
        assert!(code == 1 && said.contains("against it: the daemon does not answer"), "{case}: {said}");
        assert_eq!(files.all(), wired, "{case}");
        files.fine(&["enable", "--enforce", "--pause", digest, "--force"]);
        assert!(!files.json("copies/base-spec-runc.json").to_string().contains("--observe"), "{case}");
        let required = files.dump().get("required_plugins").and_then(|list| Some(list.as_array()?.len()));
        let wanted = match generation {
            Generation::V1_6 => 0,
            Generation::V1_7 => 1,
            Generation::V2_1 => 2,
        };
        assert_eq!(required.unwrap_or_default(), wanted, "{case}");
        if !two {
            let dir = PathBuf::from(at(&dump, &["plugins", VERIFIER, "bin_dir"]).as_str().unwrap());
            assert!(dir.join("00-binauthd").exists() && !dir.join("00-binauthd-observe").exists(), "{case}");
        }

        // A newer program is taken over, in one step.
        let hook = files.at("programs/binauthd-create-hook");
        fs::write(&hook, [fs::read(&hook).unwrap(), vec![0]].concat()).unwrap();
        let said = files.fine(&["refresh"]);
        assert!(
            said.contains("binauthd-create-hook: replaced") && !said.contains("verifier"),
            "{case}: {said}"
        );
        let copy = files.at("copies/binauthd-create-hook");
        assert_eq!(fs::read(&copy).unwrap(), fs::read(&hook).unwrap());
        assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o7777, 0o755);
        assert!(files.fine(&["refresh"]).contains("everything is of this version"));

        files.fine(&["disable"]);
        let mut after = files.all();
        after.insert(hook, before[&files.at("programs/binauthd-create-hook")].clone());
        let names = |all: &BTreeMap<PathBuf, Vec<u8>>| all.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&after), names(&before), "{case}");
        assert!(
            after == before,
            "{case}: {}",
            fs::read_to_string(files.at("config.toml")).unwrap_or_default()
        );
        assert!(
            files.fine(&["refresh"]).contains("not wired")
                && files.fine(&["disable"]).contains("does not ask")
        );
    }
}

#[test]
fn what_was_changed_meanwhile_is_kept() {
    for generation in [Generation::V1_7, Generation::V2_1] {
        // By hand, in the same file.
        let files = Files::new(generation, Some(TWO));
        files.fine(&["enable", "--observe"]);
        let root = files.at("config.toml");
        let edited = fs::read_to_string(&root).unwrap().replace("registry.k8s.io/pause:3.9", "mine/pause:1");
        fs::write(&root, edited).unwrap();
        files.fine(&["disable"]);
        let left = fs::read_to_string(&root).unwrap();
        assert_eq!(
            left,
            TWO.replace("registry.k8s.io/pause:3.9", "mine/pause:1")
                .replace('@', &files.folder.path().display().to_string())
        );

        // In the very places.
        if generation == Generation::V1_7 {
            files.fine(&["enable", "--observe"]);
            let edited = fs::read_to_string(&root).unwrap().replace("disable = false", "disable = true");
            fs::write(&root, edited).unwrap();
            let said = files.fine(&["disable"]);
            assert!(said.contains("has been changed since, and is left as it is"), "{said}");
            assert!(fs::read_to_string(&root).unwrap().contains("disable = true"));
        }

        // Cut off in the middle: it was told before it was done. And then nobody knows any more.
        for lost in ["copies/base-spec-runc.json", "copies/wiring.json"] {
            let files = Files::new(generation, Some(TWO));
            files.run(&["refresh"]);
            let before = files.all();
            files.fine(&["enable", "--observe"]);
            fs::remove_file(files.at(lost)).unwrap();
            files.fine(&["disable"]);
            let dump = files.dump();
            assert!(!toml::to_string(&dump).unwrap().contains("copies"), "{lost}");
            if lost.ends_with("runc.json") {
                assert!(files.all() == before, "{lost}");
            }
        }
    }
}

#[test]
fn what_is_foreign_or_wrong_is_left_as_it_is() {
    type Make = fn(&Files);
    let nothing: Make = |_| {};
    let cases: &[(Generation, Option<&str>, Make, &str)] = &[
        (Generation::V2_1, Some("version = 3\n[plugins\n"), nothing, "config.toml` is not TOML: line 2"),
        (Generation::V1_7, Some("root = \"/x\"\n"), nothing, "is of version 1, as it says none"),
        (Generation::V2_1, Some("version = 9\n"), nothing, "is of version 9, and those known are 2 to 4"),
        (Generation::V2_1, Some("version = 3\nimports = 1\n"), nothing, "`imports` is not a list of texts"),
        (
            Generation::V2_1,
            Some(THREE),
            |files| files.write("conf.d/50-x.toml", "version = 3\n= 1\n"),
            "50-x.toml` is not TOML: line 2",
        ),
        (
            Generation::V2_1,
            Some(THREE),
            |files| files.write("conf.d/99-binauthd.toml", "version = 3\n"),
            "99-binauthd.toml` was not written by binauthctl: move it away first",
        ),
        (
            Generation::V2_1,
            Some(THREE),
            |files| {
                files.write(
                    "conf.d/99-zz.toml",
                    "version = 3\n[plugins.'io.containerd.nri.v1.nri']\ndisable = true\n",
                )
            },
            "conf.d/99-zz.toml` decides on it; change it there",
        ),
        (
            Generation::V1_7,
            Some("version = 2\nimports = [\"@/conf.d/*.toml\"]\n"),
            |files| {
                files.write(
                    "conf.d/cri.toml",
                    "version = 2\n[plugins.'io.containerd.grpc.v1.cri']\nsandbox_image = 'x'\n",
                )
            },
            "conf.d/cri.toml` decides on it; change it there",
        ),
        (
            Generation::V2_1,
            Some("# File generated by k3s. DO NOT EDIT. Use config.toml.tmpl instead.\nversion = 3\n"),
            nothing,
            "says that it is generated",
        ),
        (
            Generation::V2_1,
            Some(
                "version = 3\ndisabled_plugins = [\"io.containerd.cri.v1.runtime\"]\n[plugins.'io.containerd.cri.v1.runtime']\ncontainerd = 1\n",
            ),
            nothing,
            "`",
        ),
        (Generation::V1_7, Some("version = 2\nplugins = 1\n"), nothing, "`"),
        (
            Generation::V2_1,
            Some("version = 3\ndisabled_plugins = [\"io.containerd.image-verifier.v1.bindir\"]\n"),
            nothing,
            "config.toml` names `io.containerd.image-verifier.v1.bindir`, without which nothing asks",
        ),
        (
            Generation::V1_7,
            Some("version = 2\ndisabled_plugins = [\"io.containerd.nri.v1.nri\"]\n"),
            nothing,
            "config.toml` names `io.containerd.nri.v1.nri`, without which nothing asks",
        ),
        (
            Generation::V2_1,
            Some(THREE),
            |files| {
                files.write(
                    "conf.d/10-off.toml",
                    "version = 3\ndisabled_plugins = [\"io.containerd.nri.v1.nri\"]\n",
                )
            },
            "conf.d/10-off.toml` names `io.containerd.nri.v1.nri`, without which nothing asks",
        ),
        (
            Generation::V2_1,
            None,
            |files| {
                files.write("elsewhere.toml", "version = 3\n");
                symlink(files.at("elsewhere.toml"), files.at("config.toml")).unwrap();
            },
            "config.toml` is a link to",
        ),
        (
            Generation::V2_1,
            Some("version = 3\n"),
            |files| {
                fs::create_dir(files.at("theirs")).unwrap();
                symlink(files.at("theirs"), files.at("conf.d")).unwrap();
            },
            "conf.d` is a link to",
        ),
        (
            Generation::V2_1,
            Some(THREE),
            |files| files.write("theirs.json", "{}"),
            "the base runtime spec of handler `strong`: `",
        ),
        (
            Generation::V2_1,
            Some(THREE),
            |files| fs::remove_file(files.at("programs/binauthd-create-hook")).unwrap(),
            "cannot read `",
        ),
        (
            Generation::V2_1,
            Some(THREE),
            |files| files.write("copies/wiring.json", "{\"format\": 7}"),
            "wiring.json` cannot be understood",
        ),
    ];
    for (generation, text, make, message) in cases {
        let files = Files::new(*generation, *text);
        files.run(&["refresh"]);
        make(&files);
        let before = files.all();
        let (code, out, error) = files.run(&["enable", "--observe"]);
        assert_eq!(code, 2, "{text:?}: {out}{error}");
        assert!(error.contains(message), "{text:?}: {error}");
        assert!(files.all() == before, "{text:?}");
    }
}

#[test]
fn what_goes_wrong_on_the_way_is_taken_back() {
    // A folder that cannot be written.
    let files = Files::new(Generation::V2_1, None);
    files.run(&["refresh"]);
    fs::create_dir(files.at("etc")).unwrap();
    let etc = files.at("etc").display().to_string();
    let mount =
        |arguments: &[&str]| assert!(Command::new("mount").args(arguments).status().unwrap().success());
    mount(&["-t", "tmpfs", "tmpfs", &etc]);
    files.write("etc/config.toml", THREE);
    mount(&["-o", "remount,ro", &etc]);
    let before = files.all();
    let root = files.at("etc/config.toml").display().to_string();
    let refused = {
        let mut command = Command::new(env!("CARGO_BIN_EXE_binauthctl"));
        command.args(["containerd", "enable", "--observe", "--containerd-config", &root, "--containerd"]);
        command.arg(&files.containerd).arg("--copies").arg(files.at("copies")).arg("--programs");
        command.arg(files.at("programs")).arg("--config").arg(files.at("binauthd.toml")).output().unwrap()
    };
    let after = files.all();
    assert!(Command::new("umount").arg(&etc).status().unwrap().success());
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(
        error.contains("everything is as it was before") && error.contains("Read-only file system"),
        "{error}"
    );
    assert!(after == before);

    // A containerd that says another thing once the files are there.
    let files = Files::new(Generation::V2_1, Some(THREE));
    files.run(&["refresh"]);
    let real = files.containerd.clone();
    let script = format!(
        "#!/bin/sh\necho x >>{0}/calls\n[ $(wc -l <{0}/calls) -lt 4 ] || {{ echo 'version = 3'; exit; }}\nexec {1} \"$@\"\n",
        files.folder.path().display(),
        real.display()
    );
    fs::create_dir(files.at("fake")).unwrap();
    fs::write(files.at("fake/containerd"), script).unwrap();
    fs::set_permissions(files.at("fake/containerd"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink(real.with_file_name("ctr"), files.at("fake/ctr")).unwrap();
    let files = Files { containerd: files.at("fake/containerd"), ..files };
    fs::write(files.at("calls"), "").unwrap();
    let before = files.all();
    let (code, _, error) = files.run(&["enable", "--observe"]);
    assert!(code == 1 && error.contains("everything is as it was before"), "{error}");
    fs::write(files.at("calls"), "").unwrap();
    assert!(files.all() == before);
}

/// As `nvidia-ctk runtime configure` does: it imports files of its own, and makes handlers from copies of runc's table.
#[test]
fn what_others_copy_and_add_is_theirs_without_ours() {
    let bare = "version = 3\nimports = [\"@/other.toml\"]\n[plugins.'io.containerd.image-verifier.v1.bindir']\nbin_dir = '@/bin'\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.strong]\nruntime_type = \"io.containerd.runc.v2\"\nbase_runtime_spec = \"@/theirs.json\"\n";
    for again in [false, true] {
        let files = Files::new(Generation::V2_1, Some(bare));
        files.write("other.toml", "version = 3\n");
        files.fine(&["enable", "--observe"]);
        let root = files.at("config.toml");
        let ours = format!("{:?}", files.at("conf.d/99-binauthd.toml"));
        let wired = fs::read_to_string(&root).unwrap();
        assert!(wired.contains(&ours), "{wired}");
        files.write("nvidia/10-a.toml", "version = 3\n[debug]\nlevel = \"info\"\n");
        let added = format!("{ours}, \"{}/*.toml\"", files.at("nvidia").display());
        fs::write(&root, wired.replace(&ours, &added)).unwrap();
        files.write(
            "nvidia/99-nvidia.toml",
            "version = 3 # theirs\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.nvidia]\nruntime_type = \"io.containerd.runc.v2\"\nbase_runtime_spec = \"@/copies/base-spec-runc.json\"\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.nvidia-strong]\nruntime_type = \"io.containerd.runc.v2\"\nbase_runtime_spec = \"@/copies/base-spec-strong.json\"\n",
        );
        if again {
            let said = files.fine(&["enable", "--observe"]);
            assert!(said.contains("99-nvidia.toml"), "{said}");
            for handler in ["runc", "strong", "nvidia", "nvidia-strong"] {
                let place = ["plugins", RUNTIME, "containerd", "runtimes", handler, "base_runtime_spec"];
                let spec = files.at(&format!("copies/base-spec-{handler}.json"));
                assert_eq!(at(&files.dump(), &place).as_str().map(PathBuf::from), Some(spec));
            }
        }
        let said = files.fine(&["disable"]);
        assert!(!said.contains("is left as it is"), "{said}");
        let left = fs::read_to_string(&root).unwrap();
        assert!(left.contains("nvidia/*.toml") && !left.contains("binauthd"), "{left}");
        assert!(!files.at("conf.d").exists() && !files.at("copies").exists());
        let dump = files.dump();
        let handler = |name: &str| at(&dump, &["plugins", RUNTIME, "containerd", "runtimes", name]);
        let spec = |name: &str| handler(name).get("base_runtime_spec").and_then(toml::Value::as_str);
        assert_eq!(spec("nvidia").unwrap_or_default(), "", "again: {again}");
        let theirs = files.at("theirs.json");
        assert_eq!(spec("nvidia-strong").map(Path::new), Some(theirs.as_path()), "again: {again}");
        assert!(
            fs::read_to_string(files.at("nvidia/99-nvidia.toml"))
                .unwrap()
                .starts_with("version = 3 # theirs\n")
        );
    }

    // Before 2.0 it is all in one file, which is written anew without comments.
    let files = Files::new(Generation::V1_7, Some(TWO));
    files.fine(&["enable", "--enforce", "--force"]);
    let root = files.at("config.toml");
    let mut written: toml::Table = fs::read_to_string(&root).unwrap().parse().unwrap();
    let plugins = written["plugins"].as_table_mut().unwrap();
    let handlers = plugins[CRI]["containerd"]["runtimes"].as_table_mut().unwrap();
    let runc = handlers["runc"].clone();
    handlers.insert("nvidia".to_owned(), runc);
    let required = written["required_plugins"].as_array_mut().unwrap();
    required.push("io.containerd.grpc.v1.cri".into());
    fs::write(&root, written.to_string()).unwrap();
    files.fine(&["disable"]);
    let dump = files.dump();
    assert!(!toml::to_string(&dump).unwrap().contains("copies"), "{dump}");
    assert_eq!(at(&dump, &["required_plugins"]).to_string(), r#"["io.containerd.grpc.v1.cri"]"#);
    assert_eq!(
        at(&dump, &["plugins", CRI, "containerd", "runtimes", "nvidia", "runtime_type"]).as_str(),
        Some("io.containerd.runc.v2")
    );
}

/// Before 2.0 a handler's table replaces the default one: half of one would leave no runtime.
#[test]
fn a_handler_that_was_changed_since_stays_whole() {
    for text in [Some("version = 2\n"), None] {
        let files = Files::new(Generation::V1_7, text);
        let root = files.at("config.toml");
        files.fine(&["enable", "--observe"]);
        let changed =
            fs::read_to_string(&root).unwrap().replace("SystemdCgroup = false", "SystemdCgroup = true");
        fs::write(&root, &changed).unwrap();
        let handler = |files: &Files| {
            let dump = files.dump();
            at(&dump, &["plugins", CRI, "containerd", "runtimes", "runc"]).clone()
        };
        let is_whole = |files: &Files| {
            let runc = handler(files);
            runc["runtime_type"].as_str() == Some("io.containerd.runc.v2")
                && runc["options"]["SystemdCgroup"].as_bool() == Some(true)
        };
        assert!(is_whole(&files), "{text:?}: {changed}");
        let said = files.fine(&["enable", "--enforce", "--force"]);
        assert!(is_whole(&files) && said.contains("to enforce"), "{text:?}: {said}");
        let spec = files.at("copies/base-spec-runc.json");
        assert_eq!(handler(&files)["base_runtime_spec"].as_str().map(PathBuf::from), Some(spec));
        files.fine(&["disable"]);
        assert!(is_whole(&files), "{text:?}: {}", fs::read_to_string(&root).unwrap());
        assert_eq!(handler(&files)["base_runtime_spec"].as_str(), Some(""));
    }
    let files = Files::new(
        Generation::V1_7,
        Some(
            "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\nSystemdCgroup = true\n",
        ),
    );
    let (code, _, error) = files.run(&["enable", "--observe"]);
    assert!(code == 2 && error.contains("the default handler `runc` has no `runtime_type`"), "{error}");
}

#[test]
fn imports_of_imports_are_tried_and_taken_back_like_others() {
    let bare = "version = 3\nimports = [\"sub/*.toml\"]\n[plugins.'io.containerd.image-verifier.v1.bindir']\nbin_dir = '@/bin'\n";
    let files = Files::new(Generation::V2_1, Some(bare));
    files.write("sub/10-more.toml", "version = 3\nimports = [\"more/*.toml\"]\n");
    files.fine(&["enable", "--observe"]);
    let copied = "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.NAME]\nruntime_type = \"io.containerd.runc.v2\"\nbase_runtime_spec = \"@/copies/base-spec-runc.json\"\n";
    files.write(
        "sub/10-more.toml",
        &format!("version = 3\nimports = [\"more/*.toml\"]\n{}", copied.replace("NAME", "gpu")),
    );
    files.write("sub/more/20.toml", &format!("version = 3\n{}", copied.replace("NAME", "deep")));
    files.fine(&["enable", "--enforce", "--force"]);
    let dump = files.dump();
    for handler in ["runc", "gpu", "deep"] {
        let place = ["plugins", RUNTIME, "containerd", "runtimes", handler, "base_runtime_spec"];
        let spec = files.at(&format!("copies/base-spec-{handler}.json"));
        assert_eq!(at(&dump, &place).as_str().map(PathBuf::from), Some(spec));
    }
    // What others have written wrongly since, hinders nobody from taking back what is ours.
    files.write("sub/30-wrong.toml", "version = 3\nimports = \"x\"\n");
    let (code, said, error) = files.run(&["disable"]);
    assert!(code == 0 && error.contains("would not have started before"), "{said}{error}");
    assert!(!files.at("conf.d").exists() && !files.at("copies").exists());
    fs::remove_file(files.at("sub/30-wrong.toml")).unwrap();
    assert!(!toml::to_string(&files.dump()).unwrap().contains("copies"));
}

#[test]
fn a_containerd_that_would_not_start_is_not_left_behind() {
    // `containerd config dump` passes over a file that is not there, and containerd does not start with it.
    let files = Files::new(Generation::V2_1, Some("version = 3\nimports = [\"@/none.toml\"]\n"));
    files.run(&["refresh"]);
    let before = files.all();
    files.dump();
    let (code, _, error) = files.run(&["enable", "--observe"]);
    assert!(code == 2 && error.contains("none.toml`, which is not there"), "{error}");
    assert!(files.all() == before);
    // What was broken by others is no reason to stay wired.
    let files = Files::new(Generation::V2_1, Some(THREE));
    files.fine(&["enable", "--observe"]);
    fs::write(
        files.at("config.toml"),
        fs::read_to_string(files.at("config.toml")).unwrap().replace("[\"", "[\"none.toml\", \""),
    )
    .unwrap();
    let (code, _, error) = files.run(&["disable"]);
    assert!(code == 0 && error.contains("would not have started before, and does not now"), "{error}");
    assert!(!files.at("conf.d/99-binauthd.toml").exists());

    // A handler that has ours by a way that nobody knows keeps it, and everything else.
    let files = Files::new(Generation::V2_1, Some(THREE));
    files.fine(&["enable", "--observe"]);
    let real = files.containerd.clone();
    let spec = files.at("copies/base-spec-runc.json");
    fs::create_dir(files.at("fake")).unwrap();
    fs::write(
        files.at("fake/containerd"),
        format!(
            "#!/bin/sh\nset -e\n{} \"$@\"\ncase $* in *dump*) echo '[plugins.\"{RUNTIME}\".containerd.runtimes.other]'; echo 'base_runtime_spec = \"{}\"';; esac\n",
            real.display(),
            spec.display()
        ),
    )
    .unwrap();
    fs::set_permissions(files.at("fake/containerd"), fs::Permissions::from_mode(0o755)).unwrap();
    let files = Files { containerd: files.at("fake/containerd"), ..files };
    let before = files.all();
    let (code, _, error) = files.run(&["disable"]);
    assert!(code == 1 && error.contains("handler `other` still has `"), "{error}");
    assert!(error.contains("everything is as it was before") && files.all() == before, "{error}");
}

#[test]
fn secrets_stay_secret_and_modes_as_they_are() {
    let secret = format!(
        "{TWO}\n[plugins.'io.containerd.grpc.v1.cri'.registry.configs.x.auth]\npassword = 'secret'\n"
    );
    let files = Files::new(Generation::V1_7, Some(&secret));
    let root = files.at("config.toml");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    fs::set_permissions(&root, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(&root, None, Some(4711)).unwrap();
    files.fine(&["enable", "--observe"]);
    let copy = files.at("copies/config.toml.before");
    assert_eq!((mode(&root), mode(&copy)), (0o640, 0o600));
    assert!(fs::read_to_string(&copy).unwrap().contains("secret"));
    // One that an earlier version wrote for all to read is closed.
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).unwrap();
    files.fine(&["enable", "--observe"]);
    assert_eq!(mode(&copy), 0o600);
    // containerd's own answer is broken from here on: what was removed already comes back as it was.
    let drop_in = Files::new(Generation::V2_1, Some(THREE));
    drop_in.fine(&["enable", "--observe"]);
    let path = drop_in.at("conf.d/99-binauthd.toml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::chown(&path, None, Some(4711)).unwrap();
    fs::create_dir(drop_in.at("fake")).unwrap();
    fs::write(
        drop_in.at("fake/containerd"),
        format!(
            "#!/bin/sh\ntest -e {} || test \"$1\" = --version || exit 1\nexec {} \"$@\"\n",
            path.display(),
            drop_in.containerd.display()
        ),
    )
    .unwrap();
    fs::set_permissions(drop_in.at("fake/containerd"), fs::Permissions::from_mode(0o755)).unwrap();
    let files = Files { containerd: drop_in.at("fake/containerd"), ..drop_in };
    let (code, _, error) = files.run(&["disable"]);
    assert!(code == 1 && error.contains("everything is as it was before"), "{error}");
    use std::os::unix::fs::MetadataExt as _;
    assert_eq!((mode(&path), path.metadata().unwrap().gid()), (0o600, 4711));
}

#[test]
fn what_containerd_reads_and_executes_is_its_own_and_roots() {
    // It was told to read another file since.
    let files = Files::new(Generation::V2_1, Some(THREE));
    files.fine(&["enable", "--observe"]);
    let other = files.at("other.toml");
    fs::copy(files.at("config.toml"), &other).unwrap();
    let wired = files.all();
    let run = |verb: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_binauthctl"));
        command.arg("containerd").args(verb).arg("--containerd").arg(&files.containerd);
        command.arg("--containerd-config").arg(&other).arg("--copies").arg(files.at("copies"));
        command.arg("--programs").arg(files.at("programs")).arg("--config").arg(files.at("binauthd.toml"));
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, error) = run(&["enable", "--observe"]);
    assert!(code == Some(2) && error.contains("config.toml` was wired, and containerd reads `"), "{error}");
    assert!(files.all() == wired);
    assert_eq!(run(&["disable"]).0, Some(0));
    assert!(!files.at("conf.d/99-binauthd.toml").exists() && !files.at("copies").exists());
    assert_eq!(run(&["enable", "--observe"]).0, Some(0));

    // A folder in which others may put what root executes.
    for folder in ["bin", "copies"] {
        let files = Files::new(Generation::V2_1, Some(THREE));
        fs::create_dir(files.at(folder)).unwrap();
        fs::set_permissions(files.at(folder), fs::Permissions::from_mode(0o777)).unwrap();
        files.run(&["refresh"]);
        let before = files.all();
        let (code, _, error) = files.run(&["enable", "--observe"]);
        assert!(code == 2 && error.contains("others than root may write `"), "{folder}: {error}");
        assert!(files.all() == before, "{folder}");
    }

    // At once, and for the first time.
    let files = Files::new(Generation::V2_1, Some(THREE));
    files.run(&["refresh"]);
    let before = files.all();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| files.fine(&["enable", "--observe"]));
        }
    });
    files.fine(&["disable"]);
    assert!(files.all() == before);
}
