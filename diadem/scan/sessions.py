"""The plan: every group of datasets as a session with its title, date, place and reason."""

from __future__ import annotations

import datetime
import itertools
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from blake3 import blake3

from diadem.model.scan import STAR, DuplicateGroup, PlannedSession
from diadem.pack.compose import package_name
from diadem.pack.plan import text_of
from diadem.scan.folders import Group, groups_of, item_of
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
    """The sessions, by root and folder, every dataset in exactly one; and ``id()`` of each `Found` to its session's id.

    Sessions of one name get their parent folder's name as well, else a number.
    """
    sessions: list[PlannedSession] = []
    membership: dict[int, str] = {}
    for tree in trees:
        groups = groups_of(tree.root, (item_of(one) for one in found if one.tree is tree))
        files = [[file.path for item in group.items for file in item.found.plan.files] for group in groups]
        owners = {path: index for index, paths in enumerate(files) for path in paths}
        owners |= dict.fromkeys(tree.zips, len(groups))  # a ZIP of packages is in none of them
        cover = Cover(owners, tree.closed)
        for group, paths in zip(groups, files, strict=True):
            session = _session(tree, group, paths, cover)
            sessions.append(session)
            membership.update((id(item.found), session.id) for item in group.items)
    for numbered in (False, True):
        counts = Counter(session.name for session in sessions)
        seen: Counter[str] = Counter()
        for at, session in enumerate(sessions):
            if counts[session.name] > 1:
                seen[session.name] += 1
                above = session.folder.replace(os.sep, "/").rstrip("/").split("/")[-2:-1]
                parent = text_of(os.fsencode("".join(above)))
                title = f"{session.title} {seen[session.name]}" if numbered else f"{parent} {session.title}".strip()
                sessions[at] = replace(session, title=title, name=_session_name(session.date, title))
    return sessions, membership


def _session(tree: ScanTree, group: Group, files: Sequence[str], cover: Cover) -> PlannedSession:
    facts = [item.found.dataset.facts for item in group.items]
    moments = sorted((item.moment, item.found.dataset.facts.acquired) for item in group.items if item.moment)
    folder, parts = placed(tree.root, cover.pieces(files, group.folder.path if group.folder else ""))
    date = group.day.isoformat() if group.day else ""
    title = text_of(os.fsencode(group.title))
    if group.date and (group.day is None or abs((group.day - group.date).days) > 1):
        title = f"{group.date.isoformat()} {title}"  # what the name says is told somewhere
    archive, why = _verdict(group)
    names = "\0".join((tree.root, *sorted(files)))
    return PlannedSession(
        id=blake3(names.encode("utf-8", "surrogatepass")).hexdigest()[:12],
        archive=archive,
        title=title,
        date=date,
        folder=folder,
        parts=parts,
        name=_session_name(date, title),
        sample=_most_named(fact.sample for fact in facts),
        operator=_most_named(fact.operator for fact in facts),
        instrument=_most_named(fact.instrument for fact in facts),
        datasets=len(group.items),
        files=len(files),
        bytes=sum(item.found.dataset.bytes for item in group.items),
        first=moments[0][1] if moments else "",
        last=moments[-1][1] if moments else "",
        formats=_formats(fact.format for fact in facts),
        why=why,
    )


def _verdict(group: Group) -> tuple[bool, str]:
    """Whether a group is worth archiving, and why it is one."""
    known = [item for item in group.items if item.known]
    if not known:
        return False, "no file of a format that DIADEM knows"
    # What is empty or cut short is worth keeping beside others, not by itself.
    if all(any(issue.code in _RUBBISH for issue in item.found.dataset.issues) for item in known):
        return False, "all files of a known format are empty or cut short"
    why = group.why
    days = sorted({item.moment.date() for item in group.items if item.moment})
    if group.date and days and not days[0] - _DAY <= group.date <= days[-1] + _DAY:
        files = " to ".join(str(day) for day in dict.fromkeys((days[0], days[-1])))
        why += f"; its name says {group.date}, its files {files}"
    return True, why if days or group.day else f"{why}; no date in the files or the folder name"


def _session_name(date: str, title: str) -> str:
    """What the package would be called, without year folder and payload digits.

    Where no date is known, the day of archiving will stand before it.
    """
    name = package_name(date or datetime.date.min.isoformat(), title, "").partition("/")[2].rstrip("-")
    return name if date else name.partition("-")[2]


def _most_named(values: Iterable[str]) -> str:
    """The most frequent values."""
    counts = Counter(value for value in values if value)
    more = f"; and {len(counts) - _NAMED} more" if len(counts) > _NAMED else ""
    return "; ".join(value for value, _ in counts.most_common(_NAMED)) + more


def _formats(values: Iterable[str]) -> str:
    counts = Counter(values)
    unknown = counts.pop("unknown", 0)
    words = [f"{count:,} {name}" for name, count in counts.most_common()] + ([f"{unknown:,} other"] if unknown else [])
    return ", ".join(words)


# -- copies --------------------------------------------------------------------------------------------------------


def without_copies(
    sessions: Sequence[PlannedSession], files: Mapping[str, Sequence[str]], duplicates: Sequence[DuplicateGroup]
) -> list[PlannedSession]:
    """Propose to archive once what lies in two places: a session all of whose files are in another one is left out.

    One that is a copy but for some files is told so: that is what two disks are compared for. `files` are the absolute
    paths (as text) of each session, by its id.
    """
    twins = {path for group in duplicates for path in group.paths}
    owners = {path: id_ for id_, paths in files.items() for path in paths if path in twins} if twins else {}
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
    differences: dict[str, list[str]] = defaultdict(list)
    for (one, other), count in shared.items():
        most = max(table[one].files, table[other].files)
        if one in dropped or other in dropped or count < _ALIKE * most:
            continue
        mine, theirs = ({path.rpartition("/")[2] for path in files[each] if path not in twins} for each in (one, other))
        if differ := len(mine & theirs):
            equal = f"{count:,} of {table[one].files:,} files are equal to those of {table[other].title}"
            verb = "differs" if differ == 1 else "differ"
            differences[one].append(f"{equal}, in {table[other].folder}; {differ:,} {DIFFERS} {verb}")
    return [
        replace(session, archive=False, why=f"{session.why}; {COPIED} {table[dropped[session.id]].title}")
        if session.id in dropped
        else replace(session, why="; ".join((session.why, *differences.get(session.id, ()))))
        for session in sessions
    ]


def _looks_copied(session: PlannedSession) -> bool:
    """Whether its path says that it is a copy: of two equal sessions, this one is left out."""
    return bool(re.search(r"(?:copy|copies|backup|kopie|sicherung|usb|old|tmp|temp)(?![a-z])", session.folder.lower()))


# -- from the files of a session to as few folders as hold exactly them --------------------------------------------


class Cover:
    """Who owns the folders of one root.

    `owners` has every file, relative to the root, and its session. `closed` are folders that are in no session,
    packages and stores: no folder that holds one can be taken whole.
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
        """What holds exactly these files, all of one owner; none of it above `top`, a folder that holds them all.

        Sorted: ``folder/`` with all that is below (``/`` alone is the root), ``folder/*`` for the files directly in it,
        or a file; one that is called ``*`` is written ``[*]``.
        """
        by_folder: dict[str, list[str]] = defaultdict(list)
        for path in files:
            by_folder[path.rpartition("/")[0]].append(path)
        pieces: set[str] = set()
        for folder, inside in by_folder.items():
            if self._below[folder] is not None:
                highest = folder
                while highest not in ("", top) and self._below[parent := highest.rpartition("/")[0]] is not None:
                    highest = parent
                pieces.add(highest + "/")
            elif self._direct[folder] is not None:
                pieces.add(f"{folder}/{STAR}".lstrip("/"))
            else:
                pieces.update(f"{path[:-1]}[*]" if path.rpartition("/")[2] == STAR else path for path in inside)
        return sorted(pieces)


def placed(root: str, pieces: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The folder that holds all pieces, absolute, and the pieces relative to it; none where it is that folder whole."""
    if len(pieces) == 1 and pieces[0].endswith("/"):
        return _join(root, pieces[0].rstrip("/")), ()
    parents = [piece.rstrip("/").rpartition("/")[0].split("/") for piece in pieces]
    shared = itertools.takewhile(lambda level: len(set(level)) == 1, zip(*parents, strict=False))
    base = "/".join(level[0] for level in shared)
    skip = len(base) + 1 if base else 0
    return _join(root, base), tuple(piece[skip:] for piece in pieces)


def _join(root: str, path: str) -> str:
    return str(os.path.normpath(f"{root}/{path}")) if path else root
