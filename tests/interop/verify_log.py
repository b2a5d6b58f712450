"""A second verifier of Keyhaven's audit log, written from docs/formats.md and the standards it names.

    python verify_log.py FOLDER VKEY    reads FOLDER/entries.jsonl and FOLDER/checkpoint

prints {"origin", "entries", "root", "beyond_checkpoint"}, or what is wrong and exits with 1.
"""

import base64
import hashlib
import json
import pathlib
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ED25519 = b"\x01"


class Wrong(Exception):
    """The log is not what its keeper signed."""


def unbase64(text):
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Wrong(f"not base64: {text!r}") from error
    # Python passes over bits that stand for nothing; then one signature had several spellings.
    if base64.b64encode(raw).decode() != text:
        raise Wrong(f"not the one base64 of these bytes: {text!r}")
    return raw


def parse_vkey(vkey):
    """C2SP signed-note: name+hash+base64(algorithm ‖ key)."""
    parts = vkey.strip().split("+", 2)
    if len(parts) != 3:
        raise Wrong("the verifier key is none")
    name, hash_hex, encoded = parts
    raw = unbase64(encoded)
    key_id = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
    if key_id.hex() != hash_hex or raw[:1] != ED25519 or len(raw) != 33:
        raise Wrong("the verifier key is none")
    return name, key_id, Ed25519PublicKey.from_public_bytes(raw[1:])


def open_note(note, vkey):
    """The text of a signed note, if the key signed it."""
    name, key_id, key = vkey
    text, separator, signatures = note.partition("\n\n")
    if not separator or not signatures.endswith("\n"):
        raise Wrong("the checkpoint is no signed note")
    text += "\n"
    for line in signatures[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        signer, _, encoded = rest.partition(" ")
        if dash != "\u2014":
            raise Wrong("the checkpoint is no signed note")
        signature = unbase64(encoded)
        if signer == name and signature[:4] == key_id:
            try:
                key.verify(signature[4:], text.encode())
            except InvalidSignature as error:
                raise Wrong("the checkpoint's signature does not hold") from error
            return text
    raise Wrong("the checkpoint is not signed by this key")


def leaf_hash(entry):
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(leaves):
    """RFC 6962 §2.1, with one complete subtree for each bit of the count."""
    if not leaves:
        return hashlib.sha256().digest()
    subtrees = []
    for count, leaf in enumerate(leaves):
        node = leaf
        while count & 1:
            node = node_hash(subtrees.pop(), node)
            count >>= 1
        subtrees.append(node)
    root = subtrees.pop()
    while subtrees:
        root = node_hash(subtrees.pop(), root)
    return root


def canonical(entry):
    """RFC 8785, for entries: they hold strings, small whole numbers, and lists of strings."""
    return json.dumps(entry, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def verify(folder, vkey):
    key = parse_vkey(vkey)
    lines = open_note((folder / "checkpoint").read_bytes().decode(), key).split("\n")
    if len(lines) < 4 or lines[0] != key[0] or str(int(lines[1])) != lines[1]:
        raise Wrong("the checkpoint is none of this log")
    size, root = int(lines[1]), unbase64(lines[2])
    content = (folder / "entries.jsonl").read_bytes()
    entries = content.split(b"\n")
    if entries.pop() != b"":
        entries.append(b"")
    if len(entries) < size:
        raise Wrong(f"{size} entries are signed, {len(entries)} are there")
    for index, line in enumerate(entries[:size]):
        entry = json.loads(line)
        if entry["index"] != index or canonical(entry) != line:
            raise Wrong(f"entry {index} is not what it should be")
    if root_of([leaf_hash(line) for line in entries[:size]]) != root:
        raise Wrong("the entries are not those that were signed")
    return {
        "origin": key[0],
        "entries": size,
        "root": root.hex(),
        "beyond_checkpoint": len(entries) - size,
    }


def main():
    folder, vkey = pathlib.Path(sys.argv[1]), sys.argv[2]
    try:
        print(json.dumps(verify(folder, vkey)))
    except (Wrong, OSError, ValueError, KeyError, TypeError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
