"""A small picture of a dataset, from a bounded part of its data: never a full read.

Plugins are asked first, in the worker. Else images are thinned by strides, spectrum images and 4D data are shown as the
sum over a few channels or as the mean of a few frames, spectra are drawn as lines. Pixels go to the parent, which makes
the PNG (`diadem.extract.extraction.encoded`).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from diadem.extract.axes import in_order, kind_of
from diadem.extract.extraction import SIDE, issue, worded
from diadem.hooks.offers import target
from diadem.terms.units import to_si

#: Bytes of data that one preview may read.
BUDGET = 16 << 20
_FRAMES = 9
#: Signals that are tried.
_SIGNALS = 4


class TooLarge(Exception):
    """A picture would cost more reading than it is worth."""


def preview(signals: Sequence[Mapping[str, Any]]) -> NDArray[np.uint8] | None:
    """Grey levels of the first signal that can be drawn, at most `SIDE` rows and columns; arrays may be lazy."""
    for signal in sorted(signals, key=_rank)[:_SIGNALS]:
        drawn = _draw(signal)
        if drawn is not None:
            return drawn
    return None


def pixels_of(drawn: Any) -> NDArray[np.uint8]:
    """What a plugin has drawn, as it can be shown; raises `ValueError`, which says why it cannot."""
    if not isinstance(drawn, np.ndarray):
        raise ValueError(f"a picture is a NumPy array, not {type(drawn).__name__}")  # noqa: TRY004 - one kind of refusal
    if not drawn.size:
        raise ValueError("the array is empty")
    step = max(1, -(-max(drawn.shape) // (8 * SIDE)))
    if drawn.ndim == 2 and drawn.dtype.kind in "biuf":
        return grey_levels(_values(drawn[::step, ::step]))
    if drawn.ndim == 3 and drawn.shape[2] == 3 and drawn.dtype == np.uint8:
        return np.asarray(_fit(Image.fromarray(np.ascontiguousarray(drawn[::step, ::step]))))
    form = f"{drawn.dtype} {drawn.shape}"
    raise ValueError(f"a picture has rows and columns of real numbers, or of three colours as uint8; this is {form}")


def _rank(signal: Mapping[str, Any]) -> int:
    """Pictures before spectra."""
    ranks = {"image": 0, "image_stack": 1, "4dstem": 1, "spectrum_image": 1, "volume": 2, "spectrum_line": 3}
    return ranks.get(_kind(signal), 4)


def _kind(signal: Mapping[str, Any]) -> str:
    """Kind of a signal whose array may have no shape."""
    return kind_of(in_order(signal["axes"]), getattr(signal["data"], "shape", ()), signal.get("metadata") or {})


def _draw(signal: Mapping[str, Any]) -> NDArray[np.uint8] | None:
    """The pixels of one signal, or None where it is empty or of a kind that has no picture."""
    data = signal["data"]
    shape = getattr(data, "shape", ())
    if not shape or 0 in shape or data.dtype.kind not in "biufcV":
        return None
    kind = _kind(signal)
    if kind in ("spectrum", "time_series"):
        return _line(_values(data[:: max(1, shape[0] // 4096)]))
    if kind in ("image", "spectrum_line"):
        return grey_levels(_image(data))
    if kind == "spectrum_image" and to_si(in_order(signal["axes"])[0].get("units"))[0] == "eV":
        return grey_levels(_mean_frame(data))
    if kind == "spectrum_image" and not data.dtype.names:
        return _spectrum_image(data)
    if kind in ("image_stack", "4dstem", "volume") or len(shape) > 2:
        return grey_levels(_mean_frame(data))
    return _line(_values(data[:4096])) if len(shape) == 1 else grey_levels(_image(data))


def _image(data: Any) -> NDArray[Any]:
    """A two-dimensional array thinned to the picture's size."""
    rows, columns = data.shape[:2]
    if not isinstance(data, np.ndarray) and rows * columns * data.dtype.itemsize > 4 * BUDGET:
        raise TooLarge("the image is too large for a preview")
    step = max(1, -(-max(rows, columns) // (2 * SIDE)))
    return _values(data[::step, ::step])


def _spectrum_image(data: Any) -> NDArray[np.uint8]:
    """The map over as many channels in the middle as the budget allows, else the mean spectrum of some places."""
    rows, columns, channels = data.shape
    step = max(1, -(-max(rows, columns) // SIDE))
    if isinstance(data, np.ndarray):
        return grey_levels(_values(data[::step, ::step].sum(axis=-1)))
    down, across, deep = (parts[0] for parts in data.chunks)
    plane = rows * columns * data.dtype.itemsize
    if plane * deep <= 4 * BUDGET:
        wanted = max(1, BUDGET // (plane * deep)) * deep
        start = max(0, channels // 2 - wanted // 2) // deep * deep
        return grey_levels(_values(data[::step, ::step, start : start + wanted].sum(axis=-1)))
    column = down * across * channels * data.dtype.itemsize
    if column > 4 * BUDGET:
        raise TooLarge("a chunk of the spectrum image is too large for a preview")
    total = np.zeros(channels)
    for place in np.linspace(0, 1, max(1, BUDGET // column) + 2)[1:-1]:
        row, left = int(place * rows) // down * down, int(place * columns) // across * across
        total += _values(data[row : row + down, left : left + across].mean(axis=(0, 1)))
    return _line(total)


def _mean_frame(data: Any) -> NDArray[Any]:
    """The mean of a few frames spread over the stack."""
    rows, columns = data.shape[-2:]
    outer = data.shape[:-2]
    chunk = np.prod(getattr(data, "chunksize", (0,)), dtype=float)  # the largest of a lazy array
    each = max(1, int(max(rows * columns, chunk)) * data.dtype.itemsize)
    if each > 4 * BUDGET:
        raise TooLarge("a frame is too large for a preview")
    count = int(np.prod(outer))
    wanted = max(1, min(_FRAMES, count, BUDGET // each))
    total = np.zeros((rows, columns))
    for place in np.linspace(0, count - 1, wanted + 2)[1:-1].round().astype(int):
        total += _values(data[tuple(int(index) for index in np.unravel_index(place, outer))])
    return np.asarray(total / wanted)


def _values(data: Any) -> NDArray[Any]:
    """The array in memory as real numbers: magnitude of complex, brightness of colour."""
    if hasattr(data, "compute"):
        data = data.compute(scheduler="synchronous")
    array = np.asarray(data.todense() if hasattr(data, "todense") else data)
    if array.dtype.names:
        colours = [array[name] for name in array.dtype.names[:3]]
        return np.asarray(np.mean([colour.astype(float) for colour in colours], axis=0))
    return np.asarray(np.abs(array) if array.dtype.kind == "c" else array, dtype=float)


def grey_levels(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Grey levels between the first and the ninety-ninth percentile, in the picture's size."""
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, (1, 99)) if finite.size else (0.0, 1.0)
    if high <= low:
        low, high = float(finite.min(initial=0.0)), float(finite.max(initial=1.0))
    scaled = np.clip((np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / ((high - low) or 1.0), 0, 1)
    return np.asarray(_fit(Image.fromarray((scaled * 255).astype(np.uint8))))


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


def _line(values: NDArray[Any]) -> NDArray[np.uint8]:
    """A spectrum as a line over its channels, from its least to its greatest value."""
    width, height, margin = SIDE, SIDE // 2, 3
    curve = np.nan_to_num(values.ravel().astype(float))
    count = min(width - 2 * margin, curve.size)
    columns = np.array_split(curve, np.arange(1, count) * curve.size // count)  # each at its place on the axis
    low, high = float(curve.min()), float(curve.max())
    scale = (height - 2 * margin - 1) / ((high - low) or 1.0)
    picture = Image.new("L", (width, height), 255)
    pen = ImageDraw.Draw(picture)
    step = (width - 2 * margin - 1) / max(1, len(columns) - 1)
    points = []
    for index, column in enumerate(columns):
        across = margin + index * step
        levels = sorted({float(column.min()), float(column.max())})  # so that no peak is lost
        points += [(across, height - margin - 1 - (level - low) * scale) for level in levels]
    pen.line(points, fill=0)
    return np.asarray(picture)


def draw(
    path: str,
    files: Sequence[str],
    signals: Sequence[Mapping[str, Any]],
    offers: Sequence[Mapping[str, Any]],
    tell: Callable[[str, str], None],
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A picture by the best plugin that draws one, else our own.

    Gives what a worker says of it (``preview``, and ``preview_by`` or ``preview_failed``), and issues of plugins that
    failed, or drew what cannot be shown.
    """
    issues: list[dict[str, Any]] = []
    for offer in offers:
        tell("previews", offer["name"])
        try:
            picture = target(offer["draw"])(path, files, [dict(signal) for signal in signals])
            if picture is not None:
                by = f"{offer['name']} of {offer['by']['plugin']} {offer['by']['version']}"
                return {"preview": packed(pixels_of(picture)), "preview_by": by}, issues
        except Exception as error:  # a plugin that fails costs its picture only
            message = f"the preview '{offer['name']}' cannot be shown: {worded(error)}"
            issues.append(issue("preview-refused", message, severity="info", by=offer["by"]))
    tell("previews", "")
    try:
        own = preview(signals)
    except Exception as error:  # data that cannot be read shows only here, and the record says so
        return {"preview_failed": worded(error)}, issues
    return {"preview": None if own is None else packed(own)}, issues


def packed(pixels: NDArray[Any]) -> dict[str, Any]:
    """Pixels as a worker sends them: ``rows, columns, colours``, and the bytes in base64."""
    rows, columns, *colours = pixels.shape
    about = {"rows": rows, "columns": columns, "colours": colours[0] if colours else 1}
    return {**about, "pixels": base64.b64encode(pixels.tobytes()).decode("ascii")}
