"""Sessions that are only some files and folders of a folder: planned, packed, nothing lost, nothing twice."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.api.tools import tools
from diadem.errors import DocumentError, NotFound, UsageError
from diadem.extract.pool import Extractor
from diadem.model.scan import PlannedSession
from diadem.pack.plan import PackPlan, make_plan, merged_metadata, plan_session
from diadem.scan.scan import sessions_of
from diadem.scan.sessions import Cover, placed
from diadem.store import open_store
from diadem.store.source import read_tree
from tests.archive.packing import packed_into
from tests.archive.scan_trees import Scanner, digest_of_tree, image, posix


def session(folder: Path, *parts: str, **changes: object) -> PlannedSession:
    """A row of a plan."""
    return replace(PlannedSession("0" * 12, True, "Title", "2026-03-14", str(folder), parts), **changes)  # type: ignore[arg-type]


def names(plan: PackPlan) -> list[str]:
    """Original paths of what would be packed."""
    return [os.fsdecode(file.name) for file in plan.tree.files]


def write(folder: Path, *paths: str) -> None:
    """Files that hold their own path."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(path.encode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose sub-folders have sub-folders of one name."""
    top = tmp_path / "day"
    write(top, "monday/raw/a.dat", "tuesday/raw/a.dat", "tuesday/b.dat", "loose.txt", "other.txt", "deep/x/y.dat")
    (top / "tuesday" / "empty").mkdir()
    return top


def test_folders_of_one_name_keep_their_paths(folder: Path) -> None:
    plan = plan_session(session(folder, "monday/raw/", "tuesday/raw/"), store=None, readers=())
    assert names(plan) == ["monday/raw/a.dat", "tuesday/raw/a.dat"]
    assert plan.tree.title == "day"
    with pytest.raises(UsageError, match="same name"):
        read_tree([folder / "monday" / "raw", folder / "tuesday" / "raw"])


def test_a_star_is_the_files_directly_in_a_folder(folder: Path) -> None:
    assert names(plan_session(session(folder, "*"), store=None, readers=())) == ["loose.txt", "other.txt"]
    plan = plan_session(session(folder, "tuesday/*", "loose.txt"), store=None, readers=())
    assert names(plan) == ["loose.txt", "tuesday/b.dat"]
    assert plan.empty_folders == []


def test_no_part_is_the_whole_folder_and_empty_folders_are_known(folder: Path) -> None:
    plan = plan_session(session(folder), store=None, readers=())
    assert len(plan.files) == 6
    assert plan.empty_folders == ["tuesday/empty"]
    assert plan_session(session(folder, "tuesday/"), store=None, readers=()).empty_folders == ["tuesday/empty"]


def test_what_two_parts_hold_is_taken_once(folder: Path) -> None:
    plan = plan_session(session(folder, "tuesday/", "tuesday/raw/", "tuesday/raw/a.dat"), store=None, readers=())
    assert names(plan) == ["tuesday/b.dat", "tuesday/raw/a.dat"]


@posix
def test_links_in_a_folder_are_left_out_also_under_a_star(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "loose.txt")
    plan = plan_session(session(folder, "*"), store=None, readers=())
    assert [omission.kind for omission in plan.tree.omissions] == ["symlink"]
    assert names(plan) == ["loose.txt", "other.txt"]


@posix
def test_a_file_that_is_called_star_and_bytes_that_are_no_text(folder: Path) -> None:
    (folder / "monday" / "*").write_bytes(b"1")
    odd = os.fsdecode(b"monday/\xff.dat")
    (folder / odd).write_bytes(b"2")
    assert names(plan_session(session(folder, "monday/[*]", odd), store=None, readers=())) == ["monday/*", odd]


@pytest.mark.parametrize("part", ["../day2/a.dat", "monday/../../x", "/etc/", "monday//raw", "."])
def test_a_part_that_leads_out_is_refused(folder: Path, part: str) -> None:
    with pytest.raises(DocumentError, match="is not in"):
        plan_session(session(folder, part), store=None, readers=())


def test_a_part_that_has_gone_is_named(folder: Path) -> None:
    with pytest.raises(NotFound) as caught:
        plan_session(session(folder, "monday/", "wednesday/"), store=None, readers=())
    assert caught.value.where == str(folder / "wednesday")


def test_a_source_outside_its_base_is_refused(folder: Path, tmp_path: Path) -> None:
    write(tmp_path, "elsewhere.txt")
    with pytest.raises(UsageError, match="is not in"):
        read_tree([tmp_path / "elsewhere.txt"], base=folder)


def test_a_store_in_a_sub_folder_is_no_obstacle_for_the_files_beside_it(folder: Path) -> None:
    store = folder / "archive"
    assert plan_session(session(folder, "*"), store=store, readers=()).files
    with pytest.raises(UsageError, match="store is inside"):
        plan_session(session(folder), store=store, readers=())


def test_the_plan_says_title_date_and_sample_and_a_person_may_say_more(folder: Path) -> None:
    plan = plan_session(
        session(folder, sample="S-12"),
        store=None,
        readers=(),
        metadata={"session": {"title": "Better"}, "people": [{"name": "Marie Curie"}]},
    )
    assert plan.metadata["session"] == {"title": "Better", "date": "2026-03-14"}
    assert plan.metadata["sample"] == {"name": "S-12"}
    assert plan.metadata["people"] == [{"name": "Marie Curie"}]
    assert merged_metadata({}, {"session": {"title": "a"}}) == {"session": {"title": "a"}}


def test_only_what_is_to_be_archived_is_given(folder: Path, tmp_path: Path) -> None:
    rows = [session(folder, "monday/"), session(folder, "tuesday/", archive=False)]
    assert sessions_of(rows) == rows[:1]
    with pytest.raises(NotFound):
        sessions_of(tmp_path / "no-plan.csv")


def test_a_scan_is_packed_session_by_session_and_every_file_once(
    scan: Scanner, tmp_path: Path, lent_extractor: Extractor
) -> None:
    source = tmp_path / "data"
    for day in (1, 20):
        for number in range(3):
            image(source / "dump" / f"{day:02d}_{number}.hspy", f"2026-03-{day:02d}T1{number}:00:00")
    image(source / "ZnO" / "EDS" / "a.hspy", sample="ZnO")
    before = digest_of_tree(source)
    found = scan(source)
    sessions = sessions_of(found.save_plan(tmp_path / "plan.csv"))
    assert sessions_of(found) == sessions
    store = open_store(tmp_path / "store")
    archived: Counter[str] = Counter()
    for one in sessions:
        plan = plan_session(one, store=tmp_path / "store", readers=tools().readers)
        package = packed_into(store, plan, lent_extractor)
        assert package.verify(level="full").ok
        assert package.record.session["title"] == one.title
        base = Path(one.folder).relative_to(source)
        archived.update((base / entry.name).as_posix() for entry in package.files)
    assert len(sessions) == 3
    assert sum(bool(one.parts) for one in sessions) == 2
    assert archived == Counter({name: 1 for name, (_, _, content) in before.items() if content})
    assert digest_of_tree(source) == before


NAMES = st.sampled_from(["a", "b", "c", "data", "Größe"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(PATHS, st.integers(0, 3), min_size=1, max_size=12))
def test_any_division_of_any_tree_is_packed_whole_and_without_overlap(owners: dict[str, int]) -> None:
    owners = {path: owner for path, owner in owners.items() if not any(key.startswith(path + "/") for key in owners)}
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "root"
        write(root, *owners)
        cover = Cover(owners, ())
        found: dict[str, int] = {}
        for owner in set(owners.values()):
            mine = [path for path, who in owners.items() if who == owner]
            top, parts = placed(str(root), cover.pieces(mine))
            plan = plan_session(session(Path(top), *parts), store=None, readers=())
            base = Path(top).relative_to(root)
            for name in names(plan):
                path = (base / name).as_posix()
                assert path not in found
                found[path] = owner
        assert found == owners


def test_whole_and_in_parts_are_the_same_tree(folder: Path) -> None:
    whole = make_plan([folder], store=None, metadata=None, readers=())
    parts = plan_session(session(folder, "*", "monday/", "tuesday/", "deep/"), store=None, readers=())
    assert parts.tree_digest == whole.tree_digest
    assert parts.empty_folders == whole.empty_folders
