"""Counting of cases; nothing is skipped silently."""
import json

from wire import word_of


class Case(dict):
    """A vector case that remembers which of its fields were looked at."""

    def __init__(self, *a):
        super().__init__(*a)
        self.seen = set()

    def __getitem__(self, k):
        self.seen.add(k)
        return super().__getitem__(k)

    def get(self, k, default=None):
        self.seen.add(k)
        return super().get(k, default)

    def hex(self, k):
        return bytes.fromhex(self[k])

    def num(self, k):
        return int(self[k])

    def unread(self):
        out = [k for k in self if k not in self.seen]
        for k in self.seen:
            for v in self.walk(super().get(k)):
                out += [k + "." + u for u in v.unread()]
        return out

    @staticmethod
    def walk(v):
        if isinstance(v, Case):
            yield v
        elif isinstance(v, list):
            for x in v:
                yield from Case.walk(x)


def load(name):
    with open(name) as f:
        return json.load(f, object_pairs_hook=Case)


class Report:
    def __init__(self, chapter):
        self.chapter, self.passed, self.failed, self.failures = chapter, 0, 0, []

    def fail(self, what, expected, got):
        self.failed += 1
        self.failures.append("%s: %s: expected %s, got %s" % (self.chapter, what, short(expected), short(got)))

    def equal(self, what, expected, got):
        if expected == got:
            self.passed += 1
        else:
            self.fail(what, expected, got)

    def case(self, what, case, judge):
        """judge(case) gives None or (expected, got) of the first difference."""
        try:
            diff = judge(case)
        except Exception as e:  # a bug here or a vector of another form: never silent
            return self.fail(what, "no exception", "%s: %s" % (type(e).__name__, e))
        if diff is None and isinstance(case, Case) and case.unread():
            diff = ("all fields used", "not recognised: " + ", ".join(case.unread()))
        if diff is None:
            self.passed += 1
        else:
            self.fail(what, *diff)

    def words(self, name, cases):
        """Checks of our own: (label, expected word, function that passes or raises Bad)."""
        for label, want, f in cases:
            self.case("own %s: %s" % (name, label), None, lambda _: differ((want, word_of(f))))

    def facts(self, name, cases):
        """Checks of our own: (label, expected, function that gives it)."""
        for label, want, f in cases:
            self.case("own %s: %s" % (name, label), None, lambda _: differ((want, f())))

    def group(self, name, cases, judge, label=("name", "case")):
        if not isinstance(cases, list) or not cases:
            return self.fail(name, "a list of cases", type(cases).__name__)
        for i, c in enumerate(cases):
            tag = next((str(c.get(k)) for k in label if isinstance(c, dict) and k in c), "")
            self.case("%s[%d] %s" % (name, i, tag), c, judge)

    def groups(self, table, data, prefix=""):
        """Every group of the file must be known, and every known one be there."""
        for name, judge in table.items():
            if name not in data:
                self.fail(prefix + name, "the group", "not in the file")
                continue
            try:
                judge(prefix + name, data[name])
            except Exception as e:
                self.fail(prefix + name, "no exception", "%s: %s" % (type(e).__name__, e))
        for name in data:
            if name not in table:
                self.fail(prefix + name, "a known group", "not recognised")


def short(v):
    v = v.hex() if isinstance(v, bytes) else str(v)
    return v if len(v) < 200 else v[:160] + "...(%d)" % len(v)


def differ(*pairs):
    """The first pair (expected, got) that differs."""
    for e, g in pairs:
        if e != g:
            return (e, g)
    return None
