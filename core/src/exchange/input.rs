//! Bytes of a reader, with the line they stand on, some of which may be put back.

use std::io::{self, ErrorKind, Read};

const CHUNK_BYTES: usize = 64 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Bytes lent for a while: read them from `at` on.
#[derive(Debug, Default)]
pub(super) struct Lent {
    pub(super) bytes: Vec<u8>,
    pub(super) at: usize,
    pub(super) end: usize,
    again: bool,
}

/// Reads in chunks; what is put back comes first.
#[derive(Debug)]
pub(super) struct Input<R> {
    from: R,
    chunk: Lent,
    again: Lent,
    /// Put back while bytes are lent.
    put_back: Vec<u8>,
    line: u64,
    /// Bytes taken and not put back.
    taken: u64,
    started: bool,
    /// An error that came behind bytes which are not given out yet.
    failed: Option<io::Error>,
}

impl<R: Read> Input<R> {
    pub(super) fn new(from: R) -> Self {
        let chunk = Lent { bytes: vec![0; CHUNK_BYTES], ..Lent::default() };
        let again = Lent { again: true, ..Lent::default() };
        Self { from, chunk, again, put_back: Vec::new(), line: 1, taken: 0, started: false, failed: None }
    }

    /// Lends the bytes that come next; none at the end. They must be given back before the next call.
    pub(super) fn lend(&mut self) -> io::Result<Lent> {
        if self.again.at < self.again.end {
            return Ok(std::mem::take(&mut self.again));
        }
        if self.chunk.at == self.chunk.end {
            self.fill()?;
        }
        Ok(std::mem::take(&mut self.chunk))
    }

    fn fill(&mut self) -> io::Result<()> {
        let chunk = &mut self.chunk;
        (chunk.at, chunk.end) = (0, 0);
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let wanted = if self.started { 1 } else { BYTE_ORDER_MARK.len() + 1 };
        while chunk.end < wanted {
            match self.from.read(chunk.bytes.get_mut(chunk.end..).unwrap_or_default()) {
                Ok(0) => break,
                Ok(count) => chunk.end += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if chunk.end == 0 => return Err(error),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        if !self.started && chunk.bytes.starts_with(BYTE_ORDER_MARK) {
            chunk.at = BYTE_ORDER_MARK.len();
        }
        self.started = true;
        Ok(())
    }

    /// Takes lent bytes back, those up to `at` read; what was put back meanwhile comes before the rest.
    pub(super) fn give_back(&mut self, lent: Lent) {
        let mut bytes = std::mem::take(&mut self.put_back);
        if lent.again {
            if !bytes.is_empty() {
                bytes.extend_from_slice(lent.bytes.get(lent.at..lent.end).unwrap_or_default());
                self.again = Lent { end: bytes.len(), bytes, at: 0, again: true };
            } else if lent.at < lent.end {
                self.again = lent;
            } else {
                self.again = Lent { again: true, ..Lent::default() };
            }
        } else {
            self.chunk = lent;
            self.again = Lent { end: bytes.len(), bytes, at: 0, again: true };
        }
    }

    /// Counts a byte that was read of what is lent.
    pub(super) fn count(&mut self, byte: u8) {
        self.line += u64::from(byte == b'\n');
        self.taken += 1;
    }

    /// Counts bytes without a line break that were read of what is lent.
    pub(super) fn count_run(&mut self, run: usize) {
        self.taken += u64::try_from(run).unwrap_or_default();
    }

    /// Puts bytes in front of what is left; they begin on `line`. Only while bytes are lent.
    pub(super) fn put_back(&mut self, bytes: Vec<u8>, line: u64) {
        self.taken = self.taken.saturating_sub(u64::try_from(bytes.len()).unwrap_or_default());
        (self.put_back, self.line) = (bytes, line);
    }

    /// Whether bytes were put back since they were lent.
    pub(super) fn has_put_back(&self) -> bool {
        !self.put_back.is_empty()
    }

    pub(super) fn line(&self) -> u64 {
        self.line
    }

    pub(super) fn bytes_read(&self) -> u64 {
        self.taken
    }
}
