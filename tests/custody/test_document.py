"""A chain, checked by the documents alone: with a JSON parser, SHA-256 and Ed25519, and nothing of ours."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from diadem.custody.log_recovery import recover
from tests.custody.group import Group, MemoryMirror, fixity, ingest, package


def checked(data: bytes, node: str) -> list[str]:
    """The kinds of the statements of a chain that holds; asserts everything that the document demands of it."""
    chain = json.loads(data)
    assert list(chain) == ["format", "node", "origin", "subject", "keys", "checkpoints", "statements", "head"]
    assert chain["node"] == node
    cards = []
    for item in chain["keys"]:
        said = payload_of(item["line"])
        if said["predicateType"].endswith("/key/v1"):
            card = said["predicate"]
            raw = base64.b64decode(card["public"].removeprefix("ed25519:"))
            assert said["subject"][0]["digest"]["sha256"] == hashlib.sha256(raw).hexdigest()
            if card["role"] == "root":
                assert hashlib.sha256(raw).hexdigest() == node
            cards.append(
                (item["epoch"], item["index"], card["name"] if card["role"] == "user" else card["role"], raw, item)
            )

    def key(owner: str, epoch: int, index: int) -> bytes:
        return [raw for *place, name, raw, _ in cards if name == owner and tuple(place) <= (epoch, index)][-1]

    for epoch, index, owner, _, item in cards:
        signer = "root" if owner in {"root", "online", "log"} else "online"
        assert holds(item["line"], key(signer, epoch, index))
    roots = {}
    for held in chain["checkpoints"]:
        body, _, signatures = held["text"].rpartition("\n\n")
        origin, size, root = body.split("\n")
        assert origin == f"{chain['origin']}/{held['epoch']}"
        value = base64.b64decode(signatures.split(" ")[2])
        log = key("log", held["epoch"], int(size) - 1)
        assert value[:4] == hashlib.sha256(origin.encode() + b"\n\x01" + log).digest()[:4]
        Ed25519PublicKey.from_public_bytes(log).verify(value[4:], f"{body}\n".encode())
        roots[held["epoch"]] = int(size), base64.b64decode(root)
    for item in chain["keys"] + chain["statements"]:
        size, root = roots[item["epoch"]]
        assert path_root(item["line"], item["index"], size, [bytes.fromhex(one) for one in item["inclusion"]]) == root
    before = None
    subject = chain["subject"]["sha256"]
    kinds = []
    for item in chain["statements"]:
        said = payload_of(item["line"])
        assert said["predicate"]["prev"][subject] == before
        assert holds(item["line"], key("online", item["epoch"], item["index"]))
        before = statement_id(item["line"])
        kinds.append(said["predicateType"].split("/")[-2])
    head = payload_of(chain["head"])["predicate"]
    newest = max(roots)
    assert holds(chain["head"], key("online", newest, roots[newest][0] - 1))
    assert (head["last"], head["length"]) == (before, len(kinds))
    assert (head["epoch"], head["size"]) == (newest, roots[newest][0])
    return kinds


def payload_of(line: str) -> Any:
    return json.loads(base64.b64decode(json.loads(line)["payload"]))


def signed_bytes(line: str) -> bytes:
    payload = base64.b64decode(json.loads(line)["payload"])
    return b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (len(payload), payload)


def statement_id(line: str) -> str:
    return hashlib.sha256(signed_bytes(line)).hexdigest()


def holds(line: str, raw: bytes) -> bool:
    """Whether the key with these bytes signed the envelope."""
    for signature in json.loads(line)["signatures"]:
        if signature["keyid"] == hashlib.sha256(raw).hexdigest():
            try:
                Ed25519PublicKey.from_public_bytes(raw).verify(base64.b64decode(signature["sig"]), signed_bytes(line))
            except InvalidSignature:
                return False
            return True
    return False


def path_root(line: str, index: int, size: int, proof: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.3.2, as it is written there."""
    value, node, last = hashlib.sha256(b"\x00" + line.encode()).digest(), index, size - 1
    for sibling in proof:
        assert last
        if node & 1 or node == last:
            value = hashlib.sha256(b"\x01" + sibling + value).digest()
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            value = hashlib.sha256(b"\x01" + value + sibling).digest()
        node, last = node >> 1, last >> 1
    assert last == 0
    return value


def test_a_chain_by_the_document_alone(group: Group, mirror: MemoryMirror, tmp_path: Path) -> None:
    group.ledger.append([ingest(1)], [group.online], user_keys=[group.alice])
    for number in range(2, 9):
        group.say(ingest(number), fixity(1, number))
    assert checked(group.export(package(1)), group.node) == ["ingest", *["fixity"] * 7]
    group.ledger.close()
    shutil.rmtree(group.folder)
    recover(
        group.folder,
        mirror,
        node=group.node,
        root=group.root,
        log_key=group.log,
        reason="fire",
        clock=group.clock,
    ).ledger.close()
    group.open(mirror)
    group.say(fixity(1))
    assert checked(group.export(package(1)), group.node) == ["ingest", *["fixity"] * 8]


def test_the_oracle_finds_what_is_wrong(group: Group) -> None:
    group.say(ingest(1), fixity(1))
    data = group.export(package(1))
    chain = json.loads(data)
    chain["statements"].pop(0)
    with pytest.raises(AssertionError):
        checked(json.dumps(chain).encode(), group.node)
    chain = json.loads(data)
    chain["statements"][1]["index"] -= 1
    with pytest.raises(AssertionError):
        checked(json.dumps(chain).encode(), group.node)


def test_a_mirror_by_the_document_alone(group: Group, mirror: MemoryMirror) -> None:
    """The objects in order are the log, and the last checkpoint of each is of everything before it."""
    for number in range(1, 6):
        group.say(*(ingest(at) for at in range(number)))
    top = f"nodes/{group.node[:16]}"
    head = json.loads(mirror.files[f"{top}/head.json"])
    assert (head["format"], head["node"], head["epoch"], head["size"]) == ("diadem-head/1", group.node, 1, 19)
    lines: list[bytes] = []
    while (data := mirror.files.get(f"{top}/log/0001/{len(lines):010d}.jsonl")) is not None:
        *batch, last = data.splitlines()
        lines += batch
        note = json.loads(last)["checkpoint"]
        assert note.split("\n")[:2] == [f"{head['origin']}/1", str(len(lines))]
        assert base64.b64decode(note.split("\n")[2]) == tree_root(lines)
    assert len(lines) == 19
    assert note == head["checkpoint"]
    assert all(re.fullmatch(rf"{top}/(head\.json|log/0001/\d{{10}}\.jsonl)", name) for name in mirror.files)


def tree_root(lines: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.1, by its definition."""
    if len(lines) == 1:
        return hashlib.sha256(b"\x00" + lines[0]).digest()
    half = 1 << ((len(lines) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + tree_root(lines[:half]) + tree_root(lines[half:])).digest()
