//! What a book shows beside what the model says.

use super::{Model, product};
use daybook_core::daybook::{Daybook, Error, Purpose, StockLine};
use daybook_core::id::PatientId;
use daybook_core::record::Coded;
use std::collections::BTreeMap;

/// Compares all that a book shows with the model.
///
/// # Errors
/// What differs first.
pub fn differs(book: &mut Daybook, model: &Model, patients: &[PatientId]) -> Result<(), String> {
    fn same<T: PartialEq + std::fmt::Debug>(what: &str, book: &T, model: &T) -> Result<(), String> {
        if book == model { Ok(()) } else { Err(format!("{what}\n book:  {book:?}\n model: {model:?}")) }
    }
    fn same_maps<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
        what: &str,
        book: &BTreeMap<K, V>,
        model: &BTreeMap<K, V>,
    ) -> Result<(), String> {
        for key in book.keys().chain(model.keys()) {
            same(&format!("{what} {key:?}"), &book.get(key), &model.get(key))?;
        }
        Ok(())
    }
    for patient in patients {
        let chart = match book.read_patient(*patient, Purpose::Treatment) {
            Ok(chart) => Some(chart),
            Err(Error::NoSuchPatient) => None,
            Err(error) => return Err(error.to_string()),
        };
        same(&format!("whether {patient} exists"), &chart.is_some(), &model.patients.contains_key(patient))?;
        let (Some(chart), Some(one)) = (chart, model.patients.get(patient)) else { continue };
        let shown = chart.registers.iter().map(|r| (r.field, r.key.clone(), r.value.clone(), r.concurrent)).collect();
        same(&format!("registers of {patient}"), &shown, &one.registers)?;
        let facts: BTreeMap<_, _> =
            chart.facts.iter().map(|f| (f.reference, (f.standing, f.waiting, f.implausible_time))).collect();
        same_maps(&format!("fact of {patient}"), &facts, &one.facts)?;
        let late_last = chart.facts.iter().map(|f| f.implausible_time).is_sorted();
        same("whether facts with an implausible time come last", &late_last, &true)?;
        same(&format!("allergy status of {patient}"), &chart.allergy_status, &one.allergy)?;
        same(&format!("death of {patient}"), &chart.summary.deceased, &one.deceased)?;
        let birth = chart.summary.birth;
        same(&format!("birth of {patient}"), &birth, &birth.filter(|b| one.births.contains(b)))?;
        same(&format!("whether a birth of {patient} is shown"), &birth.is_some(), &!one.births.is_empty())?;
        same(&format!("sex of {patient}"), &chart.summary.sex, &one.sexes.first().copied())?;
        let findings = chart.findings.iter().map(|f| (f.id, f.kind)).collect();
        let expected = one.findings.iter().map(|id| (*id, model.findings[id].0)).collect();
        same_maps(&format!("finding of {patient}"), &findings, &expected)?;
        let open = one.findings.iter().filter(|id| !model.findings[*id].1).count();
        same(&format!("open findings of {patient}"), &(chart.summary.open_findings as usize), &open)?;
    }
    let all = book.findings(true).map_err(|e| e.to_string())?;
    let findings: BTreeMap<_, _> = all.iter().map(|f| (f.id, (f.kind, f.resolved.is_some()))).collect();
    same_maps("finding", &findings, &model.findings)?;
    let lines = book.stock().map_err(|e| e.to_string())?;
    let product = |line: &StockLine| {
        if line.code.is_empty() { product(&Coded::text(&line.product)) } else { line.code.clone() }
    };
    let stock: BTreeMap<_, _> = lines
        .iter()
        .map(|line| ((line.place.clone(), product(line), line.lot.clone()), (line.on_hand_micros, line.counted)))
        .collect();
    same("lines of stock", &stock.len(), &lines.len())?;
    same_maps("stock", &stock, &model.stock)
}
