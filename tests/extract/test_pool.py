"""The extractor against readers that misbehave: each costs one issue, and the next dataset is read as ever."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from diadem.errors import UsageError
from diadem.extract.confinement import landlock_version
from diadem.extract.extraction import Extraction
from diadem.extract.parent import PATIENCE
from diadem.extract.pool import WORTH_A_WORKER, Extractor
from diadem.extract.survey import survey
from diadem.hooks.offers import Group, ReaderOffer

NAMES = (
    *("honest", "hang", "sleep", "die", "print_much", "eat_memory", "talk_too_much", "snoop", "environment"),
    *("lazy_refused", "bad_array", "nonsense", "path_in_title", "calls_for_dask", "forge", "unpickle"),
)


def offer_of(name: str) -> ReaderOffer:
    """The offer of one misbehaving reader, named and suffixed after its function."""
    dashed = name.replace("_", "-")
    return ReaderOffer(name=dashed, suffixes=("." + dashed,), load=f"hostile_readers:{name}")


READERS = [offer_of(name) for name in NAMES]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file for each reader, and one outside."""
    outer = tmp_path_factory.mktemp("outer")
    (outer / "outside.txt").write_text("another group's file")
    inner = outer / "inner"
    inner.mkdir()
    for offer in READERS:
        (inner / f"a{offer.suffixes[0]}").write_bytes(b"some bytes")
    return inner


@pytest.fixture(scope="module")
def extractor() -> Iterator[Extractor]:
    """One worker with little memory."""
    with Extractor(READERS, memory=2 << 30) as made:
        yield made


@pytest.fixture(scope="module")
def hasty() -> Iterator[Extractor]:
    """One worker with little time."""
    with Extractor(READERS, timeout=3.0) as made:
        yield made


def read(extractor: Extractor, folder: Path, name: str) -> Extraction:
    """Read the file of one reader."""
    path = f"a.{name}"
    return extractor.extract(survey([(path, (folder / path).stat().st_size)], READERS)[0], folder)


def codes(found: Extraction) -> list[str]:
    """Codes of the issues."""
    return [issue["code"] for issue in found.issues]


def test_an_honest_reader(extractor: Extractor, folder: Path) -> None:
    found = read(extractor, folder, "honest")
    assert (found.format, found.evidence, found.issues) == ("honest", ("suffix",), [])
    assert found.signals[0]["shape"] == [4, 4]
    assert found.signals[0]["axes"][0] == {
        "name": "y",
        "size": 4,
        "scale": 2e-9,
        "scale_as_stored": 2.0,
        "offset": 0.0,
        "offset_as_stored": 0.0,
        "unit": "m",
        "unit_as_stored": "nm",
        "navigate": False,
    }
    assert found.preview is not None
    assert found.preview.startswith(b"\x89PNG")
    assert found.fields["image.pixel_size_x"][0]["value"] == 2e-9


@pytest.mark.parametrize(
    ("name", "others"),
    [("size", ["reader-failed"]), ("signals", []), ("blocks", []), ("at_once", [])],
)
def test_a_file_that_is_shorter_than_it_says_is_told_of_once(tmp_path: Path, name: str, others: list[str]) -> None:
    (tmp_path / "a.short").write_bytes(b"some bytes")
    readers = [ReaderOffer(name="short", suffixes=(".short",), open=f"hostile_readers:short_{name}")]
    plan = survey([("a.short", 10)], readers)[0]
    with Extractor(readers, lasting=True) as extractor:
        found = extractor.extract(plan, tmp_path)
        alone = extractor.extract(plan, tmp_path, sizes_only=True)
    (told,) = (one for one in found.issues if one["code"] == "truncated")
    assert (told["file"], told["message"]) == (
        "f1", "'a.short' is not complete: its header promises 1000 bytes, 10 are there",
    )  # fmt: skip
    assert [code for code in codes(found) if code != "truncated"] == others
    assert [one["message"] for one in alone.issues] == ([] if name == "blocks" else [told["message"]])
    assert (alone.signals, alone.fields) == ([], {})


def test_a_part_that_is_shorter_than_it_says_is_named(tmp_path: Path) -> None:
    for suffix in ("short", "part"):
        (tmp_path / f"a.{suffix}").write_bytes(b"some bytes")
    group = Group("{stem}.short", ("{stem}.part",))
    readers = [ReaderOffer(name="short", suffixes=(".short",), open="hostile_readers:short_part", groups=(group,))]
    with Extractor(readers, lasting=True) as extractor:
        found = extractor.extract(survey([("a.short", 10), ("a.part", 10)], readers)[0], tmp_path)
    assert [(one["code"], one["file"]) for one in found.issues] == [("truncated", "f2")]


@pytest.mark.parametrize("name", ["hang", "sleep"])
def test_what_never_ends_costs_one_issue(hasty: Extractor, folder: Path, name: str) -> None:
    started = time.monotonic()
    found = read(hasty, folder, name)
    assert codes(found) == ["reader-timeout"]
    assert found.signals == []
    assert time.monotonic() - started < 20
    assert codes(read(hasty, folder, "honest")) == []


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("die", "reader-crashed"),
        ("eat-memory", "memory-limit"),
        ("talk-too-much", "too-much-metadata"),
        ("nonsense", "reader-failed"),
    ],
)
def test_misbehaviour_costs_one_issue(extractor: Extractor, folder: Path, name: str, code: str) -> None:
    if code == "memory-limit" and not sys.platform.startswith("linux"):
        pytest.skip("this system has no limit of the address space")
    found = read(extractor, folder, name)
    assert codes(found) == [code]
    assert found.signals == []
    assert codes(read(extractor, folder, "honest")) == []


@pytest.mark.parametrize(("name", "code"), [("a.forge", "reader-failed"), ("nested.forge", "reader-crashed")])
def test_whatever_a_worker_answers_that_was_taken_over_costs_one_issue(folder: Path, name: str, code: str) -> None:
    (folder / name).write_bytes(b"some bytes")
    with Extractor(READERS) as extractor:
        assert codes(extractor.extract(survey([(name, 10)], READERS)[0], folder)) == [code]


def test_no_codec_unpickles(extractor: Extractor, folder: Path) -> None:
    (found,) = read(extractor, folder, "unpickle").issues
    assert "a reader may not unpickle" in found["message"]


def test_prints_do_not_reach_the_protocol(extractor: Extractor, folder: Path) -> None:
    found = read(extractor, folder, "print-much")
    assert found.format == "print-much"
    assert found.signals[0]["title"] == "input '' b''"


def test_nothing_outside_the_dataset_is_reached(extractor: Extractor, folder: Path) -> None:
    before = sorted(path.name for path in folder.iterdir())
    assert read(extractor, folder, "snoop").signals[0]["title"] == "nothing worked"
    assert sorted(path.name for path in folder.iterdir()) == before


def test_machine_code_finds_every_door_shut_where_the_system_shuts_them(tmp_path: Path) -> None:
    if not landlock_version():
        pytest.skip("this kernel has no Landlock: what stands before machine code is the hook alone")
    outside, data = tmp_path / "outside", tmp_path / "data"
    for folder in (outside, data):
        folder.mkdir()
    secret = outside / "secret"
    secret.write_text("another group's file")
    before = os.stat(secret)
    unix = f"/tmp/diadem-{os.getpid()}"
    reader = ReaderOffer(name="escape", suffixes=(".escape",), load="hostile_machine_code:escape")
    with contextlib.ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        for kind, place in ((socket.SOCK_STREAM, unix), (socket.SOCK_DGRAM, f"{unix}.d")):
            one = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
            one.bind(place)
            stack.callback(os.unlink, place)
            if kind == socket.SOCK_STREAM:
                one.listen()
        file = data / "a.escape"
        file.write_text(f"{outside}\n{unix}\n{tcp.getsockname()[1]}\n{os.getpid()}", "utf-8")
        extractor = stack.enter_context(Extractor([reader], memory=2 << 30))
        found = extractor.extract(survey([(file.name, file.stat().st_size)], [reader])[0], data)
    assert found.extraction["isolation"]["files"] == "landlock"
    assert [one["title"] for one in found.signals] == ["all shut"], found.issues
    assert os.listdir(outside) == ["secret"]
    after = os.stat(secret)
    assert (after.st_mode, after.st_mtime_ns, after.st_size) == (before.st_mode, before.st_mtime_ns, before.st_size)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_nothing_outside_is_emptied_whatever_landlock_knows(tmp_path: Path, version: int) -> None:
    if landlock_version() < version:
        pytest.skip("this kernel has no such Landlock")
    (tmp_path / "scratch").mkdir()
    file = tmp_path / "data" / "scan.raw"
    file.parent.mkdir()
    file.write_bytes(b"an original")
    script = f"""
import os
from diadem.extract.confinement import limit_calls, limit_files
assert limit_files([{os.fspath(file.parent)!r}], {os.fspath(tmp_path / "scratch")!r}, {version}) and limit_calls()
for empty in (lambda: os.truncate(path, 0), lambda: os.open(path, os.O_RDONLY | os.O_TRUNC), lambda: open(path, "w")):
    path = {os.fspath(file)!r}
    try:
        empty()
    except PermissionError:
        continue
    raise SystemExit("emptied")
assert open(path, "rb").read() == b"an original"
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert file.read_bytes() == b"an original"


def test_each_folder_is_closed_to_what_reads_another(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "b.honest").write_bytes(b"some bytes")
    with Extractor(READERS) as extractor:
        for _ in range(3):
            assert read(extractor, folder, "honest").signals[0]["title"] == "a.honest"
            found = extractor.extract(survey([("b.honest", 10)], READERS)[0], tmp_path)
            assert found.signals[0]["title"] == "b.honest"
        assert len(extractor._crew._all) == 1


def test_surroundings_of_a_worker(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIADEM_TEST_SECRET", "hunter2")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    with Extractor(READERS) as extractor:
        title = read(extractor, folder, "environment").signals[0]["title"]
    assert title == repr({"zone": "+0000", "secret": "absent", "plugins": "", "here": [], "path": False})


def test_a_large_library_is_there_when_a_reader_asks_for_it(folder: Path) -> None:
    with Extractor(READERS) as asked, Extractor(READERS) as warmed:
        warmed.warm()
        found = [read(one, folder, "calls-for-dask") for one in (asked, asked, warmed)]
    assert [one.issues for one in found] == [[], [], []]
    assert [one.signals[0]["title"] for one in found] == [
        repr((before, 4 << 20, False)) for before in (False, True, True)
    ]
    assert [one.preview for one in found] == [found[0].preview] * 3


def test_a_reader_that_cannot_be_lazy(extractor: Extractor, folder: Path) -> None:
    found = read(extractor, folder, "lazy-refused")
    assert found.signals[0]["title"] == "eager"
    assert found.extraction["lazy"] is False


def test_a_failed_picture_is_noted_and_is_no_issue(extractor: Extractor, folder: Path) -> None:
    found = read(extractor, folder, "bad-array")
    assert found.issues == []
    assert found.preview is None
    assert found.extraction["preview"].startswith("failed: OSError")
    assert str(folder) not in json.dumps(found.extraction)


def test_no_path_of_this_machine(extractor: Extractor, folder: Path) -> None:
    assert read(extractor, folder, "path-in-title").signals[0]["title"] == "from a.path-in-title"


def test_what_no_reader_knows_starts_no_worker(folder: Path) -> None:
    (folder / "b.unknown").write_bytes(b"12345")
    with Extractor(READERS) as extractor:
        plans = survey([("b.unknown", 5), ("a.honest", 0)], READERS)
        empty, unknown = (extractor.extract(plan, folder) for plan in plans)
        assert extractor._crew._all == set()
    assert (unknown.format, unknown.issues, unknown.extraction) == ("unknown", [], {})
    assert (empty.format, codes(empty)) == ("honest", ["empty"])


def test_a_file_that_is_gone(extractor: Extractor, folder: Path) -> None:
    assert codes(extractor.extract(survey([("gone.honest", 5)], READERS)[0], folder)) == ["unreadable"]


def test_a_link_is_not_followed(extractor: Extractor, folder: Path, tmp_path: Path) -> None:
    try:
        (tmp_path / "a.honest").symlink_to(folder / "a.honest")
    except OSError:
        pytest.skip("this user may not make symbolic links")
    assert codes(extractor.extract(survey([("a.honest", 10)], READERS)[0], tmp_path)) == ["symlink"]


def test_many_callers_and_order(folder: Path) -> None:
    for number in range(40):
        (folder / f"m{number:02d}.honest").write_bytes(b"x")
    plans = survey([(f"m{number:02d}.honest", 1) for number in range(40)], READERS)
    with Extractor(READERS, workers=2, previews=False) as extractor:
        extractor.warm()
        results = list(extractor.extract_many(plans, folder))
        assert len(extractor._crew._all) <= 2
    assert [plan.id for plan, _ in results] == [plan.id for plan in plans]
    assert [found.signals[0]["title"] for _, found in results] == [plan.primary.path for plan in plans]
    assert all(found.preview is None for _, found in results)


def test_few_datasets_start_one_worker_and_many_start_all(folder: Path) -> None:
    plans = survey([("a.honest", 10)] * 6, READERS)
    with Extractor(READERS, workers=2, previews=False) as extractor:
        assert len(list(extractor.extract_many(plans, folder))) == len(plans)
        assert len(extractor._crew._all) == 1
        extractor.expect(WORTH_A_WORKER)
        extractor.warm(WORTH_A_WORKER)
        assert len(extractor._crew._all) == 1
        extractor.expect(WORTH_A_WORKER + 1)
        assert len(extractor._crew._all) == 2
        extractor.warm(100 * WORTH_A_WORKER)
        assert len(extractor._crew._all) == 2


def test_who_has_waited_for_a_busy_worker_gets_another(folder: Path) -> None:
    with Extractor(READERS, workers=2, timeout=60.0) as extractor:
        thread = threading.Thread(target=read, args=(extractor, folder, "sleep"))
        thread.start()
        while not extractor._crew._all:
            time.sleep(0.01)
        started = time.monotonic()
        assert codes(read(extractor, folder, "honest")) == []
        assert time.monotonic() - started >= PATIENCE
        assert len(extractor._crew._all) == 2
        extractor.close()
        thread.join(timeout=20)
    assert not thread.is_alive()


def test_closing_ends_busy_workers(folder: Path) -> None:
    extractor = Extractor(READERS, timeout=60.0)
    found: list[Extraction] = []
    thread = threading.Thread(target=lambda: found.append(read(extractor, folder, "sleep")))
    thread.start()
    time.sleep(1.0)
    extractor.close()
    thread.join(timeout=20)
    assert [codes(item) for item in found] == [["reader-crashed"]]
    with pytest.raises(UsageError, match="closed"):
        read(extractor, folder, "honest")


def test_workers_do_not_outlive_a_killed_parent(folder: Path, tmp_path: Path) -> None:
    if os.name == "nt":
        pytest.skip("processes are looked up in /proc or by ps")
    script = tmp_path / "parent.py"
    script.write_text(
        f"import sys; sys.path[:0] = {[str(Path(__file__).parent)]!r}\n"
        "import threading, time; from pathlib import Path\n"
        "from test_pool import READERS, read; from diadem.extract.pool import Extractor\n"
        "extractor = Extractor(READERS)\n"
        f"threading.Thread(target=read, args=(extractor, Path({str(folder)!r}), 'hang'), daemon=True).start()\n"
        "while not extractor._crew._all: time.sleep(0.01)\n"
        "time.sleep(2); worker = next(iter(extractor._crew._all))\n"
        "print(worker._process.pid, worker._scratch, flush=True); time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid, _, scratch = parent.stdout.readline().strip().partition(" ")
    worker = int(pid)
    assert Path(scratch).is_dir()
    os.kill(worker, 0)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(100):
        if not running(worker):
            break
        time.sleep(0.1)
    else:
        os.kill(worker, 9)
        pytest.fail("the worker outlived its parent")
    assert not Path(scratch).exists()


def running(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().split()[2] == "Z")


def test_what_a_large_library_imports_to_know_its_types_comes_when_it_is_asked_for() -> None:
    """Half of the start of a reader was Numba and pandas; arrays of these types are chunks all the same."""
    program = (
        "import sys; from diadem.extract import sandbox\n"
        "sandbox.import_freely(sandbox.Guard(sandbox.scratch_folder(), ()), ('dask.array',))\n"
        "import dask.array; print(sorted({'numba', 'pandas', 'sparse', 'xarray', 'scipy.sparse'} & {*sys.modules}))\n"
        "import scipy.sparse, sparse\n"
        "rows = [sparse.COO.from_numpy(__import__('numpy').eye(2)), scipy.sparse.eye_array(2), scipy.sparse.eye(2)]\n"
        "print([dask.array.core.is_valid_array_chunk(one) for one in rows])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "[True, True, True]"]
