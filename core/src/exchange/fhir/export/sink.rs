//! Where exported resources go: one Bundle, or NDJSON files by type.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

/// Resources after which an NDJSON file is followed by the next of its type.
pub const RESOURCES_PER_FILE: u64 = 100_000;

/// Takes resources one by one.
pub trait Sink {
    /// Writes one resource.
    ///
    /// # Errors
    /// Those of the writers behind it, as with all methods here.
    fn write(&mut self, resource_type: &'static str, resource: &Value) -> io::Result<()>;

    /// Writes what is left and flushes.
    ///
    /// # Errors
    /// Those of the writers behind it.
    fn finish(&mut self) -> io::Result<()>;
}

/// One Bundle of type `collection`, an entry a line.
#[derive(Debug)]
pub struct Bundle<W> {
    to: W,
    entries: u64,
}

impl<W: Write> Bundle<W> {
    /// Starts a Bundle.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn new(mut to: W) -> io::Result<Self> {
        to.write_all(b"{\"resourceType\":\"Bundle\",\"type\":\"collection\"")?;
        Ok(Self { to, entries: 0 })
    }

    /// The writer.
    pub fn into_inner(self) -> W {
        self.to
    }
}

impl<W: Write> Sink for Bundle<W> {
    fn write(&mut self, _: &'static str, resource: &Value) -> io::Result<()> {
        self.to.write_all(if self.entries == 0 { b",\"entry\":[\n" } else { b",\n" })?;
        self.to.write_all(b"{\"resource\":")?;
        serde_json::to_writer(&mut self.to, resource)?;
        self.entries += 1;
        self.to.write_all(b"}")
    }

    fn finish(&mut self) -> io::Result<()> {
        self.to.write_all(if self.entries == 0 { b"}\n" } else { b"\n]}\n" })?;
        self.to.flush()
    }
}

/// One resource a line, files `Patient.000.ndjson` and so on by type.
pub struct Ndjson<W, O> {
    open: O,
    files: BTreeMap<&'static str, (W, u64)>,
}

impl<W: Write, O: FnMut(&str) -> io::Result<W>> Ndjson<W, O> {
    /// Starts an export whose files `open` makes, by name.
    pub fn new(open: O) -> Self {
        Self { open, files: BTreeMap::new() }
    }
}

impl<W, O> fmt::Debug for Ndjson<W, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ndjson").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl<W: Write, O: FnMut(&str) -> io::Result<W>> Sink for Ndjson<W, O> {
    fn write(&mut self, resource_type: &'static str, resource: &Value) -> io::Result<()> {
        let written = self.files.get(resource_type).map_or(0, |(_, written)| *written);
        if written.is_multiple_of(RESOURCES_PER_FILE) {
            if let Some((file, _)) = self.files.get_mut(resource_type) {
                file.flush()?;
            }
            let file = (self.open)(&format!("{resource_type}.{:03}.ndjson", written / RESOURCES_PER_FILE))?;
            self.files.insert(resource_type, (file, written));
        }
        if let Some((file, written)) = self.files.get_mut(resource_type) {
            serde_json::to_writer(&mut *file, resource)?;
            file.write_all(b"\n")?;
            *written += 1;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.files.values_mut().try_for_each(|(file, _)| file.flush())
    }
}
