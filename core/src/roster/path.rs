//! Grant paths: the founding statement and one signed grant per level, which prove membership alone.
//!
//! ```text
//! path = founding length 4 | founding statement with signatures | count 1 | (run length 4, run) ...
//! ```
//! Each run holds exactly one control entry, a grant that stands on the one before it; the first stands on
//! the incident id.

use super::control::{Control, ControlBody, Grant};
use super::founding::{FoundingError, SignedFounding};
use crate::entry::{Bytes, Sealed};
use crate::id::{DeviceId, EntryId, IncidentId};
use crate::limits::{CONTROL_BODY_BYTES_MAX, GRANT_DEPTH_MAX};
use crate::log::{Run, RunError};
use std::collections::BTreeSet;

/// Why bytes prove no membership.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PathError {
    /// P-001: cut off, too long, or more than eight grants.
    #[error("P-001 grant path is damaged")]
    Layout,
    /// P-002: the founding statement.
    #[error("P-002 grant path begins with no valid founding statement: {0}")]
    Founding(#[from] FoundingError),
    /// P-003: another incident.
    #[error("P-003 grant path belongs to another incident")]
    OtherIncident,
    /// P-004: a grant's signature.
    #[error("P-004 a grant of the path is not validly signed: {0}")]
    Run(#[from] RunError),
    /// P-005: a grant that does not stand on the one before, or is no grant.
    #[error("P-005 the grants of the path do not stand on each other")]
    Broken,
}

/// A grant path that was checked: who holds the last grant.
#[derive(Clone, Debug)]
pub struct GrantPath {
    founding: SignedFounding,
    grants: Vec<(EntryId, Grant)>,
    runs: Vec<Vec<u8>>,
}

impl GrantPath {
    /// Puts a path together from the founding statement and the runs of its grants, outermost first.
    #[must_use]
    pub fn to_bytes(founding: &SignedFounding, runs: &[Vec<u8>]) -> Vec<u8> {
        let mut to = length(founding.bytes().len()).to_vec();
        to.extend_from_slice(founding.bytes());
        to.push(u8::try_from(runs.len()).unwrap_or(u8::MAX));
        for run in runs {
            to.extend_from_slice(&length(run.len()));
            to.extend_from_slice(run);
        }
        to
    }

    /// Reads and checks a path; `incident` is the one that it must belong to, if that is known.
    ///
    /// # Errors
    /// [`PathError`] says at which step it fails.
    pub fn read(bytes: &[u8], incident: Option<&IncidentId>) -> Result<Self, PathError> {
        Self::read_beneath(bytes, incident, |_| BTreeSet::new())
    }

    /// As [`GrantPath::read`], where `added` tells which roots approvals added to the founding statement.
    ///
    /// # Errors
    /// [`PathError`] says at which step it fails.
    pub fn read_beneath(
        bytes: &[u8],
        incident: Option<&IncidentId>,
        added: impl FnOnce(&SignedFounding) -> BTreeSet<DeviceId>,
    ) -> Result<Self, PathError> {
        let mut from = Bytes::new(bytes);
        let sized = |from: &mut Bytes<'_>, most: usize| -> Result<Vec<u8>, PathError> {
            let count = u32::from_le_bytes(from.array().map_err(|_| PathError::Layout)?) as usize;
            if count > most {
                return Err(PathError::Layout);
            }
            from.take(count).map(<[u8]>::to_vec).map_err(|_| PathError::Layout)
        };
        let founding = SignedFounding::read(&sized(&mut from, CONTROL_BODY_BYTES_MAX)?)?;
        if incident.is_some_and(|incident| incident != founding.incident()) {
            return Err(PathError::OtherIncident);
        }
        let [count] = from.array().map_err(|_| PathError::Layout)?;
        if usize::from(count) > GRANT_DEPTH_MAX {
            return Err(PathError::Layout);
        }
        let added = added(&founding);
        let mut path = Self { grants: Vec::new(), runs: Vec::new(), founding };
        for _ in 0..count {
            let run = sized(&mut from, CONTROL_BODY_BYTES_MAX + 1_024)?;
            path.step(&run, &added)?;
            path.runs.push(run);
        }
        if from.rest().is_empty() { Ok(path) } else { Err(PathError::Layout) }
    }

    /// Checks one more grant: it stands on the last one and was written by the device that holds that.
    fn step(&mut self, run: &[u8], added: &BTreeSet<DeviceId>) -> Result<(), PathError> {
        let verified = Run::read(run)?.verify(self.founding.incident())?;
        let [entry] = verified.entries() else { return Err(PathError::Broken) };
        let author = verified.name().device;
        let (stands_on, by_holder) = match self.grants.last() {
            None => {
                let root = self.founding.is_root(&author) || added.contains(&author);
                (EntryId::new(*self.founding.incident().as_bytes()), root)
            }
            Some((id, grant)) => (*id, grant.device.device_id() == author),
        };
        let (true, true, Sealed::Body(body)) = (by_holder, verified.name().is_control(), entry.entry().sealed) else {
            return Err(PathError::Broken);
        };
        match ControlBody::read(body).map(|body| body.control) {
            Ok(Control::Grant(grant)) if entry.entry().ground.grant == stands_on => {
                self.grants.push((*entry.id(), *grant));
                Ok(())
            }
            _ => Err(PathError::Broken),
        }
    }

    /// The runs of the grants as they came, outermost first.
    #[must_use]
    pub fn runs(&self) -> &[Vec<u8>] {
        &self.runs
    }

    /// The founding statement.
    #[must_use]
    pub const fn founding(&self) -> &SignedFounding {
        &self.founding
    }

    /// The grants, outermost first, with their ids.
    #[must_use]
    pub fn grants(&self) -> &[(EntryId, Grant)] {
        &self.grants
    }
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes()
}
