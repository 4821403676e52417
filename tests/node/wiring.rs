//! `binauthctl containerd enable` and `disable` on a running node, and what the package's removal leaves.

use super::rig::{Booted, Image};

const UNIT: &str = "containerd.service";

#[tokio::test]
async fn a_running_node_is_wired_step_by_step_and_unwired_by_removal() {
    let mut node = Booted::new().await;
    let app = node.registry.push("shop/app", "1", &Image::service("app")).await;
    let other = node.registry.push("shop/other", "1", &Image::service("other")).await;
    node.boot().await;
    node.cri().await;
    let containerd =
        || node.run("cat /etc/containerd/config.toml; find /etc/containerd /opt 2>/dev/null | sort");
    let before = containerd();
    let process = || node.run("systemctl show --property ExecMainPID --value containerd");
    let first = process();

    // Without --restart the running one goes on, and is told so. Both gates ask once it has started again.
    let said = node.run("binauthctl containerd enable --observe");
    assert!(said.contains("systemctl restart containerd.service"), "{said}");
    assert_eq!(process(), first);
    node.run("binauthctl containerd enable --observe --restart");
    super::comes_to_work(&node, "binauthctl status | grep -q 'asked by nri and hook'").await;
    let cri = node.cri().await;
    cri.pull(&app.tagged()).await.unwrap();
    cri.run("judged", &app.tagged()).await.unwrap();
    for gate in ["pull", "create"] {
        let told = node.run(&format!("binauthctl audit query --gate {gate} --would DENY"));
        assert!(told.contains("shop/app"), "{gate}: {told}");
    }
    // The daemon is gone: nothing is refused.
    node.run("systemctl stop binauthd.service binauthd.socket binauthd-admin.socket");
    cri.pull(&other.tagged()).await.unwrap();
    cri.run("unanswered", &other.tagged()).await.unwrap();
    node.run("systemctl start binauthd.service");
    super::comes_to_work(&node, "binauthctl status").await;

    // Enforcing shows what it means, and waits for what the node needs: the pause image is not in the floor.
    let (code, said) = node.shell("binauthctl containerd enable --enforce --restart");
    assert!(
        code == 1 && said.contains("against it: the node needs `") && said.contains("pause@sha256:"),
        "{said}"
    );
    assert!(said.contains("the last 24 hours would have blocked") && said.contains("shop/app"), "{said}");
    node.run("ls /opt/containerd/image-verifier/bin/00-binauthd-observe");
    // Written and not loaded, it is claimed by nobody: neither by a daemon that does not see containerd's process.
    node.run("binauthctl containerd enable --enforce --force");
    node.run("systemctl restart binauthd.service");
    let unread = "binauthctl status | grep 'base.*json` was changed since containerd started'";
    super::comes_to_work(&node, unread).await;
    node.run("binauthctl containerd enable --enforce --restart --force");
    super::comes_to_work(&node, &format!("! {unread}")).await;
    super::comes_to_work(&node, "binauthctl status | grep -q 'asked by nri and hook'").await;
    node.run("systemctl stop binauthd.service binauthd.socket binauthd-admin.socket");
    let cri = node.cri().await;
    let refusal = cri.pull(&app.tagged()).await.unwrap_err();
    assert!(refusal.message.contains("binauthd"), "{refusal}");
    node.run("systemctl start binauthd.service");

    // Wired at each step of an upgrade, and the copies are those of the newer package.
    let hook = "/opt/containerd/binauthd/binauthd-create-hook";
    node.run(&format!("printf x >>{hook}"));
    node.run("dpkg --install /var/tmp/binauthctl.deb /var/tmp/binauthd.deb");
    node.run(&format!("cmp {hook} /usr/libexec/binauthd/binauthd-create-hook"));

    // Removed: containerd is as it was, and runs; what ran goes on.
    let running = node.run("ctr --namespace k8s.io tasks list --quiet | sort");
    node.run("dpkg --purge binauthd");
    assert_eq!(containerd(), before);
    assert_eq!(node.run("ctr --namespace k8s.io tasks list --quiet | sort"), running);
    node.cri().await.run("free", &other.tagged()).await.unwrap();
    node.power_cut().await;
    node.boot().await;
    node.cri().await.run("afterwards", &other.tagged()).await.unwrap();
}

#[tokio::test]
async fn a_containerd_that_does_not_come_back_is_as_it_was() {
    let mut node = Booted::new().await;
    node.boot().await;
    node.cri().await;
    let containerd =
        || node.run("cat /etc/containerd/config.toml; find /etc/containerd /opt 2>/dev/null | sort");
    let before = containerd();
    // It takes the configuration, and then does not start with it.
    let refuses = |unless: &str| {
        let line = format!("ExecStartPre=/bin/sh -c \"{unless} /etc/containerd/conf.d/99-binauthd.toml\"");
        node.run(&format!(
            "mkdir -p /etc/systemd/system/{UNIT}.d && printf '[Service]\\n%s\\n' '{line}' >/etc/systemd/system/{UNIT}.d/x.conf && \
             systemctl daemon-reload"
        ));
    };
    refuses("! test -e");
    let (code, said) = node.shell("binauthctl containerd enable --observe --restart");
    assert!(code == 1 && said.contains("everything is as it was before"), "{said}");
    assert_eq!(containerd(), before);
    node.cri().await;
    node.run("systemctl is-active containerd");

    // The same on the way back: it is asked as before, and the package stays.
    node.run(&format!("rm -r /etc/systemd/system/{UNIT}.d && systemctl daemon-reload"));
    node.run("binauthctl containerd enable --observe --restart");
    let wired = containerd();
    refuses("test -e");
    for verb in ["binauthctl containerd disable --restart", "dpkg --remove binauthd"] {
        let (code, said) = node.shell(verb);
        assert!(code != 0 && said.contains("everything is as it was before"), "{verb}: {said}");
        assert_eq!(containerd(), wired, "{verb}");
        node.cri().await;
        node.run("binauthctl status");
    }

    // Whoever ends the program in the middle waits for it.
    let slow = "[Service]\\nExecStartPre=/bin/sleep 3\\n";
    node.run(&format!("printf '{slow}' >/etc/systemd/system/{UNIT}.d/x.conf && systemctl daemon-reload"));
    node.shell("binauthctl containerd disable --restart >/tmp/said 2>&1 & sleep 1; kill -TERM $!; wait $!");
    assert_eq!(containerd(), before);
    node.run("test ! -e /opt/containerd/binauthd/wiring.json");
    node.cri().await;

    // A unit that is another one's.
    node.run(&format!("rm -r /etc/systemd/system/{UNIT}.d"));
    node.write("etc/systemd/system/idle.service", "[Service]\nExecStart=/bin/sleep infinity\n");
    node.run("systemctl daemon-reload");
    let (code, said) = node.shell("binauthctl containerd enable --observe --restart --unit idle.service");
    assert!(code == 1 && said.contains("is another one: name its unit with --unit"), "{said}");
    assert_eq!(containerd(), before);
    // What was never read is taken back without a restart, and it is said as often as it is so that it must be read.
    for _ in 0..2 {
        let said = node.run("binauthctl containerd enable --observe");
        assert!(said.contains("restart containerd for it to count"), "{said}");
    }
    let said = node.run("binauthctl containerd disable");
    assert!(said.contains("containerd does not ask binauthd"), "{said}");
    assert_eq!(containerd(), before);

    // By whatever name systemd knows it: the one that was said when it was wired.
    node.run(&format!(
        "cp $(systemctl show --property FragmentPath --value {UNIT}) \
         /etc/systemd/system/other.service && systemctl daemon-reload && systemctl stop {UNIT} && systemctl start other"
    ));
    node.run("binauthctl containerd enable --observe --restart --unit other.service");
    node.run("dpkg --purge binauthd");
    assert_eq!(containerd(), before);
    node.cri().await;
    assert_eq!(node.shell(&format!("systemctl is-active other {UNIT}")).1.trim(), "active\ninactive");
}
