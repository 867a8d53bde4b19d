"""Every dataset of a tree, read by the workers or known from an earlier scan; and what a person wants to know of it."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
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
from diadem.work import as_they_come

_KIND = "dataset"
#: Datasets handed to the threads ahead of the results.
_AHEAD = 4
#: Code, message and next step of an issue.
Said = tuple[str, str, str]


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


#: A dataset that has to be read: its place among all, its tree and plan, and the state of its files.
_Job = tuple[int, ScanTree, DatasetPlan, bytes]


@dataclass(slots=True)
class DatasetReading:
    """Reads datasets, and counts; of the cache only entries of the same `software` are used."""

    extractor: Extractor
    orphans: Orphans
    cache: ScanCache
    software: str
    listener: Listener
    read: int = 0
    cached: int = 0

    def run(self, planned: Sequence[tuple[ScanTree, DatasetPlan]]) -> list[Found]:
        """Read all datasets of all trees; results in the order given.

        What has been read is in the cache also where this is interrupted.
        """
        found: dict[int, Found] = {}
        waiting: list[_Job] = []
        for index, (tree, plan) in enumerate(planned):
            if not plan.offers:  # of no known format: the names of its files tell all
                found[index] = self._found(tree, plan, self.extractor.extract(plan, Path(tree.root)), b"")
                continue
            state = state_of(self.software, *((file.path, file.role, *tree.files[file.path]) for file in plan.files))
            content = self.cache.get(_key(tree, plan), _KIND, state)
            kept = _from_cache(content) if content is not None else None
            if kept is None:
                waiting.append((index, tree, plan, state))
            else:
                self.cached += 1
                found[index] = _described(tree, plan, *kept)
        found.update(self._reading(waiting))
        return [found[index] for index in range(len(planned))]

    def _reading(self, waiting: Sequence[_Job]) -> Iterator[tuple[int, Found]]:
        self.extractor.expect(len(waiting))
        extractions = as_they_come(
            lambda job: (job, self.extractor.extract(job[2], Path(job[1].root), preview=False)),
            waiting,
            threads=self.extractor.workers + 1,
            ahead=_AHEAD * self.extractor.workers,
            stop=self.extractor.close,
            name="diadem-scan",
        )
        try:
            with closing(extractions):
                for (index, tree, plan, state), extraction in extractions:
                    self.read += 1
                    shown = without_surrogates(plan.entry)
                    self.listener(Progress("read", self.read, len(waiting), shown, "datasets"))
                    yield index, self._found(tree, plan, extraction, state)
        finally:
            self.cache.flush()

    def _found(self, tree: ScanTree, plan: DatasetPlan, extraction: Extraction, state: bytes) -> Found:
        """Judge what was read, and keep it where it will be as true tomorrow."""
        facts, said = facts_of(extraction), self._said(tree, plan, extraction)
        if state and not _PASSING & {code for code, _, _ in said}:
            stated = {key: value for key, value in asdict(facts).items() if value not in ("", None, 0, ())}
            content = json.dumps([stated, said], separators=(",", ":")).encode("ascii")
            self.cache.put(_key(tree, plan), _KIND, state, content)
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


def _from_cache(content: bytes) -> tuple[Facts, list[Said]] | None:
    """What was kept of a dataset; None where it cannot be understood."""
    try:
        stated, issues = json.loads(content)
        known: dict[str, Any] = {
            key: sys.intern(value) if isinstance(value, str) else value for key, value in stated.items()
        }
        known["shape"] = tuple(known.get("shape", ()))
        return Facts(**known), [(str(code), str(message), str(then)) for code, message, then in issues]
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


def _described(tree: ScanTree, plan: DatasetPlan, facts: Facts, said: Sequence[Said]) -> Found:
    root, path = tree.name, without_surrogates(plan.entry)
    rest = Concern.NOTE if facts.signals else Concern.UNREADABLE
    issues = tuple(
        ScanIssue(_CONCERNS.get(code, rest), code, root, path, without_surrogates(message), then)
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


#: Issues that say nothing of the file but of this run: not kept for the next one.
_PASSING = frozenset({"unreadable", "vanished", "worker-lost", "reader-timeout", "reader-crashed", "reader-missing"})
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


# -- what a person wants to know -----------------------------------------------------------------------------------

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


def facts_of(extraction: Extraction) -> Facts:
    """What a person wants to know of a dataset.

    Where several detectors or signals state a field, the value of the largest signal is taken, else the preferred one.
    """
    format_ = sys.intern(extraction.format)
    if not extraction.signals and not extraction.fields:
        return _bare(format_)
    signal = max(extraction.signals, key=lambda found: math.prod(found["shape"]), default=None)
    id_ = str(signal["id"]) if signal else ""

    def value(key: str) -> Any:
        """The preferred assertion about the signal, else any preferred, else the first."""
        stated: Sequence[Mapping[str, Any]] = extraction.fields.get(key, ())
        ranked = sorted(
            stated, key=lambda item: (id_ not in (item.get("applies_to") or [id_]), not item.get("preferred"))
        )
        return ranked[0]["value"] if ranked else None

    vendor, model, name = (_text(value(f"instrument.{key}")) for key in ("vendor", "model", "name"))
    instrument = model or name or vendor  # maker and model, the maker once; else the instrument's own name
    if model and vendor and vendor.casefold() not in model.casefold():
        instrument = _text(f"{vendor} {model}")
    shown: dict[str, Any] = {name: _text(value(key)) for name, key in _TEXTS.items()}
    shown |= {name: _number(value(key)) for name, key in _NUMBERS.items()}
    if signal:
        shown |= {"kind": _text(signal.get("kind")), "shape": tuple(signal["shape"])}
        for axis in signal.get("axes", ()):  # the first step in each unit that the table has
            step, scale = _STEPS.get(axis.get("unit") or ""), _number(axis.get("scale"))
            if step and scale:
                shown.setdefault(step, abs(scale))
    return Facts(format=format_, instrument=instrument, signals=len(extraction.signals), **shown)


@lru_cache(maxsize=256)
def _bare(format_: str) -> Facts:
    """Facts of a file of which nothing but the format is known: one object for all of them."""
    return Facts(format=format_)


def _text(value: Any) -> str:
    """A value in one line; texts that come often are kept once."""
    line = " ".join(without_surrogates(str("" if value is None else value)).split())
    return sys.intern(line if len(line) <= _MAX_TEXT else line[: _MAX_TEXT - 1] + "…")


def _number(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


# -- files of one dataset that are apart ---------------------------------------------------------------------------

#: Endings that many programs write: such a file alone is nobody's lost side file.
_COMMON = (".txt", ".csv", ".log", ".xml", ".raw", ".h5", ".mrc", ".ser", ".dat")


class Orphans:
    """Finds a side file without its primary, and a primary without its data, by names only.

    The groups of what plugins offer say which names belong together.
    """

    def __init__(self, readers: Sequence[ReaderOffer]) -> None:
        self._offers: Mapping[str, ReaderOffer] = {offer.name: offer for offer in readers}
        found: dict[str, list[str]] = {}
        for offer in readers:
            for group in groups_of(offer):
                for pattern in (*group.parts, *group.sidecars):
                    lower = pattern.lower()  # it says enough with a stem, no wildcard, and an ending of its own
                    if lower.startswith(STEM) and not re.search(r"[*?\[/]", lower) and not lower.endswith(_COMMON):
                        found.setdefault(lower, []).append(group.primary)
        self._patterns: dict[str, list[tuple[re.Pattern[str], list[str]]]] = {}
        for pattern, primaries in sorted(found.items(), key=lambda item: -len(item[0])):  # longest first
            compiled = re.compile("(?P<stem>.+)" + re.escape(pattern.removeprefix(STEM)), re.IGNORECASE | re.DOTALL)
            self._patterns.setdefault(pattern.rpartition(".")[2], []).append((compiled, primaries))

    def lost_primary(self, plan: DatasetPlan) -> str | None:
        """Where the only file of a dataset looks like a side file: the names of the primary that it would belong to.

        ``scan.mib, .tif or .tiff``.
        """
        if len(plan.files) > 1:
            return None
        name = plan.primary.path.rpartition("/")[2]
        for pattern, primaries in self._patterns.get(name.rpartition(".")[2].lower(), ()):
            if match := pattern.fullmatch(name):
                first, *others = dict.fromkeys(primaries)
                names = [first.replace(STEM, match["stem"]), *(other.replace(STEM, "") for other in others)]
                return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
        return None

    def lost_parts(self, plan: DatasetPlan, format_: str) -> str | None:
        """Where a primary lacks its data files: the pattern of their names."""
        if plan.entry != plan.primary.path:
            return None
        named = (format_,) if format_ in self._offers else plan.offers[:1]
        return next((found for name in named if (found := missing_parts(plan, self._offers[name]))), None)
