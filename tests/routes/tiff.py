"""TIFF: the vendor's tag, found by tifffile, as text: Thermo Fisher, Zeiss, TESCAN, Orion, JEOL, TVIPS, Gatan."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.routes import digitalmicrograph, flatten
from tests.routes.knowledge import (
    Known,
    Leaf,
    Value,
    kinds,
    number,
    read,
    same,
    seconds,
    times_as_text,
    when,
    with_unit,
)

_DEG = 180 / math.pi
#: Thermo Fisher's INI is SI, angles in rad (manual "xT microscope control", file format).
_FEI = (
    Known(r"Beam\.HV", "beam.acceleration_voltage"),
    Known(r"Beam\.Spot", "beam.spot_index"),
    Known(r"\w+Beam\.HV", "beam.acceleration_voltage"),
    Known(r"\w+Beam\.BeamCurrent", "beam.current"),
    Known(r"\w+Beam\.EmissionCurrent", "beam.emission_current"),
    Known(r"\w+Beam\.SourceType|System\.Source", "beam.source_type", same),
    Known(r"\w+Beam\.Dwell", "scan.dwell_time"),
    Known(r"Scan\.Dwelltime", "scan.dwell_time"),
    Known(r"(?:Scan|\w+Scan)\.LineTime", "scan.line_time"),
    Known(r"(?:Scan|\w+Scan)\.FrameTime", "scan.frame_time"),
    Known(r"Scan\.PixelWidth", "image.pixel_size_x"),
    Known(r"Scan\.PixelHeight", "image.pixel_size_y"),
    Known(r"(?:Scan\.HorFieldsize|\w+Beam\.HFW)", "optics.field_of_view_x"),
    Known(r"(?:Scan\.VerFieldsize|\w+Beam\.VFW)", "optics.field_of_view_y"),
    Known(r"\w+Beam\.ScanRotation|Beam\.ScanRotation", "scan.rotation", _DEG),
    Known(r"\w+Scan\.Integrate|Scan\.Average|\w+Scan\.Average|Image\.Average|Image\.Integrate", "scan.frames"),
    Known(r"(?:Stage|\w+Beam)\.(?:WorkingDistance|WD)", "optics.working_distance"),
    *(Known(rf"(?:Stage|\w+Beam)\.Stage{a}", f"stage.{a.lower()}") for a in "XYZ"),
    Known(r"(?:Stage|\w+Beam)\.StageR", "stage.rotation", _DEG),
    Known(r"(?:Stage|\w+Beam)\.StageT[aA]?", "stage.tilt", _DEG),
    Known(r"Detectors\.Name", "detector.name", same),
    Known(r"Detectors\.Mode|\w+\.Signal", "detector.type", same),
    Known(r"User\.User", "person.operator", same),
    Known(r"System\.SystemType", "instrument.model", same),
    Known(r"System\.Dnumber", "instrument.serial", same),
    Known(r"System\.Software", "instrument.software", same),
    Known(r"System\.(?:System)?Type", "instrument.kind", kinds),
    Known(r"Beam\.Beam", "beam.species", lambda raw: "electron" if raw == "EBeam" else None),
    Known(r"Beam\.Beam", "signal.technique", {"EBeam": "SEM", "IBeam": "FIB"}.get),
    Known(r"EBeam\.LensMode", "beam.mode", same),
    Known(r"Specimen\.Temperature", "stage.temperature"),
    Known(r"Vacuum\.ChPressure", "stage.pressure"),
    Known(r"System\.Stage", "stage.holder", same),
)
#: The XML beside it says the unit of each: `<Metadata>` of the 2013/07 schema is SI.
_FEI_XML = (
    Known(r"Instrument\.Manufacturer", "instrument.vendor", same),
    Known(r"Instrument\.InstrumentClass", "instrument.model", same),
    Known(r"Instrument\.InstrumentID", "instrument.serial", same),
    Known(r"Instrument\.ComputerName", "instrument.name", same),
    Known(r"Instrument\.ControlSoftwareVersion", "instrument.software", same),
    Known(r"Acquisition\.AcquisitionDatetime", "time.acquired_start", lambda raw: datetime.fromisoformat(raw[:26])),
    Known(r"Acquisition\.SourceType", "beam.source_type", same),
    Known(r"Acquisition\.BeamType", "beam.species", lambda raw: "electron" if "Electron" in raw else None),
    Known(r"Optics\.AccelerationVoltage", "beam.acceleration_voltage"),
    Known(r"Optics\.BeamCurrent", "beam.current"),
    Known(r"Optics\.EmissionCurrent", "beam.emission_current"),
    Known(r"Optics\.SpotIndex", "beam.spot_index"),
    Known(r"Optics\.WorkingDistance", "optics.working_distance"),
    Known(r"StageSettings\.StagePosition\.X", "stage.x"),
    Known(r"ScanSettings\.DwellTime", "scan.dwell_time"),
    Known(r"ScanSettings\.LineTime", "scan.line_time"),
    Known(r"ScanSettings\.FrameTime", "scan.frame_time"),
    Known(r"ScanSettings\.ScanRotation", "scan.rotation", _DEG),
    Known(r"Detectors\.\w+\.DetectorName", "detector.name", same),
    Known(r"Detectors\.\w+\.DetectorType", "detector.type", same),
    Known(r"VacuumProperties\.SamplePressure", "stage.pressure"),
)


def thermofisher(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """Tag 34682 as INI or as the XML of a TEM, tag 34683 as XML."""
    tags = _tags(path)
    text = tags.get(34682, "")
    if text.lstrip().startswith("<Root"):
        yield from read(_labelled(text), _FEI_TEM)
        return
    found = list(flatten.sections(text))
    yield from read(found, _FEI)
    clock = dict(found)
    form = when("%m/%d/%Y %I:%M:%S %p", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d.%m.%Y %H:%M:%S")
    yield from (("time.acquired_start", one) for one in form(f"{clock.get('User.Date')} {clock.get('User.Time')}"))
    yield "instrument.vendor", "FEI"
    if 34683 in tags:
        yield from read(flatten.xml(tags[34683]), _FEI_XML)


_FEI_TEM = (
    Known("High tension", "beam.acceleration_voltage", 1e3),
    Known("Emission", "beam.emission_current", 1e-6),
    Known("Extraction voltage", "beam.extraction_voltage"),
    Known("Gun type", "beam.source_type", same),
    Known("Mode", "beam.mode", lambda raw: [raw, raw.split()[0]]),
    Known("Mode", "signal.technique", lambda raw: raw.split()[0]),
    Known("Magnification", "optics.magnification"),
    Known("Defocus", "optics.defocus", 1e-6),
    Known("Spot size", "beam.spot_index"),
    *(Known(f"Stage {a}", f"stage.{a.lower()}", 1e-6) for a in "XYZ"),
    Known("Stage A", "stage.alpha"),
    Known("Stage B", "stage.beta"),
    Known("User", "person.operator", same),
    Known("Microscope", "instrument.model", same),
    Known("Microscope", "instrument.name", same),
    Known("Microscope", "instrument.kind", kinds),
    Known("Microscope", "instrument.serial", lambda raw: re.findall(r"\bD\d+\b", raw)),
)


def _labelled(text: str) -> Iterator[Leaf]:
    for label, value in re.findall(r"<Label>([^<]*)</Label>\s*<Value>([^<]*)</Value>", text):
        yield label.strip(), value.strip()


#: Zeiss writes the unit behind the number.
_ZEISS = (
    Known("Actual EHT|EHT|EHT Target", "beam.acceleration_voltage", with_unit),
    Known("Mag", "optics.magnification", lambda raw: number(raw) * (1e3 if "K" in raw else 1.0)),
    Known("WD", "optics.working_distance", with_unit),
    Known("Pixel Size|Image Pixel Size", "image.pixel_size_x", with_unit),
    Known("Pixel Size|Image Pixel Size", "image.pixel_size_y", with_unit),
    Known("Width", "optics.field_of_view_x", with_unit),
    Known("Height", "optics.field_of_view_y", with_unit),
    *(Known(f"Stage at {a}", f"stage.{a.lower()}", with_unit) for a in "XYZ"),
    Known("Stage at R", "stage.rotation"),
    Known("Stage at T", "stage.tilt"),
    Known("Scan Rotation|Scan Rot", "scan.rotation"),
    Known("Dwell Time", "scan.dwell_time", with_unit),
    Known("Line Time", "scan.line_time", with_unit),
    Known("Cycle Time|Frame Time", "scan.frame_time", with_unit),
    Known("Line Avg.Count|N", "scan.frames"),
    Known("Beam Current|I Probe|Spot Size|FIB Beam Current", "beam.probe_current", with_unit),
    Known("Beam Current|I Probe", "beam.current", with_unit),
    Known("Extractor V|EHT Extractor|Extractor Voltage", "beam.extraction_voltage", with_unit),
    Known("Fil I|Extractor I|Gun Emission", "beam.emission_current", with_unit),
    Known("Signal A|Signal B|Detector", "detector.name", same),
    Known("User Name", "person.operator", same),
    Known("Serial No.", "instrument.serial", same),
    Known("Version", "instrument.software", same),
    Known("Sample ID", "sample.identifier", same),
    Known("Sample ID", "sample.name", same),
    Known("System Vacuum|Chamber|Chamber Pressure", "stage.pressure", with_unit),
    Known("Column Type|Gun Type|Source", "beam.source_type", same),
)


def zeiss(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """Tag 34118: a line of the key, a line `name = value`."""
    text = _raw_tag(path, 34118).decode("latin-1")
    found = [(name.strip(), value.strip()) for name, value in re.findall(r"([^\r\n=]+?) = ([^\r\n]*)", text)]
    yield from read(found, _ZEISS)
    columns, rows = _size(path)
    for name, count, field in (("Width", columns, "image.pixel_size_x"), ("Height", rows, "image.pixel_size_y")):
        yield from ((field, (with_unit(value) or 0) / count) for key, value in found if key == name)
    yield from (("instrument.kind", "sem"), ("signal.technique", "SEM"), ("beam.species", "electron"))
    day = re.search(r"Date :([^\r\n]+)", text)
    clock = re.search(r"Time :([^\r\n]+)", text)
    if day and clock:
        form = when("%d %b %Y %H:%M:%S")
        yield from (("time.acquired_start", one) for one in form(f"{day[1].strip()} {clock[1].strip()}"))
    yield "instrument.vendor", "Zeiss"
    yield "instrument.vendor", "Carl Zeiss"


#: TESCAN's header is SI with degrees.
_TESCAN = (
    Known(r"MAIN\.Device", "instrument.model", same),
    Known(r"MAIN\.Device", "instrument.kind", kinds),
    Known(r"MAIN\.DeviceModel", "instrument.name", same),
    Known(r"MAIN\.DeviceModel", "instrument.model", same),
    Known(r"MAIN\.SerialNumber", "instrument.serial", same),
    Known(r"MAIN\.SoftwareVersion", "instrument.software", same),
    Known(r"MAIN\.(?:Full)?UserName", "person.operator", same),
    Known(r"MAIN\.FullUserName", "person.name", same),
    Known(r"MAIN\.Magnification", "optics.magnification"),
    Known(r"MAIN\.PixelSizeX", "image.pixel_size_x"),
    Known(r"MAIN\.PixelSizeY", "image.pixel_size_y"),
    Known(r"MAIN\.AccFrames", "scan.frames"),
    Known(r"SEM\.(?:HV|AcceleratorVoltage)", "beam.acceleration_voltage"),
    Known(r"SEM\.EmissionCurrent", "beam.emission_current"),
    Known(r"SEM\.PredictedBeamCurrent", "beam.current"),
    Known(r"SEM\.PredictedBeamCurrent", "beam.probe_current"),
    Known(r"SEM\.Gun", "beam.source_type", same),
    Known(r"SEM\.(?:ScanMode|PotentialMode)", "beam.mode", same),
    Known(r"SEM\.ChamberPressure", "stage.pressure"),
    Known(r"SEM\.Detector\d?", "detector.name", same),
    Known(r"SEM\.DwellTime", "scan.dwell_time"),
    Known(r"SEM\.ScanRotation", "scan.rotation"),
    Known(r"SEM\.WD", "optics.working_distance"),
    *(Known(rf"SEM\.Stage{a}", f"stage.{a.lower()}") for a in "XYZ"),
    Known(r"SEM\.StageRotation", "stage.rotation"),
    Known(r"SEM\.StageTilt", "stage.tilt"),
)


def tescan(_path: Path, files: Sequence[Path]) -> Iterator[Value]:
    """The header beside the image."""
    for file in files:
        if file.suffix == ".hdr":
            found = list(flatten.sections(file.read_text(encoding="latin-1")))
            yield from read(found, _TESCAN)
            clock = dict(found)
            form = when("%Y-%m-%d %H:%M:%S")
            yield from (("time.acquired_start", one) for one in form(f"{clock['MAIN.Date']} {clock['MAIN.Time']}"))
    yield from (("instrument.vendor", "TESCAN"), ("instrument.kind", "sem"), ("signal.technique", "SEM"))
    yield "beam.species", "electron"


def orion(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """Tag 65000: each element has its value and its unit."""
    text = _raw_tag(path, 65000).decode("latin-1")
    scale = {"m": 1.0, "mm": 1e-3, "microns": 1e-6, "volts": 1.0, "picoamps": 1e-12, "microamps": 1e-6}
    scale |= {"degrees": 1.0, "microseconds": 1e-6, "seconds": 1.0, "torr": 133.322368, "us": 1e-6}
    fields = {
        "AccelerationVoltage": "beam.acceleration_voltage",
        "WorkingDistance": "optics.working_distance",
        "ScalingX": "image.pixel_size_x",
        "ScalingY": "image.pixel_size_y",
        "Fov": "optics.field_of_view_x",
        "BlankerCurrent": "beam.current",
        "DwellTime": "scan.dwell_time",
        "ScanRotation": "scan.rotation",
        "ScanRotate": "scan.rotation",
        "StageX": "stage.x",
        "StageY": "stage.y",
        "StageZ": "stage.z",
        "StageTilt": "stage.tilt",
        "StageRotate": "stage.rotation",
        "ExtractionVoltage": "beam.extraction_voltage",
        "ChamberPressure": "stage.pressure",
        "SampleChamberPressure": "stage.pressure",
    }
    for name, value, unit in re.findall(r"<([\w.]+)><Value>([^<]*)</Value>(?:<Units>([^<]*)</Units>)?", text):
        if name in fields and unit.lower() in scale:
            yield fields[name], abs(float(value) * scale[unit.lower()])
            yield fields[name], float(value) * scale[unit.lower()]
        if name in _ORION_TEXTS:
            yield _ORION_TEXTS[name], value
        if name in ("SpotNumber", "Magnification4x5"):
            yield {"S": "beam.spot_index", "M": "optics.magnification"}[name[0]], number(value)
        if name == "TimeStamp":
            yield from (
                ("time.acquired_start", one) for one in when("%m/%d/%Y %I:%M:%S %p", "%Y-%m-%dT%H:%M:%S")(value)
            )
    yield from (("instrument.kind", "him"), ("beam.species", "He"), ("instrument.vendor", "Zeiss"))
    yield "signal.technique", "HIM"


_ORION_TEXTS = {
    "ActiveDetector": "detector.name",
    "ColumnType": "beam.source_type",
    "ColumnMode": "beam.mode",
    "System.Model": "instrument.model",
    "System.Name": "instrument.name",
}


#: TEM Recorder: V, deg; stage in nm (MX, MY, MZ are named so in JEOL's goniometer commands).
_SIGHTX = (
    Known("AccelerationVoltage|AccVoltage", "beam.acceleration_voltage"),
    Known("SelectorString", "optics.magnification", times_as_text),
    Known("MagValue|Magnification", "optics.magnification"),
    Known("TX", "stage.alpha"),
    Known("TY", "stage.beta"),
    Known("Operator", "person.operator", same),
    Known("Manufacturer", "instrument.vendor", same),
    Known("Instruments?|Model", "instrument.model", same),
    Known("SerialNumber", "instrument.serial", same),
    Known("DateTime", "time.acquired_start", lambda raw: datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", raw))),
    Known("SampleName|Sample", "sample.name", same),
    Known("CameraName|DetectorName|Camera", "detector.name", same),
    Known("EmissionCurrent", "beam.emission_current", 1e-6),
    Known("EosMode", "beam.mode", lambda raw: raw.removeprefix("eos")),
    Known("EosMode", "signal.technique", lambda raw: raw.removeprefix("eos")),
    Known("Instruments?", "instrument.kind", kinds),
    Known("FilamentType", "beam.source_type", lambda raw: raw.removeprefix("filament")),
    Known("BinningHorizontalSize", "camera.binning"),
    Known("ExposureTimeString", "camera.exposure", lambda raw: seconds(raw.replace("msec", "ms"))),
    Known("Modelname", "detector.name", same),
    Known("SpotSize\\w*", "beam.spot_index"),
    Known("Binning|BinningX", "camera.binning"),
)


def jeol(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """The XML of the image description, element by element."""
    text = _raw_tag(path, 270).decode("utf-8", "replace").strip("\0")
    found = re.findall(r"<(\w+)>([^<>]+)</\1>", text)
    yield from read(found, _SIGHTX)
    offset = re.search(r"<DateTime>[^<]*([+-]\d\d:\d\d)</DateTime>", text)
    if offset:
        yield "time.utc_offset", offset[1]


def tvips(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """Tag 37706 as tifffile reads the structure of EM-MENU."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        tag = file.pages[0].tags[37706].value  # type: ignore[union-attr]
    tree: Mapping[str, Any] = tag
    keys = (
        ("TemHighTension", "beam.acceleration_voltage", 1.0),
        ("TemMagnification", "optics.magnification", 1.0),
        ("PostMagnification", "optics.magnification", 1.0),
        ("ExposureTime", "camera.exposure", 1e-3),
        ("PixelSizeX", "image.pixel_size_x", 1e-9),
        ("PixelSizeY", "image.pixel_size_y", 1e-9),
        ("TemStagePositionY", "stage.y", 1.0),
        ("BinningX", "camera.binning", 1.0),
        ("BinningY", "camera.binning", 1.0),
        ("TemDefocus", "optics.defocus", 1e-9),
    )
    for key, field, factor in keys:
        if isinstance(tree.get(key), (int, float)):
            yield field, tree[key] * factor
    for letter, value in zip("xyz", tree.get("TemStagePosition", ()), strict=False):
        yield f"stage.{letter}", float(value)
    day, clock = int(tree["Date"]), int(tree["Time"])
    if day:
        moment = f"{day >> 16:04d}-{day >> 8 & 255:02d}-{day & 255:02d}"
        yield from (("time.acquired_start", one + timedelta(seconds=clock)) for one in when("%Y-%m-%d")(moment))
        moment = f"{day & 65535:04d}-{day >> 16 & 255:02d}-{day >> 24:02d}"
        yield from (("time.acquired_start", one + timedelta(seconds=clock)) for one in when("%Y-%m-%d")(moment))
    yield from (("instrument.kind", "tem"), ("instrument.name", same(tree.get("TemType", ""))))
    yield from (("detector.name", same(tree[key])) for key in ("CameraType", "CameraName") if key in tree)
    yield from (("instrument.model", same(tree[key])) for key in ("MicroscopeType", "TemType") if key in tree)


def gatan(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """Tags 65003-65010: unit and scale of both axes."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].tags  # type: ignore[union-attr]
        unit = {"µm": 1e-6, "um": 1e-6, "nm": 1e-9}.get(str(tags[65003].value).strip("\0"), 0.0)
        yield "image.pixel_size_x", float(tags[65009].value) * unit
        yield "image.pixel_size_y", float(tags[65010].value) * unit
        directory = tags[65027].value
    found = [(f"ImageTags.{name}", value) for name, value in digitalmicrograph.tags(io.BytesIO(directory))]
    yield from digitalmicrograph.of_leaves([(name, value) for name, value in found if value is not None])


def _tags(path: Path) -> dict[int, str]:
    """Vendor tags as text."""
    return {
        code: _raw_tag(path, code).decode("utf-8", "replace").strip("\0") for code in (34682, 34683) if _has(path, code)
    }


def _size(path: Path) -> tuple[int, int]:
    """Columns and rows of the first page."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        rows, columns = file.pages[0].shape[:2]
    return columns, rows


def _has(path: Path, code: int) -> bool:
    import tifffile

    with tifffile.TiffFile(path) as file:
        return code in file.pages[0].tags  # type: ignore[union-attr]


def _raw_tag(path: Path, code: int) -> bytes:
    """The bytes of a tag of the first page, as they stand in the file."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        tag = file.pages[0].tags[code]  # type: ignore[union-attr]
        with path.open("rb") as stream:
            stream.seek(tag.valueoffset)
            return stream.read(tag.count * (1 if tag.dtype in (1, 2, 7) else tag.valuebytecount // max(tag.count, 1)))
