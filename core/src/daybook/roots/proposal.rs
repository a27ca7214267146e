//! What all roots are to sign, and its keeping while they do.
//!
//! ```text
//! proposal         version 1 | founding statement without signatures
//! file `proposal`  as `request`; its text: { 1: device secret (bytes 96), 2: recovery seed as it is printed (bytes),
//!                  3: statement (bytes), 4: [root request (bytes), ...], 5: person (text) }
//! ```

use super::error::RootsError;
use super::request::RootRequest;
use crate::clock::{Host, random};
use crate::codec::{Malformed, Reader, Writer, check};
use crate::crypto::{DeviceSecret, RecoverySeed, Secret, SecretBytes};
use crate::daybook::Daybook;
use crate::daybook::enrolment::{Characters, CodeKind, EnrolmentError, Found, Waiting};
use crate::daybook::error::Error;
use crate::daybook::founding::{check_names, holds_a_book};
use crate::daybook::types::NewIncident;
use crate::id::DeviceId;
use crate::limits::{ROOTS_MAX, TEXT_BYTES_MAX};
use crate::roster::{Founding, Root, UnsignedFounding};
use std::path::Path;

/// The file of a folder in which a proposal waits.
pub(super) const FILE: Waiting = Waiting { name: "proposal", bytes_max: 64 * 1024 };
const VERSION: u8 = 1;

/// An incident that several roots are to found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposal {
    pub(super) founding: UnsignedFounding,
}

/// One of the roots of a proposal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProposedRoot {
    /// Its device.
    pub device: DeviceId,
    /// The organisation that it stands for.
    pub organisation: String,
}

impl Proposal {
    /// Name of the incident.
    #[must_use]
    pub fn incident(&self) -> &str {
        &self.founding.founding().name
    }

    /// The id that the incident will have, as people see it.
    #[must_use]
    pub fn incident_id(&self) -> String {
        self.founding.incident().to_hex()
    }

    /// Whether the incident is an exercise.
    #[must_use]
    pub fn exercise(&self) -> bool {
        self.founding.founding().exercise
    }

    /// How many roots end or add one together; 0 if only the recovery seed can.
    #[must_use]
    pub fn quorum(&self) -> u8 {
        self.founding.founding().quorum
    }

    /// All roots, who proposes first.
    #[must_use]
    pub fn roots(&self) -> Vec<ProposedRoot> {
        let of =
            |root: &Root| ProposedRoot { device: root.device.device_id(), organisation: root.organisation.clone() };
        self.founding.founding().roots.iter().map(of).collect()
    }

    /// What all screens show before anybody signs: the beginning of the id that the incident will have.
    #[must_use]
    pub fn characters(&self) -> Characters {
        Characters::of(self.founding.incident().as_bytes())
    }

    /// The code that people scan or paste, in as many pieces as it needs.
    ///
    /// # Errors
    /// None that a statement causes.
    pub fn code(&self) -> Result<Vec<String>, EnrolmentError> {
        CodeKind::Proposal.write(&[&[VERSION], self.founding.bytes()].concat())
    }

    /// Reads a code as people paste it.
    ///
    /// # Errors
    /// [`EnrolmentError`] says what is wrong with it.
    pub fn parse(code: &str) -> Result<Self, EnrolmentError> {
        let bytes = CodeKind::Proposal.read(code)?;
        let (version, statement) = bytes.split_first().ok_or(EnrolmentError::Damaged)?;
        if *version != VERSION {
            return Err(EnrolmentError::NewerCode);
        }
        let founding = UnsignedFounding::read(statement).map_err(|_| EnrolmentError::Damaged)?;
        Ok(Self { founding })
    }
}

/// A proposal that waits in a folder, with the secrets of who made it.
pub(super) struct Kept {
    pub device: DeviceSecret,
    pub seed: RecoverySeed,
    pub proposal: Proposal,
    /// The other roots, in the order of the statement.
    pub others: Vec<RootRequest>,
    /// Who proposes.
    pub person: String,
}

impl Daybook {
    /// Proposes an incident of several roots, of which this device is the first: makes its keys and the recovery
    /// seed, and keeps both in the folder under the passphrase until all have signed. Without `quorum` it is the
    /// smallest that so many roots may have.
    ///
    /// # Errors
    /// [`RootsError`]; [`Error::Value`] of a name; [`Error::BookExists`]. Nothing was written.
    pub fn propose(
        folder: &Path,
        passphrase: &[u8],
        new: &NewIncident,
        (others, quorum): (&[RootRequest], Option<u8>),
        anew: bool,
        host: &mut dyn Host,
    ) -> Result<Proposal, Error> {
        check_names(new)?;
        let quorum = checked(others, quorum)?;
        if holds_a_book(folder) {
            return Err(Error::BookExists);
        }
        if !anew && FILE.is_in(folder) {
            return Err(RootsError::Waits.into());
        }
        let (device, seed) = (DeviceSecret::random(host), RecoverySeed::random(host));
        let first = Root { device: device.public(), organisation: new.organisation.clone() };
        let mut founding = Founding::of_one(random(host), &new.incident, new.exercise, first, &seed);
        founding.roots.extend(
            others
                .iter()
                .map(|other| Root { device: *other.request().device(), organisation: other.organisation().to_owned() }),
        );
        founding.quorum = quorum;
        let proposal = Proposal { founding: UnsignedFounding::new(&founding)? };
        let kept =
            Kept { device, seed, proposal: proposal.clone(), others: others.to_vec(), person: new.person.clone() };
        FILE.write(folder, passphrase, kept.to_bytes().expose(), host)?;
        Ok(proposal)
    }

    /// The proposal that waits in a folder, to show it again.
    ///
    /// # Errors
    /// [`RootsError::NoProposal`], [`RootsError::Begun`], [`RootsError::Damaged`], [`Error::WrongPassphrase`].
    pub fn proposal(folder: &Path, passphrase: &[u8]) -> Result<Proposal, Error> {
        Kept::read(folder, passphrase).map(|kept| kept.proposal)
    }
}

/// The other roots and the quorum, once both are possible.
fn checked(others: &[RootRequest], quorum: Option<u8>) -> Result<u8, RootsError> {
    if others.is_empty() {
        return Err(RootsError::Alone);
    }
    let roots = others.len() + 1;
    if roots > ROOTS_MAX {
        return Err(RootsError::TooMany);
    }
    for (place, other) in others.iter().enumerate() {
        if others.iter().take(place).any(|before| before.request().device() == other.request().device()) {
            return Err(RootsError::Twice { organisation: other.organisation().to_owned() });
        }
    }
    let may = Founding::quorums(roots);
    let (least, most) = (*may.start(), *may.end());
    match quorum {
        Some(_) if most == 0 => Err(RootsError::NoQuorum),
        Some(quorum) if !may.contains(&usize::from(quorum)) => Err(RootsError::Quorum { roots, least, most }),
        Some(quorum) => Ok(quorum),
        None => u8::try_from(least).map_err(|_| RootsError::TooMany),
    }
}

impl Kept {
    /// Reads the proposal that waits in a folder.
    pub fn read(folder: &Path, passphrase: &[u8]) -> Result<Self, Error> {
        match FILE.read(folder, passphrase)? {
            Found::Nothing if holds_a_book(folder) => Err(RootsError::Begun.into()),
            Found::Nothing => Err(RootsError::NoProposal.into()),
            Found::Damaged => Err(RootsError::Damaged.into()),
            Found::Text(text) => Ok(Self::of(text.expose()).map_err(|_| RootsError::Damaged)?),
        }
    }

    fn to_bytes(&self) -> SecretBytes {
        let mut to = Writer::new();
        to.map(5).uint(1).bytes(self.device.to_secret().expose()).uint(2).bytes(self.seed.print().expose());
        to.uint(3).bytes(self.proposal.founding.bytes()).uint(4).list(self.others.len());
        for other in &self.others {
            to.bytes(&other.to_bytes());
        }
        to.uint(5).text(&self.person);
        SecretBytes::new(to.finish())
    }

    fn of(bytes: &[u8]) -> Result<Self, Malformed> {
        check(bytes)?;
        let from = &mut Reader::new(bytes);
        let mut fields = from.fields()?;
        let mut expect = |key, from: &mut Reader<'_>| {
            if fields.next(from)? == Some(key) { Ok(()) } else { Err(Malformed::Newer) }
        };
        expect(1, from)?;
        let device = DeviceSecret::from_secret(&Secret::new(from.array()?));
        expect(2, from)?;
        let seed = std::str::from_utf8(from.bytes()?).ok().and_then(|text| RecoverySeed::parse(text).ok());
        let seed = seed.ok_or(Malformed::Schema)?;
        expect(3, from)?;
        let founding = UnsignedFounding::read(from.bytes()?).map_err(|_| Malformed::Schema)?;
        expect(4, from)?;
        let mut others = Vec::new();
        for _ in 0..from.list(ROOTS_MAX)? {
            others.push(RootRequest::read(from.bytes()?).map_err(|_| Malformed::Schema)?);
        }
        expect(5, from)?;
        let person = from.text(TEXT_BYTES_MAX)?.to_owned();
        Ok(Self { device, seed, proposal: Proposal { founding }, others, person })
    }
}
