"""The INI text of FEI's scanning and dual-beam microscopes.

Sections `EBeam`, `IBeam` and `IRBeam` are the columns and the navigation camera; `Beam` names the one that made the
image. Everything is in SI units without prefixes, angles in radians.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Any

from diadem.hooks.fields import Derived, Found, Table, Tree, look_up
from diadem.hooks.text import number, positive
from diadem.hooks.times import moments
from diadem.terms.dates import decided, moments_of

DATE = (
    "TimeOfCreation is dd.mm.yyyy whatever the computer's language (13.06.2016, 17.05.2022, 18.12.2017 beside Dates of "
    "month first; 01.05.2024 beside the XML's 2024-05-01); it decides what Date means"
)
_VOLTS = "scios_xml_metadata.tif: 5000 beside the XML's AccelerationVoltage 5000, on an instrument of 0.2 to 30 kV"
_AMPERES = "scios_xml_metadata.tif: the XML's BeamCurrent and EmissionCurrent; 1.6e-9 can only be amperes"
_METRES = "HFW / ResolutionX = PixelWidth, whose unit the XML states: PixelSize unit='m' (scios_xml_metadata.tif)"
_STAGE = "scios_xml_metadata.tif: -0.0198497 of a stage of 110 mm by its name"
_RADIANS = "FEI-Helios-Ebeam-8bits.tif: StageT 6.54e-6 with TiltCorrectionAngle; StageR -2.3611 beyond no half turn"
_SECONDS = "Dwelltime x ResolutionX x ResolutionY = 2.26 s, FrameTime 2.62 (FEI-Helios-Ebeam-8bits.tif)"
_PASCALS = "79.8 in low vacuum, 1e-3 to 6e-4 in high vacuum, where 0.6 Torr and 1e-5 mbar are usual (quanta_image.tif)"

#: A clock that was set in between, and the way through a time zone, are no disagreement.
_APART = dt.timedelta(hours=26)
_TAGS = ("FEI_HELIOS", "FEI_SFEG", "FEI_TITAN")
_COLUMNS = {"EBeam": "EScan", "IBeam": "IScan"}
_CREATED = re.compile(r"(\d\d)\.(\d\d)\.(\d{4}) +(\d\d):(\d\d):(\d\d)")
#: Ion sources by how they are named; FEI's liquid metal ion sources are of gallium.
_IONS = (
    (re.compile(r"\b(gallium|ga\+?|lmis)\b", re.IGNORECASE), "Ga"),
    (re.compile(r"\b(xenon|xe\+?)\b", re.IGNORECASE), "Xe"),
)


def find(tree: Tree) -> tuple[str, Mapping[str, Any]] | None:
    """Name of the tag with the INI text, and its sections; None where there is none."""
    for tag in _TAGS:
        sections = tree.get(tag)
        if isinstance(sections, Mapping) and ("Beam" in sections or "User" in sections or "System" in sections):
            return tag, sections
    return None


def _column(sections: Mapping[str, Any]) -> str:
    """The column, or camera, that made the image: as `Beam` says, or the only one there is."""
    named = look_up(sections, "Beam/Beam")
    if named:
        return str(named)
    present = [name for name in (*_COLUMNS, "IRBeam") if name in sections]
    return present[0] if len(present) == 1 else ""


def _first(tree: Tree, tag: str, keys: tuple[str, ...], field: str, unit: str, read: Any) -> Iterator[Found]:
    """The first key that has a value that `read` accepts."""
    for key in keys:
        raw = look_up(tree, f"{tag}/{key}")
        if raw not in (None, "") and (value := read(raw)) is not None:
            yield Found(field, value, f"{tag}/{key}", raw, unit)
            return


def _each(tree: Tree, wanted: Mapping[str, tuple[tuple[str, ...], str, Any]]) -> Iterator[Found]:
    """Values of fields from keys in which `{column}` and `{scan}` stand for the sections of the image."""
    found = find(tree)
    if found is None:
        return
    tag, sections = found
    column = _column(sections)
    scan = str(look_up(sections, "Beam/Scan") or _COLUMNS.get(column, ""))
    for field, (keys, unit, read) in wanted.items():
        names = tuple(key.format(column=column, scan=scan) for key in keys)
        yield from _first(tree, tag, names, field, unit, read)


def _text(raw: Any) -> str | None:
    return str(raw).strip() or None


def _whole(raw: Any) -> float | None:
    value = number(raw)
    return value if value is not None and value >= 0 else None


_BEAM: Mapping[str, tuple[tuple[str, ...], str, Any]] = {
    "beam.acceleration_voltage": (("{column}/HV", "Beam/HV"), "V", positive),
    "beam.current": (("{column}/BeamCurrent",), "A", positive),
    "beam.emission_current": (("{column}/EmissionCurrent",), "A", positive),
    "beam.spot_index": (("Beam/Spot",), "1", _whole),
    "beam.source_type": (("{column}/Source", "System/Source"), "", _text),
    "beam.mode": (("{column}/LensMode", "{column}/SemOpticalMode"), "", _text),
    "optics.working_distance": (("{column}/WD", "Stage/WorkingDistance"), "m", positive),
    "scan.rotation": (("{column}/ScanRotation", "Beam/ScanRotation"), "rad", number),
    "scan.dwell_time": (("Scan/Dwelltime", "{scan}/Dwell"), "s", positive),
    "scan.line_time": (("{scan}/LineTime",), "s", positive),
    "scan.frame_time": (("Scan/FrameTime", "{scan}/FrameTime"), "s", positive),
}
_IMAGE: Mapping[str, tuple[tuple[str, ...], str, Any]] = {
    "optics.field_of_view_x": (("{column}/HFW", "Scan/HorFieldsize", "{scan}/HorFieldsize"), "m", positive),
    "optics.field_of_view_y": (("{column}/VFW", "Scan/VerFieldsize", "{scan}/VerFieldsize"), "m", positive),
    "image.pixel_size_x": (("Scan/PixelWidth", "{scan}/PixelWidth"), "m", positive),
    "image.pixel_size_y": (("Scan/PixelHeight", "{scan}/PixelHeight"), "m", positive),
}
_PLACE: Mapping[str, tuple[tuple[str, ...], str, Any]] = {
    "stage.x": (("Stage/StageX", "{column}/StageX"), "m", number),
    "stage.y": (("Stage/StageY", "{column}/StageY"), "m", number),
    "stage.z": (("Stage/StageZ", "{column}/StageZ"), "m", number),
    "stage.rotation": (("Stage/StageR", "{column}/StageR"), "rad", number),
    "stage.tilt": (("Stage/StageT", "{column}/StageTa"), "rad", number),
    "stage.pressure": (("Vacuum/ChPressure",), "Pa", positive),
    "detector.name": (("Detectors/Name",), "", _text),
    "person.operator": (("User/User",), "", _text),
    "instrument.model": (("System/SystemType",), "", _text),
    "instrument.serial": (("System/Dnumber",), "", _text),
    "instrument.software": (("System/Software",), "", _text),
}


def _beam(tree: Tree) -> Iterator[Found]:
    """What the electron or ion column states; a camera has none of it."""
    found = find(tree)
    if found is not None and _column(found[1]) in ("", *_COLUMNS):
        yield from _each(tree, _BEAM)


def _image(tree: Tree) -> Iterator[Found]:
    yield from _each(tree, _IMAGE)


def _place(tree: Tree) -> Iterator[Found]:
    yield from _each(tree, _PLACE)


def _pixels(tree: Tree) -> Iterator[Found]:
    """Pixel size of the navigation camera, whose section has the field of view only."""
    found = find(tree)
    if found is None or any("PixelWidth" in found[1].get(name, {}) for name in ("Scan", "EScan", "IScan")):
        return
    tag, sections = found
    for direction, width, resolution in (("x", "HFW", "ResolutionX"), ("y", "VFW", "ResolutionY")):
        field, count = look_up(sections, f"{_column(sections)}/{width}"), look_up(sections, f"Image/{resolution}")
        if (length := positive(field)) and (pixels := positive(count)):
            key = f"{tag}/{_column(sections)}/{width} + {tag}/Image/{resolution}"
            yield Found(f"image.pixel_size_{direction}", length / pixels, key, [field, count], "m", "derived")


def _is_scanning(sections: Mapping[str, Any]) -> bool:
    """Whether the instrument is a scanning electron microscope, which has one column and may not name it."""
    return str(look_up(sections, "System/Type") or "").lower() in ("sem", "esem")


def _species(tree: Tree) -> Iterator[Found]:
    found = find(tree)
    if found is None:
        return
    tag, sections = found
    column = _column(sections)
    if column == "EBeam":
        yield Found("beam.species", "electron", f"{tag}/Beam/Beam", column, status="derived")
    elif not column and _is_scanning(sections):
        yield Found("beam.species", "electron", f"{tag}/System/Type", sections["System"]["Type"], status="derived")
    if column != "IBeam":
        return
    for key, raw in sections.get("IBeam", {}).items():
        if key in ("Source", "ColumnType") or "gas" in key.lower() or "species" in key.lower():
            for pattern, ion in _IONS:
                if pattern.search(raw):
                    yield Found("beam.species", ion, f"{tag}/IBeam/{key}", raw, status="derived")
                    return


def _technique(tree: Tree) -> Iterator[Found]:
    """By the column that made the image; a detector below the sample is named STEM."""
    found = find(tree)
    if found is None:
        return
    tag, sections = found
    detector = str(look_up(sections, "Detectors/Name") or "")
    electrons = "STEM" if "STEM" in detector.upper() else "SEM"
    technique = {"EBeam": electrons, "IBeam": "FIB"}.get(_column(sections))
    if technique:
        yield Found("signal.technique", technique, f"{tag}/Beam/Beam", _column(sections), status="derived")
    elif not _column(sections) and _is_scanning(sections):
        yield Found("signal.technique", electrons, f"{tag}/System/Type", sections["System"]["Type"], status="derived")


def _kind(tree: Tree) -> Iterator[Found]:
    found = find(tree)
    if found is None:
        return
    key = f"{found[0]}/System/Type"
    raw = look_up(tree, key)
    kinds = {"dualbeam": "fib", "sem": "sem", "esem": "sem", "fib": "fib"}
    if raw and (kind := kinds.get(str(raw).lower())):
        yield Found("instrument.kind", kind, key, raw, status="derived")


def _frames(tree: Tree) -> Iterator[Found]:
    """Frames integrated or averaged, where `Scan` and `Image` say the same."""
    found = find(tree)
    if found is None:
        return
    tag, sections = found
    for name in ("Integrate", "Average"):
        first, second = (number(look_up(sections, f"{section}/{name}")) for section in ("Scan", "Image"))
        if first and first == second:
            yield Found("scan.frames", int(first), f"{tag}/Scan/{name}", look_up(sections, f"Scan/{name}"), "1")
            return


def _databar(tree: Tree) -> Iterator[Found]:
    """The older text of the XL series: what its numbers' size leaves no doubt about."""
    limits = {
        "flAccV": ("beam.acceleration_voltage", "V", 200, 40000),
        "flWD": ("optics.working_distance", "mm", 2, 60),
        "flSpot": ("beam.spot_index", "1", 0.5, 20),
    }
    for key, (field, unit, least, most) in limits.items():
        raw = look_up(tree, f"FEI_SFEG/DatabarData/{key}")
        value = number(raw)
        if value is not None and least <= value <= most:
            yield Found(field, value, f"FEI_SFEG/DatabarData/{key}", raw, unit)


def created(sections: Mapping[str, Any]) -> dt.datetime | None:
    """`TimeOfCreation`, day first."""
    match = _CREATED.match(str(look_up(sections, "PrivateFei/TimeOfCreation") or ""))
    if match is None:
        return None
    day, month, year, hour, minute, second = (int(part) for part in match.groups())
    try:
        return dt.datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - no zone is stated
    except ValueError:
        return None


def time(tree: Tree, other: dt.datetime | None = None) -> Iterator[Found]:
    """Local time of the image.

    Parameters
    ----------
    tree : mapping
        Of the page.
    other : datetime, optional
        Another stamp of the same image, which decides where `TimeOfCreation` is missing.
    """
    found = find(tree)
    if found is None:
        return
    tag, sections = found
    stamp = created(sections)
    date, hour = (str(look_up(sections, f"User/{name}") or "") for name in ("Date", "Time"))
    readings = moments_of(date, hour)
    local = decided(readings, same=stamp)
    if local is not None or stamp is None:
        key = f"{tag}/User/Date + {tag}/User/Time"
        yield from moments("time.acquired_start", key, f"{date} {hour}", local=local or readings, same=other)
    if stamp is not None and (local is None or abs(stamp - local) > _APART):  # two that disagree are both told
        key = f"{tag}/PrivateFei/TimeOfCreation"
        yield from moments("time.acquired_start", key, look_up(tree, key), local=stamp)


TABLE: Table = (
    Derived("beam", _beam, cite=f"{_VOLTS}; {_AMPERES}; {_SECONDS}; {_RADIANS}"),
    Derived("image", _image, cite=_METRES),
    Derived("place", _place, cite=f"{_STAGE}; {_RADIANS}; {_PASCALS}"),
    Derived("pixels", _pixels, cite=_METRES),
    Derived("species", _species, cite="the section that made the image; names of sources"),
    Derived("technique", _technique, cite="the section that made the image; FEI's names of detectors"),
    Derived("kind", _kind, cite="the kind of system as FEI names it"),
    Derived("frames", _frames, cite="the keys' names; both sections count frames"),
    Derived("databar", _databar, cite="no other unit gives values that a scanning microscope has"),
)
