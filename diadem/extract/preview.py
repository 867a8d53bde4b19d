"""A small picture of a dataset, from a bounded part of its data: never a full read.

Images are thinned by strides, spectrum images and 4D data are shown as the sum over a few channels or as the mean of a
few frames, spectra are drawn as lines.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from diadem.extract.axes import in_order, kind_of
from diadem.terms.units import to_si

#: Pixels along the longer side.
SIDE = 160
#: Bytes of a PNG.
MAX_PNG = 12_000
#: Bytes of data that one preview may read.
BUDGET = 16 << 20
_FRAMES = 9
#: Signals that are tried.
_SIGNALS = 4


class TooLarge(Exception):
    """A picture would cost more reading than it is worth."""


def preview(signals: Sequence[Mapping[str, Any]]) -> bytes | None:
    """Draw the first signal that can be drawn.

    Parameters
    ----------
    signals : sequence of mapping
        Signal dictionaries of a reader; arrays may be lazy.

    Returns
    -------
    bytes or None
        A PNG of at most `MAX_PNG` bytes; None where there is nothing to draw.
    """
    for signal in sorted(signals, key=_rank)[:_SIGNALS]:
        drawn = _draw(signal)
        if drawn is not None:
            return drawn
    return None


def _rank(signal: Mapping[str, Any]) -> int:
    """Pictures before spectra."""
    ranks = {"image": 0, "image_stack": 1, "4dstem": 1, "spectrum_image": 1, "volume": 2, "spectrum_line": 3}
    return ranks.get(_kind(signal), 4)


def _kind(signal: Mapping[str, Any]) -> str:
    """Kind of a signal whose array may have no shape."""
    return kind_of(in_order(signal["axes"]), getattr(signal["data"], "shape", ()), signal.get("metadata") or {})


def _draw(signal: Mapping[str, Any]) -> bytes | None:
    """One signal as PNG, or None where it is empty or of a kind that has no picture."""
    data = signal["data"]
    shape = getattr(data, "shape", ())
    if not shape or 0 in shape or data.dtype.kind not in "biufcV":
        return None
    kind = _kind(signal)
    if kind in ("spectrum", "time_series"):
        return line_png(_values(data[:: max(1, shape[0] // 4096)]))
    if kind in ("image", "spectrum_line"):
        return image_png(_image(data))
    if kind == "spectrum_image" and to_si(in_order(signal["axes"])[0].get("units"))[0] == "eV":
        return image_png(_mean_frame(data))
    if kind == "spectrum_image" and not data.dtype.names:
        return _spectrum_image(data)
    if kind in ("image_stack", "4dstem", "volume") or len(shape) > 2:
        return image_png(_mean_frame(data))
    return line_png(_values(data[:4096])) if len(shape) == 1 else image_png(_image(data))


def _image(data: Any) -> NDArray[Any]:
    """A two-dimensional array thinned to the picture's size."""
    rows, columns = data.shape[:2]
    if not isinstance(data, np.ndarray) and rows * columns * data.dtype.itemsize > 4 * BUDGET:
        raise TooLarge("the image is too large for a preview")
    step = max(1, -(-max(rows, columns) // (2 * SIDE)))
    return _values(data[::step, ::step])


def _spectrum_image(data: Any) -> bytes:
    """The map over as many channels in the middle as the budget allows, else the mean spectrum of some places."""
    rows, columns, channels = data.shape
    step = max(1, -(-max(rows, columns) // SIDE))
    if isinstance(data, np.ndarray):
        return image_png(_values(data[::step, ::step].sum(axis=-1)))
    down, across, deep = (parts[0] for parts in data.chunks)
    plane = rows * columns * data.dtype.itemsize
    if plane * deep <= 4 * BUDGET:
        wanted = max(1, BUDGET // (plane * deep)) * deep
        start = max(0, channels // 2 - wanted // 2) // deep * deep
        return image_png(_values(data[::step, ::step, start : start + wanted].sum(axis=-1)))
    column = down * across * channels * data.dtype.itemsize
    if column > 4 * BUDGET:
        raise TooLarge("a chunk of the spectrum image is too large for a preview")
    total = np.zeros(channels)
    for place in np.linspace(0, 1, max(1, BUDGET // column) + 2)[1:-1]:
        row, left = int(place * rows) // down * down, int(place * columns) // across * across
        total += _values(data[row : row + down, left : left + across].mean(axis=(0, 1)))
    return line_png(total)


def _mean_frame(data: Any) -> NDArray[Any]:
    """The mean of a few frames spread over the stack."""
    rows, columns = data.shape[-2:]
    outer = data.shape[:-2]
    each = max(1, rows * columns * data.dtype.itemsize, _chunk_bytes(data))
    if each > 4 * BUDGET:
        raise TooLarge("a frame is too large for a preview")
    count = int(np.prod(outer))
    wanted = max(1, min(_FRAMES, count, BUDGET // each))
    total = np.zeros((rows, columns))
    for place in np.linspace(0, count - 1, wanted + 2)[1:-1].round().astype(int):
        total += _values(data[tuple(int(index) for index in np.unravel_index(place, outer))])
    return np.asarray(total / wanted)


def _chunk_bytes(data: Any) -> int:
    """Bytes of the largest chunk of a lazy array, 0 for one in memory."""
    chunks = getattr(data, "chunksize", None)
    return int(np.prod(chunks, dtype=float)) * data.dtype.itemsize if chunks else 0


def _values(data: Any) -> NDArray[Any]:
    """The array in memory as real numbers: magnitude of complex, brightness of colour."""
    if hasattr(data, "compute"):
        data = data.compute(scheduler="synchronous")
    array = np.asarray(data.todense() if hasattr(data, "todense") else data)
    if array.dtype.names:
        colours = [array[name] for name in array.dtype.names[:3]]
        return np.asarray(np.mean([colour.astype(float) for colour in colours], axis=0))
    return np.asarray(np.abs(array) if array.dtype.kind == "c" else array, dtype=float)


def image_png(values: NDArray[Any]) -> bytes:
    """Grey levels between the first and the ninety-ninth percentile, as PNG within `MAX_PNG`."""
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, (1, 99)) if finite.size else (0.0, 1.0)
    if high <= low:
        low, high = float(finite.min(initial=0.0)), float(finite.max(initial=1.0))
    scaled = np.clip((np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / ((high - low) or 1.0), 0, 1)
    picture = _fit(Image.fromarray((scaled * 255).astype(np.uint8)))
    encoded = _encode(picture)
    for levels in (16, 8, 4):
        if len(encoded) <= MAX_PNG:
            break
        encoded = _encode_few(picture, levels)
    return encoded


def _fit(picture: Image.Image) -> Image.Image:
    """No side longer than `SIDE`; tiny pictures enlarged by whole pixels, ribbons made visible."""
    width, height = picture.size
    factor = min(SIDE / width, SIDE / height)
    if factor > 1:
        factor = int(factor) if max(width, height) < SIDE // 3 else 1
    size = (max(8, min(SIDE, round(width * factor))), max(8, min(SIDE, round(height * factor))))
    if size == picture.size:
        return picture
    return picture.resize(size, Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.BOX)


def _encode_few(picture: Image.Image, levels: int) -> bytes:
    """PNG with a palette of few grey levels, four bits a pixel."""
    indices = np.asarray(picture).astype(np.uint16) * levels // 256
    reduced = Image.fromarray(indices.astype(np.uint8)).convert("P")
    reduced.putdata(indices.astype(np.uint8).ravel())
    reduced.putpalette([level * 255 // (levels - 1) for level in range(levels) for _ in "rgb"])
    sink = io.BytesIO()
    reduced.save(sink, "PNG", bits=4, compress_level=6)
    return sink.getvalue()


def line_png(values: NDArray[Any]) -> bytes:
    """A spectrum as a line over its channels, from its least to its greatest value."""
    width, height, margin = SIDE, SIDE // 2, 3
    curve = np.nan_to_num(values.ravel().astype(float))
    columns = np.array_split(curve, min(width - 2 * margin, curve.size))
    low, high = float(curve.min()), float(curve.max())
    scale = (height - 2 * margin - 1) / ((high - low) or 1.0)
    picture = Image.new("L", (width, height), 255)
    pen = ImageDraw.Draw(picture)
    step = (width - 2 * margin - 1) / max(1, len(columns) - 1)
    points = []
    for index, column in enumerate(columns):
        across = margin + index * step
        points += [(across, height - margin - 1 - (float(level) - low) * scale) for level in _extremes(column)]
    pen.line(points, fill=0)
    return _encode_few(picture, 16)


def _extremes(column: NDArray[Any]) -> tuple[float, ...]:
    """Least and greatest value of a column of channels, so that no peak is lost."""
    return (float(column[0]),) if column.size == 1 else (float(column.min()), float(column.max()))


def _encode(picture: Image.Image) -> bytes:
    """PNG bytes."""
    sink = io.BytesIO()
    picture.save(sink, "PNG", optimize=False, compress_level=6)
    return sink.getvalue()
