//! Dispensing and stock: warn first, then write the dispense and its stock movement in one commit.

use super::Daybook;
use super::charts::Loaded;
use super::error::Error;
use super::patients::heads;
use super::saying::{commit_fact, said};
use super::types::{FactView, StockLine, Warning, Written};
use crate::clock::{EffectiveTime, Hlc};
use crate::id::PatientId;
use crate::merge::{Subject, SubjectKind};
use crate::record::{
    Cause, Coded, Dispense, EntryRef, Fact, FactAt, FactKind, FindingKind, Item, OpRef, PartialDate, Purpose, Quantity,
    Standing, Statement, StockCount, StockMovement, class_key, of_facts, seen_by_count, standings,
};
use crate::roster::CompartmentKind;
use crate::store::Store;
use crate::view;

impl Daybook {
    /// What a dispense would raise, before anything is written: duplicates and allergies, also those that
    /// could not be checked. Noted as a reading of the record, for treatment.
    ///
    /// # Errors
    /// [`Error::NoSuchPatient`].
    pub fn dispense_warnings(
        &mut self,
        patient: PatientId,
        dispense: &Dispense<'_>,
        effective: Option<EffectiveTime>,
    ) -> Result<Vec<Warning>, Error> {
        self.open_record(patient, Purpose::Treatment)?;
        self.warnings_of(patient, dispense, effective)
    }

    fn warnings_of(
        &mut self,
        patient: PatientId,
        dispense: &Dispense<'_>,
        effective: Option<EffectiveTime>,
    ) -> Result<Vec<Warning>, Error> {
        self.refresh()?;
        let effective = effective.unwrap_or_else(|| EffectiveTime::now(self.host.as_mut()));
        let connection = self.store.read()?;
        let subject = view::patient_subject(connection, &patient)?.ok_or(Error::NoSuchPatient)?;
        let loaded = Loaded::load(connection, subject)?;
        let mut facts: Vec<FactAt<'_>> = loaded.facts(&self.state).into_iter().map(|(_, fact)| fact).collect();
        let fact = Fact {
            patient: Some(patient),
            effective,
            targets: Vec::new(),
            import: None,
            reason: "",
            statement: Statement::Dispense(dispense.clone()),
        };
        // A place that no entry has: the dispense as it would stand beside the others.
        let entry = EntryRef { log: crate::id::LogId::ZERO, seq: u64::from(u32::MAX), prefix: [0xff; 16] };
        let (hlc, device) = (Hlc::default(), self.state.device_id);
        facts.push(FactAt {
            reference: OpRef { entry, index: 0 },
            device,
            hlc,
            waiting: false,
            implausible: false,
            fact,
        });
        let about = facts.last().map(|f| f.id().to_bytes()).unwrap_or_default();
        let class = class_key(&dispense.product).into_bytes();
        let raised = of_facts(&facts, &standings(&facts));
        let mut warnings: Vec<Warning> = raised
            .into_iter()
            .filter(|f| f.about.contains(&about) || (f.kind == FindingKind::ManyDispenses && f.about.contains(&class)))
            .map(|finding| Warning { kind: finding.kind, text: finding.text })
            .collect();
        warnings.extend(expired(dispense, &effective));
        Ok(warnings)
    }

    /// Dispenses: one clinical entry with the heads of the record that the decision stood on, one stock
    /// movement in supply without the patient, in one commit.
    ///
    /// # Errors
    /// [`Error::NeedsOverride`] with the warnings if there are any and no reason is given; nothing was written.
    pub fn dispense(
        &mut self,
        patient: PatientId,
        dispense: &Dispense<'_>,
        effective: Option<EffectiveTime>,
    ) -> Result<Written<FactView>, Error> {
        let Some(quantity) = dispense.quantity else {
            return Err(Error::Value { what: "the quantity", why: "is missing" });
        };
        let warnings = self.warnings_of(patient, dispense, effective)?;
        if !warnings.is_empty() && dispense.override_reason.trim().is_empty() {
            self.note_record(patient, Some(Purpose::Treatment));
            return Err(Error::NeedsOverride { warnings });
        }
        let entries = self.write(|writer| {
            let effective = effective.unwrap_or_else(|| EffectiveTime::now(writer.host));
            let subject = view::patient_subject(writer.tx, &patient)?.ok_or(Error::NoSuchPatient)?;
            let mut dispense = dispense.clone();
            dispense.heads = heads(writer, subject)?;
            let movement = Statement::StockMovement(StockMovement {
                product: dispense.product,
                lot: dispense.lot,
                expiry: dispense.expiry,
                quantity,
                from: place_or_default(dispense.place),
                to: "",
                cause: Cause::Dispense,
            });
            let fact = |patient, statement| Fact {
                patient,
                effective,
                targets: Vec::new(),
                import: None,
                reason: "",
                statement,
            };
            let clinical = said(writer, &fact(Some(patient), Statement::Dispense(dispense)))?;
            let supply = said(writer, &fact(None, movement))?;
            let mut committed = writer.commit(&[clinical, supply])?;
            clinical_first(writer, &mut committed.entries)?;
            Ok(committed)
        })?;
        self.written_fact(entries)
    }

    /// Reverses a dispense: it did not take place or came back; its stock returns to where it left.
    ///
    /// # Errors
    /// [`Error::WrongKind`] if the entry is no dispense, [`Error::TakenBack`] if it was reversed already.
    pub fn reverse_dispense(&mut self, entry: &str, reason: &str) -> Result<Written<FactView>, Error> {
        let target = self.fact_of(entry)?;
        if target.kind != FactKind::Dispense {
            return Err(Error::WrongKind { expected: "dispense" });
        }
        if reason.trim().is_empty() {
            return Err(Error::Value { what: "the reason", why: "must not be empty" });
        }
        if matches!(target.standing, Standing::Refuted | Standing::Reversed) {
            return Err(Error::TakenBack);
        }
        let entries = self.write(|writer| {
            let effective = EffectiveTime::now(writer.host);
            let reversal = Fact {
                patient: target.patient,
                effective,
                targets: vec![target.id],
                import: None,
                reason,
                statement: Statement::Reversal,
            };
            let mut to_say = vec![said(writer, &reversal)?];
            // An imported dispense never left the stock of this incident.
            if let (Some(Fact { statement: Statement::Dispense(d), import: None, .. }), Some(quantity)) = (
                target.fact(),
                target.fact().and_then(|f| if let Statement::Dispense(d) = f.statement { d.quantity } else { None }),
            ) {
                let back = StockMovement {
                    product: d.product,
                    lot: d.lot,
                    expiry: d.expiry,
                    quantity,
                    from: "",
                    to: place_or_default(d.place),
                    cause: Cause::Reversal,
                };
                let statement = Statement::StockMovement(back);
                to_say.push(said(
                    writer,
                    &Fact { patient: None, effective, targets: Vec::new(), import: None, reason, statement },
                )?);
            }
            let mut committed = writer.commit(&to_say)?;
            clinical_first(writer, &mut committed.entries)?;
            Ok(committed)
        })?;
        self.written_fact(entries)
    }

    /// Takes stock in from outside.
    ///
    /// # Errors
    /// [`Error::Value`]; nothing was written.
    pub fn stock_receive(
        &mut self,
        product: Coded<'_>,
        lot: &str,
        expiry: Option<PartialDate>,
        quantity: Quantity<'_>,
        place: &str,
    ) -> Result<Written<FactView>, Error> {
        let to = place_or_default(place);
        self.move_stock(&StockMovement { product, lot, expiry, quantity, from: "", to, cause: Cause::Receive })
    }

    /// Moves stock from one place to another.
    ///
    /// # Errors
    /// [`Error::Value`]; nothing was written.
    pub fn stock_move(
        &mut self,
        product: Coded<'_>,
        lot: &str,
        expiry: Option<PartialDate>,
        quantity: Quantity<'_>,
        from: &str,
        to: &str,
    ) -> Result<Written<FactView>, Error> {
        if from == to || from.is_empty() || to.is_empty() {
            return Err(Error::Value { what: "the places", why: "must be two different ones" });
        }
        self.move_stock(&StockMovement { product, lot, expiry, quantity, from, to, cause: Cause::Move })
    }

    fn move_stock(&mut self, movement: &StockMovement<'_>) -> Result<Written<FactView>, Error> {
        let entries = self.write(|writer| {
            let effective = EffectiveTime::now(writer.host);
            let statement = Statement::StockMovement(movement.clone());
            commit_fact(
                writer,
                &Fact { patient: None, effective, targets: Vec::new(), import: None, reason: "", statement },
            )
        })?;
        self.written_fact(entries)
    }

    /// Writes down how much of a lot is at a place. What moved after this count is added to it.
    ///
    /// # Errors
    /// [`Error::Value`]; nothing was written.
    pub fn stock_count(
        &mut self,
        product: Coded<'_>,
        lot: &str,
        quantity: Quantity<'_>,
        place: &str,
    ) -> Result<Written<FactView>, Error> {
        let place = place_or_default(place);
        let entries = self.write(|writer| {
            let effective = EffectiveTime::now(writer.host);
            let compartment = Store::compartment_row(writer.tx, writer.state.compartment(CompartmentKind::Supply)?)?;
            let key = Item::of(&product, lot).to_bytes();
            let (after, seen) = match Subject::find(writer.tx, compartment, SubjectKind::Stock, &key)? {
                None => (Vec::new(), Vec::new()),
                Some(subject) => {
                    let loaded = Loaded::load(writer.tx, subject)?;
                    let stock: Vec<_> =
                        loaded.rows.iter().filter_map(|row| row.stock(&writer.state.logs, &loaded.times)).collect();
                    let facts: Vec<FactAt<'_>> = stock.iter().map(|s| s.fact.clone()).collect();
                    seen_by_count(&stock, &standings(&facts), place)
                }
            };
            let count = StockCount { product, lot, quantity, place, after, seen };
            let statement = Statement::StockCount(count);
            commit_fact(
                writer,
                &Fact { patient: None, effective, targets: Vec::new(), import: None, reason: "", statement },
            )
        })?;
        self.written_fact(entries)
    }

    /// Stock by place, product and lot.
    ///
    /// # Errors
    /// [`Error`] if the book cannot be read.
    pub fn stock(&mut self) -> Result<Vec<StockLine>, Error> {
        self.refresh()?;
        let rows = view::stock_rows(self.store.read()?)?;
        let line = |row: view::StockRow| StockLine {
            place: row.place,
            product: row.product,
            code: row.code,
            lot: row.lot,
            expiry: PartialDate::parse(&row.expiry),
            on_hand_micros: row.micros,
            unit: row.unit,
            counted: row.counted,
        };
        Ok(rows.into_iter().map(line).collect())
    }
}

/// Where stock lies if nobody said where.
fn place_or_default(place: &str) -> &str {
    if place.trim().is_empty() { "main" } else { place }
}

/// A lot past its expiry is a warning and no bar: some lots are extended.
fn expired(dispense: &Dispense<'_>, effective: &EffectiveTime) -> Option<Warning> {
    let expiry = dispense.expiry?;
    let day = PartialDate::parse(effective.to_fhir().get(..10)?)?;
    let last = (expiry.year(), expiry.month().unwrap_or(12), expiry.day().unwrap_or(31));
    let now = (day.year(), day.month().unwrap_or(1), day.day().unwrap_or(1));
    (now > last).then(|| Warning { kind: FindingKind::LotExpired, text: format!("This lot expired on {expiry}.") })
}

/// The clinical entry before the supply one: it is what the caller asked for.
fn clinical_first(
    writer: &super::writing::Writer<'_>,
    entries: &mut [super::writing::WrittenEntry],
) -> Result<(), Error> {
    let clinical = writer.state.compartment(CompartmentKind::Clinical)?;
    entries.sort_by_key(|e| writer.state.logs.get(e.key.log()).is_none_or(|log| log.name.compartment != clinical));
    Ok(())
}
