//! A stream between two devices, with the two sessions at its ends and what goes wrong with it.

use super::device::Device;
use daybook_core::sync::{Event, Limits, Reason, Session, Side};
use rand::RngExt;
use rand_chacha::ChaCha20Rng;

/// What goes wrong with a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// It ends after so many bytes of both directions, and both ends are told.
    Cut(u64),
    /// What one end sends beyond so many bytes arrives nowhere, and nobody is told.
    Silent {
        /// The end that is not heard.
        end: usize,
        /// The bytes that still arrive.
        after: u64,
    },
}

/// Two devices in conversation.
pub(super) struct Link {
    /// Who calls, and who is called.
    pub between: [usize; 2],
    /// What goes wrong.
    pub fault: Fault,
    /// Steps that both stay once they agree.
    pub stays: u32,
    /// Bytes that each end sent.
    pub sent: [u64; 2],
    /// Whether each end said that both hold the same.
    pub in_sync: [bool; 2],
    /// Whether the program of an end was lost.
    pub broken: bool,
    /// Events that say that something is wrong between two honest devices.
    pub complaints: Vec<String>,
    ends: [Option<Session>; 2],
    wires: [Vec<u8>; 2],
    told: [bool; 2],
    closing: bool,
}

/// What one step of a link did.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Moved {
    /// Whether bytes moved.
    pub bytes: bool,
    /// Whether each end stored something.
    pub stored: [bool; 2],
}

impl Link {
    /// One device calls another.
    pub fn open(devices: &mut [Device], between: [usize; 2], fault: Fault, stays: u32, now_ms: u64) -> Self {
        let mut end = |of: usize, side| {
            devices[of].write_readings();
            let session = devices[of].book().session(side, Limits::default(), now_ms);
            Some(session.expect("a session begins"))
        };
        let ends = [end(between[0], Side::Caller), end(between[1], Side::Called)];
        Self {
            between,
            fault,
            stays,
            sent: [0; 2],
            in_sync: [false; 2],
            broken: false,
            complaints: Vec::new(),
            ends,
            wires: [Vec::new(), Vec::new()],
            told: [false; 2],
            closing: false,
        }
    }

    /// Whether neither end is in conversation any more.
    pub fn is_over(&self) -> bool {
        self.ends.iter().all(Option::is_none)
    }

    /// When something is due at either end.
    pub fn due_ms(&self) -> Option<u64> {
        self.ends.iter().flatten().filter_map(Session::next_timeout_ms).min()
    }

    /// Moves some bytes in each direction and does what is due.
    pub fn step(&mut self, devices: &mut [Device], now_ms: u64, rng: &mut ChaCha20Rng) -> Moved {
        let mut moved = Moved::default();
        for end in 0..2 {
            moved.bytes |= self.send(end, devices, now_ms, rng);
            moved.bytes |= self.arrive(end, devices, now_ms, rng);
            if let Some(session) = &mut self.ends[end] {
                if session.next_timeout_ms().is_some_and(|due| due <= now_ms) {
                    session.handle_timeout(now_ms, devices[self.between[end]].book());
                }
                moved.stored[end] = self.hear(end, devices);
            }
        }
        if matches!(self.fault, Fault::Cut(after) if self.sent[0] + self.sent[1] >= after) {
            self.cut(devices, now_ms);
        }
        self.part(devices, now_ms);
        moved
    }

    fn send(&mut self, end: usize, devices: &mut [Device], now_ms: u64, rng: &mut ChaCha20Rng) -> bool {
        let Some(session) = &mut self.ends[end] else { return false };
        let mut most = 1 << rng.random_range(6..17);
        if let Fault::Cut(after) = self.fault {
            most = most.min(usize::try_from(after.saturating_sub(self.sent[0] + self.sent[1])).unwrap_or(most));
        }
        let mut bytes = session.transmit(most, now_ms, devices[self.between[end]].book());
        let any = !bytes.is_empty();
        if let Fault::Silent { end: silent, after } = self.fault
            && silent == end
        {
            bytes.truncate(usize::try_from(after.saturating_sub(self.sent[end])).unwrap_or(0));
        }
        self.sent[end] += bytes.len() as u64;
        self.wires[1 - end].extend(bytes);
        any
    }

    fn arrive(&mut self, end: usize, devices: &mut [Device], now_ms: u64, rng: &mut ChaCha20Rng) -> bool {
        let wire = &mut self.wires[end];
        let Some(session) = self.ends[end].as_mut().filter(|_| !wire.is_empty()) else { return false };
        let most = (1_usize << rng.random_range(3..18)).min(wire.len());
        let count = if rng.random_bool(0.5) { most } else { rng.random_range(1..=most) };
        let taken = session.receive(&wire[..count], now_ms, devices[self.between[end]].book());
        wire.drain(..taken);
        taken > 0
    }

    /// Takes an end's events; says whether it stored something.
    fn hear(&mut self, end: usize, devices: &mut [Device]) -> bool {
        let device = &mut devices[self.between[end]];
        let (mut stored, Some(session)) = (false, &mut self.ends[end]) else { return false };
        while let Some(event) = session.poll_event() {
            match event {
                Event::Stored { log, seq } => {
                    stored = true;
                    if !device.reaches(&log, seq) {
                        self.complaints.push(format!("{} up to {seq} is said to be stored, and is not", log.short()));
                    }
                }
                Event::InSync => self.in_sync[end] = true,
                Event::Differs | Event::Declined { .. } => self.complaints.push(format!("{event:?}")),
                Event::Ended(reason) => {
                    let silent = matches!(self.fault, Fault::Silent { .. }) && reason.code() == "S-009";
                    if !silent && !matches!(reason, Reason::Closed | Reason::ClosedByPeer | Reason::Cut) {
                        self.complaints.push(format!("ended: {reason}"));
                    }
                }
                _ => {}
            }
        }
        stored
    }

    /// Ends what has come to its end: an end whose session is over and said its last goes, and the other is told
    /// once all that was sent has arrived.
    fn part(&mut self, devices: &mut [Device], now_ms: u64) {
        let live = |end: &Option<Session>| end.as_ref().is_some_and(Session::is_live);
        if !self.closing && self.ends.iter().all(live) && self.in_sync == [true; 2] {
            if self.stays == 0 {
                self.closing = true;
                if let Some(session) = &mut self.ends[0] {
                    session.close(now_ms, devices[self.between[0]].book());
                }
            }
            self.stays = self.stays.saturating_sub(1);
        }
        for end in 0..2 {
            if self.ends[end].as_ref().is_some_and(|session| session.is_ended() && !session.has_output()) {
                self.ends[end] = None;
                self.told[1 - end] = true;
            }
            let unheard = matches!(self.fault, Fault::Silent { end: silent, .. } if silent != end);
            if self.told[end] && self.wires[end].is_empty() && !unheard {
                self.disconnect(end, devices, now_ms);
            }
        }
    }

    fn disconnect(&mut self, end: usize, devices: &mut [Device], now_ms: u64) {
        if let Some(mut session) = self.ends[end].take() {
            session.disconnected(now_ms, devices[self.between[end]].book());
            self.ends[end] = Some(session);
            self.hear(end, devices);
            self.ends[end] = None;
        }
    }

    /// The stream is gone and both ends are told.
    pub fn cut(&mut self, devices: &mut [Device], now_ms: u64) {
        for end in 0..2 {
            self.disconnect(end, devices, now_ms);
        }
    }

    /// The program of one end is gone; the other is told, or hears nothing more.
    pub fn lose(&mut self, device: usize, is_told: bool) {
        for end in (0..2).filter(|end| self.between[*end] == device) {
            self.ends[end] = None;
            self.broken = true;
            self.told[1 - end] = is_told;
            if !is_told {
                self.fault = Fault::Silent { end, after: 0 };
            }
        }
    }

    /// Something was written on a device, or stored by another of its conversations.
    pub fn notice(&mut self, device: usize, devices: &mut [Device], now_ms: u64) {
        for end in (0..2).filter(|end| self.between[*end] == device) {
            if let Some(session) = &mut self.ends[end] {
                session.notice(now_ms, devices[device].book());
            }
        }
    }
}
