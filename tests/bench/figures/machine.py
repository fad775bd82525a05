"""What is written beside figures, so that they can be judged later."""
import datetime
import os
import platform
import re
import subprocess


def first_line(path, pattern):
    try:
        with open(path) as f:
            found = re.search(pattern, f.read(), re.M)
        return found.group(1).strip() if found else None
    except OSError:
        return None


def commit_of(top):
    def git(*words):
        done = subprocess.run(["git", "-C", top, *words], capture_output=True, text=True, timeout=60)
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    if commit is None:
        return "unknown"
    return commit + (" and changes" if git("status", "--porcelain", "--untracked-files=no") else "")


def about(top):
    """A dictionary for bench.json and the head of the table."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit_of(top),
        "cpu": first_line("/proc/cpuinfo", r"^model name\s*:\s*(.*)$") or platform.machine(),
        "cpus": os.cpu_count(),
        "memory_mib": int(first_line("/proc/meminfo", r"^MemTotal:\s+(\d+)") or 0) // 1024,
        "kernel": platform.release(),
        "system": first_line("/etc/os-release", r'^PRETTY_NAME="?([^"\n]*)'),
        "load_average": round(os.getloadavg()[0], 2),
    }


def available_mib():
    return int(first_line("/proc/meminfo", r"^MemAvailable:\s+(\d+)") or 0) // 1024


def free_mib():
    return int(first_line("/proc/meminfo", r"^MemFree:\s+(\d+)") or 0) // 1024
