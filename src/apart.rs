//! Work that may take its time, done where it holds up nobody else.

/// Does `work` on a thread of the runtime that is made for waiting. A panic in it is the caller's; where the
/// runtime is going, this never ends.
pub async fn off_the_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Cancelled: the runtime is going, and this future with it.
            Err(_) => std::future::pending().await,
        },
    }
}
