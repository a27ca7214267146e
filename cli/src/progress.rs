//! How far a long command is: a bar on a terminal, one JSON object a line with `--json`, else nothing.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::output::Output;

/// Shortest time between two lines of JSON.
const BETWEEN: Duration = Duration::from_millis(500);

/// How far a long command is. A reader that went away does not stop the work.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Bar(ProgressBar),
    Lines { last: Option<Instant> },
    Nothing,
}

impl Progress {
    /// Begins; `what` is counted.
    #[must_use]
    pub fn new(what: &'static str, json: bool) -> Self {
        let form = if json {
            Form::Lines { last: None }
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::no_length();
            if let Ok(style) = ProgressStyle::with_template("{human_pos} of {human_len} {msg} [{wide_bar}] {eta}") {
                bar.set_style(style);
            }
            Form::Bar(bar.with_message(what))
        } else {
            Form::Nothing
        };
        Self { what, form }
    }

    /// Says how many are done, of how many if that is known.
    pub fn at(&mut self, done: u64, total: Option<u64>) {
        match &mut self.form {
            Form::Bar(bar) => {
                if let Some(total) = total {
                    bar.set_length(total);
                }
                bar.set_position(done);
            }
            Form::Lines { last } => {
                if last.is_some_and(|last| last.elapsed() < BETWEEN) {
                    return;
                }
                *last = Some(Instant::now());
                let line = json!({"progress": {"what": self.what, "done": done, "total": total}});
                let _ = Output::print_progress(&line);
            }
            Form::Nothing => {}
        }
    }

    /// Ends and takes the bar away.
    pub fn end(self) {
        if let Form::Bar(bar) = self.form {
            bar.finish_and_clear();
        }
    }
}
