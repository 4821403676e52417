//! Asking until there is an answer, or until no answer is one: what the programs of the gate `create` share.
//!
//! A start that fails ends a pod with `restartPolicy: Never`, so where the node enforces, no answer is asked
//! again until the time is over, and only then is a refusal. Where it observes, one short question is all, so
//! that a daemon that is gone delays nothing; what nobody answered is let through and recorded. A question
//! that is broken is refused in both, and so is what does not fit one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::client::{self, NoAnswer, Patience};
use super::line::one_line;
use super::message::{Answer, Ask, AskedContainer, Decision};
use super::unanswered::{self, Record, RecordedContainer};
use crate::text::cut;

/// How long is asked where the node enforces, unless the wiring says otherwise.
pub const WAIT: Duration = Duration::from_secs(20);
/// The longest wait that a wiring may say.
pub const MAX_WAIT: Duration = Duration::from_secs(300);
/// How long is asked in all where the node observes, and about a question that is refused anyway.
pub const BRIEF: Duration = Duration::from_secs(2);
/// The longest line of a refusal, in bytes, its newline included: containerd and kubelet cut longer ones.
pub const MAX_LINE: usize = 2048;

/// The first pause between two tries; each is twice the one before, up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_millis(500);
/// No try begins with less left than this, but the first.
const SHORTEST_TRY: Duration = Duration::from_millis(20);

/// What no answer means, fixed where the gate is wired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A refusal, after so long; zero asks once, with a gate's whole patience.
    Enforce(Duration),
    /// An allowance that is recorded.
    Observe,
}

/// What the program will do.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The container may be created.
    Allowed,
    /// It may not, for the reason in this line, bounded by [`MAX_LINE`].
    Refused(String),
    /// Nobody judged it, and the gate observes: it is recorded, or this line says why not.
    LetThrough(Option<String>),
}

/// Asks the daemon behind `socket` and makes what comes of it an outcome; the whole of what a gate program
/// decides by itself.
#[must_use]
pub fn outcome(socket: &Path, ask: &Ask, mode: Mode) -> Outcome {
    if let Some(problem) = &ask.problem {
        // It is asked all the same, and once: the daemon audits it and says what to do about it.
        let asked = ask_until(socket, ask, Budget::Brief).map_err(|unanswered| unanswered.cause);
        return Outcome::Refused(broken(ask, problem, asked));
    }
    let (budget, observing) = match mode {
        Mode::Observe => (Budget::Brief, true),
        Mode::Enforce(wait) if wait.is_zero() => (Budget::Once, false),
        Mode::Enforce(wait) => (Budget::Until(wait.min(MAX_WAIT)), false),
    };
    match ask_until(socket, ask, budget) {
        Ok(Answer { decision: Decision::Allow | Decision::Defer, .. }) => Outcome::Allowed,
        Ok(Answer { decision: Decision::Refuse, reason, message }) => {
            Outcome::Refused(line(&format!("{message} ({reason})")))
        }
        Err(unanswered) if observing && unanswered.is_askable => {
            Outcome::LetThrough(leave_record(socket, ask, unanswered.cause))
        }
        Err(unanswered) => {
            let (container, Unanswered { took, tries, cause, .. }) = (shown(ask), &unanswered);
            let tries = if *tries == 1 { String::new() } else { format!(", asked {tries} times") };
            Outcome::Refused(line(&format!(
                "{container}: binauthd on this node did not answer within {} s{tries}: {}; the start is refused; \
                 see `systemctl status binauthd` on the node",
                tenths(*took),
                one_line(cause, 512),
            )))
        }
    }
}

fn broken(ask: &Ask, problem: &str, asked: Result<Answer, String>) -> String {
    let container = shown(ask);
    let problem = one_line(problem, 1024);
    match asked {
        // It says the same, with what to do about it.
        Ok(Answer { decision: Decision::Refuse, reason, message }) => line(&format!("{message} ({reason})")),
        Ok(_) => line(&format!("{container} is refused: the question about it is broken: {problem}")),
        Err(cause) => line(&format!(
            "{container} is refused: the question about it is broken: {problem}; and binauthd on this node did not \
             answer: {}",
            one_line(&cause, 256)
        )),
    }
}

/// `text` as the one line that is printed, with its newline.
#[must_use]
pub fn line(text: &str) -> String {
    const AROUND: &str = "binauthd: \n";
    format!("binauthd: {}\n", one_line(text, MAX_LINE - AROUND.len()))
}

/// The container of `ask`, as its pod's author knows it, or by its id.
fn shown(ask: &Ask) -> String {
    let Some(container) = &ask.container else { return "a container".to_owned() };
    let Named { name, pod_namespace, pod_name, image } = Named::of(container);
    let mut shown = match (name, pod_name) {
        (Some(name), Some(pod)) => {
            let namespace = pod_namespace.unwrap_or_default();
            format!("container `{}` of pod `{}/{}`", cut(name, 64), cut(namespace, 64), cut(pod, 256))
        }
        _ if container.id.is_empty() => return "a container without an id".to_owned(),
        _ => format!("container `{}`", cut(&container.id, 80)),
    };
    if let Some(image) = image {
        shown.push_str(&format!(" (image `{}`)", cut(image, 256)));
    }
    shown
}

/// What CRI's annotations call a container. Words for people, never what is judged.
struct Named<'a> {
    name: Option<&'a str>,
    pod_namespace: Option<&'a str>,
    pod_name: Option<&'a str>,
    image: Option<&'a str>,
}

impl<'a> Named<'a> {
    fn of(container: &'a AskedContainer) -> Self {
        let of = |key| container.annotations.get(key).map(String::as_str);
        Self {
            name: of("io.kubernetes.cri.container-name"),
            pod_namespace: of("io.kubernetes.cri.sandbox-namespace"),
            pod_name: of("io.kubernetes.cri.sandbox-name"),
            image: of("io.kubernetes.cri.image-name"),
        }
    }
}

/// Leaves the record of a question that nobody answered; the line to say if that failed.
fn leave_record(socket: &Path, ask: &Ask, cause: String) -> Option<String> {
    let container = ask.container.as_ref();
    let record = Record {
        time: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        gate: ask.gate.clone(),
        name: container.and_then(|it| Named::of(it).image).unwrap_or_default().to_owned(),
        digest: String::new(),
        cause,
        container: container.map(|container| {
            let Named { name, pod_namespace, pod_name, .. } = Named::of(container);
            let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
            RecordedContainer {
                id: container.id.clone(),
                namespace: owned(container.namespace.as_deref()),
                name: owned(name),
                pod_namespace: owned(pod_namespace),
                pod_name: owned(pod_name),
            }
        }),
    };
    let path = unanswered::beside(socket);
    let error = unanswered::append(&path, &record).err()?;
    let (container, path) = (shown(ask), path.display());
    Some(line(&format!(
        "{container} is let through unjudged, this node observes: {}; no record of it could be left in `{path}`: \
         {error}",
        one_line(&record.cause, 512)
    )))
}

/// The gate socket: `given`, or what the environment says, or the usual place. Empty ones say nothing.
#[must_use]
pub fn socket(given: Option<PathBuf>, variable: Option<std::ffi::OsString>) -> PathBuf {
    given
        .into_iter()
        .chain(variable.map(PathBuf::from))
        .find(|path| !path.as_os_str().is_empty())
        .unwrap_or_else(|| PathBuf::from(super::SOCKET))
}

/// How long a question is asked.
#[derive(Debug, Clone, Copy)]
enum Budget {
    /// One try, with a gate's whole patience.
    Once,
    /// One try, of at most [`BRIEF`].
    Brief,
    /// As many tries as fit.
    Until(Duration),
}

/// No answer, in the end.
#[derive(Debug)]
struct Unanswered {
    took: Duration,
    tries: u32,
    /// Of the last try that was given its time.
    cause: String,
    /// False where the question does not fit a message, which nobody could answer.
    is_askable: bool,
}

/// Asks until something is answered that was judged.
fn ask_until(socket: &Path, ask: &Ask, budget: Budget) -> Result<Answer, Unanswered> {
    let start = Instant::now();
    let (within, is_repeated) = match budget {
        Budget::Once => (Patience::GATE.total, false),
        Budget::Brief => (BRIEF, false),
        Budget::Until(within) => (within, true),
    };
    let (mut tries, mut pause) = (0, FIRST_PAUSE);
    let mut last: Option<String> = None;
    loop {
        let left = within.saturating_sub(start.elapsed());
        if tries > 0 && (!is_repeated || left < SHORTEST_TRY) {
            let cause = last.unwrap_or_default();
            return Err(Unanswered { took: start.elapsed(), tries, cause, is_askable: true });
        }
        tries += 1;
        let patience = Patience {
            silence: Patience::GATE.silence.min(left),
            total: Patience::GATE.total.min(left),
            ..Patience::GATE
        };
        match client::ask(socket, ask, patience) {
            Ok(answer) if answer.is_unjudged() => {
                last = Some(format!("{} ({})", answer.message, answer.reason));
            }
            Ok(answer) => return Ok(answer),
            Err(error @ NoAnswer::Unaskable(_)) => {
                let (took, cause) = (start.elapsed(), error.to_string());
                return Err(Unanswered { took, tries, cause, is_askable: false });
            }
            Err(error) => {
                // A try cut short by our own time says less than one that was not.
                if last.is_none() || patience.silence == Patience::GATE.silence || !is_timeout(&error) {
                    last = Some(error.to_string());
                }
            }
        }
        if is_repeated {
            std::thread::sleep(pause.min(within.saturating_sub(start.elapsed())));
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }
}

fn is_timeout(error: &NoAnswer) -> bool {
    matches!(error, NoAnswer::Silent(_) | NoAnswer::TooLong(_) | NoAnswer::QueueFull(_))
}

/// Seconds for people: `20`, `0.3`.
fn tenths(time: Duration) -> impl fmt::Display {
    (time.as_secs_f32() * 10.0).round() / 10.0
}
