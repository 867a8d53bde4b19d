"""TIA: the XML inside `.emi` by regular expression, times and calibrations of `.ser` by `struct`."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.routes.knowledge import Known, Leaf, Value, kinds, number, read, same, when

#: Labels of the experimental description carry the unit: [kV], [um], [uA], [m]; [x] and text have none.
_KNOWN = (
    Known("High tension", "beam.acceleration_voltage", 1e3),
    Known("Gun lens", "beam.gun_lens"),
    Known("Extraction voltage", "beam.extraction_voltage"),
    Known("Gun type", "beam.source_type", same),
    Known("Emission", "beam.emission_current", 1e-6),
    Known("Mode", "beam.mode", lambda raw: [raw, str(raw).split()[0]]),
    Known("Mode", "signal.technique", lambda raw: [raw.split()[0], *(["diffraction"] if "Diffraction" in raw else [])]),
    Known("Mode|Microscope", "instrument.kind", kinds),
    Known("ShapingTime|ShapingTimePath", "signal.technique", lambda _: "EDS"),
    Known("Filter mode|Filter selected dispersion", "signal.technique", lambda _: "EELS"),
    Known("Filter selected aperture", "eels.aperture", 1e-3),
    Known("FrameTime", "scan.frame_time"),
    Known("Binning", "camera.binning"),
    Known("Magnification", "optics.magnification"),
    Known("Camera length", "optics.camera_length"),
    Known("Defocus", "optics.defocus", 1e-6),
    Known("Spot size", "beam.spot_index"),
    *(Known(f"Stage {a}", f"stage.{a.lower()}", 1e-6) for a in "XYZ"),
    Known("Stage A", "stage.alpha"),
    Known("Stage B", "stage.beta"),
    Known("User", "person.operator", same),
    Known("Microscope", "instrument.model", same),
    Known("Microscope", "instrument.name", same),
    Known("Microscope", "instrument.serial", lambda raw: re.findall(r"\bD\d+\b", raw)),
    Known("Stem rotation", "scan.rotation"),
    Known("Filter slit width", "optics.energy_filter_slit"),
    Known("DwellTimePath", "scan.dwell_time"),
    Known("DwellTimePath", "camera.exposure"),
    Known("IntegrationTimePath", "camera.exposure"),
    Known("FrameTimePath|TotalTimePath", "scan.frame_time"),
    Known("CameraNamePath|DetectorNamePath", "detector.name", same),
    Known("BinningPath", "camera.binning"),
    Known("AcquireDate", "time.acquired_start", when("%a %b %d %H:%M:%S %Y")),
    Known("LiveTime|LifeTime", "eds.live_time"),
    Known("RealTime", "eds.real_time"),
    Known("ElevationAngle", "detector.elevation"),
    Known("AzimuthAngle", "detector.azimuth"),
    Known("EnergyResolution", "eds.resolution"),
    Known("HolderName", "stage.holder", same),
)


def values(path: Path, files: Sequence[Path]) -> Iterator[Value]:
    """All that this route knows of an `.emi` and its `.ser`, or of a `.ser` alone."""
    found: list[Value] = []
    for file in {path, *files}:
        if file.suffix == ".emi":
            found += read(_labels(file.read_bytes().decode("latin-1")), _KNOWN)
        if file.suffix == ".ser":
            found += _ser(file.read_bytes())
    yield from found
    times = [value for field, value in found if field == "time.acquired_start"]
    instants = [one.replace(tzinfo=None) for one in times if one.tzinfo]
    yield from (("time.utc_offset", one - other) for one in times if not one.tzinfo for other in instants)


def _labels(text: str) -> Iterator[Leaf]:
    for label, value in re.findall(r"<Label>([^<]*)</Label>\s*<Value>([^<]*)</Value>", text):
        yield label.strip(), value.strip()
    yield from re.findall(r"<(\w+)>([^<>]+)</\1>", text)


def _ser(data: bytes) -> Iterator[Value]:
    """Calibrations of the first element, times of all."""
    (version,) = struct.unpack_from("<H", data, 4)
    kind, tags, count = struct.unpack_from("<II", data, 6)[0], *struct.unpack_from("<II", data, 10)
    wide = version >= 0x220
    (table,) = struct.unpack_from("<Q" if wide else "<I", data, 22)
    size = 8 if wide else 4
    starts = struct.unpack_from(f"<{2 * count}{'Q' if wide else 'I'}", data, table)
    if kind == 0x4122:
        for axis, letter in enumerate("xy"):
            yield f"image.pixel_size_{letter}", struct.unpack_from("<d", data, starts[0] + 20 * axis + 8)[0]
            yield f"image.reciprocal_pixel_size_{letter}", struct.unpack_from("<d", data, starts[0] + 20 * axis + 8)[0]
    elif kind == 0x4120:
        yield "eels.dispersion", struct.unpack_from("<d", data, starts[0] + 8)[0]
    yield from _dimensions(data, 22 + size)
    for number_of, place in enumerate(starts[count:]):
        (seconds,) = struct.unpack_from("<I", data, place + 4)
        if seconds and tags in (0x4142, 0x4152):
            moment = datetime.fromtimestamp(seconds, UTC)
            if number_of == 0:
                yield "time.acquired_start", moment
            if number_of == count - 1:
                yield "time.acquired_end", moment


def _dimensions(data: bytes, at: int) -> Iterator[Value]:
    """Steps of the scan, where there is one, in metres."""
    (count,) = struct.unpack_from("<I", data, at)
    at += 4
    for place in range(count):
        size, _, delta, _, length = struct.unpack_from("<IddII", data, at)
        at += 28 + length
        (length,) = struct.unpack_from("<I", data, at)
        unit = data[at + 4 : at + 4 + length].decode("latin-1")
        at += 4 + length
        if "meter" in unit.lower() and size > 1:
            yield f"image.pixel_size_{'xy'[place % 2]}", abs(number(delta))
            yield "image.pixel_size_x", abs(number(delta))
            yield "image.pixel_size_y", abs(number(delta))
