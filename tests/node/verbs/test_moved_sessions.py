"""Sessions that come again from elsewhere, their times lost: recognised by names and sizes, also where they changed."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue


def copied_without_times(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    for path in target.iterdir():
        os.utime(path, (1, 1))
    return target


def test_a_chain_with_a_changed_file_is_found_again_without_its_times(lab: Lab) -> None:
    folder = lab.session("s", size=20_000)
    first = lab.node.archive(folder, now=True)
    (folder / "scan 1.bin").write_bytes(random.Random(7).randbytes(30_000))
    second = lab.node.archive(folder, now=True)
    assert (second.what, second.predecessor) == ("continuation", first.package.id)
    moved = copied_without_times(folder, lab.root / "moved")
    assert lab.node.archive(moved, now=True).what == "already"
    (moved / "more.bin").write_bytes(random.Random(8).randbytes(1000))
    third = lab.node.archive(moved, now=True)
    assert (third.what, third.predecessor) == ("continuation", second.package.id)


def test_a_session_with_some_names_of_another_is_none_of_its_own(lab: Lab) -> None:
    folder = lab.session("s")
    lab.node.archive(folder, now=True)
    other = copied_without_times(folder, lab.root / "other")
    (other / "scan 2.bin").unlink()
    assert lab.node.archive(other, now=True).what == "new"
