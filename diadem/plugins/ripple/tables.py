"""Keys of Ripple files and their units."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree
from diadem.hooks.times import moments
from diadem.terms.dates import moments_of

_LISPIX = "Lispix, ripple file format: the unit stands in the key"
_HYPERSPY = "RosettaSciIO, ripple: keys of HyperSpy's metadata tree, in its documented units"
_TECHNIQUES = {"EDS": "EDS", "EELS": "EELS", "CL": "CL"}
#: What HyperSpy fills in for a spectrum that states nothing (its preferences for EDS).
DEFAULTS = {"elevation-angle": 35.0, "azimuth-angle": 0.0, "detector-peak-width-ev": 130.0, "energy-resolution": 130.0}


def _ours(tree: Tree) -> bool:
    """Whether the keys are HyperSpy's."""
    return "written by" in tree


def _detector(field: str, key: str, unit: str, when: Callable[[Tree], bool]) -> Derived:
    """A value that may be HyperSpy's own default."""

    def read(tree: Tree) -> Iterator[Found]:
        if key in tree and when(tree):
            value = float(tree[key])
            status = "assumed" if _ours(tree) and value == DEFAULTS[key] else ""
            yield Found(field, value, key, tree[key], unit, status)

    return Derived(field, read, _HYPERSPY if when is _ours else _LISPIX)


def _has_elevation(tree: Tree) -> bool:
    """An azimuth of zero says something beside an elevation only."""
    return _ours(tree) and bool(float(tree.get("elevation-angle", 0)) or float(tree["azimuth-angle"]))


def technique(raw: Any) -> str | None:
    """From HyperSpy's type of a signal, such as ``EDS_TEM``."""
    return _TECHNIQUES.get(str(raw).partition("_")[0].upper())


def _acquired(tree: Tree) -> Iterator[Found]:
    """Date and time, as HyperSpy's metadata tree had them."""
    day, hour = str(tree.get("date", "")), str(tree.get("time", ""))
    if _ours(tree):
        yield from moments("time.acquired_start", "date + time", f"{day} {hour}", local=moments_of(day, hour))


KEYS: Table = (
    _detector("eds.resolution", "detector-peak-width-ev", "eV", lambda _: True),
    _detector("eds.resolution", "energy-resolution", "eV", _ours),
    _detector("detector.elevation", "elevation-angle", "deg", _ours),
    _detector("detector.azimuth", "azimuth-angle", "deg", _has_elevation),
    Rule("beam.acceleration_voltage", "beam-energy", "kV", float, when=_ours, cite=_HYPERSPY),
    Rule("beam.convergence_semi_angle", "convergence-angle", "mrad", float, (0.0,), _ours, cite=_HYPERSPY),
    Rule("eels.collection_semi_angle", "collection-angle", "mrad", float, when=_ours, cite=_HYPERSPY),
    Rule("eds.live_time", "live-time", "s", float, when=_ours, cite=_HYPERSPY),
    # Zero is HyperSpy's default.
    Rule("stage.alpha", "tilt-stage", "deg", float, (0.0,), _ours, cite=_HYPERSPY),
    Rule("signal.technique", "signal", read=technique, when=_ours, cite=_HYPERSPY),
    Derived("acquisition-time", _acquired, _HYPERSPY),
)
