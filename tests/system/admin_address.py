#!/usr/bin/env python3
"""heraclius-admin at an address that no link has yet: it does not end, and serves as soon as one has it; a port that is taken ends it with 4.

In a network namespace of its own; skipped, in a clear word, where there is none. admin_address.py short|long
"""
import os
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from admin_https import ADMIN, Admin, PlayedNode  # noqa: E402
from cluster import Cases, System  # noqa: E402

PORT = 8443


def answers(address):
    """What stands at the port: "" nobody, else the first line of what it says to no TLS."""
    try:
        with socket.create_connection((address, PORT), timeout=20) as s:
            s.sendall(b"\x16\x03\x01\x00\x00")
            s.recv(16)
            return True
    except OSError:
        return False


def late(cases, folder, address, prefix):
    node, state = f"{folder}/{prefix}.sock", f"{folder}/state-{prefix}"
    os.mkdir(state)
    played = PlayedNode(node, {"status": {}, "ready": {}, "metrics": {}})
    host = f"[{address}]" if ":" in address else address
    admin = subprocess.Popen([ADMIN, "--tls", f"{host}:{PORT}", "--state", state, "--sockets", f"n={node}"], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said = [admin.stdout.readline(), admin.stdout.readline()]
        cases.case(f"{address} is on no link: it says so, and does not end", "it is served as soon as one has" in said[1] and admin.poll() is None and
                   not answers(address), said)
        subprocess.run(["ip", "addr", "add", f"{address}/{prefix}", "dev", "lo"], check=True, timeout=20)
        cases.case("a link gets it: it is served", Admin.wait(lambda: answers(address)) and admin.poll() is None, admin.poll())
        done = subprocess.run([ADMIN, "--tls", f"{host}:{PORT}", "--state", state, "--sockets", f"n={node}"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=20)
        cases.case("a port that is taken still ends it: exit 4", done.returncode == 4 and "port in use" in done.stderr, done)
    finally:
        admin.kill()
        admin.wait()
        played.close()


def main():
    cases = Cases()
    if sys.argv[-1] == "inside":
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=20)
        with tempfile.TemporaryDirectory(prefix="address-", dir=System.parent()) as folder:
            late(cases, folder, "192.0.2.7", "32")
            late(cases, folder, "2001:db8::7", "128")
        return cases.end()
    enter = ["unshare", "--user", "--map-root-user", "--net"]
    trial = subprocess.run([*enter, "ip", "link", "set", "lo", "up"], capture_output=True, text=True, timeout=20)
    if trial.returncode != 0:
        print(f"skipped: no network namespace here: {trial.stderr.strip()}")
        return cases.end()
    return subprocess.run([*enter, sys.executable, os.path.abspath(__file__), sys.argv[1], "inside"], timeout=200).returncode


if __name__ == "__main__":
    sys.exit(main())
