//! Facts: things that happened or were found, said once and never changed; another fact may name them.

use super::reference::{EntryRef, FactId};
use super::value::{Coded, PartialDate, Quantity};
use crate::clock::EffectiveTime;
use crate::id::{FindingId, ImportId, PatientId};

/// One fact: what every kind has, and what was said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fact<'a> {
    /// Whom it is about; stock has none.
    pub patient: Option<PatientId>,
    /// When it happened or was found.
    pub effective: EffectiveTime,
    /// The facts that it replaces: refutes, reverses, corrects. At most 16, in rising order.
    pub targets: Vec<FactId>,
    /// Where an import took it from.
    pub import: Option<ImportId>,
    /// Why, in the author's words; empty if not given.
    pub reason: &'a str,
    /// What was said.
    pub statement: Statement<'a>,
}

/// What a fact says. A statement that has targets of its own kind corrects them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Statement<'a> {
    /// An allergy or intolerance.
    Allergy(Allergy<'a>),
    /// An explicit statement that no allergies are known.
    NoKnownAllergies,
    /// Takes back the targets: an allergy, a condition, a death, whatever was said and is not so.
    Refutation,
    /// A measurement or finding.
    Observation(Observation<'a>),
    /// A diagnosis or problem.
    Condition(Condition<'a>),
    /// A vaccination.
    Immunization(Immunization<'a>),
    /// Medication handed out.
    Dispense(Dispense<'a>),
    /// The targets, dispenses, did not take place or were returned.
    Reversal,
    /// Stock that came, went or moved.
    StockMovement(StockMovement<'a>),
    /// Stock that was counted at a place.
    StockCount(StockCount<'a>),
    /// Free text.
    Note {
        /// The text, not empty.
        text: &'a str,
    },
    /// The patient died, at the effective time.
    Deceased,
    /// Somebody looked at these findings and says why they stand as they are.
    Resolution {
        /// The findings, 1 to 16, in rising order.
        findings: Vec<FindingId>,
    },
}

/// An allergy or intolerance (FHIR AllergyIntolerance).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Allergy<'a> {
    /// To what.
    pub substance: Coded<'a>,
    /// Whether it is active.
    pub clinical: ClinicalStatus,
    /// How sure it is.
    pub verification: Verification,
    /// How dangerous it is.
    pub criticality: Option<Criticality>,
    /// FHIR category: `food`, `medication`, `environment`, `biologic`; empty if not said.
    pub category: &'a str,
    /// What happens on contact; empty if not said.
    pub reaction: &'a str,
}

/// A measurement or finding (FHIR Observation).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observation<'a> {
    /// What was observed.
    pub code: Coded<'a>,
    /// The result; missing only where components hold it.
    pub value: Option<Value<'a>>,
    /// Parts measured together, such as the two blood pressures; at most 16.
    pub components: Vec<(Coded<'a>, Value<'a>)>,
    /// What the author saw as current of this code, at most 16, in rising order.
    pub seen: Vec<FactId>,
    /// Whether it is stated for an earlier time than what was current; never current itself.
    pub earlier: bool,
}

/// A result.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Value<'a> {
    /// An amount with its unit.
    Quantity(Quantity<'a>),
    /// A concept.
    Coded(Coded<'a>),
    /// A text.
    Text(&'a str),
    /// Yes or no.
    Bool(bool),
}

/// A diagnosis or problem (FHIR Condition); its onset is the effective time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Condition<'a> {
    /// What it is.
    pub code: Coded<'a>,
    /// Whether it is active.
    pub clinical: ClinicalStatus,
    /// How sure it is.
    pub verification: Verification,
}

/// A vaccination (FHIR Immunization).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Immunization<'a> {
    /// The vaccine (CVX).
    pub vaccine: Coded<'a>,
    /// Whether it was given.
    pub given: Given,
    /// The dose.
    pub dose: Option<Quantity<'a>>,
    /// Lot; empty if not known.
    pub lot: &'a str,
    /// Expiry of the lot.
    pub expiry: Option<PartialDate>,
    /// Where on the body; empty if not said.
    pub site: &'a str,
}

/// Medication handed out (FHIR MedicationDispense).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dispense<'a> {
    /// The product (RxNorm, NDC or text).
    pub product: Coded<'a>,
    /// How much; missing only in imports.
    pub quantity: Option<Quantity<'a>>,
    /// Lot; empty if not known.
    pub lot: &'a str,
    /// Expiry of the lot.
    pub expiry: Option<PartialDate>,
    /// Days that the supply lasts, 1 to 3,650.
    pub days: Option<u16>,
    /// Who took it, if not the patient.
    pub receiver: Option<Receiver<'a>>,
    /// Where; empty if not said.
    pub place: &'a str,
    /// Heads of the patient's record that the decision stood on, at most 16, in rising order.
    pub heads: Vec<EntryRef>,
    /// Why it was handed out in spite of a warning; empty if there was none.
    pub override_reason: &'a str,
}

/// Who took the medication.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Receiver<'a> {
    /// Another patient of the book.
    Patient(PatientId),
    /// Somebody by name.
    Person(&'a str),
}

/// Stock that came, went or moved; posts stock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StockMovement<'a> {
    /// The product.
    pub product: Coded<'a>,
    /// Lot; empty if not known.
    pub lot: &'a str,
    /// Expiry of the lot.
    pub expiry: Option<PartialDate>,
    /// How much.
    pub quantity: Quantity<'a>,
    /// Place that it left; empty if it came from outside.
    pub from: &'a str,
    /// Place that it reached; empty if it left the stock.
    pub to: &'a str,
    /// Why.
    pub cause: Cause,
}

/// Stock of one lot counted at one place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StockCount<'a> {
    /// The product.
    pub product: Coded<'a>,
    /// Lot; empty if not known.
    pub lot: &'a str,
    /// How much is there; may be zero.
    pub quantity: Quantity<'a>,
    /// The place.
    pub place: &'a str,
    /// Newest movement of that lot there that the author knew, one per log branch, at most 64, in rising order.
    pub after: Vec<FactId>,
    /// The counts that it replaces, at most 16, in rising order.
    pub seen: Vec<FactId>,
}

/// A closed list of words: numbers in the format, FHIR's codes outside.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $number:literal $code:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum $name { $($(#[$item_doc])* $item = $number,)+ }

        impl $name {
            /// All, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$item,)+];

            /// The code outside the format.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$item => $code,)+ }
            }

            /// Reads the code.
            #[must_use]
            pub fn parse(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|word| word.code() == code)
            }

            pub(super) fn from_number(number: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|word| *word as u8 == number)
            }
        }
    };
}

words!(
    /// Whether an allergy or condition is active (FHIR clinicalStatus).
    ClinicalStatus {
        /// Active.
        Active = 1 "active",
        /// Came back.
        Recurrence = 2 "recurrence",
        /// Came back after a remission.
        Relapse = 3 "relapse",
        /// Not active.
        Inactive = 4 "inactive",
        /// Not active for now.
        Remission = 5 "remission",
        /// Over.
        Resolved = 6 "resolved",
    }
);
words!(
    /// How sure an allergy or condition is (FHIR verificationStatus).
    Verification {
        /// Not confirmed.
        Unconfirmed = 1 "unconfirmed",
        /// Provisional.
        Provisional = 2 "provisional",
        /// One of several possible.
        Differential = 3 "differential",
        /// Confirmed.
        Confirmed = 4 "confirmed",
        /// Found not to be so.
        Refuted = 5 "refuted",
        /// Written down by mistake.
        EnteredInError = 6 "entered-in-error",
    }
);
words!(
    /// How dangerous an allergy is (FHIR criticality).
    Criticality {
        /// Low.
        Low = 1 "low",
        /// High.
        High = 2 "high",
        /// Cannot be told.
        UnableToAssess = 3 "unable-to-assess",
    }
);
words!(
    /// Whether a vaccine was given (FHIR Immunization.status).
    Given {
        /// Given.
        Completed = 1 "completed",
        /// Not given.
        NotDone = 2 "not-done",
        /// Written down by mistake.
        EnteredInError = 3 "entered-in-error",
    }
);
words!(
    /// Why stock moved.
    Cause {
        /// It came from outside.
        Receive = 1 "receive",
        /// It went from one place to another.
        Move = 2 "move",
        /// It was dispensed.
        Dispense = 3 "dispense",
        /// A dispense was reversed.
        Reversal = 4 "reversal",
        /// It was lost, spoilt or expired.
        Loss = 5 "loss",
    }
);

impl Verification {
    /// Whether what it qualifies counts as said: neither refuted nor entered in error.
    #[must_use]
    pub const fn stands(self) -> bool {
        !matches!(self, Self::Refuted | Self::EnteredInError)
    }
}

/// The kind of a fact; its number is part of the format.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum FactKind {
    /// [`Statement::Allergy`].
    Allergy = 2,
    /// [`Statement::NoKnownAllergies`].
    NoKnownAllergies = 3,
    /// [`Statement::Refutation`].
    Refutation = 4,
    /// [`Statement::Observation`].
    Observation = 5,
    /// [`Statement::Condition`].
    Condition = 6,
    /// [`Statement::Immunization`].
    Immunization = 7,
    /// [`Statement::Dispense`].
    Dispense = 8,
    /// [`Statement::Reversal`].
    Reversal = 9,
    /// [`Statement::StockMovement`].
    StockMovement = 10,
    /// [`Statement::StockCount`].
    StockCount = 11,
    /// [`Statement::Note`].
    Note = 12,
    /// [`Statement::Deceased`].
    Deceased = 13,
    /// [`Statement::Resolution`].
    Resolution = 14,
}

impl FactKind {
    /// All kinds in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::Allergy,
        Self::NoKnownAllergies,
        Self::Refutation,
        Self::Observation,
        Self::Condition,
        Self::Immunization,
        Self::Dispense,
        Self::Reversal,
        Self::StockMovement,
        Self::StockCount,
        Self::Note,
        Self::Deceased,
        Self::Resolution,
    ];

    /// The number in the format.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The kind of a number, if this version knows it.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| u64::from(kind.number()) == number)
    }

    /// The word for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Allergy => "allergy",
            Self::NoKnownAllergies => "no known allergies",
            Self::Refutation => "refutation",
            Self::Observation => "observation",
            Self::Condition => "condition",
            Self::Immunization => "immunization",
            Self::Dispense => "dispense",
            Self::Reversal => "reversal",
            Self::StockMovement => "stock movement",
            Self::StockCount => "stock count",
            Self::Note => "note",
            Self::Deceased => "deceased",
            Self::Resolution => "resolution",
        }
    }

    /// Whether it belongs to supply and has no patient.
    #[must_use]
    pub const fn is_stock(self) -> bool {
        matches!(self, Self::StockMovement | Self::StockCount)
    }
}

impl Statement<'_> {
    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> FactKind {
        match self {
            Self::Allergy(_) => FactKind::Allergy,
            Self::NoKnownAllergies => FactKind::NoKnownAllergies,
            Self::Refutation => FactKind::Refutation,
            Self::Observation(_) => FactKind::Observation,
            Self::Condition(_) => FactKind::Condition,
            Self::Immunization(_) => FactKind::Immunization,
            Self::Dispense(_) => FactKind::Dispense,
            Self::Reversal => FactKind::Reversal,
            Self::StockMovement(_) => FactKind::StockMovement,
            Self::StockCount(_) => FactKind::StockCount,
            Self::Note { .. } => FactKind::Note,
            Self::Deceased => FactKind::Deceased,
            Self::Resolution { .. } => FactKind::Resolution,
        }
    }
}
