"""Stores that answer and take nothing: mounted for reading only, or too small. Told once, and not asked again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from diadem.errors import StoreError
from diadem.node.node import Node
from tests.cli.inside import said, said_json
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="mounting a small disk needs root"
)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A disk of its own."""
    folder.mkdir()
    size = f"size={megabytes}m"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("this system does not let the test mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, mode: str) -> None:
    """Mount it anew, for reading only (``ro``) or for writing (``rw``)."""
    subprocess.run(["mount", "-o", f"remount,{mode}", str(folder)], check=True)


def steps(node: Node) -> dict[str, str]:
    """Commands that are advised, and why."""
    return {step.command: step.reason for step in node.status().steps}


def test_a_store_that_is_mounted_for_reading_only(lab: Lab) -> None:
    with small_disk(lab.root / "nas", 100) as disk:
        lab.node.stores.add(str(disk), name="nas", place="nas")
        remount(disk, "ro")
        with lab.reopened() as node:
            (owed,) = node.archive(lab.session("s"), now=True).debts
            assert (owed.store, owed.reason) == ("nas", "the disk is read-only; nothing was written")
            (finding,) = [one for one in node.status().findings if one.rule == "store.read-only"]
            assert "nas cannot be written to" in finding.message
            assert "nas cannot be written to" in steps(node)["diadem store add PLACE"]
            repaired = node.repair()
            assert repaired.debts == []
            assert not any("could not be mirrored" in note for note in repaired.notes)
            assert any("could not be mirrored" in problem for problem in repaired.problems)
            assert not repaired.ok
            assert "NOT DONE" in said("repair", "--node", node.path, "--quiet", code=1)
            remount(disk, "rw")
            assert [copy.store for _, copy in node.repair().copies] == ["nas"]
            assert not [one for one in node.status().findings if one.rule == "store.read-only"]


def test_a_store_that_is_too_small_is_no_target(lab: Lab) -> None:
    with small_disk(lab.root / "small", 40) as disk:
        lab.node.stores.add(str(disk), name="small", place="small")
        done = lab.node.archive(lab.session("large", files=1, size=30_000_000), now=True)
        assert [(owed.store, owed.reason) for owed in done.debts] == [
            ("small", "it has too little space for the package")
        ]
        package = str(done.package.id)
        fits = lab.archived("fits", files=1, size=1000)
        status = lab.node.status()
        (finding,) = [one for one in status.findings if one.rule == "store.space"]
        assert "too little for 1 missing copy (30 MB) and the 33.6 MB that stay free" in finding.message
        assert not [action for action in status.actions if action.kind == "replicate"]
        assert "small is too small" in steps(lab.node)["diadem store add PLACE"]
        assert lab.node.repair().debts == []
        stores = {one: {copy.store for copy in lab.node.context.catalogue.replicas(one)} for one in (package, fits)}
        assert stores == {package: {"main"}, fits: {"main", "small"}}


def test_what_stands_against_the_only_store_is_said_of_a_folder_and_of_a_package(lab: Lab) -> None:
    """It is full, and not away: to connect it, as of one that does not answer, would not help."""
    given = lab.path(lab.archived("given", files=1, size=30_000_000), "main")
    with small_disk(lab.root / "small", 40) as disk:
        lab.node.stores.add(str(disk), name="small", place="small")
        session = lab.session("session", files=1, size=31_000_000)
        told = set()
        for take in (partial(lab.node.archive, session, now=True), partial(lab.node.import_, given)):
            with pytest.raises(StoreError) as refused:
                take(store="small")
            told.add(refused.value.next)
        assert len(told) == 1


def test_a_full_disk_below_the_node_is_called_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the node is damaged, and nobody is told to make it anew; with room again everything works."""
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("DIADEM_CACHE", str(tmp_path / "cache"))
    session = tmp_path / "session"
    session.mkdir()
    (session / "scan.bin").write_bytes(b"x" * 1000)
    with small_disk(tmp_path / "disk", 30) as disk:
        node = disk / "node"
        said("init", node, "--store", tmp_path / "main", "--name", "lab", "--user", "alice",
             "--recovery-file", tmp_path / "recovery.txt")  # fmt: skip
        at = ("--node", node)
        package = said_json("archive", session, "--now", *at)["package"]["id"]
        with suppress(OSError), (disk / "other data").open("wb", buffering=0) as other:
            while other.write(bytes(4096)):
                pass
        getting = ("get", package, tmp_path / "x")
        for words in (("status",), ("search", "scan"), ("verify", package), ("scrub",), getting):
            told = said(*words, *at, code=4)
            assert "is full" in told, told
            assert "Free space" in told
            assert "damaged" not in told
        told = said("doctor", *at, code=1)
        assert "the disk of the log is full" in told
        assert "damaged" not in told
        (disk / "other data").unlink()
        said(*getting, *at)
        said("scrub", *at)
