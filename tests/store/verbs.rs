//! binauthctl's verbs with `--store`, at a real store: what they do there, and what they say where it refuses.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::bench::{Bench, ENFORCED, Ran, app, other};
use super::rig::{Database, Store, text};

/// binauthctl and a store that lets everybody do everything.
struct Shop {
    bench: Bench,
    store: Store,
    _database: Database,
}

impl Shop {
    /// Attestor `ci` of project `p` is in the folder and in the store, with the key `ci.pem`.
    fn new() -> Self {
        let database = Database::sqlite();
        let shop = Self { bench: Bench::with_attestor(), store: database.open(), _database: database };
        shop.at("attestors create ci --project p --attestation-authority-note ci --create-note")
            .gave(0, "created in http");
        shop.at("attestors public-keys add --attestor ci --project p --pkix-public-key-file ci.pub")
            .gave(0, "added to projects/p/attestors/ci");
        shop
    }

    fn at(&self, line: &str) -> Ran {
        self.bench.run(&format!("{line} --store {}", self.store.url))
    }

    /// So many at a time, each with its number in place of `#`; the codes that they exit with.
    fn at_once(&self, count: usize, line: &str) -> Vec<i32> {
        let start = |n: usize| {
            let line = format!("{line} --store {}", self.store.url).replace('#', &n.to_string());
            Command::new(env!("CARGO_BIN_EXE_binauthctl"))
                .args(line.split_whitespace())
                .current_dir(self.bench.folder.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        };
        let all: Vec<_> = (0..count).map(start).collect();
        all.into_iter().map(|mut one| one.wait().unwrap().code().unwrap()).collect()
    }
}

#[test]
fn attestors_are_kept_in_a_store() {
    let shop = Shop::new();
    let listed = shop.at("attestors list --project p -o json").gave(0, "").json();
    assert_eq!(listed[0]["name"], "projects/p/attestors/ci");
    assert_eq!((&listed[0]["keys"], &listed[0]["note"]), (&1.into(), &"projects/p/notes/ci".into()));
    assert!(listed[0].get("file").is_none() && text(&listed[0], "/store").starts_with("http"), "{listed}");
    shop.at("attestors describe projects/p/attestors/ci").gave(0, "ECDSA_P256_SHA256");
    let keys = "attestors public-keys list --attestor ci --project p";
    assert_eq!(shop.at(&format!("{keys} -o json")).json()[0]["id"], *shop.bench.key_id());
    let add = "attestors public-keys add --attestor ci --project p --pkix-public-key-file";
    shop.at(&format!("{add} ci.pub")).gave(0, "is a key of projects/p/attestors/ci already");
    shop.at(&format!("{add} stranger.pub --public-key-id-override {}", shop.bench.key_id()))
        .gave(1, "is that of another key");
    let added = shop.at(&format!("{add} stranger.pub --comment second -o json")).gave(0, "").json();
    assert_eq!((&added["added"], &added["attestor"]), (&true.into(), &"projects/p/attestors/ci".into()));
    let remove = format!("attestors public-keys remove --attestor ci --project p {}", text(&added, "/keyId"));
    shop.at(&remove).gave(0, "removed from projects/p/attestors/ci");
    shop.at(&remove).gave(1, "no key with id");

    for (line, code, part) in [
        ("attestors create ci --project p --attestation-authority-note ci", 1, "is there already"),
        ("attestors describe nobody --project p", 2, "there is no `projects/p/attestors/nobody` at `http"),
        ("attestors delete nobody --project p", 2, "`attestors list` shows those there are"),
        ("attestors public-keys list --attestor nobody --project p", 2, "there is no"),
        ("attestors describe ci", 2, "add --project"),
        ("attestors list", 2, "--project is missing"),
        ("attestors list --project ../p", 2, "is not the name of a project"),
        ("attestors list --project p --attestors attestors", 2, "leave out the one that is not meant"),
        ("attestors delete ci --project p --attestors attestors", 2, "leave out the one that is not meant"),
    ] {
        shop.at(line).gave(code, part);
    }
    // More than a page has.
    for n in 0..201 {
        let attestor = json!({"userOwnedGrafeasNote": {"noteReference": "projects/q/notes/n"}});
        shop.store.done(&format!("POST /v1/projects/q/attestors?attestorId=a{n}"), Some(&attestor));
    }
    let many = shop.at("attestors list --project q -o json").gave(0, "").json();
    assert_eq!(many.as_array().unwrap().len(), 201);
    shop.at("attestors delete ci --project p -o json").gave(0, r#""deleted": true"#);
    assert_eq!(shop.at("attestors list --project p -o json").json(), json!([]));
    // The folder is as it was.
    shop.bench.run("attestors describe ci $A").gave(0, "ECDSA_P256_SHA256");
}

#[test]
fn no_key_is_lost_where_many_add_at_once() {
    let shop = Shop::new();
    for n in 0..6 {
        shop.bench.openssl(&format!("ecparam -genkey -name prime256v1 -noout -out k{n}.pem"));
        shop.bench.openssl(&format!("ec -in k{n}.pem -pubout -out k{n}.pub"));
    }
    let line = "attestors public-keys add --attestor ci --project p --pkix-public-key-file k#.pub --public-key-id-override k#";
    let codes = shop.at_once(6, line);
    let keys = shop.at("attestors public-keys list --attestor ci --project p -o json").json();
    let ids: Vec<_> = keys.as_array().unwrap().iter().map(|key| text(key, "/id")).collect();
    for (n, code) in codes.iter().enumerate() {
        assert!([0, 1].contains(code), "{codes:?}");
        assert_eq!(ids.contains(&format!("k{n}")), *code == 0, "{codes:?}: {ids:?}");
    }
    println!("{codes:?}");
}

#[test]
fn a_policy_is_exported_changed_and_imported() {
    let shop = Shop::new();
    shop.at("policy export --project shop").gave(0, "evaluationMode: ALWAYS_ALLOW");
    shop.bench.policy("REQUIRE_ATTESTATION, requireAttestationsBy: [projects/p/attestors/nobody]", ENFORCED);
    shop.at("policy import policy.yaml --project shop")
        .gave(2, "there is no attestor `projects/p/attestors/nobody`: create it first");
    shop.at("policy check policy.yaml").gave(1, "no document defines attestor `projects/p/attestors/nobody`");
    shop.bench.policy_by_ci(ENFORCED);
    shop.at("policy check policy.yaml").gave(0, "valid:");
    let put = shop.at("policy import policy.yaml --project shop -o json").gave(0, "").json();
    assert_eq!(
        (text(&put, "/name"), text(&put, "/store")),
        ("projects/shop/policy".into(), format!("{}/", shop.store.url))
    );
    let checked = shop.at("policy check --project shop -o json").gave(0, "").json();
    assert_eq!(
        (&checked["attestorsChecked"], &checked["attestors"][0]),
        (&true.into(), &"projects/p/attestors/ci".into())
    );

    // Two who have exported the same: the second is told, and what the first has written stays.
    let export = |to: &str| {
        let exported = shop.at("policy export --project shop").gave(0, "etag:");
        shop.bench.write(to, exported.out);
    };
    export("one.yaml");
    export("two.yaml");
    let change = |file: &str, said: &str| {
        shop.bench.write(file, format!("{}description: {said}\n", shop.bench.read(file)));
    };
    change("one.yaml", "one");
    change("two.yaml", "two");
    // The name of the project is in the file.
    shop.at("policy import one.yaml").gave(0, "is projects/shop/policy at http");
    shop.at("policy import two.yaml").gave(1, "somebody has changed it: export it again");
    shop.at("policy export --project shop").gave(0, "description: one");
    let without: String = shop
        .bench
        .read("two.yaml")
        .lines()
        .filter(|line| !line.starts_with("etag:"))
        .map(|line| format!("{line}\n"))
        .collect();
    shop.bench.write("two.yaml", without);
    shop.at("policy import two.yaml").gave(0, "");
    shop.at("policy export --project shop -o json").gave(0, r#""description": "two""#);

    shop.bench.write(
        "exempt.yaml",
        "admissionWhitelistPatterns: [{namePattern: 'r.example/*', binauthdOwner: me}]\n\
         defaultAdmissionRule: {evaluationMode: ALWAYS_DENY, enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG}\n",
    );
    shop.at("policy import exempt.yaml --project other").gave(0, "");
    shop.at("policy exceptions --project other").gave(0, "r.example/*");

    for (line, code, part) in [
        ("policy import two.yaml --project other", 2, "says that it is the policy of `shop`"),
        ("policy import exempt.yaml", 2, "--project is missing"),
        ("policy import exempt.yaml --project shop --to there.yaml", 2, "cannot be used with"),
        ("policy export", 2, "--project is missing"),
        ("policy export one.yaml", 2, "leave out the one that is not meant"),
        ("policy export one.yaml --project shop", 2, "cannot be used with"),
        ("policy check --project shop --attestors attestors", 2, "leave out the one that is not meant"),
        ("policy check --policy one.yaml --project shop", 2, "cannot be used with"),
    ] {
        shop.at(line).gave(code, part);
    }
}

#[test]
fn one_of_many_policies_is_told_to_each_who_lost() {
    let shop = Shop::new();
    for n in 0..6 {
        let rule = "{evaluationMode: ALWAYS_DENY, enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG}";
        shop.bench.write(
            &format!("{n}.yaml"),
            format!("name: projects/new/policy\ndescription: n{n}\ndefaultAdmissionRule: {rule}\n"),
        );
    }
    let codes = shop.at_once(6, "policy import #.yaml");
    let puts = shop._database.verb(&["changes"]).matches("projects/new/policy").count();
    assert!(codes.iter().all(|code| [0, 1].contains(code)), "{codes:?}");
    let done = codes.iter().filter(|code| **code == 0).count();
    // Whoever was told that it is done has had his turn, and nobody else.
    assert!(done >= 1 && puts >= done, "{codes:?}: {puts}");
    println!("{codes:?}");
}

#[test]
fn a_bundle_is_pushed_once_and_never_back() {
    let shop = Shop::new();
    let sign = |version: u32, to: &str, rest: &str| {
        shop.bench.policy_by_ci(ENFORCED);
        let line = format!(
            "policy sign --project shop --version {version} --policy policy.yaml $A --key ci.pem --to {to} {rest}"
        );
        shop.bench.run(&line).gave(0, "is in");
    };
    let until = "--expires 2099-01-01T00:00:00Z";
    sign(7, "7.json", until);
    sign(8, "8.json", until);
    sign(8, "8b.json", "--expires 2098-01-01T00:00:00Z");
    let push = |file: &str| shop.at(&format!("policy push {file} --bundle-keys ci.pub"));
    let fetch = "policy fetch --project shop --to got.json";
    shop.at(fetch).gave(2, "there is no `projects/shop/bundle`").gave(2, "`policy push` puts one there");
    push("7.json").gave(0, "version 7 of project shop is at http");
    push("7.json").gave(0, "version 7 of project shop is already at http");
    let pushed = shop.at("policy push 8.json --bundle-keys ci.pub -o json").gave(0, "").json();
    assert_eq!((&pushed["pushed"], &pushed["version"]), (&true.into(), &8.into()));
    push("7.json").gave(1, "version 8 is there already");
    push("8b.json").gave(1, "another bundle of version 8");
    shop.at("policy push 8.json --bundle-keys stranger.pub").gave(1, "not signed by a bundle key");
    shop.bench.write("none.json", "{}");
    push("none.json").gave(1, "`none.json` is not pushed");
    shop.at("policy push 8.json").gave(0, "its signature is not checked");
    shop.at(&format!("{fetch} --bundle-keys ci.pub")).gave(0, "version 8 of project shop is in got.json");
    let same = |file: &str| serde_json::from_str::<Value>(&shop.bench.read(file)).unwrap();
    assert_eq!(same("got.json"), same("8.json"));
    shop.bench.run("policy show got.json --bundle-keys ci.pub").gave(0, "verified:      yes");
    shop.at(&format!("{fetch} --bundle-keys stranger.pub")).gave(1, "not signed by a bundle key");
    shop.at("policy show --project shop --bundle-keys ci.pub").gave(0, "verified:      yes");
    shop.at("policy show 8.json").gave(2, "leave out the one that is not meant");
    // The same payload with other signatures is not what is to be there.
    let mut signed = same("8.json");
    let signature = signed["signatures"][0].clone();
    signed["signatures"].as_array_mut().unwrap().push(signature);
    shop.store.done("PUT /v1/projects/shop/bundle", Some(&signed));
    push("8.json").gave(0, "version 8 of project shop is at http");
    push("8.json").gave(0, "version 8 of project shop is already at http");
    shop.store.done("PUT /v1/projects/other/bundle", Some(&same("8.json")));
    let other = "policy fetch --project other --to other.json";
    shop.at(&format!("{other} --bundle-keys ci.pub")).gave(2, "it gives that of `shop`");
    shop.at(fetch).gave(0, "its signature is not checked");
    shop.at("policy push 7.json --bundle-keys ci.pub --replace").gave(0, "version 7 of project shop is at");
    // What somebody has put there who has no key holds nobody up.
    let junk = json!({"payloadType": "x", "payload": "", "signatures": []});
    shop.store.done("PUT /v1/projects/shop/bundle", Some(&junk));
    shop.at("policy show --project shop").gave(2, "is refused");
    push("8.json").gave(0, "version 8 of project shop is at");
    shop.bench.run("policy fetch --project shop --to x").gave(2, "--store is missing");
}

#[test]
fn of_two_bundles_that_are_pushed_at_once_one_is_there() {
    let shop = Shop::new();
    shop.bench.policy_by_ci(ENFORCED);
    for n in 0..6 {
        let line = format!(
            "policy sign --project shop --version {} --policy policy.yaml $A --key ci.pem --to {n}.json --expires 2099-01-01T00:00:00Z",
            n + 1
        );
        shop.bench.run(&line).gave(0, "is in");
    }
    let codes = shop.at_once(6, "policy push #.json --bundle-keys ci.pub");
    let highest = codes.iter().rposition(|code| *code == 0).unwrap();
    let shown = shop.at("policy show --project shop --bundle-keys ci.pub -o json").gave(0, "").json();
    // No lower version has come after a higher one.
    assert_eq!(shown["version"], highest + 1, "{codes:?}");
    println!("{codes:?}");
}

#[test]
fn an_image_is_judged_by_what_a_store_has() {
    let shop = Shop::new();
    shop.bench.policy_by_ci(ENFORCED);
    shop.at("policy import policy.yaml --project shop").gave(0, "");
    let judged = |image: &str, rest: &str| shop.at(&format!("evaluate {image} {rest}"));
    let stored = "--project shop";
    judged(&app(), stored).gave(1, "NO_ATTESTATION");
    let sign = format!(
        "attestations sign-and-create --attestor ci --attestor-project p --key ci.pem --artifact-url {}",
        app()
    );
    shop.at(&format!("{sign} --store-attestors")).gave(0, "created in http");
    shop.at(&format!("{sign} $A")).gave(0, "is there already");
    judged(&app(), stored).gave(0, "ALLOW");
    judged(&other(), stored).gave(1, "NO_ATTESTATION");
    // What a flag names comes from files, all else as well but for the attestations.
    judged(&app(), "--policy policy.yaml $A").gave(0, "ALLOW");
    judged(&app(), "--policy policy.yaml --store-attestors").gave(0, "ALLOW");
    judged(&app(), "--project shop $A").gave(0, "ALLOW");
    shop.bench
        .run("attestors create ci --project p --attestation-authority-note ci --attestors empty")
        .gave(0, "");
    judged(&app(), "--project shop --attestors empty").gave(1, "DENY");
    judged(&app(), "--project shop --explain -o json").gave(0, "\"attestors\"");
    let verify = |rest: &str| shop.at(&format!("attestations verify --artifact-url {} {rest}", app()));
    verify("--attestor projects/p/attestors/ci --store-attestors").gave(0, "verified");
    verify("--attestor ci $A").gave(0, "verified");
    verify("--policy policy.yaml --store-attestors").gave(0, "verified");
    verify("--attestor projects/p/attestors/nobody --store-attestors").gave(2, "there is no");
    let listed =
        shop.at("attestations list --attestor-project p --store-attestors -o json").gave(0, "").json();
    assert_eq!((&listed[0]["verified"], listed.as_array().unwrap().len()), (&true.into(), 1), "{listed}");
    assert!(listed[0].get("file").is_none() && listed[0].get("store").is_some(), "{listed}");
    shop.at(&format!("attestations list $A --artifact-url {}", app())).gave(0, "verified");
    shop.at(&format!("attestations list $A --artifact-url {} -o json", other())).gave(0, "[]");
    shop.at("attestations list --store-attestors").gave(2, "--attestor-project is missing");

    // An attestor that is gone from the store is nobody, and a policy that nobody has set allows everything.
    shop.store.done("DELETE /v1/projects/p/attestors/ci", None);
    judged(&app(), stored).gave(1, "ATTESTOR_MISSING");
    judged(&app(), "--project unset").gave(0, "ALLOW");
    for rest in
        ["--project shop --policy policy.yaml", "--project shop --occurrences o", "--store-attestors $A"]
    {
        judged(&app(), rest).gave(2, "cannot be used with");
    }
}

#[test]
fn what_a_store_has_is_carried_to_where_no_network_leads() {
    let shop = Shop::new();
    shop.bench.policy_by_ci(ENFORCED);
    let until = "--expires 2099-01-01T00:00:00Z";
    shop.bench
        .run(&format!(
            "policy sign --project shop --version 7 --policy policy.yaml $A --key ci.pem --to 7.json {until}"
        ))
        .gave(0, "is in");
    let export = |rest: &str| shop.at(&format!("bundle export --to carried {rest}"));
    export("--project shop").gave(2, "there is no `projects/shop/bundle`");
    shop.at("policy push 7.json --bundle-keys ci.pub").gave(0, "");
    for image in [app(), other()] {
        let sign = "attestations sign-and-create --attestor ci --key ci.pem $A --artifact-url";
        shop.at(&format!("{sign} {image}")).gave(0, "created");
    }
    let told = export("--project shop -o json").gave(0, "").json();
    assert_eq!((&told["policyBundle"], &told["attestations"]), (&7.into(), &2.into()));
    let digest = app().split_once('@').unwrap().1.to_owned();
    export(&format!("--policy-bundle 7.json --digest {digest}")).gave(0, "attestations:  1");
    assert!(shop.bench.read("carried").lines().nth(1).unwrap().contains(&digest));
    export("").gave(2, "--project is missing, or --policy-bundle");
    export("--project shop --occurrences o").gave(2, "cannot be used with");
    shop.bench.run("bundle import carried --occurrences there").gave(0, "new:");
    shop.bench
        .run(&format!("evaluate {} --policy policy.yaml $A --occurrences there", app()))
        .gave(0, "ALLOW");
}

#[test]
fn whoever_may_not_is_told_which_role_it_takes() {
    let database = Database::sqlite();
    let bench = Bench::with_attestor();
    bench.policy("ALWAYS_DENY", ENFORCED);
    bench.run("policy sign --project shop --version 1 --policy policy.yaml $A --key ci.pem --to 1.json --expires 2099-01-01T00:00:00Z").gave(0, "");
    let roles = [
        ("viewer", "viewer"),
        ("attacher", "attacher=projects/p/notes/ci"),
        ("security", "attestor-admin"),
        ("platform", "policy-admin"),
    ];
    for (name, role) in roles {
        bench.write(name, database.verb(&["access", "add", name, "--role", role]));
        bench.chmod(name, 0o600);
    }
    bench.write("nobody", "bst_00000000000000000000");
    bench.chmod("nobody", 0o600);
    let store = Store::start(&database.url(), &[]);
    let by = |who: &str, line: &str| {
        let token = if who.is_empty() { String::new() } else { format!("--store-token-file {who}") };
        bench.run(&format!("{line} --store {} {token}", store.url))
    };
    let make = "attestors create a --project p --attestation-authority-note ci";
    let role = |role: &str| format!("it takes the role `{role}`");
    for who in ["", "nobody"] {
        by(who, "policy export --project shop")
            .gave(2, "does not know who asks")
            .gave(2, "--store-token-file");
    }
    for (who, line, wanted) in [
        ("viewer", "policy import policy.yaml --project shop", "policy-admin"),
        ("security", "policy export --project shop", "viewer"),
        ("attacher", "attestors list --project p", "viewer"),
        ("viewer", make, "attestor-admin"),
        ("platform", make, "attestor-admin"),
        ("viewer", "attestors delete a --project p", "attestor-admin"),
        ("viewer", "policy push 1.json --bundle-keys ci.pub", "policy-admin"),
        ("security", "policy fetch --project shop --to x", "viewer"),
    ] {
        let ran = by(who, line).gave(2, &role(wanted));
        assert!(!ran.err.contains("bst_"), "{ran:?}");
    }
    by("viewer", "policy import policy.yaml --project shop")
        .gave(2, "roles/binaryauthorization.policyEditor");
    by("security", &format!("{make} --create-note")).gave(0, "created");
    by("security", "attestors create b --project p --attestation-authority-note ci --create-note")
        .gave(0, "created");
    by("platform", "policy import policy.yaml --project shop").gave(0, "");
    by("platform", "policy push 1.json --bundle-keys ci.pub").gave(0, "");
    by("viewer", "policy export --project shop").gave(0, "ALWAYS_DENY");
    by("viewer", "attestors describe a --project p").gave(0, "projects/p/notes/ci");
    by("viewer", "policy show --project shop").gave(0, "version:");
    let sign = format!("attestations sign-and-create --attestor ci --key ci.pem $A --artifact-url {}", app());
    by("viewer", &sign).gave(2, "it takes the role attacher=NOTE");
    by("attacher", &sign).gave(0, "created");
}

#[test]
fn a_client_certificate_speaks_for_binauthctl() {
    let database = Database::sqlite();
    let bench = Bench::new();
    for name in ["server", "ci", "stranger"] {
        bench.openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name} -addext subjectAltName=IP:127.0.0.1 \
             -addext basicConstraints=critical,CA:FALSE -keyout {name}.key -out {name}.crt"
        ));
        bench.chmod(&format!("{name}.key"), 0o600);
    }
    bench.write("clients.crt", bench.read("ci.crt") + &bench.read("stranger.crt"));
    let at = |name: &str| bench.at(name).display().to_string();
    database.verb(&["access", "add", "ci", "--role", "viewer", "--certificate", &at("ci.crt")]);
    let flags =
        [("--tls-certificate", "server.crt"), ("--tls-key", "server.key"), ("--client-ca", "clients.crt")];
    let arguments: Vec<_> = flags.iter().flat_map(|(flag, file)| [(*flag).to_owned(), at(file)]).collect();
    let store = Store::start(&database.url(), &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let as_who = |rest: &str| {
        bench.run(&format!("policy export --project shop --store {} --store-ca server.crt {rest}", store.url))
    };
    as_who("--store-certificate ci.crt --store-key ci.key").gave(0, "ALWAYS_ALLOW");
    as_who("--store-certificate stranger.crt --store-key stranger.key").gave(2, "does not know who asks");
    as_who("").gave(2, "does not know who asks");
    as_who("--store-certificate ci.crt").gave(2, "--store-key");
    bench.run(&format!("policy export --project shop --store {}", store.url)).gave(2, "cannot be reached");
}

#[test]
fn a_store_that_does_not_answer_as_one_is_named() {
    let bench = Bench::with_attestor();
    bench.policy("ALWAYS_DENY", ENFORCED);
    bench.run("policy sign --project shop --version 1 --policy policy.yaml $A --key ci.pem --to 1.json --expires 2099-01-01T00:00:00Z").gave(0, "");
    let lines = [
        "policy export --project shop",
        "policy import policy.yaml --project shop",
        "policy check --project shop",
        "policy push 1.json --bundle-keys ci.pub",
        "policy fetch --project shop --to x",
        "attestors list --project p",
        "attestors describe ci --project p",
        "attestors delete ci --project p",
        "attestors create a --project p --attestation-authority-note ci",
        "attestors public-keys add --attestor ci --project p --pkix-public-key-file ci.pub",
        "evaluate r.example/a --project shop",
    ];
    let all = |url: &str, part: &str| {
        for line in lines {
            bench.run(&format!("{line} --store {url}")).gave(2, part);
        }
    };
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    all(&format!("http://{gone}"), "cannot be reached");
    all("http://192.0.2.1", "plain http is for a loopback address alone");
    // Announced, and not; neither is read to its end.
    let big = answering(&format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 1_u64 << 30));
    all(&big, "answers with more than");
    let endless = answering("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
    bench
        .run(&format!("policy export --project shop --store {endless}"))
        .gave(2, "answers with more than 8388608 bytes");
    let elsewhere =
        answering("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n");
    all(&elsewhere, "redirects to");
    let page = "<html>Sign in</html>";
    let html = answering(&format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{page}",
        page.len()
    ));
    bench
        .run(&format!("attestors list --project p --store {html}"))
        .gave(2, "does not answer as such a server does");
    bench
        .run(&format!("policy export --project shop --store {html}"))
        .gave(2, "projects/shop/policy` is refused");
    bench
        .run(&format!("policy import policy.yaml --project shop --store {html}"))
        .gave(2, "does not answer as such a server does");
    // Of another name than was asked for.
    let attestor = json!({"name": "projects/p/attestors/evil", "userOwnedGrafeasNote": {"noteReference": "projects/p/notes/n"}}).to_string();
    let other = answering(&format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{attestor}",
        attestor.len()
    ));
    bench
        .run(&format!("attestors describe ci --project p --store {other}"))
        .gave(2, "it gives `projects/p/attestors/evil`");
}

/// A server that says this, and blanks until nobody listens any more where that has no end.
fn answering(head: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (head, is_whole) =
        (head.to_owned(), head.contains("content-length: ") && !head.contains("1073741824"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let (mut asked, mut read) = ([0; 1024], Vec::new());
            while !read.windows(4).any(|end| end == b"\r\n\r\n") {
                let Ok(count @ 1..) = stream.read(&mut asked) else { break };
                read.extend_from_slice(&asked[..count]);
            }
            let _ = stream.write_all(head.as_bytes());
            while !is_whole && stream.write_all(&[b' '; 4096]).is_ok() {}
        }
    });
    format!("http://{address}")
}
