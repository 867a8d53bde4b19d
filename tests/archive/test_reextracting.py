"""`Package.reextract`: what the readers of today say, proven bytes, a package that stays as it is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

import diadem
from diadem.api import trying
from diadem.archive.package import Package
from diadem.errors import DigestMismatch
from diadem.model.differences import differences
from diadem.model.record import Datasets, Record
from diadem.testing.faults import flip_byte
from tests import zygote
from tests.hooks.distributions import IMPORTS
from tests.package.sample_bags import Watched
from tests.services import S3Server

FILES = ("msa/example1.msa", "mib/002_4x2_6bit_roi128.mib", "mib/002_4x2_6bit_roi128.hdr", "mrc/HAADFscan.mrc")

#: A plugin of an early day: it took a dwell time in milliseconds for an exposure in seconds.
EARLY = """
@hookimpl
def diadem_formats():
    yield FieldsOffer(name="early", formats=("msa",), tables={"rosettasciio": "early_tables:TABLE"})

from diadem.hooks.fields import Rule
TABLE = (Rule("camera.exposure", "DWELLTIME-ms", unit="s", read=float, cite="nobody"),)
"""


@pytest.fixture
def session(unpacked_data: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "session"
    folder.mkdir()
    for name in FILES:
        shutil.copy(unpacked_data / name, folder)
    (folder / "notes.txt").write_text("nothing that a reader knows")
    (folder / "odd%name").mkdir()
    shutil.copy(unpacked_data / "msa/example2.msa", folder / "odd%name")
    return folder


@pytest.fixture
def early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The plugin at hand, for as long as packages are made with it."""
    (tmp_path / "early_tables.py").write_text(IMPORTS + EARLY)
    monkeypatch.syspath_prepend(str(tmp_path))
    with trying("early_tables"):
        yield
    sys.modules.pop("early_tables", None)


def everything(folder: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_the_same_readers_say_the_same(session: Path, tmp_path: Path) -> None:
    metadata = {"sample": {"name": "S-12"}, "people": [{"name": "Marie Curie"}]}
    package = diadem.pack(session, tmp_path / "store", metadata=metadata)
    before = everything(package.url)
    found = diadem.open(package.url).reextract()
    assert found.changes == ()
    assert found.record.to_dict() == package.record.to_dict()
    assert found.record.datasets[0].vendor()
    assert everything(package.url) == before
    assert str(found).endswith("read again: 0 added, 0 removed, 0 changed")


@pytest.mark.usefixtures("early")
def test_what_the_readers_of_today_say_differently(session: Path, tmp_path: Path) -> None:
    package = diadem.pack(session, tmp_path / "store")
    assert {one.path.rpartition("/")[2]: one.value("camera.exposure") for one in package.record.datasets} == {
        "002_4x2_6bit_roi128.mib": 0.1,
        "HAADFscan.mrc": None,
        "example1.msa": 100.0,
        "example2.msa": None,
        "notes.txt": None,
    }
    code = f"import diadem, json; print(json.dumps(diadem.open({package.url!r}).reextract().to_dict()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["package"] == package.id
    assert told["counts"] == {"added": 0, "removed": 1, "changed": 0}
    (change,) = told["changes"]
    assert (change["dataset"], change["field"], change["kind"]) == ("example1.msa", "camera.exposure", "removed")
    assert change["old"]["source"]["locator"].endswith("DWELLTIME-ms")
    assert "new" not in change


def test_damage_is_found_before_anything_is_said(session: Path, tmp_path: Path) -> None:
    package = diadem.pack(session, tmp_path / "store")
    flip_byte(Path(package.url) / "data" / "HAADFscan.mrc", 5000)
    with pytest.raises(DigestMismatch, match=r"leaf 0"):
        diadem.open(package.url).reextract()


def test_a_package_on_an_object_store(session: Path, s3_server: S3Server, tmp_path: Path) -> None:
    url = s3_server.url(f"again-{uuid.uuid4().hex[:8]}")
    packed = diadem.pack(session, url, storage_options=s3_server.storage_options)
    package: Package = diadem.open(packed.url, storage_options=s3_server.storage_options)
    found = package.reextract()
    assert found.changes == ()
    assert found.record.to_dict() == package.record.to_dict()


def test_a_dataset_of_many_files_is_read_one_file_after_the_other(unpacked_data: Path, tmp_path: Path) -> None:
    name = "signal1d_10x10-DirectoryStore.zspy"
    shutil.copytree(unpacked_data / "zspy" / name, tmp_path / "session" / name)
    packed = diadem.pack(tmp_path / "session", tmp_path / "store")
    assert len(packed.record.datasets[0].files) > 20
    bag = Watched(packed.bundle)  # for the readers it is no folder of this machine
    package = Package(bag, readers=packed.readers, extractor=packed.extractor)
    assert package.reextract().changes == ()
    assert bag.most_open == 1
    assert package.load(name).data.shape == (10, 10)
    assert bag.most_open == 1


def test_the_command(session: Path, tmp_path: Path) -> None:
    package = diadem.pack(session, tmp_path / "store")
    command = [sys.executable, "-m", "diadem", "extract", package.url, "--again"]
    done = zygote.run(command, check=True)
    assert done.stdout.strip() == f"{package.id[:19]}… read again: 0 added, 0 removed, 0 changed"
    done = zygote.run([*command, "--json"], check=True)
    assert json.loads(done.stdout)["changes"] == []


def test_changes_are_told_by_dataset_field_and_signal(session: Path) -> None:
    record = diadem.extract(session)
    other = with_other(record, "beam.acceleration_voltage", lambda told: [{**told[0], "value": 99.0}])
    (change,) = differences(record.datasets, other.datasets)
    assert (change.field, change.kind) == ("beam.acceleration_voltage", "changed")
    assert change.old is not None
    assert change.new is not None
    assert (change.old.value, change.new.value) == (120000.0, 99.0)
    assert str(change).startswith("~ example1.msa beam.acceleration_voltage: 120000.0 V (")
    more = with_other(record, "beam.acceleration_voltage", lambda told: [*told, {**told[0], "applies_to": ["s1"]}])
    assert [one.kind for one in differences(record.datasets, more.datasets)] == ["added"]
    newer = with_other(record, "beam.acceleration_voltage", lambda told: [{**told[0], "by": {"plugin": "x"}}])
    assert list(differences(record.datasets, newer.datasets)) == []
    gone = list(differences(record.datasets, record.datasets[1:]))
    assert {one.kind for one in gone} == {"removed"}
    assert len(gone) == sum(map(len, record.datasets[0].fields.values()))


def with_other(record: Record, key: str, change: object) -> Record:
    """The record with other assertions of a field in one dataset."""
    from dataclasses import replace

    datasets = list(record.datasets)
    for place, dataset in enumerate(datasets):
        if dataset.path == "example1.msa":
            fields = {**dataset.document["fields"], key: change(dataset.document["fields"][key])}  # type: ignore[operator]
            datasets[place] = replace(dataset, document={**dataset.document, "fields": fields})
            return replace(record, datasets=Datasets(datasets))
    raise AssertionError(key)
