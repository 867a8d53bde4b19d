"""DM3 and DM4 read with `struct`: the tag directory as paths and values, arrays left alone but for short texts."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from tests.routes.knowledge import Known, Value, kinds, read, same, when

#: DM's numbers of simple types: struct code.
_SIMPLE = {2: "h", 3: "i", 4: "H", 5: "I", 6: "f", 7: "d", 8: "?", 9: "b", 10: "b", 11: "q", 12: "Q"}
_STRUCT, _STRING, _ARRAY = 15, 18, 20
#: Elements up to which an array of 16-bit numbers is a text.
_LONGEST_TEXT = 4096


def leaves(path: Path) -> Iterator[tuple[str, Any]]:
    """Path and value of every tag, list members numbered."""
    with path.open("rb") as stream:
        yield from tags(stream)


def tags(stream: BinaryIO) -> Iterator[tuple[str, Any]]:
    """The same of an open file, or of the copy of one that DM leaves in a TIFF tag."""
    (version,) = struct.unpack(">I", stream.read(4))
    wide = version == 4
    stream.seek(12 if wide else 8)
    (little,) = struct.unpack(">I", stream.read(4))
    yield from _Reader(stream, wide, "<" if little else ">").group("")


class _Reader:
    def __init__(self, stream: BinaryIO, wide: bool, order: str) -> None:
        self.stream, self.wide, self.order = stream, wide, order

    def count(self) -> int:
        code, size = (">Q", 8) if self.wide else (">I", 4)
        value: int = struct.unpack(code, self.stream.read(size))[0]
        return value

    def group(self, prefix: str) -> Iterator[tuple[str, Any]]:
        self.stream.read(2)
        for number in range(self.count()):
            kind = self.stream.read(1)[0]
            (length,) = struct.unpack(">H", self.stream.read(2))
            name = self.stream.read(length).decode("latin-1") or str(number)
            if self.wide:
                self.stream.read(8)
            path = f"{prefix}.{name}" if prefix else name
            if kind == 20:
                yield from self.group(path)
            else:
                yield path, self.value()

    def value(self) -> Any:
        self.stream.read(4)  # "%%%%"
        types = [self.count() for _ in range(self.count())]
        if types[0] in _SIMPLE:
            return self.simple(types[0])
        if types[0] == _STRUCT:
            return [self.simple(kind) for kind in types[4::2]]
        if types[0] == _STRING:
            return self.stream.read(2 * types[1]).decode("utf-16-le", "replace")
        return self.array(types)

    def array(self, types: list[int]) -> Any:
        size = types[-1]
        width = sum(struct.calcsize("=" + _SIMPLE[kind]) for kind in types[5:-1:2]) if types[1] == _STRUCT else 0
        width = width or struct.calcsize("=" + _SIMPLE[types[1]])
        if types[1] == 4 and size <= _LONGEST_TEXT:
            return self.stream.read(2 * size).decode("utf-16-le", "replace")
        self.stream.seek(size * width, 1)
        return None

    def simple(self, kind: int) -> Any:
        code = self.order + _SIMPLE[kind]
        return struct.unpack(code, self.stream.read(struct.calcsize(code)))[0]


_T = r"ImageTags\."
_DAYS = ("%m/%d/%Y %I:%M:%S %p", "%d/%m/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%d.%m.%Y %H:%M:%S")
#: DM's own dialogs name the units: um, degrees, mm, mrad, us.
_KNOWN = (
    Known(_T + r"Microscope Info\.Voltage", "beam.acceleration_voltage"),
    Known(_T + r"Microscope Info\.(?:Indicated|Actual) Magnification", "optics.magnification"),
    Known(_T + r"Microscope Info\.STEM Camera Length", "optics.camera_length", 1e-3),
    Known(_T + r"Microscope Info\.Indicated Magnification", "optics.camera_length", 1e-3),
    Known(_T + r"Microscope Info\.Field of View \(.{1,2}m\)", "optics.field_of_view_x", 1e-6),
    Known(_T + r"Microscope Info\.Field of View \(.{1,2}m\)", "optics.field_of_view_y", 1e-6),
    Known(_T + r"Microscope Info\.Emission Current \(.{1,2}A\)", "beam.emission_current", 1e-6),
    Known(_T + r"Microscope Info\.Probe Current \(nA\)", "beam.probe_current", 1e-9),
    Known(_T + r"Microscope Info\.(?:Illumination|Imaging|Operation) Mode", "beam.mode", same),
    Known(_T + r"Microscope Info\.Type\.Vendor", "instrument.vendor", same),
    Known(_T + r"Microscope Info\.(?:Name|Microscope|Type\.Model)", "instrument.model", same),
    Known(_T + r"Microscope Info\.(?:Name|Microscope)", "instrument.name", same),
    Known(_T + r"Session Info\.Microscope", "instrument.name", same),
    Known(_T + r"Session Info\.Microscope", "instrument.model", same),
    Known(_T + r"(?:Session|Microscope) Info\.Operator", "person.operator", same),
    Known(_T + r"(?:Session|Microscope) Info\.Specimen", "sample.name", same),
    Known(_T + r"(?:Session Info|Microscope Info)\.Facility", "instrument.site", same),
    Known(_T + r"Session Info\.Detector", "detector.name", same),
    *(Known(_T + rf"Microscope Info\.Stage Position\.Stage {a}", f"stage.{a.lower()}", 1e-6) for a in "XYZ"),
    *(Known(_T + rf"Microscope Info\.Stage Position\.Stage {a}", f"stage.{a.lower()}") for a in ("Alpha", "Beta")),
    Known(_T + r"DigiScan\.Sample Time", "scan.dwell_time", 1e-6),
    Known(_T + r"SI\.Acquisition\.Pixel time \(s\)", "scan.dwell_time"),
    Known(_T + r"DigiScan\.Flyback", "scan.flyback_time", 1e-6),
    Known(_T + r"DigiScan\.Rotation", "scan.rotation"),
    Known(_T + r"DigiScan\.Number Summing Frames", "scan.frames"),
    Known(_T + r"Acquisition\.Parameters\.High Level\.Exposure \(s\)", "camera.exposure"),
    Known(_T + r"Acquisition\.Parameters\.Detector\.exposure \(s\)", "camera.exposure"),
    Known(_T + r"(?:EELS|SI|CL)\.Acquisition\.Exposure \(s\)", "camera.exposure"),
    Known(_T + r"DataBar\.Exposure Time \(s\)", "camera.exposure"),
    Known(_T + r"Acquisition\.Parameters\.High Level\.Binning", "camera.binning", list),
    Known(_T + r"Acquisition\.Device\.(?:Name|Source)", "detector.name", same),
    Known(_T + r"DataBar\.(?:Device|Signal) Name", "detector.name", same),
    Known(_T + r"EELS\.Experimental Conditions\.Convergence semi-angle \(mrad\)", "beam.convergence_semi_angle", 1e-3),
    Known(_T + r"EELS\.Experimental Conditions\.Collection semi-angle \(mrad\)", "eels.collection_semi_angle", 1e-3),
    Known(_T + r"(?:EELS Spectrometer|Spectrometer)\.Dispersion \(eV/ch\)", "eels.dispersion"),
    Known(_T + r"(?:EELS Spectrometer|EELS\.Acquisition\.Spectrometer)\.Aperture label", "eels.aperture", 1e-3),
    Known(_T + r"(?:EELS Spectrometer|EELS\.Acquisition\.Spectrometer)\.Instrument name", "detector.name", same),
    Known(_T + r"EELS Spectrometer\.Slit width \(eV\)", "optics.energy_filter_slit"),
    Known(_T + r"EDS\.Detector Info\.Elevation angle", "detector.elevation"),
    Known(_T + r"EDS\.Detector Info\.Azimuthal angle", "detector.azimuth"),
    Known(_T + r"EDS\.Detector Info\.Detector type", "detector.type", same),
    Known(_T + r"EDS\.Live time", "eds.live_time"),
    Known(_T + r"EDS\.Real time", "eds.real_time"),
    Known(_T + r"GMS Version\.(?:Created|Saved)", "instrument.software", lambda raw: [raw, f"GMS {raw}"]),
    Known(_T + r"Microscope Info\.(?:Name|Microscope)|Session Info\.Microscope", "instrument.kind", kinds),
    Known(_T + r"Microscope Info\.Illumination Mode", "instrument.kind", lambda raw: "tem" if "TEM" in raw else None),
    Known(_T + r"Microscope Info\.Illumination Mode", "beam.mode", lambda raw: re.findall("S?TEM", raw)),
    Known(_T + r"Microscope Info\.Illumination Mode", "signal.technique", lambda raw: re.findall("S?TEM", raw)),
    Known(
        _T + r"Microscope Info\.Imaging Mode", "signal.technique", lambda raw: "diffraction" if "DIFF" in raw else None
    ),
    Known(
        r"Calibrations\.Brightness\.Units",
        "signal.quantity",
        lambda raw: {"e-": "electrons", "counts": "counts"}.get(same(raw).lower()),
    ),
    Known(_T + r"Meta Data\.Signal", "signal.technique", lambda raw: {"X-ray": "EDS"}.get(str(raw), raw)),
)
_UNITS = {"nm": 1e-9, "µm": 1e-6, "um": 1e-6, "mm": 1e-3, "m": 1.0, "Å": 1e-10, "A": 1e-10}


def values(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """All that this route knows of the file."""
    yield from of_leaves([(name, value) for name, value in leaves(path) if value is not None])


def of_leaves(found: list[tuple[str, Any]]) -> Iterator[Value]:
    """All that this route knows of some tags."""
    yield from read(found, _KNOWN)
    yield from _scales(dict(found))
    yield from _times(dict(found))


def _scales(found: dict[str, Any]) -> Iterator[Value]:
    """Pixel sizes from the calibrations; the first dimension of DM is the fast one."""
    for name, scale in found.items():
        if not name.endswith(".Scale") or ".Dimension." not in name:
            continue
        axis = name.split(".")[-2]
        unit = str(found.get(name[: -len("Scale")] + "Units", "")).strip("\0")
        letter = {"0": "x", "1": "y"}.get(axis, "")
        if letter and unit in _UNITS:
            yield f"image.pixel_size_{letter}", scale * _UNITS[unit]
        if letter and unit.startswith("1/") and unit[2:] in _UNITS:
            yield f"image.reciprocal_pixel_size_{letter}", scale / _UNITS[unit[2:]]
        if axis in "12" and unit in _UNITS:  # a spectrum image may have its energy in any dimension
            yield "image.pixel_size_x", scale * _UNITS[unit]
            yield "image.pixel_size_y", scale * _UNITS[unit]
        if unit == "eV":
            yield "eels.dispersion", scale


def _times(found: dict[str, Any]) -> Iterator[Value]:
    """The clock's text in every order that it can have, and the FILETIME as an instant."""
    for prefix, date, time, field in (
        ("DataBar.", "Acquisition Date", "Acquisition Time", "time.acquired_start"),
        ("SI.Acquisition.", "Date", "Start time", "time.acquired_start"),
        ("EELS.Acquisition.", "Date", "Start time", "time.acquired_start"),
        ("CL.Acquisition.", "Date", "Start time", "time.acquired_start"),
        ("SI.Acquisition.", "Date", "End time", "time.acquired_end"),
        ("EELS.Acquisition.", "Date", "End time", "time.acquired_end"),
        ("CL.Acquisition.", "Date", "End time", "time.acquired_end"),
    ):
        for name, day in found.items():
            if name.endswith("ImageTags." + prefix + date):
                clock = str(found.get(name[: -len(date)] + time, "")).replace("a.m.", "AM").replace("p.m.", "PM")
                yield from ((field, moment) for moment in when(*_DAYS)(f"{day} {clock}"))
    for name, ticks in found.items():
        if name.endswith(("DataBar.Acquisition Time (OS)", "DataBar.System Info")) and ticks > 1e17:
            instant = datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks / 10)
            yield "time.acquired_start", instant
            for field, local in list(_locals(found)):
                yield field, local - instant.replace(tzinfo=None)


def _locals(found: dict[str, Any]) -> Iterator[tuple[str, datetime]]:
    for name, day in found.items():
        if name.endswith("DataBar.Acquisition Date"):
            clock = str(found.get(name[: -len("Date")] + "Time", "")).replace("a.m.", "AM").replace("p.m.", "PM")
            yield from (("time.utc_offset", moment) for moment in when(*_DAYS)(f"{day} {clock}"))
