"""Extraction for the rest of DIADEM: plans in, extractions out, whatever the files do to their readers."""

from __future__ import annotations

import importlib.util
import itertools
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Self

from diadem.extract.extraction import UNKNOWN, Extraction, Places, VendorBlock, encoded, issue, judge, missing_part
from diadem.extract.parent import Crew, WorkerStopped
from diadem.extract.survey import HEAD_SIZE, DatasetPlan, missing_parts, rank, told_by_name
from diadem.hooks.offers import CheckOffer, FieldsOffer, PreviewOffer, ReaderOffer
from diadem.serialization.extensions import ExtensionSchemas

#: Processor seconds that any file may take (compiling a decoder of Velox streams takes nine), and bytes for each more.
BASE_SECONDS = 20.0
BYTES_A_SECOND = 20e6
#: Seconds by the clock for each second of processor time: a busy machine is no fault of the file.
WALL_FACTOR = 3.0
#: Datasets for which a worker is worth its start.
WORTH_A_WORKER = 40
#: Kind and name of an offer to the plugin (distribution) and version that made it; foreign ones only.
Origins = Mapping[tuple[str, str], Mapping[str, str]]
_OURS: Final = "diadem-em"
#: Packages that a worker finds as it finds itself.
_BUNDLED: Final = frozenset({"diadem", "rsciio"})
#: Kind of part to its name for people.
_WORDS: Final = {"fields": "metadata reader", "previews": "preview", "checks": "check"}


class Extractor:
    """Reads datasets in worker processes that are started when first needed, reused, and replaced when they die.

    At most `workers` of them, each with `memory` bytes of address space, where the system has such a limit; a dataset
    may take `timeout` seconds, a small file less. `schemas` are by extension namespace and version. `previews`,
    `vendor`, `explain`: whether pictures are drawn, the vendor's blocks handed over, and it is told what became of each
    rule; `lasting`: whether workers wait some seconds for the next extractor of this process.
    """

    def __init__(
        self,
        readers: Sequence[ReaderOffer],
        fields: Sequence[FieldsOffer] = (),
        *,
        previewers: Sequence[PreviewOffer] = (),
        checks: Sequence[CheckOffer] = (),
        schemas: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
        origins: Origins | None = None,
        workers: int = 1,
        timeout: float = 60.0,
        memory: int = 4 << 30,
        previews: bool = True,
        vendor: bool = True,
        explain: bool = False,
        lasting: bool = False,
    ) -> None:
        self._readers = tuple(readers)
        self._offered = Offered({offer.name: offer for offer in readers}, fields, previewers, checks, origins or {})
        self._offered_schemas = schemas
        self._crew = Crew(workers, memory, locate(self._offered.targets()), lasting=lasting)
        self.workers = self._crew.size
        self._timeout = timeout
        self._memory = memory
        self._previews = previews
        self._vendor = vendor
        self._explain = explain
        self._numbers = itertools.count(1)

    @cached_property
    def _schemas(self) -> ExtensionSchemas:
        """Those at hand, compiled once a dataset has an extension."""
        return ExtensionSchemas(self._offered_schemas)

    def __enter__(self) -> Self:
        """The extractor itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the workers, or let them wait for the next call."""
        if kind is None:
            self._crew.release()
        else:
            self.close()

    def warm(self, datasets: int = 1) -> None:
        """Start workers now for so many datasets, so that their imports overlap with something else."""
        self._crew.warm(-(-datasets // WORTH_A_WORKER))

    def expect(self, datasets: int) -> None:
        """Start workers at once for datasets that are worth several; else the first one starts when it is asked."""
        if datasets > WORTH_A_WORKER:
            self.warm(datasets)

    def extract(
        self,
        plan: DatasetPlan,
        root: Path,
        *,
        heads: Mapping[str, bytes] | None = None,
        preview: bool = True,
        quick: bool = True,
        sizes_only: bool = False,
    ) -> Extraction:
        """Read one dataset. Safe to call from several threads; waits for a free worker.

        The plan's paths are relative to `root`; `heads` are first bytes that the caller has read already. `preview`:
        whether this dataset's picture is wanted, which costs half of a small image; `quick`: whether a look at the
        files may stand for the reader; `sizes_only`: whether nothing is asked but which files are shorter than they
        say.

        A file that is empty, wrong, damaged or hostile, or whose reader hangs or dies, has issues. Raises `UsageError`
        where the extractor is closed.
        """
        issues = [
            issue("empty", f"'{file.path}' is empty (0 bytes)", file=file.id) for file in plan.files if not file.size
        ]
        if not plan.primary.size and plan.entry == plan.primary.path:
            known = told_by_name(plan)
            return Extraction(known, ("suffix",) if known != UNKNOWN else (), issues=issues)
        try:
            head = (heads or {}).get(plan.primary.path, b"")[:HEAD_SIZE]
            if len(head) < min(HEAD_SIZE, plan.primary.size):
                with (root / plan.primary.path).open("rb") as stream:
                    head = stream.read(HEAD_SIZE)
            names, evidence, doubts = rank(plan, head, self._readers)
        except OSError as error:
            found = issue("unreadable", f"'{plan.primary.path}' cannot be opened: {error.strerror}", file="f1")
            return Extraction(issues=[*issues, found])
        issues += doubts
        if not names:
            return Extraction(issues=issues)
        size = sum(file.size for file in plan.files)
        job = {
            "job": next(self._numbers),
            "root": str(root),
            "entry": plan.entry or plan.primary.path,
            "files": [file.path for file in plan.files],
            "size": size,
            "ids": {file.path: file.id for file in plan.files},
            **self._offered.of(names),
            "preview": self._previews and preview,
            "keep": self._vendor,
            "explain": self._explain,
            "quick": quick,
            "sizes_only": sizes_only,
            "issues": issues,
            "seconds": min(self._timeout, BASE_SECONDS + size / BYTES_A_SECOND),
        }
        return self._read(plan, job, names[0], evidence, issues)

    def extract_many(
        self, plans: Iterable[DatasetPlan], root: Path, *, preview: bool = True, sizes_only: bool = False
    ) -> Iterator[tuple[DatasetPlan, Extraction]]:
        """Read many datasets on all workers; results in the order of the plans, a few ahead of the caller.

        Who stops before the end, or is interrupted, does not wait for what is being read.
        """
        waiting: deque[tuple[DatasetPlan, Future[Extraction]]] = deque()
        threads = ThreadPoolExecutor(self.workers + 1, thread_name_prefix="extract")
        try:
            for plan in plans:
                reading = threads.submit(self.extract, plan, root, preview=preview, sizes_only=sizes_only)
                waiting.append((plan, reading))
                if len(waiting) > 8 * self.workers:
                    first, future = waiting.popleft()
                    yield first, future.result()
            for plan, future in waiting:
                yield plan, future.result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """End all workers, also busy ones."""
        self._crew.close()

    def _read(
        self, plan: DatasetPlan, job: Mapping[str, Any], name: str, evidence: list[str], issues: list[dict[str, Any]]
    ) -> Extraction:
        """Have a worker read the dataset, and put together what came of it.

        A plugin's part that stops the worker costs an issue, and the rest is read without it.
        """
        while True:
            try:
                answer, about = self._crew.ask(job, min(self._timeout, WALL_FACTOR * job["seconds"]))
                break
            except WorkerStopped as stopped:
                kind, part = stopped.part
                lesser = without(job, kind, part)
                if lesser is None:
                    issues.append(issue(stopped.code, stopped.message, file="f1", reader=name))
                    return Extraction(name, tuple(evidence), issues=issues, extraction=self._how({}, {}))
                what = f"the {_WORDS[kind]} '{part}'" if part else "the drawing of a preview"
                code = "plugin-stopped" if part else stopped.code
                issues.append(issue(code, f"{what} was left out: {stopped.message}", reader=part))
                job = lesser
        if "failed" not in answer:
            try:
                return self._assembled(plan, answer, about, evidence, issues)
            except Exception as error:  # a worker that a file has taken over says whatever it likes
                answer = {"failed": type(error).__name__}
        issues.append(issue("reader-failed", f"the reader's answer is of no known form: {answer['failed']}"))
        return Extraction(name, tuple(evidence), issues=issues, extraction=self._how(answer, about))

    def _assembled(
        self,
        plan: DatasetPlan,
        answer: Mapping[str, Any],
        about: Mapping[str, Any],
        evidence: list[str],
        issues: list[dict[str, Any]],
    ) -> Extraction:
        """An extraction from a worker's answer."""
        format_ = answer.get("format") or UNKNOWN
        offer = self._offered.readers.get(format_)
        if offer is not None and (pattern := missing_parts(plan, offer)):
            issues.append(missing_part(pattern, plan.primary.path))
        known = {item["code"] for item in issues}
        news: dict[tuple[str, str], dict[str, Any]] = {}  # each once
        for item in answer.get("issues", ()):
            if item["code"] not in known:
                news.setdefault((item["code"], item["message"]), item)
        extensions, refused = judge(found, self._schemas) if (found := answer.get("extensions")) else ({}, [])
        return Extraction(
            format=format_,
            evidence=tuple([*evidence, *answer.get("evidence", ())] if format_ != UNKNOWN else ()),
            signals=list(answer.get("signals", ())),
            fields=dict(answer.get("fields", {})),
            issues=[*issues, *news.values(), *refused],
            extraction=self._how(answer, about) if format_ != UNKNOWN else {},
            preview=encoded(pixels) if (pixels := answer.get("preview")) else None,
            vendor=[VendorBlock(**block) for block in answer.get("blocks", ())],
            extensions=extensions,
            outcomes=list(answer.get("outcomes", ())),
        )

    def _how(self, answer: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
        """How the values were come by; equal for equal files, so that records can share it."""
        how: dict[str, Any] = {"tool": f"diadem-em {version_of('diadem-em')}", "tz": "UTC"}
        if about:
            how["reader"] = _reader_version()
        if answer.get("mode") in ("lazy", "eager"):
            how["lazy"] = answer["mode"] == "lazy"
        enforced = answer.get("enforced", {})
        python = "Python's own refused" if enforced else "unknown"
        how["isolation"] = {
            "network": {"none": "none", "refused": "unrestricted, Python's own refused"}.get(
                about.get("network", ""), "unknown"
            ),
            "files": "landlock" if enforced.get("files") is True else python,
            "calls": "seccomp" if enforced.get("calls") is True else python,
            "memory": self._memory if about.get("limited") else "unlimited",
            "seconds": self._timeout,
        }
        if "preview_failed" in answer:
            how["preview"] = f"failed: {answer['preview_failed']}"
        elif answer.get("preview_by"):
            how["preview"] = f"drawn by {answer['preview_by']}"
        return how


# -- what plugins offer, as a worker is told ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Offered:
    """What plugins offer, as JSON and by the formats that it is for; `origins` has every offer that is not ours."""

    readers: Mapping[str, ReaderOffer]
    fields: Sequence[FieldsOffer]
    previews: Sequence[PreviewOffer]
    checks: Sequence[CheckOffer]
    origins: Origins

    def of(self, names: Sequence[str]) -> dict[str, Any]:
        """What concerns datasets of these formats: ``offers, fields, previews, checks``."""
        meant = {"*", *names}
        fields = [one for one in self.fields if meant & set(one.formats)]
        previews = [one for one in self.previews if meant & set(one.formats)]
        checks = [one for one in self.checks if meant & set(one.formats)]
        best_first = sorted(previews, key=lambda offer: -offer.priority)
        return {
            "offers": [self._reader(self.readers[name]) for name in names],
            "fields": [self._told("fields", one, blocks=one.blocks, tables=dict(one.tables)) for one in fields],
            "previews": [self._told("previews", one, draw=one.draw) for one in best_first],
            "checks": [self._told("checks", one, check=one.check, when=one.when) for one in checks],
        }

    def targets(self) -> Iterator[str]:
        """Every dotted name that a worker may be asked to import."""
        for reader in self.readers.values():
            yield from (reader.open, reader.load, reader.probe)
        for offer in self.fields:
            yield from (offer.blocks, *offer.tables.values())
        yield from (offer.draw for offer in self.previews)
        yield from (offer.check for offer in self.checks)

    def _reader(self, offer: ReaderOffer) -> dict[str, Any]:
        """One reader; those of RosettaSciIO are told by its name, whoever offers them."""
        by = {"plugin": "rosettasciio", "version": version_of(_OURS), "reader": _reader_version()}
        if _package(offer.open or offer.load) not in _BUNDLED:
            by = {**self._by("formats", offer.name), "reader": offer.name}
        targets = {"open": offer.open, "load": offer.load, "probe": offer.probe}
        return {"name": offer.name, **targets, "options": dict(offer.options), "by": by}

    def _told(self, kind: str, offer: FieldsOffer | PreviewOffer | CheckOffer, **more: Any) -> dict[str, Any]:
        """An offer for some formats."""
        return {"name": offer.name, "formats": list(offer.formats), **more, "by": self._by(kind, offer.name)}

    def _by(self, kind: str, name: str) -> Mapping[str, str]:
        """Whose an offer is."""
        return self.origins.get((kind, name), {"plugin": name, "version": version_of(_OURS)})


def _package(address: str) -> str:
    """The top-level package of ``module:name`` or ``package/kind``."""
    return re.split(r"[.:/]", address, maxsplit=1)[0]


@cache
def version_of(distribution: str) -> str:
    """Version of an installed distribution, or ``unknown``."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"


def _reader_version() -> str:
    return f"rosettasciio {version_of('rosettasciio')}"


def without(job: Mapping[str, Any], kind: str, name: str) -> dict[str, Any] | None:
    """The job without the part that stopped the worker; None where there is no dataset without it."""
    if kind == "previews" and not name:
        return {**job, "preview": False} if job.get("preview") else None
    kept = [offer for offer in job[kind] if offer["name"] != name] if kind in _WORDS else []
    return {**job, kind: kept} if kind in _WORDS and len(kept) < len(job[kind]) else None


def locate(targets: Iterable[str]) -> Places:
    """Where the top-level packages of addresses are; what is not in plain files is left to the search path."""
    found: dict[str, dict[str, Any]] = {}
    for name in sorted({_package(target) for target in targets} - _BUNDLED - {""}):
        try:
            spec = importlib.util.find_spec(name)
        except Exception:  # noqa: S112 - a module without a spec, or a finder of somebody's that fails
            continue
        if spec is not None:
            origin = spec.origin if spec.has_location and spec.origin and Path(spec.origin).is_file() else ""
            places = [str(place) for place in spec.submodule_search_locations or () if Path(place).is_dir()]
            if origin or places:
                found[name] = {"origin": origin, "places": places}
    return found
