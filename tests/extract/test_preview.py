"""Pictures: small, from a bounded part of the data, of every kind of array."""

from __future__ import annotations

import io
import json
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from diadem.extract.extraction import MAX_PNG, encoded
from diadem.extract.opening import array_of
from diadem.extract.preview import BUDGET, TooLarge, packed, preview
from diadem.hooks.formats import Signal
from diadem.model.layout import ArrayLayout
from tests.plugins.opened import Held


def test_a_header_that_promises_very_much_costs_nothing() -> None:
    """The chunks of an array are few, whatever its shape."""
    side = (1 << 32) - 1
    files = Held({"a": bytes(20)})
    array = array_of(Signal([], array=ArrayLayout("a", 16, "|u1", (side, side), (side, 1))), files, "a")
    assert array.shape == (side, side)
    assert array.npartitions <= 1 << 17


def signal(data: Any, navigating: int) -> dict[str, Any]:
    """A signal whose first axes are positions of the probe."""
    return {"data": data, "axes": [{"navigate": place < navigating} for place in range(data.ndim)], "metadata": {}}


def opened(pixels: Any) -> Image.Image:
    """The picture as the parent makes it, checked."""
    assert pixels is not None
    picture = encoded(json.loads(json.dumps(packed(pixels))))
    assert picture is not None
    assert len(picture) <= MAX_PNG
    image = Image.open(io.BytesIO(picture))
    assert max(image.size) <= 160
    return image


#: Shape of an array to sizes of its picture: as values, and as colours.
SIZES = {
    (5, 70): {(70, 8)},
    (3, 40, 30): {(120, 160)},
    (4, 5, 16, 16): {(160, 160)},
    (9, 8, 7): {(136, 153), (140, 160)},
}


@pytest.mark.parametrize(
    "dtype", ["u1", "<i2", ">u2", "u4", "i8", "f4", "f8", "c8", "bool", [("R", "u1"), ("G", "u1"), ("B", "u1")]]
)
@pytest.mark.parametrize(("shape", "navigating"), [((5, 70), 0), ((3, 40, 30), 1), ((4, 5, 16, 16), 2), ((9, 8, 7), 2)])
def test_every_type_and_kind(dtype: Any, shape: tuple[int, ...], navigating: int) -> None:
    raw = np.random.default_rng(1).integers(0, 255, (*shape, np.dtype(dtype).itemsize), dtype=np.uint8)
    if np.dtype(dtype).kind in "fc":
        raw[..., :] = raw[..., :1] // 2
    if dtype == "bool":
        raw %= 2
    picture = opened(preview([signal(raw.view(dtype)[..., 0], navigating)]))
    assert picture.size in SIZES[shape]
    grey = np.asarray(picture.convert("L"))
    assert grey.min() < 64 < 192 < grey.max()  # noise uses the whole range


def test_an_image_looks_like_itself() -> None:
    ramp = np.add.outer(np.zeros(100), np.arange(100.0))
    pixels = np.asarray(opened(preview([signal(ramp, 0)])).convert("L")).astype(float)
    assert pixels[50, 0] < 10
    assert pixels[50, -1] > 245
    assert np.all(np.diff(pixels[50]) >= 0)


def test_noise_stays_small() -> None:
    noise = np.random.default_rng(0).random((160, 160))
    pixels = np.asarray(opened(preview([signal(noise, 0)])).convert("L")).astype(float)
    assert np.corrcoef(pixels.ravel(), noise.ravel())[0, 1] > 0.9


class Counted:
    """A source of zeros that counts the bytes taken from it."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.ndim, self.dtype, self.taken = shape, len(shape), np.dtype("u2"), 0

    def __getitem__(self, place: Any) -> Any:
        part = np.broadcast_to(np.zeros((), self.dtype), self.shape)[place]
        self.taken += part.size * 2
        return np.array(part)


@pytest.mark.parametrize(
    ("shape", "chunks", "navigating"),
    [
        ((256, 256, 256, 256), (1, 16, 256, 256), 2),
        ((512, 512, 4096), (64, 64, 64), 2),
        ((512, 512, 4096), (512, 512, 4), 2),
        ((512, 512, 4096), (16, 16, 4096), 2),
        ((5000, 2048, 2048), (1, 2048, 2048), 1),
        ((4096, 4096), (512, 4096), 0),
    ],
)
def test_never_a_full_read(shape: tuple[int, ...], chunks: tuple[int, ...], navigating: int) -> None:
    source = Counted(shape)
    lazy = da.from_array(source, chunks=chunks, asarray=False)  # type: ignore[no-untyped-call]
    opened(preview([signal(lazy, navigating)]))
    assert 0 < source.taken <= 4 * BUDGET


def test_what_would_cost_too_much_is_not_drawn() -> None:
    with pytest.raises(TooLarge):
        preview([signal(da.zeros((1_000_000, 1_000_000), chunks=4096), 0)])
    with pytest.raises(TooLarge):
        preview([signal(da.zeros((10, 10_000, 10_000), chunks=(10, 10_000, 10_000)), 1)])


def test_nothing_to_draw() -> None:
    assert preview([]) is None
    assert preview([signal(np.zeros((0, 5)), 0)]) is None
    assert preview([signal(np.array(["a", "b"], dtype=object), 0)]) is None


def test_pictures_before_spectra() -> None:
    spectrum, image = signal(np.arange(100.0), 0), signal(np.eye(100), 0)
    assert opened(preview([spectrum, image])).size == (100, 100)
    assert opened(preview([spectrum])).size == (160, 80)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.sampled_from([0.0, 1.0, np.nan, np.inf, -np.inf, 1e300, -1e-300]),
    st.integers(0, 5),
)
def test_odd_values_and_shapes(shape: list[int], value: float, navigating: int) -> None:
    data = np.full(shape, value)
    data.flat[0] = 2.0
    before = data.copy()
    picture = preview([signal(data, navigating)])
    opened(picture)
    assert picture is not None
    assert np.array_equal(data, before, equal_nan=True)
    again = preview([signal(before, navigating)])
    assert again is not None
    assert np.array_equal(again, picture)
