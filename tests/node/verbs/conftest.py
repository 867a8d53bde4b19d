"""A node with one store, and a second place that counts as another disk; small sessions of files of no known format."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import diadem
from diadem.api.nodes import Node


@dataclass(frozen=True)
class Lab:
    """Where things are in a test."""

    root: Path
    node: Node

    @property
    def second(self) -> Path:
        """The second place; it is on the same disk as the first, and is said not to."""
        return self.root / "second"

    def add_second(self) -> None:
        """Add the second store."""
        self.node.stores.add(str(self.second), name="second", place="another disk")

    def session(self, name: str, *, files: int = 3, size: int = 5000, seed: int = 0) -> Path:
        """A folder with files of no known format, the same for the same seed."""
        folder = self.root / name
        folder.mkdir()
        source = random.Random(f"{name}{seed}")
        for number in range(files):
            (folder / f"scan {number}.bin").write_bytes(source.randbytes(size + number))
        return folder

    def archived(self, name: str, **options: int) -> str:
        """Archive such a folder; its package id."""
        return str(self.node.archive(self.session(name, **options), now=True).package.id)

    def path(self, package: str, store: str) -> Path:
        """The folder of one copy."""
        replica = next(one for one in self.node.context.catalogue.replicas(package) if one.store == store)
        url = self.node.context.settings.store(store).url
        return Path(url) / replica.path

    def confirm_recovery(self) -> None:
        """Move the recovery file away, as a person does, and say so."""
        file = Path(self.node.context.settings.recovery_file)
        if file.exists():
            file.rename(self.root / "moved away.txt")
        self.node.confirm_recovery()

    def reopened(self) -> Node:
        """The same node, opened anew as another process would."""
        return diadem.open_node(self.node.path)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A node at /lab/node with its store at /lab/main."""
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("DIADEM_CACHE", str(tmp_path / "cache"))
    node = diadem.Node.create(tmp_path / "node", name="hu-berlin", user="alice", store=str(tmp_path / "main"))
    try:
        yield Lab(tmp_path, node)
    finally:
        node.close()


def damage(path: Path, *, at: int = 100, data: bytes = b"\0damage\0") -> None:
    """Change bytes of a sealed file in place; size and time stay."""
    before = path.stat()
    mode = before.st_mode
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    path.chmod(mode)


def remove(path: Path) -> None:
    """Remove one sealed file."""
    folder = path.parent
    mode = folder.stat().st_mode
    folder.chmod(0o755)
    path.unlink()
    folder.chmod(mode)
