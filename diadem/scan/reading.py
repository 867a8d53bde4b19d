"""Every dataset of a tree, read by the workers or known from an earlier scan; and what a person wants to know of it."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from diadem.extract.extraction import Extraction
from diadem.extract.pool import Extractor
from diadem.extract.survey import STEM, DatasetPlan, groups_of, missing_parts
from diadem.hooks.offers import ReaderOffer
from diadem.model.plain_text import without_surrogates
from diadem.model.ports import Listener, Progress
from diadem.model.scan import Concern, Facts, ScanIssue, ScannedDataset
from diadem.scan.cache import ScanCache, state_of
from diadem.scan.tree import ScanTree

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


#: Unit of an axis to the fact that its step is.
_STEPS = {"m": "pixel_size", "1/m": "reciprocal_pixel_size", "eV": "energy_step"}
_TEXTS = {
    "acquired": "time.acquired_start",
    "mode": "beam.mode",
    "detector": "detector.name",
    "sample": "sample.name",
    "operator": "person.operator",
}
_NUMBERS = {"voltage": "beam.acceleration_voltage", "magnification": "optics.magnification"}
#: Longest text that is kept of a value: a table is no place for essays.
_MAX_TEXT = 200

#: Issues that say nothing of the file but of this run: not kept for the next one.
PASSING = frozenset({"unreadable", "vanished", "worker-lost", "reader-timeout", "reader-crashed", "reader-missing"})
#: Issues by the attention they deserve; any other makes a dataset without a signal unreadable, and is else a note.
_CONCERNS = {
    "unreadable": Concern.UNSEEN,
    "vanished": Concern.UNSEEN,
    "worker-lost": Concern.UNSEEN,
    "missing-part": Concern.INCOMPLETE,
    "side-file-alone": Concern.INCOMPLETE,
    "reader-missing": Concern.NOTE,
    "truncated": Concern.UNREADABLE,
    "odd-header": Concern.UNREADABLE,
    "empty": Concern.UNREADABLE,
    "wrong-type": Concern.UNREADABLE,
}


def facts_of(extraction: Extraction) -> Facts:
    """What a person wants to know of a dataset.

    Parameters
    ----------
    extraction : Extraction
        What the readers found. Where several detectors or signals state a field, the value of the largest signal is
        taken, else the preferred one.
    """
    if not extraction.signals and not extraction.fields:
        return _bare(sys.intern(extraction.format))
    signal = max(extraction.signals, key=lambda found: math.prod(found["shape"]), default=None)
    id_ = str(signal["id"]) if signal else ""
    texts = {name: _text(_value(extraction, key, id_)) for name, key in _TEXTS.items()}
    numbers = {name: _number(_value(extraction, key, id_)) for name, key in _NUMBERS.items()}
    return Facts(
        format=sys.intern(extraction.format),
        instrument=_instrument(extraction, id_),
        signals=len(extraction.signals),
        **{**texts, **numbers, **(_shaped(signal) if signal else {})},
    )


@lru_cache(maxsize=256)
def _bare(format_: str) -> Facts:
    """Facts of a file of which nothing but the format is known: one object for all of them."""
    return Facts(format=format_)


def _shaped(signal: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": _text(signal.get("kind")), "shape": tuple(signal["shape"]), **_steps(signal)}


def _value(extraction: Extraction, key: str, signal: str) -> Any:
    """The value of a field for a signal: the preferred assertion about it, else any preferred, else the first."""
    stated: Sequence[Mapping[str, Any]] = extraction.fields.get(key, ())
    ranked = sorted(
        stated,
        key=lambda item: (signal not in (item.get("applies_to") or [signal]), not item.get("preferred")),
    )
    return ranked[0]["value"] if ranked else None


def _instrument(extraction: Extraction, signal: str) -> str:
    """Maker and model, the maker once; else the instrument's own name."""
    vendor, model, name = (
        _text(_value(extraction, f"instrument.{key}", signal)) for key in ("vendor", "model", "name")
    )
    if not model:
        return name or vendor
    return model if not vendor or vendor.casefold() in model.casefold() else _text(f"{vendor} {model}")


def _steps(signal: Mapping[str, Any]) -> dict[str, float]:
    """The first step in each unit that the table has."""
    found: dict[str, float] = {}
    for axis in signal.get("axes", ()):
        name, scale = _STEPS.get(axis.get("unit") or ""), _number(axis.get("scale"))
        if name and scale:
            found.setdefault(name, abs(scale))
    return found


def _text(value: Any) -> str:
    """A value in one line; texts that come often are kept once."""
    line = " ".join(without_surrogates(str("" if value is None else value)).split())
    return sys.intern(line if len(line) <= _MAX_TEXT else line[: _MAX_TEXT - 1] + "…")


def _number(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def concern_of(code: str, facts: Facts) -> Concern:
    """What attention an issue of a dataset deserves."""
    return _CONCERNS.get(code) or (Concern.NOTE if facts.signals else Concern.UNREADABLE)


#: Code, message and next step of an issue.
Said = tuple[str, str, str]


def to_cache(facts: Facts, issues: Sequence[Said]) -> bytes:
    """What is kept of a dataset for the next scan."""
    stated = {key: value for key, value in asdict(facts).items() if value not in ("", None, 0, ())}
    return json.dumps([stated, issues], separators=(",", ":")).encode("ascii")


def from_cache(content: bytes) -> tuple[Facts, list[Said]] | None:
    """What was kept; None where it cannot be understood."""
    try:
        stated, issues = json.loads(content)
        known: dict[str, Any] = {
            key: sys.intern(value) if isinstance(value, str) else value for key, value in stated.items()
        }
        known["shape"] = tuple(known.get("shape", ()))
        return Facts(**known), [(str(code), str(message), str(then)) for code, message, then in issues]
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


#: Endings that many programs write: such a file alone is nobody's lost side file.
_COMMON = (".txt", ".csv", ".log", ".xml", ".raw", ".h5", ".mrc", ".ser", ".dat")


class Orphans:
    """Finds side files without their primary.

    Parameters
    ----------
    readers : sequence of ReaderOffer
        What the plugins offer: their groups say which names belong together.
    """

    def __init__(self, readers: Sequence[ReaderOffer]) -> None:
        self._offers: Mapping[str, ReaderOffer] = {offer.name: offer for offer in readers}
        found: dict[str, list[str]] = {}
        for offer in readers:
            for group in groups_of(offer):
                for pattern in (*group.parts, *group.sidecars):
                    if _telling(pattern):
                        found.setdefault(pattern.lower(), []).append(group.primary)
        self._patterns: dict[str, list[tuple[re.Pattern[str], list[str]]]] = {}
        for pattern, primaries in sorted(found.items(), key=lambda item: -len(item[0])):
            self._patterns.setdefault(pattern.rpartition(".")[2], []).append((_compiled(pattern), primaries))

    def lost_primary(self, plan: DatasetPlan) -> str | None:
        """Where the only file of a dataset looks like a side file: the names of the primary that it would belong to."""
        if len(plan.files) > 1:
            return None
        name = plan.primary.path.rpartition("/")[2]
        return next(self._primaries(name), None)

    def _primaries(self, name: str) -> Iterator[str]:
        """``scan.mib, .tif or .tiff``; longest pattern first."""
        for pattern, primaries in self._patterns.get(name.rpartition(".")[2].lower(), ()):
            if match := pattern.fullmatch(name):
                first, *others = dict.fromkeys(primaries)
                names = [first.replace(STEM, match["stem"]), *(other.replace(STEM, "") for other in others)]
                yield " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))

    def lost_parts(self, plan: DatasetPlan, format_: str) -> str | None:
        """Where a primary lacks its data files: the pattern of their names."""
        if plan.entry != plan.primary.path:
            return None
        named = (format_,) if format_ in self._offers else plan.offers[:1]
        return next((found for name in named if (found := missing_parts(plan, self._offers[name]))), None)


def _telling(pattern: str) -> bool:
    """Whether a name that fits the pattern says enough: it has a stem, no wildcard, and an ending of its own."""
    lower = pattern.lower()
    return lower.startswith(STEM) and not re.search(r"[*?\[/]", lower) and not lower.endswith(_COMMON)


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("(?P<stem>.+)" + re.escape(pattern.removeprefix(STEM)), re.IGNORECASE | re.DOTALL)
