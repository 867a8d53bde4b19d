"""Verification of DIADEM packages: every fault named where it is, at the level that can see it."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from diadem.errors import IntegrityError
from diadem.model.manifest import INDEX_PATH, LEAVES_PATH, MANIFEST, TAGMANIFEST
from diadem.model.ports import Progress
from diadem.model.report import MAX_LISTED, Level, Report
from diadem.package.examine import open_tag_files
from diadem.package.tags import Sealed
from diadem.package.verify import verify
from diadem.store.bags import LocalBundle
from tests.package.sample_bags import FailingDisk, write_package

MIB = 1 << 20
PAYLOAD = {
    "scan/large.bin": bytes(range(256)) * 4096 * 9 + b"tail",  # nine leaves and four bytes
    "scan/small.bin": b"small" * 1000,
    "scan/empty.dat": b"",
    "exact.bin": bytes(2 * MIB),
}
LEVELS = list(Level)


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Sealed]:
    folder = tmp_path_factory.mktemp("master") / "package"
    return folder, write_package(folder, PAYLOAD)


@pytest.fixture
def package(tmp_path: Path, master: tuple[Path, Sealed]) -> Path:
    return Path(shutil.copytree(master[0], tmp_path / "package"))


def codes(report: Report) -> list[tuple[str, str | None]]:
    return [(finding.code, finding.path) for finding in report.findings]


def flip(path: Path, place: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 0x10]))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("workers", [1, 3])
def test_a_sound_package_has_no_finding(master: tuple[Path, Sealed], level: Level, workers: int) -> None:
    folder, sealed = master
    report = verify(LocalBundle(folder), level=level, workers=workers, expected_id=sealed.package_id)
    assert report.ok
    assert not report.findings
    assert report.package_id == sealed.package_id
    total = sum(entry.size for entry in sealed.manifest)
    proven = {"bytes": total, "leaves": len(sealed.leaves)} if level is not Level.QUICK else {"bytes": 0, "leaves": 0}
    assert report.checked == {"files": 5, "tag_files": 6, **proven}


@pytest.mark.parametrize("level", [Level.LEAVES, Level.FULL])
@pytest.mark.parametrize("workers", [1, 4])
def test_damaged_leaves_are_named_one_by_one(package: Path, level: Level, workers: int) -> None:
    flip(package / "data/scan/large.bin", 3 * MIB + 5)
    flip(package / "data/scan/large.bin", 4 * MIB)
    flip(package / "data/scan/large.bin", 9 * MIB + 3)
    report = verify(LocalBundle(package), level=level, workers=workers)
    path = "data/scan/large.bin"
    assert codes(report) == [("leaf-mismatch", path)] * 3
    assert [(finding.leaf, finding.range) for finding in report.findings] == [
        (3, (3 * MIB, 4 * MIB)),
        (4, (4 * MIB, 5 * MIB)),
        (9, (9 * MIB, 9 * MIB + 4)),
    ]
    assert all(finding.next for finding in report.findings)
    assert report.checked["leaves"] == 10 + 1 + 2 + 1 - 3
    assert report.checked["files"] == 4
    with pytest.raises(IntegrityError, match="and 2 more"):
        report.raise_for_findings()


def test_quick_sees_sizes_but_not_content(package: Path) -> None:
    flip(package / "data/scan/small.bin", 17)
    assert verify(LocalBundle(package), level=Level.QUICK).ok


@pytest.mark.parametrize("level", LEVELS)
def test_a_shortened_file_is_named_with_what_is_gone(package: Path, level: Level) -> None:
    os.truncate(package / "data/scan/large.bin", 5 * MIB + 7)
    report = verify(LocalBundle(package), level=level)
    assert codes(report) == [("size-mismatch", "data/scan/large.bin")]
    assert report.findings[0].range == (5 * MIB + 7, 9 * MIB + 4)
    assert report.checked["files"] == 4
    if level is not Level.QUICK:
        assert report.checked["leaves"] == 5 + 1 + 2 + 1


def test_damage_within_a_shortened_file_is_named_too(package: Path) -> None:
    os.truncate(package / "data/scan/large.bin", 5 * MIB + 7)
    flip(package / "data/scan/large.bin", 2 * MIB)
    report = verify(LocalBundle(package), level=Level.LEAVES)
    assert sorted(codes(report)) == [("leaf-mismatch", "data/scan/large.bin"), ("size-mismatch", "data/scan/large.bin")]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("path", ["data/scan/large.bin", "data/scan/small.bin", "data/scan/empty.dat"])
def test_a_lengthened_file_is_found(package: Path, level: Level, path: str) -> None:
    with (package / path).open("ab") as file:
        file.write(b"!")
    report = verify(LocalBundle(package), level=level)
    assert codes(report) == [("size-mismatch", path)]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("path", ["data/scan/large.bin", "data/scan/empty.dat", "data/diadem-record.json"])
def test_a_deleted_file_is_found(package: Path, level: Level, path: str) -> None:
    (package / path).unlink()
    report = verify(LocalBundle(package), level=level)
    assert ("file-missing", path) in codes(report)
    assert report.checked["files"] == 4


@pytest.mark.parametrize("path", ["bagit.txt", "bag-info.txt", MANIFEST, INDEX_PATH, LEAVES_PATH, "diadem/vendor.zip"])
@pytest.mark.parametrize("level", LEVELS)
def test_a_deleted_tag_file_is_found(package: Path, level: Level, path: str) -> None:
    (package / path).unlink()
    report = verify(LocalBundle(package), level=level)
    assert ("file-missing", path) in codes(report)


@pytest.mark.parametrize("level", LEVELS)
def test_a_lost_tag_manifest_is_found(package: Path, level: Level) -> None:
    (package / TAGMANIFEST).unlink()
    report = verify(LocalBundle(package), level=level)
    assert codes(report) == [("tagmanifest-missing", TAGMANIFEST)]
    assert report.package_id is None


@pytest.mark.parametrize("path", ["data/extra", "extra.txt", "diadem/extra", "fetch.txt", "tagmanifest-md5.txt"])
def test_an_added_file_is_found(package: Path, path: str) -> None:
    (package / path).write_bytes(b"x")
    report = verify(LocalBundle(package), level=Level.QUICK)
    assert codes(report) == [("file-unexpected", path)]


def test_a_renamed_file_is_found_and_recognised(package: Path) -> None:
    (package / "data/exact.bin").rename(package / "data/renamed.bin")
    report = verify(LocalBundle(package), level=Level.QUICK)
    assert codes(report) == [("file-missing", "data/exact.bin"), ("file-unexpected", "data/renamed.bin")]
    assert "renamed?" in report.findings[1].message


@pytest.mark.skipif(os.name != "posix", reason="links need a right on Windows")
def test_a_file_replaced_by_a_link_to_its_content_is_found(package: Path, tmp_path: Path) -> None:
    (package / "data/exact.bin").rename(tmp_path / "elsewhere.bin")
    (package / "data/exact.bin").symlink_to(tmp_path / "elsewhere.bin")
    report = verify(LocalBundle(package), level=Level.FULL)
    assert codes(report) == [("irregular-file", "data/exact.bin")]


@pytest.mark.parametrize("harm", ["none", "tag file", "tag manifest", "added", "shortened", "deleted"])
def test_what_was_opened_before_is_taken_only_of_the_same_tag_files(package: Path, harm: str) -> None:
    opened = open_tag_files(LocalBundle(package))
    path = package / opened.manifest.payload[0].path
    for folder in (package, path.parent):
        folder.chmod(0o755)
    if harm == "added":
        (package / "data" / "evil.bin").write_bytes(b"evil")
    elif harm == "deleted":
        path.unlink()
    elif harm != "none":
        target = {"tag file": package / INDEX_PATH, "tag manifest": package / TAGMANIFEST, "shortened": path}[harm]
        data = target.read_bytes()
        target.chmod(0o644)
        target.write_bytes(data[:-1])
    reports = [
        verify(LocalBundle(package), level=Level.QUICK, expected_id=opened.id, opened=known) for known in (None, opened)
    ]
    assert reports[1].to_dict() == reports[0].to_dict()
    assert reports[1].ok == (harm == "none")


def test_another_id_is_found(package: Path) -> None:
    report = verify(LocalBundle(package), level=Level.QUICK, expected_id="diadem:" + "0" * 64)
    assert codes(report) == [("id-mismatch", TAGMANIFEST)]


@pytest.mark.parametrize("level", [Level.LEAVES, Level.FULL])
def test_damaged_leaf_digests_accuse_no_file(package: Path, level: Level) -> None:
    flip(package / LEAVES_PATH, 70)
    report = verify(LocalBundle(package), level=level)
    assert codes(report) == [("tag-file-mismatch", LEAVES_PATH), ("leaves-unproven", LEAVES_PATH)]
    assert report.checked["files"] == 5


@pytest.mark.parametrize("level", LEVELS)
def test_tag_files_that_no_package_has_are_named(package: Path, level: Level) -> None:
    """A stranger lists what it likes: wrong digests of another algorithm would be believed by who finds them."""
    lies = f"{'0' * 32}  data/exact.bin\n".encode()
    (package / "manifest-md5.txt").write_bytes(lies)
    lines = (package / TAGMANIFEST).read_text("ascii").splitlines(keepends=True)
    lines.append(f"{hashlib.sha256(lies).hexdigest()}  manifest-md5.txt\n")
    (package / TAGMANIFEST).write_bytes("".join(sorted(lines, key=lambda line: line[66:])).encode("ascii"))
    report = verify(LocalBundle(package), level=level)
    assert report.ok
    assert codes(report) == [("tag-file-unknown", "manifest-md5.txt")]


def test_a_damaged_manifest_accuses_no_file(package: Path) -> None:
    flip(package / MANIFEST, 5)
    report = verify(LocalBundle(package), level=Level.FULL)
    assert codes(report) == [("tag-file-mismatch", MANIFEST), ("manifest-unproven", None)]
    assert report.checked["files"] == 5


def test_a_damaged_index_leaves_the_digests(package: Path) -> None:
    flip(package / INDEX_PATH, 60)
    flip(package / "data/exact.bin", 5)
    report = verify(LocalBundle(package), level=Level.LEAVES)
    assert [code for code, _ in codes(report)] == ["tag-file-mismatch", "digest-mismatch", "leaves-unproven"]


def test_with_nothing_left_to_compare_it_says_so(package: Path) -> None:
    flip(package / INDEX_PATH, 60)
    flip(package / MANIFEST, 5)
    report = verify(LocalBundle(package), level=Level.FULL)
    assert ("payload-unproven", None) in codes(report)
    assert report.checked["files"] == 0


@pytest.mark.parametrize("level", [Level.LEAVES, Level.FULL])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_sector_costs_one_leaf(master: tuple[Path, Sealed], level: Level, workers: int) -> None:
    disk = FailingDisk(master[0], {"data/scan/large.bin": 4 * MIB + 17})
    report = verify(disk, level=level, workers=workers)
    assert codes(report) == [("read-error", "data/scan/large.bin")]
    assert (report.findings[0].leaf, report.findings[0].range) == (4, (4 * MIB, 5 * MIB))
    assert report.checked["leaves"] == 13
    assert report.checked["files"] == 4


@pytest.mark.parametrize("path", [TAGMANIFEST, MANIFEST, "bag-info.txt", "diadem/vendor.zip"])
def test_a_bad_sector_in_a_tag_file_is_a_finding(master: tuple[Path, Sealed], path: str) -> None:
    report = verify(FailingDisk(master[0], {path: 0}), level=Level.LEAVES)
    assert ("file-unreadable", path) in codes(report)


def test_very_many_findings_are_counted(tmp_path: Path) -> None:
    write_package(tmp_path, {f"{number:05d}": b"x" for number in range(MAX_LISTED + 50)})
    for number in range(MAX_LISTED + 50):
        (tmp_path / f"data/{number:05d}").write_bytes(b"y")
    report = verify(LocalBundle(tmp_path), level=Level.LEAVES)
    assert len(report.findings) == MAX_LISTED + 1
    assert {finding.code for finding in report.findings} == {"leaf-mismatch", "findings-omitted"}
    assert "1050 findings" in next(finding.message for finding in report.findings if finding.path is None)
    assert report.checked["files"] == 1


def test_progress_ends_at_the_total(master: tuple[Path, Sealed]) -> None:
    for level in (Level.LEAVES, Level.FULL):
        seen: list[Progress] = []
        verify(LocalBundle(master[0]), level=level, listener=seen.append)
        total = sum(entry.size for entry in master[1].manifest)
        assert max(progress.done for progress in seen) == total
        assert {(progress.stage, progress.total) for progress in seen} == {("verify", total)}


def test_an_interruption_in_a_thread_stops_all(master: tuple[Path, Sealed]) -> None:
    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        verify(LocalBundle(master[0]), level=Level.FULL, workers=3, listener=interrupt)
    assert threading.active_count() == before


SPARSE = """
import signal, sys
from diadem.model.ports import Progress
from diadem.model.report import Findings
from diadem.package.prove import prove
from diadem.package.prove import FileJob
from diadem.store.bags import LocalBundle
from diadem.model.report import Findings
from diadem.package.prove import prove
from diadem.package.prove import FileJob
from diadem.store.bags import LocalBundle
from diadem.trust.hashing import Leaves
size = int(sys.argv[2])
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in the background without it
print("started", flush=True)
prove(LocalBundle(sys.argv[1]), [FileJob("x", size, size, 0)], findings=Findings(), listener=lambda progress: None,
      leaves=Leaves(bytes(32)), workers=2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs sparse files and SIGINT")
def test_ctrl_c_stops_within_moments(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    os.truncate(tmp_path / "x", 1 << 40)  # a tebibyte of holes: minutes of hashing
    command = [sys.executable, "-c", SPARSE, str(tmp_path), str(1 << 40)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        try:
            _, said = process.communicate(timeout=20)
        finally:
            process.kill()
    assert time.monotonic() - started < 5
    assert "KeyboardInterrupt" in said
