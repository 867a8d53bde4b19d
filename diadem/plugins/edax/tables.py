"""Which values of EDAX's headers are which fields.

`leo_edax_test.msa` is the program's own export of `leo_edax_test.spc`, with units in its keys: what the two share is
proven by it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree
from diadem.hooks.times import moments
from diadem.terms.matter import symbols_of

_EXPORT = "leo_edax_test.msa, exported from leo_edax_test.spc, says"
_GEOMETRY = (
    "leo_edax_test.spc: atan((38.00 sin 35 deg + 9.75 - 8.50) / (38.00 cos 35 deg)) - 1 deg = 35.52 deg, by elevation "
    "35, tilt -1 and three distances; takeoff says 35.51. EDAX's document gives intersectingDist in mm"
)
_IPR = "ImageIPR.pdf, EDAX's document:"

#: Kinds of detector, by EDAX's document SPECTRUM-V70.pdf.
_DETECTORS: Mapping[int, str] = {
    1: "Std-BE", 2: "UTW", 3: "Super UTW", 4: "ECON 3/4 Open", 5: "ECON 3/4 Closed", 6: "ECON 5/6 Open",
    7: "ECON 5/6 Closed", 8: "TEMECON", 11: "Sapphire Std-BE", 12: "Sapphire UTW", 13: "Sapphire Super UTW",
    14: "Sapphire ECON 3/4 Open", 15: "Sapphire ECON 3/4 Closed", 16: "Sapphire ECON 5/6 Open",
    17: "Sapphire ECON 5/6 Closed", 18: "Sapphire TEMECON", 30: "APOLLO 10 SDD", 31: "APOLLO XV", 32: "APOLLO 10+",
    40: "APOLLO 40 SDD", 50: "APOLLO-X", 51: "APOLLO-XP", 52: "APOLLO-XL", 53: "APOLLO XL-XRF", 60: "APOLLO-XLT-LS",
    61: "APOLLO-XLT-NW", 62: "APOLLO-XLT-SUTW",
}  # fmt: skip
#: An image description that is of a map of X-rays.
_XRAY_MAP = 2


def _single(value: Any) -> float:
    """A number of 32 bits with the digits that it was written with."""
    return float(f"{float(value):.7g}")


def _time(tree: Tree) -> Iterator[Found]:
    """Year, day, month, minute, hour, hundredths, seconds, as MS-DOS has them."""
    names = ("Year", "Mon", "Day"), ("Hour", "Min", "Sec", "Hund")
    year, month, day = (int(tree[f"collectDate{name}"]) for name in names[0])
    hour, minute, second, hundredths = (int(tree[f"collectTime{name}"]) for name in names[1])
    local = dt.datetime(year, month, day, hour, minute, second, 10_000 * hundredths)  # noqa: DTZ001 - no zone is stated
    raw = f"{year}-{month}-{day} {hour}:{minute}:{second}.{hundredths:02d}"
    yield from moments("time.acquired_start", "collectDateYear + collectTimeMin", raw, local=local)


def _elements(tree: Tree) -> Iterator[Found]:
    """Elements whose peaks were identified."""
    if symbols := symbols_of(tree["at"]):
        yield Found("sample.elements", symbols, "at", tree["at"])


SPECTRUM: Table = (
    Rule("beam.acceleration_voltage", "kV", "kV", _single, cite=f"{_EXPORT} BEAMKV -kV: 10.0"),
    Rule("optics.working_distance", "workingDist", "mm", cite=_GEOMETRY),
    Rule("stage.tilt", "tilt", "deg", _single, cite=f"{_EXPORT} ##Tilt Angle: -1.0. {_GEOMETRY}"),
    Rule("eds.live_time", "liveTime", "s", _single, cite=f"{_EXPORT} LIVETIME -s: 30.0"),
    Rule("eds.resolution", "detReso", "eV", _single, cite=f"{_EXPORT} ##RESO (MnKa): 125.2"),
    Rule("detector.elevation", "elevation", "deg", _single, cite=f"{_EXPORT} ELEVANGLE-dg: 35.0"),
    Rule("detector.azimuth", "azimuth", "deg", _single, cite=f"{_EXPORT} AZIMANGLE-dg: 0.0"),
    Rule("detector.type", "detectType", "", _DETECTORS.get, cite="SPECTRUM-V70.pdf lists the numbers"),
    Rule("sample.name", "spectrumLabel/sample", cite="SPECTRUM-V70.pdf: bytes 40 to 255 of the label are the sample"),
    Derived("identified-elements", _elements, cite=f"{_EXPORT} ##Elements: 8,27,16"),
    Derived("acquisition-time", _time, cite=f"{_EXPORT} DATE: 29-Aug-2022, TIME: 10:14; no zone is stated"),
)

IMAGE: Table = (
    Rule("beam.acceleration_voltage", "accV", "kV", cite=f"{_IPR} in units of 100 V"),
    Rule("optics.magnification", "mag", cite=f"{_IPR} magnification"),
    Rule("optics.working_distance", "wd", "mm", cite=f"{_IPR} in mm"),
    Rule("stage.tilt", "tilt", "deg", cite=f"{_IPR} sample tilt in degrees"),
    Rule("image.pixel_size_x", "mppX", "um", _single, cite=f"{_IPR} micrometres a pixel"),
    Rule("image.pixel_size_y", "mppY", "um", _single, cite=f"{_IPR} micrometres a pixel"),
    Rule(
        "scan.dwell_time",
        "presetTime",
        "ms",
        when=lambda tree: tree["imageType"] == _XRAY_MAP,
        cite=f"{_IPR} dwell time for X-rays in milliseconds",
    ),
)

MAP: Table = (
    Rule("scan.frames", "nFrames", cite="SpcMap-spd.file.format.pdf: frames in live spectrum mapping"),
)  # fmt: skip
