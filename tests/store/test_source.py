"""What of a folder can be archived."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from diadem.errors import NotFound, UsageError
from diadem.store.source import read_tree

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs links, pipes and sockets in a folder")


def test_files_hidden_files_and_empty_folders(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / ".hidden").write_bytes(b"1")
    (tmp_path / "a" / "b" / "c.dat").write_bytes(b"22")
    tree = read_tree([tmp_path])
    assert [file.name for file in tree.files] == [b".hidden", b"a/b/c.dat"]
    assert tree.empty_folders == [b"empty"]
    assert tree.size == 3
    assert not tree.omissions


@posix
def test_everything_that_is_no_file_is_listed_with_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"1")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "outside").symlink_to("/etc/hostname")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        tree = read_tree([tmp_path])
    assert {omission.name: omission.kind for omission in tree.omissions} == {
        b"dangling": "symlink",
        b"loop": "symlink",
        b"outside": "symlink",
        b"pipe": "fifo",
        b"socket": "socket",
    }
    assert [file.name for file in tree.files] == [b"file"]


@posix
def test_names_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.dat")).write_bytes(b"1")
    assert [file.name for file in read_tree([tmp_path]).files] == [b"caf\xe9.dat"]


def test_one_file_and_several_sources(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "x").write_bytes(b"1")
    (tmp_path / "two.dat").write_bytes(b"2")
    assert [file.name for file in read_tree([tmp_path / "two.dat"]).files] == [b"two.dat"]
    assert [file.name for file in read_tree([tmp_path / "one", tmp_path / "two.dat"]).files] == [b"one/x", b"two.dat"]


def test_nothing_to_archive_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no file to archive"):
        read_tree([tmp_path / "empty"])
    with pytest.raises(NotFound, match="no such file"):
        read_tree([tmp_path / "absent"])
