"""Values of HyperSpy's metadata tree, in the units that HyperSpy documents or that a leaf beside them names.

Source of the units: HyperSpy, ``reference/metadata.rst``; eXSpy, ``metadata_structure.rst``. Where a reader of
RosettaSciIO is known to give another unit (`BENT`), that one counts, or the value is left to the vendor's own tree.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any

from diadem.hooks.fields import Derived, Found, Table, Tree, look_up
from diadem.plugins.hyperspy.moments import acquired
from diadem.terms.crosswalk import Leaf, read_below_instrument

_DOCUMENTED = "HyperSpy reference, metadata structure; eXSpy user guide, metadata structure"


_STAGE = ("Stage/x", "Stage/y", "Stage/z", "Stage/tilt", "Stage/rotation", "Stage/tilt_alpha", "Stage/tilt_beta")
#: What readers of RosettaSciIO give in another unit than documented; "" is not to be had from them.
BENT: Mapping[str, Mapping[str, str]] = {
    # Metres, rounded to a micrometre; the model's class alone.
    "emd": {"Stage/x": "m", "Stage/y": "m", "Stage/z": "m", "microscope": ""},
    "fei": {"Stage/x": "m", "Stage/y": "m", "Stage/z": "m", "Stage/tilt": "rad", "Stage/rotation": "rad"},
    # A text, and the serial number.
    "zeiss": {"magnification": "", "microscope": ""},
    # Of several vendors, in millimetres or metres, degrees or radians.
    "tiff": {**dict.fromkeys(_STAGE, ""), "magnification": "", "microscope": ""},
    "blockfile": {"camera_length": "m"},
    "pantarhei": {"camera_length": "m"},
    "tvips": {**dict.fromkeys(_STAGE, ""), "beam_current": "", "magnification": ""},
    "phenom": {**dict.fromkeys(_STAGE, ""), "microscope": ""},
    "mrcz": {**dict.fromkeys(_STAGE, ""), "camera_length": ""},
    # Milliseconds, as the standard has them.
    "msa": {"Detector/EELS/exposure": "ms", "Detector/EELS/dwell_time": "ms"},
    "edax": {"Stage/tilt_alpha": ""},
}
#: Further values that a reader takes from the vendor's tree, which says them better, or does not say them at all.
_MAPPED: Mapping[str, tuple[str, ...]] = {
    "digitalmicrograph": (
        "beam_current",  # the probe's, as the vendor's tag says
        *("microscope", "acquisition_mode", "magnification", "camera_length", "dwell_time", "Detector/Camera/exposure"),
        *("Detector/EELS/exposure", "Detector/EELS/dwell_time", "Detector/EELS/spectrometer"),
        *("Detector/EDS/live_time", "Detector/EDS/real_time"),
    ),
    "tia": ("microscope", "acquisition_mode", "Detector/Camera/exposure", "dwell_time"),
    "emd": ("microscope", "acquisition_mode", "Stage/tilt_alpha", "Stage/tilt_beta", "Stage/tilt"),
    "fei": ("microscope",),
    "pantarhei": ("acquisition_mode",),
    "msa": ("beam_current",),  # the keyword says that it is the probe's
    "zeiss": ("beam_current",),
}
#: Values that are zero where nobody measured; an azimuth may be zero.
_MAY_BE_ZERO = frozenset({"Detector/EDS/azimuth_angle"})
#: Values that eXSpy's classes put into every spectrum; what a program has from a file is seldom just that.
_SUPPOSED = frozenset({"Detector/EDS/energy_resolution_MnKa"})
_TECHNIQUES = (("EDS", "EDS"), ("EELS", "EELS"), ("CL", "CL"), ("EBSD", "EBSD"), ("hologram", "holography"))
_QUANTITIES_OF_DATA = (("count", "counts"), ("electron", "electrons"), ("intensity", "intensity"))


def _instrument(tree: Tree) -> tuple[str, Mapping[str, Any]]:
    """The group of the instrument: of several the one that knows the beam, else the fullest."""
    places = [f"{top}{kind}" for top in _TOPS for kind in ("TEM", "SEM", "FIB")]
    found = [(place, group) for place in places if isinstance(group := look_up(tree, place), Mapping) and group]
    if not found:
        return "", {}
    return max(found, key=lambda one: ("beam_energy" in one[1], len(one[1])))


#: Where the instrument is; in HyperSpy before 0.7 at the top.
_TOPS = (
    "metadata/Acquisition_instrument/",
    "metadata/",
    "mapped_parameters/Acquisition_instrument/",
    "mapped_parameters/",
)


def _left_to_vendor(tree: Tree) -> Container[str]:
    """Paths that the vendor's own tree says better."""
    reader = str(tree.get("read by", ""))
    return {*BENT.get(reader, ()), *_MAPPED.get(reader, ())} if tree.get("vendor's own") else ()


def _leaves(tree: Tree) -> Iterator[tuple[str, Leaf, Any, str, str]]:
    """What the instrument's group says: path below it, leaf, value, whole key, unit; "" where that is not to be had."""
    place, instrument = _instrument(tree)
    bent, left = BENT.get(str(tree.get("read by", "")), {}), _left_to_vendor(tree)
    kind = "TEM" if place.endswith("TEM") else "SEM"
    for leaf in read_below_instrument():
        path = leaf.path_below(kind).replace(".", "/")
        raw = look_up(instrument, path) if path and path not in left else None
        if raw is not None:
            yield path, leaf, raw, f"{place}/{path}", bent.get(path, leaf.unit)


def _quantities(tree: Tree) -> Iterator[Found]:
    """Numbers of the instrument, without those that DIADEM has marked as mere suppositions of a signal's class."""
    instrument = _instrument(tree)[1]
    marked = look_up(tree, "metadata/General/diadem/assumed")
    supposed = {str(one).partition(":")[0] for one in marked} if isinstance(marked, (list, tuple)) else set()
    for path, leaf, value, key, documented in _leaves(tree):
        written = look_up(instrument, f"{path}_units")
        unit = written if isinstance(written, str) and written else documented
        if key.removeprefix("metadata/").replace("/", ".") in supposed:
            continue
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not unit or not leaf.field.unit:
            continue
        if value == 0 and (path not in _MAY_BE_ZERO or not look_up(instrument, "Detector/EDS/elevation_angle")):
            continue
        assumed = leaf.place.default is not None and value == leaf.place.default
        if assumed and path in _SUPPOSED:
            continue
        yield Found(leaf.field.key, float(value), key, value, unit, "assumed" if assumed else "")


def _texts(tree: Tree) -> Iterator[Found]:
    """Names and modes of the instrument."""
    bent = BENT.get(str(tree.get("read by", "")), {})
    for path, leaf, raw, key, _ in _leaves(tree):
        if isinstance(raw, str) and not leaf.field.unit and path not in bent:
            yield Found(leaf.field.key, raw, key, raw)


def _first(tree: Tree, *paths: str) -> tuple[str, Any]:
    """The first of several places that has something."""
    for path in paths:
        for top in ("metadata", "mapped_parameters"):
            raw = look_up(tree, f"{top}/{path}")
            if raw is not None:
                return f"{top}/{path}", raw
    return "", None


def _people_and_samples(tree: Tree) -> Iterator[Found]:
    """Who, and what."""
    for field, paths in (
        ("person.operator", ("General/authors", "authors")),
        ("sample.name", ("Sample/name", "Sample/description")),
    ):
        key, raw = _first(tree, *paths)
        if isinstance(raw, str):
            yield Found(field, raw, key, raw)
    key, raw = _first(tree, "Sample/elements")
    if isinstance(raw, list) and raw:
        yield Found("sample.elements", list(dict.fromkeys(map(str, raw))), key, str(raw))
    key, raw = _first(tree, "Sample/thickness")
    unit = _first(tree, "Sample/thickness_units")[1] or {"msa": "nm"}.get(str(tree.get("read by")), "m")
    if isinstance(raw, (int, float)) and (unit != "m" or raw < 1e-3):  # thicker than a millimetre is another unit
        yield Found("sample.thickness", float(raw), key, raw, str(unit))


def _meaning(raw: Any, meanings: tuple[tuple[str, str], ...]) -> str | None:
    return next((meaning for word, meaning in meanings if word.lower() in str(raw).lower()), None)


def _signal(tree: Tree) -> Iterator[Found]:
    """What kind of signal HyperSpy takes it for."""
    key, raw = _first(tree, "Signal/signal_type", "signal_type", "signal")
    kind = str(raw)
    for beginning, technique in _TECHNIQUES:
        if kind == beginning or kind.startswith(f"{beginning}_"):
            yield Found("signal.technique", technique, key, raw, status="derived")
            break
    key, raw = _first(tree, "Signal/quantity")
    if not tree.get("vendor's own") and (meaning := _meaning(raw or "", _QUANTITIES_OF_DATA)):
        yield Found("signal.quantity", meaning, key, raw, status="derived")


def _acquired(tree: Tree) -> Iterator[Found]:
    """Date and time, in their own group or, in HyperSpy before 0.7, at the top."""
    if tree.get("vendor's own"):
        return
    for general in ("metadata/General", "mapped_parameters/General", "mapped_parameters"):
        found = list(acquired(tree, general))
        yield from found
        if found:
            return


SIGNAL: Table = (
    Derived("instrument", _quantities, _DOCUMENTED),
    Derived("names", _texts, _DOCUMENTED),
    Derived("people-and-samples", _people_and_samples, _DOCUMENTED),
    Derived("kind-of-signal", _signal, _DOCUMENTED),
    Derived("acquisition-time", _acquired, _DOCUMENTED),
)
