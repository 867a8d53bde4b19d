"""From a signal's normalised tree to fields: each value with its unit, where it stood, and what was done to it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from diadem.extract import rules
from diadem.extract.assertions import FROM_AXES, Leaf, Value, clean, number_of, plain
from diadem.extract.axes import describe_axes, in_order, kind_of, tidy
from diadem.hooks.formats import Signal
from diadem.terms.matter import symbols_among
from diadem.terms.units import convert, to_si

_INSTRUMENT = re.compile(r"Acquisition_instrument\.(?:TEM|SEM|FIB)\.(.+)\Z")
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)\Z")
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)\Z")
_OFFSET = re.compile(r"(Z|[+-](0\d|1[0-4]):(00|15|30|45))\Z")


def values_of(reader: str, found: Mapping[str, Leaf]) -> Iterator[Value]:
    """Fields that a signal's tree states cleanly.

    Parameters
    ----------
    reader : str
        Module of RosettaSciIO, or another reader's name: what it does not give cleanly is left out.
    found : mapping of str to Leaf
        Values by dotted path.

    Yields
    ------
    Value
        In SI units, zero and placeholder values left out.
    """
    instrument = {match.group(1): leaf for path, leaf in found.items() if (match := _INSTRUMENT.match(path))}
    everything = (
        *_quantities(reader, instrument),
        *_texts(instrument),
        *_general(reader, found),
    )
    left_out = rules.LEFT_OUT.get(reader, frozenset())
    for value in everything:
        if value.field not in left_out and not _left_out_by_tag(reader, value):
            yield value


def _left_out_by_tag(reader: str, value: Value) -> bool:
    """Whether a value comes from a tag that the reader bends."""
    return any(
        reader == name and value.leaf.mapped and value.leaf.locator.startswith(tag) and value.field in fields
        for (name, tag), fields in rules.LEFT_OUT_BY_TAG.items()
    )


def _quantities(reader: str, instrument: Mapping[str, Leaf]) -> Iterator[Value]:
    """Numbers with units."""
    for rule in rules.QUANTITIES:
        leaf = instrument.get(rule.path)
        if leaf is None or not _usable(reader, rule, instrument):
            continue
        value = number_of(leaf.value)
        stored = rule.stored or rule.unit
        if not value or not _documented(instrument.get(f"{rule.path}_units"), rule):
            continue
        converted = tidy(value * rule.factor)
        if rule.least <= converted <= rule.most:
            status = "stated" if number_of(leaf.raw) == converted else "converted"
            raw_unit = None if leaf.mapped else stored
            yield Value(rule.field, converted, status, leaf, rule.unit, raw_unit, f"hyperspy/{rule.path}")


def _usable(reader: str, rule: rules.Rule, instrument: Mapping[str, Leaf]) -> bool:
    """Whether other values of the same signal let this one stand."""
    if rule.field == "camera.exposure" and reader in rules.EXPOSURE_NEEDS_CAMERA:
        return "Detector.Camera.Name" in instrument
    if reader == "digitalmicrograph" and rule.field in ("optics.magnification", "optics.camera_length"):
        return _plain_mode(instrument)
    return True


def _plain_mode(instrument: Mapping[str, Leaf]) -> bool:
    """Whether the illumination is one for which the reader tells a magnification from a camera length (not EFTEM)."""
    mode = instrument.get("acquisition_mode")
    return mode is not None and (mode.value in ("STEM", "SEM") or mode.raw == "TEM")


def _documented(units: Leaf | None, rule: rules.Rule) -> bool:
    """Whether a unit beside a value is the one that HyperSpy documents, or absent."""
    written, documented = "" if units is None else str(units.value), rule.stored or rule.unit
    return units is None or convert(1.0, written, rule.unit) == convert(1.0, documented, rule.unit)


def _texts(instrument: Mapping[str, Leaf]) -> Iterator[Value]:
    """Names and modes."""
    for path, field in rules.TEXTS.items():
        leaf = instrument.get(path)
        if leaf is not None and (text := clean(leaf.value)):
            yield Value(field, text, "stated", leaf, rule=f"hyperspy/{path}")


def _general(reader: str, found: Mapping[str, Leaf]) -> Iterator[Value]:
    """People, samples and times."""
    for path, field in (("General.authors", "person.operator"), ("Sample.name", "sample.name")):
        leaf = found.get(path)
        if leaf is not None and (text := clean(leaf.value)):
            yield Value(field, text, "stated", leaf, rule=f"hyperspy/{path}")
    specimen = found.get("Sample.description")
    if reader == "digitalmicrograph" and specimen is not None and (text := clean(specimen.value)):
        yield Value("sample.name", text, "stated", specimen, rule="digitalmicrograph/specimen")
    elements = found.get("Sample.elements")
    if elements is not None and (symbols := _symbols(elements.value)):
        yield Value("sample.elements", symbols, "stated", elements, rule="hyperspy/Sample.elements")
    yield from _time(reader, found)


def _symbols(value: Any) -> list[str]:
    """Chemical symbols in the order of the file; none where one is not a symbol."""
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        return []
    return symbols_among(value)


def _time(reader: str, found: Mapping[str, Leaf]) -> Iterator[Value]:
    """The time of acquisition, where date and clock are unmistakable."""
    date, clock, zone = (found.get(f"General.{key}") for key in ("date", "time", "time_zone"))
    if date is None or clock is None:
        return
    day, hour = _DATE.match(str(date.value)), _CLOCK.match(str(clock.value))
    if day is None or hour is None or not 1970 <= int(day.group(1)) <= 2100:
        return
    if reader in rules.GUESSES_DATES and int(day.group(3)) <= 12 and day.group(2) != day.group(3):
        return  # 03/04 is March or April, and the reader does not know
    text, status = f"{date.value}T{clock.value}", "unknown"
    if zone is not None:
        if reader not in rules.STATES_ZONE or not _OFFSET.match(str(zone.value)):
            return
        text, status = text + str(zone.value), "known"
    leaf = Leaf(text, f"{date.locator} + {clock.locator}", f"{plain(date.raw)} {plain(clock.raw)}", date.mapped)
    yield Value("time.acquired_start", text, "stated", leaf, rule="hyperspy/General.date", offset_status=status)


def pixel_sizes(kind: str, axes: Sequence[Mapping[str, Any]], shape: Sequence[int]) -> Iterator[Value]:
    """Pixel sizes of images, from their last two axes, and of maps; of a length beside a time or wavelength, none."""
    described = describe_axes(axes, shape)
    if kind == "spectrum_image":
        pixels = [axis for axis in described if axis.get("unit") == "m"]
    else:
        pixels = described[-2:] if kind in ("image", "image_stack") else []
    if len(pixels) != 2 or any(axis.get("unit") not in ("m", "1/m") for axis in pixels):
        return
    for direction, axis in zip("yx", pixels, strict=True):
        scale, unit = axis.get("scale"), axis.get("unit")
        if not scale or unit not in ("m", "1/m") or (unit == "m" and abs(scale) > 1e-2):
            continue
        field = f"image.pixel_size_{direction}" if unit == "m" else f"image.reciprocal_pixel_size_{direction}"
        stored = axis.get("scale_as_stored", scale)
        leaf = Leaf(scale, f"axes.{axis['name']}.scale", abs(stored))
        status = "stated" if stored == scale else "converted"
        yield Value(field, abs(scale), status, leaf, unit, axis.get("unit_as_stored"), FROM_AXES)


def calibrated(signal: Signal, name: str, fields: Mapping[str, Sequence[Mapping[str, Any]]]) -> Signal:
    """A picture, or a stack of them, whose axes have the pixel sizes that tables state.

    So the record's axes and those of the signal that is loaded come from the same statements.

    Parameters
    ----------
    signal : Signal
        As its format opens it.
    name : str
        Its id in the record.
    fields : mapping of str to sequence of mapping
        Assertions by field, as the record has them.
    """
    axes = list(in_order(signal.axes))
    if kind_of(axes, signal.shape, signal.metadata) not in ("image", "image_stack"):
        return signal
    names = [axis.get("name") for axis in axes]
    rows, columns = (names.index("height"), names.index("width")) if {"height", "width"} <= {*names} else (-2, -1)
    for prefix, unit in (("", "m"), ("reciprocal_", "1/m")):
        height, width = (_stated(fields.get(f"image.{prefix}pixel_size_{direction}", ()), name) for direction in "yx")
        if height is None or width is None:
            continue
        for place, size in ((rows, height), (columns, width)):
            axis = axes[place]
            if "scale" in axis and (signal.tables_first or to_si(axis.get("units"))[0] in ("", "px")):
                axes[place] = {**axis, **_with_size(axis, size, unit)}
        return replace(signal, axes=axes)
    return signal


def _stated(assertions: Sequence[Mapping[str, Any]], name: str) -> float | None:
    """What a table states of a signal, before what one states of the whole dataset; not what others merely say."""
    meant = {
        bool(one.get("applies_to")): one["value"]
        for one in reversed(assertions)
        if one["by"].get("rule", FROM_AXES) != FROM_AXES
        and name in (one.get("applies_to") or (name,))
        and (one.get("preferred") or "statement" not in one.get("source", ()))
    }
    return meant.get(True, meant.get(False))


def _with_size(axis: Mapping[str, Any], size: float, unit: str) -> dict[str, Any]:
    """Scale and unit of an axis; its own unit where that is of the same kind."""
    kind, factor = to_si(axis.get("units"))
    own = axis.get("units") if kind == unit else unit
    factor = factor if kind == unit else 1.0
    same = kind == unit and math.isclose(axis["scale"] * factor, size, rel_tol=1e-6)
    return {"units": own, "scale": axis["scale"] if same else tidy(size / factor)}
