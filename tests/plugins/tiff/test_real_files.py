"""Every real TIFF file and picture through the extractor: all true values, units, times, and no other time zone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import diadem

#: Key of the true values: field, its unit, and the factor to it.
FIELDS: Mapping[str, tuple[str, str | None, float]] = {
    "beam_energy_keV": ("beam.acceleration_voltage", "V", 1e3),
    "beam_current_A": ("beam.current", "A", 1.0),
    "emission_current_A": ("beam.emission_current", "A", 1.0),
    "magnification": ("optics.magnification", "1", 1.0),
    "working_distance_m": ("optics.working_distance", "m", 1.0),
    "horizontal_field_width_m": ("optics.field_of_view_x", "m", 1.0),
    "dwell_time_s": ("scan.dwell_time", "s", 1.0),
    "exposure_s": ("camera.exposure", "s", 1.0),
    "stage_x_m": ("stage.x", "m", 1.0),
    "stage_y_m": ("stage.y", "m", 1.0),
    "stage_z_m": ("stage.z", "m", 1.0),
    "stage_alpha_deg": ("stage.alpha", "deg", 1.0),
    "stage_beta_deg": ("stage.beta", "deg", 1.0),
    "stage_tilt_deg": ("stage.tilt", "deg", 1.0),
    "stage_rotation_deg": ("stage.rotation", "deg", 1.0),
    "pixel_size": ("image.pixel_size_x", "m", 1.0),
    "pixel_size_x_m": ("image.pixel_size_x", "m", 1.0),
    "pixel_size_y_m": ("image.pixel_size_y", "m", 1.0),
    "detector": ("detector.name", None, 0),
    "operator": ("person.operator", None, 0),
    "microscope": ("instrument.model", None, 0),
    "manufacturer": ("instrument.vendor", None, 0),
    "instrument_serial": ("instrument.serial", None, 0),
    "mode": ("beam.mode", None, 0),
    "beam_species": ("beam.species", None, 0),
    "streak_camera": ("instrument.model", None, 0),
}
#: Not fields, or said by another key.
OTHERS = {"shape", "dtype", "acquisition_local", "acquisition_iso", "acquisition_utc"}
#: A working distance below zero, of a camera that has none.
ABSENT = {("FEI-Helios-navcam.tif", "working_distance_m")}
SPECIES = {"helium": "He"}
FOLDERS = ("tif-*", "image", "hamamatsu")


@pytest.fixture(scope="module")
def folder(unpacked_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All TIFF files, pictures and side files in one folder."""
    target = tmp_path_factory.mktemp("tiff")
    for pattern in FOLDERS:
        for path in unpacked_data.glob(f"{pattern}/*"):
            shutil.copy(path, target)
    return target


def fields_of(folder: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Fields by the name of the primary file."""
    datasets = diadem.extract(folder).to_dict()["datasets"]
    return {dataset["files"][0]["path"]: dataset["fields"] for dataset in datasets}


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Fields of all files."""
    return fields_of(folder)


def true_values(shared_data: Path) -> Iterator[tuple[str, str, Any]]:
    """Name of a file, key and value."""
    files = json.loads((shared_data / "expected.json").read_text())["files"]
    for path, entry in files.items():
        if path.startswith(("tif-", "image/", "hamamatsu/")):
            for key, stated in entry["expected"].items():
                yield Path(path).name.removesuffix(".gz"), key, stated["value"]


def test_all_true_values(shared_data: Path, found: Mapping[str, Mapping[str, list[dict[str, Any]]]]) -> None:
    wrong, right = [], 0
    for name, key, value in true_values(shared_data):
        if key in OTHERS or key.startswith("raw_"):
            continue
        field, unit, factor = FIELDS[key]
        assertions = found[name].get(field, [])
        if (name, key) in ABSENT:
            assert not assertions
            continue
        first = next((one for one in assertions if one.get("preferred")), {})
        wanted = SPECIES.get(value, value) if unit is None else pytest.approx(value * factor, rel=1e-6, abs=1e-12)
        if first.get("value") != wanted or first.get("unit") != unit:
            wrong.append((name, key, value, first.get("value"), first.get("unit")))
        right += 1
    assert not wrong
    assert right > 100


def test_all_times(shared_data: Path, found: Mapping[str, Mapping[str, list[dict[str, Any]]]]) -> None:
    compared = 0
    for name, key, value in true_values(shared_data):
        if not key.startswith("acquisition_"):
            continue
        assertion, *others = found[name]["time.acquired_start"]
        assert [one["value"] for one in others] == ([f"{value}Z"] if name.startswith("tescan-") else [])
        compared += 1
        if key == "acquisition_local":
            assert assertion["value"].split(".")[0] == value
            assert assertion["offset_status"] == "unknown"
        else:
            assert assertion["value"] == "2019-11-27T16:11:26.62054+09:00"
            assert assertion["offset_status"] == "known"
    assert compared >= 8


def test_a_streak_camera_has_no_pixel_size(found: Mapping[str, Mapping[str, Any]]) -> None:
    assert not {field for field in found["test_hamamatsu_streak_FOCUS.tif"] if field.startswith("image.")}


def test_vendors_bytes_are_kept_with_their_places(folder: Path) -> None:
    record = diadem.extract(folder / "scios_xml_metadata.tif").to_dict()["datasets"][0]
    data = (folder / "scios_xml_metadata.tif").read_bytes()
    pieces = [data[slice(*raw["byte_range"])] for raw in record["raw"] if raw.get("byte_range")]
    assert [piece[:6] for piece in pieces] == [b"[User]", b"<?xml "]
