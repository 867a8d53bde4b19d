"""HyperSpy's files: those that it wrote over the years, and what it makes of vendors' files."""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import pytest

import diadem


def extracted(folder: Path) -> dict[str, Any]:
    """Datasets by the name of their first file or folder."""
    found = {}
    for dataset in diadem.extract(folder).to_dict()["datasets"]:
        path = Path(dataset["files"][0]["path"])
        found[path.parent.name if path.parent.suffix == ".zspy" else path.name] = dataset
    return found


@pytest.fixture(scope="module")
def found(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The real files."""
    folder = tmp_path_factory.mktemp("hspy") / "hspy"
    shutil.copytree(shared_data / "hspy", folder)
    return extracted(folder)


def test_a_day_that_a_reader_guessed_is_no_date(found: dict[str, Any]) -> None:
    """2014-07-09 of a DM3 file may be the ninth of July or the seventh of September."""
    assert not [key for key in found["example2_v3.1.hspy"]["fields"] if key.startswith("time.")]


def test_a_resolution_that_hyperspy_supposes_is_none(found: dict[str, Any]) -> None:
    """130 eV stands in every spectrum of X-rays that it has saved."""
    assert "eds.resolution" not in found["EDS_SEM_TM002.hspy"]["fields"]


@pytest.mark.parametrize("name", ["EDS_SEM_TM002.hspy", "example1_v1.2.hdf5", "example2_v3.1.hspy"])
def test_every_value_stands_where_it_is_said_to(found: dict[str, Any], shared_data: Path, name: str) -> None:
    """By h5py: the attribute that a locator names, or one whose name begins so, has the raw value."""
    checked = 0
    with h5py.File(shared_data / "hspy" / name) as file:
        for assertions in found[name]["fields"].values():
            for one in assertions:
                group, _, key = one["source"]["locator"].rpartition("/")
                if group not in file or " + " in key:
                    continue
                named = {other: value for other, value in file[group].attrs.items() if other.startswith(key)}
                if named:
                    assert str(one["source"]["raw"]) in [str(value) for value in named.values()]
                    checked += 1
    assert checked >= 5


#: Vendors' files, and fields that do not survive HyperSpy, or only without their offset.
SAVED: Mapping[str, Sequence[str]] = {
    "dm/test-EELS_spectrum.dm3": (),
    "dm/Titan_EDS_SI_dataZeroed.dm4": (),
    "dm/test_STEM_image.dm3": (),
    "emd-velox/fei_emd_image.emd": ("instrument.software", "time.acquired_end"),
    "tia/64x64_TEM_images_acquire.emi": (),
    "tif-fei/quanta_image.tif": (),
    "tif-zeiss/test_tiff_Zeiss_SEM_512pix.tif": (),
    "msa/example1.msa": (),
    "msa/leo_edax_test.msa": (),
    "blo/test1.blo": (),
    "prz/panta_rhei_sample.prz": (),
    "mib/002_4x2_6bit_roi128.mib": ("time.acquired_end", "time.utc_offset"),
}


@pytest.fixture(scope="module")
def saved(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Vendors' files read and saved by HyperSpy, and themselves."""
    folder = tmp_path_factory.mktemp("saved")
    logging.getLogger("hyperspy").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import hyperspy.api as hs

        for number, name in enumerate(SAVED):
            place = folder / str(number)
            place.mkdir()
            source = shared_data / name
            stem = source.stem
            for file in source.parent.iterdir():
                if file.stem == stem or file.stem == f"{stem}_1":
                    shutil.copy(file, place)
            loaded = hs.load(str(place / source.name))
            signal = loaded[0] if isinstance(loaded, list) else loaded
            signal.save(str(place / ("saved.zspy" if name.endswith(("dm4", "leo_edax_test.msa")) else "saved.hspy")))
    return {str(Path(one["files"][0]["path"]).parts): one for one in diadem.extract(folder).to_dict()["datasets"]}


def _values(fields: Mapping[str, Any]) -> dict[str, str]:
    """Values by field, of the first signal."""
    found: dict[str, list[Any]] = {}
    for key, assertions in fields.items():
        for one in assertions:
            if "s1" in one.get("applies_to", ["s1"]):
                found.setdefault(key, []).append(one["value"])
    return {key: json.dumps(values) for key, values in found.items()}


@pytest.mark.parametrize("name", SAVED)
def test_what_hyperspy_saved_says_what_the_vendors_file_says(saved: dict[str, Any], name: str) -> None:
    number = f"'{list(SAVED).index(name)}'"
    of_this = [dataset for key, dataset in saved.items() if f"{number}," in key]
    theirs = next(_values(one["fields"]) for one in of_this if Path(one["files"][0]["path"]).name == Path(name).name)
    ours = next(_values(one["fields"]) for one in of_this if "saved." in one["files"][0]["path"])
    for key in SAVED[name]:
        theirs.pop(key)
    assert ours == theirs
    assert len(ours) >= 4
