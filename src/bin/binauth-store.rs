//! The metadata store.

use std::process::ExitCode;

use binauthd::store::options::Options;
use clap::Parser;
use tracing_appender::non_blocking::NonBlockingBuilder;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let options = Options::parse();
    let filter = EnvFilter::try_from_env("BINAUTH_STORE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let (log, _flushed_at_the_end) = NonBlockingBuilder::default().lossy(true).finish(std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(log).with_ansi(false).without_time().init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(binauthd::store::run(options)),
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("binauth-store: {}", binauthd::chain(&error));
            ExitCode::FAILURE
        }
    }
}
