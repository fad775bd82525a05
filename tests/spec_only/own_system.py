"""Checks of our own for chapter 7: JSON (S-1 to S-4), what has an effect (D-32), chains and their entries, succession."""
import copy
import hashlib
import re

import ed25519
from admin import ConfigQuery, chain_answer
from cards import Rights
from config import CHANGE, CLAIM, ENROL, REVOKE, SEAL, Operation, owner_record
from consensus import Chain, Entry, epochs_of, take_step
from links import CLIENT, MEMBER, OBSERVER, OTHER_NODE
from machine import genesis_state
from operations import OK, RECORDED, REUSED, REVOKED, TOO_OLD
from spec_text import lines
from succession import Leaving, Statement, in_office, judged, kept, successor_genesis, windows_follow
from sysfile import SystemFile, canonical, parse_card_file
from wire import H, le, tag, word_of
from world import COORDINATOR, SHARD, Pair, card, entries_of, put, sealed_file, seed_of, world


def add(r, path):
    w = world()
    claims(r, w, path)
    json_texts(r, w)
    values_in_order(r, w)
    limits_of_config(r, w)
    input_hashes(r, w)
    chains(r, w)
    entry_order(r, w)
    card_files(r, w)
    rules(r, w)
    payload_ends(r, w)
    statements(r, w)
    leaving(r, w)
    office(r, w)
    genesis(r, w)


def claims(r, w, path):
    """S-110."""
    node, digits = w.nodes[SHARD][0], "0123456789abcdef" * 4
    rule = next(line for line in lines(path, "system") if line.startswith("- **S-110**"))
    listed = re.search(r"then ([a-z]+) texts, each .* and bytes: ([a-z, ]+); then", rule)
    r.equal("S-110 texts", ("eight", CLAIM), (listed[1], listed[2].split(", ")))

    def claim(*texts, number=1, behind=b"", owner="s-0", begin=b"\1" + bytes(7), of=node, count=len(CLAIM), cut=0):
        texts = [x.encode("latin-1") for x in texts] + [b""] * (count - len(texts))
        head = begin + le(number, 8) + of.id + b"".join(le(len(x), 1) + x for x in texts)
        signed = ed25519.sign(seed_of(owner, "owner"), tag("HRC claim") + H(0x12, head))
        raw = head + signed + behind
        return lambda: owner_record(raw[:len(raw) - cut], "claim", w.system_id, node)
    other = w.nodes[SHARD][1]
    r.words("S-110", [
        ("eight that say nothing", "ok", claim()), ("all of 128", "ok", claim(*["~" * 128] * 8)), ("one of 129", "truncated", claim("", "~" * 129)),
        ("an image by its digits", "ok", claim("amd64", "", "", "", digits)), ("by a word", "ok", claim("", "", "", "", "a tar of today")),
        ("a ninth", "truncated", claim(*[""] * 9)), ("0x7F", "truncated", claim("\x7f")), ("number 0", "truncated", claim(number=0)),
        ("format 2", "truncated", claim(begin=b"\2" + bytes(7))), ("zero", "truncated", claim(begin=b"\1\0\0\1" + bytes(4))),
        ("zero u32", "truncated", claim(begin=b"\1" + bytes(6) + b"\1")), ("a byte less", "truncated", claim(cut=1)),
        ("seven", "truncated", claim(count=7)),
        ("of another node", "foreign", claim(of=other)), ("of another node, signed by its owner", "foreign", claim(of=other, owner="s-1")),
        ("form before whose it is", "truncated", claim(of=other, behind=b"x")), ("of another node before another signature", "foreign", claim(
            of=other, owner="somebody")),
        ("a byte behind", "truncated", claim(behind=b"x")), ("signed by another owner", "signature-invalid", claim(owner="s-1"))])
    r.facts("S-110", [("seven, whatever the signature's first byte", {"truncated"}, lambda: {word_of(claim("x" * n, count=7)) for n in range(128)})])


def json_texts(r, w):
    whole = canonical(w.object)

    def but(*pairs):
        text = whole
        for find, replace in pairs:
            if find not in text:
                raise ValueError("not in the file: %s" % find)
            text = text.replace(find, replace, 1)
        return lambda: SystemFile(text)
    window = lambda x: but((b'"window_blocks": 4', b'"window_blocks": ' + x))
    burst = lambda x: (b'"quota_burst": 0', b'"quota_burst": ' + x)
    name = lambda x: (b'"name": "spec-only"', b'"name": "' + x + b'"')
    form = lambda x: (b'"format": 1,\n  "limits"', b'"format": ' + x + b',\n  "limits"')
    needed, no_needed = b'"needed": 2', (b',\n    "needed": 2', b'')
    r.words("S-4 numbers", [
        ("as it is", "ok", but()), ("-0", "not-canonical", but(burst(b"-0"))), ("-0 where no 0 is allowed", "field-range", window(b"-0")),
        ("-0 and another fault", "format-unknown", but(burst(b"-0"), form(b"2"))), ("-1", "field-type", window(b"-1")),
        ("0.0", "field-type", but(burst(b"0.0"))), ("-0.0", "field-type", but(burst(b"-0.0"))), ("0e0", "field-type", but(burst(b"0e0"))),
        ("4e400", "field-type", window(b"4e400")), ("-00", "not-json", but(burst(b"-00"))), ("00", "not-json", but(burst(b"00"))),
        ("04", "not-json", window(b"04")), ("+4", "not-json", window(b"+4")), (".5", "not-json", window(b".5")), ("4.", "not-json", window(b"4.")),
        ("NaN", "not-json", window(b"NaN")), ("-Infinity", "not-json", window(b"-Infinity")), ("true", "field-type", window(b"true")),
        ("null", "field-type", window(b"null")), ("2^53 - 1", "field-range", window(b"9007199254740991")),
        ("2^64", "field-range", window(b"18446744073709551616")), ("50 digits", "field-range", window(b"9" * 50)),
        ("10,000 digits", "field-range", window(b"9" * 10000)), ("50 digits below 0", "field-type", window(b"-" + b"9" * 50)),
        ("2^53 as format", "field-range", but(form(b"9007199254740992"))), ("2^53 - 1 as format", "format-unknown", but(form(b"9007199254740991"))),
        ("a fraction as format", "field-type", but(form(b"1.0")))])
    either = {"not-json", "field-type"}  # S-1: programs differ there
    r.facts("S-1 as one likes", [
        (what, True, lambda f=f: word_of(f) in either) for what, f in [
            ("half a pair", but(name(b"\\ud800"))), ("1,100 brackets", but((needed, b'"needed": ' + b"[" * 1100 + b"]" * 1100)))]])
    r.words("S-1, S-3 strings", [
        ("U+0000 as an escape", "not-json", but(name(b"a\\u0000b"))), ("as it is", "not-json", but(name(b"a\0b"))),
        ("before format 2", "not-json", but(name(b"\\u0000"), form(b"2"))), ("in a name", "not-json", but((b'"name"', b'"na\\u0000me"'))),
        ("where no string may be", "not-json", but(burst(b'["\\u0000"]'))), ("in a card", "not-json", but((b'"name": "c-0"', b'"name": "c\\u0000"'))),
        ("U+0001 as an escape", "field-type", but(name(b"a\\u0001b"))), ("as it is, which JSON lacks", "not-json", but(name(b"a\1b"))),
        ("U+0020 as an escape: S-5", "field-range", but(name(b"a\\u0020b"))), ("a letter as one", "not-canonical", but(name(b"spec-onl\\u0079"))),
        ("a backslash", "field-type", but(name(b"a\\\\b"))),
        ("a name twice in an object that is unknown", "not-json", but((needed, b'"needed": {"a": 1, "a": 1}'))),
        ("1,000 brackets", "field-type", but((needed, b'"needed": ' + b"[" * 997 + b"]" * 997))),
        ("one bracket less at the end", "not-json", but((needed, b'"needed": ' + b"[" * 997 + b"]" * 996))),
        ("no UTF-8", "not-json", but(name(b"\xff"))), ("a mark of order", "not-json", lambda: SystemFile(b"\xef\xbb\xbf" + whole)),
        ("a name twice, once as an escape", "not-json", but((needed, b'"needed": 2,\n    "neede\\u0064": 2'))),
        ("nothing", "not-json", lambda: SystemFile(b"")), ("an array", "not-json", lambda: SystemFile(b"[]\n")),
        ("a text", "not-json", lambda: SystemFile(b'"format"\n')),
        ("a number", "not-json", lambda: SystemFile(b"1\n")), ("null", "not-json", lambda: SystemFile(b"null\n")),
        ("missing before unknown", "field-missing", but((needed, b'"nedeed": 2'))),
        ("unknown before values", "field-unknown", but((needed, b'"needed": -1,\n    "z": 0'))),
        ("missing before what is inside of others", "field-missing", but(no_needed, (b'"card": "admin"', b'"card": 1')))])


def card_files(r, w):
    """S-1, S-16."""
    good = w.nodes[SHARD][0].json()
    read = lambda kind=1, **x: lambda: parse_card_file(canonical({k: v for k, v in {**good, **x}.items() if v is not None}), kind)
    raw = lambda text: lambda: parse_card_file(text, 1)
    r.words("S-16", [
        ("as it is", "ok", read()), ("an array", "not-json", raw(b"[]\n")), ("a text", "not-json", raw(b'"card"\n')),
        ("another id", "id-mismatch", read(id="00" * 32)), ("its proofs before the id", "proof-invalid", read(id="00" * 32, signing_proof="00" * 64)),
        ("a key before it", "key-invalid", read(id="00" * 32, signing_key="00" * 32)),
        ("the id before the form", "id-mismatch", raw(canonical({**good, "id": "00" * 32}) + b"\n")),
        ("no owner's key", "field-missing", read(owner_key=None)), ("one more", "field-unknown", read(x=1)),
        ("format 2", "format-unknown", read(format=2)),
        ("8,193 bytes", "too-large", raw(b" " * 8193)), ("of 8,192", "not-json", raw(b" " * 8192))])


def rules(r, w):
    """S-31."""
    def with_(*some, **x):
        obj = copy.deepcopy(w.object)
        obj["clients"][0].update(rights=[{"allow": allow, "prefix": prefix} for allow, prefix in some], **x)
        return lambda: sealed_file(obj)
    r.words("S-31", [
        ("none", "ok", with_()), ("a prefix before what it begins", "ok", with_(("r", ""), ("w", "00"), ("rw", "0000"))),
        ("behind it", "order", with_(("r", "0000"), ("w", "00"))), ("twice", "order", with_(("r", "00"), ("w", "00"))),
        ("256 bytes", "ok", with_(("r", "00" * 256))), ("257", "field-range", with_(("r", "00" * 257))),
        ("half a byte", "field-type", with_(("r", "000"))), ("wr", "field-range", with_(("wr", ""))), ("16 rules", "ok", with_(*[
            ("r", "%02x" % i) for i in range(16)])), ("17", "too-large", with_(*[("r", "%02x" % i) for i in range(17)])),
        ("a burst without quota", "field-range", with_(quota_burst=1)), ("a quota without burst", "field-range", with_(quota_per_second=1)),
        ("both", "ok", with_(quota_per_second=1, quota_burst=2**32 - 1)), ("2^32", "field-range", with_(quota_per_second=2**32, quota_burst=1))])


def entry_order(r, w):
    """S-101, S-104: the order of an entry's faults."""
    base = w.file.genesis(SHARD)
    second = w.changed(base, {"due_blocks": 3})
    op, enrol = w.config(base, second), w.operation(ENROL, 0, 1, w.file.file_hash, card(2, "late").proven + Rights(0, 0, []).encode())
    few = w.config(base, second, signers=w.admins[:1])
    good = w.entry(base, 5, op)[0]
    body, certificate = good[248:248 + 52], good[248 + 52 + 4 + len(op) + 4:]
    part = lambda x: le(len(x), 4) + x
    made = lambda body=body, op=op, certificate=certificate, tail=b"", head=good[:244]: head + part(body) + part(op) + part(certificate) + tail
    step = lambda **x: lambda: take_step(base.limits, base, 0, Entry(made(**x)))
    format_2, no_form, wrong = op[:1] + b"\2" + op[2:], b"\3" + certificate[1:], certificate[:-5] + bytes([certificate[-5] ^ 1]) + certificate[-4:]
    long, most = bytes((1 << 20) + 1), bytes(1 << 20)
    r.words("S-101 order", [
        ("a step", "ok", step()), ("a body of 2^20 + 1", "truncated", step(body=long)), ("of 2^20", "certificate", step(body=most)),
        ("a byte behind", "truncated", step(tail=b"\0")),
        ("lengths before the certificate's form", "truncated", step(certificate=no_form, tail=b"\0")),
        ("before the operation", "truncated", step(op=format_2, tail=b"\0")),
        ("the certificate's form before the operation", "certificate", step(certificate=no_form, op=format_2)),
        ("the operation before what the certificate proves", "format-unknown", step(certificate=wrong, op=format_2)),
        ("an enrolment", "field-range", step(op=enrol)), ("its kind before its signatures", "field-range", step(op=enrol[:-196] + bytes(4))),
        ("the operation's signatures before the body", "signatures-too-few", step(op=few, body=bytes(4))),
        ("before what the certificate proves", "signatures-too-few", step(op=few, certificate=wrong)),
        ("what it proves", "certificate", step(certificate=wrong)), ("another header", "certificate", step(head=bytes(244)))])
    seal = w.entry(second, 9, w.operation(SEAL, SHARD, 2, second.hash, b""))[0]
    shown = lambda *entries, most=2**64 - 1: lambda: epochs_of(base, w.chain(SHARD, entries), most)
    r.words("S-104 order", [
        ("entry after entry", "certificate", shown(made(certificate=wrong), b"")), ("its length first", "certificate", shown(
            made(certificate=wrong), made(tail=b"\0"))),
        ("after SEAL, whatever it is", "serial", shown(good, seal, b"")), ("beyond, it must decode", "truncated", shown(good, seal, b"", most=2)),
        ("beyond, after SEAL", "ok", shown(good, seal, good, most=2)), ("beyond, of whatever kind", "ok", shown(good, made(op=enrol), most=1)),
        ("beyond, of whatever serial", "ok", shown(good, good, most=1)), ("which is judged", "serial", shown(good, good, most=2)),
        ("beyond, proved by nothing", "ok", shown(good, made(certificate=wrong), most=1)),
        ("beyond, whose certificate does not decode", "certificate", shown(good, made(certificate=no_form), most=1)),
        ("before the operation", "certificate", shown(good, made(certificate=no_form, op=format_2), most=1)),
        ("beyond, whose operation does not", "format-unknown", shown(good, made(op=format_2), most=1)),
        ("beyond, whose body is too long", "truncated", shown(good, made(body=long), most=1)),
        ("beyond, whose body is no body", "ok", shown(good, made(body=b"\1"), most=1))])


def payload_ends(r, w):
    """S-103, S-104: what the payload is, and where its faults are found."""
    base = w.file.genesis(SHARD)
    second = w.changed(base, {"due_blocks": 3})
    good = w.entry(base, 5, w.config(base, second))[0]
    few = w.entry(base, 5, w.config(base, second, signers=w.admins[:1]))[0]
    after = w.entry(second, 9, w.config(second, w.changed(second)))[0]
    seal = w.entry(second, 9, w.operation(SEAL, SHARD, 2, second.hash, b""))[0]
    head = lambda count, first=1, cluster=SHARD: le(cluster, 4) + le(count, 4) + le(first, 8)
    part = lambda x: le(len(x), 4) + x
    told = lambda raw, most=2**64 - 1: lambda: epochs_of(base, raw, most)

    def kept(count, *parts, first=1):
        """S-105: the epochs that one comes to who knows epoch 1, then the word."""
        chain = Chain(base)
        chain.take(w.chain(SHARD, [good]))
        word = word_of(chain.take, head(count, first) + b"".join(parts))
        return len(chain.epochs()) - 1, word
    r.words("S-104 payload", [
        ("none", "ok", told(b"")), ("a head alone", "ok", told(head(0))), ("a head cut off", "truncated", told(head(0)[:-1])),
        ("4,097 entries", "truncated", told(head(4097))), ("4,096, of which none is there", "truncated", told(head(4096))),
        ("257, of which one is there", "truncated", told(head(257) + part(good))),
        ("4,097 before another cluster", "truncated", told(head(4097, cluster=COORDINATOR))),
        ("serial 0 before another cluster", "truncated", told(head(1, 0, COORDINATOR) + part(good))),
        ("serial 0 without entries", "truncated", told(head(0, 0))),
        ("another cluster before the serial", "foreign", told(head(1, 2, COORDINATOR) + part(good))),
        ("from serial 2, without entries: nowhere", "ok", told(head(0, 2))), ("and a byte", "truncated", told(head(0, 2) + b"\0")),
        ("from serial 0", "truncated", told(head(1, 0) + part(good))),
        ("a gap before what the entry is", "serial", told(head(1, 2) + part(b""))),
        ("an entry less than counted", "truncated", told(head(2) + part(good))), ("found last", "signatures-too-few", told(head(2) + part(few))),
        ("a byte behind", "truncated", told(head(1) + part(good) + b"\0")),
        ("found last", "signatures-too-few", told(head(1) + part(few) + b"\0")),
        ("a length beyond the payload", "truncated", told(head(1) + part(good)[:-1])),
        ("found where it stands", "signatures-too-few", told(head(2) + part(few) + part(after)[:-1])),
        ("before the entry that it cuts off", "truncated", told(head(1) + le(len(few) + 1, 4) + few)),
        ("before the next one's faults", "truncated", told(head(2) + le(2**32 - 1, 4) + good + part(few))),
        ("after SEAL, of which the payload has too little", "truncated", told(head(3) + part(good) + part(seal) + part(good)[:-1])),
        ("beyond the epoch asked for, too", "truncated", told(head(2) + part(good) + part(after)[:-1], 1)),
        ("and behind it", "truncated", told(head(2) + part(good) + part(after) + b"\0", 1))])
    r.facts("S-105 payload", [
        ("steps before a fault are steps", (2, "truncated"), lambda: kept(1, part(after), b"\0", first=2)),
        ("and before one of the payload's length", (2, "truncated"), lambda: kept(2, part(after), first=2)),
        ("a gap", (1, "serial"), lambda: kept(1, part(after), first=3)), ("serial 0", (1, "truncated"), lambda: kept(0, first=0)),
        ("what is skipped is not looked at", (2, "ok"), lambda: kept(2, part(b"x"), part(after))),
        ("not even if there is nothing", (2, "ok"), lambda: kept(2, part(b""), part(after))),
        ("but its length must fit", (1, "truncated"), lambda: kept(1, part(b"x")[:-1])),
        ("and no more be counted", (1, "truncated"), lambda: kept(2, part(b"x"))), ("nothing", (1, "ok"), lambda: kept(0, first=3)),
        ("nothing, and a byte", (1, "truncated"), lambda: kept(0, b"\0", first=2))])
    small, many = ConfigQuery(head(0)), [b"x"] * 4097
    count = lambda entries, *frame: lambda: int.from_bytes(chain_answer(small, SHARD, {SHARD: entries}, CLIENT, *frame)[4:8], "little")
    r.facts("S-103 answer", [
        ("4,096 at most", 4096, count(many)), ("as many as fit a frame", 3, count(many, 16 + 15)), ("to the byte", 2, count(many, 16 + 14)),
        ("of 32 MiB", 31, count([bytes(1 << 20)] * 33)), ("none fits", 0, count(many, 20))])


def values_in_order(r, w):
    """S-4: each value wholly where it stands."""
    def but(change):
        obj = copy.deepcopy(w.object)
        change(obj)
        return lambda: SystemFile(canonical(obj))

    def at(*changes):
        def change(obj):
            for path, value in changes:
                place = obj
                for x in path[:-1]:
                    place = place[x]
                place[path[-1]] = value
        return but(change)
    card_bad, card_type = (("administrators", "cards", 2, "id"), "00" * 32), (("administrators", "cards", 0, "name"), 1)
    needed, nodes = (("administrators", "needed"), -1), ("coordinators", 0, "nodes")
    height, burst = (("coordinators", 0, "origin_height"), "00"), (("clients", 0, "quota_burst"), 2**32)
    client, rights = (("clients", 0, "card", "id"), "00" * 32), ("clients", 0, "rights")
    r.words("S-4 order", [
        ("the last card before `needed`", "id-mismatch", at(card_bad, needed)), ("card after card", "field-type", at(card_bad, card_type)),
        ("`needed` before coordinators", "field-type", at(needed, (nodes, []))),
        ("too few nodes before a height", "field-range", at((nodes, []), height)), ("too many", "too-large", at((nodes, [1] * 17), height)),
        ("a node's id before a height", "id-mismatch", at((nodes + (3, "id"), "00" * 32), height)),
        ("a height before the next cluster", "field-type", at(height, (("shards", 0, "nodes"), []))),
        ("a height before its root", "field-range", at((height[0], str(2**64)), (("coordinators", 0, "origin_root"), 0))),
        ("a client's card before its quota", "id-mismatch", at(client, burst)),
        ("that it is no object, too", "field-type", at((client[0][:3], 1), burst)),
        ("the quota before the rights", "field-range", at(burst, (rights, 1))),
        ("rule after rule", "field-range", at((rights, [{"allow": "x", "prefix": ""}, 1]))),
        ("17 rules before what is in them", "too-large", at((rights, [1] * 17))),
        ("`allow` before `prefix`", "field-range", at((rights, [{"allow": "x", "prefix": 1}]))),
        ("an integer beyond 64 bits, where it stands", "field-type", at((("administrators", "needed"), 10**30), card_type)),
        ("what is missing inside after what is of another type before", "field-type", at((("name",), 1), (("administrators",), {}))),
        ("limits before administrators", "field-type", at((("limits",), []), card_type))])


def limits_of_config(r, w):
    base = w.file.genesis(SHARD)
    lowered, wider = w.changed(base, {"credit_ops": 200000}), w.changed(base, {"number_window": 1040})
    effect = lambda before, after: lambda: Operation(w.config(before, after)).effect(before, base.limits)
    chain = lambda limits: lambda: epochs_of(base, w.chain(SHARD, [w.entry(base, 5, w.config(base, w.changed(base, limits)))[0]]))
    other_slices = {"slice_bytes_max": base.limits["slice_bytes_max"] - 65536}
    first = w.file.genesis(COORDINATOR)
    less = w.changed(first, {"credit_ops": 200000})

    def executed(*limits):
        """The newest serial at the coordinator, and at the shard that hears of it, after one CONFIG for each change of limits."""
        pair = Pair.of_genesis(w)
        for x in limits:
            now = pair.coordinator.config
            pair.decide((3, w.config(now, w.changed(now, x)), 0))
        pair.decide()  # nothing was acknowledged since the first, so the newest item waits for due_ms
        return pair.coordinator.config.serial, pair.shard.known_config(COORDINATOR).serial
    r.facts("D-32 in execution", [
        ("credit_ops sinks and rises again", (2, 2), lambda: executed(less.limits, first.limits)),
        ("and above the system file's", (2, 2), lambda: executed(less.limits, first.limits, {"credit_ops": 262145})),
        ("slice_bytes_max sinks", (0, 0), lambda: executed(other_slices)),
        ("number_window rises", (1, 1), lambda: executed({"number_window": 1040})),
        ("and never sinks", (1, 1), lambda: executed({"number_window": 1040}, {"number_window": 1024}))])
    r.words("D-32", [
        ("a limit that nobody reserves memory by is raised", "ok", effect(base, w.changed(base, {"window_blocks": 4}))),
        ("credit_ops sinks", "ok", effect(base, lowered)),
        ("credit_ops rises again to the system file's", "ok", effect(lowered, w.changed(lowered, {"credit_ops": 262144}))),
        ("credit_ops above the system file's", "limits-conflict", effect(lowered, w.changed(lowered, {"credit_ops": 262145}))),
        ("clients_max above it", "limits-conflict", effect(base, w.changed(base, {"clients_max": 65537}))),
        ("slice_bytes_max sinks", "limits-conflict", effect(base, w.changed(base, other_slices))),
        ("slice_ops_max sinks", "limits-conflict", effect(base, w.changed(base, {"slice_ops_max": 65535}))),
        ("number_window sinks", "limits-conflict", effect(base, w.changed(base, {"number_window": 1008}))),
        ("number_window rises", "ok", effect(base, w.changed(base, {"number_window": 1040}))),
        ("number_window sinks to where it began", "limits-conflict", effect(wider, w.changed(wider, {"number_window": 1024}))),
        ("a card is missing, before the limits", "proof-invalid", effect(base, w.changed(
            base, other_slices, w.replace(base, 3, w.node("uncarded")).members))),
        ("a chain's entry that had an effect", "ok", chain({"due_blocks": 3})),
        ("a chain's entry that had none", "limits-conflict", chain(other_slices)),
        ("one by which number_window sinks", "limits-conflict", chain({"number_window": 1008})),
        ("one by which clients_max rises", "limits-conflict", chain({"clients_max": 65537}))])


def input_hashes(r, w):
    """D-2, S-71, S-101, S-102: an operation has one hash, and as an input of a block one for each set of its signatures."""
    base, first = w.file.genesis(SHARD), w.file.file_hash
    after = w.changed(base, {"due_blocks": 3})
    sets = (w.admins[:2], w.admins[1:], w.admins, w.admins[:1])
    rights = Rights(0, 0, [(3, b"k")]).encode()
    bodies = {"ENROL": (ENROL, 0, 1, first, card(2, "hashed").proven + rights), "CHANGE": (CHANGE, 0, 1, first, w.client.id + rights),
              "REVOKE": (REVOKE, 0, 1, first, w.client.id), "SEAL": (SEAL, SHARD, 1, base.hash, b"")}
    made = {name: [w.operation(*x, signers=s) for s in sets] for name, x in bodies.items()}
    made["CONFIG"] = [w.config(base, after, signers=s) for s in sets]
    ops = {name: [Operation(raw) for raw in raws] for name, raws in made.items()}
    sha = lambda *parts: hashlib.sha256(b"".join(parts)).digest()
    text = lambda op: op.raw[:-4 - 96 * len(op.signatures)]
    for name, these in sorted(ops.items()):
        r.facts("S-71 " + name, [
            ("one hash", {sha(b"\x11", text(these[0]))}, lambda these=these: {op.hash for op in these}),
            ("an input hash for each set", [sha(b"\x19", raw) for raw in made[name]], lambda these=these: [op.input_hash for op in these]),
            ("none twice, and none is a hash", 5, lambda these=these: len({op.input_hash for op in these} | {these[0].hash})),
            ("no signature, another one still", 6, lambda these=these: len({op.input_hash for op in these} | {
                these[0].hash, Operation(text(these[0]) + bytes(4)).input_hash}))])
        r.words("S-71 " + name, [("signed by set %d" % i, "signatures-too-few" if i == 3 else "ok", lambda op=op: op.signed_by(base))
                                 for i, op in enumerate(these)])

    def step(op, named=None):
        return lambda: take_step(base.limits, base, 0, Entry(w.entry(base, 5, op.raw, named=named)[0]))
    for name in ("CONFIG", "SEAL"):
        a, b, all_, few = ops[name]
        r.words("S-101 " + name, [
            ("two signed", "ok", step(a)), ("the other two", "ok", step(b)), ("all three", "ok", step(all_)),
            ("the body names it", "ok", step(a, a.input_hash)), ("the body names the other set", "certificate", step(a, b.input_hash)),
            ("and the other way round", "certificate", step(b, a.input_hash)), ("a set with one more", "certificate", step(a, all_.input_hash)),
            ("a set with one less", "certificate", step(all_, a.input_hash)), ("one that had no effect", "certificate", step(a, few.input_hash)),
            ("its hash 0x11", "certificate", step(a, a.hash)), ("0x11 over the whole", "certificate", step(a, sha(b"\x11", a.raw))),
            ("0x19 up to the signatures", "certificate", step(a, sha(b"\x19", text(a)))),
            ("the signatures before the name", "signatures-too-few", step(few, a.input_hash)),
            ("another operation", "certificate", step(a, ops["SEAL" if name == "CONFIG" else "CONFIG"][0].input_hash))])
    swapped = w.chain(SHARD, [w.entry(base, 5, ops["CONFIG"][1].raw, named=ops["CONFIG"][0].input_hash)[0]])
    r.words("S-104", [("a chain whose body names the other set", "certificate", lambda: epochs_of(base, swapped))])

    def newest(*inputs):
        """Number and hash of the newest enrolment after these inputs, each in a block of its own; then the state's root."""
        pair = Pair.of_genesis(w)
        for raw in inputs:
            pair.decide((3, raw, 0))
        raw = pair.coordinator.get(b"e")
        return int.from_bytes(raw[:8], "little"), raw[8:40], pair.coordinator.root()
    enrol, second = made["ENROL"], w.operation(REVOKE, 0, 2, ops["ENROL"][0].hash, w.client.id)
    by_input = w.operation(REVOKE, 0, 2, ops["ENROL"][0].input_hash, w.client.id)
    hash_ = ops["ENROL"][0].hash
    r.facts("S-71, S-78", [
        ("too few, then enough", (1, hash_), lambda: newest(enrol[3], enrol[0])[:2]),
        ("two sets, of which the second has no effect", (1, hash_), lambda: newest(enrol[0], enrol[1])[:2]),
        ("ENROL leaves one state, whoever signed", 1, lambda: len({newest(x)[2] for x in enrol[:3]})),
        ("REVOKE, whose item has the signatures, one for each set", 3, lambda: len({newest(x)[2] for x in made["REVOKE"][:3]})),
        ("the next one after the first set", 2, lambda: newest(enrol[0], second)[0]),
        ("and after the other", 2, lambda: newest(enrol[1], second)[0]),
        ("an input hash is no predecessor", 1, lambda: newest(enrol[0], by_input)[0])])


def chains(r, w):
    base = w.file.genesis(SHARD)
    second = w.changed(base, {"due_blocks": 3})
    entries = [w.entry(base, 5, w.config(base, second))[0], w.entry(second, 9, w.config(second, w.changed(second)))[0]]
    known = {SHARD: entries, COORDINATOR: []}
    query = lambda cluster, first, zero=0: le(cluster, 4) + le(zero, 4) + le(first, 8)
    answer = lambda cluster, first, role: lambda: chain_answer(ConfigQuery(query(cluster, first)), SHARD, known, role)
    own, nothing = w.chain(SHARD, entries), w.chain(COORDINATOR, [])
    r.words("S-103 CONFIG_QUERY", [
        ("well formed", "ok", lambda: ConfigQuery(query(SHARD, 1))),
        ("from_serial 0", "field-range", lambda: ConfigQuery(query(SHARD, 0))),
        ("zero is not", "field-range", lambda: ConfigQuery(query(SHARD, 1, 1))),
        ("a byte more", "truncated", lambda: ConfigQuery(query(SHARD, 1) + b"\0"))])
    r.facts("S-103", [("own chain to " + role, own, answer(SHARD, 1, role)) for role in (MEMBER, OBSERVER, OTHER_NODE, CLIENT)])
    r.facts("S-103", [
        ("from the second on", w.chain(SHARD, entries[1:], 2), answer(SHARD, 2, CLIENT)),
        ("beyond the newest: count 0", w.chain(SHARD, [], 3), answer(SHARD, 3, CLIENT)),
        ("a pair's chain to a member", nothing, answer(COORDINATOR, 1, MEMBER)),
        ("a pair's chain to an observer", nothing, answer(COORDINATOR, 1, OBSERVER)),
        ("a pair's chain to a node of another cluster", None, answer(COORDINATOR, 1, OTHER_NODE)),
        ("a pair's chain to a client", None, answer(COORDINATOR, 1, CLIENT)),
        ("the chain of a cluster that is no pair", None, answer(SHARD + 1, 1, MEMBER))])
    sealed = w.entry(second, 9, w.operation(SEAL, SHARD, 2, second.hash, b""))[0]
    known_chain(r, w, base, entries, sealed)
    r.words("S-104", [
        ("a chain that leads to its epoch", "ok", lambda: epochs_of(base, own)),
        ("a chain from serial 2 on", "serial", lambda: epochs_of(base, w.chain(SHARD, entries[1:], 2))),
        ("an entry twice", "serial", lambda: epochs_of(base, w.chain(SHARD, entries[:1] * 2)))])
    refused = w.entry(second, 9, w.config(second, w.changed(second, {"slice_ops_max": 65535})))[0]
    chain_to = lambda most, *more: lambda: [e.epoch for e, _ in epochs_of(base, w.chain(SHARD, [entries[0], *more]), most)]
    r.facts("S-104", [("a step beyond what is asked for that D-32 refuses", [0, 1], chain_to(1, refused))])
    r.words("S-104", [
        ("the step asked for is one", "limits-conflict", chain_to(2, refused)),
        ("one beyond that does not decode", "truncated", chain_to(1, refused[:-1])), ("nor do its bytes", "truncated", chain_to(1, b""))])


def known_chain(r, w, base, entries, sealed):
    """P-40, S-105: what a member that fell behind takes of the chains that it is told."""
    payload = lambda *numbers: w.chain(SHARD, [entries[i - 1] for i in numbers], numbers[0])

    def told(*payloads):
        chain = Chain(base)
        for x in payloads:
            chain.take(x)
        return [e.epoch for e, _ in chain.epochs()]
    r.facts("S-105", [
        ("nothing", [0], told), ("all at once", [0, 1, 2], lambda: told(payload(1, 2))),
        ("one after another", [0, 1, 2], lambda: told(payload(1), payload(2))),
        ("what is known is skipped", [0, 1, 2], lambda: told(payload(1), payload(1, 2), payload(1))),
        ("an end by SEAL", [0, 1], lambda: told(payload(1), w.chain(SHARD, [sealed], 2)))])
    r.words("S-105", [
        ("the next", "ok", lambda: told(payload(1), payload(2))), ("a gap", "serial", lambda: told(payload(2))),
        ("another cluster's", "foreign", lambda: told(w.chain(COORDINATOR, []))),
        ("after SEAL nothing follows", "serial", lambda: told(payload(1), w.chain(SHARD, [sealed], 2), w.chain(SHARD, [
            w.entry(base, 20, w.operation(SEAL, SHARD, 3, base.hash, b""))[0]], 3)))])


def statements(r, w):
    new, config = w.successor(b"\x11" * 32), w.file.genesis(SHARD)
    node = w.nodes[SHARD][0]
    good = w.statement(new, w.admins[:2])
    check = lambda raw, f=new: lambda: Statement(raw).check(config, w.file, f)
    other = copy.deepcopy(w.object)
    other.update(predecessor_id=w.system_id.hex(), succession=2)
    other["shards"][0].update(origin_height="16", origin_root="11" * 32)
    later, rekeyed = sealed_file(other), w.successor(b"\x11" * 32, partition_key="22" * 16)
    wide = w.successor(b"\x11" * 32, shards=[copy.deepcopy(w.object["shards"][0]), {"nodes": [w.node("t-%d" % i).json() for i in range(4)]}])
    strange = copy.deepcopy(other)
    strange.update(predecessor_id="22" * 16, succession=1)
    child = sealed_file(strange)
    strange.update(partition_key="22" * 16)
    strange = sealed_file(strange)
    swapped = good[:72] + good[168:] + good[72:168]
    r.words("S-141, S-142", [
        ("two of three", "ok", check(good)), ("all three", "ok", check(w.statement(new, w.admins))),
        ("one of three", "signatures-too-few", check(w.statement(new, w.admins[:1]))),
        ("a stranger", "signature-invalid", check(w.statement(new, w.admins[:2] + [node]))),
        ("a bit of a signature", "signature-invalid", check(good[:-1] + bytes([good[-1] ^ 1]))),
        ("not ascending", "order", check(swapped)), ("a byte less", "truncated", check(good[:-1])),
        ("a byte more", "truncated", check(good + b"\0")), ("format 2", "truncated", check(b"\x02" + good[1:])),
        ("zero is not", "truncated", check(good[:1] + b"\x01" + good[2:])),
        ("33 signatures", "truncated", check(good[:4] + le(33, 4) + good[8:])),
        ("successor_id of another file", "id-mismatch", check(w.statement(new, w.admins[:2], successor=bytes(16)))),
        ("of another predecessor", "foreign", check(w.statement(new, w.admins[:2], predecessor=bytes(16)))),
        ("of another file", "foreign", check(good, w.successor(b"\x12" * 32))),
        ("succession by two", "serial", check(w.statement(later, w.admins[:2]), later)),
        ("another partition key", "serial", check(w.statement(rekeyed, w.admins[:2]), rekeyed)),
        ("two shards", "serial", check(w.statement(wide, w.admins[:2]), wide)),
        ("a file of another predecessor", "foreign", check(w.statement(child, w.admins[:2]), child)),
        ("and with another partition key", "foreign", check(w.statement(strange, w.admins[:2]), strange))])
    origin = lambda **x: lambda: origin_file(w, **x)
    r.words("S-22 of a successor", [
        ("a shard with both", "ok", origin(origin_height="7", origin_root="11" * 32)),
        ("a shard without a root", "field-range", origin(origin_height="7", origin_root="00" * 32)),
        ("a height of its own succession", "field-range", origin(origin_height=str(1 << 48), origin_root="11" * 32))])


def origin_file(w, **shard):
    obj = copy.deepcopy(w.object)
    obj.update(predecessor_id=w.system_id.hex(), succession=1)
    obj["shards"][0].update(shard)
    return sealed_file(obj)


def leaving(r, w):
    one, two, config = w.successor(b"\x11" * 32), w.successor(b"\x12" * 32), w.file.genesis(SHARD)
    shown = lambda node, f, signers: node.shown(Statement(w.statement(f, signers)), config, w.file, f)

    def after(*first):
        node = Leaving()
        for f, signers in first:
            shown(node, f, signers)
        return node
    few, enough, rest = w.admins[:1], w.admins[:2], w.admins[1:]
    r.facts("S-143", [
        ("the first valid one", True, lambda: shown(after(), one, enough)),
        ("one that is not valid", False, lambda: shown(after(), one, few)),
        ("the same again under other signatures", True, lambda: shown(after((one, enough)), one, rest)),
        ("another successor", False, lambda: shown(after((one, enough)), two, enough)),
        ("another one after one that was not valid", True, lambda: shown(after((one, few)), two, enough))])


def office(r, w):
    """S-142: by which CONFIG who is no node of the old system judges."""
    base, first = w.file.genesis(SHARD), w.file.genesis(COORDINATOR)
    second = w.changed(base, k=3)
    third = w.changed(second)
    entries = [w.entry(base, 5, w.config(base, second))[0], w.entry(second, 9, w.config(second, third, signers=w.admins))[0]]
    none, one, two = (w.chain(SHARD, entries[:n]) for n in range(3))
    other = w.chain(COORDINATOR, [])
    sealed = w.chain(SHARD, [entries[0], w.entry(second, 9, w.operation(
        SEAL, SHARD, 2, second.hash, b"", w.admins))[0]])
    stranger = [w.admins[0], w.nodes[SHARD][0]]
    strange = w.chain(SHARD, [w.entry(base, 5, w.config(base, second, signers=stranger))[0]])
    serial = lambda *a: lambda: in_office(w.file, *a).serial
    new = w.successor(b"\x11" * 32)
    statement = lambda signers, *a: lambda: Statement(w.statement(new, signers)).check(in_office(w.file, *a), w.file, new)
    later = copy.deepcopy(w.object)
    later.update(predecessor_id=w.system_id.hex(), succession=2)
    later["shards"][0].update(origin_height="16", origin_root="11" * 32)
    later = sealed_file(later)
    whole, about = w.statement(new, w.admins), lambda f, chain, raw: lambda: judged(w.file, f, raw, chain)
    by_files = [
        ("all together", "ok", about(new, none, whole)), ("no chain", "truncated", about(new, b"", whole)),
        ("the files before the chain", "serial", about(later, b"", w.statement(later, w.admins))),
        ("the files before whom the statement is about", "serial", about(later, none, whole)),
        ("its form before the files", "truncated", about(later, none, whole[:-1])), ("its form before the chain", "order", about(
            new, w.chain(SHARD + 1, []), whole[:72] + whole[168:] + whole[72:168])),
        ("the chain before its signatures", "truncated", about(new, b"", w.statement(new, w.admins[:1])))]
    r.facts("S-142 CONFIG", [
        ("a chain without entries: genesis'", 0, serial(none)), ("the last of the chain", 2, serial(two)),
        ("of another cluster", first.hash, lambda: in_office(w.file, other).hash), ("the one that SEAL ended", 1, serial(sealed)),
        ("a longer one that is known counts before it", 2, serial(one, [two])), ("a shorter one does not", 2, serial(two, [none, one])),
        ("nor a longer one of another cluster", 0, serial(other, [two]))])
    r.words("S-142 CONFIG", [
        ("the file alone does not tell", "truncated", serial(b"")), *by_files,
        ("of no cluster of the system", "foreign", serial(w.chain(SHARD + 1, []))),
        ("too many entries before that", "truncated", serial(le(SHARD + 1, 4) + le(4097, 4) + le(1, 8))),
        ("without entries, from serial 7", "ok", serial(le(SHARD, 4) + le(0, 4) + le(7, 8))),
        ("a gap", "serial", serial(w.chain(SHARD, entries[1:], 2))),
        ("a step that is not valid", "signature-invalid", serial(strange)), ("two of three by genesis", "ok", statement(w.admins[:2], none)),
        ("two by a CONFIG that needs three", "signatures-too-few", statement(w.admins[:2], one)),
        ("three by it", "ok", statement(w.admins, one)),
        ("two, to one who knows it already", "signatures-too-few", statement(w.admins[:2], none, [one]))])
    wide, wider = w.changed(base, {"number_window": 1040}), w.changed(base, {"number_window": 1056})
    limits = dict(w.object["limits"], number_window=1040)
    file = w.successor(b"\x11" * 32, limits=limits)
    r.words("S-144 number_window", [
        ("that of the cut", "ok", lambda: windows_follow(new, [base])), ("of each shard's cut", "ok", lambda: windows_follow(file, [base, wide])),
        ("below it", "limits-conflict", lambda: windows_follow(new, [base, wide])),
        ("below one's", "limits-conflict", lambda: windows_follow(file, [wider, wide]))])


def genesis(r, w):
    old = Pair.of_genesis(w)
    writes = [old.write(3, 1, put(b"a", b"1")), old.write(5, 4, put(b"b", b"2")), old.write(6, 4, put(b"c", b"3"))]
    origin = entries_of(old.shard)
    new = w.successor(old.shard.root())
    first = successor_genesis(origin, new, SHARD)
    start = lambda state=first: Pair(w, new, {COORDINATOR: genesis_state(new, COORDINATOR), SHARD: state})
    table = {(e[0], e[1]): e[2:] for e in first}
    before = {(e[0], e[1]): e[2:] for e in origin}
    dropped = sorted({k[1][:1] for k in before.keys() - table.keys()})
    revoke = w.operation(REVOKE, 0, 1, w.file.file_hash, w.client.id)
    ended = Pair.of_genesis(w)
    ended.write(3, 1, put(b"a", b"1"))
    ended.decide((3, revoke, 0))
    closed = start(successor_genesis(entries_of(ended.shard), new, SHARD))
    queues = [e for e in origin if e[1][:1] in (b"c", b"q")]
    r.facts("S-144", [
        ("three writes before the cut", [OK] * 3, lambda: writes),
        ("cursors and queues go", [b"c", b"q"], lambda: dropped),
        ("what is kept is as it was", [], lambda: [k for k in table if kept(*k) and table[k] != before.get(k)]),
        ("users' keys", [b"a", b"b", b"c"], lambda: sorted(k for s, k in table if s == 0)),
        ("'g' is the successor's", (new.genesis(SHARD).whole(), 1 << 48, 0), lambda: table[1, b"g"]),
        ("a root with queues kept is another", False, lambda: start(first + queues).shard.root() == start().shard.root()),
        ("a coordinator has D-33 alone", genesis_state(new, COORDINATOR),
         lambda: successor_genesis(entries_of(old.coordinator), new, COORDINATOR)),
        ("a recorded number", RECORDED, lambda: start().write(6, 4, put(b"c", b"3"))),
        ("a recorded number with other content", REUSED, lambda: start().write(6, 4, put(b"c", b"4"))),
        ("a number below the floor", TOO_OLD, lambda: start().write(3, 1, put(b"a", b"1"))),
        ("a new number", OK, lambda: start().write(7, 4, put(b"d", b"4"))),
        ("the numbers of a revoked client", REVOKED, lambda: closed.write(9, 1, put(b"d", b"4")))])
