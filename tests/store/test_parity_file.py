"""Parity files of a folder store: the old one or the new one, whole."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from diadem.errors import Refused
from diadem.model.manifest import PackageId
from diadem.store.own_files import open_parity, parity_packages, remove_parity, sweep_parity, write_parity

PACKAGE = PackageId("cd" * 32)
DYING = """
import os, sys
from pathlib import Path
from diadem.model.manifest import PackageId
from diadem.store.own_files import write_parity
def blocks():
    yield b"half"
    print("ready", flush=True)
    sys.stdin.readline()
    os._exit(9)
write_parity(Path(sys.argv[1]), PackageId("cd" * 32), blocks())
"""


def content(root: Path) -> bytes | None:
    file = open_parity(root, PACKAGE)
    if file is None:
        return None
    with file:
        return file.read_at(0, file.size)


def test_written_read_replaced_removed(tmp_path: Path) -> None:
    assert content(tmp_path) is None
    assert write_parity(tmp_path, PACKAGE, [b"on", memoryview(b"e")]) == 3
    assert content(tmp_path) == b"one"
    assert write_parity(tmp_path, PACKAGE, [b"two"]) == 3
    assert content(tmp_path) == b"two"
    assert list(parity_packages(tmp_path)) == [PACKAGE]
    assert os.listdir(tmp_path / ".diadem/parity") == [f"{'cd' * 32}.pq"]
    assert remove_parity(tmp_path, PACKAGE)
    assert not remove_parity(tmp_path, PACKAGE)
    assert list(parity_packages(tmp_path)) == []


def test_what_fails_leaves_the_old_one(tmp_path: Path) -> None:
    write_parity(tmp_path, PACKAGE, [b"one"])

    def failing() -> Iterator[bytes]:
        yield b"tw"
        raise Refused("the package is damaged")

    with pytest.raises(Refused, match="damaged"):
        write_parity(tmp_path, PACKAGE, failing())
    assert content(tmp_path) == b"one"
    assert os.listdir(tmp_path / ".diadem/parity") == [f"{'cd' * 32}.pq"]


def test_a_dead_writer_is_swept_and_a_living_one_is_not(tmp_path: Path) -> None:
    write_parity(tmp_path, PACKAGE, [b"one"])
    command = [sys.executable, "-c", DYING, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert sweep_parity(tmp_path) == []
        process.communicate(b"\n")
    assert process.returncode == 9
    swept = sweep_parity(tmp_path)
    assert [(Path(one.path).suffix, one.files) for one in swept] == [(".part", 1)]
    assert sweep_parity(tmp_path) == []
    assert content(tmp_path) == b"one"
    assert os.listdir(tmp_path / ".diadem/parity") == [f"{'cd' * 32}.pq"]
