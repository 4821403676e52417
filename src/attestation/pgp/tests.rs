//! What gpg 2.2.40 made with `--faked-system-time`, in `testdata/certificates` and `testdata/messages`:
//! blocks under a line with their name. Unless said otherwise below, a key named N was made on 2026-01-01
//! with `--quick-gen-key N@example.com ed25519 sign never` (`rsa2048`, `nistp256` and so on for keys named
//! after their kind), exported with `--export --armor`, and signed `attested\n` on 2026-02-01 with
//! `--sign --armor`; `N-before` and `N-after` are from before and after what befell the key.
//!
//! * `subkey`, `revsub`, `subexp`: primary keys that only certify (`cert`), a subkey by `--quick-add-key F
//!   ed25519 sign`; `encr`: RSA that only certifies; `oldhash`: `--cert-digest-algo SHA1`.
//! * `expired`: expires on 2026-03-01; `extended`: the same after `--quick-set-expire F 0`; `subexp`: so
//!   for its subkey. Signed after on 2026-06-01.
//! * `hard`, `noreason`, `superseded`, `soft`: `--gen-revoke` on 2026-06-01 with reason 1, 0, 2, 3;
//!   `revsub`: `revkey` in `--edit-key` with reason 3. Signed after on 2026-10-01.
//! * `usersome`: two user ids, the first withdrawn by `--quick-revoke-uid`; `userless`: only that one,
//!   by `--export-filter`; `certified`: P-256, with a certification by `rsa2048`.
//! * Messages by `ed25519`: `plain`, `zip`, `zlib`, `bzip2` (`--compress-algo`; `p384` is as plain), `notation` and `critical`
//!   (`--sig-notation`), `detached`, `clearsigned`, `two` (with `p256`), `encrypted` (to `subkey`), `text`
//!   (`--textmode`), `expiring` (`--default-sig-expire 1y`). `sha1`: by `rsa2048`, `--digest-algo SHA1`.
//! * `bomb`: a literal packet of 4 GiB of zeros in a bzip2 packet; its signature would come after.

mod hostile;

use std::fmt::Write as _;

use super::super::base64;
use super::packet::{self, Packet, Packets};
use super::*;

const CERTIFICATES: &str = include_str!("testdata/certificates");
const MESSAGES: &str = include_str!("testdata/messages");
const PAYLOAD: &[u8] = b"attested\n";

/// A packet's tag and body.
type Part = (u8, Vec<u8>);

fn block(file: &'static str, name: &str) -> &'static str {
    let mut blocks = file.split("# ").filter_map(|block| block.split_once('\n'));
    blocks.find(|(found, _)| *found == name).unwrap_or_else(|| panic!("no {name}")).1
}

fn armored(name: &str) -> &'static str {
    block(CERTIFICATES, name)
}

fn certificate(name: &str) -> Certificate {
    Certificate::parse(armored(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn message(name: &str) -> &'static str {
    block(MESSAGES, name)
}

fn binary(armored: &str) -> Vec<u8> {
    armor::body(armored, armor::label(armored).unwrap()).unwrap()
}

fn armor(label: &str, bytes: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n\n");
    for line in base64::encode(bytes).as_bytes().chunks(76) {
        writeln!(text, "{}", std::str::from_utf8(line).unwrap()).unwrap();
    }
    text + &format!("-----END {label}-----\n")
}

/// Packets of a new-format header each.
fn packets(packets: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (tag, body) in packets {
        bytes.extend([0xC0 | tag, 0xFF]);
        bytes.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend(*body);
    }
    bytes
}

fn taken_apart(bytes: &[u8]) -> Vec<Part> {
    Packets::new(bytes)
        .map(|packet| packet.unwrap())
        .map(|Packet { tag, body }| (tag, body.into_owned()))
        .collect()
}

fn put_together(parts: &[Part]) -> Vec<u8> {
    packets(&parts.iter().map(|(tag, body)| (*tag, body.as_slice())).collect::<Vec<_>>())
}

/// What came of a message, as a word.
fn outcome(certificate: &Certificate, message: &[u8]) -> String {
    match certificate.open(message) {
        Ok(literal) if literal == PAYLOAD => "opens".to_owned(),
        Ok(_) => "opens to something else".to_owned(),
        Err(PgpMiss::Malformed(cause) | PgpMiss::Unsupported(cause)) => cause,
        Err(miss) => format!("{miss:?}"),
    }
}

mod known_answer {
    pub(super) const ID: &str = "586C09E2C96BBABD7F60C7F00930F022C42FD3D0";
    pub(super) const CERTIFICATE: &str = include_str!("testdata/known-answer.certificate");
    pub(super) const MESSAGE: &str = include_str!("testdata/known-answer.message");
    pub(super) const PAYLOAD: &str = "{
  \"critical\": {
    \"identity\": {
      \"docker-reference\": \"registry.example.com/team/app\"
    },
    \"image\": {
      \"docker-manifest-digest\": \"sha256:abababababababababababababababababababababababababababababababab\"
    },
    \"type\": \"Google cloud binauthz container signature\"
  }
}
";
}

#[test]
fn known_answer() {
    let certificate = Certificate::parse(known_answer::CERTIFICATE).unwrap();
    assert_eq!(certificate.key_id().as_str(), known_answer::ID);
    assert_eq!(certificate.bytes(), binary(known_answer::CERTIFICATE));
    let text = known_answer::MESSAGE;
    let forms = [
        text.as_bytes().to_vec(),
        format!("\n{}  \n", text.replace('\n', " \r\n")).into_bytes(),
        base64::encode(text.as_bytes()).into_bytes(),
        binary(text),
    ];
    for form in forms {
        let literal = certificate.open(&form).unwrap();
        assert_eq!(String::from_utf8(literal).unwrap(), known_answer::PAYLOAD);
    }
    let windows = format!("  {}\r\n", known_answer::CERTIFICATE.replace('\n', "\r\n"));
    assert_eq!(Certificate::parse(&windows).unwrap().bytes(), certificate.bytes());
}

/// Certificate, message, outcome.
const OUTCOMES: &[(&str, &str, &str)] = &[
    ("rsa2048", "rsa2048", "opens"),
    ("rsa4096", "rsa4096", "opens"),
    ("p256", "p256", "opens"),
    ("p384", "p384", "opens"),
    ("p521", "p521", "opens"),
    ("ed25519", "ed25519", "opens"),
    ("subkey", "subkey", "opens"),
    ("oldhash", "oldhash", "opens"),
    ("certified", "certified", "opens"),
    ("usersome", "userless", "opens"),
    ("ed25519", "plain", "opens"),
    ("ed25519", "zip", "opens"),
    ("ed25519", "zlib", "opens"),
    ("ed25519", "bzip2", "opens"),
    ("ed25519", "notation", "opens"),
    ("ed25519", "p256", "UnknownKey"),
    ("p256", "certified", "UnknownKey"),
    ("expired", "expired-before", "opens"),
    ("expired", "expired-after", "Expired"),
    ("extended", "expired-after", "opens"),
    ("subexp", "subexp-before", "opens"),
    ("subexp", "subexp-after", "Expired"),
    ("hard", "hard-before", "Revoked"),
    ("noreason", "noreason-before", "Revoked"),
    ("superseded", "superseded-before", "opens"),
    ("superseded", "superseded-after", "Revoked"),
    ("soft", "soft-before", "opens"),
    ("soft", "soft-after", "Revoked"),
    ("revsub", "revsub-before", "opens"),
    ("revsub", "revsub-after", "Revoked"),
    ("ed25519", "critical", "a critical Notation subpacket"),
    ("ed25519", "detached", "a detached signature"),
    ("ed25519", "clearsigned", "a clearsigned message"),
    ("ed25519", "two", "several signatures"),
    ("ed25519", "encrypted", "an encrypted message"),
    ("ed25519", "text", "a signature over text"),
    ("ed25519", "expiring", "the signature itself expires"),
    ("rsa2048", "sha1", "a signature over SHA1"),
    ("ed25519", "bomb", "it decompresses to more than is read"),
];

#[test]
fn outcomes() {
    for (name, signed, expected) in OUTCOMES {
        let certificate = certificate(name);
        assert_eq!(outcome(&certificate, message(signed).as_bytes()), *expected, "{signed} under {name}");
        let windows = message(signed).replace('\n', "\r\n");
        assert_eq!(outcome(&certificate, windows.as_bytes()), *expected, "{signed} under {name}, CRLF");
    }
}

/// Certificates that are refused, with a part of the reason.
#[test]
fn refused_certificates() {
    let good = armored("ed25519");
    let parts = taken_apart(&binary(good));
    let with = |more: Part, times: usize| {
        let more = std::iter::repeat_n(more, times);
        armor("PGP PUBLIC KEY BLOCK", &put_together(&parts.iter().cloned().chain(more).collect::<Vec<_>>()))
    };
    let first = |edit: &dyn Fn(&mut Part)| {
        let mut parts = parts.clone();
        edit(&mut parts[0]);
        armor("PGP PUBLIC KEY BLOCK", &put_together(&parts))
    };
    let rows = [
        (String::new(), "no BEGIN line"),
        (" ".repeat(MAX_CERTIFICATE + 1), "more than the 262144 allowed"),
        (format!("# mine\n{good}"), "no BEGIN line"),
        (format!("{good}# mine"), "text after the END line"),
        (format!("{good}{good}"), "text after the END line"),
        (good.replacen("\n\n", "\n", 1), "no blank line"),
        (good.split_once("\n=").unwrap().0.to_owned(), "no END line"),
        (good.replace("END PGP PUBLIC", "END PGP PRIVATE"), "does not match"),
        (good.replace("PUBLIC", "PRIVATE"), "private key"),
        (message("ed25519").to_owned(), "another kind"),
        (good.replacen("\n\n", "\n\n!", 1), "not base64"),
        (armor("PGP PUBLIC KEY BLOCK", b"\0"), "does not begin with a public key"),
        (armor("PGP PUBLIC KEY BLOCK", &binary(good)[..100]), "cut short"),
        (with(parts[0].clone(), 1), "more than one"),
        (first(&|packet| packet.0 = packet::SECRET_KEY), "private key"),
        (with((packet::SECRET_SUBKEY, parts[0].1.clone()), 1), "private key"),
        (with((packet::LITERAL, b"b\0\0\0\0\0".to_vec()), 1), "belongs to no certificate"),
        (with((packet::PUBLIC_SUBKEY, parts[0].1.clone()), MAX_SUBKEYS + 1), "more than 64 subkeys"),
        (with(parts[1].clone(), MAX_USER_IDS + 1), "more than 64 user ids"),
        (with(parts[2].clone(), MAX_SIGNATURES + 1), "more than 256 signatures"),
        (with((packet::USER_ID, vec![b'a'; 5000]), 1), "user id that cannot be read"),
        (with((packet::SIGNATURE, vec![4, 0x13]), 1), "signature that cannot be read"),
        (first(&|packet| packet.1[0] = 3), "version 3"),
        (first(&|packet| packet.1[0] = 6), "version 6"),
        (first(&|packet| packet.1.push(0)), "primary key that cannot be read"),
        (armor("PGP PUBLIC KEY BLOCK", &put_together(&parts[..2])), "no valid self-signature"),
        (armored("userless").to_owned(), "no valid self-signature"),
        (armored("rsa1024").to_owned(), "primary key is RSA of 1024 bits"),
        (armored("dsa").to_owned(), "primary key is DSA"),
        (armored("encr").to_owned(), "no key of the certificate may sign"),
    ];
    for (text, part) in rows {
        let error = Certificate::parse(&text).expect_err(part).to_string();
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
    let several = armor("PGP PUBLIC KEY BLOCK", &[binary(good), binary(armored("p256"))].concat());
    assert_eq!(Certificate::parse(&several).unwrap_err(), PgpError::Several);
}

/// gpg makes none of these, so the hash is changed under the signature: it is refused before that shows.
#[test]
fn short_digests() {
    let mut parts = taken_apart(&binary(message("p384")));
    let certificate = certificate("p384");
    for (hash, name) in
        [(1, "MD5"), (3, "RIPEMD160"), (11, "SHA224"), (8, "SHA256, which is too short for the key")]
    {
        (parts[0].1[2], parts[2].1[3]) = (hash, hash);
        assert_eq!(outcome(&certificate, &put_together(&parts)), format!("a signature over {name}"));
    }
    (parts[0].1[2], parts[2].1[3]) = (10, 10);
    assert_eq!(outcome(&certificate, &put_together(&parts)), "BadSignature");
}

/// What the primary key signed and cannot be judged refuses the certificate; what others signed does not.
#[test]
fn signatures_that_cannot_be_judged() {
    let mut md5 = taken_apart(&binary(armored("certified")));
    assert_eq!(md5.len(), 4);
    md5[3].1[3] = 1;
    Certificate::read(put_together(&md5)).unwrap();
    md5[2].1[3] = 1;
    let error = Certificate::read(put_together(&md5)).unwrap_err().to_string();
    assert_eq!(error, "a signature of the primary key on its user id cannot be judged: it is over MD5");
    md5[2].1[0] = 5;
    assert!(Certificate::read(put_together(&md5)).unwrap_err().to_string().contains("unknown version"));
}

/// A subkey counts only with a binding that holds and that it agreed to.
#[test]
fn subkeys_are_bound_both_ways() {
    let parts = taken_apart(&binary(armored("subkey")));
    let tags: Vec<u8> = parts.iter().map(|(tag, _)| *tag).collect();
    assert_eq!(tags, [6, 13, 2, 14, 2, 14, 2]);
    // gpg leaves the subkey's own signature unhashed: issuer (10 octets), then 119 of it.
    let unhashed = parts[4].1.windows(4).position(|octets| octets == [0, 129, 9, 16]).unwrap();
    let mut lonely = parts.clone();
    lonely[4].1.drain(unhashed + 12..unhashed + 131);
    lonely[4].1[unhashed + 1] = 10;
    let mut forged = parts.clone();
    *forged[4].1.last_mut().unwrap() ^= 1;
    let mut unbound = parts.clone();
    unbound.remove(4);
    for (what, parts) in [("lonely", lonely), ("forged", forged), ("unbound", unbound)] {
        assert_eq!(Certificate::read(put_together(&parts)).unwrap_err(), PgpError::NoSigner, "{what}");
    }
}

/// A revocation counts wherever it stands, and only by the primary key.
#[test]
fn revocations_are_by_the_primary_key() {
    let good = taken_apart(&binary(armored("ed25519")));
    let revoked = taken_apart(&binary(armored("hard")));
    let at = revoked.iter().position(|(tag, body)| *tag == packet::SIGNATURE && body[1] == 0x20).unwrap();
    let open = |parts: &[Part], name| {
        outcome(&Certificate::read(put_together(parts)).unwrap(), message(name).as_bytes())
    };
    let foreign: Vec<_> = [&good[..1], &revoked[at..=at], &good[1..]].concat();
    assert_eq!(open(&foreign, "ed25519"), "opens");
    let mut moved = revoked.clone();
    let revocation = moved.remove(at);
    assert_eq!(open(&moved, "hard-before"), "opens");
    moved.push(revocation);
    assert_eq!(open(&moved, "hard-before"), "Revoked");
}

#[test]
fn structure_of_messages() {
    let certificate = certificate("ed25519");
    let plain = taken_apart(&binary(message("plain")));
    let [(4, one_pass), (11, literal), (2, signature)] = plain.as_slice() else { panic!("{plain:?}") };
    let altered = |body: &[u8], at: usize| {
        let mut body = body.to_vec();
        body[at] ^= 1;
        body
    };
    let nested = {
        let inner = packets(&[(4, one_pass), (11, literal), (2, signature)]);
        let once = packets(&[(8, &[&[0], inner.as_slice()].concat())]);
        assert_eq!(outcome(&certificate, &once), "opens");
        [&[0], once.as_slice()].concat()
    };
    let zlib = taken_apart(&binary(message("zlib"))).remove(0).1;
    let partial = {
        let long = [literal.as_slice(), &[b'x'; 600]].concat();
        let mut bytes = packets(&[(4, one_pass)]);
        bytes.extend([0xC0 | 11, 0xE0 | 9]);
        bytes.extend(&long[..512]);
        bytes.push(u8::try_from(long.len() - 512).unwrap());
        bytes.extend(&long[512..]);
        bytes.extend(packets(&[(2, signature)]));
        bytes
    };
    let long = [b"b\0\0\0\0\0", [0; MAX_LITERAL + 1].as_slice()].concat();
    let last = literal.len() - 1;
    let rows: &[(Vec<u8>, &str)] = &[
        (packets(&[(4, one_pass), (11, literal), (2, signature)]), "opens"),
        (packets(&[(2, signature), (11, literal)]), "opens"),
        (packets(&[(4, one_pass), (11, &altered(literal, last)), (2, signature)]), "BadSignature"),
        (
            packets(&[(4, one_pass), (11, literal), (2, &altered(signature, signature.len() - 1))]),
            "BadSignature",
        ),
        (partial, "BadSignature"),
        (packets(&[(4, &altered(one_pass, 2)), (11, literal), (2, signature)]), "do not agree"),
        (packets(&[(4, &altered(one_pass, 12)), (11, literal), (2, signature)]), "do not agree"),
        (packets(&[(4, &altered(one_pass, 5)), (11, literal), (2, signature)]), "name different keys"),
        (packets(&[(4, &one_pass[1..]), (11, literal), (2, signature)]), "cannot be read"),
        (packets(&[(4, one_pass), (11, b"m\0\0\0\0\0"), (2, signature)]), "cannot be read"),
        (packets(&[(4, one_pass), (11, literal), (2, signature), (11, literal)]), "other packets"),
        (packets(&[(11, literal), (2, signature)]), "other packets"),
        (packets(&[(4, one_pass), (11, literal)]), "it has no signature"),
        (packets(&[(11, literal)]), "it has no signature"),
        (packets(&[(2, signature)]), "a detached signature"),
        (packets(&[(8, &nested)]), "or more than once"),
        (packets(&[(4, one_pass), (8, &zlib), (2, signature)]), "compression inside"),
        (packets(&[(8, &[zlib.as_slice(), b"more"].concat())]), "compressed data is damaged"),
        (packets(&[(8, &[9, 9, 9])]), "another compression"),
        (packets(&[(4, one_pass), (11, &long), (2, signature)]), "content is too long"),
        (vec![0x80, 0], "other packets"),
        (vec![0xFF], "cut short"),
        (vec![b' '; MAX_MESSAGE + 1], "it is too long"),
        (Vec::new(), "neither armored text nor packets"),
        (b"aGVsbG8=".to_vec(), "neither armored text nor packets"),
        (armored("ed25519").into(), "a block of another kind"),
    ];
    for (message, part) in rows {
        let outcome = outcome(&certificate, message);
        assert!(outcome.contains(part), "{outcome:?} lacks {part:?}");
    }
}
