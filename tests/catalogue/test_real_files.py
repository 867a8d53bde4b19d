"""Files as instruments wrote them, packed, catalogued and found by what they say."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import diadem
from diadem.catalogue import Catalogue, PackageEntry
from tests.catalogue.making import NOW

FILES = ("emd-velox/fei_example_dpc_titles.emd", "tif-fei/scios_xml_metadata.tif", "dm/test-1.dm3")
TAG_FILES = ("tagmanifest-sha256.txt", "manifest-sha256.txt", "diadem/index.tsv", "diadem/leaves.blake3")


@pytest.fixture(scope="module")
def real(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory, new_address: Callable[[], str]
) -> Iterator[Catalogue]:
    folder = tmp_path_factory.mktemp("real")
    (folder / "session").mkdir()
    (folder / "store").mkdir()
    for name in FILES:
        if not (shared_data / name).is_file():
            pytest.skip(f"{name} is not beside this checkout")
        shutil.copy(shared_data / name, folder / "session")
    (folder / "session" / "Notizen Süd.txt").write_text("notes", encoding="utf-8")
    people = [{"name": "Ernst Ruska", "role": "operator"}]
    metadata = {"session": {"title": "ZnO test", "date": "2026-03-14"}, "people": people}
    package = diadem.pack(folder / "session", folder / "store", metadata=metadata)
    tag_files = {path: package.bundle.read(path, 1 << 20) for path in TAG_FILES}
    one = PackageEntry(
        package.id, package.payload_id, "2026/x", "ZnO test", datetime.date(2026, 3, 14), 1000, len(package.files),
        "alice@hu-berlin", NOW, package.record, tag_files=tag_files,
    )  # fmt: skip
    with Catalogue.open(new_address(), create=True) as catalogue:
        catalogue.add_package(one)
        yield catalogue


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ("format:emd", ["fei_example_dpc_titles.emd"]),
        ("dpc*", ["fei_example_dpc_titles.emd"]),
        ("voltage>=100kV format:emd", ["fei_example_dpc_titles.emd"]),
        ("instrument:scios", ["scios_xml_metadata.tif"]),
        ("scios dwell>1ns not format:emd", ["scios_xml_metadata.tif"]),
        ("file:test-1", ["test-1.dm3"]),
        ("notizen sud", ["Notizen Süd.txt"]),
        ("suffix:dm3 or suffix:tif", ["scios_xml_metadata.tif", "test-1.dm3"]),
    ],
)
def test_found(real: Catalogue, query: str, paths: list[str]) -> None:
    (row,) = real.search(query).rows
    assert [item.path for item in row.matched] == paths


def test_of_the_whole_package(real: Catalogue) -> None:
    for query in ("ruska", "operator:ruska title:zno", "date:2026-03"):
        (row,) = real.search(query).rows
        assert row.matching == row.datasets >= 3, query


def test_every_number_is_found_by_itself(real: Catalogue) -> None:
    """Whatever number a record states is found by asking for it."""
    (row,) = real.search("").rows
    with real.reading() as connection:
        stored = [
            row
            for row in connection.exec_driver_sql("SELECT name, number, datasets FROM numbers JOIN keys ON code = key")
            if not row.name.startswith(("time.", "session."))  # moments are asked for as days
        ]
    assert len(stored) > 30
    for name, number, _ in stored:
        result = real.search(f"{name}={number!r}")
        assert [found.id for found in result] == [row.id], name


def test_tag_files_come_back(real: Catalogue) -> None:
    (row,) = real.search("").rows
    kept = real.tag_files(row.id)
    assert kept.keys() == set(TAG_FILES)
    assert b"data/test-1.dm3" in kept["manifest-sha256.txt"]
