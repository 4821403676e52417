//! Keys of Cloud KMS.

use super::bench::{Bench, app};
use super::google::{Fault, VERSION};
use super::{binauthctl, google};

#[test]
fn signs_by_the_digest_alone_and_under_the_id_that_gcloud_gives() {
    let bench = Bench::with_attestor();
    let google = google(&bench);
    let sign = |flags: &str, token: &str| {
        let line = format!(
            "attestations sign-and-create --artifact-url {} --attestor ci $A $O --kms-url {} {flags}",
            app(),
            google.url
        );
        binauthctl(&bench, &line, &[("BINAUTHCTL_KMS_TOKEN", token)])
    };
    // The attestor knows the key, under the id that every key has.
    sign(&format!("--keyversion {VERSION}"), "secret-of-the-caller").gave(0, "created in");
    bench.verify(&app(), "--attestor ci").gave(0, "verified");
    let asked = google.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked.iter().all(|(_, _, token)| token.as_deref() == Some("secret-of-the-caller")), "{asked:?}");
    // Under the id that gcloud gives it: the one that is taken then.
    bench
        .add_key(&format!("ci.pub --public-key-id-override //cloudkms.googleapis.com/v1/{VERSION}"))
        .gave(0, "");
    let parts = "--keyversion 1 --keyversion-project p --keyversion-location us-central1 \
                 --keyversion-keyring prod-binauthz --keyversion-key attestor-key";
    let signed = sign(&format!("{parts} -o json"), "").gave(0, "").json();
    assert_eq!(signed["keyId"], format!("//cloudkms.googleapis.com/v1/{VERSION}"));
    assert!(google.asked().iter().all(|(_, _, token)| token.is_none()), "an empty token is none");
}

#[test]
fn what_kms_gets_wrong_is_not_filed() {
    let bench = Bench::with_attestor();
    let google = google(&bench);
    let line = format!(
        "attestations sign-and-create --artifact-url {} --attestor ci $A $O --kms-url {} --keyversion {VERSION}",
        app(),
        google.url
    );
    for (fault, code, part) in [
        (Fault::Forbidden, 2, "403 Forbidden"),
        (Fault::SpoiltSignature, 2, "signatureCrc32c"),
        (Fault::UnverifiedDigest, 2, "verifiedDigestCrc32c"),
        (Fault::AnotherVersion, 2, "another key version"),
        (Fault::UnknownAlgorithm, 1, "is not a key of attestor `projects/p/attestors/ci`"),
    ] {
        google.fault(fault);
        binauthctl(&bench, &line, &[("BINAUTHCTL_KMS_TOKEN", "secret-of-the-caller")]).gave(code, part);
        assert!(!bench.at("occurrences").exists(), "{fault:?}");
    }
    // Another key than the attestor's: signed, found out, not filed.
    google.fault(Fault::None);
    let strangers = Bench::with_attestor();
    binauthctl(&strangers, &line, &[]).gave(1, "add its public key");
    let gone = line.replace(&google.url, "http://127.0.0.1:1");
    let ran =
        binauthctl(&bench, &gone, &[("BINAUTHCTL_KMS_TOKEN", "secret-of-the-caller")]).gave(2, "127.0.0.1:1");
    assert!(!ran.err.contains("secret-of-the-caller"));
}

#[test]
fn flags_that_name_no_key_version() {
    let bench = Bench::with_attestor();
    let sign = format!("attestations sign-and-create --artifact-url {} --attestor ci $A $O ", app());
    for (flags, part) in [
        ("", "--private-key-file, --pkcs11-key or --keyversion"),
        ("--keyversion 1", "does not name a key version"),
        ("--keyversion 1 --keyversion-project p", "--keyversion-location is missing"),
        (&format!("--keyversion {VERSION} --keyversion-key k"), "in full already"),
        ("--keyversion 1 --key ci.pem", "cannot be used with"),
        ("--key ci.pem --keyversion-key k", "cannot be used with"),
        ("--key ci.pem --kms-metadata-server", "cannot be used with"),
        ("--pkcs11-key pkcs11:object=a --kms-url http://127.0.0.1:1", "cannot be used with"),
        ("--key ci.pem --pkcs11-module m", "cannot be used with"),
        (
            &format!("--keyversion {VERSION} --kms-url http://kms.example"),
            "plain http is for a loopback address",
        ),
    ] {
        binauthctl(&bench, &format!("{sign}{flags}"), &[]).gave(2, part);
    }
}
