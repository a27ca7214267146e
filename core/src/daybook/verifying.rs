//! Verification of the whole book, from the bytes up.
//!
//! Every page of the file is read once, through its authentication code: those of entries on the way along the
//! chains, those of operations sheet by sheet, all others while their structure is checked. So a flipped bit is noticed
//! wherever it is, and so is a page that is as it was at another time: an entry is missing from its chain or is another
//! one, and a table has other pages than its own.

use super::Daybook;
use super::error::Error;
use super::types::VerifyReport;
use crate::id::{EntryId, LogId};
use crate::limits::SIGNED_EVERY;
use crate::merge::every_sheet;
use crate::store::{BranchOf, EntryKey, Grounds, LogRow, Store, StoreError};
use rusqlite::Connection;
use std::ops::ControlFlow;

/// Most problems that a check lists.
const PROBLEMS_MAX: usize = 100;
/// Tables whose pages are read for what stands on them.
const READ: [&str; 2] = ["entry", "op"];

impl Daybook {
    /// Checks the whole book from the bytes up: pages, ids and chains of all logs, signatures, and that every
    /// entry belongs to a log.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be read; what is wrong with it is in the report.
    pub fn verify(&mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<VerifyReport, Error> {
        self.refresh()?;
        let mut report = self.store.at_one_moment(|connection| {
            let mut check = Check::of(connection, progress)?;
            check.damage(self.store.check_structure_but(&READ))?;
            check.damage(every_sheet(connection, |_, _| Ok(())))?;
            check.logs()?;
            Ok::<_, Error>(check.report)
        })?;
        report.problems.truncate(PROBLEMS_MAX);
        Ok(report)
    }
}

/// A check under way.
struct Check<'a> {
    connection: &'a Connection,
    /// All logs with their branches, control first.
    logs: Vec<(LogRow, Vec<BranchOf>)>,
    /// Log, branch and places of entries beyond the ends of branches.
    beyond: Vec<(i64, u8, (u64, u64))>,
    grounds: Grounds,
    total: u64,
    progress: &'a mut dyn FnMut(u64, u64),
    report: VerifyReport,
}

impl<'a> Check<'a> {
    fn of(connection: &'a Connection, progress: &'a mut dyn FnMut(u64, u64)) -> Result<Self, Error> {
        let logs = Store::logs(connection)?.into_iter();
        let logs = logs.map(|log| Ok((log, Store::branches(connection, log.number)?)));
        let logs = logs.collect::<Result<Vec<_>, StoreError>>()?;
        let beyond = Store::beyond(connection)?;
        let total = logs.iter().flat_map(|(_, branches)| branches).map(|b| b.tip_seq - b.fork_seq).sum::<u64>();
        let total = total + beyond.iter().map(|(_, _, (first, last))| last + 1 - first).sum::<u64>();
        let report = VerifyReport { logs: logs.len() as u64, ..VerifyReport::default() };
        Ok(Self { connection, logs, beyond, grounds: Grounds::default(), total, progress, report })
    }

    fn problem(&mut self, problem: String) -> ControlFlow<()> {
        self.report.problems.push(problem);
        if self.report.problems.len() < PROBLEMS_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// Takes note of damage; any other error ends the check.
    fn damage(&mut self, found: Result<(), StoreError>) -> Result<(), StoreError> {
        if let Err(StoreError::Damaged(found)) = found {
            let _ = self.problem(format!("the file is damaged: {found}"));
            return Ok(());
        }
        found
    }

    fn logs(&mut self) -> Result<(), Error> {
        let logs = std::mem::take(&mut self.logs);
        for (log, branches) in &logs {
            for branch in branches {
                self.branch(log, branch, branches)?;
            }
        }
        for (number, branch, places) in std::mem::take(&mut self.beyond) {
            if let Some((log, _)) = logs.iter().find(|(log, _)| log.number == number) {
                self.beyond(log.log, (number, branch), places)?;
            }
        }
        self.strays(&logs)
    }

    /// Recomputes the ids of a branch along its chain and checks every signature that is kept.
    fn branch(&mut self, log: &LogRow, branch: &BranchOf, branches: &[BranchOf]) -> Result<(), Error> {
        let code = |seq| format!("{}-{seq}", log.log.short());
        let place = (log.number, branch.branch);
        let mut backlink = before(self.connection, log, branch, branches)?;
        let mut expected = branch.fork_seq + 1;
        let range = (branch.fork_seq + 1, branch.tip_seq);
        let mut heads = Store::heads(self.connection, place, range)?.into_iter().peekable();
        let mut grounds = std::mem::take(&mut self.grounds);
        Store::walk(self.connection, &mut grounds, place, range, |walked| {
            let mut flow = ControlFlow::Continue(());
            let (seq, id) = (walked.key.seq(), walked.entry.id(log.log, walked.key.seq(), backlink));
            if seq != expected || id != walked.id {
                flow = self.problem(format!("entry {} is not what its author signed", code(seq)));
            }
            while heads.next_if(|(at, _)| *at < seq).is_some() {}
            let signature = heads.next_if(|(at, _)| *at == seq).map(|(_, signature)| signature);
            let needed = seq.is_multiple_of(SIGNED_EVERY) || seq == branch.tip_seq || log.name.is_control();
            match signature {
                Some(signature) => {
                    self.report.heads += 1;
                    if log.name.author.sign.verify_head(log.log, seq, walked.id, &signature).is_err() {
                        flow = self.problem(format!("the signature of entry {} does not fit", code(seq)));
                    }
                }
                None if needed => flow = self.problem(format!("the signature of entry {} is missing", code(seq))),
                None => {}
            }
            (backlink, expected) = (walked.id, seq + 1);
            self.checked();
            Ok::<_, Error>(flow)
        })?;
        self.grounds = grounds;
        if expected != branch.tip_seq + 1 {
            let _ = self.problem(format!("entries after {} are missing", code(expected.saturating_sub(1))));
        }
        Ok(())
    }

    /// Recomputes the ids of entries beyond the end of a branch, each from the one before it where that is here.
    fn beyond(&mut self, log: LogId, place: (i64, u8), places: (u64, u64)) -> Result<(), Error> {
        let mut before: Option<(u64, EntryId)> = None;
        let mut grounds = std::mem::take(&mut self.grounds);
        Store::walk(self.connection, &mut grounds, place, places, |walked| {
            let seq = walked.key.seq();
            let chained = before.filter(|(last, _)| last + 1 == seq);
            let mut flow = ControlFlow::Continue(());
            if chained.is_some_and(|(_, backlink)| walked.entry.id(log, seq, backlink) != walked.id) {
                flow = self.problem(format!("entry {}-{seq} is not what its author signed", log.short()));
            }
            before = Some((seq, walked.id));
            self.checked();
            Ok::<_, Error>(flow)
        })?;
        self.grounds = grounds;
        Ok(())
    }

    /// Looks for entries where no log has any.
    fn strays(&mut self, logs: &[(LogRow, Vec<BranchOf>)]) -> Result<(), Error> {
        let mut numbers: Vec<i64> = logs.iter().map(|(log, _)| log.number).collect();
        numbers.sort_unstable();
        let (mut after, mut strays) = (EntryKey::new(0, 0, 0), 0);
        for number in numbers {
            strays += Store::entries_between(self.connection, after, EntryKey::new(number, 0, 7))?;
            let places = Store::places(self.connection, number)?.into_iter();
            after = EntryKey::new(number, places.map(|(_, (_, last))| last).max().unwrap_or(0), 7);
        }
        strays += Store::entries_between(self.connection, after, EntryKey::MAX)?;
        if strays > 0 {
            let _ = self.problem(format!("{strays} entries belong to no log"));
        }
        Ok(())
    }

    fn checked(&mut self) {
        self.report.entries += 1;
        if self.report.entries.is_multiple_of(1_024) {
            (self.progress)(self.report.entries, self.total);
        }
    }
}

/// Id of the entry before a branch: on the branch that it left, or on one that this one left.
fn before(
    connection: &Connection,
    log: &LogRow,
    branch: &BranchOf,
    branches: &[BranchOf],
) -> Result<EntryId, StoreError> {
    if branch.fork_seq == 0 {
        return Ok(EntryId::ZERO);
    }
    let mut at = branch.parent;
    while let Some(parent) = branches.iter().find(|b| b.branch == at && b.fork_seq >= branch.fork_seq && b.parent != at)
    {
        at = parent.parent;
    }
    let before = Store::entry(connection, EntryKey::new(log.number, branch.fork_seq, at))?;
    Ok(before.map(|entry| entry.id).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Host;
    use crate::crypto::{Label, derive};
    use crate::daybook::NewIncident;
    use crate::record::{Name, Setting};

    /// Counts its clock and its randomness up.
    struct Counted(u64);

    impl Host for Counted {
        fn now_ms(&mut self) -> i64 {
            self.0 += 1;
            1_795_334_400_000 + self.0.cast_signed()
        }

        fn offset_minutes(&mut self) -> i16 {
            0
        }

        fn fill(&mut self, bytes: &mut [u8]) {
            for chunk in bytes.chunks_mut(32) {
                self.0 += 1;
                chunk.copy_from_slice(&derive(Label::Digest, &[&self.0.to_le_bytes()])[..chunk.len()]);
            }
        }
    }

    fn problems(book: &mut Daybook) -> Vec<String> {
        book.verify(&mut |_, _| {}).unwrap().problems
    }

    /// What one statement makes of a sound book.
    fn told(statement: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let new = NewIncident {
            incident: "Valley flood".into(),
            organisation: "Relief".into(),
            person: "R. Alvarez".into(),
            exercise: true,
        };
        let host = Box::new(Counted(0));
        let (mut book, _) = Daybook::create(&folder.path().join("book"), b"four words or more", &new, host).unwrap();
        for family in ["Okoye", "Lindqvist"] {
            let name = Name { family, given: vec![], text: "" };
            book.add_patient(&[Setting::Name(name, Some(""))]).unwrap();
        }
        assert_eq!(problems(&mut book), Vec::<String>::new());
        let changed = book.store.write(|tx| Ok::<_, StoreError>(tx.execute(statement, [])?)).unwrap();
        assert_eq!(changed, 1, "{statement}");
        problems(&mut book).join("; ")
    }

    #[test]
    fn what_is_not_as_it_was_written_is_told() {
        let copy = "INSERT INTO entry SELECT (999 << 35) | 8, entry, ground, nonce, body, erased FROM entry LIMIT 1";
        assert_eq!(told(copy), "1 entries belong to no log");
        let of_last = "(SELECT max(id) FROM entry)";
        let lost = told("DELETE FROM entry WHERE id = (SELECT max(id) - 8 FROM entry)");
        assert!(lost.contains("is not what its author signed"), "{lost}");
        let short = told("UPDATE branch SET tip_seq = 3 WHERE log = (SELECT max(id) >> 35 FROM entry)");
        assert!(short.contains("-2 are missing"), "{short}");
        let other = told(&format!("UPDATE entry SET body = zeroblob(300) WHERE id = {of_last}"));
        assert!(other.contains("is not what its author signed"), "{other}");
        let unsigned = told(&format!("DELETE FROM head WHERE entry = {of_last}"));
        assert!(unsigned.contains("is missing"), "{unsigned}");
        let sheet = told("UPDATE op SET sheet = x'00' WHERE row = (SELECT min(row) FROM op)");
        assert!(sheet.contains("the file is damaged: a sheet"), "{sheet}");
    }
}
