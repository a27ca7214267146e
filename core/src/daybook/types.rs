//! What the facade gives back: owned values for people and for bindings.

use crate::clock::{EffectiveTime, Hlc};
use crate::id::{DeviceId, FindingId, PatientId};
use crate::record::{
    Fact, FactId, FactKind, Field, FindingKind, OpRef, Operation, PartialDate, Reading, Sex, Standing,
};

/// What an incident is called and who begins it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewIncident {
    /// Name of the incident.
    pub incident: String,
    /// Name of the organisation.
    pub organisation: String,
    /// Name of the person who holds this device.
    pub person: String,
    /// Whether it is an exercise, for ever.
    pub exercise: bool,
}

/// Names an entry or one of its operations to people: first five base32 symbols of its log, its place, and
/// the index of the operation if that is not 0, as `7FK2Q-12` or `7FK2Q-12.3`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntryCode(pub String);

impl std::fmt::Display for EntryCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// Who wrote something and when by their clock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Author {
    /// The device.
    pub device: DeviceId,
    /// The person, if the directory is readable here.
    pub person: Option<String>,
    /// The organisation, if known.
    pub organisation: Option<String>,
    /// Whether it is this device.
    pub here: bool,
}

/// One line of a list of patients. Its `Debug` tells no name, so that an error that carries it can be logged.
#[derive(Clone, PartialEq, Eq)]
pub struct PatientSummary {
    /// The record.
    pub patient: PatientId,
    /// The code that people say: `XXXX-XXXX-C`.
    pub code: String,
    /// Name to show; empty if none is known.
    pub name: String,
    /// Birth date to show; more than one value may stand in the record.
    pub birth: Option<PartialDate>,
    /// Sex to show.
    pub sex: Option<Sex>,
    /// An identifier to show, as `system|value`; empty if there is none.
    pub identifier: String,
    /// Whether a death was recorded.
    pub deceased: bool,
    /// Findings of this patient that nobody resolved.
    pub open_findings: u32,
}

/// One value that a register shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShownValue {
    /// The field.
    pub field: Field,
    /// Canonical bytes of the element's key; empty for a field that is no set.
    pub key: Vec<u8>,
    /// Canonical bytes of the value.
    pub value: Vec<u8>,
    /// The value in words.
    pub text: String,
    /// Whether other values of this register stand beside it because they were written without knowledge
    /// of each other.
    pub concurrent: bool,
    /// The entry that set it.
    pub entry: EntryCode,
    /// Who set it.
    pub author: Author,
    /// When, by the author's clock.
    pub hlc: Hlc,
}

/// One fact with what became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FactView {
    /// Its name for people; `correct`, `refute` and `reverse` take it.
    pub entry: EntryCode,
    /// Its name in the format.
    pub id: FactId,
    /// Its own place, also for an imported fact.
    pub reference: OpRef,
    /// Its kind.
    pub kind: FactKind,
    /// Whom it is about.
    pub patient: Option<PatientId>,
    /// When it happened.
    pub effective: EffectiveTime,
    /// What became of it.
    pub standing: Standing,
    /// Whether it waits for review: its author had no right, and it has no effect.
    pub waiting: bool,
    /// Whether its time cannot be right; shown last.
    pub implausible_time: bool,
    /// Who wrote it.
    pub author: Author,
    /// When it was written, by the author's clock.
    pub hlc: Hlc,
    /// The operation's canonical bytes.
    pub payload: Vec<u8>,
}

impl FactView {
    /// The fact itself.
    #[must_use]
    pub fn fact(&self) -> Option<Fact<'_>> {
        match Operation::read(&self.payload) {
            Ok(Operation::Fact(fact)) => Some(fact),
            Ok(Operation::Edit(_) | Operation::Reading(_) | Operation::Newer) | Err(_) => None,
        }
    }
}

/// What is known of a patient's allergies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AllergyStatus {
    /// Nobody said anything.
    NotAsked,
    /// Somebody said that none are known, and nobody said otherwise.
    NoneKnown,
    /// At least one stands.
    Allergic,
}

/// A patient's record as it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chart {
    /// The line of the list.
    pub summary: PatientSummary,
    /// Registers in order of field, key and value; withdrawn ones are left out.
    pub registers: Vec<ShownValue>,
    /// What is known of allergies.
    pub allergy_status: AllergyStatus,
    /// Facts, newest first; those with an implausible time last.
    pub facts: Vec<FactView>,
    /// Findings of this patient.
    pub findings: Vec<FindingView>,
    /// Changes that refer to entries that are not here yet, by the device they wait for.
    pub waits_for: Vec<(Author, u32)>,
    /// Operations that a newer version of the program wrote and this one cannot show.
    pub from_newer_version: u32,
}

/// Something a person must look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FindingView {
    /// Its id; the first 8 hexadecimal digits name it to people.
    pub id: FindingId,
    /// Its kind.
    pub kind: FindingKind,
    /// The patient, if it is about one.
    pub patient: Option<PatientSummary>,
    /// What is the matter, in one sentence.
    pub text: String,
    /// The entries that it is about.
    pub entries: Vec<EntryCode>,
    /// Why it was resolved, by whom; none while it is open.
    pub resolved: Option<(String, Author)>,
}

/// What a dispense would raise, told before anything is written. Its `Debug` tells the kind alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Warning {
    /// Of which kind.
    pub kind: FindingKind,
    /// One sentence.
    pub text: String,
}

impl std::fmt::Debug for PatientSummary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PatientSummary").field("patient", &self.patient).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Warning").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Stock of one lot at one place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StockLine {
    /// The place.
    pub place: String,
    /// The product in words.
    pub product: String,
    /// The product's code as `system|code`; empty if it has none.
    pub code: String,
    /// The lot.
    pub lot: String,
    /// Expiry, if known.
    pub expiry: Option<PartialDate>,
    /// On hand in millionths of the unit; may be negative.
    pub on_hand_micros: i64,
    /// The unit.
    pub unit: String,
    /// Whether on-hand starts from a count.
    pub counted: bool,
}

/// What was written durably.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written<T> {
    /// What the caller asked for.
    pub value: T,
    /// The entries that hold it.
    pub entries: Vec<EntryCode>,
    /// Findings that it raised and that are open.
    pub findings: Vec<FindingView>,
}

/// What this book holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// Name of the incident.
    pub incident: String,
    /// Its id in hexadecimal.
    pub incident_id: String,
    /// Whether it is an exercise.
    pub exercise: bool,
    /// This device, person and organisation.
    pub here: Author,
    /// Entries by what is thought of them.
    pub entries: EntryCounts,
    /// Logs.
    pub logs: u64,
    /// Patients.
    pub patients: u64,
    /// Open findings.
    pub open_findings: u64,
    /// Whether this device's grant was ended or does not count: what it writes would wait for review.
    pub ended: bool,
    /// Control entries from a newer version.
    pub newer_control: u64,
    /// What cannot be read for want of a key, and why.
    pub no_key: Vec<super::KeyLack>,
    /// The shift of this device.
    pub shift: super::Shift,
    /// Bytes of the book on disk.
    pub bytes_on_disk: u64,
}

/// Entries by what is thought of them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct EntryCounts {
    /// All.
    pub total: u64,
    /// Written here.
    pub own: u64,
    /// Accepted.
    pub accepted: u64,
    /// Waiting for review.
    pub waiting: u64,
    /// Of those, written here.
    pub own_waiting: u64,
    /// Faulty.
    pub faulty: u64,
    /// Without a key here.
    pub unopened: u64,
    /// Erased.
    pub erased: u64,
}

/// What taking in a file did.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct IngestReport {
    /// Entries that were new here.
    pub new: u64,
    /// Entries that were here already.
    pub known: u64,
    /// Runs that were not taken in, by rule code, with how many.
    pub refused: Vec<(String, u64)>,
    /// Whether the file ended early; what came before was taken in.
    pub cut_off: bool,
    /// Whether it held entries of this device that this book did not have: a new incarnation begins.
    pub own_entries_returned: bool,
}

/// One line of the log for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogLine {
    /// The entry.
    pub entry: EntryCode,
    /// The kind of compartment.
    pub compartment: &'static str,
    /// Who wrote it.
    pub author: Author,
    /// When, by the author's clock, if it could be opened.
    pub hlc: Option<Hlc>,
    /// `accepted`, `waiting`, `faulty`, `unopened` or `erased`, with the rule code if there is one.
    pub verdict: String,
    /// What it says, one short text an operation; empty if it was not opened.
    pub operations: Vec<String>,
}

/// One change of a record, for `patient history`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistoryLine {
    /// The entry.
    pub entry: EntryCode,
    /// Who wrote it.
    pub author: Author,
    /// When, by the author's clock.
    pub hlc: Hlc,
    /// What it set or said.
    pub text: String,
}

/// One look at records, for auditors.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadingView {
    /// The entry that says so.
    pub entry: EntryCode,
    /// Its place.
    pub reference: OpRef,
    /// Who looked.
    pub who: Author,
    /// When the entry was written, by that device's clock.
    pub hlc: Hlc,
    /// When, whose record, in which way, for what, how often.
    pub reading: Reading,
    /// Whether the entry waits for review: its author had no right to write it.
    pub waiting: bool,
}

/// What a check of the whole book found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct VerifyReport {
    /// Entries whose ids were recomputed.
    pub entries: u64,
    /// Logs.
    pub logs: u64,
    /// Signatures that were checked.
    pub heads: u64,
    /// What is wrong, one line each, at most 100; nothing if all is well.
    pub problems: Vec<String>,
}
