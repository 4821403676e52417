//! The pull gate, executed by containerd for every image; see `binauthd::gate::verifier`.

fn main() -> std::process::ExitCode {
    binauthd::gate::verifier::main()
}
