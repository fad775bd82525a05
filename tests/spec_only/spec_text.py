"""Tables that are read from the text of spec/ itself, so that a row that is added there is missed here no longer."""
import os
import re

from links import ANYONE


def lines(vectors, chapter):
    """The lines of a chapter; vectors is the path of one of the vector files beside it."""
    with open(os.path.join(os.path.dirname(vectors), "..", chapter + ".md"), encoding="utf-8") as f:
        return f.read().split("\n")


def roles(text):
    return set(ANYONE) if text == "anyone" else set(text.split(", "))


def message_types(vectors):
    """C-12: type -> (senders, receivers), and the types of both ends. Of CONFIG_QUERY it names no receiver: S-103 has members answer."""
    table, both = {}, set()
    for line in lines(vectors, "conventions"):
        m = re.fullmatch(r"\| 0x([0-9A-F]{4}) \| [A-Z_]+ \| (.*) \| [0-9] \|", line)
        if m and m[2] == "both":
            both.add(int(m[1], 16))
        elif m:
            left, arrow, right = re.split(r" (->|<-) ", "anyone -> member" if m[2] == "anyone" else m[2])
            ends = (roles(left), roles(right))
            table[int(m[1], 16)] = ends if arrow == "->" else ends[::-1]
    return table, both


def errors(vectors):
    """7.14, in the order of its rows."""
    text = lines(vectors, "system")
    begin = next(i for i, line in enumerate(text) if line.startswith("## 7.14"))
    end = next(i for i, line in enumerate(text) if line.startswith("## 7.15"))
    return [m[1] for m in (re.match(r"\| `([a-z-]+)` \|", line) for line in text[begin:end]) if m]
