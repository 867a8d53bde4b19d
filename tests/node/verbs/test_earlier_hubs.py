"""What waited at a hub of before, as messages of boxes and objects of relays, waits in mailboxes, all of it.

``hub-waiting.tar.gz`` is the hub of ``hub.tar.gz`` after this: two messages for nmi; a relay of four windows, of which
one was taken, one lost, and a fifth was being written by a process that was killed; and a relay that has ended.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tarfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

import diadem
from diadem.errors import NotFound, Refused
from diadem.network.hub.hub import Hub, hub_of
from tests.cli.inside import said
from tests.kill_points import killed
from tests.node.verbs.test_earlier_nodes import DATA, account, unpacked

__all__ = ["account"]
NOW = datetime(2026, 12, 1, 13, tzinfo=UTC)
OPEN, ENDED = "12" * 16, "34" * 16
MESSAGES = {"0" * 32: b"a sealed message", "1" * 32: b"an introduction"}
WINDOWS = {f"2-{number}-1": f"window {number} of relay 12".encode() for number in (1, 3)}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The node of the hub."""
    unpacked("hub", tmp_path)
    shutil.rmtree(tmp_path / "oslo/node/hub")
    with tarfile.open(DATA / "hub-waiting.tar.gz") as archive:
        archive.extractall(tmp_path, filter="tar")
    return tmp_path / "oslo/node"


def peer(node: diadem.Node, name: str) -> str:
    """Id of a spoke."""
    return node.peers.get(name).id


def require_all(hub: Hub, sender: str, owner: str) -> None:
    """Everything that waited waits, and each object is whole."""
    for mailbox, objects in ((owner, MESSAGES), (OPEN, WINDOWS)):
        held = hub.mailboxes.ls(owner, mailbox)
        assert [(one.name, one.sha256) for one in held] == [
            (name, hashlib.sha256(data).hexdigest()) for name, data in objects.items()
        ]
        for name, data in objects.items():
            assert hub.mailboxes.find(owner, mailbox, name)[0].read_bytes() == data
    used = sum(map(len, [*MESSAGES.values(), *WINDOWS.values()]))
    assert hub.mailboxes.used(owner) == {"bytes": used, "objects": 2, "messages": 2}
    assert [one.name for one in hub.mailboxes.ls(sender, OPEN)] == [*WINDOWS]


def put(hub: Hub, sender: str, mailbox: str, name: str, data: bytes, *, invitation: str = "") -> None:
    """Put something there."""
    hub.mailboxes.put(sender, mailbox, name, data, hashlib.sha256(data).hexdigest(), invitation=invitation)


def test_what_waited_waits_and_every_rule_goes_on(place: Path) -> None:
    with diadem.open_node(place) as node:
        node.context.clock = lambda: NOW
        sender, owner, hub = peer(node, "hu-berlin"), peer(node, "nmi"), hub_of(node.context)
        require_all(hub, sender, owner)
        tidied = hub.tidy()
        assert (tidied.unfinished, tidied.strays, tidied.lost) == (1, 1, 0)
        require_all(hub, sender, owner)
        put(hub, sender, OPEN, "2-1-1", WINDOWS["2-1-1"])
        with pytest.raises(Refused, match="another object"):
            put(hub, sender, OPEN, "2-0-1", b"something else than was taken")
        put(hub, sender, OPEN, "2-2-1", b"what the disk lost may come again")
        put(hub, sender, owner, "2" * 32, b"of a node that is named")
        with pytest.raises(NotFound):
            put(hub, "ef" * 32, owner, "3" * 32, b"of nobody")
        put(hub, "ef" * 32, owner, "3" * 32, b"invited", invitation=hashlib.sha256(b"a ticket").hexdigest())
        left = 1000 - 4 * len(WINDOWS["2-1-1"]) - len(b"what the disk lost may come again")
        with pytest.raises(Refused, match="exceeds"):
            put(hub, sender, OPEN, "2-4-1", bytes(left + 1))
        put(hub, sender, OPEN, "2-4-1", bytes(left))
        hub.sweep()
        stated = [entry.statement.predicate for entry in node.context.ledger.of_kind("relay")]
        assert [(one["event"], one["objects"]) for one in stated if one["relay"] == ENDED] == [
            ("delivered", 1),
            ("deleted", 3),
        ]
        assert [one.name for one in hub.mailboxes.taken(owner, OPEN, ["2-0-1"])] == ["2-0-1"]


def test_its_operator_sees_the_same(place: Path) -> None:
    seen = json.loads(said("status", "--json", "--node", place, code=None))["hub"]
    (relay,), (box,) = seen["relays"], seen["boxes"]
    assert (relay["id"], relay["objects"], relay["put"], relay["ceiling"]) == (OPEN, 2, 4 * 20, 1000)
    assert (box["node"], box["messages"]) == ("nmi", 2)
    assert "2 sealed messages wait" in said("status", "--node", place, code=None)


@pytest.mark.skipif(os.name == "nt", reason="fork")
@pytest.mark.program("kills at every instant")
def test_killed_at_any_instant_everything_waits(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "hub", tmp_path / "kept")
    for number in range(1, 60):
        shutil.rmtree(place / "hub")
        shutil.copytree(tmp_path / "kept", place / "hub")
        was_killed = killed(number, place / "hub", "status", "--node", place)
        with diadem.open_node(place) as node:
            node.context.clock = lambda: NOW
            require_all(hub_of(node.context), peer(node, "hu-berlin"), peer(node, "nmi"))
        assert not (place / "hub" / "relays").exists(), number
        assert not (place / "hub" / "boxes").exists(), number
        if not was_killed:
            assert number > 5
            return
    pytest.fail("it never came to its end")


def test_a_book_of_a_later_version_is_left_alone(place: Path) -> None:
    with closing(sqlite3.connect(place / "hub" / "hub.sqlite")) as file:
        file.execute("PRAGMA user_version = 4")
    with diadem.open_node(place) as node, pytest.raises(Refused, match="version 4, not 3"):
        hub_of(node.context)
