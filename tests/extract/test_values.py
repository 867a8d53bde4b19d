"""From a reader's dictionaries to signals, axes and fields: units, pixel sizes, and the evidence of values."""

from __future__ import annotations

import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diadem.extract.assertions import Statement, Value, merge, pixel_sizes
from diadem.extract.axes import describe_axes, kind_of
from diadem.extract.extraction import fault_text
from diadem.model.quantities import signal_text
from diadem.terms.units import to_si

BY = {"plugin": "p", "version": "1", "reader": "r"}


def found(value: float, locator: str) -> Value:
    """A tilt as it stands at a place of the file."""
    return Value("stage.alpha", value, "stated", locator, value, "deg", "deg", "t/stage.alpha")


def test_evidence_and_agreement_of_signals() -> None:
    said = [(1.5, "HT/tilt"), (2.5, "HT/tilt"), (1.5, "HT/tilt")]
    merged = merge([Statement((f"s{n}",), BY, [found(*one)]) for n, one in enumerate(said, 1)], {})[0]
    alike, other = merged["stage.alpha"]
    assert alike == {
        "value": 1.5,
        "unit": "deg",
        "applies_to": ["s1", "s3"],
        "status": "stated",
        "source": {"file": "f1", "locator": "HT/tilt", "raw": 1.5, "raw_unit": "deg"},
        "by": {**BY, "rule": "t/stage.alpha"},
    }
    assert (other["value"], other["applies_to"], "preferred" in other) == (2.5, ["s2"], False)
    (alone,) = merge([Statement(("s1",), BY, [found(1.5, "a")])], {})[0]["stage.alpha"]
    assert alone["preferred"] is True


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("nm", ("m", 1e-9)), ("µm", ("m", 1e-6)), ("μm", ("m", 1e-6)), ("Å", ("m", 1e-10)), ("1 / nm", ("1/m", 1e9)),
     ("nm^-1", ("1/m", 1e9)), ("1 / Å", ("1/m", 1e10)), ("keV", ("eV", 1e3)), ("mrad", ("rad", 1e-3)),
     ("pix", ("px", 1.0)), ("MeV", ("eV", 1e6)), ("Energy (EV)", ("eV", 1.0)), ("Energy", ("", 1.0)),
     ("", ("", 1.0)), (None, ("", 1.0))],
)  # fmt: skip
def test_spellings_of_units(unit: Any, expected: tuple[str, float]) -> None:
    assert to_si(unit) == expected


def axis(size: int, *, navigate: bool | None = False, units: str = "nm", **more: Any) -> dict[str, Any]:
    """An axis of a reader."""
    return {"name": "a", "size": size, "scale": 2.0, "offset": 1.0, "units": units, "navigate": navigate, **more}


def test_axes_keep_what_the_file_says() -> None:
    listed = {"name": None, "axis": [1.0, 2.0, 4.0], "units": "nm"}
    axes = [axis(3, scale=Fraction(1, 4)), axis(4, units="furlong"), listed]
    fraction, unknown, uneven = describe_axes(axes, (3, 4, 3))
    assert (fraction["scale"], fraction["scale_as_stored"], fraction["unit"]) == (2.5e-10, 0.25, "m")
    assert "unit" not in unknown
    assert (unknown["unit_as_stored"], unknown["scale"]) == ("furlong", 2.0)
    assert uneven == {"name": "", "size": 3, "values": [1e-9, 2e-9, 4e-9], "unit": "m", "unit_as_stored": "nm"}


def test_axes_in_any_order() -> None:
    axes = [axis(2, index_in_array=1), axis(5, index_in_array=0)]
    assert [found["size"] for found in describe_axes(axes, (5, 2))] == [5, 2]


@pytest.mark.parametrize(
    ("navigate", "units", "kind"),
    [([False, False], "nm", "image"), ([True, False, False], "nm", "image_stack"), ([False], "eV", "spectrum"),
     ([True, True, False], "eV", "spectrum_image"), ([True] * 2 + [False] * 2, "nm", "4dstem"),
     ([False], "s", "time_series"), ([None, None], "nm", "image"), ([None], "eV", "spectrum"),
     ([True] * 4 + [False], "eV", "array"), ([True, True], "nm", "image")],
)  # fmt: skip
def test_kinds(navigate: list[bool | None], units: str, kind: str) -> None:
    axes = [axis(3, navigate=value, units=units) for value in navigate]
    assert kind_of(axes, [3] * len(axes), {}) == kind


def test_old_files_say_what_they_are() -> None:
    axes = [axis(3, navigate=None), axis(4, navigate=None)]
    assert kind_of(axes, (3, 4), {"Signal": {"record_by": "spectrum"}}) == "spectrum_line"


def test_pixel_sizes_of_images_only() -> None:
    axes = [axis(3), axis(4, units="1/nm", scale=np.float64(0.5))]
    assert {value.field: value.value for value in pixel_sizes("image", axes, (3, 4))} == {
        "image.pixel_size_y": 2e-9,
        "image.reciprocal_pixel_size_x": 5e8,
    }
    assert list(pixel_sizes("spectrum_line", axes, (3, 4))) == []
    assert list(pixel_sizes("image", [axis(3, units="pix"), axis(3, units="m", scale=1.0)], (3, 3))) == []


def test_a_reader_that_met_the_end_of_the_file_says_so() -> None:
    with pytest.raises(struct.error) as short:
        struct.unpack("<B", b"")
    assert fault_text(short.value).startswith("it ends earlier than it should, or is damaged (error: unpack requires")
    assert fault_text(EOFError()).startswith("it ends earlier")
    assert fault_text(ValueError("no  such\nkey")) == "ValueError: no such key"


def test_a_signal_without_a_title_is_named_in_words() -> None:
    assert signal_text({"id": "s1", "kind": "spectrum_image", "shape": [4, 5]}) == "spectrum image, 4 × 5"


def test_the_size_of_chunks_is_that_of_one_dataset(tmp_path: Path) -> None:
    """Dask takes it from the environment where a reader imports it only then."""
    (tmp_path / "reader_of_dask.py").write_text(
        "def read(path, lazy=True):\n    import dask, dask.array\n"
        "    return [{'metadata': {'General': {'title': str(dask.config.get('array.chunk-size'))}}}]\n"
    )
    program = (
        "import os, sys; from pathlib import Path; from diadem.extract.opening import LocalFiles\n"
        "from diadem.hooks.offers import ReaderOffer\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "offer = ReaderOffer('d', (), load='reader_of_dask:read')\n"
        "titles = [LocalFiles(Path(sys.argv[1]), 'a', ['a'], offer, size).read()[0]['metadata']['General']['title']\n"
        "          for size in (64 << 30, 32 << 30)]\n"
        "import dask; print(*titles, dask.config.get('array.chunk-size'), 'DASK_ARRAY__CHUNK_SIZE' in os.environ)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [str(16 << 20), str(8 << 20), "128MiB", "False"]
