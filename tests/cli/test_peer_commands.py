"""The commands on other nodes and on keys: what they print, exit codes, and what they ask for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from diadem.model.peers import NOTE_TYPE
from diadem.model.tickets import Ticket
from diadem.node.config import ServerSettings
from diadem.trust.envelope import sign
from diadem.trust.keys import PrivateKey
from tests.cli.inside import said, said_json
from tests.transfer.towns import Town, make_nodes


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nodes that are copied for each test."""
    root = tmp_path_factory.mktemp("towns")
    make_nodes(root, ("hu-berlin", "nmi"))
    return root


@pytest.fixture
def town(templates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    """Two nodes."""
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("DIADEM_CACHE", str(tmp_path / "cache"))
    made = Town(templates, tmp_path / "town")
    try:
        yield made
    finally:
        for node in made.nodes.values():
            node.close()


def test_peers_are_invited_confirmed_renamed_and_dropped(town: Town) -> None:
    hu, nmi = town.node("hu-berlin").path, town.node("nmi").path
    assert "no peer yet" in said("peer", "ls", "--node", hu)
    ticket = said_json("peer", "invite", "--node", hu)["ticket"]
    assert Ticket.from_text(ticket).node == town.node("hu-berlin").id
    printed = said("peer", "invite", "colleagues", "--url", "https://archive.example.org", "--node", hu)
    assert Ticket.from_text(printed.splitlines()[0]).urls[0] == "https://archive.example.org"
    assert "diadem peer join TICKET" in printed
    words = town.peers("nmi").join(ticket).words

    listed = said("peer", "ls", "--node", hu)
    assert f"words: {words}   then: diadem peer confirm nmi" in listed
    assert "was used by nmi" in listed
    assert "nmi is to be confirmed: diadem peer confirm nmi" in said("transfers", "sync", "--node", hu)
    assert "not used yet" in listed
    assert "has not confirmed this node yet" in said("peer", "ls", "--node", nmi)
    assert "what are the words" in said("peer", "confirm", "nmi", "--node", hu, code=2)
    assert "somebody may stand between you" in said("peer", "confirm", "nmi", "--words", "a b", "--node", hu, code=4)
    peer = said_json("peer", "confirm", "nmi", "--words", words, "--node", hu)["peer"]
    assert (peer["state"], peer["id"]) == ("confirmed", town.node("nmi").id)

    assert "metrology" in said("peer", "rename", "nmi", "metrology", "--node", hu)
    since = ("--since", "2026-03-14", "--reason", "stolen laptop")
    assert "not believed" in said("peer", "compromised", "metrology", *since, "--node", hu)
    assert "STOLEN KEY" in said("peer", "ls", "--node", hu)
    assert "why?" in said("peer", "drop", "metrology", "--node", hu, code=2)
    said("peer", "drop", "metrology", "--reason", "the project has ended", "--node", hu)
    known = said_json("peer", "ls", "--node", hu)
    assert [(one["name"], one["state"], one["own_name"]) for one in known["peers"]] == [("metrology", "dropped", "nmi")]
    assert len(known["tickets"]) == 2
    assert "no peer 'nmi'" in said("peer", "drop", "nmi", "--reason", "x", "--node", hu, code=3)


def test_a_hub_that_has_not_confirmed_this_node_is_named(town: Town) -> None:
    town.peers("nmi").join(town.peers("hu-berlin").invite().to_text())
    nmi, book = town.node("nmi").path, town.book("nmi")
    known = book.named("hu-berlin")
    assert known.note is not None
    hub = replace(known.note, hub=True, urls=("https://127.0.0.1:1",)).to_payload()
    book.put(known, note=sign(hub, [PrivateKey.generate()], NOTE_TYPE).to_line())
    warning = "WARNING          the hub 'hu-berlin' has not confirmed this node"
    assert warning in said("peer", "invite", "--node", nmi)
    book.seen_confirmed(known.id)
    assert "WARNING" not in said("peer", "invite", "--node", nmi)


def test_a_ticket_is_taken_from_the_other_side_or_it_says_why_not(town: Town, tmp_path: Path) -> None:
    hu, nmi = town.node("hu-berlin").path, town.node("nmi").path
    nowhere = ("--url", "https://127.0.0.1:1")
    ticket = said_json("peer", "invite", *nowhere, "--node", hu)["ticket"]
    assert "nobody listens" in said("peer", "join", ticket, "--node", nmi, code=5)
    assert "a ticket begins with diadem1:" in said("peer", "join", "hello", "--node", nmi, code=2)
    for_bob = said_json("user", "invite", "bob", "--guest", "--node", hu)
    assert for_bob["kind"] == "user"
    assert "nobody listens" in said("login", for_bob["ticket"], code=5)
    assert "diadem login TICKET" in said("user", "invite", "eve", "--node", hu)
    assert "for a node, not for a person" in said("login", ticket, code=2)
    town.node("nmi").context.change_settings(lambda settings: replace(settings, server=ServerSettings()))
    town.meet("hu-berlin", "nmi")
    assert "it has no address" in said("peer", "refresh", "nmi", "--node", hu, code=1)


def test_a_key_is_changed_with_the_recovery_file(town: Town) -> None:
    hu = town.node("hu-berlin")
    file = town.recovery_file("hu-berlin")
    stolen = ("--stolen-since", "2026-03-14", "--reason", "break-in")
    printed = said("key", "rotate", "--recovery-file", file, *stolen, "--node", hu.path)
    assert "card of version 2" in printed
    assert "not believed from 2026-03-14T00:00:00Z on" in printed
    again = said_json("key", "rotate", "--recovery-file", file, "--node", hu.path)["key"]
    assert (again["version"], again["stolen_since"]) == (3, "")
    said("key", "rotate", "--recovery-file", town.root / "none.txt", "--node", hu.path, code=3)
