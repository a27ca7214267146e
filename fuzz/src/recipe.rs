//! Inputs as recipes.
//!
//! ```text
//! input  = 0x80 | n   the rest, as it is
//!        | 0x00 | n   sample n (of as many as there are, round and round); then count 1, which of [`STEPS`]
//! step   = kind 1 | place 2 | value 1
//! ```

/// Longest thing that a recipe makes.
const BYTES_MAX: usize = 256 * 1024;

/// How many steps a recipe has: most changes show only where little else is changed.
const STEPS: [usize; 8] = [1, 1, 1, 1, 2, 2, 3, 6];

/// Numbers at which counts and lengths break.
const EDGES: [u32; 8] = [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_fffe, 0xffff_ffff];

/// Bytes that mean something to CBOR, to JSON or to people who type codes.
const SPECIAL: [u8; 16] =
    [0x00, 0x17, 0x18, 0x19, 0x1b, 0x40, 0x58, 0x5f, 0x80, 0x9f, 0xa0, 0xf6, 0xff, b'"', b'{', b'-'];

/// Makes what an input says of valid `samples`.
#[must_use]
pub fn made(samples: &[Vec<u8>], input: &[u8]) -> Vec<u8> {
    let Some((first, rest)) = input.split_first() else { return Vec::new() };
    if first & 0x80 != 0 {
        return rest.to_vec();
    }
    let sample = |number: u8| &samples[usize::from(number) % samples.len()];
    let mut bytes = sample(*first).clone();
    let Some((count, steps)) = rest.split_first() else { return bytes };
    for step in steps.as_chunks::<4>().0.iter().take(STEPS[usize::from(count % 8)]) {
        change(&mut bytes, *step, sample(step[3]));
        bytes.truncate(BYTES_MAX);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, [kind, high, low, value]: [u8; 4], other: &[u8]) {
    let place = usize::from(u16::from_be_bytes([high, low]));
    // Places count from the end as often as from the beginning: trailers are as interesting as headers.
    let at = if kind & 0x40 == 0 { place % (bytes.len() + 1) } else { bytes.len() - place % (bytes.len() + 1) };
    let end = (at + usize::from(value)).min(bytes.len());
    match kind % 13 {
        0 => bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << (value % 8)),
        1 => bytes.get_mut(at).into_iter().for_each(|byte| *byte = value),
        2 => bytes.insert(at, value),
        3 => drop(bytes.drain(at..end)),
        4 => {
            let piece = bytes[at..end].to_vec();
            bytes.splice(at..at, piece);
        }
        5 => bytes.truncate(at),
        6 => {
            let edge = EDGES[usize::from(value) % EDGES.len()];
            let edge = if value & 0x80 == 0 { edge.to_le_bytes() } else { edge.to_be_bytes() };
            bytes[at..].iter_mut().zip(edge).for_each(|(byte, edge)| *byte = edge);
        }
        7 => {
            let from = at.min(other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        8 => bytes.get_mut(at).into_iter().for_each(|byte| *byte = byte.wrapping_add(1 + value % 4).wrapping_sub(3)),
        11 => bytes.insert(at, SPECIAL[usize::from(value % 16)]),
        12 => bytes.get_mut(at).into_iter().for_each(|byte| *byte = SPECIAL[usize::from(value % 16)]),
        9 => {
            let half = (1 + usize::from(value % 24)).min((bytes.len() - at) / 2);
            bytes[at..at + 2 * half].rotate_left(half);
        }
        _ => {
            let from = at.min(other.len());
            let piece = &other[from..(from + 64).min(other.len())];
            bytes.splice(at..at, piece.iter().copied());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_changes_what_it_says() {
        let samples = [b"first".to_vec(), b"second sample".to_vec()];
        assert_eq!(made(&samples, &[0x80, 1, 2]), [1, 2]);
        assert_eq!(made(&samples, &[3]), b"second sample");
        assert_eq!(made(&samples, &[0, 0, 1, 0, 2, b'x']), b"fixst");
        assert_eq!(made(&samples, &[0, 4, 3, 0, 1, 2, 2, 0, 0, b'-']), b"-fst");
        assert_eq!(made(&samples, &[0, 0, 0x48, 0, 3, 1]), b"ficond sample");
        assert_eq!(made(&samples, &[0, 0, 9, 0, 1, 1]), b"fstir");
        assert_eq!(made(&samples, &[]), b"");
        // Any steps end.
        for seed in 0_u8..=255 {
            let input: Vec<u8> = (0..40_u8).map(|place| seed.wrapping_mul(place.wrapping_add(7)) ^ place).collect();
            assert!(made(&samples, &input).len() <= BYTES_MAX);
        }
    }
}
