//! The structure of JSON text, byte by byte: brackets, strings, keys, commas.
//!
//! Enough to say where a value begins and ends and whether the text can still be JSON; escapes and
//! numbers are left to the parser that gets the whole value. Memory is constant.

/// Depth below which only brackets and strings are counted, not checked.
const CHECKED_DEPTH_MAX: u32 = 120;
/// Longest captured string in bytes; a longer one is cut, and equals no known name.
const CAPTURE_BYTES_MAX: usize = 512;

/// What one byte did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Nothing that matters.
    Within,
    /// An object or array began; the depth counts it already.
    Opened,
    /// An object or array ended; the depth no longer counts it.
    Closed,
    /// A key of an object ended.
    Key,
    /// A string that is a value ended.
    Text,
    /// A number, truth value or null began.
    Scalar,
    /// The text cannot be JSON.
    Broken,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expect {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
    Scalar,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Quoted {
    Outside,
    Inside,
    Escaped,
}

/// Follows one JSON text.
#[derive(Debug)]
pub(super) struct Structure {
    /// Bit n tells whether level n + 1 is an object.
    objects: u128,
    depth: u32,
    expect: Expect,
    quoted: Quoted,
    key: bool,
    /// Depth whose strings are captured.
    watched: u32,
    text: Vec<u8>,
    values: u32,
}

impl Structure {
    /// Starts before a value.
    pub(super) fn new() -> Self {
        Self {
            objects: 0,
            depth: 0,
            expect: Expect::Value,
            quoted: Quoted::Outside,
            key: false,
            watched: 1,
            text: Vec::new(),
            values: 0,
        }
    }

    /// Stands where the value of a member of an element of a Bundle's entries begins: depth 3.
    pub(super) fn at_entry_member() -> Self {
        Self { objects: 0b101, depth: 3, watched: 3, ..Self::new() }
    }

    /// Captures the strings of this depth from now on.
    pub(super) fn watch(&mut self, depth: u32) {
        self.watched = depth;
    }

    /// How many brackets are open.
    pub(super) fn depth(&self) -> u32 {
        self.depth
    }

    /// How many values began since the last [`Structure::count_anew`].
    pub(super) fn values(&self) -> u32 {
        self.values
    }

    /// Counts values from one.
    pub(super) fn count_anew(&mut self) {
        self.values = 1;
    }

    /// The last string of the watched depth, raw.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// How many bytes at the start of `rest` are plain text of a string that nobody watches; they may be
    /// passed over without a step.
    pub(super) fn plain(&self, rest: &[u8]) -> usize {
        let captured = self.depth == self.watched && self.text.len() <= CAPTURE_BYTES_MAX;
        if self.quoted != Quoted::Inside || captured {
            return 0;
        }
        rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)).unwrap_or(rest.len())
    }

    /// Takes the next byte.
    pub(super) fn step(&mut self, byte: u8) -> Step {
        match self.quoted {
            Quoted::Inside => match byte {
                b'"' => self.end_string(),
                0..=0x1f => Step::Broken,
                _ => {
                    if byte == b'\\' {
                        self.quoted = Quoted::Escaped;
                    }
                    self.capture(byte)
                }
            },
            Quoted::Escaped => {
                self.quoted = Quoted::Inside;
                if byte < 0x20 { Step::Broken } else { self.capture(byte) }
            }
            Quoted::Outside if self.depth > CHECKED_DEPTH_MAX => self.step_unchecked(byte),
            Quoted::Outside => self.step_outside(byte),
        }
    }

    fn step_outside(&mut self, byte: u8) -> Step {
        use Expect::{Colon, CommaOrEnd, Key, KeyOrEnd, Scalar, Value, ValueOrEnd};
        match (self.expect, byte) {
            (Scalar, b' ' | b'\t' | b'\r' | b'\n') => {
                self.expect = CommaOrEnd;
                Step::Within
            }
            (_, b' ' | b'\t' | b'\r' | b'\n') | (Scalar, b'0'..=b'9' | b'a'..=b'z' | b'.' | b'+' | b'-' | b'E') => {
                Step::Within
            }
            (Value | ValueOrEnd, b'{') => self.open(true),
            (Value | ValueOrEnd, b'[') => self.open(false),
            (Value | ValueOrEnd, b'"') => self.start_string(false),
            (Value | ValueOrEnd, b'-' | b'0'..=b'9' | b'a'..=b'z') => {
                self.values = self.values.saturating_add(1);
                self.expect = Scalar;
                Step::Scalar
            }
            (Key | KeyOrEnd, b'"') => self.start_string(true),
            (Colon, b':') => {
                self.expect = Value;
                Step::Within
            }
            (CommaOrEnd | Scalar, b',') if self.depth > 0 => {
                self.expect = if self.in_object() { Key } else { Value };
                Step::Within
            }
            (CommaOrEnd | Scalar | KeyOrEnd, b'}') if self.depth > 0 && self.in_object() => self.close(),
            (CommaOrEnd | Scalar | ValueOrEnd, b']') if self.depth > 0 && !self.in_object() => self.close(),
            _ => Step::Broken,
        }
    }

    /// Far too deep: only finds the way back.
    fn step_unchecked(&mut self, byte: u8) -> Step {
        match byte {
            b'"' => self.start_string(false),
            b'{' | b'[' => {
                self.depth = self.depth.saturating_add(1);
                Step::Opened
            }
            b'}' | b']' => self.close(),
            _ => Step::Within,
        }
    }

    fn in_object(&self) -> bool {
        self.depth.checked_sub(1).and_then(|level| self.objects.checked_shr(level)).is_some_and(|bits| bits & 1 == 1)
    }

    fn open(&mut self, object: bool) -> Step {
        let bit = 1_u128.checked_shl(self.depth).unwrap_or(0);
        self.objects = if object { self.objects | bit } else { self.objects & !bit };
        self.depth = self.depth.saturating_add(1);
        self.values = self.values.saturating_add(1);
        self.expect = if object { Expect::KeyOrEnd } else { Expect::ValueOrEnd };
        Step::Opened
    }

    fn close(&mut self) -> Step {
        self.depth = self.depth.saturating_sub(1);
        self.expect = Expect::CommaOrEnd;
        Step::Closed
    }

    fn start_string(&mut self, key: bool) -> Step {
        self.values = self.values.saturating_add(1);
        (self.quoted, self.key) = (Quoted::Inside, key);
        if self.depth == self.watched {
            self.text.clear();
        }
        Step::Within
    }

    fn end_string(&mut self) -> Step {
        self.quoted = Quoted::Outside;
        self.expect = if self.key { Expect::Colon } else { Expect::CommaOrEnd };
        if self.key { Step::Key } else { Step::Text }
    }

    fn capture(&mut self, byte: u8) -> Step {
        if self.depth == self.watched && self.text.len() <= CAPTURE_BYTES_MAX {
            self.text.push(byte);
        }
        Step::Within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(text: &str) -> (u32, bool) {
        let mut structure = Structure::new();
        for byte in text.bytes() {
            if structure.step(byte) == Step::Broken {
                return (structure.depth(), false);
            }
        }
        (structure.depth(), true)
    }

    #[test]
    fn whole_values_end_at_depth_zero() {
        for text in ["{}", "[]", r#"{"a":[1,-2.5e+3,true,null,"x\"]"],"b":{}}"#, "[[],[{}]]", " { \"a\" : 1 } "] {
            assert_eq!(follow(text), (0, true), "{text}");
        }
    }

    #[test]
    fn texts_that_cannot_be_json_are_noticed() {
        for text in [
            "{1",
            "{]",
            "[}",
            "[1 2",
            "{\"a\" 1",
            "{\"a\":1,}",
            "[1,,",
            "\"a\nb",
            "{\"a\":{\"b\":1}\n{",
            "{\"a\":T",
            "[1,]",
        ] {
            assert!(!follow(text).1, "{text}");
        }
    }

    #[test]
    fn a_thousand_levels_are_counted_and_left_again() {
        let deep = format!("{{\"a\":{}1{},\"b\":2}}", "[{\"x\":".repeat(1_000), "}]".repeat(1_000));
        assert_eq!(follow(&deep), (0, true));
    }

    #[test]
    fn strings_of_the_watched_depth_are_captured() {
        let mut structure = Structure::new();
        let seen: Vec<(Step, Vec<u8>)> = br#"{"a":"b","c":{"d":"e"}}"#
            .iter()
            .filter_map(|byte| match structure.step(*byte) {
                step @ (Step::Key | Step::Text) => Some((step, structure.text().to_vec())),
                _ => None,
            })
            .collect();
        let texts: Vec<&[u8]> = seen.iter().map(|(_, text)| text.as_slice()).collect();
        assert_eq!(texts, [&b"a"[..], b"b", b"c", b"c", b"c"]);
    }
}
