//! Packet framing (RFC 9580, section 4.2): where a packet begins and ends, and nothing of what is inside.

use std::borrow::Cow;

use pgp::packet::{PacketHeader, Signature, UserId};
use pgp::types::Tag;

pub(super) const PUBLIC_KEY_ENCRYPTED: u8 = 1;
pub(super) const SIGNATURE: u8 = 2;
pub(super) const SYMMETRIC_KEY_ENCRYPTED: u8 = 3;
pub(super) const ONE_PASS_SIGNATURE: u8 = 4;
pub(super) const SECRET_KEY: u8 = 5;
pub(super) const PUBLIC_KEY: u8 = 6;
pub(super) const SECRET_SUBKEY: u8 = 7;
pub(super) const COMPRESSED: u8 = 8;
pub(super) const ENCRYPTED: u8 = 9;
pub(super) const LITERAL: u8 = 11;
pub(super) const USER_ID: u8 = 13;
pub(super) const PUBLIC_SUBKEY: u8 = 14;
pub(super) const USER_ATTRIBUTE: u8 = 17;
pub(super) const ENCRYPTED_PROTECTED: u8 = 18;
pub(super) const ENCRYPTED_AEAD: u8 = 20;

/// One packet. The body is copied only where it came in parts.
#[derive(Debug)]
pub(super) struct Packet<'a> {
    pub(super) tag: u8,
    pub(super) body: Cow<'a, [u8]>,
}

/// The packets of some bytes, up to the first that is cut short or has no valid header.
#[derive(Debug)]
pub(super) struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Packets<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self, octets: usize) -> Option<usize> {
        let octets = self.take(octets)?;
        Some(octets.iter().fold(0, |number, octet| (number << 8) | usize::from(*octet)))
    }

    fn packet(&mut self) -> Option<Packet<'a>> {
        let header = self.number(1)?;
        match header >> 6 {
            0b11 => {
                let tag = (header & 0b11_1111) as u8;
                Some(Packet { tag, body: self.new_format(tag)? })
            }
            0b10 => {
                let length = match header & 0b11 {
                    0 => self.number(1)?,
                    1 => self.number(2)?,
                    2 => self.number(4)?,
                    _ => self.rest.len(),
                };
                let tag = (header >> 2 & 0b1111) as u8;
                Some(Packet { tag, body: Cow::Borrowed(self.take(length)?) })
            }
            _ => None,
        }
    }

    /// Only packets that hold data may come in parts; the parts cannot hold more than there is input.
    fn new_format(&mut self, tag: u8) -> Option<Cow<'a, [u8]>> {
        let may_be_partial = matches!(tag, COMPRESSED | ENCRYPTED | LITERAL | ENCRYPTED_PROTECTED);
        let mut parts: Option<Vec<u8>> = None;
        loop {
            let (length, partial) = match self.number(1)? {
                short @ 0..192 => (short, false),
                first @ 192..224 => (((first - 192) << 8) + self.number(1)? + 192, false),
                255 => (self.number(4)?, false),
                exponent => (1 << (exponent & 0b1_1111), true),
            };
            if partial && !may_be_partial {
                return None;
            }
            let part = self.take(length)?;
            match (&mut parts, partial) {
                (None, false) => return Some(Cow::Borrowed(part)),
                (parts, _) => parts.get_or_insert_default().extend_from_slice(part),
            }
            if !partial {
                return parts.map(Cow::Owned);
            }
        }
    }
}

/// Bytes that are no packets.
#[derive(Debug)]
pub(super) struct Damaged;

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let packet = self.packet();
        if packet.is_none() {
            self.rest = &[];
        }
        Some(packet.ok_or(Damaged))
    }
}

/// The header that the library wants beside a body; lengths of other headers never reach it.
pub(super) fn header(tag: Tag, body: &[u8]) -> PacketHeader {
    PacketHeader::new_fixed(tag, u32::try_from(body.len()).unwrap_or(u32::MAX))
}

/// A signature packet that ends where its body does.
pub(super) fn signature(body: &[u8]) -> Option<Signature> {
    let mut rest = body;
    let signature = Signature::try_from_reader(header(Tag::Signature, body), &mut rest).ok()?;
    rest.is_empty().then_some(signature)
}

pub(super) fn user_id(body: &[u8]) -> Option<UserId> {
    UserId::try_from_reader(header(Tag::UserId, body), body).ok()
}
