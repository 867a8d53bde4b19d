"""What signals TIA's files hold, from their heads alone: RosettaSciIO reads every pixel to tell.

Two things are put right. Offsets are positions of the first element, in the unit of the scale (proven by the positions
that stand behind the elements of a map). Axes are lengths or reciprocal lengths by their size: TIA writes both in SI
units, and no pixel is as large as a centimetre or, in a diffraction pattern, as small as a hundred per metre.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diadem.hooks.fields import look_up
from diadem.plugins.rosettasciio.layouts.local import LocalFile
from diadem.plugins.tia.emi import objects, parse
from diadem.plugins.tia.pixels import pixels
from diadem.plugins.tia.series import Calibration, Dimension, NoElements, Recorded, read_series

Signal = dict[str, Any]
#: Elements that a map may be planned for.
_MAX_PLANNED = 1 << 26
#: Scales in metres and in 1/m: below the first a pixel is a length, above the second a reciprocal one.
_LARGEST_PIXEL, _SMALLEST_FREQUENCY = 1e-2, 1e2


def describe(path: str) -> list[Signal]:
    """Signal dictionaries as RosettaSciIO's reader gives them, in its order.

    Parameters
    ----------
    path : str
        An .emi file, whose series lie beside it, or a .ser file.

    Raises
    ------
    ReaderError, OSError, ElementTree.ParseError, IndexError
        What the reader cannot read either.
    """
    if not path.lower().endswith(".emi"):
        return [_signal(path, None)]
    parts = series_files(path)
    if not parts:
        return []
    first = parse(objects(path)[0].data)
    return [_signal(part, first) for _, part in parts]


def series_files(path: str) -> list[tuple[int, str]]:
    """Numbers and paths of the series of an .emi file that hold anything, in the reader's order.

    Parameters
    ----------
    path : str
        The .emi file. As in the reader, series with a number of more than one digit are passed over.
    """
    stem = Path(path).with_suffix("")
    listed = ((number, stem.with_name(f"{stem.name}_{number}.ser")) for number in range(10))
    return [(number, str(part)) for number, part in listed if part.is_file() and _holds(part)]


def _holds(part: Path) -> bool:
    with LocalFile(str(part)) as reader:
        try:
            read_series(reader, part.name)
        except NoElements:
            return False
    return True


def _signal(path: str, first: Mapping[str, Any] | None) -> Signal:
    """One series as a signal. `first` is the first document of the .emi file, by which the reader tells the unit."""
    name = Path(path).name
    with LocalFile(path) as reader:
        recorded = read_series(reader, name)
    axes = [*_outer(recorded), *(_energy(recorded) if recorded.spectra else _image(recorded, first))]
    return {
        "data": pixels(path, recorded, tuple(axis["size"] for axis in axes)),
        "axes": axes,
        "metadata": {"General": {"original_filename": name}, "Signal": {"signal_type": ""}},
        "original_metadata": {},
    }


def _outer(recorded: Recorded) -> list[Signal]:
    """Axes along which the elements lie, slowest first."""
    dimensions, series = list(recorded.dimensions), recorded.series
    if not dimensions:
        raise ValueError("the elements of this series lie along no dimension")  # the reader cannot read it either
    planned = 1
    for dimension in dimensions:
        planned *= dimension.size
    if planned > _MAX_PLANNED or series.valid > planned:
        raise ValueError(f"{series.valid:,} elements in a map of {planned:,}")
    if len(dimensions) == 1 and series.total != series.valid:
        return [] if series.valid == 1 else [{**_axis(dimensions[0], ["x"]), "size": series.valid}]
    names = ["x", "y"][: len(dimensions)]
    ordered = dimensions if not _rows_first(recorded) else dimensions[::-1]
    return [_axis(dimension, names) for dimension in ordered if recorded.spectra or dimension.size != 1]


def _rows_first(recorded: Recorded) -> bool:
    """Whether the first dimension is the fastest: the second element has the same y as the first."""
    if len(recorded.starts) < 2:
        return False
    first, second = (stamp.position for stamp in recorded.stamps[:2])
    return first is not None and second is not None and first[1] == second[1]


def _axis(dimension: Dimension, names: list[str]) -> Signal:
    """One outer axis; lengths take the names `x` and `y`, the last one first."""
    units = dimension.units or None
    name = names.pop() if units == "meters" else None
    if units == "meters" and abs(dimension.calibration.delta) >= _LARGEST_PIXEL:
        units = ""  # a list of positions, counted
    return {"name": name, "size": dimension.size, "navigate": True, **_scaled(dimension.calibration, units)}


def _scaled(calibration: Calibration, units: str | None) -> Signal:
    """Scale and offset; metres as nm, as in the reader."""
    factor, unit = {"meters": (1e9, "nm"), "1/meters": (1e-9, "1 / nm")}.get(units or "", (1.0, units))
    return {"scale": calibration.delta * factor, "offset": calibration.start * factor, "units": unit}


def _energy(recorded: Recorded) -> list[Signal]:
    """The axis of a spectrum."""
    axis = {"name": "Energy", "size": recorded.shape[0], "navigate": False}
    place = {"index_in_array": recorded.series.dimensions}
    return [{**axis, **place, **_scaled(recorded.axes[0], "eV")}]


def _image(recorded: Recorded, first: Mapping[str, Any] | None) -> list[Signal]:
    """The axes of an image, rows first."""
    across, down = recorded.axes
    found = []
    for name, size, calibration in (("y", recorded.shape[0], down), ("x", recorded.shape[1], across)):
        unit = _unit(calibration.delta, "meters" if first is None else _by_mode(first, recorded))
        found.append({"name": name, "size": size, "navigate": False, **_scaled(calibration, unit)})
    return found


def _unit(delta: float, guessed: str) -> str:
    """Metres or 1/m by the size of a pixel; between them, where nothing was calibrated, no unit."""
    if 0 < abs(delta) < _LARGEST_PIXEL:
        return "meters"
    if abs(delta) > _SMALLEST_FREQUENCY:
        return "1/meters"
    return guessed if delta == 0 else ""


def _by_mode(first: Mapping[str, Any], recorded: Recorded) -> str:
    """The unit that the reader takes by the microscope's mode."""
    mode = look_up(first, "ObjectInfo/ExperimentalDescription/Mode/Value")
    acquired = look_up(first, "ObjectInfo/AcquireInfo")
    if not isinstance(mode, str) or not isinstance(acquired, Mapping):
        return "meters"
    dimension = recorded.dimensions[0]
    if "STEM" in mode:
        return "1/meters" if "CameraNamePath" in acquired or (dimension.units and dimension.size > 1) else "meters"
    return "1/meters" if "Diffraction" in mode else "meters"
