//! What can be said of patients and stock: types, schema, canonical encoding. No I/O.
//!
//! Owns operations (edits, facts and readings), their values and their bytes, and the pure rules by which they are
//! judged against each other. Owns no storage and no order of arrival. Invariant: a body that
//! [`Body::read`] accepts encodes again to the same bytes, and everything in it is within the bounds of
//! the format.
//!
//! A new kind of fact is a variant of [`Statement`], a row in [`FactKind`], its fields in `fact_codec`,
//! its lane and compartment in `body`, and its row in `docs/format.md`.

mod body;
mod edit;
mod fact;
mod fact_codec;
mod finding;
mod fold;
mod medication;
mod reading;
mod reference;
mod register;
mod standing;
mod stock;
mod text;
mod value;

pub use body::{Body, BodyFault, Operation};
pub use edit::Edit;
pub use fact::{
    Allergy, Cause, ClinicalStatus, Condition, Criticality, Dispense, Fact, FactKind, Given, Immunization, Observation,
    Receiver, Statement, StockCount, StockMovement, Value, Verification,
};
pub use finding::{Finding, FindingKind, WEIGHT, of_facts, overlaps};
pub use fold::{EditAt, Folded, Forks, Shown, Stand, ancestors_first, fold, parents};
pub use medication::{Cover, RXNORM, class_key, class_of, cover};
pub use reading::{Access, Purpose, Reading};
pub use reference::{EntryRef, FactId, OpRef};
pub use register::{Address, Field, Identifier, NULL, Name, Register, Setting, Telecom};
pub use standing::{FactAt, Standing, standings};
pub use stock::{Item, OnHand, StockAt, on_hand, seen_by_count};
pub use text::{fold_text, words};
pub use value::{Coded, PartialDate, Quantity, QuantityError, Sex, micros_to_text};
