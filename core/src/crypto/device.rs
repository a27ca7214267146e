//! The three keys of a device: one signs, one receives parcels, one opens Noise sessions.

use std::fmt;

use super::agree::{AgreementPublic, AgreementSecret};
use super::hash::{Label, derive};
use super::sign::{BadPublicKey, SigningKey, VerifyingKey};
use super::{Secret, joined};
use crate::clock::Host;
use crate::id::DeviceId;

/// The public keys of a device, each checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DevicePublic {
    /// Verifies what the device signs.
    pub sign: VerifyingKey,
    /// Parcels and the enrolment reply are sealed to it.
    pub wrap: AgreementPublic,
    /// The static key of its Noise sessions.
    pub noise: AgreementPublic,
}

impl DevicePublic {
    /// Length in bytes: signing, wrap and Noise key.
    pub const BYTES: usize = 96;

    /// Reads the three keys as they came in.
    ///
    /// # Errors
    /// [`BadPublicKey`] of any of the three.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadPublicKey> {
        let ([sign, wrap, noise], []) = bytes.as_chunks() else {
            return Err(BadPublicKey::Malformed);
        };
        let (wrap, noise) = (AgreementPublic::parse(wrap)?, AgreementPublic::parse(noise)?);
        Ok(Self { sign: VerifyingKey::parse(sign)?, wrap, noise })
    }

    /// The three keys one after the other.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        joined(&[self.sign.as_bytes(), self.wrap.as_bytes(), self.noise.as_bytes()])
    }

    /// The name of the device: a hash of the three keys.
    #[must_use]
    pub fn device_id(&self) -> DeviceId {
        DeviceId::new(derive(Label::Device, &[&self.to_bytes()]))
    }
}

/// The secret keys of a device. Never copied: no two devices share one.
pub struct DeviceSecret {
    /// Signs heads and statements.
    pub signing: SigningKey,
    /// Opens parcels and the enrolment reply.
    pub wrap: AgreementSecret,
    /// The static key of Noise sessions.
    pub noise: AgreementSecret,
}

impl DeviceSecret {
    /// Draws the keys of a new device.
    pub fn random(host: &mut dyn Host) -> Self {
        Self::from_parts(&Secret::random(host), &Secret::random(host), &Secret::random(host))
    }

    /// Makes the keys of three secrets: of the recovery root, and of the store.
    pub(super) fn from_parts(signing: &Secret<32>, wrap: &Secret<32>, noise: &Secret<32>) -> Self {
        let [wrap, noise] = [wrap, noise].map(AgreementSecret::from_secret);
        Self { signing: SigningKey::from_secret(signing), wrap, noise }
    }

    /// Makes the keys that [`Self::to_secret`] gave.
    #[must_use]
    pub fn from_secret(secret: &Secret<96>) -> Self {
        let part = |at| Secret::new(joined(&[secret.expose().get(at..at + 32).unwrap_or_default()]));
        Self::from_parts(&part(0), &part(32), &part(64))
    }

    /// The 96 secret bytes, to be kept in the store: signing, wrap and Noise key.
    #[must_use]
    pub fn to_secret(&self) -> Secret<96> {
        let (signing, wrap, noise) = (self.signing.secret(), self.wrap.secret(), self.noise.secret());
        Secret::new(joined(&[signing.expose(), wrap.expose(), noise.expose()]))
    }

    /// The public halves.
    #[must_use]
    pub fn public(&self) -> DevicePublic {
        DevicePublic { sign: self.signing.verifying_key(), wrap: self.wrap.public(), noise: self.noise.public() }
    }
}

impl fmt::Debug for DeviceSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceSecret({})", self.public().device_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::testing::TestHost;

    #[test]
    fn keys_read_back_from_the_store() {
        let device = DeviceSecret::random(&mut TestHost(0));
        let again = DeviceSecret::from_secret(&device.to_secret());
        assert_eq!(again.public(), device.public());
        assert_eq!(again.to_secret().expose(), device.to_secret().expose());
        assert_eq!(DevicePublic::parse(&device.public().to_bytes()), Ok(device.public()));
        assert_ne!(DeviceSecret::random(&mut TestHost(9)).public(), device.public());
    }

    #[test]
    fn a_weak_key_of_each_kind_is_refused() {
        let bytes = DeviceSecret::random(&mut TestHost(0)).public().to_bytes();
        for key in 0..3 {
            let mut weak = bytes;
            weak[key * 32..key * 32 + 32].fill(0);
            assert_eq!(DevicePublic::parse(&weak), Err(BadPublicKey::LowOrder));
        }
        assert_eq!(DevicePublic::parse(&bytes[..95]), Err(BadPublicKey::Malformed));
        assert_eq!(DevicePublic::parse(&[&bytes[..], &[0]].concat()), Err(BadPublicKey::Malformed));
    }
}
