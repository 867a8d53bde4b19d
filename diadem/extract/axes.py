"""Axes of a signal in SI units, and what kind of signal they make."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from diadem.terms.units import to_si

_LONGEST_LISTED = 4096


def describe_axes(axes: Sequence[Mapping[str, Any]], shape: Sequence[int]) -> list[dict[str, Any]]:
    """Axes in the order of the array, slow to fast; their sizes are those of its shape.

    Even ones have ``scale, offset`` in ``unit``, and where the unit was converted also the file's own
    (``…_as_stored``); an uneven one has its ``values``, up to 4096 of them.
    """
    return [_axis(axis, length) for axis, length in zip(in_order(axes), shape, strict=False)]


def in_order(axes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Axes as the array has them, where every axis says where it belongs, each differently; else as they come."""
    places = [axis.get("index_in_array") for axis in axes]
    told = None not in places and len(set(places)) == len(places)
    return sorted(axes, key=lambda axis: axis["index_in_array"]) if told else list(axes)


def _axis(axis: Mapping[str, Any], length: int) -> dict[str, Any]:
    """One axis."""
    unit, factor = to_si(axis.get("units"))
    name, stored = axis.get("name"), axis.get("units")
    described: dict[str, Any] = {"name": name if isinstance(name, str) else "", "size": int(length)}
    if axis.get("axis") is not None:
        described.update(_uneven(axis["axis"], factor))
    else:
        for key in ("scale", "offset"):
            value = number(axis.get(key))
            if value is not None:
                described[key] = tidy(value * factor)
                if factor != 1.0:
                    described[f"{key}_as_stored"] = value
    if unit:
        described["unit"] = unit
    if isinstance(stored, str) and stored.strip() not in ("", "[]", "<undefined>", "undefined"):
        described["unit_as_stored"] = stored[:200]
    if isinstance(axis.get("navigate"), bool):
        described["navigate"] = axis["navigate"]
    return described


def _uneven(values: Any, factor: float) -> dict[str, Any]:
    """Positions of an uneven axis."""
    try:
        listed = [number(value) for value in values]
    except TypeError:
        return {}
    if None in listed or not listed:
        return {}
    scaled = [tidy(value * factor) for value in listed if value is not None]
    return {"values": scaled} if len(scaled) <= _LONGEST_LISTED else {}


def number(value: Any) -> float | None:
    """A finite float, or None."""
    if value is None or isinstance(value, (bool, str, bytes)):
        return None
    try:
        converted = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return converted if math.isfinite(converted) else None


def tidy(value: float) -> float:
    """Without the last digits that a change of unit makes: 2e-09, not 2.0000000000000003e-09."""
    return float(f"{value:.15g}")


def kind_of(axes: Sequence[Mapping[str, Any]], shape: Sequence[int], metadata: Mapping[str, Any]) -> str:
    """What kind of signal the axes make, of which `navigate` says which are positions of the probe.

    ``image, image_stack, spectrum, spectrum_line, spectrum_image, 4dstem, time_series, volume, array``. Old HyperSpy
    files say ``record_by`` in the metadata.
    """
    if len(axes) != len(shape) or not shape:
        return "array"
    order, outer = places_first(axes, shape, metadata)
    signal = [axes[place] for place in order[outer:]]
    if len(signal) == 1 and outer == 0:
        counts_seconds = to_si(signal[0].get("units"))[0] == "s" or str(signal[0].get("name", "")).lower() == "time"
        return "time_series" if counts_seconds else "spectrum"
    if (len(signal), outer) == (2, 1) and any(
        to_si(axis.get("units"))[0] == "eV" for axis in axes if axis not in signal
    ):
        return "spectrum_image"  # some readers call the energies positions, and the picture the signal
    table = {(1, 1): "spectrum_line", (1, 2): "spectrum_image",
             (2, 0): "image", (2, 1): "image_stack", (2, 2): "4dstem", (3, 0): "volume", (0, 2): "image"}  # fmt: skip
    return table.get((len(signal), outer), "array")


def places_first(
    axes: Sequence[Mapping[str, Any]], shape: Sequence[int], metadata: Mapping[str, Any]
) -> tuple[list[int], int]:
    """The order of axes in which positions of the probe stand before those of the signal, and how many they are.

    `navigate` says which are positions; where no axis says so, ``record_by`` of old HyperSpy files in the metadata
    tells how many are of the signal; else two are.
    """
    if len(axes) == len(shape) and any(axis.get("navigate") is not None for axis in axes):
        order = sorted(range(len(shape)), key=lambda place: axes[place].get("navigate") is False)
        return order, sum(axis.get("navigate") is not False for axis in axes)
    said = metadata.get("Signal")
    by = said.get("record_by") if isinstance(said, Mapping) else None
    return list(range(len(shape))), max(0, len(shape) - {"spectrum": 1, "image": 2}.get(str(by), min(len(shape), 2)))
