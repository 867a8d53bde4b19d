"""From an extraction to the few things that a person wants to know, and back from the cache."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from diadem.extract.extraction import Extraction
from diadem.model.scan import Concern, Facts

#: Unit of an axis to the fact that its step is.
_STEPS = {"m": "pixel_size", "1/m": "reciprocal_pixel_size", "eV": "energy_step"}
_TEXTS = {
    "acquired": "time.acquired_start",
    "mode": "beam.mode",
    "detector": "detector.name",
    "sample": "sample.name",
    "operator": "person.operator",
}
_NUMBERS = {"voltage": "beam.acceleration_voltage", "magnification": "optics.magnification"}
#: Longest text that is kept of a value: a table is no place for essays.
_MAX_TEXT = 200

#: Issues that say nothing of the file but of this run: not kept for the next one.
PASSING = frozenset({"unreadable", "vanished", "worker-lost", "reader-timeout", "reader-crashed", "reader-missing"})
#: Issues by the attention they deserve; any other makes a dataset without a signal unreadable, and is else a note.
_CONCERNS = {
    "unreadable": Concern.UNSEEN,
    "vanished": Concern.UNSEEN,
    "worker-lost": Concern.UNSEEN,
    "missing-part": Concern.INCOMPLETE,
    "side-file-alone": Concern.INCOMPLETE,
    "reader-missing": Concern.NOTE,
    "truncated": Concern.UNREADABLE,
    "odd-header": Concern.UNREADABLE,
    "empty": Concern.UNREADABLE,
    "wrong-type": Concern.UNREADABLE,
}


def facts_of(extraction: Extraction) -> Facts:
    """What a person wants to know of a dataset.

    Parameters
    ----------
    extraction : Extraction
        What the readers found. Where several detectors or signals state a field, the value of the largest signal is
        taken, else the preferred one.
    """
    if not extraction.signals and not extraction.fields:
        return _bare(sys.intern(extraction.format))
    signal = max(extraction.signals, key=lambda found: math.prod(found["shape"]), default=None)
    id_ = str(signal["id"]) if signal else ""
    texts = {name: _text(_value(extraction, key, id_)) for name, key in _TEXTS.items()}
    numbers = {name: _number(_value(extraction, key, id_)) for name, key in _NUMBERS.items()}
    return Facts(
        format=sys.intern(extraction.format),
        instrument=_instrument(extraction, id_),
        signals=len(extraction.signals),
        **{**texts, **numbers, **(_shaped(signal) if signal else {})},
    )


@lru_cache(maxsize=256)
def _bare(format_: str) -> Facts:
    """Facts of a file of which nothing but the format is known: one object for all of them."""
    return Facts(format=format_)


def _shaped(signal: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": _text(signal.get("kind")), "shape": tuple(signal["shape"]), **_steps(signal)}


def _value(extraction: Extraction, key: str, signal: str) -> Any:
    """The value of a field for a signal: the preferred assertion about it, else any preferred, else the first."""
    stated: Sequence[Mapping[str, Any]] = extraction.fields.get(key, ())
    ranked = sorted(
        stated,
        key=lambda item: (signal not in (item.get("applies_to") or [signal]), not item.get("preferred")),
    )
    return ranked[0]["value"] if ranked else None


def _instrument(extraction: Extraction, signal: str) -> str:
    """Maker and model, the maker once; else the instrument's own name."""
    vendor, model, name = (
        _text(_value(extraction, f"instrument.{key}", signal)) for key in ("vendor", "model", "name")
    )
    if not model:
        return name or vendor
    return model if not vendor or vendor.casefold() in model.casefold() else _text(f"{vendor} {model}")


def _steps(signal: Mapping[str, Any]) -> dict[str, float]:
    """The first step in each unit that the table has."""
    found: dict[str, float] = {}
    for axis in signal.get("axes", ()):
        name, scale = _STEPS.get(axis.get("unit") or ""), _number(axis.get("scale"))
        if name and scale:
            found.setdefault(name, abs(scale))
    return found


def _text(value: Any) -> str:
    """A value in one line; texts that come often are kept once."""
    line = " ".join(without_surrogates(str("" if value is None else value)).split())
    return sys.intern(line if len(line) <= _MAX_TEXT else line[: _MAX_TEXT - 1] + "…")


def without_surrogates(text: str) -> str:
    r"""A text without surrogates, which no file can hold: bytes that are no UTF-8 are written ``\xff``."""
    if text.isascii():
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()


def _number(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def concern_of(code: str, facts: Facts) -> Concern:
    """What attention an issue of a dataset deserves."""
    return _CONCERNS.get(code) or (Concern.NOTE if facts.signals else Concern.UNREADABLE)


#: Code, message and next step of an issue.
Said = tuple[str, str, str]


def to_cache(facts: Facts, issues: Sequence[Said]) -> bytes:
    """What is kept of a dataset for the next scan."""
    stated = {key: value for key, value in asdict(facts).items() if value not in ("", None, 0, ())}
    return json.dumps([stated, issues], separators=(",", ":")).encode("ascii")


def from_cache(content: bytes) -> tuple[Facts, list[Said]] | None:
    """What was kept; None where it cannot be understood."""
    try:
        stated, issues = json.loads(content)
        known: dict[str, Any] = {
            key: sys.intern(value) if isinstance(value, str) else value for key, value in stated.items()
        }
        known["shape"] = tuple(known.get("shape", ()))
        return Facts(**known), [(str(code), str(message), str(then)) for code, message, then in issues]
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
