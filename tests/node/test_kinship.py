"""Which sessions of one run wait for which: those that hold the leader of an earlier one, and overlapping ones."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from diadem.node.take.archive_many import SessionOverlap
from diadem.pack.plan import PackPlan, make_plan


class Run:
    """Sessions told in order."""

    def __init__(self, *folders: Path) -> None:
        self._kinship = SessionOverlap(map(str, folders))
        self._count = 0

    def after(self, folder: Path, *parts: str) -> set[int]:
        """The earlier sessions that one waits for."""
        number, self._count = self._count, self._count + 1
        return self._kinship.add(number, str(folder), plan_of(folder, *parts))


def plan_of(folder: Path, *parts: str) -> PackPlan:
    sources = [folder / part for part in parts] or [folder]
    return make_plan(sources, store=None, metadata=None, readers=(), base=folder if parts else None)


def session(folder: Path, **files: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def data() -> dict[str, bytes]:
    source = random.Random(1)
    return {name: source.randbytes(size) for name, size in (("a", 50_000), ("b", 20_000), ("c", 70_000))}


def test_names_and_sizes_that_recur_with_other_content_let_nobody_wait(tmp_path: Path) -> None:
    source = random.Random(2)
    folders = [session(tmp_path / f"s{n}", image=source.randbytes(30_000), log=b"same") for n in range(5)]
    run = Run(*folders)
    assert [run.after(folder) for folder in folders] == [set()] * 5


def test_a_session_waits_for_its_twin_and_for_what_it_continues(tmp_path: Path, data: dict[str, bytes]) -> None:
    first = session(tmp_path / "1", a=data["a"], b=data["b"])
    other = session(tmp_path / "2", c=data["c"])
    twin = session(tmp_path / "3", a=data["a"], b=data["b"])
    grown = session(tmp_path / "4", a=data["a"], b=data["b"], c=data["c"])
    run = Run(first, other, twin, grown)
    assert [run.after(one) for one in (first, other, twin, grown)] == [set(), set(), {0}, {1, 2}]


def test_parts_of_one_folder_wait_where_they_overlap(tmp_path: Path, data: dict[str, bytes]) -> None:
    folder = session(tmp_path / "flat", **data)
    run = Run(folder, folder, folder)
    assert [run.after(folder, "a"), run.after(folder, "b"), run.after(folder, "b", "c")] == [set(), set(), {1}]


def test_files_that_are_gone_are_no_reason_to_wait(tmp_path: Path, data: dict[str, bytes]) -> None:
    first, second = (session(tmp_path / name, a=data["a"]) for name in ("1", "2"))
    run = Run(first, second)
    plan = plan_of(second)
    assert run.after(first) == set()
    (first / "a").unlink()
    assert run._kinship.add(1, str(second), plan) == set()
