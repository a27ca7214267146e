//! Epochs: what is sealed under a reading key, and the secrets that are sealed for the next epoch.
//!
//! ```text
//! S = epoch secret ── read ──> K = reading key ── key id ──> names K
//!  └─ history ──> seals the secrets of replaced epochs      ├─ nonce ──> nonces of bodies
//!                                                           └─ field ──> nonces of fields
//! sealed body          XChaCha20-Poly1305(K, nonce, AAD, padded body) ‖ tag; the nonce travels beside it
//! sealed field         nonce ‖ encrypted ‖ tag
//! sealed history       nonce ‖ encrypted ‖ tag
//! nonce                first 24 bytes of keyed BLAKE3(nonce key; AAD ‖ padded text)
//! ```
//!
//! A nonce is made from all that is sealed and where, so that clones and restored backups, which write a
//! second time at one place, never use one nonce for two texts.

use std::fmt;
use std::ops::Range;

use zeroize::Zeroize;

use super::aead::{self, Cipher, NONCE_BYTES, TAG_BYTES};
use super::hash::{Label, derive, keyed, keyed_each};
use super::pad::{self, FIELD_FLOOR, padded_len};
use super::{Secret, SecretBytes, joined};
use crate::clock::Host;
use crate::id::{CompartmentId, IncidentId, KeyId, LogId};
use crate::limits::FORMAT;

/// Longest body that fits the limit of a sealed body: 65,520 bytes would hold a longer one, but padding
/// goes from 63,488 to 65,536.
pub const BODY_BYTES_MAX: usize = 63_487;

/// Length of what a sealed body is bound to.
const AAD_BYTES: usize = 106;

/// Length of a sealed body of `body_len` bytes.
#[must_use]
pub const fn sealed_len(body_len: usize) -> usize {
    padded_len(body_len).saturating_add(TAG_BYTES)
}

/// The nonce of one sealed text; public.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nonce(pub [u8; NONCE_BYTES]);

impl Nonce {
    /// What stands in place of a nonce where nothing is sealed: control entries.
    pub const ZERO: Self = Self([0; NONCE_BYTES]);

    fn synthetic(nonce_key: &Secret<32>, aad: &[u8], text: &[u8]) -> Self {
        Self(keyed(nonce_key.expose(), &[aad, text]))
    }
}

/// Where an entry stands; what is sealed there opens nowhere else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The incident.
    pub incident: IncidentId,
    /// The log.
    pub log: LogId,
    /// The position in the log, from 1.
    pub seq: u64,
}

impl Place {
    fn aad(&self, key_id: &KeyId) -> [u8; AAD_BYTES] {
        let (incident, log) = (self.incident.as_bytes(), self.log.as_bytes());
        joined(&[&FORMAT.to_le_bytes(), incident, log, &self.seq.to_le_bytes(), key_id.as_bytes()])
    }
}

/// A sealed body that is opened together with others.
#[derive(Clone, Copy, Debug)]
pub struct SealedAt<'a> {
    /// Where its entry stands.
    pub place: Place,
    /// Its nonce.
    pub nonce: Nonce,
    /// The body and its tag.
    pub sealed: &'a [u8],
}

/// Bodies that were opened together, in room that is used again.
#[derive(Default)]
pub struct Bodies {
    room: Vec<u8>,
    found: Vec<Result<Range<usize>, OpenError>>,
}

impl Bodies {
    /// The bodies, or why they did not open, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = Result<&[u8], OpenError>> {
        self.found.iter().map(|found| {
            let range = found.clone()?;
            Ok(self.room.get(range).unwrap_or_default())
        })
    }
}

/// Where a text stands that is sealed inside a control entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FieldPlace {
    /// The control entry.
    pub entry: Place,
    /// The number of the field within it; no number twice in one entry.
    pub field: u16,
}

impl FieldPlace {
    fn aad(&self, key_id: &KeyId) -> [u8; 108] {
        joined(&[&self.entry.aad(key_id), &self.field.to_le_bytes()])
    }
}

/// The compartment whose keys a sealed history or a parcel carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeySpace {
    /// The incident.
    pub incident: IncidentId,
    /// The compartment.
    pub compartment: CompartmentId,
}

impl KeySpace {
    fn aad(&self, key_id: &KeyId) -> [u8; 96] {
        joined(&[self.incident.as_bytes(), self.compartment.as_bytes(), key_id.as_bytes()])
    }
}

/// Why a sealed text does not open. None of these can be judged without the key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The tag does not fit: damaged, another key, or moved here from another place.
    #[error("the seal does not fit the key and the place")]
    Seal,
    /// The tag fits, but the nonce is not the one that follows from the text: the author's program is
    /// broken or malicious.
    #[error("the nonce does not follow from the text")]
    Nonce,
    /// Tag and nonce fit, but the text is not padded as the format prescribes, or a history is no whole
    /// number of secrets.
    #[error("the padding is not that of the format")]
    Padding,
}

/// The secret of one epoch: opens what is sealed under it and, through its history, what came before.
#[derive(Clone, Debug)]
pub struct EpochSecret(Secret<32>);

impl EpochSecret {
    /// Draws the secret of a new epoch.
    pub fn random(host: &mut dyn Host) -> Self {
        Self(Secret::random(host))
    }

    /// Takes a secret that was kept or received; its key id says of which epoch it is.
    #[must_use]
    pub const fn from_secret(secret: Secret<32>) -> Self {
        Self(secret)
    }

    /// The secret itself, to be kept in the store or wrapped in a parcel.
    #[must_use]
    pub const fn secret(&self) -> &Secret<32> {
        &self.0
    }

    /// The key that seals and opens entries of this epoch. Costs five short hashes.
    #[must_use]
    pub fn reading_key(&self) -> ReadingKey {
        ReadingKey::from_secret(Secret::derived(Label::Read, &[self.0.expose()]))
    }

    fn history_key(&self) -> Secret<32> {
        Secret::derived(Label::History, &[self.0.expose()])
    }
}

/// The key that seals and opens the entries of one epoch; tells nothing of epochs before or after.
///
/// Holds what is derived from it, so that sealing an entry costs no more than the cipher's own set-up.
#[derive(Clone)]
pub struct ReadingKey {
    key: Secret<32>,
    id: KeyId,
    body_nonce_key: Secret<32>,
    field_nonce_key: Secret<32>,
    cipher: Cipher,
}

impl fmt::Debug for ReadingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadingKey({})", self.id)
    }
}

impl ReadingKey {
    /// Takes a key that was kept or received; its key id says of which epoch it is.
    #[must_use]
    pub fn from_secret(key: Secret<32>) -> Self {
        Self {
            id: KeyId::new(derive(Label::KeyId, &[key.expose()])),
            body_nonce_key: Secret::derived(Label::Nonce, &[key.expose()]),
            field_nonce_key: Secret::derived(Label::Field, &[key.expose()]),
            cipher: aead::cipher(&key),
            key,
        }
    }

    /// The key itself, to be kept in the store or wrapped in a parcel.
    #[must_use]
    pub const fn secret(&self) -> &Secret<32> {
        &self.key
    }

    /// The public name of this key.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.id
    }

    /// Seals a body for its place: `sealed` becomes the encrypted padded body and its tag, [`sealed_len`]
    /// bytes. The same body at the same place gives the same bytes.
    pub fn seal(&self, place: &Place, body: &[u8], sealed: &mut Vec<u8>) -> Nonce {
        let aad = place.aad(&self.id);
        sealed.clear();
        sealed.reserve(sealed_len(body.len()));
        sealed.extend_from_slice(body);
        pad::pad(sealed);
        let nonce = Nonce::synthetic(&self.body_nonce_key, &aad, sealed);
        aead::encrypt(&self.cipher, &nonce.0, &aad, sealed);
        nonce
    }

    /// Opens a sealed body into `body`, whose capacity is reused from entry to entry.
    ///
    /// # Errors
    /// [`OpenError`]; `body` is then empty.
    pub fn open(&self, place: &Place, nonce: &Nonce, sealed: &[u8], body: &mut Vec<u8>) -> Result<(), OpenError> {
        let aad = place.aad(&self.id);
        aead::decrypt(&self.cipher, &nonce.0, &aad, sealed, body).ok_or(OpenError::Seal)?;
        check_nonce(&self.body_nonce_key, nonce, &aad, body)?;
        strip(pad::unpadded(body).map(<[u8]>::len), body)
    }

    /// As [`ReadingKey::open`] of each, into `bodies`, whose old content is dropped: their nonces are checked abreast.
    pub fn open_each(&self, sealed: &[SealedAt<'_>], bodies: &mut Bodies) {
        let Bodies { room, found } = bodies;
        room.clear();
        found.clear();
        for SealedAt { place, nonce, sealed } in sealed {
            // What a nonce follows from, AAD and padded text, lies in one piece.
            let (start, aad) = (room.len(), place.aad(&self.id));
            room.extend_from_slice(&aad);
            let opened = aead::decrypt_behind(&self.cipher, &nonce.0, &aad, sealed, room);
            found.push(opened.map(|()| start..room.len()).ok_or(OpenError::Seal));
        }
        let whole: Vec<&[u8]> = found.iter().flatten().filter_map(|range| room.get(range.clone())).collect();
        let nonces = keyed_each(self.body_nonce_key.expose(), &whole);
        let opened = found.iter_mut().zip(sealed).filter(|(found, _)| found.is_ok());
        for ((found, SealedAt { nonce, .. }), expected) in opened.zip(nonces) {
            let Ok(range) = found else { continue };
            let start = range.start + AAD_BYTES;
            let text = room.get_mut(start..range.end).unwrap_or_default();
            *found = if expected.first_chunk() == Some(&nonce.0) {
                pad::unpadded(text).map(|body| start..start + body.len()).ok_or(OpenError::Padding)
            } else {
                Err(OpenError::Nonce)
            };
            if found.is_err() {
                text.zeroize();
            }
        }
    }

    /// Seals a text inside a control entry: nonce, encrypted padded text, tag.
    #[must_use]
    pub fn seal_field(&self, place: &FieldPlace, text: &[u8]) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(pad::padded_len_above(FIELD_FLOOR, text.len()).saturating_add(TAG_BYTES));
        buffer.extend_from_slice(text);
        pad::pad_above(FIELD_FLOOR, &mut buffer);
        seal_with_nonce(&self.cipher, &self.field_nonce_key, &place.aad(&self.id), buffer)
    }

    /// Opens a text inside a control entry.
    ///
    /// # Errors
    /// [`OpenError`], as of a body.
    pub fn open_field(&self, place: &FieldPlace, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let mut text = open_with_nonce(&self.cipher, &self.field_nonce_key, &place.aad(&self.id), sealed)?;
        strip(pad::unpadded_above(FIELD_FLOOR, &text).map(<[u8]>::len), &mut text)?;
        Ok(text)
    }
}

/// Seals the secrets of all epochs that `under` replaces: who is given `under` reads them too.
#[must_use]
pub fn seal_history(replaced: &[EpochSecret], under: &EpochSecret, space: &KeySpace) -> Vec<u8> {
    let key = under.history_key();
    let mut buffer = Vec::with_capacity((replaced.len() * 32).saturating_add(TAG_BYTES));
    for secret in replaced {
        buffer.extend_from_slice(secret.0.expose());
    }
    let nonce_key = Secret::derived(Label::Nonce, &[key.expose()]);
    seal_with_nonce(&aead::cipher(&key), &nonce_key, &space.aad(&under.reading_key().id), buffer)
}

/// Opens the secrets of the epochs that `under` replaces, in the order in which they were sealed.
///
/// Each says by its key id of which epoch it is; the author may have sealed others than the entry names,
/// and one wrong secret does not spoil the rest.
///
/// # Errors
/// [`OpenError`], as of a body.
pub fn open_history(under: &EpochSecret, space: &KeySpace, sealed: &[u8]) -> Result<Vec<EpochSecret>, OpenError> {
    let key = under.history_key();
    let nonce_key = Secret::derived(Label::Nonce, &[key.expose()]);
    let aad = space.aad(&under.reading_key().id);
    let text = SecretBytes::new(open_with_nonce(&aead::cipher(&key), &nonce_key, &aad, sealed)?);
    let (secrets, rest) = text.expose().as_chunks::<32>();
    if !rest.is_empty() {
        return Err(OpenError::Padding);
    }
    Ok(secrets.iter().map(|secret| EpochSecret(Secret::new(*secret))).collect())
}

/// Seals what stands in the buffer; nonce first.
fn seal_with_nonce(cipher: &Cipher, nonce_key: &Secret<32>, aad: &[u8], mut buffer: Vec<u8>) -> Vec<u8> {
    let nonce = Nonce::synthetic(nonce_key, aad, &buffer);
    aead::encrypt(cipher, &nonce.0, aad, &mut buffer);
    [nonce.0.as_slice(), &buffer].concat()
}

fn open_with_nonce(cipher: &Cipher, nonce_key: &Secret<32>, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let (nonce, sealed) = sealed.split_first_chunk().ok_or(OpenError::Seal)?;
    let mut text = Vec::with_capacity(sealed.len());
    aead::decrypt(cipher, nonce, aad, sealed, &mut text).ok_or(OpenError::Seal)?;
    check_nonce(nonce_key, &Nonce(*nonce), aad, &mut text)?;
    Ok(text)
}

fn check_nonce(nonce_key: &Secret<32>, nonce: &Nonce, aad: &[u8], text: &mut Vec<u8>) -> Result<(), OpenError> {
    if Nonce::synthetic(nonce_key, aad, text) == *nonce {
        return Ok(());
    }
    text.zeroize();
    Err(OpenError::Nonce)
}

/// Cuts a padded text to its length, if its padding was that of the format.
fn strip(text_len: Option<usize>, text: &mut Vec<u8>) -> Result<(), OpenError> {
    let Some(len) = text_len else {
        text.zeroize();
        return Err(OpenError::Padding);
    };
    text.truncate(len);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::testing::{TestHost, flips};
    use crate::limits::SEALED_BODY_BYTES_MAX;

    const PLACE: Place = Place { incident: IncidentId::new([1; 32]), log: LogId::new([2; 32]), seq: 3 };
    const FIELD: FieldPlace = FieldPlace { entry: PLACE, field: 7 };
    const SPACE: KeySpace = KeySpace { incident: IncidentId::new([1; 32]), compartment: CompartmentId::new([4; 32]) };

    fn epoch(seed: u8) -> EpochSecret {
        EpochSecret::from_secret(Secret::new([seed; 32]))
    }

    fn sealed(place: &Place, body: &[u8]) -> (Nonce, Vec<u8>) {
        let mut sealed = vec![9; 5];
        let nonce = epoch(5).reading_key().seal(place, body, &mut sealed);
        (nonce, sealed)
    }

    fn opened(place: &Place, nonce: &Nonce, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let (key, mut body) = (epoch(5).reading_key(), vec![1, 2, 3]);
        let verdict = key.open(place, nonce, sealed, &mut body);
        assert!(verdict.is_ok() || body.is_empty());
        // Between two that open, it comes to the same.
        let (of_beside, beside) = self::sealed(&PLACE, b"beside");
        let beside = SealedAt { place: PLACE, nonce: of_beside, sealed: &beside };
        let mut bodies = Bodies::default();
        key.open_each(&[beside, SealedAt { place: *place, nonce: *nonce, sealed }, beside], &mut bodies);
        let one: Vec<_> = bodies.iter().collect();
        assert_eq!(one, [Ok(&b"beside"[..]), verdict.map(|()| &body[..]), Ok(&b"beside"[..])]);
        verdict.map(|()| body)
    }

    #[test]
    fn a_body_opens_at_its_place_into_the_same_buffer() {
        for len in [0, 1, 255, 256, 1_000, BODY_BYTES_MAX] {
            let (nonce, sealed) = sealed(&PLACE, &vec![0x80; len]);
            assert_eq!(sealed.len(), sealed_len(len));
            let mut body = Vec::with_capacity(sealed.len());
            let before = (body.as_ptr(), body.capacity());
            epoch(5).reading_key().open(&PLACE, &nonce, &sealed, &mut body).unwrap();
            assert_eq!((body.as_ptr(), body.capacity()), before);
            assert_eq!(body, vec![0x80; len]);
        }
        assert!(sealed_len(BODY_BYTES_MAX) <= SEALED_BODY_BYTES_MAX);
        assert!(sealed_len(BODY_BYTES_MAX + 1) > SEALED_BODY_BYTES_MAX);
    }

    #[test]
    fn one_flipped_bit_fails() {
        let (nonce, sealed) = sealed(&PLACE, b"body");
        for wrong in flips(&sealed).chain((0..sealed.len()).map(|short| sealed[..short].to_vec())) {
            assert_eq!(opened(&PLACE, &nonce, &wrong), Err(OpenError::Seal));
        }
        for flipped in flips(&nonce.0) {
            assert_eq!(opened(&PLACE, &Nonce(flipped.try_into().unwrap()), &sealed), Err(OpenError::Seal));
        }
    }

    #[test]
    fn a_body_opens_nowhere_else() {
        let (nonce, sealed) = sealed(&PLACE, b"body");
        let incident = Place { incident: IncidentId::new([9; 32]), ..PLACE };
        for place in [incident, Place { log: LogId::new([9; 32]), ..PLACE }, Place { seq: 4, ..PLACE }] {
            assert_eq!(opened(&place, &nonce, &sealed), Err(OpenError::Seal));
            assert_ne!(self::sealed(&place, b"body").0, nonce);
        }
        let wrong_key = epoch(6).reading_key().open(&PLACE, &nonce, &sealed, &mut Vec::new());
        assert_eq!(wrong_key, Err(OpenError::Seal));
    }

    #[test]
    fn sealing_is_deterministic_and_texts_never_share_a_nonce() {
        assert_eq!(sealed(&PLACE, b"body"), sealed(&PLACE, b"body"));
        assert_ne!(sealed(&PLACE, b"body").0, sealed(&PLACE, b"bodz").0);
        let key = epoch(5).reading_key();
        let field = key.seal_field(&FIELD, b"body");
        assert_eq!(field, key.seal_field(&FIELD, b"body"));
        assert_ne!(field[..24], key.seal_field(&FieldPlace { field: 8, ..FIELD }, b"body")[..24]);
        assert_ne!(field[..24], sealed(&PLACE, b"body").0.0);
    }

    #[test]
    fn a_chosen_nonce_or_padding_is_found_after_opening() {
        let key = epoch(5).reading_key();
        let aad = PLACE.aad(&key.id);
        let forge = |nonce: Option<Nonce>, padded: &[u8]| {
            let nonce = nonce.unwrap_or_else(|| Nonce::synthetic(&key.body_nonce_key, &aad, padded));
            let mut sealed = padded.to_vec();
            aead::encrypt(&key.cipher, &nonce.0, &aad, &mut sealed);
            opened(&PLACE, &nonce, &sealed)
        };
        let mut padded = b"body".to_vec();
        pad::pad(&mut padded);
        assert_eq!(forge(None, &padded), Ok(b"body".to_vec()));
        assert_eq!(forge(Some(Nonce::ZERO), &padded), Err(OpenError::Nonce));
        assert_eq!(forge(None, &[&padded[..], &[0]].concat()), Err(OpenError::Padding));
        assert_eq!(forge(None, b""), Err(OpenError::Padding));
    }

    #[test]
    fn a_field_opens_only_as_that_field() {
        let key = epoch(5).reading_key();
        for text in [&b""[..], b"Amara", &[0x80; 32], &[b'x'; 8_192]] {
            assert_eq!(key.open_field(&FIELD, &key.seal_field(&FIELD, text)).unwrap(), text);
        }
        let sealed = key.seal_field(&FIELD, b"Amara");
        assert_eq!(sealed.len(), 24 + 32 + 16);
        for wrong in flips(&sealed).chain([sealed[..71].to_vec(), Vec::new()]) {
            assert_eq!(key.open_field(&FIELD, &wrong), Err(OpenError::Seal));
        }
        assert_eq!(key.open_field(&FieldPlace { field: 8, ..FIELD }, &sealed), Err(OpenError::Seal));
        let (nonce, body) = sealed.split_first_chunk().unwrap();
        assert_eq!(opened(&PLACE, &Nonce(*nonce), body), Err(OpenError::Seal));
    }

    #[test]
    fn a_history_gives_back_every_replaced_secret() {
        let new = EpochSecret::random(&mut TestHost(0));
        let sealed = seal_history(&[epoch(6), epoch(7)], &new, &SPACE);
        let ids = |secrets: &[EpochSecret]| secrets.iter().map(|s| s.reading_key().key_id()).collect::<Vec<_>>();
        assert_eq!(ids(&open_history(&new, &SPACE, &sealed).unwrap()), ids(&[epoch(6), epoch(7)]));
        let elsewhere = KeySpace { compartment: CompartmentId::ZERO, ..SPACE };
        assert_eq!(open_history(&new, &elsewhere, &sealed).unwrap_err(), OpenError::Seal);
        assert_eq!(open_history(&epoch(6), &SPACE, &sealed).unwrap_err(), OpenError::Seal);
        for flipped in flips(&sealed) {
            assert_eq!(open_history(&new, &SPACE, &flipped).unwrap_err(), OpenError::Seal);
        }
        assert!(open_history(&new, &SPACE, &seal_history(&[], &new, &SPACE)).unwrap().is_empty());
        let key = new.history_key();
        let (nonce_key, aad) = (Secret::derived(Label::Nonce, &[key.expose()]), SPACE.aad(&new.reading_key().id));
        let ragged = seal_with_nonce(&aead::cipher(&key), &nonce_key, &aad, vec![6; 33]);
        assert_eq!(open_history(&new, &SPACE, &ragged).unwrap_err(), OpenError::Padding);
    }

    #[test]
    fn additional_data_is_laid_out_as_the_format_says() {
        let key_id = KeyId::new([8; 32]);
        let entry = [&[1, 0][..], &[1; 32], &[2; 32], &[3, 0, 0, 0, 0, 0, 0, 0], &[8; 32]].concat();
        assert_eq!(PLACE.aad(&key_id)[..], entry);
        assert_eq!(FIELD.aad(&key_id)[..], [&entry[..], &[7, 0]].concat());
        assert_eq!(SPACE.aad(&key_id)[..], [[1; 32], [4; 32], [8; 32]].concat());
    }
}
