"""Which values of Thermo Fisher's tags are which fields; the more exact statement first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree, look_up
from diadem.hooks.text import entries, number, positive
from diadem.hooks.times import moments
from diadem.plugins.thermofisher import settings
from diadem.terms.dates import exif, iso

_TAGS = ("FEI_HELIOS", "FEI_TITAN", "FEI_SFEG")
#: Transmission microscopes by the names that FEI and Thermo Fisher sell them under.
_TRANSMISSION = re.compile(
    r"\b(tecnai|titan|talos|themis|spectra|osiris|metrios|krios|glacios|arctica|tundra|halo|cm\s?\d{2,3})",
    re.IGNORECASE,
)
_XML = (
    "scios_xml_metadata.tif: the INI text beside it has the same number, whose unit is proven there; elements of this "
    "schema are in SI units, as PixelSize says (unit='m')"
)
_LABEL = "the unit stands beside the value"

#: Elements below `Metadata`: field, unit, and whether zero and less are no measurement.
_ELEMENTS: Mapping[str, tuple[str, str, bool]] = {
    "Optics/AccelerationVoltage": ("beam.acceleration_voltage", "V", True),
    "Optics/BeamCurrent": ("beam.current", "A", True),
    "Optics/EmissionCurrent": ("beam.emission_current", "A", True),
    "Optics/ExtractorVoltage": ("beam.extraction_voltage", "V", True),
    "Optics/WorkingDistance": ("optics.working_distance", "m", True),
    "Optics/NominalMagnification": ("optics.magnification", "1", True),
    "Optics/SpotIndex": ("beam.spot_index", "1", True),
    "Optics/ScanFieldOfView/X": ("optics.field_of_view_x", "m", True),
    "Optics/ScanFieldOfView/Y": ("optics.field_of_view_y", "m", True),
    "ScanSettings/DwellTime": ("scan.dwell_time", "s", True),
    "ScanSettings/LineTime": ("scan.line_time", "s", True),
    "ScanSettings/FrameTime": ("scan.frame_time", "s", True),
    "ScanSettings/ScanRotation": ("scan.rotation", "rad", False),
    "StageSettings/StagePosition/X": ("stage.x", "m", False),
    "StageSettings/StagePosition/Y": ("stage.y", "m", False),
    "StageSettings/StagePosition/Z": ("stage.z", "m", False),
    "StageSettings/StagePosition/Rotation": ("stage.rotation", "rad", False),
    "VacuumProperties/SamplePressure": ("stage.pressure", "Pa", True),
    "BinaryResult/PixelSize/X/#text": ("image.pixel_size_x", "m", True),
    "BinaryResult/PixelSize/Y/#text": ("image.pixel_size_y", "m", True),
}
_TEXTS: Mapping[str, str] = {
    "Instrument/Manufacturer": "instrument.vendor",
    "Instrument/InstrumentClass": "instrument.model",
    "Instrument/InstrumentID": "instrument.serial",
    "Instrument/ControlSoftwareVersion": "instrument.software",
    "Acquisition/SourceType": "beam.source_type",
    "Core/UserID": "person.operator",
}
#: Labels of transmission microscopes, which carry their units.
_LABELS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "High tension": ("beam.acceleration_voltage", positive),
    "Extraction voltage": ("beam.extraction_voltage", positive),
    "Emission": ("beam.emission_current", positive),
    "Screen current": ("beam.screen_current", positive),
    "Defocus": ("optics.defocus", number),
    "Magnification": ("optics.magnification", positive),
    "Camera length": ("optics.camera_length", positive),
    "Exposure time": ("camera.exposure", positive),
    "Stage X": ("stage.x", number),
    "Stage Y": ("stage.y", number),
    "Stage Z": ("stage.z", number),
    "Stage A": ("stage.alpha", number),
    "Stage B": ("stage.beta", number),
    "Stem rotation": ("scan.rotation", number),
}


def _patterns(tag: str, tree: Tree) -> bool:
    """Whether a camera length holds: in scanning, or behind a projector that makes a pattern."""
    optics = look_up(tree, f"{tag}/Metadata/Optics") or {}
    modes = [str(optics.get(key)) for key in ("ColumnOperatingMode", "OperatingMode", "ProjectorMode")]
    return not {"TEM", "1"} & set(modes[:2]) or modes[2] in ("Diffraction", "1")


def _document(tag: str) -> Iterator[Rule]:
    """Rules for Thermo Fisher's XML in one tag."""
    for key, (field, unit, above_zero) in _ELEMENTS.items():
        yield Rule(field, f"{tag}/Metadata/{key}", unit, positive if above_zero else number, cite=_XML)
    optics = f"{tag}/Metadata/Optics/"
    yield Rule("optics.camera_length", optics + "CameraLength", "m", positive, when=partial(_patterns, tag), cite=_XML)
    for key, field in _TEXTS.items():
        yield Rule(field, f"{tag}/Metadata/{key}", cite="the element's name")


def _labels(tag: str) -> Iterator[Rule]:
    """Rules for the list of labels in one tag."""
    for label, (field, read) in _LABELS.items():
        key = f"{tag}/Root/{label}"
        yield Rule(field, f"{key}/Value", read=read, unit_key=f"{key}/Unit", cite=_LABEL)
    yield Rule("beam.spot_index", f"{tag}/Root/Spot size/Value", "1", positive, cite="the label; a bare number")
    yield Rule("beam.mode", f"{tag}/Root/Mode/Value", read=str.strip, cite="the label")
    yield Rule("beam.source_type", f"{tag}/Root/Gun type/Value", cite="the label")
    yield Rule("person.operator", f"{tag}/Root/User/Value", cite="the label")
    yield Rule(
        "instrument.model",
        f"{tag}/Root/Microscope/Value",
        read=lambda text: text.removeprefix("Microscope ").strip(),
        cite="the label, which the value repeats",
    )


def _is_transmission(tree: Tree) -> tuple[str, str] | None:
    """The name of a transmission microscope and its key; None for others."""
    for tag in _TAGS:
        for key in (f"{tag}/Metadata/Instrument/InstrumentClass", f"{tag}/Root/Microscope/Value"):
            name = look_up(tree, key)
            if isinstance(name, str) and _TRANSMISSION.search(name):
                return name, key
    return None


def _kind(tree: Tree) -> Iterator[Found]:
    named = _is_transmission(tree)
    if named is not None:
        yield Found("instrument.kind", "tem", named[1], named[0], status="derived")


def _technique(tree: Tree) -> Iterator[Found]:
    """By the mode of a transmission microscope: ``TEM uP SA Zoom Image``, ``STEM nP SA Zoom Diffraction``."""
    for tag in _TAGS:
        key = f"{tag}/Root/Mode/Value"
        words = str(look_up(tree, key) or "").split()
        if words and words[0] in ("TEM", "STEM"):
            pattern = words[0] == "TEM" and words[-1] == "Diffraction"
            yield Found(
                "signal.technique", "diffraction" if pattern else words[0], key, " ".join(words), status="derived"
            )


def _tilts(tree: Tree) -> Iterator[Found]:
    """Tilts of the XML: two of a transmission microscope's holder, one of a scanning microscope's stage."""
    first, second = ("stage.alpha", "stage.beta") if _is_transmission(tree) else ("stage.tilt", "")
    for tag in _TAGS:
        for field, names in ((first, ("Tilt/Alpha", "AlphaTilt")), (second, ("Tilt/Beta", "BetaTilt"))):
            for name in names:
                key = f"{tag}/Metadata/StageSettings/StagePosition/{name}"
                raw = look_up(tree, key)
                if field and raw is not None and (angle := number(raw)) is not None:
                    yield Found(field, angle, key, raw, "rad")


def _detectors(tree: Tree) -> Iterator[Found]:
    for tag in _TAGS:
        key = f"{tag}/Metadata/Detectors"
        for detector in entries(look_up(tree, key), "ScanningDetector"):
            for name, field in (("DetectorName", "detector.name"), ("DetectorType", "detector.type")):
                if isinstance(detector.get(name), str):
                    yield Found(field, detector[name], f"{key}/ScanningDetector/{name}", detector[name])


def _beam(tree: Tree) -> Iterator[Found]:
    for tag in _TAGS:
        key = f"{tag}/Metadata/Acquisition/BeamType"
        if look_up(tree, key) == "Electron":
            yield Found("beam.species", "electron", key, "Electron")


def _frames(tree: Tree) -> Iterator[Found]:
    for tag in _TAGS:
        key = f"{tag}/Metadata/BinaryResult/FilterFrameCount"
        if str(look_up(tree, f"{tag}/Metadata/BinaryResult/FilterType")) in ("Integrate", "Average"):
            raw = look_up(tree, key)
            yield Found("scan.frames", int(raw), key, raw, "1")


def _time(tree: Tree) -> Iterator[Found]:
    """Start of the acquisition: the XML's where it has an offset, else the settings', else the XML's local time."""
    stamps = [
        (key, raw, moment)
        for tag in _TAGS
        for name in ("AcquisitionStartDatetime", "AcquisitionDatetime")
        if (raw := look_up(tree, key := f"{tag}/Metadata/Acquisition/{name}")) and (moment := iso(raw))
    ]
    for key, raw, moment in stamps:
        if moment.tzinfo is not None:
            yield from moments("time.acquired_start", key, raw, local=moment)
    local = next((moment.replace(tzinfo=None) for _, _, moment in stamps), None) or exif(tree.get("DateTime"))
    yield from settings.time(tree, local)
    for key, raw, moment in stamps:
        if moment.tzinfo is None:
            yield from moments("time.acquired_start", key, raw, local=moment)


def _resolution(tree: Tree) -> Iterator[Found]:
    """Pixel size of a transmission image from the tags that mirror TIFF's resolution."""
    mode = look_up(tree, "FEI_HELIOS/Root/Mode/Value")
    lengths = {2: 0.0254, 3: 0.01}
    length = lengths.get(tree.get("ResolutionUnit (65452)", 0))
    if length is None or not isinstance(mode, str) or "diffraction" in mode.lower():
        return
    for direction, name in (("x", "XResolution (65450)"), ("y", "YResolution (65451)")):
        if tree.get(name):
            key = f"{name} + ResolutionUnit (65452)"
            yield Found(f"image.pixel_size_{direction}", length / tree[name], key, tree[name], "m", "derived")


TABLE: Table = (
    Derived("acquisition-time", _time, cite=settings.DATE),
    *settings.TABLE,
    *(rule for tag in _TAGS for rule in _document(tag)),
    *(rule for tag in _TAGS for rule in _labels(tag)),
    Derived("tilts", _tilts, cite=_XML),
    Derived("detectors", _detectors, cite="the elements' names"),
    Derived("beam", _beam, cite="the element's name"),
    Derived("frames", _frames, cite="the elements' names"),
    Derived("kind", _kind, cite="names of products"),
    Derived("technique", _technique, cite="the mode's first and last word"),
    Derived(
        "resolution",
        _resolution,
        cite="tags 65450-65452 of a Tecnai's TIFF have types and numbers of TIFF's XResolution, YResolution and "
        "ResolutionUnit, which hold the screen's 96 dpi; 2754452.352 per cm is 3.6 nm at 6300 x",
    ),
)
