"""A record says what the files say: not where they are read, on what machine, nor what they are called."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

#: One of each kind of metadata: binary tags, JSON, XML, INI, text with dates of every order, instants, epochs.
CHOSEN = (
    "app5/topspin_test_A.app5",
    "blo/test1.blo",
    "bruker/bruker_nano.spx",
    "bruker/test_TEM.bcf",
    "dens/file1.dens",
    "dm/Fei HAADF-MX_location.dm3",
    "dm/test-MonarcCL_spectrum-ccd.dm4",
    "elid/Elid2Version0.elid",
    "emd-velox/fei_emd_image.emd",
    "hspy/example2_v3.1.hspy",
    "jeol_single/met03.EDS",
    "jobinyvon/jobinyvon_test_spec.xml",
    "mib/002_4x2_6bit_roi128.hdr",
    "mib/002_4x2_6bit_roi128.mib",
    "mrc/HAADFscan.mrc",
    "msa/example1.msa",
    "protochips/protochips_thermal.csv",
    "prz/panta_rhei_sample.prz",
    "semper/example_with_title.unf",
    "tia/64x64_TEM_images_acquire.emi",
    "tia/64x64_TEM_images_acquire_1.ser",
    "tif-fei/FEI-Helios-Ebeam-8bits.tif",
    "tif-jeol/JEOL-SightX-TEM-mag-dummy.tif",
    "tif-tescan/tescan-pfib_dataZeroed.hdr",
    "tif-tescan/tescan-pfib_dataZeroed.tif",
    "tif-zeiss/test_tiff_Zeiss_SEM_512pix.tif",
    "trivista/linescan.tvf",
    "tvips/test_tvips_2233_000.tvips",
    "wdf/renishaw_test_spectrum.wdf",
)
#: Goes before every name in a renamed copy, so that files of one dataset stay together.
PREFIX = "renamed-"
#: A day after any acquisition among the files: a file that is older than its content is an issue, and should be.
LATER = 1_900_000_000

TOKYO = {"TZ": "Asia/Tokyo"}
BARE = {"LC_ALL": "C", "LANG": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
#: Where the system has no such locale, the name alone must do no harm.
GERMAN = {"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8", "LANGUAGE": "de", "TZ": "Europe/Berlin"}


@pytest.fixture(scope="module")
def session(unpacked_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chosen files in one folder."""
    folder = tmp_path_factory.mktemp("invariance") / "session"
    folder.mkdir()
    for name in CHOSEN:
        shutil.copy(unpacked_data / name, folder)
    return folder


@pytest.fixture(scope="module")
def record(session: Path) -> Iterator[Mapping[str, Any]]:
    """What is read here and now, and that reading leaves the files alone."""
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in session.iterdir()}
    yield extracted(session, {"TZ": "UTC"})
    assert before == {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in session.iterdir()}


def extracted(folder: Path, setting: Mapping[str, str]) -> Any:
    """The datasets of a folder, as a process in an environment of its own reads them."""
    program = "import diadem, json, sys; print(json.dumps(diadem.extract(sys.argv[1]).to_dict()['datasets']))"
    command = [sys.executable, "-c", program, str(folder)]
    done = subprocess.run(command, capture_output=True, env={**os.environ, **setting}, cwd=folder.parent, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    return json.loads(done.stdout)


def test_the_choice_says_something(record: Any) -> None:
    assert len(record) == len(CHOSEN) - 3  # three side files
    assert all(dataset["signals"] for dataset in record)
    assert sum(len(stated) for dataset in record for stated in dataset["fields"].values()) > 150
    assert sum("time.acquired_start" in dataset["fields"] for dataset in record) > 12


@pytest.mark.parametrize("setting", [TOKYO, BARE, GERMAN], ids=["Tokyo", "no locale", "German"])
def test_the_machine_does_not_matter(record: Any, session: Path, setting: Mapping[str, str]) -> None:
    assert_same(extracted(session, setting), record)


def test_no_format_depends_on_the_zone(unpacked_data: Path) -> None:
    """RosettaSciIO puts times of some formats into the zone it runs in."""
    tokyo, newfoundland = (extracted(unpacked_data, {"TZ": zone}) for zone in ("Asia/Tokyo", "America/St_Johns"))
    assert_same(tokyo, newfoundland)
    assert len(tokyo) > 100
    assert sum("time.acquired_start" in dataset["fields"] for dataset in tokyo) > 70


def test_names_and_dates_of_files_do_not_matter(record: Any, session: Path, tmp_path: Path) -> None:
    copy = tmp_path / "another place" / "copy"
    copy.mkdir(parents=True)
    for path in session.iterdir():
        (copy / f"{PREFIX}{path.name}").write_bytes(path.read_bytes())
        os.utime(copy / f"{PREFIX}{path.name}", (LATER, LATER))
    found = json.loads(json.dumps(extracted(copy, {})).replace(PREFIX, ""))
    assert_same(found, record)


def assert_same(found: Any, expected: Any) -> None:
    """That two lists of datasets are the same, told dataset by dataset."""
    assert [dataset["files"][0]["path"] for dataset in found] == [item["files"][0]["path"] for item in expected]
    for one, other in zip(found, expected, strict=True):
        for part in ("files", "signals", "fields", "issues", "raw", "extraction"):
            assert one.get(part) == other.get(part), (one["files"][0]["path"], part)
