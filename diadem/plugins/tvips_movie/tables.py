"""What the headers of a movie state, and in which units."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from diadem.hooks import times
from diadem.hooks.fields import Derived, Found, Rule, Table, Tree
from diadem.plugins.tvips_movie.blocks import is_copy
from diadem.terms.dates import from_epoch

_DOCUMENT = "TVIPS' description of the format, as LiberTEM gives it (tvips.py)"
_HYPERSPY = "RosettaSciIO, tvips/_api.py: what its writer puts where"
_MODES = {1: "imaging", 2: "diffraction"}


def _frame(tree: Tree) -> Mapping[str, Any]:
    found = tree["first frame"]
    assert isinstance(found, Mapping)
    return found


def _magnification(tree: Tree) -> Iterator[Found]:
    """A magnification of images. Of patterns it is a camera length, whose unit only HyperSpy's writer documents."""
    raw, mode = tree["IMagTotal"], _frame(tree).get("TEM_Mag_mode")
    if mode == 2 and is_copy(tree):
        yield Found("optics.camera_length", raw, "IMagTotal", raw, "mm")
    elif mode != 2 and raw:
        yield Found("optics.magnification", raw, "IMagTotal", raw)
    elif mode != 2 and (shown := _frame(tree).get("TEM_Mag")):
        yield Found("optics.magnification", shown, "first frame/TEM_Mag", shown)


def _stage(tree: Tree) -> Iterator[Found]:
    """Position in nm and degrees; five zeros are a microscope that was not asked, and HyperSpy writes other units."""
    frame = _frame(tree)
    fields = {"x": "nm", "y": "nm", "z": "nm", "alpha": "deg", "beta": "deg"}
    values = {name: frame[f"TEM_Stage_{name}"] for name in fields}
    if is_copy(tree) or not any(values.values()):
        return
    for name, unit in fields.items():
        key = f"TEM_Stage_{name}"
        yield Found(f"stage.{name}", values[name], f"first frame/{key}", values[name], unit)


def _moment(frame: Mapping[str, Any]) -> dt.datetime | None:
    """Seconds since 1970 and milliseconds."""
    instant = from_epoch(frame["ITime"])
    return None if instant is None else instant + dt.timedelta(milliseconds=min(frame["IMS"], 999))


def _start(tree: Tree) -> Iterator[Found]:
    """The first frame's time. HyperSpy makes its own of a local time where no zone is known."""
    frame = _frame(tree)
    instant = _moment(frame)
    raw = f"{frame['ITime']}, {frame['IMS']}"
    key = "first frame/ITime + first frame/IMS"
    if instant is not None and is_copy(tree):
        yield from times.moments("time.acquired_start", key, raw, local=instant.replace(tzinfo=None))
    else:
        yield from times.moments("time.acquired_start", key, raw, instant=instant)


def _end(tree: Tree) -> Iterator[Found]:
    """The last frame's time."""
    raw = f"{tree['ITime']}, {tree['IMS']}"
    yield from times.moments("time.acquired_end", "ITime + IMS", raw, instant=_moment(tree))


def _binning(tree: Tree) -> Iterator[Found]:
    """Where it is the same both ways."""
    if tree["IXBin"] == tree["IYBin"] and not is_copy(tree):
        yield Found("camera.binning", tree["IXBin"], "IXBin", tree["IXBin"], "1")


def _mode(tree: Tree) -> Iterator[Found]:
    raw = _frame(tree).get("TEM_Mag_mode")
    if raw in _MODES:
        yield Found("beam.mode", _MODES[raw], "first frame/TEM_Mag_mode", raw, status="converted")


MOVIE: Table = (
    Rule("beam.acceleration_voltage", "IHT", "kV", cite=_DOCUMENT),
    Derived("magnification", _magnification, f"{_DOCUMENT}; {_HYPERSPY}"),
    Derived("mode", _mode, _DOCUMENT),
    Derived("stage", _stage, _DOCUMENT),
    Derived("binning", _binning, _DOCUMENT),
    Derived("first-frame-time", _start, f"{_DOCUMENT}; {_HYPERSPY}"),
)

LAST_FRAME: Table = (Derived("last-frame-time", _end, _DOCUMENT),)
