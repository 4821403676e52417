//! Signing as a build pipeline does it: keys in a file, on a PKCS#11 token (SoftHSM) and in Cloud KMS, attestations in a
//! folder and at a store, the scripts and snippets of packaging/ci as a pipeline runs them.
#![cfg(feature = "full")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "shared with tests/cli")]
#[path = "cli/bench.rs"]
mod bench;
#[path = "pipeline/google.rs"]
mod google;
#[path = "pipeline/kms.rs"]
mod kms;
#[path = "pipeline/scripts.rs"]
mod scripts;
#[path = "pipeline/store.rs"]
mod store;
#[path = "pipeline/token.rs"]
mod token;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use p256::ecdsa::SigningKey;
use p256::pkcs8::DecodePrivateKey as _;

use bench::{Bench, Ran};
use google::Google;

/// binauthctl or a script, in the folder of `bench`, with these variables and no others of binauthctl's own.
fn run(bench: &Bench, program: &Path, args: &[&str], variables: &[(&str, &str)]) -> Ran {
    let output = Command::new(program)
        .args(args)
        .current_dir(bench.folder.path())
        .env("BINAUTHCTL", env!("CARGO_BIN_EXE_binauthctl"))
        .env_remove("BINAUTHCTL_STORE_TOKEN")
        .env_remove("BINAUTHCTL_KMS_TOKEN")
        .env_remove("BINAUTHCTL_PKCS11_PIN")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn binauthctl(bench: &Bench, line: &str, variables: &[(&str, &str)]) -> Ran {
    let line = line.replace("$A", "--attestors attestors").replace("$O", "--occurrences occurrences");
    let args: Vec<_> = line.split_whitespace().collect();
    run(bench, Path::new(env!("CARGO_BIN_EXE_binauthctl")), &args, variables)
}

/// Google, with `ci.pem` for its key version.
fn google(bench: &Bench) -> Google {
    let pem = bench.openssl("pkcs8 -topk8 -nocrypt -in ci.pem");
    Google::start(SigningKey::from_pkcs8_pem(&pem).unwrap())
}

fn packaged(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/ci").join(name)
}

fn text_of(name: &str) -> String {
    fs::read_to_string(packaged(name)).unwrap()
}
