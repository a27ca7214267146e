//! The signature of one root under a proposal.
//!
//! ```text
//! root signature   version 1 | incident id 32 | root 1 | signature 64
//! ```

use super::error::RootsError;
use super::proposal::Proposal;
use crate::crypto::Signature;
use crate::daybook::Daybook;
use crate::daybook::enrolment::{CodeKind, EnrolmentError, Pending};
use crate::daybook::error::Error;
use crate::id::IncidentId;
use std::path::Path;

const VERSION: u8 = 1;

/// The signature of one root, not yet checked.
#[derive(Clone, Debug)]
pub struct RootSignature {
    pub(super) incident: IncidentId,
    /// Which root of the statement, from 0.
    pub(super) root: u8,
    pub(super) signature: Signature,
}

impl RootSignature {
    /// The bytes inside the code.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&[VERSION][..], self.incident.as_bytes(), &[self.root], &self.signature.0].concat()
    }

    /// Reads the bytes inside the code.
    ///
    /// # Errors
    /// [`EnrolmentError::NewerCode`] or [`EnrolmentError::Damaged`].
    pub fn read(bytes: &[u8]) -> Result<Self, EnrolmentError> {
        let (version, rest) = bytes.split_first().ok_or(EnrolmentError::Damaged)?;
        if *version != VERSION {
            return Err(EnrolmentError::NewerCode);
        }
        let (incident, rest) = rest.split_first_chunk::<32>().ok_or(EnrolmentError::Damaged)?;
        let (root, signature) = rest.split_first().ok_or(EnrolmentError::Damaged)?;
        let signature = signature.try_into().map_err(|_| EnrolmentError::Damaged)?;
        Ok(Self { incident: IncidentId::new(*incident), root: *root, signature: Signature(signature) })
    }

    /// The code that people scan or paste: one piece.
    ///
    /// # Errors
    /// None that a signature causes.
    pub fn code(&self) -> Result<Vec<String>, EnrolmentError> {
        CodeKind::RootSignature.write(&self.to_bytes())
    }

    /// Reads the codes of one or more roots as people paste them; one that is there twice counts once.
    ///
    /// # Errors
    /// [`EnrolmentError`] says what is wrong with them.
    pub fn parse_all(codes: &str) -> Result<Vec<Self>, EnrolmentError> {
        CodeKind::RootSignature.read_all(codes)?.iter().map(|bytes| Self::read(bytes)).collect()
    }
}

impl Daybook {
    /// Says whether the request that waits in a folder is of a root of the proposal, before anybody compares
    /// characters; which root it is, from 0.
    ///
    /// # Errors
    /// [`Error::WrongPassphrase`]; [`RootsError::NoRequest`] if none waits; [`RootsError::NotAmong`].
    pub fn place_in_proposal(folder: &Path, passphrase: &[u8], proposal: &Proposal) -> Result<usize, Error> {
        Ok(place(&pending(folder, passphrase)?, proposal)?)
    }

    /// Signs a proposal with the keys of the request that waits in a folder. The characters of the proposal must have
    /// been compared before. Nothing is written: the same proposal is signed alike each time.
    ///
    /// # Errors
    /// As [`Daybook::place_in_proposal`].
    pub fn sign_proposal(folder: &Path, passphrase: &[u8], proposal: &Proposal) -> Result<RootSignature, Error> {
        let pending = pending(folder, passphrase)?;
        let root = u8::try_from(place(&pending, proposal)?).map_err(|_| RootsError::NotAmong)?;
        let signature = proposal.founding.sign(&pending.device.signing);
        Ok(RootSignature { incident: proposal.founding.incident(), root, signature })
    }
}

/// The request that waits in a folder.
fn pending(folder: &Path, passphrase: &[u8]) -> Result<Pending, Error> {
    Pending::read(folder, passphrase).map_err(|error| match error {
        Error::Enrolment(EnrolmentError::NoRequest) => RootsError::NoRequest.into(),
        other => other,
    })
}

/// Which root of a proposal a request is of. The first root is who proposes: nobody signs for it.
fn place(pending: &Pending, proposal: &Proposal) -> Result<usize, RootsError> {
    let own = pending.device.public();
    let roots = &proposal.founding.founding().roots;
    roots.iter().position(|root| root.device == own).filter(|root| *root > 0).ok_or(RootsError::NotAmong)
}
