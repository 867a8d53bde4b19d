"""Which datasets make one session: folders united, joined or cut, each time with the reason."""

from __future__ import annotations

import datetime
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from diadem.archive.scan_folders import Folder, Item, folders_of, one_session
from diadem.archive.scan_names import counted, same_microscope
from diadem.model.session_days import SESSION_DAYS, session_days, title_of

#: Where a folder holds data of more than a week, a session ends where nothing was recorded for so long.
GAP = datetime.timedelta(hours=12)
#: Where the pieces of a folder would hold fewer datasets than this on average, it is a collection and stays whole.
LEAST = 3
_THIN = "too few files of each to split, so kept as one"


@dataclass(frozen=True, slots=True)
class Group:
    """Datasets that make one session.

    Attributes
    ----------
    items : list of Item
        All of them; never empty.
    title : str
        What a person would call it.
    why : str
        The reason, in plain words.
    date : date or None
        What the names of its folders say.
    folder : Folder or None
        The folder that it is, with all that lies below; None where it is some of a folder's files.
    """

    items: list[Item]
    title: str
    why: str
    date: datetime.date | None
    folder: Folder | None = None

    @property
    def day(self) -> datetime.date | None:
        """The day on which it began: see `session_days`."""
        tomorrow = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=1)
        days = {item.moment.date() for item in self.items if item.moment}
        found = session_days(days, self.date, latest=tomorrow)
        return found[0] if found else None

    @property
    def microscopes(self) -> set[str]:
        """What its files name."""
        return {item.microscope for item in self.items if item.microscope}


def groups_of(root: str, items: Iterable[Item]) -> list[Group]:
    """Divide the datasets of one root into sessions; every dataset is in exactly one."""
    united: set[int] = set()
    groups: list[Group] = []
    for folder in folders_of(root, items):
        if folder.parent is not None and id(folder.parent) in united:
            united.add(id(folder))
        elif why := one_session(folder):
            united.add(id(folder))
            inside = list(folder.below())
            groups.extend(_cut(inside, folder, why, whole=True) if inside else ())
        elif folder.items:
            why = "files directly in the folder; its sub-folders are sessions of their own"
            groups.extend(_cut(folder.items, folder, why, whole=False))
    return list(_joined(groups))


def _cut(items: list[Item], folder: Folder, why: str, *, whole: bool) -> Iterator[Group]:
    """One group, or several where the data cannot be of one session."""
    pieces = _cut_by_time(_in_order(items))
    if not any(reason.endswith(_THIN) for _, reason in pieces):
        pieces = [(piece, why + more) for times, why in pieces for piece, more in _cut_by_microscope(times)]
    for piece, reason in pieces:
        alone = folder if whole and len(pieces) == 1 else None
        yield Group(piece, folder.title, why + reason, folder.date, alone)


def _in_order(items: Iterable[Item]) -> list[Item]:
    """By path, numbers in names as numbers, so that neighbours belong together."""
    return sorted(items, key=lambda item: _natural(item.found.plan.entry))


def _natural(text: str) -> list[tuple[int, str]]:
    """A key that sorts ``scan 2`` before ``scan 10``."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d{1,18})", text) if part]


def _cut_by_time(items: list[Item]) -> list[tuple[list[Item], str]]:
    """Cut data of more than a week wherever nothing was recorded for twelve hours."""
    moments = sorted(item.moment for item in items if item.moment)
    if not moments or moments[-1] - moments[0] <= SESSION_DAYS:
        return [(items, "")]
    starts = [moments[0]] + [after for before, after in itertools.pairwise(moments) if after - before > GAP]
    if len(starts) == 1:
        return [(items, "")]
    said = f"; recorded {_years(moments[0], moments[-1])}"
    if len(starts) * LEAST > len(moments):
        return [(items, f"{said}; too few files per day to split, so kept as one")]
    which = [_last_before(starts, item.moment) for item in items]
    return [(piece, f"{said}, split where nothing was recorded for 12 hours") for piece in _divided(items, which)]


def _years(first: datetime.datetime, last: datetime.datetime) -> str:
    return f"{first.year} to {last.year}" if last.year > first.year else f"over {(last - first).days} days"


def _last_before(starts: Sequence[datetime.datetime], moment: datetime.datetime | None) -> int | None:
    if moment is None:
        return None
    return sum(start <= moment for start in starts)


def _cut_by_microscope(items: list[Item]) -> list[tuple[list[Item], str]]:
    """Cut where files name different microscopes."""
    names: list[str] = []
    which: list[int | None] = []
    for item in items:
        if not item.microscope:
            which.append(None)
            continue
        place = next((at for at, name in enumerate(names) if same_microscope(name, item.microscope)), len(names))
        if place == len(names):
            names.append(item.microscope)
        which.append(place)
    if len(names) < 2:
        return [(items, "")]
    if len(names) * LEAST > sum(place is not None for place in which):
        return [(items, f"; recorded at {len(names)} microscopes; {_THIN}")]
    pieces = _divided(items, which)
    return [(piece, f"; only what was recorded at the {name}") for piece, name in zip(pieces, names, strict=True)]


def _divided(items: Sequence[Item], which: Sequence[int | None]) -> list[list[Item]]:
    """Put items into their pieces; one that says nothing goes with its neighbour before, the first ones with the next.

    Pieces are in the order of their numbers.
    """
    pieces: dict[int, list[Item]] = defaultdict(list)
    place = next(number for number in which if number is not None)
    for item, number in zip(items, which, strict=True):
        place = place if number is None else number
        pieces[place].append(item)
    return [pieces[number] for number in sorted(pieces)]


def _joined(groups: Sequence[Group]) -> Iterator[Group]:
    """Join sibling folders of one day that have one name but for a counter from 1."""
    alike: dict[object, list[Group]] = defaultdict(list)
    for group in groups:
        alike[_likeness(group)].append(group)
    for members in alike.values():
        if len(members) > 1 and _is_series(members):
            yield _union(members)
        else:
            yield from members


def _likeness(group: Group) -> object:
    """What is equal for folders that may be one session."""
    if group.folder is None or group.folder.parent is None or group.day is None:
        return id(group)
    stem, _ = counted(title_of(group.folder.name))
    return id(group.folder.parent), group.day, stem.casefold()


def _is_series(members: Sequence[Group]) -> bool:
    """Whether the counters run from 0 or 1 without a gap, and nothing speaks of two microscopes or samples."""
    counters = sorted(counted(title_of(group.folder.name))[1] for group in members if group.folder)
    if counters[0] > 1 or counters != list(range(counters[0], counters[0] + len(counters))):
        return False
    microscopes = sorted(set().union(*(group.microscopes for group in members)))
    samples = {item.found.dataset.facts.sample for group in members for item in group.items} - {""}
    return len(samples) < 2 and all(same_microscope(microscopes[0], other) for other in microscopes)


def _union(members: Sequence[Group]) -> Group:
    names = [group.folder.name for group in members if group.folder]
    title, _ = counted(title_of(names[0]))
    listed = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    items = [item for group in members for item in group.items]
    why = f"{len(names)} folders of one day whose names differ only by a counter: {listed}"
    return Group(items, title or members[0].title, why, members[0].date)
