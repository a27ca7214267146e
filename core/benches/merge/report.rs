//! What was promised beside what was measured.

use super::Options;
use serde_json::{Value, json};

/// What is promised of a figure.
#[derive(Clone, Copy, Debug)]
enum Budget {
    AtMost(f64),
    AtLeast(f64),
    /// Nothing; it is there to be read.
    None,
}
use Budget::{AtLeast, AtMost, None as Free};

impl Budget {
    fn verdict(self, figure: f64) -> &'static str {
        let held = match self {
            Free => return "",
            AtMost(most) => figure <= most,
            AtLeast(least) => figure >= least,
        };
        if held { "held" } else { "MISSED" }
    }

    fn text(self, unit: Unit) -> String {
        match self {
            AtMost(most) => format!("at most {}", unit.text(most)),
            AtLeast(least) => format!("at least {}", unit.text(least)),
            Free => String::new(),
        }
    }
}

/// What a figure counts.
#[derive(Clone, Copy, Debug)]
enum Unit {
    PerSecond,
    Times,
    Micros,
    Millis,
    Seconds,
    Bytes,
    Mebibytes,
}
use Unit::{Bytes, Mebibytes, Micros, Millis, PerSecond, Seconds, Times};

impl Unit {
    fn text(self, figure: f64) -> String {
        match self {
            PerSecond => format!("{}/s", thousands(figure)),
            Times => format!("{figure:.2}x"),
            Micros => format!("{figure:.2} µs"),
            Millis => format!("{figure:.2} ms"),
            Seconds => format!("{figure:.3} s"),
            Bytes => format!("{} bytes", thousands(figure)),
            Mebibytes => format!("{:.0} MiB", figure / 1_048_576.0),
        }
    }
}

fn thousands(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// One line of the table.
pub struct Row {
    what: String,
    figure: f64,
    unit: Unit,
    budget: Budget,
    /// What is wanted later.
    later: Budget,
}

impl Row {
    /// For programs.
    pub fn to_json(&self) -> Value {
        let budget = |budget: Budget| match budget {
            AtMost(most) => json!({"at_most": most}),
            AtLeast(least) => json!({"at_least": least}),
            Free => Value::Null,
        };
        json!({
            "what": self.what, "figure": self.figure, "measured": self.unit.text(self.figure),
            "budget": budget(self.budget), "later": budget(self.later), "verdict": self.budget.verdict(self.figure),
        })
    }
}

/// Where a figure stands among the results, what it is, and what is promised of it now and later.
type Promise = (&'static str, &'static str, Unit, Budget, Budget);

const PROMISES: &[Promise] = &[
    ("/merge/entries_per_s", "encrypted merge, one core, entries", PerSecond, AtLeast(150_000.0), Free),
    ("/merge/entries_per_cpu_s", "the same by time on the processor", PerSecond, Free, Free),
    ("/merge/ratio", "the same to the faster Automerge sync", Times, AtLeast(1.6), AtLeast(6.0)),
    ("/merge/ratio_cpu", "the same by time on the processor", Times, Free, Free),
    ("/merge/ratio_opaque", "the same, facts opaque to Automerge too", Times, Free, Free),
    ("/cores/all_entries_per_s", "encrypted merge, two cores, entries", PerSecond, AtLeast(250_000.0), Free),
    ("/cores/ratio", "two cores to one", Times, AtLeast(1.6), Free),
    ("/memory/growth", "cost of an entry, largest book to that of 10,000", Times, AtMost(1.3), Free),
    ("/memory/growth_from_second", "the same to the second", Times, AtMost(1.3), Free),
    ("/memory/peaks", "peak memory of the largest, to that of the second", Times, AtMost(1.2), Free),
    ("/memory/sizes/2/peak", "peak memory, 1,000,000 entries", Mebibytes, AtMost(256.0 * 1_048_576.0), Free),
    ("/memory/sizes/1/peak", "peak memory, 100,000 entries", Mebibytes, AtMost(256.0 * 1_048_576.0), Free),
    ("/merge/bytes_on_disk_per_entry", "an entry on disk", Bytes, Free, Free),
    ("/sync/first/1/bytes_per_entry", "an entry on the wire, both ways", Bytes, Free, Free),
    ("/memory/sizes/2/opening/open_s", "opening 1,000,000 entries, nothing in memory", Seconds, AtMost(1.0), Free),
    ("/memory/sizes/2/opening/open_again_s", "the same again", Seconds, AtMost(1.0), Free),
    ("/memory/sizes/2/opening/passphrase_s", "Argon2id of the passphrase before", Seconds, Free, Free),
    (
        "/search/first_letters_of_a_family_name/p95_ms",
        "search, 50,000 patients, family name",
        Millis,
        AtMost(20.0),
        Free,
    ),
    ("/search/family_name_and_given_name/p95_ms", "the same, full name", Millis, AtMost(20.0), Free),
    ("/search/first_letters_of_both/p95_ms", "the same, beginnings of both names", Millis, AtMost(20.0), Free),
    ("/search/an_identifier/p95_ms", "the same, identifier", Millis, AtMost(20.0), Free),
    ("/search/one_letter/p95_ms", "the same, one letter", Millis, Free, Free),
    ("/search/cold/ms", "the first one after opening, nothing in memory", Millis, Free, Free),
    ("/verify/entries_per_s_cpu", "verify, one core, entries", PerSecond, AtLeast(300_000.0), Free),
    ("/verify/rebuild_entries_per_s", "rebuild, one core, entries", PerSecond, Free, Free),
    ("/append/ratio_at_end", "append to a bare 4 KiB at the end, durable", Times, AtMost(3.0), AtMost(2.0)),
    ("/append/ratio_in_place", "the same to a bare 4 KiB in place, durable", Times, AtMost(3.0), AtMost(2.0)),
    ("/append/edit_ms", "append, an edit, durable", Millis, Free, Free),
    ("/append/edit_cpu_ms", "the same, time on the processor", Millis, Free, Free),
    ("/keys/rotation_cpu_ms", "rotation for 300 devices", Millis, AtMost(50.0), Free),
    ("/keys/rotation_bytes", "the same", Bytes, AtMost(25_000.0), Free),
    ("/keys/seal_us", "sealing a body of 309 bytes", Micros, Free, Free),
    ("/keys/open_us", "opening it", Micros, Free, Free),
    ("/import/import_s", "import of 1,144 patients", Seconds, AtMost(5.0), Free),
    ("/import/again_s", "the same again, without news", Seconds, Free, Free),
    ("/sync/first/0/to_merge", "first sync of 20,000 entries, to merge on one core", Times, AtLeast(0.7), Free),
    ("/sync/first/1/to_merge", "first sync of 100,000 entries, to merge on one core", Times, AtLeast(0.7), Free),
    ("/sync/first/1/entries_per_s", "the same", PerSecond, Free, Free),
    ("/sync/first/1/ratio", "the same, to ingest alone on two cores", Times, Free, Free),
    ("/sync/first/1/server_peak", "the server's peak memory", Mebibytes, Free, Free),
    ("/sync/first/1/own_peak", "the caller's peak memory", Mebibytes, Free, Free),
    ("/sync/in_sync/bytes_sent", "1,000 equal logs, whole session, sent", Bytes, Free, Free),
];

/// A form of Automerge as people read it.
pub fn name_of(form: &Value) -> String {
    let name = form["form"].as_str().unwrap_or_default();
    if name.starts_with("automerge") { name.to_owned() } else { format!("automerge, {name}") }
}

/// What follows from two parts: how fast a first sync is beside the merge alone.
pub fn join(results: &mut Value) {
    let merge = results.pointer("/merge/entries_per_s").and_then(Value::as_f64);
    for met in results.pointer_mut("/sync/first").and_then(Value::as_array_mut).into_iter().flatten() {
        if let (Some(merge), Some(sync)) = (merge, met["entries_per_s"].as_f64()) {
            met["to_merge"] = json!(sync / merge);
        }
    }
}

/// The lines of what was measured.
pub fn rows(results: &Value) -> Vec<Row> {
    let at = |place: &str| results.pointer(place).and_then(Value::as_f64);
    let mut rows = Vec::new();
    let mut row = |what: String, figure: Option<f64>, unit, (budget, later)| {
        rows.extend(figure.map(|figure| Row { what, figure, unit, budget, later }));
    };
    for (place, what, unit, budget, later) in PROMISES {
        // A smaller book promises nothing of a large one.
        let large = !["/memory/growth", "/memory/growth_from_second", "/memory/peaks"].contains(place)
            || at("/memory/sizes/2/entries").is_some();
        row((*what).to_owned(), at(place).filter(|_| large), *unit, (*budget, *later));
    }
    for form in results.pointer("/merge/automerge").and_then(Value::as_array).into_iter().flatten() {
        let name = name_of(form);
        row(format!("{name}, sync, both sides"), form["changes_per_s"].as_f64(), PerSecond, (Free, Free));
    }
    for (name, form) in results.pointer("/merge/applying").and_then(Value::as_object).into_iter().flatten() {
        row(format!("{name}, a change applied in one batch"), form["batched_us"].as_f64(), Micros, (Free, Free));
        row(format!("{name}, a change applied alone"), form["one_by_one_us"].as_f64(), Micros, (Free, Free));
    }
    for stage in results.pointer("/stages").and_then(Value::as_array).into_iter().flatten() {
        let name = stage["stage"].as_str().unwrap_or_default();
        row(format!("stage: {name}"), stage["us"].as_f64(), Micros, (Free, Free));
    }
    rows
}

/// Prints the table.
pub fn print(options: &Options, rows: &[Row]) {
    options.say("");
    options.say(&format!("{:<56} {:>16} {:>24}", "what", "measured", "budget"));
    for row in rows {
        let later = match row.later {
            Free => String::new(),
            AtMost(_) | AtLeast(_) => format!(", later {}", row.later.text(row.unit)),
        };
        let line = format!(
            "{:<56} {:>16} {:>24} {}{later}",
            row.what,
            row.unit.text(row.figure),
            row.budget.text(row.unit),
            row.budget.verdict(row.figure)
        );
        options.say(line.trim_end());
    }
}
