"""Two nodes on loopback, one that is called and one that only calls: what people type, over real sockets."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import diadem
from diadem.network.limits import MAX_PUSHED_PART
from tests import zygote
from tests.cli.inside import said, said_json
from tests.server.conftest import Served, free_ports
from tests.server.test_serving import head, tls
from tests.transfer.towns import show_checkpoints

#: Many more than the sizes of its log that an export shows by itself.
MANY = 200


@dataclass
class Ends:
    """Folders of the node that is served, and of the one that only calls it."""

    served: Path
    caller: Path
    hub: Path
    servers: dict[Path, zygote.Process] = field(default_factory=dict)
    ports: dict[Path, int] = field(default_factory=dict)

    def serve(self, node: Path, *more: str) -> None:
        """Have a node listen."""
        (port,) = free_ports(1)
        self.ports[node] = port
        words = ["serve", "--listen", f"127.0.0.1:{port}", "--url", f"https://127.0.0.1:{port}", "--json", "--quiet"]
        command = [sys.executable, "-m", "diadem", *words, *more, "--node", str(node)]
        self.servers[node] = process = zygote.start(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline(), "it did not begin"

    def end(self, node: Path) -> None:
        """Let a node listen no more."""
        process = self.servers.pop(node)
        process.terminate()
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()

    def meet(self, called: Path, caller: Path) -> None:
        """Let a node come to know one that is served."""
        ticket = said_json("peer", "invite", "--for", _id(caller), "--node", called)["ticket"]
        said("peer", "join", ticket, "--node", caller)

    def archived(self, node: Path, name: str, *, size: int = 0) -> str:
        """Archive a folder with so much beside a note; its package id."""
        folder = node.parent / name
        folder.mkdir()
        (folder / "notes.txt").write_text(name)
        (folder / "scan.bin").write_bytes(os.urandom(size))
        return str(said_json("archive", folder, "--now", "--node", node)["package"]["id"])


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ends]:
    """alice@hu-berlin, whose node is served, and marie@nmi, whose node has no address; they know each other."""
    root = tmp_path_factory.mktemp("ends")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIADEM_CONFIG", str(root / "config"))
        patch.setenv("DIADEM_CACHE", str(root / "cache"))
        for name, user in (("hu-berlin", "alice"), ("nmi", "marie"), ("oslo", "olaf")):
            place = root / name
            diadem.Node.create(place / "node", name=name, user=user, store=str(place / "store")).close()
        made = Ends(root / "hu-berlin" / "node", root / "nmi" / "node", root / "oslo" / "node")
        try:
            made.serve(made.served)
            made.meet(made.served, made.caller)
            yield made
        finally:
            for node in list(made.servers):
                made.end(node)


def _id(node: Path) -> str:
    with diadem.open_node(node) as found:
        return str(found.id)


def state(node: Path, transfer: str) -> str:
    """How far a transfer is, by one side."""
    return str(said_json("transfer", "show", transfer, "--node", node)["transfer"]["state"])


@pytest.mark.program("a flood of slow bodies")
def test_large_bodies_that_drip_for_several_keys_stop_no_package_that_is_pushed(ends: Ends) -> None:
    with diadem.open_node(ends.served) as found:
        for name in ("bob", "carol"):
            found.users.add(name)
        keys = [found.context.keys.open(f"users/{name}") for name in ("bob", "carol")]
        slow = Served(ends.served, keys[0], keys, ends.ports[ends.served], 0, {"node": found.id}, ends.served)
    package = ends.archived(ends.caller, "pushed", size=3 << 20)
    sent = said_json("send", package, "alice@hu-berlin", "--node", ends.caller)["transfer"]["id"]
    said("accept", sent, "--no-wait", "--node", ends.served)
    time.sleep(3)  # until the server knows its new users
    with contextlib.ExitStack() as open_:
        for key in 2 * keys:
            connection = open_.enter_context(tls(slow))
            path = f"transfers/{'ab' * 16}/parts/0"
            connection.sendall(head(slow, "PUT", path, length=MAX_PUSHED_PART, key=key) + bytes(1 << 10))
        time.sleep(1)
        began = time.monotonic()
        said("transfer", "sync", "--node", ends.caller)
        assert time.monotonic() - began < 12, "it waited for those who drip"
        assert state(ends.served, sent) in ("received", "closed")


@pytest.mark.program("thousands of checkpoints")
def test_any_number_of_checkpoints_may_leave_a_node_between_two_transfers(ends: Ends) -> None:
    there, here = ("--node", ends.served), ("--node", ends.caller)
    first = said_json("send", ends.archived(ends.caller, "one"), "alice@hu-berlin", *here)["transfer"]["id"]
    said("accept", first, *there, "--no-wait")
    said("transfer", "sync", *here)
    said("transfer", "sync", *here)
    back = said_json("send", ends.archived(ends.served, "two"), "marie@nmi", *there)["transfer"]["id"]
    said("transfer", "sync", *here)
    said("accept", back, *here)
    assert [state(node, one) for node in (ends.served, ends.caller) for one in (first, back)] == ["closed"] * 4
    for node in (ends.served, ends.caller):
        with diadem.open_node(node) as found:
            show_checkpoints(found, MANY)

    (refreshed,) = said_json("peer", "refresh", *here)["peers"]
    assert (refreshed["problem"], refreshed["state"], refreshed["seen_as"]) == ("", "confirmed", "confirmed")
    (known,) = said_json("peer", "ls", *there)["peers"]
    assert known["state"] == "confirmed"
    called = said_json("send", ends.archived(ends.caller, "three"), "alice@hu-berlin", *here)["transfer"]
    assert (called["state"], called["error"]) == ("offered", "")
    assert [one["id"] for one in said_json("inbox", *there)["offers"]] == [called["id"]]
    polled = said_json("send", ends.archived(ends.served, "four"), "marie@nmi", *there)["transfer"]["id"]
    said("transfer", "sync", *here)
    assert [one["id"] for one in said_json("inbox", *here)["offers"]] == [polled]
    assert said_json("transfer", "show", polled, *there)["transfer"]["unsent"] == []
    said("accept", polled, *here)
    assert [state(node, polled) for node in (ends.served, ends.caller)] == ["closed"] * 2
    for node in (ends.served, ends.caller):
        with diadem.open_node(node) as found:
            assert [peer.reason for peer in found.peers] == [""], "nobody is called a forger"
            assert not [
                one for one in found.context.ledger.of_kind("audit") if one.statement.predicate["outcome"] != "allowed"
            ]


def test_several_processes_are_refused_where_a_peer_pushes(ends: Ends) -> None:
    told = said("serve", "--workers", "2", "--node", ends.served, code=4)
    assert "the node 'nmi' has no address and pushes its packages" in told
    assert "Leave out --workers." in told


@pytest.mark.program("three nodes that are served")
def test_what_is_to_go_over_a_hub_lies_there_at_once(ends: Ends) -> None:
    there, here = ("--node", ends.served), ("--node", ends.caller)
    ends.serve(ends.hub, "--hub")
    for node in (ends.served, ends.caller):
        ends.meet(ends.hub, node)
        said("transfer", "sync", "--node", node)
    said("peer", "refresh", "hu-berlin", *here)  # so that each knows where the other picks up
    said("transfer", "sync", *here)  # it has just called
    ends.end(ends.served)
    sent = said_json("send", ends.archived(ends.served, "five"), "marie@nmi", "--route", "hub", *there)["transfer"][
        "id"
    ]
    assert [one["id"] for one in said_json("inbox", *here)["offers"]] == [sent]
