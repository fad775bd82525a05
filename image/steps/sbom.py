"""What is in an image, as SPDX 2.3 JSON: each file of the initrd with its hashes, our programs, and the Debian packages that the rest comes from."""
import hashlib
import json
import re
import stat
import time as clock

NOBODY = "NOASSERTION"


def identifier(kind, text):
    return f"SPDXRef-{kind}-" + re.sub(r"[^A-Za-z0-9.-]", "-", text)


def package(five):
    name, version, arch, source, source_version = five
    purl = f"pkg:deb/debian/{name}@{version.replace('+', '%2B').replace(':', '%3A').replace('~', '~')}?arch={arch}&distro=debian-12"
    return {"SPDXID": identifier("Debian", f"{name}-{arch}"), "name": name, "versionInfo": version, "supplier": "Organization: Debian",
            "downloadLocation": NOBODY, "filesAnalyzed": False, "licenseConcluded": NOBODY, "licenseDeclared": NOBODY, "copyrightText": NOBODY,
            "sourceInfo": f"Debian source package {source} {source_version}",
            "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}]}


def file(path, content):
    sums = [{"algorithm": name, "checksumValue": hashlib.new(name.lower(), content).hexdigest()} for name in ("SHA1", "SHA256")]
    return {"SPDXID": identifier("File", hashlib.sha256(path.encode()).hexdigest()[:16]), "fileName": f".{path}", "checksums": sums,
            "licenseConcluded": NOBODY, "copyrightText": NOBODY}


def make(image, version, archive, owners, boot, time):
    """`owners`: {path in the initrd: five of its package, or None if it is ours}; `boot`: [(what, five)] of loaders beside the initrd."""
    root = {"SPDXID": "SPDXRef-Image", "name": image, "versionInfo": version, "downloadLocation": NOBODY, "filesAnalyzed": False,
            "licenseConcluded": NOBODY, "licenseDeclared": NOBODY, "copyrightText": NOBODY, "primaryPackagePurpose": "OPERATING-SYSTEM"}
    packages, files, relations = {}, [], [("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image")]
    for path, (mode, content, _, _) in sorted(archive.files.items()):
        if not stat.S_ISREG(mode):
            continue
        one = file(path, content)
        files.append(one)
        relations.append(("SPDXRef-Image", "CONTAINS", one["SPDXID"]))
        five = owners[path]
        if five:
            packages[five] = package(five)
            relations.append((one["SPDXID"], "GENERATED_FROM", packages[five]["SPDXID"]))
    for relation, five in boot:
        packages[five] = package(five)
        relations.append(("SPDXRef-Image", relation, packages[five]["SPDXID"]))
    content = hashlib.sha256(json.dumps(files).encode()).hexdigest()
    document = {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"{image}-{version}",
                "documentNamespace": f"https://spdx.org/spdxdocs/{image}-{version}-{content}",
                "creationInfo": {"created": clock.strftime("%Y-%m-%dT%H:%M:%SZ", clock.gmtime(time)), "creators": ["Tool: heraclius-image"]},
                "packages": [root] + [packages[p] for p in sorted(packages)], "files": files,
                "relationships": [{"spdxElementId": a, "relationshipType": b, "relatedSpdxElement": c} for a, b, c in relations]}
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
