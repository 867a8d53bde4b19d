"""What RosettaSciIO returns wrongly and a format's `open` puts right: is it still wrong in the installed version?"""

from __future__ import annotations

import gc
import importlib
import math
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from diadem.extract.opening import LocalFiles, open_dataset
from diadem.hooks.manager import collect

pytestmark = [
    # HyperSpy and RosettaSciIO on files of other programs and other times.
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

#: The newest version that was tried: with it, each mend that is not needed is deleted.
NEWEST = "0.15."
#: Format, a real file whose axes are mended, and how.
MENDS = {
    "bruker": ("bruker/bcf-edx-ebsd.bcf", "pixels have their own width"),
    "digitalmicrograph": ("dm/EELS_SI.dm4", "the energies of a spectrum image are its signal"),
    "emd": ("emd-velox/example_velox_EELS_EDS.emd", "a stream of events has the shape of its own scan"),
    "mrc": ("mrc/20241021_00405_movie.mrc", "pixels have the sizes of the settings"),
    "mrcz": ("mrcz/haadf_public.mrcz", "numbers without a unit have none"),
    "tia": ("tia/64x64_TEM_images_acquire.emi", "offsets have the unit of the scales"),
    "topspin": ("app5/topspin_test_A.app5", "rows and columns are not exchanged, angles are in mrad"),
}


def brief(axes: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """Axes as they are compared."""
    return [
        (
            one.get("name") or "",
            int(one["size"]),
            *(float(f"{float(one.get(key, 0)):.9g}") for key in ("scale", "offset")),
            one.get("units") or "",
            bool(one.get("navigate")),
        )
        for one in axes
    ]


@pytest.mark.parametrize("name", MENDS)
def test_a_mend_is_needed(unpacked_data: Path, name: str) -> None:
    path, what = MENDS[name]
    offer = next(one for one in collect().readers if one.name == name)
    folder = (unpacked_data / path).parent
    names = [Path(path).name, *sorted(one.name for one in folder.iterdir() if one.is_file() and one.name != path)]
    try:
        reader = importlib.import_module(f"rsciio.{name}").file_reader
        read = [brief(one["axes"]) for one in reader(str(unpacked_data / path)) if "data" in one]
        with LocalFiles(folder, names[0], names, offer) as files:
            mended = [brief(signal.axes) for signal in open_dataset(files, offer).signals]
    except ModuleNotFoundError as error:
        pytest.skip(f"an optional package of RosettaSciIO is not there: {error.name}")
    gc.collect()  # what readers leave open is closed here, and not where a warning of it is an error
    assert mended
    assert all(math.isfinite(number) for axes in mended for axis in axes for number in axis[2:4])
    if mended == read:
        installed = version("rosettasciio")
        told = f"RosettaSciIO {installed} does it itself: {what}"
        if installed.startswith(NEWEST):
            pytest.fail(f"{told}. Delete the mend of '{name}' when the oldest supported version does so too.")
        pytest.skip(told)
