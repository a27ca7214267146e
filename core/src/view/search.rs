//! Finding patients: by the beginnings of words, by identifiers, and by what two of them share.

use super::posting::put_finding;
use crate::id::PatientId;
use crate::merge::{Subject, SubjectKind};
use crate::record::{Finding, FindingKind, fold_text, words};
use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension};
use std::collections::BTreeSet;

/// Patients with one identifier above which they are no longer listed in pairs: it is no identifier.
const SHARED_MAX: usize = 16;
/// Most words kept for one patient.
const WORDS_MAX: usize = 256;

/// The search words of some texts: folded, each once, in rising order, with a space between.
pub(super) fn tokens<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let folded: Vec<String> = texts.map(fold_text).collect();
    let mut all: Vec<&str> = Vec::new();
    for word in folded.iter().flat_map(|text| words(text)) {
        let word = word.char_indices().nth(64).map_or(word, |(end, _)| word.get(..end).unwrap_or(word));
        if let Err(place) = all.binary_search(&word)
            && all.len() < WORDS_MAX
        {
            all.insert(place, word);
        }
    }
    all.join(" ")
}

/// Words of many subjects that come and go, written in the order in which the table keeps them.
#[derive(Default)]
pub(super) struct Words {
    gone: Vec<(String, i64)>,
    come: Vec<(String, i64)>,
}

impl Words {
    /// Replaces a subject's words; touches only those that differ.
    pub fn replace(&mut self, subject: i64, before: &str, now: &str) {
        if before == now {
            return;
        }
        if before.is_empty() {
            self.come.extend(now.split(' ').map(|word| (word.to_owned(), subject)));
            return;
        }
        let split =
            |text: &'_ str| text.split(' ').filter(|w| !w.is_empty()).map(str::to_owned).collect::<BTreeSet<_>>();
        let (before, now) = (split(before), split(now));
        self.gone.extend(before.difference(&now).map(|word| (word.clone(), subject)));
        self.come.extend(now.difference(&before).map(|word| (word.clone(), subject)));
    }

    /// Writes them.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn write(mut self, tx: &Connection) -> Result<(), StoreError> {
        self.come.sort_unstable();
        let mut delete = tx.prepare_cached("DELETE FROM search WHERE token = ?1 AND subject = ?2")?;
        for row in &self.gone {
            delete.execute((&row.0, row.1))?;
        }
        let mut insert = tx.prepare_cached("INSERT OR IGNORE INTO search (token, subject) VALUES (?1, ?2)")?;
        for row in &self.come {
            insert.execute((&row.0, row.1))?;
        }
        Ok(())
    }
}

/// Words of a text that are looked for; more narrow nothing down that people type.
const WANTED_MAX: usize = 9;

/// Patients in one of whose texts every word of `text` begins a word, at most `limit`, in order of name.
/// Cost: the matches of each word once.
///
/// # Errors
/// [`StoreError`] if the file cannot be read.
pub fn search(connection: &Connection, text: &str, limit: usize) -> Result<Vec<i64>, StoreError> {
    let folded = fold_text(text);
    let mut wanted: Vec<&str> = words(&folded).collect();
    wanted.sort_unstable_by_key(|word| std::cmp::Reverse(word.len()));
    wanted.truncate(WANTED_MAX);
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    // Each word's matches are found by themselves: to look for the second word of every bearer of the first would
    // read all matches of the second as often as the first has any.
    let of_word =
        |at: usize| format!("SELECT subject FROM search WHERE token >= ?{} AND token < ?{}", at * 2 + 1, at * 2 + 2);
    let all = (0..wanted.len()).map(of_word).collect::<Vec<_>>().join(" INTERSECT ");
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let query = format!("SELECT subject FROM patient WHERE subject IN ({all}) ORDER BY name, subject LIMIT {limit}");
    let arguments = wanted.iter().flat_map(|word| [(*word).to_owned(), after_prefix(word)]);
    let mut statement = connection.prepare_cached(&query)?;
    let rows = statement.query_map(rusqlite::params_from_iter(arguments), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The first text after all that begin with `prefix`.
fn after_prefix(prefix: &str) -> String {
    format!("{prefix}\u{10ffff}")
}

/// Replaces a subject's identifiers by `now`; returns those that came or went. A new subject has none yet.
pub(super) fn write_identifiers(
    tx: &Connection,
    subject: i64,
    now: BTreeSet<(String, String)>,
    new: bool,
) -> Result<Vec<(String, String)>, StoreError> {
    let mut insert = tx.prepare_cached("INSERT INTO identifier (value, system, subject) VALUES (?1, ?2, ?3)")?;
    if new {
        now.iter().try_for_each(|(value, system)| insert.execute((value, system, subject)).map(drop))?;
        return Ok(now.into_iter().collect());
    }
    let before: BTreeSet<(String, String)> = {
        let mut statement = tx.prepare_cached("SELECT value, system FROM identifier WHERE subject = ?1")?;
        let rows = statement.query_map([subject], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<Result<_, _>>()?
    };
    for (value, system) in before.difference(&now) {
        tx.prepare_cached("DELETE FROM identifier WHERE value = ?1 AND system = ?2 AND subject = ?3")?
            .execute((value, system, subject))?;
    }
    for (value, system) in now.difference(&before) {
        insert.execute((value, system, subject))?;
    }
    // What did not change needs no look: a pair that shares it was found when the second one came.
    Ok(before.symmetric_difference(&now).cloned().collect())
}

/// Subjects of one compartment that bear an identifier, in rising order.
fn bearers(connection: &Connection, compartment: i64, value: &str, system: &str) -> Result<Vec<i64>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT identifier.subject FROM identifier JOIN subject ON subject.id = identifier.subject
         WHERE value = ?1 AND system = ?2 AND compartment = ?3 ORDER BY identifier.subject LIMIT ?4",
    )?;
    let most = i64::try_from(SHARED_MAX + 2).unwrap_or(i64::MAX);
    let rows = statement.query_map((value, system, compartment, most), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether more than one subject bears one of these identifiers.
fn shared(connection: &Connection, identifiers: &[(String, String)]) -> Result<bool, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT count(*) FROM (SELECT 1 FROM identifier WHERE value = ?1 AND system = ?2 LIMIT 2)")?;
    for (value, system) in identifiers {
        if statement.query_row((value, system), |row| row.get::<_, i64>(0))? > 1 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Makes the findings "possibly the same person" of a subject anew if its identifiers changed.
pub(super) fn post_same_person(
    tx: &Connection,
    subject: &Subject,
    changed: &[(String, String)],
    new: bool,
) -> Result<(), StoreError> {
    // A new subject whose identifiers nobody else bears makes no pair.
    if changed.is_empty() || (new && !shared(tx, changed)?) {
        return Ok(());
    }
    let mut touched: BTreeSet<i64> = BTreeSet::from([subject.id]);
    for (value, system) in changed {
        let all = bearers(tx, subject.compartment, value, system)?;
        // Where the number of bearers crosses the bound, pairs among the others come or go too.
        if all.len() >= SHARED_MAX {
            let mut statement = tx.prepare_cached(
                "SELECT identifier.subject FROM identifier JOIN subject ON subject.id = identifier.subject
                 WHERE value = ?1 AND system = ?2 AND compartment = ?3",
            )?;
            if all.len() <= SHARED_MAX + 1 {
                let rows = statement.query_map((value, system, subject.compartment), |row| row.get(0))?;
                touched.extend(rows.collect::<Result<Vec<i64>, _>>()?);
            }
        }
    }
    for one in touched {
        pair_anew(tx, subject.compartment, one)?;
    }
    Ok(())
}

fn pair_anew(tx: &Connection, compartment: i64, subject: i64) -> Result<(), StoreError> {
    let kind = FindingKind::PossiblySamePerson as u8;
    tx.prepare_cached("DELETE FROM finding WHERE kind = ?2 AND other <> 0 AND id IN (SELECT id FROM finding WHERE subject = ?1 UNION SELECT id FROM finding WHERE other <> 0 AND other = ?1)")?
        .execute((subject, kind))?;
    let own: Vec<(String, String)> = {
        let mut statement = tx.prepare_cached("SELECT value, system FROM identifier WHERE subject = ?1")?;
        let rows = statement.query_map([subject], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<Result<_, _>>()?
    };
    let mut partners: BTreeSet<i64> = BTreeSet::new();
    for (value, system) in own {
        let all = bearers(tx, compartment, &value, &system)?;
        if all.len() <= SHARED_MAX {
            partners.extend(all.into_iter().filter(|other| *other != subject));
        }
    }
    let key = |id| Subject::load(tx, id).map(|s| s.map(|s| s.key).unwrap_or_default());
    for partner in partners {
        let text = "Two patients bear one identifier: possibly the same person.".to_owned();
        let finding = Finding::new(FindingKind::PossiblySamePerson, vec![key(subject)?, key(partner)?], text);
        put_finding(tx, subject.min(partner), subject.max(partner), &finding)?;
    }
    Ok(())
}

/// Patients of a compartment that bear an identifier.
///
/// # Errors
/// [`StoreError`] if the file cannot be read.
pub fn holders(connection: &Connection, compartment: i64, system: &str, value: &str) -> Result<Vec<i64>, StoreError> {
    bearers(connection, compartment, value.trim(), system)
}

/// Patients that bear an identifier of any system, at most `limit`.
///
/// # Errors
/// [`StoreError`] if the file cannot be read.
pub fn bearers_of_value(connection: &Connection, value: &str, limit: usize) -> Result<Vec<i64>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT DISTINCT subject FROM identifier WHERE value = ?1 ORDER BY subject LIMIT ?2")?;
    let rows = statement.query_map((value.trim(), i64::try_from(limit).unwrap_or(i64::MAX)), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Patients whose id lies between two, at most `limit`.
///
/// # Errors
/// [`StoreError`] if the file cannot be read.
pub fn patients_between(
    connection: &Connection,
    low: &PatientId,
    high: &PatientId,
    limit: usize,
) -> Result<Vec<i64>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT patient.subject FROM subject JOIN patient ON patient.subject = subject.id
         WHERE subject.key BETWEEN ?1 AND ?2 AND subject.kind = ?3 ORDER BY subject.key LIMIT ?4",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows =
        statement.query_map((low.as_bytes(), high.as_bytes(), SubjectKind::Patient as u8, limit), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The subject of a patient's record in a compartment, if it has a line.
///
/// # Errors
/// [`StoreError`] if the file cannot be read.
pub fn patient_subject(connection: &Connection, patient: &PatientId) -> Result<Option<i64>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT patient.subject FROM subject JOIN patient ON patient.subject = subject.id WHERE subject.key = ?1 AND subject.kind = ?2
         ORDER BY subject.compartment LIMIT 1",
    )?;
    Ok(statement.query_row((patient.as_bytes(), SubjectKind::Patient as u8), |row| row.get(0)).optional()?)
}
