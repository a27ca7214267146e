//! Labelled hashes: BLAKE3 in its key derivation mode, one context string per purpose.
//!
//! Parts are laid one after the other without lengths between them: the caller gives fixed-width fields,
//! at most the last of variable length, so that no two inputs of one label run together.

use std::sync::LazyLock;

use super::abreast::{self, Mode};
use blake3::Hasher;
use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};

macro_rules! labels {
    ($($name:ident = $label:literal, $doc:literal;)*) => {
        /// What a hash is for: the labels of format 1, listed in `docs/format.md`.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Label {
            $(#[doc = $doc] $name,)*
        }

        impl Label {
            /// All labels, each at the place of its number.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The BLAKE3 context string: `daybook 1 <label>`.
            #[must_use]
            pub const fn context(self) -> &'static str {
                match self {
                    $(Self::$name => concat!("daybook 1 ", $label),)*
                }
            }
        }
    };
}

labels! {
    Founding = "founding", "Incident id, from the founding statement.";
    Device = "device", "Device id, from its three public keys.";
    Log = "log", "Log id.";
    Entry = "entry", "Entry id.";
    Body = "body", "Hash of a sealed body, which an entry id contains.";
    KeyId = "key id", "Key id, from a reading key.";
    Nonce = "nonce", "Key of the synthetic nonces, from a reading or history key.";
    Read = "read", "Reading key, from an epoch secret.";
    History = "history", "Key that seals the replaced secrets, from an epoch secret.";
    Parcel = "parcel", "Key of one parcel.";
    Ephemeral = "ephemeral", "Ephemeral X25519 key, from randomness and what it will seal.";
    Field = "field", "Key of the synthetic nonces of sealed fields, from a reading key.";
    Actor = "actor", "Automerge actor, from an entry id.";
    Import = "import", "Id of what an import made.";
    Finding = "finding", "Finding id.";
    Admission = "admission", "Admission secret, from the recovery seed.";
    Hello = "hello", "Keyed hash that opens a connection.";
    Trie = "trie", "Short hashes of the sync trie.";
    Flood = "flood", "Hash that orders flood proofs.";
    RevokeList = "revoke list", "Hash of the list of a revoke in parts.";
    RecoverySign = "recovery sign", "Signing key of the recovery root.";
    RecoveryWrap = "recovery wrap", "Wrap key of the recovery root.";
    RecoveryNoise = "recovery noise", "Noise key of the recovery root.";
    RecoveryCheck = "recovery check", "Check symbols of a printed recovery seed.";
    Digest = "digest", "Digest of a compartment.";
    Export = "export", "Hash of an export file.";
    GrantRequest = "grant request", "Hash of a newcomer's request.";
    Reply = "reply", "Key that seals the reply to a newcomer.";
    Comparison = "comparison", "What two people compare over request and reply.";
    KeyFile = "key file", "Checksum of the `keys` file.";
    Fingerprint = "fingerprint", "What a secret shows of itself in logs.";
    Frontier = "frontier", "Hash of all heads that a device holds.";
    Code = "code", "Check of a piece of an enrolment code.";
}

/// The hash of each context string: computed once, which halves the cost of a short hash.
static CONTEXT_KEYS: LazyLock<Vec<ContextKey>> =
    LazyLock::new(|| Label::ALL.iter().map(|label| hash_derive_key_context(label.context())).collect());

fn hasher(label: Label) -> Hasher {
    match CONTEXT_KEYS.get(label as usize) {
        Some(key) => Hasher::new_from_context_key(key),
        None => Hasher::new_derive_key(label.context()),
    }
}

/// Hashes the parts, one after the other, for the purpose `label`.
#[must_use]
pub fn derive(label: Label, parts: &[&[u8]]) -> [u8; 32] {
    *parts.iter().fold(&mut hasher(label), |hasher, part| hasher.update(part)).finalize().as_bytes()
}

/// The first `N` bytes of [`derive()`], for identifiers and checksums that are shorter.
#[must_use]
pub fn derive_short<const N: usize>(label: Label, parts: &[&[u8]]) -> [u8; N] {
    let mut hash = [0; N];
    parts.iter().fold(&mut hasher(label), |hasher, part| hasher.update(part)).finalize_xof().fill(&mut hash);
    hash
}

/// Hashes the parts, one after the other, with BLAKE3 under a key; the first `N` bytes.
#[must_use]
pub fn keyed<const N: usize>(key: &[u8; 32], parts: &[&[u8]]) -> [u8; N] {
    let mut hash = [0; N];
    parts.iter().fold(&mut Hasher::new_keyed(key), |hasher, part| hasher.update(part)).finalize_xof().fill(&mut hash);
    hash
}

/// [`derive()`] of each of many texts: of some hundred bytes in a quarter of the time.
#[must_use]
pub fn derive_each(label: Label, texts: &[&[u8]]) -> Vec<[u8; 32]> {
    let alone = |text: &[u8]| derive(label, &[text]);
    match CONTEXT_KEYS.get(label as usize) {
        Some(key) => abreast::hashes(key, Mode::Derived, texts, alone),
        None => texts.iter().map(|text| alone(text)).collect(),
    }
}

/// [`keyed`] of each of many texts, as [`derive_each`].
#[must_use]
pub fn keyed_each(key: &[u8; 32], texts: &[&[u8]]) -> Vec<[u8; 32]> {
    abreast::hashes(key, Mode::Keyed, texts, |text| keyed(key, &[text]))
}

/// Whether two hashes are the same, in a time that does not tell where they differ.
#[must_use]
pub fn same(one: &[u8; 32], two: &[u8; 32]) -> bool {
    blake3::Hash::from_bytes(*one) == blake3::Hash::from_bytes(*two)
}

/// Hashes a long stream piece by piece: the same value as [`derive()`] of all pieces.
#[derive(Clone, Debug)]
pub struct Deriver(Hasher);

impl Deriver {
    /// Starts an empty stream for the purpose `label`.
    #[must_use]
    pub fn new(label: Label) -> Self {
        Self(hasher(label))
    }

    /// Appends a piece.
    pub fn update(&mut self, piece: &[u8]) -> &mut Self {
        self.0.update(piece);
        self
    }

    /// The hash of all pieces so far.
    #[must_use]
    pub fn finish(&self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_hashes_as_blake3_derives_keys() {
        for (place, label) in Label::ALL.iter().enumerate() {
            assert_eq!(place, *label as usize);
            assert_eq!(Label::ALL.iter().filter(|l| l.context() == label.context()).count(), 1);
            let expected = Hasher::new_derive_key(label.context()).update(b"abc").finalize();
            assert_eq!(derive(*label, &[b"a", b"", b"bc"]), *expected.as_bytes());
            assert_eq!(Deriver::new(*label).update(b"ab").update(b"c").finish(), *expected.as_bytes());
        }
        assert_eq!(derive_short::<8>(Label::Log, &[b"a", b"b"]), derive(Label::Log, &[b"ab"])[..8]);
        let key = [7; 32];
        assert_eq!(keyed::<24>(&key, &[b"a", b"b"])[..], blake3::keyed_hash(&key, b"ab").as_bytes()[..24]);
    }
}
