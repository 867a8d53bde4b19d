"""Which folders and files make a session: trees as groups have them, and what a person would say."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diadem.model.folder_dates import date_in, date_of_path, title_of
from diadem.model.scan import PlannedSession
from diadem.scan.folders import counted, is_part, same_microscope
from diadem.scan.sessions import Cover, placed
from tests.archive.scan_trees import QUANTA, Scanner, image

Planner = Callable[[Path], list[PlannedSession]]


@pytest.fixture
def sessions(scan: Scanner) -> Planner:
    """The plan of a folder."""
    return lambda folder: list(scan(folder, cache=False).plan())


def described(planned: list[PlannedSession]) -> set[tuple[str, str, int]]:
    """Title, date and number of datasets of every session."""
    return {(one.title, one.date, one.datasets) for one in planned}


def test_a_dated_folder_is_one_session_with_all_below(sessions: Planner, tmp_path: Path) -> None:
    top = tmp_path / "users" / "alice"
    for name in ("a.hspy", "EDS/map.hspy", "lamella 3/b.hspy", "lamella 3/HAADF/c.hspy"):
        image(top / "2026-03-14 ZnO S-12" / name)
    image(top / "2026-03-14 GaN" / "a.hspy")
    (top / "2026-03-14 ZnO S-12" / "notes.txt").write_text("thin")
    assert described(sessions(tmp_path)) == {("ZnO S-12", "2026-03-14", 5), ("GaN", "2026-03-14", 1)}


def test_the_day_in_a_name_is_used_or_told_and_never_lost(sessions: Planner, tmp_path: Path) -> None:
    for folder, times in (
        ("2017-03-06 Talos EDS", ("2017-03-06T10:00:00", "2017-03-20T10:00:00")),  # it may be the first of these days
        ("2016-01-01 Titan", ("2017-03-06T10:00:00", "2017-03-20T10:00:00")),  # it is none of them
        ("2015-01-01 Quanta", ("2021-01-01T10:00:00",)),
    ):
        for number, time in enumerate(times):
            image(tmp_path / folder / f"{number}.hspy", time)
    assert {(one.title, one.date) for one in sessions(tmp_path)} == {
        ("Talos EDS", "2017-03-06"),
        ("Titan", "2016-01-01"),
        ("2015-01-01 Quanta", "2021-01-01"),
    }
    whys = {one.title: one.why for one in sessions(tmp_path)}
    assert "its name says 2016-01-01, its files 2017-03-06 to 2017-03-20" in whys["Titan"]
    assert "its name says 2015-01-01, its files 2021-01-01" in whys["2015-01-01 Quanta"]


def test_parts_of_a_session_belong_to_the_folder_above(sessions: Planner, tmp_path: Path) -> None:
    for name in ("EELS/a.hspy", "STEM HAADF/b.hspy", "area 2/c.hspy", "raw/003/d.hspy"):
        image(tmp_path / "alice" / "ZnO" / name)
    image(tmp_path / "alice" / "GaN" / "a.hspy")
    assert described(sessions(tmp_path)) == {("ZnO", "2026-03-14", 4), ("GaN", "2026-03-14", 1)}
    (zno,) = [one for one in sessions(tmp_path) if one.title == "ZnO"]
    assert "named like parts" in zno.why


def test_parts_of_other_days_are_sessions_of_their_own(sessions: Planner, tmp_path: Path) -> None:
    image(tmp_path / "ZnO" / "TEM" / "a.hspy", "2026-03-14T10:00:00")
    image(tmp_path / "ZnO" / "EELS" / "b.hspy", "2026-05-02T10:00:00")
    assert described(sessions(tmp_path)) == {("ZnO TEM", "2026-03-14", 1), ("ZnO EELS", "2026-05-02", 1)}


def test_two_microscopes_are_two_sessions(sessions: Planner, tmp_path: Path) -> None:
    image(tmp_path / "ZnO" / "TEM" / "a.hspy")
    image(tmp_path / "ZnO" / "SEM" / "b.hspy", microscope=QUANTA, kv=20)
    assert described(sessions(tmp_path)) == {("ZnO TEM", "2026-03-14", 1), ("ZnO SEM", "2026-03-14", 1)}
    flat = tmp_path / "flat"
    for number in range(3):
        image(flat / f"t{number}.hspy")
        image(flat / f"s{number}.hspy", microscope=QUANTA, kv=20)
    found = sessions(flat)
    assert sorted(one.datasets for one in found) == [3, 3]
    assert all("only what was recorded at the" in one.why for one in found)


def test_folders_of_one_day_with_a_counter_are_joined(sessions: Planner, tmp_path: Path) -> None:
    for name in ("20260314_ZnO_1", "20260314_ZnO_2", "20260314_ZnO_3", "20260314_GaN", "20260315_ZnO_1"):
        day = f"{name[:4]}-{name[4:6]}-{name[6:8]}T10:00:00"
        image(tmp_path / "alice" / name / "a.hspy", day)
    assert described(sessions(tmp_path)) == {
        ("ZnO", "2026-03-14", 3),
        ("GaN", "2026-03-14", 1),
        ("ZnO_1", "2026-03-15", 1),
    }
    (joined,) = [one for one in sessions(tmp_path) if one.datasets == 3]
    assert joined.parts == ("20260314_ZnO_1/", "20260314_ZnO_2/", "20260314_ZnO_3/")
    assert Path(joined.folder).name == "alice"


def test_samples_with_numbers_are_not_counters(sessions: Planner, tmp_path: Path) -> None:
    for name in ("2026-03-14 S-1", "2026-03-14 S-2", "2026-03-14 GaN 12", "2026-03-14 GaN 13"):
        image(tmp_path / name / "a.hspy")
    assert {title for title, _, _ in described(sessions(tmp_path))} == {"S-1", "S-2", "GaN 12", "GaN 13"}


def test_a_folder_where_everything_is_dumped_is_cut_by_days(sessions: Planner, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    for day in (1, 2, 20):
        for number in range(4):
            image(dump / f"{day:02d}_{number}.hspy", f"2026-03-{day:02d}T1{number}:00:00")
    (dump / "20_notes.txt").write_text("of the twentieth")
    assert described(sessions(tmp_path)) == {
        ("dump", "2026-03-01", 4),
        ("dump", "2026-03-02", 4),
        ("dump", "2026-03-20", 5),
    }
    last = next(one for one in sessions(tmp_path) if one.date == "2026-03-20")
    assert last.parts == ("20_0.hspy", "20_1.hspy", "20_2.hspy", "20_3.hspy", "20_notes.txt")


def test_a_collection_of_single_files_stays_whole_and_has_its_first_day(sessions: Planner, tmp_path: Path) -> None:
    for year in (2019, 2021, 2024):
        image(tmp_path / "references" / f"{year}.hspy", f"{year}-03-01T10:00:00")
    (one,) = sessions(tmp_path)
    assert (one.date, one.first[:4], one.last[:4]) == ("2019-03-01", "2019", "2024")
    assert "recorded 2019 to 2024" in one.why


def test_loose_files_beside_sessions(sessions: Planner, tmp_path: Path) -> None:
    for name in ("ZnO", "GaN"):
        image(tmp_path / "alice" / name / "a.hspy")
    (tmp_path / "alice" / "todo.txt").write_text("buy tweezers")
    image(tmp_path / "alice" / "old" / "b.hspy", "2019-01-01T10:00:00")
    loose = next(one for one in sessions(tmp_path) if one.title == "alice")
    assert (loose.archive, loose.parts, loose.why) == (False, ("*",), "no file of a format that DIADEM knows")


def test_calendar_folders(sessions: Planner, tmp_path: Path) -> None:
    for day in ("14", "15"):
        image(tmp_path / "2026" / "03" / day / "a.hspy", "")
    assert {one.date for one in sessions(tmp_path)} == {"2026-03-14", "2026-03-15"}


def test_a_name_that_contradicts_the_files_is_said(sessions: Planner, tmp_path: Path) -> None:
    image(tmp_path / "x" / "2026-03-14 ZnO" / "a.hspy", "2021-01-01T10:00:00")
    (one,) = sessions(tmp_path)
    assert one.date == "2021-01-01"
    assert "its name says 2026-03-14, its files 2021-01-01" in one.why


@pytest.mark.parametrize("clock", ["1970-01-01T00:00:10", "2999-01-01T00:00:00"])
def test_a_clock_that_cannot_be_right_makes_no_session(sessions: Planner, tmp_path: Path, clock: str) -> None:
    image(tmp_path / "2026-03-14 ZnO" / "a.hspy")
    image(tmp_path / "2026-03-14 ZnO" / "b.hspy", clock)
    assert described(sessions(tmp_path)) == {("ZnO", "2026-03-14", 2)}


def test_ids_stay_and_names_differ(sessions: Planner, tmp_path: Path) -> None:
    for user in ("alice", "bob"):
        image(tmp_path / user / "2026-03-14 ZnO" / "a.hspy")
        image(tmp_path / user / "2026-03-15 ZnO" / "a.hspy", "2026-03-15T10:00:00")
    first, second = sessions(tmp_path), sessions(tmp_path)
    assert [one.id for one in first] == [one.id for one in second]
    assert len({one.name for one in first}) == 4
    assert {one.title for one in first} == {"alice ZnO", "bob ZnO"}


@pytest.mark.parametrize(
    ("name", "date", "title"),
    [
        ("2026-03-14 ZnO S-12", datetime.date(2026, 3, 14), "ZnO S-12"),
        ("ZnO_20260314", datetime.date(2026, 3, 14), "ZnO"),
        ("14.03.2026 Müller", datetime.date(2026, 3, 14), "Müller"),
        ("260314_grid2", datetime.date(2026, 3, 14), "grid2"),
        ("Titan 2026_03_14 run", datetime.date(2026, 3, 14), "Titan run"),
        ("20260230", None, "20260230"),
        ("sample 123456789", None, "sample 123456789"),
        ("1234", None, "1234"),
        ("2026-03-14", datetime.date(2026, 3, 14), ""),
    ],
)
def test_dates_in_names(name: str, date: datetime.date | None, title: str) -> None:
    assert (date_in(name), title_of(name)) == (date, title)


def test_other_names() -> None:
    assert date_of_path("2026/03 March/14 Monday") == datetime.date(2026, 3, 14)
    assert date_of_path("2026/13/14") is None
    parts = (
        "EDS",
        "raw",
        "area_2",
        "GridSquare_12",
        "Images-Disc1",
        "4D-STEM",
        "View003",
        "00_View000",
        "012",
        "BF-TEM",
    )
    assert all(map(is_part, parts))
    assert not any(map(is_part, ("ZnO", "S-12", "2026", "2026-03-14", "alice", "lamella 3", "20260314_EDS", "")))
    assert counted("ZnO_02") == ("ZnO", 2)
    assert counted("S-12") == ("S-12", 1)
    assert counted("ZnO (3)") == ("ZnO", 3)
    assert same_microscope("FEI Titan 80-300", "Titan")
    assert same_microscope("Talos F200X", "TalosF200X 200 kV D6308 XTwin")
    assert not same_microscope("FEI Titan", "FEI Quanta")
    assert not same_microscope("Carl Zeiss Ultra55", "Carl Zeiss Merlin")


@given(st.text(max_size=60))
def test_any_name_can_be_asked(name: str) -> None:
    is_part(name)
    title_of(name)
    counted(name)
    date_in(name)


_PATHS = st.lists(
    st.tuples(st.lists(st.sampled_from("abc"), max_size=3), st.sampled_from("xyz"), st.integers(0, 2)), max_size=12
)


@given(_PATHS)
def test_what_covers_a_session_holds_its_files_and_no_others(drawn: list[tuple[list[str], str, int]]) -> None:
    owners = {"/".join([*folders, name + ".f"]): owner for folders, name, owner in drawn}
    cover = Cover(owners, [])
    for owner in set(owners.values()):
        mine = {path for path, who in owners.items() if who == owner}
        folder, parts = placed("/root", cover.pieces(mine))
        assert {path for path in owners if _held(f"/root/{path}", folder, parts)} == mine


def _held(path: str, folder: str, parts: tuple[str, ...]) -> bool:
    """Whether the plan's words mean this file."""
    if not path.startswith(f"{folder}/"):
        return False
    inner = path.removeprefix(f"{folder}/")
    place = inner.rpartition("/")[0]
    return not parts or any(
        part == inner
        or (part.endswith("/") and inner.startswith(part))
        or (part.endswith("*") and part[:-1].rstrip("/") == place)
        for part in parts
    )
