"""heraclius-admin with TLS, and the sockets of a node and of init played by threads: for the tests of the admin console.

Not a test by itself (no execute bit). Python's standard library only.
"""
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import TOP, free_base  # noqa: E402

ADMIN = f"{TOP}/build/gcc/heraclius-admin"


def fingerprint(path):
    with open(path) as f:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(f.read())).hexdigest()


class Played:
    """A control socket: who connects asks once, and is answered by `answer_to(asked, peer)`."""

    def __init__(self, path, kind):
        self.path, self.listening = path, socket.socket(socket.AF_UNIX, kind)
        self.listening.bind(path)
        self.listening.listen(16)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer, _ = self.listening.accept()
            except OSError:
                return
            with peer:
                try:
                    self.answer_to(peer.recv(512).decode(), peer)
                except (OSError, ValueError):
                    pass  # it went away before it had asked, or before it was answered

    def close(self):
        self.listening.close()
        os.unlink(self.path)


class PlayedNode(Played):
    """A node that says `says`: bytes, whatever it is asked, or an answer for each word that it is asked."""

    def __init__(self, path, says):
        self.says = says
        super().__init__(path, socket.SOCK_STREAM)

    def answer_to(self, asked, peer):
        peer.sendall(self.says if isinstance(self.says, bytes) else json.dumps(self.says[json.loads(asked)["ask"]]).encode() + b"\n")


class Init(Played):
    """Answers as init's control socket does (init/control.h); remembers what it was asked."""

    def __init__(self, path, answer=b"ok\n"):
        self.asked, self.answer = [], answer
        super().__init__(path, socket.SOCK_SEQPACKET)

    def answer_to(self, asked, peer):
        if asked != "status" and not asked.startswith("log "):  # looks
            self.asked.append(asked)
        if self.answer:
            peer.sendall(self.answer)
        else:
            time.sleep(2)


class Admin:
    """One heraclius-admin over `sockets` (paths from `cwd`, short), plain and with TLS; its standard output is read as it comes."""

    def __init__(self, cwd, sockets, state, extra=(), program=ADMIN):
        self.base = free_base(2)
        self.state = state
        self.lines = []
        os.makedirs(state, exist_ok=True)
        self.process = subprocess.Popen(
            [program, "--listen", f"127.0.0.1:{self.base}", "--tls", f"127.0.0.1:{self.base + 1}", "--state", state, "--name", "test.example",
             "--pairing", f"{state}/pairing", *extra, "--sockets", *sockets], cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self.read, daemon=True).start()
        self.wait(lambda: self.http("GET", "/livez")[0] == 200)

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    @staticmethod
    def wait(what, limit_s=20):
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            got = what()
            if got:
                return got
            time.sleep(0.05)
        return None

    def context(self, certificate=None, lowest=ssl.TLSVersion.TLSv1_2, highest=ssl.TLSVersion.MAXIMUM_SUPPORTED):
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.load_verify_locations(f"{self.state}/tls.cert")
        made.minimum_version, made.maximum_version = lowest, highest
        if certificate:
            made.load_cert_chain(f"{certificate}/tls.cert", f"{certificate}/tls.key")
        return made

    def connect(self, context=None, timeout=20, source="127.0.0.1"):
        raw = socket.create_connection(("127.0.0.1", self.base + 1), timeout=timeout, source_address=(source, 0))
        return (context or self.context()).wrap_socket(raw, server_hostname="test.example")

    def http(self, method, path, body=None, headers=None, host=None):
        """Over plain HTTP: (status, headers, text); status 0: no answer."""
        return self.over(http.client.HTTPConnection("127.0.0.1", self.base, timeout=20), method, path, body, dict(headers or {}), host)

    def https(self, method, path, body=None, headers=None, cookie=None, csrf=None, certificate=None, source="127.0.0.1"):
        """The same over TLS; a body that is no text is sent as JSON."""
        headers = dict(headers or {})
        if cookie:
            headers["Cookie"] = f"__Host-heraclius={cookie}"
        if csrf:
            headers["X-CSRF-Token"] = csrf
        if body is not None and not isinstance(body, str):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPSConnection("test.example", self.base + 1, timeout=20)
        try:
            connection.sock = self.connect(self.context(certificate), source=source)
        except OSError as error:
            return 0, {}, str(error)
        return self.over(connection, method, path, body, headers, None)

    @staticmethod
    def over(connection, method, path, body, headers, host):
        try:
            if host:
                headers["Host"] = host
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return 0, {}, str(error)
        finally:
            connection.close()

    def code(self):
        """Asks for a pairing code and reads it where the machine shows it; None: there is none."""
        before = len(self.lines)
        code, _, text = self.https("POST", "/api/v1/pairing")
        if code != 202 or not json.loads(text)["open"]:
            return None
        found = self.wait(lambda: [m.group(1) for m in (re.match(r"pairing code (\d{10}) ", line) for line in self.lines[before:]) if m], 5)
        return found[-1] if found else None

    def pair(self, role):
        """(cookie, csrf) of a new session."""
        status, headers, text = self.https("POST", "/api/v1/session", {"code": self.code(), "role": role})
        assert status == 201, (status, text)
        return re.match(r"__Host-heraclius=([0-9a-f]{64});", headers["set-cookie"]).group(1), json.loads(text)["csrf"]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


def certificate_make(folder, name="heraclius-admin"):
    """A key and a certificate of their own in `folder`, as heraclius-admin makes them: a client may show such a one too."""
    os.makedirs(folder, exist_ok=True)
    process = subprocess.Popen([ADMIN, "--tls", f"127.0.0.1:{free_base(1)}", "--state", folder, "--name", name, "--sockets", "none"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=20)
    return line.split()[-1]
