"""One file is named, and its dataset is read: what lies beside it and belongs to it comes along, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

import diadem
from diadem.extract.survey import with_companions
from diadem.hooks.offers import Group, ReaderOffer

READERS = (
    ReaderOffer(name="log", suffixes=(".map",), groups=(Group("{stem}.map", sidecars=("{stem}.log",)),), load="a:b"),
    ReaderOffer(name="index", suffixes=(".asw",), groups=(Group("{stem}.asw", ("Sample/**",)),), load="a:b"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("one.map", "one.log", "two.map", "two.log", "notes.txt"):
        (tmp_path / name).write_text(name)
    return tmp_path


def test_side_files_come_along(folder: Path) -> None:
    assert with_companions(folder / "one.map", READERS) == [folder / "one.map", folder / "one.log"]


def test_a_side_file_and_a_stranger_stand_alone(folder: Path) -> None:
    for name in ("one.log", "notes.txt"):
        assert with_companions(folder / name, READERS) == [folder / name]


def test_a_folder_beside_the_file_comes_along_where_it_belongs_to_it(folder: Path) -> None:
    (folder / "all.asw").write_text("x")
    (folder / "sample" / "view").mkdir(parents=True)
    (folder / "sample" / "view" / "a.img").write_text("x")
    (folder / "other").mkdir()
    (folder / "other" / "b.img").write_text("x")
    assert with_companions(folder / "all.asw", READERS) == [folder / "all.asw", folder / "sample"]


def test_extract_reads_the_whole_dataset_of_one_file(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emi = shared_data / "tia" / "64x64_TEM_images_acquire.emi"
    alone = diadem.extract(emi)
    assert [Path(file.path).suffix for file in alone.datasets[0].files] == [".emi", ".ser"]
    assert alone.datasets[0].id == "d1"
    assert len(alone.datasets) == 1
    assert "missing-part" not in [issue["code"] for issue in alone.datasets[0].issues]
    monkeypatch.chdir(emi.parent)
    assert diadem.extract(emi.name).to_dict() == alone.to_dict()
