"""The folders of one root with what their datasets say, and which of them are one session with all that lies below."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from diadem.archive.scan_names import is_part, is_year, same_microscope
from diadem.archive.scan_reading import Found
from diadem.model.session_days import EARLIEST, SESSION_DAYS, date_in, date_of_path, title_of

#: Data in a folder and in its sub-folders are one session where they were recorded within a day.
ONE_DAY = datetime.timedelta(hours=24)
#: The same, as local times are compared.
_EARLIEST = datetime.datetime.combine(EARLIEST, datetime.time())


@dataclass(frozen=True, slots=True)
class Item:
    """What sessions are made by: a dataset, when it was recorded (local time), and at which microscope."""

    found: Found
    moment: datetime.datetime | None
    microscope: str

    @property
    def known(self) -> bool:
        """Whether it is an instrument's data, also where it is damaged."""
        dataset = self.found.dataset
        return dataset.known or bool(self.found.plan.offers and dataset.issues)


def item_of(found: Found) -> Item:
    """A dataset as an item."""
    facts = found.dataset.facts
    return Item(found, moment_of(facts.acquired), facts.instrument if facts.voltage is not None else "")


def moment_of(acquired: str) -> datetime.datetime | None:
    """An acquisition time as local time; None where it is not stated or cannot be true."""
    try:
        moment = datetime.datetime.fromisoformat(acquired).replace(tzinfo=None)
    except ValueError:
        return None
    tomorrow = datetime.datetime.now() + datetime.timedelta(days=1)  # noqa: DTZ005
    return moment if _EARLIEST <= moment <= tomorrow else None


@dataclass(slots=True)
class Folder:
    """A folder that holds datasets, or folders that do.

    `items` are those directly in it; the rest sums up everything below as well.
    """

    name: str
    path: str
    parent: Folder | None
    items: list[Item] = field(default_factory=list)
    children: list[Folder] = field(default_factory=list)
    known: int = 0
    first: datetime.datetime | None = None
    last: datetime.datetime | None = None
    dates: set[datetime.date] = field(default_factory=set)
    microscopes: list[str] = field(default_factory=list)
    timed: bool = True
    parts_only: bool = True

    @property
    def date(self) -> datetime.date | None:
        """The date in its name, or spelled by the folders above."""
        return date_in(self.name) or date_of_path(self.path)

    @property
    def known_here(self) -> bool:
        """Whether there is data directly in it."""
        return any(item.known for item in self.items)

    @property
    def title(self) -> str:
        """What a person would call it: its name without the date; with its parent's where that says little."""
        own, folder, tail = title_of(self.name), self, ""
        while (not own or is_part(own)) and folder.parent is not None:
            tail = f"{own} {tail}".strip()
            folder = folder.parent
            own = title_of(folder.name)
        if is_part(own) and tail:  # the root is called "data": that names nothing
            own = ""
        return f"{own} {tail}".strip() or self.name

    def below(self) -> Iterator[Item]:
        """All items in it and below."""
        pending = [self]
        while pending:
            folder = pending.pop()
            yield from folder.items
            pending.extend(reversed(folder.children))


def folders_of(root: str, items: Iterable[Item]) -> list[Folder]:
    """All folders that hold datasets, each before those below it; the first is the root itself."""
    top = Folder(Path(root).name or root, "", None)
    folders = {"": top}
    for item in items:
        _folder(folders, item.found.home).items.append(item)
    ordered = sorted(folders.values(), key=lambda folder: folder.path.split("/") if folder.path else [])
    for folder in reversed(ordered):
        _sum_up(folder)
    return ordered


def _folder(folders: dict[str, Folder], path: str) -> Folder:
    """The folder of a path, made with its parents where it is new."""
    missing = []
    while path not in folders:
        missing.append(path)
        path = path.rpartition("/")[0]
    folder = folders[path]
    for name in reversed(missing):
        child = folders[name] = Folder(name.rpartition("/")[2], name, folder)
        folder.children.append(child)
        folder = child
    return folder


def _sum_up(folder: Folder) -> None:
    """Add what is directly in a folder, and what its children, summed up already, hold."""
    for item in folder.items:
        folder.known += item.known
        folder.timed &= item.moment is not None or not item.known
        _stretch(folder, item.moment, item.moment)
        _meet(folder.microscopes, [item.microscope] if item.microscope else [])
    for child in folder.children:
        folder.known += child.known
        folder.timed &= child.timed
        folder.parts_only &= child.parts_only and (is_part(child.name) or not child.known)
        folder.dates |= child.dates
        _stretch(folder, child.first, child.last)
        _meet(folder.microscopes, child.microscopes)
    if folder.known and (date := folder.date):
        folder.dates.add(date)


def _stretch(folder: Folder, first: datetime.datetime | None, last: datetime.datetime | None) -> None:
    if first is not None and (folder.first is None or first < folder.first):
        folder.first = first
    if last is not None and (folder.last is None or last > folder.last):
        folder.last = last


def _meet(known: list[str], new: Sequence[str]) -> None:
    """Keep one name of each microscope; a handful suffices to know that there are several."""
    for name in new:
        if len(known) < 4 and not any(same_microscope(name, other) for other in known):
            known.append(name)


def one_session(folder: Folder) -> str:
    """Why a folder with all that lies below it is one session, or ""."""
    if not any(child.known for child in folder.children):
        return "a folder with data; its sub-folders have none" if folder.children else "a folder with data"
    span = folder.last - folder.first if folder.first and folder.last else datetime.timedelta()
    if span > SESSION_DAYS or len(folder.microscopes) > 1 or is_year(folder.name):
        return ""
    if folder.dates and max(folder.dates) - min(folder.dates) > SESSION_DAYS:
        return ""
    if date_in(folder.name):
        return "the folder's name has a date, and the files below it are of that time"
    dated = any(child.dates for child in folder.children)
    if folder.parts_only and not dated:
        names = sorted({child.name for child in folder.children if child.known})
        return f"its sub-folders are named like parts of a session: {', '.join(names[:3])}{', …' * (len(names) > 3)}"
    if folder.known_here and folder.timed and folder.first and span <= ONE_DAY and not dated:
        return "its files and those in its sub-folders were recorded within 24 hours"
    return ""
