"""Calls of the operating system that fail under commands: each ends, says what to do, and loses nothing.

`benchmarks/failing_calls.py` tries thousands, and repeats one by its seed.
"""

from __future__ import annotations

import errno
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from diadem.errors import Unreachable
from diadem.store.system import FileLock
from tests import failing_calls
from tests.failing_calls import Case, Site, faults

pytestmark = pytest.mark.skipif(bool(failing_calls.missing()), reason=failing_calls.missing() or "it can be tried")

#: Seeded cases, in portions that run side by side; `.ci/run` asks for two hundred.
CASES, PORTION = int(os.environ.get("DIADEM_TEST_FAILING_CALLS", "40")), 5


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A node that is put back before every case."""
    with Site(tmp_path_factory.mktemp("failing")) as made:
        yield made


@pytest.mark.program("whole commands below a library that makes calls fail")
@pytest.mark.parametrize("first", range(0, CASES, PORTION))
def test_no_call_that_fails_breaks_a_promise(site: Site, first: int) -> None:
    broken = [str(case) for seed in range(first, first + PORTION) if (case := site.case(seed)).broken]
    assert not broken, "\n\n".join(broken)


def tried(site: Site, verb: str, call: str, under: str, error: int, *, number: int = 1, sticky: bool = False) -> str:
    """What a command says while such a call fails; nothing may be broken then, nor afterwards."""
    case = Case(-1, verb, call, under, number, error, sticky)
    site.try_out(case)
    assert not case.broken, str(case)
    return case.said[0]


@pytest.mark.program("whole commands below a library that makes calls fail")
def test_a_share_that_was_restarted_stops_no_archive(site: Site) -> None:
    """One look at a store's lock fails: the other store gets its copy first, and nobody waits for a lock of his own."""
    told = tried(site, "archive", "stat", "main/.diadem/publish.lock", errno.ESTALE)
    assert told.count("proven while it was written") == 2


@pytest.mark.program("whole commands below a library that makes calls fail")
def test_a_look_at_the_log_s_lock_that_fails_stops_nothing(site: Site) -> None:
    assert "archived" in tried(site, "archive", "stat", "node/log/push.lock", errno.ESTALE, sticky=True)


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS])
def test_a_file_system_without_permissions_holds_packages(site: Site, error: int) -> None:
    told = tried(site, "archive", "chmod", "main", error, sticky=True)
    assert "proven while it was written" in told
    assert not list((site.folder / "main" / ".diadem" / "stage").iterdir())


def test_a_store_that_turns_read_only_hides_neither_its_cause_nor_the_other_copy(site: Site) -> None:
    told = tried(site, "archive", "unlink:write:open:mkdir:rename:chmod", "second", errno.EROFS, number=12, sticky=True)
    assert "the disk is read-only" in told
    assert "OWED" in told
    assert "main         proven while it was written" in told


@pytest.mark.program("whole commands below a library that makes calls fail")
def test_what_succeeded_stays_done_when_its_note_cannot_be_kept(site: Site) -> None:
    calls = site.calls("archive", "unlink", "node/jobs")
    told = tried(site, "archive", "unlink", "node/jobs", errno.EROFS, number=calls, sticky=True)
    assert told.startswith("-- while it failed: 0")
    told = tried(site, "archive", "unlink", "node/locks", errno.EIO, sticky=True)
    assert told.startswith("-- while it failed: 0")


def test_settings_that_cannot_be_read_now_are_not_to_be_mended(site: Site) -> None:
    told = tried(site, "status", "read", "node/node.toml", errno.ETIMEDOUT)
    assert "cannot be read" in told


def test_stages_whose_chmod_fails_are_swept(site: Site) -> None:
    """What an archive leaves that was killed goes with the next one, also where permissions cannot be set."""
    site.put_back()
    left = site.folder / "main" / ".diadem" / "stage" / ("0" * 32)
    (left / "bag" / "data").mkdir(parents=True)
    (left / "bag" / "data" / "x").write_bytes(bytes(1000))
    Path(f"{left}.lock").touch()
    code, told = site.failing(("repair",), "chmod", "main", "n=1", f"errno={errno.EPERM}", "sticky=1")
    assert code == 0, told
    assert not left.exists()


@pytest.mark.program("whole commands below a library that makes calls fail")
def test_an_export_that_is_killed_leaves_no_zip_that_is_not_whole(site: Site) -> None:
    """Whatever it was about to do with its file, the next export finds no name taken by an empty one."""
    words = ("export", site.ids[0], site.folder / "stick" / "out.zip", "--for", "Marie")
    sorts = "open:link:rename:unlink"
    site.put_back()
    (site.folder / "stick").mkdir()
    site.failing(words, sorts, "stick", "n=0")
    for number in range(2, site.counts[0] + 1):
        site.put_back()
        (site.folder / "stick").mkdir()
        assert site.failing(words, sorts, "stick", f"n={number}", "kill=1")[0] == -9
        if not (site.folder / "stick" / "out.zip").exists():
            assert site.run(words)[0] == 0
        assert zipfile.ZipFile(site.folder / "stick" / "out.zip").testzip() is None


def test_what_cannot_be_given_back_whole_leaves_the_folder_empty(site: Site) -> None:
    site.put_back()
    given = site.folder / "given"
    given.mkdir()
    words = ("get", site.ids[0], given)
    code, told = site.failing(words, "rename", "given", "n=2", f"errno={errno.EIO}")
    assert code == 4, told
    assert "nothing was restored" in told
    assert not list(given.iterdir())
    assert site.run(words)[0] == 0


def test_a_writer_that_hangs_ends_the_wait_of_the_others_with_its_number(site: Site) -> None:
    lock = FileLock(site.folder / "some.lock")
    assert lock.acquire()
    with pytest.raises(Unreachable, match=f"process {os.getpid()} has held a lock") as caught:
        FileLock(site.folder / "some.lock").acquire(wait=0.1)
    assert caught.value.next
    lock.release()
    with FileLock(site.folder / "some.lock"):
        pass


@pytest.mark.parametrize("between", [(), ("scrub",), ("verify",)])
def test_a_leaf_that_the_disk_did_not_take_is_written_again(site: Site, between: tuple[str, ...]) -> None:
    """The system says once that a disk did not take what it was given, and gives it back from memory until it starts
    anew: what reads right proves nothing then."""
    site.put_back()
    site.prepare("repair")
    hurt = next((site.folder / "second").glob("2*/*first*/data/scan 1.bin"))
    place = str(hurt.relative_to(site.folder))
    code, said = site.failing(["repair"], "fsync", place, "n=1", f"errno={errno.EIO}")
    assert code != 0, said
    assert "still damaged" in said
    if between:
        site.run([*between, site.ids[0]] if between == ("verify",) else between)
    code, said = site.failing(["repair"], "write:fsync", place, "n=0")
    assert code == 0, said
    assert site.counts[0] >= 2, said
    assert not list((site.folder / "second/.diadem/mending").iterdir())


def test_a_leaf_that_the_disk_did_not_take_reads_as_damaged(site: Site) -> None:
    site.put_back()
    site.prepare("repair")
    hurt = next((site.folder / "second").glob("2*/*first*/data/scan 1.bin"))
    damaged = hurt.read_bytes()
    site.failing(["repair"], "fsync", str(hurt.relative_to(site.folder)), "n=1", f"errno={errno.EIO}", "sticky=1")
    assert hurt.read_bytes() == damaged
    assert site.run(["scrub"])[0] == 1
    assert site.run(["status"])[0] == 1


def test_a_mender_that_is_killed_before_the_disk_took_a_leaf_writes_it_again(site: Site) -> None:
    site.put_back()
    site.prepare("repair")
    hurt = next((site.folder / "second").glob("2*/*first*/data/scan 1.bin"))
    place = str(hurt.relative_to(site.folder))
    assert site.failing(["repair"], "fsync", place, "n=1", "kill=1")[0] == -9
    site.run(["scrub"])
    code, said = site.failing(["repair"], "write:fsync", place, "n=0")
    assert (code, site.counts[0] >= 2) == (0, True), said
    assert not list((site.folder / "second/.diadem/mending").iterdir())


def test_a_package_whose_name_the_disk_did_not_take_is_owed(site: Site) -> None:
    """Its folder is forced to disk again before it is said to be there."""
    site.put_back()
    years = next((site.folder / "second").glob("2*"))
    words = ("archive", site.source("new"), "--now", "--as-one")
    code, said = site.failing(words, "fsync", f"second/{years.name}", "n=1", f"errno={errno.EIO}")
    assert "OWED" in said, (code, said)
    assert "second       proven" not in said
    code, said = site.failing(("repair",), "fsync", f"second/{years.name}", "n=0")
    assert (code, site.counts[0] > 0) == (0, True), said
    assert not faults(site.folder / "second")


def test_a_package_that_is_there_already_is_forced_to_disk_before_it_is_said_to_be_archived(site: Site) -> None:
    """Whoever gave it its name may have failed in that."""
    site.put_back()
    years = next((site.folder / "main").glob("2*")).name
    words = ("archive", site.source("new"), "--now", "--as-one")
    code, said = site.failing(words, "fsync", f"main/{years}:second/{years}", "n=1", f"errno={errno.EIO}", "sticky=1")
    assert code != 0, said
    assert list((site.folder / "main" / years).glob("*new*"))
    code, said = site.failing(words, "fsync", f"main/{years}", "n=0")
    assert (code, site.counts[0] > 0) == (0, True), said


@pytest.mark.parametrize(
    ("call", "error", "fails"),
    [
        ("fsync", errno.EBADF, False),
        ("fsync", errno.EINVAL, False),
        ("fsync", errno.ENOSYS, False),
        ("open", errno.EACCES, False),
        ("fsync", errno.EIO, True),
        ("fsync", errno.ENOSPC, True),
        ("open", errno.EMFILE, True),
    ],
)
def test_a_folder_that_cannot_be_forced_to_disk_is_no_failure_and_a_disk_that_fails_is(
    site: Site, call: str, error: int, fails: bool
) -> None:
    """A share says the first in many ways; a folder that takes files and shows none cannot be opened."""
    site.put_back()
    years = next((site.folder / "main").glob("2*"))
    words = [sys.executable, "-c", f"from diadem.store.system import flush_folder; flush_folder({str(years)!r})"]
    code, said = site.failing_program(words, call, f"main/{years.name}", "n=1", f"errno={error}")
    assert (code != 0, site.counts[0]) == (fails, 1), said


def test_a_file_whose_name_the_disk_did_not_take_is_forced_to_it_again(site: Site) -> None:
    """A file of a package that is exchanged whole: what reads right afterwards may be in the system's memory alone."""
    site.put_back()
    hurt = next((site.folder / "second").glob("2*/*first*/data/scan 1.bin"))
    hurt.parent.chmod(0o755)
    hurt.unlink()
    site.run(["scrub"])
    place = str(hurt.parent.relative_to(site.folder))
    code, said = site.failing(["repair"], "fsync", place, "n=1", f"errno={errno.EIO}")
    assert code != 0, said
    site.run(["scrub"])
    code, said = site.failing(["repair"], "fsync", place, "n=0")
    assert (code, site.counts[0] > 0) == (0, True), said
    assert not faults(site.folder / "second")
    assert not list((site.folder / "second/.diadem/mending").iterdir())
