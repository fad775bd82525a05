"""Processor time by role and thread, in nanoseconds, as the kernel counts it for each thread (/proc/PID/task/TID/schedstat)."""
import os

ROLES = {"c": "coordinator node", "s": "shard node"}
CLIENT = "client"


def threads_ns(pid):
    """{name of a thread: nanoseconds on a processor so far}; threads of one name are added up. Empty when the process is gone."""
    found = {}
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/comm") as f:
                name = f.read().strip()
            with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                found[name] = found.get(name, 0) + int(f.read().split()[0])
        except OSError:
            continue
    return found


def sample(pids):
    """`pids`: name of a process -> pid. {(process, thread): nanoseconds}."""
    return {(process, thread): ns for process, pid in pids.items() for thread, ns in threads_ns(pid).items()}


def spent(before, after):
    """{(process, thread): seconds between two samples}."""
    return {key: (ns - before.get(key, 0)) / 1e9 for key, ns in after.items()}


def role_of(process):
    return CLIENT if process == CLIENT else ROLES[process[0]]


def by_role(seconds):
    """{(role, thread): seconds} of what spent() gave."""
    out = {}
    for (process, thread), value in seconds.items():
        key = (role_of(process), thread if process != CLIENT else "all")
        out[key] = out.get(key, 0) + value
    return out


def by_process(seconds):
    out = {}
    for (process, _), value in seconds.items():
        out[process] = out.get(process, 0) + value
    return out
