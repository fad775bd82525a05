#!/usr/bin/env python3
"""The heraclius command against a fake system that does what the test says: words and options, exit codes, files, man page.

Ends with "N passed, N failed".
"""
import json
import os
import re
import shutil
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORK = os.path.join(TOP, "build/test-tmp/command")
FAKE = "build/gcc/tests/client/fake"
HONEST, SILENT, FORGET, DOWN, FEW, REFUSE, CODE, LATE, WHOLE = 0, 1, 2, 3, 11, 21, 22, 24, 27  # enum fake_act
RIGHTS, QUOTA, REVOKED, TOO_OLD, BUSY = 16, 17, 18, 19, 21
passed = failed = 0


def case(name, good, text=""):
    global passed, failed
    passed += bool(good)
    failed += not good
    print(f"{'ok  ' if good else 'FAIL'} {name}{'' if good else ': ' + str(text).strip()}", flush=True)


class Fake:
    def __init__(self, shards):
        self.process = subprocess.Popen([FAKE, str(shards)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "TMPDIR": WORK})
        self.folder = self.process.stdout.readline().strip()

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def play(self, act, code=0, times=0, node=-1, delay_ms=0):
        assert self.ask(f"play {node} {act} {code} {delay_ms} {times}") == "ok"

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=20)


def run(fake, *words, stdin="", before=(), env=None):
    system = ["-s", f"{fake.folder}/system.json"] if fake else []
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HERACLIUS_")}
    return subprocess.run(["./heraclius"] + list(before) + system + list(words), input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=60, env={**clean, **(env or {})})


def run_full(fake, *words, stdin=""):
    """With a standard output that takes nothing."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HERACLIUS_")}
    with open("/dev/full", "w") as full:
        done = subprocess.run(["./heraclius"] + (["-s", f"{fake.folder}/system.json"] if fake else []) + list(words), input=stdin, stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=60, env=clean)
    done.stdout = ""
    return done


def exits(name, done, code, out=None, err=None):
    good = done.returncode == code and (out is None or done.stdout == out) and (err is None or re.search(err, done.stderr))
    case(name, good, f"exit {done.returncode}, not {code}; out {done.stdout!r}; err {done.stderr!r}")
    return good


def data(fake):
    exits("get of an absent key", run(fake, "get", "k"), 1, "", "ABSENT")
    exits("put", run(fake, "put", "k", "hello world"), 0, "")
    exits("get", run(fake, "get", "k"), 0, "hello world\n")
    exits("put --if-absent of a present key", run(fake, "put", "k", "x", "--if-absent"), 1, "", "EXISTS")
    exits("--if-absent before the words", run(fake, "put", "--if-absent", "k9", "x"), 0)
    exits("cas", run(fake, "cas", "k", "hello world", "b"), 0)
    exits("cas of another value", run(fake, "cas", "k", "a", "c"), 1, "", "MISMATCH")
    exits("add to a word", run(fake, "add", "k", "1"), 1, "", "WRONG-TYPE")
    exits("add", run(fake, "add", "n", "5"), 0, "5\n")
    exits("add of a negative number", run(fake, "add", "n", "-2"), 0, "3\n")
    exits("add below the floor", run(fake, "add", "n", "-4", "--floor", "0"), 1, "", "BELOW-FLOOR")
    exits("a negative floor", run(fake, "add", "n", "-4", "--floor", "-10"), 0, "-1\n")
    exits("a negative floor with =", run(fake, "add", "--floor=-10", "n", "-4"), 0, "-5\n")
    exits("add beyond 64 bits", run(fake, "add", "n", "-9223372036854775808"), 1, "", "OVERFLOW")
    for word in ("1.5", "x", "", "+1", "9223372036854775808", "1 "):
        exits(f"add of '{word}'", run(fake, "add", "n", word), 2, "", "not a whole number")
    exits("a value that is a negative number", run(fake, "put", "-7", "-8"), 0)
    exits("a key that is a negative number", run(fake, "get", "-7"), 0, "-8\n")
    exits("a key that looks like an option, after --", run(fake, "get", "--", "-x"), 1)
    exits("del", run(fake, "del", "k"), 0, "")
    exits("del of an absent key", run(fake, "del", "k"), 1)
    exits("an empty value", run(fake, "put", "e", ""), 0)
    exits("an empty value is a value", run(fake, "get", "e"), 0, "\n")


def forms(fake):
    binary = os.path.join(WORK, "binary")
    with open(binary, "wb") as f:
        f.write(bytes(range(256)))
    exits("put --file", run(fake, "put", "bin", "--file", binary), 0)
    exits("get --file", run(fake, "get", "bin", "--file", binary + ".out"), 0, "")
    with open(binary + ".out", "rb") as f:
        case("binary values survive files", f.read() == bytes(range(256)))
    exits("put -", run(fake, "put", "in", "-", stdin="from stdin"), 0)
    exits("put --file -", run(fake, "put", "in2", "--file", "-", stdin="two"), 0)
    exits("get --file -", run(fake, "get", "in", "--file", "-"), 0, "from stdin")
    exits("a value and --file", run(fake, "put", "in", "v", "--file", binary), 2, "", "not both")
    exits("neither", run(fake, "put", "in"), 2, "", "missing")
    exits("a file that is not there", run(fake, "put", "in", "--file", "/nonexistent"), 2, "", "/nonexistent")
    with open(binary, "wb") as f:
        f.write(b"x" * 65537)
    exits("a file that is too long", run(fake, "put", "in", "--file", binary), 2, "", "65537 bytes; at most 65536, value_bytes_max of the system")
    exits("input that is too long", run(fake, "put", "in", "-", stdin="x" * 70000), 2, "", "more than 65536 bytes")
    exits("a file of the longest length", run(fake, "put", "in", "-", stdin="x" * 65536), 0)
    exits("put - again", run(fake, "put", "in", "-", stdin="from stdin"), 0)
    exits("--hex", run(fake, "put", "--hex", "00ff", "C0ffee"), 0)
    exits("get --hex", run(fake, "get", "00FF", "--hex"), 0, "c0ffee\n")
    exits("odd hex", run(fake, "get", "--hex", "abc"), 2, "", "not hex")
    exits("no hex", run(fake, "get", "--hex", "zz"), 2, "", "not hex")
    done = run(fake, "get", "in", "--json")
    shown = json.loads(done.stdout or "{}")
    case("get --json", done.returncode == 0 and shown.get("value") == "from stdin" and shown.get("code") == "OK", done.stdout)
    case("--json has version and height", re.fullmatch(r"\d+\.\d+", shown.get("version", "")) and shown.get("height", 0) > 0, done.stdout)
    done = run(fake, "get", "in", before=["--json"])
    case("--json before the command", json.loads(done.stdout or "{}").get("value") == "from stdin", done.stdout + done.stderr)
    done = run(fake, "put", "--json", "in", "x")
    case("put --json has a version and no value", "value" not in json.loads(done.stdout) and "version" in json.loads(done.stdout), done.stdout)
    done = run(fake, "get", "--json", "absent")
    case("--json of an absent key", done.returncode == 1 and json.loads(done.stdout)["code"] == "ABSENT", done.stdout)
    done = run(fake, "get", "bin", "--json")
    case("--json of bytes that are no text", json.loads(done.stdout).get("value_hex", "").startswith("000102"), done.stdout)
    env = {"HERACLIUS_SYSTEM": f"{fake.folder}/system.json", "HERACLIUS_CLIENT": f"{fake.folder}/client.key"}
    exits("HERACLIUS_SYSTEM and HERACLIUS_CLIENT", run(None, "get", "in2", env=env), 0, "two\n")
    exits("--via", run(fake, "get", "in2", "--via", "c0-n3"), 0, "two\n")
    exits("--via nobody", run(fake, "get", "in2", "--via", "c0-n9"), 2, "", "c0-n9")


def usage(fake):
    exits("no command", run(None), 2, "", "usage")
    exits("--help", run(None, "--help"), 0)
    exits("--version", run(None, "--version"), 0)
    exits("an unknown command", run(fake, "frobnicate"), 2, "", "frobnicate")
    exits("a group alone", run(fake, "config"), 2, "", "^  config  new .*\n(  config .*\n)+heraclius: 'config' needs one more word")
    exits("a word that the group does not have", run(fake, "config", "frob"), 2, "", "^(  config .*\n)+heraclius: unknown command 'config frob'")
    exits("an unknown option", run(fake, "get", "k", "--frob"), 2, "", "--frob")
    exits("too few words", run(fake, "cas", "k", "a"), 2, "", "usage")
    exits("too many words", run(fake, "get", "k", "l"), 2, "", "usage")
    exits("a bad timeout", run(fake, "get", "k", "--timeout", "0"), 2, "", "timeout")
    exits("a timeout that is no number", run(fake, "get", "k", "--timeout", "soon"), 2)
    exits("no system file", run(None, "get", "k", before=["-s", "/nonexistent/system.json"]), 2, "", "/nonexistent/system.json")
    exits("a key file that is not there", run(fake, "get", "k", "--client", "/nonexistent.key"), 2, "", "/nonexistent.key")
    for words, option in ((("batch", "-", "--receipt", "r"), "--receipt"), (("del", "k", "--floor", "3"), "--floor"),
                          (("get", "k", "--if-absent"), "--if-absent"), (("put", "k", "v", "--atomic"), "--atomic"),
                          (("status", "--receipt", "r"), "--receipt"), (("status", "--hex"), "--hex"), (("settle", "--hex"), "--hex"),
                          (("verify", "r", "--client", "k"), "--client"), (("bench", "--out", "b", "--timeout", "3"), "--timeout"),
                          (("add", "k", "1", "--file", "f"), "--file"), (("get", "k", "--retry"), "--retry")):
        exits(f"{words[0]} has no {option}", run(fake, *words), 2, "", option)
    exits("an option with its word before the command", run(fake, "k1", "v", before=["--receipt", os.path.join(WORK, "r"), "put"]), 0)
    exits("an empty key", run(fake, "get", ""), 2, "", "1 to 256")
    exits("a key that is too long", run(fake, "get", "k" * 257), 2, "", "257")


def batch_file(text):
    path = os.path.join(WORK, "batch")
    with open(path, "w") as f:
        f.write(text)
    return path


def batches(fake):
    path = batch_file("# a transfer\nput {t}a 100\nput {t}b 0\n\nadd {t}a -30 --floor 0\nadd {t}b 30\nget {t}a\n")
    exits("batch", run(fake, "batch", path), 0, "1 OK\n2 OK\n3 OK 70\n4 OK 30\n5 OK 70\n")
    exits("batch --atomic that fails", run(fake, "batch", "--atomic", batch_file("add {t}b 80\nadd {t}a -80 --floor 0\n")), 1,
          "1 NOT-EXECUTED\n2 BELOW-FLOOR 70\n")
    exits("batch of stdin", run(fake, "batch", "-", stdin="get {t}b\n"), 0, "1 OK 30\n")
    exits("a batch with one no", run(fake, "batch", "-", stdin="get {t}b\nget none\n"), 1, "1 OK 30\n2 ABSENT\n")
    exits("batch words in quotes", run(fake, "batch", "-", stdin="put 'a key' \"a value\"\nget 'a key'\n"), 0, "1 OK\n2 OK a value\n")
    done = run(fake, "batch", "--json", "-", stdin="get {t}b\n")
    version = json.loads(done.stdout)[0]["version"]
    exits("check of the version", run(fake, "batch", "-", stdin=f"check {{t}}b {version}\n"), 0, "1 OK\n")
    exits("check of another version", run(fake, "batch", "-", stdin="check {t}b 1.1\n"), 1, "1 CHECK-FAILED\n")
    exits("check absent", run(fake, "batch", "-", stdin="check none absent\n"), 0, "1 OK\n")
    exits("an atomic batch over shards", run(fake, "batch", "--atomic", "-", stdin="".join(f"put k{i} v\n" for i in range(9))), 2, "", "span shards")
    for text, line, word in (("get k\nfrob k\n", 2, "unknown"), ("\n\nput k\n", 3, "put KEY"), ("get\n", 1, "key"), ("add k x\n", 1, "whole number"),
                             ("add k 1 --floor\n", 1, "add KEY"), ("check k 1\n", 1, "version"), ("put 'k v\n", 1, "put KEY"),
                             ("cas k v\n", 1, "cas KEY"),
                             ("get k l\n", 1, "get KEY"), ("put k v --frob\n", 1, "put KEY")):
        exits(f"a batch with the line {text.strip()!r}", run(fake, "batch", "-", stdin=text), 2, "", f"line {line}: .*{word}")
    exits("an empty batch", run(fake, "batch", "-", stdin="# nothing\n"), 2, "", "no operation")
    exits("a batch with a zero byte", run(fake, "batch", "-", stdin="get k\0\n"), 2, "", "zero byte")
    exits("a batch file that is not there", run(fake, "batch", "/nonexistent"), 2, "", "/nonexistent")


def unanswered(fake):
    fake.play(DOWN)
    exits("get with all nodes down", run(fake, "get", "k", "--timeout", "1"), 3, "", r"c0-n0: .*c0-n1: .*Nothing was changed")
    fake.play(SILENT)
    exits("put without an answer", run(fake, "put", "k", "v", "--timeout", "1"), 3, "", "unsettled.*settle")
    fake.play(FEW)
    exits("get with forged answers only", run(fake, "get", "k", "--timeout", "1"), 3, "", "does not verify")
    fake.play(CODE, BUSY)
    exits("BUSY to the end", run(fake, "get", "k", "--timeout", "1"), 3, "", "BUSY")
    fake.play(HONEST)
    exits("settle lists it", run(fake, "settle"), 0, None)
    listed = json.loads(run(fake, "settle", "--json").stdout)
    case("settle --json", len(listed) == 1 and listed[0]["summary"] == "put k", listed)
    exits("settle --retry and --cancel", run(fake, "settle", "--retry", "--cancel"), 2, "", "not both")
    exits("settle --retry", run(fake, "settle", "--retry"), 0)
    case("the write took effect", fake.ask("value k") == "= v")
    exits("nothing is left", run(fake, "settle"), 0, "every write of this client is settled\n")
    fake.play(SILENT)
    run(fake, "put", "k", "w", "--timeout", "1")
    exits("settle without an answer", run(fake, "settle", "--cancel", "--timeout", "1"), 3, "", "still unsettled")
    fake.play(HONEST)
    done = run(fake, "settle", "--cancel")
    case("settle --cancel", done.returncode == 0 and "CANCELLED" in done.stdout and fake.ask("value k") == "= v", done.stdout + done.stderr)
    fake.play(FORGET)
    run(fake, "put", "k", "w2", "--timeout", "1")
    fake.play(HONEST)
    done = run(fake, "settle", "--cancel")
    exits("settle --cancel of what had happened", done, 0)
    case("says that it had", done.stdout.endswith(": put k: RECORDED: it had taken effect\n"), done.stdout)
    case("can be counted as ever", done.stdout.count(": RECORDED") == 1 and ": OK" not in done.stdout, done.stdout)
    for how, code in (("--retry", "OK"), ("--cancel", "CANCELLED")):
        fake.play(SILENT)
        run(fake, "put", "k", "w3", "--timeout", "1")
        fake.play(HONEST)
        told = json.loads(run(fake, "settle", how, "--json").stdout)
        case(f"settle {how} --json", [x["code"] for x in told] == [code] and told[0]["summary"] == "put k", told)
    fake.play(FORGET, times=1)
    exits("a lost answer is asked for again", run(fake, "add", "once", "1"), 0, "1\n")


def refused(fake):
    fake.play(CODE, RIGHTS)
    exits("get without the right", run(fake, "get", "k"), 4, "", "RIGHTS")
    fake.play(CODE, RIGHTS, times=1)
    exits("put without the right", run(fake, "put", "k", "x"), 4, "", "RIGHTS")
    fake.play(REFUSE, RIGHTS)
    exits("a refusal by enough nodes", run(fake, "get", "k"), 4, "", "RIGHTS")
    fake.play(CODE, QUOTA)
    exits("quota", run(fake, "put", "k", "x", "--timeout", "1"), 4, "", "QUOTA")
    fake.play(CODE, REVOKED)
    exits("revoked", run(fake, "put", "k", "x"), 4, "", "REVOKED")
    exits("settle of a revoked client", run(fake, "settle", "--cancel", "--timeout", "2"), 4, "", "REVOKED")
    fake.play(CODE, TOO_OLD)
    exits("too old", run(fake, "put", "k", "x"), 4, "", "TOO-OLD")
    fake.play(HONEST)
    exits("settled in the end", run(fake, "settle", "--cancel"), 0)


def restored(fake):
    """An old journal in the place of a newer one; the same write never meets the same refusal twice, and happens once."""
    journal = f"{fake.folder}/client.key.journal"
    for name, lose in (("restored", False), ("restored after a lost one", True)):
        exits("add", run(fake, "add", f"{{{name}}}", "1"), 0, "1\n")
        shutil.copy(journal, journal + ".old")
        if lose:
            os.unlink(journal)
        for i in range(3):
            exits("add", run(fake, "add", f"{{{name}}}", "1"), 0, f"{i + 2}\n")
        os.replace(journal + ".old", journal)
        exits(f"add with a journal that was {name}", run(fake, "add", f"{{{name}}}", "1"), 0, "5\n", "^$")
        exits("and the next one", run(fake, "add", f"{{{name}}}", "1"), 0, "6\n", "^$")


def unkept(fake):
    """What cannot be written is said, a write is never passed over, and nothing is sent when it can be known before."""
    exits("add with a receipt in no folder", run(fake, "add", "{u}", "1", "--receipt", "/nonexistent/r"), 2, "", "/nonexistent/r: .*nothing was sent")
    exits("add with a folder as receipt", run(fake, "add", "{u}", "1", "--receipt", WORK), 2, "", "nothing was sent")
    case("neither was sent", fake.ask("value {u}") == "absent")
    exits("add with a receipt that has no room", run(fake, "add", "{u}", "1", "--receipt", "/dev/full"), 5, "1\n",
          "the write took effect; receipt not kept: /dev/full: No space")
    exits("get with such a receipt", run(fake, "get", "{u}", "--receipt", "/dev/full"), 5, "1\n", "the value was read; receipt not kept")
    folder = os.path.join(WORK, "kept")
    os.makedirs(folder)
    path = os.path.join(folder, "r")
    fake.play(SILENT)
    exits("add without an answer", run(fake, "add", "{u}", "1", "--receipt", path, "--timeout", "1"), 3)
    case("a failed request leaves no receipt", os.listdir(folder) == [], os.listdir(folder))
    with open(path, "w") as f:
        f.write("old")
    run(fake, "add", "{u}", "1", "--receipt", path, "--timeout", "1")
    with open(path) as f:
        case("and an old one as it was", f.read() == "old" and os.listdir(folder) == ["r"], os.listdir(folder))
    fake.play(HONEST)
    exits("both are cancelled", run(fake, "settle", "--cancel"), 0)
    os.symlink("r", path + ".link")
    exits("a receipt by a symbolic link", run(fake, "add", "{u}", "1", "--receipt", path + ".link"), 0, "2\n")
    case("goes where it points", os.path.islink(path + ".link") and os.path.getsize(path) > 100 and len(os.listdir(folder)) == 2, os.listdir(folder))
    exits("and is one", run(fake, "verify", path), 0)
    exits("a no with a receipt", run(fake, "add", "{u}", "-9", "--floor", "0", "--receipt", path), 1, "", "BELOW-FLOOR")
    exits("is one too", run(fake, "verify", path), 0, None)
    fake.play(WHOLE)
    exits("an answer too large for receipts", run(fake, "add", "{u}", "1", "--receipt", path + ".none"), 5, "3\n",
          "the write took effect; done, no receipt: answer too large")
    case("leaves no file", len(os.listdir(folder)) == 2, os.listdir(folder))
    fake.play(HONEST)
    exits("nothing is unsettled", run(fake, "settle"), 0, "every write of this client is settled\n")
    for words in (("add", "{u}", "1"), ("add", "{u}", "1", "--json"), ("put", "{u}2", "v", "--json"), ("put", "{u}2", "v", "--receipt", "-")):
        exits(f"{' '.join(words)} >/dev/full", run_full(fake, *words), 5, "", "standard output: No space left on device; the write took effect")
    case("the adds took effect", fake.ask("value {u}") == "= 5", fake.ask("value {u}"))
    exits("batch >/dev/full", run_full(fake, "batch", "-", stdin="add {u} 1\n"), 5, "", "No space.*the list was executed")
    for words in (("get", "{u}"), ("get", "{u}", "--json"), ("get", "7b757d", "--hex"), ("verify", path), ("verify", path, "--json"), ("settle",),
                  ("settle", "--json"), ("system", "show"), ("system", "show", "--json"), ("get", "--help"), ("--version",), ("--help",)):
        done = run_full(None if words[0][0] == "-" else fake, *words)
        exits(f"{' '.join(words)} >/dev/full", done, 5, "", "standard output: (No space left on device|cannot be written)$")
    exits("get --file - >/dev/full", run_full(fake, "get", "{u}", "--file", "-"), 2, "", "No space")
    exits("status >/dev/full", run_full(fake, "status", "--timeout", "1"), 3, "", "standard output: No space")
    exits("a no >/dev/full keeps its code", run_full(fake, "get", "{u}none", "--json"), 1, "", "No space")
    exits("put >/dev/full has nothing to say", run_full(fake, "put", "{u}3", "v"), 0)


def shown(fake):
    env = {"HERACLIUS_SYSTEM": f"{fake.folder}/system.json"}
    first = r"system \S+, id [0-9a-f]{32}"
    for name, done in (("-s", run(fake, "system", "show")), ("-s behind", run(None, "system", "show", "-s", env["HERACLIUS_SYSTEM"])),
                       ("a word", run(None, "system", "show", env["HERACLIUS_SYSTEM"])), ("HERACLIUS_SYSTEM", run(None, "system", "show", env=env))):
        case(f"system show by {name}", done.returncode == 0 and re.match(first, done.stdout), done.stdout + done.stderr)
    folder = os.path.join(WORK, "checkout")
    os.makedirs(folder)
    os.symlink(fake.folder, os.path.join(folder, "local"))
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HERACLIUS_")}
    done = subprocess.run([os.path.join(TOP, "heraclius"), "system", "show"], cwd=folder, capture_output=True, text=True, timeout=20, env=clean)
    case("system show in a checkout", done.returncode == 0 and re.match(first, done.stdout), done.stdout + done.stderr)
    exits("system show of two files", run(fake, "system", "show", "x"), 2, "", "not two")
    done = run(fake, "status", "--timeout", "1")
    case("status of a cluster of which nobody speaks", done.returncode == 3 and "height unknown" in done.stdout and
         "view and leader unknown" in done.stdout and "height 0" not in done.stdout, done.stdout)
    clusters = json.loads(run(fake, "status", "--json", "--timeout", "1").stdout)["clusters"]
    case("status --json of it", all(c["height"] is None and c["view"] is None and c["leader"] is None for c in clusters), clusters)


def addresses(fake):
    """address show, set, remove, on a file of their own."""
    path = os.path.join(WORK, "addresses.json")
    at = ("--addresses", path)
    exits("address show of no file", run(fake, "address", "show", *at), 2, "", re.escape(path))
    exits("address set makes the file", run(fake, "address", "set", "c0-n0=127.0.0.1:7000", "s0-n1=[::1]:7001,127.0.0.1:7002", *at), 0,
          None, "^$")
    with open(path) as f:
        text = f.read()
    shown = json.loads(text)
    case("as its form is", text == json.dumps(shown, indent=2, sort_keys=True) + "\n" and shown["nodes"] == {
        "c0-n0": {"admin": "", "link": "127.0.0.1:7000"}, "s0-n1": {"admin": "127.0.0.1:7002", "link": "[::1]:7001"}}, text)
    done = run(fake, "address", "show", *at)
    case("address show names all nodes of the system file", done.returncode == 0 and re.search(r"^c0-n0 +127.0.0.1:7000$", done.stdout, re.M) and
         re.search(r"^c0-n1 +no address$", done.stdout, re.M) and re.search(r"^s0-n1 +\[::1\]:7001  admin 127.0.0.1:7002$", done.stdout, re.M), done)
    exits("a name that nobody has", run(fake, "address", "set", "s0-n7=127.0.0.1:7003", *at), 2, "", "s0-n7: no node of the system file.*--new")
    exits("a node of a CONFIG to come", run(fake, "address", "set", "--new", "s0-n7=127.0.0.1:7003", *at), 0)
    exits("is known from then on", run(fake, "address", "set", "s0-n7=127.0.0.1:7004", *at), 0, None, "^$")
    exits("an admin's address stays", run(fake, "address", "set", "s0-n1=127.0.0.1:7005", *at), 0, None, "^$")
    case("and is shown", "s0-n1                127.0.0.1:7005  admin 127.0.0.1:7002" in run(fake, "address", "show", *at).stdout)
    exits("two nodes in one place", run(fake, "address", "set", "s0-n1=127.0.0.1:7004", *at), 0, None,
          "warning: s0-n1 and s0-n7 have the same address")
    with open(path) as f:
        before = f.read()
    for word, why in (("c0-n0", "NODE=HOST:PORT"), ("c0-n0=", "HOST:PORT"), ("c0-n0=127.0.0.1", "HOST:PORT"), ("c0-n0=127.0.0.1:70000", "HOST:PORT"),
                      ("c0-n0=Host:7000", "HOST:PORT"), ("c0-n0=h:1,x", "second"), ("C0 n0=127.0.0.1:7000", "no name")):
        exits(f"address set {word}", run(fake, "address", "set", word, *at), 2, "", why)
        exits(f"address set of a good one and {word}", run(fake, "address", "set", "c0-n1=127.0.0.1:1", word, *at), 2, "", why)
    exits("address set of nothing", run(fake, "address", "set", *at), 2, "", "usage")
    exits("address remove of nobody", run(fake, "address", "remove", "s0-n9", *at), 2, "", "s0-n9: not in")
    with open(path) as f:
        case("what is refused changes nothing", f.read() == before)
    with open(path + ".new", "w") as f:
        f.write("of a call that was cut off")
    exits("address remove", run(fake, "address", "remove", "s0-n7", "c0-n0", *at), 0)
    with open(path) as f:
        case("takes them out", list(json.load(f)["nodes"]) == ["s0-n1"])
    case("and leaves no other file", not os.path.exists(path + ".new"))
    with open(path, "w") as f:
        f.write(before.replace(shown["system_id"], "0" * 32))
    exits("the file of another system", run(fake, "address", "set", "c0-n0=127.0.0.1:7000", *at), 2, "", "another system")
    with open(path, "w") as f:
        f.write(before[:len(before) // 2])
    exits("half a file", run(fake, "address", "set", "c0-n0=127.0.0.1:7000", *at), 2, "", re.escape(path))
    exits("a folder that is not there", run(fake, "address", "set", "c0-n0=127.0.0.1:7000", "--addresses", "/nonexistent/a"), 2, "", "/nonexistent")


def mistakes(fake):
    """The wrong file, in the wrong place: named for what it is."""
    key = f"{fake.folder}/client.key"
    exits("a folder as evidence", run(fake, "evidence", "verify", WORK), 2, "", "it is a folder")
    exits("a folder that is no backup", run(fake, "verify", WORK), 1, "", "^heraclius: [^\n]*no folder of backups[^\n]*\n$")
    exits("keys for a folder in no folder", run(None, "node", "enroll", "--name", "n", "--out", f"{WORK}/none/keys"), 2, "",
          "the folder in which it is to be is not there")
    exits("a key as a CONFIG", run(fake, "config", "show", key), 2, "", "not a file that `config new` or `config sign` made")
    exits("a key as an enrolment", run(fake, "client", "show", key), 2, "", "not a file that `client add`, `change` or `revoke` made")
    exits("a key as a card", run(fake, "client", "add", key, "--number", "1", "--out", f"{WORK}/op"), 2, "", "is a secret key, which stays")
    exits("a client's key to sign with", run(fake, "client", "revoke", "0" * 64, "--number", "1", "--admin-key", key, "--out", f"{WORK}/op"), 2, "",
          "is the key of a client, not of an administrator")
    case("none of them left a file", not os.path.exists(f"{WORK}/op"))


def receipts(fake):
    path = os.path.join(WORK, "receipt")
    exits("put --receipt", run(fake, "put", "{r}k", "a value of thirty-two bytes here", "--receipt", path), 0)
    exits("verify", run(fake, "verify", path), 0, None)
    done = run(fake, "verify", path)
    case("verify says what it does not prove", "not proved" in done.stdout and "{r}k" in done.stdout, done.stdout)
    shown = json.loads(run(fake, "verify", path, "--json").stdout)
    case("verify --json", shown["valid"] is True and shown["key"] == "{r}k" and shown["operation"] == "put", shown)
    with open(path, "rb") as f:
        whole = f.read()
    case("at most 4 KiB", len(whole) <= 4096, len(whole))
    for at in range(0, len(whole), 97):
        with open(path, "wb") as f:
            f.write(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1:])
        done = run(fake, "verify", path)
        if done.returncode != 1 or "not valid" not in done.stderr:
            case(f"a receipt with byte {at} flipped", False, done.stderr)
    for name, text in (("an empty file", b""), ("another file", b"not a receipt"), ("half a receipt", whole[:len(whole) // 2]),
                       ("a long file", b"x" * 2000000)):
        with open(path, "wb") as f:
            f.write(text)
        exits(f"verify of {name}", run(fake, "verify", path), 1, "")
    with open(path, "wb") as f:
        f.truncate((1 << 26) + 1)
    exits("verify of a file longer than any receipt", run(fake, "verify", path), 2, "", "receipt")
    exits("verify of no file", run(fake, "verify", "/nonexistent"), 2, "", "/nonexistent")
    with open(path, "wb") as f:
        f.write(whole)
    other = Fake(1)
    shutil.copy(path, path + ".2")
    done = run(fake, "verify", path)
    case("the receipt itself", done.returncode == 0, done.stderr)
    other.stop()


def bench(fake):
    out = os.path.join(WORK, "bench")
    key = ["--client", f"{fake.folder}/client.key", "--client-keys", "1"]
    small = ["--users", "8", "--seconds", "1", "--keys", "20", "--warmup-ms", "0", "--seed", "5"]
    history = os.path.join(WORK, "history")
    done = run(fake, "bench", "--out", out, "--load", "--mix", "1:1", "--history", history, *small, *key)
    exits("bench", done, 0, None, "seed 5")
    with open(f"{out}/summary.json") as f:
        summary = json.load(f)
    wanted = {"ops_per_second", "hits", "absent", "busy", "errors", "verification_failures", "latency_us", "users", "seconds", "seed"}
    case("summary.json has its fields", wanted <= set(summary), wanted - set(summary))
    case("latencies", set(summary["latency_us"]) == {"p50", "p90", "p99", "p999", "max"}, summary["latency_us"])
    case("its figures", summary["errors"] == 0 and summary["verification_failures"] == 0 and summary["hits"] > 0 and summary["absent"] == 0, summary)
    with open(history) as f:
        lines = [json.loads(x) for x in f]
    fields = {"user", "op", "key", "call", "return"}
    case("a line for each call", len(lines) >= summary["reads"] + summary["writes"] and fields <= set(lines[0]), lines[:1])
    ops = summary["ops"]
    case("operations by kind", ops["get"] == summary["reads"] and sum(ops.values()) == summary["reads"] + summary["writes"], summary)
    figures = ("client_cpu_user_s", "client_cpu_system_s")
    case("the client's own cost", all(0 <= summary[f] < 5 for f in figures) and 1 << 20 < summary["client_rss_bytes"] < 1 << 30, summary)
    bench_told(fake, out, small + key)
    bench_kinds(fake, out, key)
    bench_rate(fake, out, key)
    bench_busy(fake, out, key)
    bench_refusals(fake, out, key)


def bench_told(fake, out, words):
    """A line on the terminal, or all figures with --json; a file only for who wants one."""
    told = r"^\d+ ops/s verified, p50 \d+ us, p99 \d+ us, hits \d+, absent 0, busy 0, errors 0, verification failures 0, seed 5"
    files = sorted(os.listdir("."))
    done = run(fake, "bench", *words)
    case("bench without --out tells its summary in a line", done.returncode == 0 and re.search(told + r"\n$", done.stdout), done)
    done = run(fake, "bench", "--json", *words)
    good = done.returncode == 0 and {"ops_per_second", "latency_us", "seed"} <= set(json.loads(done.stdout or "{}"))
    case("and with --json all of it", good, done)
    case("whoever finds the keys is told nothing of seeds", "--seed" not in done.stderr, done.stderr)
    done = run(fake, "bench", *words, "--seed", "77")
    case("of another seed no key is there, and it says why", done.returncode == 0 and ", hits 0, absent " in done.stdout and
         "give --seed of the run that loaded them" in done.stderr, done)
    case("and writes no file", sorted(os.listdir(".")) == files and not os.path.exists("/summary.json"), os.listdir("."))
    done = run(fake, "bench", "--out", out, *words)
    case("with --out the line ends with where the figures are", re.search(told + rf": {re.escape(out)}/summary.json\n$", done.stdout), done)
    exits("bench with a file as its folder", run(fake, "bench", "--out", f"{out}/summary.json/x", *words), 2, "", "Not a directory")


def bench_summary(fake, out, *words):
    done = run(fake, "bench", "--out", out, "--seconds", "1", "--warmup-ms", "0", *words)
    with open(f"{out}/summary.json") as f:
        return done, json.load(f)


def bench_kinds(fake, out, key):
    history, series = os.path.join(WORK, "history"), os.path.join(WORK, "series")
    done, summary = bench_summary(fake, out, "--mix", "get=40,put=20,cas=20,add=10,del=10", "--zipf", "0.99", "--users", "16", "--keys", "30",
                                  "--load", "--seed", "6", "--history", history, "--series", series, *key)
    exits("bench of all kinds", done, 0)
    ops = summary["ops"]
    share = {k: ops[k] / sum(ops.values()) for k in ops}
    close = all(abs(share[k] - want) < 0.1 for k, want in {"get": 0.4, "put": 0.2, "cas": 0.2, "add": 0.1, "del": 0.1}.items())
    case("each has its share", close and summary["errors"] == 0 and summary["zipf"] == 0.99, summary)
    case("with so few keys some cas come too late, and deletions are seen", summary["cas_failed"] > 0 and summary["absent"] > 0, summary)
    done = subprocess.run([sys.executable, "tests/history/checker.py", history], capture_output=True, text=True, timeout=60)
    case("their history is linearizable", done.returncode == 0 and "linearizable" in done.stdout, done.stdout + done.stderr)
    with open(history) as f:
        kinds = {json.loads(x)["op"] for x in f}
    case("and tells of each", kinds == set(ops), kinds)
    with open(series) as f:
        lines = [x.strip().split(",") for x in f]
    good = lines[0] == ["time_s", "ops", "p50_us", "p99_us", "busy"] and len(lines) >= 2 and 0 < int(lines[1][2]) <= int(lines[1][3])
    case("a series has a line for each second", good and abs(sum(int(x[1]) for x in lines[1:]) - sum(ops.values())) <= 32, lines)


def bench_rate(fake, out, key):
    for arrivals in ("even", "poisson"):
        done, summary = bench_summary(fake, out, "--rate", "2000", "--arrivals", arrivals, "--users", "1000", "--keys", "50", "--seed", "7", *key)
        good = done.returncode == 0 and summary["errors"] == 0 and summary["rate"] == 2000 and summary["arrivals"] == arrivals
        # beside other work some of the second's operations are still under way at its end; a closed loop would do ten times as many
        case(f"open loop, {arrivals}: what is due is done", good and abs(summary["offered_per_second"] - 2000) < 200 and
             1000 < summary["ops_per_second"] < 2500 and summary["started_late"] < 500, summary)
    fake.play(LATE, delay_ms=100)
    done, summary = bench_summary(fake, out, "--rate", "400", "--users", "2", "--keys", "50", "--seed", "7", *key)
    fake.play(HONEST)
    # 2 users with 100 ms each do 20 a second; of 400 the rest waits, the longest nearly all the time
    good = done.returncode == 0 and summary["ops_per_second"] < 60 and abs(summary["offered_per_second"] - 400) < 60
    case("open loop beyond what the users carry: the others wait, and it counts", good and summary["started_late"] > 200 and
         summary["latency_us"]["max"] > 600000, summary)


def bench_busy(fake, out, key):
    """The fake says BUSY for a while, some time after bench began."""
    words = ["-s", f"{fake.folder}/system.json", "bench", "--out", out, "--mix", "1:1", "--users", "8", "--keys", "20", "--seed", "8", *key]
    bench = subprocess.Popen(["./heraclius"] + words + ["--seconds", "3", "--warmup-ms", "0"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                             text=True)
    for line in bench.stderr:
        if "ops/s" in line:
            fake.play(CODE, code=BUSY, times=3)
            break
    _, text = bench.communicate(timeout=60)
    fake.play(HONEST)
    with open(f"{out}/summary.json") as f:
        summary = json.load(f)
    good = bench.returncode == 0 and summary["errors"] == 0 and summary["busy"] > 0 and sum(summary["ops"].values()) > 0
    case("BUSY is counted apart, waited out, and no error", good, f"{text} {summary}")


def bench_refusals(fake, out, key):
    mixes = ("frob", "", "get=1,get=1", "get=1,", "get=0", "get=1x", "cas", "put=1000001", "90:", "-1:2", "0:0")
    number = "invalid numeric value"
    bad = [(("--mix", mix), "--mix") for mix in mixes] + [
        (("--users", "0"), "--users"), (("--users", "2097153"), "--users"), (("--users", "many"), number), (("--seed", "x"), "--seed"),
        (("--rate", "0"), "--rate"), (("--rate", "-5"), "--rate"), (("--rate", "10000001"), "--rate"), (("--rate", "1e3"), number),
        (("--arrivals", "poisson"), "--rate"), (("--rate", "5", "--arrivals", "often"), "even or poisson"),
        (("--zipf", "0"), "--zipf"), (("--zipf", "2"), "--zipf"), (("--zipf", "-1"), "--zipf"), (("--zipf", "nan"), "--zipf"),
        (("--zipf", "x"), number),
        (("--value-bytes", "7", "--mix", "cas=1,get=1"), "--value-bytes"), (("--value-bytes", "7", "--history", f"{out}/h"), "--value-bytes"),
        (("--series", "/nonexistent/x"), "/nonexistent/x"), (("--history", "/nonexistent/x"), "/nonexistent/x"),
        (("--client-keys", "4097"), "--client-keys"), (("--client-keys", "2"), "bench-0.key")]
    for option in ("--series", "--history"):
        done, _ = bench_summary(fake, out, option, "/dev/full", "--users", "8", *key)
        case(f"bench {option} on a full disk", done.returncode == 2 and "/dev/full: could not be written" in done.stderr, done.stderr)
    for words, what in bad:
        done = run(fake, "bench", "--out", out, *key, *words)
        case(f"bench {' '.join(words)}", done.returncode == 2 and done.stdout == "" and what in done.stderr, done.stderr)


def page_options(page):
    """Option -> the commands that have it, by the manual: "Of get, put." in its paragraph, or its place under "Of bench:"."""
    out = {}
    for bench, text in enumerate(page.split("Of bench:\n")):
        for item in re.split(r"^\.It ", text, flags=re.M)[1:]:
            head, _, body = item.partition("\n")
            names = re.findall(r"Fl -([a-z][a-z-]*)", head) if head.startswith("Fl") else []
            of = re.search(r"^Of ([a-z, ]+)\.$", body, re.M)
            for name in names:
                out.setdefault("--" + name, set()).update(["bench"] if bench else of.group(1).split(", ") if of else [])
    return out


def other_manual(program, page):
    with open(page) as f:
        in_page = {"--" + x for x in re.findall(r"(?:Fl |\| )-([a-z][a-z-]*)", f.read())}
    done = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=20)
    in_help = set(re.findall(r"(--[a-z][a-z-]*)", done.stdout)) - {"--help", "--version"}
    case(f"{page} has the options of --help", done.returncode == 0 and in_help == in_page - {"--help", "--version"}, f"{in_help} {in_page}")


def manual():
    with open("docs/man/heraclius.1") as f:
        page = f.read().replace("\\-", "-")
    options = page_options(page)
    for command in ("get", "put", "del", "cas", "add", "batch", "settle", "verify", "status", "bench"):
        done = run(None, command, "--help")
        case(f"{command} --help", done.returncode == 0 and "Usage" in done.stdout, done.stdout + done.stderr)
        in_help = set(re.findall(r"^ +(?:-s, )?(--[a-z][a-z-]*)", done.stdout, re.M)) - {"--help", "--usage"}
        in_page = {x for x in options if command in options[x]}
        case(f"the manual gives {command} the options of its --help, and no others", in_help == in_page, f"{in_help ^ in_page}")
        item = re.search(rf"^\.It Cm {command}\b(.*)$", page, re.M)
        case(f"{command} is in the man page", item)
        named = {"--" + x for x in re.findall(r"Fl -([a-z][a-z-]*)", item.group(1))}
        common = {"--system", "--client", "--via", "--timeout", "--json", "--hex", "--predecessor", "--statement", "--chain"}
        case(f"{command} is shown with its own options", command == "bench" or named == in_help - common, f"{named} {in_help}")
    case("no option of the manual belongs to nobody", all(options.values()), options)
    for group, name in (("node", "enroll"), ("client", "enroll"), ("admin", "enroll"), ("system", "assemble"), ("system", "init"),
                        ("system", "show"), ("evidence", "verify"), ("address", "show"), ("address", "set"), ("address", "remove")):
        done = run(None, group, name, "--help")
        case(f"{group} {name} --help", done.returncode == 0 and "Usage" in done.stdout, done.stdout + done.stderr)
        case(f"{group} {name} is in the man page", re.search(rf"Cm .*{group} {name}", page))
    named = {"--" + x for x in re.findall(r"Fl -([a-z][a-z-]*)", page)}
    for name in ("add", "change", "revoke", "show", "sign", "submit"):
        done = run(None, "client", name, "--help")
        case(f"client {name} --help", done.returncode == 0 and "Usage" in done.stdout, done.stdout + done.stderr)
        in_help = set(re.findall(r"^ +(?:-[a-z], )?(--[a-z][a-z-]*)", done.stdout, re.M)) - {"--help", "--usage"}
        case(f"client {name} and its options are in the man page", re.search(rf"\.It Cm client {name}\b", page) and in_help <= named, in_help - named)
    other_manual("build/gcc/heracliusd", "docs/man/heracliusd.8")
    other_manual("build/gcc/heraclius-admin", "docs/man/heraclius-admin.8")


def main():
    os.chdir(TOP)
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    subprocess.run(["make", "-s", FAKE, "product-gcc", "heraclius"], check=True, timeout=600, stdout=subprocess.DEVNULL)
    fake = Fake(2)
    try:
        for part in (data, forms, usage, batches, unanswered, refused, restored, unkept, shown, addresses, mistakes, receipts, bench):
            began = time.monotonic()
            part(fake)
            print(f"     {part.__name__}: {time.monotonic() - began:.1f} s", flush=True)
        manual()
    finally:
        fake.stop()
        shutil.rmtree(WORK, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
