//! Man pages and completions of binauthctl, made from its command line.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use binauthd::cli::Cli;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use super::is_what_the_code_says;

const MAN: &str = "packaging/man";
/// A walk that finds next to nothing would hold everything.
const MOST_OF_THEM: usize = 40;

/// The command and everything below it, each under its whole name.
fn commands(command: &Command, above: &str) -> Vec<(String, Command)> {
    let name = if above.is_empty() {
        command.get_name().to_owned()
    } else {
        format!("{above}-{}", command.get_name())
    };
    let below = command.get_subcommands().filter(|command| command.get_name() != "help");
    let below = below.flat_map(|command| commands(command, &name));
    std::iter::once((name.clone(), command.clone())).chain(below.collect::<Vec<_>>()).collect()
}

#[test]
fn the_pages_of_binauthctl() {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut made = BTreeSet::new();
    for (name, command) in commands(&command, "") {
        let command = command.display_name(name.clone()).version(None::<&str>);
        let man = Man::new(command)
            .title(name.clone())
            .section("1")
            .date("")
            .source("binauthd")
            .manual("Binary Authorization on the node");
        let mut page = Vec::new();
        man.render(&mut page).unwrap();
        let file = format!("{MAN}/{name}.1");
        is_what_the_code_says(&file, &String::from_utf8(page).unwrap());
        made.insert(format!("{name}.1"));
    }
    assert!(made.len() > MOST_OF_THEM, "{made:#?}");
    // None is left of a verb that there is no more.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(MAN);
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.ends_with(".1") || made.contains(&name), "{MAN}/{name} is of no verb: remove it");
    }
}

#[test]
fn the_completions_of_binauthctl() {
    for (shell, file) in
        [(Shell::Bash, "binauthctl"), (Shell::Zsh, "_binauthctl"), (Shell::Fish, "binauthctl.fish")]
    {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "binauthctl", &mut script);
        let folder = shell.to_string();
        is_what_the_code_says(
            &format!("packaging/completions/{folder}/{file}"),
            &String::from_utf8(script).unwrap(),
        );
    }
}

#[test]
fn the_page_of_the_configuration() {
    let shipped = include_str!("../../packaging/etc/config.toml");
    let mut page = String::from(
        ".TH binauthd.toml 5 \"\" \"binauthd\" \"Binary Authorization on the node\"\n.SH NAME\n\
         binauthd.toml \\- configuration of binauthd\n.SH SYNOPSIS\n\\fI/etc/binauthd/config.toml\\fR\n.SH DESCRIPTION\n\
         The file as it is shipped, with every key there is. \\fBbinauthctl config check\\fR says what is wrong with yours.\n\
         .PP\n.EX\n",
    );
    for line in shipped.lines() {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        // A request of roff begins so.
        let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        page.push_str(&format!("{guard}{line}\n"));
    }
    page.push_str(".EE\n.SH SEE ALSO\n.BR binauthd (8),\n.BR binauthd\\-policy (5),\n.BR binauthctl\\-config\\-check (1)\n");
    is_what_the_code_says("packaging/man/binauthd.toml.5", &page);
}
