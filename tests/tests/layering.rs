//! The stations of `core` stand in the order in which an entry passes them, and each uses only those to its left.
//!
//! Reads the sources as tokens, so that comments, doc links and strings do not count. Follows `use` trees, plain
//! paths, `self::super::` and `super::super::` up to the crate root, `$crate`, exported macros and `#[macro_use]`;
//! what would hide where a path leads (an alias or a glob of the crate root, `include!`) is refused. Code that is
//! compiled for tests only may use anything.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The stations from left to right; those of one line may not use each other.
const ORDER: &[&[&str]] = &[
    &["mutant"],
    &["limits"],
    &["id"],
    &["clock"],
    &["codec"],
    &["crypto"],
    &["entry"],
    &["log"],
    &["roster"],
    &["record"],
    &["store"],
    &["merge", "sync"],
    &["view"],
    &["exchange"],
    &["daybook"],
    &["net"],
];

fn level(station: &str) -> Option<usize> {
    ORDER.iter().position(|stations| stations.contains(&station))
}

/// Whether code of one station may use another.
fn may_use(from: &str, to: &str) -> bool {
    from == to || level(from).zip(level(to)).is_some_and(|(from, to)| to < from)
}

// Tokens.

/// A name or one character of punctuation; literals and comments are gone.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Token {
    Name(String),
    Mark(char),
    Literal,
}

/// A token with its line.
type Placed = (Token, usize);

/// Splits Rust source into tokens.
fn tokens(source: &str) -> Vec<Placed> {
    let text: Vec<char> = source.chars().collect();
    let (mut at, mut line, mut found) = (0, 1, Vec::new());
    while let Some(first) = text.get(at).copied() {
        let start = at;
        let token = match first {
            '/' if text.get(at + 1) == Some(&'/') => {
                at = (at..text.len()).find(|i| text[*i] == '\n').unwrap_or(text.len());
                None
            }
            '/' if text.get(at + 1) == Some(&'*') => {
                at = after_comment(&text, at);
                None
            }
            '"' => {
                at = after_quoted(&text, at, '"');
                Some(Token::Literal)
            }
            '\'' => {
                at = after_tick(&text, at);
                Some(Token::Literal)
            }
            c if c.is_alphabetic() || c == '_' => {
                let end = after_word(&text, at);
                let word: String = text[at..end].iter().collect();
                if let Some(after) = after_prefixed(&text, end, &word) {
                    at = after;
                    Some(Token::Literal)
                } else if word == "r" && text.get(end) == Some(&'#') {
                    at = after_word(&text, end + 1);
                    Some(Token::Name(text[end + 1..at].iter().collect()))
                } else {
                    at = end;
                    Some(Token::Name(word))
                }
            }
            c if c.is_ascii_digit() => {
                at = after_word(&text, at);
                Some(Token::Literal)
            }
            c => {
                at += 1;
                (!c.is_whitespace()).then_some(Token::Mark(c))
            }
        };
        found.extend(token.map(|token| (token, line)));
        line += text[start..at].iter().filter(|c| **c == '\n').count();
    }
    found
}

fn after_word(text: &[char], from: usize) -> usize {
    (from..text.len()).find(|i| !text[*i].is_alphanumeric() && text[*i] != '_').unwrap_or(text.len())
}

fn after_comment(text: &[char], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0);
    loop {
        match (text.get(at), text.get(at + 1)) {
            (Some('/'), Some('*')) => (at, depth) = (at + 2, depth + 1),
            (Some('*'), Some('/')) => (at, depth) = (at + 2, depth - 1),
            (Some(_), _) => at += 1,
            (None, _) => return at,
        }
        if depth == 0 {
            return at;
        }
    }
}

fn after_quoted(text: &[char], from: usize, quote: char) -> usize {
    let mut at = from + 1;
    while let Some(c) = text.get(at) {
        match c {
            '\\' => at += 2,
            c if *c == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// Behind a character literal or a lifetime.
fn after_tick(text: &[char], from: usize) -> usize {
    let escaped = text.get(from + 1) == Some(&'\\');
    if escaped || text.get(from + 2) == Some(&'\'') {
        after_quoted(text, from, '\'')
    } else {
        after_word(text, from + 1)
    }
}

/// Behind a string with a prefix: `b""`, `c""`, `r""`, `r#""#`, `br##""##`, `b''`.
fn after_prefixed(text: &[char], from: usize, prefix: &str) -> Option<usize> {
    match (prefix, text.get(from)) {
        ("b" | "c", Some('"')) => Some(after_quoted(text, from, '"')),
        ("b", Some('\'')) => Some(after_quoted(text, from, '\'')),
        ("r" | "br" | "cr", Some('"' | '#')) => {
            let hashes = text[from..].iter().take_while(|c| **c == '#').count();
            if text.get(from + hashes) != Some(&'"') {
                return None;
            }
            let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            let body = from + hashes + 1;
            let found = text[body..].windows(end.len()).position(|window| window == end);
            Some(found.map_or(text.len(), |i| body + i + end.len()))
        }
        _ => None,
    }
}

// Items.

/// A module that a file declares, and whether it is compiled for tests only.
struct Declared {
    name: String,
    for_tests: bool,
    path: Option<String>,
}

fn name(tokens: &[Placed], at: usize) -> Option<&str> {
    match tokens.get(at) {
        Some((Token::Name(name), _)) => Some(name),
        _ => None,
    }
}

fn is_mark(tokens: &[Placed], at: usize, mark: char) -> bool {
    tokens.get(at).is_some_and(|(token, _)| *token == Token::Mark(mark))
}

fn is_path_mark(tokens: &[Placed], at: usize) -> bool {
    is_mark(tokens, at, ':') && is_mark(tokens, at + 1, ':')
}

/// Behind the bracket that closes the one at `from`.
fn after_bracket(tokens: &[Placed], from: usize) -> usize {
    let mut depth = 0;
    for (at, (token, _)) in tokens.iter().enumerate().skip(from) {
        match token {
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// Whether the attribute whose bracket opens at `from` keeps its item out of every build but that of tests.
fn is_for_tests(tokens: &[Placed], from: usize) -> bool {
    let word = |at| name(tokens, at);
    let test_alone = word(from + 3) == Some("test") && is_mark(tokens, from + 4, ')');
    let all_of = word(from + 3) == Some("all") && word(from + 5) == Some("test") && is_mark(tokens, from + 6, ',');
    word(from + 1) == Some("cfg") && is_mark(tokens, from + 2, '(') && (test_alone || all_of)
}

/// The tokens without items that are compiled for tests only, and the modules that are declared in files of
/// their own. Nothing is left of a file that is for tests as a whole.
fn without_tests(tokens: &[Placed], source: &str) -> (Vec<Placed>, Vec<Declared>) {
    let (mut kept, mut declared, mut at) = (Vec::new(), Vec::new(), 0);
    let mut attributes: Vec<(usize, usize)> = Vec::new();
    while at < tokens.len() {
        if is_mark(tokens, at, '#') && is_mark(tokens, at + 1, '!') && is_mark(tokens, at + 2, '[') {
            if is_for_tests(tokens, at + 2) {
                return (Vec::new(), declared);
            }
            at = after_bracket(tokens, at + 2);
            continue;
        }
        if is_mark(tokens, at, '#') && is_mark(tokens, at + 1, '[') {
            let end = after_bracket(tokens, at + 1);
            attributes.push((at, end));
            at = end;
            continue;
        }
        let for_tests = attributes.iter().any(|(from, _)| is_for_tests(tokens, from + 1));
        let mut item = at;
        if name(tokens, item) == Some("pub") {
            item = if is_mark(tokens, item + 1, '(') { after_bracket(tokens, item + 1) } else { item + 1 };
        }
        let end = if name(tokens, item) == Some("mod") && is_mark(tokens, item + 2, ';') {
            let path = attributes.iter().find(|(from, _)| name(tokens, from + 2) == Some("path"));
            let path = path.map(|(from, _)| quoted_in_line(source, tokens[*from].1));
            declared.push(Declared { name: name(tokens, item + 1).unwrap().to_owned(), for_tests, path });
            item + 3
        } else {
            at + 1
        };
        if for_tests {
            at = after_item(tokens, at);
        } else {
            attributes.iter().for_each(|(from, to)| kept.extend_from_slice(&tokens[*from..*to]));
            kept.extend_from_slice(&tokens[at..end]);
            at = end;
        }
        attributes.clear();
    }
    (kept, declared)
}

/// Behind an item (its semicolon, or the brace that closes its body), or behind a field, arm or statement.
fn after_item(tokens: &[Placed], from: usize) -> usize {
    const BODIES: [&str; 9] = ["fn", "mod", "struct", "enum", "union", "impl", "trait", "macro_rules", "extern"];
    const VALUES: [&str; 4] = ["use", "static", "const", "type"];
    const BEFORE: [&str; 4] = ["pub", "unsafe", "async", "default"];
    let mut at = from;
    while name(tokens, at).is_some_and(|word| BEFORE.contains(&word)) {
        at = if is_mark(tokens, at + 1, '(') { after_bracket(tokens, at + 1) } else { at + 1 };
    }
    let (first, second) = (name(tokens, at).unwrap_or_default(), name(tokens, at + 1).unwrap_or_default());
    let body = BODIES.contains(&first) || (first == "const" && ["fn", "unsafe", "async", "extern"].contains(&second));
    let item = body || VALUES.contains(&first);
    while let Some((token, _)) = tokens.get(at) {
        match token {
            Token::Mark(';') => return at + 1,
            Token::Mark(',') if !item => return at + 1,
            Token::Mark(')' | ']' | '}') => return at,
            Token::Mark('{') if body || at == from => return after_bracket(tokens, at),
            Token::Mark('(' | '[' | '{') => at = after_bracket(tokens, at),
            _ => at += 1,
        }
    }
    at
}

/// The first quoted text of a line.
fn quoted_in_line(source: &str, line: usize) -> String {
    source.lines().nth(line - 1).and_then(|line| line.split('"').nth(1)).unwrap_or_default().to_owned()
}

// Uses.

/// Macros that reach beyond their module, with the station that defines them.
#[derive(Default)]
struct Macros {
    /// `#[macro_export]`: found at the crate root.
    exported: BTreeMap<String, String>,
    /// Of modules under `#[macro_use]`: found by name everywhere behind them.
    textual: BTreeMap<String, String>,
}

impl Macros {
    /// Notes the macros that a station's code defines.
    fn note(&mut self, station: &str, tokens: &[Placed], macro_use: bool) {
        for at in 0..tokens.len() {
            let begins = name(tokens, at) == Some("macro_rules") && is_mark(tokens, at + 1, '!');
            let (true, Some(defined)) = (begins, name(tokens, at + 2)) else { continue };
            let before: Vec<&str> = (at.saturating_sub(12)..at).filter_map(|i| name(tokens, i)).collect();
            if before.contains(&"macro_export") {
                self.exported.insert(defined.to_owned(), station.to_owned());
            }
            if macro_use {
                self.textual.insert(defined.to_owned(), station.to_owned());
            }
        }
    }
}

/// Where one piece of code leads beyond its station.
#[derive(Default)]
struct Uses {
    /// Stations, with the lines that use them.
    stations: Vec<(String, usize)>,
    /// What hides where it leads.
    hidden: Vec<(String, usize)>,
}

/// Follows all paths of a file whose module is `module`, the station first.
struct Follower<'a> {
    tokens: &'a [Placed],
    macros: &'a Macros,
    module: Vec<String>,
    uses: Uses,
}

impl Follower<'_> {
    fn all(mut self) -> Uses {
        // Inline modules with the depth of braces at which they end.
        let (mut depth, mut inline): (usize, Vec<usize>) = (0, Vec::new());
        let mut at = 0;
        while at < self.tokens.len() {
            match &self.tokens[at].0 {
                Token::Mark('{') => depth += 1,
                Token::Mark('}') => {
                    depth = depth.saturating_sub(1);
                    if inline.last() == Some(&depth) {
                        inline.pop();
                        self.module.pop();
                    }
                }
                Token::Name(word) if word == "mod" && is_mark(self.tokens, at + 2, '{') => {
                    self.module.extend(name(self.tokens, at + 1).map(str::to_owned));
                    inline.push(depth);
                }
                Token::Name(word) => {
                    let word = word.clone();
                    self.word(at, &word);
                }
                Token::Mark(_) | Token::Literal => {}
            }
            at += 1;
        }
        self.uses
    }

    /// A name that may begin a path.
    fn word(&mut self, at: usize, word: &str) {
        let line = self.tokens[at].1;
        let behind_path = at >= 2 && is_path_mark(self.tokens, at - 2);
        match word {
            "crate" if name(self.tokens, at.wrapping_sub(1)) == Some("extern") => {
                self.uses.hidden.push(("names a crate of its own".to_owned(), line));
            }
            "crate" => self.take_root(at),
            // Only the first of a chain; the rest is followed from there.
            "self" | "super" if !behind_path => self.climb(at),
            "daybook_core" => self.uses.hidden.push(("names the crate from outside".to_owned(), line)),
            "include" if is_mark(self.tokens, at + 1, '!') => {
                self.uses.hidden.push(("includes a file".to_owned(), line));
            }
            _ if is_mark(self.tokens, at + 1, '!') && !behind_path => {
                self.uses.stations.extend(self.macros.textual.get(word).map(|station| (station.clone(), line)));
            }
            _ => {}
        }
    }

    /// `crate` stands at `at`, or what means the same.
    fn take_root(&mut self, at: usize) {
        if is_path_mark(self.tokens, at + 1) {
            self.at_root(at + 3);
        } else if name(self.tokens, at + 1) == Some("as") || is_mark(self.tokens, at + 1, ';') {
            self.uses.hidden.push(("gives the crate root another name".to_owned(), self.tokens[at].1));
        }
    }

    /// Follows `self` and `super` from the module upwards.
    fn climb(&mut self, from: usize) {
        let mut ways = vec![(from, self.module.len())];
        while let Some((at, depth)) = ways.pop() {
            let here = match name(self.tokens, at) {
                Some("self") => depth,
                Some("super") if depth > 0 => depth - 1,
                Some("super") => {
                    self.uses.hidden.push(("climbs above the crate root".to_owned(), self.tokens[at].1));
                    continue;
                }
                _ => continue,
            };
            let next = at + 3;
            if here == 0 && !matches!(name(self.tokens, next), Some("super")) {
                self.take_root(at);
            } else if is_path_mark(self.tokens, at + 1) {
                let items = if is_mark(self.tokens, next, '{') { self.group(next) } else { vec![next] };
                ways.extend(items.into_iter().map(|item| (item, here)));
            }
        }
    }

    /// What stands behind `crate::`: a name, a group or everything.
    fn at_root(&mut self, at: usize) {
        let line = self.tokens.get(at).map_or(0, |(_, line)| *line);
        if is_mark(self.tokens, at, '{') {
            self.group(at).into_iter().for_each(|item| self.at_root(item));
        } else if is_mark(self.tokens, at, '*') {
            self.uses.hidden.push(("takes everything of the crate root".to_owned(), line));
        } else {
            match name(self.tokens, at) {
                Some("self") => self.uses.hidden.push(("gives the crate root another name".to_owned(), line)),
                Some(found) if level(found).is_some() => self.uses.stations.push((found.to_owned(), line)),
                Some(found) => match self.macros.exported.get(found) {
                    Some(station) => self.uses.stations.push((station.clone(), line)),
                    None => self.uses.hidden.push((format!("takes `{found}`, which is no station"), line)),
                },
                None => self.uses.hidden.push(("takes what cannot be read".to_owned(), line)),
            }
        }
    }

    /// Where the items of a group begin.
    fn group(&self, from: usize) -> Vec<usize> {
        let (end, mut at, mut items) = (after_bracket(self.tokens, from), from + 1, vec![from + 1]);
        while at + 1 < end {
            if is_mark(self.tokens, at, '{') {
                at = after_bracket(self.tokens, at);
            } else {
                if is_mark(self.tokens, at, ',') && !is_mark(self.tokens, at + 1, '}') {
                    items.push(at + 1);
                }
                at += 1;
            }
        }
        items
    }
}

/// What code of a module breaks, one sentence each.
fn broken(module: &[String], tokens: &[Placed], macros: &Macros, used: &mut BTreeSet<(String, String)>) -> Vec<String> {
    let station = module.first().unwrap().clone();
    let beyond = Follower { tokens, macros, module: module.to_vec(), uses: Uses::default() }.all();
    let mut found: Vec<String> = beyond.hidden.iter().map(|(what, line)| format!("{line}: {what}")).collect();
    for (to, line) in beyond.stations {
        if !may_use(&station, &to) {
            found.push(format!("{line}: {station} uses {to}, which is not to its left"));
        }
        used.insert((station.clone(), to));
    }
    found
}

// The sources.

struct SourceFile {
    path: PathBuf,
    module: Vec<String>,
    tokens: Vec<Placed>,
}

/// Reads a module and those below it; `for_tests` collects files that are compiled for tests only.
fn read_module(path: &Path, module: Vec<String>, files: &mut Vec<SourceFile>, for_tests: &mut Vec<PathBuf>) {
    let source = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (tokens, declared) = without_tests(&tokens(&source), &source);
    let is_root = path.file_name().is_some_and(|name| name == "mod.rs" || name == "lib.rs");
    let folder = if is_root { path.parent().unwrap().to_owned() } else { path.with_extension("") };
    for child in declared {
        let beside = path.parent().unwrap();
        let (flat, nested) = (folder.join(format!("{}.rs", child.name)), folder.join(&child.name).join("mod.rs"));
        let file = match &child.path {
            Some(named) => beside.join(named),
            None if flat.exists() => flat,
            None => nested,
        };
        if child.for_tests {
            for_tests.push(file);
        } else {
            assert!(child.path.is_none(), "{}: a module of the crate lies under another name", file.display());
            let below = [&module[..], &[child.name]].concat();
            read_module(&file, below, files, for_tests);
        }
    }
    files.push(SourceFile { path: path.to_owned(), module, tokens });
}

fn rust_files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.insert(path);
        }
    }
    found
}

/// Stations that the crate root declares under `#[macro_use]`.
fn macro_use(root: &[Placed]) -> BTreeSet<String> {
    let marked = (0..root.len()).filter(|at| name(root, *at) == Some("macro_use"));
    marked
        .filter_map(|at| (at..at + 8).find(|i| name(root, *i) == Some("mod")).and_then(|i| name(root, i + 1)))
        .map(str::to_owned)
        .collect()
}

/// What the crate below a folder breaks, one sentence each, and which station uses which.
fn check(folder: &Path) -> (Vec<String>, BTreeSet<(String, String)>) {
    let (mut files, mut for_tests) = (Vec::new(), Vec::new());
    read_module(&folder.join("lib.rs"), Vec::new(), &mut files, &mut for_tests);
    let reached: BTreeSet<PathBuf> = files.iter().map(|file| file.path.clone()).chain(for_tests).collect();
    assert_eq!(reached, rust_files(folder), "every file is a module of the crate");
    let root = files.pop().unwrap();
    assert!(root.module.is_empty());
    let textual = macro_use(&root.tokens);
    let mut macros = Macros::default();
    for file in &files {
        let station = file.module.first().unwrap();
        assert!(level(station).is_some(), "{station} has no place in the order");
        macros.note(station, &file.tokens, textual.contains(station));
    }
    let (mut used, mut found) = (BTreeSet::new(), Vec::new());
    for file in &files {
        let name = file.path.strip_prefix(folder).unwrap().display();
        let of_file = broken(&file.module, &file.tokens, &macros, &mut used);
        found.extend(of_file.into_iter().map(|what| format!("core/src/{name}:{what}")));
    }
    (found, used)
}

fn core() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("core/src")
}

#[test]
fn each_station_uses_only_those_to_its_left() {
    let (found, used) = check(&core());
    assert!(found.is_empty(), "{}", found.join("\n"));
    for pair in [("daybook", "store"), ("view", "merge"), ("record", "roster"), ("log", "entry"), ("crypto", "id")] {
        assert!(used.contains(&(pair.0.to_owned(), pair.1.to_owned())), "{pair:?} was not seen");
    }
}

#[test]
fn a_violation_planted_in_each_station_is_found() {
    let copy = tempfile::tempdir().unwrap();
    for path in rust_files(&core()) {
        let target = copy.path().join(path.strip_prefix(core()).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(path, target).unwrap();
    }
    assert_eq!(check(copy.path()).0, Vec::<String>::new());
    for file in ["id.rs", "codec/reader.rs", "crypto/seal.rs", "entry/mod.rs", "roster/fold.rs", "store/file.rs"] {
        let path = copy.path().join(file);
        let good = std::fs::read_to_string(&path).unwrap();
        let line = good.lines().count() + 1;
        std::fs::write(&path, format!("{good}use crate::{{limits, view::post}};\n")).unwrap();
        let (found, station) = (check(copy.path()).0, file.split(['/', '.']).next().unwrap());
        assert_eq!(found, [format!("core/src/{file}:{line}: {station} uses view, which is not to its left")]);
        std::fs::write(&path, good).unwrap();
    }
}

/// What a snippet in a file of a module breaks.
fn snippet(module: &str, code: &str) -> Vec<String> {
    let module: Vec<String> = module.split("::").map(str::to_owned).collect();
    let (tokens, _) = without_tests(&tokens(code), code);
    let mut macros = Macros::default();
    let elsewhere = self::tokens("#[macro_export] macro_rules! posted { () => {} } macro_rules! shown { () => {} }");
    macros.note("view", &elsewhere, true);
    broken(&module, &tokens, &macros, &mut BTreeSet::new())
}

#[test]
fn planted_violations_are_found() {
    for (module, code) in [
        ("store::entries", "use crate::view;"),
        ("store::entries", "use crate::view::search;"),
        ("store::entries", "use crate::id::EntryId; use crate::merge::Times;"),
        ("store::entries", "use crate::{id, view};"),
        ("store::entries", "use crate::{id::{EntryId, LogId}, merge::{self, Times}};"),
        ("store::entries", "use {crate::id, crate::view};"),
        ("store::entries", "pub use crate::view as seen;"),
        ("store::entries", "pub(crate) use crate::view::post;"),
        ("store::entries", "use crate :: /* here */ view;"),
        ("store::entries", "use crate::r#view;"),
        ("store::entries", "fn f() { crate::view::post(); }"),
        ("store::entries", "fn f() -> crate::view::Row { todo!() }"),
        ("store::entries", "fn f<T: crate::merge::Opened>(t: T) {}"),
        ("store::entries", "const A: usize = <crate::view::Row>::BYTES;"),
        ("store::entries", "fn f() { let x = [1, 2].map(crate::view::of); }"),
        ("store", "use super::view;"),
        ("store", "fn f() { super::view::post() }"),
        ("store", "use self::super::view;"),
        ("store::entries", "use super::super::view;"),
        ("store::entries", "use self::super::super::view;"),
        ("store::entries", "fn f() { super::super::view::post() }"),
        ("store::entries", "use super::{super::view, keys::EntryKey};"),
        ("store::entries", "use super::super::{id, view};"),
        ("store::entries", "mod inner { use super::super::super::view; }"),
        ("store::entries", "mod inner { mod more {} fn f() { super::super::super::view::post() } }"),
        ("store::entries", "mod inner {} use super::super::view;"),
        ("store::entries", "macro_rules! m { () => { $crate::view::post() } }"),
        ("store::entries", "fn f() { crate::posted!() }"),
        ("store::entries", "use crate::posted;"),
        ("store::entries", "fn f() { shown!() }"),
        ("store::entries", "fn f() { crate::unknown!() }"),
        ("store::entries", "use crate::unknown::Thing;"),
        ("store::entries", "use crate::*;"),
        ("store::entries", "use super::super::*;"),
        ("store::entries", "use crate as c; fn f() { c::view::post() }"),
        ("store::entries", "use crate::{self as c};"),
        ("store::entries", "use super::super as c;"),
        ("store::entries", "extern crate self as c;"),
        ("store::entries", "use daybook_core::view;"),
        ("store::entries", "include!(\"../view/posting.rs\");"),
        ("store::entries", "#[cfg(not(test))] mod inner { use crate::view; }"),
        ("store::entries", "#[cfg(any(test, unix))] use crate::view;"),
        ("store::entries", "#[cfg(test)] mod tests { } use crate::view;"),
        ("store::entries", "#[cfg(test)] use crate::merge; use crate::view;"),
        ("store::entries", "#[cfg(test)] pub(crate) const fn f() {} use crate::view;"),
        ("store::entries", "#[cfg(test)] fn f<const N: usize>() {} use crate::view;"),
        ("store::entries", "struct A { #[cfg(test)] a: u8, b: crate::view::Row }"),
        ("store::entries", "fn f() { match x { #[cfg(test)] A => {}, B => crate::view::post() } }"),
        ("store::entries", "fn f() { #[cfg(test)] let a = [1; 2]; crate::view::post() }"),
        ("store::entries", "fn f() { #[cfg(test)] { g() } crate::view::post() }"),
        ("store::entries", "const S: &str = \"crate::id\"; use crate::view;"),
        ("store::entries", "const S: &str = r#\"a\" // \"#; use crate::view;"),
        ("store::entries", "const S: char = '\"'; use crate::view; const T: char = '\"';"),
        ("store::entries", "fn f<'a>(x: &'a str) { crate::view::post(x) }"),
        ("store::entries", "/* a /* b */ c */ use crate::view;"),
        ("merge", "use crate::sync;"),
        ("sync", "use crate::merge;"),
        ("limits", "use crate::id;"),
        ("roster", "use crate::record;"),
        ("view", "use crate::daybook::Daybook;"),
        ("daybook", "use crate::net;"),
    ] {
        assert!(!snippet(module, code).is_empty(), "{module}: {code}");
    }
}

#[test]
fn what_only_looks_like_a_violation_is_let_through() {
    for (module, code) in [
        ("store::entries", "use crate::id; use crate::{crypto::Nonce, log::{self, Run}}; use super::keys::EntryKey;"),
        ("store::entries", "// use crate::view;\n/// [`crate::view`]\n//! crate::view::post"),
        ("store::entries", "/* use crate::view; /* nested */ crate::view */ use crate::id;"),
        ("store::entries", "const S: &str = \"use crate::view;\"; const T: &[u8] = b\"crate::view\";"),
        ("store::entries", "const S: &str = r##\"crate::view \"# crate::merge\"##;"),
        ("store::entries", "const S: &str = \"\\\"\"; const T: &str = \"crate::view\";"),
        ("store::entries", "const C: char = '\\''; const S: &str = \"crate::view\";"),
        ("store::entries", "#[cfg(test)] mod tests { use crate::view; mod m { use crate::merge; } } use crate::id;"),
        ("store::entries", "#[cfg(test)]\n#[path = \"x.rs\"]\nmod tests;"),
        ("store::entries", "#[cfg(test)] use crate::view::{a, b};"),
        ("store::entries", "#[cfg(all(test, unix))] fn f() { crate::view::post() }"),
        ("store::entries", "#[cfg(test)] pub(crate) fn f() -> [u8; 2] { crate::view::post() }"),
        ("store::entries", "pub(crate) struct A; pub(in crate::store) struct B; pub(super) struct C;"),
        ("store::entries", "impl A { fn f(&self) -> Self { self.clone() } } fn g(self: &A) { super::open() }"),
        ("store::entries", "mod inner { use super::super::keys; use super::open; }"),
        ("store::entries", "fn f(view: u8) { let merge = view; other::crate_view(merge) }"),
        ("store::entries", "use std::collections::{self, BTreeMap}; use other::view;"),
        ("view", "fn f() { shown!(); crate::posted!() }"),
        ("daybook", "use crate::{view, merge, exchange::csv}; fn f() { super::store::open(); }"),
    ] {
        assert_eq!(snippet(module, code), Vec::<String>::new(), "{module}: {code}");
    }
}
