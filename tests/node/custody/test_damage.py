"""A log whose file was damaged is never exported as if it were sound, and says what to do."""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
from pathlib import Path

import pytest

import diadem
from diadem.node.custody.database import FILE
from diadem.node.custody.ledger import Ledger
from diadem.node.custody.verifying import verify_chains
from tests.node.custody.group import Group, MemoryMirror, fixity, ingest, package

#: With the places that the node knows.
ADVICE = re.compile(r"diadem init \S+ --recover \S+ --recovery-file \S+\Z")


@pytest.fixture
def closed(group: Group) -> Path:
    """The file of a log that nobody has open, and that was exported before."""
    for number in range(12):
        group.say(ingest(number), fixity(1))
    group.export(package(1))
    group.ledger.close()
    return group.folder / FILE


def use(group: Group, folder: Path) -> None:
    """Open a log, append, export; what it exports must be what it was."""
    mirror = MemoryMirror()
    opened = Group(folder, clock=group.clock).open(mirror)
    try:
        opened.say(fixity(1))
        report = verify_chains([opened.export(package(1))], pins=[group.node])
    finally:
        opened.ledger.close()
    assert report.counts["contradicted"] == 0
    assert report.counts["proved"] in (14, 15) or not report.ok


@pytest.mark.parametrize("seed", range(12))
def test_flipped_bits_are_found_or_do_no_harm(group: Group, closed: Path, tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    data = bytearray(closed.read_bytes())
    for _ in range(8):
        data[source.randrange(100, len(data))] ^= 1 << source.randrange(8)
    folder = tmp_path / "damaged"
    folder.mkdir()
    (folder / FILE).write_bytes(data)
    found: diadem.IntegrityError | None = None
    try:
        use(group, folder)
    except diadem.IntegrityError as error:
        found = error
    assert found is None or (found.where == str(folder / FILE) and ADVICE.search(found.next or ""))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE entries SET line = (SELECT line FROM entries WHERE place % 1024 = 9) WHERE place % 1024 = 5",
        "UPDATE entries SET line = replace(line, 'eyJ', 'eyK') WHERE place % 1024 = 5",
        "DELETE FROM entries WHERE place % 1024 = 5",
        "DELETE FROM nodes WHERE rowid % 3 = 0",
        "UPDATE nodes SET hash = zeroblob(32) WHERE rowid % 5 = 0",
        "UPDATE batches SET checkpoint = replace(checkpoint, char(10, 10), char(10) || 'more' || char(10, 10))",
        "DELETE FROM batches",
        "UPDATE epochs SET key = 'ed25519:AAAA'",
        "DELETE FROM about",
        "DROP TABLE entries",
        "PRAGMA application_id = 7",
    ],
)
def test_a_row_that_was_edited_is_named(group: Group, closed: Path, change: str) -> None:
    """Someone with a database tool changed the log; every road out of it is checked."""
    connection = sqlite3.connect(closed)
    connection.execute(change)
    connection.commit()
    connection.close()
    with pytest.raises(diadem.IntegrityError) as caught:
        use(group, closed.parent)
    assert caught.value.where == str(closed)
    assert ADVICE.search(caught.value.next or "")


def test_an_entry_that_was_taken_out_of_the_index_is_a_gap(group: Group, closed: Path) -> None:
    """The index by subject is not signed; what it leaves out is seen by the links."""
    connection = sqlite3.connect(closed)
    place = connection.execute("SELECT place FROM subjects WHERE sha256 = ?", (bytes.fromhex(package(1)),)).fetchall()
    connection.execute("DELETE FROM subjects WHERE place = ?", place[4])
    connection.commit()
    connection.close()
    opened = Group(closed.parent, clock=group.clock).open(MemoryMirror())
    with pytest.raises(diadem.IntegrityError, match="does not follow"):
        opened.export(package(1))
    opened.ledger.close()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("UPDATE nodes SET hash = zeroblob(32) WHERE place % 64 = 17", "the tree is another one"),
        ("DELETE FROM subjects WHERE place % 1024 = 9", "entry 9: the index by subject has lost it"),
        ("DELETE FROM entries WHERE place % 1024 = 9", "entry 9 is not there"),
        ("DELETE FROM entries WHERE place % 1024 = 27", "entry 27 is not there"),
        (
            (
                "UPDATE batches SET checkpoint = (SELECT checkpoint FROM batches WHERE stop % 1024 = 6)"
                " WHERE stop % 1024 = 8"
            ),
            "the checkpoint of 8 entries is not of these entries",
        ),
        ("UPDATE entries SET line = zeroblob(9) WHERE place % 1024 = 9", "entry 9 of epoch 1 cannot be read"),
    ],
)
def test_the_whole_log_is_checked(group: Group, closed: Path, change: str, expected: str) -> None:
    with Ledger.open(closed.parent, clock=group.clock) as ledger:
        assert ledger.check() == ()
    connection = sqlite3.connect(closed)
    connection.execute(change)
    connection.commit()
    connection.close()
    with Ledger.open(closed.parent, clock=group.clock) as ledger:
        assert expected in " ".join(ledger.check())


@pytest.mark.parametrize("content", [b"", b"not a database" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_another_file_is_no_log(tmp_path: Path, group: Group, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(diadem.IntegrityError) as caught:
        Ledger.open(tmp_path, group.log, clock=group.clock)
    assert ADVICE.search(caught.value.next or "")


def test_a_truncated_file(group: Group, closed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "short"
    folder.mkdir()
    shutil.copy(closed, folder / FILE)
    with (folder / FILE).open("r+b") as file:
        file.truncate(closed.stat().st_size // 2)
    with pytest.raises(diadem.IntegrityError):
        use(group, folder)
