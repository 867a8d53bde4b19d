"""Mirrors: every batch is copied, debt is kept and paid, and a log that is behind its mirror writes nothing."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import diadem
from diadem.custody import log_mirrors
from diadem.custody.log import Ledger
from diadem.custody.log_entry import position_of
from diadem.custody.log_mirrors import Head, batch_key, head_key, read_head, unpack_batch
from diadem.custody.log_tables import FILE
from diadem.errors import IntegrityError, Unreachable
from diadem.trust.tree import root_of
from tests.custody.group import Group, MemoryMirror, fixity, ingest, package


def lines_of(mirror: MemoryMirror, node: str, epoch: int = 1) -> list[bytes]:
    """What a mirror holds of an epoch, object after object."""
    found: list[bytes] = []
    while (data := mirror.files.get(batch_key(node, epoch, len(found)))) is not None:
        found += unpack_batch(data, "test")[0]
    return found


def ours(ledger: Ledger) -> list[bytes]:
    return [entry.line for entry in ledger.entries()]


def test_each_append_is_one_object_and_the_head_says_how_far(group: Group, mirror: MemoryMirror) -> None:
    group.say(ingest(1), ingest(2))
    node = group.node
    assert sorted(mirror.files) == [
        head_key(node),
        batch_key(node, 1, 0),
        batch_key(node, 1, 3),
        batch_key(node, 1, 4),
    ]
    assert batch_key(node, 1, 3) == f"nodes/{node[:16]}/log/0001/0000000003.jsonl"
    lines, checkpoint = unpack_batch(mirror.files[batch_key(node, 1, 4)], "test")
    assert lines == ours(group.ledger)[4:]
    assert checkpoint == group.ledger.checkpoint()
    head = read_head(mirror, node)
    assert head is not None
    assert (head.node, head.epoch, head.size, head.checkpoint) == (node, 1, 6, checkpoint)
    assert Head.from_bytes(head.to_bytes()) == head
    assert position_of(group.ledger.mirrors.reached()) == (1, 6)


def test_a_live_list_of_stores_is_gone_through_once_a_look(group: Group, mirror: MemoryMirror) -> None:
    """Each store in it is opened for that; its length, for which all would be opened again, is not asked for."""

    class Live:
        asked = 0

        def __iter__(self) -> Iterator[MemoryMirror]:
            self.asked += 1
            return iter([mirror])

        def __len__(self) -> int:
            self.asked += 1
            return 1

    group.ledger.mirrors.stores = live = Live()
    group.say(ingest(1))
    assert live.asked == 2  # is it another log, and what does it lack
    assert group.ledger.mirrors.push() == {}
    assert live.asked == 3


def test_a_mirror_that_is_down_stops_nothing_and_is_paid_later(group: Group, mirror: MemoryMirror) -> None:
    mirror.down = True
    for number in range(5):
        group.say(ingest(number))
    assert group.ledger.mirrors.pending() == 5
    assert position_of(group.ledger.mirrors.reached()) == (1, 4)
    assert list(group.ledger.mirrors.push()) == [mirror.url]
    mirror.down = False
    assert group.ledger.mirrors.push() == {}
    assert group.ledger.mirrors.pending() == 0
    assert lines_of(mirror, group.node) == ours(group.ledger)
    assert len([name for name in mirror.files if name.endswith("jsonl")]) == 3  # the debt is one object


def test_appends_do_not_wait_for_a_mirror_again_and_again(group: Group, mirror: MemoryMirror) -> None:
    mirror.down = True
    group.say(ingest(0))
    calls = mirror.calls
    for number in range(5):
        group.say(ingest(number))
    assert mirror.calls == calls


def test_one_mirror_is_enough_and_each_has_its_own_debt(group: Group, mirror: MemoryMirror) -> None:
    second = MemoryMirror("memory://second")
    second.down = True
    group.ledger.mirrors.stores = [mirror, second]
    group.say(ingest(1))
    assert group.ledger.mirrors.pending() == 0
    second.down = False
    assert group.ledger.mirrors.push() == {}
    assert lines_of(second, group.node) == ours(group.ledger)


def test_a_long_debt_goes_in_objects_of_bounded_size(group: Group) -> None:
    group.ledger.mirrors.stores = ()
    for number in range(3):
        group.say(*(fixity(number) for _ in range(400)))
    late = MemoryMirror("memory://late")
    group.ledger.mirrors.stores = [late]
    assert group.ledger.mirrors.push() == {}
    assert lines_of(late, group.node) == ours(group.ledger)
    assert len(late.files) == 3  # objects of 804 and 400 entries, and the head


def test_a_log_from_a_backup_appends_nothing(group: Group, mirror: MemoryMirror, tmp_path: Path) -> None:
    group.say(ingest(1))
    group.ledger.close()
    shutil.copytree(group.folder, tmp_path / "backup")
    group.open(mirror)
    group.say(ingest(2))
    old = Group(tmp_path / "backup").open(mirror)
    with pytest.raises(diadem.Refused) as caught:
        old.say(ingest(3))
    assert caught.value.next is not None
    assert f"diadem init FOLDER --recover {mirror.url} --recovery-file FILE" in caught.value.next
    assert old.ledger.size == 5
    with pytest.raises(diadem.Refused):
        old.ledger.mirrors.push()
    with pytest.raises(diadem.Refused):
        old.export(package(1))
    assert len(ours(group.ledger)) == len(lines_of(mirror, group.node)) == 6
    old.ledger.close()


@pytest.mark.parametrize("damage", ["no head", "torn head", "old head"])
def test_the_objects_themselves_tell_that_a_log_is_behind(
    group: Group, mirror: MemoryMirror, tmp_path: Path, damage: str
) -> None:
    group.say(ingest(1))
    group.ledger.close()
    shutil.copytree(group.folder, tmp_path / "backup")
    kept = mirror.files[head_key(group.node)]
    group.open(mirror)
    group.say(ingest(2))
    if damage == "no head":
        del mirror.files[head_key(group.node)]
    else:
        mirror.files[head_key(group.node)] = kept if damage == "old head" else kept[:40]
    old = Group(tmp_path / "backup").open(mirror)
    with pytest.raises(diadem.Refused, match="holds 6 entries"):
        old.ledger.mirrors.check()
    old.ledger.close()


def test_a_fork_is_refused_when_the_mirror_answers_again(group: Group, mirror: MemoryMirror, tmp_path: Path) -> None:
    group.say(ingest(1))
    group.ledger.close()
    shutil.copytree(group.folder, tmp_path / "twin")
    group.open(mirror)
    group.say(ingest(2))
    twin = Group(tmp_path / "twin").open(mirror)
    mirror.down = True
    twin.say(ingest(3))  # nobody can tell yet
    mirror.down = False
    with pytest.raises(diadem.Refused, match="another"):
        twin.ledger.mirrors.push()
    with pytest.raises(diadem.Refused, match="another"):
        twin.say(ingest(4))
    assert lines_of(mirror, group.node) == ours(group.ledger)
    twin.ledger.close()


def test_comparing_takes_a_few_reads_however_long_the_log_is(group: Group, mirror: MemoryMirror) -> None:
    for number in range(40):
        group.say(ingest(number))
    group.ledger.close()
    group.open(mirror)
    before = mirror.calls
    group.ledger.mirrors.check()
    assert mirror.calls - before <= 3
    group.ledger.mirrors.check()
    assert mirror.calls - before <= 3


def test_a_mirror_that_lost_its_files_gets_all_of_them_again(group: Group, mirror: MemoryMirror) -> None:
    group.say(ingest(1))
    group.ledger.close()
    mirror.files.clear()
    group.open(mirror)
    group.say(ingest(2))
    assert lines_of(mirror, group.node) == ours(group.ledger)


def test_an_object_that_was_torn_is_written_again(group: Group, mirror: MemoryMirror) -> None:
    group.say(ingest(1))
    group.ledger.close()
    key = batch_key(group.node, 1, 4)
    del mirror.files[head_key(group.node)]
    mirror.files[key] = mirror.files[key][:100]
    group.open(mirror)
    assert group.ledger.mirrors.push() == {}
    assert lines_of(mirror, group.node) == ours(group.ledger)


def test_a_kill_between_object_and_head_is_no_fork(group: Group, mirror: MemoryMirror) -> None:
    head = mirror.files[head_key(group.node)]
    group.say(ingest(1))
    mirror.files[head_key(group.node)] = head
    group.ledger.close()
    group.open(mirror)
    group.say(ingest(2))
    assert lines_of(mirror, group.node) == ours(group.ledger)


def test_nothing_leaves_before_a_mirror_has_it(group: Group, mirror: MemoryMirror) -> None:
    group.say(ingest(1))
    mirror.down = True
    group.export(package(1))  # it is in the mirror already
    group.say(fixity(1))
    with pytest.raises(Unreachable, match="in no store yet"):
        group.export(package(1))
    mirror.down = False
    group.export(package(1))
    assert group.ledger.mirrors.pending() == 0
    group.ledger.mirrors.stores = ()
    group.say(fixity(1))
    with pytest.raises(Unreachable, match="no store"):
        group.export(package(1))


def test_a_log_of_another_node_in_the_mirror_is_nothing_to_us(mirror: MemoryMirror, tmp_path: Path) -> None:
    one = Group(tmp_path / "one").create(mirror)
    other = Group(tmp_path / "two", root=one.online, online=one.root).create(mirror)
    for node in (one.node, other.node):
        head = read_head(mirror, node)
        assert head is not None
        assert head.node == node
    one.say(ingest(1))
    other.say(ingest(1))
    assert lines_of(mirror, one.node) == ours(one.ledger)
    assert lines_of(mirror, other.node) == ours(other.ledger)
    one.ledger.close()
    other.ledger.close()
    assert (one.folder / FILE).exists()


@pytest.mark.parametrize("damage", ["UPDATE nodes SET hash = 'no bytes'", "DELETE FROM nodes"])
def test_damage_of_the_log_itself_is_no_fault_of_a_mirror(group: Group, mirror: MemoryMirror, damage: str) -> None:
    """Nothing in the mirror is written again because this log cannot be read."""
    for number in range(4):  # eight entries: at opening, the half of their tree is not read
        group.say(ingest(number))
    half = root_of([entry.leaf for entry in group.ledger.entries()][:4])
    group.ledger.close()
    kept = dict(mirror.files)
    del mirror.files[head_key(group.node)]  # so that the objects are compared
    with closing(sqlite3.connect(group.folder / FILE)) as connection, connection:
        connection.execute(f"{damage} WHERE hash = ?", (half,))
    group.open(mirror)
    with pytest.raises(IntegrityError, match="log"):
        group.say(ingest(2))
    assert {key: data for key, data in mirror.files.items() if key in kept} == {
        key: data for key, data in kept.items() if key != head_key(group.node)
    }


def test_who_is_interrupted_while_it_pushes_can_push_again(
    group: Group, mirror: MemoryMirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C may come between any two lines; a node that is closed then does not wait for itself."""
    monkeypatch.setattr(log_mirrors, "_LONG_TURN", 0.2)  # how long it would wait; it is an hour
    steps = 0

    def interrupt(frame: FrameType, event: str, _: object) -> Any:
        nonlocal steps
        if frame.f_code.co_filename != log_mirrors.__file__:
            return None
        if event == "line" and (steps := steps - 1) == 0:
            raise KeyboardInterrupt
        return interrupt

    for number in range(1, 500):
        group.say(ingest(number))
        mirror.files.pop(head_key(group.node))
        steps = number
        before = sys.gettrace()
        sys.settrace(interrupt)
        try:
            group.ledger.mirrors.push()
        except KeyboardInterrupt:
            pass
        else:
            break
        finally:
            sys.settrace(before)
        assert group.ledger.mirrors.push() == {}, number
    assert 20 < number < 499
    assert lines_of(mirror, group.node) == ours(group.ledger)
