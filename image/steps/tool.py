"""Runs a program of the build: the same words, the same bytes, whatever the machine's language, time zone, or the day."""
import os
import subprocess


def run(words, time, **more):
    """Its output; a failure ends the build with what the program said."""
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TZ": "UTC0", "SOURCE_DATE_EPOCH": str(time), "MTOOLSRC": "/dev/null",
           "MTOOLS_SKIP_CHECK": "1"}
    env.update(more.pop("env", {}))
    # All but the first are another day's, for image/repro (steps/elsewhere.py).
    env.update({name: os.environ[name] for name in ("TMPDIR", "LD_PRELOAD", "FAKETIME", "FAKETIME_SHARED", "NO_FAKE_STAT") if os.environ.get(name)})
    try:
        done = subprocess.run(words, capture_output=True, env=env, **more)
    except FileNotFoundError:
        raise SystemExit(f"image: {words[0]} is not installed here: tests/setup image installs what is needed") from None
    if done.returncode != 0:
        raise SystemExit(f"image: {' '.join(words)}:\n{(done.stderr or done.stdout).decode(errors='replace').strip()}")
    return done.stdout


def write(path, content, mode=0o644):
    """Whole or not at all, and readable by all, whatever the umask."""
    with open(path + ".new", "wb") as file:
        file.write(content)
    os.chmod(path + ".new", mode)
    os.replace(path + ".new", path)
