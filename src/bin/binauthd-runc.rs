//! The create gate in front of an OCI runtime; see `binauthd::gate::runc`.

fn main() -> std::process::ExitCode {
    binauthd::gate::runc::main()
}
