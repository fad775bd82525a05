#!/usr/bin/env python3
"""The alert rules for Prometheus, docs/alerts.yml: checked and tried by promtool (tests/system/alerts.yml), named in docs/operating.md, of metrics
that there are. alerts.py short|long
"""
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import TOP, Cases, System  # noqa: E402

RULES = f"{TOP}/docs/alerts.yml"


def read(path):
    with open(path) as f:
        return f.read()


def promtool(*words):
    try:
        return subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        return subprocess.CompletedProcess(words, 127, "", "promtool is not installed: tests/setup test")


def anchors(text):
    """The headings of a Markdown page, as links name them."""
    return {re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.M)}


def main():
    cases = Cases()
    rules, operating = read(RULES), read(f"{TOP}/docs/operating.md")
    done = promtool("check", "rules", RULES)
    cases.case("promtool takes the rules", done.returncode == 0 and "SUCCESS" in done.stdout, done.stdout + done.stderr)
    with tempfile.TemporaryDirectory(prefix="alerts-", dir=System.parent()) as folder:
        with open(f"{folder}/test.yml", "w") as f:
            f.write(read(f"{TOP}/tests/system/alerts.yml").replace("RULES", RULES))
        done = promtool("test", "rules", f"{folder}/test.yml")
        cases.case("each of them comes when it should, none for a node that is well", done.returncode == 0, done.stdout + done.stderr)
        broken = rules.replace("heraclius_up == 0", "heraclius_up == 2")
        with open(f"{folder}/broken.yml", "w") as f:
            f.write(broken)
        with open(f"{folder}/test.yml", "w") as f:
            f.write(read(f"{TOP}/tests/system/alerts.yml").replace("RULES", f"{folder}/broken.yml"))
        done = promtool("test", "rules", f"{folder}/test.yml")
        cases.case("and a rule that never comes is found by that", broken != rules and done.returncode == 1, done.stdout + done.stderr)
    names = re.findall(r"- alert: (\w+)", rules)
    tried = re.findall(r'alertname="(\w+)"}\', value', read(f"{TOP}/tests/system/alerts.yml"))
    cases.case(f"all {len(names)} are tried", len(names) > 10 and set(names) == set(tried), set(names) ^ set(tried))
    lacking = [n for n in names if not re.search(rf"^\| `{n}`( \(page\))? \|", operating, re.M)]
    cases.case("each has its line in docs/operating.md", not lacking, lacking)
    drills = set(re.findall(r"drill: docs/operating.md#([a-z0-9-]+)", rules))
    cases.case("and a drill that there is", drills and drills <= anchors(operating), drills - anchors(operating))
    served = "".join(read(f"{TOP}/appliance/{f}") for f in ("status/control_json.c", "admin/admin.c", "admin/admin_routes.c", "admin/admin_queues.c"))
    served += "".join(f"heraclius_machine_{name} " for name in re.findall(r'"([a-z_]+)"', read(f"{TOP}/appliance/admin/admin_machine.c")))
    # An expression is one line, or those behind "expr: >-" up to the rule's next word.
    expressions = re.findall(r"^ +expr: (?!>-)(.*)$", rules, re.M) + re.findall(r"^ +expr: >-\n((?:^ {10}.*\n)+)", rules, re.M)
    cases.case("each rule has its expression", len(expressions) == len(names), len(expressions))
    metrics = set(re.findall(r"\bheraclius_[a-z_]+", "\n".join(expressions)))
    lacking = [m for m in metrics if m not in served]
    cases.case("they ask for metrics that are served", len(metrics) > 10 and not lacking, lacking)
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
