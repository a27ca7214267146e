//! Noise sessions: `Noise_XXpsk0_25519_ChaChaPoly_BLAKE2s` with primitives of this station.
//!
//! The state machine is `snow`'s. Randomness comes from the host, drawn once when a handshake begins. An
//! X25519 result of all zeros ends the handshake.

use blake2::digest::Output;
use blake2::{Blake2s256, Digest};
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState, TransportState};
use zeroize::Zeroize;

use super::aead::TAG_BYTES;
use super::agree::{AgreementPublic, AgreementSecret};
use super::secret::Secret;
use crate::clock::Host;

/// The protocol by its Noise name.
const NAME: &str = "Noise_XXpsk0_25519_ChaChaPoly_BLAKE2s";
/// Longest plain text of one message.
pub const NOISE_TEXT_BYTES_MAX: usize = 65_535 - TAG_BYTES;

/// A Noise message does not fit: wrong key, changed, out of order, or keys that agree on nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the message does not belong to this session")]
pub struct BadNoise;

impl From<snow::Error> for BadNoise {
    fn from(_: snow::Error) -> Self {
        Self
    }
}

/// A handshake under way. Each message has an empty text and so a fixed length.
pub struct Handshake(HandshakeState);

/// Lengths of the three messages of a handshake.
pub const HANDSHAKE_BYTES: [usize; 3] = [32 + TAG_BYTES, 32 + 32 + 2 * TAG_BYTES, 32 + 2 * TAG_BYTES];

impl Handshake {
    /// Begins a handshake. `admission` is the pre-shared key; both sides bind the same `prologue`.
    ///
    /// # Errors
    /// [`BadNoise`] never comes from a valid key.
    pub fn new(
        initiates: bool,
        own: &AgreementSecret,
        admission: &Secret<32>,
        prologue: &[u8],
        host: &mut dyn Host,
    ) -> Result<Self, BadNoise> {
        let params = NAME.parse().map_err(|_| BadNoise)?;
        let resolver = Resolver(Secret::random(host));
        let secret = own.secret();
        let builder = Builder::with_resolver(params, Box::new(resolver))
            .local_private_key(secret.expose())?
            .psk(0, admission.expose())?
            .prologue(prologue)?;
        Ok(Self(if initiates { builder.build_initiator()? } else { builder.build_responder()? }))
    }

    /// The next own message.
    ///
    /// # Errors
    /// [`BadNoise`] if it is not this side's turn or the keys agree on nothing.
    pub fn write(&mut self) -> Result<Vec<u8>, BadNoise> {
        let mut message = vec![0; 256];
        let length = self.0.write_message(&[], &mut message)?;
        message.truncate(length);
        Ok(message)
    }

    /// Reads the other side's next message.
    ///
    /// # Errors
    /// [`BadNoise`]; the handshake is over then.
    pub fn read(&mut self, message: &[u8]) -> Result<(), BadNoise> {
        let mut text = [0; 256];
        if self.0.read_message(message, &mut text)? == 0 { Ok(()) } else { Err(BadNoise) }
    }

    /// Whether all messages were exchanged.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_handshake_finished()
    }

    /// The session, the hash that both sides share and nobody else can choose, and the other side's key.
    ///
    /// # Errors
    /// [`BadNoise`] if messages are missing or the other side's key is no valid key.
    pub fn finish(self) -> Result<(Channel, [u8; 32], AgreementPublic), BadNoise> {
        let hash = self.0.get_handshake_hash().try_into().map_err(|_| BadNoise)?;
        let theirs = self.0.get_remote_static().and_then(|key| key.try_into().ok()).ok_or(BadNoise)?;
        let theirs = AgreementPublic::parse(&theirs).map_err(|_| BadNoise)?;
        Ok((Channel(self.0.into_transport_mode()?), hash, theirs))
    }
}

impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handshake")
    }
}

/// An encrypted, ordered channel after the handshake.
pub struct Channel(TransportState);

impl Channel {
    /// Appends the sealed form of a text of at most [`NOISE_TEXT_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// [`BadNoise`] if the text is too long.
    pub fn seal(&mut self, text: &[u8], to: &mut Vec<u8>) -> Result<(), BadNoise> {
        let start = to.len();
        to.resize(start + text.len() + TAG_BYTES, 0);
        let room = to.get_mut(start..).ok_or(BadNoise)?;
        self.0.write_message(text, room)?;
        Ok(())
    }

    /// Opens the next message into `text`, whose content it replaces.
    ///
    /// # Errors
    /// [`BadNoise`]; nothing after it can be opened.
    pub fn open(&mut self, sealed: &[u8], text: &mut Vec<u8>) -> Result<(), BadNoise> {
        text.resize(sealed.len().checked_sub(TAG_BYTES).ok_or(BadNoise)?, 0);
        self.0.read_message(sealed, text)?;
        Ok(())
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Channel")
    }
}

/// The primitives of one handshake, with the randomness of its ephemeral key.
struct Resolver(Secret<32>);

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Drawn(Some(self.0.clone()))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        match choice {
            DHChoice::Curve25519 => Some(Box::new(Agreement { secret: None, public: [0; 32] })),
            DHChoice::Curve448 => None,
        }
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        match choice {
            HashChoice::Blake2s => Some(Box::new(Hashing(Blake2s256::new()))),
            HashChoice::SHA256 | HashChoice::SHA512 | HashChoice::Blake2b => None,
        }
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        match choice {
            CipherChoice::ChaChaPoly => Some(Box::new(Sealing(None))),
            CipherChoice::AESGCM => None,
        }
    }
}

/// Randomness for exactly one ephemeral key.
struct Drawn(Option<Secret<32>>);

impl Random for Drawn {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        let drawn = self.0.take().filter(|_| dest.len() == 32).ok_or(snow::Error::Rng)?;
        dest.copy_from_slice(drawn.expose());
        Ok(())
    }
}

/// One side's X25519 key.
struct Agreement {
    secret: Option<(AgreementSecret, Secret<32>)>,
    public: [u8; 32],
}

impl Dh for Agreement {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, privkey: &[u8]) {
        let Some(secret) = Secret::<32>::from_slice(privkey) else { return };
        let key = AgreementSecret::from_secret(&secret);
        self.public = *key.public().as_bytes();
        self.secret = Some((key, secret));
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), snow::Error> {
        let mut bytes = [0; 32];
        rng.try_fill_bytes(&mut bytes)?;
        self.set(&bytes);
        bytes.zeroize();
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        self.secret.as_ref().map_or(&[], |(_, secret)| secret.expose())
    }

    fn dh(&self, pubkey: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let theirs = pubkey.first_chunk::<32>().ok_or(snow::Error::Dh)?;
        let theirs = AgreementPublic::parse(theirs).map_err(|_| snow::Error::Dh)?;
        let (key, _) = self.secret.as_ref().ok_or(snow::Error::Dh)?;
        let agreed = key.agree(&theirs).map_err(|_| snow::Error::Dh)?;
        out.first_chunk_mut::<32>().ok_or(snow::Error::Dh)?.copy_from_slice(agreed.expose());
        Ok(())
    }
}

/// ChaCha20-Poly1305 under one key.
struct Sealing(Option<ChaCha20Poly1305>);

fn nonce_of(number: u64) -> [u8; 12] {
    super::joined(&[&[0; 4], &number.to_le_bytes()])
}

impl Cipher for Sealing {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.0 = Some(ChaCha20Poly1305::new(key.into()));
    }

    fn encrypt(&self, nonce: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        // `snow` checked the room and never encrypts without a key; what fails all the same gives a message
        // that nobody can open.
        let Some((text, rest)) = out.split_at_mut_checked(plaintext.len()) else { return 0 };
        let Some(tag_room) = rest.first_chunk_mut::<TAG_BYTES>() else { return 0 };
        let Some(cipher) = &self.0 else { return 0 };
        text.copy_from_slice(plaintext);
        match cipher.encrypt_inout_detached(&nonce_of(nonce).into(), authtext, (&mut *text).into()) {
            Ok(tag) => tag_room.copy_from_slice(&tag),
            Err(_) => text.zeroize(),
        }
        plaintext.len() + TAG_BYTES
    }

    fn decrypt(&self, nonce: u64, authtext: &[u8], ciphertext: &[u8], out: &mut [u8]) -> Result<usize, snow::Error> {
        let (sealed, tag) = ciphertext.split_last_chunk::<TAG_BYTES>().ok_or(snow::Error::Decrypt)?;
        let text = out.get_mut(..sealed.len()).ok_or(snow::Error::Decrypt)?;
        text.copy_from_slice(sealed);
        let cipher = self.0.as_ref().ok_or(snow::Error::Decrypt)?;
        let opened = cipher.decrypt_inout_detached(&nonce_of(nonce).into(), authtext, (&mut *text).into(), tag.into());
        if opened.is_err() {
            text.zeroize();
            return Err(snow::Error::Decrypt);
        }
        Ok(sealed.len())
    }
}

/// BLAKE2s.
struct Hashing(Blake2s256);

impl Hash for Hashing {
    fn name(&self) -> &'static str {
        "BLAKE2s"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.0 = Blake2s256::new();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        let hash: Output<Blake2s256> = self.0.finalize_reset();
        if let Some(room) = out.first_chunk_mut::<32>() {
            room.copy_from_slice(&hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::testing::TestHost;

    fn pair(one: [u8; 32], two: [u8; 32]) -> (Handshake, Handshake) {
        let key = |seed| AgreementSecret::from_secret(&Secret::new([seed; 32]));
        let begin = |initiates, seed: u8, admission| {
            Handshake::new(initiates, &key(seed), &Secret::new(admission), b"prologue", &mut TestHost(seed.into()))
                .unwrap()
        };
        (begin(true, 1, one), begin(false, 2, two))
    }

    fn shake(one: &mut Handshake, two: &mut Handshake) -> Result<(), BadNoise> {
        for (turn, bytes) in HANDSHAKE_BYTES.into_iter().enumerate() {
            let (from, to) = if turn == 1 { (&mut *two, &mut *one) } else { (&mut *one, &mut *two) };
            let message = from.write()?;
            assert_eq!(message.len(), bytes);
            to.read(&message)?;
        }
        Ok(())
    }

    #[test]
    fn both_sides_know_each_other_and_open_what_the_other_seals() {
        let (mut one, mut two) = pair([7; 32], [7; 32]);
        shake(&mut one, &mut two).unwrap();
        assert!(one.is_finished() && two.is_finished());
        let ((mut one, hash, theirs), (mut two, same, ours)) = (one.finish().unwrap(), two.finish().unwrap());
        assert_eq!(hash, same);
        assert_eq!(theirs, AgreementSecret::from_secret(&Secret::new([2; 32])).public());
        assert_eq!(ours, AgreementSecret::from_secret(&Secret::new([1; 32])).public());
        let (mut sealed, mut text) = (Vec::new(), Vec::new());
        for said in [&b"a frame"[..], b"", &[5; 4_000]] {
            sealed.clear();
            one.seal(said, &mut sealed).unwrap();
            assert_eq!(sealed.len(), said.len() + TAG_BYTES);
            two.open(&sealed, &mut text).unwrap();
            assert_eq!(text, said);
        }
        // What comes back unchanged is not taken, nor what comes twice.
        assert_eq!(one.open(&sealed, &mut text), Err(BadNoise));
        assert_eq!(two.open(&sealed, &mut text), Err(BadNoise));
    }

    #[test]
    fn who_lacks_the_admission_secret_gets_no_further_than_the_first_message() {
        let (mut one, mut two) = pair([7; 32], [8; 32]);
        assert_eq!(shake(&mut one, &mut two), Err(BadNoise));
    }

    #[test]
    fn an_ephemeral_key_of_low_order_ends_the_handshake() {
        let (mut one, mut two) = pair([7; 32], [7; 32]);
        let message = one.write().unwrap();
        two.read(&message).unwrap();
        let mut answer = two.write().unwrap();
        answer[..32].fill(0);
        assert_eq!(one.read(&answer), Err(BadNoise));
    }

    /// `Noise_XXpsk3_25519_ChaChaPoly_BLAKE2s` of the vectors of `cacophony`, which `snow` carries: there is none
    /// of psk0, and the primitives are the same.
    #[test]
    fn the_primitives_agree_with_a_published_vector() {
        let array = |text: &str| {
            let mut bytes = [0; 32];
            assert!(crate::id::hex_into(text, &mut bytes));
            bytes
        };
        let build = |initiates, own: &str, ephemeral: &str| {
            let params = "Noise_XXpsk3_25519_ChaChaPoly_BLAKE2s".parse().unwrap();
            let (own, psk) = (array(own), array(PSK));
            let builder = Builder::with_resolver(params, Box::new(Resolver(Secret::new(array(ephemeral)))));
            let builder =
                builder.local_private_key(&own).unwrap().psk(3, &psk).unwrap().prologue(b"John Galt").unwrap();
            if initiates { builder.build_initiator().unwrap() } else { builder.build_responder().unwrap() }
        };
        let mut one = build(
            true,
            "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
            "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
        );
        let mut two = build(
            false,
            "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
            "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
        );
        let mut shown = String::new();
        for (turn, payload) in ["Ludwig von Mises", "Murray Rothbard", "F. A. Hayek"].into_iter().enumerate() {
            let (mut message, mut text) = ([0; 256], [0; 256]);
            let (from, to) = if turn == 1 { (&mut two, &mut one) } else { (&mut one, &mut two) };
            let length = from.write_message(payload.as_bytes(), &mut message).unwrap();
            let read = to.read_message(&message[..length], &mut text).unwrap();
            assert_eq!(&text[..read], payload.as_bytes());
            shown = crate::id::hex(&message[..length]);
        }
        assert_eq!(shown, LAST);
    }

    const PSK: &str = "54686973206973206d7920417573747269616e20706572737065637469766521";
    const LAST: &str = "adf16c5375ec4172576783fd59f2bfa5c7a320d0a13b759592e1a2ddf5524cce59ccbb92ff5d321fced3bdb2840596df562c0e68aad41b090abd285f6d300130072e06964a6ba494e58d47";
}
