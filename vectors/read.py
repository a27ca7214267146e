#!/usr/bin/env python3
"""Reads an `export log` file or the proof of a fork of Daybook and checks everything that needs no key.

Written from docs/format.md alone, in Python 3.11 without any package, so that the format has two readers that
know nothing of each other. Prints one line for each log, or for what is proved, and one for the incident; says what
is wrong and ends with exit code 1 if anything does not fit.

    python3 vectors/read.py FILE
"""
import hashlib
import sys

# --- BLAKE3, only its derive_key mode (github.com/BLAKE3-team/BLAKE3-specs, section 2) -----------------------------

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
CHUNK_START, CHUNK_END, PARENT, ROOT, CONTEXT, MATERIAL = 1, 2, 4, 8, 32, 64
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
SCHEDULE = [tuple(range(16))]
for _ in range(6):
    SCHEDULE.append(tuple(SCHEDULE[-1][i] for i in ORDER))
LANES = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
         (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
MASK = 0xFFFFFFFF


def compress(chain, block, counter, flags):
    """One block of up to 64 bytes; gives the first 8 words of the output."""
    words = [int.from_bytes(block[i:i + 4], "little") for i in range(0, 64, 4)]
    v = [*chain, *IV[:4], counter & MASK, counter >> 32, len(block), flags]
    for order in SCHEDULE:
        for turn, (a, b, c, d) in enumerate(LANES):
            for word, right, left in ((order[2 * turn], 16, 12), (order[2 * turn + 1], 8, 7)):
                v[a] = (v[a] + v[b] + words[word]) & MASK
                x = v[d] ^ v[a]
                v[d] = (x >> right | x << 32 - right) & MASK
                v[c] = (v[c] + v[d]) & MASK
                x = v[b] ^ v[c]
                v[b] = (x >> left | x << 32 - left) & MASK
    return [v[i] ^ v[i + 8] for i in range(8)]


def tree(key, data, number, flags, root):
    """The chaining value of the chunks from `number` on that hold `data`."""
    if len(data) <= 1024:
        chain, last = key, max(0, (len(data) - 1) // 64)
        for at in range(last + 1):
            more = flags | (CHUNK_START if at == 0 else 0) | (CHUNK_END | root if at == last else 0)
            chain = compress(chain, data[at * 64:at * 64 + 64], number, more)
        return chain
    chunks = 1 << ((len(data) - 1) // 1024).bit_length() - 1  # the largest power of two that leaves something
    left = tree(key, data[:chunks * 1024], number, flags, 0)
    right = tree(key, data[chunks * 1024:], number + chunks, flags, 0)
    block = b"".join(word.to_bytes(4, "little") for word in left + right)
    return compress(key, block, 0, flags | PARENT | root)


def h(label, data, _keys={}):
    """H(label, data) of format.md, section 1.1."""
    if label not in _keys:
        _keys[label] = tree(IV, b"daybook 1 " + label.encode(), 0, CONTEXT, ROOT)
    return b"".join(word.to_bytes(4, "little") for word in tree(_keys[label], data, 0, MATERIAL, ROOT))


# --- Ed25519, strict verification (RFC 8032) ------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
NEUTRAL = (0, 1, 1, 0)


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, i = b - a, d - c, d + c, b + a
    return e * f % P, g * i % P, f * g % P, e * i % P


def times(n, p):
    total = NEUTRAL
    while n:
        if n & 1:
            total = add(total, p)
        p, n = add(p, p), n >> 1
    return total


def same(p, q):
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


def point(data):
    """The point that 32 bytes spell; None if they spell none, spell it in a second way, or it is of low order."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    found = (x, y, 1, x * y % P)
    return None if same(times(8, found), NEUTRAL) else found


BASE = point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def signed(key, prefix, message, signature):
    """Whether a signature is that key's over prefix and message."""
    r, s = point(signature[:32]), int.from_bytes(signature[32:], "little")
    if r is None or s >= L:
        return False
    hashed = hashlib.sha512(signature[:32] + key + prefix + message).digest()
    k = int.from_bytes(hashed, "little") % L
    return same(times(s, BASE), add(r, times(k, point(key))))


# --- bytes and CBOR -------------------------------------------------------------------------------------------------

class Wrong(Exception):
    """What does not fit, in one sentence."""


def need(fits, sentence):
    if not fits:
        raise Wrong(sentence)


class Bytes:
    """Takes fields from the front."""

    def __init__(self, data, what):
        self.data, self.what, self.at = data, what, 0

    def take(self, count):
        need(self.at + count <= len(self.data), f"{self.what} ends early")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, count):
        return int.from_bytes(self.take(count), "little")

    def end(self):
        need(self.at == len(self.data), f"something follows {self.what}")


def cbor(of, depth=0):
    """The next CBOR item; only what format.md, section 1.4, allows."""
    first = of.take(1)[0]
    major, value = first >> 5, first & 31
    if value >= 24:
        need(value < 28 and major < 7, f"{of.what} holds a CBOR item of a kind that is not used")
        size = 1 << value - 24
        value = int.from_bytes(of.take(size), "big")
        need(value >= (24 if size == 1 else 1 << 4 * size), f"{of.what} is not in canonical form")
    if major == 0:
        return value
    if major == 1:
        return -1 - value
    if major == 2:
        return of.take(value)
    if major == 3:
        try:
            return of.take(value).decode("utf-8")
        except UnicodeDecodeError:
            raise Wrong(f"{of.what} holds a text that is not UTF-8") from None
    need(major == 7 or depth < 8, f"{of.what} is nested too deeply")
    if major == 4:
        return [cbor(of, depth + 1) for _ in range(value)]
    if major == 5:
        items, last = {}, -1
        for _ in range(value):
            need(of.at < len(of.data) and of.data[of.at] >> 5 == 0, f"{of.what} has a key that is no number")
            key = cbor(of, depth + 1)
            need(key > last, f"{of.what} has keys out of order")
            items[key], last = cbor(of, depth + 1), key
        return items
    need(major == 7 and 20 <= value <= 22, f"{of.what} holds a CBOR item of a kind that is not used")
    return {20: False, 21: True, 22: None}[value]


# --- what Daybook writes --------------------------------------------------------------------------------------------

LOW_ORDER = {bytes(32), b"\x01" + bytes(31), (P - 1).to_bytes(32, "little"),
             bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
             bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157")}
CONTROL = ZEROS = bytes(32)


def device_id(keys, _known={}):
    """The device of 96 bytes of public keys, each of which must be valid."""
    if keys not in _known:
        need(point(keys[:32]), "a signing key is not valid")
        for key in (keys[32:64], keys[64:]):
            need(int.from_bytes(key, "little") < P and key not in LOW_ORDER, "a wrap or Noise key is not valid")
        _known[keys] = h("device", keys)
    return _known[keys]


def founding(data):
    """Section 3: the incident id of a founding statement with its signatures."""
    of = Bytes(data, "the founding statement")
    statement = of.take(of.number(4))
    inner = Bytes(statement, "the founding statement")
    said = cbor(inner)
    inner.end()
    need(isinstance(said, dict) and list(said) == list(range(1, 9)), "the founding statement has other fields")
    form, suite, nonce, name, exercise, roots, quorum, recovery = said.values()
    need(type(form) is type(suite) is int and form == suite == 1, "the founding statement is of another format or suite")
    fits = isinstance(nonce, bytes) and len(nonce) == 16 and isinstance(name, str) and isinstance(exercise, bool)
    fits = fits and isinstance(roots, list) and type(quorum) is int and isinstance(recovery, bytes)
    fits = fits and len(name.encode()) <= 8192 and len(recovery) == 96 and 1 <= len(roots) <= 16
    fits = fits and all(isinstance(r, list) and [type(i) for i in r] == [bytes, str] and len(r[0]) == 96
                        and len(r[1].encode()) <= 8192 for r in roots)
    need(fits, "the founding statement does not fit its schema")
    need(2 * quorum > len(roots) > quorum if len(roots) >= 3 else quorum == 0, "the quorum is not possible")
    devices = {device_id(keys) for keys in [recovery, *(root[0] for root in roots)]}
    need(len(devices) == len(roots) + 1, "two roots are one device")
    incident = h("founding", statement)
    for keys, _ in roots:
        fits = signed(keys[:32], b"daybook 1 founding", incident, of.take(64))
        need(fits, "a root's signature does not fit the founding statement")
    of.end()
    return incident


def opened(data, incident):
    """Section 4.4: reads a run and checks its signatures."""
    of = Bytes(data, "a run")
    keys, incarnation, compartment, lane = of.take(96), of.take(16), of.take(32), of.take(1)
    first, before, count = of.number(8), of.take(32), of.number(4)
    need(lane[0] <= (0 if compartment == CONTROL else 2), "the lane of a run does not exist")
    need(1 <= count <= 1024, "a run has no entries, or more than 1,024")
    need(1 <= first and first + count - 1 < 2**32, "the places of a run are out of bounds")
    need((first == 1) == (before == ZEROS), "the first place and the backlink of a run contradict each other")
    control, device = compartment == CONTROL, device_id(keys)
    log = h("log", incident + device + incarnation + compartment + lane)
    ground, backlink, ids, bare = None, before, [], True
    for place in range(first, first + count):
        backlink, ground, kept = carried(of, log, place, backlink, ground, control)
        ids.append(backlink)
        bare = bare and not kept
    heads, last = {}, -1
    for _ in range(of.number(4)):
        at = of.number(4)
        need(last < at < count, "the heads of a run are out of order")
        heads[at], last = of.take(64), at
    of.end()
    for at, entry in enumerate(ids):
        place = first + at
        if control or place % 64 == 0 or at == count - 1:
            need(at in heads, f"log {log.hex()}: the signed head of entry {place} is missing")
            message = log + place.to_bytes(8, "little") + entry
            fits = signed(keys[:32], b"daybook 1 head", message, heads[at])
            need(fits, f"log {log.hex()}: the signature of entry {place} does not fit")
    return log, device, control, first, before, ids, bare and list(heads) == [count - 1]


def run(data, incident, logs, leading):
    """Checks a run and adds its entries to `logs`: log id -> {place: {entry id: backlink}}. A `leading` run of
    control may be known alone (section 11)."""
    log, _, control, first, backlink, ids, _ = opened(data, incident)
    here = logs.setdefault(log, {})
    before = first == 1 or backlink in here.get(first - 1, {})
    need(before or leading and control, f"log {log.hex()}: the entry before place {first} is not in the file")
    for place, entry in enumerate(ids, first):
        need(entry not in here.setdefault(place, {}), f"log {log.hex()}: entry {place} stands in the file twice")
        here[place][entry] = backlink
        backlink = entry
    return len(ids)


def proof(data):
    """Section 13.1: checks a proof; gives the incident id, how many entries were checked, and what is proved."""
    of = Bytes(data, "the proof")
    of.take(12)
    need(of.number(2) == 1, "this proof is of another format")
    return proof_of(data[14:])


def proof_of(data):
    of = Bytes(data, "the proof")
    need(len(data) <= 172032, "the proof is too long")
    kind, incident = of.number(1), of.take(32)
    need(kind in (1, 2), "the proof is of an unknown kind")
    proved, entries = (chains if kind == 1 else incarnations)(of, incident)
    of.end()
    return incident, entries, proved


def flood(data, incident):
    """A proof as it travels: it must show a flood of the incident."""
    of_incident, _, proved = proof_of(data)
    shown = " branches 9 " in proved or proved.endswith("incarnations 65")
    need(of_incident == incident and shown, "a proof is not one of a flood of this incident")


def chains(of, incident):
    count, logs, begins, entries = of.number(1), set(), [], 0
    need(2 <= count <= 16, "the proof has no chains, or too many")
    for _ in range(count):
        log, device, _, first, before, ids, chain = opened(of.take(of.number(4)), incident)
        need(chain and len(ids) <= 64, "a chain of the proof is longer than its signed head, or has a body")
        begins.append((first, before, ids[0]))
        need(begins[-2:-1] < begins[-1:], "the chains of the proof are out of order")
        logs.add((log, device))
        entries += len(ids)
    need(len(logs) == 1, "the chains of the proof are of several logs")
    groups = [sum(begin[:2] == other[:2] for other in begins) for begin in begins]
    need(min(groups) > 1, "a chain of the proof has no brother")
    branches = 1 + count - len({begin[:2] for begin in begins})
    need(branches <= 9, "the proof shows more than nine branches")
    return f"forked log {log.hex()} device {device.hex()} branches {branches} from {begins[0][0]}", entries


def incarnations(of, incident):
    keys, last = of.take(96), b""
    device = device_id(keys)
    for _ in range(65):
        incarnation, compartment, lane, place, entry = of.take(16), of.take(32), of.take(1), of.number(8), of.take(32)
        need(lane[0] <= (0 if compartment == CONTROL else 2), "the lane of a head does not exist")
        need(last < incarnation and 1 <= place < 2**32, "the heads of the proof are out of order or bounds")
        log = h("log", incident + device + incarnation + compartment + lane)
        message = log + place.to_bytes(8, "little") + entry
        need(signed(keys[:32], b"daybook 1 head", message, of.take(64)), "the signature of a head does not fit")
        last = incarnation
    return f"device {device.hex()} incarnations 65", 65


def carried(of, log, place, backlink, before, control):
    """Section 4.3: the id of the next carried entry, the ground that it stands on, and whether its body is there."""
    flags, all_of_ground = of.number(1), 3 if control else 7
    need(flags < 16 and not (control and flags & 4), "the flags of an entry do not exist")
    need(before or flags & all_of_ground == all_of_ground, "the first entry of a run does not carry its ground")
    ground = list(before or (ZEROS, ZEROS, ZEROS))
    for bit in range(3):
        if flags >> bit & 1:
            ground[bit] = of.take(32)
    nonce = bytes(24) if control else of.take(24)
    length = of.number(4)
    need(length <= (262144 if control else 65536), f"log {log.hex()}: the body of entry {place} is too long")
    need(length or not flags & 8, f"log {log.hex()}: the erased body of entry {place} had no length")
    hashed = of.take(32) if flags & 8 else h("body", of.take(length))
    sized = length.to_bytes(4, "little")
    entry = h("entry", log + place.to_bytes(8, "little") + backlink + b"".join(ground) + nonce + sized + hashed)
    return entry, tuple(ground), length > 0 and not flags & 8


def export(data):
    """Section 13: checks a whole file; gives the incident id and the logs."""
    of = Bytes(data, "the file")
    need(data[:12] == b"DAYBOOK LOG\0", "this is not an export of a Daybook log")
    of.take(12)
    need(of.number(2) == 1, "this export is of another format")
    length = of.number(4)
    need(length <= 262144, "the founding statement is too long")
    incident, logs, entries = founding(of.take(length)), {}, 0
    leading = True
    while True:
        so_far, kind, length = of.at, of.number(1), of.number(4)
        need(length <= 8388608, "a frame is too long")
        payload = of.take(length)
        if kind == 0:
            need(payload == h("export", data[:so_far]), "the end hash does not fit the file")
            of.end()
            return incident, logs, entries
        if kind == 2:
            need(len(payload) >= 144 and (len(payload) - 64) % 80 == 0, "a frame of parcels is no group of parcels")
            continue
        if kind == 3:
            flood(payload, incident)
            continue
        need(kind == 1, f"a frame is of the unknown kind {kind}")
        leading = leading and int.from_bytes(payload[145:153], "little") > 1
        entries += run(payload, incident, logs, leading)


def vector(text):
    """A file of vectors/failures: judges its bytes at its stage, as far as that needs no key and no roster."""
    head, _, body = text.partition("\n\n")
    words = dict(line.split(" ", 1) for line in head.splitlines())
    data, incident = bytes.fromhex(body), bytes.fromhex(words.get("incident", ""))
    match words["stage"]:
        case "run" | "head":
            opened(data, incident)
        case "founding":
            founding(data)
        case "proof":
            need(data[:12] == b"DAYBOOK FORK", "this is not a proof")
            proof(data)
        case "flood":
            flood(data, incident)
        case stage:
            raise Wrong(f"this reader does not judge the stage {stage}")


def main(arguments):
    if sys.version_info < (3, 11):
        print("this reader needs Python 3.11 or newer", file=sys.stderr)
        return 2
    if len(arguments) != 1:
        print("usage: python3 vectors/read.py FILE", file=sys.stderr)
        return 2
    try:
        with open(arguments[0], "rb") as file:
            data = file.read()
        if data[:6] == b"stage ":
            vector(data.decode())
            print("ok")
            return 0
        if data[:12] == b"DAYBOOK FORK":
            incident, entries, proved = proof(data)
            print(f"{proved}\nok incident {incident.hex()} entries {entries}")
            return 0
        incident, logs, entries = export(data)
    except (Wrong, OSError) as wrong:
        print(f"wrong: {wrong}", file=sys.stderr)
        return 1
    for log, places in logs.items():
        followed = {backlink for ids in places.values() for backlink in ids.values()}
        heads = sorted(entry for ids in places.values() for entry in ids if entry not in followed)
        count = sum(len(ids) for ids in places.values())
        print(f"log {log.hex()} entries {count}" + "".join(f" head {head.hex()}" for head in heads))
    print(f"ok incident {incident.hex()} entries {entries}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
