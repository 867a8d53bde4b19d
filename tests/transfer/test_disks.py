"""Packages on disks in the post: for one node, whole or in parts, and nothing believed that they say."""

from __future__ import annotations

import datetime
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from pyrage.x25519 import Identity

import diadem
from diadem.errors import DiademError, DocumentError, IntegrityError, NotFound, Refused, UsageError
from diadem.model.transfers import State
from diadem.network.desk import desk_of
from diadem.network.disk import HEADER, MESSAGE
from diadem.network.envelope import open_mail, seal_mail
from tests.transfer.towns import Town

TO = "alice@nmi"


@pytest.fixture
def package(town: Town, tmp_path: Path) -> str:
    """A package of two windows at hu-berlin, which knows nmi."""
    town.meet("hu-berlin", "nmi")
    source = tmp_path / "session"
    source.mkdir()
    (source / "big.raw").write_bytes(os.urandom(17 << 20))
    (source / "notes.txt").write_text("notes")
    return str(town.node("hu-berlin").archive(source, now=True).package.id)


def names(disk: Path) -> list[str]:
    return sorted(path.name for path in disk.rglob("*.age"))


def test_a_package_goes_by_post_and_its_receipt_by_any_way(town: Town, package: str, tmp_path: Path) -> None:
    a, b, disk = town.node("hu-berlin"), town.node("nmi"), tmp_path / "usb" / "for nmi"
    assert a.export_disk(package, TO, disk, dry_run=True).transfer.bytes > 17 << 20
    assert not disk.exists()
    assert list(a.transfers) == []
    done = a.export(package, disk, to=TO)
    assert names(disk) == ["0-0-1.age", "1-0-1.age", "2-0-1.age", "2-1-1.age", MESSAGE]
    every = b"".join(path.read_bytes() for path in disk.rglob("*") if path.is_file())
    assert b"notes" not in every
    assert package.removeprefix("diadem:").encode() not in every
    assert a.context.ledger.of_kind("handover")[-1].statement_id == done.statement_id
    assert b.import_(disk, dry_run=True).transfer.state is State.OFFERED
    assert [offer.id for offer in b.transfers.inbox()] == [done.transfer.id]
    landed = b.import_(disk).transfer
    assert landed.state is State.RECEIVED
    assert landed.route == "disk"
    assert diadem.verify(b.get(package)).ok
    assert names(disk), "nothing is removed from a disk"
    assert {message.kind for message in desk_of(b.context).outbox.waiting()} == {"acceptance", "receipt"}
    assert b.import_(disk).transfer.state is State.RECEIVED, "a second time changes nothing"


def test_a_disk_holds_a_whole_package_for_one_person(town: Town, package: str, tmp_path: Path) -> None:
    export: Any = town.node("hu-berlin").export
    for more in ({"redact": True}, {"only": "raw"}, {"chain": True}, {"for_": "Marie Curie <m@x.org>"}):
        with pytest.raises(UsageError, match="whole package"):
            export(package, tmp_path / "usb", to=TO, **more)
    assert not (tmp_path / "usb").exists()


def test_looking_at_a_disk_accepts_nothing_though_a_rule_fits(town: Town, package: str, tmp_path: Path) -> None:
    a, b, disk = town.node("hu-berlin"), town.node("nmi"), tmp_path / "disk"
    a.export_disk(package, TO, disk)
    b.rules.add("*@hu-berlin", max_bytes=1 << 30)
    assert b.import_(disk, dry_run=True).transfer.state is State.OFFERED
    assert [offer.transfer.state for offer in b.transfers.inbox()] == [State.OFFERED]
    assert b.context.ledger.of_kind("acceptance") == []
    assert b.import_(disk).transfer.state is State.RECEIVED


def test_a_disk_that_was_not_finished_goes_on_and_a_second_one_brings_the_rest(
    town: Town, package: str, tmp_path: Path
) -> None:
    a, b, first, second = town.node("hu-berlin"), town.node("nmi"), tmp_path / "first", tmp_path / "second"
    a.export_disk(package, TO, first)
    (lost,) = first.rglob("2-1-1.age")
    before = {path: path.stat().st_mtime_ns for path in first.rglob("2-0-1.age")}
    lost.unlink()
    part = b.import_(first).transfer
    assert part.state is State.TRANSFERRING
    assert "does not hold all" in part.error
    assert 16 << 20 <= part.done < part.bytes
    assert a.export_disk(package, TO, first).objects == 1
    assert {path: path.stat().st_mtime_ns for path in first.rglob("2-0-1.age")} == before
    again = a.export_disk(package, TO, second)
    assert again.transfer.id == part.id
    assert again.objects == 4
    assert len(a.context.ledger.of_kind("handover")) == 3
    assert b.import_(second).transfer.state is State.RECEIVED


def test_an_altered_disk_lands_nothing_and_a_good_one_does(town: Town, package: str, tmp_path: Path) -> None:
    a, b, bad, good = town.node("hu-berlin"), town.node("nmi"), tmp_path / "bad", tmp_path / "good"
    a.export_disk(package, TO, bad)
    shutil.copytree(bad, good)
    (victim,) = bad.rglob("2-0-1.age")
    victim.write_bytes(victim.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match="the disk returned window 0 damaged"):
        b.import_(bad)
    failed = b.transfers.ls()[0]
    assert failed.state is State.FAILED
    assert failed.done > 0, "what is sound is kept"
    assert not b.search("").rows
    assert b.import_(good).transfer.state is State.RECEIVED


def test_a_disk_for_somebody_else_says_so(town: Town, package: str, tmp_path: Path) -> None:
    a, disk = town.node("hu-berlin"), tmp_path / "disk"
    oslo = town.node("oslo")
    town.meet("hu-berlin", "oslo")
    a.export_disk(package, TO, disk)
    with pytest.raises(Refused, match="this disk is for the node"):
        oslo.import_(disk)
    header = json.loads((disk / HEADER).read_text())
    forged = {**header, "recipient": oslo.id}
    (disk / HEADER).write_text(json.dumps(forged, sort_keys=True, separators=(",", ":")))
    with pytest.raises(Refused, match="sealed for somebody else"):
        oslo.import_(disk)
    nmi = town.node("nmi")
    for wrong, why in (
        ({"sender": oslo.id}, NotFound),
        ({"transfer": "ab" * 16}, IntegrityError),
        ({"message": "ab" * 16}, Refused),
        ({"relay": "../" + "a" * 29}, DocumentError),
        ({"more": 1}, DocumentError),
    ):
        (disk / HEADER).write_text(json.dumps({**header, **wrong}, sort_keys=True, separators=(",", ":")))
        with pytest.raises(why):
            nmi.import_(disk)
    (disk / HEADER).write_text(json.dumps(header, sort_keys=True, separators=(",", ":")))
    whole = (disk / MESSAGE).read_bytes()
    (disk / MESSAGE).write_bytes(whole[:-1])
    with pytest.raises(IntegrityError, match="cut short"):
        nmi.import_(disk)
    said = open_mail(whole, nmi.context.keys.age_identity(), nmi.id, header["message"])
    to = str(Identity.from_str(nmi.context.keys.age_identity()).to_public())
    (disk / MESSAGE).write_bytes(seal_mail(said, oslo.context.keys.open("online"), to))
    with pytest.raises(Refused, match="not signed by the online key") as refused:
        nmi.import_(disk)
    assert "run the same export again" in (refused.value.next or "")
    assert nmi.transfers.ls() == []


def test_nothing_is_written_over_and_nothing_is_given_that_was_taken_back(
    town: Town, package: str, tmp_path: Path
) -> None:
    a, b, disk = town.node("hu-berlin"), town.node("nmi"), tmp_path / "disk"
    disk.mkdir()
    (disk / "holiday.jpg").touch()
    with pytest.raises(Refused, match="the folder holds something else"):
        a.export_disk(package, TO, disk)
    assert list(a.transfers) == []
    (disk / "holiday.jpg").unlink()
    sent = a.export_disk(package, TO, disk).transfer
    a.transfers.cancel(sent.id)
    with pytest.raises(Refused, match="an earlier transfer of this package, which is withdrawn"):
        a.export_disk(package, TO, disk)
    assert [one.id for one in a.transfers] == [sent.id], "nothing was offered in vain"
    other = a.export_disk(package, TO, tmp_path / "other").transfer
    assert other.id != sent.id
    with pytest.raises(Refused, match="an earlier transfer"):
        a.export_disk(package, TO, disk)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "notes.txt").write_text("more")
    second = str(a.archive(tmp_path / "more", now=True).package.id)
    with pytest.raises(Refused, match="the folder holds another package"):
        a.export_disk(second, TO, tmp_path / "other")
    with pytest.raises(NotFound):
        b.import_(tmp_path)
    town.later("nmi", days=61)
    with pytest.raises(DiademError, match="has expired"):
        b.import_(disk)


def test_what_goes_directly_only_goes_on_no_disk(town: Town, package: str, tmp_path: Path) -> None:
    a, disk = town.node("hu-berlin"), tmp_path / "disk"
    sent = a.export_disk(package, TO, disk).transfer
    (disk / HEADER).unlink()
    shutil.rmtree(disk)
    until = a.context.clock() + datetime.timedelta(days=100)
    for one in a.context.ledger.of_kind("grant"):
        a.revoke(one.statement_id)
    a.grant(package, to=TO, expires=until, require=["direct-only"])
    for dry_run in (True, False):
        with pytest.raises(Refused, match="the direct route only"):
            a.export_disk(package, TO, disk, dry_run=dry_run)
    a.transfers.cancel(sent.id)
    with pytest.raises(Refused, match="direct route only, but the route is disk"):
        a.export_disk(package, TO, disk)
    assert not disk.exists()


def test_a_disk_whose_process_ended_before_it_said_so_is_stated_by_the_next_run(
    town: Town, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, disk = town.node("hu-berlin"), tmp_path / "disk"
    with monkeypatch.context() as patched:
        patched.setattr("diadem.network.disk._handed_over", lambda *_: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            node.export_disk(package, TO, disk)
    done = node.export_disk(package, TO, disk)
    assert done.objects == 0
    assert [entry.statement_id for entry in node.context.ledger.of_kind("handover")] == [done.statement_id]
    assert node.export_disk(package, TO, disk).statement_id == "", "stated once"
