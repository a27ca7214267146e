//! The devices of the exercise: each with a person, a folder, a clock and a book.

use std::path::{Path, PathBuf};

use daybook_core::clock::Host;
use daybook_core::daybook::{Daybook, EnrolmentError, EnrolmentRequest, Error, NewIncident, Terms};
use daybook_core::roster::Role;

use crate::failure::Failure;
use crate::host::SystemHost;
use crate::passphrase::Passphrase;

/// Most devices of a drill.
pub const DEVICES_MAX: usize = 12;

/// Who holds the devices; made up.
const PERSONS: [&str; DEVICES_MAX] = [
    "Ana Ruiz",
    "Ebba Lindqvist",
    "Kofi Mensah",
    "Mei Tanaka",
    "Omar Haddad",
    "Lucia Ferrari",
    "Tomas Novak",
    "Priya Nair",
    "Jonas Weber",
    "Sara Okafor",
    "Ivan Petrov",
    "Nora Byrne",
];
/// The two organisations, in turn.
const ORGANISATIONS: [&str; 2] = ["County Health", "Tent Hospital"];

/// This computer's clock, wrong by some time.
struct WrongClock {
    off_ms: i64,
}

impl Host for WrongClock {
    fn now_ms(&mut self) -> i64 {
        SystemHost.now_ms().saturating_add(self.off_ms)
    }

    fn offset_minutes(&mut self) -> i16 {
        SystemHost.offset_minutes()
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        SystemHost.fill(bytes);
    }
}

/// One device.
pub struct Device {
    /// From 1.
    pub number: usize,
    /// Who holds it.
    pub person: &'static str,
    /// For whom.
    pub organisation: &'static str,
    /// By how much its clock is wrong.
    pub clock_off_ms: i64,
    /// Where its book lies.
    pub folder: PathBuf,
    passphrase: Passphrase,
    book: Option<Daybook>,
}

impl Device {
    fn host(&self) -> Box<dyn Host> {
        Box::new(WrongClock { off_ms: self.clock_off_ms })
    }

    /// The open book.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn book(&mut self) -> Result<&mut Daybook, Failure> {
        let book = self.give()?;
        Ok(self.book.insert(book))
    }

    /// The open book, given away to a connection; the next that needs it opens it again.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn give(&mut self) -> Result<Daybook, Failure> {
        match self.book.take() {
            Some(book) => Ok(book),
            None => Ok(Daybook::open(&self.folder, &self.passphrase, self.host())?),
        }
    }
}

/// Begins the incident on the first device and admits the others through their codes.
///
/// # Errors
/// When a book cannot be made.
pub fn enrol(
    incident: &str,
    folder: &Path,
    clocks_off_ms: &[i64],
    passphrase: &Passphrase,
) -> Result<Vec<Device>, Failure> {
    let mut devices: Vec<Device> = Vec::new();
    for (((number, off), person), organisation) in
        (1..).zip(clocks_off_ms).zip(PERSONS).zip(ORGANISATIONS.into_iter().cycle())
    {
        let mut device = Device {
            number,
            person,
            organisation,
            clock_off_ms: *off,
            folder: folder.join(format!("device-{number}")),
            passphrase: passphrase.clone(),
            book: None,
        };
        let book = match devices.first_mut() {
            None => found(incident, &device)?,
            Some(founder) => admit(&device, founder)?,
        };
        device.book = Some(book);
        devices.push(device);
    }
    Ok(devices)
}

fn found(incident: &str, device: &Device) -> Result<Daybook, Failure> {
    let new = NewIncident {
        incident: incident.to_owned(),
        organisation: device.organisation.to_owned(),
        person: device.person.to_owned(),
        exercise: true,
    };
    // Nobody will ever need to recover an exercise.
    let (book, _seed) = Daybook::create(&device.folder, &device.passphrase, &new, device.host())?;
    Ok(book)
}

/// Request, grant and accept; what goes from one to the other is the text that people would paste.
fn admit(newcomer: &Device, founder: &mut Device) -> Result<Daybook, Failure> {
    let (folder, passphrase) = (&newcomer.folder, &newcomer.passphrase);
    let asked = Daybook::begin_request(folder, passphrase, newcomer.person, false, newcomer.host().as_mut())?;
    let request_code = asked.code().map_err(Error::from)?.concat();
    let request = EnrolmentRequest::parse(&request_code).map_err(Error::from)?;
    let terms = Terms {
        role: Role::Clinician,
        organisation: Some(newcomer.organisation.to_owned()),
        history: true,
        until_ms: None,
        site: None,
        addresses: Vec::new(),
    };
    let book = founder.book()?;
    book.check_grant(&request, &terms)?;
    same_on_both_screens(asked.characters().are(&request.characters().to_string()))?;
    let reply = book.grant(&request, &terms)?;
    let reply_code = reply.code().map_err(Error::from)?.join("\n");
    let offer = Daybook::open_reply(folder, passphrase, &reply_code)?;
    same_on_both_screens(offer.characters().are(&reply.characters().to_string()))?;
    Ok(Daybook::accept(folder, passphrase, &offer, newcomer.host())?)
}

fn same_on_both_screens(same: bool) -> Result<(), Failure> {
    if same { Ok(()) } else { Err(Error::from(EnrolmentError::Differ).into()) }
}
