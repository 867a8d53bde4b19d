"""Scanning: trees listed, datasets read, contents compared, sessions proposed. Nothing is written in the trees."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from diadem.archive.scan import Scan
from diadem.archive.scan_cache import ScanCache
from diadem.archive.scan_duplicates import Candidate, Comparison, compare, duplicates, single_copies
from diadem.archive.scan_folders import moment_of
from diadem.archive.scan_orphans import Orphans
from diadem.archive.scan_reading import DatasetReading, Found
from diadem.archive.scan_sessions import sessions_of, without_copies
from diadem.archive.scan_tree import ScanTree, roots_of, shown_path
from diadem.errors import Interrupted
from diadem.extract.pool import Extractor
from diadem.extract.survey import survey
from diadem.hooks.offers import ReaderOffer
from diadem.model.ports import Listener, Progress
from diadem.model.scan import Concern, DuplicateGroup, Effort, ScanIssue, ScannedDataset, Totals
from diadem.pack.plan import text_of

#: Kinds of omissions that are no failure to look: what they are is known.
_SEEN = frozenset({"symlink", "fifo", "socket", "device", "system"})
_ORDER = {concern: place for place, concern in enumerate(Concern)}


@dataclass(frozen=True, slots=True)
class Tools:
    """What a scan works with.

    Attributes
    ----------
    readers : sequence of ReaderOffer
        What the plugins offer.
    extractor : callable
        Lends the workers for a scan.
    software : str
        Names and versions of all that reads.
    cache : Path or None
        Folder of the cache; None keeps nothing.
    """

    readers: Sequence[ReaderOffer]
    extractor: Callable[[], AbstractContextManager[Extractor]]
    software: str
    cache: Path | None


def scan_folders(folders: Sequence[str | os.PathLike[str]], tools: Tools, listener: Listener) -> Scan:
    """Scan folders.

    Raises
    ------
    UsageError, NotFound
        See `roots_of`.
    Interrupted
        On Ctrl-C; what was read is in the cache.
    """
    started = time.monotonic()
    roots, notices = roots_of(folders)
    cache = ScanCache(tools.cache)
    try:
        scan = _Scanning(tools, cache, listener).run(roots)
    except KeyboardInterrupt as error:
        kept = "what was read is kept; the same command resumes from there"
        raise Interrupted(
            "the scan was stopped; nothing was written in the folders",
            next=kept.capitalize() + "." if cache.path else "Run the same command again.",
        ) from error
    finally:
        cache.close()
    effort = replace(scan.effort, seconds=round(time.monotonic() - started, 3))
    return replace(scan, effort=effort, notices=(*notices, *cache.notices))


@dataclass(frozen=True, slots=True)
class _Scanning:
    tools: Tools
    cache: ScanCache
    listener: Listener

    def run(self, roots: Sequence[str]) -> Scan:
        """All steps."""
        trees = [self._list(root) for root in roots]
        found, read, known = self._read(trees)
        comparison = compare(_candidates(found), self.cache, self.listener)
        self.listener(Progress("plan", 0, 0, "", "sessions"))
        return _assembled(trees, found, comparison, read, known)

    def _list(self, root: str) -> ScanTree:
        apart = [str(self.cache.path.parent)] if self.cache.path else []
        return ScanTree(root, apart=apart, listener=self.listener)

    def _read(self, trees: Sequence[ScanTree]) -> tuple[list[Found], int, int]:
        planned = [
            (tree, plan)
            for tree in trees
            for plan in survey(((path, stamp.size) for path, stamp in tree.files.items()), self.tools.readers)
        ]
        with self.tools.extractor() as extractor:
            orphans = Orphans(self.tools.readers)
            reading = DatasetReading(extractor, orphans, self.cache, self.tools.software, self.listener)
            return reading.run(planned), reading.read, reading.cached


def _candidates(found: Sequence[Found]) -> Iterator[Candidate]:
    """Every file that may have a twin."""
    for owner, one in enumerate(found):
        for file in one.plan.files:
            yield Candidate(one.tree, file.path, one.tree.files[file.path], owner)


def _assembled(
    trees: Sequence[ScanTree], found: Sequence[Found], comparison: Comparison, read: int, known: int
) -> Scan:
    """Everything put together."""
    equal = duplicates(comparison)
    sessions, membership = sessions_of(trees, found)
    datasets = [replace(one.dataset, session=membership[id(one)]) for one in found]
    owners = {path: datasets[owner].session for path, owner in _owners(found, equal)}
    omissions = [issue for tree in trees for issue in _omissions(tree)]
    issues = [*omissions, *(issue for dataset in datasets for issue in dataset.issues)]
    return Scan(
        roots=[tree.root for tree in trees],
        sessions=without_copies(sessions, owners, equal, _names(found, membership)),
        datasets=datasets,
        duplicates=equal,
        issues=sorted(_once([*issues, *comparison.issues]), key=lambda issue: (_ORDER[issue.concern], issue.code)),
        single_copies=single_copies(trees, comparison),
        archived=[archived for tree in trees for archived in tree.archived],
        totals=_totals(datasets),
        effort=Effort(read, known, comparison.hashed_bytes, comparison.cached),
    )


def _names(found: Sequence[Found], membership: Mapping[int, str]) -> dict[str, list[str]]:
    """Absolute paths of the files of each session."""
    names: dict[str, list[str]] = defaultdict(list)
    for one in found:
        paths = (text_of(os.fsencode(one.tree.absolute(file.path))) for file in one.plan.files)
        names[membership[id(one)]].extend(paths)
    return names


def _owners(found: Sequence[Found], equal: Sequence[DuplicateGroup]) -> Iterator[tuple[str, int]]:
    """Absolute paths of files that have a twin, with the index of their dataset."""
    wanted = {path for group in equal for path in group.paths}
    for owner, one in enumerate(found) if wanted else ():
        for file in one.plan.files:
            path = text_of(os.fsencode(one.tree.absolute(file.path)))
            if path in wanted:
                yield path, owner


def _omissions(tree: ScanTree) -> Iterator[ScanIssue]:
    """Links, pipes and what could not be listed."""
    for omission in tree.omissions:
        concern = Concern.NOTE if omission.kind in _SEEN else Concern.UNSEEN
        then = "" if omission.kind in _SEEN else "Ask its owner, or the administrator."
        path = text_of(omission.name) or "."
        yield ScanIssue(concern, omission.kind, shown_path(tree.root), path, omission.reason, then)


def _once(issues: Iterable[ScanIssue]) -> Iterator[ScanIssue]:
    """Each failure of a file once, whichever step met it first."""
    seen: set[tuple[str, str, str]] = set()
    for issue in issues:
        key = (issue.root, issue.path, issue.message if issue.concern is not Concern.UNSEEN else "")
        if key not in seen:
            seen.add(key)
            yield issue


def _totals(datasets: Sequence[ScannedDataset]) -> Totals:
    moments = sorted(
        (moment, dataset.facts.acquired) for dataset in datasets if (moment := moment_of(dataset.facts.acquired))
    )
    return Totals(
        files=sum(dataset.files for dataset in datasets),
        bytes=sum(dataset.bytes for dataset in datasets),
        datasets=len(datasets),
        formats=_counted((dataset.facts.format, dataset.bytes) for dataset in datasets if dataset.known),
        unknown=_counted((_ending(dataset), dataset.bytes) for dataset in datasets if not dataset.known),
        first=moments[0][1] if moments else "",
        last=moments[-1][1] if moments else "",
        readable=sum(dataset.readable for dataset in datasets),
        known=sum(dataset.known for dataset in datasets),
    )


def _ending(dataset: ScannedDataset) -> str:
    """How the name ends: ``.txt``, or the whole name where it has no ending."""
    stem, dot, ending = dataset.name.rpartition(".")
    return f".{ending.lower()}" if dot and stem and len(ending) <= 12 else "(no ending)"


def _counted(pairs: Iterable[tuple[str, int]]) -> Mapping[str, tuple[int, int]]:
    """Numbers and bytes by name, the most frequent first."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for name, size in pairs:
        counts[name][0] += 1
        counts[name][1] += size
    ordered = sorted(counts.items(), key=lambda item: (-item[1][0], item[0]))
    return {name: (count, size) for name, (count, size) in ordered}
