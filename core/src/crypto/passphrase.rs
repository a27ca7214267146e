//! The `keys` file of a book: the database key, sealed under a passphrase.
//!
//! ```text
//!   0  magic "daybkeys"         8
//!   8  version                  2   this is version 1
//!  10  Argon2id memory, KiB     4
//!  14  Argon2id passes          4
//!  18  Argon2id lanes           4   always 1
//!  22  salt                    16
//!  38  nonce                   24
//!  62  database key and salt   48   XChaCha20-Poly1305; all bytes before are AAD
//! 110  tag                     16
//! 126  checksum                 8   H(key file, all bytes before), first 8 bytes
//! 134
//! ```
//!
//! Magic, version and a last checksum over all before it stay in every later version: so damage is told
//! from a newer file, and both from a wrong passphrase, before any work. The checksum is over public bytes
//! and says nothing of the passphrase.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroizing;

use super::aead::{self, NONCE_BYTES, TAG_BYTES};
use super::hash::{Label, derive_short};
use super::{Secret, SecretBytes};
use crate::clock::{Host, random};

const MAGIC: &[u8; 8] = b"daybkeys";
const VERSION: u16 = 1;
const LANES: u32 = 1;
/// Length of what stands before the sealed key.
const PLAIN_BYTES: usize = 62;
const SEALED_BYTES: usize = 48 + TAG_BYTES;
const CHECKSUM_BYTES: usize = 8;

/// What Argon2id is told to spend; within floor and ceiling.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyFileParams {
    memory_kib: u32,
    passes: u32,
}

impl KeyFileParams {
    /// The least and the default: 64 MiB, 3 passes (RFC 9106 section 4, second recommended option, with one lane).
    pub const FLOOR: Self = Self { memory_kib: 64 * 1024, passes: 3 };
    /// The most: what a file asks for beyond it is damage or malice, and would stop a phone.
    pub const CEILING: Self = Self { memory_kib: 1024 * 1024, passes: 20 };

    /// The parameters, if within floor and ceiling.
    #[must_use]
    pub fn new(memory_kib: u32, passes: u32) -> Option<Self> {
        let memory_fits = (Self::FLOOR.memory_kib..=Self::CEILING.memory_kib).contains(&memory_kib);
        let passes_fit = (Self::FLOOR.passes..=Self::CEILING.passes).contains(&passes);
        (memory_fits && passes_fit).then_some(Self { memory_kib, passes })
    }
}

/// The key and the salt of the database file. Both are given to it, so that a damaged header of that file
/// can be written again.
#[derive(Clone, Debug)]
pub struct DatabaseKey {
    key: Secret<32>,
    salt: Secret<16>,
}

impl DatabaseKey {
    /// Draws the key of a new database.
    pub fn random(host: &mut dyn Host) -> Self {
        Self { key: Secret::random(host), salt: Secret::random(host) }
    }

    /// Takes key and salt from a platform's key store.
    #[must_use]
    pub const fn new(key: Secret<32>, salt: Secret<16>) -> Self {
        Self { key, salt }
    }

    /// The 32-byte key.
    #[must_use]
    pub const fn key(&self) -> &[u8; 32] {
        self.key.expose()
    }

    /// The 16-byte salt.
    #[must_use]
    pub const fn salt(&self) -> &[u8; 16] {
        self.salt.expose()
    }
}

/// Why a `keys` file does not open. Nothing is written by opening.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// It does not begin as one: this is no book, or another file lies in its place.
    #[error("not a key file")]
    NotAKeyFile,
    /// Whole, but written by a newer version of this program.
    #[error("the key file is of version {version}, which is newer than this program")]
    Newer {
        /// Its version.
        version: u16,
    },
    /// Its bytes have changed, or it asks for work outside floor and ceiling.
    #[error("the key file is damaged")]
    Damaged,
    /// Whole, but sealed under another passphrase.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// The device has too little free memory for the work that the file asks for.
    #[error("too little memory to stretch the passphrase")]
    OutOfMemory,
}

/// The `keys` file.
pub struct KeyFile;

impl KeyFile {
    /// Length in bytes.
    pub const BYTES: usize = PLAIN_BYTES + SEALED_BYTES + CHECKSUM_BYTES;

    /// Seals a database key under a passphrase; a new passphrase is a new file. Takes as long as opening.
    /// Two spellings of one passphrase are two: the caller brings it into one form.
    ///
    /// # Errors
    /// [`KeyFileError::OutOfMemory`].
    pub fn create(
        passphrase: &[u8],
        key: &DatabaseKey,
        params: KeyFileParams,
        host: &mut dyn Host,
    ) -> Result<Vec<u8>, KeyFileError> {
        let (salt, nonce) = (random::<16>(host), random::<NONCE_BYTES>(host));
        let mut file = Vec::with_capacity(Self::BYTES);
        file.extend_from_slice(MAGIC);
        file.extend_from_slice(&VERSION.to_le_bytes());
        for number in [params.memory_kib, params.passes, LANES] {
            file.extend_from_slice(&number.to_le_bytes());
        }
        file.extend_from_slice(&salt);
        file.extend_from_slice(&nonce);
        let mut sealed = Vec::with_capacity(SEALED_BYTES);
        sealed.extend_from_slice(key.key());
        sealed.extend_from_slice(key.salt());
        aead::encrypt(&aead::cipher(&stretch(passphrase, &salt, params)?), &nonce, &file, &mut sealed);
        file.extend_from_slice(&sealed);
        file.extend_from_slice(&checksum(&file));
        Ok(file)
    }

    /// Opens a file. Takes a fraction of a second at the floor, and some ten seconds at the ceiling.
    ///
    /// # Errors
    /// [`KeyFileError`]; all but a wrong passphrase before any work.
    pub fn open(bytes: &[u8], passphrase: &[u8]) -> Result<DatabaseKey, KeyFileError> {
        let parsed = parse(bytes)?;
        let cipher = aead::cipher(&stretch(passphrase, parsed.salt, parsed.params)?);
        let mut text = Vec::with_capacity(SEALED_BYTES);
        let opened = aead::decrypt(&cipher, parsed.nonce, parsed.plain, parsed.sealed, &mut text);
        let text = SecretBytes::new(text);
        opened.ok_or(KeyFileError::WrongPassphrase)?;
        let (key, salt) = text.expose().split_first_chunk().ok_or(KeyFileError::Damaged)?;
        Ok(DatabaseKey { key: Secret::new(*key), salt: Secret::from_slice(salt).ok_or(KeyFileError::Damaged)? })
    }
}

/// A file that is whole, of this version and within bounds.
struct Parsed<'a> {
    plain: &'a [u8; PLAIN_BYTES],
    params: KeyFileParams,
    salt: &'a [u8; 16],
    nonce: &'a [u8; NONCE_BYTES],
    sealed: &'a [u8],
}

fn parse(bytes: &[u8]) -> Result<Parsed<'_>, KeyFileError> {
    if !bytes.starts_with(MAGIC) {
        return Err(KeyFileError::NotAKeyFile);
    }
    let (content, sum) = bytes.split_last_chunk().ok_or(KeyFileError::Damaged)?;
    if checksum(content) != *sum {
        return Err(KeyFileError::Damaged);
    }
    let version = content.get(MAGIC.len()..).and_then(<[u8]>::first_chunk).ok_or(KeyFileError::Damaged)?;
    match u16::from_le_bytes(*version) {
        0 => Err(KeyFileError::Damaged),
        VERSION => parse_version_1(content).ok_or(KeyFileError::Damaged),
        version => Err(KeyFileError::Newer { version }),
    }
}

fn parse_version_1(content: &[u8]) -> Option<Parsed<'_>> {
    let (plain, sealed) = content.split_first_chunk().filter(|(_, sealed)| sealed.len() == SEALED_BYTES)?;
    let (numbers, rest) = plain.split_at_checked(10)?.1.split_at_checked(12)?;
    let ([memory_kib, passes, lanes], []) = numbers.as_chunks() else {
        return None;
    };
    let (salt, nonce) = rest.split_first_chunk()?;
    let params = KeyFileParams::new(u32::from_le_bytes(*memory_kib), u32::from_le_bytes(*passes))?;
    let parsed = Parsed { plain, params, salt, nonce: nonce.try_into().ok()?, sealed };
    (u32::from_le_bytes(*lanes) == LANES).then_some(parsed)
}

/// Makes a key of a passphrase by Argon2id, whose memory is wiped afterwards.
fn stretch(passphrase: &[u8], salt: &[u8; 16], params: KeyFileParams) -> Result<Secret<32>, KeyFileError> {
    let params = Params::new(params.memory_kib, params.passes, LANES, Some(32)).map_err(|_| KeyFileError::Damaged)?;
    let blocks = params.block_count();
    // Our own memory rather than the crate's: it is wiped, and a device that has too little says so.
    let mut memory = Zeroizing::new(Vec::new());
    memory.try_reserve_exact(blocks).map_err(|_| KeyFileError::OutOfMemory)?;
    memory.resize(blocks, Block::default());
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(passphrase, salt, key.as_mut_slice(), memory.as_mut_slice())
        // What is left is a passphrase above 4 GiB.
        .map_err(|_| KeyFileError::WrongPassphrase)?;
    Ok(Secret::new(*key))
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM_BYTES] {
    derive_short(Label::KeyFile, &[content])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::testing::{TestHost, flips};

    fn file() -> Vec<u8> {
        let key = DatabaseKey::new(Secret::new([1; 32]), Secret::new([2; 16]));
        KeyFile::create(b"correct horse", &key, KeyFileParams::FLOOR, &mut TestHost(0)).unwrap()
    }

    /// Writes `bytes` at a place of a file and makes the checksum fit again.
    fn altered(file: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut content = file[..file.len() - 8].to_vec();
        content.resize(content.len().max(at + bytes.len()), 0);
        content[at..at + bytes.len()].copy_from_slice(bytes);
        let sum = checksum(&content);
        [&content[..], &sum].concat()
    }

    #[test]
    fn the_right_passphrase_opens_and_a_wrong_one_does_not() {
        let file = file();
        assert_eq!(file.len(), KeyFile::BYTES);
        let key = KeyFile::open(&file, b"correct horse").unwrap();
        assert_eq!((key.key(), key.salt()), (&[1; 32], &[2; 16]));
        assert_eq!(KeyFile::open(&file, b"correct horsE").unwrap_err(), KeyFileError::WrongPassphrase);
        for sealed_or_salt in [22, 38, 62, 110] {
            let forged = altered(&file, sealed_or_salt, &[file[sealed_or_salt] ^ 1]);
            assert_eq!(KeyFile::open(&forged, b"correct horse").unwrap_err(), KeyFileError::WrongPassphrase);
        }
    }

    #[test]
    fn one_flipped_bit_is_damage_and_not_a_wrong_passphrase() {
        let file = file();
        for (bit, flipped) in flips(&file).enumerate() {
            let expected = if bit < 64 { KeyFileError::NotAKeyFile } else { KeyFileError::Damaged };
            assert_eq!(KeyFile::open(&flipped, b"").unwrap_err(), expected);
        }
        for short in 0..file.len() {
            let expected = if short < 8 { KeyFileError::NotAKeyFile } else { KeyFileError::Damaged };
            assert_eq!(KeyFile::open(&file[..short], b"").unwrap_err(), expected);
        }
        for longer in [[&file[..], &[0]].concat(), altered(&file, file.len() - 8, &[0])] {
            assert_eq!(KeyFile::open(&longer, b"").unwrap_err(), KeyFileError::Damaged);
        }
    }

    #[test]
    fn a_newer_file_says_its_version() {
        let newer = altered(&file(), 8, &2_u16.to_le_bytes());
        assert_eq!(KeyFile::open(&newer, b"").unwrap_err(), KeyFileError::Newer { version: 2 });
        assert_eq!(KeyFile::open(&altered(&file(), 8, &[0, 0]), b"").unwrap_err(), KeyFileError::Damaged);
    }

    #[test]
    fn work_outside_floor_and_ceiling_is_refused_before_it_is_done() {
        let file = file();
        let (floor, ceiling) = (KeyFileParams::FLOOR, KeyFileParams::CEILING);
        let memory = [1, floor.memory_kib - 1, ceiling.memory_kib + 1, u32::MAX].map(|number| (10, number));
        let passes = [0, floor.passes - 1, ceiling.passes + 1, u32::MAX].map(|number| (14, number));
        for (at, number) in memory.into_iter().chain(passes).chain([(18, 0), (18, 2), (18, u32::MAX)]) {
            let extreme = altered(&file, at, &number.to_le_bytes());
            assert_eq!(KeyFile::open(&extreme, b"correct horse").unwrap_err(), KeyFileError::Damaged, "{at} {number}");
        }
        assert_eq!(KeyFileParams::new(floor.memory_kib, floor.passes), Some(floor));
        assert_eq!(KeyFileParams::new(floor.memory_kib, 21), None);
    }

    #[test]
    fn a_new_passphrase_leaves_the_key_as_it_was() {
        let key = KeyFile::open(&file(), b"correct horse").unwrap();
        let renewed = KeyFile::create(b"", &key, KeyFileParams::FLOOR, &mut TestHost(5)).unwrap();
        let again = KeyFile::open(&renewed, b"").unwrap();
        assert_eq!((again.key(), again.salt()), (key.key(), key.salt()));
        assert_ne!(renewed[22..], file()[22..]);
    }
}
