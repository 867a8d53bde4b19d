"""Blocks of HyperSpy's files: for each signal HyperSpy's metadata, and the vendor's as far as they are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from diadem.hooks.fields import Block
from diadem.plugins.hyperspy.origins import origin_of, vendor_blocks
from diadem.plugins.hyperspy.tree import Budget, Group, tree_of

#: Names of the two trees, those of HyperSpy 0.x last.
_METADATA = ("metadata", "mapped_parameters")
_ORIGINAL = ("original_metadata", "original_parameters")


def read(path: str, files: Sequence[str]) -> Iterator[Block]:  # noqa: ARG001 - every cutter is called so
    """Cut the metadata out of a file of HyperSpy.

    Parameters
    ----------
    path : str
        The .hspy or .hdf5 file, or the .zspy archive or folder.
    files : sequence of str
        All files of the dataset.

    Yields
    ------
    Block
        For each signal those of the vendor that are known, then HyperSpy's own.
    """
    budget = Budget()
    if Path(path).is_dir() or path.lower().endswith(".zspy"):
        from diadem.plugins.hyperspy import zarr

        with closing(zarr.Store(path)) as store:
            for number, (name, signal) in enumerate(zarr.experiments(store)):
                yield from _signal(name, signal, number, budget)
        return
    import h5py

    from diadem.plugins.hyperspy import hdf5

    with h5py.File(path, "r") as file:
        for number, (name, group) in enumerate(hdf5.experiments(file)):
            yield from _signal(name, group, number, budget)


def _signal(name: str, group: Group, number: int, budget: Budget) -> Iterator[Block]:
    """Blocks of one signal."""
    trees: dict[str, Mapping[str, Any]] = {
        inside: tree_of(content, budget) for inside, content in group.groups() if inside in (*_METADATA, *_ORIGINAL)
    }
    place = f"Experiments/{name}"
    metadata = next((key for key in _METADATA if key in trees), "")
    original = next((key for key in _ORIGINAL if key in trees), "")
    origin = origin_of(trees.get(metadata, {}), trees.get(original, {}))
    vendors = list(
        vendor_blocks(origin, trees.get(metadata, {}), trees.get(original, {}), f"{place}/{original}", number)
    )
    yield from vendors
    tree: dict[str, Any] = {key: trees[key] for key in (metadata, original) if key}
    if tree:
        tree |= {"read by": origin, "vendor's own": bool(vendors)}
        yield Block("hyperspy-signal", tree, place=place, signals=(number,))
