//! How much of some work is waiting for containerd: what is left is the daemon's own.

use std::cell::Cell;
use std::time::{Duration, Instant};

tokio::task_local! {
    static WAITED: Waited;
}

/// Waits that overlap count once.
#[derive(Default)]
struct Waited {
    open: Cell<u32>,
    since: Cell<Option<Instant>>,
    total: Cell<Duration>,
}

/// Does `work`, and tells how long some call of [`Containerd`](super::Containerd) was under way that this task
/// waited for. The hashing of images that are new here is counted among the calls that it is a part of.
pub async fn apart<T>(work: impl Future<Output = T>) -> (T, Duration) {
    WAITED
        .scope(Waited::default(), async {
            let done = work.await;
            (done, WAITED.with(|waited| waited.total.get()))
        })
        .await
}

/// A call that is under way until this goes.
pub(super) struct Waiting(());

impl Waiting {
    pub(super) fn begin() -> Self {
        // Nobody wants to know outside of `apart`.
        let _ = WAITED.try_with(|waited| {
            if waited.open.replace(waited.open.get() + 1) == 0 {
                waited.since.set(Some(Instant::now()));
            }
        });
        Self(())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = WAITED.try_with(|waited| {
            let open = waited.open.get().saturating_sub(1);
            waited.open.set(open);
            if open == 0
                && let Some(since) = waited.since.take()
            {
                waited.total.set(waited.total.get() + since.elapsed());
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    const STEP: Duration = Duration::from_millis(5);

    #[tokio::test]
    async fn waits_that_overlap_count_once() {
        let call = || async {
            let _waiting = Waiting::begin();
            sleep(STEP).await;
        };
        let start = Instant::now();
        let ((), waited) = apart(async {
            sleep(STEP).await;
            tokio::join!(call(), call());
            call().await;
        })
        .await;
        assert!(waited >= 2 * STEP, "{waited:?}");
        assert!(waited <= start.elapsed() - STEP, "{waited:?}");
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_has_ended() {
        let ((), waited) = apart(async {
            let call = async {
                let _waiting = Waiting::begin();
                std::future::pending::<()>().await;
            };
            assert!(tokio::time::timeout(STEP, call).await.is_err());
        })
        .await;
        assert!(waited >= STEP, "{waited:?}");
        // Outside nobody counts.
        drop(Waiting::begin());
    }
}
