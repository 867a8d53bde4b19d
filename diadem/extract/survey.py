"""From a list of paths to datasets: which files belong together, which readers they suggest. No file is opened."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from diadem.extract.grouping import CompiledGroup, Folder, compile_group, groups_of
from diadem.hooks.offers import ReaderOffer


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file of a dataset.

    Attributes
    ----------
    id : str
        ``f1``, ``f2`` … within the dataset; the primary is ``f1``.
    path : str
        Path relative to the payload root, stored form, ``/`` between parts.
    size : int
        Bytes.
    role : str
        ``primary``, ``sidecar`` (describes the data) or ``part`` (holds some of it).
    """

    id: str
    path: str
    size: int
    role: str


@dataclass(frozen=True, slots=True)
class DatasetPlan:
    """Files that make one dataset, and who may read it.

    Attributes
    ----------
    id : str
        ``d1``, ``d2`` … in the order of the primaries' paths.
    files : tuple of PlannedFile
        Primary first, then the others by path.
    offers : tuple of str
        Names of the readers that the suffix suggests, best first; empty where no reader knows it.
    entry : str
        What the reader is given, relative to the payload root: the primary's path, or its folder.
    """

    id: str
    files: tuple[PlannedFile, ...]
    offers: tuple[str, ...]
    entry: str = ""

    @property
    def primary(self) -> PlannedFile:
        """The file that names the dataset."""
        return self.files[0]


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


class Suffixes:
    """Readers by file name ending: the longest ending first, then priority, then the order of the offers."""

    def __init__(self, readers: Sequence[ReaderOffer]) -> None:
        self._by_suffix: dict[str, tuple[str, ...]] = {}
        self._cache: dict[str, tuple[str, ...]] = {}
        for offer in sorted(readers, key=lambda offer: -offer.priority):
            for suffix in offer.suffixes:
                self._by_suffix[suffix] = (*self._by_suffix.get(suffix, ()), offer.name)
        self._deepest = max((suffix.count(".") for suffix in self._by_suffix), default=1)

    def match(self, name: str) -> tuple[str, ...]:
        """Names of readers for a lower-case file name; an ending of several parts may be all of it: ``setting.txt``."""
        if "." in name and (whole := self._by_suffix.get("." + name)):
            return whole
        parts = name.rsplit(".", self._deepest)
        key = ".".join(["", *parts[1:]])
        if key not in self._cache:
            endings = [key, *("." + key.split(".", level)[level] for level in range(2, len(parts)))]
            found = [offer for ending in endings for offer in self._by_suffix.get(ending, ())]
            self._cache[key] = tuple(dict.fromkeys(found))
        return self._cache[key]


def survey(files: Iterable[tuple[str, int]], readers: Sequence[ReaderOffer]) -> list[DatasetPlan]:
    """Group files into datasets.

    Parameters
    ----------
    files : iterable of (path, size)
        Paths relative to the payload root, ``/`` between parts, and their bytes.
    readers : sequence of ReaderOffer
        What the plugins offer.

    Returns
    -------
    list of DatasetPlan
        Every file is in exactly one; ordered by the primaries' paths. Costs are linear in the number of files.
    """
    sizes = dict(files)
    paths = sorted(sizes)
    claims, entries = _Claims(), {}
    trees = _trees(paths, [suffix for offer in readers for suffix in offer.folders])
    for entry, inside in trees.items():
        first = min(inside, key=lambda path: (path.count("/"), path))
        entries[first] = entry
        for path in inside:
            claims.claim(first, path, "part")
    _claim_groups([path for path in paths if path not in claims.owner and path not in entries], readers, claims)
    return list(_plans(paths, sizes, claims, entries, readers))


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
    folders: dict[str, Folder] = {}
    by_ending = _groups_by_ending(readers)
    matches: list[tuple[int, str, str, str, CompiledGroup]] = []
    for path in paths:
        place, _, name = path.rpartition("/")
        lower = name.lower()
        folder = folders.get(place)
        if folder is None:
            folder = folders[place] = Folder()
        folder.add(lower, path)
        matches.extend(
            (-len(stem), path, place, stem, group)
            for group in by_ending.get(lower.rpartition(".")[2], ())
            if (stem := group.stem(lower)) is not None
        )
    primaries = _count_primaries(matches)
    ordered = sorted((path.lower(), path) for path in paths)
    for _, path, place, stem, group in sorted(matches, key=lambda match: match[:2]):
        alone = primaries[place, id(group)] == 1
        for pattern, role in group.patterns:
            if "{stem}" not in pattern and not alone:
                continue
            for member in _find(pattern, stem, place, folders[place], ordered):
                claims.claim(path, member, role)


def _count_primaries(matches: Iterable[tuple[int, str, str, str, CompiledGroup]]) -> dict[tuple[str, int], int]:
    """How many primaries each group has in each folder."""
    counts: dict[tuple[str, int], int] = {}
    for _, _, place, _, group in matches:
        counts[place, id(group)] = counts.get((place, id(group)), 0) + 1
    return counts


def _find(pattern: str, stem: str, place: str, folder: Folder, ordered: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Files beside the primary that match, or everything below a folder beside it."""
    if not pattern.endswith("/**"):
        yield from folder.find(pattern, stem)
        return
    start = f"{place}/{pattern[:-2]}".lstrip("/").lower().replace("{stem}", stem)
    for index in range(bisect_left(ordered, (start,)), len(ordered)):
        lower, path = ordered[index]
        if not lower.startswith(start):
            return
        yield path


def _groups_by_ending(readers: Sequence[ReaderOffer]) -> dict[str, list[CompiledGroup]]:
    """Compiled groups by the last suffix of their primary, so that most names meet none."""
    table: dict[str, list[CompiledGroup]] = {}
    for offer in readers:
        for group in groups_of(offer):
            table.setdefault(group.primary.lower().rpartition(".")[2], []).append(compile_group(group))
    return table


def _plans(
    paths: Sequence[str],
    sizes: dict[str, int],
    claims: _Claims,
    entries: dict[str, str],
    readers: Sequence[ReaderOffer],
) -> Iterator[DatasetPlan]:
    """One plan for each file that is nobody's member."""
    suffixes = Suffixes(readers)
    folders = {suffix: offer.name for offer in readers for suffix in offer.folders}
    number = 0
    for path in paths:
        if path in claims.owner:
            continue
        number += 1
        entry = entries.get(path)
        if entry is None:
            offers = suffixes.match(path.rpartition("/")[2].lower())
        else:
            offers = tuple(name for suffix, name in folders.items() if entry.lower().endswith(suffix))
        files = [PlannedFile("f1", path, sizes[path], "primary")]
        for index, member in enumerate(sorted(claims.members.get(path, ())), start=2):
            files.append(PlannedFile(f"f{index}", member, sizes[member], claims.owner[member][1]))
        yield DatasetPlan(f"d{number}", tuple(files), offers, path if entry is None else entry)


def missing_parts(plan: DatasetPlan, offer: ReaderOffer) -> str | None:
    """The pattern of the data files that the primary needs and does not have, or None."""
    written = plan.primary.path.rpartition("/")[2]
    name = written.lower()
    for group in offer.groups:
        stem = compile_group(group).stem(name) if group.required else None
        if stem is not None and not any(file.role == "part" for file in plan.files):
            return group.parts[0].replace("{stem}", written[: len(stem)] if name.startswith(stem) else stem)
    return None
