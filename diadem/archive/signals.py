"""HyperSpy signals from a reader's dictionaries."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from diadem.archive.hyperspy_tree import Tree
from diadem.archive.neutralising import Neutraliser
from diadem.errors import NotFound, ReaderError
from diadem.model.record import Dataset

_LOG = logging.getLogger(__name__)


def build(
    dictionaries: Sequence[Mapping[str, Any]], lazy: bool, origin: Mapping[str, str], dataset: Dataset | None = None
) -> list[Any]:
    """One signal for each dictionary that holds data.

    Parameters
    ----------
    dictionaries : sequence of mapping
        As RosettaSciIO's readers return them; whatever they hold, no code of the file runs.
    lazy : bool
        Whether the signals are lazy.
    origin : mapping of str to str
        Becomes ``metadata.General.diadem``: package, path, verify, reader.
    dataset : Dataset, optional
        What the record says of it: goes before what the reader says, where HyperSpy has a place for it. What was
        replaced is listed in ``metadata.General.diadem.replaced``.

    Returns
    -------
    list of HyperSpy signals
        They know their title but no folder: ``save()`` without a name never writes into a package.
    """
    held = [found for found in dictionaries if "data" in found and "metadata" in found]
    signals = [_signal(found, lazy, origin) for found in held]
    if dataset is not None:
        for signal, name in zip(signals, _names(dataset, held), strict=True):
            if replaced := Tree(signal, dataset, name).fill():
                signal.metadata.set_item("General.diadem.replaced", replaced)
    return signals


def _names(dataset: Dataset, found: Sequence[Mapping[str, Any]]) -> list[str | None]:
    """Which signal of the record each is; None where the reader does not give those that the record describes."""
    told = dataset.signals
    if [_longer(one.shape) for one in told] != [_longer(one["data"].shape) for one in found]:
        return [None] * len(found)
    return [one.id for one in told]


def _longer(shape: Sequence[int]) -> list[int]:
    """A shape without the axes of one element, which some readers drop when a signal is made."""
    return [length for length in shape if length != 1]


def _signal(found: Mapping[str, Any], lazy: bool, origin: Mapping[str, str]) -> Any:
    from hyperspy.io import dict2signal

    neutraliser = Neutraliser()
    safe = neutraliser.signal(found)
    safe["metadata"].setdefault("Signal", {})
    if "attributes" in safe:
        safe["attributes"]["_lazy"] = lazy
    if not lazy:
        safe["data"] = _in_memory(safe["data"])
    signal = dict2signal(safe, lazy=lazy)
    _move_binned(signal)
    for note in neutraliser.notes:
        _LOG.warning("%s: %s", origin["path"], note)
    _describe(signal, {**origin, **({"notes": neutraliser.notes} if neutraliser.notes else {})})
    return signal


def _in_memory(data: Any) -> Any:
    """The array itself: what was proven now, not what a file may hold later."""
    data = data.compute() if hasattr(data, "compute") else data
    return np.array(data) if isinstance(data, np.memmap) else data


def _move_binned(signal: Any) -> None:
    """Files of HyperSpy before 1.7 say in the metadata what its axes say now."""
    if signal.metadata.has_item("Signal.binned"):
        for axis in signal.axes_manager.signal_axes:
            axis.is_binned = bool(signal.metadata.Signal.binned)
        del signal.metadata.Signal.binned


def _describe(signal: Any, origin: Mapping[str, Any]) -> None:
    """State where the signal comes from, over whatever the file itself claims."""
    if signal.metadata.has_item("General.diadem"):
        del signal.metadata.General.diadem
    signal.metadata.set_item("General.diadem", dict(origin))
    signal.tmp_parameters.filename = origin["path"].rpartition("/")[2].rpartition(".")[0]


def choose(signals: Sequence[Any], wanted: int | str | None, where: str) -> Any:
    """The signal that was asked for; without a wish the only one, or the list of all.

    A text is a title or, where no title is so, the signal's id in the record: ``s1``, ``s2`` …

    Raises
    ------
    NotFound
        There is no such signal, or several have the title.
    ReaderError
        There is none at all.
    """
    if not signals:
        raise ReaderError("the file holds no signal", where=where)
    if wanted is None:
        return signals[0] if len(signals) == 1 else list(signals)
    titles = [str(signal.metadata.General.title) for signal in signals]
    places = [wanted] if isinstance(wanted, int) else [i for i, title in enumerate(titles) if title == wanted]
    if not places:
        places = [number for number in range(len(signals)) if wanted == f"s{number + 1}"]
    if len(places) == 1 and -len(signals) <= places[0] < len(signals):
        return signals[places[0]]
    named = "; ".join(_told_apart(number, signal) for number, signal in enumerate(signals))
    what = "several signals" if len(places) > 1 else "no signal"
    raise NotFound(f"{what} {wanted!r}", where=where, next=f"It has: {named}.")


def _told_apart(number: int, signal: Any) -> str:
    """Number, id, title and shape of a signal: several may have the same title."""
    title, shape = signal.metadata.General.title, " × ".join(map(str, signal.data.shape))
    return f"{number} (s{number + 1}) '{title}', {shape} {signal.data.dtype}"
