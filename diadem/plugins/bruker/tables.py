"""Which values of Bruker's XML are which fields.

The program draws its values with their units into the pictures that it saves. That of the map bcf-edx-ebsd.bcf says
``MAG: 5000x    HV: 20 kV    WD: 6.0 mm    Px: 0.41 µm``, beside Mag 5E3, HV 2E1, WD 6.049942455 and DX 4.145152257E-1.

Left out, as unproven: the times that pixels took (`PixelTime`, `PixelAverage`), and with them the real time of a map;
the tilt of the sample, which is not the stage's; the name of a map, which is not the sample's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree, look_up
from diadem.hooks.times import moments
from diadem.plugins.bruker.xml_tree import every
from diadem.terms.dates import clock
from diadem.terms.matter import symbols_among

_PICTURE = "the text drawn into the picture of bcf-edx-ebsd.bcf: 'MAG: 5000x HV: 20 kV WD: 6.0 mm Px: 0.41 µm'"
_SAME = "in bcf-edx-ebsd.bcf the same number as in TRTSEMData, whose unit is proven there"
_STAGE = (
    "the author of HyperSpy's reader, who had them from users: 'stage position data in um'; positions such as 66940.81 "
    "are no others; angles up to 326.1 are degrees. All five zero means that the stage was not asked"
)
_MILLISECONDS = (
    "bruker_nano.spx: 76293 counts less ZeroPeakFrequency 1408 / s in 7.385 s are 8923 / s, as PulseDensity 8927 says"
)
_DEGREES = (
    "bcf-edx-ebsd.bcf: TiltAngle 69.99999998 of the same header is ProbeTilt 1.221730476 rad of the EBSD calibration"
)
_TUBE = "the tube of an M4 or M6: 50 beside a current of 600, where tubes have 50 kV and 600 uA at most"
_MODEL = "the detector's model: XFlash 6|60, SuperX"
_SERIAL = "serial number of the detector"
#: 9990 stands in files of two detectors of two sites.
_NO_SERIAL = ("0", "9990")
_DATE = "day.month.year, the program's own order: 21.1.2018 in bcf-edx-ebsd.bcf; the clock of the instrument's computer"

_DATABASE = "TRTSpectrumDatabase"
_STAGE_DATA = f"{_DATABASE}/TRTSEMStageData"
_ANALYSIS = f"{_DATABASE}/SpectrumData0/TRTSpectrum/TRTHeaderedClass/TRTESMAHeader"
_HEADERS = "TRTSpectrum/TRTHeaderedClass"


def _asked(tree: Tree) -> bool:
    """Whether the stage's position was read at all."""
    stage = look_up(tree, _STAGE_DATA)
    names = ("X", "Y", "Z", "Rotation", "Tilt")
    return isinstance(stage, Mapping) and any(float(stage.get(name) or 0) for name in names)


def _stage(field: str, name: str, unit: str) -> Rule:
    return Rule(field, f"{_STAGE_DATA}/{name}", unit, when=_asked, cite=_STAGE)


def _positive(value: Any) -> float | None:
    """A number above zero; the program writes -1 where a microscope has none, as a transmission one no distance."""
    return number if (number := float(value)) > 0 else None


def _time(place: str) -> Derived:
    def read(tree: Tree) -> Iterator[Found]:
        date, hour = (str(look_up(tree, f"{place}/{name}")) for name in ("Date", "Time"))
        day, month, year = (int(part) for part in date.split("."))
        time = clock(":".join(f"{int(part):02d}" for part in hour.split(":")))
        if time is not None:
            local = dt.datetime.combine(dt.date(year, month, day), time)
            yield from moments("time.acquired_start", f"{place}/Date + {place}/Time", f"{date} {hour}", local=local)

    return Derived("acquisition-time", read, cite=_DATE)


def _map_elements(tree: Tree) -> Iterator[Found]:
    """Elements that were mapped; older versions have one unnamed list, newer ones also those of points and lines."""
    containers = every(tree.get(_DATABASE), "TRTContainerClass")
    lists = [
        listed
        for container in containers
        for listed in every(container.get("ChildClassInstances"), "TRTElementInformationList")
    ]
    for listed in sorted(lists, key=lambda listed: listed.get("Name") != "MapElements")[:1]:
        regions = look_up(listed, "TRTSpectrumRegionList/ChildClassInstances")
        yield from _elements(regions, "TRTSpectrumRegion", f"{_DATABASE}/TRTContainerClass/{listed.get('Name')}")


def _spectrum_elements(tree: Tree) -> Iterator[Found]:
    """Elements that were looked for."""
    key = "TRTSpectrum/TRTPSEElementList/ChildClassInstances"
    yield from _elements(look_up(tree, key), "TRTPSEElement", key)


def _elements(tree: Any, kind: str, key: str) -> Iterator[Found]:
    names = symbols_among(item.get("Name") for item in every(tree, kind))
    if names:
        yield Found("sample.elements", names, key, names)


MAP: Table = (
    Rule("beam.acceleration_voltage", f"{_DATABASE}/TRTSEMData/HV", "kV", _positive, cite=_PICTURE),
    Rule("beam.acceleration_voltage", f"{_ANALYSIS}/PrimaryEnergy", "kV", _positive, cite=_SAME),
    Rule("optics.magnification", f"{_DATABASE}/TRTSEMData/Mag", "", _positive, cite=_PICTURE),
    Rule("optics.working_distance", f"{_DATABASE}/TRTSEMData/WD", "mm", _positive, cite=_PICTURE),
    _stage("stage.x", "X", "um"),
    _stage("stage.y", "Y", "um"),
    _stage("stage.z", "Z", "um"),
    _stage("stage.rotation", "Rotation", "deg"),
    _stage("stage.tilt", "Tilt", "deg"),
    Derived("map-elements", _map_elements, cite="the elements that the user had mapped"),
    _time(f"{_DATABASE}/Header"),
)

SPECTRUM: Table = (
    Rule("beam.acceleration_voltage", f"{_HEADERS}/TRTESMAHeader/PrimaryEnergy", "kV", _positive, cite=_SAME),
    Rule("beam.acceleration_voltage", f"{_HEADERS}/TRTXrfHeader/Voltage", "kV", _positive, cite=_TUBE),
    Rule("optics.magnification", f"{_HEADERS}/TRTESMAHeader/Magnification", "", _positive, cite=_SAME),
    Rule("optics.working_distance", f"{_HEADERS}/TRTESMAHeader/WorkingDistance", "mm", _positive, cite=_SAME),
    Rule("eds.real_time", f"{_HEADERS}/TRTSpectrumHardwareHeader/RealTime", "ms", cite=_MILLISECONDS),
    Rule("eds.live_time", f"{_HEADERS}/TRTSpectrumHardwareHeader/LifeTime", "ms", cite=_MILLISECONDS),
    Rule("detector.type", f"{_HEADERS}/TRTDetectorHeader/Type", cite=_MODEL),
    Rule("detector.serial", f"{_HEADERS}/TRTDetectorHeader/Serial", drop=_NO_SERIAL, cite=_SERIAL),
    Rule("detector.elevation", f"{_HEADERS}/TRTESMAHeader/ElevationAngle", "deg", cite=_DEGREES),
    Rule("detector.azimuth", f"{_HEADERS}/TRTESMAHeader/AzimutAngle", "deg", cite=_DEGREES),
    Derived("spectrum-elements", _spectrum_elements, cite="the elements that the program or the user has identified"),
    _time("TRTSpectrum/TRTSpectrumHeader"),
)

#: Of the reader's trees; a picture's has no detector.
DETECTOR: Table = (
    Rule("detector.type", "Detector/Type", cite=_MODEL),
    Rule("detector.serial", "Detector/Serial", "", str, drop=_NO_SERIAL, cite=_SERIAL),
    Rule("detector.elevation", "Analysis/ElevationAngle", "deg", cite=_DEGREES),
    Rule("detector.azimuth", "Analysis/AzimutAngle", "deg", cite=_DEGREES),
)
