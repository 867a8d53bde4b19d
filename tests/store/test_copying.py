"""One pass over a file: digests, copy, change detection."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.store.copy import Changed, Copier, NotPlain, SourceFailed
from diadem.store.system import SinkFailed

LEAF = 1 << 20


def expected_leaves(data: bytes) -> bytes:
    return b"".join(blake3(data[start : start + LEAF]).digest() for start in range(0, len(data), LEAF))


@settings(max_examples=12, deadline=None, derandomize=True)
@given(size=st.sampled_from([0, 1, LEAF - 1, LEAF, LEAF + 1, 3 * LEAF, 9 * LEAF + 17]), seed=st.integers(0, 255))
def test_digests_and_copy(tmp_path_factory: pytest.TempPathFactory, size: int, seed: int) -> None:
    folder = tmp_path_factory.mktemp("copy")
    data = bytes((seed + index * 31) % 256 for index in range(257)) * (size // 257 + 1)
    data = data[:size]
    (folder / "a").write_bytes(data)
    counts: list[int] = []
    with Copier() as copier:
        copied = copier.copy(str(folder / "a"), str(folder / "b"), counts.append)
        hashed = copier.copy(str(folder / "a"), None, lambda _: None)
    assert copied == hashed
    assert copied.sha256 == hashlib.sha256(data).hexdigest()
    assert copied.leaves == expected_leaves(data)
    assert copied.size == size == sum(counts)
    assert (folder / "b").read_bytes() == data
    assert not (folder / "b").stat().st_mode & 0o222
    assert (folder / "b").stat().st_mtime_ns == (folder / "a").stat().st_mtime_ns


@pytest.mark.parametrize("size", [1000, 3 * LEAF])
def test_a_file_that_grows_is_changed_and_leaves_no_copy(tmp_path: Path, size: int) -> None:
    (tmp_path / "a").write_bytes(b"x" * size)

    def grow(_: int) -> None:
        with (tmp_path / "a").open("ab") as sink:
            sink.write(b"more")

    with Copier() as copier, pytest.raises(Changed):
        copier.copy(str(tmp_path / "a"), str(tmp_path / "b"), grow)
    assert not (tmp_path / "b").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no FIFO in a folder")
def test_a_fifo_or_link_is_never_opened_for_long(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with Copier() as copier:
        with pytest.raises(NotPlain):
            copier.copy(str(tmp_path / "pipe"), None, lambda _: None)
        with pytest.raises(SourceFailed, match="link"):
            copier.copy(str(tmp_path / "link"), None, lambda _: None)


def test_a_target_that_cannot_be_written_is_not_the_sources_fault(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"data")
    with Copier() as copier, pytest.raises(SinkFailed):
        copier.copy(str(tmp_path / "a"), str(tmp_path / "no" / "b"), lambda _: None)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="holes are kept where the system reports them")
def test_holes_stay_holes(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as sink:
        sink.seek(40 * LEAF)
        sink.write(b"end")
    with Copier() as copier:
        copied = copier.copy(str(tmp_path / "a"), str(tmp_path / "b"), lambda _: None)
    assert copied.sha256 == hashlib.sha256((tmp_path / "b").read_bytes()).hexdigest()
    assert (tmp_path / "b").stat().st_blocks * 512 < LEAF
    assert (tmp_path / "b").stat().st_size == (tmp_path / "a").stat().st_size


def test_several_threads_share_a_copier(tmp_path: Path) -> None:
    datas = [os.urandom(2 * LEAF + index) for index in range(4)]
    for index, data in enumerate(datas):
        (tmp_path / f"a{index}").write_bytes(data)
    found: dict[int, str] = {}
    with Copier() as copier:

        def work(index: int) -> None:
            copied = copier.copy(str(tmp_path / f"a{index}"), str(tmp_path / f"b{index}"), lambda _: None)
            found[index] = copied.sha256

        threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {index: hashlib.sha256(data).hexdigest() for index, data in enumerate(datas)}
