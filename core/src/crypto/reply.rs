//! The admin's reply to a newcomer, sealed to the newcomer's wrap key and bound to the request.
//!
//! ```text
//! reply    ephemeral X25519 key (32) ‖ encrypted ‖ tag (16)
//! key      H(reply, newcomer's device id ‖ hash of the request ‖ wrap key ‖ ephemeral ‖ agreed)
//! ```
//!
//! The nonce is zero, because each key seals one text: as in a parcel, the ephemeral key is drawn from
//! randomness and the text itself. Who sealed it is not shown by this; the characters that both people
//! compare show it.

use super::SecretBytes;
use super::aead::{self, ONCE, TAG_BYTES};
use super::agree::{AgreementPublic, AgreementSecret, NotContributory, cipher_for_one_text};
use super::device::{DevicePublic, DeviceSecret};
use super::hash::Label;
use crate::clock::Host;

/// The reply does not open: damaged, for another device, or for another request of this one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the reply is not for this device's request")]
pub struct BadReply;

/// Seals a reply to the device whose request hashes to `request`.
///
/// # Errors
/// [`NotContributory`], which parsed keys never cause.
pub fn seal_reply(
    newcomer: &DevicePublic,
    request: &[u8; 32],
    text: &[u8],
    host: &mut dyn Host,
) -> Result<Vec<u8>, NotContributory> {
    let ephemeral = AgreementSecret::ephemeral(host, text);
    let (public, agreed) = (ephemeral.public(), ephemeral.agree(&newcomer.wrap)?);
    let id = newcomer.device_id();
    let context: [&[u8]; 2] = [id.as_bytes(), request];
    let cipher = cipher_for_one_text(Label::Reply, &context, &newcomer.wrap, &public, &agreed);
    let mut sealed = Vec::with_capacity(text.len().saturating_add(TAG_BYTES));
    sealed.extend_from_slice(text);
    aead::encrypt(&cipher, &ONCE, &[], &mut sealed);
    Ok([public.as_bytes().as_slice(), &sealed].concat())
}

/// Opens a reply to this device's request that hashes to `request`.
///
/// # Errors
/// [`BadReply`].
pub fn open_reply(device: &DeviceSecret, request: &[u8; 32], reply: &[u8]) -> Result<SecretBytes, BadReply> {
    let (ephemeral, sealed) = reply.split_first_chunk().ok_or(BadReply)?;
    let ephemeral = AgreementPublic::parse(ephemeral).map_err(|_| BadReply)?;
    let agreed = device.wrap.agree(&ephemeral).map_err(|_| BadReply)?;
    let id = device.public().device_id();
    let context: [&[u8]; 2] = [id.as_bytes(), request];
    let cipher = cipher_for_one_text(Label::Reply, &context, &device.wrap.public(), &ephemeral, &agreed);
    let mut text = Vec::with_capacity(sealed.len());
    aead::decrypt(&cipher, &ONCE, &[], sealed, &mut text).ok_or(BadReply)?;
    Ok(SecretBytes::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::testing::{TestHost, flips};

    #[test]
    fn a_reply_opens_for_its_request_only() {
        let (newcomer, other) = (DeviceSecret::random(&mut TestHost(0)), DeviceSecret::random(&mut TestHost(9)));
        let sealed = seal_reply(&newcomer.public(), &[1; 32], b"welcome", &mut TestHost(50)).unwrap();
        assert_eq!(sealed.len(), 32 + 7 + 16);
        assert_eq!(open_reply(&newcomer, &[1; 32], &sealed).unwrap().expose(), b"welcome");
        assert_eq!(open_reply(&newcomer, &[2; 32], &sealed).unwrap_err(), BadReply);
        assert_eq!(open_reply(&other, &[1; 32], &sealed).unwrap_err(), BadReply);
        for wrong in flips(&sealed).chain([vec![0; 60], Vec::new()]) {
            assert_eq!(open_reply(&newcomer, &[1; 32], &wrong).unwrap_err(), BadReply);
        }
    }
}
