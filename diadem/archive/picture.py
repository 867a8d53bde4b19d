"""A dataset as it can be looked at: an image with a scale bar, a spectrum with axes, a map and the patterns behind it.

Drawn from what `Package.load` gives, so that every byte that is shown was proven and axes are those of the record. Of a
large array only a part is read, evenly spread: images by strides, maps at so many places that `BUDGET` holds.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from diadem.archive.plain import quantity_text
from diadem.errors import NotFound, ReaderError, UsageError
from diadem.terms.units import to_si

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from diadem.archive.package import Package

#: Bytes of the chunks that are read for one map.
BUDGET: Final = 256 << 20
LEAST, MOST = 64, 4096
#: Places along the shorter side of a map below which no more are left out.
_FEWEST: Final = 16
#: What is drawn where nobody says which signal: images before what is a map, spectra last.
_RANKS: Final = {"image": 0, "spectrum_image": 1, "4dstem": 1, "image_stack": 1, "volume": 2, "spectrum_line": 3}
#: Signals that are tried.
_TRIED: Final = 4
#: Longest share of a picture's width that a scale bar takes.
_BAR: Final = 0.3
_INK, _FRAME, _CURVE = (40, 40, 40), (120, 120, 120), (31, 95, 160)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a dataset. A notebook shows it.

    Attributes
    ----------
    png : bytes
        The file.
    width, height : int
        Its pixels.
    about : str
        What it shows: ``HAADF, 512 × 512, scale bar 500 nm``.
    """

    png: bytes
    width: int
    height: int
    about: str

    def __repr__(self) -> str:
        """What it shows."""
        return f"<Picture {self.width} × {self.height}: {self.about}>"

    def save(self, path: str | Path) -> Path:
        """Write the PNG."""
        Path(path).write_bytes(self.png)
        return Path(path)

    def _repr_png_(self) -> bytes:
        return self.png


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis in a unit of the record; "" where that is not known."""

    name: str
    size: int
    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""

    @classmethod
    def of(cls, axis: Any) -> _Axis:
        """The axis of a HyperSpy signal."""
        name = str(axis.name) if isinstance(axis.name, str) else ""
        unit, factor = to_si(str(axis.units)) if isinstance(axis.units, str) else (None, 1.0)
        scale, offset = getattr(axis, "scale", None), getattr(axis, "offset", None)
        if scale is None or offset is None or not math.isfinite(scale * factor) or not scale:
            return cls(name, axis.size)  # without even steps
        known = unit if unit not in (None, "px", "1") else ""
        return cls(name, axis.size, scale * factor, offset * factor, known or "") if known else cls(name, axis.size)


def picture_of(
    package: Package,
    path: str,
    *,
    signal: int | str | None = None,
    size: int = 512,
    at: int | Sequence[int] | None = None,
) -> Picture:
    """Draw a dataset of a package; see `Package.picture`."""
    if not LEAST <= size <= MOST:
        raise UsageError(f"a picture has {LEAST} to {MOST} pixels, not {size}")
    place = None if at is None else tuple(at) if isinstance(at, Sequence) else (at,)
    for one in _candidates(package, path) if signal is None else [signal]:
        try:
            loaded = package.load(path, signal=one)
        except NotFound:
            if one is None or one == signal:
                raise
            continue
        for found in loaded if isinstance(loaded, list) else [loaded]:
            if (picture := _drawn(found, size, place, path)) is not None:
                return picture
    raise ReaderError("there is nothing in it that can be drawn", where=path, next="See .signals for what it holds.")


def _candidates(package: Package, path: str) -> list[str | None]:
    """Ids of signals to be drawn, the best first; at the end whatever is loaded."""
    try:
        signals = package[path].signals
    except NotFound:
        return [None]
    ranked = sorted(signals, key=lambda one: _RANKS.get(one.kind, 4))
    return [*([one.id for one in ranked[:_TRIED]] if len(signals) > 1 else []), None]


def _drawn(signal: Any, size: int, at: tuple[int, ...] | None, where: str) -> Picture | None:
    """The picture of one signal; None where it is empty, or of a kind that has none."""
    data = signal.data
    if not data.size or (data.dtype.kind not in "biufc" and not _is_colour(data.dtype)):
        return None
    manager = signal.axes_manager
    axes = sorted((*manager.navigation_axes, *manager.signal_axes), key=lambda axis: axis.index_in_array)
    order = sorted(range(len(axes)), key=lambda place: not axes[place].navigate)  # places of the scan first
    data = data if order == sorted(order) else data.transpose(order)
    outer = [_Axis.of(axes[place]) for place in order if axes[place].navigate]
    inner = [_Axis.of(axes[place]) for place in order if not axes[place].navigate]
    if not inner or len(inner) > 2:  # a plain array, or a volume
        inner, outer = [*outer, *inner][-2:], [*outer, *inner][:-2]
    title = str(signal.metadata.get_item("General.title", default="") or "") or where.rpartition("/")[2]
    told = [f"{title}, {' × '.join(f'{axis.size:,}' for axis in [*outer, *inner])}"]
    if at is not None:
        data = data[_place(at, outer, where)]
        told.append(f"at {', '.join(map(str, at))}")
        pattern, outer = len(outer) == 2, []
    else:
        pattern = False
    while len(outer) > 2:
        told.append(f"{outer[0].name or 'index'} {outer[0].size // 2}")
        data, outer = data[outer[0].size // 2], outer[1:]
    if len(inner) == 1 and not outer:
        return _spectrum(_numbers(data), inner[0], size, told)
    if len(outer) == 2:
        return _map(data, outer, len(inner), size, told)
    if len(outer) == 1 and len(inner) == 2:
        told.append(f"frame {outer[0].size // 2} of {outer[0].size:,}")
        data, outer = data[outer[0].size // 2], []
    pattern = pattern or inner[-1].unit in ("1/m", "rad")
    return _image(_thinned(data, size), [*outer, *inner], size, told, pattern=pattern)  # or a line of spectra


def _place(at: tuple[int, ...], outer: Sequence[_Axis], where: str) -> tuple[int, ...]:
    sizes = tuple(axis.size for axis in outer)
    if not sizes:
        raise UsageError("this is one picture, without places or frames", where=where, next="Leave `at` out.")
    if len(at) != len(sizes) or not all(-n <= int(one) < n for one, n in zip(at, sizes, strict=True)):
        said = ", ".join(map(str, at))
        raise UsageError(f"there is no place ({said})", where=where, next=f"There are {' × '.join(map(str, sizes))}.")
    return tuple(map(int, at))


# -- reading a part ------------------------------------------------------------------------------------------------


def _is_colour(dtype: Any) -> bool:
    return bool(dtype.names) and {"R", "G", "B"} <= set(dtype.names)


def _numbers(data: Any) -> NDArray[Any]:
    """The array in memory as real numbers, read a chunk at a time; colours stay what they are."""
    array = np.asarray(data.compute(scheduler="synchronous") if hasattr(data, "compute") else data)
    if array.dtype.names:
        return array
    return np.abs(array) if array.dtype.kind == "c" else array.astype(np.float64, copy=False)


def _thinned(data: Any, size: int) -> NDArray[Any]:
    """Rows and columns as many as a picture can show twice; of a large array as many as it has."""
    wanted = size if data.size * data.dtype.itemsize > BUDGET // 4 else 2 * size
    steps = tuple(slice(None, None, max(1, n // wanted)) for n in data.shape)
    return _numbers(data[steps])


def _touched(data: Any, slices: Sequence[slice]) -> float:
    """Bytes of the chunks that a selection touches."""
    if not hasattr(data, "chunks"):
        return 0.0
    share = 1.0
    for chunks, chosen, n in zip(data.chunks, slices, data.shape, strict=True):
        ends = np.cumsum(chunks)
        hit = np.unique(np.searchsorted(ends, np.arange(*chosen.indices(n)), side="right"))
        share *= float(np.take(chunks, hit).sum()) / n
    return share * float(data.size) * float(data.dtype.itemsize)


def _map(data: Any, outer: Sequence[_Axis], inner: int, size: int, told: list[str]) -> Picture:
    """The sum of what stands at each place of a scan, of so many places and channels as the budget allows."""
    usual = max(1, max(axis.size for axis in outer) // (2 * size))
    places, channels = _steps(data, usual)
    slices = tuple(slice(None, None, step) for step in (places, places, *([channels] * inner)))
    part = data[slices]
    values = _numbers(part.sum(axis=tuple(range(2, 2 + inner))) if inner else part)
    told.append("sum at each place" if inner else "map")
    if places > usual:
        told.append(f"1 of {places} places in each direction")
    if channels > 1:
        told.append(f"1 of {channels} channels")
    return _image(values, outer, size, told, pattern=False)


def _steps(data: Any, usual: int) -> tuple[int, int]:
    """Steps between places and between channels, the smallest with which the chunks that are read hold the budget.

    Which of the two helps depends on how the array lies in its file: place by place, or channel by channel. Where
    neither does enough, what touches the least: to leave out parts of a chunk saves nothing, for it is proven whole.
    """
    inner, least = data.ndim - 2, min(data.shape[:2])
    ways = []
    for doubled in range(32):
        places = usual << doubled
        if doubled and least // places < _FEWEST:
            break
        for channels in [1 << power for power in range(32) if inner and (1 << power) <= min(data.shape[2:])] or [1]:
            cost = _touched(data, [slice(None, None, step) for step in (places, places, *([channels] * inner))])
            ways.append((cost, places, channels))
    return min(ways, key=lambda way: (max(way[0], BUDGET), way[1] ** 2 * way[2] ** inner))[1:]


# -- drawing -------------------------------------------------------------------------------------------------------


def _image(values: NDArray[Any], axes: Sequence[_Axis], size: int, told: list[str], *, pattern: bool) -> Picture:
    """An image of two axes, in its true proportions, with a scale bar where lengths are known."""
    picture = _colours(values) if values.dtype.names else Image.fromarray(_grey(values, pattern=pattern))
    down, across = axes
    same = bool(across.unit) and across.unit == down.unit
    tall = abs(down.scale / across.scale) if same else 1.0
    height, width = down.size * (tall if 1 / 20 <= tall <= 20 else 1.0), float(across.size)
    factor = size / max(height, width)
    if tall == 1.0 and factor > 1:
        factor = math.floor(factor)
    target = (max(1, round(width * factor)), max(1, round(height * factor)))
    if across.unit != down.unit:  # a line of spectra, or a sequence of them: there are no true proportions
        target = (target[0], max(target[1], size // 3))
    enlarged = target[0] >= picture.width and target[1] >= picture.height
    picture = picture.resize(target, Image.Resampling.NEAREST if enlarged else Image.Resampling.BOX)
    picture = picture.convert("RGB")
    if same:
        told.append(_scale_bar(picture, abs(across.scale) * across.size, across.unit))
    elif across.unit:
        told.append(f"{across.name or 'x'} {_range(across)} across, {down.name or 'y'} downwards")
    return _png(picture, told)


def _range(axis: _Axis) -> str:
    ends = (axis.offset, axis.offset + axis.scale * (axis.size - 1))
    return " to ".join(quantity_text(end, axis.unit) for end in ends)


def _grey(values: NDArray[Any], *, pattern: bool) -> NDArray[np.uint8]:
    """Grey levels between the first and the ninety-ninth percentile; of a pattern the square root, up to its peaks."""
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, (1, 99.9 if pattern else 99)) if finite.size else (0.0, 1.0)
    if high <= low:
        low, high = float(finite.min(initial=0.0)), float(finite.max(initial=1.0))
    scaled = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / ((high - low) or 1.0)
    scaled = np.clip(scaled, 0, 1)
    return np.asarray(255 * (np.sqrt(scaled) if pattern else scaled), dtype=np.uint8)


def _colours(values: NDArray[Any]) -> Image.Image:
    """Colours as they are; of 16 bits the upper eight."""
    channels = np.stack([values[name] for name in "RGB"], axis=-1)
    if channels.dtype.itemsize > 1:
        channels = (channels.astype(np.float64) * (255 / np.iinfo(channels.dtype).max)).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(channels.astype(np.uint8)))


def _scale_bar(picture: Image.Image, width: float, unit: str) -> str:
    """Draw a bar of a round length in the lower left corner; returns what it means."""
    length = _round_below(_BAR * width)
    text = quantity_text(length, unit)
    pen = ImageDraw.Draw(picture, "RGBA")
    letters = max(11, round(max(picture.size) / 28))
    margin, thick = max(3, letters // 2), max(2, letters // 5)
    bar = max(1, round(picture.width * length / width))
    box = (max(bar, _text_width(text, letters)) + 2 * margin, letters + thick + round(2.2 * margin))
    left, top = margin, max(0, picture.height - margin - box[1])
    if box[0] + margin > picture.width or box[1] > picture.height:  # a ribbon: no room for letters
        return f"{quantity_text(width, unit)} wide"
    pen.rectangle((left, top, left + box[0], top + box[1]), fill=(0, 0, 0, 150))
    _text(pen, (left + margin, top + margin // 2), text, letters, (255, 255, 255))
    line = top + letters + margin
    pen.rectangle((left + margin, line, left + margin + bar - 1, line + thick - 1), fill=(255, 255, 255, 255))
    return f"scale bar {text}"


def _spectrum(values: NDArray[Any], axis: _Axis, size: int, told: list[str]) -> Picture:
    """A curve in a frame, with round numbers at both axes. Drawn at twice the size, for smooth lines."""
    width, height = 2 * size, 2 * max(LEAST, round(size * 0.6))
    letters = max(20, round(width / 34))
    room = (5 * letters, round(1.4 * letters), letters, 3 * letters)  # left, top, right, bottom
    frame = (room[0], room[1], width - room[2], height - room[3])
    picture = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(picture)
    curve = np.nan_to_num(values.ravel())
    low, high = min(0.0, float(curve.min())), float(curve.max())
    high = high if high > low else low + 1.0
    ends = (axis.offset, axis.offset + axis.scale * max(1, axis.size - 1))

    def across(value: float) -> float:
        return frame[0] + (value - ends[0]) / (ends[1] - ends[0]) * (frame[2] - frame[0])

    def down(value: float) -> float:
        return frame[3] - (value - low) / (high - low) * (frame[3] - frame[1])

    power = 3 * math.floor(math.log10(max(abs(low), abs(high))) / 3) if max(abs(low), abs(high)) >= 1e4 else 0
    for value, text in _ticks(low, high, 5, 10.0**power):
        pen.line((frame[0] - letters // 3, down(value), frame[0], down(value)), fill=_FRAME, width=2)
        _text(pen, (frame[0] - letters // 2 - _text_width(text, letters), down(value) - 0.6 * letters), text, letters)
    if power:
        _text(pen, (frame[0], 0), f"x 10^{power}", letters)
    unit, factor = _handy(max(map(abs, ends)), axis.unit)
    for most in (6, 4, 2):
        ticks = _ticks(min(ends), max(ends), most, factor)
        if sum(_text_width(f"{text}  ", letters) for _, text in ticks) <= frame[2] - frame[0]:
            break
    for value, text in ticks:
        pen.line((across(value), frame[3], across(value), frame[3] + letters // 3), fill=_FRAME, width=2)
        _text(pen, (across(value) - _text_width(text, letters) / 2, frame[3] + 0.4 * letters), text, letters)
    name = axis.name if axis.name.isascii() and axis.name.isprintable() else ""
    label = f"{name} ({unit})" if name and unit else name or unit or "channel"
    middle = (frame[0] + frame[2] - _text_width(label, letters)) / 2
    _text(pen, (middle, frame[3] + 1.6 * letters), label, letters)
    pen.rectangle(frame, outline=_FRAME, width=2)
    columns = np.array_split(curve, min(frame[2] - frame[0], curve.size))
    step = (frame[2] - frame[0]) / max(1, len(columns) - 1)
    points = []
    for number, column in enumerate(columns):
        extremes = (column[0],) if column.size == 1 else (column.min(), column.max())
        points += [(frame[0] + number * step, down(float(level))) for level in extremes]
    pen.line(points, fill=_CURVE, width=3)
    if axis.unit:
        told.append(f"{axis.name or 'x'} {_range(axis)}")
    return _png(picture.resize((width // 2, height // 2), Image.Resampling.LANCZOS), told)


def _ticks(low: float, high: float, most: int, factor: float) -> list[tuple[float, str]]:
    """Round numbers of a range, and their texts in units of `factor`."""
    step = _round_below((high - low) / most)
    while (high - low) / step > 1.6 * most:
        step *= 2
    first = math.ceil(low / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step / factor) + 1e-9))
    return [
        (number * step, f"{number * step / factor:.{digits}f}")
        for number in range(first, math.floor(high / step + 1e-9) + 1)
    ]


def _round_below(value: float) -> float:
    """The largest of 1, 2, 5, 10 … that is not above."""
    power = 10.0 ** math.floor(math.log10(value))
    return float(power * max(digit for digit in (1, 2, 5) if digit * power <= value * (1 + 1e-9)))


def _handy(value: float, unit: str) -> tuple[str, float]:
    """A unit with the prefix that suits a value, and what it is worth: ``keV``, 1000."""
    if not unit or not value or (unit == "s" and value >= 1):
        return unit, 1.0
    written = quantity_text(_round_below(value), unit).split(" ")[-1]
    _, factor = to_si(written)
    return written, factor


def _text_width(text: str, letters: int) -> int:
    return math.ceil(float(_font(letters).getlength(text.replace("µ", "u"))))


def _text(pen: Any, place: tuple[float, float], text: str, letters: int, ink: tuple[int, int, int] = _INK) -> None:
    """Write a text; the µ, which Pillow's own font lacks, is a u with a longer stem."""
    font = _font(letters)
    pen.text(place, text.replace("µ", "u"), fill=ink, font=font)
    if "µ" in text:
        before = text.partition("µ")[0].replace("µ", "u")
        box = pen.textbbox((place[0] + font.getlength(before), place[1]), "u", font=font)
        pen.rectangle((box[0], box[1], box[0] + max(1, letters // 10), box[3] + letters // 4), fill=ink)


def _font(letters: int) -> Any:
    return ImageFont.load_default(letters)


def _png(picture: Image.Image, told: Sequence[str]) -> Picture:
    sink = io.BytesIO()
    picture.save(sink, "PNG")
    return Picture(sink.getvalue(), picture.width, picture.height, ", ".join(told))
