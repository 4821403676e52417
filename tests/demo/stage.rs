//! How the story is told: numbered steps, commands, calls and their answers, wrapped to a terminal.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::path::Path;

use super::rig::Tool;

const WIDTH: usize = 100;

/// What went otherwise than the text says.
pub(crate) struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

pub(crate) struct Stage {
    step: usize,
    title: &'static str,
    colour: bool,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self { step: 0, title: "the preparations", colour: std::io::stdout().is_terminal() }
    }

    /// How many steps were told.
    pub(crate) fn steps(&self) -> usize {
        self.step
    }

    /// A new step.
    pub(crate) fn step(&mut self, title: &'static str) {
        self.step += 1;
        self.title = title;
        self.line("");
        self.line(&self.paint("1", &format!("{}. {title}", self.step)));
    }

    /// A sentence of the story.
    pub(crate) fn say(&self, text: &str) {
        self.wrapped("   ", "   ", text);
    }

    /// A command somebody types.
    pub(crate) fn command(&self, text: &str) {
        self.wrapped("   $ ", "       ", text);
    }

    /// A call that a kubelet makes.
    pub(crate) fn call(&self, text: &str) {
        self.wrapped("   kubelet> ", "            ", text);
    }

    /// What came back, and was to come back.
    pub(crate) fn good(&self, text: &str) {
        let mark = self.paint("32", "ok");
        self.marked(&mark, text);
    }

    /// A refusal, where one was to come.
    pub(crate) fn refused(&self, text: &str) {
        let mark = self.paint("33", "refused");
        self.marked(&mark, text);
    }

    /// Text as it stands, such as a file.
    pub(crate) fn quote(&self, text: &str) {
        for line in text.lines() {
            self.line(&format!("     {line}"));
        }
    }

    /// A step that went wrong.
    pub(crate) fn failure(&self, what: &str) -> Failure {
        Failure(format!("in step {} ({}): {what}", self.step, self.title))
    }

    /// # Errors
    /// Says `what` was to be true.
    pub(crate) fn check(&self, truth: bool, what: &str) -> Result<(), Failure> {
        if truth { Ok(()) } else { Err(self.failure(what)) }
    }

    /// Types a command and shows what it printed.
    pub(crate) async fn run(&self, name: &str, tool: &Tool, arguments: &[&str]) -> Result<String, Failure> {
        let shown = arguments.iter().map(|argument| {
            if argument.contains([';', ' ']) { format!("'{argument}'") } else { (*argument).to_owned() }
        });
        self.command(&format!("{name} {}", shown.collect::<Vec<_>>().join(" ")));
        let output = tool.run(arguments).await;
        let all = format!("{}{}", output.stdout, output.stderr);
        self.check(output.code == Some(0), &format!("exit code {:?}: {all}", output.code))?;
        self.quote(&all);
        Ok(output.stdout)
    }

    fn marked(&self, mark: &str, text: &str) {
        self.wrapped(&format!("   => {mark}: "), "      ", text);
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Breaks between words; a word that is longer than a line stays whole.
    fn wrapped(&self, first: &str, further: &str, text: &str) {
        let text = shortened(text);
        let mut line = first.to_owned();
        let mut empty = true;
        for word in text.split_whitespace() {
            if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.line(&line);
                further.clone_into(&mut line);
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
            empty = false;
        }
        self.line(&line);
    }

    /// Text as it stands, but for digests.
    fn line(&self, text: &str) {
        // A reader that has gone, as `head` does, stops no clean-up.
        let _ = writeln!(std::io::stdout().lock(), "{}", shortened(text));
    }
}

/// Digests with twelve of their digits: whole ones would be most of the story.
pub(crate) fn shortened(text: &str) -> String {
    let mut parts = text.split("sha256:");
    let mut short = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.chars().take_while(char::is_ascii_hexdigit).count();
        short.push_str("sha256:");
        if digits == 64 {
            short.push_str(&part[..12]);
            short.push('…');
            short.push_str(&part[64..]);
        } else {
            short.push_str(part);
        }
    }
    short
}

/// The end of a log, for a failure.
pub(crate) fn tail(name: &str, log: &str) {
    let lines: Vec<_> = log.lines().collect();
    eprintln!("\n--- {name}, its last lines:");
    for line in lines.iter().skip(lines.len().saturating_sub(15)) {
        eprintln!("{line}");
    }
}

/// A program on PATH.
pub(crate) fn on_path(name: &str) -> Result<std::path::PathBuf, Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|candidate| Path::new(candidate).is_file())
        .ok_or_else(|| Failure(format!("`{name}` is not on PATH: run `tests/rig/install.sh`")))
}
