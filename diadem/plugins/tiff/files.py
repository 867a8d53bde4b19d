"""TIFF files opened: directories that lead to strips and tiles of pixels, and to a vendor's own tags.

RosettaSciIO's reader says which pages make a signal, and what their axes are. It exchanges width and height of Thermo
Fisher, TVIPS and Olympus pixels, rounds JEOL's by up to half a percent, takes reciprocal lengths of TVIPS patterns as
lengths, and knows none of Orion, TESCAN, Fibics and Tecnai pictures: what the table of a family says of pixel sizes
goes before. Pixels that lie flat are read from where they lie; what is compressed, or in colours, the reader decodes.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from math import prod
from typing import Any, BinaryIO

import numpy as np

from diadem.errors import ReaderError
from diadem.hooks.binary import stream_of
from diadem.hooks.fields import Found, Tree, look_up
from diadem.hooks.formats import Dictionary, Files, Opened, Signal, laid_out
from diadem.hooks.tiff import NotTiff, Tiff
from diadem.model.layout import ArrayLayout, besides, pieces_of
from diadem.terms.units import convert


def open(files: Files) -> Opened:  # noqa: A001 - what it does
    """Open a file; its vendor's metadata are for those who know the vendor's tags."""
    name = files.entry
    stream = stream_of(files[name])
    try:
        tiff = Tiff(stream)
    except NotTiff as error:
        raise ReaderError(str(error), where=name) from error
    promised = tiff.promised(tuple(tiff.pages()))
    return Opened(_signals(files, stream, whole=promised <= files[name].size), size=promised)


def _signals(files: Files, stream: BinaryIO, *, whole: bool) -> Iterator[Signal]:
    name, size = files.entry, files[files.entry].size
    arrays = _arrays(name, stream, size) if whole else []
    read = _without_arrays(files.path({name: besides(arrays, size)})) if arrays else []
    for one, array in zip(read, arrays, strict=False):
        stored = np.dtype(array.dtype)
        if one["data"].dtype.newbyteorder(stored.byteorder) == stored:  # the reader has it as this machine would
            one["data"] = one["data"].astype(stored)
    for signal in laid_out(read, arrays) or files.signals():
        yield replace(signal, tables_first=True)


def _without_arrays(path: str) -> list[Dictionary]:
    """What RosettaSciIO says of the signals; its `file_reader` would leave the file open, for arrays to be read."""
    import tifffile
    from rsciio.tiff import _api

    try:
        with warnings.catch_warnings(), tifffile.TiffFile(path) as file:
            warnings.simplefilter("ignore")
            return [_api._read_tiff(file, series, path, lazy=True) for series in file.series]  # noqa: SLF001
    except Exception as error:  # the reader itself is asked, with the whole file
        logging.getLogger(__name__).debug("signals of %s: %r", path, error)
        return []


def _arrays(name: str, stream: BinaryIO, size: int) -> list[ArrayLayout]:
    """Where the arrays of all signals lie; none where one of them does not lie flat within the file."""
    import tifffile

    try:
        stream.seek(0)
        with tifffile.TiffFile(stream, name=name) as file:
            arrays = [_array(name, file, series) for series in file.series]
    except Exception as error:  # the reader says what is wrong with the file
        logging.getLogger(__name__).debug("pages of %s: %r", name, error)
        return []
    whole = [array for array in arrays if array is not None and max(stop for _, stop in pieces_of(array)) <= size]
    return whole if len(whole) == len(arrays) else []


def _array(name: str, file: Any, series: Any) -> ArrayLayout | None:
    """Where the pages of a series lie: in one piece, or each as far from the last; None where they do not."""
    import tifffile

    first, dtype = series.keyframe, series.dtype
    if dtype is None or first.photometric == tifffile.PHOTOMETRIC.RGB or first.parent is not file:
        return None
    stored = np.dtype(dtype).newbyteorder(file.byteorder)
    start, shape = series.dataoffset, tuple(int(size) for size in series.shape)
    if start is not None:
        return ArrayLayout.packed(name, start, stored.str, shape)
    pages = list(series.pages)
    if not all(page is not None and page.is_final and page.parent is file for page in pages):
        return None
    starts = [page.dataoffsets[0] for page in pages]
    apart = {after - before for before, after in pairwise(starts)}
    if len(apart) != 1 or prod(shape) != len(pages) * prod(first.shape):
        return None
    page = tuple(int(size) for size in first.shape)
    return ArrayLayout.records(name, starts[0], stored.str, (len(pages),), apart.pop(), page)


# -- ImageJ and Fiji, whose files have their scale in tags of TIFF and a text -----------------------------------------


def pixel_size(tree: Tree) -> Iterator[Found]:
    """Sizes of pixels, of lengths or reciprocal lengths as the unit says."""
    written = str(look_up(tree, "ImageDescription/unit") or "").replace("\\u00B5", "µ").replace("\\u00b5", "µ")
    if not written or tree.get("ResolutionUnit", 1) != 1:
        return
    for field, wanted in (("image.pixel_size", "m"), ("image.reciprocal_pixel_size", "1/m")):
        if convert(1.0, written, wanted) is None:
            continue
        for direction in "xy":
            density = tree.get(f"{direction.upper()}Resolution")
            if density:
                key = f"{direction.upper()}Resolution + ImageDescription/unit"
                yield Found(f"{field}_{direction}", 1 / density, key, [density, written], written, "derived")
