//! The founding statement: what an incident is, signed by every root.

use crate::codec::{Malformed, Reader, Writer, check};
use crate::crypto::{DevicePublic, Label, RecoverySeed, Signature, SigningKey, derive};
use crate::id::{DeviceId, IncidentId};
use crate::limits::{FORMAT, ROOTS_MAX, SUITE, TEXT_BYTES_MAX};
use std::ops::RangeInclusive;

/// A root device and the organisation that it stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Root {
    /// Public keys of the device.
    pub device: DevicePublic,
    /// Name of the organisation; not secret.
    pub organisation: String,
}

/// What an incident is. Its hash is the incident's id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Founding {
    /// 16 random bytes.
    pub nonce: [u8; 16],
    /// Name of the incident; not secret.
    pub name: String,
    /// Whether it is an exercise, for ever.
    pub exercise: bool,
    /// Root devices, 1 to 16.
    pub roots: Vec<Root>,
    /// How many working roots end or add a root together; 0 if only the recovery root can.
    pub quorum: u8,
    /// Public keys of the recovery root, whose secrets derive from the seed on paper.
    pub recovery: DevicePublic,
}

/// A founding statement with its bytes and the signatures of all roots, all checked.
#[derive(Clone, Debug)]
pub struct SignedFounding {
    founding: Founding,
    incident: IncidentId,
    bytes: Vec<u8>,
}

/// Why bytes are no founding statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FoundingError {
    /// cut off or not in canonical form.
    #[error("X-001 founding statement is damaged: {0}")]
    Malformed(#[from] Malformed),
    /// another format or suite.
    #[error("X-002 founding statement is of another version")]
    Newer,
    /// a key, the quorum or the number of roots.
    #[error("X-003 founding statement is not possible")]
    Impossible,
    /// a signature.
    #[error("X-004 a root's signature does not fit the founding statement")]
    Signature,
}

impl Founding {
    /// The statement of one root, with a recovery root from `seed`.
    #[must_use]
    pub fn of_one(nonce: [u8; 16], name: &str, exercise: bool, root: Root, seed: &RecoverySeed) -> Self {
        let recovery = seed.device().public();
        Self { nonce, name: name.to_owned(), exercise, roots: vec![root], quorum: 0, recovery }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut to = Writer::new();
        to.map(8).uint(1).uint(u64::from(FORMAT)).uint(2).uint(u64::from(SUITE)).uint(3).bytes(&self.nonce);
        to.uint(4).text(&self.name).uint(5).bool(self.exercise).uint(6).list(self.roots.len());
        for root in &self.roots {
            to.list(2).bytes(&root.device.to_bytes()).text(&root.organisation);
        }
        to.uint(7).uint(u64::from(self.quorum)).uint(8).bytes(&self.recovery.to_bytes());
        to.finish()
    }

    fn read(bytes: &[u8]) -> Result<Self, FoundingError> {
        check(bytes)?;
        let from = &mut Reader::new(bytes);
        let mut fields = from.fields()?;
        let mut expect = |key, from: &mut Reader<'_>| {
            if fields.next(from)? == Some(key) { Ok(()) } else { Err(FoundingError::Newer) }
        };
        expect(1, from)?;
        let format = from.uint()?;
        expect(2, from)?;
        if (format, from.uint()?) != (u64::from(FORMAT), u64::from(SUITE)) {
            return Err(FoundingError::Newer);
        }
        expect(3, from)?;
        let nonce = from.array()?;
        expect(4, from)?;
        let name = from.text(TEXT_BYTES_MAX)?.to_owned();
        expect(5, from)?;
        let exercise = from.bool()?;
        expect(6, from)?;
        let count = from.list(ROOTS_MAX)?;
        let mut roots = Vec::with_capacity(count);
        for _ in 0..count {
            from.tuple(2)?;
            let device = DevicePublic::parse(from.bytes()?).map_err(|_| FoundingError::Impossible)?;
            roots.push(Root { device, organisation: from.text(TEXT_BYTES_MAX)?.to_owned() });
        }
        expect(7, from)?;
        let quorum = from.byte()?;
        expect(8, from)?;
        let recovery = DevicePublic::parse(from.bytes()?).map_err(|_| FoundingError::Impossible)?;
        if !from.at_end() {
            return Err(FoundingError::Newer);
        }
        let founding = Self { nonce, name, exercise, roots, quorum, recovery };
        if founding.possible() { Ok(founding) } else { Err(FoundingError::Impossible) }
    }

    /// The quorums that so many roots may have: with three roots or more, more than half of them and not all; with
    /// fewer there is none, and only the recovery root ends or adds a root.
    #[must_use]
    pub const fn quorums(roots: usize) -> RangeInclusive<usize> {
        if roots >= 3 { roots / 2 + 1..=roots - 1 } else { 0..=0 }
    }

    fn possible(&self) -> bool {
        let mut devices: Vec<_> = self.roots.iter().map(|r| r.device.device_id()).collect();
        devices.push(self.recovery.device_id());
        devices.sort_unstable();
        let distinct = devices.windows(2).all(|pair| pair.first() != pair.last());
        let roots = self.roots.len();
        distinct && roots >= 1 && Self::quorums(roots).contains(&usize::from(self.quorum))
    }
}

/// A founding statement that was checked and that its roots have yet to sign.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnsignedFounding {
    founding: Founding,
    statement: Vec<u8>,
}

impl UnsignedFounding {
    /// Checks a statement.
    ///
    /// # Errors
    /// [`FoundingError`] if it is not possible.
    pub fn new(founding: &Founding) -> Result<Self, FoundingError> {
        Self::read(&founding.to_bytes())
    }

    /// Reads the bytes of a statement without signatures.
    ///
    /// # Errors
    /// [`FoundingError`] says what is wrong.
    pub fn read(statement: &[u8]) -> Result<Self, FoundingError> {
        Ok(Self { founding: Founding::read(statement)?, statement: statement.to_vec() })
    }

    /// The statement.
    #[must_use]
    pub const fn founding(&self) -> &Founding {
        &self.founding
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.statement
    }

    /// The id that the incident will have.
    #[must_use]
    pub fn incident(&self) -> IncidentId {
        incident_of(&self.statement)
    }

    /// The signature of one root.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> Signature {
        key.sign_founding(&self.statement)
    }

    /// Whether a signature is the one of a root.
    ///
    /// # Errors
    /// [`FoundingError::Signature`].
    pub fn verify(&self, root: &Root, signature: &Signature) -> Result<(), FoundingError> {
        root.device.sign.verify_founding(&self.statement, signature).map_err(|_| FoundingError::Signature)
    }

    /// The statement with the signatures of all its roots, in their order.
    ///
    /// # Errors
    /// [`FoundingError`] if one is missing or not its root's.
    pub fn signed(&self, signatures: &[Signature]) -> Result<SignedFounding, FoundingError> {
        let mut bytes = u32::try_from(self.statement.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.statement);
        signatures.iter().for_each(|signature| bytes.extend_from_slice(&signature.0));
        SignedFounding::read(&bytes)
    }
}

/// The id of the incident that a statement founds.
fn incident_of(statement: &[u8]) -> IncidentId {
    IncidentId::new(derive(Label::Founding, &[statement]))
}

impl SignedFounding {
    /// Signs a statement with the keys of all its roots, in their order.
    ///
    /// # Errors
    /// [`FoundingError`] if the statement is not possible or a key is not its root's.
    pub fn sign(founding: &Founding, keys: &[&SigningKey]) -> Result<Self, FoundingError> {
        let unsigned = UnsignedFounding { statement: founding.to_bytes(), founding: founding.clone() };
        let signatures: Vec<Signature> = keys.iter().map(|key| unsigned.sign(key)).collect();
        unsigned.signed(&signatures)
    }

    /// Reads length 4, statement, and one signature of 64 bytes per root; checks all of it.
    ///
    /// # Errors
    /// [`FoundingError`] says what is wrong.
    pub fn read(bytes: &[u8]) -> Result<Self, FoundingError> {
        let cut = FoundingError::Malformed(Malformed::Length);
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or(cut)?;
        let (statement, mut signatures) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or(cut)?;
        let founding = Founding::read(statement)?;
        for root in &founding.roots {
            let (signature, rest) = signatures.split_first_chunk::<64>().ok_or(cut)?;
            let checked = root.device.sign.verify_founding(statement, &Signature(*signature));
            checked.map_err(|_| FoundingError::Signature)?;
            signatures = rest;
        }
        if !signatures.is_empty() {
            return Err(cut);
        }
        let incident = incident_of(statement);
        Ok(Self { founding, incident, bytes: bytes.to_vec() })
    }

    /// The incident's id.
    #[must_use]
    pub const fn incident(&self) -> &IncidentId {
        &self.incident
    }

    /// The statement.
    #[must_use]
    pub const fn founding(&self) -> &Founding {
        &self.founding
    }

    /// Length, statement and signatures.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether a device is a root, the recovery root included.
    #[must_use]
    pub fn is_root(&self, device: &DeviceId) -> bool {
        let roots = self.founding.roots.iter().map(|root| root.device.device_id());
        roots.chain([self.founding.recovery.device_id()]).any(|root| root == *device)
    }
}
