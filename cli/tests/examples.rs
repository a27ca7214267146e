//! Every example in the help texts runs, in order, on one fresh book; and the keys of every answer are those
//! that `docs/cli.md` lists.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use common::{Desk, PASSPHRASE, Server};
use serde_json::Value;

/// One example with the words of its command.
struct Example {
    command: String,
    line: String,
}

/// The examples of a command and of all beneath it, in the order of the help.
fn examples(desk: &Desk, words: &[String], found: &mut Vec<Example>) {
    let mut args: Vec<&str> = words.iter().map(String::as_str).collect();
    args.push("--help");
    let help = desk.ok(&args).stdout;
    let own: Vec<String> = lines_of_examples(&help);
    let beneath = commands(&help);
    assert!(!own.is_empty() || !beneath.is_empty(), "`{}` has no example", words.join(" "));
    assert!(help.lines().all(|line| line.chars().count() <= 100), "`{}` has long lines", words.join(" "));
    let command = words.join(" ");
    found.extend(own.into_iter().map(|line| Example { command: command.clone(), line }));
    for name in beneath {
        examples(desk, &[words, &[name]].concat(), found);
    }
}

/// The lines below `Example:` or `Examples:`, those that end in a backslash joined.
fn lines_of_examples(help: &str) -> Vec<String> {
    let below = help.split_once("\nExample:\n").or_else(|| help.split_once("\nExamples:\n"));
    let Some((_, below)) = below else { return Vec::new() };
    let joined = below.replace("\\\n", " ");
    joined.lines().map(str::trim).filter(|l| l.starts_with("daybook ")).map(str::to_owned).collect()
}

fn commands(help: &str) -> Vec<String> {
    let Some((_, below)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    let lines = below.lines().take_while(|line| !line.is_empty());
    let names =
        lines.filter(|l| l.starts_with("  ") && !l.starts_with("   ")).filter_map(|l| l.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// Splits as a shell does, as far as the examples need it.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut begun) = (Vec::new(), String::new(), false, false);
    for character in line.chars() {
        match character {
            '"' => (quoted, begun) = (!quoted, true),
            c if c.is_whitespace() && !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            c => {
                word.push(c);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

/// What earlier examples wrote: the entries of each command in order, and the first finding.
#[derive(Default)]
struct Written {
    entries: BTreeMap<String, Vec<String>>,
    finding: Option<String>,
    /// Code and characters of what passes from screen to screen, in the order of [`HANDED`].
    enrolment: Vec<[String; 2]>,
    /// Where the book is served.
    address: String,
    /// The recovery seed of the first book.
    seed: String,
}

impl Written {
    fn note(&mut self, command: &str, answer: &Value) {
        if let Some(entry) = answer.pointer("/entries/0").and_then(Value::as_str) {
            self.entries.entry(command.to_owned()).or_default().push(entry.to_owned());
        }
        if HANDED.contains(&command) {
            let pieces = answer["code"].as_array().cloned().unwrap_or_else(|| vec![answer["code"].clone()]);
            let code: Vec<&str> = pieces.iter().filter_map(Value::as_str).collect();
            self.enrolment.push([code.join(" "), answer["characters"].as_str().unwrap_or_default().to_owned()]);
        }
        if let Some(seed) = answer["recovery_seed"].as_str().filter(|_| self.seed.is_empty()) {
            self.seed = seed.to_owned();
        }
        if command == "findings" && self.finding.is_none() {
            self.finding = answer.pointer("/findings/0/id").and_then(Value::as_str).map(|id| id[..8].to_owned());
        }
    }

    fn of(&self, command: &str, last: bool) -> &str {
        let entries = self.entries.get(command);
        entries.and_then(|e| if last { e.last() } else { e.first() }).map_or("none", String::as_str)
    }

    /// The example with codes of this book in place of the printed ones.
    fn fill(&self, example: &Example) -> String {
        let from = match example.command.as_str() {
            "patient history" => "patient edit",
            "allergy refute" => "allergy add",
            "dispense reverse" => "dispense",
            "erase" => "note",
            "quarantine show" | "quarantine endorse" => "waits",
            "correct" if example.line.contains("--value") => "observe",
            "correct" if example.line.contains("--text") => "note",
            "correct" => "condition add",
            _ => "",
        };
        let mut line = example.line.clone();
        for (place, [code, characters]) in self.enrolment.iter().enumerate() {
            let [printed_code, printed_characters] = PRINTED[place];
            line = line.replace(printed_code, code).replace(printed_characters, characters);
        }
        if line.contains("7FK2Q-13") {
            line = line.replace("7FK2Q-13", self.of(from, true));
        }
        if line.contains("7FK2Q-12") {
            line = line.replace("7FK2Q-12", self.of(from, example.command == "dispense reverse"));
        }
        if example.command == "sync" {
            line = line.replace("10.0.0.7:7373", &self.address);
        }
        if line.contains("3fa94c01") {
            line = line.replace("3fa94c01", self.finding.as_deref().unwrap_or("none"));
        }
        line
    }
}

#[test]
fn every_example_runs_and_answers_with_the_documented_keys() {
    let desk = Desk::empty();
    let mut found = Vec::new();
    examples(&desk, &[], &mut found);
    assert!(found.len() > 40, "{}", found.len());
    std::fs::write(desk.path().join("new.txt"), format!("{PASSPHRASE}\n")).unwrap();
    std::fs::write(desk.path().join("patients.ndjson"), PATIENTS).unwrap();
    let documented = Documented::read();
    let (mut written, mut answered, mut failed) = (Written::default(), BTreeSet::new(), Vec::new());
    let mut served = None;
    for example in &found {
        if example.command == "enrol adopt" {
            deputy(&desk);
        }
        if example.command == "findings proof" {
            written.finding = Some(fork(&desk));
        }
        if example.command == "quarantine list" {
            written.entries.insert("waits".to_owned(), waits(&desk));
        }
        if example.command == "recover" {
            std::fs::write(desk.path().join("seed.txt"), format!("{}\n", written.seed)).unwrap();
        }
        let line = written.fill(example);
        let words = words(&line);
        let mut args: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        let pipes = example.command.starts_with("export") && !line.contains("--to") && !line.contains("export fhir");
        if !pipes {
            args.insert(0, "--json");
        }
        if example.command == "serve" {
            // It runs on until the end; `sync` calls it meanwhile.
            let running = Server::start(&desk, &args);
            written.address.clone_from(&running.address);
            served = Some(running);
            continue;
        }
        let said = desk.run(&args);
        // The newcomer's computer alone has met this book: a no, which is an answer too.
        let expected = if example.command == "safe-to-lose" { 3 } else { 0 };
        if said.code != expected {
            failed.push(format!("{line}\n{}", said.shown()));
        } else if !pipes {
            let last = said.stdout.lines().last().unwrap_or("{}");
            let answer: Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("{line}: {last}"));
            written.note(&example.command, &answer);
            answered.insert(example.command.clone());
            failed
                .extend(documented.differences(&example.command, &answer).into_iter().map(|d| format!("{line}: {d}")));
        }
    }
    let answer = served.expect("an example serves").stop();
    failed.extend(documented.differences("serve", &answer).into_iter().map(|d| format!("serve: {d}")));
    answered.insert("serve".to_owned());
    failed.extend(what_no_example_shows(&desk, &documented));
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    let unseen: Vec<&String> = documented.types.keys().filter(|t| !documented.seen.borrow().contains(*t)).collect();
    // Nothing was declined or lost, a record shows no resolutions (findings do), and nothing waits for entries of
    // another.
    assert_eq!(
        unseen,
        ["Awaited", "Declined", "KeyLack", "Lost", "Said: resolution", "Waiting"],
        "types in docs/cli.md that no answer showed"
    );
    let listed: BTreeSet<String> = documented.commands.keys().cloned().collect();
    assert_eq!(listed, answered, "commands listed in docs/cli.md and commands that answered");
}

/// Lets an administrator of another organisation admit Noor Haddad.
fn deputy(desk: &Desk) {
    let text = |answer: &Value, key: &str| answer[key].as_str().unwrap().to_owned();
    for (book, person, by, role) in
        [("deputy", "A. Moreau", "book", "admin"), ("phone", "Noor Haddad", "deputy", "dispenser")]
    {
        let asked = desk.json(&["--book", book, "enrol", "request", "--person", person]);
        let (code, same) = (text(&asked, "code"), text(&asked, "characters"));
        let reply = format!("reply to {book}");
        let grant =
            ["enrol", "grant", &code, "--role", role, "--organisation", "Aid", "--same", &same, "--out", &reply];
        let granted = desk.json(&[&["--book", by][..], &grant].concat());
        let both = text(&granted, "characters");
        desk.ok(&["--book", book, "enrol", "accept", "--file", &reply, "--code", &both]);
    }
    desk.ok(&["--book", "phone", "export", "log", "--to", "phone.daybook"]);
    desk.ok(&["ingest", "phone.daybook"]);
}

/// Lets a device that was revoked and did not hear of it write three notes, and gives their entries.
fn waits(desk: &Desk) -> Vec<String> {
    desk.ok(&["--book", "tablet", "patient", "add", "--tag", "Q-1"]);
    for text in ["slept", "ate", "left"] {
        desk.ok(&["--book", "tablet", "note", "Q-1", text]);
    }
    desk.ok(&["--book", "tablet", "export", "log", "--to", "tablet.daybook"]);
    desk.ok(&["ingest", "tablet.daybook"]);
    let waiting = desk.json(&["quarantine", "list"]);
    let lines = waiting["waiting"].as_array().unwrap().iter().map(|waiting| &waiting["line"]);
    let notes = lines.filter(|line| line["operations"].to_string().contains("note"));
    let entries: Vec<String> = notes.map(|line| line["entry"].as_str().unwrap().to_owned()).collect();
    assert_eq!(entries.len(), 3, "{waiting}");
    entries
}

/// Lets a copy of the book write beside it, and gives the finding of it.
fn fork(desk: &Desk) -> String {
    let copy = desk.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for file in std::fs::read_dir(desk.book()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    desk.ok(&["patient", "add", "--tag", "F-1"]);
    desk.ok(&["--book", "copy", "patient", "add", "--tag", "F-2"]);
    desk.ok(&["--book", "copy", "export", "log", "--to", "copy.daybook"]);
    let said = desk.ok(&["ingest", "copy.daybook"]).stdout;
    assert!(said.contains("goes on as a new installation"), "{said}");
    let findings = desk.json(&["findings"]);
    let fork = findings["findings"].as_array().unwrap().iter().find(|finding| finding["kind"] == "fork");
    fork.unwrap()["id"].as_str().unwrap()[..8].to_owned()
}

/// Runs what shows the rest of the documented types, and gives the differences.
fn what_no_example_shows(desk: &Desk, documented: &Documented) -> Vec<String> {
    let mut failed = Vec::new();
    let mut check = |name: &str, specs: &[&str], args: &[&str]| {
        let said = desk.run(&[&["--json"], args].concat());
        let answer: Value = serde_json::from_str(said.stdout.lines().last().unwrap_or("{}")).unwrap();
        let mut specs: Vec<String> = specs.iter().map(|s| (*s).to_owned()).collect();
        specs.extend(documented.commands.get(name).cloned().unwrap_or_default());
        specs.push("exercise".to_owned());
        documented.object(name, &specs, &answer, &mut failed);
    };
    check("findings", &[], &["findings", "--all"]);
    check("patient add", &[], &["patient", "add", "--tag", "T-2001", "--identifier", "urn:a|4711"]);
    check("patient add", &[], &["patient", "add", "--tag", "T-2002", "--identifier", "urn:b|4711"]);
    check("ambiguity", &["candidates: [Patient]"], &["patient", "show", "4711"]);
    for args in [["smoker", "yes"], ["consciousness", "alert"], ["ward", "urn:ward|3|Ward 3"]] {
        check("observe", &[], &["observe", "T-2001", args[0], args[1]]);
    }
    let dispense = ["dispense", "T-2001", "ibuprofen 200 MG Oral Tablet", "--quantity", "10 tablet", "--to", "T-2002"];
    check("dispense", &[], &dispense);
    check("dispense", &[], &["dispense", "T-2002", "aspirin", "--quantity", "1 tablet", "--to", "Somebody Else"]);
    check("warning", &["warnings: [Warning]"], &dispense);
    check("patient show", &[], &["patient", "show", "T-2001"]);
    std::fs::write(desk.path().join("bad.ndjson"), "not json\n").unwrap();
    check("import fhir", &[], &["import", "fhir", "bad.ndjson", "--source", "urn:ehr"]);
    failed
}

/// The tables of keys in `docs/cli.md`: rows of a command or type, and key specifications in code spans:
/// `key`, `key: Type`, `key: Type?`, `key: [Type]`. A type may have several forms: `Said: allergy`.
struct Documented {
    commands: BTreeMap<String, Vec<String>>,
    types: BTreeMap<String, Vec<String>>,
    /// Types that an answer showed.
    seen: RefCell<BTreeSet<String>>,
}

impl Documented {
    fn read() -> Self {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md")).unwrap();
        let table = |heading: &str| {
            let below = page.split_once(heading).unwrap_or_else(|| panic!("{heading}")).1;
            let rows = below.lines().skip_while(|l| !l.starts_with("| `")).take_while(|l| l.starts_with("| "));
            rows.map(|row| {
                let mut cells = row.trim_matches('|').split(" | ");
                let name = cells.next().unwrap().trim().trim_matches('`').to_owned();
                let spans = cells.next().unwrap_or_default().split('`').skip(1).step_by(2);
                (name, spans.map(str::to_owned).collect())
            })
            .collect()
        };
        Self { commands: table("### Keys of each answer"), types: table("### Types"), seen: RefCell::default() }
    }

    fn differences(&self, command: &str, answer: &Value) -> Vec<String> {
        let Some(specs) = self.commands.get(command) else {
            return vec![format!("`{command}` is not listed in docs/cli.md")];
        };
        let mut specs = specs.clone();
        specs.push("exercise".to_owned());
        let mut said = Vec::new();
        self.object(command, &specs, answer, &mut said);
        said
    }

    fn object(&self, place: &str, specs: &[String], value: &Value, said: &mut Vec<String>) {
        let Some(object) = value.as_object() else {
            said.push(format!("{place} is no object"));
            return;
        };
        let specs: BTreeMap<&str, &str> = specs.iter().map(|s| s.split_once(": ").unwrap_or((s, ""))).collect();
        let (listed, there): (BTreeSet<&str>, BTreeSet<&str>) =
            (specs.keys().copied().collect(), object.keys().map(String::as_str).collect());
        for key in listed.symmetric_difference(&there) {
            let which = if listed.contains(key) { "missing" } else { "not documented" };
            said.push(format!("{place}.{key} is {which}"));
        }
        for (key, kind) in specs {
            if let Some(value) = object.get(key) {
                self.value(&format!("{place}.{key}"), kind, value, said);
            }
        }
    }

    fn value(&self, place: &str, kind: &str, value: &Value, said: &mut Vec<String>) {
        let (kind, optional) = kind.strip_suffix('?').map_or((kind, false), |k| (k, true));
        if value.is_null() && optional {
            return;
        }
        if let Some(kind) = kind.strip_prefix('[').and_then(|k| k.strip_suffix(']')) {
            match value.as_array() {
                Some(items) => items.iter().for_each(|item| self.value(place, kind, item, said)),
                None => said.push(format!("{place} is no list")),
            }
            return;
        }
        match kind {
            "" | "text" => {
                if value.is_object() || value.is_array() {
                    said.push(format!("{place} is no simple value"));
                }
            }
            "map" => {}
            _ => self.of_type(place, kind, value, said),
        }
    }

    /// One of the forms of the type must fit.
    fn of_type(&self, place: &str, kind: &str, value: &Value, said: &mut Vec<String>) {
        let form = format!("{kind}: ");
        let forms = self.types.iter().filter(|(name, _)| *name == kind || name.starts_with(&form));
        let mut told = Vec::new();
        for (name, specs) in forms {
            let mut differences = Vec::new();
            self.object(place, specs, value, &mut differences);
            if differences.is_empty() {
                self.seen.borrow_mut().insert(name.clone());
                return;
            }
            if told.is_empty() || differences.len() < told.len() {
                told = differences;
            }
        }
        said.push(format!("{place} is no {kind}"));
        said.extend(told);
    }
}

/// The commands whose codes another command takes.
const HANDED: [&str; 5] = ["found request", "found propose", "found sign", "enrol request", "enrol grant"];

/// The code and the characters that the help texts print for each of them.
const PRINTED: [[&str; 2]; 5] = [
    ["0C00-G401-KQ7W-R9ZD-TX0M", "\u{0}"],
    ["1000-G401-M3VT-K0ZM-XX2A", "5H2N-PQ7A-C4WE"],
    ["1400-G401-W8YB-D6XM-00QA", "\u{0}"],
    ["0400-G401-5A2K-R9ZD-TX0M", "7F3K-9QXM-2H8P"],
    ["0810-4401-9D4K-T0ZM-XX2A", "2C9R-TX0M-88HD"],
];

/// What `import fhir` takes in.
const PATIENTS: &str = r#"{"resourceType":"Patient","id":"a1","name":[{"family":"Lindqvist","given":["Ebba"]}],"gender":"female","birthDate":"1972-04"}
{"resourceType":"Patient","id":"a2","name":[{"text":"王小明"}],"gender":"male","birthDate":"1990"}
"#;
