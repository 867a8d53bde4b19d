"""A package with very many datasets: its receipt is stated first, then they are entered; who is killed goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.errors import DocumentError, IntegrityError, NotFound
from diadem.model.ports import Progress, silent
from diadem.model.transfers import State, Transfer
from diadem.network import closing, landing, rounds
from diadem.network.jobs import jobs
from diadem.network.push import push_package
from diadem.network.source import Sources
from diadem.node.node import Node
from diadem.serialization import record_json
from diadem.serialization.record_writer import RecordWriter
from tests import catalogues
from tests.node.verbs.agreeing import memory
from tests.transfer.pair import Pair
from tests.transfer.towns import Town

pytestmark = pytest.mark.catalogue

COUNT = 600
FILES = {f"frame_{number:04d}.dat": b"%d" % number for number in range(COUNT)}


def datasets(node: Node, asked: str = "") -> int:
    return sum(row.datasets for row in node.search(asked).rows)


def require_as_made_anew(node: Node) -> None:
    """The log holds, and the catalogue is the one that a reindex makes."""
    assert node.context.ledger.check() == ()
    before = memory(node)
    assert node.reindex().notes == ()
    assert memory(node) == before


def at_entering(then: Callable[[], object]) -> Callable[[Progress], None]:
    """Do something once, when the receipt is stated and told, and no dataset is entered."""
    done: list[Progress] = []

    def listen(progress: Progress) -> None:
        if progress.stage == "enter" and not done:
            done.append(progress)
            then()

    return listen


def offered(pair: Pair) -> str:
    return pair.a.node.send(pair.a.archived("session", FILES), "marie@nmi").id


def test_the_sender_has_its_receipt_before_they_are_entered(pair: Pair) -> None:
    sent, seen = offered(pair), []

    def look() -> None:
        assert pair.a.desk.book.get(sent).state is State.CLOSED
        with diadem.open_node(pair.b.node.path) as other:
            (row,) = other.search("session").rows
            seen.append((row.id, row.datasets, len(other.search("frame_0007").rows)))
            (finding,) = (one for one in other.status().findings if one.rule == "catalogue.owed")
            assert "1 package" in finding.message
            assert any("still being entered" in check["message"] for check in other.doctor()["checks"])
            assert diadem.verify(other.get(row.id)).ok

    done = pair.b.node.accept(sent, listener=at_entering(look))
    assert seen == [(done.package, 0, 0)]
    assert datasets(pair.b.node, "frame_0007") == COUNT
    assert "catalogue.owed" not in {one.rule for one in pair.b.node.status().findings}
    require_as_made_anew(pair.b.node)


@pytest.mark.parametrize("small", [False, True])
def test_what_the_catalogue_has_is_what_a_reindex_makes(pair: Pair, small: bool) -> None:
    package = pair.a.archived("session", dict(list(FILES.items())[:5]) if small else FILES)
    pair.a.node.assess(package, "limited", purpose="teaching", comment="dark")
    pair.b.node.accept(pair.a.node.send(package, "marie@nmi").id)
    require_as_made_anew(pair.b.node)


def on_a_disk(town: Town, tmp_path: Path, files: dict[str, bytes]) -> tuple[str, Path, Path]:
    """A package that comes on a disk: its id, the disk, and the closed node that is to take it in."""
    town.meet("hu-berlin", "nmi")
    source, disk = tmp_path / "session", tmp_path / "disk"
    source.mkdir()
    for name, data in files.items():
        (source / name).write_bytes(data)
    package = str(town.node("hu-berlin").archive(source, now=True).package.id)
    town.node("hu-berlin").export_disk(package, "alice@nmi", disk)
    node = town.node("nmi")
    node.close()
    return package, disk, node.path


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
def test_killed_between_them_the_next_command_enters_them(town: Town, tmp_path: Path) -> None:
    package, disk, folder = on_a_disk(town, tmp_path, FILES)
    code = """if True:
        import os, signal, sys, diadem
        def listen(progress):
            if progress.stage == "enter":
                os.kill(os.getpid(), signal.SIGKILL)
        diadem.open_node(sys.argv[1]).import_(sys.argv[2], listener=listen)
    """
    ended = subprocess.run([sys.executable, "-c", code, str(folder), str(disk)], env=os.environ, check=False)
    assert ended.returncode == -signal.SIGKILL
    with diadem.open_node(folder) as again:
        assert len(again.context.ledger.of_kind("receipt")) == 1
        assert [(row.id, row.datasets) for row in again.search("frame_0007").rows] == [(package, COUNT)]
        require_as_made_anew(again)


def test_a_reindex_meanwhile_changes_nothing(pair: Pair) -> None:
    sent = offered(pair)

    def reindex() -> None:
        with diadem.open_node(pair.b.node.path) as other:
            assert other.reindex().packages == 1
            assert datasets(other) == COUNT

    pair.b.node.accept(sent, listener=at_entering(reindex))
    assert datasets(pair.b.node) == COUNT
    require_as_made_anew(pair.b.node)


def test_a_package_that_is_deleted_meanwhile_does_not_come_back(pair: Pair) -> None:
    sent = offered(pair)
    (pair.b.node.path / "policy.toml").write_text("[retention]\nyears = 0\n", "utf-8")

    def delete() -> None:
        with diadem.open_node(pair.b.node.path) as other:
            other.delete(pair.b.desk.book.get(sent).package, reason="a test")

    pair.b.node.accept(sent, listener=at_entering(delete))
    assert list(pair.b.node.search("").rows) == []
    assert pair.b.node.context.catalogue.owed() == []
    require_as_made_anew(pair.b.node)


def test_what_is_said_meanwhile_holds_for_them_too(pair: Pair) -> None:
    sent = offered(pair)

    def judge() -> None:
        with diadem.open_node(pair.b.node.path) as other:
            other.assess(pair.b.desk.book.get(sent).package, "reject", purpose="imaging", comment="empty")

    pair.b.node.accept(sent, listener=at_entering(judge))
    assert datasets(pair.b.node, "verdict:reject") == COUNT
    require_as_made_anew(pair.b.node)


@pytest.mark.parametrize("pushed", [False, True])
@pytest.mark.parametrize("files", [5, COUNT])
@pytest.mark.sweep(2)
def test_of_a_malformed_record_nothing_is_received(pair: Pair, files: int, pushed: bool) -> None:
    """A peer may seal what it likes; what no search would find has no receipt."""
    add = RecordWriter.add

    def lie(self: RecordWriter, dataset: dict[str, Any], *, admitted: bool = False) -> None:
        last = dataset["id"] == f"d{files}"
        add(self, {**dataset, "issues": [{"code": 7}]} if last else dataset, admitted=admitted or last)

    with pytest.MonkeyPatch.context() as patched:  # a node that validates nothing
        patched.setattr(RecordWriter, "add", lie)
        patched.setattr(record_json, "validate_dataset", lambda *_, **__: None)
        patched.setattr("diadem.catalogue.facts._datasets", lambda *_: set())
        sent = pair.a.node.send(pair.a.archived("session", dict(list(FILES.items())[:files])), "marie@nmi").id
    if pushed:
        pair.b.node.accept(sent, wait=False)
        receive = partial(push_package, pair.a.desk, Sources(pair.a.desk), sent, listener=silent)
    else:
        receive = partial(pair.b.node.accept, sent)
    with pytest.raises(DocumentError, match="issues"):
        receive()
    assert list(pair.b.node.context.ledger.of_kind("receipt")) == []
    assert list(pair.b.node.search("").rows) == []
    assert list((pair.b.root / "store").glob("2*")) == []
    assert pair.a.desk.book.get(sent).state not in {State.RECEIVED, State.CLOSED}


def findings(node: Node) -> set[str]:
    """Rules about the catalogue that have something to say."""
    return {one.rule for one in node.status().findings if one.rule.startswith("catalogue.")}


@pytest.mark.parametrize("pause", [0.0, 0.6])  # for half a second a folder that answered is believed to be there
@pytest.mark.sweep(1)
def test_a_store_that_is_away_meanwhile_cancels_nothing(pair: Pair, pause: float) -> None:
    sent, store, away = offered(pair), pair.b.root / "store", pair.b.root / "unplugged"

    def unplug() -> None:
        store.rename(away)
        time.sleep(pause)

    done = pair.b.node.accept(sent, listener=at_entering(unplug))
    with diadem.open_node(pair.b.node.path) as other:  # the next command finds no store either
        assert other.context.catalogue.owed() == [done.package]
        assert "catalogue.owed" in findings(other)
    away.rename(store)
    with diadem.open_node(pair.b.node.path) as other:
        assert datasets(other, "frame_0007") == COUNT
        assert findings(other) == set()
        require_as_made_anew(other)


def test_another_command_before_the_receipt_is_stated_cancels_nothing(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, say, seen = offered(pair), closing.say_received, []

    def say_later(*given: Any, **named: Any) -> Transfer:
        with diadem.open_node(pair.b.node.path) as other:
            seen.append(len(other.context.catalogue.owed()))
        return say(*given, **named)

    monkeypatch.setattr(landing, "say_received", say_later)
    pair.b.node.accept(sent, wait=False)
    push_package(pair.a.desk, Sources(pair.a.desk), sent, listener=silent)
    assert seen == [1]
    assert len(pair.b.node.context.catalogue.owed()) == 1
    with diadem.open_node(pair.b.node.path) as other:
        assert datasets(other, "frame_0007") == COUNT
        require_as_made_anew(other)


def test_where_every_copy_is_gone_it_is_told_until_one_is_back(pair: Pair) -> None:
    sent, gone = offered(pair), pair.b.root / "gone"

    def lose() -> None:
        with diadem.open_node(pair.b.node.path) as other:
            (row,) = other.search("session").rows
            bag = pair.b.root / "store" / other.context.catalogue.replicas(row.id)[0].path
            bag.chmod(0o700)
            bag.rename(gone)
            lost.append(bag)

    lost: list[Path] = []
    package = pair.b.node.accept(sent, listener=at_entering(lose)).package
    catalogue = pair.b.node.context.catalogue
    assert (catalogue.owed(), catalogue.unread()) == ([], [package])
    assert findings(pair.b.node) == {"catalogue.unread"}
    assert any("could not be read" in check["message"] for check in pair.b.node.doctor()["checks"])
    gone.rename(lost[0])
    pair.b.node.repair()
    assert datasets(pair.b.node, "frame_0007") == COUNT
    assert findings(pair.b.node) == set()


@pytest.mark.parametrize("stops", [False, True])
def test_what_a_store_shows_has_them_too(pair: Pair, stops: bool) -> None:
    """A snapshot that was written meanwhile is followed by another one, whoever enters them."""
    sent = offered(pair)

    def judge() -> None:
        with diadem.open_node(pair.b.node.path) as other:
            other.assess(pair.b.desk.book.get(sent).package, "limited", purpose="imaging", comment="dark")
        with diadem.open_node(str(pair.b.root / "store")) as attached:
            assert datasets(attached) == 0
        if stops:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) if stops else nullcontext():
        pair.b.node.accept(sent, listener=at_entering(judge))
    pair.b.node.close()
    with diadem.open_node(pair.b.node.path) as other:
        assert datasets(other, "frame_0007") == COUNT
    with diadem.open_node(str(pair.b.root / "store")) as attached:
        assert datasets(attached, "frame_0007") == COUNT


@catalogues.in_a_file
@pytest.mark.parametrize("disk", [False, True])
@pytest.mark.sweep(1)
def test_without_room_for_them_it_is_received_and_told(pair: Pair, tmp_path: Path, disk: bool) -> None:
    sent = offered(pair)

    def fill() -> None:
        with pair.b.node.context.catalogue.writing() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1")

    if disk:
        pair.a.node.export_disk(pair.a.desk.book.get(sent).package, "marie@nmi", tmp_path / "disk")
        pair.b.node.import_(tmp_path / "disk", listener=at_entering(fill))
    else:
        done = pair.b.node.accept(sent, listener=at_entering(fill))
        assert done.state in {State.RECEIVED, State.CLOSED}
    assert findings(pair.b.node) == {"catalogue.owed"}
    with diadem.open_node(pair.b.node.path) as other:  # there is room again
        assert datasets(other, "frame_0007") == COUNT
        require_as_made_anew(other)


def test_who_could_not_be_told_hinders_nothing(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails after a package has landed leaves its datasets to nobody else."""

    def fail(*_: object) -> int:
        raise IntegrityError("the carrier's note is damaged")

    sent = offered(pair)
    monkeypatch.setattr(rounds, "clear", fail)
    with pytest.raises(IntegrityError, match="note is damaged"):
        pair.b.node.accept(sent)
    assert pair.b.node.context.catalogue.owed() == []
    assert datasets(pair.b.node, "frame_0007") == COUNT


def pushed(pair: Pair) -> str:
    """A package of which a node that stays open owes the datasets."""
    sent = offered(pair)
    pair.b.node.accept(sent, wait=False)
    push_package(pair.a.desk, Sources(pair.a.desk), sent, listener=silent)
    package = pair.b.desk.book.get(sent).package
    assert pair.b.node.context.catalogue.owed() == [package]
    return package


def test_whoever_names_a_dataset_finds_it(pair: Pair) -> None:
    package = pushed(pair)
    pair.b.node.assess(package, "reject", purpose="imaging", dataset="frame_0007.dat", comment="empty")
    (row,) = pair.b.node.search("verdict:reject").rows
    assert [one.path for one in row.matched] == ["frame_0007.dat"]


def test_of_a_dataset_that_cannot_be_entered_now_the_reason_is_told(pair: Pair) -> None:
    package, store = pushed(pair), pair.b.root / "store"
    store.rename(pair.b.root / "unplugged")
    with pytest.raises(NotFound, match=r"still being entered"):
        pair.b.node.assess(package, "reject", purpose="imaging", dataset="frame_0007.dat", comment="empty")


def test_who_is_offered_it_sees_them_all(pair: Pair) -> None:
    sent = pair.b.node.send(pushed(pair), "alice@hu-berlin").id
    record: Any = pair.b.desk.book.about(sent)["record"]
    assert record["counts"]["datasets"] == COUNT
    assert record["formats"] != []


def test_of_what_was_pushed_the_service_enters_them(pair: Pair) -> None:
    sent = offered(pair)
    pair.b.node.accept(sent, wait=False)
    push_package(pair.a.desk, Sources(pair.a.desk), sent, listener=silent)
    assert pair.b.desk.book.get(sent).state is State.RECEIVED
    assert datasets(pair.b.node, "frame_0007") == 0
    (job,) = (one for one in jobs(pair.b.node.context) if one.name == "datasets")
    job.run(threading.Event())
    assert datasets(pair.b.node, "frame_0007") == COUNT
    require_as_made_anew(pair.b.node)
