"""What this tree is: its version, and the time that stands in everything that is made of it (that of the commit, so that a build today and one in a
year are the same)."""
import os
import re
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def git(*words):
    try:
        done = subprocess.run(["git", "-C", TOP] + list(words), capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def time():
    said = os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct")
    if not re.fullmatch(r"[0-9]+", said or ""):
        raise SystemExit("image: this tree is in no repository, so it has no time: set SOURCE_DATE_EPOCH to a number of seconds")
    return int(said)


def version():
    """As 0.3-1a2b3c4d5e6f: the release and the commit; with a + behind it when files differ from the commit."""
    with open(os.path.join(TOP, "client/heraclius.h")) as header:
        release = re.search(r'^#define HERACLIUS_VERSION "([^"]+)"', header.read(), re.M).group(1)
    commit = git("rev-parse", "--short=12", "HEAD")
    dirty = "+" if commit and git("status", "--porcelain", "--untracked-files=no") else ""
    return f"{release}-{commit}{dirty}" if commit else release
