//! Export files as `docs/format.md`, section 13, lays them out: put together from frames, and taken apart again.

#![allow(dead_code, reason = "shared by several tests, not all of which use all of it")]

use daybook_core::crypto::{Label, derive};
use daybook_core::limits::FORMAT;
use daybook_core::roster::SignedFounding;

/// Kind of a frame that holds a run.
pub const RUN: u8 = 1;
/// Kind of a frame that holds a group of parcels.
pub const PARCELS: u8 = 2;
/// Kind of the last frame.
pub const END: u8 = 0;

/// An export file of these frames, with its end frame.
pub fn file_of(founding: &SignedFounding, frames: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut file = b"DAYBOOK LOG\0".to_vec();
    file.extend_from_slice(&FORMAT.to_le_bytes());
    file.extend_from_slice(&length(founding.bytes()));
    file.extend_from_slice(founding.bytes());
    for (kind, payload) in frames {
        file.push(*kind);
        file.extend_from_slice(&length(payload));
        file.extend_from_slice(payload);
    }
    ended(file)
}

/// The file with its end frame.
pub fn ended(mut file: Vec<u8>) -> Vec<u8> {
    let hash = derive(Label::Export, &[&file]);
    file.push(END);
    file.extend_from_slice(&length(&hash));
    file.extend_from_slice(&hash);
    file
}

/// The founding statement with its signatures, and the frames without the last.
pub fn parts_of(file: &[u8]) -> (Vec<u8>, Vec<(u8, Vec<u8>)>) {
    let mut rest = &file[14..];
    let founding = sized(&mut rest);
    let mut frames = Vec::new();
    while let Some((kind, behind)) = rest.split_first() {
        rest = behind;
        let payload = sized(&mut rest);
        if *kind != END {
            frames.push((*kind, payload));
        }
    }
    (founding, frames)
}

fn sized(rest: &mut &[u8]) -> Vec<u8> {
    let (length, behind) = rest.split_first_chunk::<4>().expect("a length");
    let (payload, behind) = behind.split_at(u32::from_le_bytes(*length) as usize);
    *rest = behind;
    payload.to_vec()
}

fn length(payload: &[u8]) -> [u8; 4] {
    u32::try_from(payload.len()).expect("a short payload").to_le_bytes()
}
