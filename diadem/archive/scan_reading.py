"""Every dataset of a tree, read by the workers or known from an earlier scan."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from diadem.archive.scan_cache import ScanCache, state_of
from diadem.archive.scan_facts import PASSING, Said, concern_of, facts_of, from_cache, to_cache, without_surrogates
from diadem.archive.scan_orphans import Orphans
from diadem.archive.scan_tree import ScanTree
from diadem.extract.extraction import Extraction
from diadem.extract.pool import Extractor
from diadem.extract.survey import DatasetPlan
from diadem.model.ports import Listener, Progress
from diadem.model.scan import Facts, ScanIssue, ScannedDataset

_KIND = "dataset"
#: Datasets handed to the threads ahead of the results.
_AHEAD = 4


@dataclass(frozen=True, slots=True)
class Found:
    """A dataset with what the later steps need: its plan, whose paths are those of the file system."""

    tree: ScanTree
    plan: DatasetPlan
    dataset: ScannedDataset

    @property
    def home(self) -> str:
        """The folder that it lies in, relative to the root."""
        return self.plan.entry.rpartition("/")[0]


@dataclass(slots=True)
class DatasetReading:
    """Reads datasets; counts what was read and what was known.

    Parameters
    ----------
    extractor : Extractor
        The workers.
    orphans : Orphans
        Who knows which files belong together.
    cache : ScanCache
        What earlier scans have read.
    software : str
        Names and versions of all that reads; entries of others do not count.
    listener : Listener
        Told how many datasets have been read.
    """

    extractor: Extractor
    orphans: Orphans
    cache: ScanCache
    software: str
    listener: Listener
    read: int = 0
    cached: int = 0
    _total: int = field(default=0, repr=False)

    def run(self, planned: Sequence[tuple[ScanTree, DatasetPlan]]) -> list[Found]:
        """Read all datasets of all trees; results in the order given.

        What has been read is in the cache also where this is interrupted.
        """
        found: dict[int, Found] = {}
        waiting: list[tuple[int, ScanTree, DatasetPlan, bytes]] = []
        for index, (tree, plan) in enumerate(planned):
            known = self._known(tree, plan)
            if isinstance(known, Found):
                found[index] = known
            else:
                waiting.append((index, tree, plan, known))
        self._total = len(waiting)
        found.update(self._reading(waiting))
        return [found[index] for index in range(len(planned))]

    def _known(self, tree: ScanTree, plan: DatasetPlan) -> Found | bytes:
        """A dataset that needs no worker: of no known format, or read before. Else its state."""
        state = b""
        if plan.offers:
            state = self._state(tree, plan)
            content = self.cache.get(_key(tree, plan), _KIND, state)
            kept = from_cache(content) if content is not None else None
            if kept is None:
                return state
            self.cached += 1
            return _described(tree, plan, *kept)
        return self._found(tree, plan, self.extractor.extract(plan, Path(tree.root)), state)

    def _state(self, tree: ScanTree, plan: DatasetPlan) -> bytes:
        return state_of(self.software, *((file.path, file.role, *tree.files[file.path]) for file in plan.files))

    def _reading(self, waiting: Sequence[tuple[int, ScanTree, DatasetPlan, bytes]]) -> Iterator[tuple[int, Found]]:
        self.extractor.expect(len(waiting))
        pool = ThreadPoolExecutor(self.extractor.workers + 1, "diadem-scan")
        running: dict[Future[Extraction], tuple[int, ScanTree, DatasetPlan, bytes]] = {}
        try:
            for job in waiting:
                running[pool.submit(self.extractor.extract, job[2], Path(job[1].root), preview=False)] = job
                if len(running) >= _AHEAD * self.extractor.workers:
                    yield from self._done(running)
            while running:
                yield from self._done(running)
        finally:
            if running:
                self.extractor.close()
            pool.shutdown(wait=not running, cancel_futures=True)
            self.cache.flush()

    def _done(
        self, running: dict[Future[Extraction], tuple[int, ScanTree, DatasetPlan, bytes]]
    ) -> Iterator[tuple[int, Found]]:
        """Those that are finished, at least one."""
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            index, tree, plan, state = running.pop(future)
            self.read += 1
            self.listener(Progress("read", self.read, self._total, without_surrogates(plan.entry), "datasets"))
            yield index, self._found(tree, plan, future.result(), state)

    def _found(self, tree: ScanTree, plan: DatasetPlan, extraction: Extraction, state: bytes) -> Found:
        """Judge what was read, and keep it where it will be as true tomorrow."""
        facts, said = facts_of(extraction), self._said(tree, plan, extraction)
        if state and not PASSING & {code for code, _, _ in said}:
            self.cache.put(_key(tree, plan), _KIND, state, to_cache(facts, said))
        return _described(tree, plan, facts, said)

    def _said(self, tree: ScanTree, plan: DatasetPlan, extraction: Extraction) -> list[Said]:
        """All issues of a dataset, also those that only the names of its files tell."""
        said = [(item["code"], item["message"], item.get("next", "")) for item in extraction.issues]
        path = tree.absolute(plan.primary.path)
        if (said or not plan.offers) and not os.path.lexists(path):
            return [("vanished", "it was there when its folder was listed, but is gone now", "Scan again.")]
        if not plan.offers and not os.access(path, os.R_OK):
            return [("unreadable", "you have no permission to read it", "Ask its owner, or the administrator.")]
        codes = {code for code, _, _ in said}
        if "missing-part" not in codes and (pattern := self.orphans.lost_parts(plan, extraction.format)):
            name = plan.primary.path.rpartition("/")[2]
            said = [item for item in said if item[0] != "reader-failed"]
            message = f"the data file '{pattern}' is not beside '{name}'"
            said.append(("missing-part", message, "Put the files of one dataset into one folder."))
        alone = not extraction.signals and codes <= {"no-signal"}
        if alone and (primary := self.orphans.lost_primary(plan)):
            said.append(("side-file-alone", f"there is no {primary} beside it", "Put them into one folder."))
        return said


def _key(tree: ScanTree, plan: DatasetPlan) -> bytes:
    return os.fsencode(tree.absolute(plan.primary.path))


def _described(tree: ScanTree, plan: DatasetPlan, facts: Facts, said: Sequence[Said]) -> Found:
    root, path = tree.name, without_surrogates(plan.entry)
    issues = tuple(
        ScanIssue(concern_of(code, facts), code, root, path, without_surrogates(message), then)
        for code, message, then in said
    )
    dataset = ScannedDataset(
        root=root,
        path=path,
        facts=facts,
        files=len(plan.files),
        bytes=sum(file.size for file in plan.files),
        modified_ns=tree.files[plan.primary.path].modified_ns,
        issues=issues,
    )
    return Found(tree, plan, dataset)
