//! The node's pods: answered from memory, looked up behind the questions.
//!
//! One look is under way at a time, and a second goes by between the beginnings of two; after a failure
//! it is tried again by itself, later each time. A question never waits for a look unless it says so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use super::access::Options;
use super::ask::look;
use super::error::KubeletError;
use super::facts::PodFacts;
use super::list::List;
use super::memory::{self, Entry, Memory};

/// Between the beginnings of two looks, and before the first try after a failure.
const PACE: Duration = Duration::from_secs(1);
/// The longest time before another try.
const MAX_BACK_OFF: Duration = Duration::from_secs(30);

/// What is known of the node's pods. A clone is another handle of the same; when the last is gone,
/// nothing is looked up any more.
#[derive(Debug, Clone)]
pub struct Pods {
    shared: Arc<Shared>,
    /// Counts what is wanted.
    wishes: Arc<watch::Sender<u64>>,
}

#[derive(Debug)]
struct Shared {
    source: String,
    memory: Mutex<Memory>,
    last: Mutex<Last>,
    /// The last wish that a whole look answers.
    answered: watch::Sender<u64>,
}

/// How the last looks went.
#[derive(Debug, Default)]
struct Last {
    success: Option<Instant>,
    problem: Option<String>,
    left_out: usize,
    causes: Vec<String>,
}

/// How the looks go.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodsStatus {
    /// Where pods are asked for.
    pub source: String,
    /// Pods known.
    pub pods: usize,
    /// Pods of which nothing is believed, because they were reported as two different ones.
    pub contested: usize,
    /// Pods of the last list that could not be read.
    pub left_out: usize,
    /// Why the first of these could not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out_causes: Vec<String>,
    /// Since the last look that went well; none before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success_seconds: Option<u64>,
    /// Why the last look failed; none when it went well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Pods {
    /// Knows nothing yet and asks nobody before somebody is [`wanted`](Self::wanted). Must be called
    /// within a tokio runtime, which does the looking for as long as it lives.
    ///
    /// # Errors
    /// [`KubeletError::Url`] and [`KubeletError::Node`] for options that could never be asked by. What is
    /// wrong with files shows in the [`status`](Self::status), because they may be there later.
    pub fn start(options: Options) -> Result<Self, KubeletError> {
        options.check()?;
        let shared = Arc::new(Shared {
            source: options.describe(),
            memory: Mutex::new(Memory::new()),
            last: Mutex::new(Last::default()),
            answered: watch::Sender::new(0),
        });
        let (wishes, wished) = watch::channel(0);
        tokio::spawn(keep_looking(Arc::new(options), Arc::clone(&shared), wished));
        Ok(Self { shared, wishes: Arc::new(wishes) })
    }

    /// What is known of the pod with this uid, if it is of this namespace. From memory, at once.
    ///
    /// For a static pod the uid is the one that kubelet gives it, which containers carry, also where the
    /// API server is asked: it holds the hash of the manifest. A manifest that sets a uid of its own is
    /// known by kubelet alone.
    #[must_use]
    pub fn known(&self, uid: &str, namespace: &str) -> Option<Arc<PodFacts>> {
        match self.shared.memory().find(uid, namespace)? {
            Entry::Known(facts) => Some(facts),
            Entry::Contested => None,
        }
    }

    /// Asks for a look at the pods, unless this one is known, or contested, which a look does not mend.
    /// Returns at once.
    pub fn wanted(&self, uid: &str, namespace: &str) {
        if self.shared.memory().find(uid, namespace).is_none() {
            self.wish();
        }
    }

    /// The same, unless this container of the pod is known: ephemeral ones are added to running pods.
    pub fn container_wanted(&self, uid: &str, namespace: &str, container: &str) {
        let found = self.shared.memory().find(uid, namespace);
        if found
            .is_none_or(|entry| matches!(entry, Entry::Known(facts) if facts.container(container).is_none()))
        {
            self.wish();
        }
    }

    /// As [`Pods::known`], after a look if it is not known yet: until a look that began after this question went
    /// well, and at most for `within`.
    pub async fn known_within(&self, uid: &str, namespace: &str, within: Duration) -> Option<Arc<PodFacts>> {
        let mut answered = self.shared.answered.subscribe();
        if self.shared.memory().find(uid, namespace).is_none() {
            let wish = self.wish();
            // Slow or not: what is known by then is the answer.
            let _ = tokio::time::timeout(within, answered.wait_for(|answered| *answered >= wish)).await;
        }
        self.known(uid, namespace)
    }

    /// How the looks go.
    #[must_use]
    pub fn status(&self) -> PodsStatus {
        let (pods, contested) = {
            let memory = self.shared.memory();
            (memory.known(), memory.contested())
        };
        let last = self.shared.last();
        PodsStatus {
            source: self.shared.source.clone(),
            pods,
            contested,
            left_out: last.left_out,
            left_out_causes: last.causes.clone(),
            last_success_seconds: last.success.map(|success| success.elapsed().as_secs()),
            problem: last.problem.clone(),
        }
    }

    fn wish(&self) -> u64 {
        let mut number = 0;
        self.wishes.send_modify(|wishes| {
            *wishes += 1;
            number = *wishes;
        });
        number
    }
}

impl Shared {
    fn learn(&self, list: List) {
        // One pod at a time: nobody who asks waits for ten thousand.
        for (key, entry) in memory::entries(list.pods) {
            self.memory().put(key, entry);
        }
        let contested = self.memory().contested();
        let mut last = self.last();
        if last.problem.is_some() {
            tracing::info!("pods: `{}` can be asked again", self.source);
        }
        if last.causes != list.causes && !list.causes.is_empty() {
            tracing::warn!("pods: {} are left out: {}", list.left_out, list.causes.join("; "));
        }
        tracing::debug!("pods: looked at `{}`, {contested} contested", self.source);
        *last = Last {
            success: Some(Instant::now()),
            problem: None,
            left_out: list.left_out,
            causes: list.causes,
        };
    }

    fn failed(&self, error: &KubeletError) {
        let problem = crate::chain(error);
        let mut last = self.last();
        if last.problem.as_ref() != Some(&problem) {
            tracing::warn!("pods: {problem}");
        }
        last.problem = Some(problem);
    }

    /// A panic elsewhere leaves whole entries behind: the lock is usable.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks whenever something is wished for, until nobody is left who could.
async fn keep_looking(options: Arc<Options>, shared: Arc<Shared>, mut wished: watch::Receiver<u64>) {
    let mut earliest = Instant::now();
    let mut back_off = PACE;
    while wished.changed().await.is_ok() {
        loop {
            tokio::time::sleep_until(earliest).await;
            // A wish from here on may be for what this look does not see yet.
            let wish = *wished.borrow_and_update();
            let begun = Instant::now();
            match look(&options).await {
                Ok(list) => {
                    shared.learn(list);
                    shared.answered.send_replace(wish);
                    (earliest, back_off) = (begun + PACE, PACE);
                    break;
                }
                Err(error) => {
                    shared.failed(&error);
                    earliest = Instant::now() + back_off;
                    back_off = (back_off * 2).min(MAX_BACK_OFF);
                }
            }
            if wished.has_changed().is_err() {
                return;
            }
        }
    }
}
