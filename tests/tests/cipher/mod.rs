//! XChaCha20-Poly1305, written from RFC 8439 and draft-irtf-cfrg-xchacha apart from the program's own: seals what an
//! honest author never would, such as a text under a chosen nonce. Slow, and not for secrets.

/// Encrypts `text` and appends the tag.
pub fn seal(key: &[u8; 32], nonce: &[u8; 24], aad: &[u8], text: &[u8]) -> Vec<u8> {
    let subkey = hchacha20(key, nonce.first_chunk().expect("24 bytes"));
    let mut short = [0; 12];
    short[4..].copy_from_slice(&nonce[16..]);
    let mut sealed = text.to_vec();
    for (number, chunk) in (1..).zip(sealed.chunks_mut(64)) {
        let stream = block(&subkey, number, &short);
        chunk.iter_mut().zip(stream).for_each(|(byte, with)| *byte ^= with);
    }
    let mut message = Vec::new();
    for part in [aad, &sealed] {
        message.extend_from_slice(part);
        message.resize(message.len().next_multiple_of(16), 0);
    }
    message.extend_from_slice(&(aad.len() as u64).to_le_bytes());
    message.extend_from_slice(&(sealed.len() as u64).to_le_bytes());
    let tag = poly1305(block(&subkey, 0, &short).first_chunk().expect("64 bytes"), &message);
    sealed.extend_from_slice(&tag);
    sealed
}

fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    std::array::from_fn(|at| u32::from_le_bytes(*bytes[at * 4..].first_chunk().expect("whole words")))
}

fn rounds(mut state: [u32; 16]) -> [u32; 16] {
    let mut quarter = |a: usize, b: usize, c: usize, d: usize| {
        for (left, right, third, turn) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
            state[left] = state[left].wrapping_add(state[right]);
            state[third] = (state[third] ^ state[left]).rotate_left(turn);
        }
    };
    for _ in 0..10 {
        (0..4).for_each(|at| quarter(at, at + 4, at + 8, at + 12));
        (0..4).for_each(|at| quarter(at, 4 + (at + 1) % 4, 8 + (at + 2) % 4, 12 + (at + 3) % 4));
    }
    state
}

fn start(key: &[u8; 32], last: [u32; 4]) -> [u32; 16] {
    let (constant, key): ([u32; 4], [u32; 8]) = (words(b"expand 32-byte k"), words(key));
    std::array::from_fn(|at| match at {
        0..4 => constant[at],
        4..12 => key[at - 4],
        _ => last[at - 12],
    })
}

fn hchacha20(key: &[u8; 32], nonce: &[u8; 16]) -> [u8; 32] {
    let state = rounds(start(key, words(nonce)));
    let kept: Vec<u8> = state[..4].iter().chain(&state[12..]).flat_map(|word| word.to_le_bytes()).collect();
    *kept.first_chunk().expect("32 bytes")
}

fn block(key: &[u8; 32], counter: u32, nonce: &[u8; 12]) -> [u8; 64] {
    let [first, second, third] = words(nonce);
    let before = start(key, [counter, first, second, third]);
    let after = rounds(before);
    let bytes: Vec<u8> =
        before.iter().zip(after).flat_map(|(one, other)| one.wrapping_add(other).to_le_bytes()).collect();
    *bytes.first_chunk().expect("64 bytes")
}

/// A number below 2^136 in 17 digits of 8 bits, some of which may hold more until they are carried.
type Number = [u32; 17];

fn poly1305(key: &[u8; 32], message: &[u8]) -> [u8; 16] {
    let mut r: Number = std::array::from_fn(|at| if at < 16 { u32::from(key[at]) } else { 0 });
    [3, 7, 11, 15].iter().for_each(|at| r[*at] &= 0x0f);
    [4, 8, 12].iter().for_each(|at| r[*at] &= 0xfc);
    let mut sum: Number = [0; 17];
    for piece in message.chunks(16) {
        let digit = |at: usize| piece.get(at).map_or(u32::from(at == piece.len()), |byte| u32::from(*byte));
        sum = std::array::from_fn(|at| sum[at] + digit(at));
        // 2^136 is 320 modulo 2^130 - 5: 64 times 5.
        sum = carried(std::array::from_fn(|at| {
            (0..17).map(|i| sum[i] * if i <= at { r[at - i] } else { 320 * r[at + 17 - i] }).sum()
        }));
    }
    let sum = reduced(sum);
    let mut carry = 0;
    std::array::from_fn(|at| {
        let total = sum[at] + u32::from(key[16 + at]) + carry;
        carry = total >> 8;
        total.to_le_bytes()[0]
    })
}

/// Carries digits and folds what lies above 2^130, until nothing does.
fn carried(mut number: Number) -> Number {
    for _ in 0..3 {
        let mut carry = 0;
        for digit in &mut number[..16] {
            carry += *digit;
            (*digit, carry) = (carry & 255, carry >> 8);
        }
        carry += number[16];
        number[16] = carry & 3;
        number[0] += 5 * (carry >> 2);
    }
    number
}

/// The number below 2^130 - 5 that it equals.
fn reduced(number: Number) -> Number {
    let mut carry = 5;
    let less: Number = std::array::from_fn(|at| {
        let total = number[at] + carry;
        carry = if at < 16 { total >> 8 } else { 0 };
        if at < 16 { total & 255 } else { total }
    });
    if less[16] >= 4 { std::array::from_fn(|at| if at < 16 { less[at] } else { less[16] - 4 }) } else { number }
}
