"""A vendor's own metadata, from the file through a package and back."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from pathlib import Path

import pytest

import diadem
from diadem.errors import IntegrityError, NotFound, UsageError
from diadem.serialization.record_json import build_record
from diadem.testing.faults import flip_byte, make_writable
from diadem.testing.samples import write_session


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> diadem.Package:
    folder = tmp_path_factory.mktemp("vendor")
    write_session(folder / "session")
    return diadem.pack(folder / "session", folder / "store")


def test_every_entry_is_a_member_named_by_its_digest(package: diadem.Package) -> None:
    archive = Path(package.url) / "diadem" / "vendor.zip"
    entries = [entry for dataset in package.record.datasets for entry in dataset.raw]
    assert entries
    with zipfile.ZipFile(archive) as opened:
        for entry in entries:
            assert entry["path"] == f"vendor:{entry['sha256']}"
            assert hashlib.sha256(opened.read(entry["sha256"])).hexdigest() == entry["sha256"]
        assert set(opened.namelist()) == {entry["sha256"] for entry in entries}


def test_the_same_by_dataset_id_path_and_place(package: diadem.Package) -> None:
    record = diadem.open(package.url).record
    number, dataset = next((number, item) for number, item in enumerate(record.datasets) if item.raw)
    blocks = dataset.vendor()
    assert any(block.tree for block in blocks)
    for wanted in (dataset, dataset.id, dataset.path, number):
        assert [block.path for block in record.vendor(wanted)] == [block.path for block in blocks]
    with pytest.raises(NotFound, match="nothing-like-it"):
        record.vendor("nothing-like-it")


def test_extract_has_them_without_a_package(tmp_path: Path, package: diadem.Package) -> None:
    write_session(tmp_path)
    direct = {item.path: item.vendor() for item in diadem.extract(tmp_path).datasets}
    packed = {item.path: item.vendor() for item in package.record.datasets}
    assert {path: [(block.path, block.data) for block in blocks] for path, blocks in direct.items()} == {
        path: [(block.path, block.data) for block in blocks] for path, blocks in packed.items()
    }


def test_a_damaged_archive_is_not_believed(tmp_path: Path, package: diadem.Package) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(package.url, copy)
    make_writable(copy)
    flip_byte(copy / "diadem" / "vendor.zip", 60)
    dataset = next(item for item in diadem.open(copy).record.datasets if item.raw)
    with pytest.raises(IntegrityError, match="tag file"):
        dataset.vendor()


def test_a_record_alone_says_where_they_would_be(package: diadem.Package) -> None:
    alone = build_record([dict(item.document) for item in package.record.datasets])
    with pytest.raises(UsageError, match="vendor"):
        alone.vendor(0)
