//! The metadata store.

use std::process::ExitCode;

use binauthd::store::options::Options;
use clap::Parser;

fn main() -> ExitCode {
    let options = Options::parse();
    let _flushed_at_the_end = binauthd::logging::to_stderr("BINAUTH_STORE_LOG");
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
