"""What can be told of data from their record and a little reading. Nothing is guessed: a finding names its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from diadem.hooks.offers import Described, Issue

#: Bytes that are read of one signal, and signals that are looked at.
BUDGET: Final = 64 << 20
_SIGNALS: Final = 8
_FRAMES: Final = 5
#: Kinds of signals whose pixels saturate.
_PICTURES: Final = frozenset({"image", "image_stack", "4dstem", "diffraction_pattern", "volume"})
#: Converters count to one less than a power of two with so many bits.
_BITS: Final = (8, 10, 12, 14, 16)
#: Share of the pixels at that number that spoils an image. One of 8 bits is made for the eye: white labels are usual.
_SHARE: Final = 0.001
_SHARE_OF_8_BITS: Final = 0.02
#: Pixels that do not count although they are such a share: dead ones of a small frame.
_FEW: Final = 20
#: Issues of the extraction that say that data are missing.
_INCOMPLETE: Final = frozenset({"truncated", "missing-part", "mostly-unwritten", "empty"})
_CALIBRATED: Final = (
    "image.pixel_size_x", "image.reciprocal_pixel_size_x", "eels.dispersion", "optics.field_of_view_x",
)  # fmt: skip


def saturation(path: str, files: Sequence[str], dataset: Described) -> Iterator[Issue]:  # noqa: ARG001
    """Pixels at the largest number that the detector's converter knows."""
    for signal in dataset.signals[:_SIGNALS]:
        values = _sample(signal, dataset.arrays.get(str(signal.get("id"))))
        if values is None or not values.size:
            continue
        top = int(values.max())
        bits = next((bits for bits in _BITS if top == (1 << bits) - 1), None)
        if bits is None:
            continue
        full = int(np.count_nonzero(values == top))
        if full > _FEW * len(values) and full > (_SHARE_OF_8_BITS if bits == 8 else _SHARE) * values.size:
            share = f"{100 * full / values.size:.2g} %"
            message = f"{share} of the pixels of {_named(signal)} are at {top}, the largest number of {bits} bits"
            yield Issue("clipped", message, next="Brighter places look alike: do not quantify them.")


def truncation(path: str, files: Sequence[str], dataset: Described) -> Iterator[Issue]:  # noqa: ARG001
    """Files that are shorter than they say, or of which a part is missing."""
    for issue in dataset.issues:
        if issue.get("code") in _INCOMPLETE:
            yield Issue("incomplete", str(issue.get("message", issue["code"])))


def calibration(path: str, files: Sequence[str], dataset: Described) -> Iterator[Issue]:  # noqa: ARG001
    """Axes of which it is not known how long a pixel or how wide a channel is."""
    if any(dataset.value(key) is not None for key in _CALIBRATED):
        return
    for signal in dataset.signals[:_SIGNALS]:
        bare = [str(axis.get("name") or "an axis") for axis in signal.get("axes", ()) if _is_bare(axis)]
        if bare:
            what = f"{', '.join(bare)} of {_named(signal)}"
            yield Issue("missing", f"no unit is stated for {what}: lengths cannot be measured in it")


def _is_bare(axis: Mapping[str, Any]) -> bool:
    """Whether an axis of the signal itself has no unit."""
    inner = not axis.get("navigate", False)
    return inner and axis.get("size", 0) > 1 and axis.get("unit") in (None, "px") and "values" not in axis


def _named(signal: Mapping[str, Any]) -> str:
    return f"'{signal['title']}'" if signal.get("title") else f"signal {signal.get('id')}"


def _sample(signal: Mapping[str, Any], array: Any) -> NDArray[Any] | None:
    """Some frames of a picture of whole numbers; None for another signal, or one that costs more reading."""
    dtype, shape = getattr(array, "dtype", None), tuple(getattr(array, "shape", ()))
    if dtype is None or dtype.kind != "u" or len(shape) < 2 or 0 in shape or signal.get("kind") not in _PICTURES:
        return None
    outer, frame = shape[:-2], shape[-2] * shape[-1] * dtype.itemsize
    if frame > BUDGET:
        return None
    count = int(np.prod(outer)) if outer else 1
    places = sorted({round(place) for place in np.linspace(0, count - 1, min(_FRAMES, count, BUDGET // frame))})
    frames = (array[tuple(map(int, np.unravel_index(place, outer)))] if outer else array for place in places)
    return np.stack([one.compute(scheduler="synchronous") if hasattr(one, "compute") else one for one in frames])
