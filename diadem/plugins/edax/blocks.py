"""EDAX's headers cut out of spectra, maps and image descriptions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from diadem.hooks.fields import Block
from diadem.plugins.edax.headers import read_image, read_map, read_spectrum

#: Bytes in a count of a single spectrum.
_COUNT = 4
#: Bytes of a spectrum or an image description; a map is larger, but its header is short.
_LARGEST = 1 << 20
_MAP_HEADER = 1068


def read(path: str, files: Sequence[str]) -> Iterator[Block]:
    """Headers of the files of a dataset: a spectrum, or a map with its spectrum and image.

    Parameters
    ----------
    path : str
        An ``.spc``, ``.spd`` or ``.lsd`` file.
    files : sequence of str
        All files of the dataset.

    Yields
    ------
    Block
        ``edax-spc``, ``edax-spd``, ``edax-ipr``.
    """
    for file in dict.fromkeys([path, *files]):
        yield from _file(file, "" if file == path else file)


def _file(path: str, file: str) -> Iterator[Block]:
    suffix = Path(path).suffix.lower()
    if suffix not in (".spc", ".ipr", ".spd", ".lsd"):
        return
    with Path(path).open("rb") as stream:
        data = stream.read(_MAP_HEADER if suffix in (".spd", ".lsd") else _LARGEST)
    name = f"{Path(path).name}/" if file else ""
    if suffix == ".spc":
        yield from _spectrum(data, name, file)
    elif suffix == ".ipr" and (header := read_image(data)) is not None:
        yield Block("edax-ipr", header, data, place=f"{name}header", file=file, byte_range=(0, len(data)))
    elif (header := read_map(data)) is not None:
        yield Block("edax-spd", header, data, place=f"{name}header", file=file, byte_range=(0, len(data)))


def _spectrum(data: bytes, name: str, file: str) -> Iterator[Block]:
    """What stands before the counts, and behind them."""
    header = read_spectrum(data)
    if header is None:
        return
    start = min(header["dataStart"], len(data))
    end = min(start + _COUNT * header["numPts"], len(data))
    yield Block("edax-spc", header, data[:start], place=f"{name}header", file=file, byte_range=(0, start))
    if end < len(data):
        yield Block("edax-spc", {}, data[end:], place=f"{name}footer", file=file, byte_range=(end, len(data)))
