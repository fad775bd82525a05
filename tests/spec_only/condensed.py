"""Condensed items: long results enter a hash by their own (D-16, D-36).

How the text was read where it says less than a program must know:
- D-16: the kind of a client's item is its first byte alone; its zero bytes are not looked at, as "begins with 1" in D-36 has it. What follows the
  head is checked of items of every kind, known or not.
"""
from wire import H, Reader, le, need

LONG = 512  # bytes of results from which on their hash stands for them
ENVELOPE, HEAD, ANSWER_HEAD, PART_HEAD, CLIENT_HEAD = 16, 8, 16, 24, 64
ANSWER_KIND, WHOLE_PART = b"\3\0\0\0", 1


def u32(raw, at):
    return int.from_bytes(raw[at:at + 4], "little")


def results_hash(results):
    return H(0x1C, results)


def entering(results):
    """What enters a hash for results."""
    return results_hash(results) if len(results) >= LONG else results


def answer(body):
    """D-36.2: the condensed body of an item of kind 3."""
    out, at = [body[:ANSWER_HEAD]], ANSWER_HEAD
    while len(body) - at >= PART_HEAD and u32(body, at + 20) <= len(body) - at - PART_HEAD:
        results = at + PART_HEAD
        end = results + u32(body, at + 20)
        out += [body[at:results], entering(body[results:end])]
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
    long_results = len(item) >= CLIENT_HEAD + LONG and item[0] == WHOLE_PART
    return item[:CLIENT_HEAD] + results_hash(item[CLIENT_HEAD:]) if long_results else item


def client_items(body, count):
    """D-16: the items of a client slice whose leaf has this item_count."""
    r = Reader(body, "wrong_slice")
    need(r.u(4) == count, "wrong_slice")
    items = [r.take(r.u(4)) for _ in range(count)]
    r.end()
    need(all(len(x) >= CLIENT_HEAD and u32(x, 60) == len(x) - CLIENT_HEAD for x in items), "wrong_slice")
    return items
