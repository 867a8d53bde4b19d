"""Applying the `mapping` that a reader returns, as HyperSpy would, and remembering where each value came from.

A mapping says which key of `original_metadata` becomes which key of `metadata`, through which function. Keys are
matched as HyperSpy matches them: exactly, or with what cannot stand in a Python name replaced by `_`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from diadem.extract.assertions import Leaf

_UNNAMEABLE = re.compile(r"[^a-zA-Z0-9_]+")


class Tree(Mapping[str, Any]):
    """A dictionary whose keys are also attributes, as the functions of a mapping expect it."""

    def __init__(self, data: Mapping[Any, Any]) -> None:
        self._data = {_slug(str(key)): value for key, value in data.items()}
        self._exact = {str(key): value for key, value in data.items()}

    def __getitem__(self, key: str) -> Any:
        """A value, nested dictionaries as trees."""
        value = self._exact[key] if key in self._exact else self._data[_slug(key)]
        return Tree(value) if isinstance(value, Mapping) and not isinstance(value, Tree) else value

    def __getattr__(self, name: str) -> Any:
        """The same as an attribute."""
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __contains__(self, key: object) -> bool:
        """Whether a key is there, written either way."""
        return isinstance(key, str) and (key in self._exact or _slug(key) in self._data)

    def __iter__(self) -> Iterator[str]:
        """Keys in the form of names."""
        return iter(self._data)

    def __len__(self) -> int:
        """Number of keys."""
        return len(self._data)

    def get(self, path: str, default: Any = None) -> Any:
        """The value at a dotted path."""
        found = look_up(self._exact, path)
        return default if found is None else found

    get_item = get

    def has_item(self, path: str) -> bool:
        """Whether there is a value at a dotted path."""
        return look_up(self._exact, path) is not None


def _slug(key: str) -> str:
    """A key as HyperSpy makes attributes of it."""
    return _UNNAMEABLE.sub("_", key).strip("_")


def look_up(tree: Any, path: str) -> Any:
    """The value at a dotted path, or None; keys may hold dots themselves."""
    if path in ("", None):
        return tree
    if not isinstance(tree, Mapping):
        return None
    if path in tree:
        return tree[path]
    for end in [match.start() for match in re.finditer(r"\.", path)] or [len(path)]:
        child = _child(tree, path[:end])
        if child is not None:
            found = look_up(child, path[end + 1 :])
            if found is not None:
                return found
    return _child(tree, path)


def _child(tree: Mapping[Any, Any], key: str) -> Any:
    """A direct child, by its own name or by its slug."""
    if key in tree:
        return tree[key]
    wanted = _slug(key)
    return next((value for name, value in tree.items() if _slug(str(name)) == wanted), None)


def leaves(signal: Mapping[str, Any]) -> dict[str, Leaf]:
    """Flatten a signal's `metadata` and apply its `mapping`.

    Parameters
    ----------
    signal : mapping
        A signal dictionary of RosettaSciIO.

    Returns
    -------
    dict of str to Leaf
        By dotted path in HyperSpy's tree: ``Acquisition_instrument.TEM.beam_energy``. A function of the mapping that
        fails gives nothing for its key.
    """
    found = {path: Leaf(value, path, value) for path, value in flatten(signal.get("metadata") or {})}
    original = signal.get("original_metadata") or {}
    for source, (target, function) in (signal.get("mapping") or {}).items():
        raw = look_up(original, source)
        if raw is None:
            continue
        try:
            value = raw if function is None else function(Tree(raw) if isinstance(raw, Mapping) else raw)
        except Exception:  # noqa: S112 - the reader's own function on a value it did not expect: no value
            continue
        if isinstance(value, Mapping):
            found.update((f"{target}.{path}", Leaf(leaf, source, leaf, True)) for path, leaf in flatten(value))
        elif value is not None:
            found[target] = Leaf(value, source, value if isinstance(raw, Mapping) else raw, True)
    return found


def flatten(tree: Mapping[Any, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Dotted paths and values of a nested dictionary, not deeper than 20."""
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            if depth < 20:
                yield from flatten(value, path + ".", depth + 1)
        else:
            yield path, value
