"""Values of a Velox document that need more than one of its keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from diadem.hooks.fields import Found, Tree, look_up
from diadem.terms.matter import symbols_of

#: Microscopes that Velox runs on; all are transmission microscopes.
_CLASSES: Final = frozenset(
    {"titan", "talos", "tecnai", "spectra", "themis", "krios", "glacios", "osiris", "arctica", "metrios", "iliad"}
)
#: `Optics.OperatingMode`.
_MODES: Final = {"1": "TEM", "2": "STEM"}


def model(tree: Tree) -> Iterator[Found]:
    """Class and model of the microscope; older files have the class alone."""
    class_, model_ = (str(look_up(tree, f"Instrument/{key}") or "") for key in ("InstrumentClass", "InstrumentModel"))
    if class_ and model_:
        key = "Instrument/InstrumentClass + Instrument/InstrumentModel"
        yield Found("instrument.model", f"{class_} {model_}", key, f"{class_}, {model_}", status="derived")
    elif class_ or model_:
        key = "Instrument/InstrumentClass" if class_ else "Instrument/InstrumentModel"
        yield Found("instrument.model", class_ or model_, key, class_ or model_)


def kind(tree: Tree) -> Iterator[Found]:
    """The kind of instrument, from its class."""
    raw = str(look_up(tree, "Instrument/InstrumentClass"))
    if raw.lower() in _CLASSES:
        yield Found("instrument.kind", "tem", "Instrument/InstrumentClass", raw, status="derived")


def mode(tree: Tree) -> Iterator[Found]:
    """Whether the beam was scanned."""
    raw = look_up(tree, "Optics/OperatingMode")
    if str(raw) in _MODES:
        yield Found("beam.mode", _MODES[str(raw)], "Optics/OperatingMode", raw, status="derived")


def field_of_view(tree: Tree) -> Iterator[Found]:
    """Width and height of the image: of the whole scan, less where only a part of it was scanned."""
    if not float(look_up(tree, "Scan/ScanSize/width") or 0):
        return
    for axis, direction, sides in (("x", "x", ("left", "right")), ("y", "y", ("top", "bottom"))):
        key = f"Optics/FullScanFieldOfView/{axis}"
        whole = float(look_up(tree, key))
        near, far = (float(look_up(tree, f"Scan/ScanArea/{side}")) for side in sides)
        if not 0 <= near < far <= 1:
            continue
        field = f"optics.field_of_view_{direction}"
        if (near, far) == (0.0, 1.0):
            yield Found(field, whole, key, look_up(tree, key), "m")
        else:
            value = whole * (far - near)
            yield Found(field, value, f"{key} + Scan/ScanArea", f"{whole}, {near} to {far}", "m", status="derived")


def pixel_sizes(tree: Tree) -> Iterator[Found]:
    """Size of a pixel, in real or in reciprocal space."""
    for axis, side in (("x", "width"), ("y", "height")):
        unit = look_up(tree, f"BinaryResult/PixelUnit{axis.upper()}")
        key = f"BinaryResult/PixelSize/{side}"
        raw = look_up(tree, key)
        field = {"m": "image.pixel_size", "1/m": "image.reciprocal_pixel_size"}.get(str(unit))
        if field is not None and raw is not None:
            yield Found(f"{field}_{axis}", abs(float(raw)), key, raw, str(unit))


def frames(tree: Tree) -> Iterator[Found]:
    """Frames that were added up."""
    number = count(tree)
    if number:
        key = "SpectrumImageSettings/endFramePosition"
        yield Found("scan.frames", number, key, look_up(tree, key), "1")


def count(tree: Tree) -> int:
    """Number of frames of a spectrum image; 0 where it is not told. Newer files say where they begin."""
    end = int(look_up(tree, "SpectrumImageSettings/endFramePosition") or 0)
    return end - int(look_up(tree, "SpectrumImageSettings/startFramePosition") or 1) + 1


def elements(tree: Tree) -> Iterator[Found]:
    """Elements selected for the quantification of spectra."""
    for group in ("SharedProperties/EDSSpectrumQuantificationSettings", "Operations/ImageQuantificationOperation"):
        found = look_up(tree, group)
        for key, content in found.items() if isinstance(found, Mapping) else ():
            chosen = content.get("elementSelection") if isinstance(content, Mapping) else None
            symbols = _symbols(chosen)
            if symbols:
                yield Found("sample.elements", symbols, f"{group}/{key}/elementSelection", str(chosen))


def _symbols(numbers: Any) -> list[str]:
    """Symbols of atomic numbers, each once; none where one of them is no element."""
    if not isinstance(numbers, Sequence) or isinstance(numbers, (str, bytes)):
        return []
    return symbols_of(map(int, numbers))


def program(tree: Tree) -> Iterator[Found]:
    """Name and version of the program that wrote the file."""
    name, version = look_up(tree, "Version/format"), look_up(tree, "Info/applicationVersion")
    if name and version:
        key = "Version/format + Info/applicationVersion"
        yield Found("instrument.software", f"{name} {version}", key, f"{name}, {version}", status="derived")
