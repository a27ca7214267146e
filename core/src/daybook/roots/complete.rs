//! All have signed: the first root's book, and a reply for each other root.

use super::error::RootsError;
use super::proposal::{FILE, Kept};
use super::request::RootRequest;
use super::signature::RootSignature;
use crate::clock::Host;
use crate::crypto::{RecoverySeed, Signature};
use crate::daybook::Daybook;
use crate::daybook::enrolment::EnrolmentReply;
use crate::daybook::error::Error;
use crate::daybook::founding::{Membership, holds_a_book, remove_book};
use std::path::Path;

/// An incident that several roots founded, on the device of the first.
#[derive(Debug)]
pub struct Founded {
    /// Its book.
    pub book: Daybook,
    /// To be printed on paper; it is nowhere else.
    pub seed: RecoverySeed,
    /// What each other root takes with [`Daybook::open_reply`] and [`Daybook::accept`].
    pub replies: Vec<RootReply>,
}

/// The reply for one root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RootReply {
    /// For whom.
    pub root: RootRequest,
    /// What only its device can open.
    pub reply: EnrolmentReply,
}

impl Daybook {
    /// Founds what waits as a proposal in a folder: the book of this device, and a reply for each other root. The
    /// characters of the proposal must have been compared on all screens before. If power fails before it is done,
    /// the same call goes on where it was.
    ///
    /// # Errors
    /// [`RootsError`], [`Error::WrongPassphrase`]; nothing was written, and the proposal still waits.
    pub fn complete(
        folder: &Path,
        passphrase: &[u8],
        (signatures, addresses): (&[RootSignature], &[String]),
        host: Box<dyn Host>,
    ) -> Result<Founded, Error> {
        let there = holds_a_book(folder);
        let kept = Kept::read(folder, passphrase)?;
        let all = collected(&kept, signatures)?;
        let founding = kept.proposal.founding.signed(&all)?;
        let organisation = founding.founding().roots.first().map(|root| root.organisation.clone()).unwrap_or_default();
        let mut book = if there {
            let book = Self::open(folder, passphrase, host)?;
            if book.state.ring.incident != *founding.incident() {
                return Err(Error::BookExists);
            }
            book
        } else {
            let (device, admission) = (kept.device, kept.seed.admission());
            Self::join(folder, passphrase, &Membership { founding, device, admission, secrets: Vec::new() }, host)?
        };
        if book.state.ring.roster.compartments().is_empty()
            && let Err(error) = book.begin(&kept.person, &organisation)
        {
            drop(book);
            remove_book(folder);
            return Err(error);
        }
        let mut replies = Vec::new();
        for root in kept.others {
            let reply = book.reply_to_root(&root, addresses)?;
            replies.push(RootReply { root, reply });
        }
        FILE.remove(folder);
        Ok(Founded { book, seed: kept.seed, replies })
    }

    /// Makes the reply for another root of the incident, if the one that was made before is lost: all that it needs
    /// to write at once.
    ///
    /// # Errors
    /// [`Error::NoRight`] if this device is no root, [`RootsError::NoRoot`] if the other is none; nothing was written.
    pub fn reply_to_root(&mut self, root: &RootRequest, addresses: &[String]) -> Result<EnrolmentReply, Error> {
        self.write(|writer| {
            let roster = &writer.state.ring.roster;
            if !roster.is_root(writer.state.device_id) {
                return Err(Error::NoRight);
            }
            let device = root.request().device();
            let founders = &writer.state.founding.founding().roots;
            if !founders.iter().any(|of| of.device == *device) || !roster.is_root(device.device_id()) {
                return Err(RootsError::NoRoot.into());
            }
            crate::daybook::enrolment::reply_to_founder(writer, root.request(), addresses)
        })
    }
}

/// The signatures of all roots in their order, the own one first.
fn collected(kept: &Kept, signatures: &[RootSignature]) -> Result<Vec<Signature>, RootsError> {
    let founding = &kept.proposal.founding;
    let (mut all, mut missing) = (vec![founding.sign(&kept.device.signing)], Vec::new());
    if signatures.iter().any(|signature| signature.incident != founding.incident()) {
        return Err(RootsError::OtherProposal);
    }
    for (root, number) in founding.founding().roots.iter().zip(0_u8..).skip(1) {
        let organisation = root.organisation.clone();
        let mut own = signatures.iter().filter(|signature| signature.root == number).peekable();
        if own.peek().is_none() {
            missing.push(organisation);
        } else if let Some(fits) = own.find(|signature| founding.verify(root, &signature.signature).is_ok()) {
            all.push(fits.signature);
        } else {
            return Err(RootsError::BadSignature { organisation });
        }
    }
    if missing.is_empty() { Ok(all) } else { Err(RootsError::Missing { organisations: missing }) }
}
