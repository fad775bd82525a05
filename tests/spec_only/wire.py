"""Reading tables: little-endian integers, raw bytes, and the end (chapter 1.1)."""
from hashlib import sha256


class Bad(Exception):
    """An item is refused; the word says why."""

    @property
    def word(self):
        return self.args[0]


def need(condition, word):
    if not condition:
        raise Bad(word)


def word_of(f, *args):
    try:
        f(*args)
    except Bad as e:
        return e.word
    return "ok"


class Reader:
    def __init__(self, data, short="truncated", field="field-range", trail=None, zero_word=None):
        self.data, self.pos, self.short, self.field = data, 0, short, field
        self.trail, self.zero_word = trail or short, zero_word

    def take(self, n):
        if len(self.data) - self.pos < n:
            raise Bad(self.short)
        self.pos += n
        return self.data[self.pos - n:self.pos]

    def u(self, n):
        return int.from_bytes(self.take(n), "little")

    def zero(self, n):
        need(self.take(n) == bytes(n), self.zero_word or self.field)

    def ranged(self, n, low, high):
        v = self.u(n)
        need(low <= v <= high, self.field)
        return v

    def left(self):
        return len(self.data) - self.pos

    def end(self):
        need(self.left() == 0, self.trail)

    def rest(self):
        return self.take(self.left())


def form(data):
    """A reader with the words of 3.13."""
    return Reader(data, "truncated", "range", "trailing", "zero")


def le(v, n):
    return v.to_bytes(n, "little")


def H(prefix, *parts):
    return sha256(bytes([prefix]) + b"".join(parts)).digest()


def tag(text):
    return text.encode().ljust(16, b"\0")


def quorum(n):
    return n - (n - 1) // 3


def is_coordinator(c):
    return 0x10000 <= c < 0x11000
