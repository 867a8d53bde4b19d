"""DigitalMicrograph's files opened: dm3 and dm4, and dm5, which has the same tags in the groups of an HDF5 file.

By the rules of RosettaSciIO, which is asked for images that are packed, coloured or cut short, and for the metadata
that HyperSpy knows. But the energy of a spectrum image is the signal here at once, not by what HyperSpy does to a
signal once it is made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from math import prod
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from diadem.errors import ReaderError
from diadem.hooks import hdf5
from diadem.hooks.fields import Block, look_up
from diadem.hooks.formats import CutShort, Files, Opened, Signal, failing
from diadem.hooks.text import number
from diadem.model.layout import ArrayLayout, besides, pieces_of
from diadem.plugins.gatan.tags import Directory, read_directory

if TYPE_CHECKING:
    import h5py

#: NumPy's type by the code in `ImageData.DataType`; packed Fourier transforms and colours are left to the reader.
_TYPES = {
    1: "<i2", 2: "<f4", 3: "<c8", 6: "|u1", 7: "<i4", 9: "|i1", 10: "<u2", 11: "<u4", 12: "<f8", 13: "<c16", 14: "|b1",
}  # fmt: skip
#: Names of the axis that is no place, by HyperSpy's type of the signal, and its unit.
_SPECTRAL = {"EELS": ("Energy loss", "eV"), "CL": ("Wavelength", "nm")}
#: A member of a list in dm5.
_LISTED = re.compile(r"\[(\d+)\]\Z")
#: Groups inside one another, and tags of one image, that are looked at in dm5.
_DEEPEST, _MOST = 40, 100_000


def open(files: Files) -> Opened:  # noqa: A001 - what it does
    """Open a dm3 or dm4 file; of one without readable tags the reader is asked all the same."""
    name = files.entry
    try:
        directory = read_directory(files[name], name)
    except ReaderError as error:
        return Opened(_by_reader(files), failing(error), error.needed if isinstance(error, CutShort) else 0)
    return Opened(_signals(files, directory), _blocks(directory), directory.promised)


def _signals(files: Files, directory: Directory) -> Iterator[Signal]:
    """One for each image but the thumbnails, by its tags; by the reader where one of them is not certain."""
    name = files.entry
    arrays = layouts(directory, name, files[name].size)
    if not arrays:
        yield from _by_reader(files)
        return
    read = cache(lambda: files.read({name: besides(arrays, files[name].size)}))  # of all tags
    for place_, ((_, image), array) in enumerate(zip(images(directory.tree), arrays, strict=True)):
        yield _signal(image, array, name, partial(lambda number: read()[number], place_))


def _by_reader(files: Files) -> Iterator[Signal]:
    """RosettaSciIO's signals; a spectrum image is a stack of pictures there, with a step to come."""
    for signal in files.signals():
        steps = signal.more.get("post_process") or ()
        energy = sum(axis.get("navigate") is True for axis in signal.axes) - 1  # HyperSpy takes the fastest outer axis
        if len(steps) < 2 or energy < 0:
            yield signal
            continue
        order = _last(energy, len(signal.axes))
        axes = [{**signal.axes[of], "navigate": of != energy, "index_in_array": at} for at, of in enumerate(order)]
        more = {**signal.more, "post_process": steps[-1:]}
        yield replace(signal, axes=axes, data=signal.data.transpose(order), more=more)


def _last(place: int, count: int) -> list[int]:
    """The order of axes in which one of them is the last."""
    return [*(other for other in range(count) if other != place), place]


def layouts(directory: Directory, name: str, size: int) -> list[ArrayLayout]:
    """Where the arrays of all images but the thumbnails lie, slowest axis first.

    None where one is packed, coloured, not of the length that its axes give, or not whole.
    """
    found = [_layout(image, name) for _, image in images(directory.tree)]
    arrays = [array for array in found if array is not None]
    certain = directory.whole and directory.little_endian and len(arrays) == len(found)
    return arrays if certain and all(pieces_of(array)[-1][1] <= size for array in arrays) else []


def _layout(image: Mapping[str, Any], name: str) -> ArrayLayout | None:
    code = look_up(image, "ImageData/DataType")
    dtype = _TYPES.get(code) if isinstance(code, int) else None
    data, listed = look_up(image, "ImageData/Data"), look_up(image, "ImageData/Dimensions")
    lengths = [n for n in listed.values() if isinstance(n, int)] if isinstance(listed, Mapping) else []
    if dtype is None or not isinstance(data, Mapping) or not lengths or min(lengths) < 1:
        return None
    if data.get("bytes") != int(dtype[2:]) * prod(lengths):
        return None
    return ArrayLayout.packed(name, data["offset"], dtype, tuple(lengths[::-1]))


def _signal(
    image: Mapping[str, Any], data: Any, name: str, reader: Callable[[], Mapping[str, Any]] | None = None
) -> Signal:
    """A signal by the tags of its image; `data` are its values, or where they lie, slowest axis first."""
    shape, tags = tuple(int(n) for n in data.shape), look_up(image, "ImageTags")
    kind, format_ = look_up(tags, "Meta Data/Signal"), look_up(tags, "Meta Data/Format")
    mapped = format_ == "Spectrum image" or look_up(tags, "spim") is not None  # the second is Orsay Physics'
    if kind == "CL" or look_up(tags, "Acquisition/Monarc Spectrometer") is not None:
        type_ = "CL"
    elif kind == "X-ray":
        type_ = "EDS_TEM"
    else:
        type_ = "EELS" if kind == "EELS" or look_up(tags, "spim/eels") is not None else ""
    axes = _axes(look_up(image, "ImageData/Calibrations/Dimension"), shape, type_)
    spectra = len(shape) == 1 or (len(shape) == 2 and (mapped or format_ == "Spectrum"))
    inner = list(range(len(shape)))[-1 if spectra else -2 :]
    order = list(range(len(shape)))
    if mapped and len(shape) > 2:  # the picture is the fastest, before it come the energies
        order, inner = _last(len(shape) - 3, len(shape)), [len(shape) - 3]
    kept = [place for place in order if shape[place] != 1] or order[-1:]  # HyperSpy drops axes of one element
    if isinstance(data, ArrayLayout):
        array, data = data.along(kept), None
    else:
        array, data = None, data.transpose(order).reshape([shape[of] for of in kept])
    title = look_up(image, "Name")
    named = title if isinstance(title, str) and title.strip("/") else ""
    return Signal(
        [{**axes[of], "navigate": of not in inner, "index_in_array": at} for at, of in enumerate(kept)],
        data,
        array,
        {"General": {"title": named, "original_filename": PurePosixPath(name).name}, "Signal": {"signal_type": type_}},
        reader=reader,
    )


def _axes(calibrations: Any, shape: Sequence[int], type_: str) -> list[dict[str, Any]]:
    """Axes as the array has them; DigitalMicrograph counts its dimensions from the fastest, its origins in pixels."""
    said = [one for _, one in _groups(calibrations)]
    axes: list[dict[str, Any]] = []
    for place, size in enumerate(shape):
        at = len(shape) - 1 - place
        one = said[at] if at < len(said) else {}  # plug-ins stack images and leave their calibrations
        scale, unit = number(one.get("Scale")), one.get("Units")
        scale = 1.0 if scale is None else scale
        offset = -1 * (number(one.get("Origin")) or 0.0) * scale
        units = unit if isinstance(unit, str) else ""
        axes.append({"name": None, "size": size, "scale": scale, "offset": offset, "units": units})
    name, wanted = _SPECTRAL.get(type_, ("", ""))
    spectral = next((axis for axis in axes if name and axis["units"] == wanted), None)
    if spectral is not None:
        spectral["name"] = name
    for axis, letter in zip((axis for axis in axes[::-1] if axis is not spectral), "xyz", strict=False):
        axis["name"] = letter
    return axes


# -- blocks of dm3 and dm4 -----------------------------------------------------------------------------------------


def _blocks(directory: Directory) -> Iterator[Block]:
    """The directory, with a list of what is left out; then one block for each image.

    Of a file that was cut off, in which thumbnails cannot be told from images, tags are read only where one image has
    any.
    """
    told = {
        "version": directory.version,
        "little_endian": directory.little_endian,
        "whole": directory.whole,
        "left out": [{"tag": one.tag, "offset": one.offset, "bytes": one.length} for one in directory.left_out],
    }
    place = "tag directory (the file without the arrays that are listed as left out)"
    yield Block("gatan-directory", told, directory.data, "application/x-gatan-dm", place)
    found = images(directory.tree)
    certain = directory.whole or sum("ImageTags" in image for _, image in found) == 1
    for place_, (name, image) in enumerate(found):
        signals = (place_,) if directory.whole else ()
        yield Block("gatan-image" if certain else "gatan-unsure", image, place=f"ImageList/{name}", signals=signals)


def images(tree: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Images in the order of RosettaSciIO's signals, thumbnails left out."""
    small = {f"TagGroup{item.get('ImageIndex')}" for _, item in _groups(tree.get("Thumbnails"))}
    return [(name, image) for name, image in _groups(tree.get("ImageList")) if name not in small]


def _groups(tree: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The groups directly below a group."""
    for name, item in tree.items() if isinstance(tree, Mapping) else ():
        if isinstance(item, Mapping):
            yield name, item


# -- dm5: groups of tags are HDF5 groups, tags attributes, ``[0]`` is the first of a list -----------------------------


def open_dm5(files: Files) -> Opened:
    """Open a dm5 file; arrays that lie flat in it are read there, others by HDF5."""
    import h5py

    root = h5py.File(files.hdf5(), "r")
    listed = hdf5.groups(hdf5.child(root, "ImageList"))
    written = {_named(name): name for name in listed if _LISTED.match(name)}
    in_order = sorted(written, key=lambda name: int(name.removeprefix("TagGroup")))
    tree = {
        "Thumbnails": _tree(hdf5.child(root, "Thumbnails"), hdf5.Left(_MOST)),
        "ImageList": {name: _tree(listed[written[name]], hdf5.Left(_MOST)) for name in in_order},
    }
    found = []
    for name, image in images(tree):
        data = listed[written[name]].get("ImageData/Data")
        if hdf5.is_array(data, "") and data.shape:
            found.append((written[name], image, data))
    return Opened(
        (_signal(image, _flat(data, files.entry), files.entry) for _, image, data in found),
        [
            Block("gatan-image", image, place=f"ImageList/{name}", signals=(place,))
            for place, (name, image, _) in enumerate(found)
        ],
    )


def _tree(group: Any, left: hdf5.Left, depth: int = 0) -> dict[str, Any]:
    """Attributes and groups, named as those of dm4 are; `left` counts the tags that may still be read."""
    found = {_named(name): value for name, value in hdf5.attributes(group, left).items()} if group is not None else {}
    for name, inner in hdf5.groups(group).items() if depth < _DEEPEST and left else ():
        found[_named(name)] = _tree(inner, left, depth + 1)
    return found


def _named(name: str) -> str:
    """``[0]`` as dm4 names it."""
    return _LISTED.sub(r"TagGroup\1", name)


def _flat(data: h5py.Dataset, name: str) -> Any:
    """Where an array lies, or a Dask array of one that is compressed, in pieces or elsewhere."""
    offset = data.id.get_offset() if data.chunks is None else None
    if offset is None or data.dtype.kind not in "iuf":
        from dask.array import from_array

        return cast("Callable[..., Any]", from_array)(data)
    return ArrayLayout.packed(name, offset, data.dtype.str, tuple(data.shape))
