"""One dataset read in the worker: what is refused, who reads it, what its format gives, what plugins draw and doubt."""

from __future__ import annotations

import copy
import logging
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

from diadem.extract.assertions import Statement, calibrated, clean, merge, pixel_sizes
from diadem.extract.axes import describe_axes, in_order, kind_of
from diadem.extract.extraction import fault_text, issue, missing_part, worded
from diadem.extract.opening import LocalFiles, array_of, open_dataset
from diadem.extract.refusals import Walk, look_through
from diadem.extract.tables import Cut, cut, to_keep
from diadem.hooks.formats import CutShort, Opened, Signal, failing
from diadem.hooks.manifest import prober
from diadem.hooks.offers import Described, Issue, ReaderOffer, target

#: Signals of one file that are described; more are counted.
MAX_SIGNALS = 256
#: Issues of one check that are kept, and characters of a message.
MOST_ISSUES: Final = 20
LONGEST: Final = 1000
#: When a check may look at the data.
_ASSESS: Final = "assess"
_CODE: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
_SEVERITIES: Final = get_args(get_type_hints(Issue)["severity"])
Tell = Callable[[str, str], None]


def read_dataset(job: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    """Read one dataset: the job of `diadem.extract.pool.Extractor.extract`; all that it makes an extraction of.

    `tell` hears of kind (``reader``, ``fields``, ``previews``, ``checks``) and name of what runs now.
    """
    root = Path(job["root"])
    result: dict[str, Any] = {"format": "", "evidence": [], "signals": [], "fields": {}, "issues": [], "mode": "none"}
    if any((root / name).is_symlink() for name in job["files"]):
        result["issues"].append(issue("symlink", "a file of the dataset is a symbolic link; it was not read"))
        return result
    walked = Walk(issues=result["issues"])
    names = [offer["name"] for offer in job["offers"]]
    try:
        look_through(walked, root, job["entry"], job["files"], names, job.get("ids", {}))
    except Exception as error:  # the HDF5 library's own errors have no common class
        walked.refused = True
        result["issues"].append(_failure(error, names[0]))
    if walked.refused:
        result["format"] = names[0]
        return result
    if walked.missing:
        result["issues"].append(missing_part(walked.missing[0], job["entry"]))
    offer = _choose(str(root / job["entry"]), job["offers"], result)
    if offer is None:
        return result
    result["format"] = offer["name"]
    checks = [check for check in job.get("checks", ()) if {"*", offer["name"]} & set(check["formats"])]
    looked_at = any(check.get("when") == _ASSESS for check in checks)
    said = {key: offer[key] for key in ("name", "open", "load", "options") if key in offer}
    with LocalFiles(
        root,
        job["entry"],
        job["files"],
        format_ := ReaderOffer(suffixes=(), **said),
        job["size"],
        lazy_only=walked.huge or any(found["code"] == "truncated" for found in result["issues"]),
        quick=job.get("quick", True) and not looked_at,
    ) as files:
        reading = _Reading(files, format_, job, result, tell)
        opened = reading.open()
        if walked.missing:  # what it says itself is known, its data are not
            opened = replace(opened, signals=())
        if not job.get("sizes_only"):
            signals = reading.read(opened, offer["by"], complete=not walked.missing)
            if job.get("preview") and signals:
                reading.draw(signals)
            result["issues"] += reading.examine(checks, signals if looked_at else ())
    tell("reader", offer["name"])  # what is left to do is nobody else's fault
    return result


def _choose(path: str, offers: Sequence[Mapping[str, Any]], result: dict[str, Any]) -> Mapping[str, Any] | None:
    """The first offer whose probe accepts the file, or that has none."""
    for offer in offers:
        if not offer.get("probe"):
            return offer
        try:
            if prober(offer["probe"])(path):
                result["evidence"].append("content")
                return offer
        except Exception as error:  # a probe that fails does not recognise the file
            logging.getLogger(__name__).debug("probe of %s: %r", offer["name"], error)
    return None


@dataclass(slots=True)
class _Reading:
    """A dataset that its format opens: what comes of it stands in `result`."""

    files: LocalFiles
    offer: ReaderOffer
    job: Mapping[str, Any]
    result: dict[str, Any]
    tell: Tell

    @property
    def paths(self) -> list[str]:
        """Of all files."""
        return [str(Path(self.job["root"]) / name) for name in self.files]

    def open(self) -> Opened:
        """What the format gives; what it raises, its signals raise when they are asked for."""
        self.tell("reader", self.offer.name)
        try:
            opened = open_dataset(self.files, self.offer)
        except Exception as error:  # the format's own, or an import
            if isinstance(error, CutShort):
                self._note_short(error)
            return Opened(failing(error))
        if opened.size and (name := self.files.entry) in self.files and opened.size > self.files[name].size:
            self._note_short(CutShort(name, opened.size, self.files[name].size))
            self.files.lazy_only = True
        return opened

    def read(self, opened: Opened, by: Mapping[str, str], *, complete: bool) -> list[Signal]:
        """Signals, fields and vendor blocks."""
        blocks = cut(self.files.path(), self.job, self.offer.name, self.tell, opened.blocks)
        for short in blocks.short:
            self._note_short(short)
        self.result["issues"] += blocks.issues
        self.result["extensions"] = blocks.extensions
        self.tell("reader", self.offer.name)
        signals: list[Signal] = []
        try:
            signals += opened.signals
            for signal in signals if not self.files.quick else ():
                with suppress(Exception):  # axes and array are known without it
                    _ = signal.reader and signal.reader()
            self.result["mode"] = self.files.mode
        except CutShort as short:
            self._note_short(short)
        except Exception as error:  # readers raise anything; the dataset gets an issue, the archive goes on
            self.result["issues"].append(_failure(error, self.offer.name))
        else:
            if not signals and complete:
                message = f"the reader '{self.offer.name}' found no signal in this file"
                self.result["issues"].append(issue("no-signal", message))
            if len(signals) > MAX_SIGNALS:
                message = f"{len(signals)} signals, the first {MAX_SIGNALS} are described"
                self.result["issues"].append(issue("many-signals", message))
        self._describe(signals, by, blocks)
        return signals

    def _note_short(self, short: CutShort) -> None:
        """Tell once of a file that it is shorter than it says, whoever has noticed it."""
        file, issues = self.job.get("ids", {}).get(short.name, "f1"), self.result["issues"]
        if not any(found["code"] == "truncated" and found.get("file") == file for found in issues):
            issues.append({**short.issue, "file": file})

    def _describe(self, signals: list[Signal], by: Mapping[str, str], blocks: Cut) -> None:
        """Signals and blocks as the record has them; the signals' axes get the pixel sizes that tables state."""
        ids = self.job.get("ids", {})
        ids = {"": "f1", **ids, **{str(Path(self.job["root"]) / path): id_ for path, id_ in ids.items()}}
        names = [f"s{number}" for number in range(1, min(len(signals), MAX_SIGNALS) + 1)]
        module = self.offer.load.partition(":")[0]
        reader = module.rpartition(".")[2] if module.startswith("rsciio.") else self.offer.name
        for number, signal in enumerate(signals[:MAX_SIGNALS]):
            self.result["issues"] += signal.issues
            blocks.add_tree(signal.more.get("original_metadata"), reader, number)
        statements, issues = blocks.statements(names)
        by_tables, _ = merge(statements, ids)
        sizes: list[Statement] = []
        for number, name in enumerate(names):
            signals[number] = signal = calibrated(signals[number], name, by_tables)
            axes, shape = in_order(signal.axes), list(signal.shape)
            kind = kind_of(axes, shape, signal.metadata)
            general = signal.metadata.get("General")
            title = clean(general.get("title")) if isinstance(general, Mapping) else ""
            described = {"id": name, "title": title, "kind": kind, "shape": shape, "dtype": _dtype(signal.dtype)}
            described["axes"] = describe_axes(axes, shape)
            self.result["signals"].append({key: value for key, value in described.items() if value != ""})
            sizes.append(Statement((name,), by, [*pixel_sizes(kind, axes, shape)]))
        if self.job.get("explain"):
            self.result["outcomes"] = blocks.told()
        self.result["fields"], contradictions = merge([*statements, *sizes], ids)
        self.result["issues"] += [*issues, *contradictions]
        if self.job.get("keep", True):
            self.result["blocks"], too_large = to_keep(blocks, ids)
            self.result["issues"] += too_large

    def draw(self, signals: Sequence[Signal]) -> None:
        """A picture, a plugin's or our own; its failure is noted and harms nothing else."""
        from diadem.extract.preview import draw

        path = self.files.path()
        dictionaries = [signal.dictionary(array_of(signal, self.files, path)) for signal in signals]
        offers = [one for one in self.job.get("previews", ()) if {"*", self.offer.name} & set(one["formats"])]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            drawn, issues = draw(path, self.paths, dictionaries, offers, self.tell)
        self.result |= drawn
        self.result["issues"] += issues

    def examine(self, checks: Sequence[Mapping[str, Any]], signals: Sequence[Signal]) -> Iterator[dict[str, Any]]:
        """Run every check on the dataset, some on the data of `signals`; one that fails hides no other."""
        path, issues = self.files.path(), [*self.job.get("issues", ()), *self.result["issues"]]
        extensions = {item["namespace"]: item["data"] for item in self.result["extensions"]}
        described = zip(self.result["signals"], signals, strict=False)
        arrays = {one["id"]: array_of(signal, self.files, path) for one, signal in described}
        for offer in checks:
            self.tell("checks", offer["name"])
            try:
                # copied, so that none changes what the next one sees
                known = copy.deepcopy((self.result["signals"], self.result["fields"], extensions, issues))
                dataset = Described(self.result["format"], *known, arrays if offer.get("when") == _ASSESS else {})
                yield from _found(target(offer["check"])(path, self.paths, dataset), offer)
            except Exception as error:  # a plugin's own fault, or a file that it has not foreseen
                message = f"the check '{offer['name']}' failed: {worded(error)}"
                yield issue("check-failed", message, severity="info", by=offer["by"])


def _failure(error: Exception, reader: str) -> dict[str, Any]:
    """A reader's exception as an issue."""
    if isinstance(error, ImportError):
        message = f"the reader '{reader}' needs a package that is not installed: {error.name or error}"
        advice = f"Install it: pip install {error.name}" if error.name else ""
        return issue("reader-missing", message, reader=reader, next=advice)
    code = "memory-limit" if isinstance(error, MemoryError) else "reader-failed"
    message = f"the reader '{reader}' cannot read this file: {fault_text(error)}"
    return issue(code, message, reader=reader, exception=type(error).__name__)


def _dtype(dtype: Any) -> str:
    """NumPy's short name; colours as HyperSpy calls them."""
    if dtype is None:
        return "object"
    if dtype.names:
        names = "".join(dtype.names).lower()
        bits = 8 * dtype[0].itemsize
        return f"{names}{bits}" if set(names) <= set("rgba") else "struct"
    return str(dtype.str)


def _found(issues: Iterable[Any] | None, offer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What a check finds, as issues under its name."""
    for number, item in enumerate(islice(issues or (), MOST_ISSUES + 1)):
        if number == MOST_ISSUES:
            message = f"the check '{offer['name']}' finds more than {MOST_ISSUES} things; the first are listed"
            yield issue("check-failed", message, severity="info", by=offer["by"])
        elif fault := _fault_of(item):
            message = f"the check '{offer['name']}' returns something that is not an issue: {fault}"
            yield issue("check-failed", message, severity="info", by=offer["by"])
        else:
            more = {"severity": item.severity, "next": item.next[:LONGEST], "by": offer["by"]}
            yield issue(f"{offer['name']}-{item.code}", item.message[:LONGEST], **more)


def _fault_of(item: Any) -> str:
    """What is wrong with an issue, or ""."""
    if not isinstance(item, Issue):
        return f"{repr(item)[:80]} is not an Issue"
    if not isinstance(item.code, str) or not _CODE.match(item.code):
        return f"the code {item.code!r} is not lower case with dashes"
    if not isinstance(item.message, str) or not item.message.strip():
        return f"'{item.code}' has no message"
    if item.severity not in _SEVERITIES or not isinstance(item.next, str):
        return f"'{item.code}' has the severity {item.severity!r}, which is none of {', '.join(_SEVERITIES)}"
    return ""
