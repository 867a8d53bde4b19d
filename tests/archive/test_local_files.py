"""Files of a package as paths on this machine: proven in place, or fetched into a cache and proven there."""

from __future__ import annotations

from pathlib import Path

import pytest

import diadem
from diadem.errors import DigestMismatch, NotFound
from diadem.model.ports import Progress
from diadem.testing.faults import flip_byte

#: A Ripple file is two: the raw data, and the header that names it.
RPL = """key\tvalue
width\t4
height\t4
depth\t1
offset\t0
data-length\t1
data-type\tunsigned
byte-order\tdont-care
record-by\timage
"""


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIADEM_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "session" / "day 1"
    folder.mkdir(parents=True)
    (folder / "map.rpl").write_text(RPL)
    (folder / "map.raw").write_bytes(bytes(range(16)))
    (folder / "note.txt").write_text("drift")
    return folder.parent


def test_in_a_folder_of_this_machine_it_is_the_file_itself(session: Path, tmp_path: Path) -> None:
    package = diadem.pack(session, tmp_path / "store")
    place = package.local("day 1/note.txt")
    assert place == package.path / "data" / "day 1" / "note.txt"  # type: ignore[operator]
    assert package["map.rpl"].local().read_text() == RPL
    flip_byte(place, 2)
    with pytest.raises(DigestMismatch, match=r"note\.txt"):
        package.local("day 1/note.txt")
    flip_byte(place.with_name("map.raw"), 3)
    with pytest.raises(DigestMismatch, match=r"map\.raw"):
        package["map.rpl"].local()
    with pytest.raises(NotFound, match="no file"):
        package.local("elsewhere")


def test_of_another_place_it_is_a_copy_that_stays_and_is_proven_each_time(session: Path, tmp_path: Path) -> None:
    package = diadem.pack(session, "memory://local-files")
    told: list[Progress] = []
    place = package["map.rpl"].local(listener=told.append)
    assert place.is_relative_to(tmp_path / "cache")
    assert (place.read_text(), place.with_name("map.raw").read_bytes()) == (RPL, bytes(range(16)))
    assert not place.with_name("note.txt").exists(), "only the dataset's own files"
    assert told[-1].done == told[-1].total == len(RPL) + 16

    before = place.stat().st_mtime_ns
    assert package.local("day 1/map.rpl") == place
    assert place.stat().st_mtime_ns == before, "it is not fetched again"

    place.with_name("map.raw").write_bytes(b"somebody edited")
    assert package.local("day 1/map.rpl").with_name("map.raw").read_bytes() == bytes(range(16))
    assert sorted(one.name for one in place.parent.iterdir()) == ["map.raw", "map.rpl"]

    wished = package.local("day 1/note.txt", folder=tmp_path / "here")
    assert wished == tmp_path / "here" / "day 1" / "note.txt"
    assert wished.read_text() == "drift"


def test_a_damaged_source_leaves_nothing(session: Path, tmp_path: Path) -> None:
    package = diadem.pack(session, tmp_path / "store")
    flip_byte(package.path / "data" / "day 1" / "map.raw", 3)  # type: ignore[operator]
    with pytest.raises(DigestMismatch):
        package.local("day 1/map.rpl", folder=tmp_path / "here")
    assert not [one for one in (tmp_path / "here").rglob("*") if one.name.startswith((".diadem", "map.raw"))]
