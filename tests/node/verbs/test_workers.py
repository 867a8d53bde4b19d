"""Archiving and scrubbing on workers: the same packages, whoever dies; nothing begun where a worker cannot see."""

from __future__ import annotations

import datetime
import multiprocessing
import random
import shutil
import socket
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.api.extraction import work
from diadem.errors import Interrupted, Unreachable
from diadem.model.ports import Progress
from diadem.model.replicas import SUSPECT
from diadem.model.scan import PlannedSession
from diadem.node.node import Node
from diadem.node.take.archive_many import SessionResult
from diadem.node.tasks import Task
from diadem.pack.compose import Options
from diadem.pack.plan import make_plan
from tests.cli.inside import said, said_json
from tests.node.verbs.agreeing import copies, require_agreement
from tests.node.verbs.conftest import Lab, damage
from tests.node.verbs.faulty_workers import Deadly
from tests.services import S3Server

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

MOMENT = datetime.datetime(2026, 11, 26, 12, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with diadem.WorkerPool(2) as made:
        yield made


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A real scheduler and two real workers on loopback."""
    distributed = pytest.importorskip("distributed")
    dask = pytest.importorskip("dask")
    patience = {"distributed.comm.timeouts.connect": "180s", "distributed.comm.timeouts.tcp": "180s"}
    with (
        dask.config.set(patience),  # on a busy machine
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as local,
    ):
        yield local


@pytest.fixture(params=["pool", pytest.param("dask", marks=pytest.mark.program("a cluster of processes"))])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    if request.param == "pool":
        yield request.getfixturevalue("pool")
        return
    distributed = pytest.importorskip("distributed")
    with distributed.Client(request.getfixturevalue("cluster"), set_as_default=False) as client:
        yield client.get_executor()


def planned(*folders: Path) -> list[PlannedSession]:
    return [PlannedSession(folder.name, True, folder.name, "", str(folder)) for folder in folders]


def outcomes(results: Sequence[SessionResult]) -> dict[str, tuple[Any, ...]]:
    """What became of each session, without what depends on the node."""
    return {
        result.session.title: (
            result.state,
            result.error.code if result.error else "",
            *(
                (
                    result.archived.package.id,
                    result.archived.predecessor,
                    sorted(copy.store for copy in result.archived.copies),
                )
                if result.archived
                else ()
            ),
        )
        for result in results
    }


def trip(lab: Lab) -> list[Path]:
    """Sessions of a week at the microscope: large ones, small ones, twins, grown ones, an empty and a hostile one."""
    folders = [lab.session(f"day {number}", files=2, size=20_000 * (number + 1)) for number in range(4)]
    twin = Path(shutil.copytree(folders[0], lab.root / "twin of day 0"))
    grown = Path(shutil.copytree(folders[1], lab.root / "day 1 and more"))
    (grown / "more.bin").write_bytes(random.Random(5).randbytes(500_000))
    more = Path(shutil.copytree(grown, lab.root / "day 1 and still more"))
    (more / "still more.bin").write_bytes(random.Random(6).randbytes(700_000))
    empty = lab.root / "empty"
    empty.mkdir()
    hostile = lab.session("hostile", files=1)
    (hostile / "cut.dm3").write_bytes(b"\x00\x00\x00\x03\xff\xff\xff\xff\x00\x00\x00\x01" + b"\xff" * 400)
    (hostile / "away").symlink_to("/etc/passwd")
    return [*folders, twin, grown, more, empty, hostile]


def other_node(lab: Lab, name: str) -> Node:
    """A second node with stores of its own, to be compared."""
    node = diadem.Node.create(lab.root / name, name=name, user="alice", store=str(lab.root / f"{name} main"))
    node.stores.add(str(lab.root / f"{name} second"), name="second", place="another disk")
    return node


def test_workers_make_the_same_packages(lab: Lab, executor: Executor) -> None:
    lab.add_second()
    folders = trip(lab)
    lab.node.context.clock = lambda: MOMENT
    expected = outcomes(list(lab.node.archive_all(planned(*folders), now=True)))
    assert expected["twin of day 0"][0] == "already"
    assert expected["day 1 and still more"][0] == "continuation"
    with other_node(lab, "other") as node:
        node.context.clock = lambda: MOMENT
        told: list[Progress] = []
        results = list(node.archive_all(planned(*folders), now=True, executor=executor, listener=told.append))
        assert outcomes(results) == expected
        done = [one.done for one in told if one.stage == "archive"]
        assert (len(done), done) == (len(folders), sorted(done))
        again = list(node.archive_all(planned(*folders), now=True, executor=executor))
        assert {result.state for result in again} == {"already", "failed"}
        scrubbed = node.scrub(executor=executor)
        assert (scrubbed.ok, scrubbed.proven) == (True, 2 * 7)
        (job,) = (job for job in node.jobs if job.kind == "scrub")
        assert job.state == "done"
        require_agreement(node)


def test_sessions_of_one_folder_are_archived_side_by_side(lab: Lab, pool: Executor) -> None:
    folder = lab.session("flat", files=6)
    parts = [(f"scan {number}.bin",) for number in range(6)]
    sessions = [PlannedSession(part[0], True, part[0], "", str(folder), part) for part in parts]
    results = list(lab.node.archive_all(sessions, now=True, executor=pool))
    assert [result.state for result in results] == ["new"] * 6
    assert not list((lab.node.path / "locks").glob("source-*"))


# -- who dies --------------------------------------------------------------------------------------------------------


def test_a_worker_that_dies_after_it_packed_is_no_loss(lab: Lab, executor: Executor) -> None:
    folders = [lab.session(f"s{number}") for number in range(4)]
    deadly = Deadly(executor, {"s1"}, "after", lab.root / "died")
    results = list(lab.node.archive_all(planned(*folders), now=True, executor=deadly))
    assert sorted((result.session.title, result.state) for result in results) == [
        (f"s{number}", "new") for number in range(4)
    ]
    assert (lab.root / "died-s1").exists()
    require_agreement(lab.node)


def test_a_session_that_kills_every_worker_fails_and_stops_no_other(lab: Lab, pool: Executor) -> None:
    folders = [lab.session(f"s{number}") for number in range(4)]
    results = list(lab.node.archive_all(planned(*folders), now=True, executor=Deadly(pool, {"s2"}, "before")))
    (failed,) = (result for result in results if result.error)
    assert (failed.session.title, len(results)) == ("s2", 4)
    assert "lost 2 times" in str(failed.error)
    again = list(lab.node.archive_all(planned(*folders), now=True, executor=pool))
    assert sorted(result.state for result in again) == ["already"] * 3 + ["new"]


def test_a_pool_that_is_broken_for_good_ends_the_run(lab: Lab) -> None:
    folders = [lab.session(f"s{number}") for number in range(8)]
    results: list[SessionResult] = []
    with (
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fragile,
        pytest.raises(Unreachable, match="takes no more tasks"),
    ):
        results.extend(lab.node.archive_all(planned(*folders), now=True, executor=Deadly(fragile, {"s0"}, "before")))
    assert [job.state for job in lab.node.jobs] == ["failed"]
    assert sorted(result.state for result in lab.node.archive_all(planned(*folders), now=True))[-1] == "new"
    require_agreement(lab.node)


@pytest.mark.program("an archive that lasts for seconds")
def test_ctrl_c_keeps_what_was_begun_and_the_next_run_goes_on(lab: Lab, pool: Executor) -> None:
    folders = [lab.session(f"s{number}") for number in range(12)]

    def stop(progress: Progress) -> None:
        if progress.stage == "archive":
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="what was done is kept"):
        list(lab.node.archive_all(planned(*folders), now=True, executor=pool, listener=stop))
    kept = lab.node.search().total
    assert 1 <= kept < 12
    again = list(lab.node.archive_all(planned(*folders), now=True, executor=pool))
    assert sorted(result.state for result in again) == ["already"] * kept + ["new"] * (12 - kept)
    results = lab.node.archive_all(planned(*folders), now=True, executor=pool)
    next(iter(results))
    results.close()
    assert next(job.state for job in lab.node.jobs) == "stopped"
    require_agreement(lab.node)


# -- who cannot see --------------------------------------------------------------------------------------------------


def test_a_worker_that_sees_less_is_named_before_anything_is_begun(
    lab: Lab, pool: Executor, s3_server: S3Server
) -> None:
    pytest.importorskip("botocore")
    folder = lab.session("s")
    url, host = s3_server.url(uuid.uuid4().hex), socket.gethostname()
    lab.node.stores.add(url, name="cloud", options=s3_server.storage_options)
    with pytest.raises(Unreachable, match=f"the worker on {host} does not reach the store 'cloud'") as found:
        list(lab.node.archive_all(planned(folder), now=True, executor=pool))
    assert "AWS_ACCESS_KEY_ID" in str(found.value)
    assert s3_server.secret not in repr(found.value.to_dict())
    assert lab.node.search().total == 0
    assert lab.node.jobs == []
    with pytest.raises(Unreachable, match=host):
        lab.node.scrub(executor=pool)
    assert lab.node.scrub("main", executor=pool).ok


def test_a_worker_looks_at_folder_store_and_files_itself(lab: Lab) -> None:
    main = lab.node.context.settings.store("main")
    host = socket.gethostname()
    with pytest.raises(Unreachable, match=f"on {host} does not see this folder"):
        work(Task("probe", {"stores": (), "folders": ("/nowhere/at/all",)}))
    assert (
        work(Task("probe", {"stores": (main,), "folders": (str(lab.root),)})).value == lab.node.context.tools.identity
    )
    folder = lab.session("s")
    plan = make_plan([folder], store=None, metadata=None, readers=())
    shutil.rmtree(folder)
    lab.session("s", seed=1, size=6000)
    with pytest.raises(Unreachable, match=f"on {host} does not see these files"):
        work(Task("pack", {"store": main, "plan": plan, "options": Options(archived=MOMENT)}))
    (lab.root / "main/.diadem/store.json").write_text('{"store": "another"}')
    with pytest.raises(Unreachable, match=f"on {host} does not reach the store 'main'"):
        work(Task("pack", {"store": main, "plan": plan, "options": Options(archived=MOMENT)}))


# -- copies ----------------------------------------------------------------------------------------------------------


def test_workers_find_the_same_damage(lab: Lab, executor: Executor) -> None:
    packages = [lab.archived(f"s{number}", files=2) for number in range(5)]
    damage(lab.path(packages[1], "main") / "data/scan 1.bin")
    shutil.move(lab.path(packages[2], "main"), lab.root / "away")
    read = lab.node.scrub(executor=executor, max_rate=1e9)
    assert {(one.package, one.state) for one in read.damaged} == {(packages[1], SUSPECT), (packages[2], "missing")}
    (found,) = (one for one in read.damaged if one.package == packages[1])
    assert [(one.path, one.leaf) for one in found.report.findings] == [("data/scan 1.bin", 0)]
    assert read.proven == 3
    assert [job.state for job in lab.node.jobs if job.kind == "scrub"] == ["done"]


def test_a_store_that_goes_away_is_not_called_damaged(lab: Lab, pool: Executor) -> None:
    lab.add_second()
    for number in range(3):
        lab.archived(f"s{number}")
    lab.node.scrub("main", executor=pool)
    lab.node.context.stores.open("second")  # it was looked at a moment ago
    shutil.move(lab.second, lab.root / "unplugged")
    result = lab.node.scrub(executor=None)
    assert not result.damaged
    assert [name for name, _ in result.unread] == ["second"]


# -- S3 --------------------------------------------------------------------------------------------------------------


@pytest.mark.program("two whole nodes beside a real server")
def test_two_workers_archive_into_one_bucket(lab: Lab, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("botocore")
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    url = s3_server.url(uuid.uuid4().hex)
    folders = [lab.session(f"s{number}", files=2) for number in range(4)]
    large = lab.session("large", files=1, size=11 << 20)  # of several parts
    twin = Path(shutil.copytree(folders[0], lab.root / "twin"))
    with (
        diadem.Node.create(lab.root / "cloud", name="cloud", user="alice", store=url, kind="object") as node,
        diadem.WorkerPool(2) as pool,
    ):
        results = list(node.archive_all(planned(*folders, large, twin), now=True, executor=pool))
        assert sorted(result.state for result in results) == ["already", *["new"] * 5]
        assert set(map(tuple, copies(node).values())) == {("main",)}
        scrubbed = node.scrub(executor=pool)
        assert (scrubbed.ok, scrubbed.proven) == (True, 5)
        fresh = lab.session("fresh", files=2)
        plan = make_plan([fresh], store=None, metadata=None, readers=())
        main = node.context.settings.store("main")
        task = Task("pack", {"store": main, "plan": plan, "options": Options(archived=MOMENT)})
        one, other = (future.result().value for future in [pool.submit(work, task) for _ in range(2)])
        assert (one.package, one.path) == (other.package, other.path)
        assert sorted([one.outcome.created, other.outcome.created]) == [False, True]
        (taken,) = node.archive_all(planned(fresh), now=True, executor=pool)  # nobody knew of it
        assert (taken.state, str(taken.archived.package.id if taken.archived else "")) == ("new", one.package)


# -- the command line ------------------------------------------------------------------------------------------------


@pytest.mark.program("a cluster of processes")
def test_the_command_line_takes_processes_or_a_cluster(lab: Lab, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trip_ = lab.root / "trip"
    trip_.mkdir()
    for number in range(3):
        lab.session(f"trip/2026-03-0{number + 1} s{number}", size=3000 + number)
    at = ("--node", lab.node.path)
    found = said_json("archive", trip_, "--split", "--jobs", 2, "--now", *at)
    assert [one["state"] for one in found["sessions"]] == ["new"] * len(found["sessions"])
    assert said_json("scrub", "--jobs", 2, *at)["proven"] == len(found["sessions"])
    assert "proven" in said("scrub", "--dask", cluster.scheduler_address, *at)
    assert "cannot be used together" in said("scrub", "--jobs", 2, "--dask", "tcp://127.0.0.1:1", *at, code=2)
    assert "one session is archived by one process" in said("archive", trip_, "--jobs", 2, *at, code=2)
    monkeypatch.setattr("diadem.workers.executors._ANSWER", 0.5)
    assert "scheduler does not answer" in said("scrub", "--dask", "tcp://127.0.0.1:9", *at, code=5)
