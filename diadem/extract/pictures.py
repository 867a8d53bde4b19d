"""Pictures that plugins draw: asked for one after the other, and shown only as plain PNG."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from diadem.extract.extraction import issue
from diadem.hooks.targets import target

#: Bytes of a picture, and pixels a side.
MAX_PNG: Final = 12_000
MAX_SIDE: Final = 320
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
#: Chunks that make the picture; what else a program writes (texts, times, colour profiles) is left out.
_KEPT: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
#: Colour type to values a pixel and bits that each may have: PNG specification, third edition, table 11.1.
_COLOURS: Final[Mapping[int, tuple[int, frozenset[int]]]] = {
    0: (1, frozenset({1, 2, 4, 8, 16})),
    2: (3, frozenset({8, 16})),
    3: (1, frozenset({1, 2, 4, 8})),
    4: (2, frozenset({8, 16})),
    6: (4, frozenset({8, 16})),
}


class Drawn:
    """What plugins drew of a dataset.

    Attributes
    ----------
    picture : bytes or None
        A plain PNG; None where none of them drew one.
    by : str
        Whose it is.
    issues : list of dict
        Plugins that failed, or drew what cannot be shown.
    """

    def __init__(self) -> None:
        self.picture: bytes | None = None
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
    drawn = Drawn()
    for offer in offers:
        tell("previews", offer["name"])
        try:
            picture = target(offer["draw"])(path, files, [dict(signal) for signal in signals])
            if picture is not None:
                drawn.picture = plain_png(picture)
                drawn.by = f"{offer['name']} of {offer['by']['plugin']} {offer['by']['version']}"
                break
        except Exception as error:  # a plugin that fails costs its picture only
            text = " ".join(str(error).split())[:200]
            message = f"the preview '{offer['name']}' cannot be shown: {type(error).__name__}: {text}"
            drawn.issues.append(issue("preview-refused", message, severity="info", by=offer["by"]))
    return drawn


def plain_png(data: Any) -> bytes:
    """The picture alone: a PNG of limited size without anything beside the image.

    Raises
    ------
    ValueError
        It is no sound PNG, or a larger one; says why.
    """
    if not isinstance(data, bytes):
        raise ValueError(f"a picture is bytes, not {type(data).__name__}")  # noqa: TRY004 - one kind of refusal
    chunks = [(kind, body) for kind, body in _chunks(data) if kind in _KEPT]
    kinds = [kind for kind, _ in chunks]
    if not kinds or kinds[0] != b"IHDR" or kinds[-1] != b"IEND" or kinds.count(b"IHDR") != 1 or b"IDAT" not in kinds:
        raise ValueError("a PNG begins with IHDR, has IDAT, and ends with IEND")
    if chunks[0][1][9:10] == b"\x03" and b"PLTE" not in kinds:
        raise ValueError("a PNG of this kind has a palette")
    _require_pixels(chunks[0][1], b"".join(body for kind, body in chunks if kind == b"IDAT"))
    plain = _SIGNATURE + b"".join(map(_chunk, chunks))
    if len(plain) > MAX_PNG:
        raise ValueError(f"a picture has at most {MAX_PNG} bytes, not {len(plain)}")
    return plain


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of each chunk, up to the end of the picture."""
    if not data.startswith(_SIGNATURE):
        raise ValueError("this is no PNG")
    if len(data) > 100 * MAX_PNG:
        raise ValueError(f"a picture has at most {MAX_PNG} bytes, not {len(data)}")
    at = len(_SIGNATURE)
    kind = b""
    while kind != b"IEND":
        if len(data) < at + 12:
            raise ValueError("the PNG is cut short")
        length, kind = struct.unpack_from(">I4s", data, at)
        body, end = data[at + 8 : at + 8 + length], at + 12 + length
        if len(data) < end or zlib.crc32(kind + body) != int.from_bytes(data[end - 4 : end], "big"):
            raise ValueError(f"the chunk {kind!r} is damaged")
        yield kind, body
        at = end


def _chunk(item: tuple[bytes, bytes]) -> bytes:
    kind, body = item
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _require_pixels(header: bytes, packed: bytes) -> None:
    """That the header is possible and the packed rows are those that it announces."""
    if len(header) != 13:
        raise ValueError("the header is damaged")
    width, height, depth, colour, method, filtering, interlaced = struct.unpack(">IIBBBBB", header)
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise ValueError(f"a picture has at most {MAX_SIDE} pixels a side, not {width} x {height}")
    values, depths = _COLOURS.get(colour, (0, frozenset[int]()))
    if depth not in depths or method or filtering or interlaced:
        raise ValueError("a picture is a plain PNG, not interlaced")
    row = 1 + (width * values * depth + 7) // 8
    unpacker = zlib.decompressobj()
    try:
        rows = unpacker.decompress(packed, row * height + 1)
    except zlib.error as error:
        raise ValueError(f"the pixels cannot be unpacked: {error}") from error
    if len(rows) != row * height or max(rows[::row]) > 4:
        raise ValueError("the pixels are not those that the header announces")
