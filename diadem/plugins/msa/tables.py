"""What keywords of EMSA/MAS files mean, where several of them say it together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from diadem.hooks.fields import AMBIGUOUS, Found, Tree
from diadem.hooks.times import moments
from diadem.terms.dates import clock, dates, moments_of
from diadem.terms.matter import symbols_of

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


def measured(raw: Any) -> float | None:
    """A number above zero."""
    value = number(raw)
    return value if value > 0 else None


def _unit(tree: Tree, key: str, usual: str) -> str:
    return str(tree.get("units", {}).get(key, usual))


def technique(raw: Any) -> str | None:
    """What SIGNALTYPE means, also as HyperSpy writes it (``EDS_SEM``); None for what is no technique of ours."""
    return _TECHNIQUES.get(str(raw).strip().upper().partition("_")[0])


def _signal(tree: Tree) -> str | None:
    """The technique; "" where none is named."""
    return technique(tree["SIGNALTYPE"]) if tree.get("SIGNALTYPE") else ""


def is_x_ray(tree: Tree) -> bool:
    """Whether it is, or may be, a spectrum of X-rays."""
    return _signal(tree) in ("EDS", "WDS", "")


def is_loss(tree: Tree) -> bool:
    """Whether it is, or may be, a spectrum of energy losses."""
    return _signal(tree) in ("EELS", "")


def magnification(tree: Tree) -> Iterator[Found]:
    """MAGCAM is the magnification, or in diffraction the camera length in mm; spectra of X-rays have no camera."""
    meaning = _MODES.get(str(tree.get("OPERMODE", "")).strip().upper())
    raw = tree["MAGCAM"]
    if meaning == "camera length":
        yield Found("optics.camera_length", number(raw), "MAGCAM", raw, _unit(tree, "MAGCAM", "mm"))
    elif meaning == "magnification" or (not tree.get("OPERMODE") and _signal(tree) in ("EDS", "WDS", "CL")):
        yield Found("optics.magnification", number(raw), "MAGCAM", raw, status="stated" if meaning else "assumed")


def position(tree: Tree) -> Iterator[Found]:
    """XPOSITION … have no unit in the standard; programs that know the stage write one. Three zeros are no position."""
    keys = [key for key in ("XPOSITION", "YPOSITION", "ZPOSITION") if key in tree and _unit(tree, key, "")]
    values = [number(tree[key]) for key in keys]
    if any(values):
        for key, value in zip(keys, values, strict=True):
            yield Found(f"stage.{key[0].lower()}", value, key, tree[key], _unit(tree, key, ""))


def acquired(tree: Tree) -> Iterator[Found]:
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
    numbers = [int(part) for part in str(raw).replace(";", ",").split(",") if part.strip()]
    symbols = symbols_of(numbers, last=100)
    if numbers and not symbols:
        raise ValueError(raw)
    return symbols


def dispersion(tree: Tree) -> Iterator[Found]:
    """XPERCHAN of a loss spectrum, whose unit may stand in brackets."""
    units = re.search(r"\b(k?eV)\b", str(tree.get("XUNITS", "")), re.IGNORECASE)
    if _signal(tree) == "EELS" and units is not None:
        unit = "keV" if units[1].lower() == "kev" else "eV"
        yield Found("eels.dispersion", abs(number(tree["XPERCHAN"])), "XPERCHAN", tree["XPERCHAN"], unit)
