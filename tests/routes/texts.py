"""Formats that are text, or carry a text: keys by name, units from what stands beside them or from the manual."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.routes import flatten
from tests.routes.binaries import fei_mrc
from tests.routes.knowledge import SYMBOLS, Known, Leaf, Value, iso_time, kinds, number, read, same, seconds, when

#: ISO 22029:2022: units that the standard gives to each keyword.
_MSA = (
    Known("BEAMKV", "beam.acceleration_voltage", 1e3),
    Known("EMISSION", "beam.emission_current", 1e-6),
    Known("PROBECUR", "beam.probe_current", 1e-9),
    Known("MAGCAM", "optics.magnification"),
    Known("CONVANGLE", "beam.convergence_semi_angle", 1e-3),
    Known("COLLANGLE", "eels.collection_semi_angle", 1e-3),
    Known("OPERMODE", "beam.mode", same),
    Known("THICKNESS", "sample.thickness", 1e-9),
    Known("XTILTSTGE", "stage.alpha"),
    Known("YTILTSTGE", "stage.beta"),
    *(Known(f"{a}POSITION", f"stage.{a.lower()}", 1e-3) for a in "XYZ"),
    Known("DWELLTIME", "scan.dwell_time", 1e-3),
    Known("INTEGTIME", "camera.exposure", 1e-3),
    Known("LIVETIME", "eds.live_time"),
    Known("REALTIME", "eds.real_time"),
    Known("ELEVANGLE", "detector.elevation"),
    Known("AZIMANGLE", "detector.azimuth"),
    Known("EDSDET|ELSDET", "detector.type", same),
    Known("OWNER", "person.operator", same),
    Known("XPERCHAN", "eels.dispersion"),
    Known("SIGNALTYPE", "signal.technique", lambda raw: {"ELS": "EELS", "EDX": "EDS", "PES": "XPS"}.get(raw, raw)),
    Known("RESO \\(MnKa\\)", "eds.resolution"),
    Known("EDAX Detector", "detector.name", same),
    Known("Tilt Angle", "stage.tilt"),
)


def msa(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """EMSA/MAS: ``#KEYWORD  -unit: value``."""
    text = path.read_text(encoding="latin-1")
    found = [
        (key.strip(), value.strip())
        for key, value in re.findall(r"^##?([A-Za-z][^:\r\n]*?)\s*(?:-\w+)?\s*:\s*(.*?)\s*$", text, re.MULTILINE)
    ]
    yield from read(found, _MSA)
    clock = dict(found)
    form = when("%d-%b-%Y %H:%M", "%d-%b-%Y %H:%M:%S")
    yield from (("time.acquired_start", one) for one in form(f"{clock.get('DATE')} {clock.get('TIME')}"))
    if "Elements" in clock:
        yield "sample.elements", [SYMBOLS[int(one) - 1] for one in clock["Elements"].split(",")]


#: SerialEM's documentation: kV, s, µm, degrees, Ångström.
_MDOC = (
    Known("Voltage", "beam.acceleration_voltage", 1e3),
    Known("Magnification", "optics.magnification"),
    Known("PixelSpacing", "image.pixel_size_x", 1e-10),
    Known("PixelSpacing", "image.pixel_size_y", 1e-10),
    Known("ExposureTime", "camera.exposure"),
    Known("Binning", "camera.binning"),
    Known("TiltAngle", "stage.alpha"),
    Known("StagePosition", "stage.x", lambda raw: float(raw.split()[0]) * 1e-6),
    Known("StagePosition", "stage.y", lambda raw: float(raw.split()[1]) * 1e-6),
    Known("StageZ", "stage.z", 1e-6),
    Known("(?:Target)?Defocus", "optics.defocus", 1e-6),
    Known("SpotSize", "beam.spot_index"),
    Known("FilterSlitAndLoss", "optics.energy_filter_slit"),
    Known("DateTime", "time.acquired_start", when("%d-%b-%y %H:%M:%S", "%d-%b-%Y %H:%M:%S")),
    Known("DateTime", "time.acquired_end", when("%d-%b-%y %H:%M:%S", "%d-%b-%Y %H:%M:%S")),
    Known("NumSubFrames", "scan.frames"),
)


def mdoc(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """SerialEM's sidecar, all sections; the head line names camera and microscope."""
    text = path.read_text(encoding="latin-1")
    yield from read(flatten.sections(text), _MDOC)
    for camera, scope in re.findall(r"Digitized by (.+?) on (.+?) \d\d-\w{3}-\d\d", text):
        yield from (("detector.name", camera), ("instrument.model", scope), ("instrument.name", scope))
    yield "instrument.software", "SerialEM"


_NORDIF = (
    Known(r"Microscope\.Manufacturer", "instrument.vendor", same),
    Known(r"Microscope\.Model", "instrument.model", same),
    Known(r"Microscope\.Magnification", "optics.magnification"),
    Known(r"Microscope\.Accelerating voltage", "beam.acceleration_voltage", 1e3),
    Known(r"Microscope\.Working distance", "optics.working_distance", 1e-3),
    Known(r"Microscope\.Tilt angle", "stage.tilt"),
    Known(r"NORDIF\.Software version", "instrument.software", lambda raw: [raw, f"NORDIF {raw}"]),
    Known(r"EBSD detector\.Model", "detector.name", same),
    Known(r"EBSD detector\.Model", "detector.type", same),
    Known(r"Detector angles\.Azimuthal", "detector.azimuth"),
    Known(r"Detector angles\.Elevation", "detector.elevation"),
    Known(r"Acquisition settings\.Exposure time", "camera.exposure", 1e-6),
    Known(r"Acquisition settings\.Frame rate", "camera.frame_rate"),
    Known(r"Specimen\.Name", "sample.name", same),
    Known(r"Area\.Step size", "image.pixel_size_x", 1e-6),
    Known(r"Area\.Step size", "image.pixel_size_y", 1e-6),
)


def nordif(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """NORDIF's settings: tabs between key, value and unit."""
    yield from read(flatten.sections(path.read_text(encoding="latin-1"), "\t"), _NORDIF)
    yield "signal.technique", "EBSD"


_MIB = (
    Known(r"Chip ID", "detector.serial", same),
    Known(r"Chip ID", "detector.serial", lambda raw: raw.split(",")[0].strip()),
    Known(r"Chip Type \(.*\)", "detector.type", same),
    Known(r"Readout System", "detector.name", same),
    Known(r"Counter Depth \(number\)", "camera.counter_depth"),
    Known(r"Frames in Acquisition \(Number\)", "scan.frames"),
    Known(r"Software Version", "instrument.software", lambda raw: [raw, f"Merlin {raw}", f"MERLIN {raw}"]),
    Known(r"Time and Date Stamp \(.*\)", "time.acquired_start", when("%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S")),
)


def mib(path: Path, files: Sequence[Path]) -> Iterator[Value]:
    """Merlin: the lines of the `.hdr`, and the frame headers of the `.mib`."""
    local: list[datetime] = []
    for file in files:
        if file.suffix == ".hdr":
            leaves = list(flatten.sections(file.read_text(encoding="latin-1"), ":\t"))
            for field, value in read(leaves, _MIB):
                local += [value] if field == "time.acquired_start" else []
                yield field, value
    heads = re.findall(rb"MQ1,\d{6},\d{5}[\x20-\x7e]{40,700}", path.read_bytes())
    for place, head in enumerate(heads):
        parts = head.decode("ascii").split(",")
        yield "camera.exposure", float(parts[10])
        yield "detector.type", parts[25] if len(parts) > 25 else ""
        for part in parts:
            if found := re.fullmatch(r"(\d{4}-\d\d-\d\dT[\d:]+\.\d{6})\d*Z", part):
                instant = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
                if place == 0:
                    yield "time.acquired_start", instant
                    yield from (("time.utc_offset", one - instant.replace(tzinfo=None)) for one in local)
                if place == len(heads) - 1:
                    yield "time.acquired_end", instant


_DE = (
    Known("Instrument Accelerating Voltage.*", "beam.acceleration_voltage"),
    Known("Instrument Project Magnification", "optics.magnification"),
    Known("Camera Model", "detector.name", same),
    Known("Camera Model", "detector.type", same),
    Known("Camera Name", "detector.name", same),
    Known("Camera SN", "detector.serial", same),
    Known("Exposure Time \\(seconds\\)", "camera.exposure"),
    Known("Frames Per Second", "camera.frame_rate"),
    Known("(?:Hardware )?Binning [XY]", "camera.binning"),
    Known("Server Software Version", "instrument.software", same),
    Known(
        "Timestamp \\(seconds since Epoch\\)", "time.acquired_start", lambda raw: datetime.fromtimestamp(int(raw), UTC)
    ),
    Known("Local time", "time.acquired_start", when("%a %b %d %H:%M:%S %Y")),
    Known("Instrument Stage Position \\(?X.*", "stage.x"),
    Known("Specimen Pixel Size X \\(nanometers\\)", "image.pixel_size_x", 1e-9),
    Known("Specimen Pixel Size Y \\(nanometers\\)", "image.pixel_size_y", 1e-9),
    Known("Scan - Dwell Time \\(microseconds\\)", "scan.dwell_time", 1e-6),
    Known("Scan - Time Per Scan \\(seconds\\)", "scan.frame_time"),
)


def direct_electron(path: Path, files: Sequence[Path]) -> Iterator[Value]:
    """DE-Server's `_info.txt` beside the movie, and the head of the MRC."""
    for file in files:
        if file.name.endswith("_info.txt"):
            leaves = list(flatten.sections(file.read_text(encoding="latin-1")))
            yield from read(leaves, _DE)
            told = dict(leaves)
            local = when("%a %b %d %H:%M:%S %Y")(told.get("Local time"))
            instant = datetime.fromtimestamp(int(told["Timestamp (seconds since Epoch)"]), UTC).replace(tzinfo=None)
            yield from (("time.utc_offset", one - instant) for one in local)
    yield from fei_mrc(path)


_RPL = (
    Known("elevation-angle", "detector.elevation"),
    Known("azimuth-angle", "detector.azimuth"),
    Known("detector-peak-width-ev", "eds.resolution"),
    Known("beam-energy", "beam.acceleration_voltage", 1e3),
    Known("live-time", "eds.live_time"),
    Known("real-time", "eds.real_time"),
    Known("tilt-stage", "stage.alpha"),
    Known("tilt-stage", "stage.tilt"),
    Known("convergence-angle", "beam.convergence_semi_angle", 1e-3),
    Known("collection-angle", "eels.collection_semi_angle", 1e-3),
    Known("signal", "signal.technique", lambda raw: raw.partition("_")[0]),
    Known("width-scale", "image.pixel_size_x"),
    Known("height-scale", "image.pixel_size_y"),
)


def ripple(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """Key, tab, value."""
    yield from read(flatten.sections(path.read_text(encoding="latin-1"), "\t"), _RPL)


def impulse(_path: Path, files: Sequence[Path]) -> Iterator[Value]:
    """The `_Metadata.log`."""
    for file in files:
        if file.suffix == ".log":
            told = dict(flatten.sections(file.read_text(encoding="latin-1"), ","))
            yield "sample.name", told["Sample"].strip('"')
            yield "instrument.software", told["System version"]
            yield "stage.holder", told["System version"]
            form = when("%d-%m-%Y %H:%M:%S", "%m-%d-%Y %H:%M:%S")
            yield from (
                ("time.acquired_start", one) for one in form(f"{told['Experiment date']} {told['Experiment time']}")
            )


def protochips(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """The column of notes."""
    text = path.read_text(encoding="latin-1")
    day = re.search(r"Date \(yyyy\.mm\.dd\) = ([\d.]+)", text)
    clock = re.search(r"Time \(hh:mm:ss\.ms\) = ([\d:.]+)", text)
    if day and clock:
        form = when("%Y.%m.%d %H:%M:%S.%f", "%Y.%m.%d %H:%M:%S")
        yield from (("time.acquired_start", one) for one in form(f"{day[1]} {clock[1]}"))
    yield from (("person.operator", one.strip()) for one in re.findall(r"User agreeing to terms = ([^,\r\n]+)", text))
    yield "instrument.vendor", "Protochips"
    for holder in re.findall(r"Holder (?:type|name) = ([^,\r\n]+)", text):
        yield "stage.holder", holder.strip()


def dens(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """The head line: date, time, program."""
    found = re.match(r"\s*(\d\d/\d\d/'\d\d \d\d:\d\d)\s+(.+)", path.read_text(encoding="latin-1"))
    if found:
        yield from (("time.acquired_start", one) for one in when("%d/%m/'%y %H:%M", "%m/%d/'%y %H:%M")(found[1]))
        yield "instrument.software", found[2].strip()


_HAMAMATSU = (
    Known("Camera.CameraName", "detector.name", same),
    Known("Camera.SerialNumber", "detector.serial", lambda raw: [raw, raw.removeprefix("S/N:").strip()]),
    Known("Streak camera.DeviceName", "instrument.model", same),
    Known("Acquisition.ExposureTime", "camera.exposure", seconds),
    Known("Camera.Binning", "camera.binning"),
    Known("Acquisition.pntBinning", "camera.binning"),
    Known("Acquisition.NrExposure", "scan.frames"),
    Known("Application.Software", "instrument.software", same),
)


def hamamatsu(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """``[Section],Key="value",…`` in the comment of an IMG or in the description of a TIFF."""
    data = path.read_bytes()
    start = data.find(b"[Application]")
    text = data[start : start + 20_000].decode("latin-1")
    leaves: list[Leaf] = []
    for section, body in re.findall(r"\[([^\]]+)\],([^\[]*)", text):
        leaves += [
            (f"{section}.{key}", value.strip('"')) for key, value in re.findall(r'([^,=]+)=("[^"]*"|[^,\r\n]*)', body)
        ]
    yield from read(leaves, _HAMAMATSU)
    told = dict(leaves)
    form = when("%d/%m/%Y %H:%M:%S.%f", "%m/%d/%Y %H:%M:%S.%f")
    clock = f"{told.get('Application.Date')} {told.get('Application.Time')}"
    yield from (("time.acquired_start", one) for one in form(clock))
    version = f"{told.get('Application.Software')} {told.get('Application.SoftwareVersion')}"
    yield "instrument.software", version
    yield "instrument.vendor", "Hamamatsu"


_EPU = (
    Known(r"gun\.AccelerationVoltage", "beam.acceleration_voltage"),
    Known(r"gun\.ExtractorVoltage", "beam.extraction_voltage"),
    Known(r"gun\.Sourcetype", "beam.source_type", same),
    Known(r"TemMagnification\.NominalMagnification", "optics.magnification"),
    Known(r"optics\.CameraLength", "optics.camera_length"),
    Known(r"optics\.Defocus", "optics.defocus"),
    Known(r"optics\.SpotIndex", "beam.spot_index"),
    Known(r"EnergyFilter\.EnergySelectionSlitWidth", "optics.energy_filter_slit"),
    Known(r"camera\.ExposureTime", "camera.exposure"),
    Known(r"camera\.Name", "detector.name", same),
    Known(r"Binning\.[xy]", "camera.binning"),
    Known(r"acquisitionDateTime", "time.acquired_start", iso_time),
    Known(r"acquisitionDateTime", "time.utc_offset", lambda raw: raw[-6:]),
    Known(r"\bStartDateTime", "time.acquired_start", iso_time),
    Known(r"\bStartDateTime", "time.utc_offset", lambda raw: raw[-6:]),
    Known(r"SpatialScale\.pixelSize\.x\.numericValue", "image.pixel_size_x"),
    Known(r"SpatialScale\.pixelSize\.y\.numericValue", "image.pixel_size_y"),
    Known(r"instrument\.InstrumentModel", "instrument.model", same),
    Known(r"instrument\.InstrumentID", "instrument.serial", same),
    Known(r"instrument\.ComputerName", "instrument.name", same),
    Known(r"stage\.Position\.A", "stage.alpha", 57.29577951308232),
    Known(r"stage\.Position\.B", "stage.beta", 57.29577951308232),
    *(Known(rf"stage\.Position\.{a}", f"stage.{a.lower()}") for a in "XYZ"),
    Known(r"ApplicationSoftwareVersion", "instrument.software", lambda raw: [raw, f"EPU {raw}"]),
    Known(r"optics\.ProbeMode|ColumnOperating(?:TemSub)?Mode|optics\.IlluminationMode", "beam.mode", same),
    Known(r"ColumnOperatingMode|instrument\.InstrumentModel", "instrument.kind", kinds),
    Known(r"Detectors\[[^\]]+\]\.CommercialName", "detector.name", same),
    Known(r"Detectors\[[^\]]+\]\.CommercialName", "detector.type", same),
    Known(r"Detectors\[[^\]]+\]\.CameraSerialNumber", "detector.serial", same),
    Known(r"Detectors\[[^\]]+\]\.FrameRate", "camera.frame_rate"),
)


def epu(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """EPU's image XML, and the pairs of key and value of its custom data."""
    text = path.read_text(encoding="utf-8-sig")
    yield from read(flatten.xml(text), _EPU)
    pairs = re.findall(r"<a:Key>([^<]+)</a:Key><a:Value[^>]*>([^<]*)</a:Value>", text)
    yield from read(pairs, _EPU)


_EMPAD = (
    Known(r"iom_measurements\.high_voltage", "beam.acceleration_voltage"),
    Known(r"iom_measurements\.nominal_camera_length", "optics.camera_length"),
    Known(r"iom_measurements\.spot_size_index", "beam.spot_index"),
    Known(r"iom_measurements\.scan_rotation", "scan.rotation"),
    Known(r"full_scan_field_of_view\.x", "optics.field_of_view_x"),
    Known(r"full_scan_field_of_view\.y", "optics.field_of_view_y"),
    Known(r"root\.exposure_time", "camera.exposure", 1e-3),
    Known(r"software_version", "instrument.software", lambda raw: [" ".join(raw.split()), raw]),
    Known(r"is_column_in_stem_mode", "beam.mode", lambda raw: "STEM" if raw == "True" else None),
    Known(r"root\.timestamp@isoformat", "time.acquired_start", datetime.fromisoformat),
    Known(r"root\.timestamp@timestamp", "time.acquired_start", lambda raw: datetime.fromtimestamp(float(raw), UTC)),
)


def empad(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """EMPAD's XML."""
    leaves = list(flatten.xml(path.read_bytes()))
    yield from read(leaves, _EMPAD)
    told = dict(leaves)
    instant = datetime.fromtimestamp(float(told["root.timestamp@timestamp"]), UTC).replace(tzinfo=None)
    yield "time.utc_offset", datetime.fromisoformat(told["root.timestamp@isoformat"]) - instant


def jobin_yvon(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """LabSpec: a name element beside a value element."""
    text = path.read_text(encoding="utf-8-sig")
    fields = {
        "Binning": ("camera.binning", number),
        "Acq. time (s)": ("camera.exposure", number),
        "Accumulations": ("scan.frames", number),
        "Instrument": ("instrument.model", same),
        "Detector": ("detector.name", same),
        "Title": ("sample.name", same),
        "Acquired": ("time.acquired_start", when("%d.%m.%Y %H:%M:%S")),
        "Date": ("time.acquired_start", when("%d.%m.%Y %H:%M")),
        "StageXY": ("stage.holder", same),
        "User": ("person.operator", same),
        "Operator": ("person.operator", same),
        "Sample": ("sample.name", same),
        "Site": ("instrument.site", same),
        "Project": ("session.project", same),
    }
    for body in re.findall(r'<LSX Format="9"[^>]*>((?:\s*<LSX Format="[^9]"[^>]*>[^<]*</LSX>)+)', text):
        name = next(iter(re.findall(r'ID="0x6D6D616E"[^>]*>([^<]*)<', body)), "")
        value = next(iter(re.findall(r'ID="0x7D6C61DB"[^>]*>([^<]*)<', body)), "")
        if name in fields:
            field, convert = fields[name]
            made: Any = convert(value)
            yield from ((field, one) for one in (made if isinstance(made, list) else [made]))


def trivista(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """Attributes of the XML, month first."""
    text = path.read_text(encoding="utf-8-sig")
    for clock in re.findall(r'<XmlMain [^>]*?DateTime="([^"]+)"', text):
        yield from (("time.acquired_start", one) for one in when("%m/%d/%Y %H:%M:%S")(clock))
    for milliseconds in re.findall(r"Exposure_Time_\(ms\)[^\d]{1,40}?([\d.]+)", text):
        yield "camera.exposure", float(milliseconds) / 1e3
    yield from (("detector.serial", one) for one in re.findall(r'<Detector [^>]*?SerialNumber="([^"]+)"', text))
    yield from (("detector.name", one) for one in re.findall(r'<Detector [^>]*?Name="([^"]+)"', text))


_BRUKER = (
    Known("RealTime", "eds.real_time", 1e-3),
    Known("LifeTime", "eds.live_time", 1e-3),
    Known("HV", "beam.acceleration_voltage", 1e3),
    Known("PrimaryEnergy", "beam.acceleration_voltage", 1e3),
    Known("Mag(?:nification)?", "optics.magnification"),
    Known("WD|WorkingDistance", "optics.working_distance", 1e-3),
    Known("DX", "image.pixel_size_x", 1e-6),
    Known("DY", "image.pixel_size_y", 1e-6),
    *(Known(a, f"stage.{a.lower()}", 1e-6) for a in "XYZ"),
    Known("Tilt", "stage.alpha"),
    Known("Tilt", "stage.tilt"),
    Known("Rotation", "stage.rotation"),
    Known("ElevationAngle", "detector.elevation"),
    Known("AzimutAngle", "detector.azimuth"),
    Known("Serial", "detector.serial", same),
    Known("Type|Technology|DetectorType", "detector.type", same),
    Known("Type|Technology", "detector.name", same),
)


def bruker(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """The XML of an `.spx`, or of a `.bcf` once the heads of its 4 KiB chunks are cut out; tags by name."""
    data = path.read_bytes()
    if data[:8] == b"AAMVHFSS":
        size = int.from_bytes(data[0x128:0x12C], "little")
        data = b"".join(data[at + 32 : at + size] for at in range(0x118, len(data), size))
    text = data.decode("latin-1")
    yield from read(re.findall(r"<(\w+)>([^<>]+)</\1>", text), _BRUKER)
    for day, clock in re.findall(r"<Date>([\d.]+)</Date>\s*<Time>([\d:]+)</Time>", text):
        yield from (("time.acquired_start", one) for one in when("%d.%m.%Y %H:%M:%S")(f"{day} {clock}"))
    for part in (text, *re.split(r'Type="TRTElementInformationList" Name="', text)[1:]):
        for tag in ("Atom", "Element"):  # the elements of maps, lines and points are lists of their own
            atoms = {int(one) for one in re.findall(rf"<{tag}>(\d+)<", part)}
            if atoms:
                yield "sample.elements", [SYMBOLS[one - 1] for one in atoms if 0 < one <= len(SYMBOLS)]
    yield "signal.technique", "EDS"
    yield "instrument.vendor", "Bruker"


_PHENOM = (
    Known(r"acquisition\.scan\.highVoltage", "beam.acceleration_voltage", lambda raw: abs(number(raw)) * 1e3),
    Known(r"acquisition\.scan\.emissionCurrent", "beam.emission_current", 1e-6),
    Known(r"acquisition\.scan\.dwellTime", "scan.dwell_time", 1e-9),
    Known(r"acquisition\.scan\.rotation", "scan.rotation"),
    Known(r"acquisition\.scan\.spotSize", "beam.spot_index"),
    Known(r"FeiImage\.workingDistance", "optics.working_distance", 1e-3),
    Known(r"FeiImage\.time", "time.acquired_start", datetime.fromisoformat),
    Known(r"FeiImage\.integrations", "scan.frames"),
    Known(r"FeiImage\.currentUser", "person.operator", same),
    Known(r"samplePosition\.x", "stage.x"),
    Known(r"samplePosition\.y", "stage.y"),
    Known(r"instrument\.type", "instrument.model", same),
    Known(r"instrument\.edition", "instrument.name", same),
    Known(r"instrument\.uniqueID", "instrument.serial", same),
    Known(r"instrument\.softwareVersion", "instrument.software", same),
    Known(r"sampleHolder\.id", "stage.holder", same),
    Known(r"detector_?[eE]levation", "detector.elevation"),
    Known(r"detector_?[aA]zimuth", "detector.azimuth"),
    Known(r"detector_?[tT]ype", "detector.type", same),
    Known(r"detector_?[rR]esolution", "eds.resolution"),
    Known(r"live_?[tT]ime", "eds.live_time"),
    Known(r"real_?[tT]ime", "eds.real_time"),
    Known(r"sampleHolder\.type", "stage.holder", same),
)


def phenom(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """The XML of the images inside the bzip2 stream of an ELID; steps of its maps stand elsewhere: none are given."""
    import bz2

    data = bz2.BZ2Decompressor().decompress(path.read_bytes())
    for text in re.findall(rb"<FeiImage.*?</FeiImage>", data, re.DOTALL):
        leaves = list(flatten.xml(text))
        yield from read(leaves, _PHENOM)
        yield from (
            ("detector.name", name.split(".")[-1].partition("@")[0]) for name, _ in leaves if ".detectors." in name
        )
        yield from (
            ("detector.name", name.split(".")[5]) for name, _ in leaves if name.count(".") > 4 and ".detectors." in name
        )
    yield from (("instrument.vendor", "Phenom-World"), ("instrument.kind", "sem"), ("signal.technique", "SEM"))


_PANTA = (
    Known("electron_gun.voltage", "beam.acceleration_voltage"),
    Known("projector.camera_length", "optics.camera_length"),
    Known("scan_driver.magnification", "optics.magnification"),
    Known("scan_generator.dwell_time", "scan.dwell_time"),
    Known("scan_generator.flyback_time", "scan.flyback_time"),
    Known("scan_generator.detector", "detector.name", same),
    Known("condenser.mode|objective.mode|projector.mode", "beam.mode", same),
    Known("condenser.mode", "signal.technique", same),
    Known("camera.exposure(?:_time)?", "camera.exposure"),
    Known("camera.name", "detector.name", same),
)


def panta_rhei(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """The JSON in the NumPy zip."""
    import numpy as np

    with zipfile.ZipFile(path) as archive:
        text = str(np.load(io.BytesIO(archive.read("meta_data_json.npy")))[()])
    for one in json.loads(text):
        yield from read([(key, value) for key, value in one.items() if key != "device.calib"], _PANTA)
        for axis, told in zip("yx", one.get("device.calib") or (), strict=False):
            yield f"image.pixel_size_{axis}", told["value"] * told["pixel_factor"]
    yield "instrument.software", "Panta Rhei"


_SURF = (
    Known(r"Beam Energy", "beam.acceleration_voltage"),
    Known(r"Emission Current", "beam.emission_current", 1e-6),
    Known(r"Beam Current", "beam.current", 1e-6),
    Known(r"Extractor Voltage", "beam.extraction_voltage"),
    Known(r"(?:Attomic Readed|Real )Magnification", "optics.magnification"),
    Known(r"Exposure Time", "camera.exposure"),
    Known(r"HYP Dwelltime", "scan.dwell_time", 1e-3),
    Known(r"Dwell Time", "scan.dwell_time", 1e-6),
    Known(r"Camera Model", "detector.name", same),
    Known(r"(?:Horizontal|Vertical) Binning", "camera.binning"),
    Known(r"Channel1", "detector.name", same),
    Known(r"stage_position_x", "stage.x", 1e-3),
    Known(r"stage_position_y", "stage.y", 1e-3),
    Known(r"stage_position_z", "stage.z", 1e-3),
    Known(r"Rotate", "scan.rotation"),
)


def digital_surf(path: Path, _files: Sequence[Path]) -> Iterator[Value]:
    """The lines ``$key = value unit`` of the comment."""
    text = path.read_bytes().decode("latin-1")
    yield from read(
        [(key.strip(), value.strip()) for key, value in re.findall(r"\$([^=$\r\n]+)=([^\r\n$]*)", text)], _SURF
    )
    yield from (("signal.technique", "CL"), ("instrument.kind", "sem"))
