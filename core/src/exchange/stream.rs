//! Splits a stream of FHIR into single resources, in bounded memory.
//!
//! Takes NDJSON (one resource a line), one resource, or a Bundle of any size, and tells them apart by
//! itself: a top-level object whose `entry` is an array and that is not said to be of another type is a
//! Bundle, and each of its entries' `resource` is given out. What cannot be read is given out as a fault
//! with its line, and reading goes on with the next line (NDJSON) or the next entry (Bundle).
//!
//! ```text
//!            '{'           "entry": [                "resource": {
//!   Top  ---------> Object ----------> Entries <------------------> Resource
//!    ^ ^              |                   | ']'                        | not JSON
//!    | '-- '}' -------'                   v                            v
//!    '----- '}' ----------------------- Tail               SeekEntry -----> Entries
//! ```

use super::input::{Input, Lent};
use super::piece::{Building, Fault, Piece, RESOURCE_DEPTH_MAX, RESOURCE_VALUES_MAX};
use super::structure::{Step, Structure};
use std::io::{self, Read};

/// The beginnings of an entry that are looked for behind a broken one.
const ENTRY_STARTS: [&[u8]; 2] = [b"{\"resource\":", b"{\"fullUrl\":"];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// Between top-level objects.
    Top,
    /// In a top-level object that may be a resource or a Bundle.
    Object,
    /// In a Bundle's entries, not in a resource.
    Entries,
    /// In the resource of an entry.
    Resource,
    /// In a Bundle, behind its entries.
    Tail,
    /// Behind something that is not JSON: passes over the rest of the line.
    SkipLine,
    /// At the start of a line, looking for one that begins an object with a key; `true` behind its brace.
    Seek(bool),
    /// Behind a broken entry, looking for the next one; holds how much of its beginning was found.
    SeekEntry,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Member {
    Type,
    Id,
    Entry,
    Resource,
    Other,
}

/// Gives out one resource after another; holds at most one.
#[derive(Debug)]
pub struct Splitter<R> {
    input: Input<R>,
    structure: Structure,
    place: Place,
    member: Member,
    building: Building,
    /// Whether a line break ends whatever began before it.
    lines: bool,
    /// Whether any resource was seen.
    any: bool,
    /// Whether a fault was reported that covers everything up to the next resource.
    seeking: bool,
    /// Position up to which a broken Bundle was read a second time; it is not read a third time.
    again_until: u64,
    sought: Vec<u8>,
}

impl<R: Read> Splitter<R> {
    /// Starts at the first byte; a byte order mark is passed over.
    pub fn new(from: R) -> Self {
        Self {
            input: Input::new(from),
            structure: Structure::new(),
            place: Place::Top,
            member: Member::Other,
            building: Building::new(1),
            lines: false,
            any: false,
            seeking: false,
            again_until: 0,
            sought: Vec::new(),
        }
    }

    /// How many bytes were read so far.
    pub fn bytes_read(&self) -> u64 {
        self.input.bytes_read()
    }

    /// The line that is being read, from 1.
    pub fn line(&self) -> u64 {
        self.input.line()
    }

    /// The next resource or fault; `None` at the end. Linear in the bytes read.
    ///
    /// # Errors
    /// Those of the reader; what was given out before stays valid.
    pub fn next_piece(&mut self) -> io::Result<Option<Piece>> {
        loop {
            let mut lent = self.input.lend()?;
            let at_end = lent.at == lent.end;
            let piece = if at_end { self.end() } else { self.read(&mut lent) };
            self.input.give_back(lent);
            if piece.is_some() || at_end {
                return Ok(piece);
            }
        }
    }

    /// Reads lent bytes up to the end of a piece, or as far as they go.
    fn read(&mut self, lent: &mut Lent) -> Option<Piece> {
        while let Some(rest) = lent.bytes.get(lent.at..lent.end)
            && let Some(&byte) = rest.first()
            && !self.input.has_put_back()
        {
            if matches!(self.place, Place::Object | Place::Entries | Place::Resource | Place::Tail) {
                let run = self.structure.plain(rest);
                if run > 0 {
                    if matches!(self.place, Place::Object | Place::Resource) {
                        self.building.extend(rest.get(..run).unwrap_or_default());
                    }
                    self.input.count_run(run);
                    lent.at += run;
                    continue;
                }
            }
            self.input.count(byte);
            lent.at += 1;
            let piece = self.byte(byte);
            if piece.is_some() {
                return piece;
            }
        }
        None
    }

    fn byte(&mut self, byte: u8) -> Option<Piece> {
        if byte == b'\n' && self.lines {
            return self.line_end();
        }
        match self.place {
            Place::Top => self.top(byte),
            Place::Object => self.object(byte),
            Place::Entries => self.entries(byte),
            Place::Resource => self.resource(byte),
            Place::Tail => self.tail(byte),
            Place::SkipLine => {
                if byte == b'\n' {
                    self.start_line();
                }
                None
            }
            Place::Seek(brace) => {
                self.seek(byte, brace);
                None
            }
            Place::SeekEntry => {
                self.seek_entry(byte);
                None
            }
        }
    }

    fn top(&mut self, byte: u8) -> Option<Piece> {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => None,
            b'{' => {
                self.structure = Structure::new();
                self.structure.step(byte);
                self.begin(byte);
                self.place = Place::Object;
                None
            }
            _ => {
                self.place = Place::SkipLine;
                let told = self.seeking;
                self.seeking |= !self.any;
                (!told).then(|| Building::new(self.input.line()).into_fault(Fault::NotJson))
            }
        }
    }

    fn object(&mut self, byte: u8) -> Option<Piece> {
        self.building.push(byte);
        match self.structure.step(byte) {
            Step::Within => {}
            Step::Opened if self.structure.depth() == 2 && byte == b'[' && self.opens_entries() => {
                self.building = Building::new(self.building.line);
                self.structure.watch(3);
                self.place = Place::Entries;
            }
            Step::Closed if self.structure.depth() == 0 => {
                self.lines |= self.building.line == self.input.line();
                self.place = Place::Top;
                return Some(self.complete());
            }
            Step::Broken if self.building.resource_type.as_deref() == Some("Bundle") => {
                return Some(self.broken_entry(true, byte));
            }
            Step::Broken => return Some(self.broken_object(Fault::NotJson, byte == b'\n')),
            step => self.head(step, 1),
        }
        None
    }

    fn opens_entries(&self) -> bool {
        self.member == Member::Entry && self.building.resource_type.as_deref().is_none_or(|kind| kind == "Bundle")
    }

    fn entries(&mut self, byte: u8) -> Option<Piece> {
        let step = self.structure.step(byte);
        let (depth, resource) = (self.structure.depth(), self.member == Member::Resource);
        match step {
            Step::Opened if depth == 4 && byte == b'{' && resource => {
                self.begin(byte);
                self.structure.watch(4);
                self.place = Place::Resource;
            }
            Step::Opened if depth == 3 && byte == b'{' => self.member = Member::Other,
            Step::Key if depth == 3 => self.member = Member::of(self.structure.text()),
            Step::Closed if depth == 1 => {
                self.structure.watch(1);
                self.place = Place::Tail;
            }
            Step::Broken => return Some(self.broken_entry(false, byte)),
            Step::Opened if depth == 3 || (depth == 4 && resource) => return Some(self.not_a_resource()),
            Step::Text | Step::Scalar if depth == 2 || (depth == 3 && resource && byte != b'n') => {
                return Some(self.not_a_resource());
            }
            Step::Within | Step::Opened | Step::Closed | Step::Key | Step::Text | Step::Scalar => {}
        }
        None
    }

    fn resource(&mut self, byte: u8) -> Option<Piece> {
        self.building.push(byte);
        match self.structure.step(byte) {
            Step::Within => {}
            Step::Closed if self.structure.depth() == 3 => {
                self.structure.watch(3);
                self.member = Member::Other;
                self.place = Place::Entries;
                return Some(self.complete());
            }
            Step::Broken => return Some(self.broken_entry(true, byte)),
            step => self.head(step, 4),
        }
        None
    }

    fn tail(&mut self, byte: u8) -> Option<Piece> {
        match self.structure.step(byte) {
            Step::Closed if self.structure.depth() == 0 => {
                self.place = Place::Top;
                None
            }
            Step::Broken => Some(self.broken_entry(false, byte)),
            _ => None,
        }
    }

    /// Reads type and id of an object whose members lie at depth `level`, and watches its bounds.
    fn head(&mut self, step: Step, level: u32) {
        let depth = self.structure.depth();
        match step {
            Step::Opened if depth >= level + RESOURCE_DEPTH_MAX => self.building.fail(Fault::TooDeep),
            Step::Key if depth == level => self.member = Member::of(self.structure.text()),
            Step::Text if depth == level => {
                let text = || std::str::from_utf8(self.structure.text()).ok().map(str::to_owned);
                match self.member {
                    Member::Type => self.building.resource_type = text(),
                    Member::Id => self.building.id = text(),
                    Member::Entry | Member::Resource | Member::Other => {}
                }
            }
            _ => {}
        }
        if self.structure.values() > RESOURCE_VALUES_MAX {
            self.building.fail(Fault::TooManyValues);
        }
    }

    fn begin(&mut self, byte: u8) {
        self.building = Building::new(self.input.line());
        self.building.push(byte);
        self.structure.count_anew();
        self.member = Member::Other;
    }

    fn complete(&mut self) -> Piece {
        (self.any, self.seeking) = (true, false);
        self.take_building().into_piece()
    }

    fn take_building(&mut self) -> Building {
        std::mem::replace(&mut self.building, Building::new(self.input.line()))
    }

    fn not_a_resource(&self) -> Piece {
        Building::new(self.input.line()).into_fault(Fault::NotAResource)
    }

    /// A line break where every line is a resource of its own.
    fn line_end(&mut self) -> Option<Piece> {
        let place = self.place;
        let open = matches!(place, Place::Object | Place::Resource | Place::Entries | Place::Tail);
        self.seeking |= open && !self.any;
        self.start_line();
        open.then(|| self.take_building().into_fault(Fault::Truncated))
    }

    fn start_line(&mut self) {
        self.place = if self.seeking { Place::Seek(false) } else { Place::Top };
    }

    /// A top-level object that cannot be read. If it spans lines, those behind its first are read again,
    /// each for itself: they may be resources behind a line that was cut.
    fn broken_object(&mut self, fault: Fault, at_line_end: bool) -> Piece {
        let mut building = self.take_building();
        let first_line = building.bytes.iter().position(|byte| *byte == b'\n').filter(|_| !self.lines);
        self.lines = true;
        self.seeking |= !self.any || first_line.is_some();
        if let Some(end) = first_line {
            self.input.put_back(building.bytes.split_off(end + 1), building.line + 1);
        }
        if at_line_end || first_line.is_some() {
            self.start_line();
        } else {
            self.place = Place::SkipLine;
        }
        building.into_fault(fault)
    }

    /// An entry, or what lies between entries, that cannot be read. What is `held` of it is read again,
    /// once, since the next entry may begin within it.
    fn broken_entry(&mut self, held: bool, byte: u8) -> Piece {
        let mut building = if held { self.take_building() } else { Building::new(self.input.line()) };
        let position = self.input.bytes_read();
        self.sought.clear();
        if byte == b'{' {
            self.sought.push(byte);
        }
        if !building.bytes.is_empty() && position > self.again_until {
            self.again_until = position;
            self.input.put_back(building.bytes.split_off(1), building.line);
            self.sought.clear();
        }
        self.place = Place::SeekEntry;
        building.into_fault(Fault::NotJson)
    }

    fn seek(&mut self, byte: u8, brace: bool) {
        self.place = match byte {
            b'\n' => Place::Seek(false),
            b' ' | b'\t' | b'\r' => Place::Seek(brace),
            b'{' if !brace => Place::Seek(true),
            b'"' if brace => {
                let line = self.input.line();
                self.input.put_back(b"{\"".to_vec(), line);
                Place::Top
            }
            _ => Place::SkipLine,
        };
    }

    fn seek_entry(&mut self, byte: u8) {
        if byte.is_ascii_whitespace() {
            return;
        }
        self.sought.push(byte);
        if !ENTRY_STARTS.iter().any(|start| start.starts_with(&self.sought)) {
            self.sought.clear();
            if byte == b'{' {
                self.sought.push(byte);
            }
        } else if byte == b':' {
            let resource = ENTRY_STARTS.first().is_some_and(|start| *start == self.sought);
            self.member = if resource { Member::Resource } else { Member::Other };
            self.structure = Structure::at_entry_member();
            self.sought.clear();
            self.place = Place::Entries;
        }
    }

    /// The end of the input: what is open is truncated.
    fn end(&mut self) -> Option<Piece> {
        match self.place {
            Place::Top | Place::SkipLine | Place::Seek(_) | Place::SeekEntry => None,
            Place::Object => Some(self.broken_object(Fault::Truncated, true)),
            Place::Resource => {
                self.place = Place::Top;
                Some(self.take_building().into_fault(Fault::Truncated))
            }
            Place::Entries | Place::Tail => {
                self.place = Place::Top;
                Some(Building::new(self.input.line()).into_fault(Fault::Truncated))
            }
        }
    }
}

impl Member {
    fn of(key: &[u8]) -> Self {
        match key {
            b"resourceType" => Self::Type,
            b"id" => Self::Id,
            b"entry" => Self::Entry,
            b"resource" => Self::Resource,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
