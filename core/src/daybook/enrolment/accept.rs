//! The newcomer's side: the reply is opened, shown, compared, and becomes a book.

use super::alone;
use super::code::{Characters, CodeKind};
use super::error::EnrolmentError;
use super::reply::{ReplyText, comparison};
use super::request::Pending;
use crate::clock::Host;
use crate::codec::Malformed;
use crate::crypto::{DevicePublic, open_reply};
use crate::daybook::Daybook;
use crate::daybook::addresses::keep_given;
use crate::daybook::error::Error;
use crate::daybook::founding::{Membership, holds_a_book, remove_book};
use crate::daybook::syncing::PATH;
use crate::log::Run;
use crate::roster::{Grant, GrantPath, Role};
use crate::store::Store;
use std::path::Path;

/// A reply that was opened and checked, and not yet taken.
#[derive(Debug)]
pub struct Offer {
    membership: Membership,
    /// Runs of control entries: the own grant path, then compartments and epochs.
    runs: Vec<Vec<u8>>,
    path: Vec<u8>,
    characters: Characters,
    given: Given,
    person: String,
    organisation: String,
    addresses: Vec<String>,
}

/// What the newcomer becomes.
#[derive(Debug)]
enum Given {
    /// One of the roots that founded the incident, for an organisation.
    Root(String),
    /// The holder of a grant.
    Grant(Box<Grant>),
}

impl Offer {
    /// What both screens must show before [`Daybook::accept`].
    #[must_use]
    pub const fn characters(&self) -> &Characters {
        &self.characters
    }

    /// Name of the incident.
    #[must_use]
    pub fn incident(&self) -> &str {
        &self.membership.founding.founding().name
    }

    /// Whether the incident is an exercise.
    #[must_use]
    pub fn exercise(&self) -> bool {
        self.membership.founding.founding().exercise
    }

    /// The organisation of the founder.
    #[must_use]
    pub fn organisation(&self) -> &str {
        &self.organisation
    }

    /// The role that was granted.
    #[must_use]
    pub fn role(&self) -> &str {
        match &self.given {
            Given::Root(_) => Role::Admin.word(),
            Given::Grant(grant) => &grant.role,
        }
    }

    /// Whether the device is one of the roots that founded the incident.
    #[must_use]
    pub const fn root(&self) -> bool {
        matches!(self.given, Given::Root(_))
    }

    /// Whether what was written before may be read.
    #[must_use]
    pub const fn history(&self) -> bool {
        match &self.given {
            Given::Root(_) => true,
            Given::Grant(grant) => grant.history,
        }
    }

    /// End of shift in milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub const fn until_ms(&self) -> Option<i64> {
        match &self.given {
            Given::Root(_) => None,
            Given::Grant(grant) => grant.until_ms,
        }
    }

    /// Where devices of the incident answer in the network.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }
}

impl Daybook {
    /// Opens the reply to the request that waits in a folder. Nothing is written.
    ///
    /// # Errors
    /// [`Error::WrongPassphrase`]; [`EnrolmentError`] says what is wrong with the code, or that the reply is
    /// for another request.
    pub fn open_reply(folder: &Path, passphrase: &[u8], code: &str) -> Result<Offer, Error> {
        let sealed = CodeKind::Reply.read(code)?;
        let Pending { device, request } = Pending::read(folder, passphrase)?;
        if holds_a_book(folder) {
            return Err(EnrolmentError::AlreadyMember.into());
        }
        let hash = request.hash();
        let text = open_reply(&device, &hash, &sealed).map_err(|_| EnrolmentError::OtherRequest)?;
        let text = ReplyText::read(text.expose()).map_err(|malformed| match malformed {
            Malformed::Newer => EnrolmentError::NewerCode,
            _ => EnrolmentError::Damaged,
        })?;
        let path = GrantPath::read_beneath(&text.path, None, |founding| alone::roots_of(founding, &text.control));
        let path = path.map_err(|_| EnrolmentError::Damaged)?;
        let given = given(&path, &device.public())?;
        let founding = path.founding().clone();
        let mut runs = path.runs().to_vec();
        runs.extend(text.control);
        for run in &runs {
            let verified = Run::read(run).and_then(|run| run.verify(founding.incident()));
            let control = verified.is_ok_and(|run| run.name().is_control());
            if !control {
                return Err(EnrolmentError::Damaged.into());
            }
        }
        let organisation = founding.founding().roots.first().map(|root| root.organisation.clone()).unwrap_or_default();
        Ok(Offer {
            characters: comparison(&hash, &sealed),
            membership: Membership { founding, device, admission: text.admission, secrets: text.secrets },
            runs,
            path: text.path,
            given,
            person: request.person().to_owned(),
            organisation,
            addresses: text.addresses,
        })
    }

    /// Takes an offer whose characters were compared: makes the book, in which the newcomer can write at once.
    ///
    /// # Errors
    /// [`Error`]; nothing is left behind, and the request still waits.
    pub fn accept(folder: &Path, passphrase: &[u8], offer: &Offer, host: Box<dyn Host>) -> Result<Self, Error> {
        let mut book = Self::join_with(folder, passphrase, &offer.membership, host, |tx| {
            alone::set_runs(tx, &offer.runs)?;
            keep_given(tx, &offer.addresses)?;
            Ok(Store::set_value(tx, PATH, &offer.path)?)
        })?;
        if let Given::Root(organisation) = &offer.given
            && let Err(error) = book.begin(&offer.person, organisation)
        {
            drop(book);
            remove_book(folder);
            return Err(error);
        }
        Pending::remove(folder);
        Ok(book)
    }
}

/// What a path gives a device: its last grant, or without grants the place of a root.
fn given(path: &GrantPath, own: &DevicePublic) -> Result<Given, EnrolmentError> {
    let Some((_, grant)) = path.grants().last() else {
        let root = path.founding().founding().roots.iter().find(|root| root.device == *own);
        return root.map(|root| Given::Root(root.organisation.clone())).ok_or(EnrolmentError::Damaged);
    };
    if grant.device == *own { Ok(Given::Grant(Box::new(grant.clone()))) } else { Err(EnrolmentError::Damaged) }
}
