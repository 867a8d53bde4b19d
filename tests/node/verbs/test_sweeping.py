"""What dead writers left is swept from a bucket; a copy that has lost something, and its hints, is mended instead."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from diadem.model.manifest import TAGMANIFEST
from diadem.model.replicas import PRESENT, SUSPECT
from diadem.store import open_store
from diadem.testing.faulty_store import Fault, FaultyStore
from tests.node.verbs.conftest import Lab


class Bucket:
    """A bucket in memory whose objects can be older than they are."""

    def __init__(self, name: str) -> None:
        self.url = f"memory://{name}"
        self._root = f"/{name}"
        self._files = MemoryFileSystem()

    def keys(self, below: str) -> list[str]:
        """What lies below a folder."""
        return sorted(self._files.find(f"{self._root}/{below}"))

    def lose(self, below: str) -> None:
        """Lose an object, or all below a folder."""
        for key in self.keys(below):
            self._files.rm_file(key)

    def put(self, key: str) -> None:
        """Leave an object."""
        self._files.pipe_file(f"{self._root}/{key}", b"12345")

    def age(self) -> None:
        """Let a month pass."""
        for key in self.keys(""):
            self._files.store[key].created = datetime.now(UTC) - timedelta(days=30)


@pytest.fixture
def bucket(lab: Lab) -> Bucket:
    """A node whose second store is that bucket."""
    made = Bucket(f"sweeping-{lab.root.name}")
    lab.node.stores.add(made.url, name="cloud", place="cloud")
    return made


def _state(lab: Lab, package: str) -> str:
    return next(one.state for one in lab.node.context.catalogue.replicas(package) if one.store == "cloud")


def _path(lab: Lab, package: str) -> str:
    return next(one.path for one in lab.node.context.catalogue.replicas(package) if one.store == "cloud")


def test_a_copy_without_its_tag_manifest_and_its_hints_is_mended_not_swept(lab: Lab, bucket: Bucket) -> None:
    package = lab.archived("s")
    path = _path(lab, package)
    for kind in ("by-payload", "by-tree"):
        bucket.lose(f".diadem/{kind}")
    bucket.lose(f"{path}/{TAGMANIFEST}")
    bucket.age()
    assert not lab.node.scrub("cloud").ok
    before = bucket.keys(path)
    assert lab.node.repair(store="main").notes == []  # nothing of this store is mended, and nothing is swept
    assert (bucket.keys(path), _state(lab, package)) == (before, SUSPECT)
    repaired = lab.node.repair()
    assert (repaired.ok, repaired.notes) == (True, [])
    assert [made.path for _, _, made in repaired.mended] == [TAGMANIFEST]
    assert _state(lab, package) == PRESENT


def test_what_nobody_knows_and_what_was_given_up_is_swept(lab: Lab, bucket: Bucket) -> None:
    package = lab.archived("s")
    path = _path(lab, package)
    (lab.node.path / "policy.toml").write_text("[retention]\nyears = 0\n[copies]\nminimum = 1\n", "utf-8")
    with lab.reopened() as node:
        node.drop(package, "cloud", reason="it costs too much")
        bucket.put(f"{path}/data/what a killed removal left")
        bucket.put("2026/20260101-half-0123456789ab/data/a")
        bucket.put("2026/holiday/data/a")
        bucket.age()
        assert len(node.repair().notes) == 2
    assert bucket.keys("2026") == [f"/{bucket.url[9:]}/2026/holiday/data/a"]


def test_a_reindex_writes_the_hints_of_every_package_that_it_reads(lab: Lab, bucket: Bucket) -> None:
    for number in (1, 2):
        lab.archived(f"s{number}", files=number)
    for kind in ("by-payload", "by-tree"):
        folder = lab.root / "main/.diadem" / kind
        in_bucket, in_folder = bucket.keys(f".diadem/{kind}"), sorted(folder.rglob("*"))
        assert (len(in_bucket), len(in_folder)) == (2, 4)
        bucket.lose(f".diadem/{kind}")
        shutil.rmtree(folder)
        assert lab.node.reindex().notes == ()
        assert (bucket.keys(f".diadem/{kind}"), sorted(folder.rglob("*"))) == (in_bucket, in_folder)


def test_a_reindex_goes_on_where_hints_cannot_be_written(lab: Lab) -> None:
    packages = {lab.archived(name) for name in ("one", "two")}
    store = FaultyStore(open_store(lab.root / "main"), [Fault("write_hints", "full", times=None)])
    lab.node.context.stores.put("main", store)
    (note,) = lab.node.reindex().notes
    assert "hints in main" in note
    assert {state.id for state in lab.node.context.catalogue.package_states()} == packages


def test_what_dead_runs_have_left_in_the_nodes_own_folder_is_swept_and_said(lab: Lab) -> None:
    lab.archived("s")
    old = [".snapshot.json.0123abcd", ".node.toml.89abcdef", "keys/.online.pem.01234567"]
    dead = [".reindex-0123abcd.sqlite", ".catalogue.sqlite.0123abcd.draft", ".catalogue.sqlite.0123abcd.draft-wal"]
    mine = [".note of mine", "keys/.hidden"]
    for name in (*old, *dead, *mine):
        (lab.node.path / name).write_bytes(b"left")
    os.utime(lab.node.path / old[0], (0, 0))
    os.utime(lab.node.path / old[2], (0, 0))
    for name in mine:
        os.utime(lab.node.path / name, (0, 0))
    notes = lab.node.repair().notes
    swept = {old[0], old[2], *dead}
    assert {name for name in (*old, *dead, *mine) if not (lab.node.path / name).exists()} == swept
    for name in swept:
        assert any(Path(name).name in note and "left by a run that was killed" in note for note in notes)
    assert lab.node.reindex().packages == 1
