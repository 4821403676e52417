//! The scripts and snippets of packaging/ci, run as a pipeline runs them.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::bench::{Bench, D, app};
use super::google::VERSION;
use super::{Ran, google, packaged, run, text_of};

fn script(bench: &Bench, name: &str, line: &str, variables: &[(&str, &str)]) -> Ran {
    let args: Vec<_> = line.split_whitespace().collect();
    run(bench, &packaged(name), &args, variables)
}

fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&text_of(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A program that says what it was called with, and answers as `body` says.
fn stand_in(bench: &Bench, name: &str, body: &str) -> String {
    let at = format!("bin/{name}");
    bench.write(&at, format!("#!/bin/bash\necho \"$0 $*\" >>\"$CALLS\"\n{body}\n"));
    bench.chmod(&at, 0o755);
    format!("{}:{}", bench.at("bin").display(), std::env::var("PATH").unwrap())
}

#[test]
fn from_nothing_to_an_attested_image_at_a_store() {
    let bench = Bench::new();
    bench.openssl("ecparam -genkey -name prime256v1 -noout -out ci.pem");
    let google = google(&bench);
    let token = [("BINAUTHCTL_STORE_TOKEN", "token-of-the-store")];
    let setup = format!("p production --to deploy --new-key signing.pem --store {}", google.url);
    script(&bench, "setup.sh", &setup, &token).gave(0, "made the note projects/p/notes/production-attestor");
    assert_eq!(bench.mode("signing.pem"), 0o600);
    let key = bench.read("signing.pem");
    // Again: nothing changes.
    let policy = bench.read("deploy/policy.yaml");
    script(&bench, "setup.sh", &setup, &token).gave(0, "is there already");
    assert_eq!((bench.read("signing.pem"), bench.read("deploy/policy.yaml")), (key, policy));
    assert_eq!(google.notes(), ["projects/p/notes/production-attestor"]);
    assert!(google.asked().iter().all(|(_, _, token)| token.as_deref() == Some("token-of-the-store")));
    // The policy reports, and is one that the node takes.
    let evaluate = format!(
        "evaluate {} --policy deploy/policy.yaml --attestors deploy/attestors --occurrences o -o json",
        app()
    );
    fs::create_dir(bench.at("o")).unwrap();
    let verdict = bench.run(&evaluate).gave(0, "").json();
    assert_eq!((verdict["verdict"].as_str(), verdict["would"].as_str()), (Some("ALLOW"), Some("DENY")));

    let sign = format!(
        "p production {} --attestors deploy/attestors --private-key-file signing.pem --store {}",
        app(),
        google.url
    );
    let signed = script(&bench, "sign-image.sh", &sign, &token).gave(0, "created in");
    assert_eq!(signed.out, format!("{}\n", app()), "the image alone on standard output");
    script(&bench, "sign-image.sh", &sign, &token).gave(0, "is there already");
    assert_eq!(google.filed().len(), 1);
}

#[test]
fn a_tag_becomes_the_digest_that_the_registry_tells() {
    let bench = Bench::with_attestor();
    let path = stand_in(&bench, "skopeo", &format!("echo {D}"));
    let calls = bench.at("calls");
    let variables = [("PATH", path.as_str()), ("CALLS", calls.to_str().unwrap())];
    let flags = "--attestor projects/p/attestors/ci --occurrences o --private-key-file ci.pem";
    for (image, signed) in [
        ("r.example:5000/team/app:v1", format!("r.example:5000/team/app@{D}\n")),
        ("r.example:5000/team/app", format!("r.example:5000/team/app@{D}\n")),
    ] {
        let ran = script(&bench, "sign-image.sh", &format!("{flags} {image}"), &variables).gave(0, "");
        assert_eq!(ran.out, signed);
        assert!(bench.read("calls").contains(&format!("docker://{image}")));
    }
    stand_in(&bench, "skopeo", "echo latest");
    script(&bench, "sign-image.sh", &format!("{flags} r.example/app:v1"), &variables)
        .gave(2, "which is none");
    stand_in(&bench, "skopeo", "exit 1");
    script(&bench, "sign-image.sh", &format!("{flags} r.example/app:v1"), &variables)
        .gave(2, "cannot be found");
}

#[test]
fn googles_own_key_and_note() {
    let bench = Bench::with_attestor();
    let google = google(&bench);
    fs::remove_dir_all(bench.at("attestors")).unwrap();
    // gcloud makes what its `describe` does not find, and hands out the public key.
    let gcloud = r#"case "$*" in
      *describe*) exit 1 ;;
      *get-public-key*) while [[ $1 != --output-file ]]; do shift; done; cp ci.pub "$2" ;;
    esac"#;
    let path = stand_in(&bench, "gcloud", gcloud);
    let calls = bench.at("calls");
    let variables = [("PATH", path.as_str()), ("CALLS", calls.to_str().unwrap())];
    let setup = format!("p prod --kms us-central1 --signer serviceAccount:ci@p.iam --store {}", google.url);
    script(&bench, "setup.sh", &setup, &variables).gave(0, "done");
    let calls = bench.read("calls");
    for part in [
        "kms keyrings create prod-binauthz --project p --location us-central1",
        "kms keys create attestor-key --project p --location us-central1 --keyring prod-binauthz \
         --purpose asymmetric-signing --default-algorithm ec-sign-p256-sha256",
        "kms keys add-iam-policy-binding attestor-key --project p --location us-central1 --keyring prod-binauthz \
         --member serviceAccount:ci@p.iam --role roles/cloudkms.signerVerifier",
    ] {
        assert!(calls.contains(part), "{calls} lacks {part}");
    }
    let sign = format!("p prod {} --kms us-central1 --kms-url {1} --store {1}", app(), google.url);
    script(&bench, "sign-image.sh", &sign, &[]).gave(0, "created in");
    let signature = &google.filed()[0]["attestation"]["signatures"][0];
    assert_eq!(signature["publicKeyId"], format!("//cloudkms.googleapis.com/v1/{VERSION}"));
}

#[test]
fn what_is_missing_is_said() {
    let bench = Bench::with_attestor();
    for (name, line, part) in [
        ("sign-image.sh", "", "PROJECT ENVIRONMENT IMAGE are needed"),
        ("sign-image.sh", "r.example/app", "give PROJECT ENVIRONMENT IMAGE, or --attestor"),
        ("sign-image.sh", "p production r.example/app --attestor a", "stands in the place of"),
        (
            "sign-image.sh",
            &format!("p production {}", app()),
            "--private-key-file, --pkcs11-key or --keyversion",
        ),
        ("setup.sh", "p", "PROJECT and ENVIRONMENT are missing"),
        ("setup.sh", "p production", "one of --new-key, --public-key and --kms"),
        ("setup.sh", "p production --new-key a --kms b", "one of --new-key, --public-key and --kms"),
        ("setup.sh", "p Production --new-key a", "no name of an environment"),
        ("setup.sh", "p production --new-key stranger.pub", "is no private key"),
        ("setup.sh", "p production --colour red", "unknown option `--colour`"),
    ] {
        bench.run("attestors create production-attestor --project p --attestation-authority-note n $A");
        script(&bench, name, line, &[]).gave(2, part);
    }
    for name in ["setup.sh", "sign-image.sh"] {
        script(&bench, name, "--help", &[]).gave(0, "PROJECT ENVIRONMENT");
    }
}

#[test]
fn the_github_action_runs_as_a_runner_runs_it() {
    let bench = Bench::with_attestor();
    let action = yaml("github/action.yml");
    assert_eq!(action["runs"]["using"], "composite");
    let inputs = action["inputs"].as_object().unwrap();
    let step = &action["runs"]["steps"][0];
    let given = [
        ("image", app()),
        ("attestor", "projects/p/attestors/ci".to_owned()),
        ("occurrences", "o".to_owned()),
        ("private-key", bench.read("ci.pem")),
    ];
    let value = |name: &str| {
        let given = given.iter().find(|(given, _)| *given == name).map(|(_, value)| value.clone());
        given.unwrap_or_else(|| inputs[name]["default"].as_str().unwrap().to_owned())
    };
    let mut variables = vec![
        ("GITHUB_ACTION_PATH".to_owned(), packaged("github").display().to_string()),
        ("GITHUB_OUTPUT".to_owned(), bench.at("output").display().to_string()),
        ("RUNNER_TEMP".to_owned(), bench.folder.path().display().to_string()),
    ];
    let mut used = Vec::new();
    for (name, expression) in step["env"].as_object().unwrap() {
        let input =
            expression.as_str().unwrap().strip_prefix("${{ inputs.").unwrap().strip_suffix(" }}").unwrap();
        variables.push((name.clone(), value(input)));
        used.push(input.to_owned());
    }
    assert_eq!(used.len(), inputs.len(), "every input is used once: {used:?}");
    let body = step["run"].as_str().unwrap();
    assert!(!body.contains("${{"), "an input that is part of a script can be a command");
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    run(&bench, Path::new("/bin/bash"), &["-c", body], &variables).gave(0, "created in");
    assert_eq!(bench.read("output"), format!("image={}\n", app()));
    let left = fs::read_dir(bench.folder.path()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!left.iter().any(|name| name.starts_with("signing-key")), "the key is gone: {left:?}");
    // The example names only inputs that there are.
    let example = yaml("github/example.yml");
    let steps = example["jobs"]["release"]["steps"].as_array().unwrap();
    let ours = steps.iter().find(|step| step["uses"] == "./packaging/ci/github").unwrap();
    for (name, input) in ours["with"].as_object().unwrap() {
        assert!(inputs.contains_key(name) && input.is_string(), "{name}");
    }
}

#[test]
fn the_gitlab_job_runs_as_a_runner_runs_it() {
    let bench = Bench::with_attestor();
    let job = yaml("gitlab/sign-image.gitlab-ci.yml");
    let job = &job[".sign-image"];
    let script = job["script"][0].as_str().unwrap();
    let sign_image = packaged("sign-image.sh").display().to_string();
    let image = app();
    let variables = [
        ("SIGN_IMAGE", sign_image.as_str()),
        ("ATTESTORS", job["variables"]["ATTESTORS"].as_str().unwrap()),
        ("ATTESTOR", "projects/p/attestors/ci"),
        ("OCCURRENCES", "o"),
        ("SIGNING_KEY", "ci.pem"),
        ("IMAGE_WITH_DIGEST", &image),
    ];
    run(&bench, Path::new("/bin/sh"), &["-ec", script], &variables).gave(0, "created in");
}

#[test]
fn the_cloud_build_step_runs_as_cloud_build_runs_it() {
    let bench = Bench::with_attestor();
    let google = google(&bench);
    bench.run("attestors create prod-attestor --project p --attestation-authority-note n $A").gave(0, "");
    bench
        .run("attestors public-keys add --attestor prod-attestor $A --pkix-public-key-file ci.pub")
        .gave(0, "");
    let build = yaml("cloudbuild/cloudbuild.yaml");
    let steps = build["steps"].as_array().unwrap();
    let sign = steps.iter().find(|step| step["id"] == "sign").unwrap();
    let given = [("PROJECT_ID", "p"), ("_ENVIRONMENT", "prod"), ("_LOCATION", "us-central1")];
    let mut body = sign["args"][1].as_str().unwrap().to_owned();
    for (name, value) in given {
        body = body.replace(&format!("${{{name}}}"), value);
    }
    assert!(!body.replace("$$", "").contains('$'), "every substitution is known: {body}");
    // What can only be had at Google is taken from the stand-in.
    let sign_image = packaged("sign-image.sh").display().to_string();
    bench.write("image", app());
    for (from, to) in [
        ("$$", "$"),
        ("/workspace/image", "image"),
        ("ci/sign-image.sh", &sign_image),
        ("deploy/attestors", "attestors"),
        ("https://containeranalysis.googleapis.com --store-metadata-server", &google.url),
        ("--kms-metadata-server", &format!("--kms-url {}", google.url)),
    ] {
        assert!(body.contains(from), "{body} lacks {from}");
        body = body.replace(from, to);
    }
    run(&bench, Path::new("/bin/bash"), &["-ec", &body], &[]).gave(0, "created in");
    assert_eq!(google.filed().len(), 1);
}
