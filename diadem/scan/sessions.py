"""The plan: every group of datasets as a session with its title, date, place and reason."""

from __future__ import annotations

import datetime
import itertools
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from blake3 import blake3

from diadem.model.scan import STAR, DuplicateGroup, PlannedSession
from diadem.pack.compose import package_name
from diadem.pack.plan import text_of
from diadem.scan.folders import Group, Item, groups_of, item_of
from diadem.scan.reading import Found
from diadem.scan.tree import ScanTree

#: Values of a field that a session names.
_NAMED = 3
#: How the reason of a session that is a copy begins.
COPIED = "all its files are also in"
#: What the reason of one says that is a copy but for some files.
DIFFERS = "of the same name"
#: A session may begin before midnight.
_DAY = datetime.timedelta(days=1)
#: Of two sessions that share less of their files, neither is a copy of the other.
_ALIKE = 0.5
#: Issues of datasets of which nothing can be used.
_RUBBISH = frozenset({"empty", "truncated"})


def propose_sessions(trees: Sequence[ScanTree], found: Sequence[Found]) -> tuple[list[PlannedSession], dict[int, str]]:
    """Make the plan.

    Parameters
    ----------
    trees : sequence of ScanTree
        What was scanned.
    found : sequence of Found
        Its datasets.

    Returns
    -------
    sessions : list of PlannedSession
        By root and folder. Every dataset is in exactly one.
    membership : dict of int to str
        ``id()`` of each `Found` to its session's id.
    """
    sessions: list[PlannedSession] = []
    membership: dict[int, str] = {}
    for tree in trees:
        mine = [one for one in found if one.tree is tree]
        groups = groups_of(tree.root, map(item_of, mine))
        for session, group in zip(_sessions(tree, groups), groups, strict=True):
            sessions.append(session)
            membership.update((id(item.found), session.id) for item in group.items)
    return _told_apart(sessions), membership


def _sessions(tree: ScanTree, groups: Sequence[Group]) -> list[PlannedSession]:
    files = {index: _files(group) for index, group in enumerate(groups)}
    owners = {path: index for index, paths in files.items() for path in paths}
    cover = Cover(owners | dict.fromkeys(tree.zips, len(groups)), tree.closed)  # a ZIP of packages is in none of them
    return [_session(tree, group, files[index], cover) for index, group in enumerate(groups)]


def _files(group: Group) -> list[str]:
    return [file.path for item in group.items for file in item.found.plan.files]


def _session(tree: ScanTree, group: Group, files: Sequence[str], cover: Cover) -> PlannedSession:
    datasets = [item.found.dataset for item in group.items]
    known = any(item.known for item in group.items)
    sound = any(item.known and not _is_rubbish(item) for item in group.items)
    moments = sorted((item.moment, item.found.dataset.facts.acquired) for item in group.items if item.moment)
    top = group.folder.path if group.folder else ""
    folder, parts = placed(tree.root, cover.pieces(files, top))
    date = group.day.isoformat() if group.day else ""
    title = text_of(os.fsencode(group.title))
    if group.date and (group.day is None or _apart(group) > 1):  # what the name says is told somewhere
        title = f"{group.date.isoformat()} {title}"
    return PlannedSession(
        id=_identity(tree, files),
        archive=known and sound,
        title=title,
        date=date,
        folder=folder,
        parts=parts,
        name=session_name(date, title),
        sample=_named(dataset.facts.sample for dataset in datasets),
        operator=_named(dataset.facts.operator for dataset in datasets),
        instrument=_named(dataset.facts.instrument for dataset in datasets),
        datasets=len(datasets),
        files=len(files),
        bytes=sum(dataset.bytes for dataset in datasets),
        first=moments[0][1] if moments else "",
        last=moments[-1][1] if moments else "",
        formats=_formats(dataset.facts.format for dataset in datasets),
        why=_why(group, known=known, sound=sound),
    )


def _is_rubbish(item: Item) -> bool:
    """Whether a dataset is empty or cut short: it is worth keeping beside others, not by itself."""
    return any(issue.code in _RUBBISH for issue in item.found.dataset.issues)


def _why(group: Group, *, known: bool, sound: bool) -> str:
    if not known:
        return "no file of a format that DIADEM knows"
    if not sound:
        return "all files of a known format are empty or cut short"
    days = sorted({item.moment.date() for item in group.items if item.moment})
    doubt = ""
    if group.date and days and not days[0] - _DAY <= group.date <= days[-1] + _DAY:
        files = " to ".join(str(day) for day in dict.fromkeys((days[0], days[-1])))
        doubt = f"; its name says {group.date}, its files {files}"
    timed = bool(days)
    undated = "; no date in the files or the folder name" if group.day is None and not timed else ""
    return group.why + doubt + undated


def _apart(group: Group) -> int:
    """Days between what the name says and the day of the session."""
    return abs((group.day - group.date).days) if group.day and group.date else 0


def session_name(date: str, title: str) -> str:
    """What the package would be called, without year folder and payload digits.

    Where no date is known, the day of archiving will stand before it.
    """
    name = package_name(date or datetime.date.min.isoformat(), title, "").partition("/")[2].rstrip("-")
    return name if date else name.partition("-")[2]


def _identity(tree: ScanTree, files: Sequence[str]) -> str:
    """Digits that depend on root and names only."""
    names = "\0".join((tree.root, *sorted(files)))
    return blake3(names.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _named(values: Iterable[str]) -> str:
    """The most frequent values."""
    counts = Counter(value for value in values if value)
    more = f"; and {len(counts) - _NAMED} more" if len(counts) > _NAMED else ""
    return "; ".join(value for value, _ in counts.most_common(_NAMED)) + more


def _formats(values: Iterable[str]) -> str:
    counts = Counter(values)
    unknown = counts.pop("unknown", 0)
    words = [f"{count:,} {name}" for name, count in counts.most_common()] + ([f"{unknown:,} other"] if unknown else [])
    return ", ".join(words)


def _told_apart(sessions: list[PlannedSession]) -> list[PlannedSession]:
    """Give sessions of one name their parent folder's name as well, else a number."""
    for numbered in (False, True):
        counts = Counter(session.name for session in sessions)
        seen: Counter[str] = Counter()
        for at, session in enumerate(sessions):
            if counts[session.name] > 1:
                seen[session.name] += 1
                number = seen[session.name]
                title = f"{session.title} {number}" if numbered else f"{_parent(session)} {session.title}".strip()
                sessions[at] = replace(session, title=title, name=session_name(session.date, title))
    return sessions


def _parent(session: PlannedSession) -> str:
    parts = session.folder.replace(os.sep, "/").rstrip("/").split("/")
    return text_of(os.fsencode(parts[-2])) if len(parts) > 1 else ""


def without_copies(
    sessions: Sequence[PlannedSession],
    owners: Mapping[str, str],
    duplicates: Sequence[DuplicateGroup],
    names: Mapping[str, Sequence[str]],
) -> list[PlannedSession]:
    """Propose to archive once what lies in two places: a session all of whose files are in another one is left out.

    One that is a copy but for some files is told so: that is what two disks are compared for.

    Parameters
    ----------
    sessions : sequence of PlannedSession
        The plan.
    owners : mapping of str to str
        Absolute path (as text) of every file to its session's id.
    duplicates : sequence of DuplicateGroup
        Files with one content.
    names : mapping of str to sequence of str
        Absolute paths of all files of each session.
    """
    table = {session.id: session for session in sessions}
    places = {session.id: place for place, session in enumerate(sessions)}
    shared: Counter[tuple[str, str]] = Counter()
    for group in duplicates:
        members = Counter(owners[path] for path in group.paths if path in owners)
        for one, count in members.items():
            shared.update({(one, other): count for other in members if other != one})
    whole = [(one, other) for (one, other), count in shared.items() if count >= table[one].files]
    whole.sort(key=lambda pair: (table[pair[0]].files, not _looks_copied(table[pair[0]]), -places[pair[0]], pair[1]))
    dropped: dict[str, str] = {}
    for one, other in whole:
        if one not in dropped and other not in dropped and table[other].archive:
            dropped[one] = other
    kept = {pair: count for pair, count in shared.items() if dropped.keys().isdisjoint(pair)}
    told = dict(_differing(table, kept, duplicates, names))
    return [
        _copy_of(session, table[dropped[session.id]])
        if session.id in dropped
        else replace(session, why="; ".join((session.why, *told.get(session.id, ()))))
        for session in sessions
    ]


def _differing(
    table: Mapping[str, PlannedSession],
    shared: Mapping[tuple[str, str], int],
    duplicates: Sequence[DuplicateGroup],
    names: Mapping[str, Sequence[str]],
) -> Iterator[tuple[str, list[str]]]:
    """By session, what of it differs from another that has most of its files."""
    twins = {path for group in duplicates for path in group.paths} if shared else set[str]()
    found: dict[str, list[str]] = defaultdict(list)
    for (one, other), count in shared.items():
        if count < _ALIKE * max(table[one].files, table[other].files):
            continue
        mine, theirs = ({_last(path) for path in names[each] if path not in twins} for each in (one, other))
        if differ := len(mine & theirs):
            verb = "differs" if differ == 1 else "differ"
            equal = f"{count:,} of {table[one].files:,} files are equal to those of {table[other].title}"
            found[one].append(f"{equal}, in {table[other].folder}; {differ:,} {DIFFERS} {verb}")
    yield from found.items()


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _looks_copied(session: PlannedSession) -> bool:
    """Whether its path says that it is a copy: of two equal sessions, this one is left out."""
    return bool(re.search(r"(?:copy|copies|backup|kopie|sicherung|usb|old|tmp|temp)(?![a-z])", session.folder.lower()))


def _copy_of(session: PlannedSession, other: PlannedSession) -> PlannedSession:
    return replace(session, archive=False, why=f"{session.why}; {COPIED} {other.title}")


class Cover:
    """Who owns the folders of one root.

    Parameters
    ----------
    owners : mapping of str to int
        Every file, relative to the root, and its session.
    closed : sequence of str
        Folders that are in no session: packages and stores. No folder that holds one can be taken whole.
    """

    def __init__(self, owners: Mapping[str, int], closed: Sequence[str]) -> None:
        self._below: dict[str, int | None] = {}
        self._direct: dict[str, int | None] = {}
        for path, owner in owners.items():
            folder = path.rpartition("/")[0]
            if self._direct.setdefault(folder, owner) != owner:
                self._direct[folder] = None
            self._mark(folder, owner)
        for path in closed:
            self._mark(path, None)

    def _mark(self, folder: str, owner: int | None) -> None:
        """Note an owner of a folder and of all above it; None where there are several."""
        while True:
            known = self._below.get(folder, -1)
            if known in (owner, None):  # and so it is for all above
                return
            self._below[folder] = owner if known == -1 else None
            if not folder:
                return
            folder = folder.rpartition("/")[0]

    def pieces(self, files: Iterable[str], top: str = "") -> list[str]:
        """What holds exactly these files of one session.

        Parameters
        ----------
        files : iterable of str
            All files of one owner.
        top : str
            A folder that holds them all; none above it is named.

        Returns
        -------
        list of str
            Sorted: ``folder/`` with all that is below (``/`` alone is the root), ``folder/*`` for the files directly in
            it, or a file; one that is called ``*`` is written ``[*]``.
        """
        by_folder: dict[str, list[str]] = defaultdict(list)
        for path in files:
            by_folder[path.rpartition("/")[0]].append(path)
        pieces: set[str] = set()
        for folder, inside in by_folder.items():
            if self._below[folder] is not None:
                pieces.add(self._highest(folder, top) + "/")
            elif self._direct[folder] is not None:
                pieces.add(f"{folder}/{STAR}".lstrip("/"))
            else:
                pieces.update(f"{path[:-1]}[*]" if path.rpartition("/")[2] == STAR else path for path in inside)
        return sorted(pieces)

    def _highest(self, folder: str, top: str) -> str:
        """The highest folder up to `top` that has the same single owner."""
        while folder not in ("", top) and self._below[parent := folder.rpartition("/")[0]] is not None:
            folder = parent
        return folder


def placed(root: str, pieces: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The folder that holds all pieces, absolute, and the pieces relative to it; none where it is that folder whole."""
    if len(pieces) == 1 and pieces[0].endswith("/"):
        return _join(root, pieces[0].rstrip("/")), ()
    parents = [piece.rstrip("/").rpartition("/")[0] for piece in pieces]
    base = "/".join(_shared([parent.split("/") for parent in parents]))
    skip = len(base) + 1 if base else 0
    return _join(root, base), tuple(piece[skip:] for piece in pieces)


def _shared(paths: Sequence[list[str]]) -> list[str]:
    """The parts with which all paths begin."""
    return [level[0] for level in itertools.takewhile(lambda level: len(set(level)) == 1, zip(*paths, strict=False))]


def _join(root: str, path: str) -> str:
    return str(os.path.normpath(f"{root}/{path}")) if path else root
