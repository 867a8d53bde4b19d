"""A bag in a local folder: everything is seen, nothing outside is touched."""

from __future__ import annotations

import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from diadem.errors import NotFound, PackageError
from diadem.model.ports import Bundle
from diadem.store.bags import LocalBundle

POSIX = pytest.mark.skipif(os.name != "posix", reason="this system has no such files")


@pytest.fixture(params=["as this system can", "as on Windows"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything holds for both ways of opening and reading; the second is the only one on Windows."""
    if request.param == "as on Windows":
        monkeypatch.setattr("diadem.store.bags.STEPWISE", False)
        monkeypatch.setattr("diadem.store.bags._POSITIONED", False)


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    folder = tmp_path / "bag"
    (folder / "data" / "inner").mkdir(parents=True)
    (folder / "bagit.txt").write_bytes(b"BagIt")
    (folder / "data" / "inner" / "é.bin").write_bytes(bytes(range(256)) * 1000)
    (tmp_path / "secret.txt").write_bytes(b"secret")
    return folder


def test_it_is_a_bundle(bag: Path) -> None:
    bundle: Bundle = LocalBundle(bag)
    assert bundle.listing().files == {"bagit.txt": 5, "data/inner/é.bin": 256_000}
    assert not bundle.listing().irregular
    assert bundle.url == str(bag)


def test_a_missing_or_wrong_root_is_one_clear_error(tmp_path: Path, bag: Path) -> None:
    with pytest.raises(NotFound, match="nothing is there"):
        LocalBundle(tmp_path / "no")
    with pytest.raises(PackageError, match="not a folder"):
        LocalBundle(bag / "bagit.txt")


def test_small_files_are_read_whole_up_to_a_limit(bag: Path) -> None:
    bundle = LocalBundle(bag)
    assert bundle.read("bagit.txt", 5) == b"BagIt"
    with pytest.raises(PackageError, match="more than the 4 allowed"):
        bundle.read("bagit.txt", 4)
    with pytest.raises(NotFound):
        bundle.read("data/no", 10)


def test_ranges_end_with_the_file(bag: Path) -> None:
    whole = bytes(range(256)) * 1000
    with LocalBundle(bag).open("data/inner/é.bin") as file:
        assert file.size == 256_000
        assert file.read_at(1000, 5000) == whole[1000:6000]
        assert file.read_at(255_990, 100) == whole[-10:]
        assert file.read_at(300_000, 10) == b""
        buffer = bytearray(100)
        assert file.readinto_at(255_950, memoryview(buffer)) == 50
    file.close()
    with pytest.raises(OSError, match="descriptor"):
        file.read_at(0, 1)


def test_threads_read_at_once(bag: Path) -> None:
    whole = bytes(range(256)) * 1000
    with LocalBundle(bag).open("data/inner/é.bin") as file, ThreadPoolExecutor(4) as pool:
        got = pool.map(lambda offset: file.read_at(offset, 1000), range(0, 256_000, 1000))
        assert b"".join(got) == whole


@pytest.mark.parametrize(
    "path",
    ["/etc/hostname", "../secret.txt", "data/../../secret.txt", "./bagit.txt", "data//inner", "", "~/x", "C:/x", "c:x",
     "\\\\server\\share\\x", "data\\inner", "data/con", "data/NUL.txt", "data/\0", "//server/share", "%HomeDrive%/x"],
)  # fmt: skip
def test_no_path_leaves_the_bag(bag: Path, path: str) -> None:
    bundle = LocalBundle(bag)
    with pytest.raises(PackageError, match="not opened"):
        bundle.open(path)
    assert not bundle.exists(path)


def test_a_folder_is_not_a_file(bag: Path) -> None:
    bundle = LocalBundle(bag)
    assert bundle.exists("bagit.txt")
    assert not bundle.exists("data")
    with pytest.raises(PackageError):
        bundle.open("data/inner")


@POSIX
def test_links_are_named_and_never_followed(bag: Path, tmp_path: Path) -> None:
    (bag / "data" / "link").symlink_to(tmp_path / "secret.txt")
    (bag / "data" / "loop").symlink_to(bag / "data")
    (bag / "data" / "dangling").symlink_to("nowhere")
    bundle = LocalBundle(bag)
    assert bundle.listing().irregular == dict.fromkeys(("data/link", "data/loop", "data/dangling"), "symlink")
    for path in ("data/link", "data/loop/inner/é.bin", "data/dangling"):
        with pytest.raises(PackageError, match="link"):
            bundle.open(path)


@POSIX
def test_pipes_and_sockets_are_named_and_do_not_block(bag: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "win32":
        pytest.skip("no FIFO")
    os.mkfifo(bag / "data" / "pipe")
    monkeypatch.chdir(bag)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("data/sock")
        bundle = LocalBundle(bag)
        assert bundle.listing().irregular == {"data/pipe": "fifo", "data/sock": "socket"}
        for path in ("data/pipe", "data/sock"):
            with pytest.raises(PackageError):
                bundle.open(path)


@POSIX
def test_the_bag_itself_may_be_reached_by_a_link(bag: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(bag)
    assert LocalBundle(tmp_path / "alias").read("bagit.txt", 9) == b"BagIt"


@POSIX
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_one_clear_error(bag: Path) -> None:
    (bag / "bagit.txt").chmod(0)
    with pytest.raises(PackageError, match="cannot be read"):
        LocalBundle(bag).read("bagit.txt", 10)
