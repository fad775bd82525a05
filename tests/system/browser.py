"""Headless Chromium by WebDriver over HTTP (W3C), for admin_page.py: Debian's chromium and chromium-driver.

Not a test by itself (no execute bit). Python's standard library only.
"""
import base64
import http.client
import json
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import free_base  # noqa: E402

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


def installed():
    return shutil.which("chromedriver") and shutil.which("chromium")


class Browser:
    def __init__(self, folder, width=1280, height=1000):
        self.port = free_base(1)
        self.log = open(f"{folder}/chromedriver.log", "wb")
        self.process = subprocess.Popen([shutil.which("chromedriver"), f"--port={self.port}"], stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, start_new_session=True)
        self.session = None
        self.wait(self.answers)
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={folder}/profile",
                 "--no-first-run", "--disable-background-networking", "--force-device-scale-factor=1", f"--window-size={width},{height}"]
        wanted = {"browserName": "chrome", "acceptInsecureCerts": True, "goog:loggingPrefs": {"browser": "ALL"},
                  "goog:chromeOptions": {"binary": shutil.which("chromium"), "args": flags}}
        self.session = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def answers(self):
        try:
            return self.ask("GET", "/status")["ready"]
        except OSError:
            return False

    @staticmethod
    def wait(what, limit_s=60):
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            got = what()
            if got:
                return got
            time.sleep(0.1)
        return None

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(value, dict) and "error" in value:
            raise RuntimeError(f"{path}: {value['error']}: {value['message'][:300]}")
        return value

    def do(self, method, path, body=None):
        return self.ask(method, f"/session/{self.session}{path}", body if body is not None or method == "GET" else {})

    def open(self, url):
        self.do("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        return self.do("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def find(self, selector):
        return self.do("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]

    def find_all(self, selector):
        return [e[ELEMENT] for e in self.do("POST", "/elements", {"using": "css selector", "value": selector})]

    def text(self, selector):
        return self.do("GET", f"/element/{self.find(selector)}/text")

    def label(self, element):
        """The name by which a screen reader calls it."""
        return self.do("GET", f"/element/{element}/computedlabel")

    def click(self, selector):
        """Again if what is above it grew in between, as this page does: then something else lay where it was."""
        for left in range(20, -1, -1):
            try:
                return self.do("POST", f"/element/{self.find(selector)}/click")
            except RuntimeError as error:
                if "click intercepted" not in str(error) or left == 0:
                    raise
                time.sleep(0.25)

    def type(self, selector, text):
        self.do("POST", f"/element/{self.find(selector)}/value", {"text": text})

    def keys(self, *keys):
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.do("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def command(self, name, **words):
        """Of Chromium's own protocol."""
        return self.do("POST", "/goog/cdp/execute", {"cmd": name, "params": words})

    def picture(self, path):
        """The whole page, however long."""
        shot = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        with open(path, "wb") as f:
            f.write(base64.b64decode(shot["data"]))

    def complaints(self):
        """What the browser's console says in anger: errors of the script, breaches of the policy. Empties it."""
        return [e["message"] for e in self.do("POST", "/se/log", {"type": "browser"}) if e["level"] == "SEVERE"]

    def close(self):
        try:
            if self.session:
                self.do("DELETE", "")
        except (OSError, RuntimeError):
            pass
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()
