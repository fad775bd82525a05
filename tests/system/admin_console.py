#!/usr/bin/env python3
"""The admin console over TLS: certificates, pairing, roles, CSRF, audit, the API against its OpenAPI file, hostile clients.

admin_console.py short|long [SEED]
"""
import json
import os
import random
import re
import resource
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
import warnings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from admin import faults_of  # noqa: E402
from admin_https import ADMIN, Admin, Init, PlayedNode, certificate_make, fingerprint  # noqa: E402
from cluster import CLIENT, TOP, Cases, System, free_base, is_long, seed_of  # noqa: E402

SLOW = 1000
RUNS = b"ok\nslot=1\nslot_state=%s\nimage_number=7\nslot_next=1\nslot.1=number 7 label r7 blessed tries 0 done 0 signed\n"


def misfit(value, schema, doc, at="$"):
    """What of a value does not fit its OpenAPI 3.0 schema (of what our file uses); None: it fits."""
    if "$ref" in schema:
        return misfit(value, doc["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], doc, at)
    if "oneOf" in schema:
        wrong = [misfit(value, one, doc, at) for one in schema["oneOf"]]
        return None if wrong.count(None) == 1 else f"{at}: {wrong.count(None)} of oneOf: {wrong}"
    if value is None:
        return None if schema.get("nullable") else f"{at}: null"
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}
    kind = schema["type"]
    if not isinstance(value, kinds[kind]) or (kind == "integer" and isinstance(value, bool)):
        return f"{at}: no {kind}: {value!r:.60}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{at}: {value!r} is none of {schema['enum']}"
    if kind == "integer" and value < schema.get("minimum", value):
        return f"{at}: {value} is too low"
    if kind == "string" and not re.search(schema.get("pattern", ""), value):
        return f"{at}: {value!r} does not match"
    if kind == "array":
        return next((w for w in (misfit(v, schema["items"], doc, f"{at}[{i}]") for i, v in enumerate(value)) if w), None)
    if kind == "object":
        properties, more = schema.get("properties", {}), schema.get("additionalProperties", True)
        lacking = [name for name in schema.get("required", []) if name not in value]
        if lacking:
            return f"{at}: lacks {lacking}"
        for name, one in value.items():
            if name not in properties and more is False:
                return f"{at}: has {name}"
            inner = properties.get(name, more if isinstance(more, dict) else None)
            wrong = misfit(one, inner, doc, f"{at}.{name}") if inner else None
            if wrong:
                return wrong
    return None


def certificate(cases, admin, system, sockets):
    shown = admin.wait(lambda: [line.split()[-1] for line in admin.lines if line.startswith("certificate SHA-256 ")], 5)
    own = fingerprint(f"{admin.state}/tls.cert")
    cases.case("a certificate is made and its SHA-256 shown", shown == [own], (shown, own))
    cases.case("its key is for its owner alone", stat.S_IMODE(os.stat(f"{admin.state}/tls.key").st_mode) == 0o600)
    versions = {}
    warnings.simplefilter("ignore", DeprecationWarning)
    for version in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = admin.context(None, version, version)
        if version == ssl.TLSVersion.TLSv1_1:
            context.set_ciphers("ALL:@SECLEVEL=0")
        try:
            with admin.connect(context) as s:
                versions[version.name] = s.version()
        except ssl.SSLError as error:
            versions[version.name] = error.reason
    good = versions["TLSv1_2"] == "TLSv1.2" and versions["TLSv1_3"] == "TLSv1.3" and re.search("ALERT|EOF", str(versions["TLSv1_1"]))
    cases.case("TLS 1.2 and 1.3 are spoken, 1.1 is refused by the other side", good, versions)
    with socket.create_connection(("127.0.0.1", admin.base + 1), timeout=20) as s:
        s.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            said = s.recv(4096)
        except OSError:
            said = b""
    cases.case("plain HTTP on its port gets no page", b"200" not in said, said)
    for where, words in (("a certificate without its key", ("--tls-cert", f"{admin.state}/tls.cert")), ("no state folder", ()),
                         ("a pin that is no hash", ("--state", admin.state, "--client", "own:12")),
                         ("a pin of no role", ("--state", admin.state, "--client", f"root:{'0' * 64}"))):
        done = subprocess.run([ADMIN, "--tls", f"127.0.0.1:{free_base(1)}", *words, "--sockets", *sockets], cwd=system.root, capture_output=True,
                              text=True, timeout=20)
        cases.case(f"{where}: exit 2", done.returncode == 2 and done.stderr, (done.returncode, done.stderr))
    certificate_make(f"{system.dir}/other")
    with open(f"{system.dir}/garbage", "w") as f:
        f.write("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for what, cert, key in (("another one's key", f"{admin.state}/tls.cert", f"{system.dir}/other/tls.key"),
                            ("a garbled certificate", f"{system.dir}/garbage", f"{admin.state}/tls.key"),
                            ("no such file", f"{system.dir}/none", f"{system.dir}/none")):
        done = subprocess.run([ADMIN, "--tls", f"127.0.0.1:{free_base(1)}", "--state", f"{system.dir}/other", "--tls-cert", cert, "--tls-key", key,
                               "--sockets", *sockets], cwd=system.root, capture_output=True, text=True, timeout=20)
        cases.case(f"{what}: exit 5 and one line that names the file", done.returncode == 5 and done.stderr.count("\n") == 1 and cert in done.stderr,
                   (done.returncode, done.stderr))


def strangers(cases, admin, system):
    code, headers, text = admin.https("GET", "/")
    good = code == 200 and 'action="/pair"' in text and not any(name in text for name in system.names) and "script" not in text
    cases.case("a stranger sees the form to pair, without a script, and no node", good, (code, text[:300]))
    policy = headers.get("content-security-policy", "")
    good = "default-src 'none'" in policy and "unsafe" not in policy and headers.get("x-content-type-options") == "nosniff" and \
        "frame-ancestors 'none'" in policy and headers.get("cache-control") == "no-store" and "strict-transport-security" in headers
    cases.case("its headers allow nothing from elsewhere and nothing inline", good, headers)
    paths = ["/status", "/readyz", "/metrics"] + [f"/api/v1/{p}" for p in ("nodes", "clusters", "history", "faults", "exposure", "audit", "session")]
    codes = {p: admin.https("GET", p)[0] for p in paths}
    codes.update({p: admin.https("POST", f"/api/v1/{p}", {"sure": True, "program": "node"})[0]
                  for p in ("actions/restart", "actions/reboot", "actions/halt", "session/end")})
    cases.case("a stranger is told 401 everywhere else", set(codes.values()) == {401}, codes)
    codes = [admin.https("GET", "/api/v1/nodes", cookie=c)[0] for c in ("0" * 64, "", "x", "0" * 5000)]
    cases.case("a made-up cookie is nobody's", all(c in (401, 431, 413, 0) for c in codes) and codes[0] == 401, codes)


def pairing(cases, admin, init):
    code = admin.code()
    with open(f"{admin.state}/pairing") as f:
        written = f.read().strip()
    cases.case("a code of ten digits is shown on standard output and in the file", code is not None and written == code, (code, written))
    bad = [admin.https("POST", "/api/v1/session", body)[0] for body in ({}, {"code": 5}, {"code": code, "role": "root"}, [code])]
    bad.append(admin.https("POST", "/api/v1/session", json.dumps({"code": code}), {"Content-Type": "text/plain"})[0])
    cases.case("bodies that are no request: 400, and the code is still good", bad == [400] * 5, bad)
    wrong = f"{(int(code) + 1) % 10 ** 10:010}"
    cases.case("a wrong code: 403", admin.https("POST", "/api/v1/session", {"code": wrong})[0] == 403)
    status, headers, text = admin.https("POST", "/api/v1/session", {"code": code, "role": "view"})
    cookie = headers.get("set-cookie", "")
    words = [w.strip() for w in cookie.split(";")]
    good = status == 201 and re.fullmatch(r"__Host-heraclius=[0-9a-f]{64}", words[0])
    good = good and {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(words)
    cases.case("the code gives a session, its cookie is Secure, HttpOnly, SameSite=Strict", good, (status, cookie))
    cases.case("used once, it is gone, from the file too",
               admin.https("POST", "/api/v1/session", {"code": code})[0] == 429 and not os.path.exists(f"{admin.state}/pairing"))
    view = (words[0].split("=")[1], json.loads(text)["csrf"])
    code = admin.code()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status, headers, _ = admin.https("POST", "/pair", f"code={code}", form)
    good = status == 303 and headers.get("location") == "/" and "HttpOnly" in headers.get("set-cookie", "")
    cases.case("the form without a script gives one too", good, (status, headers))
    roles_given = []
    for role in ("view", "operate", "own"):
        code = admin.code()
        bad = [admin.https("POST", "/pair", f"code={code}&{more}", form)[0] for more in ("role=root", "role=", "x=y", "")]
        cookie = admin.https("POST", "/pair", f"code={code}&role={role}", form)[1].get("set-cookie", "")
        session = re.match(r"__Host-heraclius=([0-9a-f]{64})", cookie)
        said = json.loads(admin.https("GET", "/api/v1/session", cookie=session.group(1))[2]) if session else {}
        roles_given.append((bad, said.get("role")))
    cases.case("the form says what the browser may; another role pairs nobody, and the code is still good",
               roles_given == [([400] * 4, role) for role in ("view", "operate", "own")], roles_given)
    status, _, text = admin.https("POST", "/pair", "code=0000000000", form)
    cases.case("and says what is wrong", status == 403 and 'role="alert"' in text, (status, text))
    status, _, _ = admin.https("POST", "/api/v1/pairing", headers={"Origin": "https://elsewhere.example"})
    cases.case("a page of elsewhere asks for no code", status == 403)
    return view


def roles(cases, admin, init, view):
    operate, own = admin.pair("operate"), admin.pair("own")
    restart, sure = {"program": "node"}, {"sure": True}
    want = []
    for name, who in (("view", view), ("operate", operate), ("own", own)):
        said = json.loads(admin.https("GET", "/api/v1/session", cookie=who[0])[2])
        want.append(said["role"] == name and said["csrf"] == who[1])
    cases.case("each session knows its role", all(want), want)
    init.answer = RUNS % b"trial"
    code, _, text = admin.https("POST", "/api/v1/actions/restart", restart, cookie=operate[0], csrf=operate[1])
    good = code == 409 and "on trial" in text and not init.asked
    cases.case("while an image is on trial who operates does not restart its node", good, (code, text))
    init.answer = RUNS % b"blessed"
    codes = {name: [admin.https("POST", f"/api/v1/actions/{action}", body, cookie=who[0], csrf=who[1])[0]
                    for action, body in (("restart", {"program": "trial"}), ("restart", restart), ("reboot", sure), ("halt", sure))]
             for name, who in (("view", view), ("operate", operate), ("own", own))}
    cases.case("view changes nothing, operate restarts the node alone, own all, and reboots and halts",
               codes == {"view": [403] * 4, "operate": [403, 200, 403, 403], "own": [200] * 4}, codes)
    cases.case("init was asked just that", init.asked == ["restart node sure", "restart trial sure", "restart node sure", "reboot sure", "halt sure"],
               init.asked)
    code, _, text = admin.https("POST", "/api/v1/actions/restart", restart, cookie=operate[0], csrf=operate[1])
    cases.case("who operates restarts it once in a minute", code == 429 and "last minute" in text, (code, text))
    again = admin.wait(lambda: admin.https("POST", "/api/v1/actions/restart", restart, cookie=operate[0], csrf=operate[1])[0] == 200, 90) \
        if is_long(sys.argv) else True
    cases.case("and then again", again)
    init.answer = b"ok\n"
    asked = len(init.asked)
    post = "/api/v1/actions/reboot"
    codes = [admin.https("POST", post, sure, cookie=own[0])[0], admin.https("POST", post, sure, cookie=own[0], csrf=operate[1])[0],
             admin.https("POST", post, sure, cookie=own[0], csrf=own[0])[0],
             admin.https("POST", post, sure, {"Origin": "https://elsewhere.example"}, own[0], own[1])[0],
             admin.https("POST", post, sure, {"Origin": "null"}, own[0], own[1])[0],
             admin.https("POST", post, sure, {"Origin": "http://test.example"}, own[0], own[1])[0]]
    cases.case("no CSRF token, another's, the cookie as token, another origin: 403", codes == [403] * 6, codes)
    codes = [admin.https("POST", post, body, cookie=own[0], csrf=own[1])[0] for body in ({}, {"sure": "yes"}, "sure", [True])]
    codes += [admin.https("POST", "/api/v1/actions/restart", {"program": p}, cookie=own[0], csrf=own[1])[0]
              for p in ("", "a b", "x\nreboot sure", "a" * 33, None, 5)]
    cases.case("bodies that are not sure, or name no program: 400", codes == [400] * 10, codes)
    headers = {"Content-Type": "application/json", "Cookie": f"__Host-heraclius={own[0]}", "X-CSRF-Token": own[1]}
    code = admin.http("POST", post, json.dumps(sure), headers)[0]
    cases.case("over plain HTTP nothing is changed, whoever asks: 403", code == 403, code)
    cases.case("and init was asked nothing of all that", len(init.asked) == asked, init.asked)
    init.answer = b"error no program x\n"
    code, _, text = admin.https("POST", "/api/v1/actions/restart", {"program": "x"}, cookie=own[0], csrf=own[1])
    cases.case("init's refusal is told: 502", code == 502 and "no program x" in text, (code, text))
    init.answer = None
    code, _, text = admin.https("POST", "/api/v1/actions/restart", {"program": "x"}, cookie=own[0], csrf=own[1])
    cases.case("init that does not answer: 502", code == 502 and "does not answer" in text, (code, text))
    init.answer = b"ok\n"
    ended = admin.https("POST", "/api/v1/session/end", cookie=operate[0], csrf=operate[1])[0]
    cases.case("a session that ended is nobody's", ended == 200 and admin.https("GET", "/api/v1/nodes", cookie=operate[0])[0] == 401)
    return own


def certificates_of_clients(cases, admin, init, pinned, stranger):
    code, _, text = admin.https("GET", "/api/v1/session", certificate=pinned)
    said = json.loads(text)
    good = code == 200 and said["role"] == "operate" and fingerprint(f"{pinned}/tls.cert") in said["who"]
    cases.case("a pinned client certificate has its role", good, (code, text))
    asked = len(init.asked)
    codes = [admin.https("POST", "/api/v1/claims", {}, certificate=pinned)[0],
             admin.https("POST", "/api/v1/claims", {}, certificate=pinned, csrf=said["csrf"])[0],
             admin.https("POST", "/api/v1/actions/halt", {"sure": True}, certificate=pinned, csrf=said["csrf"])[0]]
    cases.case("it needs the CSRF token too, and does no more than its role", codes == [403, 400, 403] and len(init.asked) == asked, codes)
    code = admin.https("GET", "/api/v1/session", certificate=stranger)[0]
    cases.case("a certificate that nobody pinned: 401", code == 401, code)


def audit(cases, admin, own):
    with open(f"{admin.state}/audit.jsonl") as f:
        kept = [json.loads(line) for line in f]
    served = json.loads(admin.https("GET", "/api/v1/audit", cookie=own[0])[2])["entries"]
    cases.case("the audit log is served as it is kept, newest first", served == kept[::-1][:200], (len(served), len(kept)))
    cases.case("its lines are numbered from 1 without a gap", [e["number"] for e in kept] == list(range(1, len(kept) + 1)))
    done = [(e["action"], e["outcome"]) for e in kept]
    wanted = [("pair", "refused"), ("pair", "done"), ("restart", "begun"), ("restart", "done"), ("restart", "failed"), ("reboot", "begun"),
              ("reboot", "done"), ("halt", "done"), ("session-end", "done")]
    cases.case("each thing done or tried is in it", all(w in done for w in wanted), done)
    cases.case("who did it is in it", all(re.match(r"(session \d+|certificate [0-9a-f]{64}|somebody)$", e["who"]) for e in kept), kept)
    with open(f"{admin.state}/audit.jsonl") as f:
        secrets = own[0] in f.read()
    cases.case("no token is in it", not secrets)


KEPT = {"node": "c0-n1", "file": "two_commits-c0-member2-epoch0.evidence"}


def evidence(cases, admin, system, view, own):
    """What a node keeps lies in its data folder; the file here convicts nobody, but is longer than the node gives out at once."""
    folder = f"{system.root}/{KEPT['node']}/data/evidence"
    os.makedirs(folder, exist_ok=True)
    text = "".join(f"{i:07}\n" for i in range(40000))
    with open(f"{folder}/{KEPT['file']}", "w") as f:
        f.write(text)
    os.symlink(f"{system.root}/{KEPT['node']}/node.key", f"{folder}/link.evidence")
    shown = {n["node"]: n["files"] for n in json.loads(admin.https("GET", "/api/v1/evidence", cookie=view[0])[2])["nodes"]}
    cases.case("evidence: each node's files are named", shown[KEPT["node"]] == [{"file": KEPT["file"], "bytes": len(text)}] and
               sorted(shown) == system.names and shown["s0-n0"] == [], shown)
    place = "/api/v1/evidence/file?node={node}&file={file}"
    code, headers, got = admin.https("GET", place.format(**KEPT), cookie=own[0])
    cases.case("a file is given out whole", (code, headers.get("content-type")) == (200, "application/octet-stream") and got == text and
               KEPT["file"] in headers.get("content-disposition", ""), (code, headers, len(got)))
    cases.case("to nobody who only looks", admin.https("GET", place.format(**KEPT), cookie=view[0])[0] == 403)
    last = json.loads(admin.https("GET", "/api/v1/audit", cookie=own[0])[2])["entries"][0]
    cases.case("and that is in the audit log", (last["action"], last["detail"]) == ("evidence", f"{KEPT['node']}: {KEPT['file']}"), last)
    codes = [admin.https("GET", place.format(node=node, file=file), cookie=own[0])[0] for node, file in (
        ("c0-n1", "none.evidence"), ("c0-n1", "link.evidence"), ("nobody", KEPT["file"]), ("c0-n1", "..%2fnode.key"), ("c0-n1", ".."),
        ("c0-n1", ""), ("c0-n1", "a%22,%22x%22:%22b"), ("c0-n1", "a" * 300))]
    cases.case("no other file, no link, no other folder", codes == [404, 404, 404, 400, 400, 400, 400, 400], codes)


def api(cases, admin, own):
    doc = json.loads(admin.https("GET", "/api/v1/openapi.json")[2])
    with open(f"{TOP}/appliance/admin/admin_routes.c") as f:
        served = set(re.findall(r'\{"(GET|POST)", "([^"]+)",', f.read()))
    named = {(method.upper(), path) for path, methods in doc["paths"].items() for method in methods}
    good = served == named and len(served) > 15
    cases.case(f"the OpenAPI file names the {len(served)} things that are served, and nothing else", good, served ^ named)
    wrong = []
    for path, methods in doc["paths"].items():
        if "get" not in methods:
            continue
        asked = [f"{p['name']}={KEPT[p['name']]}" for p in methods["get"].get("parameters", []) if p["required"]]
        code, headers, text = admin.https("GET", f"{path}?{'&'.join(asked)}" if asked else path, cookie=own[0])
        answer = methods["get"]["responses"].get(str(code), {}).get("content", {})
        kind = headers.get("content-type")
        if code != 200 or kind not in answer:
            wrong.append((path, code, kind))
        else:
            value = json.loads(text) if kind == "application/json" else text
            bad = misfit(value, answer[kind]["schema"], doc)
            if bad:
                wrong.append((path, bad))
    cases.case("each GET of it answers as it says, and fits its schema", not wrong, wrong)
    wrong = []
    for path, methods in doc["paths"].items():
        code, headers, text = admin.https("PUT", path, cookie=own[0])
        if code != 405 or headers.get("allow") != ", ".join(sorted(m.upper() for m in methods)):
            wrong.append((path, code, headers.get("allow")))
        if "get" not in methods and admin.https("GET", path, cookie=own[0])[0] != 405:
            wrong.append((path, "GET"))
        for method in methods:
            if methods[method]["x-role"] == "nobody":
                continue
            code, _, text = admin.https(method.upper(), path)
            if str(code) not in methods[method]["responses"] or misfit(json.loads(text), {"$ref": "#/components/schemas/Error"}, doc):
                wrong.append((path, code, text))
    cases.case("other methods: 405 and Allow; a stranger's answer is one that it names", not wrong, wrong)
    codes = {p: admin.https("GET", p, cookie=own[0])[0]
             for p in ("/api", "/api/v1", "/api/v1/", "/api/v2/nodes", "/page.html", "/pair.html", "//", "/..", "/API/V1/NODES", "/api/v1/nodes/",
                       "/page.js/", "/index.html", "/favicon.ico")}
    cases.case("nothing else is served: 404", set(codes.values()) == {404}, codes)
    numbers = ("0", "721", "-1", "x", "1x", "99999999999999999999", "%31", "720")
    codes = [admin.https("GET", f"/api/v1/history?newest={n}", cookie=own[0])[0] for n in numbers]
    cases.case("newest of history is a number from 1 to 720", codes == [400] * 6 + [200, 200], codes)

    def grown():
        series = json.loads(admin.https("GET", "/api/v1/history", cookie=own[0])[2])["series"]
        return all(len(s["samples"]) > 1 for s in series) and series
    series = admin.wait(grown, 20)
    cases.case("the history grows by itself", series and len(series) == 8 and all(s["samples"][-1]["up"] for s in series), series)


def claim(system, node, number, out=None, owner=None, **texts):
    words = [w for name, text in texts.items() for w in ("--set", f"{name}={text}")]
    return subprocess.run([CLIENT, "node", "claim", "--card", f"{system.root}/cards/{node}.card", "--owner-key",
                           owner or f"{system.root}/owners/{node}.key", "--number", str(number), "--out",
                           f"{system.dir}/claims/{out or f'{node}-{number}'}.claim", *words], cwd=TOP, capture_output=True, text=True, timeout=20)


def exposure(cases, admin, system, own):
    fields = ("architecture", "kernel", "compiler", "code", "image", "operator", "site", "power")

    def seen(what):
        """The answer once `what` is true of its clusters by name, else the last one."""
        last = None

        def look():
            nonlocal last
            last = json.loads(admin.https("GET", "/api/v1/exposure", cookie=own[0])[2])
            return what({c["cluster"]: c for c in last["clusters"]}, last)
        return bool(admin.wait(look, 10)), last

    def red_in(cluster):
        return sorted(f["field"] for f in cluster["fields"] if not f["good"])

    good, last = seen(lambda c, _: not c["s0"]["good"] and red_in(c["s0"]) == sorted(fields))
    cases.case("exposure without claims: red in everything", good and not last["good"], last)
    done = [claim(system, n, 1, **{f: f"{f} of {n}" for f in fields}) for n in system.names]
    cases.case("heraclius node claim: eight claims", all(d.returncode == 0 for d in done), done[0].stdout + done[0].stderr)
    good, last = seen(lambda c, whole: whole["good"] and c["s0"]["good"] and c["c0"]["good"])
    cases.case("nothing in common: green", good, last)
    claim(system, "s0-n1", 2, **{f: f"{f} of s0-n{'0' if f == 'kernel' else '1'}" for f in fields})
    good, last = seen(lambda c, whole: not whole["good"] and red_in(c["s0"]) == ["kernel"] and c["c0"]["good"])
    shared = [f for c in last["clusters"] if c["cluster"] == "s0" for f in c["fields"] if f["field"] == "kernel"]
    good = good and shared[0]["nodes"] == ["s0-n0", "s0-n1"] and shared[0]["most"] == 2
    cases.case("two of four share a kernel: red, and it says which", good, last)
    claim(system, "s0-n1", 3, **{f: f"{f} of s0-n1 now" for f in fields})
    cases.case("a higher number counts: green again", seen(lambda c, whole: whole["good"])[0])
    os.utime(f"{system.dir}/claims/s0-n1-3.claim", (time.time() - 181 * 86400,) * 2)
    good, last = seen(lambda c, _: red_in(c["s0"]) == sorted(fields) and all(f["silent"] == ["s0-n1"] for f in c["s0"]["fields"]))
    cases.case("a stale claim counts as shared", good, last)
    os.utime(f"{system.dir}/claims/s0-n1-3.claim")
    claim(system, "s0-n1", 3, out="twin", **{f: "x" for f in fields})
    good, last = seen(lambda c, whole: not c["s0"]["good"] and any("same number" in r["why"] for r in whole["refused"]))
    cases.case("two claims of one number: red, and it says so", good, last)
    os.unlink(f"{system.dir}/claims/twin.claim")
    claim(system, "s0-n2", 2, site="x")
    good, last = seen(lambda c, _: red_in(c["s0"]) == sorted(set(fields) - {"site"}))
    cases.case("what a claim leaves out counts as shared", good, last)
    os.unlink(f"{system.dir}/claims/s0-n2-2.claim")
    with open(f"{system.dir}/claims/s0-n3-1.claim", "rb") as f:
        sound = f.read()
    bad = {"flipped": sound[:60] + bytes([sound[60] ^ 1]) + sound[61:], "cut": sound[:-1], "long": sound + b"\0" * 2000, "empty": b"", "one": b"\1"}
    for name, data in bad.items():
        with open(f"{system.dir}/claims/{name}.claim", "wb") as f:
            f.write(data)
    os.mkfifo(f"{system.dir}/claims/pipe.claim")
    os.symlink(f"{system.dir}/claims/s0-n3-1.claim", f"{system.dir}/claims/link.claim")
    want = sorted(f"{name}.claim" for name in (*bad, "pipe", "link"))
    good, last = seen(lambda c, whole: whole["good"] and sorted(r["file"] for r in whole["refused"]) == want)
    cases.case("files that are no claims are named, and change nothing", good, last)
    codes = [claim(system, "s0-n0", 9, owner=f"{system.root}/owners/s0-n1.key").returncode, claim(system, "s0-n0", 0).returncode,
             claim(system, "s0-n0", 9, colour="red").returncode, claim(system, "s0-n0", 9, site="\u00e4").returncode,
             claim(system, "s0-n0", 9, site="x" * 129).returncode, claim(system, "s0-n0", 1).returncode]
    cases.case("another owner's key, number 0, no such field, no ASCII, too long, a file that is there: exit 2", codes == [2] * 6, codes)


def machine(cases, admin, init, own):
    """What init tells of the machine, as metrics, beside this console's own."""
    init.answer = (b"ok\nuptime_ms=5000\nstage.watchdog=good softdog, 60 s\ndisk_bytes=1000\ndisk_free=90\nslot=1\nslot_state=blessed\n"
                   b"image_number=7\nslot_next=1\nslot.1=number 7 label r7 blessed tries 0 done 0 signed\n"
                   b"slot.2=number 8 label r8 unblessed tries 0 done 2 signed\nprogram.node=up pid=9 restarts=3 ended by signal 9\n")
    text = admin.wait(lambda: [t for t in (admin.https("GET", "/metrics", cookie=own[0])[2],) if "heraclius_machine_disk_bytes" in t])[0]
    faults, seen = faults_of(text)
    wanted = {"up": 1, "uptime_seconds": 5, "watchdog": 1, "disk_bytes": 1000, "disk_free_bytes": 90, "image_number": 7, "image_on_trial": 0,
              "image_given_up": 1, "image_waits": 0}
    got = {name: seen.get((f"heraclius_machine_{name}", None)) for name in wanted}
    restarts = seen.get(("heraclius_machine_program_restarts_total", '{program="node"}'))
    cases.case("/metrics: disk, image, watchdog, programs, as init tells of them", not faults and got == wanted and restarts == 3,
               (faults, got, restarts, text[-3000:]))
    ends = seen.get(("heraclius_certificate_ends_seconds", None))
    cases.case("the certificate that it made has no end", ends == 253402300799, ends)
    init.answer = None

    def silent():
        seen = faults_of(admin.https("GET", "/metrics", cookie=own[0])[2])[1]
        return seen.get(("heraclius_machine_up", None)) == 0 and ("heraclius_machine_disk_bytes", None) not in seen
    cases.case("an init that does not answer is told, and nothing old with it", admin.wait(silent, 60))
    init.answer = b"ok\n"


def queues(cases, admin, own):
    def whole():
        rows = json.loads(admin.https("GET", "/api/v1/queues", cookie=own[0])[2])["queues"]
        return [(r["cluster"], r["with"]) for r in rows] == [("c0", "s0"), ("s0", "c0")] and rows
    rows = admin.wait(whole)
    good = rows and all(r["good"] and r["sent"] >= r["acknowledged"] for r in rows)
    cases.case("decision queues: one row for each two clusters, and none is stuck", good,
               rows or admin.https("GET", "/api/v1/queues", cookie=own[0]))
    text = admin.https("GET", "/", cookie=own[0])[2]
    good = ">c0 with s0</th>" in text and ">s0 with c0</th>" in text and text.count('class="queue mood good"') == 2
    cases.case("the page shows them without a script", good, text)


def page(cases, admin, system, own):
    code, _, text = admin.https("GET", "/", cookie=own[0])
    lacking = [name for name in system.names if f">{name}<" not in text]
    good = code == 200 and not lacking and text.count("Can I lose another node? yes, any 1 of: ") == 2 and text.count(", leads") == 2
    cases.case("without a script the page shows each node, who leads, and what may be lost", good, (code, lacking, text[:1500]))
    cases.case("on loopback it is shown without pairing, and not under another name",
               "Can I lose" in admin.http("GET", "/")[2] and admin.http("GET", "/", host="elsewhere.example")[0] == 403
               and admin.http("GET", "/api/v1/nodes", host=f"elsewhere.example:{admin.base}")[0] == 403
               and admin.http("GET", "/api/v1/nodes", host=f"localhost:{admin.base}")[0] == 200)
    inline = re.search(r"<script(?![^>]*src=)|<style|\son[a-z]+=|\sstyle=|https?://", text)
    cases.case("nothing inline in it, nothing from elsewhere", not inline, inline)
    system.kill("s0-n1")
    until = time.monotonic() + 20
    while True:  # the others have to notice that its links are gone
        clusters = {c["cluster"]: c for c in json.loads(admin.https("GET", "/api/v1/clusters", cookie=own[0])[2])["clusters"]}
        if clusters["s0"]["text"].endswith("no link to: s0-n1") or time.monotonic() > until:
            break
        time.sleep(0.1)
    good = clusters["s0"]["may_lose"] == 0 and clusters["s0"]["up"] == 3 and "no link to: s0-n1" in clusters["s0"]["text"]
    cases.case("a node killed: no other may be lost, and it says which is down", good and clusters["c0"]["may_lose"] == 1, clusters)
    code, _, text = admin.https("GET", "/", cookie=own[0])
    cases.case("the page says so too", "no, each of these is needed: s0-n0, s0-n2, s0-n3" in text and "s: is this node running?" in text)
    system.start("s0-n1")


def lying_node(cases, system):
    here = os.getcwd()
    os.chdir(system.root)
    evil = "<script>alert(1)</script>\"'&"
    lie = {"node": evil, "cluster": "s0" + evil, "member": 0, "members": 4, "phase": evil, "ready": True, "leader": 99999, "wal": 7, "queues": [],
           "commit_us": {"p50": "x"}, "members_seen": {"a": 1}, "height": -1}
    PlayedNode("liar.sock", json.dumps(lie).encode() + b"\n")
    PlayedNode("mute.sock", b"[" * 100000 + b"\n")
    os.chdir(here)
    admin = Admin(system.root, ["liar.sock", "mute.sock"], f"{system.dir}/liar-state")
    code, _, text = admin.http("GET", "/")
    good = code == 200 and "<script>alert" not in text and text.count("&lt;script&gt;alert") >= 3
    cases.case("what a node says is never markup", good, (code, text))
    paths = ("/api/v1/nodes", "/api/v1/clusters", "/api/v1/faults", "/api/v1/history", "/status", "/metrics", "/readyz")
    codes = [admin.http("GET", p)[0] for p in paths]
    cases.case("a lying node hurts nobody", codes == [200] * 6 + [503] and admin.stop() == 0, codes)


def resident_kib(admin):
    with open(f"/proc/{admin.process.pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def drip(sockets):
    for s in sockets:
        try:
            s.send(b"a")
        except OSError:
            pass


def hostile(cases, admin, own, rng, times):
    answers = [admin.https("POST", "/api/v1/session", "x" * n, {"Content-Type": "application/json"})[0] for n in (4096, 4097, 8192, 100000)]
    cases.case("a body past 4096 bytes gets nowhere", answers[0] == 400 and all(a in (413, 0) for a in answers[1:]), answers)
    code = admin.https("POST", "/api/v1/session", '{"code":"1\0"}', {"Content-Type": "application/json"})[0]
    cases.case("nor does one with a zero byte", code == 413, code)
    for _ in range(20 * times):
        try:
            with admin.connect() as s:
                s.settimeout(0.05)
                s.sendall(bytes(rng.randrange(256) for _ in range(rng.randrange(1, 3000))))
                s.recv(100)
        except OSError:
            pass
        try:
            with socket.create_connection(("127.0.0.1", admin.base + 1), timeout=5) as s:
                s.settimeout(0.05)
                s.sendall(b"\x16\x03\x01" + bytes(rng.randrange(256) for _ in range(rng.randrange(1, 600))))
                s.recv(100)
        except OSError:
            pass
    good = admin.https("GET", "/livez")[0] == 200 and admin.process.poll() is None
    cases.case("garbage within TLS and in place of its handshake hurts nobody", good)
    half = admin.connect()  # of somebody else, in the middle of a request
    half.sendall(b"GET /livez HTTP/1.1\r\nHost: test.example\r\n")
    slow = []
    for port in (admin.base, admin.base + 1):
        for _ in range(SLOW):
            s = socket.socket()
            s.settimeout(5)
            s.bind(("127.0.0.9", 0))
            try:
                half.sendall(b"X" if len(slow) % 100 == 0 else b"")
                s.connect(("127.0.0.1", port))
                s.sendall(b"GET /" if port == admin.base else b"\x16\x03\x01\x02\x00")
            except OSError:
                pass
            slow.append(s)
    served, worst = [], 0.0
    for _ in range(5):
        drip(slow)
        for ask in (admin.http, admin.https):
            began = time.monotonic()
            served.append(ask("GET", "/livez")[0])
            worst = max(worst, time.monotonic() - began)
    kib = resident_kib(admin)
    cases.case(f"{SLOW} slow connections on each port, a byte now and then: /livez is answered on both (at worst after {worst:.2f} s)",
               served == [200] * 10, served)
    cases.case(f"they cost little ({kib} KiB resident)", kib < 64 << 10, kib)
    try:
        half.sendall(b": y\r\n\r\n")
        got = half.recv(100)
    except OSError as error:
        got = str(error).encode()
    half.close()
    cases.case("and end nobody's request that comes from another address", b" 200 " in got, got)
    for s in slow:
        s.close()
    cases.case("and a session outlives it", admin.https("GET", "/api/v1/session", cookie=own[0])[0] == 200)


def guesses(cases, admin, own):
    """Last: who guessed wrong is kept out for five minutes."""
    code = admin.code()
    wrong = f"{(int(code) + 7) % 10 ** 10:010}"
    codes = [admin.https("POST", "/api/v1/session", {"code": wrong}, source="127.0.0.2")[0] for _ in range(5)]
    cases.case("five wrong tries", codes == [403] * 5, codes)
    done = [admin.https("POST", "/api/v1/session", {"code": code}, source="127.0.0.2"), admin.https("POST", "/api/v1/pairing", source="127.0.0.2")]
    good = done[0][0] == 429 and not json.loads(done[1][2])["open"] and all("from your address" in text for _, _, text in done)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status, _, text = admin.https("POST", "/pair", f"code={code}", form, source="127.0.0.2")
    cases.case("keep out who made them, also with the right code, and say so", good and status == 403 and "from your address" in text, (done, text))
    open_now = json.loads(admin.https("POST", "/api/v1/pairing")[2])["open"]
    done = admin.https("POST", "/api/v1/session", {"code": code, "role": "view"})
    cases.case("and nobody else: the code is still good for who reads it at the machine", open_now and done[0] == 201, done)
    entries = json.loads(admin.https("GET", "/api/v1/audit", cookie=own[0])[2])["entries"]
    told = [(e["outcome"], e["detail"]) for e in entries if e["action"] == "pair"][:6]
    cases.case("the audit log has from where each was", told == [("done", "view from 127.0.0.1")] + [("refused", "own from 127.0.0.2")] * 5, told)


def again(cases, admin, system, sockets, init_path):
    with open(f"{admin.state}/audit.jsonl") as f:
        last = [json.loads(line)["number"] for line in f][-1]
    before = fingerprint(f"{admin.state}/tls.cert")
    cases.case("SIGTERM: exit 0", admin.stop() == 0)
    with open(f"{admin.state}/audit.jsonl", "a") as f:
        f.write('{"number": 99999, "time_')  # as a power cut leaves it
    second = Admin(system.root, sockets, admin.state, ["--init", init_path])
    try:
        cases.case("started again it has the same certificate", fingerprint(f"{admin.state}/tls.cert") == before)
        own = second.pair("own")
        entries = json.loads(second.https("GET", "/api/v1/audit", cookie=own[0])[2])["entries"]
        cases.case("and the audit log goes on after a torn line", [e["number"] for e in entries[:2]] == [last + 1, last], entries[:3])
    finally:
        second.stop()


def main():
    rng = random.Random(seed_of(sys.argv))
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    cases = Cases()
    with System() as system:
        system.start_all()
        if not cases.case("eight nodes answer", system.wait_ready()):
            return cases.end()
        sockets = [f"{n}/control.sock" for n in system.names]
        pin = certificate_make(f"{system.dir}/pinned")
        certificate_make(f"{system.dir}/stranger")
        os.mkdir(f"{system.dir}/claims")
        init = Init(f"{system.dir}/init.sock")
        admin = Admin(system.root, sockets, f"{system.dir}/state", ["--init", init.path, "--system", f"{system.root}/system.json",
                       "--claims", f"{system.dir}/claims", "--client", f"operate:{pin.upper()}"])
        try:
            certificate(cases, admin, system, sockets)
            strangers(cases, admin, system)
            view = pairing(cases, admin, init)
            own = roles(cases, admin, init, view)
            certificates_of_clients(cases, admin, init, f"{system.dir}/pinned", f"{system.dir}/stranger")
            audit(cases, admin, own)
            evidence(cases, admin, system, view, own)
            api(cases, admin, own)
            exposure(cases, admin, system, own)
            machine(cases, admin, init, own)
            queues(cases, admin, own)
            page(cases, admin, system, own)
            lying_node(cases, system)
            hostile(cases, admin, own, rng, 10 if is_long(sys.argv) else 1)
            guesses(cases, admin, own)
            again(cases, admin, system, sockets, init.path)
        finally:
            if admin.process.poll() is None:
                admin.process.send_signal(signal.SIGKILL)
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
