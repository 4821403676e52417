//! The package of binauth-store: started when it is wanted, inside its sandbox, and kept when the package goes.

use std::fs;

use super::rig::{Booted, package};

#[tokio::test]
async fn the_store_of_the_package_serves_within_its_sandbox() {
    let mut node = Booted::new().await;
    fs::copy(package("binauth-store"), node.at("var/tmp/binauth-store.deb")).unwrap();
    node.boot().await;
    node.run("dpkg --install /var/tmp/binauth-store.deb");
    assert_eq!(node.shell("systemctl is-enabled binauth-store").1.trim(), "disabled");
    assert_ne!(node.shell("systemctl is-active binauth-store").0, 0, "it waits until it is wanted");
    node.run("systemctl enable --now binauth-store");
    let as_store = |line: &str| node.run(&format!("runuser -u binauth-store -- binauth-store {line}"));
    let ask = |token: &str, line: &str| {
        let script = "exec 3<>/dev/tcp/127.0.0.1/8080; printf '%s HTTP/1.1\\r\\nHost: h\\r\\nConnection: close\\r\\nAuthorization: Bearer %s\\r\\n\\r\\n' \"$1\" \"$2\" >&3; cat <&3";
        node.run(&format!("bash -c '{}' ask '{line}' '{token}'", script.replace('\'', "'\\''")))
    };
    assert!(ask("", "GET /healthz").starts_with("HTTP/1.1 200"));
    let refused = ask("bst_none", "GET /v1/projects/p/notes");
    assert!(refused.starts_with("HTTP/1.1 401") && refused.contains("UNAUTHENTICATED"), "{refused}");
    let token = as_store("access add viewer --role viewer");
    let listed = ask(token.trim(), "GET /v1/projects/p/notes");
    assert!(listed.starts_with("HTTP/1.1 200") && listed.contains("\"notes\":[]"), "{listed}");
    // What is kept survives a restart, an upgrade and the package.
    node.run("systemctl restart binauth-store");
    node.run("dpkg --install /var/tmp/binauth-store.deb");
    super::comes_to_work(&node, "systemctl is-active binauth-store").await;
    assert!(ask(token.trim(), "GET /v1/projects/p/notes").starts_with("HTTP/1.1 200"));
    let exposure = node.run("systemd-analyze security binauth-store.service | tail -n 1");
    println!("{exposure}");
    node.run("dpkg --purge binauth-store && test -e /var/lib/binauth-store/store.db && ! test -e /usr/sbin/binauth-store");
}
