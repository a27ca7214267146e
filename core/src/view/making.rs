//! Making the views of one subject: from its operations alone, without the file, so that any thread can do it.

use super::missing;
use super::patients::{Line, Registers};
use crate::id::FindingId;
use crate::merge::{Logs, Op, Placed, Subject, SubjectKind, Times};
use crate::record::{
    EditAt, EntryRef, FactAt, Finding, Item, Standing, Statement, StockAt, fold, of_facts, on_hand, standings,
};
use crate::store::{EntryKey, OpKey};
use std::collections::BTreeSet;

/// What the views of one subject show.
#[derive(Default)]
pub(super) struct Made {
    /// Times beyond what is plausible now.
    pub late: Vec<i64>,
    /// Findings that somebody resolved, or does not resolve any more.
    pub resolutions: Vec<Resolution>,
    /// Findings that the operations raise.
    pub findings: Vec<Finding>,
    /// What changes of the record refer to and is not open here, with the changes.
    pub missing: Vec<(EntryRef, EntryKey)>,
    pub shown: Shown,
}

/// The rows that depend on what the subject is.
#[derive(Default)]
pub(super) enum Shown {
    /// A patient: the line of the list, unless nothing is accepted; and identifiers by value and system.
    Patient(Option<Line>, BTreeSet<(String, String)>),
    /// A lot: what is on hand at each place.
    Stock(Vec<OnHand>),
    /// No rows.
    #[default]
    Nothing,
}

/// One operation that resolves a finding.
pub(super) struct Resolution {
    pub finding: FindingId,
    pub by: OpKey,
    pub holds: Holds,
}

/// Whether a resolution has effect.
pub(super) enum Holds {
    Yes,
    No,
}

/// Stock of a lot at one place.
pub(super) struct OnHand {
    pub place: String,
    pub product: String,
    pub code: String,
    pub lot: String,
    pub expiry: String,
    pub micros: i64,
    pub unit: String,
    pub counted: bool,
}

impl Made {
    /// Makes the views of a subject from all its operations.
    pub fn of(subject: &Subject, operations: Vec<Op<'_>>, logs: &Logs, times: &Times) -> Self {
        let late = times.late(operations.iter().map(|op| (op.device(logs), op.latest_ms())));
        let said = Said::of(operations, logs, times);
        let made = match subject.kind {
            SubjectKind::Patient => patient(subject, &said, logs),
            SubjectKind::Stock => stock(&said, logs),
            SubjectKind::Compartment => {
                Self { resolutions: said.resolutions(&standings(&said.facts)), ..Self::default() }
            }
            SubjectKind::Reading | SubjectKind::Newer => Self::default(),
        };
        Self { late, ..made }
    }
}

/// What the operations of one subject say, by what the rules take.
struct Said<'a> {
    edits: Vec<EditAt<'a>>,
    facts: Vec<FactAt<'a>>,
    /// Where each fact lies, in the same order.
    keys: Vec<OpKey>,
    /// Whether any operation is accepted.
    accepted: bool,
}

impl<'a> Said<'a> {
    fn of(operations: Vec<Op<'a>>, logs: &Logs, times: &Times) -> Self {
        let mut said = Self { edits: Vec::new(), facts: Vec::new(), keys: Vec::new(), accepted: false };
        for op in operations {
            said.accepted |= !op.waiting;
            let key = op.key;
            match op.place(logs, times) {
                Placed::Edit(edit) => said.edits.push(edit),
                Placed::Fact(fact) => {
                    said.keys.push(key);
                    said.facts.push(fact);
                }
                Placed::Reading | Placed::Newer => {}
            }
        }
        said
    }

    /// Which findings are resolved: by accepted resolutions that nobody took back.
    fn resolutions(&self, standings: &[Standing]) -> Vec<Resolution> {
        let mut resolutions = Vec::new();
        for ((key, fact), standing) in self.keys.iter().zip(&self.facts).zip(standings) {
            let Statement::Resolution { findings } = &fact.fact.statement else { continue };
            for finding in findings {
                let holds = if *standing == Standing::Stands && !fact.waiting { Holds::Yes } else { Holds::No };
                resolutions.push(Resolution { finding: *finding, by: *key, holds });
            }
        }
        resolutions
    }
}

fn patient(subject: &Subject, said: &Said<'_>, logs: &Logs) -> Made {
    let folded = fold(&said.edits, &logs.forks);
    let registers = Registers::of(&folded, &said.edits);
    let standings = standings(&said.facts);
    let line = said.accepted.then(|| Line::of(&registers, &said.facts, &standings));
    let identifiers = registers.identifiers().map(|i| (i.value.trim().to_owned(), i.system.to_owned())).collect();
    let mut findings = of_facts(&said.facts, &standings);
    findings.extend(registers.findings(subject));
    Made {
        late: Vec::new(),
        resolutions: said.resolutions(&standings),
        findings,
        missing: missing::of(&folded, &said.edits),
        shown: Shown::Patient(line, identifiers),
    }
}

fn stock(said: &Said<'_>, logs: &Logs) -> Made {
    let standings = standings(&said.facts);
    let stock: Vec<StockAt<'_>> = said
        .facts
        .iter()
        .zip(&said.keys)
        .filter(|(fact, _)| fact.fact.statement.kind().is_stock())
        .map(|(fact, key)| StockAt { stand: key.stand(), fact: fact.clone() })
        .collect();
    let Some(item) = stock.iter().find_map(|s| Item::of_statement(&s.fact.fact.statement)) else {
        return Made { shown: Shown::Stock(Vec::new()), ..Made::default() };
    };
    let (lines, findings) = on_hand(&item, &stock, &standings, &logs.forks);
    let mut rows = Vec::new();
    for line in lines {
        let shown = stock.get(line.shown_by).map(|s| &s.fact.fact.statement);
        let (product, expiry, unit) = match shown {
            Some(Statement::StockMovement(m)) => (m.product, m.expiry, m.quantity.unit),
            Some(Statement::StockCount(c)) => (c.product, None, c.quantity.unit),
            _ => continue,
        };
        // A count names no expiry; the newest movement of the lot that does is asked.
        let stand = stock.iter().zip(&standings).filter(|(s, st)| **st == Standing::Stands && !s.fact.waiting);
        let of_lot = stand.filter_map(|(s, _)| match &s.fact.fact.statement {
            Statement::StockMovement(m) => Some((s.fact.hlc, s.fact.reference, m.expiry?)),
            _ => None,
        });
        let expiry = expiry.or_else(|| of_lot.max().map(|(_, _, expiry)| expiry));
        rows.push(OnHand {
            place: line.place,
            product: product.shown().to_owned(),
            code: if product.code.is_empty() { String::new() } else { format!("{}|{}", product.system, product.code) },
            lot: item.lot.clone(),
            expiry: expiry.map(|e| e.to_string()).unwrap_or_default(),
            micros: line.micros,
            unit: unit.to_owned(),
            counted: line.counted,
        });
    }
    Made { findings, shown: Shown::Stock(rows), ..Made::default() }
}
