"""Which values of Renishaw's WDF files are which fields.

The times of the header are Windows FILETIMEs, but nothing in the file tells whether the program writes the computer's
time or universal time into them: they are kept as local times of an unknown offset.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Any

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree, look_up
from diadem.hooks.times import moments

_HEADER = "WDF1_1"
_MOTORS = "WXIS_0/Motor Positions"
_MILLISECONDS = (
    "renishaw_test_spectrum.wdf: Exposure Time 180000 x 4 accumulations (2, and 2 for cosmic rays) are the 720 s from "
    "time_start to time_end"
)
_WITH_UNIT = "the file writes the unit beside the number: '25219.8 microns'"
_MEASURED = re.compile(r"(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?) (\S+)\Z")
#: Dictionaries inside one another that are searched.
_DEEPEST = 12


def _time(name: str, field: str) -> Derived:
    def read(tree: Tree) -> Iterator[Found]:
        raw = str(look_up(tree, f"{_HEADER}/{name}"))
        local = dt.datetime.strptime(raw, "%Y-%m-%d#%H:%M:%S")  # noqa: DTZ007 - no zone is stated
        yield from moments(field, f"{_HEADER}/{name}", raw, local=local)

    return Derived("acquisition-time", read, cite="FILETIME of the header; whether local or universal is not stated")


def _stage(axis: str) -> Derived:
    key = f"{_MOTORS}/XYZ Stage {axis} Motor"

    def read(tree: Tree) -> Iterator[Found]:
        raw = str(look_up(tree, key))
        if match := _MEASURED.match(raw):
            yield Found(f"stage.{axis.lower()}", match[1], key, raw, match[2])

    return Derived("stage-motor", read, cite=_WITH_UNIT)


def _exposure(tree: Tree) -> Iterator[Found]:
    """Exposure of one accumulation, wherever the scan's settings lie."""
    for key, value in _named("Exposure Time", tree.get("WXDM_0"), "WXDM_0", 0):
        yield Found("camera.exposure", value, key, value, "ms")
        return


def _named(name: str, tree: Any, place: str, depth: int) -> Iterator[tuple[str, Any]]:
    if not isinstance(tree, Mapping) or depth > _DEEPEST:
        return
    if name in tree:
        yield f"{place}/{name}", tree[name]
    for key, inner in tree.items():
        yield from _named(name, inner, f"{place}/{key}", depth + 1)


def _software(tree: Tree) -> Iterator[Found]:
    name, version = (str(look_up(tree, f"{_HEADER}/{key}") or "") for key in ("app_name", "app_version"))
    if name:
        key = f"{_HEADER}/app_name + {_HEADER}/app_version"
        yield Found("instrument.software", f"{name} {version.replace('-', '.')}".strip(), key, f"{name} {version}")


TABLE: Table = (
    Rule("person.operator", f"{_HEADER}/username", cite="the header's user name"),
    Rule("instrument.model", "WXIS_0/Instrument type", cite="the instrument's type: InVia"),
    Rule("instrument.vendor", "exif_tags/Make", cite="the maker of the white-light image"),
    Rule("detector.name", "WXCS_0/CCD/CCD", cite="the camera that the calibration is of"),
    Rule("detector.serial", "WXDA_0/CCD serial number", cite="2URV61, which the camera's name has too"),
    Derived("scan-exposure", _exposure, cite=_MILLISECONDS),
    _stage("X"),
    _stage("Y"),
    _stage("Z"),
    Derived("software", _software, cite="name and version of the program"),
    _time("time_start", "time.acquired_start"),
    _time("time_end", "time.acquired_end"),
)
