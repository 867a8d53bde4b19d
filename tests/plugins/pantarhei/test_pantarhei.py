"""Panta Rhei: a real archive, its older form, and pickles that want more than values."""

from __future__ import annotations

import datetime as dt
import io
import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diadem.extract.tables import apply
from diadem.hooks.fields import Block
from diadem.hooks.tables import table
from diadem.model.record import Dataset
from diadem.plugins.pantarhei.files import parse, values_of
from tests.plugins.opened import blocks

TABLE = table("diadem.plugins.pantarhei/pantarhei-metadata")

OPEN = "diadem.plugins.pantarhei.files:open"
FILE = "panta_rhei_sample.prz"


def test_a_scan_that_a_camera_made(real: Mapping[str, Dataset]) -> None:
    """256 pixels of the camera are one here, so that its binning says nothing about the scan."""
    dataset = real[f"prz/{FILE}"]
    assert not dataset.assertions("camera.binning")
    assert dataset.value("image.pixel_size_x") == pytest.approx(256 * 3.045245426917044e-11)


def test_values_against_the_text(shared_data: Path) -> None:
    """By zipfile and NumPy, not by the parser."""
    with np.load(shared_data / "prz" / FILE, allow_pickle=False) as archive:
        text = str(archive["meta_data_json"])
    (block,) = blocks(OPEN, shared_data / "prz" / FILE)
    for key, value in block.tree.items():
        if isinstance(value, (int, float, str)):
            quoted = f'"{value}"' if isinstance(value, str) else repr(value)
            assert f'"{key}": {quoted}' in text


def test_the_older_form_says_the_same(shared_data: Path, tmp_path: Path) -> None:
    """The archive holds both; without the text the pickle is read, and nothing of it is run."""
    path = tmp_path / "old.prz"
    with zipfile.ZipFile(shared_data / "prz" / FILE) as new, zipfile.ZipFile(path, "w") as old:
        for name in new.namelist():
            if not name.endswith("_json.npy"):
                old.writestr(name, new.read(name))
    (ours,) = blocks(OPEN, path)
    (theirs,) = blocks(OPEN, shared_data / "prz" / FILE)
    assert ours.place == "meta_data"
    assert ours.tree == theirs.tree


def archive_of(**metadata: Any) -> bytes:
    """Metadata as versions before 24.03 keep them."""
    stream = io.BytesIO()
    np.save(stream, np.array([metadata], dtype=object), allow_pickle=True)
    return stream.getvalue()


def values(**metadata: Any) -> dict[str, Any]:
    """Values by field of made-up metadata."""
    return {one.field: one.value for one in apply(TABLE, Block("x", metadata), "pantarhei").values}


def test_numpys_own_numbers_are_read() -> None:
    tree = parse(archive_of(a=np.float64(1.5), b=np.int32(-7), c=np.float32(0.25), d=(1, [2, None]), e=np.uint16(9)))
    assert tree == {"a": 1.5, "b": -7, "c": 0.25, "d": [1, [2, None]], "e": 9}


class _Harmful:
    """Asks the unpickler for a function of the system."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("diadem-was-here",)


def test_pickles_that_want_more_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pickle.UnpicklingError, match="ask for"):
        parse(archive_of(a=_Harmful()))
    with pytest.raises(pickle.UnpicklingError, match="ask for"):
        parse(archive_of(a=dt.datetime(2020, 1, 1, tzinfo=dt.UTC)))
    assert list(tmp_path.iterdir()) == []


def test_lists_that_hold_one_another_end_soon() -> None:
    inside: list[Any] = []
    for _ in range(45):
        inside = [inside] * 10
    with pytest.raises(pickle.UnpicklingError, match="too many parts"):
        values_of(pickle.dumps(inside))
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(pickle.UnpicklingError, match="too many parts"):
        values_of(pickle.dumps(loop))


def test_energy_loss() -> None:
    ours = values(
        **{
            "filter.mode": "EELS", "filter.dispersion": -0.05, "filter.collection_semi_angle": 0.02,
            "filter.aperture": "5 mm", "condenser.convergence_semi_angle": 0.03, "source.type": "camera",
            "camera.exposure_time": 0.2, "camera.binning": [1, 1], "projector.mode": "DIFF",
            "projector.camera_length": 0.3, "acquisition.time": "2023-05-06T07:08:09.5",
        }
    )  # fmt: skip
    assert ours == {
        "signal.technique": "EELS",
        "eels.dispersion": 0.05,
        "eels.collection_semi_angle": 0.02,
        "eels.aperture": 0.005,
        "beam.convergence_semi_angle": 0.03,
        "camera.exposure": 0.2,
        "camera.binning": 1,
        "optics.camera_length": 0.3,
        "time.acquired_start": "2023-05-06T07:08:09.5",
    }


def test_images_of_a_camera_have_a_magnification() -> None:
    metadata = {"source.type": "camera", "projector.mode": "MAG", "projector.magnification": 2e5}
    metadata |= {"projector.camera_length": 0.3, "scan_driver.magnification": 5, "scan_generator.dwell_time": 1.0}
    assert values(**metadata) == {"optics.magnification": 2e5}


@pytest.mark.parametrize(
    ("written", "status"), [("2023-05-06T07:08:09", "unknown"), ("2023-05-06T07:08:09+02:00", "known")]
)
def test_offsets(written: str, status: str) -> None:
    found = apply(TABLE, Block("x", {"camera.time": written}), "pantarhei").values
    assert (found[0].value, found[0].offset_status) == (written, status)


@pytest.mark.parametrize("data", [b"", b"\x93NUMPY", b"PK", b"\x93NUMPY\x01\x00\xff\xffx" * 3])
def test_other_arrays(data: bytes) -> None:
    with pytest.raises((ValueError, EOFError, pickle.UnpicklingError)):
        parse(data)


def test_archives_without_metadata(tmp_path: Path) -> None:
    path = tmp_path / "a.prz"
    np.savez(path, data=np.zeros(3))
    path = path.with_suffix(".prz.npz")
    assert blocks(OPEN, path) == []
