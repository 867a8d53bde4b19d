"""Which values of HORIBA Jobin Yvon's LabSpec exports are which fields; most names have their unit in brackets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree, look_up
from diadem.hooks.times import moments
from diadem.terms.dates import moments_of

_SETUP = "experimental_setup"
_FILE = "file_information"
_TAG = "the unit stands in the name"


def _time(tree: Tree) -> Iterator[Found]:
    key = "date/Acquired"
    raw = str(look_up(tree, key))
    date, _, hour = raw.partition(" ")
    yield from moments("time.acquired_start", key, raw, local=moments_of(date, hour))


def _moved(tree: Tree) -> bool:
    """Whether a position is stated: three zeros mean that there is no motor, or that nobody asked it."""
    return any(look_up(tree, f"{_SETUP}/{axis} (µm)") for axis in "XYZ")


def _stage(axis: str) -> Rule:
    return Rule(f"stage.{axis.lower()}", f"{_SETUP}/{axis} (µm)", "um", when=_moved, cite=_TAG)


def _whole(value: Any) -> int | None:
    """A whole number; None where it is none."""
    return int(value) if float(value) == int(value) else None


TABLE: Table = (
    Rule("camera.exposure", f"{_SETUP}/Acq. time (s)", "s", cite=_TAG),
    Rule("camera.binning", f"{_SETUP}/Binning", "", _whole, cite="rows of the detector that are added up"),
    Rule("instrument.model", f"{_SETUP}/Instrument", cite="LabRAM HR Evol"),
    Rule("detector.name", f"{_SETUP}/Detector", cite="Symphony VIS"),
    Rule("sample.name", f"{_FILE}/Sample", cite="what the user has entered as sample"),
    Rule("session.project", f"{_FILE}/Project", cite="what the user has entered as project"),
    _stage("X"),
    _stage("Y"),
    _stage("Z"),
    Derived("acquisition-time", _time, cite="27.06.2022 16:26:24 can only be day.month.year; no zone is stated"),
)
