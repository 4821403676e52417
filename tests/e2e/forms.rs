//! Attestations of other kinds than ECDSA over the payload as it is.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::process::{Command, Stdio};

use super::guarded::{ENFORCE, Guarded, Share, file_of, policy, requires};
use super::rig::Image;

/// Runs a tool of the signer's in the node's folder.
fn tool(guarded: &Guarded, program: &str, line: &str) -> String {
    let output = Command::new(program)
        .args(line.split_whitespace())
        .env("GNUPGHOME", guarded.node.home.path().join("gnupg"))
        .current_dir(guarded.node.home.path())
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; run `tests/rig/install.sh` first"));
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {line}: {err}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn images_attested_with_openpgp_with_rsa_and_by_an_envelope_are_pulled() {
    let guarded = Guarded::start().await;
    let quiet = "--batch --quiet --no-tty --pinentry-mode loopback";
    let home = guarded.node.home.path().join("gnupg");
    DirBuilder::new().mode(0o700).create(home).unwrap();
    tool(
        &guarded,
        "gpg",
        &format!("{quiet} --passphrase= --quick-generate-key qa@example.com ed25519 sign never"),
    );
    tool(&guarded, "gpg", &format!("{quiet} --armor --output pgp.asc --export"));
    tool(&guarded, "openssl", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem");
    tool(&guarded, "openssl", "pkey -in rsa.pem -pubout -out rsa.pub");
    let ids = [
        ("--pgp-public-key-file pgp.asc", "pgp"),
        ("--pkix-public-key-file rsa.pub --pkix-public-key-algorithm rsa-pss-2048-sha256", "rsa"),
    ];
    let mut keys = Vec::new();
    for (flags, _) in ids {
        let line = format!("attestors public-keys add --attestor qa -o json {flags}");
        keys.push(guarded.binauthctl(&line).await.json()["keyId"].as_str().unwrap().to_owned());
    }
    for ((_, name), key) in ids.iter().zip(&keys) {
        let image = guarded.push(&format!("shop/{name}"), "1").await;
        guarded.refused(&image.tagged(), &["(NO_ATTESTATION)"]).await;
        std::fs::write(guarded.node.home.path().join(name), guarded.qa.payload(&image)).unwrap();
        if *name == "pgp" {
            tool(&guarded, "gpg", &format!("{quiet} --armor --sign --output pgp.sig pgp"));
        } else {
            let pss = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32";
            tool(&guarded, "openssl", &format!("dgst -sha256 {pss} -sign rsa.pem -out rsa.sig rsa"));
        }
        let line =
            format!("--artifact-url {} --public-key-id {key} --signature-file {name}.sig", image.pinned());
        guarded.binauthctl(&format!("attestations create --attestor qa {line}")).await.success();
        guarded.allowed_soon(&image.tagged()).await;
        let records = guarded.audited(&image.tagged(), 2).await;
        assert_eq!(records.last().unwrap()["attestors"][0]["keyId"], key.as_str());
    }
    tool(&guarded, "gpgconf", "--kill all");

    let image = guarded.push("shop/dsse", "1").await;
    guarded.file("dsse.json", &guarded.qa.envelope(&image));
    guarded.allowed_soon(&image.tagged()).await;
    // The same envelope around another image's payload.
    let other = guarded.push("shop/other", "1").await;
    let mut stolen = guarded.qa.envelope(&image);
    stolen["resourceUri"] = format!("https://{}", other.pinned()).into();
    guarded.file("stolen.json", &stolen);
    let (_, refusal) = guarded.refused_soon(&other.tagged()).await;
    assert!(refusal.message.contains("denied by attestor"), "{refusal}");
    guarded.no_alarm().await;
}

#[tokio::test]
async fn an_attested_index_is_not_enough_where_manifests_must_be_attested() {
    let guarded = Guarded::start_with(ENFORCE, Share::some().await, |node, qa| {
        node.etc.write_config("test.cluster", "subjects = ['manifest']");
        node.etc.write_policy(&policy(node, &requires(&[qa])));
        node.etc.write_attestor("qa.json", &qa.document());
    })
    .await;
    let here = Image::job("here");
    let index = guarded.node.registry.push_index("shop/multi", "1", &[&here, &Image::job("there")]).await;
    guarded.attest(&index);
    guarded.refused(&index.tagged(), &["`subjects` leaves no digest", "(SUBJECT_NOT_ATTESTABLE)"]).await;
    let manifest = guarded.node.registry.push("shop/multi", "here", &here).await;
    guarded.refused(&manifest.tagged(), &["(NO_ATTESTATION)"]).await;
    guarded.file(&file_of(&manifest), &guarded.qa.attestation(&manifest));
    guarded.allowed_soon(&manifest.pinned()).await;
}
