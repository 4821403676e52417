//! What systemd is told: `sd_notify(3)`. Without a supervisor that listens, nothing.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// The gate is served and the documents are read.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The daemon was told to stop.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// The watchdog's pulse: twice within the time the supervisor allows.
pub(super) struct Heartbeat(Option<Interval>);

impl Heartbeat {
    /// Beats only where the supervisor asked for it.
    pub(super) fn new() -> Self {
        let allowed = sd_notify::watchdog_enabled().filter(|allowed| *allowed > Duration::ZERO);
        Self(allowed.map(|allowed| {
            let mut beat = interval(allowed / 2);
            beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            beat
        }))
    }

    /// The next beat; never, where nobody asked.
    pub(super) async fn next(&mut self) {
        match &mut self.0 {
            Some(beat) => {
                beat.tick().await;
            }
            None => std::future::pending().await,
        }
    }

    /// Says that the daemon lives, if it does: this runtime is running, or nobody would be here, and
    /// changes of trust are still being followed.
    pub(super) fn tell(&self, alive: bool) {
        if alive {
            tell(&[NotifyState::Watchdog]);
        } else {
            tracing::error!("changes are not being followed: the watchdog is not told");
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("the supervisor was not told: {error}");
    }
}
