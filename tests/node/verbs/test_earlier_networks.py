"""What a node of before had under way with others, in five files, goes on in one: taken over whole, or not at all."""

from __future__ import annotations

import base64
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.network.book_file import VERSION, open_book
from diadem.network.desk import desk_of
from diadem.network.relay_book import relay_book
from tests.cli.inside import said, said_json
from tests.kill_points import killed
from tests.node.verbs.test_doctor import needs_mount, small_disk
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
        assert [one.id for one in desk_of(node.context).outbox.waiting()] == [facts["message"]]
        assert [str(event.state) for event in node.transfers.show(facts["waiting"]).events] == ["drafted", "offered"]
        relay = relay_book(node.context).get(facts["carried"])
        assert relay is not None
        assert (relay.relay, relay.recipient) == (facts["relay"], facts["recipient"])
    assert books(folder) == {NOW}
    assert rows(folder, NOW) == before


def meeting(nonce: str, **members: str) -> tuple[Any, ...]:
    """A row of an introduction that waits, as earlier versions kept it: signed, and in a table of its own."""
    said = {"chain": "{}", "note": "{}", "nonce": nonce, "seen": "", "to": "ab" * 32, "token": ""} | members
    form = f"diadem-introduction/{2 if 'number' in said else 1}"
    payload = base64.b64encode(json.dumps(said | {"format": form}).encode()).decode()
    body = json.dumps({"payload": payload, "payloadType": "", "signatures": []}).encode()
    return (nonce, "ab" * 32, "cd" * 32, "", body, members.get("token", ""), "", "2126-03-14T09:00:00Z", "")


def test_introductions_that_waited_in_a_table_of_their_own_wait_in_the_outbox(
    tmp_path: Path, facts: dict[str, Any]
) -> None:
    folder = tmp_path / "hu-berlin/node/network"
    joins = {"token": "12" * 16, "commitment": "ef" * 32, "number": ""}
    kept = [meeting("01" * 16), meeting("02" * 16, **joins), meeting("03" * 16, token="34" * 16)]
    with closing(sqlite3.connect(folder / "routes.sqlite")) as file:
        file.executemany("INSERT INTO meetings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", kept)
        file.commit()
    before = sum(rows(folder, name) for name in BEFORE)
    with opened(tmp_path / "hu-berlin", facts) as node:
        outbox = desk_of(node.context).outbox
        waiting = {one.id[:2]: one for one in outbox.introductions(peer="ab" * 32)}
        assert [one.id for one in outbox.waiting()] == [facts["message"]]
        due = {one.id[:2] for one in outbox.introductions(due=node.context.clock())}
        assert due == {"01", "02"}, "what was refused waits for a person"
    assert {name: one.said.token for name, one in waiting.items()} == {"01": "", "02": "12" * 16, "03": ""}
    assert {name: one.refused[:29] for name, one in waiting.items()} == {
        "01": "",
        "02": "",
        "03": "it was made by an earlier ver",
    }
    assert {(one.hub, one.said.chain) for one in waiting.values()} == {("cd" * 32, "{}")}
    assert waiting["02"].said.commitment == "ef" * 32
    assert rows(folder, NOW) == before


def test_what_lies_on_a_drive_is_opened_with_the_key_of_before(tmp_path: Path, facts: dict[str, Any]) -> None:
    with opened(tmp_path / "nmi", facts) as node:
        assert {one.id for one in node.transfers} == {facts["carried"], facts["waiting"]}
        (landed,) = node.transfers.resume(facts["carried"])
        assert str(landed.state) == "received"
        assert node.get(landed.package).verify().ok
    assert books(tmp_path / "nmi/node/network") == {NOW}


@pytest.mark.skipif(os.name == "nt", reason="fork")
@pytest.mark.program("kills at every instant")
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


def test_what_a_program_of_before_begins_anew_is_set_aside_and_told_once(
    tmp_path: Path, facts: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "nmi/node"
    network = place / "network"
    shutil.copytree(network, tmp_path / "kept")
    assert len(said_json("transfer", "ls", "--all", "--node", place)["transfers"]) == 2
    for number in range(1, 3):
        shutil.copy(tmp_path / "kept/transfers.sqlite", network)
        with closing(sqlite3.connect(network / "transfers.sqlite")) as file:
            file.execute("UPDATE transfers SET id = ?||id WHERE id = ?", (number, facts["waiting"]))
            file.execute("INSERT INTO refusals (at, peer, transfer, reason) VALUES ('', '', '', 'later')")
            file.commit()
        assert len(said_json("transfer", "ls", "--all", "--node", place)["transfers"]) == 2
    assert books(network) == {NOW, "transfers.sqlite.earlier", "transfers.sqlite.earlier-2"}
    assert rows(network, "transfers.sqlite.earlier") == rows(tmp_path / "kept", "transfers.sqlite") + 1
    assert [word for word in caplog.text.split() if "transfers.sqlite.earlier" in word] == [
        str(network / "transfers.sqlite.earlier"),
        str(network / "transfers.sqlite.earlier-2"),
    ]


def test_a_damaged_file_of_before_beside_the_new_one_is_set_aside(tmp_path: Path, facts: dict[str, Any]) -> None:
    assert facts
    place = tmp_path / "nmi/node"
    said("transfer", "ls", "--node", place)
    (place / "network/relays.sqlite").write_bytes(b"\xa5" * 4096)
    said("transfer", "ls", "--node", place)
    assert books(place / "network") == {NOW, "relays.sqlite.earlier"}


def test_the_keys_of_before_are_wiped_from_the_file_that_goes(tmp_path: Path, facts: dict[str, Any]) -> None:
    assert facts
    place = tmp_path / "nmi/node"
    os.link(place / "network/relays.sqlite", tmp_path / "blocks")
    said("transfer", "ls", "--node", place)
    assert b"AGE-SECRET-KEY-1" in (place / "network" / NOW).read_bytes()
    assert b"AGE-SECRET-KEY-1" not in (tmp_path / "blocks").read_bytes()


@needs_mount
def test_a_disk_that_is_full_leaves_the_files_of_before_and_no_draft(tmp_path: Path, facts: dict[str, Any]) -> None:
    assert facts
    place = tmp_path / "nmi/node"
    network = place / "network"
    with closing(sqlite3.connect(network / "transfers.sqlite")) as file:
        events = (("e" * 32, number, "offered", "", "", os.urandom(2000).hex()) for number in range(2000))
        file.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", events)
        file.commit()
    before = {name: rows(network, name) for name in BEFORE}
    with small_disk(tmp_path / "small") as small:
        for path in network.iterdir():
            shutil.copytree(path, small / path.name) if path.is_dir() else shutil.copy(path, small)
        shutil.rmtree(network)
        network.symlink_to(small)
        for room in range(1, 17, 3):  # MB: it is full at the first row, in the middle, or when all is folded together
            free = shutil.disk_usage(small).free - (room << 20)
            (small / "filler").write_bytes(b"\0" * free)
            answer = json.loads(said("transfer", "ls", "--all", "--node", place, "--json", code=None))
            (small / "filler").unlink()
            if "error" not in answer:
                assert rows(small, NOW) == sum(before.values()), room
                assert books(small) == {NOW}
                break
            assert books(small) - {"filler"} == set(before), room
            assert {name: rows(small, name) for name in BEFORE} == before, room
        else:
            pytest.fail("it never had room enough")


def test_what_another_book_left_beside_itself_is_not_played_into_it(tmp_path: Path, facts: dict[str, Any]) -> None:
    assert facts
    network = tmp_path / "nmi/node/network"
    other = tmp_path / "other"
    with open_book(other) as file, file.writing() as connection:
        connection.execute("INSERT INTO taken VALUES ('of another book', '')")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    with open_book(other) as file:
        with file.writing() as connection:
            connection.execute("INSERT INTO taken VALUES ('of another one', '')")
        for end in ("-wal", "-shm"):
            shutil.copy(other / f"{NOW}{end}", network / f"{NOW}{end}")
    before = sum(rows(network, name) for name in BEFORE)
    said("transfer", "ls", "--node", network.parent)
    assert rows(network, NOW) == before


def test_what_cannot_be_removed_stops_nothing(tmp_path: Path, facts: dict[str, Any]) -> None:
    assert facts
    place = tmp_path / "nmi/node"
    (place / "network" / f"{NOW}.00000000.draft" / "full").mkdir(parents=True)
    assert len(said_json("transfer", "ls", "--all", "--node", place)["transfers"]) == 2
    shutil.rmtree(place / "network" / f"{NOW}.00000000.draft")
    (place / "network" / f"{NOW}.11111111.draft").write_bytes(b"half")
    assert len(said_json("transfer", "ls", "--all", "--node", place)["transfers"]) == 2
    assert books(place / "network") == {NOW}


@needs_mount
def test_a_file_of_before_that_cannot_be_removed_stays_and_stops_nothing(tmp_path: Path, facts: dict[str, Any]) -> None:
    assert facts
    place = tmp_path / "nmi/node"
    stuck = place / "network/relays.sqlite"
    if subprocess.run(["mount", "--bind", str(stuck), str(stuck)], check=False).returncode:
        pytest.skip("this system does not let the test hold a file in its place")
    try:
        for _ in range(2):
            assert len(said_json("transfer", "ls", "--all", "--node", place)["transfers"]) == 2
            assert books(place / "network") == {NOW, stuck.name}
    finally:
        subprocess.run(["umount", str(stuck)], check=True)
    said("transfer", "ls", "--node", place)
    assert books(place / "network") == {NOW}


def test_nobody_writes_into_a_file_of_before_until_it_is_gone(tmp_path: Path, facts: dict[str, Any]) -> None:
    assert facts
    network = tmp_path / "nmi/node/network"
    wrote: list[str] = []
    here = True

    def write(event: str, arguments: tuple[Any, ...]) -> None:
        if not (here and event == "os.rename" and str(arguments[1]) == str(network / NOW)):
            return
        for name in BEFORE:
            with closing(sqlite3.connect(network / name, timeout=0)) as other:
                try:
                    other.execute("CREATE TABLE later (word TEXT)")
                    wrote.append(name)
                except sqlite3.OperationalError:
                    wrote.append("nothing")

    sys.addaudithook(write)
    try:
        said("transfer", "ls", "--node", network.parent)
    finally:
        here = False
    assert wrote == ["nothing"] * len(BEFORE)


@pytest.mark.parametrize(
    ("name", "words"),
    [("routes.sqlite", "begin it anew"), ("relays.sqlite", "by carriers must be offered again")],
)
def test_what_a_damaged_file_of_before_costs_is_told(
    tmp_path: Path, facts: dict[str, Any], name: str, words: str
) -> None:
    assert facts
    path = tmp_path / "nmi/node/network" / name
    path.write_bytes(b"\xa5" * 4096)
    error = said_json("transfer", "ls", "--node", tmp_path / "nmi/node", code=1)["error"]
    assert words in error["next"]
