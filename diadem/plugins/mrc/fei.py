"""FEI's and Thermo Fisher's extended headers of kind FEI1 and FEI2: one record for each section.

Members, units and the masks that say which members are filled in: "MRC2014 Extended Header" of the EPU user manual, as
mrcfile and Scipion list it. HAADFscan.mrc agrees: Full scan FOV X 1.4538576 µm / 256 = Pixel size X, which is the
header's cell over its counts; Scan size right 256 x bottom 256; HT 300000 of a Spectra.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree
from diadem.hooks.times import moments
from diadem.terms.dates import from_ole

_MANUAL = "the EPU user manual's list of the extended header"
#: Members of the first 768 bytes: name and code of `struct`. The members between two masks have a bit each in the first
#: of the two, but the sizes and masks themselves; "6x" are six members without a name.
_MEMBERS: Sequence[tuple[str, str]] = (
    ("Metadata size", "i"), ("Metadata version", "i"), ("Bitmask 1", "I"), ("Timestamp", "d"),
    ("Microscope type", "16s"), ("D-Number", "16s"), ("Application", "16s"), ("Application version", "16s"),
    ("HT", "d"), ("Dose", "d"), ("Alpha tilt", "d"), ("Beta tilt", "d"), ("X-Stage", "d"), ("Y-Stage", "d"),
    ("Z-Stage", "d"), ("Tilt axis angle", "d"), ("Dual axis rotation", "d"), ("Pixel size X", "d"),
    ("Pixel size Y", "d"), *((f"Unused {number}", "d") for number in range(1, 7)), ("Defocus", "d"),
    ("STEM Defocus", "d"), ("Applied defocus", "d"), ("Instrument mode", "i"), ("Projection mode", "i"),
    ("Objective lens mode", "16s"), ("High magnification mode", "16s"), ("Probe mode", "i"), ("EFTEM On", "?"),
    ("Magnification", "d"), ("Bitmask 2", "I"), ("Camera length", "d"), ("Spot index", "i"),
    ("Illuminated area", "d"), ("Intensity", "d"), ("Convergence angle", "d"), ("Illumination mode", "16s"),
    ("Wide convergence angle range", "?"), ("Slit inserted", "?"), ("Slit width", "d"),
    ("Acceleration voltage offset", "d"), ("Drift tube voltage", "d"), ("Energy shift", "d"), ("Shift offset X", "d"),
    ("Shift offset Y", "d"), ("Shift X", "d"), ("Shift Y", "d"), ("Integration time", "d"), ("Binning Width", "i"),
    ("Binning Height", "i"), ("Camera name", "16s"), ("Readout area left", "i"), ("Readout area top", "i"),
    ("Readout area right", "i"), ("Readout area bottom", "i"), ("Ceta noise reduction", "?"),
    ("Ceta frames summed", "i"), ("Direct detector electron counting", "?"), ("Direct detector align frames", "?"),
    *((f"Camera param reserved {number}", "i") for number in range(4)), ("Bitmask 3", "I"),
    *((f"Camera param reserved {number}", "i") for number in range(4, 10)), ("Phase Plate", "?"),
    ("STEM Detector name", "16s"), ("Gain", "d"), ("Offset", "d"),
    *((f"STEM param reserved {number}", "i") for number in range(5)), ("Dwell time", "d"), ("Frame time", "d"),
    ("Scan size left", "i"), ("Scan size top", "i"), ("Scan size right", "i"), ("Scan size bottom", "i"),
    ("Full scan FOV X", "d"), ("Full scan FOV Y", "d"),
)  # fmt: skip
_CODES = "<" + "".join(code for _, code in _MEMBERS)
_SIZES = {"FEI1": 768, "FEI2": 888}
#: Key of the last section's record in the tree of the first.
LAST_RECORD = "last record"
_TEM, _STEM, _DIFFRACTION = 1, 2, 1
#: Writers that keep to the manual's degrees. Velox writes a convergence angle of 0.0143, of 14 mrad and not degrees,
#: so that its tilts are of an unknown unit, too.
_RADIANS = "Velox"


def records(data: bytes, kind: str, sections: int) -> list[dict[str, Any]]:
    """Trees of the first and of the last section's record; none where the header is no such one.

    Parameters
    ----------
    data : bytes
        The extended header.
    kind : str
        ``FEI1`` or ``FEI2``.
    sections : int
        How many the stack has.
    """
    if kind not in _SIZES or len(data) < _SIZES[kind]:
        return []
    stated = struct.unpack_from("<i", data)[0]
    size = stated if _SIZES[kind] <= stated <= 1 << 16 else _SIZES[kind]
    last = (min(sections, len(data) // size) - 1) * size
    return [_record(data, place) for place in dict.fromkeys((0, max(last, 0)))]


def _record(data: bytes, place: int) -> dict[str, Any]:
    """Members that are filled in."""
    values = struct.unpack_from(_CODES, data, place)
    found: dict[str, Any] = {}
    mask, bit = 0, 0
    for (name, _), value in zip(_MEMBERS, values, strict=True):
        if name.startswith("Bitmask"):
            mask, bit = value, 0
            found[name] = value
        elif name.startswith("Metadata"):
            found[name] = value
        else:
            if mask >> bit & 1:
                found[name] = _plain(value)
            bit += 1
    return found


def _plain(value: Any) -> Any:
    return value.split(b"\0", 1)[0].decode("latin-1").strip() if isinstance(value, bytes) else value


def _above_zero(value: Any) -> float | None:
    return float(value) if value > 0 else None


def _scans(tree: Tree) -> bool:
    return bool(tree.get("Instrument mode") == _STEM)


def _takes_pictures(tree: Tree) -> bool:
    return bool(tree.get("Instrument mode") == _TEM)


def _images(tree: Tree) -> bool:
    """Whether the projection system made an image, or a scan made one."""
    return _scans(tree) or tree.get("Projection mode") != _DIFFRACTION


def _diffracts(tree: Tree) -> bool:
    return bool(tree.get("Projection mode") == _DIFFRACTION)


def _is_still(key: str) -> Callable[[Tree], bool]:
    """Whether the first and the last section have the same value: in a series what changes is none of the stack."""
    return lambda tree: tree.get(LAST_RECORD, tree).get(key) == tree[key]


def _in_degrees(tree: Tree) -> bool:
    return bool(tree.get("Application") != _RADIANS)


def _slit_is_in(tree: Tree) -> bool:
    return bool(tree.get("Slit inserted"))


def _software(tree: Tree) -> Iterator[Found]:
    name, version = str(tree.get("Application") or ""), str(tree.get("Application version") or "")
    if name:
        key = "Application + Application version"
        yield Found("instrument.software", f"{name} {version}".strip(), key, [name, version])


def _mode(tree: Tree) -> Iterator[Found]:
    raw = tree.get("Instrument mode")
    mode = {_TEM: "TEM", _STEM: "STEM"}.get(raw) if isinstance(raw, int) else None
    if mode is None:
        return
    yield Found("beam.mode", mode, "Instrument mode", raw, status="converted")
    technique = "diffraction" if mode == "TEM" and _diffracts(tree) else mode
    key = "Instrument mode + Projection mode"
    yield Found("signal.technique", technique, key, [raw, tree.get("Projection mode")], status="derived")
    yield Found("instrument.kind", "tem", "Instrument mode", raw, status="derived")


def _camera(tree: Tree) -> Iterator[Found]:
    """The camera, where it made the picture."""
    if not _takes_pictures(tree):
        return
    if tree.get("Camera name"):
        yield Found("detector.name", tree["Camera name"], "Camera name", tree["Camera name"])
    width = tree.get("Binning Width", 0)
    if width > 0 and width == tree.get("Binning Height"):
        yield Found("camera.binning", width, "Binning Width", width, "1")


def _time(field: str) -> Derived:
    def read(tree: Tree) -> Iterator[Found]:
        raw = tree["Timestamp"]
        yield from moments(field, "Timestamp", raw, local=from_ole(round(raw * 86400) / 86400))

    return Derived("acquisition-time", read, cite=f"{_MANUAL}: days since 1899-12-30; no zone is stated")


def _rule(field: str, key: str, unit: str = "", read: Any = None, when: Any = None) -> Rule:
    return Rule(field, key, unit, read, when=when, cite=_MANUAL)


TABLE: Table = (
    _rule("beam.acceleration_voltage", "HT", "V", _above_zero),
    _rule("beam.spot_index", "Spot index", "1", _above_zero),
    _rule("optics.magnification", "Magnification", "1", _above_zero, _takes_pictures),
    _rule("optics.camera_length", "Camera length", "m", _above_zero, _diffracts),
    _rule("optics.defocus", "Defocus", "m", when=lambda tree: _takes_pictures(tree) and _is_still("Defocus")(tree)),
    _rule("optics.energy_filter_slit", "Slit width", "eV", _above_zero, _slit_is_in),
    _rule("optics.field_of_view_x", "Full scan FOV X", "m", _above_zero, _scans),
    _rule("optics.field_of_view_y", "Full scan FOV Y", "m", _above_zero, _scans),
    _rule("camera.exposure", "Integration time", "s", _above_zero, _takes_pictures),
    _rule("scan.dwell_time", "Dwell time", "s", _above_zero, _scans),
    _rule("scan.frame_time", "Frame time", "s", _above_zero, _scans),
    _rule("detector.name", "STEM Detector name", when=_scans),
    *(_rule(f"stage.{axis.lower()}", f"{axis}-Stage", "m", when=_is_still(f"{axis}-Stage")) for axis in "XYZ"),
    *(
        _rule(f"stage.{name}", key, "deg", when=lambda tree, key=key: _in_degrees(tree) and _is_still(key)(tree))
        for name, key in (("alpha", "Alpha tilt"), ("beta", "Beta tilt"))
    ),
    _rule("image.pixel_size_x", "Pixel size X", "m", _above_zero, _images),
    _rule("image.pixel_size_y", "Pixel size Y", "m", _above_zero, _images),
    _rule("instrument.model", "Microscope type"),
    _rule("instrument.serial", "D-Number"),
    Derived("software", _software, cite=_MANUAL),
    Derived("mode", _mode, cite=f"{_MANUAL}: 1 is TEM, 2 STEM; 1 is diffraction, 2 imaging"),
    Derived("camera", _camera, cite=_MANUAL),
    _time("time.acquired_start"),
)

LAST: Table = (_time("time.acquired_end"),)
