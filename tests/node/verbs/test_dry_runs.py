"""A dry run writes nothing: not in the node, not in a store, not beside what it looks at."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from diadem.testing.samples import write_small_images
from tests import catalogues
from tests.cli.inside import said
from tests.node.verbs.conftest import Lab, damage


def everything(folder: Path) -> dict[str, tuple[int, int]]:
    """All folders below but the user's cache, and all files with size and time; files of SQLite come and go."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.name.endswith(("-wal", "-shm")) and not path.is_relative_to(folder / "cache"):
            status = path.lstat()
            found[str(path.relative_to(folder))] = (0, 0) if path.is_dir() else (status.st_size, status.st_mtime_ns)
    return found


@catalogues.in_a_file
@pytest.mark.parametrize(
    "command",
    [
        "archive FRESH --dry-run",
        "archive WEEK --split --dry-run",
        "archive WEEK --split --now --dry-run",
        "watch WEEK --once --dry-run",
        "drop PACKAGE --store second --reason x --dry-run",
        "delete PACKAGE --reason x --dry-run",
        "repair --dry-run",
        "export PACKAGE OUT --for Marie --dry-run",
        "grant PACKAGE --to bob --dry-run",
        "pack FRESH STORE --dry-run",
    ],
)
def test_nothing_is_written(lab: Lab, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.add_second()
    lab.node.users.add("bob")
    package = lab.archived("ZnO")
    damage(lab.path(package, "second") / "data/scan 0.bin")
    lab.node.scrub()
    for name in ("2026-03-14 a", "2026-03-15 b"):
        write_small_images(lab.root / "week" / name, 1)
    lab.session("fresh")
    lab.node.close()
    words = {
        "FRESH": lab.root / "fresh",
        "WEEK": lab.root / "week",
        "PACKAGE": package,
        "OUT": lab.root / "out.zip",
        "STORE": lab.root / "another",
    }
    monkeypatch.setenv("DIADEM_NODE", os.fspath(lab.node.path))
    before = everything(lab.root)
    said(*(words.get(word, word) for word in command.split()), code=None)
    assert everything(lab.root) == before
