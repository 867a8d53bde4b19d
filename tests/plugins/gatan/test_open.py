"""DigitalMicrograph's files opened by their tags alone: the signals that RosettaSciIO makes, without its reader."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rsciio.digitalmicrograph import file_reader

import diadem
from diadem.plugins.gatan import files as gatan
from tests.plugins.gatan.dm_file import Writer, document, image
from tests.plugins.opened import Held, dictionaries

OPEN = "diadem.plugins.gatan.files:open"
COUNTED = np.arange(24, dtype="f")


def tagged(signal: str = "", format_: str = "") -> dict[str, Any]:
    """Tags of an image that say what was measured, and in which form."""
    return {"Meta Data": {key: value for key, value in (("Signal", signal), ("Format", format_)) if value}}


def write(path: Path, pixels: NDArray[Any], tags: Mapping[str, Any], *units: str) -> Path:
    """A file of one image and a thumbnail; units are those of the axes, the fastest first."""
    one = image(pixels, tags)
    for number, unit in enumerate(units):
        calibration = {"Origin": 2.0 * number, "Scale": 0.5 + number, "Units": unit}
        one["ImageData"]["Calibrations"]["Dimension"][f"TagGroup{number}"] = calibration
    path.write_bytes(Writer(4).file(document(image(pixels[..., :1]), one)))
    return path


@pytest.mark.parametrize(
    ("shape", "tags", "units"),
    [
        ((24,), tagged(), ("s",)),
        ((4, 6), tagged(), ("nm", "nm")),
        ((24,), tagged("EELS", "Spectrum"), ("eV",)),
        ((4, 6), tagged("EELS", "Spectrum image"), ("eV", "nm")),
        ((4, 6), tagged("CL", "Spectrum"), ("nm", "nm")),
        ((2, 3, 4), tagged(), ("nm", "nm", "s")),
        ((2, 3, 2, 2), tagged(), ("1/nm", "1/nm", "nm", "nm")),
        ((4, 6), {"spim": {"eels": {"a": 1}}}, ("eV", "nm")),
        ((4, 6), {"Acquisition": {"Monarc Spectrometer": {"a": 1}}}, ("nm", "")),
        ((4, 6), tagged("X-ray", "Spectrum image"), ("keV", "nm")),
    ],
)
def test_the_signal_is_that_of_the_reader(
    tmp_path: Path, shape: tuple[int, ...], tags: Mapping[str, Any], units: Sequence[str]
) -> None:
    path = write(tmp_path / "a.dm4", COUNTED.reshape(shape), tags, *units)
    (found,), (wanted,) = dictionaries(OPEN, path), file_reader(str(path))
    assert np.array_equal(np.asarray(found["data"]), wanted["data"])
    assert found["data"].dtype == wanted["data"].dtype
    assert found["axes"] == [{**axis, "units": str(axis["units"])} for axis in wanted["axes"]]
    assert found["metadata"] == {
        key: {name: wanted["metadata"][key][name] for name in told} for key, told in found["metadata"].items()
    }


@pytest.mark.parametrize("signal", ["EELS", "X-ray", ""])
def test_energies_of_a_spectrum_image_are_the_signal(tmp_path: Path, signal: str) -> None:
    tags = tagged(signal, "Spectrum image")
    path = write(tmp_path / "a.dm4", COUNTED.reshape(2, 3, 4), tags, "nm", "nm", "eV")
    (found,), (wanted,) = dictionaries(OPEN, path), file_reader(str(path))
    assert len(wanted["post_process"]) == 2
    assert np.array_equal(np.asarray(found["data"]), np.moveaxis(wanted["data"], 0, -1))
    assert [(axis["size"], axis["navigate"], axis["units"]) for axis in found["axes"]] == [
        (3, True, "nm"),
        (4, True, "nm"),
        (2, False, "eV"),
    ]


def test_axes_of_one_element_are_dropped(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dm4", COUNTED.reshape(1, 4, 6), tagged(), "nm", "nm", "s")
    (found,) = dictionaries(OPEN, path)
    assert np.array_equal(np.asarray(found["data"]), COUNTED.reshape(4, 6))
    assert [axis["name"] for axis in found["axes"]] == ["y", "x"]
    (single,) = dictionaries(OPEN, write(tmp_path / "b.dm4", COUNTED[:1].reshape(1, 1), tagged(), "nm", "nm"))
    assert single["data"].shape == (1,)


def test_calibrations_that_are_missing_count(tmp_path: Path) -> None:
    one = image(COUNTED.reshape(2, 3, 4), {})
    del one["ImageData"]["Calibrations"]["Dimension"]["TagGroup2"]
    (tmp_path / "a.dm3").write_bytes(Writer(3).file(document(one, thumbnail=False)))
    (found,) = dictionaries(OPEN, tmp_path / "a.dm3")
    assert [(axis["scale"], axis["units"]) for axis in found["axes"]] == [(1.0, ""), (0.5, "nm"), (0.5, "nm")]


class Asked(Held):
    """Files whose reader notes which parts it was given."""

    parts: Any = ()

    def read(self, parts: Any = None, *, hdf5: bool = False) -> Any:  # noqa: ARG002
        self.parts = parts
        return [{"metadata": {}}]


def test_the_reader_is_asked_for_the_metadata_with_all_but_the_array() -> None:
    content = Writer(4).file(document(image(COUNTED.reshape(4, 6)), image(COUNTED.reshape(4, 6))))
    files = Asked({"a.dm4": content})
    (signal,) = gatan.open(files).signals
    assert files.parts == ()
    assert signal.reader is not None
    assert signal.reader() == {"metadata": {}}
    assert signal.array is not None
    inside = set(range(signal.array.offset, signal.array.offset + COUNTED.nbytes))
    given = {byte for start, stop in files.parts["a.dm4"] for byte in range(start, stop)}
    assert not inside & given
    assert inside | given == set(range(len(content)))


@pytest.mark.parametrize("version", [3, 4])
def test_a_file_says_how_long_it_must_be(version: int) -> None:
    content = Writer(version).file(document(image(COUNTED.reshape(4, 6)), image(COUNTED.reshape(4, 6))))
    end = len(content) - 8  # the zeros behind the tags are not counted
    assert gatan.open(Held({"a.dm": content})).size == end
    for cut in (content[:-20], content[: len(content) // 2]):
        assert gatan.open(Held({"a.dm": cut})).size == end
    # a length that lies takes nothing from tags that are all there
    lying = content[:4] + Writer(version).number(1 << 30) + content[4 + (8 if version == 4 else 4) :]
    assert gatan.open(Held({"a.dm": lying})).size == len(content)
    assert gatan.open(Held({"a.dm": lying[:-20]})).size > 1 << 30


def test_a_file_is_described_without_its_reader(tmp_path: Path) -> None:
    """Dask alone takes a second and more."""
    path = write(tmp_path / "a.dm4", COUNTED.reshape(2, 3, 4), tagged(), "nm", "nm", "s")
    program = (
        "import sys; from pathlib import Path; from diadem.extract.opening import LocalFiles, open_dataset\n"
        "from diadem.hooks.offers import ReaderOffer\n"
        f"offer = ReaderOffer('dm', (), open='{OPEN}')\n"
        "files = LocalFiles(Path(sys.argv[1]), 'a.dm4', ['a.dm4'], offer)\n"
        "print([signal.shape for signal in open_dataset(files, offer).signals])\n"
        "print([name for name in ('dask', 'hyperspy', 'rsciio') if name in sys.modules])\n"
    )
    ran = subprocess.run([sys.executable, "-c", program, str(path.parent)], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["[(2, 3, 4)]", "[]"]


def test_a_spectrum_image_is_loaded_as_it_is_recorded(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dm4", COUNTED.reshape(2, 3, 4), tagged("EELS", "Spectrum image"), "nm", "nm", "eV")
    package = diadem.pack(path, tmp_path / "out")
    signal = package.load("a.dm4", lazy=False)
    assert np.array_equal(signal.data, np.moveaxis(COUNTED.reshape(2, 3, 4), 0, -1))
    (recorded,) = package.record.datasets[0].signals
    assert recorded.shape == signal.data.shape
    assert recorded.kind == "spectrum_image"
