//! A peer that speaks the protocol to the byte and says whatever a test wants.

use crate::host::SeededHost;
use crate::world::World;
use daybook_core::crypto::{Channel, DeviceSecret, HANDSHAKE_BYTES, Handshake, Label, Secret, derive};
use daybook_core::sync::{Event, Reason, Session, Shelf};

/// Kinds of frames, as `docs/protocol.md` numbers them.
pub mod kind {
    #![allow(missing_docs)]
    pub const PING: u8 = 0;
    pub const PATH: u8 = 1;
    pub const ROOTS: u8 = 2;
    pub const ASK: u8 = 3;
    pub const CHILDREN: u8 = 4;
    pub const LEAF: u8 = 5;
    pub const HEADS: u8 = 6;
    pub const TOTALS: u8 = 7;
    pub const RUN: u8 = 8;
    pub const DONE: u8 = 9;
    pub const ACK: u8 = 10;
    pub const DECLINE: u8 = 11;
    pub const WANT: u8 = 12;
    pub const RECEIPT: u8 = 13;
    pub const BYE: u8 = 14;
    pub const KEYS: u8 = 15;
    pub const PARCELS: u8 = 16;
    pub const FLOOD: u8 = 20;
    pub const FORMER: u8 = 21;
    pub const MORE: u8 = 128;
}

/// A peer that calls a session and says what it wants.
#[derive(Debug)]
pub struct Attacker {
    channel: Channel,
    heard: Vec<u8>,
    /// The time.
    pub now_ms: u64,
}

/// The hello that fits an admission secret.
#[must_use]
pub fn hello(world: &World, admission: &Secret<32>) -> Vec<u8> {
    let random = [9; 16];
    let proof = derive(Label::Hello, &[admission.expose(), world.incident.as_bytes(), &random]);
    [&random[..], &proof].concat()
}

/// Begins a handshake as the caller.
#[must_use]
pub fn handshake(world: &World, device: &DeviceSecret, hello: &[u8]) -> Handshake {
    let prologue = [b"daybook 1 session", &world.incident.as_bytes()[..], hello].concat();
    Handshake::new(true, &device.noise, &world.admission, &prologue, &mut SeededHost::new(99)).expect("a handshake")
}

impl Attacker {
    /// Calls a session as the holder of a device key who knows the admission secret.
    pub fn call(world: &World, device: &DeviceSecret, session: &mut Session, book: &mut dyn Shelf) -> Self {
        let hello = hello(world, &world.admission);
        let mut shaking = handshake(world, device, &hello);
        session.receive(&[hello, shaking.write().expect("a message")].concat(), 0, book);
        let answer = session.transmit(usize::MAX, 0, book);
        assert_eq!(answer.len(), HANDSHAKE_BYTES[1], "nothing but the handshake is answered");
        shaking.read(&answer).expect("an answer");
        session.receive(&shaking.write().expect("a message"), 0, book);
        let (channel, ..) = shaking.finish().expect("a channel");
        Self { channel, heard: Vec::new(), now_ms: 0 }
    }

    /// Is called by a session, and shows a path.
    pub fn answer(
        world: &World,
        device: &DeviceSecret,
        path: &[u8],
        session: &mut Session,
        book: &mut dyn Shelf,
    ) -> Self {
        let first = session.transmit(usize::MAX, 0, book);
        let (hello, message) = first.split_at(48);
        let prologue = [b"daybook 1 session", &world.incident.as_bytes()[..], hello].concat();
        let host = &mut SeededHost::new(98);
        let mut shaking = Handshake::new(false, &device.noise, &world.admission, &prologue, host).expect("a handshake");
        shaking.read(message).expect("a message");
        session.receive(&shaking.write().expect("an answer"), 0, book);
        let sent = session.transmit(usize::MAX, 0, book);
        let (last, frames) = sent.split_at(HANDSHAKE_BYTES[2]);
        shaking.read(last).expect("a message");
        let (channel, ..) = shaking.finish().expect("a channel");
        let mut attacker = Self { channel, heard: frames.to_vec(), now_ms: 0 };
        attacker.say(kind::PATH, path, session, book);
        attacker
    }

    /// As [`Attacker::call`], and shows a path.
    pub fn introduced(
        world: &World,
        device: &DeviceSecret,
        path: &[u8],
        session: &mut Session,
        book: &mut dyn Shelf,
    ) -> Self {
        let mut attacker = Self::call(world, device, session, book);
        attacker.say(kind::PATH, path, session, book);
        attacker
    }

    /// The bytes of one frame.
    pub fn sealed(&mut self, kind: u8, payload: &[u8]) -> Vec<u8> {
        let text = [&[kind], payload].concat();
        let mut sealed = u16::try_from(text.len() + 16).expect("short").to_le_bytes().to_vec();
        self.channel.seal(&text, &mut sealed).expect("sealed");
        sealed
    }

    /// Sends one frame, in as many messages as it needs.
    pub fn say(&mut self, kind: u8, payload: &[u8], session: &mut Session, book: &mut dyn Shelf) {
        let (last, pieces) = payload.len().checked_sub(1).map_or((payload, &[][..]), |end| {
            let (pieces, last) = payload.split_at(end / 16_000 * 16_000);
            (last, pieces)
        });
        for piece in pieces.chunks(16_000) {
            let sealed = self.sealed(kind | self::kind::MORE, piece);
            session.receive(&sealed, self.now_ms, book);
        }
        let sealed = self.sealed(kind, last);
        session.receive(&sealed, self.now_ms, book);
    }

    /// Frames that the session has sent: kinds and payloads.
    pub fn hear(&mut self, session: &mut Session, book: &mut dyn Shelf) -> Vec<(u8, Vec<u8>)> {
        loop {
            let sent = session.transmit(usize::MAX, self.now_ms, book);
            if sent.is_empty() {
                break;
            }
            self.heard.extend(sent);
        }
        let (mut frames, mut text) = (Vec::new(), Vec::new());
        while let Some(length) = self.heard.first_chunk::<2>().map(|length| usize::from(u16::from_le_bytes(*length))) {
            if self.heard.len() < 2 + length {
                break;
            }
            self.channel.open(&self.heard[2..2 + length], &mut text).expect("a frame of the session");
            frames.push((text[0], text[1..].to_vec()));
            self.heard.drain(..2 + length);
        }
        frames
    }
}

impl Attacker {
    /// Takes all that the session sends, unread; true if it ended.
    pub fn hear_until_closed(&mut self, session: &mut Session, book: &mut dyn Shelf) -> bool {
        while !session.transmit(usize::MAX, self.now_ms, book).is_empty() {}
        ended(session).is_some()
    }
}

/// Why a session ended, with everything that it told before.
pub fn ended(session: &mut Session) -> Option<Reason> {
    std::iter::from_fn(|| session.poll_event())
        .find_map(|event| if let Event::Ended(reason) = event { Some(reason) } else { None })
}
