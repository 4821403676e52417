//! The create gate as an OCI hook, executed by the runtime for every container; see
//! `binauthd::gate::create_hook`.

fn main() -> std::process::ExitCode {
    binauthd::gate::create_hook::main()
}
