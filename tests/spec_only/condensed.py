"""Condensed items: long results, and long values in them, enter a hash by their own (D-16, D-36).

How the text was read where it says less than a program must know:
- D-16: the kind of a client's item is its first byte alone; its zero bytes are not looked at, as "begins with 1" in D-36 has it. What follows the
  head is checked of items of every kind, known or not.
- D-36: op_count only chooses the prefix. The walk that shortens results goes on as long as heads of results follow, however many op_count says there
  are, as item_count does not matter either.
- D-36: "the rest" that stays as it is begins with the 8 bytes of the head that claims too much, and ends the walk.
"""
from trie import value_hash
from wire import H, Reader, le, need

LONG = 512  # bytes of results, and of a value in them, from which on a hash stands for them
EACH = 256  # bytes of results an operation from which on they are shortened
RESULT_HEAD, VERSION, HAS_VERSION, LEFT_OUT = 8, 12, 1, 2  # O-6
ENVELOPE, HEAD, ANSWER_HEAD, PART_HEAD, CLIENT_HEAD = 16, 8, 16, 24, 64
ANSWER_KIND, WHOLE_PART = b"\3\0\0\0", 1


def u32(raw, at):
    return int.from_bytes(raw[at:at + 4], "little")


def shortened(results):
    """D-36: results with the value hash for each long value, whatever bytes they are."""
    out, at = [], 0
    while len(results) - at >= RESULT_HEAD:
        flags = results[at + 1]
        value = at + RESULT_HEAD + (VERSION if flags & HAS_VERSION else 0)
        end = value + (0 if flags & LEFT_OUT else u32(results, at + 4))
        if end > len(results):
            break
        out += [results[at:value], value_hash(results[value:end]) if end - value >= LONG else results[value:end]]
        at = end
    return b"".join(out) + results[at:]


def results_hash(results, op_count):
    """D-36; op_count: of the part's head."""
    if len(results) < EACH * op_count:
        return H(0x1C, results)
    return H(0x1D, shortened(results), le(len(results), 8))


def entering(results, op_count):
    """D-36.3: what enters a hash for results."""
    return results_hash(results, op_count) if len(results) >= LONG else results


def answer(body):
    """D-36.2: the condensed body of an item of kind 3."""
    out, at = [body[:ANSWER_HEAD]], ANSWER_HEAD
    while len(body) - at >= PART_HEAD and u32(body, at + 20) <= len(body) - at - PART_HEAD:
        results = at + PART_HEAD
        end = results + u32(body, at + 20)
        out += [body[at:results], entering(body[results:end], u32(body, at + 4))]
        at = end
    return b"".join(out) + body[at:]


def condensed(items):
    """D-36: of items with heads, whatever bytes they are."""
    out, at = [], 0
    while len(items) - at >= HEAD and u32(items, at) <= len(items) - at - HEAD:
        head, end = items[at:at + HEAD], at + HEAD + u32(items, at)
        body = items[at + HEAD:end]
        out += [head, answer(body) if head[4:] == ANSWER_KIND else body]
        at = end
    return b"".join(out) + items[at:]


def items_hash(items):
    return H(0x0F, condensed(items), le(len(items), 8))


def slice_hash(raw):
    """D-9."""
    return H(0x0A, raw[:ENVELOPE], items_hash(raw[ENVELOPE:]))


def client_item(item):
    """D-16: what enters items_root for an item whose results_bytes is what follows its head."""
    return item[:CLIENT_HEAD] + entering(item[CLIENT_HEAD:], u32(item, 56)) if item[:1] == bytes([WHOLE_PART]) else item


def client_items(body, count):
    """D-16: the items of a client slice whose leaf has this item_count."""
    r = Reader(body, "wrong_slice")
    need(r.u(4) == count, "wrong_slice")
    items = [r.take(r.u(4)) for _ in range(count)]
    r.end()
    need(all(len(x) >= CLIENT_HEAD and u32(x, 60) == len(x) - CLIENT_HEAD for x in items), "wrong_slice")
    return items
