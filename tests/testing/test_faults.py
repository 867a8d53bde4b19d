"""Faults do exactly what they are named after, on read-only files too, and leave no other trace."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.testing import faults

CONTENT = bytes(range(256)) * 4


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """A read-only file in a read-only folder, written long ago."""
    folder = tmp_path / "package"
    folder.mkdir()
    path = folder / "scan.dm4"
    path.write_bytes(CONTENT)
    os.utime(path, ns=(10**18, 10**18 + 123_456_700))
    path.chmod(stat.S_IRUSR)
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    return path


def traces(path: Path) -> tuple[int, int]:
    """Mode and modification time."""
    found = path.stat()
    return stat.S_IMODE(found.st_mode), found.st_mtime_ns


@pytest.mark.parametrize(("offset", "place"), [(0, 0), (700, 700), (-1, 1023), (1023, 1023)])
def test_flip_changes_one_byte_and_nothing_else(sealed: Path, offset: int, place: int) -> None:
    before = traces(sealed)
    faults.flip_byte(sealed, offset)
    changed = sealed.read_bytes()
    assert [i for i in range(1024) if changed[i] != CONTENT[i]] == [place]
    assert len(changed) == 1024
    assert traces(sealed) == before
    faults.flip_byte(sealed, offset)
    assert sealed.read_bytes() == CONTENT


@given(offset=st.integers(-1024, 1023), mask=st.integers(1, 255))
@settings(max_examples=40, derandomize=True, deadline=None)
def test_flip_twice_is_nothing(tmp_path_factory: pytest.TempPathFactory, offset: int, mask: int) -> None:
    path = tmp_path_factory.mktemp("flip") / "file"
    path.write_bytes(CONTENT)
    faults.flip_byte(path, offset, mask=mask)
    assert path.read_bytes()[offset] == CONTENT[offset] ^ mask
    faults.flip_byte(path, offset, mask=mask)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(("offset", "mask"), [(1024, 1), (-1025, 1), (0, 0), (0, 256)])
def test_flip_refuses_what_changes_nothing(sealed: Path, offset: int, mask: int) -> None:
    with pytest.raises(ValueError, match=r"offset|mask"):
        faults.flip_byte(sealed, offset, mask=mask)
    assert sealed.read_bytes() == CONTENT


def test_zero_block(sealed: Path) -> None:
    before = traces(sealed)
    faults.zero_block(sealed, 100, 512)
    assert sealed.read_bytes() == CONTENT[:100] + bytes(512) + CONTENT[612:]
    assert traces(sealed) == before
    with pytest.raises(ValueError, match="do not lie"):
        faults.zero_block(sealed, 1000, 25)


def test_truncate_and_append(sealed: Path) -> None:
    before = traces(sealed)
    faults.truncate(sealed, 10)
    assert sealed.read_bytes() == CONTENT[:10]
    faults.append(sealed, b"tail")
    assert sealed.read_bytes() == CONTENT[:10] + b"tail"
    assert traces(sealed) == before
    with pytest.raises(ValueError, match="cannot be cut"):
        faults.truncate(sealed, 14)


def test_remove_rename_plant(sealed: Path) -> None:
    folder = sealed.parent
    before = stat.S_IMODE(folder.stat().st_mode)
    moved = faults.rename(sealed, "other.dm4")
    assert moved.read_bytes() == CONTENT
    faults.plant(folder / "stray.txt", b"stray")
    with pytest.raises(FileExistsError):
        faults.plant(folder / "stray.txt", b"again")
    with pytest.raises(FileExistsError):
        faults.rename(moved, "stray.txt")
    faults.remove(moved)
    assert [path.name for path in folder.iterdir()] == ["stray.txt"]
    assert stat.S_IMODE(folder.stat().st_mode) == before
    faults.remove(folder)
    assert not folder.exists()


def test_writable_copy(sealed: Path, tmp_path: Path) -> None:
    copy = faults.writable_copy(sealed.parent, tmp_path / "copy")
    assert (copy / sealed.name).stat().st_mtime_ns == sealed.stat().st_mtime_ns
    for place in (copy, copy / sealed.name):
        assert place.stat().st_mode & stat.S_IWUSR
    (copy / sealed.name).write_bytes(b"")
    assert sealed.read_bytes() == CONTENT
    assert not sealed.stat().st_mode & stat.S_IWUSR
