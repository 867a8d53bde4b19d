"""The log: what is appended is linked, signed, in the tree, and there again when it is opened."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import diadem
from diadem.custody.log import Ledger
from diadem.custody.log_tables import FILE
from diadem.model.statements import Draft, Subject
from diadem.trust.note import open_checkpoint
from diadem.trust.tree import EMPTY_ROOT, leaf_hash, root_of, verify_consistency, verify_inclusion
from tests.custody.group import ORIGIN, Clock, Group, MemoryMirror, fixity, ingest, key, package


def test_a_new_log_has_a_valid_checkpoint(tmp_path: Path) -> None:
    group = Group(tmp_path)
    with Ledger.create(tmp_path, origin=ORIGIN, log_key=group.log, node=group.node, clock=group.clock) as ledger:
        assert (ledger.size, ledger.epoch, ledger.total, ledger.mirrors.pending()) == (0, 1, 0, 0)
        assert open_checkpoint(ledger.checkpoint(), group.log.public, f"{ORIGIN}/1").root == EMPTY_ROOT
    with pytest.raises(diadem.Refused, match="already"):
        Ledger.create(tmp_path, origin=ORIGIN, log_key=group.log, node=group.node, clock=group.clock)


def test_statements_are_linked_by_subject_and_salted(group: Group) -> None:
    first, second, third = group.say(ingest(1), ingest(2), fixity(1, 2))
    fourth, fifth = group.say(fixity(1), fixity(1))
    assert first.statement.prev == {package(1): None}
    assert third.statement.prev == {package(1): first.statement_id, package(2): second.statement_id}
    assert fourth.statement.prev == {package(1): third.statement_id}
    assert fifth.statement.prev == {package(1): fourth.statement_id}
    assert first.statement.node == group.node
    assert first.statement.time == second.statement.time
    assert len({entry.statement.salt for entry in (first, second, third, fourth, fifth)}) == 5
    assert [entry.statement_id for entry in group.ledger.of_subject(package(1))] == [
        entry.statement_id for entry in (first, third, fourth, fifth)
    ]


def test_the_log_is_there_again_when_it_is_opened(group: Group) -> None:
    said = group.say(*(ingest(number) for number in range(30)))
    checkpoint = group.ledger.checkpoint()
    group.ledger.close()
    with Ledger.open(group.folder, group.log, clock=group.clock) as ledger:
        assert ledger.checkpoint() == checkpoint
        assert ledger.size == ledger.total == 34
        assert list(ledger.entries(4)) == said == [ledger.by_id(entry.statement_id) for entry in said]
        assert list(ledger.entries(5, 7)) == said[1:3]
        assert [entry.index for entry in ledger.all_entries()] == list(range(34))
        assert ledger.entry(4) == said[0]
        assert said[0].to_dict()["statement"]["predicate"]["files"] == 120
        assert said[0].signers == (group.online.public.key_id,)
        with pytest.raises(diadem.NotFound):
            ledger.entry(34)
        with pytest.raises(diadem.NotFound):
            ledger.by_id("0" * 64)
    group.open()


def test_every_entry_is_in_the_tree_of_every_later_checkpoint(group: Group) -> None:
    for number in range(20):
        group.say(*(ingest(number * 3 + more) for more in range(number % 3 + 1)))
    ledger = group.ledger
    lines = [entry.line for entry in ledger.entries()]
    leaves = [leaf_hash(line) for line in lines]
    for size in range(1, len(leaves) + 1):
        root = root_of(leaves[:size])
        assert ledger.root(size) == root
        assert verify_consistency(size, len(leaves), root, ledger.root(len(leaves)), ledger.consistency(size))
        for index in range(0, size, 7):
            assert verify_inclusion(leaves[index], index, size, ledger.inclusion(index, size), root)
    newest = open_checkpoint(ledger.checkpoint(), group.log.public, f"{ORIGIN}/1")
    assert (newest.size, newest.root) == (len(leaves), root_of(leaves))
    assert ledger.prove(ledger.entries(), ledger.size, epoch=1)[3] == ledger.inclusion(3)


@settings(max_examples=8, deadline=None)
@given(batches=st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_batches_of_any_size_make_the_tree_of_their_lines(
    tmp_path_factory: pytest.TempPathFactory, batches: list[int]
) -> None:
    group = Group(tmp_path_factory.mktemp("log")).create()
    for number, count in enumerate(batches):
        group.say(*(ingest(number) for _ in range(count)))
    leaves = [entry.leaf for entry in group.ledger.entries()]
    assert len(leaves) == 4 + sum(batches)
    assert open_checkpoint(group.ledger.checkpoint(), group.log.public, f"{ORIGIN}/1").root == root_of(leaves)
    group.ledger.close()


def test_a_batch_is_one_transaction_and_one_flush(group: Group) -> None:
    """Frames of the write-ahead log that end a transaction carry the file's size; a flush follows each of them."""
    before = _commits(group.folder)
    group.say(*(ingest(number) for number in range(200)))
    durable_and_mirror_note = _commits(group.folder) - before
    assert (
        durable_and_mirror_note == 2
    )  # the entries with their checkpoint; and, without a flush, how far the mirror is
    group.ledger.mirrors.stores = ()
    before = _commits(group.folder)
    group.say(*(ingest(number) for number in range(200)))
    assert _commits(group.folder) - before == 1


def _commits(folder: Path) -> int:
    """Transactions in the write-ahead file (https://www.sqlite.org/walformat.html)."""
    data = (folder / f"{FILE}-wal").read_bytes()
    page, salt = struct.unpack_from(">I", data, 8)[0], data[16:24]
    frames = range(32, len(data) - page - 23, page + 24)
    headers = [data[at : at + 24] for at in frames if data[at + 8 : at + 16] == salt]
    return sum(1 for header in headers if struct.unpack_from(">I", header, 4)[0])


def test_all_or_nothing(group: Group) -> None:
    size = group.ledger.size
    odd = Draft("ingest", (Subject.package(package(1)),), {"bytes": -1})
    with pytest.raises(diadem.DocumentError, match="ingest"):
        group.say(ingest(1), odd)
    with pytest.raises(diadem.UsageError, match="key"):
        group.ledger.append([ingest(1)], [])
    assert group.ledger.size == size
    assert group.say() == []
    assert group.ledger.of_subject(package(1)) == []


def test_an_owner_signs_beside_the_node(group: Group) -> None:
    (entry,) = group.ledger.append([ingest(1)], [group.online], user_keys=[group.alice])
    assert set(entry.signers) == {group.online.public.key_id, group.alice.public.key_id}
    assert entry.envelope.signers([group.alice.public, group.online.public]) == set(entry.signers)


def test_a_log_that_was_opened_for_reading_is_not_written(group: Group) -> None:
    with Ledger.open(group.folder, clock=group.clock) as ledger:
        assert ledger.size == group.ledger.size
        with pytest.raises(diadem.Refused, match="reading"):
            ledger.append([ingest(1)], [group.online])


def test_another_key_does_not_open_it(group: Group) -> None:
    with pytest.raises(diadem.Refused, match="key"):
        Ledger.open(group.folder, key(99), clock=group.clock)


def test_there_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(diadem.NotFound):
        Ledger.open(tmp_path, key(3), clock=Clock())
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_checkpoint_is_compared(group: Group, tmp_path: Path) -> None:
    kept = group.ledger.checkpoint()
    group.say(ingest(1))
    assert group.ledger.compare(kept).size == 4
    other = Group(tmp_path / "other").create()
    other.say(ingest(2))
    with pytest.raises(diadem.IntegrityError, match="does not begin"):
        group.ledger.compare(other.ledger.checkpoint())
    with pytest.raises(diadem.IntegrityError, match="another log"):
        group.ledger.compare(kept.replace("hu-berlin", "hu-bonn"))
    other.ledger.close()


def test_times_are_those_of_the_clock_given(tmp_path: Path) -> None:
    fixed = datetime(2031, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    group = Group(tmp_path / "log", clock=lambda: fixed).create(MemoryMirror())
    (entry,) = group.say(ingest(1))
    assert entry.statement.predicate["time"] == "2031-01-02T03:04:05Z"
    group.ledger.close()
