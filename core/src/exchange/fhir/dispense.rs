//! `MedicationDispense` with its Medication: what was handed out, its lot and expiry.

use super::node::Node;
use super::said::{Said, draft, fact, status_said};
use super::value::{ReceiverReference, Reference, first_time};
use super::{EXTENSION_OVERRIDE, RXNORM};
use crate::exchange::report::{Reason, Refusal};
use crate::record::{Coded, Dispense, PartialDate, Statement};
use std::collections::BTreeMap;

/// Bounds of what is remembered of Medication resources while an import runs.
const MEDICATIONS_MAX: usize = 65_536;
const MEDICATIONS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest supply in days.
const DAYS_MAX: u16 = 3_650;

/// Medication resources seen so far, by id. Bounded: what comes after that is not remembered, and
/// references to it keep their display text.
#[derive(Debug, Default)]
pub(in crate::exchange) struct Medications {
    by_id: BTreeMap<String, Medication>,
    bytes: usize,
}

/// A product with lot and expiry, as a Medication says it.
#[derive(Debug)]
pub(in crate::exchange) struct Medication {
    system: String,
    code: String,
    display: String,
    lot: String,
    expiry: Option<PartialDate>,
}

/// A product with lot and expiry.
#[derive(Clone, Copy)]
struct Product<'v> {
    coded: Coded<'v>,
    lot: &'v str,
    expiry: Option<PartialDate>,
}

impl Medications {
    /// Remembers a Medication under its id.
    pub(in crate::exchange) fn remember(&mut self, id: &str, medication: Medication) {
        let Medication { system, code, display, lot, .. } = &medication;
        let bytes = id.len() + system.len() + code.len() + display.len() + lot.len() + 128;
        if self.by_id.len() < MEDICATIONS_MAX && self.bytes + bytes <= MEDICATIONS_BYTES_MAX {
            self.bytes += bytes;
            self.by_id.insert(id.to_owned(), medication);
        }
    }
}

impl Medication {
    /// Reads a Medication; an inactive one as well, since it may have been dispensed before.
    pub(in crate::exchange) fn read(resource: Node<'_>) -> Result<Self, Refusal> {
        let Product { coded, lot, expiry } = read_medication(resource)?;
        let [system, code, display, lot] = [coded.system, coded.code, coded.display, lot].map(str::to_owned);
        Ok(Self { system, code, display, lot, expiry })
    }
}

fn read_medication(resource: Node<'_>) -> Result<Product<'_>, Refusal> {
    resource.text("status")?;
    let coded = resource.need_concept("code", &[RXNORM])?;
    let (mut lot, mut expiry) = ("", None);
    if let Some(batch) = resource.object("batch")? {
        (lot, expiry) = (batch.text("lotNumber")?, batch.date("expirationDate")?);
    }
    Ok(Product { coded, lot, expiry })
}

#[derive(Clone, Copy)]
enum Status {
    /// Handed over.
    Done,
    /// Not handed over, not yet or at all.
    NotDone(&'static str),
}

pub(super) fn read<'v>(resource: Node<'v>, medications: &'v Medications) -> Result<Said<'v>, Refusal> {
    let status = match status_said(resource)? {
        "" => resource.code("status", status)?,
        word => {
            resource.text("status")?;
            status(word)
        }
    };
    let effective = match resource.time("whenHandedOver", "_whenHandedOver")? {
        Some(time) => time,
        None => first_time([resource.time("whenPrepared", "_whenPrepared")?, None, None]),
    };
    if let Status::NotDone(why) = status.ok_or(Refusal::new(Reason::Missing, "status"))? {
        let taken_back = draft(resource, "subject", effective, Statement::Reversal)?;
        return Ok(taken_back.map_or(Said::LeftOut(why), |draft| Said::TakenBack(draft, why)));
    }
    let product = read_product(resource, medications)?;
    let place = resource.object("location")?.map_or(Ok(""), |location| location.text("display"))?;
    let statement = Statement::Dispense(Dispense {
        product: product.coded,
        quantity: resource.quantity("quantity")?,
        lot: product.lot,
        expiry: product.expiry,
        days: read_days(resource)?,
        receiver: None,
        place,
        heads: Vec::new(),
        override_reason: resource.extension(EXTENSION_OVERRIDE)?.map_or(Ok(""), |e| e.text("valueString"))?,
    });
    let mut drafted = draft(resource, "subject", effective, statement)?;
    if let Some(draft) = &mut drafted {
        draft.receiver = read_receiver(resource, draft.patient)?;
    }
    Ok(fact(drafted))
}

fn status(code: &str) -> Option<Status> {
    Some(match code {
        "completed" => Status::Done,
        "preparation" => Status::NotDone("MedicationDispense.status=preparation"),
        "in-progress" => Status::NotDone("MedicationDispense.status=in-progress"),
        "on-hold" => Status::NotDone("MedicationDispense.status=on-hold"),
        "cancelled" => Status::NotDone("MedicationDispense.status=cancelled"),
        "stopped" => Status::NotDone("MedicationDispense.status=stopped"),
        "declined" => Status::NotDone("MedicationDispense.status=declined"),
        "unknown" => Status::NotDone("MedicationDispense.status=unknown"),
        "entered-in-error" => Status::NotDone("MedicationDispense.status=entered-in-error"),
        _ => return None,
    })
}

/// The product by concept, contained Medication, remembered Medication, or display text, in this order.
fn read_product<'v>(resource: Node<'v>, medications: &'v Medications) -> Result<Product<'v>, Refusal> {
    if let Some(coded) = resource.concept("medicationCodeableConcept", &[RXNORM])? {
        return Ok(Product { coded, lot: "", expiry: None });
    }
    let missing = Refusal::new(Reason::Missing, "medicationReference");
    let medication = resource.object("medicationReference")?.ok_or(missing)?;
    let reference = medication.reference()?;
    if let Some(Reference::Contained(id)) = reference {
        for contained in resource.objects("contained")? {
            if contained.peek("id")? == id && contained.peek("resourceType")? == "Medication" {
                contained.text("id")?;
                contained.text("resourceType")?;
                return read_medication(contained);
            }
        }
    }
    if let Some(found) = reference.and_then(|r| r.id_of("Medication")).and_then(|id| medications.by_id.get(id)) {
        let coded = Coded { system: &found.system, code: &found.code, display: &found.display };
        return Ok(Product { coded, lot: &found.lot, expiry: found.expiry });
    }
    match medication.text("display")? {
        "" => Err(missing),
        text => Ok(Product { coded: Coded::text(text), lot: "", expiry: None }),
    }
}

/// Whole days from 1 to 3,650.
fn read_days(resource: Node<'_>) -> Result<Option<u16>, Refusal> {
    let Some(supply) = resource.quantity("daysSupply")? else { return Ok(None) };
    if !["", "d", "day", "days", "Day", "Days"].contains(&supply.unit) {
        return Err(Refusal::new(Reason::UnknownCode, "daysSupply"));
    }
    let refuse = |reason| Refusal::new(reason, "daysSupply");
    if !supply.micros().is_multiple_of(1_000_000) {
        return Err(refuse(Reason::TooFine));
    }
    let days = u16::try_from(supply.micros() / 1_000_000).ok().filter(|days| *days <= DAYS_MAX);
    days.map(Some).ok_or(refuse(Reason::TooLarge))
}

/// The first receiver that is not the patient.
fn read_receiver<'v>(resource: Node<'v>, patient: &str) -> Result<Option<ReceiverReference<'v>>, Refusal> {
    for receiver in resource.objects("receiver")? {
        let reference = receiver.reference()?;
        let id = reference.and_then(|r| r.id_of("Patient")).unwrap_or_default();
        if id == patient {
            continue;
        }
        let display = receiver.text("display")?;
        if !id.is_empty() || !display.is_empty() {
            return Ok(Some(ReceiverReference { patient: id, display }));
        }
    }
    Ok(None)
}
