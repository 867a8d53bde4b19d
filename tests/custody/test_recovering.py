"""The node's directory is gone: log and custody come back from a store, up to what it had, and a new epoch begins."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import diadem
from diadem.custody.log import Ledger
from diadem.custody.log_mirrors import Mirror, batch_key, head_key
from diadem.custody.log_recovery import Recovered, recover
from diadem.custody.log_tables import FILE
from diadem.custody.report import Verdict
from diadem.custody.statements import node_card, user_card
from diadem.custody.verify import verify_chains
from diadem.errors import StoreError
from tests.custody.group import NAME, Group, MemoryMirror, fixity, ingest, key, package
from tests.node.verbs.test_doctor import needs_mount, small_disk


def lost(group: Group) -> None:
    """Everything that the machine had is gone."""
    group.ledger.close()
    shutil.rmtree(group.folder)


def recovered(group: Group, mirror: Mirror, folder: Path) -> tuple[Group, Recovered]:
    """A new node from a store and the root key: new online and log keys, vouched for by the root."""
    new = Group(folder, online=key(22), log=key(23), clock=group.clock)
    card = node_card(name=NAME, root=new.root.public, online=new.online.public, log=new.log.public, version=2)
    found = recover(
        folder,
        mirror,
        node=group.node,
        root=group.root,
        log_key=new.log,
        reason="the disk of the PC died",
        clock=group.clock,
        cards=card,
    )
    new.ledger = found.ledger
    new.ledger.mirrors.stores = [mirror]
    return new, found


def test_everything_that_was_mirrored_comes_back(group: Group, mirror: MemoryMirror, tmp_path: Path) -> None:
    group.say(ingest(1), ingest(2))
    group.say(fixity(1, 2))
    lines = [entry.line for entry in group.ledger.entries()]
    checkpoint, before = group.ledger.checkpoint(), group.export(package(1))
    lost(group)
    new, found = recovered(group, mirror, tmp_path / "new")
    ledger = new.ledger
    assert (found.epoch, found.entries, found.findings) == (2, 7, ())
    assert found.previous == checkpoint == ledger.checkpoint(epoch=1, size=7)
    assert [entry.line for entry in ledger.entries(epoch=1)] == lines
    assert (ledger.epoch, ledger.size, ledger.total, ledger.epochs) == (2, 4, 11, (1, 2))
    first = ledger.entry(0)
    assert first == found.statement
    assert first.statement.kind == "recovery"
    assert first.signers == (group.node,)
    assert first.statement.predicate["previous"] == checkpoint
    assert ledger.compare(checkpoint).size == 7
    assert ledger.mirrors.push() == {}
    after = new.export(package(1))
    report = verify_chains([before, after], pins=[group.node])
    assert report.ok
    assert report.counts["proved"] == 3  # the two statements, and the recovery between the epochs
    assert "began epoch 2" in report.steps[2].sentence
    assert "the disk of the PC died" in report.steps[2].sentence


def test_life_goes_on_in_the_new_epoch(group: Group, mirror: MemoryMirror, tmp_path: Path) -> None:
    group.say(ingest(1))
    lost(group)
    new, _ = recovered(group, mirror, tmp_path / "new")
    card = user_card(name=f"alice@{NAME}", key=key(24).public, version=2)
    new.ledger.append([card], [new.online])
    (entry,) = new.ledger.append([fixity(1)], [new.online], user_keys=[key(24)])
    assert entry.statement.prev == {package(1): new.ledger.entry(4, epoch=1).statement_id}
    assert batch_key(new.node, 2, 0) in mirror.files
    new.ledger.close()
    new.open(mirror)
    new.say(fixity(1))
    report = verify_chains([new.export(package(1))], pins=[new.node])
    assert report.ok
    assert [step.epoch for step in report.steps[:-1]] == [1, 2, 2, 2]
    assert report.steps[2].signers == (NAME, f"alice@{NAME}")
    lost(new)
    third, found = recovered(new, mirror, tmp_path / "third")
    assert (found.epoch, found.findings, third.ledger.epochs) == (3, (), (1, 2, 3))
    assert third.ledger.check() == ()
    third.ledger.close()


def test_a_stale_mirror_gives_what_it_has(group: Group, mirror: MemoryMirror, tmp_path: Path) -> None:
    """Store B was in a drawer since the first scrub; an export that store A covered shows what B cannot."""
    group.say(ingest(1))
    stale = mirror.copy("memory://drawer")
    checkpoint = group.ledger.checkpoint()
    group.say(fixity(1))
    before = group.export(package(1))
    lost(group)
    new, found = recovered(group, stale, tmp_path / "new")
    assert (found.epoch, found.entries, found.previous, found.findings) == (2, 5, checkpoint, ())
    new.say(fixity(1, store="drawer"))
    after = new.export(package(1))
    assert verify_chains([after], pins=[group.node]).ok
    report = verify_chains([before, after], names=["before", "after"], pins=[group.node])
    assert report.ok  # an honest loss does not look like a forgery
    lost_one = next(step for step in report.steps if "lost it when its log was restored" in (step.reason or ""))
    assert (lost_one.verdict, lost_one.file, lost_one.index) == (Verdict.CLAIMED, "before", 5)
    assert report.counts["proved"] == 3
    new.ledger.mirrors.stores = [stale, mirror]  # and the better store comes back: it is no reason to refuse
    new.say(fixity(1))
    assert new.ledger.mirrors.push() == {}
    assert {batch_key(group.node, 2, 0), batch_key(group.node, 1, 5)} <= set(mirror.files)
    new.ledger.close()


@pytest.mark.parametrize(("number", "expected"), [(3, 4), (999_999, 2), (1_048_575, 2), (9_999_999, 2)])
def test_a_number_that_somebody_left_in_a_store_ends_no_log(
    group: Group, mirror: MemoryMirror, tmp_path: Path, number: int, expected: int
) -> None:
    """A near one is taken for an epoch that is damaged; a far one is nobody's."""
    group.say(ingest(1))
    mirror.put(batch_key(group.node, number, 0), b"junk\n", create=True)
    lost(group)
    new, found = recovered(group, mirror, tmp_path / "new")
    assert (found.epoch, found.entries) == (expected, 5)
    new.say(fixity(1))
    epochs = [entry.epoch for entry in new.ledger.all_entries()]
    assert epochs == [1] * 5 + [expected] * (new.ledger.total - 5)
    assert len(epochs) == new.ledger.total
    new.ledger.close()


def test_a_forged_loss_without_a_recovery_is_a_fork(group: Group, mirror: MemoryMirror, tmp_path: Path) -> None:
    group.say(ingest(1))
    group.ledger.close()
    shutil.copytree(group.folder, tmp_path / "twin")
    group.open(mirror)
    group.say(fixity(1))
    before = group.export(package(1))
    twin = Group(tmp_path / "twin", clock=group.clock).open(MemoryMirror("memory://other"))
    twin.say(fixity(1, store="another"))
    report = verify_chains([before, twin.export(package(1))], names=["one", "two"])
    assert report.counts["contradicted"] == 3
    assert "same place of the log: it was rewritten or forked" in (report.of(Verdict.CONTRADICTED)[0].reason or "")
    twin.ledger.close()


def test_two_recoveries_of_one_node_do_not_write_into_one_store(
    group: Group, mirror: MemoryMirror, tmp_path: Path
) -> None:
    lost(group)
    one, _ = recovered(group, mirror, tmp_path / "one")
    two, _ = recovered(group, mirror, tmp_path / "two")
    assert one.ledger.mirrors.push() == {}
    with pytest.raises(diadem.Refused, match="another"):
        two.ledger.mirrors.push()
    with pytest.raises(diadem.Refused):
        two.say(ingest(1))
    one.ledger.close()
    two.ledger.close()


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flipped(data: bytes) -> bytes:
    at = data.index(b'"payload":"') + 200
    return data[:at] + (b"A" if data[at : at + 1] != b"A" else b"B") + data[at + 1 :]


def line_dropped(data: bytes) -> bytes:
    return b"".join(data.splitlines(keepends=True)[1:])


def emptied(data: bytes) -> bytes:
    return data[:0]


def blank(data: bytes) -> bytes:
    return b"\n" * len(data)


@pytest.mark.parametrize("damage", [cut, flipped, line_dropped, emptied, blank])
def test_a_damaged_batch_ends_what_is_taken_over(
    group: Group, mirror: MemoryMirror, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    group.say(ingest(1))
    checkpoint = group.ledger.checkpoint()
    group.say(fixity(1), fixity(1))
    group.say(fixity(1))
    lost(group)
    broken = batch_key(group.node, 1, 5)
    mirror.files[broken] = damage(mirror.files[broken])
    new, found = recovered(group, mirror, tmp_path / "new")
    assert (found.entries, found.previous) == (5, checkpoint)
    assert broken in found.findings[0]
    assert "epoch 1 had 8 entries, of which 5 can be proven" in found.findings[-1]
    new.say(fixity(1))
    assert verify_chains([new.export(package(1))], pins=[group.node]).ok
    new.ledger.close()


def test_a_missing_batch_ends_what_is_taken_over(group: Group, mirror: MemoryMirror, tmp_path: Path) -> None:
    group.say(ingest(1))
    group.say(fixity(1))
    lost(group)
    del mirror.files[batch_key(group.node, 1, 4)]
    new, found = recovered(group, mirror, tmp_path / "new")
    assert found.entries == 4
    assert "the entries 4 to 4 of epoch 1 are not there" in found.findings[0]
    new.ledger.close()


def test_batches_of_another_hand_are_not_taken(group: Group, mirror: MemoryMirror, tmp_path: Path) -> None:
    """Someone who can write to the store, but has no key, cannot put words into the node's mouth."""
    thief = Group(tmp_path / "thief", root=key(66), online=key(67), log=key(68), clock=group.clock)
    theirs = MemoryMirror("memory://thief")
    thief.create(theirs)
    thief.say(ingest(9))
    mirror.files[batch_key(group.node, 1, 4)] = theirs.files[batch_key(thief.node, 1, 4)]
    mirror.files.pop(head_key(group.node))
    lost(group)
    new, found = recovered(group, mirror, tmp_path / "new")
    assert found.entries == 4
    assert "is not used" in found.findings[0]
    new.ledger.close()
    thief.ledger.close()


def test_nothing_to_recover_from(group: Group, mirror: MemoryMirror, tmp_path: Path) -> None:
    with pytest.raises(diadem.NotFound, match="holds no log"):
        recovered(group, MemoryMirror(), tmp_path / "new")
    for name in list(mirror.files):
        mirror.files[name] = b"?"
    with pytest.raises(diadem.IntegrityError, match="nothing of the log can be proven"):
        recovered(group, mirror, tmp_path / "new")
    mirror.down = True
    with pytest.raises(diadem.Unreachable):
        recovered(group, mirror, tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_the_root_key_of_another_node_recovers_nothing(group: Group, mirror: MemoryMirror, tmp_path: Path) -> None:
    with pytest.raises(diadem.Refused, match="root key"):
        recover(
            tmp_path / "new",
            mirror,
            node=group.node,
            root=key(5),
            log_key=key(6),
            reason="theft",
            clock=group.clock,
        )


def test_a_log_that_is_there_is_not_overwritten(group: Group, mirror: MemoryMirror, tmp_path: Path) -> None:
    with pytest.raises(diadem.Refused, match="already"):
        recovered(group, mirror, group.folder)
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / f"{FILE}.part").write_bytes(b"left by a kill")
    new, found = recovered(group, mirror, tmp_path / "half")
    assert found.epoch == 2
    new.ledger.close()
    assert [path.name for path in (tmp_path / "half").iterdir()] == [FILE]


def test_the_old_log_key_can_stay(group: Group, mirror: MemoryMirror, tmp_path: Path) -> None:
    """The keys were mirrored too, sealed: then nothing new is needed."""
    group.say(ingest(1))
    lost(group)
    found = recover(
        tmp_path / "new",
        mirror,
        node=group.node,
        root=group.root,
        log_key=group.log,
        reason="moved",
        clock=group.clock,
    )
    found.ledger.close()
    again = Group(tmp_path / "new", clock=group.clock).open(mirror)
    again.say(fixity(1))
    assert verify_chains([again.export(package(1))], pins=[group.node]).ok
    again.ledger.close()
    with Ledger.open(tmp_path / "new", clock=group.clock) as ledger:
        assert ledger.log_key(1) == ledger.log_key(2)


@needs_mount
@pytest.mark.program("a disk that is full at 39 places")
def test_a_disk_that_is_full_leaves_no_log(group: Group, mirror: MemoryMirror, tmp_path: Path) -> None:
    """Also where it is full only when all was written and is folded together."""
    for number in range(40):
        group.say(*(ingest(100 * number + one) for one in range(1, 40)))
    lines = [entry.line for entry in group.ledger.entries()]
    lost(group)
    with small_disk(tmp_path / "small") as small:
        for room in range(1, 40):
            free = shutil.disk_usage(small).free
            (small / "filler").write_bytes(b"\0" * (free - (room << 18)))
            try:
                new, _ = recovered(group, mirror, small / "log")
            except StoreError as error:
                said = error.message
                assert list((small / "log").iterdir()) == [], room
            else:
                assert [entry.line for entry in new.ledger.entries(epoch=1)] == lines
                new.ledger.close()
                return
            assert "is full" in said, room
            (small / "filler").unlink()
    pytest.fail("it never had room enough")
