//! What goes to stdout: one reply for people or one JSON object, and the lines of progress between.

use std::io::{self, Write};

use serde_json::{Map, Value};

/// What a command has to say, in both forms; the default says nothing at all.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Reply {
    json: Map<String, Value>,
    text: String,
}

impl Reply {
    /// A reply of a JSON object and the same for people, whose last line needs no end.
    #[must_use]
    pub fn new(json: Value, text: impl Into<String>) -> Self {
        let json = match json {
            Value::Object(map) => map,
            other => Map::from_iter([("value".to_owned(), other)]),
        };
        Self { json, text: text.into() }
    }

    /// The JSON object.
    #[must_use]
    pub fn into_json(self) -> Value {
        Value::Object(self.json)
    }
}

/// In which form replies are printed, and for whose incident.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Output {
    /// One JSON object a reply.
    pub json: bool,
    /// Name of the incident if it is an exercise; every screen says so.
    pub exercise: Option<String>,
}

impl Output {
    /// The reply as it will be printed, last line ended.
    #[must_use]
    pub fn render(&self, reply: &Reply) -> String {
        if *reply == Reply::default() {
            return String::new();
        }
        if self.json {
            let mut object = reply.json.clone();
            object.insert("exercise".to_owned(), Value::Bool(self.exercise.is_some()));
            return format!("{}\n", Value::Object(object));
        }
        let mut text = String::new();
        if let Some(incident) = &self.exercise {
            text.push_str(&format!("*** EXERCISE: {} ***\n", crate::show::text::safe(incident)));
        }
        text.push_str(&reply.text);
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text
    }

    /// Prints a line of progress.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn print_progress(line: &Value) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{line}")?;
        stdout.flush()
    }

    /// Prints a line for people.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn print_line(line: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{line}")?;
        stdout.flush()
    }

    /// Prints a reply.
    ///
    /// # Errors
    /// When stdout cannot be written; of the kind `BrokenPipe` if nobody reads it any more.
    pub fn print(&self, reply: &Reply) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(self.render(reply).as_bytes())?;
        stdout.flush()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_exercise_is_marked_in_both_forms() {
        let reply = Reply::new(json!({"code": "X"}), "registered");
        let mut output = Output { json: false, exercise: Some("Flood\u{202e}".to_owned()) };
        assert_eq!(output.render(&reply), "*** EXERCISE: Flood\\u{202E} ***\nregistered\n");
        output.json = true;
        assert_eq!(output.render(&reply), "{\"code\":\"X\",\"exercise\":true}\n");
        output.exercise = None;
        assert_eq!(output.render(&reply), "{\"code\":\"X\",\"exercise\":false}\n");
    }
}
