"""HDF5 formats by h5py: Velox's JSON, Delmic, NCEM, Tofwerk, NeXus, HyperSpy, Arina, DE5."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.routes import flatten
from tests.routes.knowledge import SYMBOLS, Known, Leaf, Value, kinds, number, read, same, when

_DEG = 180 / math.pi
_PIXEL = (
    Known(r"BinaryResult\.PixelSize\.width", "image.pixel_size_x"),
    Known(r"BinaryResult\.PixelSize\.height", "image.pixel_size_y"),
    Known(r"BinaryResult\.PixelSize\.width", "image.reciprocal_pixel_size_x"),
    Known(r"BinaryResult\.PixelSize\.height", "image.reciprocal_pixel_size_y"),
)


def _instant(raw: Any) -> datetime | None:
    return datetime.fromtimestamp(number(raw), UTC) if number(raw) > 1 else None


#: Velox writes SI throughout, angles in rad, collection angles of a detector as half angles.
_VELOX = (
    *_PIXEL,
    Known(r"Core\.UserId", "person.operator", same),
    Known(r"Instrument\.ControlSoftwareVersion", "instrument.software", lambda raw: [raw, f"Velox {raw}"]),
    Known(r"Instrument\.Instrument(?:Class|Model)", "instrument.kind", kinds),
    Known(r"Instrument\.Manufacturer", "instrument.vendor", same),
    Known(r"Instrument\.InstrumentId", "instrument.serial", same),
    Known(r"Instrument\.ComputerName", "instrument.name", same),
    Known(r"Instrument\.Instrument(?:Class|Model)", "instrument.model", same),
    Known(r"Acquisition\.SourceType", "beam.source_type", same),
    Known(r"Optics\.ExtractorVoltage", "beam.extraction_voltage"),
    Known(r"Optics\.AccelerationVoltage", "beam.acceleration_voltage"),
    Known(r"Optics\.SpotIndex", "beam.spot_index"),
    Known(r"Optics\.BeamConvergence", "beam.convergence_semi_angle", lambda raw: abs(number(raw))),
    Known(r"Optics\.(?:LastMeasured)?ScreenCurrent", "beam.screen_current"),
    Known(r"Optics\.FullScanFieldOfView\.x", "optics.field_of_view_x"),
    Known(r"Optics\.FullScanFieldOfView\.y", "optics.field_of_view_y"),
    Known(r"Optics\.Defocus", "optics.defocus"),
    Known(r"Optics\.CameraLength", "optics.camera_length"),
    Known(r"Optics\.NominalMagnification", "optics.magnification"),
    Known(r"StemMagnification\.value", "optics.magnification"),
    Known(r"Optics\.OperatingMode", "beam.mode", lambda raw: {"1": "TEM", "2": "STEM"}.get(str(raw))),
    Known(r"Optics\.OperatingMode", "signal.technique", lambda raw: {"1": "TEM", "2": "STEM"}.get(str(raw))),
    Known(r"Optics\.(?:IlluminationMode|TemOperatingSubMode|HighMagnificationMode)", "beam.mode", same),
    *(Known(rf"Stage\.Position\.{a}", f"stage.{a}") for a in "xyz"),
    Known(r"Stage\.AlphaTilt", "stage.alpha", _DEG),
    Known(r"Stage\.BetaTilt", "stage.beta", _DEG),
    Known(r"Stage\.HolderType", "stage.holder", same),
    Known(r"Scan\.DwellTime", "scan.dwell_time"),
    Known(r"Scan\.LineTime", "scan.line_time"),
    Known(r"Scan\.FrameTime", "scan.frame_time"),
    Known(r"Scan\.ScanRotation", "scan.rotation", _DEG),
    Known(r"IntegratedFrameCount\.value", "scan.frames"),
    Known(r"Velox\.Series\.FrameNumber\.value", "scan.frames"),
    Known(r"Detectors\.Detector-\d+\.DetectorName", "detector.name", same),
    Known(r"Detectors\.Detector-\d+\.DetectorType", "detector.type", same),
    Known(r"BinaryResult\.Detector", "detector.name", same),
    Known(r"DetectorName\.value", "detector.name", same),
    Known(r"CommercialName\.value", "detector.name", same),
    Known(r"CommercialName\.value", "detector.type", same),
    Known(r"Detector-\d+\.CollectionAngleRange\.begin", "detector.collection_inner"),
    Known(r"Detector-\d+\.CollectionAngleRange\.end", "detector.collection_outer"),
    Known(r"Detector-\d+\.ElevationAngle", "detector.elevation", _DEG),
    Known(r"Detector-\d+\.AzimuthAngle", "detector.azimuth", _DEG),
    Known(r"Detector-\d+\.LiveTime", "eds.live_time"),
    Known(r"Detector-\d+\.RealTime", "eds.real_time"),
    Known(r"Detector-\d+\.ExposureTime", "camera.exposure"),
    Known(r"DetectorExposureTime\[\d+\]\.value", "camera.exposure"),
    Known(r"Binning\.(?:width|height)", "camera.binning"),
    Known(r"SpectrumDispersion\[\d+\]\.value", "eels.dispersion"),
    Known(r"EnergyFilter\.CollectionAngleRange\.End\.value", "eels.collection_semi_angle"),
    Known(r"EnergyFilter\.EntranceApertureDiameter", "eels.aperture"),
    Known(r"Sample\.SampleId", "sample.identifier", same),
    Known(r"Sample\.SampleId", "sample.name", same),
    Known(r"Sample\.SampleDescription", "sample.name", same),
    Known(r"Detectors\[[^\]]+\]\.TimeStamp\.value", "time.acquired_start", lambda raw: _instant(number(raw) / 1e6)),
    Known(r"Detectors\[[^\]]+\]\.TimeStamp\.value", "time.acquired_end", lambda raw: _instant(number(raw) / 1e6)),
    Known(r"Acquisition\.AcquisitionStartDatetime\.DateTime", "time.acquired_start", _instant),
    Known(r"Acquisition\.AcquisitionDatetime\.DateTime", "time.acquired_end", _instant),
    Known(r"Acquisition\.AcquisitionDatetime\.DateTime", "time.acquired_start", _instant),
)


def velox(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """The JSON of every signal, first and last frame, and where there are few all of them."""
    leaves = list(velox_leaves(path))
    yield from read(leaves, _VELOX)
    yield from _fields_of_view(leaves)
    yield from _velox_container(path)


def _fields_of_view(leaves: Sequence[Leaf]) -> Iterator[Value]:
    """The part of the full scan that was scanned: its share between 0 and 1 times the full field."""
    full: dict[str, float] = {}
    area: dict[str, float] = {}
    for name, value in leaves:
        if found := re.search(r"FullScanFieldOfView\.([xy])$", name):
            full[found[1]] = number(value)
        if found := re.search(r"Scan\.ScanArea\.(left|right|top|bottom)$", name):
            area[found[1]] = number(value)
            for axis, (low, high) in {"x": ("left", "right"), "y": ("top", "bottom")}.items():
                if low in area and high in area and axis in full:
                    yield f"optics.field_of_view_{axis}", full[axis] * (area[high] - area[low])


def _velox_container(path: Path) -> Iterator[Value]:
    """The file around the frames: Velox' own version, its log, what groups there are, elements, camera's clocks."""
    import h5py

    kinds_of = {"SpectrumImage": "EDS", "SpectrumStream": "EDS", "EelsSpectrumImage": "EELS", "Spectrum": "EDS"}
    with h5py.File(path) as file:
        yield from (("signal.technique", kinds_of[name]) for name in file["Data"] if name in kinds_of)
        texts = [_text(file[name][()]) for name in ("Version", "Info") if isinstance(file.get(name), h5py.Dataset)]
        for one in file["Data"].get("Text", {}).values():
            found = one.values() if isinstance(one, h5py.Group) else [one]
            texts += [_text(data[()]) for data in found if isinstance(data, h5py.Dataset)]
        shared: list[str] = []
        file.visititems(lambda _, item: shared.append(_text(item[()])) if _is_text(item) else None)
    yield from _velox_texts(texts, shared)


def _is_text(item: Any) -> bool:
    return getattr(item, "shape", None) in ((), (1,)) and getattr(getattr(item, "dtype", None), "kind", "") == "O"


def _text(value: Any) -> str:
    if hasattr(value, "reshape"):
        value = value.reshape(-1)[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _velox_texts(texts: Sequence[str], shared: Sequence[str]) -> Iterator[Value]:
    for text in texts:
        for version in re.findall(r'"(?:applicationVersion|version)"\s*:\s*"([^"]+)"', text):
            yield "instrument.software", f"Velox {version}"
        for clock, offset, word in re.findall(
            r"(\d{4}-\d\d-\d\dT[\d:]{8})([+-]\d{4}|Z?) ?(Started|Finished)", unquote(text)
        ):
            moment = datetime.fromisoformat(clock + {"": "", "Z": "+00:00"}.get(offset, offset[:3] + ":" + offset[3:]))
            yield {"Started": "time.acquired_start", "Finished": "time.acquired_end"}[word], moment
            if offset not in ("", "Z"):
                yield "time.utc_offset", f"{offset[:3]}:{offset[3:]}"
    for text in shared:
        for chosen in re.findall(r'"elementSelection"\s*:\s*\[([\d, ]+)\]', text):
            yield "sample.elements", _symbols(chosen)
        yield from (("scan.frames", int(one)) for one in re.findall(r'"endFramePosition"\s*:\s*"?(\d+)', text))


def velox_leaves(path: Path) -> Iterator[Leaf]:
    """Every key of every frame's JSON, up to 64 frames a signal."""
    import h5py

    with h5py.File(path) as file:
        for kind in file["Data"].values():
            for signal in kind.values():
                table = signal.get("Metadata") if isinstance(signal, h5py.Group) else None
                if table is None or table.ndim != 2:
                    continue
                for column in range(min(table.shape[1], 64)):
                    text = bytes(table[:, column]).partition(b"\0")[0]
                    if text.strip():
                        yield from flatten.tree(json.loads(text))


_NCEM = (
    Known(r"microscope@voltage", "beam.acceleration_voltage", lambda raw: number(raw) * 1e3),
    Known(r"microscope@name", "instrument.model", same),
    Known(r"microscope@name", "instrument.name", same),
    Known(r"user@name", "person.operator", same),
    Known(r"user@name", "person.name", same),
    Known(r"sample@material", "sample.name", same),
    Known(r"sample@preparation", "sample.prep_step", same),
    Known(r"user@institution", "instrument.site", same),
    # Prismatic's options: -E energy in keV, -sa probe semi-angle in mrad.
    Known(r"simulation_parameters[/@]E", "beam.acceleration_voltage", 1e3),
    Known(r"simulation_parameters[/@]sa", "beam.convergence_semi_angle", 1e-3),
    Known(r"calibration[/@]Q_pixel_size", "image.reciprocal_pixel_size_x", 1e10),
    Known(r"calibration[/@]Q_pixel_size", "image.reciprocal_pixel_size_y", 1e10),
    Known(r"calibration[/@]R_pixel_size", "image.pixel_size_x", 1e-10),
    Known(r"calibration[/@]R_pixel_size", "image.pixel_size_y", 1e-10),
)
_DELMIC = (
    Known(r"PhysicalData/Magnification", "optics.magnification"),
    Known(r"PhysicalData/IntegrationTime", "scan.dwell_time"),
    Known(r"PhysicalData/IntegrationTime", "camera.exposure"),
    Known(r"PhysicalData/HardwareName", "detector.name", lambda raw: [raw, raw.partition(" (s/n")[0]]),
    Known(r"PhysicalData/HardwareName", "detector.serial", lambda raw: re.findall(r"s/n: ([^)]+)\)", raw)),
    Known(r"SEM E-beam\.rotation\.0", "scan.rotation", _DEG),
    Known(r"SVIData/Company", "instrument.vendor", same),
    Known(r"SVIData/WriterVersion", "instrument.software", same),
    Known(r"ImageData/DimensionScaleX", "image.pixel_size_x"),
    Known(r"ImageData/DimensionScaleY", "image.pixel_size_y"),
    Known(r"ImageData/TOffset", "time.acquired_start", _instant),
    Known(r"AcquisitionDate", "time.acquired_start", _instant),
    Known(r"SEM E-beam\.magnification\.0", "optics.magnification"),
    Known(r"SEM E-beam\.dwellTime\.0", "scan.dwell_time"),
    Known(r"SEM E-beam\.horizontalFoV\.0", "optics.field_of_view_x"),
    Known(r"SEM E-beam\.accelVoltage\.0", "beam.acceleration_voltage"),
    Known(r"SEM E-beam\.probeCurrent\.0", "beam.probe_current"),
    Known(r"SEM E-beam\.probeCurrent\.0", "beam.current"),
    Known(r"\.exposureTime\.0", "camera.exposure"),
)
_TOFWERK = (
    Known(r"@HDF5 File Creation Time", "time.acquired_start", when("%d.%m.%Y %H:%M:%S")),
    Known(r"FIBParams@Voltage", "beam.acceleration_voltage"),
    Known(r"FIBParams@Current", "beam.current"),
    Known(r"FIBParams@FibHardware", "instrument.vendor", same),
    Known(r"FIBParams@ViewField", "optics.field_of_view_x", 1e-3),
    Known(r"@TofDAQ Version", "instrument.software", lambda raw: [f"TofDAQ {number(raw):.7g}", f"{number(raw):.6g}"]),
    Known(r"AcquisitionLog/Log", "time.acquired_start", lambda raw: _log(raw, 0)),
    Known(r"AcquisitionLog/Log", "time.acquired_end", lambda raw: _log(raw, -1)),
    Known(r"AcquisitionLog/Log", "time.utc_offset", lambda raw: _log(raw, 0).utcoffset()),
)


def _log(raw: Any, which: int) -> datetime:
    return datetime.fromisoformat(raw[which]["timestring"].decode())


#: Units of HyperSpy's own metadata: keV, mm, nA, mrad, s, deg.
_HYPERSPY = (
    Known(r"(?:TEM|SEM)@beam_energy", "beam.acceleration_voltage", 1e3),
    Known(r"(?:TEM|SEM)@beam_current", "beam.current", 1e-9),
    Known(r"(?:TEM|SEM)@camera_length", "optics.camera_length", 1e-3),
    Known(r"(?:TEM|SEM)@magnification", "optics.magnification"),
    Known(r"(?:TEM|SEM)@working_distance", "optics.working_distance", 1e-3),
    Known(r"(?:TEM|SEM)@convergence_angle", "beam.convergence_semi_angle", 1e-3),
    Known(r"(?:TEM|SEM)@microscope", "instrument.model", same),
    Known(r"(?:TEM|SEM)@acquisition_mode", "beam.mode", same),
    Known(r"(?:TEM|SEM|Stage)[@/]tilt_(?:stage|alpha)", "stage.alpha"),
    Known(r"(?:TEM|SEM|Stage)[@/]tilt_(?:stage|alpha)", "stage.tilt"),
    Known(r"Stage@tilt_beta", "stage.beta"),
    Known(r"EDS@live_time", "eds.live_time"),
    Known(r"EDS@real_time", "eds.real_time"),
    Known(r"EDS@azimuth_angle", "detector.azimuth"),
    Known(r"EDS@elevation_angle", "detector.elevation"),
    Known(r"EDS@energy_resolution_MnKa", "eds.resolution"),
    Known(r"EDS@detector_type", "detector.type", same),
    Known(r"EELS@collection_angle", "eels.collection_semi_angle", 1e-3),
    Known(r"EELS@dwell_time", "scan.dwell_time"),
    Known(r"Camera@exposure", "camera.exposure"),
    Known(r"General@authors", "person.operator", same),
    Known(r"General@(?:date|time)", "time.acquired_start", same),
    Known(r"Signal@signal_type", "signal.technique", lambda raw: str(raw).partition("_")[0]),
    Known(r"Sample[@/](?:_list_)?elements", "sample.elements", lambda raw: [[same(one) for one in raw]]),
    Known(r"Sample@description", "sample.name", same),
    Known(r"original_metadata@EMISSION.*", "beam.emission_current", 1e-6),
    Known(r"original_metadata@PROBECUR.*", "beam.probe_current", 1e-9),
    Known(r"original_metadata@MAGCAM", "optics.magnification"),
    Known(r"original_metadata@OPERMODE", "beam.mode", same),
    Known(r"original_metadata@ELSDET", "detector.type", same),
    Known(r"original_metadata@XPERCHAN", "eels.dispersion"),
    Known(r"original_metadata@OWNER", "person.operator", same),
    Known(r"original_metadata@THICKNESS.*", "sample.thickness", 1e-9),
    Known(r"original_metadata@DWELLTIME.*", "scan.dwell_time", 1e-3),
    *(Known(rf"original_metadata@{a}POSITION.*", f"stage.{a.lower()}", 1e-3) for a in "XYZ"),
    Known(r"original_metadata@(?:OXINSTELEMS|ELEMENTS)", "sample.elements", lambda raw: [_symbols(raw)]),
)


def _symbols(raw: Any) -> list[str]:
    """Atomic numbers, joined by commas, as symbols."""
    return [SYMBOLS[int(one) - 1] for one in str(raw).split(",")]


_NEXUS = (
    Known(r"(?:instrument|INSTRUMENT)/name", "instrument.name", same),
    Known(r"instrument/beam/energy|incident_energy", "beam.acceleration_voltage", 1e3),
    Known(r"entry\d*/start_time", "time.acquired_start", lambda raw: datetime.fromisoformat(same(raw))),
    Known(r"entry\d*/end_time", "time.acquired_end", lambda raw: datetime.fromisoformat(same(raw))),
    Known(r"count_time|exposure_time", "camera.exposure"),
    Known(r"sample/name", "sample.name", same),
)
_ARINA = (
    Known(r"detector/description", "detector.name", same),
    Known(r"detector/(?:description|type)", "detector.type", same),
    Known(r"detector/detector_number", "detector.serial", same),
    Known(r"detector/count_time", "camera.exposure"),
    Known(r"detector/frame_time", "scan.dwell_time"),
    Known(r"detector/bit_depth_(?:readout|image)", "camera.counter_depth"),
    Known(r"beam/incident_energy", "beam.acceleration_voltage"),
    Known(r"detectorSpecific/data_collection_date", "time.acquired_start", lambda raw: _iso(same(raw))),
    Known(r"detectorSpecific/data_collection_date", "time.utc_offset", lambda raw: _iso(same(raw)).utcoffset()),
    Known(r"(?:detectorSpecific/)?(?:eiger_fw_version|software_version)", "instrument.software", same),
)


def _iso(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _plain(*tables: Sequence[Known]) -> Any:
    def values(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
        found: list[Leaf] = []
        for leaf in flatten.hdf5(path):
            found.append(leaf)
            if isinstance(leaf[1], str) and leaf[1].startswith("{"):
                found.extend((f"{leaf[0]}.{name}", value) for name, value in flatten.json_text(leaf[1]))
        for table in tables:
            yield from read(found, table)

    return values


ncem, delmic, tofwerk = _plain(_NCEM), _plain(_DELMIC), _plain(_TOFWERK)
hyperspy, nexus, arina = _plain(_HYPERSPY), _plain(_NEXUS), _plain(_ARINA)


_TOPSPIN = (
    Known(r"GunHighVoltage", "beam.acceleration_voltage"),
    Known(r"GunEmissionCurrent", "beam.emission_current"),
    Known(r"DiffractionCameraLength", "optics.camera_length"),
    Known(r"(?:Stem|Image)Magnification", "optics.magnification"),
    Known(r"SystemName|DeviceInfoDescription", "instrument.model", same),
    Known(r"SystemName", "instrument.name", same),
    Known(r"FrameTime|SeriesFrameTime", "camera.exposure"),
    Known(r"FrameTime|SeriesFrameTime", "scan.dwell_time"),
    Known(r"ScanRotation", "scan.rotation", _DEG),
    Known(r"FlybackWaitTime", "scan.flyback_time"),
    Known(r"PointCollectionStepSize|StepSize", "image.pixel_size_x"),
    Known(r"PointCollectionStepSize|StepSize", "image.pixel_size_y"),
    Known(r"Camera|Scanning", "detector.name", same),
    Known(r"ImagingMode", "beam.mode", same),
    Known(r"IsPrecessionEnabled", "signal.technique", lambda raw: "PED" if raw == "True" else None),
    Known(r"StemEnabled", "beam.mode", lambda raw: "STEM" if raw == "True" else None),
    Known(r"CreatedBy", "person.operator", same),
    Known(r"CreatedBy", "person.name", same),
    Known(r"Specimen", "sample.name", same),
    Known(r"StartDateTime", "time.acquired_start", when("%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S")),
    Known(r"EndDateTime", "time.acquired_end", when("%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S")),
)


def topspin(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """TopSpin's XML: elements, and pairs of Name and Value elements."""
    import h5py

    with h5py.File(path) as file:
        text = bytes(file["Metadata"][()]).decode("ascii", "replace")
    yield from read(re.findall(r"<(\w+)[^>]*>([^<>]+)</\1>", text), _TOPSPIN)
    yield from read(re.findall(r"<Name[^>]*>(\w+)</Name>\s*<Value[^>]*>\s*<?[^<>]*>?([^<>]*)<", text), _TOPSPIN)
    pairs = re.findall(r"<Name[^>]*>(\w+)</Name>(?:\s*<(?!Value)[^>]*>[^<]*)*?\s*<Value[^>]*>([^<>]*)</Value>", text)
    yield from read(pairs, _TOPSPIN)
