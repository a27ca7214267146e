//! Parcels: the secret of one epoch, wrapped for one device each.
//!
//! ```text
//! group    key id (32) ‖ ephemeral X25519 key (32) ‖ parcels
//! parcel   recipient's device id (32) ‖ sealed secret (32) ‖ tag (16)                       80 bytes
//! key      H(parcel, incident ‖ compartment ‖ key id ‖ recipient ‖ recipient's wrap key ‖ ephemeral ‖ agreed)
//! ```
//!
//! A parcel is signed by nobody: it proves itself, since the secret inside hashes to the key id that a
//! signed epoch entry names. Whether that secret is the epoch's (with history) or only its reading key is
//! found by trying both.
//!
//! The nonce is zero, because each key seals one text: it hangs on the ephemeral key, which is drawn from
//! randomness and the secret itself, so even repeated randomness repeats a key for the same text only.

use super::aead::{self, ONCE, TAG_BYTES};
use super::agree::{AgreementPublic, AgreementSecret, NotContributory, cipher_for_one_text};
use super::device::{DevicePublic, DeviceSecret};
use super::hash::Label;
use super::seal::{EpochSecret, KeySpace, ReadingKey};
use super::{Secret, SecretBytes, joined};
use crate::clock::Host;
use crate::id::{DeviceId, KeyId};
use crate::limits::PARCEL_BYTES;

/// Length of what stands before the parcels of a group.
const GROUP_BYTES: usize = 64;
/// Length of a sealed secret.
const SEALED_BYTES: usize = 32 + TAG_BYTES;

/// What a parcel carries.
#[derive(Clone, Debug)]
pub enum ParcelSecret {
    /// The epoch's secret: opens the epoch and, through its history, those it replaces.
    History(EpochSecret),
    /// Only the epoch's reading key.
    Reading(ReadingKey),
}

impl ParcelSecret {
    /// The key that opens the epoch.
    #[must_use]
    pub fn reading_key(&self) -> ReadingKey {
        match self {
            Self::History(epoch) => epoch.reading_key(),
            Self::Reading(key) => key.clone(),
        }
    }

    fn secret(&self) -> &Secret<32> {
        match self {
            Self::History(epoch) => epoch.secret(),
            Self::Reading(key) => key.secret(),
        }
    }

    /// Finds out which of the two a secret is.
    fn of_key(key_id: KeyId, secret: Secret<32>) -> Option<Self> {
        let epoch = EpochSecret::from_secret(secret.clone());
        if epoch.reading_key().key_id() == key_id {
            return Some(Self::History(epoch));
        }
        let key = ReadingKey::from_secret(secret);
        (key.key_id() == key_id).then_some(Self::Reading(key))
    }
}

/// A wrapped secret and whom it is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parcel {
    /// The device that can open it.
    pub recipient: DeviceId,
    /// The encrypted secret and its tag.
    pub sealed: [u8; SEALED_BYTES],
}

/// Parcels of one key that were made together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParcelGroup {
    /// The epoch's key.
    pub key_id: KeyId,
    /// The maker's key of this moment.
    pub ephemeral: AgreementPublic,
    /// One per recipient.
    pub parcels: Vec<Parcel>,
}

/// Why parcels are not read or opened. Nothing is lost: any holder may make another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParcelError {
    /// The bytes are no group of parcels, or its ephemeral key is none.
    #[error("not a group of parcels")]
    Malformed,
    /// More parcels than the caller takes.
    #[error("too many parcels in one group")]
    TooMany,
    /// Made for another device.
    #[error("the parcel is for another device")]
    NotForThisDevice,
    /// One of the keys is of low order.
    #[error("a key of the parcel is of low order")]
    LowOrder(#[from] NotContributory),
    /// The tag does not fit: damaged, or made for another place or key.
    #[error("the parcel does not open")]
    Seal,
    /// It opens, but what is inside is not the named key.
    #[error("the parcel holds another key than it names")]
    OtherKey,
}

impl ParcelGroup {
    /// The bytes of the group.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(GROUP_BYTES + self.parcels.len() * PARCEL_BYTES);
        bytes.extend_from_slice(self.key_id.as_bytes());
        bytes.extend_from_slice(self.ephemeral.as_bytes());
        for parcel in &self.parcels {
            bytes.extend_from_slice(parcel.recipient.as_bytes());
            bytes.extend_from_slice(&parcel.sealed);
        }
        bytes
    }

    /// Reads a group of at most `parcels_max` parcels.
    ///
    /// # Errors
    /// [`ParcelError::Malformed`] or [`ParcelError::TooMany`].
    pub fn decode(bytes: &[u8], parcels_max: usize) -> Result<Self, ParcelError> {
        let (key_id, rest) = bytes.split_first_chunk().ok_or(ParcelError::Malformed)?;
        let (ephemeral, rest) = rest.split_first_chunk().ok_or(ParcelError::Malformed)?;
        let (parcels, rest) = rest.as_chunks::<PARCEL_BYTES>();
        if parcels.len() > parcels_max {
            return Err(ParcelError::TooMany);
        }
        if parcels.is_empty() || !rest.is_empty() {
            return Err(ParcelError::Malformed);
        }
        let parcels = parcels.iter().filter_map(|parcel| {
            let (recipient, sealed) = parcel.split_first_chunk()?;
            Some(Parcel { recipient: DeviceId::new(*recipient), sealed: sealed.try_into().ok()? })
        });
        Ok(Self {
            key_id: KeyId::new(*key_id),
            ephemeral: AgreementPublic::parse(ephemeral).map_err(|_| ParcelError::Malformed)?,
            parcels: parcels.collect(),
        })
    }
}

/// Wraps a secret for each of the recipients, in their order. About 40 µs each.
///
/// Whether they are entitled, and whether the control entries behind the epoch are held, is the caller's to
/// know.
///
/// # Errors
/// [`ParcelError::LowOrder`], which parsed keys never cause.
pub fn make_parcels(
    space: &KeySpace,
    secret: &ParcelSecret,
    recipients: &[DevicePublic],
    host: &mut dyn Host,
) -> Result<ParcelGroup, ParcelError> {
    let key_id = secret.reading_key().key_id();
    let ephemeral = AgreementSecret::ephemeral(host, secret.secret().expose());
    let public = ephemeral.public();
    let wrap = |device: &DevicePublic| {
        let recipient = device.device_id();
        let context = context(space, &key_id, &recipient);
        let agreed = ephemeral.agree(&device.wrap)?;
        let cipher = cipher_for_one_text(Label::Parcel, &context, &device.wrap, &public, &agreed);
        let mut sealed = Vec::with_capacity(SEALED_BYTES);
        sealed.extend_from_slice(secret.secret().expose());
        aead::encrypt(&cipher, &ONCE, &[], &mut sealed);
        Ok(Parcel { recipient, sealed: joined(&[&sealed]) })
    };
    let parcels = recipients.iter().map(wrap).collect::<Result<_, ParcelError>>()?;
    Ok(ParcelGroup { key_id, ephemeral: public, parcels })
}

/// Opens a parcel and finds out what it carries. About 40 µs.
///
/// # Errors
/// [`ParcelError`].
pub fn open_parcel(
    space: &KeySpace,
    key_id: KeyId,
    ephemeral: &AgreementPublic,
    parcel: &Parcel,
    device: &DeviceSecret,
) -> Result<ParcelSecret, ParcelError> {
    let recipient = device.public().device_id();
    if parcel.recipient != recipient {
        return Err(ParcelError::NotForThisDevice);
    }
    let context = context(space, &key_id, &recipient);
    let agreed = device.wrap.agree(ephemeral)?;
    let cipher = cipher_for_one_text(Label::Parcel, &context, &device.wrap.public(), ephemeral, &agreed);
    let mut text = Vec::with_capacity(SEALED_BYTES);
    aead::decrypt(&cipher, &ONCE, &[], &parcel.sealed, &mut text).ok_or(ParcelError::Seal)?;
    let text = SecretBytes::new(text);
    let secret = Secret::from_slice(text.expose()).ok_or(ParcelError::Seal)?;
    ParcelSecret::of_key(key_id, secret).ok_or(ParcelError::OtherKey)
}

/// What the key of a parcel is bound to, beside the keys that agreed on it.
fn context<'a>(space: &'a KeySpace, key_id: &'a KeyId, recipient: &'a DeviceId) -> [&'a [u8]; 4] {
    [space.incident.as_bytes(), space.compartment.as_bytes(), key_id.as_bytes(), recipient.as_bytes()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::testing::{TestHost, flips};
    use crate::id::{CompartmentId, IncidentId};

    const SPACE: KeySpace = KeySpace { incident: IncidentId::new([1; 32]), compartment: CompartmentId::new([2; 32]) };

    fn device(seed: u64) -> DeviceSecret {
        DeviceSecret::random(&mut TestHost(seed * 100))
    }

    fn epoch(seed: u8) -> EpochSecret {
        EpochSecret::from_secret(Secret::new([seed; 32]))
    }

    fn group(secret: &ParcelSecret) -> ParcelGroup {
        make_parcels(&SPACE, secret, &[device(1).public(), device(2).public()], &mut TestHost(7)).unwrap()
    }

    fn open(space: &KeySpace, group: &ParcelGroup, which: usize, by: u64) -> Result<ParcelSecret, ParcelError> {
        open_parcel(space, group.key_id, &group.ephemeral, &group.parcels[which], &device(by))
    }

    #[test]
    fn a_parcel_opens_as_what_was_wrapped() {
        let history = group(&ParcelSecret::History(epoch(5)));
        let reading = group(&ParcelSecret::Reading(epoch(5).reading_key()));
        assert!(history.key_id == reading.key_id && history.ephemeral != reading.ephemeral);
        for (which, by) in [(0, 1), (1, 2)] {
            let (history, reading) = (open(&SPACE, &history, which, by), open(&SPACE, &reading, which, by));
            assert!(matches!(history, Ok(ParcelSecret::History(s)) if s.secret().expose() == &[5; 32]));
            assert!(matches!(reading, Ok(ParcelSecret::Reading(k)) if k.key_id() == epoch(5).reading_key().key_id()));
        }
    }

    #[test]
    fn a_parcel_opens_for_nobody_and_nowhere_else() {
        let mut group = group(&ParcelSecret::History(epoch(5)));
        assert_eq!(open(&SPACE, &group, 0, 2).unwrap_err(), ParcelError::NotForThisDevice);
        let incident = KeySpace { incident: IncidentId::new([9; 32]), ..SPACE };
        let compartment = KeySpace { compartment: CompartmentId::new([9; 32]), ..SPACE };
        for space in [incident, compartment] {
            assert_eq!(open(&space, &group, 0, 1).unwrap_err(), ParcelError::Seal);
        }
        group.parcels[0].recipient = group.parcels[1].recipient;
        assert_eq!(open(&SPACE, &group, 0, 2).unwrap_err(), ParcelError::Seal);
    }

    #[test]
    fn one_flipped_bit_fails() {
        let mut good = group(&ParcelSecret::History(epoch(5)));
        good.parcels.truncate(1);
        for flipped in flips(&good.encode()) {
            assert!(ParcelGroup::decode(&flipped, 1).and_then(|group| open(&SPACE, &group, 0, 1)).is_err());
        }
    }

    #[test]
    fn another_key_than_the_named_one_is_found() {
        let named = epoch(6).reading_key().key_id();
        let (ephemeral, device) = (AgreementSecret::from_secret(&Secret::new([8; 32])), device(1));
        let (wrap, recipient) = (device.wrap.public(), device.public().device_id());
        let (context, agreed) = (context(&SPACE, &named, &recipient), ephemeral.agree(&wrap).unwrap());
        let mut sealed = vec![5; 32];
        let cipher = cipher_for_one_text(Label::Parcel, &context, &wrap, &ephemeral.public(), &agreed);
        aead::encrypt(&cipher, &ONCE, &[], &mut sealed);
        let parcel = Parcel { recipient, sealed: sealed.try_into().unwrap() };
        let opened = open_parcel(&SPACE, named, &ephemeral.public(), &parcel, &device);
        assert_eq!(opened.unwrap_err(), ParcelError::OtherKey);
    }

    #[test]
    fn groups_read_back_and_are_bounded() {
        let group = group(&ParcelSecret::History(epoch(5)));
        let bytes = group.encode();
        assert_eq!(bytes.len(), 64 + 2 * PARCEL_BYTES);
        assert_eq!(ParcelGroup::decode(&bytes, 2), Ok(group));
        assert_eq!(ParcelGroup::decode(&bytes, 1), Err(ParcelError::TooMany));
        for wrong in [0, 63, 64, 100, bytes.len() - 1] {
            assert_eq!(ParcelGroup::decode(&bytes[..wrong], 2), Err(ParcelError::Malformed));
        }
        let low_order = [&bytes[..32], &[0; 32], &bytes[64..]].concat();
        assert_eq!(ParcelGroup::decode(&low_order, 2), Err(ParcelError::Malformed));
    }
}
