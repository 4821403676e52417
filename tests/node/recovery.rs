//! binauthd-recovery(7), followed to the letter on a node that refuses everything.

use super::rig::{Booted, Image};

const PAGE: &str = include_str!("../../packaging/man/binauthd-recovery.7");

/// The commands of a section, as they are typed.
fn commands(section: &str) -> Vec<String> {
    let (_, rest) = PAGE.split_once(&format!(".SS {section}")).unwrap();
    let section = rest.split(".SS ").next().unwrap();
    let examples = section.split(".EX\n").skip(1).filter_map(|part| part.split_once("\n.EE"));
    let lines = examples.flat_map(|(example, _)| example.lines());
    lines.filter_map(|line| line.strip_prefix("# ")).map(|line| line.replace("\\-", "-")).collect()
}

/// Types them, in one shell.
fn follow(node: &Booted, section: &str) -> String {
    let commands = commands(section);
    assert!(!commands.is_empty(), "{section}");
    node.run(&format!("set -e\n{}", commands.join("\n")))
}

#[tokio::test]
async fn a_node_that_refuses_everything_comes_back_by_the_page() {
    let mut node = Booted::new().await;
    node.wire();
    let app = node.registry.push("shop/app", "1", &Image::service("app")).await;
    let policy = "globalPolicyEvaluationMode: ENABLE\ndefaultAdmissionRule: {evaluationMode: ALWAYS_DENY, \
                  enforcementMode: ENFORCED_BLOCK_AND_AUDIT_LOG}\n";
    node.write("etc/binauthd/policy.yaml", policy);
    node.boot().await;
    let cri = node.cri().await;
    let refusal = cri.pull(&app.tagged()).await.unwrap_err();
    assert!(refusal.message.contains("ALWAYS_DENY"), "{refusal}");
    assert!(follow(&node, "1. Who refuses").contains("ALWAYS_DENY"));

    // 4: by dry run.
    follow(&node, "4. Let everything through");
    super::comes_to_work(&node, &format!("binauthctl evaluate {}", app.pinned())).await;
    cri.pull(&app.tagged()).await.unwrap();
    node.run("cp /root/policy.yaml.before /etc/binauthd/policy.yaml");

    // 2 and 5: without a daemon, and without one that could start.
    node.run("sed -i 's/^config_version = 1/config_version = x/' /etc/binauthd/config.toml; systemctl kill --signal=KILL binauthd");
    let refusal = cri.pull(&app.tagged()).await.unwrap_err();
    assert!(refusal.message.contains("did not answer"), "{refusal}");
    let (_, told) = node.shell(&commands("2. The daemon").join("\n"));
    assert!(told.contains("config.toml") && told.contains("line"), "{told}");
    follow(&node, "5. Let the gates observe");
    let cri = node.cri().await;
    cri.pull(&app.tagged()).await.unwrap();
    let (pod, container) = cri.run("observed", &app.tagged()).await.unwrap();
    assert!(cri.is_running(&container).await);
    cri.remove_pod(&pod.id).await.unwrap();

    // 6: nothing asks.
    follow(&node, "6. Take the gates away");
    let cri = node.cri().await;
    let started = std::time::Instant::now();
    cri.run("free", &app.tagged()).await.unwrap();
    assert!(started.elapsed().as_secs() < 2, "nobody waited for an answer");
    assert_eq!(node.run("pidof binauthd; true"), "");
}

#[test]
fn every_command_of_the_page_is_there() {
    let bold = PAGE.split("\\fB").skip(1).filter_map(|part| part.split_once("\\fR"));
    let bold = bold.map(|(bold, _)| bold.replace("\\-", "-"));
    let sections = ["2. The daemon", "3. Let single", "5. Let the gates"];
    let typed = sections.into_iter().flat_map(commands);
    let ours = |text: String| Some(text.strip_prefix("binauthctl ")?.to_owned());
    let named: Vec<_> = bold.chain(typed).filter_map(ours).collect();
    assert!(named.len() >= 8, "{named:?}");
    let is_verb = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
    for rest in named {
        let words: Vec<_> = rest.split_whitespace().take_while(is_verb).collect();
        let output =
            std::process::Command::new(env!("CARGO_BIN_EXE_binauthctl")).args(&words).arg("--help").output();
        assert!(output.unwrap().status.success(), "binauthctl {words:?}");
    }
}
