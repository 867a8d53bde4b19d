"""Which datasets make one session: folders united, joined or cut, each time with the reason."""

from __future__ import annotations

import datetime
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from diadem.model.folder_dates import EARLIEST, EDGES, SESSION_DAYS, date_in, date_of_path, session_days, title_of
from diadem.scan.plan import moment
from diadem.scan.reading import Found

#: Data in a folder and in its sub-folders are one session where they were recorded within a day.
ONE_DAY = datetime.timedelta(hours=24)
#: Where a folder holds data of more than a week, a session ends where nothing was recorded for so long.
GAP = datetime.timedelta(hours=12)
#: Where the pieces of a folder would hold fewer datasets than this on average, it is a collection and stays whole.
LEAST = 3
_THIN = "too few files of each to split, so kept as one"
#: The same, as local times are compared.
_EARLIEST = datetime.datetime.combine(EARLIEST, datetime.time())


@dataclass(frozen=True, slots=True)
class Group:
    """Datasets that make one session, never none: what a person would call it, and the reason in plain words.

    `date` is what the names of its folders say; `folder` is the folder that it is with all that lies below, None where
    it is some of a folder's files.
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
    pieces = _cut_by_time(sorted(items, key=lambda item: _natural(item.found.plan.entry)))
    if not any(reason.endswith(_THIN) for _, reason in pieces):
        pieces = [(piece, why + more) for times, why in pieces for piece, more in _cut_by_microscope(times)]
    for piece, reason in pieces:
        alone = folder if whole and len(pieces) == 1 else None
        yield Group(piece, folder.title, why + reason, folder.date, alone)


def _natural(text: str) -> list[tuple[int, str]]:
    """A key that sorts ``scan 2`` before ``scan 10``, so that neighbours belong together."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d{1,18})", text) if part]


def _cut_by_time(items: list[Item]) -> list[tuple[list[Item], str]]:
    """Cut data of more than a week wherever nothing was recorded for twelve hours."""
    moments = sorted(item.moment for item in items if item.moment)
    if not moments or moments[-1] - moments[0] <= SESSION_DAYS:
        return [(items, "")]
    starts = [moments[0]] + [after for before, after in itertools.pairwise(moments) if after - before > GAP]
    if len(starts) == 1:
        return [(items, "")]
    first, last = moments[0], moments[-1]
    years = f"{first.year} to {last.year}" if last.year > first.year else f"over {(last - first).days} days"
    said = f"; recorded {years}"
    if len(starts) * LEAST > len(moments):
        return [(items, f"{said}; too few files per day to split, so kept as one")]
    which = [sum(start <= item.moment for start in starts) if item.moment else None for item in items]
    return [(piece, f"{said}, split where nothing was recorded for 12 hours") for piece in _divided(items, which)]


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
    microscopes = sorted({item.microscope for group in members for item in group.items} - {""})
    samples = {item.found.dataset.facts.sample for group in members for item in group.items} - {""}
    return len(samples) < 2 and all(same_microscope(microscopes[0], other) for other in microscopes)


def _union(members: Sequence[Group]) -> Group:
    names = [group.folder.name for group in members if group.folder]
    title, _ = counted(title_of(names[0]))
    listed = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    items = [item for group in members for item in group.items]
    why = f"{len(names)} folders of one day whose names differ only by a counter: {listed}"
    return Group(items, title or members[0].title, why, members[0].date)


# -- folders with what their datasets say ----------------------------------------------------------------------------


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
    stated = moment(acquired)
    tomorrow = datetime.datetime.now() + datetime.timedelta(days=1)  # noqa: DTZ005
    return stated if stated and _EARLIEST <= stated <= tomorrow else None


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
        path, missing = item.found.home, []
        while path not in folders:
            missing.append(path)
            path = path.rpartition("/")[0]
        folder = folders[path]
        for name in reversed(missing):
            child = folders[name] = Folder(name.rpartition("/")[2], name, folder)
            folder.children.append(child)
            folder = child
        folder.items.append(item)
    ordered = sorted(folders.values(), key=lambda folder: folder.path.split("/") if folder.path else [])
    for folder in reversed(ordered):
        _sum_up(folder)
    return ordered


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


# -- what names say --------------------------------------------------------------------------------------------------

_YEAR = re.compile(r"(?:19|20)\d\d\Z")
#: ``_2``, `` 2``, ``(2)``, ``#2`` at the end, or nothing but digits. Not ``S-2``, which is how samples are called.
_COUNTER = re.compile(r"(?:\A|[\s_]+|(?=[(#]))[(#]?(\d{1,2})\)?\Z")
#: Words of which the names of sub-folders inside a session are made, by people and by acquisition programs.
_PART_WORDS = frozenset(
    """
    raw data image images img pictures photo photos tif tiff jpg jpeg png bmp dm dm3 dm4 emd emi ser mrc mib hspy zspy
    h5 hdf5 export exports exported processed processing analysis analysed analyzed result results eds edx edxs edxa
    eels eftem stem tem hrtem hrstem lmstem bf df abf adf maadf haadf dpc idpc sem se bse fib ebsd tkd cl saed sad saedp
    cbed nbed ned diffraction diff dp dps d ped spectra spectrum spectroscopy si map maps mapping mappings line lines
    linescan linescans scan scans point points overview overviews survey surveys area areas region regions roi rois site
    sites spot spots pos position positions location locations loc grid gridsquare square squares hole holes foilhole
    foilholes view views field fields frame frames movie movies video videos stack stacks series tilt tiltseries tomo
    tomogram tomograms tomography focal focus calibration calib cal reference references ref dark gain flat background
    bg low high mag magnification lowmag highmag kv kx k x nm um alignment align misc other others disc notes note
    documents screenshots screenshot metadata atlas batch run runs acquisition acquisitions
    """.split()  # noqa: SIM905 - two hundred quoted words are harder to read
)
#: Words that many makers and models share: they do not tell one microscope from another.
_MAKERS = frozenset(
    {"fei", "company", "thermo", "fisher", "scientific", "jeol", "zeiss", "carl", "gatan", "tescan", "hitachi"}
    | {"bruker", "microscope", "electron", "kv"}
)


def counted(title: str) -> tuple[str, int]:
    """A title without the counter at its end, and the counter, 1 where there is none: ``ZnO_02`` is ``ZnO`` and 2."""
    match = _COUNTER.search(title)
    return (title[: match.start()].strip(EDGES), int(match[1])) if match else (title, 1)


def is_year(name: str) -> bool:
    """Whether a folder is named for a year."""
    return bool(_YEAR.match(name))


def is_part(name: str) -> bool:
    """Whether a folder is named as people and programs name parts of a session: ``EDS``, ``raw``, ``area 2``, ``007``.

    A name with a date is none, nor is a year.
    """
    if date_in(name) or is_year(name):
        return False
    words = re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name))
    if not words:
        return bool(re.fullmatch(r"[\W_]*\d{1,4}[\W_]*", name))
    joined = "".join(words).casefold()
    return all(word.casefold() in _PART_WORDS for word in words) or joined in _PART_WORDS


def same_microscope(one: str, other: str) -> bool:
    """Whether two names may mean one microscope: programs of one maker spell it differently."""
    first, second = (re.sub(r"[\W_]+", "", name).casefold() for name in (one, other))
    if first in second or second in first:
        return True
    mine, theirs = (  # words that tell a model: long ones, and those that hold a digit
        {
            word
            for word in re.findall(r"[^\W_]+", name.casefold())
            if word not in _MAKERS and (len(word) >= 5 or (len(word) >= 3 and not (word.isalpha() or word.isdigit())))
        }
        for name in (one, other)
    )
    return bool(mine & theirs)
