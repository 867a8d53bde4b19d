"""Small values out of HDF5 files that strangers have written: hard links only, bytes as text, an end to everything.

All of it takes groups and arrays of files that are open already; `shows` alone opens one, for probes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

#: Bytes of one value, and items of an array that is one; longer ones are data.
LONGEST: Final = 1 << 16
MOST_ITEMS: Final = 1024
#: Items of one group that are looked at.
MOST_CHILDREN: Final = 20_000


class Left:
    """Counts down what may still be read of a file, however its groups hold one another.

    Parameters
    ----------
    most : int
        Groups and values in all.
    """

    def __init__(self, most: int) -> None:
        self._left = most

    def take(self) -> bool:
        """Whether there is something left, which is less by one then."""
        self._left -= 1
        return self._left >= 0

    def __bool__(self) -> bool:
        """Whether there is something left."""
        return self._left > 0


def shows(path: str, test: Callable[[Any], bool]) -> bool:
    """Whether the root of a file passes a test, for a `probe`.

    Parameters
    ----------
    path : str
        The file.
    test : callable
        Is given the root.
    """
    import h5py

    with h5py.File(path, "r") as root:
        return bool(test(root))


def children(group: Any, *, soft: bool = False) -> Iterator[tuple[str, Any]]:
    """What lies in a group, by name.

    Parameters
    ----------
    group : h5py.Group or object
        What is no group holds nothing.
    soft : bool
        Whether links to other places of the file are followed as well; links to other files never are.
    """
    import h5py

    if not isinstance(group, h5py.Group):
        return
    for number, name in enumerate(group):
        if number >= MOST_CHILDREN:
            return
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.HardLink) or (soft and isinstance(link, h5py.SoftLink)):
            item = group.get(name)  # None where a soft link leads nowhere
            if item is not None:
                yield str(name), item


def child(group: Any, name: str) -> Any:
    """What a group has by a name, through a hard link; None where there is nothing."""
    import h5py

    return group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None


def groups(group: Any) -> dict[str, Any]:
    """Groups in a group by name."""
    return {name: item for name, item in children(group) if hasattr(item, "keys")}


def is_array(item: Any, kinds: str = "SOiufb") -> bool:
    """Whether something is an array of plain elements that lie in this file.

    Parameters
    ----------
    item : object
        What a group holds.
    kinds : str
        NumPy's letters of the kinds of elements; "" is any.
    """
    import h5py

    if not isinstance(item, h5py.Dataset) or item.shape is None or (kinds and item.dtype.kind not in kinds):
        return False
    return item.external is None and not item.is_virtual


def attributes(item: Any, left: Left | None = None) -> dict[str, Any]:
    """Attributes by name, as plain values; what is too long or cannot be read is left out.

    Parameters
    ----------
    item : h5py.Group or h5py.Dataset
        What has them.
    left : Left, optional
        What may still be read of the file.
    """
    found: dict[str, Any] = {}
    for name in item.attrs:
        if left is not None and not left.take():
            break
        try:
            value = item.attrs[name]
        except (OSError, TypeError, ValueError, RuntimeError, KeyError):
            continue
        if getattr(value, "nbytes", 0) <= LONGEST:
            found[str(name)] = plain(value)
    return found


def values(
    group: Any, left: Left | None = None, *, most: int = LONGEST, unit: str = "", soft: bool = False
) -> dict[str, Any]:
    """Small arrays of a group by name, as plain values.

    Parameters
    ----------
    group : h5py.Group
        The group.
    left : Left, optional
        What may still be read of the file.
    most : int
        Items of an array; 1 for single values only.
    unit : str
        Attribute that names a unit: what has one is a mapping of ``value`` and that attribute.
    soft : bool
        As in `children`.
    """
    found: dict[str, Any] = {}
    for name, item in children(group, soft=soft):
        if not is_array(item) or item.nbytes > LONGEST or item.size > most:
            continue
        if left is not None and not left.take():
            break
        value = plain(item[()])
        written = plain(item.attrs.get(unit, "")) if unit else ""
        found[name] = {"value": value, unit: written} if written else value
    return found


def plain(value: Any) -> Any:
    """A value without NumPy: text of bytes, numbers, lists of at most `MOST_ITEMS`; of an array of one, that one."""
    import numpy as np

    if isinstance(value, np.ndarray):
        flat = value.ravel()
        return plain(flat[0]) if flat.size == 1 else [plain(one) for one in flat[:MOST_ITEMS]]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.item() if isinstance(value, np.generic) and not isinstance(value, np.void) else value
