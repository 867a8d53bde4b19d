"""Shared fixtures: real instrument files and conformance bags, when they lie beside the checkout."""

from __future__ import annotations

import compileall
import contextlib
import gc
import importlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from itertools import islice
from pathlib import Path

import hypothesis
import pytest

import diadem
from diadem.archive.package import Package
from tests.browser import chromium  # noqa: F401  a fixture for every room
from tests.catalogues import ON_POSTGRES
from tests.postgres_server import own_server, postgres_server  # noqa: F401  the same
from tests.real_files import SHARED, unpack
from tests.services import s3_server  # noqa: F401  the same
from tests.sftp_server import sftp_server  # noqa: F401  the same

# What a test is about is never how long a busy machine takes for one example.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")

#: Files whose tests take longest, the longest first; before all others those that mostly wait.
LONG = (
    "test_hub_ordeal",
    "test_interruptions",
    "test_two_labs_and_a_hub",
    "test_two_labs",
    "test_two_nodes",
    "test_every_screen",
    "test_benchmarks_smoke",
    "test_notebooks",
    "test_faults",
    "test_failing_calls",
    "test_untrusted",
    "test_wheel",
    "test_object_s3",
    "test_check_plugin",
    "test_invariance",
    "test_example_plugin",
    "test_real_session",
    "test_canary",
    "test_scan",
    "test_extract_many",
    "test_docs",
    "test_commands",
    "test_reextracting",
)


#: Seconds that a process of the tests waits for what another one makes for all.
_PATIENCE = 200
#: Bytes that the tests may need for what they write.
_ROOM = 6 << 30


def _write_into_memory() -> None:
    """Let what tests write lie in memory where there is room: the flushes of thousands of nodes to a disk take half
    of the time, and prove nothing, for no test cuts the power. Where `TMPDIR` is set, it lies there.
    """
    memory = Path("/dev/shm")
    if "TMPDIR" in os.environ or not memory.is_dir() or not os.access(memory, os.W_OK):
        return
    if shutil.disk_usage(memory).free >= _ROOM:
        os.environ["TMPDIR"] = str(memory)
        tempfile.tempdir = None


_write_into_memory()  # before anything asks where files of tests go; further processes inherit it
# The tests are compiled once, not by each process that runs some of them.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores: many tests wait for a process of their own, or for one that hangs."""
    return (os.cpu_count() or 1) + 1


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the package once: the tests start some hundred processes, and a worker keeps nothing that it compiles."""
    if not hasattr(session.config, "workerinput"):
        compileall.compile_dir(Path(__file__).resolve().parent.parent / "diadem", quiet=2)


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Let each worker begin with a part of the files of its own: it finds the rest compiled by the others.

    Nothing of what is collected is garbage, and it would be looked through again and again.
    """
    gc.disable()
    given = getattr(session.config, "workerinput", None)
    if given is None or session.config.args != session.config.getini("testpaths"):
        return
    files = sorted(Path(__file__).parent.rglob("test_*.py"))
    first = len(files) * int(given["workerid"].removeprefix("gw")) // given["workercount"]
    for file in (*files[first:], *files[:first]):
        # What cannot be imported, or is skipped, is told when it is collected.
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(".".join(file.relative_to(session.config.rootpath).with_suffix("").parts))


def pytest_collection_finish() -> None:
    """What is there now stays; and what tests make is looked through seldom, for that takes an eighth of their time."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem() -> Generator[None, object, object]:
    """Keep some cases of a test that is marked ``sweep(keep)``, evenly chosen; the others are marked `program`."""
    made = yield
    items = [one for one in made if isinstance(one, pytest.Function)] if isinstance(made, list) else []
    mark = items[0].get_closest_marker("sweep") if items else None
    if mark is not None:
        (keep,) = mark.args
        kept = {round(place * (len(items) - 1) / max(1, keep - 1)) for place in range(keep)}
        for number, item in enumerate(items):
            if number not in kept:
                item.add_marker(pytest.mark.program("further cases of a sweep"))
    return made


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what looks at pages in a browser, and what asks a PostgreSQL server: few who try the project have them."""
    for mark in item.iter_markers("program"):
        assert mark.args, f"{item.nodeid}: say why: @pytest.mark.program('…')"
    fixtures = getattr(item, "fixturenames", ())
    if "chromium" in fixtures:
        item.add_marker("browser")
    database = item.callspec.params.get("new_address") if hasattr(item, "callspec") else None
    if database == "postgresql" or {"postgres_server", "own_server"} & {*fixtures}:
        item.add_marker("postgresql")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let the share of each process begin with some of the long tests, so that none is left alone with them at the end.

    The order of the others stays. Shares are those of ``--dist worksteal``.
    """
    workers = int(getattr(config, "workerinput", {}).get("workercount", 1))
    files = [[item for item in items if item.path.stem == name] for name in LONG]
    others = iter([item for item in items if item.path.stem not in LONG])
    dealt: list[pytest.Item] = []
    for place in range(workers):
        share = (len(items) - len(dealt)) // (workers - place)
        first = [item for file in files[place::workers] for item in file]
        dealt += [*first, *islice(others, max(0, share - len(first)))]
    items[:] = [*dealt, *others]


@pytest.fixture(scope="session", autouse=True)
def catalogues(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let every node that is made have its catalogue on a PostgreSQL server, if that is wished for."""
    if not ON_POSTGRES:
        yield
        return
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DIADEM_CATALOGUE", request.getfixturevalue("postgres_server").database)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real instrument files as stored (some are gzip)."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("the real instrument files are not beside this checkout (../shared/data)")
    return folder


@pytest.fixture(scope="session")
def bagit_suite() -> Path:
    """Folder of the BagIt conformance bags."""
    folder = SHARED / "bagit-suite"
    if not folder.is_dir():
        pytest.skip("the BagIt conformance suite is not beside this checkout (../shared/bagit-suite)")
    return folder


@pytest.fixture(scope="session")
def unpacked_data(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the real files, gzip ones unpacked, for this process of the tests alone: some damage it for a while."""
    return unpack(shared_data, tmp_path_factory.mktemp("unpacked") / "data")


@pytest.fixture(scope="session")
def corpus(shared_data: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Package:
    """A package of the unpacked real files, which the first process that asks makes for all. To be read only."""
    home = tmp_path_factory.getbasetemp() / "corpus"
    if hasattr(request.config, "workerinput"):
        home = home.parent.parent / "corpus"
    address = home / "address"
    try:
        home.mkdir()
    except FileExistsError:
        until = time.monotonic() + _PATIENCE
        while not address.exists() and time.monotonic() < until:
            time.sleep(0.1)
    else:
        url = ""
        try:
            url = diadem.pack(unpack(shared_data, home / "data"), home / "package").url
        finally:
            shutil.rmtree(home / "data")
            (home / "draft").write_text(url, encoding="utf-8")
            (home / "draft").rename(address)
    url = address.read_text(encoding="utf-8")
    return diadem.open(url) if url else pytest.fail("another process of the tests could not pack the real files")
