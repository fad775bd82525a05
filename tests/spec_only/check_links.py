"""Chapter 6: vectors/links.json."""
import hashlib

import links
import own_links
from links import OTHER_NODE, Direction, Receiver, Refused, allowed
from report import Report, differ, load
from x25519 import public

NODES = allowed(OTHER_NODE, OTHER_NODE)


def word(f, *args):
    try:
        f(*args)
    except Refused as e:
        return str(e)
    return "ok"


class Parties:
    def __init__(self, data):
        self.i, self.r, self.system = data["initiator"], data["responder"], data.hex("system_id")

    def start(self, suite):
        first, y = links.initiate(suite, 1, self.system, self.i.hex("static_private"),
                                  self.i.hex("ephemeral_private"), self.r.hex("static_public"))
        return first, y

    def answer(self, first):
        return links.respond(first, (1, 1), (1, 2), self.system, self.r.hex("static_private"),
                             self.r.hex("ephemeral_private"), {self.i.hex("static_public")})

    def keys(self, suite):
        return self.answer(self.start(suite)[0])[1]


def run(path, mode):
    r, data = Report("links"), load(path)
    p = Parties(data)

    def person(name, c):
        def judge(c):
            out = []
            for kind in ("static", "ephemeral"):
                seed = "heraclius links vectors %s %s" % (name, kind)
                out.append((c[kind + "_private"], hashlib.sha256(seed.encode()).hexdigest()))
                out.append((c[kind + "_public"], public(c.hex(kind + "_private")).hex()))
            return differ(*out)
        r.case(name, c, judge)

    def session(name, c):
        suite = c["suite"]

        def handshake(c):
            first, y = p.start(suite)
            second, keys = p.answer(first)
            mine = links.finish(y, p.i.hex("static_private"), p.i.hex("ephemeral_private"), second)
            return differ((c["protocol"], links.SUITES[suite][0]),
                          (c["prologue"], (links.preamble(1, suite) + p.system).hex()),
                          (c["first_flight"], first.hex()), (c["second_message"], second.hex()), (mine, keys),
                          (c["key_initiator_to_responder"], keys[0].hex()),
                          (c["key_responder_to_initiator"], keys[1].hex()))
        diff = handshake(c)
        r.equal(name + ".handshake", None, diff)
        ki, kr = p.keys(suite)
        send = {"initiator": Direction(suite, ki), "responder": Direction(suite, kr)}
        take = {"initiator": Direction(suite, ki), "responder": Direction(suite, kr)}
        read = {"initiator": Receiver(1, 1 << 20, NODES), "responder": Receiver(1, 1 << 20, NODES)}
        for who in send:
            def hello(c):
                plain = links.frame(1, c.hex("hello_payload"))
                wire = send[who].seal(plain)
                got = take[who].open(c.hex(who + "_hello_wire"))
                return differ((c[who + "_hello_wire"], wire.hex()), (plain, got),
                              ([(1, c.hex("hello_payload"))], read[who].take(got)))
            r.equal("%s.%s hello" % (name, who), None, hello(c))
        pinged = []

        def record(c):
            who = c["from"]
            if (send[who].number, take[who].number) != (c["number"],) * 2:
                return ("number %d" % c["number"], send[who].number)
            kind = c["name"]
            if "plain" in c:
                plain = c.hex("plain")
            elif kind == "pong":
                plain = links.frame(3, pinged[-1])
            else:
                return ("a plain text", "none")
            wire = send[who].seal(plain)
            got = take[who].open(c.hex("wire"))
            if kind == "goodbye":
                seen = word(read[who].take, got)
                return differ((c["wire"], wire.hex()), (plain, got), ("goodbye", seen))
            frames = read[who].take(got)
            want = {"ping": 2, "pong": 3}.get(kind, 0x203)
            if frames[0][0] == 2:
                pinged.append(frames[0][1])
            return differ((c["wire"], wire.hex()), (plain, got), (1, len(frames)), (want, frames[0][0]))
        r.group(name + ".records", c["records"], record)

        def long_frame(c):
            if c["payload"] != "byte i is i mod 251":
                return ("byte i is i mod 251", c["payload"])
            d = Direction(suite, ki, c["first_number"])
            whole = links.frame(c["type"], bytes(i % 251 for i in range(c["payload_bytes"])))
            cuts = [whole[:8]] + [whole[i:i + 16384] for i in range(8, len(whole), 16384)]
            wire = b"".join(d.seal(x) for x in cuts)
            back, e, got = Direction(suite, ki, c["first_number"]), 0, b""
            while e < len(wire):
                n = 2 + int.from_bytes(wire[e:e + 2], "little")
                got += back.open(wire[e:e + n])
                e += n
            return differ((c["wire_bytes"], len(wire)), (c["wire_sha256"], hashlib.sha256(wire).hexdigest()),
                          (whole, got))
        r.case(name + ".long_frame", c["long_frame"], long_frame)

        def key_change(c):
            d = Direction(suite, ki, c["number"])
            back = Direction(suite, ki, c["number"])
            wire = d.seal(c.hex("plain"))
            return differ((c["key_before"], ki.hex()), (c["wire"], wire.hex()), (c["key_after"], d.key.hex()),
                          (c.hex("plain"), back.open(wire)))
        r.case(name + ".key_change", c["key_change"], key_change)
        if c.unread():
            r.fail(name, "all fields used", "not recognised: " + ", ".join(c.unread()))

    def first_flight(c):
        return differ((c["error"], word(p.answer, c.hex("bytes"))))

    def bad_frame(c):
        ki = p.keys(1)[0]
        reader = Receiver(1, 1 << 20, NODES)
        number = 0 if c["before_hello"] else 1
        if number:
            reader.take(links.frame(1, bytes.fromhex("01000100000010000000000000000000")))
        plain = c.hex("plain")
        return differ((c["wire"], Direction(1, ki, number).seal(plain).hex()),
                      (plain, Direction(1, ki, number).open(c.hex("wire"))), (c["error"], word(reader.take, plain)))

    def bad_record(c):
        c.get("name")
        d = Direction(1, p.keys(1)[0], 1)
        return differ((c["error"], word(d.open, c.hex("wire"))))

    number = lambda want: lambda name, v: r.equal(name, v, want)
    g = lambda judge: lambda name, cases: r.group(name, cases, judge)
    r.groups({"system_id": lambda n, v: r.equal(n, v, b"heraclius-links!".hex()), "link_version": number(1),
              "rekey_records": number(links.REKEY_RECORDS), "initiator": person, "responder": person,
              "chachapoly": session, "aesgcm": session, "negative_first_flights": g(first_flight),
              "negative_frames": g(bad_frame), "negative_records": g(bad_record)}, data)
    own_links.add(r, path)
    return r
