"""Processes and threads on one node, one of them killed; jobs that are listed, stopped, killed and gone on with."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from diadem.errors import Interrupted, NotFound
from diadem.model.ports import Progress
from tests import catalogues, zygote
from tests.cli.inside import said, said_json
from tests.node.verbs.agreeing import copies, require_agreement
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue

ROOT = Path(__file__).resolve().parents[3]
Lines = list[list[list[str]]]


@contextmanager
def at_work(lab: Lab, lines: Lines) -> Iterator[zygote.Process]:
    """A process with some threads on the node; ended if the test does not."""
    command = [sys.executable, "-m", "tests.node.verbs.busy", str(lab.node.path), json.dumps(lines)]
    with zygote.start(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def done(process: zygote.Process) -> list[dict[str, Any]]:
    """What it has done; every verb must have succeeded."""
    output, errors = process.communicate(timeout=200)
    assert (process.returncode, errors) == (0, "")
    results = [json.loads(line) for line in output.splitlines()]
    for result in results:
        assert "error" not in result, f"{result['verb']} {result['arguments']}: {result['error']}"
    return results


@pytest.mark.program("many processes at once, and kills")
def test_two_processes_with_ten_threads_and_a_third_one_killed(lab: Lab) -> None:
    lab.add_second()
    sessions = [str(lab.session(f"s{number}")) for number in range(6)]
    same, *others = sessions
    verbs: Lines = [
        [["archive", same], ["archive", others[0]]],
        [["archive", same], ["archive", others[1]]],
        [["scrub"], ["archive", others[2]], ["scrub"]],
        [["repair"], ["search", "s1"], ["status"], ["repair"]],
        [["reindex"], ["search", ""], ["archive", others[3]], ["reindex"]],
    ]
    with (
        at_work(lab, verbs) as one,
        at_work(lab, [line[::-1] for line in verbs]) as two,
        at_work(lab, [[["archive", folder]] for folder in [*others, same]]) as killed,
    ):
        assert killed.stdout is not None
        killed.stdout.readline()  # one of its archives is done, the others are not
        killed.kill()
        results = [*done(one), *done(two)]
    by_folder: dict[str, set[str]] = {}
    for result in results:
        if result["verb"] == "archive":
            assert result["done"]["debts"] == []
            by_folder.setdefault(result["arguments"][0], set()).add(result["done"]["id"])
    assert {folder: len(ids) for folder, ids in by_folder.items()} == dict.fromkeys(sessions[:5], 1)

    node = lab.reopened()
    for folder in sessions:  # what the killed one had begun is finished by the same command
        again = node.archive(folder, now=True)
        assert {again.package.id} == by_folder.get(folder, {again.package.id})
    assert node.scrub().ok
    assert node.repair().ok
    assert list(copies(node).values()) == [["main", "second"]] * len(sessions)
    require_agreement(node)
    node.close()


def test_threads_share_one_node(lab: Lab) -> None:
    lab.add_second()
    sessions = [lab.session(f"s{number}") for number in range(4)]
    found: list[Any] = []
    problems: list[BaseException] = []
    begin = threading.Barrier(10)

    def work(verb: Callable[[], Any]) -> None:
        begin.wait()
        try:
            found.append(verb())
        except BaseException as error:
            problems.append(error)

    verbs: list[Callable[[], Any]] = [
        *(lambda folder=folder: lab.node.archive(folder, now=True).what for folder in sessions),
        *(lambda: lab.node.archive(sessions[0], now=True).what for _ in range(2)),
        lab.node.scrub,
        lab.node.repair,
        lab.node.status,
        lambda: [lab.node.search("s1").total for _ in range(20)],
    ]
    threads = [threading.Thread(target=work, args=(verb,)) for verb in verbs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert sorted(word for word in found if isinstance(word, str)) == ["already"] * 2 + ["new"] * 4
    assert lab.node.repair().ok
    require_agreement(lab.node)


# -- jobs ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pair(lab: Lab) -> tuple[Lab, list[str]]:
    """Three packages with two copies each."""
    lab.add_second()
    return lab, [lab.archived(f"s{number}", files=1) for number in range(3)]


def states(lab: Lab, kind: str) -> list[str]:
    return [job.state for job in lab.node.jobs if job.kind == kind]


def test_a_killed_scrub_is_listed_and_gone_on_with(pair: tuple[Lab, list[str]]) -> None:
    lab, packages = pair
    with at_work(lab, [[["scrub-until", "second"]]]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "hanging\n"
        assert states(lab, "scrub") == ["running"]
    (job,) = (job for job in lab.node.jobs if job.kind == "scrub")
    assert (job.state, job.resumable, job.process) == ("killed", True, process.pid)
    other = lab.node.scrub("main")
    assert (other.skipped, other.proven) == (0, 3)  # other words, another job
    again = lab.node.scrub()
    assert (again.skipped, again.proven, again.started) == (3, 3, job.started)
    assert states(lab, "scrub") == ["done", "done"]
    fresh = lab.node.scrub()
    assert (fresh.skipped, fresh.proven) == (0, 6)
    assert len(packages) == 3


def test_a_job_that_was_killed_long_ago_or_before_a_later_one_is_not_gone_on_with(pair: tuple[Lab, list[str]]) -> None:
    lab, _ = pair
    lab.node.scrub()
    (path,) = (lab.node.path / "jobs").glob("*scrub*.json")
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "state": "running", "ended": ""}))
    assert states(lab, "scrub") == ["killed"]
    path.write_text(json.dumps({**document, "state": "running", "ended": "", "started": "2026-01-01T00:00:00Z"}))
    assert lab.node.scrub().skipped == 0
    assert states(lab, "scrub") == ["done", "killed"]
    assert lab.node.scrub().skipped == 0


def test_a_job_is_stopped_in_the_middle_of_a_file(lab: Lab) -> None:
    package = lab.archived("s", files=1, size=6 << 20)
    outcome: list[Any] = []
    reading = threading.Event()

    def slowly(progress: Progress) -> None:
        reading.set()
        time.sleep(0.2)

    def work() -> None:
        try:
            outcome.append(lab.node.scrub(level="full", listener=slowly))
        except Interrupted as error:
            outcome.append(error)

    with pytest.raises(NotFound, match="no job"):
        lab.node.stop_job("20")
    thread = threading.Thread(target=work)
    thread.start()
    assert reading.wait(20)
    (job,) = (job for job in lab.node.jobs if job.kind == "scrub")
    listed = said_json("jobs", "--node", lab.node.path)["jobs"]
    assert [(one["id"], one["state"]) for one in listed if one["kind"] == "scrub"] == [(job.id, "running")]
    assert said_json("jobs", "--stop", job.id[:22], "--node", lab.node.path)["stopping"]["id"] == job.id
    thread.join(20)
    assert isinstance(outcome[0], Interrupted)
    assert states(lab, "scrub") == ["stopped"]
    assert "run the same command again to resume" in said("jobs", "--node", lab.node.path)
    assert [replica.state for replica in lab.node.context.catalogue.replicas(package)] == ["present"]
    assert lab.node.scrub(level="full").proven == 1
    assert states(lab, "scrub") == ["done"]


def test_an_archive_is_stopped_and_leaves_nothing(lab: Lab) -> None:
    session = lab.session("s", files=400, size=100)

    def stop(progress: Progress) -> None:
        time.sleep(0.01)
        for job in lab.node.jobs if progress.done > 2000 else ():
            if job.state == "running" and not stopped:
                stopped.append(lab.node.stop_job(job.id).id)

    stopped: list[str] = []
    with pytest.raises(Interrupted):
        lab.node.archive(session, now=True, listener=stop)
    assert len(set(stopped)) == 1
    assert states(lab, "archive") == ["stopped"]
    assert lab.node.search().total == 0
    assert not list((lab.root / "main/.diadem/stage").iterdir())
    assert lab.node.archive(session, now=True).what == "new"
    require_agreement(lab.node)


@catalogues.in_a_file
@pytest.mark.parametrize("moment", [1, 4])
def test_what_a_new_catalogue_does_not_know_yet_is_in_the_log(lab: Lab, moment: int) -> None:
    """A reindex of another process puts its catalogue in the place of the one in which the session was just found."""
    session, file = lab.session("s"), lab.node.path / "catalogue.sqlite"
    lab.node.close()
    older = Path(shutil.copy(file, lab.root / "older"))
    progress: list[Progress] = []
    with lab.reopened() as node:
        first = node.archive(session, now=True)

        def replace(told: Progress) -> None:
            progress.append(told)
            if len(progress) == moment:
                with closing(sqlite3.connect(older)) as old, closing(sqlite3.connect(file)) as new:
                    old.backup(new)

        again = node.archive(session, now=True, listener=replace)
        assert len(progress) >= moment
        assert (again.what, again.package.id) == ("already", first.package.id)
        assert node.search().total == 1
        require_agreement(node)


# -- Ctrl-C --------------------------------------------------------------------------------------------------------


@contextmanager
def command(lab: Lab, *words: object) -> Iterator[zygote.Process]:
    """A command line at work; ended if the test does not."""
    line = [sys.executable, "-m", "diadem", *map(str, words), "--node", str(lab.node.path), "--json"]
    with zygote.start(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def interrupted(process: zygote.Process, when: Callable[[], object]) -> dict[str, Any]:
    """Send Ctrl-C as soon as something holds; the error that the command prints."""
    until = time.monotonic() + 60
    while not when():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (6, "")
    error = json.loads(output)["error"]
    assert (error["code"], bool(error["next"])) == ("interrupted", True)
    return dict(error)


needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no Ctrl-C for one process alone")


def staged(store: Path) -> list[Path]:
    return list((store / ".diadem/stage").rglob("*.bin")) if (store / ".diadem/stage").is_dir() else []


@needs_signals
def test_ctrl_c_while_archiving(lab: Lab) -> None:
    session = lab.session("s", files=1200, size=1000)
    with command(lab, "archive", session, "--now") as process:
        interrupted(process, lambda: len(staged(lab.root / "main")) > 20)
    assert staged(lab.root / "main") == []
    assert list((lab.root / "main/.diadem/stage").iterdir()) == []
    assert (lab.node.search().total, states(lab, "archive")) == (0, ["stopped"])
    assert lab.node.archive(session, now=True).what == "new"
    require_agreement(lab.node)


@needs_signals
@pytest.mark.program("a scrub that lasts for seconds")
def test_ctrl_c_while_scrubbing(lab: Lab) -> None:
    packages = [lab.archived("a", files=1, size=1000), lab.archived("b", files=1, size=4 << 20)]

    def is_reading() -> bool:
        if states(lab, "scrub") != ["running"]:
            return False
        time.sleep(1.0)
        return True

    with command(lab, "scrub", "--max-rate", "400kB") as process:
        error = interrupted(process, is_reading)
    assert "stay so" in error["message"]
    assert states(lab, "scrub") == ["stopped"]
    assert {replica.state for one in packages for replica in lab.node.context.catalogue.replicas(one)} == {"present"}
    again = lab.node.scrub()
    assert (again.ok, again.skipped + again.proven) == (True, 2)
    require_agreement(lab.node)


@needs_signals
def test_ctrl_c_while_copies_are_written(lab: Lab) -> None:
    first = lab.archived("a", files=1, size=1000)
    large = lab.archived("b", files=2, size=2 << 20)
    lab.add_second()
    with command(lab, "repair", "--max-rate", "400kB") as process:
        interrupted(process, lambda: staged(lab.second))
    assert staged(lab.second) == []
    assert copies(lab.node)[large] == ["main"]
    assert lab.node.repair().ok
    assert copies(lab.node) == {first: ["main", "second"], large: ["main", "second"]}
    assert states(lab, "repair") == ["done"]
    require_agreement(lab.node)
