//! A forge: signs whatever bytes with a member's keys, and knows what the rules say of them.

use crate::host::START_MS;
use crate::world::World;
use daybook_core::clock::{EffectiveTime, Hlc, Precision, TimeSource};
use daybook_core::codec::Writer;
use daybook_core::crypto::ReadingKey;
use daybook_core::id::{CONTROL, CommitId, CompartmentId, EntryId, ImportId, KeyId, Lane, LogId, PatientId};
use daybook_core::record::{
    Access, Body, Coded, Dispense, Edit, EntryRef, Fact, FactId, Identifier, Name, Observation, OpRef, Operation,
    Purpose, Quantity, Reading, Register, Setting, Statement, Value,
};
use daybook_core::roster::CompartmentKind;

/// What the rules say of an entry that everybody stores.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ruled {
    /// It is accepted, with what effect it has.
    Accepted,
    /// Faulty under a code, for whoever holds the key; in control for everybody.
    Faulty(&'static str),
    /// It waits for review under a code, also for who holds no key.
    Waiting(&'static str),
    /// It waits for review under the first code for who holds no key; whoever opens it finds it faulty under the second.
    WaitingAndFaulty(&'static str, &'static str),
}

/// One entry that a member signed.
#[derive(Clone, Debug)]
pub struct Forged {
    /// What is wrong with it.
    pub what: &'static str,
    /// It alone, as a run.
    pub run: Vec<u8>,
    /// Its log and place.
    pub at: (LogId, u64),
    /// Whether it is a control entry.
    pub control: bool,
    /// What the rules say.
    pub ruled: Ruled,
}

impl Forged {
    /// Its code for people.
    #[must_use]
    pub fn code(&self) -> String {
        format!("{}-{}", self.at.0.short(), self.at.1)
    }

    /// The verdict that `log` shows, with the keys of all compartments or without any.
    #[must_use]
    pub fn verdict(&self, with_keys: bool) -> String {
        match self.ruled {
            Ruled::WaitingAndFaulty(_, code) if with_keys => format!("faulty ({code})"),
            Ruled::Waiting(code) | Ruled::WaitingAndFaulty(code, _) => format!("waiting for review ({code})"),
            Ruled::Accepted if self.control || with_keys => "accepted".to_owned(),
            Ruled::Faulty(code) if self.control || with_keys => format!("faulty ({code})"),
            Ruled::Accepted | Ruled::Faulty(_) => "no key here".to_owned(),
        }
    }
}

/// The patient of all forged entries.
pub const PATIENT: PatientId = PatientId::new([0x42; 16]);
const OTHER: PatientId = PatientId::new([0x43; 16]);
const NOON: EffectiveTime =
    EffectiveTime { ms: START_MS, offset_minutes: 0, precision: Precision::Second, source: TimeSource::Clock };

/// Where a forged entry goes: author, kind of compartment, lane.
type To = (usize, CompartmentKind, Lane);
const SAFETY: To = (0, CompartmentKind::Clinical, Lane::Safety);
const ROUTINE: To = (0, CompartmentKind::Clinical, Lane::Routine);
const IMPORT: To = (0, CompartmentKind::Clinical, Lane::Import);
const SUPPLY: To = (0, CompartmentKind::Supply, Lane::Routine);
const AUDIT: To = (0, CompartmentKind::Audit, Lane::Routine);
/// Of an author who has no right in clinical.
const OUTSIDER: To = (1, CompartmentKind::Clinical, Lane::Routine);

/// A bench on which entries are forged: author 0 writes clinical, supply and audit, author 1 has no right in clinical.
pub struct Forge<'a> {
    world: &'a mut World,
    forged: Vec<Forged>,
    hlc: u64,
}

impl<'a> Forge<'a> {
    /// A forge in a world.
    pub const fn new(world: &'a mut World) -> Self {
        Self { world, forged: Vec::new(), hlc: 0 }
    }

    /// Everything that a hostile member may sign, as far as anybody thought of it.
    #[must_use]
    pub fn table(mut self) -> Vec<Forged> {
        self.broken_cbor();
        self.broken_schemas();
        self.beyond_bounds();
        self.wrong_places();
        self.lies();
        self.newer();
        self.heavy();
        self.control();
        self.forged
    }

    /// Signs `body`, sealed under the key of its compartment unless it is control.
    pub fn sign(&mut self, what: &'static str, (author, kind, lane): To, body: &[u8], ruled: Ruled) -> EntryRef {
        let incident = self.world.incident;
        let control = kind == CompartmentKind::Control;
        let compartment = if control { CONTROL } else { self.world.compartment(kind) };
        let epoch: Option<(KeyId, ReadingKey)> =
            self.world.epochs.get(&compartment).filter(|_| !control).map(|(id, _, key)| (*id, key.clone()));
        self.sign_under(what, (author, compartment, lane), body, epoch.as_ref(), (incident, control, ruled))
    }

    fn sign_under(
        &mut self,
        what: &'static str,
        (author, compartment, lane): (usize, CompartmentId, Lane),
        body: &[u8],
        epoch: Option<&(KeyId, ReadingKey)>,
        (incident, control, ruled): (daybook_core::id::IncidentId, bool, Ruled),
    ) -> EntryRef {
        let author = self.world.authors.get_mut(author).expect("an author of the forge");
        let reference = author.append(&incident, (compartment, lane), body, epoch.map(|(id, key)| (id, key)));
        let log = author.log(&incident, compartment, lane);
        let run = log.run(log.entries.len() - 1, log.entries.len());
        self.forged.push(Forged { what, run, at: (reference.log, reference.seq), control, ruled });
        reference
    }

    /// A body of these operations.
    fn body(&mut self, operations: &[Vec<u8>]) -> Vec<u8> {
        self.hlc += 1;
        let hlc = Hlc::default().tick(START_MS + i64::try_from(self.hlc).unwrap_or(0));
        Body::write(CommitId::new(self.hlc.to_le_bytes()), hlc, operations)
    }

    fn operations(&mut self, what: &'static str, to: To, operations: &[Vec<u8>], ruled: Ruled) -> EntryRef {
        let body = self.body(operations);
        self.sign(what, to, &body, ruled)
    }

    fn broken_cbor(&mut self) {
        let huge_list = [&[0xa3, 1, 0x48][..], &[7; 8], &[2, 0, 3, 0x9b, 0, 0, 0, 1, 0, 0, 0, 0]].concat();
        let bodies: [(&str, Vec<u8>); 14] = [
            ("nothing at all", Vec::new()),
            ("2^32 operations in ten bytes", huge_list),
            ("2^32 items in a list alone", vec![0x9b, 0, 0, 0, 1, 0, 0, 0, 0, 0]),
            ("2^64 - 1 bytes", vec![0x5b, 255, 255, 255, 255, 255, 255, 255, 255, 0]),
            ("2^64 - 1 pairs", vec![0xbb, 255, 255, 255, 255, 255, 255, 255, 255, 0]),
            ("lists in lists, 60,000 deep", vec![0x81; 60_000]),
            ("nine levels", [&[0x81; 9][..], &[0]].concat()),
            ("indefinite length", vec![0xbf, 0xff]),
            ("a float", vec![0xfb, 0, 0, 0, 0, 0, 0, 0, 0]),
            ("a tag", vec![0xc2, 0x41, 1]),
            ("a long zero", vec![0x18, 0]),
            ("keys that fall", vec![0xa2, 2, 0, 1, 0]),
            ("text that is no UTF-8", vec![0x61, 0xff]),
            ("something behind the end", vec![0xa0, 0xa0]),
        ];
        for (what, body) in bodies {
            let code = if what == "text that is no UTF-8" { "F-005" } else { "F-004" };
            self.sign(what, ROUTINE, &body, Ruled::Faulty(code));
        }
    }

    fn broken_schemas(&mut self) {
        let faulty = Ruled::Faulty("F-005");
        self.sign("a number for a body", ROUTINE, &[0], faulty);
        self.sign("no operations", ROUTINE, &[0xa0], faulty);
        let empty = self.body(&[]);
        self.sign("a list of no operations", ROUTINE, &empty, faulty);
        for (what, operation) in [
            ("an operation without its kind", vec![0xa0]),
            ("an operation that is a number", vec![5]),
            ("an allergy of nothing", vec![0xa1, 0, 2]),
            ("an edit of nothing", vec![0xa1, 0, 1]),
            ("a reading of nothing", vec![0xa1, 0, 15]),
            ("a patient of three bytes", vec![0xa2, 0, 12, 1, 0x43, 1, 2, 3]),
        ] {
            self.operations(what, ROUTINE, &[operation], faulty);
        }
        let refutation = Fact { targets: Vec::new(), ..note("x") };
        let refutation = Fact { statement: Statement::Refutation, ..refutation };
        self.operations("a refutation of nothing", SAFETY, &[fact(&refutation)], faulty);
        self.operations("a note of nobody", ROUTINE, &[fact(&Fact { patient: None, ..note("x") })], faulty);
        let reading = Reading { patient: None, ..reading() };
        self.operations("a record of nobody was read", AUDIT, &[Operation::Reading(reading).to_bytes()], faulty);
        let once = Reading { times: 0, ..self::reading() };
        // Written with its count left out, a reading of no time is one of one time.
        self.operations("a reading of no time", AUDIT, &[Operation::Reading(once).to_bytes()], Ruled::Accepted);
    }

    fn beyond_bounds(&mut self) {
        let bounds = Ruled::Faulty("F-006");
        let parents = (0..17).map(|n| EntryRef { log: LogId::new([n; 32]), seq: 1, prefix: [n; 16] }).collect();
        self.operations("seventeen parents", SAFETY, &[edit(PATIENT, parents, 1)], bounds);
        self.operations("sixty-five registers", SAFETY, &[edit(PATIENT, Vec::new(), 65)], bounds);
        let targets = (0..17).map(|n| written(n, 1)).collect();
        self.operations("seventeen targets", SAFETY, &[fact(&Fact { targets, ..note("x") })], bounds);
        let text = "x".repeat(8_193);
        self.operations("text of 8,193 bytes", ROUTINE, &[fact(&note(&text))], bounds);
        let text = "x".repeat(63_000);
        self.operations("text of 63,000 bytes", ROUTINE, &[fact(&note(&text))], bounds);
        let notes: Vec<Vec<u8>> = (0..65).map(|_| fact(&note("x"))).collect();
        self.operations("sixty-five operations", ROUTINE, &notes, bounds);
        let mut time = Writer::new();
        time.map(4).uint(0).uint(13).uint(1).bytes(PATIENT.as_bytes()).uint(2).list(4);
        time.int(i64::MIN).int(0).uint(5).uint(0).uint(3).list(1).raw(&[0]);
        self.operations("a time before all years", SAFETY, &[time.finish()], bounds);
        let mut quantity = Writer::new();
        quantity.map(4).uint(0).uint(8).uint(1).bytes(PATIENT.as_bytes()).uint(2).list(4);
        quantity.int(START_MS).int(0).uint(5).uint(0).uint(11).list(3).uint(u64::MAX).uint(0).text("tablet");
        self.operations("2^64 - 1 tablets", SAFETY, &[quantity.finish()], bounds);
    }

    fn wrong_places(&mut self) {
        let lane = Ruled::Faulty("F-007");
        self.operations("an edit in the routine lane", ROUTINE, &[edit(PATIENT, Vec::new(), 1)], lane);
        self.operations("a note in the lane of imports", IMPORT, &[fact(&note("x"))], lane);
        self.operations("a note in the safety lane", SAFETY, &[fact(&note("x"))], lane);
        let compartment = Ruled::Faulty("F-008");
        self.operations("a note in supply", SUPPLY, &[fact(&note("x"))], compartment);
        let read = Operation::Reading(reading()).to_bytes();
        self.operations("a reading among patients", ROUTINE, &[read], compartment);
        let twice = [edit(PATIENT, Vec::new(), 1), edit(PATIENT, Vec::new(), 2)];
        self.operations("two edits of one patient", SAFETY, &twice, Ruled::Faulty("F-009"));
        self.operations("a note of who may not", OUTSIDER, &[fact(&note("x"))], Ruled::Waiting("Q-003"));
        self.sign("no CBOR of who may not", OUTSIDER, &[0xff; 300], Ruled::WaitingAndFaulty("Q-003", "F-004"));
        // Under the key of supply, in a log of clinical.
        let supply = self.world.compartment(CompartmentKind::Supply);
        let (clinical, incident) = (self.world.compartment(CompartmentKind::Clinical), self.world.incident);
        let (body, epoch) = (self.body(&[fact(&note("x"))]), self.world.epochs.get(&supply).cloned());
        let other = epoch.map(|(id, _, key)| (id, key));
        let to = (0, clinical, Lane::Routine);
        self.sign_under(
            "sealed for another compartment",
            to,
            &body,
            other.as_ref(),
            (incident, false, Ruled::Accepted),
        );
        let named = self.world.epochs.get(&clinical).map(|(id, ..)| *id).zip(other).map(|(id, (_, key))| (id, key));
        let seal = (incident, false, Ruled::Faulty("F-001"));
        self.sign_under("sealed under another key than it names", to, &body, named.as_ref(), seal);
    }

    /// What is not so, and cannot be seen from the entry.
    fn lies(&mut self) {
        let accepted = Ruled::Accepted;
        let real = self.operations("the first edit", SAFETY, &[edit(PATIENT, Vec::new(), 1)], accepted);
        let nowhere = EntryRef { log: LogId::new([9; 32]), seq: 7, prefix: [9; 16] };
        self.operations("a parent that nobody has", SAFETY, &[edit(PATIENT, vec![nowhere], 2)], accepted);
        let lied = EntryRef { prefix: [1; 16], ..real };
        self.operations("a parent with another hash", SAFETY, &[edit(PATIENT, vec![lied], 3)], accepted);
        self.operations("a parent of another patient", SAFETY, &[edit(OTHER, vec![real], 3)], accepted);
        let later = EntryRef { seq: real.seq + 40, ..real };
        self.operations("a parent from the future", SAFETY, &[edit(PATIENT, vec![later], 4)], accepted);
        self.operations("a parent that is no edit", SAFETY, &[edit(PATIENT, vec![self.first()], 5)], accepted);
        self.operations("sixty-four registers", SAFETY, &[edit(PATIENT, Vec::new(), 64)], accepted);
        self.operations("a register twice", SAFETY, &[twice_the_same()], Ruled::Faulty("F-004"));
        let refuted = Fact { statement: Statement::Refutation, targets: vec![written(9, 3)], ..note("x") };
        self.operations("a refutation of what nobody has", SAFETY, &[fact(&refuted)], accepted);
        let own = Fact { targets: vec![FactId::Written(OpRef { entry: real, index: 0 })], ..note("x") };
        self.operations("a note that corrects an edit", SAFETY, &[fact(&own)], accepted);
        let import = |import: u8, target: u8| Fact {
            import: Some(ImportId::new([import; 16])),
            targets: vec![FactId::Imported(ImportId::new([target; 16]))],
            ..note("round and round")
        };
        self.operations(
            "imports that correct each other",
            IMPORT,
            &[fact(&import(1, 2)), fact(&import(2, 1))],
            accepted,
        );
        self.operations("an import that corrects itself", IMPORT, &[fact(&import(3, 3))], accepted);
        let reversal = Fact { statement: Statement::Reversal, ..import(4, 4) };
        self.operations("a reversal of itself", IMPORT, &[fact(&reversal)], accepted);
        for (what, hlc) in [("a clock at the end of time", u64::MAX), ("a clock of 1970", 0)] {
            let body = Body::write(CommitId::new([3; 8]), Hlc::from_bits(hlc), &[fact(&note("x"))]);
            self.sign(what, ROUTINE, &body, accepted);
        }
        let end = EffectiveTime { ms: 253_402_300_799_999, ..NOON };
        self.operations("the year 9999", ROUTINE, &[fact(&Fact { effective: end, ..note("x") })], accepted);
        let many = Reading { times: u32::MAX, ..reading() };
        self.operations("4 billion readings", AUDIT, &[Operation::Reading(many).to_bytes()], accepted);
    }

    fn newer(&mut self) {
        let accepted = Ruled::Accepted;
        self.operations("a kind of the future", SAFETY, &[vec![0xa1, 0, 0x18, 99]], accepted);
        self.operations("a kind of 2^64 - 1", ROUTINE, &[[&[0xa1, 0, 0x1b][..], &[255; 8]].concat()], accepted);
        let mut body = Writer::new();
        body.map(4).uint(1).bytes(&[5; 8]).uint(2).uint(1).uint(3).list(1).raw(&[0x80]).uint(4).raw(&[0x60]);
        self.sign("a field of the future beside the operations", ROUTINE, &body.finish(), accepted);
        let mut field = fact(&note("x"));
        if let Some(first) = field.first_mut() {
            *first += 1;
        }
        field.extend_from_slice(&[0x18, 200, 0xf6]);
        self.operations("a field of the future in a note", ROUTINE, &[field], accepted);
    }

    /// What costs as much as one entry can.
    fn heavy(&mut self) {
        let accepted = Ruled::Accepted;
        let text = "ab ".repeat(300);
        let notes: Vec<Vec<u8>> = (0..60).map(|_| fact(&note(&text))).collect();
        self.operations("sixty long notes", ROUTINE, &notes, accepted);
        let words = |n: u32| (0..120).map(|w| format!("w{n}x{w}")).collect::<Vec<_>>().join(" ");
        let names: Vec<String> = (0..64).map(words).collect();
        self.operations("sixty-four names of many words", SAFETY, &[names_edit(OTHER, &names)], accepted);
        let dispense = Statement::Dispense(Dispense {
            product: Coded::text("amoxicillin 500 MG"),
            quantity: Quantity::parse("20", "tablet").ok(),
            lot: "",
            expiry: None,
            days: Some(3_650),
            receiver: None,
            place: "",
            heads: Vec::new(),
            override_reason: "",
        });
        let same: Vec<Vec<u8>> = (0..64).map(|_| fact(&Fact { statement: dispense.clone(), ..note("x") })).collect();
        self.operations("sixty-four dispenses of one medicine", SAFETY, &same, accepted);
        let edits: Vec<Vec<u8>> = (0..64).map(|n| edit(PatientId::new([n; 16]), Vec::new(), 4)).collect();
        self.operations("sixty-four patients of one card", SAFETY, &edits, accepted);
        let seen: Vec<FactId> = (0..16).map(|n| written(n, u64::from(n) + 1)).collect();
        let observed: Vec<Vec<u8>> = (0..16)
            .map(|_| {
                let statement = Statement::Observation(Observation {
                    code: Coded::text("pressure"),
                    value: None,
                    components: (0..16).map(|_| (Coded::text("x"), Value::Bool(true))).collect(),
                    seen: seen.clone(),
                    earlier: false,
                });
                fact(&Fact { statement, targets: seen.clone(), ..note("x") })
            })
            .collect();
        self.operations("sixteen observations that saw sixteen each", SAFETY, &observed, accepted);
    }

    fn control(&mut self) {
        const TO: To = (0, CompartmentKind::Control, Lane::Safety);
        let body = |operation: &[u8]| {
            let mut to = Writer::new();
            to.map(3).uint(1).bytes(&[6; 8]).uint(2).uint(1).uint(3).raw(operation);
            to.finish()
        };
        const KINDS: [&str; 9] = [
            "an incarnation whose heads are no list",
            "a grant to no device",
            "an approval of no device",
            "a revoke of no list",
            "a bar of no list",
            "an epoch of no compartment",
            "a compartment of no kind",
            "an endorsement of no list",
            "an erasure of no list",
        ];
        let faulty = Ruled::Faulty("F-010");
        for (kind, what) in (1..).zip(KINDS) {
            self.sign(what, TO, &body(&[0xa2, 0, kind, 1, 0xf4]), faulty);
            self.sign(
                "a list of 2^32 in control",
                TO,
                &body(&[0xa2, 0, kind, 1, 0x9b, 0, 0, 0, 1, 0, 0, 0, 0]),
                faulty,
            );
        }
        for (what, body) in [
            ("no CBOR in control", vec![0xff; 200]),
            ("nothing in control", Vec::new()),
            ("lists in lists in control", vec![0x81; 200_000]),
            ("control without a commit", vec![0xa2, 2, 1, 3, 0xa1, 0, 5]),
            ("control behind its end", [&body(&[0xa1, 0, 0x18, 77])[..], &[0]].concat()),
        ] {
            self.sign(what, TO, &body, faulty);
        }
        self.sign("a control kind of the future", TO, &body(&[0xa1, 0, 0x18, 77]), Ruled::Accepted);
    }

    /// The first entry that was forged, as a reference.
    fn first(&self) -> EntryRef {
        let (log, seq) = self.forged.first().map_or((LogId::ZERO, 1), |first| first.at);
        EntryRef::new(log, seq, &EntryId::ZERO)
    }
}

fn note(text: &str) -> Fact<'_> {
    Fact {
        patient: Some(PATIENT),
        effective: NOON,
        targets: Vec::new(),
        import: None,
        reason: "",
        statement: Statement::Note { text },
    }
}

const fn reading() -> Reading {
    Reading {
        patient: Some(PATIENT),
        at: NOON,
        access: Access::Record,
        purpose: Some(Purpose::Treatment),
        times: 1,
        records: 0,
    }
}

fn fact(fact: &Fact<'_>) -> Vec<u8> {
    Operation::Fact(fact.clone()).to_bytes()
}

fn written(log: u8, seq: u64) -> FactId {
    FactId::Written(OpRef { entry: EntryRef { log: LogId::new([log; 32]), seq, prefix: [log; 16] }, index: 0 })
}

/// An edit of so many identifiers.
fn edit(patient: PatientId, parents: Vec<EntryRef>, registers: usize) -> Vec<u8> {
    let values: Vec<String> = (0..registers).map(|n| format!("{n:04}")).collect();
    let settings: Vec<_> =
        values.iter().map(|value| Setting::Identifier(Identifier { system: "card", value }, Some(""))).collect();
    edit_of(patient, parents, &settings)
}

fn names_edit(patient: PatientId, names: &[String]) -> Vec<u8> {
    let name = |text| Name { text, ..Name::default() };
    let settings: Vec<_> = names.iter().map(|text| Setting::Name(name(text.as_str()), Some(""))).collect();
    edit_of(patient, Vec::new(), &settings)
}

fn edit_of(patient: PatientId, parents: Vec<EntryRef>, settings: &[Setting<'_>]) -> Vec<u8> {
    let bytes: Vec<_> = settings.iter().map(|setting| (setting.field(), setting.to_bytes())).collect();
    let registers = bytes.iter().map(|(field, (key, value))| Register { field: *field, key, value }).collect();
    Operation::Edit(Edit { patient, parents, registers, import: None }).to_bytes()
}

/// An edit that sets one register twice.
fn twice_the_same() -> Vec<u8> {
    let setting = Setting::Identifier(Identifier { system: "card", value: "1" }, Some(""));
    edit_of(PATIENT, Vec::new(), &[setting.clone(), setting])
}
