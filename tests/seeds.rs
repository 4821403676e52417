//! Every fuzz target on its seeds, and on each of them changed a little: cut, flipped, doubled, spliced with another one.
//!
//! The same functions that `make fuzz` drives with coverage for minutes, without instrumentation and always with the same
//! input: what goes wrong here goes wrong again.
#![cfg(feature = "full")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unused_attributes,
    unused_imports,
    reason = "a test fails by panicking; the targets are programs of their own elsewhere"
)]

// The targets take their macro from libFuzzer's crate.
extern crate self as libfuzzer_sys;

use std::fs;
use std::path::Path;

/// Changed inputs of each seed.
const CHANGES: u64 = 1_000;

/// A target, as a function.
#[macro_export]
macro_rules! fuzz_target {
    (|$data:ident: &[u8]| $body:block) => {
        pub(crate) fn run($data: &[u8]) {
            $body
        }
    };
}

macro_rules! targets {
    ($($name:ident $path:literal)*) => {
        $(
            #[path = $path]
            mod $name;
        )*

        mod takes_its_seeds_and_what_is_like_them {
            $(
                #[test]
                fn $name() {
                    super::drive(stringify!($name), super::$name::run);
                }
            )*
        }

        #[test]
        fn every_target_is_here() {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/targets");
            let mut there: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
            there.sort();
            let there: Vec<_> = there.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
            assert_eq!(there, [$(stringify!($name)),*]);
        }
    };
}

targets! {
    attestor "fuzz/targets/attestor.rs"
    content "fuzz/targets/content.rs"
    dsse "fuzz/targets/dsse.rs"
    jwt "fuzz/targets/jwt.rs"
    nri_mux "fuzz/targets/nri_mux.rs"
    nri_ttrpc "fuzz/targets/nri_ttrpc.rs"
    occurrence "fuzz/targets/occurrence.rs"
    payload "fuzz/targets/payload.rs"
    pgp "fuzz/targets/pgp.rs"
    platform_policy "fuzz/targets/platform_policy.rs"
    policy "fuzz/targets/policy.rs"
    reference "fuzz/targets/reference.rs"
    verify "fuzz/targets/verify.rs"
}

fn drive(name: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds").join(name);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let seeds: Vec<_> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(!seeds.is_empty(), "{name} has no seeds");
    let mut dice = Dice(1);
    for (seed, path) in seeds.iter().zip(&paths) {
        run(seed);
        for number in 0..CHANGES {
            let input = changed(seed, &seeds, &mut dice);
            let ran = std::panic::catch_unwind(|| run(&input));
            assert!(
                ran.is_ok(),
                "{}: change {number}: {:?}",
                path.display(),
                String::from_utf8_lossy(&input)
            );
        }
    }
}

fn changed(seed: &[u8], seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut input = seed.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(input.len() + 1);
        match dice.below(6) {
            0 => input.truncate(at),
            1 if at < input.len() => input[at] ^= 1 << dice.below(8),
            2 if at < input.len() => drop(input.remove(at)),
            3 => input.insert(at, [0, b'"', b'{', b'[', b'-', b'9', 0xff][dice.below(7)]),
            4 => {
                let end = (at + dice.below(64)).min(input.len());
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            _ => {
                let other = &seeds[dice.below(seeds.len())];
                let from = dice.below(other.len() + 1);
                let end = (from + dice.below(64)).min(other.len());
                input.splice(at..at, other[from..end].iter().copied());
            }
        }
    }
    input
}

/// xorshift64: always the same numbers.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }
}
