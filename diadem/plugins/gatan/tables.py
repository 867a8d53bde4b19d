"""Tables for the tags of DigitalMicrograph's images. Units stand in the tags' names, or are cited."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree, look_up
from diadem.plugins.gatan import optics, tecnai, times
from diadem.plugins.gatan.files import STACKED

_NAMED = "the unit is in the tag's name"
_DIGISCAN = "Gatan's DigiScan commands: DSGetPixelTime and DSGetFlyBackTime in microseconds, DSGetRotation in degrees"
_STAGE = "DigitalMicrograph's EMGetStageX in micrometres, EMGetStageAlpha in degrees"
_VOLTAGE = "'Formatted Voltage' beside it: 200000 and '200kV' in EELS_SI.dm4"
_CAMERA = (
    "EELS_SI.dm4: 550 beside the name '…-CL550mm-…'; in test_diffraction_pattern.dm3 320 mm as the reader's tests say"
)
_FILETIME = "a FILETIME: whole quarters of an hour beside the local text in 8 files; the epoch in milliseconds likewise"
_EDS = "live and real time of one pixel are its 'Pixel time (s)' in Titan_EDS_SI_dataZeroed.dm4"

#: Texts that a facility puts where nobody is to write.
_FORBIDDEN = "do not "
#: A sum of two exposures is longer than one of them by more than rounding.
_IN_TURNS = 1.02
_PLUG_IN = re.compile(r"\b(COM|plug-?in|driver|simulat\w+)\s*\Z", re.IGNORECASE)
#: `Calibrations/Brightness/Units` to the record's word.
_QUANTITIES = {"e-": "electrons", "counts": "counts"}


def _text(value: Any) -> str | None:
    """A text that somebody has written."""
    return value.strip() if isinstance(value, str) and not value.strip().lower().startswith(_FORBIDDEN) else None


def _model(value: Any) -> str | None:
    """A microscope, not what DigitalMicrograph talks to it with: its plug-ins are called ``JEOL COM``."""
    text = _text(value)
    return None if text is None or _PLUG_IN.search(text) else text


def _square(value: Any) -> int | None:
    """Binning, where it is the same in both directions."""
    across, down = value
    return int(across) if across == down else None


def _millimetres(value: Any) -> float:
    """The number of a label such as ``5 mm`` or ``2.5mm``."""
    return float(str(value).lower().removesuffix("mm").strip())


def _version(value: Any) -> str | None:
    """Name of the program with its version."""
    return f"GMS {value.strip()}" if isinstance(value, str) and value.strip() else None


def _quantity(value: Any) -> str | None:
    return _QUANTITIES.get(str(value).strip().lower())


def _first(base: str, field: str, keys: Sequence[str], tree: Tree, *, read: Callable[[Any], Any]) -> Iterator[Found]:
    """The first of several tags that states a field; numbers in its unit, zero and empty texts passed over."""
    for key in keys:
        raw = look_up(tree, f"{base}/{key}")
        value = read(raw) if raw is not None else None
        if value:
            yield Found(field, value, f"{base}/{key}", raw, _unit(key))
            return


def _exposure(keys: Sequence[str], base: str, tree: Tree) -> Iterator[Found]:
    """Of two spectra that are taken in turns each has its own; the tags of the camera have the sum."""
    own = look_up(tree, f"{base}/EELS/Acquisition/Exposure (s)")
    for found in _first(base, "camera.exposure", keys, tree, read=float):
        if own and found.value > _IN_TURNS * float(own):
            keys = ("EELS/Acquisition/Exposure (s)",)
        yield from _first(base, "camera.exposure", keys, tree, read=float)


def _unit(key: str) -> str:
    """The unit that a tag's name ends with: ``Exposure (s)``."""
    return key.rpartition("(")[2].rstrip(")") if key.endswith(")") else ""


def _emission(base: str, tree: Tree) -> Iterator[Found]:
    """Emission current; its micro sign is one of two characters, and another one on a PC with another code page."""
    info = look_up(tree, f"{base}/Microscope Info") or {}
    for key, value in info.items():
        if key.startswith("Emission Current (") and key.endswith("A)"):
            yield Found("beam.emission_current", value, f"{base}/Microscope Info/{key}", value, "uA")


def _placed(base: str, tree: Tree) -> bool:
    """Whether a position was read: one of exactly zero in all axes is none."""
    return any((look_up(tree, f"{base}/Microscope Info/Stage Position") or {}).values())


def _measured(base: str, tree: Tree) -> bool:
    """Whether live and real time are those of one spectrum: in a spectrum image they are what was set last."""
    live, real = (look_up(tree, f"{base}/EDS/{key} time") for key in ("Live", "Real"))
    return look_up(tree, f"{base}/EDS/Images") is None and 0 < float(live) <= 1.001 * float(real)


def _inserted(spectrometer: str, tree: Tree) -> bool:
    """Whether the slit of the energy filter is in the beam."""
    return bool(look_up(tree, f"{spectrometer}/Slit inserted"))


def _stepped(base: str, tree: Tree) -> bool:
    """Whether a spectrum image was made, place by place."""
    return bool(look_up(tree, f"{base}/SI/Acquisition/Pixel time (s)"))


def _set_up(base: str, tree: Tree) -> bool:
    """Whether the scan generator tells how it was set: many spectrum images have a part of its tags only."""
    return look_up(tree, f"{base}/DigiScan/Sample Time") is not None


def _scanned(base: str, tree: Tree) -> bool:
    """Whether the scan generator has made the image; beside a spectrum image its times are those set before."""
    return _set_up(base, tree) and not _stepped(base, tree)


def _derived(name: str, base: str, read: Callable[[str, Tree], Iterable[Found]], cite: str = "") -> Derived:
    return Derived(name, partial(read, base), cite)


def _one_of(base: str, field: str, *keys: str, read: Callable[[Any], Any] = _text, cite: str = "") -> Derived:
    return Derived(field, partial(_first, base, field, keys, read=read), cite)


def rules(base: str) -> Table:
    """The table for tags at a place of an image's tree.

    Parameters
    ----------
    base : str
        ``ImageTags``, or where StackBuilder has put those of the images of a stack.
    """
    info = f"{base}/Microscope Info"
    return (
        _derived("voltage", base, optics.voltage, _VOLTAGE),
        _derived("magnification", base, optics.magnification, _CAMERA),
        _derived("mode", base, optics.modes),
        _derived("emission", base, _emission, _NAMED),
        Rule("beam.probe_current", f"{info}/Probe Current (nA)", "nA", cite=_NAMED),
        *_stage(base),
        *_people(base),
        *_detectors(base),
        *_scan(base),
        *_spectra(base),
        _derived("acquired", base, times.acquired, _FILETIME),
        _derived("tecnai", base, tecnai.described, "units stand in the text"),
    )


def _stage(base: str) -> Table:
    stage = f"{base}/Microscope Info/Stage Position/Stage"
    placed = partial(_placed, base)
    axes = (("x", "X", "um"), ("y", "Y", "um"), ("z", "Z", "um"), ("alpha", "Alpha", "deg"), ("beta", "Beta", "deg"))
    return tuple(
        Rule(f"stage.{field}", f"{stage} {name}", unit, when=placed, cite=_STAGE) for field, name, unit in axes
    )


def _people(base: str) -> Table:
    session, info = "Session Info", "Microscope Info"
    return (
        _one_of(base, "instrument.model", f"{session}/Microscope", f"{info}/Microscope", f"{info}/Name", read=_model),
        _one_of(base, "instrument.vendor", f"{info}/Type/Vendor"),
        _one_of(base, "instrument.site", f"{session}/Facility", f"{info}/Facility"),
        _one_of(base, "instrument.software", "GMS Version/Created", read=_version),
        _one_of(base, "person.operator", f"{session}/Operator", f"{info}/Operator"),
        _one_of(base, "sample.name", f"{session}/Specimen", f"{info}/Specimen"),
    )


def _detectors(base: str) -> Table:
    high = "Acquisition/Parameters/High Level"
    exposures = (
        "DataBar/Exposure Time (s)",
        f"{high}/Exposure (s)",
        "Acquisition/Parameters/Detector/exposure (s)",
        "EELS/Acquisition/Exposure (s)",
        "CL/Acquisition/Exposure (s)",
        "Acquisition/Frame/Sequence/Exposure Time (ns)",
    )
    return (
        _one_of(base, "detector.name", "Acquisition/Device/Name", "DataBar/Device Name"),
        _one_of(base, "detector.name", "DataBar/Signal Name"),
        _derived("exposure", base, partial(_exposure, exposures), cite=_NAMED),
        Rule("camera.binning", f"{base}/{high}/Binning", read=_square),
        Rule("signal.quantity", "ImageData/Calibrations/Brightness/Units", read=_quantity),
    )


def _scan(base: str) -> Table:
    scan, scanned, set_up = f"{base}/DigiScan", partial(_scanned, base), partial(_set_up, base)
    return (
        Rule("scan.dwell_time", f"{scan}/Sample Time", "us", when=scanned, cite=_DIGISCAN),
        Rule("scan.dwell_time", f"{base}/SI/Acquisition/Pixel time (s)", "s", cite=_NAMED),
        Rule("scan.dwell_time", f"{base}/CL/Acquisition/Dwell time (s)", "s", cite=_NAMED),
        Rule("scan.flyback_time", f"{scan}/Flyback", "us", when=scanned, cite=_DIGISCAN),
        Rule("scan.rotation", f"{scan}/Rotation", "deg", when=set_up, cite=_DIGISCAN),
    )


def _spectra(base: str) -> Table:
    conditions, detector = f"{base}/EELS/Experimental Conditions", f"{base}/EDS/Detector Info"
    measured = partial(_measured, base)
    return (
        Rule(
            "beam.convergence_semi_angle", f"{conditions}/Convergence semi-angle (mrad)", "mrad", drop=(0,), cite=_NAMED
        ),
        Rule("eels.collection_semi_angle", f"{conditions}/Collection semi-angle (mrad)", "mrad", cite=_NAMED),
        *_spectrometer(f"{base}/EELS Spectrometer"),
        *_spectrometer(f"{base}/EELS/Acquisition/Spectrometer"),
        Rule("eds.live_time", f"{base}/EDS/Live time", "s", when=measured, cite=_EDS),
        Rule("eds.real_time", f"{base}/EDS/Real time", "s", when=measured, cite=_EDS),
        Rule("detector.azimuth", f"{detector}/Azimuthal angle", "deg", cite="45 beside an elevation of 40"),
        Rule("detector.elevation", f"{detector}/Elevation angle", "deg", cite="40 in Titan_EDS_SI_dataZeroed.dm4"),
        Rule("detector.type", f"{detector}/Detector type", read=_text),
    )


def _spectrometer(place: str) -> Table:
    inserted = partial(_inserted, place)
    return (
        Rule("eels.dispersion", f"{place}/Dispersion (eV/ch)", "eV", cite="the scale of the energy axis"),
        Rule("eels.aperture", f"{place}/Aperture label", "mm", read=_millimetres, cite="the unit is in the text"),
        Rule("optics.energy_filter_slit", f"{place}/Slit width (eV)", "eV", when=inserted, cite=_NAMED),
    )


IMAGE: Table = rules("ImageTags")
#: Tags of the images of a stack go before those of the stack, which StackBuilder makes itself.
STACK: Table = (*rules(STACKED), *IMAGE)
