"""Formats with fixed places, by `struct`: Blockfile, MRC, TVIPS, EDAX, Semper, Quadstar, Renishaw, JEOL, and EXIF."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.routes.knowledge import SYMBOLS, Value

#: Day 0 of OLE automation dates, and of FILETIME; local or UTC as the format has it.
_OLE = datetime.fromisoformat("1899-12-30")
_FILETIME = datetime.fromisoformat("1601-01-01")


def blockfile(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """NanoMegas: SX, SY in nm, energy in V, camera length in 0.1 mm, time as an OLE date."""
    data = path.read_bytes()[:0x60]
    (rotation,) = struct.unpack_from("<H", data, 0x1C)
    sx, sy = struct.unpack_from("<dd", data, 0x1E)
    (energy,) = struct.unpack_from("<I", data, 0x2E)
    (length,) = struct.unpack_from("<I", data, 0x34)
    (days,) = struct.unpack_from("<d", data, 0x38)
    yield "scan.rotation", rotation / 100
    yield "image.pixel_size_x", sx * 1e-9
    yield "image.pixel_size_y", sy * 1e-9
    yield "beam.acceleration_voltage", float(energy)
    yield "optics.camera_length", length * 1e-4
    if 1 < days < 80_000:
        yield "time.acquired_start", _OLE + timedelta(days=days)


def mrc(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """MRC2014: cell in Ångström over the sampling; FEI1's extended header in SI."""
    data = path.read_bytes()[: 1024 + 768]
    mx, my = struct.unpack_from("<ii", data, 28)
    x, y = struct.unpack_from("<ff", data, 40)
    if mx and my:
        yield "image.pixel_size_x", x / mx * 1e-10
        yield "image.pixel_size_y", y / my * 1e-10
    for label in re.findall(rb"[\x20-\x7e]{8,80}", data[224:1024]):
        yield "instrument.software", label.decode("ascii").strip()


#: FEI's extended header of MRC files (document "MRC file image format", Thermo Fisher): place, code, field, factor.
_FEI_HEADER = (
    (84, "d", "beam.acceleration_voltage", 1.0),
    (100, "d", "stage.alpha", 1.0),
    (108, "d", "stage.beta", 1.0),
    (116, "d", "stage.x", 1.0),
    (124, "d", "stage.y", 1.0),
    (132, "d", "stage.z", 1.0),
    (156, "d", "image.pixel_size_x", 1.0),
    (164, "d", "image.pixel_size_y", 1.0),
    (228, "d", "optics.defocus", 1.0),
    (289, "d", "optics.magnification", 1.0),
    (301, "d", "optics.camera_length", 1.0),
    (309, "i", "beam.spot_index", 1.0),
    (329, "d", "beam.convergence_semi_angle", 1.0),
)
_FEI_TEXTS = (
    (20, "instrument.model"),
    (36, "instrument.serial"),
    (435, "detector.name"),
)


def fei_mrc(path: Path) -> Iterator[Value]:
    """The extended header of the first image, where it is of the kind FEI1 or FEI2."""
    data = path.read_bytes()[: 1024 + 4096]
    yield from mrc(path, ())
    if data[104:107] != b"FEI":
        return
    head = data[1024:]
    for place, code, field, factor in _FEI_HEADER:
        yield field, struct.unpack_from("<" + code, head, place)[0] * factor
    texts = [(field, head[place : place + 16]) for place, field in _FEI_TEXTS]
    texts += [("detector.name", one) for one in re.findall(rb"[A-Z][A-Za-z0-9-]{2,15}\0", head[435:800])]
    yield from ((field, text.partition(b"\0")[0].decode("latin-1").strip()) for field, text in texts)
    application, version = (head[at : at + 16].partition(b"\0")[0].decode("latin-1").strip() for at in (52, 68))
    yield "instrument.software", f"{application} {version}"
    (days,) = struct.unpack_from("<d", head, 12)
    yield "time.acquired_start", _OLE + timedelta(days=days)
    (mode,) = struct.unpack_from("<i", head, 244)
    yield from (("beam.mode", {1: "TEM", 2: "STEM"}.get(mode)), ("signal.technique", {1: "TEM", 2: "STEM"}.get(mode)))
    yield "instrument.kind", "tem"


def mrcz(path: Path, files: Sequence[Path]) -> Iterator[Value]:
    """MRCZ: voltage in kV at 132, C3 at 136, gain at 140; cell in Ångström."""
    yield from mrc(path, files)
    data = path.read_bytes()[:1024]
    yield "beam.acceleration_voltage", struct.unpack_from("<f", data, 132)[0] * 1e3
    text = path.read_bytes()[1024:20_000].decode("latin-1")
    for key, field in (("microscope", "instrument.model"), ("magnification", "optics.magnification")):
        yield from ((field, one.strip('"')) for one in re.findall(rf'"{key}":\s*("[^"]*"|[\d.e+-]+)', text))


#: EDAX's header of spectra: place, code, field, factor; the distance is in hundredths of a millimetre.
_EDAX = (
    (36, "h", "optics.working_distance", 1e-5),
    (456, "f", "eds.live_time", 1.0),
    (460, "f", "stage.tilt", 1.0),
    (460, "f", "stage.alpha", 1.0),
    (472, "f", "eds.resolution", 1.0),
    (508, "f", "detector.azimuth", 1.0),
    (512, "f", "detector.elevation", 1.0),
    (532, "f", "beam.acceleration_voltage", 1e3),
)


def edax(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """EDAX `.spc`."""
    data = path.read_bytes()
    for place, code, field, factor in _EDAX:
        yield field, struct.unpack_from("<" + code, data, place)[0] * factor
    (count,) = struct.unpack_from("<h", data, 638)
    yield "sample.elements", [SYMBOLS[one - 1] for one in struct.unpack_from(f"<{count}H", data, 640)]
    year, day, month, minute, hour, _, second = struct.unpack_from("<H6B", data, 16)
    yield "time.acquired_start", datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - as written
    yield "signal.technique", "EDS"


def renishaw(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """WDF1: times as FILETIME at 136 and 144, user at 208, title at 240; program and version at 96 and 120."""
    data = path.read_bytes()[:512]
    for field, place in (("time.acquired_start", 136), ("time.acquired_end", 144)):
        (ticks,) = struct.unpack_from("<Q", data, place)
        moment = _FILETIME + timedelta(microseconds=ticks // 10)
        yield field, moment.replace(tzinfo=UTC)
        yield field, moment
    yield "person.operator", data[208:240].partition(b"\0")[0].decode("latin-1").strip()
    program = data[96:120].partition(b"\0")[0].decode("latin-1")
    version = ".".join(str(one) for one in struct.unpack_from("<4H", data, 120))
    yield from (("instrument.software", program), ("instrument.software", f"{program} {version}"))


def semper(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """Semper: seven bytes of the label are the date: year from 1900, month, day, hour, minute, second."""
    data = path.read_bytes()
    for place in range(min(len(data), 4096) - 7):
        year, month, day, hour, minute, second = data[place : place + 6]
        if 90 <= year <= 130 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60:
            try:
                yield "time.acquired_start", datetime(1900 + year, month, day, hour, minute, second)  # noqa: DTZ001 - as written
            except ValueError:
                continue


def image(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """EXIF by Pillow; Renishaw's field of view in µm under 0xFEA1."""
    from PIL import Image

    with Image.open(path) as opened:
        exif = opened.getexif()
        width, height = opened.size
    make, model, program, moment = exif.get(271), exif.get(272), exif.get(305), exif.get(306)
    yield from (("instrument.vendor", make), ("instrument.model", model), ("instrument.software", program))
    if moment:
        yield "time.acquired_start", datetime.strptime(str(moment), "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007 - as written
    if field := exif.get(0xFEA1) or exif.get_ifd(0x8769).get(0xFEA1):
        yield "image.pixel_size_x", float(field[0]) / width * 1e-6
        yield "image.pixel_size_y", float(field[1]) / height * 1e-6
        yield "optics.field_of_view_x", float(field[0]) * 1e-6
        yield "optics.field_of_view_y", float(field[1]) * 1e-6


def jeol(path: Path, files: Sequence[Path]) -> Iterator[Value]:
    """JEOL's dictionaries: a length, a name, a type, a size, a value; read wherever a known name stands."""
    names = {
        "AccV": ("beam.acceleration_voltage", 1e3),
        "AccKV": ("beam.acceleration_voltage", 1e3),
        "Mag": ("optics.magnification", 1.0),
        "LiveTime": ("eds.live_time", 1.0),
        "RealTime": ("eds.real_time", 1.0),
        "Live Time": ("eds.live_time", 1.0),
        "Real Time": ("eds.real_time", 1.0),
        "WD": ("optics.working_distance", 1e-3),
        "DwellTime(msec)": ("scan.dwell_time", 1e-3),
        "EL": ("detector.elevation", 1.0),
        "Elevation": ("detector.elevation", 1.0),
        "AZ": ("detector.azimuth", 1.0),
        "Sweep": ("scan.frames", 1.0),
        "Tilt": ("stage.alpha", 1.0),
        "TiltAngle": ("stage.alpha", 1.0),
        "DEnergyResolution": ("eds.resolution", 1.0),
        "MnKaRES": ("eds.resolution", 1.0),
        "PixelSize": ("image.pixel_size_x", 1e-6),
    }
    for file in {path, *files}:
        data = file.read_bytes()
        for name, (field, factor) in names.items():
            key = struct.pack("<I", len(name) + 1) + name.encode() + b"\0"
            at = data.find(key)
            while at >= 0:
                kind, size = struct.unpack_from("<II", data, at + len(key))
                code = {(5, 8): "<d", (4, 4): "<f", (3, 4): "<i", (2, 2): "<h", (1, 1): "<b"}.get((kind, size))
                if code:
                    yield field, struct.unpack_from(code, data, at + len(key) + 8)[0] * factor
                at = data.find(key, at + 1)
        for name, field in (("Name", "instrument.model"), ("CompName", "sample.name"), ("User", "person.operator")):
            for text in re.findall(
                struct.pack("<I", len(name) + 1) + name.encode() + rb"\0.{8}([\x20-\x7e]{2,60})\0", data, re.DOTALL
            ):
                yield field, text.decode("ascii")
        for place in range(min(len(data), 4096) - 8):
            (days,) = struct.unpack_from("<d", data, place)
            if 36_000 < days < 48_000:
                yield "time.acquired_start", _OLE + timedelta(days=days)
    yield "signal.technique", "EDS"
