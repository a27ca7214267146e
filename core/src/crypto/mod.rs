//! Sealing, signing, hashing and secrets: the only module that names a cipher crate.
//!
//! Owns suite 1 (Ed25519, X25519, XChaCha20-Poly1305, BLAKE3, Argon2id), the labels and layouts of what
//! is hashed, sealed or signed, and secrets in memory. Owns no judgement: who may read or write, and what
//! a failed check means for an entry, is said by `entry`, `log` and `roster`.
//!
//! Invariant: every hash, key, nonce and signature is bound to one purpose by its label and to one place by
//! fixed-width fields, and everything that opens has been checked whole (tag, nonce, padding, key id).
//! A public key that exists as a type is neither malformed nor of low order.

mod abreast;
mod aead;
mod agree;
mod device;
mod hash;
mod noise;
mod pad;
mod page;
mod parcel;
mod passphrase;
mod recovery;
mod reply;
mod seal;
mod secret;
mod sign;

pub use aead::TAG_BYTES;
pub use agree::{AgreementPublic, AgreementSecret, NotContributory};
pub use device::{DevicePublic, DeviceSecret};
pub use hash::{Deriver, Label, derive, derive_each, derive_short, keyed, keyed_each, same};
pub use noise::{BadNoise, Channel, HANDSHAKE_BYTES, Handshake, NOISE_TEXT_BYTES_MAX};
pub use pad::{pad, padded_len, unpadded};
pub use page::{PAGE_RESERVED, PageKey};
pub use parcel::{Parcel, ParcelError, ParcelGroup, ParcelSecret, make_parcels, open_parcel};
pub use passphrase::{DatabaseKey, KeyFile, KeyFileError, KeyFileParams};
pub use recovery::{BadRecoverySeed, RecoverySeed};
pub use reply::{BadReply, open_reply, seal_reply};
pub use seal::{
    BODY_BYTES_MAX, Bodies, EpochSecret, FieldPlace, KeySpace, Nonce, OpenError, Place, ReadingKey, SealedAt,
    open_history, seal_history, sealed_len,
};
pub use secret::{Secret, SecretBytes};
pub use sign::{BadPublicKey, BadSignature, Purpose, Signature, SigningKey, VerifyingKey};

/// Lays parts one after the other; together they have exactly `N` bytes.
pub(crate) fn joined<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut whole = [0; N];
    let mut rest = whole.as_mut_slice();
    for part in parts {
        if let Some((head, tail)) = std::mem::take(&mut rest).split_at_mut_checked(part.len()) {
            head.copy_from_slice(part);
            rest = tail;
        }
    }
    debug_assert_eq!(parts.iter().map(|p| p.len()).sum::<usize>(), N, "parts of another length");
    whole
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod vectors;
