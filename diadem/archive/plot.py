"""Drawing: grey levels of an image with its scale bar, a curve in a frame with round numbers at its axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from diadem.errors import UsageError
from diadem.model.quantities import quantity_text
from diadem.terms.units import to_si

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Longest share of a picture's width that a scale bar takes.
_BAR: Final = 0.3
#: Values from which percentiles are estimated, evenly spread.
_SAMPLED: Final = 1 << 18
_LEAST: Final = 64
_INK, _FRAME, _CURVE = (40, 40, 40), (120, 120, 120), (31, 95, 160)


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis in a unit of the record; "" where that is not known."""

    name: str
    size: int
    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""

    def at(self, index: float) -> float:
        """The position of an element."""
        return self.offset + self.scale * index

    def cut(self, start: int, size: int) -> Axis:
        """A part of it."""
        return Axis(self.name, size, self.scale, self.at(start), self.unit)

    def steps(self) -> dict[str, Any]:
        """Scale and offset in a unit with the prefix that suits them: keV, nm."""
        unit, factor = _handy(max(abs(self.offset), abs(self.at(self.size - 1))), self.unit)
        return {"scale": self.scale / factor, "offset": self.offset / factor, "unit": unit}

    def range_text(self) -> str:
        """``300 eV to 2.35 keV``."""
        return f"{quantity_text(self.offset, self.unit)} to {quantity_text(self.at(self.size - 1), self.unit)}"


@dataclass(frozen=True, slots=True)
class Contrast:
    """Which values become black and white: `levels`, else the shares `percentiles`, else what suits the picture.

    Grey is the value to the power of 1/`gamma`: above 1 what is dark becomes brighter. None for 1, of a pattern 2.
    """

    percentiles: tuple[float, float] | None = None
    levels: tuple[float, float] | None = None
    gamma: float | None = None

    def __post_init__(self) -> None:
        """Refuse what nothing can be drawn with."""
        low, high = self.percentiles or (0, 100)
        if not 0 <= low <= high <= 100:
            raise UsageError(f"percentiles are 0 to 100, the lower first, not {low} and {high}")
        if not all(map(math.isfinite, self.levels or ())):
            raise UsageError("black and white are at finite values")
        if self.gamma is not None and not 0.05 <= self.gamma <= 20:
            raise UsageError(f"gamma is 0.05 to 20, not {self.gamma}")


def levels_of(values: NDArray[Any], percentiles: Sequence[float]) -> list[float]:
    """Percentiles of the finite values; of very many, of a part that is evenly spread."""
    flat = values.reshape(-1)
    flat = flat[:: max(1, flat.size // _SAMPLED)]
    flat = flat[np.isfinite(flat)]
    return [float(one) for one in np.percentile(flat, percentiles)] if flat.size else [0.0] * len(percentiles)


def grey(values: NDArray[Any], contrast: Contrast, *, pattern: bool) -> NDArray[np.uint8]:
    """Grey levels: by default between the first and the ninety-ninth percentile, of a pattern up to its peaks."""
    if contrast.levels is not None:
        low, high = contrast.levels
    else:
        low, high = levels_of(values, contrast.percentiles or (1, 99.9 if pattern else 99))
        if high <= low and contrast.percentiles is None:
            low, high = levels_of(values, (0, 100))
    gamma = contrast.gamma or (2.0 if pattern else 1.0)
    scaled = np.subtract(values, low, dtype=np.float64 if values.dtype.itemsize > 4 else np.float32)
    scaled /= (high - low) or 1.0
    np.nan_to_num(scaled, copy=False, nan=0.0, posinf=1.0, neginf=0.0)
    np.clip(scaled, 0, 1, out=scaled)
    if gamma != 1.0:
        np.power(scaled, 1 / gamma, out=scaled)
    scaled *= 255
    return np.asarray(scaled, dtype=np.uint8)


def colours(values: NDArray[Any]) -> Image.Image:
    """Colours as they are; of 16 bits the upper eight."""
    channels = np.stack([values[name] for name in "RGB"], axis=-1)
    if channels.dtype.itemsize > 1:
        channels = (channels.astype(np.float64) * (255 / np.iinfo(channels.dtype).max)).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(channels.astype(np.uint8)))


def image(picture: Image.Image, axes: Sequence[Axis], size: int) -> tuple[Image.Image, str]:
    """Pixels in their true proportions, with a scale bar where lengths are known; and what that says."""
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
        return picture, _scale_bar(picture, abs(across.scale) * across.size, across.unit)
    if across.unit:
        return picture, f"{across.name or 'x'} {across.range_text()} across, {down.name or 'y'} downwards"
    return picture, ""


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


def frame_of(size: int) -> tuple[float, float]:
    """Where the frame of a curve begins and ends in a picture that is so wide, as shares of its width."""
    letters = max(20, round(2 * size / 34))
    return 5 * letters / (2 * size), 1 - letters / (2 * size)


def spectrum(curve: NDArray[Any], axis: Axis, size: int) -> Image.Image:
    """A curve in a frame, with round numbers at both axes. Drawn at twice the size, for smooth lines."""
    width, height = 2 * size, 2 * max(_LEAST, round(size * 0.6))
    letters = max(20, round(width / 34))
    frame = (5 * letters, round(1.4 * letters), width - letters, height - 3 * letters)
    picture = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(picture)
    curve = np.nan_to_num(curve.ravel())
    low, high = min(0.0, float(curve.min())), float(curve.max())
    high = high if high > low else low + 1.0
    ends = (axis.offset, axis.at(max(1, axis.size - 1)))

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
    count = min(frame[2] - frame[0], curve.size)
    columns = np.array_split(curve, np.arange(1, count) * curve.size // count)  # each at its place on the axis
    step = (frame[2] - frame[0]) / max(1, len(columns) - 1)
    points = []
    for number, column in enumerate(columns):
        extremes = (column[0],) if column.size == 1 else (column.min(), column.max())
        points += [(frame[0] + number * step, down(float(level))) for level in extremes]
    pen.line(points, fill=_CURVE, width=3)
    return picture.resize((width // 2, height // 2), Image.Resampling.LANCZOS)


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
