//! Valid things of one small incident, always the same: what recipes begin with.

use daybook_core::clock::Hlc;
use daybook_core::crypto::Place;
use daybook_core::daybook::{CodeKind, EnrolmentRequest};
use daybook_core::entry::Sealed;
use daybook_core::exchange::{ImportOptions, Source};
use daybook_core::id::{CommitId, EntryId, LogId};
use daybook_core::log::Run;
use daybook_core::record::Body;
use daybook_core::roster::{Approve, Control, ControlBody, Endorse, GrantPath, Part, PlaceOf, Revoke};
use daybook_tests::crash::disk::{Disk, Image};
use daybook_tests::crash::script::Script;
use daybook_tests::crash::vfs;
use daybook_tests::world::World;
use std::io::Cursor;
use std::sync::OnceLock;

/// Steps of the script that the book of the samples has behind it.
const STEPS: usize = 9;

/// Valid things, and the book that they come from.
pub struct Samples {
    /// The script of the book.
    pub script: Script,
    /// Its files.
    pub files: Image,
    /// An export of it.
    pub export: Vec<u8>,
    /// Its runs.
    pub runs: Vec<Vec<u8>>,
    /// Bodies of its entries, opened; of control entries, as they are.
    pub bodies: Vec<Vec<u8>>,
    /// Bodies of control entries of every kind.
    pub control: Vec<Vec<u8>>,
    /// Founding statements.
    pub founding: Vec<Vec<u8>>,
    /// Grant paths.
    pub paths: Vec<Vec<u8>>,
    /// Codes of enrolment.
    pub codes: Vec<Vec<u8>>,
    /// Records of other systems.
    pub fhir: Vec<Vec<u8>>,
}

/// The samples.
///
/// # Panics
/// Never: they are valid.
pub fn samples() -> &'static Samples {
    static SAMPLES: OnceLock<Samples> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        let script = Script::new();
        let folder = scratch("samples");
        let disk = vfs::mount(&folder, Disk::default());
        let mut shift = script.begin(&folder).expect("a book");
        (0..STEPS).for_each(|step| shift.step(step).expect("a step"));
        for text in FHIR {
            let source = Source::reopenable("file.ndjson".to_owned(), || Ok(Cursor::new(text.as_bytes())));
            let options = ImportOptions { source: Some("urn:samples".to_owned()) };
            shift.book.import_fhir(vec![source], &options, &mut |_| {}).expect("an import");
        }
        let mut export = Vec::new();
        shift.book.export_log(&mut export).expect("an export");
        drop(shift);
        let files = disk.lock().expect("no test failed here").files().clone();
        let world = Script::world();
        let runs = runs(&export);
        let mut bodies: Vec<Vec<u8>> = runs.iter().flat_map(|run| opened(&world, run)).collect();
        bodies.push(Body::write(CommitId::new([1; 8]), Hlc::from_bits(1 << 20), &[vec![0xa1, 0x01, 0x18, 0x63]]));
        Samples {
            files,
            bodies,
            control: control(&world),
            founding: vec![world.founding.bytes().to_vec()],
            paths: vec![world.path(None), world.path(Some(0)), GrantPath::to_bytes(&world.founding, &runs[..1])],
            codes: codes(&world),
            fhir: FHIR.iter().map(|text| text.as_bytes().to_vec()).collect(),
            runs,
            export,
            script,
        }
    })
}

/// A folder of this thread that stands for a disk.
#[must_use]
pub fn scratch(name: &str) -> std::path::PathBuf {
    let thread = format!("{:?}", std::thread::current().id());
    std::env::temp_dir().join(format!("daybook-fuzz-{}-{name}-{thread}", std::process::id()))
}

/// The runs of an export.
fn runs(export: &[u8]) -> Vec<Vec<u8>> {
    let number = |at: usize| u32::from_le_bytes(export[at..at + 4].try_into().expect("four bytes")) as usize;
    let mut at = 14 + 4 + number(14);
    let mut runs = Vec::new();
    while export[at] != 0 {
        let bytes = number(at + 1);
        if export[at] == 1 {
            runs.push(export[at + 5..at + 5 + bytes].to_vec());
        }
        at += 5 + bytes;
    }
    runs
}

/// The bodies of a run, opened.
fn opened(world: &World, run: &[u8]) -> Vec<Vec<u8>> {
    let run = Run::read(run).expect("a run").verify(&world.incident).expect("verified");
    let key = world.epochs.get(&run.name().compartment).map(|(_, _, key)| key);
    let body = |entry: &daybook_core::log::VerifiedEntry<'_>| {
        let Sealed::Body(sealed) = entry.entry().sealed else { return Vec::new() };
        let Some(key) = key else { return sealed.to_vec() };
        let place = Place { incident: world.incident, log: run.log(), seq: entry.seq() };
        let mut body = Vec::new();
        key.open(&place, &entry.entry().nonce, sealed, &mut body).expect("opens");
        body
    };
    run.entries().iter().map(body).collect()
}

/// Control entries of kinds that the script does not write.
fn control(world: &World) -> Vec<Vec<u8>> {
    let body = |control| ControlBody { commit: CommitId::new([7; 8]), hlc: Hlc::from_bits(1 << 30), control };
    let place = PlaceOf { log: LogId::new([1; 32]), seq: 3, id: EntryId::new([2; 32]) };
    let grant = world.authors[0].grant;
    let device = world.authors[1].device.public().device_id();
    let part = Part { number: 1, of: 2, hash: [3; 32] };
    let revoke = |part| Revoke {
        grants: vec![grant],
        spares: Vec::new(),
        cuts: vec![place],
        devices: vec![device],
        reason: None,
        part,
    };
    let endorse = Endorse {
        entries: vec![place],
        logs: vec![place],
        grants: vec![grant],
        lifts: Vec::new(),
        lifts_all_of: vec![grant],
    };
    let mut bodies: Vec<Vec<u8>> = world.control_runs().iter().flat_map(|run| opened(world, run)).collect();
    bodies.extend(
        [
            Control::Incarnation { previous: vec![place] },
            Control::Revoke(revoke(None)),
            Control::Revoke(revoke(Some(part))),
            Control::Bar { devices: vec![device] },
            Control::Endorse(endorse),
            Control::Erase { entries: vec![place], reason: None },
            Control::Approve(Approve::End { root: device }),
            Control::Approve(Approve::Cut { root: device, cuts: vec![place] }),
        ]
        .map(|control| body(control).to_bytes()),
    );
    bodies
}

fn codes(world: &World) -> Vec<Vec<u8>> {
    let request = EnrolmentRequest::new(world.authors[1].device.public(), "Ebba Lindqvist").expect("a request");
    let mut codes: Vec<Vec<u8>> = vec![request.code().expect("a code").join("\n").into_bytes(), request.to_bytes()];
    // A reply in several pieces.
    let reply = CodeKind::Reply.write(&world.founding.bytes().repeat(8)).expect("a code");
    codes.push(reply.join(" ").into_bytes());
    codes
}

/// Records of other systems.
const FHIR: [&str; 4] = [
    r#"{"resourceType":"Patient","id":"a1","identifier":[{"system":"urn:x","value":"7"}],"name":[{"family":"Lindqvist","given":["Ebba"]}],"gender":"female","birthDate":"1972-04","telecom":[{"system":"phone","value":"+46"}]}
{"resourceType":"Observation","id":"o1","status":"final","subject":{"reference":"Patient/a1"},"code":{"coding":[{"system":"http://loinc.org","code":"29463-7"}]},"valueQuantity":{"value":72.5,"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"},"effectiveDateTime":"2026-11-22T08:00:00+01:00"}
"#,
    r#"{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient","id":"b"}},{"resource":{"resourceType":"AllergyIntolerance","id":"c","patient":{"reference":"urn:uuid:1"},"code":{"text":"penicillin"},"clinicalStatus":{"coding":[{"code":"active"}]},"criticality":"high"}}]}"#,
    r#"{"resourceType":"MedicationDispense","id":"d","status":"completed","subject":{"reference":"Patient/a1"},"medicationCodeableConcept":{"coding":[{"system":"http://www.nlm.nih.gov/research/umls/rxnorm","code":"308182","display":"amoxicillin 250 MG"}]},"quantity":{"value":20,"unit":"capsule"},"daysSupply":{"value":10,"unit":"d"},"whenHandedOver":"2026-11-22"}"#,
    r#"{"resourceType":"Condition","id":"e","subject":{"reference":"Patient/a1"},"code":{"text":"asthma"},"onsetDateTime":"2019","note":[{"text":"\ud83d\ude00 \u0000"}],"extension":[{"url":"x","valueDecimal":1e308}]}"#,
];
