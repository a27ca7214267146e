//! What anybody can send, read from bytes alone. What is read is written again as the same bytes, where the format says
//! that there is one way to write it.

use crate::recipe::made;
use crate::samples::samples;
use daybook_core::crypto::{KeyFile, RecoverySeed};
use daybook_core::daybook::{CodeKind, EnrolmentRequest};
use daybook_core::id::Lane;
use daybook_core::log::{Beginning, Proof, Run, RunBuilder};
use daybook_core::record::{Body, Operation};
use daybook_core::roster::{Chains, CompartmentKind, ControlBody, GrantPath, Roster, SignedFounding};
use daybook_tests::crash::script::Script;

/// Runs, beginnings of runs, proofs of forks.
///
/// # Panics
/// Where something is wrong.
pub fn run(input: &[u8]) {
    let bytes = made(&samples().runs, input);
    let incident = *Script::world().founding.incident();
    let _ = Beginning::read(&bytes, &incident);
    let _ = (Proof::read(&bytes).is_ok(), Proof::read_file(&bytes).is_ok());
    let Ok(read) = Run::read(&bytes) else { return };
    let (name, first_seq, backlink) = (read.name, read.first_seq, read.backlink);
    let Ok(verified) = read.verify(&incident) else { return };
    let mut again = RunBuilder::new(&name, first_seq, backlink);
    for (place, entry) in verified.entries().iter().enumerate() {
        let head = verified.heads().iter().find(|(at, _)| *at == place).map(|(_, signature)| *signature);
        again.push(entry.entry(), head);
    }
    let again = again.finish();
    let again = Run::read(&again).expect("what was verified can be written").verify(&incident).expect("and verified");
    assert_eq!(again.entries(), verified.entries());
}

/// Bodies of entries and their operations.
///
/// # Panics
/// Where something is wrong.
pub fn body(input: &[u8]) {
    let bytes = made(&samples().bodies, input);
    let kinds =
        [CompartmentKind::Directory, CompartmentKind::Clinical, CompartmentKind::Supply, CompartmentKind::Audit];
    for (kind, lane) in kinds.into_iter().flat_map(|kind| Lane::ALL.map(|lane| (kind, lane))) {
        let Ok(body) = Body::read(&bytes, lane, kind) else { continue };
        let operations: Vec<Vec<u8>> = body.operations.iter().map(|(_, bytes)| bytes.to_vec()).collect();
        for (operation, bytes) in &body.operations {
            if !matches!(operation, Operation::Newer) {
                assert_eq!(operation.to_bytes(), *bytes, "one way to write an operation");
            }
        }
        let newer = body.operations.iter().any(|(operation, _)| matches!(operation, Operation::Newer));
        assert!(newer || Body::write(body.commit, body.hlc, &operations) == bytes, "one way to write a body");
    }
}

/// Bodies of control entries.
///
/// # Panics
/// Where something is wrong.
pub fn control(input: &[u8]) {
    let bytes = made(&samples().control, input);
    let Ok(body) = ControlBody::read(&bytes) else { return };
    if !matches!(body.control, daybook_core::roster::Control::Newer) {
        assert_eq!(body.to_bytes(), bytes, "one way to write a control entry");
    }
}

/// Founding statements and grant paths.
///
/// # Panics
/// Where something is wrong.
pub fn founding(input: &[u8]) {
    let bytes = made(&samples().founding, input);
    if let Ok(founding) = SignedFounding::read(&bytes) {
        assert_eq!(founding.bytes(), bytes);
        let _ = Roster::fold(&founding, &[], &Chains::default());
    }
    let bytes = made(&samples().paths, input);
    let incident = *Script::world().founding.incident();
    for asked in [None, Some(&incident)] {
        if let Ok(path) = GrantPath::read(&bytes, asked) {
            assert_eq!(GrantPath::to_bytes(path.founding(), path.runs()), bytes, "one way to write a path");
        }
    }
}

/// Codes that people type, paste and scan, and the file of keys.
///
/// # Panics
/// Where something is wrong.
pub fn code(input: &[u8]) {
    let bytes = made(&samples().codes, input);
    if let Ok(request) = EnrolmentRequest::read(&bytes) {
        assert_eq!(EnrolmentRequest::parse(&request.code().expect("a code").join(" ")).expect("the same"), request);
    }
    let _ = KeyFile::open(&bytes, b"pass");
    let text = String::from_utf8_lossy(&bytes);
    let _ = EnrolmentRequest::parse(&text);
    let _ = RecoverySeed::parse(&text);
    let _ = daybook_core::id::read_code(&text);
    for kind in [CodeKind::Request, CodeKind::Reply] {
        if let Ok(data) = kind.read(&text) {
            let written = kind.write(&data).expect("it was read").join("");
            assert_eq!(kind.read(&written).expect("it was written"), data);
        }
    }
}
