"""Another language and another day, for the second build of image/repro; and, run as a program, what of both is in force where it runs.

The language is Turkish in an encoding of its own, by a locale that is compiled for the build, since no machine need have it: other names of months,
another order, a decimal comma, small letters of I that are not i, and bytes that are not UTF-8. The day is months away, by libfaketime, which every
program that is linked dynamically is given. Files keep their times: a build that gives one a time reads that very time (NO_FAKE_STAT)."""
import json
import locale
import os
import subprocess
import time

from . import tool

NAME, OF, ENCODING, JANUARY = "tr_TR.ISO-8859-9", "tr_TR", "ISO-8859-9", "Ocak"
DAYS = 200
LATE_S = 600  # what a slow machine may need from one look at the clock to the next


def made(folder):
    """Compiles the locale; the environment that has it, and the words that stand before a program for which it is another day."""
    os.makedirs(folder)
    os.chmod(folder, 0o755)
    done = subprocess.run(["localedef", "-i", OF, "-f", ENCODING, os.path.join(folder, NAME)], capture_output=True, text=True,
                          umask=0o022)
    if done.returncode != 0:
        raise SystemExit(f"repro: no locale {NAME}: {done.stderr.strip()}")
    return {"LOCPATH": folder, "LC_ALL": NAME, "LANG": NAME, "NO_FAKE_STAT": "1"}, ["faketime", "-m", "-f", f"+{DAYS}d"]


def check(said, now):
    """`said`: what the program below printed in the midst of the second build, at `now` of this clock. Ends with what was not in force."""
    found = json.loads(said)
    wrong = [f"{what} is {found[what]!r}, not {wanted!r}" for what, wanted in (("encoding", ENCODING), ("january", JANUARY)) if found[what] != wanted]
    wrong += [f"the clock of {who} is {(found[who] - now) / 86400:.1f} days ahead, not {DAYS}" for who in ("python", "tool")
              if abs(found[who] - now - DAYS * 86400) > LATE_S]
    if wrong:
        raise SystemExit(f"repro: the second build would be no other one: {'; '.join(wrong)}")


def main():
    try:
        locale.setlocale(locale.LC_ALL, "")
    except locale.Error:
        pass  # none: then the names below are the C locale's
    print(json.dumps({"encoding": locale.nl_langinfo(locale.CODESET), "january": locale.nl_langinfo(locale.MON_1), "python": time.time(),
                      "tool": int(tool.run(["date", "+%s"], 0))}))


if __name__ == "__main__":
    main()
