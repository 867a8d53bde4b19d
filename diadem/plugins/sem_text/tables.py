"""Which of JEOL's lines are which fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from diadem.hooks.fields import Derived, Found, Rule, Table, Tree
from diadem.hooks.times import moments
from diadem.plugins.vendor_text import positive, quantity
from diadem.terms.dates import moment_of

_KILOVOLTS = "200 of a JEM-2200FS, which has 200 kV; 5 to 30 of scanning microscopes"
_MILLIMETRES = (
    "the document of a parser of the National Institute for Materials Science (rde) names the unit mm; 8 to 15 usual"
)
_FIELD = (
    "the same document names the unit um; taken where it is the magnification's field: 128 mm wide at 1 x, or 120, as "
    "JEOL's screens are"
)

_TEXTS: Mapping[str, str] = {
    "$CM_INSTRUMENT": "instrument.model",
    "$CM_OPERATOR": "person.operator",
    "$FE_DETECTOR_NAME": "detector.name",
    "$CM_SIGNAL": "detector.name",
}
#: Signals that are modes of the microscope and no detectors.
_MODES = ("TEM", "STEM", "SEM")


def _numbers() -> Iterator[Rule]:
    yield Rule("beam.acceleration_voltage", "$CM_ACCEL_VOLT", "kV", positive, cite=_KILOVOLTS)
    yield Rule("optics.magnification", "$CM_MAG", "1", positive, cite="the line's name; a bare number")
    for name in ("$$SM_WD", "$SM_WD"):
        yield Rule("optics.working_distance", name, "mm", positive, cite=_MILLIMETRES)
    for name, field in _TEXTS.items():
        yield Rule(field, name, drop=_MODES, cite="the line's name")


def _bar(tree: Tree) -> Iterator[Found]:
    """Pixel size from the bar where nothing is more exact: its length with a unit, over its pixels."""
    if _view(tree) and tree.get("$CM_IMAGE_SIZE"):
        return
    label, pixels = quantity(str(tree.get("$$SM_MICRON_MARKER", ""))), positive(tree.get("$$SM_MICRON_BAR"))
    if label is None or label[0] <= 0 or not label[1] or pixels is None:
        return
    raw = [tree["$$SM_MICRON_MARKER"], tree["$$SM_MICRON_BAR"]]
    for direction in "xy":
        key = "$$SM_MICRON_MARKER + $$SM_MICRON_BAR"
        yield Found(f"image.pixel_size_{direction}", label[0] / pixels, key, raw, label[1], "derived")


def _view(tree: Tree) -> list[float]:
    """Width and height of the field in micrometres, where the magnification agrees; else nothing."""
    parts = [positive(part) for part in str(tree.get("$CM_FIELD_OF_VIEW", "")).split()]
    lengths = [part for part in parts if part is not None]
    magnification = positive(tree.get("$CM_MAG"))
    if len(parts) != 2 or len(lengths) != 2 or magnification is None:
        return []
    return lengths if 0.09 <= lengths[0] * magnification / 1e6 <= 0.2 else []


def _field(tree: Tree) -> Iterator[Found]:
    """The field of view, and pixel sizes from it."""
    raw, lengths = tree.get("$CM_FIELD_OF_VIEW", ""), _view(tree)
    for direction, length in zip("xy", lengths, strict=False):
        yield Found(f"optics.field_of_view_{direction}", length, "$CM_FIELD_OF_VIEW", raw, "um")
    counts = [positive(part) for part in str(tree.get("$CM_IMAGE_SIZE", "")).split()]
    for direction, length, count in zip("xy", lengths, counts, strict=False):
        if count:
            key = "$CM_FIELD_OF_VIEW + $CM_IMAGE_SIZE"
            said = [raw, tree["$CM_IMAGE_SIZE"]]
            yield Found(f"image.pixel_size_{direction}", length / count, key, said, "um", "derived")


def _kind(tree: Tree) -> Iterator[Found]:
    """By the names of JEOL's products: JSM and JEM."""
    name = tree.get("$CM_INSTRUMENT", "")
    kind = {"JSM": "sem", "JEM": "tem", "JIB": "fib"}.get(name.strip().upper()[:3])
    if kind:
        yield Found("instrument.kind", kind, "$CM_INSTRUMENT", name, status="derived")


def _time(tree: Tree) -> Iterator[Found]:
    date, hour = tree.get("$CM_DATE", ""), tree.get("$CM_TIME", "")
    local = moment_of(date, hour)
    yield from moments("time.acquired_start", "$CM_DATE + $CM_TIME", f"{date} {hour}", local=local)


TABLE: Table = (
    *_numbers(),
    Derived("field-of-view", _field, cite=_FIELD),
    Derived("bar", _bar, cite="the unit stands in the label: 5um"),
    Derived("kind", _kind, cite="names of products"),
    Derived("acquisition-time", _time, cite="day and month where the numbers tell; no zone is stated"),
)
