"""The node owner's public key, whose configurations the node will take: OWNER=64 hex digits, or a file with them, or a node's card. And the keys that
may sign releases: RELEASE=64 hex digits, or a file with up to eight lines of them."""
import json
import os
import re


def key(said):
    """What /etc/heraclius/owner holds: 64 hex digits and a line feed."""
    text = said
    if os.path.exists(said):
        with open(said, errors="replace") as file:
            text = file.read(8192).strip()
        if text.startswith("heraclius-key"):
            raise SystemExit(f"image: {said} is a secret key, which belongs in no image; give the node's card, which has the public one")
        if text.startswith("{"):
            try:
                text = str(json.loads(text).get("owner_key"))
            except ValueError:
                raise SystemExit(f"image: {said} is no card") from None
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise SystemExit(f"image: OWNER={said} is neither 64 hex digits (an Ed25519 key) nor a file with them, nor the card of a node")
    return f"{text}\n".encode()


def keys(said):
    """What /etc/heraclius/release holds: one to eight lines."""
    text = said
    if os.path.exists(said):
        with open(said, errors="replace") as file:
            text = file.read(8192).strip()
    if not re.fullmatch(r"[0-9a-f]{64}(\n[0-9a-f]{64}){0,7}", text):
        raise SystemExit(f"image: RELEASE={said} is neither 64 hex digits (a public key) nor a file with up to eight lines of them")
    return f"{text}\n".encode()
