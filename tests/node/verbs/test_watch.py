"""What people put into `incoming/` is archived once it is finished, and nothing of it is touched."""

from __future__ import annotations

import datetime
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.errors import Interrupted
from diadem.node.instruments import EXAMPLE
from diadem.node.watch.hand_in import Handed
from diadem.node.watch.report import Watched
from diadem.node.watch.watcher import watch
from tests import zygote
from tests.cli.inside import said_json
from tests.node.test_adopting import everything
from tests.node.verbs.agreeing import copies, require_agreement
from tests.node.verbs.conftest import Lab, damage

pytestmark = pytest.mark.catalogue


@pytest.fixture
def minutes(lab: Lab) -> list[float]:
    """A clock that tests set: how many minutes it is ahead of this machine's."""
    ahead = [0.0]
    now = lab.node.context.clock
    lab.node.context.clock = lambda: now() + datetime.timedelta(minutes=ahead[0])
    return ahead


def handed(told: Iterator[Handed | Watched]) -> Iterator[Handed]:
    """What is told where no folder is watched."""
    for one in told:
        assert isinstance(one, Handed)
        yield one


def steady(minutes: list[float]) -> Callable[[], float]:
    """The clock that nobody sets: time passes on both."""
    return lambda: 1000.0 + 60 * minutes[0]


def hand_in(lab: Lab, name: str, **files: bytes) -> Path:
    folder = lab.root / "main/incoming" / name
    folder.mkdir(parents=True)
    for file, data in files.items():
        (folder / f"{file}.dat").write_bytes(data)
    return folder


def looks(lab: Lab, minutes: list[float], times: list[float]) -> Iterator[list[Handed]]:
    """What is told at each of some looks, the first at once, each further one so many minutes later."""
    told: list[Handed] = []
    waits = iter(times)

    def sleep(_: float) -> None:
        wait = next(waits, None)
        if wait is None:
            raise KeyboardInterrupt
        minutes[0] += wait
        told.append(Handed("look", told[0].hand_in))  # a mark between two looks

    with pytest.raises(Interrupted, match="nothing is half archived"):
        told.extend(handed(watch(lab.node.context, sleep=sleep, steady=steady(minutes))))
    look: list[Handed] = []
    for one in told:
        if one.store == "look":
            yield look
            look = []
        else:
            look.append(one)
    yield look


def test_a_hand_in_is_archived_when_it_is_finished_and_then_may_be_deleted(lab: Lab, minutes: list[float]) -> None:
    lab.add_second()
    folder = hand_in(lab, "2026-03-14 ZnO", scan=b"s" * 5000, notes=b"n")
    before = everything(folder)
    first, second, third, fourth, fifth = looks(lab, minutes, [2, 2, 7, 6])
    assert [(one.store, str(one.hand_in.state)) for one in (*first, *second)] == [("main", "writing")] * 2
    assert "last look" in second[0].hand_in.words
    assert third == []  # it only became older
    (done,) = fourth
    assert done.archived is not None
    assert [copy.store for copy in done.archived.copies] == ["main", "second"]
    (told,) = fifth
    assert (str(told.hand_in.state), told.hand_in.may_be_deleted) == ("archived", True)
    assert told.hand_in.package == done.archived.package.id
    assert everything(folder) == before
    assert lab.node.search("ZnO").total == 1
    require_agreement(lab.node)


def test_who_reads_the_store_from_elsewhere_sees_it_while_the_watcher_goes_on(lab: Lab, minutes: list[float]) -> None:
    """A watcher runs for months: its mirrors do not wait for its end."""
    hand_in(lab, "2026-03-14 ZnO", scan=b"s" * 5000)
    (lab.node.path / "instruments.toml").write_text(EXAMPLE, "utf-8")
    found: list[int] = []

    def sleep(_: float) -> None:
        minutes[0] += 60
        with diadem.open_node(lab.root / "main") as elsewhere:
            found.append(elsewhere.search("ZnO").total)
        if len(found) == 3:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        list(watch(lab.node.context, sleep=sleep, steady=steady(minutes)))
    assert found[-1] == 1
    assert [path.read_text("utf-8") for path in lab.root.glob("main/.diadem/nodes/*/instruments.toml")] == [EXAMPLE]


def test_later_files_become_a_continuation_and_one_copy_is_not_enough_to_delete(lab: Lab, minutes: list[float]) -> None:
    folder = hand_in(lab, "session", scan=b"s" * 5000)
    minutes[0] = 60
    assert [one.archived is not None for one in handed(lab.node.watch(once=True))] == [True]
    (told,) = handed(lab.node.watch(once=True))
    assert not told.hand_in.may_be_deleted
    assert "do not delete" in told.hand_in.words
    (folder / "later.dat").write_bytes(b"later")
    minutes[0] = 120
    (more,) = handed(lab.node.watch(once=True))
    assert more.archived is not None
    assert more.archived.what == "continuation"
    assert [entry.name for entry in more.archived.package.files] == ["later.dat"]


@pytest.mark.skipif(sys.platform == "win32", reason="making links needs rights on Windows")
def test_a_hand_in_of_which_something_was_left_out_may_not_be_deleted(lab: Lab, minutes: list[float]) -> None:
    lab.add_second()
    folder = hand_in(lab, "session", scan=b"s" * 5000)
    (lab.root / "only.dat").write_bytes(b"only")
    (folder / "only.dat").symlink_to(lab.root / "only.dat")
    minutes[0] = 60
    (done,) = documents(handed(lab.node.watch(once=True)))
    assert [one["path"] for one in done["archived"]["omitted"]] == ["only.dat"]
    (told,) = documents(handed(lab.node.watch(once=True)))
    assert (told["state"], told["omitted"], told["may_be_deleted"]) == ("archived", 1, False)
    assert "do not delete it: 1 item in it could not be archived" in told["words"]
    (folder / "only.dat").unlink()
    (folder / "only.dat").write_bytes(b"only")
    minutes[0] = 120
    (mended,) = documents(handed(lab.node.watch(once=True)))
    assert (mended["archived"]["what"], mended["archived"]["files"]) == ("continuation", 1)
    assert [one["may_be_deleted"] for one in documents(handed(lab.node.watch(once=True)))] == [True]


def documents(told: Iterator[Handed]) -> list[dict[str, Any]]:
    """What the command prints of each."""
    return [one.to_dict() for one in told]


def test_every_package_of_a_hand_in_must_be_kept_and_what_is_lost_is_archived_again(
    lab: Lab, minutes: list[float]
) -> None:
    (lab.node.path / "policy.toml").write_text("[copies]\nminimum = 1\n", "utf-8")
    folder = hand_in(lab, "session", scan=b"s" * 5000, other=b"o" * 100)
    minutes[0] = 60
    (first,) = handed(lab.node.watch(once=True))
    (folder / "later.dat").write_bytes(b"later")
    minutes[0] = 120
    (second,) = handed(lab.node.watch(once=True))
    assert first.archived is not None
    assert second.archived is not None
    assert [one.hand_in.may_be_deleted for one in handed(lab.node.watch(once=True))] == [True]
    early = str(first.archived.package.id)
    damage(lab.path(early, "main") / "data/scan.dat")
    assert [found.package for found in lab.node.scrub().damaged] == [early]
    (again,) = handed(lab.node.watch(once=True))
    assert again.archived is not None
    assert list(again.archived.lost) == [early]
    assert [entry.name for entry in again.archived.package.files] == ["other.dat", "scan.dat"]
    assert [one.hand_in.may_be_deleted for one in handed(lab.node.watch(once=True))] == [True]
    lab.add_second()
    (lab.node.path / "policy.toml").write_text("[copies]\nminimum = 2\n", "utf-8")
    (told,) = handed(lab.node.watch(once=True))
    assert "the policy wants more copies" in told.hand_in.words


def test_what_is_refused_is_told_once_and_not_read_again_and_again(lab: Lab, minutes: list[float]) -> None:
    (lab.node.path / "policy.toml").write_text('[metadata]\nrequired = ["sample.name"]\n', "utf-8")
    hand_in(lab, "nameless", scan=b"s" * 5000)
    hand_in(lab, "stray folder")
    (lab.root / "main/incoming/file.dat").write_bytes(b"1")
    minutes[0] = 60
    first, second, third = looks(lab, minutes, [1, 1])
    refused = {one.hand_in.name: one for one in first}
    assert {name: str(one.hand_in.state) for name, one in refused.items()} == {
        "file.dat": "stray",
        "nameless": "ready",
        "stray folder": "empty",
    }
    assert refused["nameless"].error is not None
    assert "sample.name" in refused["nameless"].error.message
    assert (second, third) == ([], [])
    assert len([job for job in lab.node.jobs if job.kind == "archive"]) == 1
    assert copies(lab.node) == {}


def test_a_store_and_a_policy_that_come_later_are_seen(lab: Lab, minutes: list[float]) -> None:
    hand_in(lab, "first", scan=b"1" * 100)
    minutes[0] = 60
    told: list[Handed] = []
    rounds: list[int] = []

    def sleep(_: float) -> None:
        rounds.append(1)
        if len(rounds) == 1:
            other = lab.reopened()  # another process
            other.stores.add(str(lab.second), name="second", place="another disk")
            other.close()
            (lab.node.path / "policy.toml").write_text("[copies]\nminimum = ", "utf-8")  # half a sentence
        elif len(rounds) == 2:
            (lab.node.path / "policy.toml").write_text("[copies]\nminimum = 2\n", "utf-8")
            (lab.second / "incoming").mkdir(exist_ok=True)
            (lab.second / "incoming" / "there").mkdir()
            (lab.second / "incoming" / "there" / "scan.dat").write_bytes(b"2" * 100)
            minutes[0] += 60
        elif len(rounds) == 4:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        told.extend(handed(watch(lab.node.context, sleep=sleep, steady=steady(minutes))))
    told.extend(handed(lab.node.watch(once=True)))
    assert {(one.store, one.hand_in.name) for one in told} == {("main", "first"), ("second", "there")}
    assert sorted(map(len, copies(lab.node).values())) == [1, 2]


def test_the_command(lab: Lab) -> None:
    hand_in(lab, "session", scan=b"s" * 100)
    (lab.node.path / "policy.toml").write_text('[archive]\nquiet = "1 s"\n[copies]\nminimum = 1\n', "utf-8")
    time.sleep(1.1)
    found: list[dict[str, Any]] = said_json("watch", "--once", "--node", lab.node.path)["incoming"]
    assert [(one["name"], one["archived"] is not None, one["error"]) for one in found] == [("session", True, None)]
    (told,) = said_json("watch", "--once", "--node", lab.node.path)["incoming"]
    assert (told["state"], told["may_be_deleted"]) == ("archived", True)
    assert sorted(os.listdir(lab.root / "main/incoming/session")) == ["scan.dat"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no Ctrl-C for one process alone")
def test_ctrl_c_ends_it_with_6(lab: Lab) -> None:
    hand_in(lab, "session", scan=b"s" * 100)
    line = [sys.executable, "-m", "diadem", "watch", "--every", "60", "--node", str(lab.node.path)]
    with zygote.start(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        late = threading.Timer(60, process.kill)  # what tells nothing is not waited for
        late.start()
        assert "main/incoming/session" in process.stdout.readline()
        late.cancel()
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()  # else leaving the block would wait for it
    assert process.returncode == 6
    assert "next:" in errors


def test_a_package_that_is_handed_in_is_taken_in_as_it_is(lab: Lab, minutes: list[float]) -> None:
    package = lab.archived("s")
    shutil.copytree(lab.path(package, "main"), lab.root / "main/incoming/marie")
    taken = [one.archived for look in looks(lab, minutes, [11, 11, 11]) for one in look if one.archived]
    assert [one.package.id for one in taken] == [package]
    assert len(lab.node.search("").rows) == 1
