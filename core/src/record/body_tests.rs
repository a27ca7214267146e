//! What the reader understood whole is canonical: bodies of every form, changed in every place.

use super::*;
use crate::clock::{EffectiveTime, Precision, TimeSource};
use crate::id::{LogId, PatientId};
use crate::record::fact::{Dispense, Observation, Receiver, Value};
use crate::record::register::Setting;
use crate::record::{Coded, EntryRef, FactId, Identifier, Name, OpRef, PartialDate, Quantity, Register};

const AT: EffectiveTime = EffectiveTime {
    ms: 1_795_334_400_000,
    offset_minutes: 60,
    precision: Precision::Second,
    source: TimeSource::Clock,
};

fn entry(n: u8) -> EntryRef {
    EntryRef { log: LogId::new([n; 32]), seq: 40 + u64::from(n), prefix: [n; 16] }
}

fn edit() -> Vec<u8> {
    let settings = [
        Setting::Birth(PartialDate::parse("1943-03")),
        Setting::Name(Name { family: "Okafor", given: vec!["Ada", "N."], text: "" }, Some("official")),
        Setting::Identifier(Identifier { system: "tag", value: "A-17" }, None),
    ];
    let bytes: Vec<_> = settings.iter().map(|setting| (setting.field(), setting.to_bytes())).collect();
    let registers = bytes.iter().map(|(field, (key, value))| Register { field: *field, key, value }).collect();
    let edit = Edit { patient: PatientId::new([7; 16]), parents: vec![entry(1), entry(2)], registers, import: None };
    Operation::Edit(edit).to_bytes()
}

fn fact(statement: Statement<'_>) -> Vec<u8> {
    let (patient, reason) = (Some(PatientId::new([7; 16])), "a long reason, of more than twenty-four bytes");
    Operation::Fact(Fact { patient, effective: AT, targets: Vec::new(), import: None, reason, statement }).to_bytes()
}

fn operations() -> Vec<Vec<u8>> {
    let code = Coded { system: "http://loinc.org", code: "29463-7", display: "Body weight" };
    let quantity = Quantity::parse("61.5", "kg").unwrap();
    let components = vec![(code, Value::Quantity(quantity)), (Coded::text("mood"), Value::Bool(true))];
    let seen = vec![FactId::Written(OpRef { entry: entry(3), index: 1 }), FactId::Imported(ImportId::ZERO)];
    let observation = Observation { code, value: Some(Value::Text("Grüße")), components, seen, earlier: true };
    let dispense = Dispense {
        product: code,
        quantity: Some(quantity),
        lot: "L1",
        expiry: PartialDate::parse("2027-01-31"),
        days: Some(300),
        receiver: Some(Receiver::Person("a neighbour")),
        place: "tent 3",
        heads: vec![entry(1), entry(4)],
        override_reason: "",
    };
    // Of a kind that no version has.
    let newer = vec![0xa2, 0x00, 0x18, 0xc8, 0x01, 0x61, b'x'];
    vec![edit(), fact(Statement::Observation(observation)), fact(Statement::Dispense(dispense)), newer]
}

/// Every change of one byte's kind: another form of a head, another length, a byte more or less.
fn changed(body: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..body.len()).flat_map(move |at| {
        let (before, rest) = body.split_at(at);
        let (byte, after) = rest.split_first().unwrap();
        let with = |middle: &[u8]| [before, middle, after].concat();
        let (major, short) = (byte & 0xe0, byte & 0x1f);
        // Heads in longer forms of the same value, of indefinite length, of other types; bytes that are no text.
        let longer = [vec![major | 0x18, short], vec![major | 0x19, 0, short], vec![major | 0x1a, 0, 0, 0, short]];
        let forms =
            longer.into_iter().chain([vec![major | 0x1f], vec![0xf9, 0, 0], vec![0xc0, *byte], vec![0xff], vec![]]);
        let near = [byte.wrapping_add(1), byte.wrapping_sub(1), byte ^ 0x20, byte ^ 0x80].map(|other| vec![other]);
        forms.chain(near).chain([vec![*byte, *byte], vec![*byte, 0]]).map(|middle| with(&middle)).collect::<Vec<_>>()
    })
}

#[test]
fn what_is_understood_whole_is_canonical() {
    let hlc = Hlc::default().tick(AT.ms);
    let (mut read, mut faulty) = (0, 0);
    for (lane, operation) in [Lane::Safety, Lane::Routine, Lane::Safety, Lane::Safety].into_iter().zip(operations()) {
        let body = Body::write(CommitId::ZERO, hlc, &[operation, edit()][..if lane == Lane::Safety { 2 } else { 1 }]);
        let two_edits = Body::read(&body, lane, CompartmentKind::Clinical) == Err(BodyFault::TwoEdits);
        assert!(two_edits || Body::read(&body, lane, CompartmentKind::Clinical).is_ok());
        for changed in changed(&body) {
            // In two passes, as the rules say it: first the form of the whole, then what it says.
            let expected = check(&changed).map_err(BodyFault::from).and_then(|()| {
                let body = Body::read_whole(&changed)?;
                body.judge(lane, CompartmentKind::Clinical).map(|()| body)
            });
            let found = Body::read(&changed, lane, CompartmentKind::Clinical);
            assert_eq!(found, expected, "{}", crate::id::hex(&changed));
            if found.is_ok() {
                read += 1;
            } else {
                faulty += 1;
            }
        }
    }
    assert!(read > 100 && faulty > 1_000, "{read} {faulty}");
}
