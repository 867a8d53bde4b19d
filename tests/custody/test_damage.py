"""A log whose file was damaged is never exported as if it were sound, and says what to do."""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import diadem
from diadem.custody.log import Ledger
from diadem.custody.log_tables import FILE
from diadem.custody.verify import verify_chains
from tests.custody.group import Group, MemoryMirror, fixity, ingest, package

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


def use(group: Group, folder: Path) -> bool:
    """Open a log, append, export; what it exports must be what it was, or be seen not to be. Whether it is."""
    mirror = MemoryMirror()
    opened = Group(folder, clock=group.clock).open(mirror)
    try:
        opened.say(fixity(1))
        report = verify_chains([opened.export(package(1))], pins=[group.node])
    finally:
        opened.ledger.close()
    assert report.counts["contradicted"] == 0
    assert report.counts["proved"] in (14, 15) or not report.ok
    return report.ok


def test_flipped_bits_are_found_or_do_no_harm(group: Group, closed: Path, tmp_path: Path) -> None:
    outcomes = {"found": 0, "harmless": 0}
    for seed in range(12):
        source = random.Random(seed)
        data = bytearray(closed.read_bytes())
        for _ in range(8 if seed % 2 else 1):
            data[source.randrange(100, len(data))] ^= 1 << source.randrange(8)
        folder = tmp_path / f"damaged {seed}"
        folder.mkdir()
        (folder / FILE).write_bytes(data)
        found: diadem.IntegrityError | None = None
        try:
            is_found = not use(group, folder)
        except diadem.IntegrityError as error:
            found, is_found = error, True
        assert found is None or (found.where == str(folder / FILE) and ADVICE.search(found.next or "")), seed
        outcomes["found" if is_found else "harmless"] += 1
    assert all(outcomes.values()), outcomes


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
    "read",
    [
        lambda ledger: ledger.entry(8),
        lambda ledger: list(ledger.entries()),
        lambda ledger: list(ledger.all_entries()),
        lambda ledger: ledger.of_subject(package(2)),
        lambda ledger: ledger.of_kind("ingest"),
    ],
)
def test_an_entry_with_another_signature_is_never_given(
    group: Group, closed: Path, read: Callable[[Ledger], object]
) -> None:
    """Signatures are no part of a statement's id: the tree says what was logged."""
    with closing(sqlite3.connect(closed)) as connection, connection:
        ((place, line),) = connection.execute("SELECT place, line FROM entries WHERE place % 1024 = 8").fetchall()
        at = line.index(b'"sig":"') + 9
        other = line[:at] + (b"A" if line[at : at + 1] != b"A" else b"B") + line[at + 1 :]
        connection.execute("UPDATE entries SET line = ? WHERE place = ?", (other, place))
    with Ledger.open(closed.parent, clock=group.clock) as ledger:
        with pytest.raises(diadem.IntegrityError, match="entry 8 of epoch 1 is not what was logged") as caught:
            read(ledger)
        assert ADVICE.search(caught.value.next or "")
        assert ledger.check() == ("epoch 1: the log is damaged: entry 8 of epoch 1 is not what was logged",)


def test_the_log_of_another_node_is_not_opened(group: Group, closed: Path) -> None:
    """Statements would go on in its name, into the mirrors of nobody."""
    with closing(sqlite3.connect(closed)) as connection, connection:
        connection.execute("UPDATE about SET value = ? WHERE name = 'node'", ("0" + group.node[1:],))
    with pytest.raises(diadem.IntegrityError, match="not what was logged"):
        Ledger.open(closed.parent, group.log, clock=group.clock)


def test_a_transaction_that_is_not_found_leaves_no_gap_in_a_mirror(group: Group, closed: Path) -> None:
    mirror = MemoryMirror()
    opened = Group(closed.parent, clock=group.clock).open(mirror)
    assert opened.ledger.mirrors.push() == {}
    before, mirror.down = dict(mirror.files), True
    for _ in range(2):
        opened.say(fixity(1))
    mirror.down = False
    opened.ledger.close()
    with closing(sqlite3.connect(closed)) as connection, connection:
        connection.execute("UPDATE batches SET start = stop WHERE stop % 1024 = 29")
    opened = Group(closed.parent, clock=group.clock).open(mirror)
    with closing(opened.ledger), pytest.raises(diadem.IntegrityError, match="before entry 29 of epoch 1 is lost"):
        opened.ledger.mirrors.push()
    assert mirror.files == before


def test_words_of_the_database_that_cannot_be_read(group: Group, closed: Path) -> None:
    """SQLite quotes the damaged file in its error, and Python cannot read that as text."""
    closed.write_bytes(closed.read_bytes().replace(b"CREATE TABLE mirrors", b"CREATE\xa0TABLE mirrors"))
    with pytest.raises(diadem.IntegrityError, match="file is damaged") as caught:
        Ledger.open(closed.parent, group.log, clock=group.clock)
    assert ADVICE.search(caught.value.next or "")


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
        ("UPDATE entries SET kind = 'fixitx' WHERE place % 1024 = 9", "entry 9 of epoch 1 is not what was logged"),
        ("UPDATE batches SET start = stop WHERE stop % 1024 = 8", "its transactions do not follow each other"),
        (
            (
                "UPDATE sqlite_schema SET rootpage = (SELECT sum(rootpage) FROM sqlite_schema"
                " WHERE name LIKE 'entries_of_%') - rootpage WHERE name LIKE 'entries_of_%'"
            ),
            "missing from index entries_of_keys",
        ),
    ],
)
def test_the_whole_log_is_checked(group: Group, closed: Path, change: str, expected: str) -> None:
    with Ledger.open(closed.parent, clock=group.clock) as ledger:
        assert ledger.check() == ()
    connection = sqlite3.connect(closed)
    connection.execute("PRAGMA writable_schema = ON")
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
