"""HyperSpy signals from a reader's dictionaries."""

from __future__ import annotations

import copyreg
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from diadem.archive.load.safe import Neutraliser
from diadem.archive.load.tree import Tree, leaves, take_defaults
from diadem.errors import NotFound, ReaderError
from diadem.model.record import Dataset
from diadem.model.signals import Signal as Recorded

_LOG = logging.getLogger(__name__)


def build(
    dictionaries: Sequence[Mapping[str, Any]], lazy: bool, origin: Mapping[str, str], dataset: Dataset | None = None
) -> list[Any]:
    """One signal for each dictionary that holds data; whatever a reader put in it, no code of the file runs.

    `origin` becomes ``metadata.General.diadem``. What the record says goes before what the reader says, where HyperSpy
    has a place for it: what was replaced is listed in ``….replaced``, where both differ in ``….notes``, and what only
    the signal's class supposes, which needs a number, in ``….assumed``. A signal knows its title but no folder:
    ``save()`` without a name never writes into a package.
    """
    made = [_signal(found, lazy, origin) for found in dictionaries if "data" in found and "metadata" in found]
    signals, defaults = [signal for signal, _ in made], [supposed for _, supposed in made]
    if signals:
        _let_be_pickled(next(kind for kind in type(signals[0]).__mro__ if kind.__name__ == "BaseSignal"))
    if dataset is not None:
        same = _same_in_record(dataset.signals, signals)
        missing = [one for number, one in enumerate(dataset.signals) if number not in same.values()]
        for number, signal in enumerate(signals):
            told = dataset.signals[same[number]] if number in same else None
            tree = Tree(signal, dataset, told.id if told else None)
            replaced = tree.fill()
            defaults[number] |= tree.assumed
            notes = [*signal.metadata.get_item("General.diadem.notes", default=()), *_notes(signal, told, missing)]
            for name, texts in (("replaced", replaced), ("notes", notes)):
                if texts:
                    signal.metadata.set_item(f"General.diadem.{name}", texts)
    for signal, supposed in zip(signals, defaults, strict=True):  # what nobody knows better, and that it is supposed
        left = {path: value for path, value in supposed.items() if not signal.metadata.has_item(path)}
        for path, value in left.items():
            signal.metadata.set_item(path, value)
        if left:
            signal.metadata.set_item("General.diadem.assumed", [f"{path}: {value:g}" for path, value in left.items()])
    return signals


def _let_be_pickled(kind: Any) -> None:
    """Let signals of a class, and of those below it, be pickled: HyperSpy leaves generators in them."""
    for one in kind.__subclasses__():
        _let_be_pickled(one)
    copyreg.pickle(kind, _pickled)


def _pickled(signal: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """A signal as HyperSpy's own `deepcopy` takes it."""
    axes = [axis.navigate for axis in signal.axes_manager._axes]  # noqa: SLF001
    return _unpickled, (type(signal), signal._to_dictionary(), axes)  # noqa: SLF001


def _unpickled(kind: type, held: Mapping[str, Any], axes: Sequence[bool]) -> Any:
    signal = kind(**held)
    for axis, navigate in zip(signal.axes_manager._axes, axes, strict=True):  # noqa: SLF001
        axis.navigate = navigate
    return signal


def _same_in_record(told: Sequence[Recorded], signals: Sequence[Any]) -> dict[int, int]:
    """Of each signal that the record describes, by its number, the number there.

    It is the one with its title and sizes, in whatever order its axes are; else with its sizes; else with its title;
    else the only one that is left. Where several are alike their order tells, if there are as many as in the record.
    """
    there = [(one.title, _sizes(one.shape)) for one in told]
    here = [(str(one.metadata.get_item("General.title", default="")), _sizes(one.data.shape)) for one in signals]
    same: dict[int, int] = {}
    for parts in (slice(0, 2), slice(1, 2), slice(0, 1), slice(0, 0)):
        ours: dict[Any, list[int]] = defaultdict(list)
        theirs: dict[Any, list[int]] = defaultdict(list)
        for groups, side, taken in ((ours, here, set(same)), (theirs, there, set(same.values()))):
            for number, one in enumerate(side):
                if number not in taken:
                    groups[one[parts]].append(number)
        for shared, numbers in ours.items():
            alike = [here[n][1] for n in numbers] == [there[n][1] for n in theirs[shared]]
            if alike or len(numbers) == len(theirs[shared]) == 1:
                same.update(zip(numbers, theirs[shared], strict=True))
    return same


def _sizes(shape: Sequence[int]) -> tuple[int, ...]:
    """Sizes of axes, without those of one element, which some readers drop when a signal is made."""
    return tuple(sorted(size for size in shape if size != 1))


def _notes(signal: Any, told: Recorded | None, missing: Sequence[Recorded]) -> Iterator[str]:
    """Where a signal is not what the record describes."""
    shape = _by(signal.data.shape)
    if told is None:
        yield f"it is not certain which signal of the record this is ({shape}): it has only the values stated for all"
    elif _sizes(told.shape) != _sizes(signal.data.shape):
        yield f"{told.id} of the record is {_by(told.shape)}, this signal is {shape}: its values may be of other data"
    if missing:
        named = "; ".join(f"{one.id} '{one.title}', {_by(one.shape)}" for one in missing)
        yield f"the record has signals that were not found among those loaded: {named}"


def _by(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))


def _signal(found: Mapping[str, Any], lazy: bool, origin: Mapping[str, str]) -> tuple[Any, dict[str, Any]]:
    """A signal, and what its class has supposed of the instrument, which is taken out again."""
    from hyperspy.io import dict2signal

    neutraliser = Neutraliser()
    safe = neutraliser.signal(found)
    safe["metadata"].setdefault("Signal", {})
    if "attributes" in safe:
        safe["attributes"]["_lazy"] = lazy
    if not lazy:  # the array itself: what was proven now, not what a file may hold later
        data = safe["data"].compute() if hasattr(safe["data"], "compute") else safe["data"]
        safe["data"] = np.array(data) if isinstance(data, np.memmap) else data
    said = leaves(safe["metadata"])  # before HyperSpy adds to it
    with _without_advice_on_types():
        signal = dict2signal(safe, lazy=lazy)
    mapped = {to[0] for key, to in safe.get("mapping", {}).items() if signal.original_metadata.has_item(key)}
    supposed = take_defaults(signal, said | mapped)
    if signal.metadata.has_item("Signal.binned"):  # of HyperSpy before 1.7; today its axes say so
        for axis in signal.axes_manager.signal_axes:
            axis.is_binned = bool(signal.metadata.Signal.binned)
        del signal.metadata.Signal.binned
    for note in neutraliser.notes:
        _LOG.warning("%s: %s", origin["path"], note)
    if signal.metadata.has_item("General.diadem"):  # whatever the file itself claims
        del signal.metadata.General.diadem
    notes = {"notes": neutraliser.notes} if neutraliser.notes else {}
    signal.metadata.set_item("General.diadem", {**origin, **notes})
    signal.tmp_parameters.filename = origin["path"].rpartition("/")[2].rpartition(".")[0]
    return signal, supposed


@contextmanager
def _without_advice_on_types() -> Iterator[None]:
    """A type for which no class is installed is no fault of the file: HyperSpy's own class takes its data."""

    def is_other(record: logging.LogRecord) -> bool:
        return "not understood" not in record.getMessage()

    log = logging.getLogger("hyperspy.io")
    log.addFilter(is_other)
    try:
        yield
    finally:
        log.removeFilter(is_other)


def choose(signals: Sequence[Any], wanted: int | str | None, where: str) -> Any:
    """The signal that was asked for, as `place_of` takes it; without a wish the only one, or the list of all."""
    if not signals:
        raise ReaderError("the file holds no signal", where=where)
    if wanted is None:
        return signals[0] if len(signals) == 1 else list(signals)
    titles = [str(signal.metadata.General.title) for signal in signals]
    shapes = [f", {_by(signal.data.shape)} {signal.data.dtype}" for signal in signals]  # several may have one title
    return signals[place_of(wanted, titles, where, shapes)]


def place_of(wanted: int | str, titles: Sequence[str], where: str, more: Sequence[str] = ()) -> int:
    """The place of the signal that is meant: by its place, its title or, where no title is so, its id: ``s1``.

    Raises `NotFound` where there is none, or are several; the message names them all, and says `more` of each.
    """
    places = [wanted] if isinstance(wanted, int) else [at for at, title in enumerate(titles) if title == wanted]
    places = places or [at for at in range(len(titles)) if wanted == f"s{at + 1}"]
    if len(places) == 1 and -len(titles) <= places[0] < len(titles):
        return places[0]
    told = zip(titles, more or [""] * len(titles), strict=True)
    named = "; ".join(f"{at} (s{at + 1}) '{title}'{rest}" for at, (title, rest) in enumerate(told))
    what = "several signals" if len(places) > 1 else "no signal"
    raise NotFound(f"{what} {wanted!r}", where=where, next=f"It has: {named}.")
