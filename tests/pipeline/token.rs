//! Keys on a PKCS#11 token: SoftHSM.

use super::bench::{Bench, app};
use super::{Ran, binauthctl};

const PIN: &str = "271828";

/// SoftHSM with a home in the folder of a bench.
struct Token {
    bench: Bench,
    module: String,
}

impl Token {
    fn new(label: &str) -> Self {
        let token = Self { bench: Bench::with_attestor(), module: module() };
        let tokens = token.bench.at("tokens");
        std::fs::create_dir(&tokens).unwrap();
        token.bench.write("softhsm.conf", format!("directories.tokendir = {}\n", tokens.display()));
        token.softhsm(&["--init-token", "--free", "--label", label, "--so-pin", "3141", "--pin", PIN]);
        token
    }

    fn softhsm(&self, args: &[&str]) {
        let output = std::process::Command::new("softhsm2-util")
            .args(args)
            .env("SOFTHSM2_CONF", self.bench.at("softhsm.conf"))
            .output()
            .unwrap_or_else(|error| panic!("softhsm2-util: {error}; run `tests/rig/install.sh` first"));
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A key that openssl makes and the token takes in; its public one goes to the attestor.
    fn key(&self, label: &str, id: &str, make: &str, algorithm: &str) {
        let (token, key) = (self.token(), format!("{label}.pem"));
        self.bench.openssl(&format!("{make} -out {key}"));
        self.bench.openssl(&format!("pkey -in {key} -pubout -out {label}.pub"));
        let file = self.bench.at(&key);
        let import = [
            "--import",
            file.to_str().unwrap(),
            "--token",
            &token,
            "--label",
            label,
            "--id",
            id,
            "--pin",
            PIN,
        ];
        self.softhsm(&import);
        self.bench
            .add_key(&format!("{label}.pub --pkix-public-key-algorithm {algorithm}"))
            .gave(0, "added to");
    }

    fn token(&self) -> String {
        "Signing keys".to_owned()
    }

    fn sign(&self, uri: &str, pin: Option<&str>) -> Ran {
        let line = format!(
            "attestations sign-and-create --artifact-url {} --attestor ci $A $O -o json --pkcs11-key {uri}",
            app()
        );
        let config = self.bench.at("softhsm.conf");
        let mut variables = vec![("SOFTHSM2_CONF", config.to_str().unwrap())];
        variables.extend(pin.map(|pin| ("BINAUTHCTL_PKCS11_PIN", pin)));
        binauthctl(&self.bench, &line, &variables)
    }
}

/// Where Debian puts it.
pub(crate) fn module() -> String {
    let module = "/usr/lib/softhsm/libsofthsm2.so";
    assert!(std::path::Path::new(module).exists(), "no `{module}`; run `tests/rig/install.sh` first");
    module.to_owned()
}

#[test]
fn every_kind_of_key_signs() {
    let token = Token::new("Signing keys");
    let rows = [
        ("p256", "01", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256", "ecdsa-p256-sha256"),
        ("p384", "02", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384", "ecdsa-p384-sha384"),
        ("p521", "03", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521", "ecdsa-p521-sha512"),
        ("pss", "04", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048", "rsa-pss-2048-sha256"),
        ("pkcs1", "05", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048", "rsa-sign-pkcs1-2048-sha256"),
        ("pss512", "06", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4096", "rsa-pss-4096-sha512"),
    ];
    for (label, id, make, algorithm) in rows {
        token.key(label, id, make, algorithm);
    }
    for (count, (label, id, _, _)) in rows.into_iter().enumerate() {
        // By its label, or by its id.
        let which = if count % 2 == 0 { format!("object={label}") } else { format!("id=%{id}") };
        let uri = format!("pkcs11:token=Signing%20keys;{which};type=private?module-path={}", token.module);
        let signed = token.sign(&uri, Some(PIN)).gave(0, "").json();
        assert_eq!(signed["created"], true, "{label}: {signed}");
        token.bench.verify(&app(), "--attestor ci").gave(0, "verified");
        std::fs::remove_dir_all(token.bench.at("occurrences")).unwrap();
    }
}

#[test]
fn what_is_wrong_is_said_and_no_pin_is() {
    let token = Token::new("Signing keys");
    token.key("ci-key", "01", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256", "ecdsa-p256-sha256");
    let key = format!("pkcs11:token=Signing%20keys;object=ci-key?module-path={}", token.module);
    token.bench.write("pin", format!("{PIN}\n"));
    let pin_file = token.bench.at("pin");
    token.sign(&format!("{key}&pin-source=file:{}", pin_file.display()), None).gave(0, "created");
    let stranger = "pkcs11:token=Signing%20keys;object=none";
    let with = |uri: &str| format!("{uri}?module-path={}", token.module);
    for (uri, pin, code, part) in [
        (key.clone(), None, 2, "set BINAUTHCTL_PKCS11_PIN"),
        (key.clone(), Some("000000"), 2, "the PIN was not taken"),
        (with(stranger), Some(PIN), 2, "there is no private key"),
        (with("pkcs11:token=Other;object=ci-key"), Some(PIN), 2, "no token of"),
        ("pkcs11:token=Signing%20keys;object=ci-key".to_owned(), Some(PIN), 2, "--pkcs11-module"),
        ("pkcs11:object=ci-key?module-path=/none.so".to_owned(), Some(PIN), 2, "cannot use the library"),
    ] {
        let ran = token.sign(&uri, pin).gave(code, part);
        assert!(!ran.err.contains(PIN) && !ran.err.contains("000000"), "{ran:?}");
    }
    let ran = token.sign(&format!("{key}&pin-value={PIN}"), None).gave(0, "list of processes");
    assert!(!ran.err.contains(PIN), "{ran:?}");
    // A key that is not the attestor's.
    token.bench.openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out foreign.pem");
    let file = token.bench.at("foreign.pem");
    let label = token.token();
    token.softhsm(&[
        "--import",
        file.to_str().unwrap(),
        "--token",
        &label,
        "--label",
        "foreign",
        "--id",
        "09",
        "--pin",
        PIN,
    ]);
    let foreign = format!("pkcs11:object=foreign?module-path={}", token.module);
    token.sign(&foreign, Some(PIN)).gave(1, "add its public key");
}
