"""ASPEX's description of a TIFF file: lines of ``key=value unit``, with the pixel size first.

Programs that join ASPEX's pictures and spectra write the same lines with keys of their own (``operator``,
``beam_current``); both are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from diadem.hooks.fields import Block
from diadem.hooks.text import decode, ini
from diadem.hooks.tiff_blocks import Vendor, cut


def read(path: str, files: Sequence[str]) -> Iterator[Block]:
    """Blocks of a TIFF file of ASPEX; none of another.

    Parameters
    ----------
    path : str
        The file.
    files : sequence of str
        Not asked: everything is in the file.
    """
    del files
    yield from cut(path, Vendor("aspex-tiff", {270: parse}, media_type="text/plain"))


def parse(data: bytes) -> dict[str, str] | None:
    """Values by name; None where the description is another's."""
    if not data.startswith(b"Pixel_Size=") or b"Stage_" not in data:
        return None
    return ini(decode(data.split(b"\x00", 1)[0])).get("", {})
