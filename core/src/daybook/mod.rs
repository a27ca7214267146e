//! The facade: one open book and everything that can be done with it. Delegates only.
//!
//! Owns the order of the stations and the handle; owns no rule and no table. Every method that writes is
//! durable when it returns `Ok`, and has written nothing when it returns an error, unless the error says so.

mod addresses;
mod administration;
mod ahead;
mod awaited;
mod beginnings;
mod charts;
mod dispensing;
mod enrolment;
mod error;
mod findings;
mod floods;
mod forks;
mod former;
mod founding;
mod holdings;
mod imports;
mod judging;
mod key_store;
mod keys;
mod patients;
mod peers;
mod provenance;
mod reading;
mod receipts;
mod roots;
mod salvage;
mod saying;
mod state;
mod strangers;
mod syncing;
mod transfer;
mod types;
mod upkeep;
mod verifying;
mod writing;

pub use administration::{
    AdministrationError, Barred, Endorsing, Heir, Member, MemberState, Recovered, Review, Revoked, Site, Waiting,
};
pub use awaited::Awaited;
pub use charts::{fact_text, setting_text, value_text};
pub use enrolment::{
    Adopted, Bars, Characters, CodeKind, EnrolmentError, EnrolmentReply, EnrolmentRequest, Offer, Terms,
};
pub use error::{Error, ErrorKind, Saved};
pub use founding::Membership;
pub use holdings::{HeldBy, HeldLog, Holder, Holdings, Lack, SafeToLose};
pub use key_store::{AttemptPolicy, Attempts, FolderKeys, KeyStore};
pub use keys::{Blindness, ExposedCompartment, Exposure, KeyLack, Shift, WhyNoKey};
pub use peers::{Elsewhere, PeerSeen};
pub use receipts::Doubt;
pub use roots::{Founded, Proposal, ProposedRoot, RootReply, RootRequest, RootSignature, RootsError};
pub use salvage::{LostPlaces, SalvageReport};
pub use saying::Say;
pub use strangers::Strangers;
pub use types::{
    AllergyStatus, Author, Chart, EntryCode, EntryCounts, FactView, FindingView, HistoryLine, IngestReport, LogLine,
    NewIncident, PatientSummary, ReadingView, ShownValue, Status, StockLine, VerifyReport, Warning, Written,
};

pub use crate::record::Purpose;

use crate::clock::Host;
use crate::record::Reading;
use crate::store::Store;
use state::State;
use std::path::{Path, PathBuf};
use writing::Writer;

/// Version of the droppable tables; a book with another one makes them anew when it is opened.
const VIEWS_VERSION: u32 = 5;

/// One open book.
pub struct Daybook {
    folder: PathBuf,
    store: Store,
    state: State,
    host: Box<dyn Host>,
    /// Readings that could not be noted in the file yet.
    unnoted: Vec<Reading>,
    /// Wrong attempts before this opening.
    attempts: Attempts,
}

impl std::fmt::Debug for Daybook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Daybook").field("incident", &self.state.ring.incident).finish_non_exhaustive()
    }
}

impl Daybook {
    /// A handle on an open file.
    fn of(folder: &Path, store: Store, state: State, host: Box<dyn Host>) -> Self {
        Self { folder: folder.to_owned(), store, state, host, unnoted: Vec::new(), attempts: Attempts::default() }
    }

    /// Takes note of what other processes wrote.
    fn refresh(&mut self) -> Result<(), Error> {
        if self.store.changed_elsewhere()? {
            self.state = State::load(&self.store, self.store.read()?)?;
        }
        self.end_shift_if_due()
    }

    /// Runs `work` in one durable transaction, on what is there at that moment.
    fn write<T>(&mut self, work: impl FnOnce(&mut Writer<'_>) -> Result<T, Error>) -> Result<T, Error> {
        // What other processes wrote is looked at when nobody can write beside it.
        if keys::shift::end(&self.state, self.state.device_id).is_some() {
            self.refresh()?;
        }
        self.write_as_is(work)
    }

    /// As [`Daybook::write`], without looking first at what is due.
    fn write_as_is<T>(&mut self, work: impl FnOnce(&mut Writer<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let Self { store, state, host, .. } = self;
        let worked = Store::write_fresh(store, |tx, store, changed| {
            if changed {
                *state = State::load(store, tx)?;
            }
            let mut writer = Writer::new(tx, &mut *state, host.as_mut());
            let done = work(&mut writer)?;
            writer.keep_clock()?;
            Ok(done)
        });
        if worked.is_err() {
            // What the work changed in memory was undone in the file.
            if let Ok(connection) = self.store.read() {
                self.state = State::load(&self.store, connection)?;
            }
        } else if std::mem::take(&mut self.state.notes_due) {
            self.write_notes();
        }
        worked
    }
}

/// The statements that make all droppable tables.
fn view_tables() -> String {
    format!("{}{}", crate::merge::SCHEMA, crate::view::SCHEMA)
}
