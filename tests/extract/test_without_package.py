"""`diadem.extract` asks the file, not the archive: the words of a package's record, for the price of a header."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.errors import DocumentError
from diadem.serialization import schemas
from diadem.serialization.record_json import read_record
from diadem.serialization.record_writer import write_record
from diadem.serialization.strict_json import compact
from diadem.serialization.validation import validate_record
from diadem.testing.samples import write_session


def without_package(dataset: dict[str, Any]) -> dict[str, Any]:
    """A dataset without what only a package knows: digests, and how the picture on its page came about."""
    files = [{key: value for key, value in file.items() if key != "sha256"} for file in dataset["files"]]
    how = {key: value for key, value in dataset["extraction"].items() if key != "preview"}
    return {**dataset, "files": files, "extraction": how}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("asked") / "session"
    write_session(folder)
    return folder


def test_real_files_give_what_a_package_of_them_says(unpacked_data: Path, tmp_path: Path) -> None:
    packed = {one["files"][0]["path"]: one for one in diadem.pack(unpacked_data, tmp_path).record.to_dict()["datasets"]}
    found = diadem.extract(unpacked_data).to_dict()["datasets"]
    assert len(found) == len(packed)
    for dataset in found:
        assert dataset == without_package(packed[dataset["files"][0]["path"]])
    primaries = list(packed)[::6]
    for path, record in zip(primaries, diadem.extract_many(unpacked_data / path for path in primaries), strict=True):
        (alone,) = record.to_dict()["datasets"]
        whole = without_package(packed[path])
        assert {**alone, "id": "", "files": 0, "issues": 0} == {**whole, "id": "", "files": 0, "issues": 0}
        place = f"{path.rpartition('/')[0]}/".lstrip("/")
        assert [{**file, "path": place + file["path"]} for file in alone["files"]] == whole["files"]
        codes, expected = ({one["code"] for one in dataset["issues"]} for dataset in (alone, whole))
        assert expected - codes <= {"clock-disagrees"}  # which looks at the datasets beside it


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere a process is not told what it has read")
def test_a_large_file_costs_its_header(unpacked_data: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.mrc"
    header = bytearray((unpacked_data / "mrc" / "HAADFscan.mrc").read_bytes()[:1024])
    header[:12] = b"".join(count.to_bytes(4, "little") for count in (4096, 4096, 96))
    large.write_bytes(header)
    mode = int.from_bytes(header[12:16], "little")
    extended = int.from_bytes(header[92:96], "little")
    os.truncate(large, 1024 + extended + 4096 * 4096 * 96 * {0: 1, 1: 2, 2: 4, 6: 2}[mode])
    code = (
        "import diadem, sys\n"
        "def read():\n"
        "    return int(open('/proc/self/io').read().split()[1])\n"
        "diadem.extract(sys.argv[1])\n"
        "before = read()\n"
        "(dataset,) = diadem.extract(sys.argv[1]).datasets\n"
        "print(read() - before, dataset.signals[0].shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(large)], capture_output=True, text=True, check=True)
    count, _, shape = done.stdout.strip().partition(" ")
    assert shape == "(96, 4096, 4096)"
    assert int(count) < 8 << 20


@pytest.mark.parametrize("name", [".", "eds_point.msa"])
def test_the_record_says_that_it_is_not_sealed(session: Path, name: str) -> None:
    record = diadem.extract(session / name)
    document = record.to_dict()
    assert not record.sealed
    assert document["sealed"] is False
    assert "not sealed" in repr(record)
    assert {file.sha256 for dataset in record.datasets for file in dataset.files} == {""}
    validate_record(document)


def test_no_package_takes_such_a_record(session: Path, tmp_path: Path) -> None:
    record = diadem.extract(session)
    document = record.to_dict()
    claimed = {key: value for key, value in document.items() if key != "sealed"}
    assert not schemas.validator(schemas.RECORD).is_valid(claimed)  # the published rule says so, too
    with pytest.raises(DocumentError, match="sha256"):
        validate_record(claimed)
    with pytest.raises(DocumentError, match="sha256"):
        write_record(BytesIO(), record)
    with pytest.raises(DocumentError, match="no package"):
        read_record(compact(document, where="record"))
    with pytest.raises(DocumentError, match="sha256"):
        list(read_record(compact(claimed, where="record")).datasets)
    sealed = diadem.pack(session, tmp_path).record
    assert sealed.sealed
    assert "sealed" not in sealed.to_dict()


@pytest.mark.skipif(os.name == "nt", reason="no such names")
@pytest.mark.parametrize("name", ["what?.msa", b"gr\xfc\xdfe.msa"])
def test_a_file_whose_name_no_package_could_keep_is_read(session: Path, tmp_path: Path, name: str | bytes) -> None:
    place = os.path.join(os.fsencode(tmp_path), os.fsencode(name))
    try:
        with open(place, "xb") as file:
            file.write((session / "eds_point.msa").read_bytes())
    except OSError:
        pytest.skip("this file system has no such names")
    packed = diadem.pack(tmp_path, tmp_path.parent / f"{tmp_path.name}-store").record.to_dict()["datasets"]
    for where in (tmp_path, Path(os.fsdecode(place))):
        (dataset,) = diadem.extract(where).to_dict()["datasets"]
        assert dataset["signals"]
        assert dataset == without_package(packed[0])


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_who_interrupts_is_obeyed_at_once(session: Path, error: type[BaseException]) -> None:
    def interrupt(progress: object) -> None:
        raise error

    started = time.monotonic()
    with pytest.raises(error):
        diadem.extract(session, listener=interrupt)
    assert time.monotonic() - started < 30
    assert any(dataset.signals for dataset in diadem.extract(session).datasets)
