"""What a node of before had under way with others, in five files, goes on in one: taken over whole, or not at all."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.network.desk import desk_of
from diadem.network.relay_book import relay_book
from tests.cli.inside import said, said_json
from tests.kill_points import killed
from tests.node.verbs.test_earlier_nodes import account, unpacked

__all__ = ["account"]
BEFORE = ("transfers.sqlite", "routes.sqlite", "relays.sqlite")
NOW = "network.sqlite"


@pytest.fixture
def facts(tmp_path: Path) -> dict[str, Any]:
    """Two nodes, of which one has offered three packages: one lies on a drive, one waits, one could not be told."""
    return unpacked("underway", tmp_path)


def opened(place: Path, facts: dict[str, Any]) -> diadem.Node:
    """A node an hour later."""
    node = diadem.open_node(place / "node")
    node.context.clock = lambda: datetime.fromisoformat(facts["at"]) + timedelta(hours=1)
    return node


def books(folder: Path) -> set[str]:
    """The files of the network that a node has, but for its peers."""
    return {path.name for path in folder.iterdir() if path.is_file()} - {"peers.sqlite"}


def rows(folder: Path, name: str) -> int:
    """How many rows a file has, in all its tables."""
    with closing(sqlite3.connect(folder / name)) as file:
        tables = file.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return sum(file.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for (table,) in tables)


def test_what_was_offered_and_not_told_is_still_known(tmp_path: Path, facts: dict[str, Any]) -> None:
    folder = tmp_path / "hu-berlin/node/network"
    before = sum(rows(folder, name) for name in BEFORE)
    with opened(tmp_path / "hu-berlin", facts) as node:
        states = {one.id: str(one.state) for one in node.transfers}
        assert states == {facts["carried"]: "transferring", facts["waiting"]: "offered", facts["untold"]: "offered"}
        assert [one.id for one in desk_of(node.context).book.to_post()] == [facts["message"]]
        assert [str(event.state) for event in node.transfers.show(facts["waiting"]).events] == ["drafted", "offered"]
        relay = relay_book(node.context).get(facts["carried"])
        assert relay is not None
        assert (relay.relay, relay.recipient) == (facts["relay"], facts["recipient"])
    assert books(folder) == {NOW}
    assert rows(folder, NOW) == before


def test_what_lies_on_a_drive_is_opened_with_the_key_of_before(tmp_path: Path, facts: dict[str, Any]) -> None:
    with opened(tmp_path / "nmi", facts) as node:
        assert {one.id for one in node.transfers} == {facts["carried"], facts["waiting"]}
        (landed,) = node.transfers.resume(facts["carried"])
        assert str(landed.state) == "received"
        assert node.get(landed.package).verify().ok
    assert books(tmp_path / "nmi/node/network") == {NOW}


@pytest.mark.skipif(os.name == "nt", reason="fork")
def test_killed_at_any_instant_a_node_has_the_old_files_or_the_new_one(tmp_path: Path, facts: dict[str, Any]) -> None:
    place, kept = tmp_path / "nmi/node", tmp_path / "kept"
    shutil.copytree(place / "network", kept)
    total = sum(rows(kept, name) for name in BEFORE)
    for number in range(1, 60):
        shutil.rmtree(place / "network")
        shutil.copytree(kept, place / "network")
        was_killed = killed(number, place / "network", "transfer", "ls", "--node", place)
        if (place / "network" / NOW).exists():
            assert rows(place / "network", NOW) == total, number
        else:
            assert [rows(place / "network", name) for name in BEFORE] == [rows(kept, name) for name in BEFORE], number
        assert len(said_json("transfer", "ls", "--all", "--node", place)["transfers"]) == 2, number
        assert books(place / "network") == {NOW}, number
        if not was_killed:
            return
    pytest.fail("it never came to its end")


def test_a_damaged_file_of_before_stops_it_and_is_named(tmp_path: Path, facts: dict[str, Any]) -> None:
    place = tmp_path / "nmi/node"
    path = place / "network/relays.sqlite"
    path.write_bytes(b"\xa5" * 4096)
    error = said_json("transfer", "ls", "--node", place, code=1)["error"]
    assert (error["where"], "relays.sqlite.damaged" in error["next"]) == (str(path), True)
    assert books(place / "network") >= set(BEFORE)
    assert NOW not in books(place / "network")
    path.rename(path.with_name("relays.sqlite.damaged"))
    assert facts["carried"][:8] in said("transfer", "ls", "--all", "--node", place)
    assert books(place / "network") == {NOW, "relays.sqlite.damaged"}


@pytest.fixture
def held_open(tmp_path: Path, facts: dict[str, Any]) -> Iterator[Path]:
    """A node that a program of before still serves."""
    assert facts
    place = tmp_path / "nmi/node"
    with closing(sqlite3.connect(place / "network/transfers.sqlite")) as other:
        other.execute("SELECT count(*) FROM transfers").fetchall()
        yield place


def test_a_program_of_before_that_still_runs_loses_nothing(held_open: Path) -> None:
    error = said_json("transfer", "ls", "--node", held_open, code=5)["error"]
    assert "diadem serve" in error["next"]
    assert books(held_open / "network") >= set(BEFORE)
    assert NOW not in books(held_open / "network")
