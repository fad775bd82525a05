"""Chapter 3: vectors/consensus.json."""
import ed25519
import own_consensus
import own_entries
import own_strain
from consensus import VOTE_TAG, Certificate, Epoch, Header, Timeout, decode_qc, decode_tc
from evidence import Evidence
from messages import Block, Fetch, Noop, Propose, Status, Vote
from report import Report, differ, load
from wire import H, Bad, quorum, word_of
from hashlib import sha256

MESSAGES = {0x101: Propose, 0x102: lambda raw: Vote(1, raw), 0x103: lambda raw: Vote(2, raw), 0x104: decode_qc,
            0x105: Timeout, 0x106: decode_tc, 0x107: Fetch, 0x108: Block, 0x109: Status, 0x10a: Noop}


def judge(what, type_, raw, epoch):
    if what == "certificate":
        Certificate(raw).check(epoch)
    elif type_ not in MESSAGES:
        raise Bad("type")
    else:
        MESSAGES[type_](raw).check(epoch)


def header(c):
    raw = c.hex("bytes")
    h = Header(raw)
    fields = [(c.num(n) if n in Header.NUMBERS else c.hex(n), getattr(h, n)) for n, _ in Header.FIELDS]
    built = b""
    for n, size in Header.FIELDS:
        built += c.num(n).to_bytes(size, "little") if n in Header.NUMBERS else c.hex(n)
    return differ(*fields, (raw, built), (c["block_id"], h.id.hex()),
                  (c["prepare_preimage"], (VOTE_TAG[1] + h.ballot()).hex()),
                  (c["commit_preimage"], (VOTE_TAG[2] + h.ballot()).hex()))


def run(path, mode):
    r, data = Report("consensus"), load(path)
    epochs = {}

    def epoch(c):
        keys = [m.hex("public_key") for m in c["members"]]
        epochs[c["n"]] = Epoch(c.hex("system_id"), c.hex("config_hash"), c["cluster"], c["epoch"], keys,
                               c["start_height"], c["height_last"], c.hex("start_id"))
        n = c["n"]
        return differ((n, len(keys)), (c["q"], quorum(n)), (c["f"], (n - 1) // 3), (c["q"], n - c["f"]),
                      (keys, [ed25519.public_key(m.hex("seed")) for m in c["members"]]))

    def case(c):
        if c["what"] not in ("message", "certificate"):
            return ("a message or a certificate", c["what"])
        type_ = c["type"] if c["what"] == "message" else None
        return differ((c["error"], word_of(judge, c["what"], type_, c.hex("bytes"), epochs[c["n"]])))

    def evidence(c):
        found, members = [], epochs[c["n"]]

        def one():
            e = Evidence(c.hex("bytes"))
            if e.chain:
                raise ValueError("a CONFIG chain, and no system file to judge it by")
            e.check(members)
            found.append((e.kind, e.culprit))
        word = word_of(one)
        want = [(c["kind"], c["signer"])] if c["error"] == "ok" else []
        return differ((c["error"], word), (want, found))

    g = lambda j: lambda name, cases: r.group(name, cases, j)
    r.groups({"epochs": g(epoch), "headers": g(header), "cases": g(case), "evidence": g(evidence),
              "body_hash_empty": lambda n, v: r.equal(n, v, H(7, bytes(4)).hex()),
              "outbox_root_empty": lambda n, v: r.equal(n, v, sha256(b"").hexdigest())}, data)
    own_consensus.add(r)
    own_entries.add(r)
    own_strain.add(r)
    return r
