//! Every frame reads back as it was written; nothing else is read, and nothing panics.

use super::frame::{Begun, Frame, Head, Heads, Receipt, kind, rung_places};
use super::shelf::Want;
use super::trie::{Node, Record};
use crate::crypto::{AgreementPublic, Parcel, ParcelGroup, Signature};
use crate::id::{CompartmentId, DeviceId, EntryId, KeyId, LogId};
use proptest::prelude::*;

fn parcels(recipients: u8) -> ParcelGroup {
    let parcel = |recipient| Parcel { recipient: DeviceId::new([recipient; 32]), sealed: [7; 48] };
    let ephemeral = AgreementPublic::parse(&[9; 32]).unwrap();
    ParcelGroup { key_id: KeyId::new([6; 32]), ephemeral, parcels: (0..recipients).map(parcel).collect() }
}

const RECEIPT: Receipt =
    Receipt { frontier: [3; 32], incarnation: crate::id::Incarnation::new([5; 16]), signature: Signature([4; 64]) };

#[test]
fn a_frame_brings_keys_one_by_one_and_no_more_than_were_asked_for_at_one_time() {
    for (kind, empty) in [(kind::KEYS, Vec::new()), (kind::PARCELS, Vec::new())] {
        assert!(Frame::read(kind, &empty).is_err());
    }
    assert!(Frame::read(kind::KEYS, &[6; 64 * 32]).is_ok() && Frame::read(kind::KEYS, &[6; 65 * 32]).is_err());
    let (_, two) = Frame::Parcels(vec![parcels(2)]).write();
    assert!(Frame::read(kind::PARCELS, &two).is_err());
}

fn all() -> Vec<Frame<'static>> {
    let node = Node::ROOT.child(3).unwrap().child(15).unwrap();
    let record = |last| Record { log: [0x3f, 0, 0, 0, 0, 0, 0, last], seq: 7, heads: [9; 8] };
    let head = Head { seq: 9, id: EntryId::new([5; 32]), rungs: vec![(8, [1; 16]), (1, [2; 16])] };
    vec![
        Frame::Ping,
        Frame::Path(b"path"),
        Frame::Roots([1; 16], [2; 16], None),
        Frame::Roots([1; 16], [2; 16], Some([3; 8])),
        Frame::Ask(vec![Node::ROOT, node]),
        Frame::Children(node, [[4; 8]; 16]),
        Frame::Leaf(node, vec![record(1), record(2)]),
        Frame::Leaf(Node::ROOT, Vec::new()),
        Frame::Heads(false, vec![Heads { log: [1; 8], heads: vec![head.clone(), head] }]),
        Frame::Heads(true, vec![Heads { log: [1; 8], heads: Vec::new() }]),
        Frame::Totals(12, 3),
        Frame::Run(b"run"),
        Frame::Done,
        Frame::Ack(5),
        Frame::Decline(LogId::new([8; 32]), *b"E-010"),
        Frame::Want(Want { log: LogId::new([8; 32]), from: 2, to: 2 }),
        Frame::Receipt(RECEIPT),
        Frame::Held(RECEIPT),
        Frame::Keys(vec![KeyId::new([6; 32]); 2]),
        Frame::Parcels(vec![parcels(1)]),
        Frame::Begun(vec![Begun { log: [1; 8], seq: 33, id: EntryId::new([5; 32]) }; 2]),
        Frame::Apart(Vec::new()),
        Frame::Apart(vec![CompartmentId::new([7; 32]); 256]),
        Frame::Former(Vec::new()),
        Frame::Former(vec![(LogId::new([7; 32]), 9); 256]),
        Frame::Flood(b"proof"),
        Frame::Bye(None),
        Frame::Bye(Some(*b"S-010")),
    ]
}

#[test]
fn every_frame_reads_back() {
    for frame in all() {
        let (number, bytes) = frame.write();
        let read = Frame::read(number, &bytes).unwrap();
        assert_eq!(format!("{read:?}"), format!("{frame:?}"));
        assert_eq!(read.write(), (number, bytes));
    }
}

#[test]
fn a_shorter_or_longer_frame_is_none_or_another_one() {
    for frame in all() {
        let (number, bytes) = frame.write();
        // These bring bytes that others read.
        if matches!(number, kind::PATH | kind::RUN | kind::FLOOD) {
            continue;
        }
        for end in 0..bytes.len() {
            // Lists may end earlier; what is read then is what was given.
            if let Ok(read) = Frame::read(number, &bytes[..end]) {
                assert_eq!(read.write().1, bytes[..end]);
            }
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(Frame::read(number, &longer).is_err(), "{frame:?}");
    }
}

#[test]
fn rungs_go_back_in_doubling_steps_to_the_first_place() {
    assert_eq!(rung_places(1), [0_u64; 0]);
    assert_eq!(rung_places(2), [1]);
    assert_eq!(rung_places(10), [9, 8, 6, 2, 1]);
    let far = rung_places(u64::from(u32::MAX));
    assert!(far.len() <= 34 && far.is_sorted_by(|one, two| one > two) && far.last() == Some(&1));
}

proptest! {
    #[test]
    fn no_bytes_panic_and_what_is_read_is_what_was_written(number in 0_u8..=kind::FLOOD, bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(frame) = Frame::read(number, &bytes) {
            prop_assert_eq!(frame.write(), (number, bytes));
        }
    }
}
