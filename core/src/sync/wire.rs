//! Bytes to frames and back: the hello, the handshake, and sealed frames with their lengths.

use super::limits::FRAME_BYTES_MAX;
use super::reason::{Reason, SessionRule};
use crate::clock::{Host, random};
use crate::crypto::{
    AgreementPublic, AgreementSecret, BadNoise, Channel, HANDSHAKE_BYTES, Handshake, Label, Secret, TAG_BYTES, derive,
    same,
};
use crate::id::IncidentId;

/// Random bytes and proof, with which the one who calls begins.
const HELLO_BYTES: usize = 48;
/// What the handshake binds beside the hello.
const PROTOCOL: &[u8] = b"daybook 1 session";

impl From<BadNoise> for Reason {
    fn from(_: BadNoise) -> Self {
        Self::Rule(SessionRule::Noise)
    }
}

enum State {
    /// The called side waits for the hello, with the randomness of its handshake.
    Hello(Box<(AgreementSecret, Secret<32>, IncidentId, Drawn)>),
    /// So many messages of the handshake were exchanged.
    Handshake(Box<Handshake>, usize),
    Open(Box<Channel>),
    Over,
}

/// Randomness that was drawn before it is needed.
struct Drawn([u8; 32]);

impl Host for Drawn {
    fn now_ms(&mut self) -> i64 {
        0
    }

    fn offset_minutes(&mut self) -> i16 {
        0
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for (byte, drawn) in bytes.iter_mut().zip(self.0) {
            *byte = drawn;
        }
    }
}

/// What the handshake gave.
pub struct Opened {
    /// Its hash.
    pub handshake: [u8; 32],
    /// The other side's Noise key.
    pub theirs: AgreementPublic,
}

/// What came of some bytes.
pub enum Came {
    /// Nothing whole yet.
    Nothing,
    /// The handshake is over.
    Opened(Opened),
    /// A frame's text lies in [`Wire::text`].
    Frame,
}

/// One side's bytes.
pub struct Wire {
    state: State,
    /// Bytes of a message that is not whole yet; at most one.
    input: Vec<u8>,
    output: Vec<u8>,
    /// The text of the last frame that came.
    pub text: Vec<u8>,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("output", &self.output.len()).finish_non_exhaustive()
    }
}

impl Wire {
    /// Begins; the side that calls says hello at once, the other waits for it.
    pub fn new(
        initiates: bool,
        own: &AgreementSecret,
        admission: &Secret<32>,
        incident: IncidentId,
        host: &mut dyn Host,
    ) -> Result<Self, Reason> {
        let mut wire = Self { state: State::Over, input: Vec::new(), output: Vec::new(), text: Vec::new() };
        if initiates {
            let drawn: [u8; 16] = random(host);
            let hello = hello(admission, &incident, &drawn);
            let mut handshake = Handshake::new(true, own, admission, &prologue(&incident, &hello), host)?;
            wire.output.extend_from_slice(&hello);
            wire.output.extend(handshake.write()?);
            wire.state = State::Handshake(Box::new(handshake), 1);
        } else {
            let own = AgreementSecret::from_secret(&own.secret());
            wire.state = State::Hello(Box::new((own, admission.clone(), incident, Drawn(random(host)))));
        }
        Ok(wire)
    }

    /// Takes bytes until something is whole; returns how many it took.
    pub fn receive(&mut self, bytes: &[u8]) -> (usize, Result<Came, Reason>) {
        let mut taken = 0;
        loop {
            let need = match self.needed() {
                Ok(need) => need,
                Err(reason) => return (taken, Err(reason)),
            };
            let missing = need.saturating_sub(self.input.len());
            let rest = bytes.get(taken..).unwrap_or_default();
            let piece = rest.get(..missing).unwrap_or(rest);
            self.input.extend_from_slice(piece);
            taken += piece.len();
            if self.input.len() < need {
                return (taken, Ok(Came::Nothing));
            }
            // The length of a frame tells how much more is needed.
            match self.needed() {
                Err(reason) => return (taken, Err(reason)),
                Ok(more) if more > need => continue,
                Ok(_) => {}
            }
            let message = std::mem::take(&mut self.input);
            let came = self.message(&message);
            // Its room is used again.
            self.input = message;
            self.input.clear();
            return (taken, came);
        }
    }

    /// How long the message is that comes next, as far as that is known.
    fn needed(&self) -> Result<usize, Reason> {
        match &self.state {
            State::Hello(_) => Ok(HELLO_BYTES),
            State::Handshake(_, turn) => HANDSHAKE_BYTES.get(*turn).copied().ok_or(Reason::Bug("a fourth message")),
            State::Open(_) => match self.input.first_chunk::<2>() {
                None => Ok(2),
                Some(length) => {
                    let length = usize::from(u16::from_le_bytes(*length));
                    if length <= TAG_BYTES || length > FRAME_BYTES_MAX + TAG_BYTES {
                        return Err(SessionRule::FrameLength.into());
                    }
                    Ok(2 + length)
                }
            },
            State::Over => Err(Reason::Bug("bytes after the end")),
        }
    }

    fn message(&mut self, message: &[u8]) -> Result<Came, Reason> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Hello(waiting) => {
                let (own, admission, incident, mut drawn) = *waiting;
                let theirs = message.first_chunk::<HELLO_BYTES>().ok_or(SessionRule::Hello)?;
                let random = theirs.first_chunk::<16>().ok_or(SessionRule::Hello)?;
                let expected = hello(&admission, &incident, random);
                let proofs = theirs.last_chunk::<32>().zip(expected.last_chunk::<32>());
                if !proofs.is_some_and(|(theirs, ours)| same(theirs, ours)) {
                    return Err(SessionRule::Hello.into());
                }
                let handshake = Handshake::new(false, &own, &admission, &prologue(&incident, theirs), &mut drawn)?;
                self.state = State::Handshake(Box::new(handshake), 0);
                Ok(Came::Nothing)
            }
            State::Handshake(mut handshake, turn) => {
                handshake.read(message)?;
                let mut turn = turn + 1;
                if !handshake.is_finished() {
                    self.output.extend(handshake.write()?);
                    turn += 1;
                }
                if !handshake.is_finished() {
                    self.state = State::Handshake(handshake, turn);
                    return Ok(Came::Nothing);
                }
                let (channel, hash, theirs) = handshake.finish()?;
                self.state = State::Open(Box::new(channel));
                Ok(Came::Opened(Opened { handshake: hash, theirs }))
            }
            State::Open(mut channel) => {
                channel.open(message.get(2..).unwrap_or_default(), &mut self.text)?;
                self.state = State::Open(channel);
                Ok(Came::Frame)
            }
            State::Over => Err(Reason::Bug("bytes after the end")),
        }
    }

    /// Seals a frame of a kind, in as many messages as it needs, behind what waits to be sent.
    pub fn send(&mut self, kind: u8, payload: &[u8]) -> Result<(), Reason> {
        let mut pieces = payload.chunks(FRAME_BYTES_MAX - 1).peekable();
        loop {
            let piece = pieces.next().unwrap_or_default();
            let more = pieces.peek().is_some();
            self.send_message(if more { kind | super::frame::kind::MORE } else { kind }, piece)?;
            if !more {
                return Ok(());
            }
        }
    }

    /// Seals one message behind what waits to be sent.
    pub fn send_message(&mut self, first: u8, payload: &[u8]) -> Result<(), Reason> {
        let State::Open(channel) = &mut self.state else { return Ok(()) };
        let mut text = Vec::with_capacity(payload.len() + 1);
        text.push(first);
        text.extend_from_slice(payload);
        let length = u16::try_from(text.len() + TAG_BYTES).map_err(|_| Reason::Bug("a frame is too long"))?;
        self.output.extend_from_slice(&length.to_le_bytes());
        channel.seal(&text, &mut self.output)?;
        Ok(())
    }

    /// Whether frames can be sent.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Bytes that wait to be sent.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.output.len()
    }

    /// At most `most` bytes to send.
    pub fn transmit(&mut self, most: usize) -> Vec<u8> {
        if most >= self.output.len() {
            return std::mem::take(&mut self.output);
        }
        self.output.drain(..most).collect()
    }

    /// Drops what waits: a stranger gets no answer.
    pub fn silence(&mut self) {
        self.output.clear();
    }
}

/// The bytes with which a session begins.
fn hello(admission: &Secret<32>, incident: &IncidentId, random: &[u8; 16]) -> [u8; HELLO_BYTES] {
    let mut hello = [0; HELLO_BYTES];
    let proof = derive(Label::Hello, &[admission.expose(), incident.as_bytes(), random]);
    for (to, from) in hello.iter_mut().zip(random.iter().chain(&proof)) {
        *to = *from;
    }
    hello
}

fn prologue(incident: &IncidentId, hello: &[u8; HELLO_BYTES]) -> Vec<u8> {
    [PROTOCOL, incident.as_bytes(), hello].concat()
}
