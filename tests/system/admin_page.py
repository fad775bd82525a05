#!/usr/bin/env python3
"""The admin console's page in headless Chromium: pair, read each view, a red exposure, an action, dark, narrow, keyboard, without scripts.

admin_page.py short|long    (KEEP=1 keeps its folder, with light.png, dark.png, narrow.png and more)

Skipped, in a clear word, where chromium and chromium-driver are not installed.
"""
import json
import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import browser  # noqa: E402
from admin_https import Admin, Init  # noqa: E402
from cluster import CLIENT, TOP, Cases, System  # noqa: E402

FIELDS = ("architecture", "kernel", "compiler", "code", "image", "operator", "site", "power")
PLOTTED = "return Math.min(...[...document.querySelectorAll('#p-rate polyline')].map((line) => line.points.length), 99) % 99"
TAB = "\ue004"
QUEUES = ("moves", "nothing waits")


def claim(system, node, number, texts, folder="claims"):
    words = [w for name, text in texts.items() for w in ("--set", f"{name}={text}")]
    subprocess.run([CLIENT, "node", "claim", "--card", f"{system.root}/cards/{node}.card", "--owner-key", f"{system.root}/owners/{node}.key",
                    "--number", str(number), "--out", f"{system.dir}/{folder}/{node}-{number}.claim", *words], cwd=TOP, check=True,
                   capture_output=True, timeout=20)


def pair(cases, page, admin, url):
    page.open(url)
    good = page.text("h2") == "Pair this browser" and page.label(page.find("#code")) == "Pairing code, 10 digits"
    cases.case("a stranger sees the form to pair", good)
    page.picture(f"{admin.state}/pair.png")
    before = len(admin.lines)
    page.click("form:nth-of-type(1) button")
    line = page.wait(lambda: [text for text in admin.lines[before:] if text.startswith("pairing code ")])
    cases.case("its button has a code shown at the machine", line and "shown at the machine" in page.text("[role=status]"), line)
    page.type("#code", line[0].split()[2])
    page.click("form:nth-of-type(2) button")
    good = page.wait(lambda: page.find_all("#who") and "may own" in page.text("#who"))
    cases.case("the code pairs this browser", good)
    cookies = page.run("return document.cookie")
    cases.case("no script can read the session's cookie", cookies == "", cookies)


def views(cases, page, system, state):
    cards = page.run("return [...document.querySelectorAll('#clusters article')].map((a) => a.innerText)")
    wanted = ("4 of 4 vote, 3 decide", "Can I lose another node? yes, any 1 of", ", leads")
    good = len(cards) == 2 and all(c.count(w) == 1 for c in cards for w in wanted)
    cases.case("clusters: who is up, who leads, whether one may be lost", good, cards)
    rows = page.run("return [...document.querySelectorAll('#nodes tr')].map((r) => [...r.children].map((c) => c.innerText))")
    good = sorted(r[0] for r in rows) == system.names and all(len(r) == 12 and r[1] == "voting" for r in rows)
    good = good and all(re.fullmatch(r"[0-9]+\.[0-9]\s[MG]iB", text) and float(text[:-4]) > 0 for r in rows for text in r[7:])
    cases.case("nodes: state, queues, memory and disk against their budget", good, rows)
    rows = page.wait(lambda: len(page.find_all("#queues tr")) == 2 and page.run(
        "return [...document.querySelectorAll('#queues tr')].map((r) => [...r.children].map((c) => c.innerText))"))
    good = rows and [r[:2] for r in rows] in ([["c0 with s0", f"Green: {a}"], ["s0 with c0", f"Green: {b}"]] for a in QUEUES for b in QUEUES)
    cases.case("decision queues: one row for each two clusters, green in a word", good and all(len(r) == 7 for r in rows), rows)
    for i in range(30):
        system.client("put", f"k{i % 3}", str(i))
    cases.case("plots: a line a cluster, that grows", page.wait(lambda: page.run(PLOTTED) > 3), page.text("#p-rate"))
    lines = page.run("return document.querySelectorAll('#p-rate polyline').length")
    cases.case("of each cluster one", lines == 2, lines)
    labels = [page.label(e) for e in page.find_all("figure svg[role=img]")]
    cases.case("each plot has a name that says its newest values", len(labels) == 3 and all("Newest: c0 " in text for text in labels), labels)
    os.makedirs(f"{system.root}/c0-n1/data/evidence")
    with open(f"{system.root}/c0-n1/data/evidence/two_commits-c0-member2-epoch0.evidence", "w") as f:
        f.write("played")
    link = page.wait(lambda: page.find_all("#faults a") and page.text("#faults"))
    cases.case("faults are shown, and evidence is there to be taken", link and "c0-n1 keeps evidence: two_commits-c0-member2" in link, link)
    said = page.text("#exposure-text")
    cases.case("exposure: green, in a word", said.startswith("Green: "), said)
    entries = page.run("return [...document.querySelectorAll('#audit tr')].map((r) => r.innerText)")
    cases.case("the audit log is shown", len(entries) == 1 and "pair" in entries[0], entries)
    page.picture(f"{state}/light.png")
    buttons = {page.label(e) for e in page.find_all("#actions > p button")}
    wanted = {"Restart the node program", "Reboot this machine", "Halt this machine", "End this session"}
    cases.case("each button has a name", wanted == buttons, buttons)


def red(cases, page, system, state):
    claim(system, "s0-n1", 2, {f: "the same" if f == "kernel" else f"{f} of s0-n1" for f in FIELDS})
    claim(system, "s0-n2", 2, {f: "the same" if f == "kernel" else f"{f} of s0-n2" for f in FIELDS})
    told = page.wait(lambda: page.text("#exposure-text").startswith("Red: ") and page.text("#exposure"))
    good = told and 'kernel red: 2 of 4 may share kernel "the same"' in told
    cases.case("a kernel shared by two of four: red, in a word, with the reason", good, told)
    system.kill("c0-n2")
    told = page.wait(lambda: "no link to: c0-n2" in page.text("#clusters") and page.text("#clusters"))
    cases.case("a node killed: no other may be lost", told and "no link to: c0-n2" in told, told)
    stuck = {"cluster": "s0", "with": "c0", "node": "s0-n2", "sent": 90, "acknowledged": 5, "waiting": 85, "consumed": 7, "hint": 7, "held": 0,
             "good": False, "text": "what c0 does not acknowledge grows for 75 s"}
    page.run(f"document.getElementById('queues').replaceChildren(queueRow({json.dumps(stuck)}))")
    said = page.text("#queues td")
    cases.case("a queue that is stuck: red, in a word, and at which node", said == f"Red: {stuck['text']}, at s0-n2", said)
    page.picture(f"{state}/red.png")
    system.start("c0-n2")
    cases.case("and back", page.wait(lambda: page.text("#clusters").count("Can I lose another node? yes") == 2))


def act(cases, page, system, init):
    page.click("#do-reboot")
    asked = page.text("#sure-text")
    cases.case("a reboot asks first and says what it costs", "may lose one node less" in asked, asked)
    page.click("#sure button[value=no]")
    cases.case("and may be left", init.asked == [])
    page.click("#do-restart")
    page.click("#sure button[value=yes]")
    done = page.wait(lambda: page.text("#done"))
    cases.case("a restart is asked of init", done == "Done." and init.asked == ["restart node sure"], (done, init.asked))
    os.mkdir(f"{system.dir}/brought")
    claim(system, "s0-n2", 3, {f: f"{f} of s0-n2" for f in FIELDS}, "brought")
    page.type("#claim-file", f"{system.dir}/brought/s0-n2-3.claim")
    told = page.wait(lambda: page.text("#exposure-text").startswith("Green: ") and page.text("#done") == "Done.")
    cases.case("a signed claim that is chosen there is taken in, and exposure green", told, (page.text("#done"), page.text("#exposure")))
    page.type("#claim-file", f"{system.dir}/brought/s0-n2-3.claim")
    told = page.wait(lambda: page.text("#done").startswith("Not done"))
    log = page.complaints()  # the browser's own word about that answer
    cases.case("a second time it is refused, with the reason", told and "number" in page.text("#done") and len(log) == 1 and "422" in log[0],
               (page.text("#done"), log))
    rows = page.wait(lambda: "restart node" in page.text("#audit") and page.text("#audit"))
    cases.case("and stands in the audit log", rows and "begun" in rows and "done" in rows, rows)


RUNS = b"ok\nslot=1\nslot_state=blessed\nimage_number=7\nslot_next=%d\nslot.1=number 7 label r7 blessed tries 0 done 0 signed\n"
TAKEN = RUNS % 2 + b"slot.2=number 8 label r8 unblessed tries 2 done 0 signed\n"


def upgrade(cases, page, system, init, state):
    init.answer = RUNS % 1
    lines = page.wait(lambda: "slot 1, release 7 (r7), blessed" in page.text("#upgrade-lines") and page.text("#upgrade-lines"))
    cases.case("the image that runs is shown", lines and "other slot is empty" in lines, lines)
    release, asked = f"{system.dir}/r8.release", len(init.asked)
    with open(release, "wb") as f:
        f.write(b"r" * (1 << 20))
    init.answer = TAKEN
    page.type("#release-file", release)
    asks = page.text("#sure-text")
    cases.case("a release that is chosen is handed over only if one is sure", "r8.release, 1.0 MiB" in asks and len(init.asked) == asked, asks)
    page.click("#sure button[value=yes]")
    told = page.wait(lambda: page.text("#upgraded").startswith("Taken: ") and page.text("#upgraded"))
    cases.case("it is taken: which, where, and what is to be done", told and "release 8 (r8) lies in slot 2" in told and "restart" in told and
               init.asked[asked:] == ["upgrade"], (page.text("#upgraded"), init.asked))
    lines = page.wait(lambda: "A restart is due: slot 2" in page.text("#upgrade-lines") and page.text("#upgrade-lines"))
    cases.case("and the page says that a restart is due", lines and "untried" in lines, lines)
    page.picture(f"{state}/upgrade.png")
    init.answer = b"error serial: release 7 is not newer than 7, which runs\n"
    page.type("#release-file", release)
    page.click("#sure button[value=yes]")
    told = page.wait(lambda: page.text("#upgraded").startswith("Not taken: serial: release 7 is not newer") and page.text("#upgraded"))
    log = page.complaints()
    cases.case("a refusal is told with its reason", told and len(log) == 1 and "422" in log[0], (page.text("#upgraded"), log))
    init.answer = b"ok\n"


def readers(cases, page, url, state):
    page.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    colours = page.run("const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]")
    cases.case("dark where the reader wishes it", colours == ["rgb(19, 21, 23)", "rgb(232, 234, 237)"], colours)
    page.picture(f"{state}/dark.png")
    page.command("Emulation.setEmulatedMedia", features=[])
    page.command("Emulation.setDeviceMetricsOverride", width=360, height=800, deviceScaleFactor=1, mobile=True)
    page.open(url)
    page.wait(lambda: page.run("return document.querySelectorAll('#p-rate svg').length"))
    wide = page.run("return [document.documentElement.scrollWidth, ...[...document.querySelectorAll('body *')].filter((e) => !e.closest('.wide')"
                    " && !e.closest('.skip') && e.getBoundingClientRect().right > 361).map((e) => e.outerHTML.slice(0, 90))]")
    cases.case("on a phone nothing stands out at the side", wide == [360], wide)
    page.picture(f"{state}/narrow.png")
    page.command("Emulation.clearDeviceMetricsOverride")
    page.open(url)
    page.wait(lambda: page.run("return document.querySelectorAll('#p-rate svg').length"))
    page.keys(TAB)
    focus = page.run("return document.activeElement.innerText")
    cases.case("the first key leads past the head", focus == "To the clusters", focus)
    seen = []
    for _ in range(12):
        page.keys(TAB)
        seen.append(page.run("return document.activeElement.id || document.activeElement.className"))
    cases.case("each action is reached by keys alone", {"do-restart", "do-reboot", "do-halt", "do-end"} <= set(seen), seen)
    cases.case("neither script nor policy was complained of", *(lambda c: (not c, c))(page.complaints()))


def without_scripts(cases, page, system, url, state):
    page.command("Emulation.setScriptExecutionDisabled", value=True)
    page.open(url)
    text = page.text("main")
    good = all(name in text for name in system.names) and text.count("Can I lose another node? yes") == 2 and "Without scripts" in text
    good = good and "Cluster s0: green: " in text and "c0 with s0" in text and "Decision queues" in text
    cases.case("without scripts it shows the status", good and not page.find_all("svg"), text[:800])
    page.picture(f"{state}/without-scripts.png")
    page.command("Emulation.setScriptExecutionDisabled", value=False)


def main():
    cases = Cases()
    if not browser.installed():
        print("skipped: chromium and chromium-driver are not installed (tests/setup test browser)")
        lacking = [f for f in ("page.html", "pair.html", "page.js", "page.css", "icon.svg") if not os.path.exists(f"{TOP}/appliance/admin/page/{f}")]
        cases.case("the page's files are there; the rest was not tested", not lacking, lacking)
        return cases.end()
    with System() as system:
        os.mkdir(f"{system.dir}/claims")
        for node in system.names:
            claim(system, node, 1, {f: f"{f} of {node}" for f in FIELDS})
        system.start_all()
        if not cases.case("eight nodes answer", system.wait_ready()):
            return cases.end()
        init = Init(f"{system.dir}/init.sock")
        admin = Admin(system.root, [f"{n}/control.sock" for n in system.names], f"{system.dir}/state",
                      ["--init", init.path, "--system", f"{system.root}/system.json", "--claims", f"{system.dir}/claims"])
        page = browser.Browser(admin.state)
        url = f"https://127.0.0.1:{admin.base + 1}/"
        try:
            pair(cases, page, admin, url)
            views(cases, page, system, admin.state)
            red(cases, page, system, admin.state)
            act(cases, page, system, init)
            upgrade(cases, page, system, init, admin.state)
            readers(cases, page, url, admin.state)
            without_scripts(cases, page, system, url, admin.state)
            page.open(url)
            page.wait(lambda: "may own" in page.text("#who"))
            page.click("#do-end")
            cases.case("a session that is ended leads back to the form", page.wait(lambda: page.find_all("#code")))
        finally:
            page.close()
            if admin.process.poll() is None:
                admin.process.send_signal(signal.SIGKILL)
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
