//! Bytes that mean harm, or nothing.

use proptest::prelude::*;

use super::*;

/// Deflate with fixed codes: a zero, then nothing but matches of 258 octets at distance 1.
fn deflate_bomb(octets: usize) -> Vec<u8> {
    let (mut bytes, mut bits, mut held) = (Vec::with_capacity(octets), 0_u32, 0);
    let mut code = |value: u32, length: u32| {
        for bit in (0..length).rev() {
            bits |= (value >> bit & 1) << held;
            held += 1;
            if held == 8 {
                bytes.push(u8::try_from(bits).unwrap());
                (bits, held) = (0, 0);
            }
        }
        bytes.len()
    };
    code(0b010, 3);
    code(0b0011_0000, 8);
    while code(0b1100_0101, 8) < octets {
        code(0, 5);
    }
    bytes
}

/// Nothing here could hold, or take the time for, what these become.
#[test]
fn bombs_stop_at_the_bound() {
    let certificate = certificate("ed25519");
    let deflate = deflate_bomb(MAX_MESSAGE - 100);
    let bombs = [
        packets(&[(8, &[&[1], deflate.as_slice()].concat())]),
        packets(&[(8, &[&[2, 0x78, 0x9C], deflate.as_slice()].concat())]),
        binary(message("bomb")),
    ];
    for bomb in bombs {
        assert_eq!(outcome(&certificate, &bomb), "it decompresses to more than is read");
    }
}

#[test]
fn cut_short_anywhere() {
    let certificate = certificate("ed25519");
    for name in ["plain", "zlib", "bzip2"] {
        let bytes = binary(message(name));
        for length in 0..bytes.len() {
            assert!(certificate.open(&bytes[..length]).is_err(), "{name} to {length}");
        }
        for length in 0..message(name).trim_end().len() {
            assert!(certificate.open(&message(name).as_bytes()[..length]).is_err(), "{name} to {length}");
        }
    }
    let bytes = binary(armored("subkey"));
    for length in 0..bytes.len() {
        let _ = Certificate::read(bytes[..length].to_vec());
        let _ = Certificate::parse(&armored("subkey")[..length]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn mutated(edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let edit = |mut bytes: Vec<u8>| {
            for (at, octet) in &edits {
                *at.get_mut(&mut bytes) = *octet;
            }
            bytes
        };
        let certificate = certificate("ed25519");
        for name in ["plain", "zlib", "bzip2", "p256"] {
            if let Ok(literal) = certificate.open(&edit(binary(message(name)))) {
                prop_assert_eq!(literal, PAYLOAD);
            }
        }
        for name in ["ed25519", "p256", "subkey", "hard", "rsa2048"] {
            let _ = Certificate::read(edit(binary(armored(name))));
        }
    }

    #[test]
    fn anything(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let certificate = certificate("ed25519");
        prop_assert!(certificate.open(&bytes).is_err());
        prop_assert!(Certificate::read(bytes).is_err());
    }
}
