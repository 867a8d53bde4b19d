"""Pixel sizes that tables state go into the axes of pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from diadem.extract.assertions import FROM_AXES, calibrated
from diadem.hooks.formats import Signal


def signal(*names: str, units: str = "", scale: float = 1.0, navigate: int = 0, tables_first: bool = False) -> Signal:
    axes = [
        {"name": name, "size": 2 + place, "scale": scale, "offset": 0.0, "units": units, "navigate": place < navigate}
        for place, name in enumerate(names)
    ]
    return Signal(axes, np.zeros([axis["size"] for axis in axes]), tables_first=tables_first)


def stated(
    x: float, y: float, prefix: str = "", rule: str = "lab/size", **said: Any
) -> dict[str, list[dict[str, Any]]]:
    sizes = (("x", x), ("y", y))
    return {f"image.{prefix}pixel_size_{axis}": [{"value": size, "by": {"rule": rule}, **said}] for axis, size in sizes}


def sizes(made: Signal) -> list[tuple[float, str]]:
    return [(axis["scale"], axis["units"]) for axis in made.axes]


def test_an_axis_without_a_unit() -> None:
    assert sizes(calibrated(signal("y", "x"), "s1", stated(2e-9, 3e-9))) == [(3e-9, "m"), (2e-9, "m")]
    assert sizes(calibrated(signal("y", "x", units="pixels"), "s1", stated(2e-9, 3e-9))) == [(3e-9, "m"), (2e-9, "m")]
    assert sizes(calibrated(signal("y", "x"), "s1", stated(2e9, 3e9, "reciprocal_"))) == [(3e9, "1/m"), (2e9, "1/m")]


def test_what_a_format_says_itself_stands() -> None:
    made = signal("y", "x", units="nm", scale=7.0)
    assert sizes(calibrated(made, "s1", stated(2e-9, 3e-9))) == [(7.0, "nm")] * 2


def test_a_format_may_let_tables_go_first() -> None:
    made = signal("y", "x", units="nm", scale=3.0, tables_first=True)
    assert sizes(calibrated(made, "s1", stated(2e-9, 3e-9))) == [(3.0, "nm"), (2.0, "nm")]
    assert sizes(calibrated(made, "s1", stated(2e9, 3e9, "reciprocal_"))) == [(3e9, "1/m"), (2e9, "1/m")]


def test_only_pictures_and_stacks_of_them() -> None:
    stack = calibrated(signal("z", "y", "x", navigate=1), "s1", stated(2e-9, 3e-9))
    assert sizes(stack) == [(1.0, ""), (3e-9, "m"), (2e-9, "m")]
    colours = calibrated(signal("height", "width", "sample", navigate=1), "s1", stated(2e-9, 3e-9))
    assert sizes(colours) == [(3e-9, "m"), (2e-9, "m"), (1.0, "")]
    for made in (signal("energy"), signal("y", "x", "energy", navigate=2), signal("a", "b", "y", "x", navigate=2)):
        assert calibrated(made, "s1", stated(2e-9, 3e-9)) is made


@pytest.mark.parametrize("fields", [{}, {"image.pixel_size_x": [{"value": 1e-9, "by": {"rule": "lab/size"}}]}])
def test_both_directions_or_none(fields: dict[str, Any]) -> None:
    made = signal("y", "x")
    assert calibrated(made, "s1", fields) is made


def test_who_says_it_of_what() -> None:
    made = signal("y", "x")
    assert calibrated(made, "s1", stated(2e-9, 3e-9, rule=FROM_AXES)) is made
    assert calibrated(made, "s1", stated(2e-9, 3e-9, applies_to=["s2"])) is made
    assert calibrated(made, "s1", {key: [{"value": 1.0, "by": {}}] for key in stated(1, 1)}) is made
    said: dict[str, Any] = {"rule": "amendment/v1", "source": {"statement": "a"}}
    assert calibrated(made, "s1", stated(2e-9, 3e-9, **said)) is made  # somebody else's opinion
    assert sizes(calibrated(made, "s1", stated(2e-9, 3e-9, **said, preferred=True))) == [(3e-9, "m"), (2e-9, "m")]
    whole, own = stated(2e-9, 3e-9), stated(4e-9, 5e-9, applies_to=["s1", "s3"])
    both = {key: [*whole[key], *own[key]] for key in whole}
    assert sizes(calibrated(made, "s1", both)) == [(5e-9, "m"), (4e-9, "m")]
    assert sizes(calibrated(made, "s2", both)) == [(3e-9, "m"), (2e-9, "m")]
    first = {key: [*whole[key], *stated(6e-9, 7e-9)[key]] for key in whole}
    assert sizes(calibrated(made, "s1", first)) == [(3e-9, "m"), (2e-9, "m")]
