"""Every real instrument file, and every hostile one, through the extractor."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from diadem.errors import DocumentError
from diadem.extract.extraction import Extraction
from diadem.extract.pool import Extractor
from diadem.extract.survey import DatasetPlan, survey
from diadem.hooks.manager import collect
from diadem.hooks.offers import FieldsOffer
from diadem.serialization.validation import validate_dataset

OFFERS = collect()
READERS = OFFERS.readers

#: Ground truth by key: our field and the factor to its unit, or how texts and times are compared.
FIELDS: Mapping[str, tuple[str, float | str]] = {
    "beam_energy_keV": ("beam.acceleration_voltage", 1e3),
    "magnification": ("optics.magnification", 1.0),
    "camera_length_m": ("optics.camera_length", 1.0),
    "working_distance_m": ("optics.working_distance", 1.0),
    "stage_x_m": ("stage.x", 1.0),
    "stage_y_m": ("stage.y", 1.0),
    "stage_z_m": ("stage.z", 1.0),
    "stage_alpha_deg": ("stage.alpha", 1.0),
    "stage_beta_deg": ("stage.beta", 1.0),
    "stage_tilt_deg": ("stage.tilt", 1.0),
    "stage_rotation_deg": ("stage.rotation", 1.0),
    "dwell_time_s": ("scan.dwell_time", 1.0),
    "exposure_s": ("camera.exposure", 1.0),
    "convergence_semi_angle_mrad": ("beam.convergence_semi_angle", 1e-3),
    "collection_semi_angle_mrad": ("eels.collection_semi_angle", 1e-3),
    "live_time_s": ("eds.live_time", 1.0),
    "real_time_s": ("eds.real_time", 1.0),
    "beam_current_A": ("beam.current", 1.0),
    "eds_elevation_deg": ("detector.elevation", 1.0),
    "eds_azimuth_deg": ("detector.azimuth", 1.0),
    "pixel_size": ("image.pixel_size_x", 1.0),
    "operator": ("person.operator", "same"),
    "microscope": ("instrument.model", "same"),
    "detector": ("detector.name", "same"),
    "sample": ("sample.name", "same"),
    "mode": ("beam.mode", "beginning"),
    "acquisition_local": ("time.acquired_start", "time"),
}


def plans_of(root: Path) -> list[DatasetPlan]:
    """Datasets of a folder."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return survey([(path.relative_to(root).as_posix(), path.stat().st_size) for path in files], READERS)


@pytest.fixture(scope="module")
def real(unpacked_data: Path) -> tuple[list[DatasetPlan], dict[str, Extraction], float]:
    """Extractions of all real files by the path of the primary, and the seconds they took."""
    plans = plans_of(unpacked_data)
    started = time.monotonic()
    with Extractor(READERS, OFFERS.of(FieldsOffer), workers=2) as extractor:
        found = {plan.entry: extraction for plan, extraction in extractor.extract_many(plans, unpacked_data)}
    return plans, found, time.monotonic() - started


@pytest.fixture(scope="module")
def bad(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Extraction], float]]:
    """Extractions of all hostile files, and the seconds they took."""
    folder = tmp_path_factory.mktemp("bad")
    for path in (shared_data / "bad").iterdir():
        if path.name != "INDEX.tsv":
            shutil.copy(path, folder)
    started = time.monotonic()
    with Extractor(READERS, OFFERS.of(FieldsOffer), workers=2) as extractor:
        found = {plan.entry: result for plan, result in extractor.extract_many(plans_of(folder), folder)}
    yield found, time.monotonic() - started
    assert sorted(path.name for path in folder.iterdir()) == sorted(found)


def test_counts(real: tuple[list[DatasetPlan], dict[str, Extraction], float]) -> None:
    plans, found, seconds = real
    counts = Counter[str]()
    for extraction in found.values():
        counts["datasets"] += 1
        counts["signals"] += len(extraction.signals)
        counts["fields"] += len(extraction.fields)
        counts["issues"] += len(extraction.issues)
        counts["pictures"] += extraction.preview is not None
        counts["unknown"] += extraction.format == "unknown"
    sys.stderr.write(f"\n{dict(counts)} in {seconds:.1f} s\n")
    assert len(plans) == len(found) == counts["datasets"]
    assert counts["signals"] >= 125
    assert counts["fields"] >= 1200
    assert counts["pictures"] >= 90
    assert counts["unknown"] <= 2


def test_what_is_read_keeps_the_schema(
    real: tuple[list[DatasetPlan], dict[str, Extraction], float], bad: tuple[dict[str, Extraction], float]
) -> None:
    plans, found, _ = real
    by_entry = {plan.entry: plan for plan in plans}
    judged = [*found.items(), *bad[0].items()]
    assert len(judged) > 120
    for entry, extraction in judged:
        files = [{"id": "f1", "path": entry, "role": "primary", "bytes": 0, "sha256": 64 * "0"}]
        if entry in by_entry:
            files = [
                {"id": file.id, "path": file.path, "role": file.role, "bytes": file.size, "sha256": 64 * "0"}
                for file in by_entry[entry].files
            ]
        files[0].update(format=extraction.format, format_evidence=list(extraction.evidence))
        dataset = {"id": "d1", "files": files, "signals": extraction.signals, "fields": extraction.fields, "raw": []}
        dataset.update(issues=extraction.issues, extraction=extraction.extraction)
        validate_dataset(dataset)
        with pytest.raises(DocumentError, match="no_such_key"):
            validate_dataset({**dataset, "no_such_key": 1})


def test_only_what_needs_a_package_or_a_missing_file_has_issues(
    real: tuple[list[DatasetPlan], dict[str, Extraction], float],
) -> None:
    codes = {entry: [issue["code"] for issue in found.issues] for entry, found in real[1].items() if found.issues}
    usual = {"reader-missing", "missing-part", "no-signal"}
    unusual = {entry: found for entry, found in codes.items() if set(found) - usual}
    assert unusual.pop("trivista/linescan.tvf") == ["sources-disagree"]  # cut out years after it was recorded
    for entry in ("impulse/StubExperiment_Heat raw.csv", "hspy/example2_v3.1.hspy"):  # day and month are both below 13
        assert unusual.pop(entry) == ["ambiguous-date"]
    for entry, found in unusual.items():  # LZW-compressed pictures inside need imagecodecs
        assert found == ["reader-failed"], (entry, found)
        assert "imagecodecs" in str(real[1][entry].issues)
    assert codes["empad/EMPAD_v1.2.2_x32_y64_size0.8.xml"] == ["missing-part"]


def agrees(value: Any, expected: Any, how: float | str) -> bool:
    """Whether one of our values is the expected one."""
    if isinstance(how, float):
        return math.isclose(value, float(expected) * how, rel_tol=2e-3)
    ours, theirs = str(value), str(expected)
    if how == "time":
        return ours[:19] == theirs[:19].replace(" ", "T")
    return theirs.startswith(ours) if how == "beginning" else ours == theirs


def test_no_value_contradicts_the_vendor(
    real: tuple[list[DatasetPlan], dict[str, Extraction], float], shared_data: Path
) -> None:
    expected = json.loads((shared_data / "expected.json").read_text())["files"]
    compared, contradicted = Counter[str](), []
    for path, truth in expected.items():
        found = real[1].get(path.removesuffix(".gz"))
        assert found is not None, path
        for key, (field, how) in FIELDS.items():
            if key not in truth.get("expected", {}):
                continue
            value = truth["expected"][key]["value"]
            ours = [assertion["value"] for assertion in found.fields.get(field, ())]
            if not ours:
                compared["absent"] += 1
            elif any(agrees(one, value, how) for one in ours):
                compared["agree"] += 1
            else:
                contradicted.append((path, key, value, ours))
    sys.stderr.write(f"\n{dict(compared)}\n")
    assert contradicted == []
    assert compared["agree"] >= 500


def test_shapes_and_types(real: tuple[list[DatasetPlan], dict[str, Extraction], float], shared_data: Path) -> None:
    expected = json.loads((shared_data / "expected.json").read_text())["files"]
    checked = 0
    for path, truth in expected.items():
        found = real[1].get(path.removesuffix(".gz"))
        if found is None or not found.signals or found.issues or "n_signals" not in truth:
            continue
        assert len(found.signals) == truth["n_signals"]["value"], path
        shape, stored = found.signals[0]["shape"], truth["shape_first_signal"]["value"]
        if path == "dm/EELS_SI.dm4":  # stored with the energies first; the loaded signal has them last
            stored = [*stored[1:], stored[0]]
        assert shape == stored, path
        checked += 1
    assert checked > 75


def test_several_files_are_one_dataset(real: tuple[list[DatasetPlan], dict[str, Extraction], float]) -> None:
    sizes = {plan.entry: len(plan.files) for plan in real[0]}
    assert sizes["tia/Titan_TEM_1_STEM_image_dataZeroed.emi"] == 3
    assert sizes["jeol/rawdata.ASW"] == 8
    assert sizes["arina/test_00_master.h5"] == 3
    assert sizes["mrc/20241021_00405_movie.mrc"] == 4
    assert sizes["zspy/signal1d_10x10-DirectoryStore.zspy"] > 20
    assert real[1]["zspy/signal1d_10x10-DirectoryStore.zspy"].signals[0]["shape"] == [10, 10]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("zero.dm3", {"empty"}),
        ("empty.msa", {"empty"}),
        ("zero.dens", {"empty"}),
        ("trunc50.dm3", {"truncated", "reader-failed"}),
        ("trunc50.emd", {"truncated", "reader-failed"}),
        ("trunc50.mrc", {"truncated"}),
        ("trunc50.bcf", {"truncated"}),
        ("trunc90.elid", {"truncated"}),
        ("garbage.ser", {"wrong-type"}),
        ("png_named.dm4", {"wrong-type"}),
        ("external_link.hspy", {"external-link"}),
        ("external_raw.hspy", {"external-storage"}),
        ("self_loop.hspy", {"group-loop"}),
        ("huge_declared.hspy", {"mostly-unwritten", "ambiguous-date"}),
        ("hostile_functional_axis.hspy", {"ambiguous-date"}),
        ("billion_laughs.spx", {"reader-failed"}),
        ("zipbomb_300MB.prz", {"expands-too-much"}),
    ],
)
def test_hostile_files_are_flagged(bad: tuple[dict[str, Extraction], float], name: str, expected: set[str]) -> None:
    assert {issue["code"] for issue in bad[0][name].issues} == expected


def test_hostile_files_are_all_there_and_quick(bad: tuple[dict[str, Extraction], float]) -> None:
    assert len(bad[0]) == 17
    assert bad[1] < 60


def test_nothing_leaks_and_no_canary_sings(
    bad: tuple[dict[str, Extraction], float], real: tuple[list[DatasetPlan], dict[str, Extraction], float]
) -> None:
    assert not [name for name in os.environ if "CANARY" in name]
    host = Path("/etc/hostname").read_text().strip() if Path("/etc/hostname").exists() else ""
    for entry, found in [*bad[0].items(), *real[1].items()]:
        text = json.dumps([found.signals, found.fields, found.issues, found.extraction, found.format])
        for secret in ("/tmp", "pytest-of", str(Path.home()), str(Path(sys.prefix))):
            assert secret not in text, (entry, secret)
        if len(host) > 3 and entry in bad[0]:
            assert host not in text, entry
