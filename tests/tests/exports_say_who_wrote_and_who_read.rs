//! `export fhir` gives one Provenance per accepted entry, whose signature anybody can check, and one AuditEvent per
//! reading, to who may see it. Importing again counts both and takes neither.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use daybook_core::crypto::{DatabaseKey, DeviceSecret, Secret, Signature};
use daybook_core::daybook::{Daybook, Purpose, Say};
use daybook_core::exchange::fhir::export::Bundle;
use daybook_core::exchange::{ImportOptions, Source};
use daybook_core::id::{EntryId, LogId, PatientId};
use daybook_core::record::{Coded, Identifier, Setting, Statement};
use daybook_core::roster::Role;
use daybook_tests::host::SeededHost;
use daybook_tests::world::World;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

fn book(world: &World, device: &DeviceSecret, folder: &tempfile::TempDir, seed: u64) -> Daybook {
    let key = DatabaseKey::new(Secret::new([1; 32]), Secret::new([2; 16]));
    let path = folder.path().join(format!("{seed}"));
    let host = Box::new(SeededHost::new(seed));
    let mut book = Daybook::join_with_key(&path, &key, &world.membership(device), host).unwrap();
    book.take_runs(&world.control_runs()).unwrap();
    book.post_all().unwrap();
    book
}

fn say(book: &mut Daybook, patient: PatientId, statement: Statement<'_>) -> String {
    let say = Say { statement, effective: None, targets: Vec::new(), reason: "" };
    book.say(Some(patient), say).unwrap().entries[0].0.clone()
}

fn export(book: &mut Daybook) -> Vec<Value> {
    let sink = book.export_fhir(Some(Purpose::PublicHealth), Bundle::new(Vec::new()).unwrap()).unwrap();
    let bundle: Value = serde_json::from_slice(&sink.into_inner()).unwrap();
    bundle["entry"].as_array().unwrap().iter().map(|entry| entry["resource"].clone()).collect()
}

fn of_type<'a>(resources: &'a [Value], kind: &str) -> Vec<&'a Value> {
    resources.iter().filter(|resource| resource["resourceType"] == kind).collect()
}

fn hex<const N: usize>(text: &str) -> [u8; N] {
    let bytes: Vec<u8> = (0..N).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

fn from_base64(text: &str) -> Vec<u8> {
    const SYMBOLS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u32> = text.trim_end_matches('=').chars().map(|c| SYMBOLS.find(c).unwrap() as u32).collect();
    let bytes = bits.chunks(4).flat_map(|group| {
        let joined = group.iter().fold(0, |sum, six| sum << 6 | six) << (6 * (4 - group.len()));
        joined.to_be_bytes()[1..group.len()].to_vec()
    });
    bytes.collect()
}

#[test]
fn every_entry_has_its_provenance_with_a_signature_that_anybody_can_check() {
    let mut world = World::new(21, 1, Role::Clinician);
    world.admit(Role::Auditor);
    let folder = tempfile::tempdir().unwrap();
    let author = world.authors[0].device.public();
    let mut clinician = book(&world, &world.authors[0].device, &folder, 1);
    let tag = |value| Setting::Identifier(Identifier { system: "tag", value }, Some(""));
    let patient = clinician.add_patient(&[tag("T-1")]).unwrap().value;
    clinician.add_patient(&[tag("T-2")]).unwrap();
    clinician.edit_patient(patient, &[tag("T-3")]).unwrap();
    for n in 0..70 {
        say(&mut clinician, patient, Statement::Note { text: &format!("note {n}") });
    }
    let allergy = daybook_core::record::Allergy {
        substance: Coded::text("nuts"),
        clinical: daybook_core::record::ClinicalStatus::Active,
        verification: daybook_core::record::Verification::Confirmed,
        criticality: None,
        category: "",
        reaction: "",
    };
    say(&mut clinician, patient, Statement::Allergy(allergy));
    clinician.read_patient(patient, Purpose::Treatment).unwrap();
    let mut log = Vec::new();
    clinician.export_log(&mut log).unwrap();

    let resources = export(&mut clinician);
    assert!(of_type(&resources, "AuditEvent").is_empty(), "a clinician is not shown who read");
    let provenances = of_type(&resources, "Provenance");
    assert_eq!(provenances.len(), 74, "three edits, seventy notes, one allergy");
    let exported: BTreeSet<String> = resources
        .iter()
        .filter(|resource| resource["resourceType"] != "Provenance")
        .map(|r| format!("{}/{}", r["resourceType"].as_str().unwrap(), r["id"].as_str().unwrap()))
        .collect();
    let mut targets: BTreeMap<String, u32> = BTreeMap::new();
    for provenance in &provenances {
        let signature = &provenance["signature"][0];
        let covered = signature["extension"][0]["valueString"].as_str().unwrap();
        let [log, seq, id] = covered.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let bytes: [u8; 64] = from_base64(signature["data"].as_str().unwrap()).try_into().unwrap();
        let (log, seq, id) = (LogId::new(hex(log)), seq.parse().unwrap(), EntryId::new(hex(id)));
        author.sign.verify_head(log, seq, id, &Signature(bytes)).unwrap();
        assert!(author.sign.verify_head(log, seq + 1, id, &Signature(bytes)).is_err());
        // The entry itself, or one behind it in its log that is the first to bear a signature.
        let what = &provenance["entity"][0]["what"];
        let place: u64 = what["display"].as_str().unwrap().rsplit('-').next().unwrap().parse().unwrap();
        assert!(place <= seq && seq < place + 64, "{place} {seq}");
        assert_eq!(place == seq, what["identifier"]["value"] == id.to_hex());
        assert_eq!(provenance["agent"][0]["who"]["identifier"]["value"], author.device_id().to_hex());
        assert!(provenance["recorded"].as_str().unwrap().starts_with("2026-11-22T"));
        for target in provenance["target"].as_array().unwrap() {
            *targets.entry(target["reference"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    assert_eq!(targets.keys().cloned().collect::<BTreeSet<_>>(), exported, "each resource has its Provenance");
    assert_eq!(targets[&format!("Patient/{}", patient.to_hex())], 2);

    // A device that got them in runs has the signatures of runs' ends; every entry is vouched for all the same.
    let mut auditor = book(&world, &world.authors[1].device, &folder, 2);
    auditor.ingest(&mut &log[..], &mut |_| {}).unwrap();
    let resources = export(&mut auditor);
    assert_eq!(of_type(&resources, "Provenance").len(), 74 + 2, "and those of the readings");
    let events = of_type(&resources, "AuditEvent");
    let seen = events.iter().map(|e| (e["type"]["code"].as_str().unwrap(), e["action"].as_str().unwrap()));
    let seen = seen.collect::<BTreeSet<_>>();
    assert_eq!(seen, [("110106", "R"), ("110110", "R")].into());
    let read = events.iter().find(|event| event["type"]["code"] == "110110").unwrap();
    assert_eq!(read["purposeOfEvent"][0]["coding"][0]["code"], "TREAT");
    assert_eq!(read["entity"][0]["what"]["reference"], format!("Patient/{}", patient.to_hex()));
    assert_eq!(read["agent"][0]["who"]["identifier"]["value"], author.device_id().to_hex());
    assert_eq!(read["agent"][0]["requestor"], true);
    assert!(read["recorded"].as_str().is_some() && read["source"]["observer"].is_object());
}

#[test]
fn an_import_counts_them_and_takes_neither() {
    let world = World::new(22, 0, Role::Admin);
    let folder = tempfile::tempdir().unwrap();
    let mut root = book(&world, &world.root.device, &folder, 1);
    let tag = Setting::Identifier(Identifier { system: "tag", value: "T-1" }, Some(""));
    let patient = root.add_patient(&[tag]).unwrap().value;
    say(&mut root, patient, Statement::Note { text: "sleeps" });
    root.read_patient(patient, Purpose::Treatment).unwrap();
    let sink = root.export_fhir(None, Bundle::new(Vec::new()).unwrap()).unwrap();
    let bytes = sink.into_inner();
    let other = World::new(23, 0, Role::Admin);
    let mut empty = book(&other, &other.root.device, &folder, 2);
    let source = Source::reopenable("export.json".to_owned(), move || Ok(std::io::Cursor::new(bytes.clone())));
    let report = empty.import_fhir(vec![source], &ImportOptions { source: None }, &mut |_| {}).unwrap();
    assert!(report.bad.is_empty(), "{report:?}");
    let ignored: BTreeMap<&str, u64> = report
        .types
        .iter()
        .filter(|(_, count)| count.ignored > 0)
        .map(|(kind, c)| (kind.as_str(), c.ignored))
        .collect();
    assert_eq!(ignored, [("AuditEvent", 2), ("Provenance", 3)].into());
    assert_eq!((report.types["Patient"].kept, report.types["Basic"].kept), (1, 1));
    let again = export(&mut empty);
    assert_eq!((of_type(&again, "Patient").len(), of_type(&again, "Basic").len()), (1, 1));
}
