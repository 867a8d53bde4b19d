"""Keywords of EMSA/MAS files and their units."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from diadem.hooks.fields import AMBIGUOUS, Derived, Found, Rule, Table, Tree
from diadem.hooks.times import moments
from diadem.terms.dates import clock, dates, moments_of
from diadem.terms.matter import symbols_of

_STANDARD = "ISO 22029, keywords with units; Egerton et al., EMSA Bulletin 21 (1991) 35"
_EDAX = "EDAX TEAM; the .spc file of the same spectrum has the same numbers"
#: How writers spell the standard's units.
_SPELLINGS = {"kv": "kV", "ua": "uA", "na": "nA", "mr": "mrad", "mrad": "mrad", "dg": "deg", "deg": "deg"}
_MODES = {
    **dict.fromkeys(("IMAG", "IMAGE", "SCIMG"), "magnification"),
    **dict.fromkeys(("DIFR", "DIFFR", "DIFF", "SCDIF"), "camera length"),
}
#: The standard's four, and how some writers spell them.
_TECHNIQUES = {"EDS": "EDS", "EDX": "EDS", "WDS": "WDS", "ELS": "EELS", "EELS": "EELS", "CLS": "CL", "CL": "CL"}


def number(raw: Any) -> float:
    """A number as writers put it: ``50.``, ``2.0 E-06``, ``1,5``.

    Raises
    ------
    ValueError
        There is no number, or more than one; ``1,000`` may be one or a thousand.
    """
    text = re.sub(r"\s+(?=[Ee][+-]?\d)", "", str(raw).strip())
    if re.fullmatch(r"[+-]?\d+,(\d{1,2}|\d{4,})", text):
        text = text.replace(",", ".")
    return float(text)


def _unit(tree: Tree, key: str, usual: str) -> str:
    written = str(tree.get("units", {}).get(key, usual))
    return _SPELLINGS.get(written.lower(), written)


def _measured(key: str) -> Callable[[Tree], bool]:
    """Whether a current is one: programs write -1 where nobody has measured it."""
    return lambda tree: number(tree[key]) > 0


def _quantity(
    field: str, key: str, usual: str, when: Callable[[Tree], bool] | None = None, cite: str = _STANDARD
) -> Derived:
    """A number whose unit is the standard's, unless another stands in the keyword."""

    def read(tree: Tree) -> Iterator[Found]:
        if key in tree and (when is None or when(tree)) and (unit := _unit(tree, key, usual)):
            yield Found(field, number(tree[key]), key, tree[key], unit)

    return Derived(field, read, cite)


def technique(raw: Any) -> str | None:
    """What SIGNALTYPE means, also as HyperSpy writes it (``EDS_SEM``); None for what is no technique of ours."""
    return _TECHNIQUES.get(str(raw).strip().upper().partition("_")[0])


def _signal(tree: Tree) -> str | None:
    """The technique; "" where none is named."""
    return technique(tree["SIGNALTYPE"]) if tree.get("SIGNALTYPE") else ""


def _is_x_ray(tree: Tree) -> bool:
    return _signal(tree) in ("EDS", "WDS", "")


def _is_loss(tree: Tree) -> bool:
    return _signal(tree) in ("EELS", "")


def _magnification(tree: Tree) -> Iterator[Found]:
    """MAGCAM is the magnification, or in diffraction the camera length in mm; spectra of X-rays have no camera."""
    meaning = _MODES.get(str(tree.get("OPERMODE", "")).strip().upper())
    raw = tree["MAGCAM"]
    if meaning == "camera length":
        yield Found("optics.camera_length", number(raw), "MAGCAM", raw, _unit(tree, "MAGCAM", "mm"))
    elif meaning == "magnification" or (not tree.get("OPERMODE") and _signal(tree) in ("EDS", "WDS", "CL")):
        yield Found("optics.magnification", number(raw), "MAGCAM", raw, status="stated" if meaning else "assumed")


def _position(tree: Tree) -> Iterator[Found]:
    """XPOSITION … have no unit in the standard; programs that know the stage write one. Three zeros are no position."""
    keys = [key for key in ("XPOSITION", "YPOSITION", "ZPOSITION") if key in tree and _unit(tree, key, "")]
    values = [number(tree[key]) for key in keys]
    if any(values):
        for key, value in zip(keys, values, strict=True):
            yield Found(f"stage.{key[0].lower()}", value, key, tree[key], _unit(tree, key, ""))


def _acquired(tree: Tree) -> Iterator[Found]:
    """DATE and TIME, by the clock of the computer."""
    day, hour = str(tree.get("DATE", "")), str(tree.get("TIME", ""))
    if clock(hour) is not None:
        yield from moments("time.acquired_start", "DATE + TIME", f"{day} {hour}", local=moments_of(day, hour))
        return
    possible = [found.isoformat() for found in dates(day)]
    status = AMBIGUOUS if len(possible) > 1 else "stated"
    if possible:
        yield Found("time.acquired_start", " or ".join(possible), "DATE", day, status=status, offset_status="unknown")


def elements(raw: Any) -> list[str]:
    """Symbols from atomic numbers: ``8,27,16``."""
    return symbols_of(int(part) for part in str(raw).replace(";", ",").split(",") if part.strip())


def _azimuth(tree: Tree) -> bool:
    """Zero is an azimuth where the elevation has been set, too."""
    return bool(number(tree.get("AZIMANGLE", 0)) or number(tree.get("ELEVANGLE", 0)))


def _elevation(tree: Tree) -> bool:
    return bool(number(tree.get("ELEVANGLE", 0)))


def _dispersion(tree: Tree) -> Iterator[Found]:
    """XPERCHAN of a loss spectrum, whose unit may stand in brackets."""
    units = re.search(r"\b(k?eV)\b", str(tree.get("XUNITS", "")), re.IGNORECASE)
    if _signal(tree) == "EELS" and units is not None:
        unit = "keV" if units[1].lower() == "kev" else "eV"
        yield Found("eels.dispersion", abs(number(tree["XPERCHAN"])), "XPERCHAN", tree["XPERCHAN"], unit)


HEADER: Table = (
    _quantity("beam.acceleration_voltage", "BEAMKV", "kV"),
    _quantity("beam.emission_current", "EMISSION", "uA", _measured("EMISSION")),
    _quantity("beam.probe_current", "PROBECUR", "nA", _measured("PROBECUR")),
    Derived("magnification-or-camera-length", _magnification, _STANDARD),
    _quantity("beam.convergence_semi_angle", "CONVANGLE", "mrad"),
    _quantity("eels.collection_semi_angle", "COLLANGLE", "mrad"),
    Rule("beam.mode", "OPERMODE", cite=_STANDARD),
    _quantity("sample.thickness", "THICKNESS", "nm"),
    _quantity("stage.alpha", "XTILTSTGE", "deg"),
    _quantity("stage.beta", "YTILTSTGE", "deg"),
    Derived("stage-position", _position, "units stand in the keywords (Oxford Instruments)"),
    _quantity("camera.exposure", "INTEGTIME", "ms", _is_loss),
    _quantity("scan.dwell_time", "DWELLTIME", "ms", _is_loss),
    _quantity("detector.elevation", "ELEVANGLE", "deg", _elevation),
    _quantity("detector.azimuth", "AZIMANGLE", "deg", _azimuth),
    _quantity("eds.live_time", "LIVETIME", "s", _is_x_ray),
    _quantity("eds.real_time", "REALTIME", "s", _is_x_ray),
    _quantity("eds.resolution", "FWHMMNKA", "eV", _is_x_ray),
    _quantity("eds.resolution", "RESO (MnKa)", "eV", cite=_EDAX),
    Rule("detector.type", "EDSDET", when=_is_x_ray, cite=_STANDARD),
    Rule("detector.type", "ELSDET", when=_is_loss, cite=_STANDARD),
    Rule("detector.name", "EDAX Detector", cite=_EDAX),
    Rule("sample.elements", "Elements", read=elements, cite=_EDAX),
    Rule("sample.elements", "OXINSTELEMS", read=elements, cite="Oxford Instruments: atomic numbers"),
    Rule("signal.technique", "SIGNALTYPE", read=technique, cite=_STANDARD),
    Derived("energy-dispersion", _dispersion, _STANDARD),
    Rule("person.operator", "OWNER", cite=_STANDARD),
    Derived("acquisition-time", _acquired, _STANDARD),
)
