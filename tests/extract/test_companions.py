"""One file is named, and its dataset is read: what lies beside it and belongs to it comes along, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
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


def test_who_names_a_link_means_what_it_leads_to(unpacked_data: Path, tmp_path: Path) -> None:
    emi = unpacked_data / "tia" / "64x64_TEM_images_acquire.emi"
    for name, target in (("x.emi", emi), ("folder", emi.parent)):
        try:
            (tmp_path / name).symlink_to(target)
        except OSError:
            pytest.skip("this user may make no links")
    assert diadem.extract(tmp_path / "x.emi").to_dict() == diadem.extract(emi).to_dict()
    through = [dataset.path for dataset in diadem.extract(tmp_path / "folder").datasets]
    assert through == [dataset.path for dataset in diadem.extract(emi.parent).datasets]


def test_a_link_within_a_dataset_is_not_followed(unpacked_data: Path, tmp_path: Path) -> None:
    source = unpacked_data / "tia"
    shutil.copy(source / "64x64_TEM_images_acquire.emi", tmp_path)
    try:
        (tmp_path / "64x64_TEM_images_acquire_1.ser").symlink_to(source / "64x64_TEM_images_acquire_1.ser")
    except OSError:
        pytest.skip("this user may make no links")
    (dataset,) = diadem.extract(tmp_path / "64x64_TEM_images_acquire.emi").datasets
    assert [one["code"] for one in dataset.issues] == ["symlink"]


def test_who_asks_for_file_after_file_does_not_have_the_folder_listed_for_each(tmp_path: Path) -> None:
    folder = tmp_path / "session"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number}.txt").write_text("x")
    an_hour_ago = time.time() - 3600
    os.utime(folder, (an_hour_ago, an_hour_ago))
    program = (
        "import sys, diadem\n"
        "listed = []\n"
        "def note(event, told):\n"
        "    if event == 'os.scandir' and str(told[0]) == sys.argv[1]: listed.append(told)\n"
        "sys.addaudithook(note)\n"
        "found = list(diadem.extract_many(f'{sys.argv[1]}/{n}.txt' for n in range(40)))\n"
        "print(len(found), len(listed))\n"
    )
    ran = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True)
    found, listed = map(int, ran.stdout.split())
    assert found == 40
    assert listed <= (os.cpu_count() or 1)  # each thread may come first


def test_a_file_that_has_come_is_seen(folder: Path) -> None:
    an_hour_ago = time.time() - 3600
    os.utime(folder, (an_hour_ago, an_hour_ago))
    assert with_companions(folder / "one.map", READERS) == [folder / "one.map", folder / "one.log"]
    (folder / "one.log").unlink()
    assert with_companions(folder / "one.map", READERS) == [folder / "one.map"]
    (folder / "one.log").write_text("x")
    assert with_companions(folder / "one.map", READERS) == [folder / "one.map", folder / "one.log"]
