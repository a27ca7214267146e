//! Values computed once and written down (their first 8 bytes): format 1 cannot drift unnoticed.

use super::testing::TestHost;
use super::*;
use crate::id::{CompartmentId, EntryId, IncidentId, LogId, hex};

fn hash(bytes: &[u8]) -> String {
    hex(&derive(Label::Body, &[bytes]))
}

#[test]
fn the_format_does_not_drift() {
    let space = KeySpace { incident: IncidentId::new([1; 32]), compartment: CompartmentId::new([4; 32]) };
    let place = Place { incident: space.incident, log: LogId::new([2; 32]), seq: 3 };
    let [old, new] = [6, 5].map(|seed| EpochSecret::from_secret(Secret::new([seed; 32])));
    let (key, mut sealed) = (new.reading_key(), Vec::new());
    let nonce = key.seal(&place, b"daybook", &mut sealed);
    // Labels are only ever added behind the others.
    let mut labels = Deriver::new(Label::Digest);
    let mut first_labels = String::new();
    for label in Label::ALL {
        labels.update(&derive(*label, &[b"daybook"]));
        if *label == Label::Fingerprint {
            first_labels = hex(&labels.finish());
        }
    }
    let seed = RecoverySeed::random(&mut TestHost(0));
    let device = seed.device();
    let parcels = make_parcels(&space, &ParcelSecret::History(new.clone()), &[device.public()], &mut TestHost(7));
    let reply = seal_reply(&device.public(), &[1; 32], b"welcome", &mut TestHost(7));
    let database_key = DatabaseKey::random(&mut TestHost(0));
    let keys = KeyFile::create(b"correct horse", &database_key, KeyFileParams::FLOOR, &mut TestHost(0));
    for (what, value, expected) in [
        ("entry", hex(&derive(Label::Entry, &[b"daybook"])), "67c13ab575998e82"),
        ("first labels", first_labels, "39b98c13a6181866"),
        ("all labels", hex(&labels.finish()), "0b0993476160dc95"),
        ("key id", key.key_id().to_hex(), "809d47b332b2f8ec"),
        ("nonce", hex(&nonce.0), "d559e1b36cbe79e6"),
        ("sealed body", hash(&sealed), "6f45034b609f84f8"),
        ("sealed field", hash(&key.seal_field(&FieldPlace { entry: place, field: 7 }, b"Amara")), "1aac6a84629d6641"),
        ("sealed history", hash(&seal_history(&[old], &new, &space)), "dae85889c54dbe44"),
        (
            "recovery seed",
            String::from_utf8(seed.print().expose().to_vec()).unwrap(),
            "Q297-6WWW-P1SJ-YS9T-1PW9-9RXR-DQ8K-MCRH-7CNP-BC30-5KQM-92DH-ENC0-44M6",
        ),
        ("admission", hex(seed.admission().expose()), "da689b8cd64e3112"),
        ("device id", device.public().device_id().to_hex(), "52e3f65a47ff1dd6"),
        ("head", hash(&device.signing.sign_head(place.log, 64, EntryId::new([2; 32])).0), "5c509c818e8bfff1"),
        ("founding", hash(&device.signing.sign_founding(b"statement").0), "90e578284567e452"),
        ("parcels", hash(&parcels.unwrap().encode()), "3e43952001e43e65"),
        ("reply", hash(&reply.unwrap()), "09ada309fb781c12"),
        ("keys", hash(&keys.unwrap()), "a636df2c789ff520"),
    ] {
        assert!(value.starts_with(expected), "{what}: {value}");
    }
}
