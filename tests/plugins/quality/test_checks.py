"""Checks that judge data: each finding names its numbers, and what cannot be told is not said."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest

from diadem.hooks.offers import Described
from diadem.plugins.quality.checks import calibration, saturation, truncation

METRES = [{"name": "y", "size": 64, "unit": "m", "scale": 1e-9}, {"name": "x", "size": 64, "unit": "m", "scale": 1e-9}]


def described(array: Any, *, kind: str = "image", axes: Any = METRES, **more: Any) -> Described:
    signal = {"id": "s1", "title": "HAADF", "kind": kind, "shape": list(array.shape), "axes": axes}
    return Described("tiff", signals=[signal], arrays={"s1": array}, **more)


def image(top: int, *, full: int, dtype: str = "<u2") -> Any:
    array = np.random.default_rng(1).integers(0, max(1, top // 2), (64, 64)).astype(dtype)
    array.ravel()[:full] = top
    return array


@pytest.mark.parametrize(
    ("top", "full", "dtype", "told"),
    [
        (65535, 200, "<u2", "4.9 % of the pixels of 'HAADF' are at 65535, the largest number of 16 bits"),
        (4095, 60, "<u2", "the largest number of 12 bits"),
        (4095, 10, "<u2", None),  # a few dead pixels
        (4094, 900, "<u2", None),  # bright, and no limit of a converter
        (255, 60, "u1", None),  # a white label in a picture for the eye
        (255, 400, "u1", "the largest number of 8 bits"),
        (65535, 900, "<f4", None),
    ],
)
def test_saturation(top: int, full: int, dtype: str, told: str | None) -> None:
    array = image(top, full=full, dtype=dtype)
    lazy = da.from_array(array, chunks=16)  # type: ignore[no-untyped-call]
    for given in (array, lazy, np.stack([array] * 9)):
        found = list(saturation("", [], described(given, kind="image" if given.ndim == 2 else "image_stack")))
        assert bool(found) == (told is not None)
        assert told is None or told in found[0].message


def test_what_is_too_large_or_no_picture_is_not_read() -> None:
    huge = da.full((9000, 9000), 65535, dtype="u2")  # type: ignore[no-untyped-call]
    assert not list(saturation("", [], described(huge)))
    assert not list(saturation("", [], described(image(65535, full=900), kind="spectrum_image")))
    assert not list(saturation("", [], Described("tiff", signals=[{"id": "s1", "kind": "image"}])))


def test_truncation_repeats_what_the_extraction_has_seen() -> None:
    issues = [{"code": "truncated", "message": "the file ends 5 MB early"}, {"code": "clock-disagrees", "message": "x"}]
    (found,) = truncation("", [], described(image(10, full=1), issues=issues))
    assert found.message == "the file ends 5 MB early"


def test_calibration() -> None:
    bare = [{"name": "y", "size": 64, "unit": "px"}, {"name": "x", "size": 64}]
    (found,) = calibration("", [], described(image(10, full=1), axes=bare))
    assert "no unit is stated for y, x of 'HAADF'" in found.message
    assert not list(calibration("", [], described(image(10, full=1))))
    stated = {"image.pixel_size_x": [{"value": 1e-9}]}
    assert not list(calibration("", [], described(image(10, full=1), axes=bare, fields=stated)))
    outer = [{"name": "frame", "size": 9, "navigate": True}, *METRES]
    assert not list(calibration("", [], described(image(10, full=1), axes=outer)))
