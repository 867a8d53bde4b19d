"""Checks that judge data where somebody asks for it: saturation, truncation, missing calibration."""

from __future__ import annotations

from collections.abc import Iterable

from diadem.hooks.offers import CheckOffer
from diadem.hooks.specs import hookimpl


@hookimpl
def diadem_checks() -> Iterable[CheckOffer]:
    """One offer for each thing that can be told without guessing."""
    for name in ("saturation", "truncation", "calibration"):
        yield CheckOffer(name=name, formats=("*",), check=f"diadem.plugins.quality.checks:{name}", when="assess")
