"""Which files are one dataset, and which readers may read it: told by names, and by a file's first bytes.

From a list of paths to datasets (`survey`), from one file to its dataset with what lies beside it (`dataset_of`), from
a dataset and its head to the readers to try (`rank`). No file is opened here.
"""

from __future__ import annotations

import contextlib
import fnmatch
import itertools
import os
import re
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from diadem.extract.extraction import UNKNOWN, issue
from diadem.hooks.offers import Group, Magic, ReaderOffer

STEM: Final = "{stem}"
_WILD: Final = re.compile(r"[*?\[]")
#: Files below a folder that belongs to a primary that are looked at.
_MOST_BELOW: Final = 10_000


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file of a dataset: ``f1``, ``f2`` … (the primary is ``f1``), its path below the payload root, its bytes.

    Its role is ``primary``, ``sidecar`` (describes the data) or ``part`` (holds some of it).
    """

    id: str
    path: str
    size: int
    role: str


@dataclass(frozen=True, slots=True)
class DatasetPlan:
    """Files that make one dataset, the primary first, the others by path; and who may read it.

    Ids are ``d1``, ``d2`` … in the order of the primaries' paths. `offers` are names of the readers that the suffix
    suggests, best first; `entry` is what the reader is given, the primary's path or its folder.
    """

    id: str
    files: tuple[PlannedFile, ...]
    offers: tuple[str, ...]
    entry: str = ""

    @property
    def primary(self) -> PlannedFile:
        """The file that names the dataset."""
        return self.files[0]


# -- from a list of paths to datasets ------------------------------------------------------------------------------


def survey(files: Iterable[tuple[str, int]], readers: Sequence[ReaderOffer]) -> list[DatasetPlan]:
    """Group files into datasets, by their paths relative to the payload root and their bytes.

    Every file is in exactly one; they are ordered by the primaries' paths. Costs are linear in the number of files.
    """
    sizes = dict(files)
    paths = sorted(sizes)
    claims, entries = _Claims(), {}
    for entry, inside in _trees(paths, [suffix for offer in readers for suffix in offer.folders]).items():
        first = min(inside, key=lambda path: (path.count("/"), path))
        entries[first] = entry
        for path in inside:
            claims.claim(first, path, "part")
    _claim_groups([path for path in paths if path not in claims.owner and path not in entries], readers, claims)
    by_suffix: dict[str, tuple[str, ...]] = {}
    for offer in sorted(readers, key=lambda offer: -offer.priority):
        for suffix in offer.suffixes:
            by_suffix[suffix] = (*by_suffix.get(suffix, ()), offer.name)
    folders = {suffix: offer.name for offer in readers for suffix in offer.folders}
    plans: list[DatasetPlan] = []
    for path in paths:
        if path in claims.owner:
            continue
        entry = entries.get(path, path)
        if path in entries:
            offers = tuple(name for suffix, name in folders.items() if entry.lower().endswith(suffix))
        else:
            offers = _suggested(path.rpartition("/")[2].lower(), by_suffix)
        planned = [PlannedFile("f1", path, sizes[path], "primary")]
        for number, member in enumerate(sorted(claims.members.get(path, ())), start=2):
            planned.append(PlannedFile(f"f{number}", member, sizes[member], claims.owner[member][1]))
        plans.append(DatasetPlan(f"d{len(plans) + 1}", tuple(planned), offers, entry))
    return plans


@dataclass(slots=True)
class _Claims:
    """Who belongs to whom: member path to (primary, role), and the members of each primary."""

    owner: dict[str, tuple[str, str]] = field(default_factory=dict)
    members: dict[str, list[str]] = field(default_factory=dict)

    def claim(self, primary: str, member: str, role: str) -> None:
        """Give a free file to a primary that is not itself another's member."""
        if member != primary and member not in self.owner and member not in self.members and primary not in self.owner:
            self.owner[member] = (primary, role)
            self.members.setdefault(primary, []).append(member)


def _suggested(name: str, by_suffix: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Readers for a lower-case file name, those of its longest ending first; one may be all of it: ``setting.txt``."""
    if "." in name and (whole := by_suffix.get("." + name)):
        return whole
    endings = (name[place:] for place, letter in enumerate(name) if letter == ".")
    return tuple(dict.fromkeys(offer for ending in endings for offer in by_suffix.get(ending, ())))


def _trees(paths: Sequence[str], endings: Sequence[str]) -> dict[str, list[str]]:
    """Folders that are datasets, with the files below each."""
    trees: dict[str, list[str]] = {}
    if not endings:
        return trees
    inner = re.compile(f"(?:{'|'.join(map(re.escape, endings))})/", re.IGNORECASE)
    for path in paths:
        if match := inner.search(path):
            trees.setdefault(path[: match.end() - 1], []).append(path)
    return trees


def _claim_groups(paths: Sequence[str], readers: Sequence[ReaderOffer], claims: _Claims) -> None:
    """Let every primary take its members; a longer stem is more specific and goes first."""
    by_ending: dict[str, list[_Compiled]] = {}  # of the primary, so that most names meet no group
    for group in (_Compiled.of(group) for offer in readers for group in groups_of(offer)):
        by_ending.setdefault(group.ending, []).append(group)
    folders: dict[str, _Folder] = {}
    matches: list[tuple[int, str, str, str, _Compiled]] = []
    primaries: dict[tuple[str, int], int] = {}  # of each group in each folder
    for path in paths:
        place, _, name = path.rpartition("/")
        lower = name.lower()
        folder = folders.get(place)
        if folder is None:
            folder = folders[place] = _Folder()
        folder.names.setdefault(lower, path)  # of two names that differ in case only the first is found by patterns
        for group in by_ending.get(lower.rpartition(".")[2], ()):
            if (stem := group.stem(lower)) is not None:
                matches.append((-len(stem), path, place, stem, group))
                primaries[place, id(group)] = primaries.get((place, id(group)), 0) + 1
    ordered = sorted((path.lower(), path) for path in paths) if matches else []
    for _, path, place, stem, group in sorted(matches, key=lambda match: match[:2]):
        alone = primaries[place, id(group)] == 1
        for pattern, role in group.patterns:
            if STEM not in pattern and not alone:
                continue
            if pattern.endswith("/**"):  # everything below a folder beside it
                start = f"{place}/{pattern[:-2]}".lstrip("/").lower().replace(STEM, stem)
                members: Iterable[str] = (path for _, path in _starting_with(ordered, start))
            else:
                members = folders[place].find(pattern, stem)
            for member in members:
                claims.claim(path, member, role)


def missing_parts(plan: DatasetPlan, offer: ReaderOffer) -> str | None:
    """The pattern of the data files that the primary needs and does not have, or None."""
    written = plan.primary.path.rpartition("/")[2]
    name = written.lower()
    for group in offer.groups:
        stem = _Compiled.of(group).stem(name) if group.required else None
        if stem is not None and not any(file.role == "part" for file in plan.files):
            return group.parts[0].replace(STEM, written[: len(stem)] if name.startswith(stem) else stem)
    return None


# -- patterns of names ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A group whose primary pattern is a regular expression on the lower-case name.

    `ending` is the last suffix of the primary, `patterns` those of members, each with its role.
    """

    ending: str
    pattern: re.Pattern[str]
    patterns: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, group: Group) -> _Compiled:
        """Compile the patterns of one group."""
        primary = group.primary.lower()
        head, found, tail = primary.partition(STEM)
        expression = _translated(head) + (r"(?P<stem>.+)" + _translated(tail) if found else "")
        patterns = tuple((pattern.lower(), "part") for pattern in group.parts)
        patterns += tuple((pattern.lower(), "sidecar") for pattern in group.sidecars)
        return cls(primary.rpartition(".")[2], re.compile(f"(?s:{expression})\\Z"), patterns)

    def stem(self, name: str) -> str | None:
        """What ``{stem}`` stands for in a lower-case file name, or None where the name is no primary of this group."""
        match = self.pattern.match(name)
        return None if match is None else (match.groupdict().get("stem") or "")


def _translated(pattern: str) -> str:
    """fnmatch to a regular expression that stays within one folder and has no anchors."""
    return fnmatch.translate(pattern).removeprefix("(?s:").removesuffix(r")\Z").removesuffix(r")\z")


def groups_of(offer: ReaderOffer) -> Iterator[Group]:
    """All groups of an offer; its plain side files make one for each suffix."""
    yield from offer.groups
    if offer.sidecars:
        for suffix in offer.suffixes:
            yield Group(STEM + suffix, sidecars=tuple(offer.sidecars))


class _Folder:
    """The files of one folder by lower-case name, for exact and for wildcard look-ups."""

    __slots__ = ("_sorted", "names")

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self._sorted: list[tuple[str, str]] = []

    def find(self, pattern: str, stem: str) -> Iterator[str]:
        """Paths that match; costs the names that share the pattern's literal start."""
        before, _, after = pattern.rpartition(STEM)
        start = before + stem if STEM in pattern else ""
        if not _WILD.search(after):
            if (path := self.names.get(start + after)) is not None:
                yield path
            return
        if len(self._sorted) != len(self.names):  # made once, after the last name has come
            self._sorted = sorted(self.names.items())
        literal = re.split(_WILD, after, maxsplit=1)[0]
        for name, path in _starting_with(self._sorted, start + literal):
            if fnmatch.fnmatchcase(name[len(start) :], after):
                yield path


def _starting_with(ordered: Sequence[tuple[str, str]], start: str) -> Iterator[tuple[str, str]]:
    """Pairs of a sorted sequence whose first text begins with `start`."""
    for index in range(bisect_left(ordered, (start, "")), len(ordered)):
        if not ordered[index][0].startswith(start):
            return
        yield ordered[index]


# -- the dataset of one file ---------------------------------------------------------------------------------------


def dataset_of(path: Path, readers: Sequence[ReaderOffer]) -> DatasetPlan:
    """The dataset that a file names, with what lies beside it and belongs to it; nothing is opened.

    It is ``d1``, the file its primary, all paths relative to the file's folder. A file that is itself a part of
    another's dataset stands alone.
    """
    folder = path.absolute().parent
    plan = _plans_beside(folder, readers).get(path.name) or survey([(path.name, 0)], readers)[0]
    sized = (replace(file, size=(folder / file.path).stat().st_size) for file in plan.files)
    return replace(plan, id="d1", files=tuple(sized))


def with_companions(path: Path, readers: Sequence[ReaderOffer]) -> list[Path]:
    """The file first; then the files beside it that belong to its dataset, and folders that hold some."""
    tops = dict.fromkeys(file.path.partition("/")[0] for file in dataset_of(path, readers).files)
    return [path, *(path.absolute().parent / top for top in tops if top != path.name)]


class _Listed(NamedTuple):
    """A folder as it was listed: its time of change, who knew which names belong together, the datasets by primary."""

    changed_ns: int
    readers: Sequence[ReaderOffer]
    plans: Mapping[str, DatasetPlan]


#: The folders listed last: whoever asks for file after file of a folder does not list it for each.
_LISTED: dict[Path, _Listed] = {}
_MOST_LISTED: Final = 4
#: A folder that changed this shortly before it was listed may have changed again in the same tick of its clock.
_SETTLED_NS: Final = 3_000_000_000


def _plans_beside(folder: Path, readers: Sequence[ReaderOffer]) -> Mapping[str, DatasetPlan]:
    """Datasets of a folder by the name of their primary file; sizes are not known."""
    try:
        changed = folder.stat().st_mtime_ns
        known = _LISTED.get(folder)
        if known is not None and known.changed_ns == changed and known.readers is readers:
            return known.plans
        names = list(_names_in(folder, readers))
    except OSError:  # what cannot be listed is not there
        return {}
    plans = {plan.primary.path: plan for plan in survey(((name, 0) for name in names), readers)}
    _LISTED.pop(folder, None)
    # the time of a folder does not tell what happens in the folders inside
    if time.time_ns() - changed > _SETTLED_NS and not any("/" in name for name in names):
        _LISTED[folder] = _Listed(changed, readers, plans)
        for oldest in list(_LISTED)[:-_MOST_LISTED]:
            _LISTED.pop(oldest, None)
    return plans


def _names_in(folder: Path, readers: Sequence[ReaderOffer]) -> Iterator[str]:
    """Files of a folder, and of folders in it whose content may belong to a file beside them."""
    patterns = (part for reader in readers for group in groups_of(reader) for part in (*group.parts, *group.sidecars))
    inner = {pattern[:-3].lower() for pattern in patterns if pattern.endswith("/**")}
    for entry in list(os.scandir(folder)):
        if entry.name.lower() not in inner:
            with contextlib.suppress(OSError):  # a link that leads in a circle
                if entry.is_file():
                    yield entry.name
        elif entry.is_dir(follow_symlinks=False):
            below = (
                Path(place, name).relative_to(folder).as_posix()
                for place, _, names in os.walk(entry.path)
                for name in names
                if Path(place, name).is_file()
            )
            yield from itertools.islice(below, _MOST_BELOW)


# -- the readers to try --------------------------------------------------------------------------------------------

#: Bytes of a file's beginning that are looked at.
HEAD_SIZE: Final = 4096
#: Contents that are unmistakable, so that a name that says otherwise is wrong.
_WELL_KNOWN: Final = (
    ("PNG image", b"\x89PNG\r\n\x1a\n"),
    ("JPEG image", b"\xff\xd8\xff"),
    ("GIF image", b"GIF8"),
    ("PDF document", b"%PDF-"),
    ("ZIP archive", b"PK\x03\x04"),
    ("gzip stream", b"\x1f\x8b\x08"),
    ("bzip2 stream", b"BZh9"),
    ("7-Zip archive", b"7z\xbc\xaf\x27\x1c"),
    ("XZ stream", b"\xfd7zXZ\x00"),
    ("HDF5 file", b"\x89HDF\r\n\x1a\n"),
    ("SQLite database", b"SQLite format 3\x00"),
    ("TIFF image", b"II*\x00"),
    ("TIFF image", b"MM\x00*"),
    ("ELF program", b"\x7fELF"),
    ("HTML page", b"<!DOCTYPE html"),
    ("Gatan DM3 file", b"\x00\x00\x00\x03\x00"),
)
#: Endings used by many programs for other things: a foreign content is no fault of the file, only unknown to us.
_SHARED_SUFFIXES: Final = frozenset(
    {".img", ".map", ".pro", ".csv", ".xml", ".eds", ".unf", ".spc", ".nc", ".pts", ".mas", ".ems", ".ali", ".blo"}
    | {".txt"}
)
#: Magic numbers of containers, in which many programs keep many things.
_CONTAINERS: Final = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"\x89HDF\r\n\x1a\n")
#: Bytes besides zeros that a magic number must have to tell a format under any name.
_TELLING: Final = 4


def told_by_name(plan: DatasetPlan) -> str:
    """The only format that a name suggests, or ``unknown``: an ending of many programs tells nothing."""
    suffix = "." + plan.primary.path.lower().rpartition(".")[2]
    return plan.offers[0] if len(plan.offers) == 1 and suffix not in _SHARED_SUFFIXES else UNKNOWN


def rank(
    plan: DatasetPlan, head: bytes, readers: Sequence[ReaderOffer]
) -> tuple[list[str], list[str], list[dict[str, Any]]]:
    """Rank the readers of a dataset: its content decides, its name orders those whose magic is there.

    Gives names of readers to try in order (one with a probe may still decline in the worker), the evidence, ``magic``
    and ``suffix`` as far as they hold for the first, and issues. Where a name that one format alone has and a content
    that is unmistakably another's disagree, the file is read by nobody, for one of the two is an accident:
    ``wrong-type``. `head` has the primary's first bytes, `HEAD_SIZE` where it has as many.
    """
    table = {offer.name: offer for offer in readers}
    candidates = [table[name] for name in plan.offers if name in table]
    if plan.entry != plan.primary.path:
        return [offer.name for offer in candidates], ["suffix"] if candidates else [], []
    sure = [offer.name for offer in candidates if offer.magic and _matches(offer.magic, head)]
    open_ = [offer.name for offer in candidates if not offer.magic]
    if sure:
        return sure + open_, ["magic", "suffix"], []
    content = next((name for name, start in _WELL_KNOWN if head.startswith(start)), None)
    suffix = "." + plan.primary.path.rpartition("/")[2].rpartition(".")[2].lower()
    if content is None or not candidates or suffix in _SHARED_SUFFIXES:
        ranked = sorted(readers, key=lambda offer: -offer.priority)
        others = [offer.name for offer in ranked if offer.name not in plan.offers and _is_signed(offer, head)]
        named = [] if content else open_
        names = [name for name in named if table[name].probe]  # who looks into the file goes before others' marks
        names += [*others, *(name for name in named if not table[name].probe)]
        if names:
            return names, ["magic" if names[0] in others else "suffix"], []
        if not candidates or (content is None and suffix in _SHARED_SUFFIXES):
            return [], [], []
    what = f"a {content}" if content else "none of: " + ", ".join(offer.name for offer in candidates)
    message = f"the name ends in {suffix} but the content is {what}"
    return [], [], [issue("wrong-type", message, file=plan.primary.id, next="Rename it, or copy it again.")]


def _matches(magic: Iterable[Magic], head: bytes) -> bool:
    """Whether any of the magic numbers is there."""
    return any(head[item.offset : item.offset + len(item.data)] == item.data for item in magic)


def _is_signed(offer: ReaderOffer, head: bytes) -> bool:
    """Whether a head is of a format, whatever the file is called."""
    if offer.signature is not None:
        return bool(offer.signature) and re.match(offer.signature, head, re.DOTALL) is not None
    telling = (
        item
        for item in offer.magic
        if len(item.data.replace(b"\0", b"")) >= _TELLING and (offer.probe or not item.data.startswith(_CONTAINERS))
    )
    return _matches(telling, head)
