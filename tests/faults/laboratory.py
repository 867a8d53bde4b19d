"""Where a case happens: a node with two stores and parity, made once and put back before every case.

It always lies at the same place, so that the addresses in its settings, its log and its mirrors stay true.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import diadem
from diadem.node.node import Node
from diadem.testing.faults import make_writable, remove
from tests.faults.sealed import Sealed, World, read_store, seal

STORES = ("main", "second")
#: Parity in both stores; no retention, so that copies may be dropped and packages deleted; two copies wanted.
POLICY = "[parity]\nenabled = true\n[retention]\nyears = 0\n"
KIB, MIB = 1 << 10, 1 << 20
#: Sessions of files that no reader knows: name to size. Odd names, empty files, sizes around the edges of leaves.
SESSIONS: Mapping[str, Mapping[str, int]] = {
    "2026-03-14 ZnO S12": {
        "large.bin": 3 * MIB - 17,
        "empty.bin": 0,
        "Über 50% <1>.dat": 5000,
        "sub/one leaf.raw": MIB,
        "sub/deeper/leaf and a byte.raw": MIB + 1,
        ".hidden": 11,
    },
    "tilt series": {"a.bin": 200 * KIB, "b.bin": 200 * KIB, "CON.bin": 4096, "twin.bin": 9},
}
#: What comes later to the first session.
LATER: Mapping[str, int] = {"later 1.bin": 66_000, "later 2.bin": 1}


@dataclass(frozen=True, slots=True)
class Place:
    """The paths of the node under test."""

    root: Path

    @property
    def node(self) -> Path:
        """The node's folder."""
        return self.root / "node"

    def store(self, name: str) -> Path:
        """A store's folder."""
        return self.root / name

    @property
    def recovery(self) -> Path:
        """The recovery file."""
        return self.root / "recovery.txt"

    def source(self, name: str) -> Path:
        """The folder of a session."""
        return self.root / "sources" / name

    def world(self, stores: tuple[str, ...] = STORES) -> World:
        """What lies in the stores."""
        return {name: read_store(self.store(name)) for name in stores}


@contextmanager
def workplace(chosen: Path | None) -> Iterator[Path]:
    """The chosen folder, which is kept; or a temporary one, in memory where there is such a place, which is removed."""
    if chosen is not None:
        chosen.mkdir(parents=True, exist_ok=True)
        yield chosen.resolve()
        return
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 1 << 30
    folder = Path(tempfile.mkdtemp(prefix="diadem-faults-", dir=memory if roomy else None)).resolve()
    try:
        yield folder
    finally:
        remove(folder)


class Laboratory:
    """The template and the place where it is put, in a folder of this process alone."""

    def __init__(self, work: Path) -> None:
        self._template, self._early = work / "template", work / "early"
        self.place = Place(work / "case")
        self.scratch = work / "scratch"
        self.sealed: dict[str, Sealed] = {}
        self.parity: dict[tuple[str, str], bytes] = {}
        os.environ["DIADEM_CONFIG"] = str(work / "config")
        os.environ["DIADEM_CACHE"] = str(work / "cache")
        self.scratch.mkdir(parents=True, exist_ok=True)

    def make(self) -> None:
        """Make the node: two copies of three packages, one of them a continuation, all with parity."""
        place = self.place
        place.root.mkdir(parents=True)
        node = diadem.Node.create(
            place.node, name="lab", user="alice", store=str(place.store("main")), recovery_file=place.recovery
        )
        node.stores.add(str(place.store("second")), name="second", place="another disk")
        aside = place.recovery.rename(place.root / "moved away.txt")
        node.confirm_recovery()
        aside.rename(place.recovery)  # some cases recover with it
        node.close()
        (place.node / "policy.toml").write_text(POLICY, "utf-8")
        for name, files in SESSIONS.items():
            write_files(place.source(name), files)
        node = diadem.open_node(place.node)
        paths = [node.archive(place.source(name), now=True, as_one=True).package.url for name in SESSIONS]
        node.close()
        shutil.copytree(place.node, self._early)
        first = next(iter(SESSIONS))
        write_files(place.source(first), LATER)
        node = diadem.open_node(place.node)
        paths.append(node.archive(place.source(first), now=True, as_one=True).package.url)
        self._finish(node, paths)
        place.root.rename(self._template)

    def _finish(self, node: Node, urls: list[str]) -> None:
        repaired = node.repair()
        assert repaired.ok, repaired.to_dict()
        assert len(repaired.parity) == 2 * len(urls), repaired.parity
        assert node.status().ok, node.status().to_dict()
        node.close()
        for url in urls:
            package = diadem.open(url).id
            path = Path(url).relative_to(self.place.store("main")).as_posix()
            self.sealed[str(package)] = seal(str(package), path, Path(url))
        for store in STORES:
            for parity in (self.place.store(store) / ".diadem" / "parity").glob("*.pq"):
                self.parity[store, f"diadem:{parity.stem}"] = parity.read_bytes()

    def fresh(self) -> Place:
        """The node as it was made; what the last case left is gone."""
        if self.place.root.exists():
            make_writable(self.place.root)
            remove(self.place.root)
        shutil.copytree(self._template, self.place.root, symlinks=True)
        return self.place

    def early(self, name: str) -> Path:
        """A file of the node's folder as it was before the last package came: from a backup of that day."""
        return self._early / name


def write_files(folder: Path, files: Mapping[str, int], *, seed: str = "") -> None:
    """Write files of no known format, the same for the same names."""
    for name, size in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(f"{seed}{name}{size}").randbytes(size))
