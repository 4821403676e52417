//! Reading an attached message down to its one signature and its content, before any verification.

use std::io::Read as _;

use pgp::packet::{Decompressor, Signature, SignatureType};

use super::super::base64;
use super::packet::{self, Packet, Packets};
use super::{MAX_LITERAL, MAX_MESSAGE, PgpMiss, armor};

/// What a compressed packet may hold: the content, and room for headers and the signature.
const MAX_DECOMPRESSED: usize = MAX_LITERAL + 64 * 1024;
/// Octets that are read in the time that bzip2, the slowest, takes to unpack one.
const UNPACKING: usize = 16;
/// More packets than any accepted message has.
const MAX_PACKETS: usize = 4;
/// Whatever begins a packet has it set, and no text does.
const PACKET_BIT: u8 = 0x80;

/// A message that is signed once, over bytes; not verified.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) signature: Signature,
    pub(super) literal: Vec<u8>,
    /// The key that the packet before the content announces; absent in the old order, where the
    /// signature itself comes first.
    pub(super) one_pass_id: Option<[u8; 8]>,
}

impl Message {
    /// Adds to `octets` what it reads and unpacks.
    pub(super) fn read(message: &[u8], octets: &mut usize) -> Result<Self, PgpMiss> {
        if message.len() > MAX_MESSAGE {
            return Err(malformed("it is too long"));
        }
        *octets += message.len();
        if message.first().is_some_and(|first| first & PACKET_BIT != 0) {
            return Self::compressed_or_signed(message, octets);
        }
        let text = std::str::from_utf8(message).map_err(|_| malformed("neither text nor packets"))?;
        if let Some(label) = armor::label(text) {
            return Self::armored(text, label, octets);
        }
        let text: String = text.split_ascii_whitespace().collect();
        let decoded = base64::decode(&text).and_then(|bytes| String::from_utf8(bytes).ok());
        match decoded.as_deref().map(|text| (text, armor::label(text))) {
            Some((text, Some(label))) => Self::armored(text, label, octets),
            _ => Err(malformed("neither armored text nor packets")),
        }
    }

    fn armored(text: &str, label: &str, octets: &mut usize) -> Result<Self, PgpMiss> {
        match label {
            "PGP MESSAGE" => {
                Self::compressed_or_signed(&armor::body(text, label).map_err(malformed)?, octets)
            }
            "PGP SIGNED MESSAGE" => Err(unsupported("a clearsigned message")),
            "PGP SIGNATURE" => Err(unsupported("a detached signature")),
            _ => Err(malformed("a block of another kind")),
        }
    }

    fn compressed_or_signed(bytes: &[u8], octets: &mut usize) -> Result<Self, PgpMiss> {
        let packets = packets(bytes)?;
        match packets.as_slice() {
            [Packet { tag: packet::COMPRESSED, body }] => {
                Self::signed(&self::packets(&decompress(body, octets)?)?)
            }
            packets => Self::signed(packets),
        }
    }

    fn signed(packets: &[Packet<'_>]) -> Result<Self, PgpMiss> {
        use packet::{LITERAL, ONE_PASS_SIGNATURE, SIGNATURE};
        let (one_pass, literal, signature) = match packets {
            [
                Packet { tag: ONE_PASS_SIGNATURE, body: one_pass },
                Packet { tag: LITERAL, body: literal },
                Packet { tag: SIGNATURE, body: signature },
            ] => (Some(one_pass.as_ref()), literal, signature),
            [Packet { tag: SIGNATURE, body: signature }, Packet { tag: LITERAL, body: literal }] => {
                (None, literal, signature)
            }
            other => return Err(refusal(other)),
        };
        let literal = content(literal).ok_or_else(|| malformed("a literal packet that cannot be read"))?;
        if literal.len() > MAX_LITERAL {
            return Err(malformed("its content is too long"));
        }
        let signature = packet::signature(signature).ok_or_else(|| malformed("an unreadable signature"))?;
        match signature.typ() {
            Some(SignatureType::Binary) => {}
            Some(SignatureType::Text) => return Err(unsupported("a signature over text")),
            Some(_) => return Err(unsupported("a signature that is not over data")),
            None => return Err(unsupported("a signature of an unknown version")),
        }
        let one_pass_id = one_pass.map(|one_pass| announced(one_pass, &signature)).transpose()?;
        Ok(Self { signature, literal: literal.to_vec(), one_pass_id })
    }
}

fn packets(bytes: &[u8]) -> Result<Vec<Packet<'_>>, PgpMiss> {
    let packets = Packets::new(bytes).take(MAX_PACKETS).collect::<Result<Vec<_>, _>>();
    packets.map_err(|_| malformed("a packet is cut short or has no valid header"))
}

/// Stops at the bound, whatever the compressed bytes would become.
fn decompress(body: &[u8], octets: &mut usize) -> Result<Vec<u8>, PgpMiss> {
    let mut reader = Decompressor::from_reader(body).map_err(|_| unsupported("another compression"))?;
    let mut bytes = Vec::new();
    let bound = u64::try_from(MAX_DECOMPRESSED).unwrap_or(u64::MAX);
    let read = reader.by_ref().take(bound + 1).read_to_end(&mut bytes);
    *octets += bytes.len() * UNPACKING;
    if bytes.len() > MAX_DECOMPRESSED {
        return Err(malformed("it decompresses to more than is read"));
    }
    if read.is_err() || !reader.get_ref().is_empty() {
        return Err(malformed("its compressed data is damaged"));
    }
    Ok(bytes)
}

/// The bytes behind format, file name and date, none of which is signed.
fn content(literal: &[u8]) -> Option<&[u8]> {
    let (format, rest) = literal.split_first()?;
    let (name_length, rest) = rest.split_first()?;
    let (_date, content) = rest.get(usize::from(*name_length)..)?.split_at_checked(4)?;
    matches!(format, b'b' | b't' | b'u').then_some(content)
}

/// The key that a one-pass signature of version 3 names, where the rest of it says what the signature
/// says (RFC 9580, section 5.4).
fn announced(one_pass: &[u8], signature: &Signature) -> Result<[u8; 8], PgpMiss> {
    let fields: Option<&[u8; 13]> = one_pass.first_chunk().filter(|fields| fields.len() == one_pass.len());
    let Some(&[version, kind, hash, algorithm, ref rest @ ..]) = fields else {
        return Err(malformed("a one-pass signature that cannot be read"));
    };
    let [id @ .., last] = rest;
    let agrees = version == 3
        && *last != 0
        && signature.config().is_some_and(|config| {
            kind == u8::from(config.typ)
                && hash == u8::from(config.hash_alg)
                && algorithm == u8::from(config.pub_alg)
        });
    if agrees { Ok(*id) } else { Err(malformed("signature and one-pass signature do not agree")) }
}

/// Why packets are no accepted message.
fn refusal(packets: &[Packet<'_>]) -> PgpMiss {
    let has = |tags: &[u8]| packets.iter().any(|packet| tags.contains(&packet.tag));
    let count = |tag| packets.iter().filter(|packet| packet.tag == tag).count();
    let encrypted = [
        packet::PUBLIC_KEY_ENCRYPTED,
        packet::SYMMETRIC_KEY_ENCRYPTED,
        packet::ENCRYPTED,
        packet::ENCRYPTED_PROTECTED,
        packet::ENCRYPTED_AEAD,
    ];
    if has(&encrypted) {
        unsupported("an encrypted message")
    } else if count(packet::SIGNATURE).max(count(packet::ONE_PASS_SIGNATURE)) > 1 {
        unsupported("several signatures")
    } else if has(&[packet::COMPRESSED]) {
        unsupported("compression inside of it, or more than once")
    } else if has(&[packet::SIGNATURE]) && !has(&[packet::LITERAL]) {
        unsupported("a detached signature")
    } else if has(&[packet::LITERAL]) && !has(&[packet::SIGNATURE]) {
        malformed("it has no signature")
    } else {
        malformed("other packets than a signature and what it signs")
    }
}

fn malformed(cause: &str) -> PgpMiss {
    PgpMiss::Malformed(cause.to_owned())
}

fn unsupported(cause: &str) -> PgpMiss {
    PgpMiss::Unsupported(cause.to_owned())
}
