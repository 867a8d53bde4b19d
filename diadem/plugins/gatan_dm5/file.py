"""Images and tags of a dm5 file: groups of tags are HDF5 groups, tags attributes, ``[0]`` is the first of a list."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from diadem.hooks.fields import Block, look_up

if TYPE_CHECKING:
    import h5py

_LISTED = re.compile(r"\[(\d+)\]\Z")
#: Groups inside one another, and tags of one image, that are looked at.
_DEEPEST, _MOST = 40, 100_000


def is_dm5(path: str) -> bool:
    """DigitalMicrograph keeps a list of images, and one of what its window shows."""
    import h5py

    with h5py.File(path, "r") as root:
        return {"ImageList", "DocumentObjectList"} <= set(root)


def images(root: h5py.File) -> list[tuple[str, h5py.Group]]:
    """Images that are no thumbnails, by the names of their groups."""
    small = {int(group.attrs.get("ImageIndex", -1)) for group in _groups(root.get("Thumbnails")).values()}
    listed = {int(match[1]): name for name in root["ImageList"] if (match := _LISTED.match(name))}
    found = [(name, root["ImageList"].get(name)) for number, name in sorted(listed.items()) if number not in small]
    return [(name, group) for name, group in found if group is not None and _array(group) is not None]


def _groups(group: Any) -> dict[str, h5py.Group]:
    """Groups below a group by hard links, which lead nowhere else."""
    import h5py

    if not isinstance(group, h5py.Group):
        return {}
    hard = (name for name in group if isinstance(group.get(name, getlink=True), h5py.HardLink))
    return {name: group[name] for name in hard if isinstance(group[name], h5py.Group)}


def _array(image: h5py.Group) -> h5py.Dataset | None:
    import h5py

    data = image.get("ImageData/Data")
    return data if isinstance(data, h5py.Dataset) else None


def read(path: str, files: Sequence[str]) -> Iterator[Block]:  # noqa: ARG001  the format has one file
    """Tags of every image, named as those of dm4 are.

    Parameters
    ----------
    path : str
        The file.
    files : sequence of str
        The same, alone.
    """
    import h5py

    with h5py.File(path, "r") as root:
        for number, (name, image) in enumerate(images(root)):
            yield Block("gatan-image", _tree(image, [_MOST]), place=f"ImageList/{name}", signals=(number,))


def _tree(group: h5py.Group, left: list[int], depth: int = 0) -> dict[str, Any]:
    """Attributes and groups as a tree; `left` counts the tags that may still be read."""
    found: dict[str, Any] = {}
    for name, value in group.attrs.items():
        left[0] -= 1
        if left[0] < 0:
            break
        found[_named(name)] = _plain(value)
    for name, inner in _groups(group).items() if depth < _DEEPEST and left[0] > 0 else ():
        found[_named(name)] = _tree(inner, left, depth + 1)
    return found


def _named(name: str) -> str:
    """``[0]`` as dm4 names it."""
    return _LISTED.sub(r"TagGroup\1", name)


def _plain(value: Any) -> Any:
    value = value.tolist() if hasattr(value, "tolist") else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def load(path: str, lazy: bool = True) -> list[dict[str, Any]]:
    """Read all images.

    Parameters
    ----------
    path : str
        The file.
    lazy : bool
        Whether arrays stay in the file.

    Returns
    -------
    list of dict
        RosettaSciIO's signal dictionaries.
    """
    import h5py
    import numpy as np

    root = h5py.File(path, "r")
    signals = []
    for _, image in images(root):
        data: Any = _array(image)
        tree = _tree(image, [_MOST])
        title = str(tree.get("Name") or "").strip("/")
        axes = _axes(tree, data.shape)
        if lazy:
            from dask.array import from_array

            data = cast("Callable[..., Any]", from_array)(data)
        else:
            data = np.asarray(data)
        metadata = {"General": {"title": title} if title else {}, "Signal": {"signal_type": ""}}
        signals.append({"data": data, "axes": axes, "metadata": metadata, "original_metadata": {}, "mapping": {}})
    if not lazy:
        root.close()
    return signals


def _axes(tree: dict[str, Any], shape: Sequence[int]) -> list[dict[str, Any]]:
    """Axes slowest first; DigitalMicrograph counts its dimensions from the fastest, and its origin in pixels."""
    spectra = "spectrum" in str(look_up(tree, "ImageTags/Meta Data/Format") or "").lower()
    within = 1 if len(shape) == 1 else 2
    axes = []
    for place, size in enumerate(shape):
        number = len(shape) - 1 - place
        said = look_up(tree, f"ImageData/Calibrations/Dimension/TagGroup{number}") or {}
        scale = float(said.get("Scale") or 1.0)
        # of a spectrum image the slowest dimension is the energy
        navigate = place > 0 if spectra and len(shape) > 1 else place < len(shape) - within
        axes.append(
            {
                "name": ("x", "y", "z", "t")[number] if number < 4 else "",
                "size": int(size),
                "scale": scale,
                "offset": -float(said.get("Origin") or 0.0) * scale,
                "units": str(said.get("Units") or ""),
                "navigate": navigate,
                "index_in_array": place,
            }
        )
    return axes
