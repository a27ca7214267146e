//! The write-ahead log as bytes: how far it is as it was written, and whether more was written than that.
//!
//! ```text
//! header = magic 4 | version 4 | page size 4 | number 4 | salts 8 | checksum 8
//! frame  = page number 4 | pages of the database, if it ends a commit, else 0, 4 | salts 8 | checksum 8 | page
//! ```
//!
//! Numbers are big-endian. A frame's checksum goes on from that of the frame before, so SQLite takes the log up to
//! the first one that does not fit for all there is. After loss of power that is right: what follows was never
//! confirmed. After damage it is not, and nothing in the log tells the two apart: commits that nobody waits for are not
//! synced one by one. So after every commit that was, a *mark* beside the log tells how far it was durable. The mark
//! itself is not synced: it may be old or missing after loss of power, and is never ahead of the log.
//!
//! ```text
//! mark   = salts 8 | frames 4 | the same frames again 4, all bits turned
//! ```

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// Magic of a log whose checksums are over little-endian words; with the last bit set, big-endian.
const MAGIC: u32 = 0x377f_0682;

/// One frame that was looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// The page that it holds.
    pub page: u32,
    /// Where the page lies in the file.
    pub offset: u64,
    ends_commit: bool,
    /// Whether it goes on from the frame before it.
    linked: bool,
    current: bool,
}

/// What a log holds.
#[derive(Default, Debug)]
pub(super) struct Wal {
    header_fits: bool,
    frames: Vec<Frame>,
    /// Frames that SQLite sees: up to the last commit before the chain breaks.
    sound: usize,
    /// Frames that were confirmed or may have been.
    written: usize,
    damaged: bool,
    salts: [u8; 8],
}

impl Wal {
    /// Reads a log. One that is shorter than its header, or all zeros there, was never begun.
    pub fn read(file: &mut (impl Read + Seek), page_bytes: usize) -> io::Result<Self> {
        let mut header = [0; HEADER_BYTES];
        file.seek(SeekFrom::Start(0))?;
        if fill(file, &mut header)? < HEADER_BYTES || header == [0; HEADER_BYTES] {
            return Ok(Self::default());
        }
        let magic = word(&header, 0);
        let big = magic == MAGIC | 1;
        let (head, sum) = header.split_at(24);
        let own = (word(sum, 0), word(sum, 4));
        let header_fits = (magic | 1) == (MAGIC | 1) && checksum((0, 0), head, big) == own;
        let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes];
        let (mut frames, mut before, mut offset) = (Vec::new(), own, HEADER_BYTES as u64);
        let mut salts: [u8; 8] = head.last_chunk().copied().unwrap_or_default();
        while fill(file, &mut frame)? == frame.len() {
            let (head, page) = frame.split_at(FRAME_HEADER_BYTES);
            let of_frame: [u8; 8] = head.get(8..16).and_then(|s| s.try_into().ok()).unwrap_or_default();
            if !header_fits && frames.is_empty() {
                salts = of_frame;
            }
            let sum = checksum(checksum(before, head.get(..8).unwrap_or_default(), big), page, big);
            before = (word(head, 16), word(head, 20));
            frames.push(Frame {
                page: word(head, 0),
                offset: offset + FRAME_HEADER_BYTES as u64,
                ends_commit: word(head, 4) != 0,
                linked: sum == before && of_frame == salts,
                current: of_frame == salts,
            });
            offset += frame.len() as u64;
        }
        Ok(Self::judged(frames, header_fits, salts))
    }

    fn judged(frames: Vec<Frame>, header_fits: bool, salts: [u8; 8]) -> Self {
        let chain = if header_fits { frames.iter().take_while(|frame| frame.linked).count() } else { 0 };
        let last_commit = |upto: usize| frames.iter().take(upto).rposition(|f| f.ends_commit).map_or(0, |at| at + 1);
        let sound = last_commit(chain);
        // The last commit behind the break that a later frame goes on from: most likely it was confirmed.
        let confirmed = frames
            .windows(2)
            .rposition(|pair| matches!(pair, [one, next] if one.current && one.ends_commit && next.linked))
            .map_or(0, |at| at + 1);
        let mut written = sound.max(confirmed);
        let more = frames.iter().skip(written).take_while(|frame| frame.linked).count();
        written = written.max(last_commit(written + more));
        Self { header_fits, frames, sound, written, damaged: false, salts }
    }

    /// Whether something that was confirmed lies behind what SQLite sees.
    pub const fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// The frames that were confirmed, or may have been, in order.
    pub fn written(&self) -> &[Frame] {
        self.frames.get(..self.written).unwrap_or_default()
    }

    /// Takes what the mark beside the log says into account: frames up to there were confirmed.
    pub fn judge_by(&mut self, mark: &Mark) {
        let lost = !self.header_fits || mark.frames > self.sound;
        if mark.salts == self.salts && mark.frames > 0 && lost {
            self.damaged = true;
            self.written = self.written.max(mark.frames.min(self.frames.len()));
        }
    }
}

/// How far a log was durable after a commit that was synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mark {
    frames: usize,
    salts: [u8; 8],
}

const MARK_BYTES: usize = 16;

impl Mark {
    /// Reads the mark of a log; `None` if there is none, or it is damaged itself.
    pub fn read(path: &Path) -> Option<Self> {
        let mut bytes = [0; MARK_BYTES];
        if fill(&mut File::open(path).ok()?, &mut bytes).ok()? < bytes.len() {
            return None;
        }
        let (salts, frames) = bytes.split_at(8);
        let frames_again = !word(frames, 4);
        if word(frames, 0) != frames_again {
            return None;
        }
        Some(Self { frames: usize::try_from(frames_again).ok()?, salts: salts.try_into().ok()? })
    }
}

/// The files by which a handle marks how far the log is durable. Neither is one that SQLite locks: to close those
/// would take away the locks of the whole process.
#[derive(Debug)]
pub(in crate::store) struct Marker {
    log: File,
    mark: File,
}

impl Marker {
    /// Opens the log, which is there once something was written, and the file of the mark.
    pub fn open(path: &Path) -> Option<Self> {
        let log = File::open(super::beside(path, "-wal")).ok()?;
        let mark = File::options().write(true).create(true).truncate(false).open(super::beside(path, MARK)).ok()?;
        Some(Self { log, mark })
    }

    /// Marks that so many frames are durable. What cannot be marked is durable all the same.
    pub fn set(&self, frames: u32) -> Option<()> {
        let mut salts = [0; 8];
        self.log.read_exact_at(&mut salts, 16).ok()?;
        let mark = [&salts[..], &frames.to_be_bytes(), &(!frames).to_be_bytes()].concat();
        self.mark.write_all_at(&mark, 0).ok()
    }
}

/// Ending of the name of the mark.
pub(super) const MARK: &str = "-mark";

/// Whether the log beside a database lost what was confirmed. A log that another process began anew meanwhile is
/// looked at again.
pub(super) fn is_damaged(path: &Path, page_bytes: usize) -> io::Result<bool> {
    let log = super::beside(path, "-wal");
    for _ in 0..4 {
        let Some(mark) = Mark::read(&super::beside(path, MARK)) else { return Ok(false) };
        let mut file = match File::open(&log) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut wal = Wal::read(&mut file, page_bytes)?;
        wal.judge_by(&mark);
        if !wal.is_damaged() {
            return Ok(false);
        }
        let mut header = [0; HEADER_BYTES];
        file.seek(SeekFrom::Start(0))?;
        let whole = fill(&mut file, &mut header)? == HEADER_BYTES;
        if whole && (header.get(16..24) == Some(&wal.salts) || !wal.header_fits) {
            return Ok(true);
        }
    }
    Ok(true)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// SQLite's checksum of a piece of the log, going on from another.
fn checksum((mut one, mut two): (u32, u32), bytes: &[u8], big: bool) -> (u32, u32) {
    let number = |bytes: &[u8; 4]| if big { u32::from_be_bytes(*bytes) } else { u32::from_le_bytes(*bytes) };
    let (pairs, _) = bytes.as_chunks::<8>();
    for pair in pairs {
        if let ([first, second], _) = pair.as_chunks::<4>() {
            one = one.wrapping_add(number(first)).wrapping_add(two);
            two = two.wrapping_add(number(second)).wrapping_add(one);
        }
    }
    (one, two)
}

/// Reads until the buffer is full or the file ends.
pub(super) fn fill(from: &mut impl Read, to: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = to.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
