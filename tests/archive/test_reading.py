"""Every byte that `open` returns is proven, wherever one reads."""

from __future__ import annotations

import io
import random
import threading
from pathlib import Path
from typing import IO, cast

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

import diadem
from diadem.archive.package import Package
from diadem.errors import DigestMismatch, NotFound, ReaderError
from diadem.model.manifest import RECORD_PATH
from diadem.model.ports import InMemory
from diadem.package.tags import seal
from diadem.store.bags import LocalBundle
from diadem.testing.faults import flip_byte
from tests.package.sample_bags import EMPTY_ZIP, Watched, hashed, write

LEAF = 1 << 20
SIZE = 21 * LEAF + 4321


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[diadem.Package, bytes]:
    home = tmp_path_factory.mktemp("reading")
    (home / "session").mkdir()
    data = random.Random(1).randbytes(SIZE)
    (home / "session" / "a.dat").write_bytes(data)
    (home / "session" / "empty.dat").write_bytes(b"")
    with h5py.File(home / "session" / "x.h5", "w") as file:
        file["cube"] = np.arange(2_000_000, dtype="u4").reshape(20, 100, 1000)
    tifffile.imwrite(home / "session" / "y.tif", np.arange(10_000, dtype="u2").reshape(100, 100))
    return diadem.pack(home / "session", home / "store"), data


@settings(max_examples=60, deadline=None, derandomize=True)
@given(reads=st.lists(st.tuples(st.integers(0, SIZE + LEAF), st.integers(0, 12 * LEAF)), min_size=1, max_size=6))
def test_any_reads_return_the_original_bytes(
    packed: tuple[diadem.Package, bytes], reads: list[tuple[int, int]]
) -> None:
    package, data = packed
    with package.open("a.dat") as source:
        for offset, length in reads:
            assert source.read_at(offset, length) == data[offset : offset + length]
            source.seek(offset)
            assert source.read(length) == data[offset : offset + length]
            assert source.tell() == offset + len(data[offset : offset + length])


def test_small_reads_in_order_and_the_whole(packed: tuple[diadem.Package, bytes]) -> None:
    package, data = packed
    with package.open("a.dat") as source:
        pieces = []
        while piece := source.read(300_001):
            pieces.append(piece)
        assert b"".join(pieces) == data
        source.seek(-10, io.SEEK_END)
        assert source.read() == data[-10:]
        source.seek(0)
        assert source.read() == data
    with package.open("empty.dat") as source:
        assert source.read() == b""


def test_many_threads_share_a_file(packed: tuple[diadem.Package, bytes]) -> None:
    package, data = packed
    wrong: list[int] = []
    with package.open("a.dat") as source:

        def read(seed: int) -> None:
            chooser = random.Random(seed)
            for _ in range(40):
                offset, length = chooser.randrange(SIZE), chooser.randrange(3 * LEAF)
                if source.read_at(offset, length) != data[offset : offset + length]:
                    wrong.append(offset)

        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_h5py_and_tifffile_read_through_it(packed: tuple[diadem.Package, bytes]) -> None:
    package, _ = packed
    with package.open("x.h5") as source, h5py.File(source, "r") as file:
        assert file["cube"][7, 3, 5] == 7 * 100_000 + 3 * 1000 + 5
    with package.open("y.tif") as source:
        assert tifffile.imread(cast("IO[bytes]", source))[50, 50] == 5050


def test_damage_raises_where_it_is_and_nowhere_else(tmp_path: Path) -> None:
    session = tmp_path / "session"
    session.mkdir()
    data = random.Random(2).randbytes(12 * LEAF)
    (session / "a.dat").write_bytes(data)
    package = diadem.pack(session, tmp_path / "store")
    flip_byte(Path(package.url) / "data" / "a.dat", 5 * LEAF + 7)
    with package.open("a.dat") as source:
        assert source.read_at(0, 5 * LEAF) == data[: 5 * LEAF]
        assert source.read_at(6 * LEAF, 6 * LEAF) == data[6 * LEAF :]
        for offset, length in ((5 * LEAF + 100, 1), (0, 12 * LEAF), (5 * LEAF - 1, 2), (4 * LEAF, 8 * LEAF)):
            with pytest.raises(diadem.DigestMismatch) as caught:
                source.read_at(offset, length)
            assert (caught.value.leaf, caught.value.range) == (5, (5 * LEAF, 6 * LEAF))


def test_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    session = tmp_path / "session"
    session.mkdir()
    (session / "a.dat").write_bytes(b"x" * 1000)
    package = diadem.pack(session, tmp_path / "store")
    victim = Path(package.url) / "data" / "a.dat"
    victim.chmod(0o600)
    victim.write_bytes(b"x" * 999)
    with pytest.raises(diadem.DigestMismatch, match="999"):
        package.open("a.dat")
    with pytest.raises(diadem.NotFound, match=r"a\.dat"):
        package.open("a.dta")


def test_a_file_does_not_end_where_its_reader_says(packed: tuple[diadem.Package, bytes]) -> None:
    package, data = packed
    entry, reader = next(file for file in package.manifest if file.name == "a.dat"), InMemory(data)
    with package.stored_as(entry, reader) as file:
        reader._data, reader.size = data[: SIZE // 2], SIZE // 2  # it has become shorter since
        assert file.size == SIZE
        with pytest.raises(DigestMismatch):
            file.read()


def test_a_package_without_a_record_gives_its_files(tmp_path: Path) -> None:
    """DIADEM writes none; what others have sealed so verifies, with a warning, and is shown and read as files."""
    content = b"some bytes\n"
    sealed = seal([hashed("data/a.txt", content)], vendor=EMPTY_ZIP, date="2026-03-14", software="others")
    write(tmp_path / "bag", {"data/a.txt": content, **sealed.tag_files})
    package = diadem.open(tmp_path / "bag")
    assert package.verify().ok
    assert package.open("a.txt").read() == content
    with pytest.raises(NotFound, match="the package has no record"):
        _ = package.record
    assert package.show().file_count == 1
    assert "1 file" in package._repr_html_()
    with pytest.raises(ReaderError, match="no reader knows this file"):
        package.load("a.txt")
    assert package.restore(tmp_path / "some", only="A*").files == 1


def test_a_large_record_is_asked_for_in_pieces_that_can_be_asked_for_again(tmp_path: Path) -> None:
    content = random.Random(2).randbytes(20 * LEAF + 5)
    sealed = seal([hashed(RECORD_PATH, content)], vendor=EMPTY_ZIP, date="2026-03-14", software="others")
    write(tmp_path, {RECORD_PATH: content, **sealed.tag_files})
    bag = Watched(LocalBundle(tmp_path))
    package = Package(bag)
    bag.largest = 0
    assert package.read_derived(RECORD_PATH) == content
    assert bag.largest == 8 * LEAF
    flip_byte(tmp_path / RECORD_PATH, 19 * LEAF)
    with pytest.raises(DigestMismatch, match="leaf 19"):
        package.read_derived(RECORD_PATH)
