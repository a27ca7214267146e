//! Facts as bytes: one map of numbered fields, the same number for the same thing in every kind.
//!
//! ```text
//! 0 kind       1 patient   2 effective  3 targets   4 import     5 reason
//! 10 code      11 quantity 12 lot       13 expiry   14 place     15 to        16 days     17 text
//! 18 clinical  19 verification          20 criticality           21 value     22 components
//! 23 seen      24 earlier  25 receiver  26 heads    27 override  28 findings  29 cause    30 category
//! 31 given     32 after
//! ```
//! A field that says nothing is left out, so that one meaning has one encoding.

use super::fact::{
    Allergy, Cause, ClinicalStatus, Condition, Criticality, Dispense, Fact, FactKind, Given, Immunization, Observation,
    Receiver, Statement, StockCount, StockMovement, Value, Verification,
};
use super::reference::{EntryRef, FactId, read_list, write_list};
use super::value::{Coded, PartialDate, Quantity, read_time, write_time};
use crate::clock::EffectiveTime;
use crate::codec::{Fields, Malformed, Reader, Writer};
use crate::id::{FindingId, ImportId, PatientId};
use crate::limits::{PARENTS_PER_EDIT_MAX, TARGETS_PER_FACT_MAX, TEXT_BYTES_MAX};

const COMPONENTS_MAX: usize = 16;
const AFTER_MAX: usize = 64;
const DAYS_MAX: u64 = 3_650;

/// All fields that some kind has; a kind takes its own and must leave none.
#[derive(Default)]
struct Draft<'a> {
    patient: Option<PatientId>,
    effective: Option<EffectiveTime>,
    targets: Option<Vec<FactId>>,
    import: Option<ImportId>,
    reason: Option<&'a str>,
    code: Option<Coded<'a>>,
    quantity: Option<Quantity<'a>>,
    lot: Option<&'a str>,
    expiry: Option<PartialDate>,
    place: Option<&'a str>,
    to: Option<&'a str>,
    days: Option<u16>,
    text: Option<&'a str>,
    clinical: Option<ClinicalStatus>,
    verification: Option<Verification>,
    criticality: Option<Criticality>,
    value: Option<Value<'a>>,
    components: Option<Vec<(Coded<'a>, Value<'a>)>>,
    seen: Option<Vec<FactId>>,
    earlier: bool,
    receiver: Option<Receiver<'a>>,
    heads: Option<Vec<EntryRef>>,
    override_reason: Option<&'a str>,
    findings: Option<Vec<FindingId>>,
    cause: Option<Cause>,
    category: Option<&'a str>,
    given: Option<Given>,
    after: Option<Vec<FactId>>,
    /// How many fields were read and not taken yet.
    left: usize,
}

/// Takes a field out of a draft and counts it.
macro_rules! take {
    ($draft:ident . $field:ident) => {{
        let taken = $draft.$field.take();
        $draft.left -= usize::from(taken.is_some());
        taken
    }};
}

/// Takes a field that the kind must have.
macro_rules! need {
    ($draft:ident . $field:ident) => {
        take!($draft.$field).ok_or(Malformed::Schema)?
    };
}

impl<'a> Fact<'a> {
    /// Reads the rest of a fact whose kind was read.
    pub(super) fn read(kind: FactKind, fields: &mut Fields, from: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut draft = Draft::default();
        while let Some(key) = fields.next(from)? {
            draft.field(kind, key, from)?;
            draft.left += 1;
        }
        let fact = Self {
            patient: take!(draft.patient),
            effective: need!(draft.effective),
            targets: take!(draft.targets).unwrap_or_default(),
            import: take!(draft.import),
            reason: take!(draft.reason).unwrap_or_default(),
            statement: draft.statement(kind)?,
        };
        if draft.left > 0 {
            return Err(Malformed::Newer);
        }
        fact.check()?;
        Ok(fact)
    }

    /// What holds beyond the single fields.
    fn check(&self) -> Result<(), Malformed> {
        let kind = self.statement.kind();
        let stock_resolution = kind == FactKind::Resolution && self.patient.is_none();
        if self.patient.is_none() != kind.is_stock() && !stock_resolution {
            return Err(Malformed::Schema);
        }
        if matches!(kind, FactKind::Refutation | FactKind::Reversal) && self.targets.is_empty() {
            return Err(Malformed::Schema);
        }
        Ok(())
    }

    /// Writes the fact as an operation.
    pub fn write(&self, to: &mut Writer) {
        let mut fields = Numbered::default();
        fields.uint(0, Some(self.statement.kind() as u64));
        fields.put(1, self.patient.as_ref(), |p, to| {
            to.bytes(p.as_bytes());
        });
        fields.put(2, Some(&self.effective), write_time);
        fields.list(3, &self.targets, FactId::write);
        fields.put(4, self.import.as_ref(), |i, to| {
            to.bytes(i.as_bytes());
        });
        fields.text(5, self.reason);
        self.statement.write(&mut fields);
        fields.finish(to);
    }

    /// The canonical bytes of what was said, without what depends on who says it (`seen`, `earlier`,
    /// `heads`): equal for equal facts of two imports of one resource.
    #[must_use]
    pub fn content(&self) -> Vec<u8> {
        let mut fact = self.clone();
        match &mut fact.statement {
            Statement::Observation(o) => (o.seen, o.earlier) = (Vec::new(), false),
            Statement::Dispense(d) => d.heads = Vec::new(),
            _ => {}
        }
        let mut to = Writer::new();
        fact.write(&mut to);
        to.finish()
    }
}

impl<'a> Draft<'a> {
    fn field(&mut self, kind: FactKind, key: u64, from: &mut Reader<'a>) -> Result<(), Malformed> {
        match key {
            1 => self.patient = Some(PatientId::new(from.array()?)),
            2 => self.effective = Some(read_time(from)?),
            3 => self.targets = Some(some(read_list(from, TARGETS_PER_FACT_MAX, FactId::read)?)?),
            4 => self.import = Some(ImportId::new(from.array()?)),
            5 => self.reason = Some(words(from)?),
            10 => self.code = Some(Coded::read(from)?),
            11 => self.quantity = Some(Quantity::read(from, kind == FactKind::StockCount)?),
            12 => self.lot = Some(words(from)?),
            13 => self.expiry = Some(PartialDate::read(from)?),
            14 => self.place = Some(words(from)?),
            15 => self.to = Some(words(from)?),
            16 => {
                let days = from.uint()?;
                let days = u16::try_from(days).ok().filter(|d| *d > 0 && u64::from(*d) <= DAYS_MAX);
                self.days = Some(days.ok_or(Malformed::Bounds)?);
            }
            17 => self.text = Some(words(from)?),
            18 => self.clinical = Some(number(from, ClinicalStatus::from_number)?),
            19 => self.verification = Some(number(from, Verification::from_number)?),
            20 => self.criticality = Some(number(from, Criticality::from_number)?),
            21 => self.value = Some(Value::read(from)?),
            22 => {
                let count = from.list(COMPONENTS_MAX)?;
                let components: Result<Vec<_>, Malformed> = (0..count)
                    .map(|_| {
                        from.tuple(2)?;
                        Ok((Coded::read(from)?, Value::read(from)?))
                    })
                    .collect();
                self.components = Some(some(components?)?);
            }
            23 => self.seen = Some(some(read_list(from, TARGETS_PER_FACT_MAX, FactId::read)?)?),
            24 if from.bool()? => self.earlier = true,
            24 => return Err(Malformed::NotCanonical),
            25 => self.receiver = Some(Receiver::read(from)?),
            26 => self.heads = Some(some(read_list(from, PARENTS_PER_EDIT_MAX, EntryRef::read)?)?),
            27 => self.override_reason = Some(words(from)?),
            28 => {
                let findings = read_list(from, TARGETS_PER_FACT_MAX, |f| f.array().map(FindingId::new))?;
                self.findings = Some(some(findings)?);
            }
            29 => self.cause = Some(number(from, Cause::from_number)?),
            30 => self.category = Some(words(from)?),
            31 => self.given = Some(number(from, Given::from_number)?),
            32 => self.after = Some(some(read_list(from, AFTER_MAX, FactId::read)?)?),
            _ => return Err(Malformed::Newer),
        }
        Ok(())
    }

    fn statement(&mut self, kind: FactKind) -> Result<Statement<'a>, Malformed> {
        let draft = self;
        Ok(match kind {
            FactKind::Allergy => Statement::Allergy(Allergy {
                substance: need!(draft.code),
                clinical: need!(draft.clinical),
                verification: need!(draft.verification),
                criticality: take!(draft.criticality),
                category: take!(draft.category).unwrap_or_default(),
                reaction: take!(draft.text).unwrap_or_default(),
            }),
            FactKind::NoKnownAllergies => Statement::NoKnownAllergies,
            FactKind::Refutation => Statement::Refutation,
            FactKind::Observation => {
                let earlier = std::mem::take(&mut draft.earlier);
                draft.left -= usize::from(earlier);
                let observation = Observation {
                    code: need!(draft.code),
                    value: take!(draft.value),
                    components: take!(draft.components).unwrap_or_default(),
                    seen: take!(draft.seen).unwrap_or_default(),
                    earlier,
                };
                if observation.value.is_none() && observation.components.is_empty() {
                    return Err(Malformed::Schema);
                }
                Statement::Observation(observation)
            }
            FactKind::Condition => Statement::Condition(Condition {
                code: need!(draft.code),
                clinical: need!(draft.clinical),
                verification: need!(draft.verification),
            }),
            FactKind::Immunization => Statement::Immunization(Immunization {
                vaccine: need!(draft.code),
                given: need!(draft.given),
                dose: take!(draft.quantity),
                lot: take!(draft.lot).unwrap_or_default(),
                expiry: take!(draft.expiry),
                site: take!(draft.text).unwrap_or_default(),
            }),
            FactKind::Dispense => Statement::Dispense(Dispense {
                product: need!(draft.code),
                quantity: take!(draft.quantity),
                lot: take!(draft.lot).unwrap_or_default(),
                expiry: take!(draft.expiry),
                days: take!(draft.days),
                receiver: take!(draft.receiver),
                place: take!(draft.place).unwrap_or_default(),
                heads: take!(draft.heads).unwrap_or_default(),
                override_reason: take!(draft.override_reason).unwrap_or_default(),
            }),
            FactKind::Reversal => Statement::Reversal,
            FactKind::StockMovement => Statement::StockMovement(StockMovement {
                product: need!(draft.code),
                lot: take!(draft.lot).unwrap_or_default(),
                expiry: take!(draft.expiry),
                quantity: need!(draft.quantity),
                from: take!(draft.place).unwrap_or_default(),
                to: take!(draft.to).unwrap_or_default(),
                cause: need!(draft.cause),
            }),
            FactKind::StockCount => Statement::StockCount(StockCount {
                product: need!(draft.code),
                lot: take!(draft.lot).unwrap_or_default(),
                quantity: need!(draft.quantity),
                place: need!(draft.place),
                after: take!(draft.after).unwrap_or_default(),
                seen: take!(draft.seen).unwrap_or_default(),
            }),
            FactKind::Note => Statement::Note { text: need!(draft.text) },
            FactKind::Deceased => Statement::Deceased,
            FactKind::Resolution => Statement::Resolution { findings: need!(draft.findings) },
        })
    }
}

impl Statement<'_> {
    fn write(&self, fields: &mut Numbered) {
        match self {
            Self::NoKnownAllergies | Self::Refutation | Self::Reversal | Self::Deceased => {}
            Self::Allergy(allergy) => {
                fields.coded(10, &allergy.substance);
                fields.text(17, allergy.reaction);
                fields.uint(18, Some(allergy.clinical as u64));
                fields.uint(19, Some(allergy.verification as u64));
                fields.uint(20, allergy.criticality.map(|c| c as u64));
                fields.text(30, allergy.category);
            }
            Self::Observation(observation) => {
                fields.coded(10, &observation.code);
                fields.put(21, observation.value.as_ref(), Value::write);
                if !observation.components.is_empty() {
                    fields.put(22, Some(&observation.components), |components, to| {
                        to.list(components.len());
                        for (code, value) in components {
                            to.list(2);
                            code.write(to);
                            value.write(to);
                        }
                    });
                }
                fields.list(23, &observation.seen, FactId::write);
                fields.put(24, observation.earlier.then_some(&()), |(), to| {
                    to.bool(true);
                });
            }
            Self::Condition(condition) => {
                fields.coded(10, &condition.code);
                fields.uint(18, Some(condition.clinical as u64));
                fields.uint(19, Some(condition.verification as u64));
            }
            Self::Immunization(immunization) => {
                fields.coded(10, &immunization.vaccine);
                fields.put(11, immunization.dose.as_ref(), Quantity::write);
                fields.text(12, immunization.lot);
                fields.put(13, immunization.expiry.as_ref(), PartialDate::write);
                fields.text(17, immunization.site);
                fields.uint(31, Some(immunization.given as u64));
            }
            Self::Dispense(dispense) => {
                fields.coded(10, &dispense.product);
                fields.put(11, dispense.quantity.as_ref(), Quantity::write);
                fields.text(12, dispense.lot);
                fields.put(13, dispense.expiry.as_ref(), PartialDate::write);
                fields.text(14, dispense.place);
                fields.uint(16, dispense.days.map(u64::from));
                fields.put(25, dispense.receiver.as_ref(), Receiver::write);
                fields.list(26, &dispense.heads, EntryRef::write);
                fields.text(27, dispense.override_reason);
            }
            Self::StockMovement(movement) => {
                fields.coded(10, &movement.product);
                fields.put(11, Some(&movement.quantity), Quantity::write);
                fields.text(12, movement.lot);
                fields.put(13, movement.expiry.as_ref(), PartialDate::write);
                fields.text(14, movement.from);
                fields.text(15, movement.to);
                fields.uint(29, Some(movement.cause as u64));
            }
            Self::StockCount(count) => {
                fields.coded(10, &count.product);
                fields.put(11, Some(&count.quantity), Quantity::write);
                fields.text(12, count.lot);
                fields.text(14, count.place);
                fields.list(23, &count.seen, FactId::write);
                fields.list(32, &count.after, FactId::write);
            }
            Self::Note { text } => fields.text(17, text),
            Self::Resolution { findings } => {
                fields.list(28, findings, |finding, to| {
                    to.bytes(finding.as_bytes());
                });
            }
        }
    }
}

impl<'a> Value<'a> {
    fn write(&self, to: &mut Writer) {
        to.list(2);
        match self {
            Self::Quantity(quantity) => quantity.write(to.uint(1)),
            Self::Coded(coded) => coded.write(to.uint(2)),
            Self::Text(text) => {
                to.uint(3).text(text);
            }
            Self::Bool(value) => {
                to.uint(4).bool(*value);
            }
        }
    }

    fn read(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        from.tuple(2)?;
        Ok(match from.uint()? {
            1 => Self::Quantity(Quantity::read(from, false)?),
            2 => Self::Coded(Coded::read(from)?),
            3 => Self::Text(words(from)?),
            4 => Self::Bool(from.bool()?),
            _ => return Err(Malformed::Newer),
        })
    }
}

impl<'a> Receiver<'a> {
    fn write(&self, to: &mut Writer) {
        match self {
            Self::Patient(patient) => {
                to.bytes(patient.as_bytes());
            }
            Self::Person(name) => {
                to.text(name);
            }
        }
    }

    fn read(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut ahead = from.clone();
        if ahead.bytes().is_ok() {
            return from.array().map(PatientId::new).map(Self::Patient);
        }
        words(from).map(Self::Person)
    }
}

/// Collects numbered fields, then writes them as one map.
#[derive(Default)]
struct Numbered {
    fields: Writer,
    count: usize,
}

impl Numbered {
    fn put<T>(&mut self, key: u64, value: Option<&T>, write: impl FnOnce(&T, &mut Writer)) {
        if let Some(value) = value {
            self.count += 1;
            write(value, self.fields.uint(key));
        }
    }

    fn uint(&mut self, key: u64, value: Option<u64>) {
        self.put(key, value.as_ref(), |value, to| {
            to.uint(*value);
        });
    }

    fn text(&mut self, key: u64, value: &str) {
        self.put(key, (!value.is_empty()).then_some(&value), |value, to| {
            to.text(value);
        });
    }

    fn coded(&mut self, key: u64, value: &Coded<'_>) {
        self.put(key, Some(value), Coded::write);
    }

    fn list<T: Ord + Copy>(&mut self, key: u64, items: &[T], write: impl FnMut(&T, &mut Writer)) {
        if !items.is_empty() {
            self.put(key, Some(&items), |items, to| write_list(items, to, write));
        }
    }

    fn finish(self, to: &mut Writer) {
        to.map(self.count).raw(&self.fields.finish());
    }
}

/// A text that is not empty.
fn words<'a>(from: &mut Reader<'a>) -> Result<&'a str, Malformed> {
    let text = from.text(TEXT_BYTES_MAX)?;
    if text.is_empty() { Err(Malformed::NotCanonical) } else { Ok(text) }
}

/// A list that is not empty.
fn some<T>(list: Vec<T>) -> Result<Vec<T>, Malformed> {
    if list.is_empty() { Err(Malformed::NotCanonical) } else { Ok(list) }
}

/// A word of a closed list; an unknown number was written by a newer version.
fn number<T>(from: &mut Reader<'_>, word: impl Fn(u8) -> Option<T>) -> Result<T, Malformed> {
    word(from.byte()?).ok_or(Malformed::Newer)
}
