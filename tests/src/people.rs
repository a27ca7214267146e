//! People who admit each other by code and hand over files: a folder of books, each of one device.

use crate::history::scratch;
use crate::host::SeededHost;
use crate::pair::Link;
use daybook_core::clock::Host;
use daybook_core::crypto::RecoverySeed;
use daybook_core::daybook::{Daybook, EnrolmentReply, EnrolmentRequest, NewIncident, Terms};
use daybook_core::roster::Role;
use daybook_core::sync::{Limits, Side};
use std::path::PathBuf;
use tempfile::TempDir;

/// The passphrase of every book.
pub const PASSPHRASE: &[u8] = b"four words or more";

/// A folder of books, each with its own randomness.
#[derive(Debug)]
pub struct People {
    folder: TempDir,
    /// How many books drew their randomness; the next one's seed is one more.
    pub seeds: u64,
}

impl Default for People {
    fn default() -> Self {
        Self { folder: tempfile::tempdir_in(scratch()).expect("a folder"), seeds: 0 }
    }
}

impl People {
    /// The folder of a book.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Randomness of a new book.
    pub fn host(&mut self) -> Box<dyn Host> {
        self.seeds += 1;
        Box::new(SeededHost::new(self.seeds))
    }

    /// Founds the incident of theirs, by R. Alvarez.
    pub fn found(&mut self, name: &str) -> (Daybook, RecoverySeed) {
        let new = NewIncident {
            incident: "Valley flood".into(),
            organisation: "Relief".into(),
            person: "R. Alvarez".into(),
            exercise: true,
        };
        let host = self.host();
        Daybook::create(&self.path(name), PASSPHRASE, &new, host).expect("founded")
    }

    /// A newcomer asks to take part.
    pub fn request(&mut self, name: &str) -> EnrolmentRequest {
        let mut host = self.host();
        Daybook::begin_request(&self.path(name), PASSPHRASE, name, false, host.as_mut()).expect("a request")
    }

    /// The newcomer takes the reply.
    pub fn accept(&mut self, name: &str, reply: &EnrolmentReply) -> Daybook {
        let code = reply.code().expect("a code").join("\n");
        let offer = Daybook::open_reply(&self.path(name), PASSPHRASE, &code).expect("a reply");
        let host = self.host();
        Daybook::accept(&self.path(name), PASSPHRASE, &offer, host).expect("accepted")
    }

    /// Admits somebody.
    pub fn enrol(&mut self, by: &mut Daybook, name: &str, terms: &Terms) -> Daybook {
        let request = self.request(name);
        let reply = by.grant(&request, terms).expect("granted");
        self.accept(name, &reply)
    }
}

/// The terms of a role, with history.
#[must_use]
pub fn terms(role: Role) -> Terms {
    Terms { role, organisation: None, history: true, until_ms: None, site: None, addresses: Vec::new() }
}

/// Hands over everything that one book holds as a file.
///
/// # Panics
/// If something is refused.
pub fn hand_over(from: &mut Daybook, to: &mut Daybook) {
    let mut file = Vec::new();
    from.export_log(&mut file).expect("exported");
    let report = to.ingest(&mut file.as_slice(), &mut |_| {}).expect("taken in");
    assert!(report.refused.is_empty() && !report.cut_off, "{report:?}");
}

/// Lets two books meet in a session, which brings keys too; whether both were in sync at its end.
pub fn meet(one: &mut Daybook, two: &mut Daybook) -> bool {
    let caller = one.session(Side::Caller, Limits::default(), 0);
    let called = two.session(Side::Called, Limits::default(), 0);
    let (Ok(caller), Ok(called)) = (caller, called) else { return false };
    let mut link = Link::new(caller, called);
    link.settle([one, two]);
    link.in_sync(0) && link.in_sync(1)
}
