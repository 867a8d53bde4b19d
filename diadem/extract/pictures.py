"""The way of a picture: plugins are asked in the worker, pixels come over, and the parent makes the PNG.

The picture stands in a page that people open. So nothing of what a worker says is taken for an encoded picture, only
bytes for pixels, as many as there are to be.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from diadem.extract.extraction import issue
from diadem.extract.protocol import SIDE
from diadem.hooks.offers import target

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Bytes of a PNG.
MAX_PNG: Final = 12_000
#: Levels of grey, or colours, that are tried where all of them would make too large a file.
_LEVELS: Final = (16, 8, 4)


class Drawn:
    """What plugins drew of a dataset.

    Attributes
    ----------
    picture : ndarray or None
        As `diadem.extract.preview.pixels_of` gives it; None where none of them drew one.
    by : str
        Whose it is.
    issues : list of dict
        Plugins that failed, or drew what cannot be shown.
    """

    def __init__(self) -> None:
        self.picture: NDArray[Any] | None = None
        self.by = ""
        self.issues: list[dict[str, Any]] = []


def draw(
    path: str,
    files: Sequence[str],
    signals: Sequence[Mapping[str, Any]],
    offers: Sequence[Mapping[str, Any]],
    tell: Callable[[str, str], None],
) -> Drawn:
    """Ask for a picture until one is drawn.

    Parameters
    ----------
    path : str
        Of the file or folder that names the dataset.
    files : sequence of str
        All files of the dataset.
    signals : sequence of mapping
        Signal dictionaries of the reader.
    offers : sequence of mapping
        ``name, draw, by`` each, the best first.
    tell : callable
        Told of kind and name of what runs now.
    """
    from diadem.extract.preview import pixels_of

    drawn = Drawn()
    for offer in offers:
        tell("previews", offer["name"])
        try:
            picture = target(offer["draw"])(path, files, [dict(signal) for signal in signals])
            if picture is not None:
                drawn.picture = pixels_of(picture)
                drawn.by = f"{offer['name']} of {offer['by']['plugin']} {offer['by']['version']}"
                break
        except Exception as error:  # a plugin that fails costs its picture only
            text = " ".join(str(error).split())[:200]
            message = f"the preview '{offer['name']}' cannot be shown: {type(error).__name__}: {text}"
            drawn.issues.append(issue("preview-refused", message, severity="info", by=offer["by"]))
    return drawn


def packed(pixels: NDArray[Any]) -> dict[str, Any]:
    """Pixels as a worker sends them: ``rows, columns, colours``, and the bytes in base64."""
    rows, columns, *colours = pixels.shape
    about = {"rows": rows, "columns": columns, "colours": colours[0] if colours else 1}
    return {**about, "pixels": base64.b64encode(pixels.tobytes()).decode("ascii")}


def encoded(said: Any) -> bytes | None:
    """The PNG of pixels that a worker has sent, within `MAX_PNG`; None where they are none."""
    if not isinstance(said, Mapping):
        return None
    try:
        rows, columns, colours = (said[key] for key in ("rows", "columns", "colours"))
        pixels = base64.b64decode(said["pixels"], validate=True)
    except (KeyError, TypeError, ValueError):
        return None
    if any(type(size) is not int or not 0 < size <= SIDE for size in (rows, columns)) or colours not in (1, 3):
        return None
    if len(pixels) != rows * columns * colours:
        return None
    from PIL import Image

    picture = Image.frombytes("L" if colours == 1 else "RGB", (columns, rows), pixels)
    data = _png(picture)
    for levels in _LEVELS:
        if len(data) <= MAX_PNG:
            break
        if colours == 1:
            few = picture.point([grey * levels // 256 for grey in range(256)])
            few.putpalette([level * 255 // (levels - 1) for level in range(levels) for _ in "rgb"])
        else:
            few = picture.quantize(levels)
        data = _png(few, bits=4)
    return data


def _png(picture: Any, **options: int) -> bytes:
    sink = io.BytesIO()
    picture.save(sink, "PNG", optimize=False, compress_level=6, **options)
    return sink.getvalue()
