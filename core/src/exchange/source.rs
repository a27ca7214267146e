//! Where an import reads from: something that can be opened again, or something that flows past once.

use std::fmt;
use std::io::{self, Read};

type Opener<'s> = Box<dyn FnMut() -> io::Result<Box<dyn Read + 's>> + 's>;

/// One file or stream with the name by which it is reported.
pub struct Source<'s> {
    pub(super) name: String,
    pub(super) bytes: Option<u64>,
    opening: Opening<'s>,
}

enum Opening<'s> {
    Again(Opener<'s>),
    Once(Option<Box<dyn Read + 's>>),
}

impl<'s> Source<'s> {
    /// A source that can be read from its start several times, such as a file: its patients are taken
    /// before what refers to them, across all such sources.
    pub fn reopenable<R: Read + 's>(name: impl Into<String>, mut open: impl FnMut() -> io::Result<R> + 's) -> Self {
        let again: Opener<'s> = Box::new(move || open().map(|reader| Box::new(reader) as Box<dyn Read + 's>));
        Self { name: name.into(), bytes: None, opening: Opening::Again(again) }
    }

    /// A source that is read once, such as a pipe: everything is taken as it comes.
    pub fn once(name: impl Into<String>, reader: impl Read + 's) -> Self {
        Self { name: name.into(), bytes: None, opening: Opening::Once(Some(Box::new(reader))) }
    }

    /// Tells its size, for progress.
    #[must_use]
    pub fn with_bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    pub(super) fn is_reopenable(&self) -> bool {
        matches!(self.opening, Opening::Again(_))
    }

    /// A reader at the start; `None` if it was read and cannot be read again.
    pub(super) fn open(&mut self) -> io::Result<Option<Box<dyn Read + 's>>> {
        match &mut self.opening {
            Opening::Again(open) => open().map(Some),
            Opening::Once(reader) => Ok(reader.take()),
        }
    }
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
