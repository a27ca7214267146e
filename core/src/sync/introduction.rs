//! Who the other side is: the grant path, the key of the handshake, and what the roster says.

use super::reason::{Reason, SessionRule};
use super::session::Peer;
use super::shelf::{Shelf, Standing};
use crate::crypto::{AgreementPublic, DevicePublic};
use crate::id::{CONTROL, DeviceId, EntryId};
use crate::roster::{CompartmentKind, GrantPath, Rights, SignedFounding};

/// Checks a grant path and whose it is; `noise` is the key that the handshake proved.
///
/// # Errors
/// [`Reason`] says which rule it breaks.
pub fn introduce(
    book: &mut dyn Shelf,
    ours: &SignedFounding,
    noise: &AgreementPublic,
    path: &[u8],
) -> Result<(Peer, GrantPath), Reason> {
    let added = book.added_roots()?;
    let ids = added.iter().map(DevicePublic::device_id).collect();
    let path = GrantPath::read_beneath(path, Some(ours.incident()), |_| ids)?;
    let may_grant =
        |grant: &crate::roster::Grant| grant.rights.of(CONTROL, CompartmentKind::Control).covers(Rights::GRANT);
    let (device, grant) = match path.grants().split_last() {
        None => {
            let root = root(ours, &added, noise)?;
            (root, EntryId::new(*ours.incident().as_bytes()))
        }
        Some(((id, grant), above)) => {
            if !above.iter().all(|(_, grant)| may_grant(grant)) {
                return Err(SessionRule::MayNotGrant.into());
            }
            (grant.device, *id)
        }
    };
    if device.noise != *noise {
        return Err(SessionRule::OtherDevice.into());
    }
    Ok((Peer { device: device.device_id(), public: device, grant, by_path: false }, path))
}

/// How a peer is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Served {
    /// As a member.
    Member,
    /// As a member that its path alone speaks for.
    ByPath,
    /// It may hand over what it wrote, and is told what concerns it.
    Former,
}

/// How a peer is served now.
///
/// # Errors
/// [`SessionRule`] if it is not.
pub fn served(book: &mut dyn Shelf, peer: DeviceId, path: &GrantPath) -> Result<Served, Reason> {
    let standing = if path.grants().is_empty() { book.recognise_root(peer)? } else { book.recognise(path)? };
    match standing {
        Standing::Member => Ok(Served::Member),
        Standing::ByPath => Ok(Served::ByPath),
        Standing::Former => Ok(Served::Former),
        Standing::Barred => Err(SessionRule::Barred.into()),
        Standing::OffDuty => Err(SessionRule::OffDuty.into()),
    }
}

/// The root with a Noise key, by founding or added since.
fn root(
    founding: &SignedFounding,
    added: &[DevicePublic],
    noise: &AgreementPublic,
) -> Result<DevicePublic, SessionRule> {
    let founding = founding.founding();
    let founders = founding.roots.iter().map(|root| root.device).chain([founding.recovery]);
    let mut roots = founders.chain(added.iter().copied());
    roots.find(|root| root.noise == *noise).ok_or(SessionRule::OtherDevice)
}
