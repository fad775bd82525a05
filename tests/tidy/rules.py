"""The rules of the house that a machine can check. Each rule is a function of a Tree that yields (file, line, text).

tests/tidy/tidy runs them all over the checkout; tests/tidy/test_rules plants a fault for each and sees it found.
An exception is a line in tests/tidy/allow: rule, file, what, reason. An exception that is not needed any more is a fault.
"""
import os
import re
import subprocess

# The include arrows: a folder may include itself and these. The Makefile (BELOW_*) links what they lead to.
ARROWS = {
    "merkle": set(),
    "bft": {"merkle"},
    "store": {"merkle"},
    "ring": set(),
    "protocol": {"merkle", "bft"},
    "appliance/base": {"protocol", "merkle"},
    "appliance/status": {"ring"},
    "appliance/config": {"appliance/status"},
    "appliance/exec": {"appliance/base", "protocol", "store", "merkle"},
    "appliance/transfer": {"appliance/exec", "appliance/base", "protocol", "store", "bft", "merkle"},
    "appliance/replica": {"appliance/transfer", "appliance/exec", "appliance/base", "appliance/status", "protocol", "store", "bft", "merkle"},
    "appliance/node": {"appliance/replica", "appliance/transfer", "appliance/exec", "appliance/base", "appliance/config", "appliance/status",
                       "protocol", "ring", "store", "bft", "merkle"},
    "appliance/admin": {"appliance/slots", "appliance/status", "protocol", "ring", "bft", "merkle"},
    "appliance/console": {"appliance/status", "protocol", "ring", "bft"},
    "appliance/setup": {"appliance/config", "protocol", "ring", "bft", "merkle"},
    "appliance/net": {"ring"},
    "appliance/disk": {"ring"},
    "appliance/logs": {"ring"},
    "appliance/slots": {"appliance/setup", "appliance/status", "protocol", "ring", "bft", "merkle"},
    "client": {"protocol", "ring", "bft", "merkle"},
    "init": set(),
}
FOLDERS = tuple(ARROWS)
WITHOUT_HEAP = ("merkle", "bft", "init")
PURE = ("merkle", "bft", "appliance/base", "appliance/exec", "appliance/transfer", "appliance/replica")
INIT_LINES_MAX = 3000

FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
TEST_FUNCTION_LINES_MAX = 100
COLUMNS_MAX = 150

# Headers that one folder alone may include.
ONLY = {"lmdb.h": ("store",), "liburing.h": ("ring",), "microhttpd.h": ("appliance/admin",),
        "gnutls/gnutls.h": ("appliance/admin", "client"), "histedit.h": ("appliance/console",),
        "popt.h": ("client",) + tuple(f for f in FOLDERS if f.startswith("appliance/"))}

# The files that read the clock, and those that read entropy, each with its reason.
CLOCK_FILES = {
    "ring/clock.c": "the clock of nodes and clients",
    "init/machine.c": "PID 1 stands alone: time since boot, and the calendar, which it may have to set",
    "init/log.c": "PID 1 stands alone: the time in front of a line, and in the name of a crash's record",
}
ENTROPY_FILES = {
    "ring/entropy.c": "the entropy of nodes and clients",
    "init/machine.c": "waits until the kernel's random numbers are seeded; keeps none",
    "appliance/disk/disk_format.c": "a new file system's UUID, and the first number of its journal: what an older one left is not played back",
}
CLOCK = r"clock_gettime|gettimeofday|timespec_get|ftime|clock|time|getrusage_time|__rdtsc|_rdtsc"
ENTROPY = (r"getrandom|getentropy|randombytes_buf|randombytes_random|randombytes_uniform|randombytes|RAND_bytes|arc4random(?:_buf|_uniform)?"
           r"|crypto_(?!\w*_seed_)\w*_keypair|crypto_\w*_keygen|ED25519_keypair|X25519_keypair")

BANNED = {
    "strcpy": "has no length: snprintf, or memcpy with a checked length",
    "strcat": "has no length: snprintf",
    "strncpy": "leaves texts without an end: snprintf, or memcpy with a checked length",
    "strncat": "snprintf",
    "stpcpy": "has no length",
    "sprintf": "snprintf",
    "vsprintf": "vsnprintf",
    "gets": "fgets",
    "strtok": "hidden state",
    "rand": "ring/entropy.h; in tests a seeded generator that prints its seed",
    "srand": "ring/entropy.h; in tests a seeded generator that prints its seed",
    "random": "ring/entropy.h; in tests a seeded generator that prints its seed",
    "srandom": "as random",
    "drand48": "as random",
    "alloca": "the stack is not checked",
    "atoi": "no error: strtol, or a parser of ours that refuses what follows",
    "atol": "no error",
    "atoll": "no error",
    "mktemp": "a race",
    "tmpnam": "a race",
    "asctime": "shared buffer",
    "ctime": "shared buffer",
    "gmtime": "shared buffer: gmtime_r",
    "localtime": "shared buffer: localtime_r",
    "longjmp": "no hidden control flow",
}
BANNED_IN_PRODUCT = {"system": "no shell", "popen": "no shell", "fork": "no process of a node starts another"}
MAY_FORK = ("init", "appliance/setup")  # who starts programs, and confines the child before
HEAP = r"malloc|calloc|realloc|reallocarray|free|strdup|strndup|posix_memalign|aligned_alloc|asprintf|vasprintf|mmap"
IMPURE_HEADERS = re.compile(r"^(unistd|pthread|threads|time|fcntl|poll|signal|semaphore|sys/\w+|netinet/\w+|arpa/\w+|linux/\w+)\.h$")

SKIP_DIRS = {".git", "build", "local", "__pycache__", "corpus", ".ci-cache", "out"}
RULE = re.compile(r"(?<![\w/-])([ACEMTBDOLSP])-(\d+[a-z]?)(?![\w-])")
RULE_DEFINED = re.compile(r"\*\*([ACEMTBDOLSP])-(\d+[a-z]?)\b")


class Tree:
    """The files of one checkout, read once; `code` has comments and texts blanked, line for line."""

    def __init__(self, root):
        self.root = root
        self.files = []
        for folder, dirs, names in os.walk(root):
            dirs[:] = sorted(d for d in dirs if d not in SKIP_DIRS)
            for n in sorted(names):
                path = os.path.relpath(os.path.join(folder, n), root)
                if not os.path.islink(os.path.join(root, path)):
                    self.files.append(path)
        self._text = {}
        self._code = {}

    def text(self, path):
        if path not in self._text:
            with open(os.path.join(self.root, path), "rb") as f:
                data = f.read()
            self._text[path] = "" if b"\0" in data else data.decode("utf-8", "replace")
        return self._text[path]

    def lines(self, path):
        return self.text(path).split("\n")

    def code(self, path):
        if path not in self._code:
            self._code[path] = blank(self.text(path)).split("\n")
        return self._code[path]

    def c_files(self, product_only=False):
        for p in self.files:
            if p.endswith((".c", ".h")) and (folder_of(p) in FOLDERS or (not product_only and p.startswith("tests/"))):
                yield p

    def texts(self):
        """Everything that people wrote, the licence apart."""
        for p in self.files:
            if p == "LICENSE" or p.endswith((".json", ".rsp", ".txt", ".bin", ".png", ".svg")) or "/vectors/" in p:
                continue
            yield p


def blank(text):
    """Comments and the inside of texts become blanks, so that columns and lines stay."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def empty(m):
        s = m.group(0)
        if s[0] in "\"'":
            return s[0] + " " * (len(s) - 2) + s[0]
        return re.sub(r"[^\n]", " ", s)

    return pattern.sub(empty, text)


def folder_of(path):
    """Of the product's folders the one that it lies in; else the uppermost."""
    parts = path.split("/")
    return "/".join(parts[:2]) if "/".join(parts[:2]) in FOLDERS else parts[0]


def is_product(path):
    return folder_of(path) in FOLDERS


def includes(tree, path):
    """(line number, quoted or not, name) of each include."""
    for i, line in enumerate(tree.lines(path), 1):
        m = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if m:
            yield i, m.group(1) == '"', m.group(2)


def functions(tree, path):
    """(name, first line, last line, lines between the braces) of each function; braces stand as clang-format puts them."""
    code = tree.code(path)
    start = None
    head = ""
    for i, line in enumerate(code, 1):
        if start is None:
            if line and not line[0].isspace() and not line.startswith(("#", "}")):
                head = line if not head or ";" in head else head + " " + line
                if re.match(r"(typedef|struct|union|enum)\b[^()]*$", head):
                    if line.rstrip().endswith((";", "{")):
                        head = ""
                    continue
            elif line.strip() and head:
                head += " " + line.strip()
            if line.rstrip().endswith("{") and "(" in head and "=" not in head:
                m = re.search(r"(\w+)\s*\(", re.sub(r"__attribute__\s*\(\([^)]*(?:\([^)]*\))?[^)]*\)\)", " ", head))
                start, name = i, m.group(1) if m else "?"
            elif line.rstrip().endswith((";", "}")):
                head = ""
        elif line.startswith("}"):
            yield name, start, i, i - start - 1
            start, head = None, ""


# ---------------------------------------------------------------- the rules

def rule_arrows(tree):
    """Includes point one way only, and each source lies in a folder that has its arrows."""
    for p in tree.files:
        if p.endswith((".c", ".h")) and not is_product(p) and not p.startswith("tests/"):
            yield p, 1, "lies in no folder of the product"
    for p in tree.c_files(product_only=True):
        folder = folder_of(p)
        for i, quoted, name in includes(tree, p):
            to = folder_of(name)
            if quoted and to == "tests":
                yield p, i, f"product code includes {name}"
            elif quoted and to in FOLDERS and to != folder and to not in ARROWS[folder]:
                yield p, i, f"{folder} may not include {to}"


def rule_include_from_top(tree):
    """Our includes are written from the top of the tree, and exist."""
    for p in tree.c_files():
        for i, quoted, name in includes(tree, p):
            if quoted and not os.path.exists(os.path.join(tree.root, name)):
                yield p, i, f'"{name}" is no file seen from the top'


def rule_one_owner(tree):
    """Only store/ includes lmdb.h, only ring/ includes liburing.h, and so on."""
    for p in tree.c_files(product_only=True):
        for i, _, name in includes(tree, p):
            if name in ONLY and folder_of(p) not in ONLY[name]:
                yield p, i, f"only {' and '.join(ONLY[name])} may include {name}"


def rule_archives(tree):
    """A program is linked with what the arrows lead to: the Makefile's BELOW_*."""
    if "Makefile" not in tree.files:
        return
    below = dict(re.findall(r"^BELOW_(\S+) := (.*)$", tree.text("Makefile"), re.M))
    for folder in FOLDERS:
        wanted, found = {folder}, set()
        while wanted - found:
            found |= wanted
            wanted = found.union(*(ARROWS[f] for f in found))
        words = re.sub(r"\$\(BELOW_(\S+)\)", lambda m: below.get(m.group(1), ""), below.get(folder, "")).split()
        if set(words) != found:
            yield "Makefile", 1, f"BELOW_{folder} is not {' '.join(sorted(found))}"
        for i, f in enumerate(words):
            for upper in words[i + 1:]:
                if f in ARROWS.get(upper, ()):
                    yield "Makefile", 1, f"BELOW_{folder}: {f} stands before {upper}, which needs it"


def calls(tree, path, names):
    pattern = re.compile(r"(?<![\w.>])(" + names + r")\s*\(")
    for i, line in enumerate(tree.code(path), 1):
        if line.lstrip().startswith("#define") and "(" not in line:
            continue
        for m in pattern.finditer(line):
            yield i, m.group(1)


def rule_clock(tree):
    """Few files read the clock, each for a reason."""
    for p in tree.c_files(product_only=True):
        if p not in CLOCK_FILES:
            for i, name in calls(tree, p, CLOCK):
                yield p, i, f"{name}() outside {', '.join(CLOCK_FILES)}"


def rule_entropy(tree):
    """Few files read entropy, each for a reason."""
    for p in tree.c_files(product_only=True):
        if p in ENTROPY_FILES:
            continue
        for i, name in calls(tree, p, ENTROPY):
            yield p, i, f"{name}() outside {', '.join(ENTROPY_FILES)}"
        for i, line in enumerate(tree.lines(p), 1):
            if re.search(r'"/dev/u?random', line) and "LANDLOCK_" not in line:
                yield p, i, f"/dev/random outside {', '.join(ENTROPY_FILES)}"


def rule_banned(tree):
    """Calls that invite faults."""
    for p in tree.c_files():
        banned = dict(BANNED, **BANNED_IN_PRODUCT) if is_product(p) else dict(BANNED)
        if folder_of(p) in MAY_FORK:
            banned.pop("fork")
        for i, name in calls(tree, p, "|".join(banned)):
            yield p, i, f"{name}(): {banned[name]}"


def rule_no_heap(tree):
    """merkle/, bft/ and init/ take no memory."""
    for p in tree.c_files(product_only=True):
        if folder_of(p) in WITHOUT_HEAP:
            for i, name in calls(tree, p, HEAP):
                yield p, i, f"{name}() in {folder_of(p)}/"


def rule_init_is_small(tree):
    """PID 1 can be read in an afternoon."""
    count = sum(tree.text(p).count("\n") for p in tree.c_files(product_only=True) if folder_of(p) == "init")
    if count > INIT_LINES_MAX:
        yield "init", 0, f"{count} lines, more than {INIT_LINES_MAX}"


def rule_pure(tree):
    """What decides makes no system call and starts no thread."""
    for p in tree.c_files(product_only=True):
        if folder_of(p) in PURE:
            for i, _, name in includes(tree, p):
                if IMPURE_HEADERS.match(name):
                    yield p, i, f"<{name}> in {folder_of(p)}/"


def rule_no_dead_code(tree):
    """No code that is switched off."""
    for p in tree.c_files():
        for i, line in enumerate(tree.lines(p), 1):
            if re.match(r"\s*#\s*if\s+0\b", line):
                yield p, i, "#if 0"


def rule_no_promises(tree):
    """Nothing is left for later in the text."""
    words = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")) + r")\b")
    for p in tree.texts():
        for i, line in enumerate(tree.lines(p), 1):
            m = words.search(line)
            if m:
                yield p, i, m.group(1)


def rule_no_foreign_paths(tree):
    """No path of the machine on which a file was written."""
    paths = re.compile("/wo" + r"rk/|/ho" + r"me/\w+/|/ro" + r"ot/\w")
    for p in tree.texts():
        for i, line in enumerate(tree.lines(p), 1):
            if paths.search(line):
                yield p, i, f"a path of one machine: {line.strip()[:80]}"


def rule_file_size(tree):
    """A file has one job."""
    for p in tree.files:
        if p.endswith((".c", ".h", ".py", ".sh")) or p.startswith("tests/") and tree.text(p).startswith("#!"):
            n = tree.text(p).count("\n")
            if n > FILE_LINES_MAX:
                yield p, n, f"{n} lines, more than {FILE_LINES_MAX}"


def rule_function_size(tree):
    """A function fits on a screen."""
    for p in tree.c_files():
        limit = FUNCTION_LINES_MAX if is_product(p) else TEST_FUNCTION_LINES_MAX
        for name, first, _, count in functions(tree, p):
            if count > limit:
                yield p, first, f"{name}(): {count} lines, more than {limit}"


def rule_columns(tree):
    """Lines, tabs, ends of lines."""
    for p in tree.texts():
        if p.endswith(".md"):
            continue
        c = p.endswith((".c", ".h"))
        for i, line in enumerate(tree.lines(p), 1):
            if len(line) > COLUMNS_MAX:
                yield p, i, f"{len(line)} columns, more than {COLUMNS_MAX}"
            if c and "\t" in line:
                yield p, i, "a tab"
            if c and line != line.rstrip():
                yield p, i, "blanks at the end of the line"
        if tree.text(p) and not tree.text(p).endswith("\n"):
            yield p, len(tree.lines(p)), "no line feed at the end"


def rule_folder_says(tree):
    """Each folder has a README.md, or a file that opens with a comment about it."""
    folders = {os.path.dirname(p) for p in tree.files if folder_of(p) in FOLDERS or p.startswith("tests/")}
    for d in sorted(folders):
        if not d or d == "tests" or d.count("/") > 1 or "vectors" in d.split("/"):
            continue
        mine = [p for p in tree.files if os.path.dirname(p) == d]
        if not any(p.endswith("README.md") for p in mine) and not any(
                tree.text(p).lstrip().startswith(("/*", "//", '"""', "#!")) for p in mine):
            yield d, 0, "neither README.md nor a header comment"


def rule_header_comment(tree):
    """Each header opens with a comment (headers are the manual) and has a guard."""
    for p in tree.c_files(product_only=True):
        if p.endswith(".h"):
            t = tree.text(p)
            if not re.match(r"\s*(#ifndef \w+\s*#define \w+\s*)?(/\*|//)", t):
                yield p, 1, "opens with no comment"
            if "#ifndef " not in t and "#pragma once" not in t:
                yield p, 1, "no include guard"


def rule_pointer_typedef(tree):
    """No typedef of a pointer to data."""
    for p in tree.c_files():
        for i, line in enumerate(tree.code(p), 1):
            if re.match(r"\s*typedef\b[^(]*\*\s*\w+\s*;", line):
                yield p, i, "typedef of a pointer"


def rule_recursion(tree):
    """No function of the product calls itself."""
    for p in tree.c_files(product_only=True):
        code = tree.code(p)
        for name, first, last, _ in functions(tree, p):
            for i in range(first, last):
                if re.search(r"(?<![\w.>])" + re.escape(name) + r"\s*\(", code[i]):
                    yield p, i + 1, f"{name}() calls itself"


def rule_macro_flow(tree):
    """No control flow inside macros, CHECK and the tests' own apart."""
    for p in tree.c_files(product_only=True):
        lines = tree.code(p)
        i = 0
        while i < len(lines):
            if re.match(r"\s*#\s*define\b", lines[i]):
                first, whole = i, lines[i]
                while whole.endswith("\\") and i + 1 < len(lines):
                    i += 1
                    whole = whole[:-1] + lines[i]
                m = re.search(r"\b(return|goto|break|continue)\b", whole)
                if m:
                    yield p, first + 1, f"{m.group(1)} in a macro"
            i += 1


def external_functions(tree):
    """(file, line, name) of each function of the product that leaves its file."""
    for p in tree.c_files(product_only=True):
        if not p.endswith(".c"):
            continue
        code = tree.code(p)
        for name, first, _, _ in functions(tree, p):
            start = first - 1
            while start > 0 and code[start - 1].strip() and code[start - 1][0] not in "}#" and not code[start - 1].rstrip().endswith(";"):
                start -= 1
            if name != "main" and not name.isupper() and not re.search(r"\bstatic\b", " ".join(code[start:first])):
                yield p, first, name


def rule_names(tree):
    """noun_verb: a function that leaves its file is declared in a header of its folder, and does not wear the noun of a header below."""
    nouns = {folder: set() for folder in FOLDERS}
    declared = {folder: "" for folder in FOLDERS}
    for p in tree.c_files(product_only=True):
        if p.endswith(".h"):
            nouns[folder_of(p)].add(os.path.basename(p)[:-2])
            declared[folder_of(p)] += "\n".join(tree.code(p))
    for p, first, name in external_functions(tree):
        folder = folder_of(p)
        if not re.search(r"\b" + re.escape(name) + r"\s*[(,;]", declared[folder]):
            yield p, first, f"{name}() leaves its file and no header of {folder}/ declares it"
        if "_" not in name:
            yield p, first, f"{name}() leaves its file and is no noun_verb"
        noun = name.split("_")[0]
        for other in ARROWS[folder]:
            if noun in nouns[other] and noun not in nouns[folder] and not any(h.startswith(noun + "_") for h in nouns[folder]):
                yield p, first, f"{name}(): {noun}_ belongs to {other}/{noun}.h"


def rule_citations(tree):
    """Every rule number that is cited exists in spec/, and none is defined twice."""
    defined = {}
    for p in tree.files:
        if p.startswith("spec/") and p.endswith(".md"):
            for i, line in enumerate(tree.lines(p), 1):
                for m in RULE_DEFINED.finditer(line):
                    key = m.group(1) + "-" + m.group(2)
                    if key in defined and line.lstrip().startswith(("- **", "**")):
                        yield p, i, f"{key} is defined here and at {defined[key]}"
                    defined.setdefault(key, f"{p}:{i}")
    for p in tree.texts():
        if p.startswith("tests/tidy/") or not (is_product(p) or folder_of(p) in ("tests", "spec", "docs") or p.endswith(".md")):
            continue
        for i, line in enumerate(tree.lines(p), 1):
            for m in RULE.finditer(line):
                key = m.group(1) + "-" + m.group(2)
                if key not in defined:
                    yield p, i, f"{key} is no rule of spec/"


def rule_links(tree):
    """Links in Markdown lead somewhere."""
    for p in tree.files:
        if not p.endswith(".md"):
            continue
        fenced = False
        for i, line in enumerate(tree.lines(p), 1):
            if line.lstrip().startswith("```"):
                fenced = not fenced
            if fenced:
                continue
            for m in re.finditer(r"\[[^\]]*\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", line)):
                to = m.group(1).split("#")[0]
                if not to or re.match(r"[a-z]+:", to):
                    continue
                if not os.path.exists(os.path.normpath(os.path.join(tree.root, os.path.dirname(p), to))):
                    yield p, i, f"{to} is not there"


def rule_corpora(tree):
    """Each fuzz target has its kept corpus."""
    for p in tree.files:
        m = re.match(r"tests/fuzz/fuzz_(\w+)\.c$", p)
        if m:
            where = [os.path.join(tree.root, "tests/fuzz/corpus", n) for n in (m.group(1), "fuzz_" + m.group(1))]
            if not any(os.path.isdir(w) and os.listdir(w) for w in where):
                yield p, 1, f"no kept corpus in tests/fuzz/corpus/{m.group(1)}/"


def rule_scripts(tree):
    """What begins with #! can be run."""
    for p in tree.files:
        if tree.text(p).startswith("#!") and not os.access(os.path.join(tree.root, p), os.X_OK):
            yield p, 1, "begins with #! and is not executable"


def rule_headers_alone(tree):
    """Each header of the product compiles alone."""
    headers = [p for p in tree.c_files(product_only=True) if p.endswith(".h")]
    base = ["gcc", "-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I.", "-isystem", "/usr/include/android"]
    for h in headers:
        p = subprocess.run(base + ["-x", "c", "-"], cwd=tree.root, input=f'#include "{h}"\nint unused_;\n', text=True, capture_output=True)
        if p.returncode != 0:
            yield h, 1, "does not compile alone: " + (p.stderr.strip().splitlines() or ["?"])[0]


RULES = {name[len("rule_"):].replace("_", "-"): f for name, f in sorted(globals().items()) if name.startswith("rule_")}


def allowed(root):
    """The exceptions: {(rule, file, what): [reason, used]}; `what` is a text that the finding contains."""
    out = {}
    path = os.path.join(root, "tests/tidy/allow")
    if os.path.exists(path):
        with open(path) as f:
            for line in f:
                if line.strip() and not line.startswith("#"):
                    rule, file, what, reason = [x.strip() for x in line.split("|", 3)]
                    out[(rule, file, what)] = [reason, False]
    return out


def check(root, only=None):
    """{rule: [text of each finding]} for every rule, exceptions taken off."""
    tree = Tree(root)
    exceptions = allowed(root)
    out = {}
    for name, rule in RULES.items():
        if only and name not in only:
            continue
        out[name] = []
        for file, line, text in rule(tree):
            used = False
            for (r, f, what), entry in exceptions.items():
                if r == name and f == file and what in text:
                    entry[1] = used = True
            if not used:
                out[name].append(f"{file}:{line}: {text}")
    if not only:
        out["exceptions"] = [f"tests/tidy/allow: {r} | {f} | {w}: not needed any more, or without a reason"
                             for (r, f, w), (reason, used) in exceptions.items() if not used or not reason]
    return out
