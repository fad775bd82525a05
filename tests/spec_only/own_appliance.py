"""Checks of our own for chapter 9: blocks, settings, the order of A-13, requests, the tables of the text itself."""
import copy
import itertools
import json
import re

import ed25519
from appliance import (ADDRESSES, CHAIN, CONFIG, FORMS, KINDS, NUMBERS, PORTS, PORT_MAX, PREDECESSOR, REQUEST, STATEMENT, SYSTEM, TEXT_MAX,
                       Addresses, Appliance, Bundle, Record, Request, bundle_hash, check_settings, configuration, console, known, listens, nets_of,
                       pinned_key, read_blocks, write_blocks)
from cards import Card, make_card
from spec_text import errors, lines
from sysfile import canonical
from wire import Bad, H, le, need, tag, word_of
from world import COORDINATOR, SHARD, sealed_file, seed_of, world

B, E = "-----BEGIN HERACLIUS %s-----\n", "-----END HERACLIUS %s-----\n"
SHA = "0123456789abcdef" * 4


def add(r, path):
    w = world()
    tables(r, path)
    blocks(r)
    contents(r)
    settings(r)
    addresses(r, w)
    requests(r, w)
    pinned(r, w)
    order_of_checks(r, w)
    elsewhere(r, w)
    successors(r, w)
    in_force(r, w)


def tables(r, path):
    """What the text's tables list is what is here."""
    text, vectors = lines(path, "appliance"), path
    rows = [re.fullmatch(r"\| (\d) \| `([A-Z ]+)` \| ([0-9,]+) \|.*", line) for line in text]
    r.equal("A-4 table", [(i, *k) for i, k in enumerate(KINDS)], [(int(m[1]), m[2], int(m[3].replace(",", ""))) for m in rows if m])
    begin = next(i for i, line in enumerate(text) if line.startswith("- **A-7**"))
    end = next(i for i, line in enumerate(text) if line.startswith("- **A-8**"))
    found = [m[1] for m in (re.match(r"\| `([a-zN0-9.]+)` \|", line) for line in text[begin:end]) if m]
    r.equal("A-7 table", sorted(FORMS), found)
    row = next(line for line in text if line.startswith("| `console.port` |"))
    m = re.search(r"\| (`.*?`), and 0 to ([0-9]+): ", row)
    r.equal("A-7 console.port", (list(PORTS), PORT_MAX), (re.findall("`([A-Za-z]+)`", m[1]), int(m[2])))
    words = set(errors(vectors))
    quoted = {x for line in text for x in re.findall(r"`([a-z]+(?:-[a-z]+)+)`", line)}
    r.equal("words of 7.14", set(), {x for x in quoted if x not in words})
    prefixes = [line for line in lines(path, "conventions") if line.startswith("| 0x1A |")]
    r.equal("C-9 has 0x1A once", 1, len(prefixes))


def one(content, label="SYSTEM", end=None):
    return B % label + content + E % (end or label)


def blocks(r):
    t = lambda text: lambda: read_blocks(text.encode("latin-1"))
    good, line = one("Zm9v\n"), "A" * 64 + "\n"
    r.words("A-1 to A-3", [
        ("empty lines around", "ok", t("\n\r\n" + good + "\n\n")), ("no end of the last line", "ok", t(good[:-1])),
        ("both line ends mixed", "ok", t(good.replace("\n", "\r\n", 1))), ("a lone CR behind the last END", "truncated", t(good[:-1] + "\r")),
        ("two CR", "not-canonical", t(good.replace("v\n", "v\r\r\n"))), ("CR alone as line end", "not-canonical", t(good.replace("\n", "\r"))),
        ("a blank line with a space", "not-canonical", t(" \n" + good)), ("a word behind", "not-canonical", t(good + "x")),
        ("a blank behind BEGIN", "not-canonical", t(good.replace("-----\n", "----- \n", 1))),
        ("a mark of byte order", "not-canonical", t("\xef\xbb\xbf" + good)),
        ("END outside of a block", "not-canonical", t(good + E % "SYSTEM")), ("PEM outside", "not-canonical", t("-----BEGIN CERTIFICATE-----\n")),
        ("only empty lines", "truncated", t("\n\n")), ("a BEGIN line without its end", "truncated", t((B % "SYSTEM")[:-1])),
        ("BEGIN alone", "truncated", t(B % "SYSTEM")), ("BEGIN within", "truncated", t(B % "SYSTEM" + "Zm9v\n" + B % "CHAIN")),
        ("a BEGIN of no label within", "truncated", t(B % "SYSTEM" + "Zm9v\n" + B % "X")),
        ("END of another, nothing before", "truncated", t(one("", end="CHAIN"))),
        ("END of PEM within", "not-canonical", t(B % "SYSTEM" + "Zm9v\n-----END CERTIFICATE-----\n" + E % "SYSTEM")),
        ("a lower-case label", "format-unknown", t(one("Zm9v\n", "system"))), ("an empty label", "format-unknown", t(one("Zm9v\n", ""))),
        ("CARD REQUEST is a label", "ok", t(one("Zm9v\n", "CARD REQUEST"))),
        ("an unknown one after it", "format-unknown", t(good + one("Zm9v\n", "X"))),
        ("an earlier one before a fault in it", "order", t(good + B % "NODE CONFIG" + "!\n")),
        ("a fault before a wrong order", "not-canonical", t(one("!\n") + good)),
        ("an unknown label before its fault", "format-unknown", t(one("!\n", "X")))])
    r.words("A-1 lines", [
        ("64", "ok", t(one(line))), ("64 and 4", "ok", t(one(line + "AAAA\n"))), ("64 twice", "ok", t(one(line * 2))),
        ("68", "not-canonical", t(one("A" * 68 + "\n"))),
        ("60 and 4", "not-canonical", t(one("A" * 60 + "\nAAAA\n"))), ("65", "not-canonical", t(one("A" * 65 + "\n"))),
        ("3", "not-canonical", t(one("AAA\n"))),
        ("padded 64 and 4", "not-canonical", t(one("A" * 63 + "=\nAAAA\n"))), ("padded 64 last", "ok", t(one(line + "A" * 63 + "=\n"))),
        ("three of padding", "not-canonical", t(one("A===\n"))), ("padding alone", "not-canonical", t(one("====\n"))),
        ("padding within", "not-canonical", t(one("AA==AAAA\n"))),
        ("A=A=", "not-canonical", t(one("AA=A\n"))), ("bits behind one byte", "not-canonical", t(one("AB==\n"))), ("none", "ok", t(one("AA==\n"))),
        ("bits behind two bytes", "not-canonical", t(one("AAB=\n"))), ("four bits that count", "ok", t(one("AAE=\n"))),
        ("a blank", "not-canonical", t(one("AAA A\n"))),
        ("a blank line last", "not-canonical", t(one("AAAA\n\n"))), ("no base64 as last line without end", "truncated", t(B % "SYSTEM" + "!"))])


def contents(r):
    def size(kind, n):
        return lambda: read_blocks(write_blocks({kind: bytes(n)}))
    for kind, (label, most) in enumerate(KINDS):
        if most <= 4194304:
            r.words("A-3 " + label, [("at most", "ok", size(kind, most)), ("one more", "too-large", size(kind, most + 1))])
    request = write_blocks({REQUEST: bytes(292)})
    r.words("A-3 CARD REQUEST", [
        ("292", "ok", size(REQUEST, 292)), ("293", "too-large", size(REQUEST, 293)), ("291 is no matter of A-3", "ok", size(REQUEST, 291)),
        ("line by line: too much before what follows", "too-large", lambda: read_blocks(write_blocks({REQUEST: bytes(336)}).replace(
            b"\n-----END", b"\n!\n-----END"))),
        ("a line behind a shorter one before too much", "not-canonical", lambda: read_blocks(request.replace(b"\n-----END", b"\nAAAA\n-----END"))),
        ("empty lines around it", "ok", lambda: read_blocks(b"\r\n\n" + request + b"\n\r\n"))])
    r.words("A-1 whole", [
        ("at most", "not-canonical", lambda: read_blocks(b"x" * TEXT_MAX)), ("one more", "too-large", lambda: read_blocks(b"x" * (TEXT_MAX + 1))),
        ("too many bytes before what follows them", "too-large", lambda: read_blocks(write_blocks({4: bytes(65 * 1024)}) + b"x")),
        ("no base64 before too many bytes", "not-canonical",
         lambda: read_blocks(write_blocks({4: bytes(65536)}).replace(b"\n-----END", b"\nAAAA\n-----END")))])
    some = {CONFIG: b"c", SYSTEM: b"s", ADDRESSES: b"a"}
    without = lambda *k: lambda: configuration(write_blocks({i: x for i, x in {**some, REQUEST: b"r", CHAIN: b"h"}.items() if i not in k}))
    r.words("A-4", [("all needed", "ok", without(REQUEST)), ("a request with them", "field-unknown", without()),
                    ("a request alone", "field-missing", without(*some)),
                    *[("no " + KINDS[k][0], "field-missing", without(k, REQUEST)) for k in some]])
    r.facts("A-4 sizes", [
        ("the largest statement of S-141", KINDS[STATEMENT][1], lambda: 72 + 32 * 96),
        ("the largest record of S-111", KINDS[CONFIG][1], lambda: 8 + 8 + 16 + 32 + 64 * (1 + 32 + 2 + 256) + 64),
        ("a SYSTEM of at most bytes is in no text", True, lambda: len(write_blocks({SYSTEM: bytes(TEXT_MAX * 3 // 4)})) > TEXT_MAX)])
    r.facts("A-5", [
        ("by hand", H(0x1A, le(1, 4), le(1, 4), b"s", le(2, 4), le(1, 4), b"a").hex(), lambda: bundle_hash(some).hex()),
        ("the record has no part", bundle_hash(some), lambda: bundle_hash({**some, CONFIG: b"other"})),
        ("line ends have none", bundle_hash(some), lambda: bundle_hash(read_blocks(write_blocks(some, b"\r\n")))),
        ("a certificate has one", False, lambda: bundle_hash(some) == bundle_hash({**some, 4: b"x"})),
        ("kinds are told apart", False, lambda: bundle_hash({**some, 4: b"x"}) == bundle_hash({**some, 5: b"x"}))])


GOOD = {
    "admin.client.0": ["view:" + SHA, "operate:" + SHA, "own:" + SHA],
    "admin.listen": ["192.0.2.1:1", "[::1]:65535", "0.0.0.0:80", "[::ffff:192.0.2.1]:1"],
    "admin.peer.0": [SHA + "@192.0.2.1:1", SHA + "@[::1]:65535", SHA + "@console.example:8443", SHA + "@1.2.3.256:5"],
    "bundle.sha256": [SHA],
    "console.port": ["ttyS0", "ttyS7", "ttyAMA0", "ttyAMA7", "hvc0", "hvc7"],
    "join": ["c0", "s4095"],
    "listen": ["1.2.3.4:5", "1.2.3.4:5,[::]:5", ",".join(["[1:2:3:4:5:6:7:8]:1"] * 4)],
    "log.level": ["debug", "info", "warn", "error"],
    "net.3.address": ["dhcp", "10.0.0.1/8", "10.0.0.1/1,::1/128,fe80::1/64,255.255.255.255/32"],
    "net.0.gateway": ["10.0.0.1", "10.0.0.1,fe80::1", "::FFFF:192.0.2.1", "FE80::A"],
    "net.0.mac": ["00:1a:2b:3c:4d:5e"],
    "net.1.name": ["e", "eth0", "enp0s31f6.1234x", "...", "a@b"],
    "syslog": ["log.example:514", "192.0.2.1:1", "[2001:db8::1]:6514", "1.2.3.256:5", "[:::]:514", "[1:2]:514", "[.:]:1"],
    "threads": ["auto", "fused", "split"]}
WRONG = {
    "admin.client.15": ["", SHA, "view:" + SHA.upper(), "view:" + SHA[1:], "view:" + SHA + "0", "admin:" + SHA, "view :" + SHA, "View:" + SHA],
    "admin.listen": ["", "192.0.2.1", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:080", "::1:80", "[192.0.2.1]:80", "host:80",
                     "[::1]80", "[::1]:", "1.2.3.4:5,1.2.3.4:6", "[FE80::1]:80", "[1:2]:80"],
    "admin.peer.15": ["", SHA, SHA + "@", "@host:1", SHA + "@host", SHA + "@host:0", SHA + "@Host:1", SHA + "@host:65536", SHA + "@::1:80",
                      SHA[1:] + "@host:1", SHA + "0@host:1", SHA.upper() + "@host:1", SHA + ":host:1",
                      SHA + "@@host:1", "view:" + SHA + "@host:1", SHA + " @host:1"],
    "bundle.sha256": ["", SHA[1:], SHA.upper(), SHA + "00"],
    "console.port": ["", "0", "ttyS", "ttyS8", "ttyS00", "ttyS07", "ttyS10", "ttyS-1", "ttyS+1", "ttys0", "TTYS0", "ttyAMA", "ttyAMA8", "ttyAMA07",
                     "ttyama0", "ttyA0", "hvc", "hvc8", "hvc00", "HVC0", "hvcs0", "tty0", "ttyUSB0", "ttysclp0", "/dev/ttyS0", "ttyS0 ", " ttyS0",
                     "ttyS0,115200n8", "ttyS0,ttyS1", "ttyS 0", "ttyShvc0", "auto", "none"],
    "join": ["", "c", "x0", "c4096", "c00", "C0", "s-1", "0"],
    "listen": ["", "1.2.3.4:5,", ",1.2.3.4:5", "1.2.3.4:5, [::]:5", ",".join(["1.2.3.4:5"] * 5), "1.2.3:5", "1.2.3.256:5",
               "1.2.3.04:5", "1.2.3.4.5:5", "[fe80::1%eth0]:5", "1.2.3.4:5,[::A]:5"],
    "log.level": ["", "Info", "trace"],
    "net.0.address": ["", "DHCP", "10.0.0.1", "10.0.0.1/0", "10.0.0.1/33", "::1/129", "::1/0", "[::1]/64", "10.0.0.1/08",
                      "dhcp,10.0.0.1/8", ",".join(["10.0.0.1/8"] * 5)],
    "net.0.gateway": ["", "10.0.0.1/8", "a,b", "10.0.0.1,10.0.0.2,10.0.0.3", "[::1]", "10.0.0.1,"],
    "net.0.mac": ["", "001a2b3c4d5e", "00:1A:2b:3c:4d:5e", "00:1a:2b:3c:4d", "00-1a-2b-3c-4d-5e"],
    "net.0.name": ["", ".", "..", "a/b", "a:b", "a b", "x" * 16],
    "syslog": ["", "host", "host:0", "Host:1", "host:65536", "::1:514", "[2001:DB8::1]:514", "[12]:514", "[::1:514", "a_b:1"],
    "threads": ["", "Auto", "2"]}
V6_RIGHT = ("::", "::1", "1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1::3:4:5:6:7:8", "2001:DB8::A", "0001::",
            "1:2:3:4:5:6:1.2.3.4", "::1.2.3.4", "1::1.2.3.4")
V6_WRONG = ("", ":", ":::", "1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "1:2:3:4::5:6:7:8", "::1:2:3:4:5:6:7:8", ":1::", "1:", "1::2:",
            "12345::", "g::", "1.2.3.4::", "::1.2.3.4:5", "::1.2.3", "1:2:3:4:5:6:7:1.2.3.4", "::01.2.3.4")


def settings(r):
    def judged(pairs):
        have = {"bundle.sha256": SHA, **pairs}
        for n in {k.split(".")[1] for k in pairs if re.match(r"net\.\d\.", k)}:
            have.setdefault("net.%s.address" % n, "dhcp")
        return lambda: check_settings(sorted(have.items()))
    cases = [(k + " " + v, "ok", judged({k: v})) for k, vs in GOOD.items() for v in vs]
    cases += [(k + " " + (v or "(empty)"), "field-range", judged({k: v})) for k, vs in WRONG.items() for v in vs]
    cases += [(a + " as IPv6", word, judged({"net.0.gateway": a})) for word, list_ in (("ok", V6_RIGHT), ("field-range", V6_WRONG)) for a in list_]
    unknown = ["admin.peer", "admin.peer.16", "admin.peer.01", "admin.peers.0"]
    unknown += ["admin.client", "admin.client.", "admin.client.16", "admin.client.00", "admin.client.n", "admin.client.0.x", "net.4.address", "net.0",
               "net..mac", "net.0.mtu", "lists", "bundle", "bundle.sha-256", "listen.0", "net.00.address", "net.0.address.1", "threads."]
    unknown += ["console", "console.", "console.port.0", "console.port0", "console.ports", "console.speed"]
    cases += [(k, "field-unknown", judged({k: "dhcp"})) for k in unknown]
    r.words("A-7", cases)
    raw = lambda **x: lambda: check_settings(sorted(({"bundle.sha256": SHA} | {k.replace("_", "."): v for k, v in x.items()}).items()))
    mac, other = "00:00:00:00:00:01", "00:00:00:00:00:02"
    two = {"net_%d_%s" % (n, k): v for n in (0, 1) for k, v in (("address", "dhcp"), ("mac", mac))}
    r.words("A-7, A-8 together", [
        ("none", "field-missing", lambda: check_settings([])), ("only the hash", "ok", raw()),
        ("a net without address", "field-missing", raw(net_0_mac=mac)),
        ("the other has it", "field-missing", raw(net_0_address="dhcp", net_1_gateway="10.0.0.1")),
        ("mac and name", "field-range", raw(net_0_address="dhcp", net_0_mac=mac, net_0_name="e")),
        ("both before no address", "field-range", raw(net_0_mac=mac, net_0_name="e")),
        ("one mac twice", "name-twice", raw(net_0_address="dhcp", net_0_mac=mac, net_1_address="dhcp", net_1_mac=mac)),
        ("one name twice", "name-twice", raw(net_0_address="dhcp", net_0_name="e", net_3_address="dhcp", net_3_name="e")),
        ("two macs", "ok", raw(net_0_address="dhcp", net_0_mac=mac, net_1_address="dhcp", net_1_mac=other)),
        ("the rest twice", "name-twice", raw(net_0_address="dhcp", net_1_address="dhcp")),
        ("one and the rest", "ok", raw(net_0_address="dhcp", net_1_address="dhcp", net_1_name="e")),
        ("the hash before an address", "field-missing", lambda: check_settings([("net.0.mac", mac)])),
        ("both before the hash", "field-range", lambda: check_settings([("net.0.mac", mac), ("net.0.name", "e")])),
        ("both before a later name", "field-range", raw(net_0_mac=mac, net_0_name="e", x="")),
        ("mac and name of two", "ok", raw(net_0_address="dhcp", net_0_mac=mac, net_1_address="dhcp", net_1_name="e")),
        ("N ascending: two of one link before an address", "name-twice", raw(**two, net_2_name="f")),
        ("an address before two of one link", "field-missing", raw(net_0_name="f", **{k.replace("_0_", "_2_"): v for k, v in two.items()})),
        ("both before a later one's address", "field-range", raw(net_0_address="dhcp", net_0_mac=mac, net_0_name="e", net_1_mac=other)),
        ("a later one's both before two of one link", "field-range", raw(**two, net_2_address="dhcp", net_2_mac=other, net_2_name="e"))])
    order = lambda *pairs: lambda: check_settings(pairs)
    r.words("A-7 order", [
        ("a value before the next name", "field-range", order(("join", "x"), ("x", ""))), ("a name before the next value", "field-unknown", order(
            ("a", ""), ("join", "x"))), ("a name before its value", "field-unknown", order(("net.4.address", "x"),)),
        ("a value before what is missing", "field-range", order(("net.0.gateway", "x"),))])
    r.words("A-7 no fault", [
        ("a gateway beside dhcp", "ok", raw(net_0_address="dhcp", net_0_gateway="10.0.0.1")),
        ("one out of reach", "ok", raw(net_0_address="10.0.0.2/32", net_0_gateway="192.0.2.1,fe80::1")),
        ("an address twice", "ok", raw(net_0_address="10.0.0.2/8,10.0.0.2/8", net_0_name="e", net_1_address="10.0.0.2/8", net_1_name="f")),
        ("one peer twice", "ok", raw(admin_peer_0=SHA + "@a:1", admin_peer_1=SHA + "@a:1")),
        ("one beside no listen", "ok", raw(admin_peer_9=SHA + "@a:1")),
        ("one certificate in two roles", "ok", raw(admin_client_0="view:" + SHA, admin_client_1="own:" + SHA))])
    every = {"bundle.sha256": SHA, "console.port": "hvc0", "join": "c0", "threads": "auto", "syslog": "h:1", "log.level": "info", "listen": "[::]:1"}
    every.update({"admin.peer.%d" % n: SHA + "@h:1" for n in range(16)}, **{"admin.client.%d" % n: "own:" + SHA for n in range(16)})
    every.update({"net.%d.%s" % (n, k): v for n in range(4) for k, v in (("address", "dhcp"), ("gateway", "::1"), ("name", "e%d" % n))})
    every["admin.listen"] = "[::]:2"
    r.facts("A-7 all", [("as many as there can be are in a record of S-111", (52, True), lambda: (len(check_settings(sorted(every.items()))), len(
        every) <= 64))])
    r.words("A-7 console", [
        ("its value before a later name", "field-range", order(("console.port", "ttyS8"), ("x", ""))),
        ("its value before a later value", "field-range", order(("console.port", "hvc8"), ("join", "c0"))),
        ("an earlier value before it", "field-range", order(("bundle.sha256", ""), ("console.port", "ttyS0"))),
        ("an earlier name before its value", "field-unknown", order(("console.por", ""), ("console.port", "ttyS8"))),
        ("before what is missing", "field-range", order(("console.port", "ttyS8"),)),
        ("a port that the machine lacks is no fault", "ok", raw(console_port="ttyAMA7"))])
    shown = lambda port, image, *has: lambda: console({"console.port": port} if port else {}, image, dict.fromkeys(has, True))
    behind = lambda port, image: console({"console.port": port} if port else {}, image, {"ttyS0": True, "ttyS1": False})
    r.facts("A-7 console.port", [
        ("the port that is set", ("ttyS1", False), shown("ttyS1", "ttyS0", "ttyS0", "ttyS1")), ("else the image's", ("ttyS0", False), shown(
            None, "ttyS0", "ttyS0", "ttyS1")), ("else the kernel's console, and no line", (None, False), shown(None, None, "ttyS0")),
        ("one that the machine lacks: not the image's", (None, True), shown("ttyS1", "ttyS0", "ttyS0")),
        ("the image's is lacking", (None, True), shown(None, "hvc0", "ttyS0")), ("no port at all", (None, True), shown("hvc0", None)),
        ("a name without a device behind, whoever named it", [(None, True)] * 3, lambda: [behind(*x) for x in (
            ("ttyS1", None), (None, "ttyS1"), ("ttyS1", "ttyS0"))])])
    links = [("e", mac), ("f", other)]
    r.facts("A-8", [
        ("no net setting", ["dhcp", "dhcp"], lambda: nets_of({}, links)), ("of all", ["0", "0"], lambda: nets_of({"net.0.address": "dhcp"}, links)),
        ("the rest", ["1", "0"], lambda: nets_of({"net.0.address": "dhcp", "net.1.address": "dhcp", "net.1.mac": mac}, links)),
        ("a mac and a name of one link: the mac's", ["1", "2"], lambda: nets_of({
            "net.0.address": "dhcp", "net.0.name": "e", "net.1.address": "dhcp", "net.1.mac": mac, "net.2.address": "dhcp"}, links)),
        ("nobody's", [None, "1"], lambda: nets_of({"net.1.address": "dhcp", "net.1.name": "f"}, links))])
    r.facts("A-7", [("N's of " + row, most + 1, lambda row=row: sum(known(row.replace("N", str(n))) == row for n in range(20)))
                    for row, most in NUMBERS.items()])


def addresses(r, w):
    me = w.nodes[COORDINATOR][0].name.decode()
    unsorted = lambda nodes: json.dumps({**good, "nodes": nodes}, indent=2).encode() + b"\n"
    good = {"format": 1, "nodes": {me: {"admin": "", "link": "192.0.2.1:7000"}}, "system_id": w.system_id.hex()}
    t = lambda **x: lambda: Addresses(canonical({**good, **x}), w.system_id)
    node = lambda link, name=me, **x: t(nodes={name: {"admin": "", "link": link, **x}})
    without = lambda name: lambda: Addresses(canonical({k: v for k, v in good.items() if k != name}), w.system_id)
    r.words("S-90", [
        ("as it is", "ok", t()), ("nobody", "ok", t(nodes={})), ("a node of no file", "ok", node("", "nobody")),
        ("no name", "foreign", node("", "Nobody")), ("an empty name", "foreign", node("", "")),
        ("another system", "foreign", t(system_id="00" * 16)), ("a short id", "field-type", t(system_id="00")),
        ("format 2", "format-unknown", t(format=2)),
        ("format 2 before what is missing", "format-unknown", lambda: Addresses(canonical({"format": 2}), w.system_id)),
        ("and before what is unknown", "format-unknown", t(format=2, x=1)), ("a text as format, before what is unknown", "field-type", t(
            format="1", x=1)), ("what is unknown before nodes", "field-unknown", t(nodes=1, x=1)),
        ("missing before unknown", "field-missing", lambda: Addresses(
                canonical({"format": 1, "nodes": {}, "x": 1}), w.system_id)), ("format 2 before another system", "format-unknown", t(
            format=2, system_id=bytes(16).hex())), ("that nodes is an object before another system", "field-type", t(
            system_id=bytes(16).hex(), nodes=1)), ("another system before an entry", "foreign", t(system_id=bytes(16).hex(), nodes={"A": 1})),
        ("entries in the file's order", "foreign", lambda: Addresses(unsorted({"b": {"admin": "", "link": ""}, "B": 1, "a": 1}), w.system_id)),
        ("whatever their names", "field-type", lambda: Addresses(unsorted({"b": 1, "B": 1}), w.system_id)),
        ("before the canonical form", "not-canonical", lambda: Addresses(
            unsorted({"b": dict(link="", admin=""), "a": dict(link="", admin="")}), w.system_id)),
        ("`admin` wholly before `link`", "field-range", node(1, admin="x")), ("one node before the next", "field-type", t(
            nodes={"a": {"admin": "", "link": 1}, "b": {"admin": "", "link": "x"}})),
        *[("no " + k, "field-missing", without(k)) for k in good],
        ("one more", "field-unknown", t(x=1)), ("one more in a node", "field-unknown", node("", x="")), ("a list", "field-type", t(nodes=[])),
        ("no admin", "field-missing", t(nodes={me: {"link": ""}})), ("a number", "field-type", node(1)),
        ("no endpoint", "field-range", node("192.0.2.1")),
        ("no canonical form", "not-canonical", lambda: Addresses(canonical(good) + b"\n", w.system_id)),
        ("no JSON", "not-json", lambda: Addresses(b"{", w.system_id)),
        ("an array", "not-json", lambda: Addresses(b"[]\n", w.system_id)),
        ("too large", "too-large", lambda: Addresses(bytes((4 << 20) + 1), w.system_id))])

    def of(link, have=None):
        return lambda: listens(have or {}, Addresses(canonical({**good, "nodes": {me: {"admin": "a:1", "link": link}}}), w.system_id), me)
    r.facts("A-9", [("IPv4", ["0.0.0.0:7000"], of("192.0.2.1:7000")), ("a name", ["0.0.0.0:1"], of("a.example:1")),
                    ("IPv6", ["[::]:7001"], of("[2001:db8::1]:7001")),
                    ("told", ["1.2.3.4:5", "[::]:6"], of("", {"listen": "1.2.3.4:5,[::]:6"}))])
    r.words("A-9", [("no link address", "field-missing", of("")),
                    ("not listed", "field-missing", lambda: listens({}, Addresses(canonical(good), w.system_id), "nobody"))])


def requests(r, w):
    name, node = "fresh", w.node("fresh")
    seeds = {k: seed_of(name, k) for k in ("signing", "noise", "owner")}

    def content(binary, signing="signing", noise="noise"):
        return binary + ed25519.sign(seeds[signing], tag("HRC node-pop") + binary) + ed25519.sign(seeds[noise], tag("HRC noise-pop") + binary)
    whole = content(node.binary)
    q = lambda raw, end=b"\n": lambda: Request(write_blocks({REQUEST: raw}, end))

    def but(at, new, **x):
        return q(content(node.binary[:at] + new + node.binary[at + len(new):], **x))
    small = (1).to_bytes(32, "little")
    r.words("A-11", [
        ("as it is", "ok", q(whole)), ("by a terminal", "ok", q(whole, b"\r\n")), ("one byte less", "truncated", q(whole[:-1])),
        ("one more", "too-large", q(whole + b"\0")),
        ("the proven form", "too-large", q(node.proven)), ("very long", "too-large", q(bytes(100000))),
        ("too long before another block", "too-large", lambda: Request(write_blocks({SYSTEM: b"x", REQUEST: whole + b"\0"}))),
        ("another block before too short", "field-unknown", lambda: Request(write_blocks({SYSTEM: b"x", REQUEST: whole[:-1]}))),
        ("empty lines around", "ok", lambda: Request(b"\n" + write_blocks({REQUEST: whole}) + b"\n")),
        ("short, of another format", "truncated", q(whole[:1] + b"\2" + whole[2:-1])),
        ("another block before", "field-unknown", lambda: Request(write_blocks({SYSTEM: b"x", REQUEST: whole}))),
        ("another block alone", "field-unknown", lambda: Request(write_blocks({SYSTEM: b"x"}))),
        ("nothing", "truncated", lambda: Request(b"")), ("kind 2", "field-range", but(0, b"\2")), ("format 2", "format-unknown", but(1, b"\2")),
        ("zero", "field-range", but(2, b"\1")),
        ("a name with a capital", "field-range", but(4, b"F")), ("a byte behind the name's zeros", "field-range", but(35, b"x")),
        ("a small signing key", "key-invalid", but(36, small)),
        ("another noise key", "key-invalid", but(68, bytes(32))), ("a small proof key", "key-invalid", but(100, small)),
        ("one key for both", "key-invalid", but(100, node.signing_key, noise="signing")),
        ("one key for both, and its map", "key-twice", but(68, ed25519.montgomery(node.signing_key) + node.signing_key, noise="signing")),
        ("a small owner's key", "key-invalid", but(132, small)), ("the owner's is the signing key", "key-twice", but(132, node.signing_key)),
        ("the owner's is the proof key", "key-twice", but(132, node.noise_proof_key)),
        ("another owner, signed", "ok", but(132, w.admins[0].signing_key)),
        ("another owner, not signed", "proof-invalid", q(node.binary[:132] + w.admins[0].signing_key + whole[164:])),
        ("proofs exchanged", "proof-invalid", q(whole[:164] + whole[228:] + whole[164:228]))])

    def handed(seed):
        got = Request(write_blocks({REQUEST: whole}))
        return Card(1, got.content + ed25519.sign(seed, tag("HRC owner-pop") + got.binary)).id
    r.facts("A-12", [("the owner makes the card", node.id, lambda: handed(seeds["owner"])),
                     ("the id of the request", node.id, lambda: Request(write_blocks({REQUEST: whole})).id)])
    r.words("A-12", [("nobody else", "proof-invalid", lambda: handed(seeds["signing"]))])


def pinned(r, w):
    """A-10."""
    key, other = (x.owner_key.hex() for x in w.nodes[COORDINATOR][:2])
    r.facts("A-10", [("the image's", key, lambda: pinned_key(key).hex()), ("typed", key, lambda: pinned_key(None, key).hex()),
                     ("the image's goes before", key, lambda: pinned_key(key, other).hex())])
    r.words("A-10", [
        ("none", "field-missing", lambda: pinned_key(None)), ("in capitals", "field-type", lambda: pinned_key(None, "AB" * 32)),
        ("a digit less", "field-type", lambda: pinned_key(key[1:])), ("no key", "key-invalid", lambda: pinned_key("01" + "00" * 31)),
        ("which a typed one does not mend", "key-invalid", lambda: pinned_key("01" + "00" * 31, key)),
        ("an empty one in the image neither", "field-type", lambda: pinned_key("", key))])


class Made:
    """A bundle that its node accepts, but for what is told.

    w: a World, or a Next.
    """

    def __init__(self, w, node=None, owner=None, number=1, have=None, **other):
        self.node = node or w.nodes[COORDINATOR][0]
        good = {"format": 1, "nodes": {self.node.name.decode(): {"admin": "", "link": "192.0.2.1:7000"}}, "system_id": w.system_id.hex()}
        blocks = {SYSTEM: canonical(w.object), ADDRESSES: canonical(good), **other.get("blocks", {})}
        blocks = {k: v for k, v in blocks.items() if v is not None}
        have = {"bundle.sha256": bundle_hash(blocks).hex(), **(have or {})}
        have = sorted((k, v) for k, v in have.items() if v is not None)
        system_id = other.get("system_id", w.system_id)
        head = b"\1\0\0\0" + le(other.get("count", len(have)), 4) + le(number, 8) + system_id + other.get("node_id", self.node.id)
        head += b"".join(bytes([len(k)]) + k.encode() + le(len(v), 2) + v.encode("latin-1") for k, v in have)
        seed = seed_of(owner or self.node.name.decode(), "owner")
        record = head + ed25519.sign(seed, tag("HRC node-config") + system_id + H(0x15, head))
        self.record = other["record"](record) if "record" in other else record
        self.text = write_blocks({CONFIG: self.record, **blocks}) + other.get("behind", b"")

    def judged(self, pinned=None, kept=None, disk=None):
        return Bundle(self.text, self.node, pinned or self.node.owner_key, kept and Record(kept), disk)


MAC = {"net.%d.%s" % (n, k): v for n in (0, 1) for k, v in (("address", "dhcp"), ("mac", "00:00:00:00:00:01"))}


def faults(w):
    """Of A-13, in its order: word, arguments of Made, arguments of judged."""
    new = w.node("newcomer")
    kept = Made(w, number=9).record
    return [
        ("A-3", "not-canonical", {"behind": b"x\n"}, {}), ("A-4", "field-missing", {"blocks": {ADDRESSES: None}}, {}),
        ("decodes", "truncated", {"record": lambda x: x + b"\0"}, {}), ("node_id", "foreign", {"node_id": bytes(32)}, {}),
        ("pinned", "foreign", {}, {"pinned": w.admins[0].signing_key}), ("signature", "signature-invalid", {"owner": "somebody"}, {}),
        ("A-7", "field-unknown", {"have": {"x": ""}}, {}), ("A-8", "name-twice", {"have": MAC}, {}),
        ("A-5", "id-mismatch", {"have": {"bundle.sha256": SHA}}, {}),
        ("system file", "not-json", {"blocks": {SYSTEM: b"{"}}, {}), ("its id", "foreign", {"system_id": bytes(16)}, {}),
        ("CHAIN", "field-unknown", {"blocks": {CHAIN: b"x"}}, {}),
        ("card", "foreign", {"node": new}, {}), ("addresses", "not-json", {"blocks": {ADDRESSES: b"{"}}, {}),
        ("A-9", "field-missing", {"blocks": {ADDRESSES: canonical({"format": 1, "nodes": {}, "system_id": w.system_id.hex()})}}, {}),
        ("A-19", "field-unknown", {"blocks": {STATEMENT: b"x"}}, {}),
        ("A-14", "foreign", {}, {"disk": (bytes(32), bytes(16))}), ("A-15", "serial", {}, {"kept": kept})]


def order_of_checks(r, w):
    all_of = faults(w)
    r.words("A-13", [("nothing wrong", "ok", lambda: Made(w).judged())] + [(a[0], a[1], lambda a=a: Made(w, **a[2]).judged(**a[3])) for a in all_of])

    def both(a, b):
        made = dict(b[2])
        for k, v in a[2].items():
            made[k] = {**made.get(k, {}), **v} if isinstance(v, dict) else v
        return lambda: Made(w, **made).judged(**{**b[3], **a[3]})
    r.words("A-13 order", [(a[0] + " before " + b[0], a[1], both(a, b)) for a, b in itertools.combinations(all_of, 2)])
    new, join = w.node("newcomer"), {"join": "s0"}
    foreign = canonical({"format": 1, "nodes": {}, "system_id": bytes(16).hex()})
    cut = lambda at, x: lambda raw: raw[:at] + x + raw[at + len(x):]
    r.words("A-13 more", [
        ("joins", "ok", Made(w, node=new, have=join).judged), ("joins with a chain", "ok", Made(w, node=new, have=join, blocks={CHAIN: b"x"}).judged),
        ("joins a cluster that is not", "foreign", Made(w, node=new, have={"join": "s1"}).judged),
        ("joins and is there", "foreign", Made(w, have=join).judged),
        ("certificates", "ok", Made(w, blocks={4: b"any", 5: b"thing"}).judged),
        ("addresses of another system", "foreign", Made(w, blocks={ADDRESSES: foreign}).judged),
        ("no hash", "field-missing", Made(w, have={"bundle.sha256": None}).judged),
        ("listen, no address", "ok", Made(w, have={"listen": "[::]:1"}, blocks=dict((f[0], f[2]) for f in all_of)["A-9"]["blocks"]).judged),
        ("number 0", "ok", Made(w, number=0).judged), ("its own disk", "ok", lambda: Made(w).judged(disk=(w.nodes[COORDINATOR][0].id, w.system_id)))])
    r.words("A-13 the record", [
        (what, "truncated", Made(w, **x).judged) for what, x in [
            ("format 2", {"record": cut(0, b"\2")}), ("zero", {"record": cut(1, b"\1")}), ("65 settings", {"count": 65}),
            ("one more than there are", {"count": 2}),
            ("cut off", {"record": lambda x: x[:-1]}), ("an upper-case name", {"have": {"A": ""}}),
            ("a value of 257 bytes", {"have": {"syslog": "a" * 257}}),
            ("a control character", {"have": {"syslog": "a\n:1"}}), ("an empty name", {"have": {"": ""}}),
            ("a name of 33", {"have": {"a" * 33: ""}})]])


def elsewhere(r, w):
    """A-13: who judges elsewhere, the signature last."""
    seen = lambda x: lambda: Bundle(x.text)
    late = [f for f in faults(w) if not f[3] and f[0] not in ("node_id", "signature")]
    r.words("A-13 elsewhere", [("right", "ok", seen(Made(w))), ("another owner", "signature-invalid", seen(Made(w, owner="somebody"))),
                                ("a node of no file", "foreign", seen(Made(w, node_id=bytes(32))))]
            + [(f[0] + " before the signature", f[1], seen(Made(w, owner="somebody", **f[2]))) for f in late])
    new, join = w.node("newcomer"), {"join": "s0"}
    joins = Made(w, node=new, have={**join, "listen": "[::]:1"})
    other = Made(w, node=new, have=join, owner="somebody", blocks={ADDRESSES: b"{"})
    r.words("A-13 elsewhere, with join", [
        ("the card is brought", "ok", joins.judged), ("it is not", "proof-invalid", seen(joins)),
        ("brought, the signature goes before the addresses", "signature-invalid", other.judged),
        ("not brought, found before the addresses", "proof-invalid", seen(other)),
        *[("not brought, " + f[0] + " before it", f[1], seen(Made(w, node=new, **{**f[2], "have": {**join, **f[2].get("have", {})}})))
          for f in faults(w) if f[0] in ("A-3", "A-4", "decodes", "A-7", "A-8")],
        *[("not brought, before " + f[0], "proof-invalid", seen(Made(w, node=new, **{**f[2], "have": {**join, **f[2].get("have", {})}})))
          for f in faults(w) if f[0] in ("A-5", "system file", "its id")],
        ("joins and is there, the card not brought", "proof-invalid", seen(Made(w, have=join)))])


class Next:
    """A system that follows another one, as Made takes it."""

    def __init__(self, w, obj):
        self.nodes, self.node, self.object = w.nodes, w.node, obj
        self.file = sealed_file(self.object)
        self.system_id = self.file.system_id

    @staticmethod
    def of(w, **other):
        obj = copy.deepcopy(w.object)
        obj.update({"name": "spec-only-next", "predecessor_id": w.system_id.hex(), "succession": 1, **other})
        for x in obj["shards"]:
            x.update(origin_height="16", origin_root="11" * 32)
        return Next(w, obj)


def successors(r, w):
    """A-19."""
    new, later = Next.of(w), Next.of(w, succession=2)
    moved, alien = Next.of(w, partition_key="22" * 16), Next.of(w, predecessor_id="33" * 16)
    old, said, mine = canonical(w.object), w.statement(new.file, w.admins), canonical(new.object)

    def of(system=new, before=old, statement=said, **x):
        more = {PREDECESSOR: before, STATEMENT: statement, **x.pop("blocks", {})}
        return Made(system, blocks=more, **x).judged
    joins = {"node": w.node("newcomer"), "have": {"join": "s0"}}
    about = lambda f, **x: w.statement(f, w.admins, **x)
    r.words("A-19", [
        ("a successor's", "ok", of()), ("signed by nobody", "ok", of(statement=w.statement(new.file, []))),
        ("signed by anybody", "ok", of(statement=w.statement(new.file, w.nodes[SHARD][:2]))), ("it joins", "ok", of(**joins)),
        ("it joins, with neither", "field-missing", of(before=None, statement=None, **joins)),
        ("with neither", "field-missing", of(before=None, statement=None)), ("without the one before", "field-missing", of(before=None)),
        ("without the statement, before another system", "field-missing", of(before=mine, statement=None)),
        ("of a first system, with both", "field-unknown", of(w)), ("of a first system, with the one before", "field-unknown", of(w, statement=None)),
        ("of a first system, that joins", "field-unknown", of(w, before=None, **joins)),
        ("no system file before", "not-json", of(before=b"{")), ("another form of it", "not-canonical", of(before=old + b"\n")),
        ("no system file before no statement", "not-json", of(before=b"{", statement=b"x")), ("itself", "foreign", of(before=mine)),
        ("itself before no statement", "foreign", of(before=mine, statement=b"x")),
        ("another succession", "serial", of(later, statement=about(later.file))), ("another partition key", "serial", of(
            moved, statement=about(moved.file))), ("of none that is there, before another succession", "foreign", of(alien, before=mine)),
        ("serial before no statement", "serial", of(later, statement=b"x")),
        ("a byte less", "truncated", of(statement=said[:-1])), ("a byte more", "truncated", of(statement=said + b"\0")),
        ("another successor_id", "id-mismatch", of(statement=about(new.file, successor=bytes(16)))),
        ("not ascending", "order", of(statement=said[:72] + said[168:] + said[72:168])),
        ("about another predecessor", "foreign", of(statement=about(new.file, predecessor=bytes(16)))),
        ("about another successor", "foreign", of(statement=about(moved.file))),
        ("form before whom it is about", "order", of(statement=about(moved.file)[:72] + said[168:] + said[72:168])),
        ("A-9 before it", "field-missing", of(before=mine, blocks={ADDRESSES: canonical({
            "format": 1, "nodes": {}, "system_id": new.system_id.hex()})}))])
    node = new.nodes[COORDINATOR][0]
    judged = lambda kept, disk: lambda: Bundle(of(before=mine).__self__.text, node, node.owner_key, kept, disk)
    r.words("A-19 before", [("A-14", "foreign", judged(None, (bytes(32), bytes(16)))),
                            ("A-15", "foreign", judged(Record(Made(new, number=9).record), None))])


def given_up(r, w, first):
    """A-17, A-18."""
    node = w.nodes[COORDINATOR][0]
    name = node.name.decode()
    again = make_card(1, name, seed_of("again", "signing"), seed_of("again", "noise"), seed_of("new owner", "owner"))
    of_new = lambda **x: Made(w, node=again, owner="new owner", **x)

    def marks():
        a, told = Appliance(node, node.owner_key), []
        a.take(first.text)
        a.give_up(lambda mark: told.append((mark, a.disk_retired)))
        a.start()
        a.take(Made(w, number=77).text)
        return told, a.disk_retired, a.in_force.record.number

    def full():
        a, told = Appliance(node, node.owner_key), []
        a.take(first.text)
        a.full = True
        try:
            a.take(Made(w, number=77).text)
        except OSError:
            told.append(a.disk_text == first.text)
        a.give_up(told.append)
        return told, a.disk_retired

    def moves():
        """Where the console is before and after each of two bundles, the second of which is refused."""
        a, out = Appliance(node, node.owner_key), []
        for text in (None, Made(w, have={"console.port": "ttyS1"}).text, Made(w, have={"console.port": "ttyS0"}, owner="new owner").text):
            if text:
                word_of(a.take, text)
            out.append(console(a.in_force.settings if a.in_force else {}, "ttyS0", {"ttyS0": True, "ttyS1": True})[0])
        return out
    r.facts("A-7 console.port", [("as soon as the configuration is in force, and of no other", ["ttyS0", "ttyS1", "ttyS1"], moves)])
    r.facts("A-17", [("durable before the node is told, and for ever", ([(True, True)], True, 77), marks),
                     ("on a full disk, too", ([True, True], True), full)])
    old = lambda x: lambda: Bundle(x.text, node, node.owner_key)
    r.words("A-18", [
        ("the new owner's card, at the old node", "foreign", old(of_new())), ("whoever signed", "foreign", old(Made(w, node=again, owner=name))),
        ("the old one's, signed by the new owner", "signature-invalid", old(Made(w, owner="new owner"))),
        ("at a blank one, before a CONFIG: it joins", "ok", of_new(have={"join": "c0"}).judged), ("and not otherwise", "foreign", of_new().judged),
        ("the old card at the new one", "foreign", lambda: Bundle(Made(w).text, again, again.owner_key))])


def in_force(r, w):
    """A-14 to A-16."""
    node = w.nodes[COORDINATOR][0]
    first, same, higher = Made(w, number=5), Made(w, number=5, have={"threads": "fused"}), Made(w, number=6)

    def after(*texts):
        a, words = Appliance(node, node.owner_key), []
        for t in texts:
            try:
                a.take(t)
                words.append("ok")
            except Bad as e:
                words.append(e.word)
        return words, a.start().record.number if a.start() else None
    old = {"number": 4}
    r.facts("A-15, A-16", [
        ("nothing yet", ([], None), lambda: after()), ("any number", (["ok"], 0), lambda: after(Made(w, number=0).text)),
        ("the same again", (["ok", "ok"], 5), lambda: after(first.text, first.text)),
        ("the same with other line ends", (["ok", "ok"], 5), lambda: after(first.text, first.text.replace(b"\n", b"\r\n"))),
        ("the same number", (["ok", "serial"], 5), lambda: after(first.text, same.text)),
        ("higher, then the lower", (["ok", "ok", "serial"], 6), lambda: after(first.text, higher.text, first.text)),
        ("a refused one first", (["truncated", "ok"], 4), lambda: after(first.text[:99], Made(w, **old).text)),
        ("2^64 - 1 is the last", (["ok", "serial"], 2**64 - 1),
         lambda: after(Made(w, number=2**64 - 1).text, higher.text))])
    r.words("A-14, A-15", [
        ("a disk of another system", "foreign", lambda: first.judged(disk=(node.id, bytes(16)))),
        ("of another node", "foreign", lambda: first.judged(disk=(bytes(32), w.system_id))),
        ("another system in force", "foreign", lambda: first.judged(kept=Made(w, number=1, system_id=bytes(16)).record))])

    def broken(*then, made=False):
        """A kept one that fails at the next start, then others."""
        a = Appliance(node, node.owner_key)
        a.take(first.text)
        if made:
            a.data_made()
        a.disk_text = a.disk_text[:-30]
        before = a.start()
        words = [word_of(a.take, x.text) for x in then]
        return before, words, a.in_force and a.in_force.record.number
    elsewhere_ = Made(w, number=9, system_id=bytes(16), have={"bundle.sha256": None})
    r.facts("A-16", [
        ("a kept one that fails is not gone by", (None, [], None), broken),
        ("and bars no number", (None, ["ok", "serial"], 1), lambda: broken(Made(w, number=1), Made(w, number=0))),
        ("what is refused then changes nothing", (None, ["field-missing"], None), lambda: broken(elsewhere_)),
        ("the disk is whose it was", (None, ["ok"], 1), lambda: broken(Made(w, number=1), made=True))])
    given_up(r, w, first)
    need(first.record != same.record, "the fixture")
