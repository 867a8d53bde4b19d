"""Scanning: trees listed, datasets read, contents compared, sessions proposed. Nothing is written in the trees."""

from __future__ import annotations

import datetime
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diadem.errors import Interrupted, Refused, UsageError
from diadem.extract.pool import Extractor
from diadem.extract.survey import survey
from diadem.hooks.offers import ReaderOffer
from diadem.model.display import Display, pandas_module
from diadem.model.plain_text import without_surrogates
from diadem.model.ports import Listener, Progress
from diadem.model.scan import (
    Archived,
    Concern,
    DuplicateGroup,
    Effort,
    PlannedSession,
    ScanIssue,
    ScannedDataset,
    SingleCopies,
    Totals,
    as_json,
)
from diadem.pack.plan import text_of
from diadem.scan.cache import ScanCache
from diadem.scan.duplicates import Candidate, compare, duplicates, single_copies
from diadem.scan.folders import moment_of
from diadem.scan.plan import add_plan, moment, plan_data, read_plan
from diadem.scan.reading import DatasetReading, Orphans
from diadem.scan.sessions import propose_sessions, without_copies
from diadem.scan.tables import Column, Workbook, put_file, table_csv
from diadem.scan.tree import ScanTree, roots_of, shown_path
from diadem.scan.words import scan_page, shape_text

#: Kinds of omissions that are no failure to look: what they are is known.
_SEEN = frozenset({"symlink", "fifo", "socket", "device", "system"})
_ORDER = {concern: place for place, concern in enumerate(Concern)}
#: Sessions and issues that a card shows.
_SHOWN = 50


def scan_folders(
    folders: Sequence[str | os.PathLike[str]],
    *,
    readers: Sequence[ReaderOffer],
    extractor: Callable[[], AbstractContextManager[Extractor]],
    software: str,
    cache: Path | None,
    listener: Listener,
) -> Scan:
    """Scan folders; `software` names all that reads, with versions, `cache` is a folder, None keeps nothing.

    Raises `UsageError`, `NotFound` as `roots_of`, and `Interrupted` on Ctrl-C; what was read is in the cache then.
    """
    started = time.monotonic()
    roots, notices = roots_of(folders)
    kept = ScanCache(cache)
    try:
        apart = [os.path.realpath(kept.path.parent)] if kept.path else []  # as the roots are
        trees = [ScanTree(root, apart=apart, listener=listener) for root in roots]
        planned = [
            (tree, plan)
            for tree in trees
            for plan in survey(((path, stamp.size) for path, stamp in tree.files.items()), readers)
        ]
        with extractor() as workers:
            reading = DatasetReading(workers, Orphans(readers), kept, software, listener)
            found = reading.run(planned)
        candidates = (
            Candidate(one.tree, file.path, one.tree.files[file.path], owner)
            for owner, one in enumerate(found)
            for file in one.plan.files
        )
        comparison = compare(candidates, kept, listener)
        listener(Progress("plan", 0, 0, "", "sessions"))
        equal = duplicates(comparison)
        sessions, membership = propose_sessions(trees, found)
        datasets = [replace(one.dataset, session=membership[id(one)]) for one in found]
        files: dict[str, list[str]] = defaultdict(list)
        for one in found:
            files[membership[id(one)]].extend(one.tree.absolute_text(file.path) for file in one.plan.files)
        sessions = without_copies(sessions, files, equal)
        issues = [issue for tree in trees for issue in _omissions(tree)]
        issues += [issue for dataset in datasets for issue in dataset.issues]
        issues = sorted(_once([*issues, *comparison.issues]), key=lambda issue: (_ORDER[issue.concern], issue.code))
        singles = single_copies(trees, comparison)
        totals = _totals(datasets)
    except KeyboardInterrupt as error:
        advice = "What was read is kept; the same command resumes from there."
        advice = advice if kept.path else "Run the same command again."
        raise Interrupted("the scan was stopped; nothing was written in the folders", next=advice) from error
    finally:
        kept.close()
    seconds = round(time.monotonic() - started, 3)
    return Scan(
        roots=roots,
        sessions=sessions,
        datasets=datasets,
        duplicates=equal,
        issues=issues,
        single_copies=singles,
        archived=[archived for tree in trees for archived in tree.archived],
        totals=totals,
        effort=Effort(reading.read, reading.cached, comparison.hashed_bytes, comparison.cached, seconds),
        notices=(*notices, *kept.notices),
    )


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


@dataclass(frozen=True, slots=True, repr=False)
class Scan(Display):
    """The result of a scan of existing folders, which were only read.

    Attributes
    ----------
    roots : sequence of str
        Absolute paths of the folders that were scanned.
    sessions : sequence of PlannedSession
        Sessions that could become one package each; every file is in exactly one.
    datasets : sequence of ScannedDataset
        Every file is in exactly one: instrument data with its side files, or any other file alone.
    duplicates : sequence of DuplicateGroup
        Contents stored more than once, those that waste most space first.
    issues : sequence of ScanIssue
        What deserves attention, starting with what could not be read.
    single_copies : sequence of SingleCopies
        If several folders were given: files that exist only once, in only one of them.
    archived : sequence of Archived
        Packages and stores in the folders, which were not scanned.
    totals : Totals
        Sums.
    effort : Effort
        How much was read, and how much was known from earlier scans.
    notices : sequence of str
        What was unusual about the scan itself, such as a cache that could not be used.
    """

    roots: Sequence[str]
    sessions: Sequence[PlannedSession]
    datasets: Sequence[ScannedDataset]
    duplicates: Sequence[DuplicateGroup]
    issues: Sequence[ScanIssue]
    single_copies: Sequence[SingleCopies]
    archived: Sequence[Archived]
    totals: Totals
    effort: Effort
    notices: Sequence[str] = ()

    def _display_title(self) -> str:
        return repr(self).removeprefix("<Scan ").removesuffix(">")

    def _display_document(self) -> Mapping[str, Any]:
        return {
            "totals": as_json(self.totals),
            "sessions": [_session_dict(session) for session in self.sessions[:_SHOWN]],
            "issues": as_json(self.issues[:_SHOWN]),
            "notices": list(self.notices),
            "next": "scan.save('plan.xlsx'), scan.save('scan.html'), scan.to_dataframe()",
        }

    def __repr__(self) -> str:
        """Numbers, not tables."""
        names = ("datasets", "sessions", "duplicates", "issues")
        said = ", ".join(f"{len(getattr(self, name)):,} {name}" for name in names)
        return f"<Scan of {', '.join(map(without_surrogates, self.roots))}: {said}>"

    @property
    def complete(self) -> bool:
        """Whether everything could be read."""
        return not any(issue.concern is Concern.UNSEEN for issue in self.issues)

    def plan(self) -> tuple[PlannedSession, ...]:
        """The sessions, to be changed with `dataclasses.replace`, or saved and edited in Excel or LibreOffice."""
        return tuple(self.sessions)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the tables.

        Parameters
        ----------
        path : path
            ``.csv``: the datasets; ``.xlsx``: all tables, a sheet each; ``.html``: one page to look at.

        Raises
        ------
        UsageError
            Another ending.
        Refused
            It would be in a scanned folder, or cannot be written.
        """
        target = Path(path)
        ending = target.suffix.lower()
        makers: Mapping[str, Callable[[Scan], bytes]] = {
            ".xlsx": _workbook,
            ".csv": lambda scan: table_csv(_dataset_columns(scan), scan.datasets),
            ".html": scan_page,
            ".htm": scan_page,
        }
        if ending not in makers:
            said = f"a scan cannot be written as '{ending}'"
            raise UsageError(said, where=str(target), next="Use .csv, .xlsx or .html.")
        keep_out(target, self.roots)
        put_file(target, makers[ending](self), Refused)
        return target

    def save_plan(self, path: str | os.PathLike[str], sessions: Iterable[PlannedSession] | None = None) -> Path:
        """Write the plan, one row per session, to edit and read with `diadem.read_plan`.

        Parameters
        ----------
        path : path
            ``.csv`` or ``.xlsx``.
        sessions : iterable of PlannedSession, optional
            Instead of those found.

        Raises
        ------
        UsageError, Refused
            See `save`.
        """
        target = Path(path)
        keep_out(target, self.roots)
        put_file(target, plan_data(target, list(self.sessions if sessions is None else sessions)), Refused)
        return target

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values; numbers in SI units."""
        return {
            "roots": [without_surrogates(root) for root in self.roots],
            "complete": self.complete,
            "totals": as_json(self.totals),
            "sessions": [_session_dict(session) for session in self.sessions],
            "datasets": [_dataset_dict(dataset) for dataset in self.datasets],
            "duplicates": [{**as_json(group), "spare": group.spare} for group in self.duplicates],
            "single_copies": as_json(self.single_copies),
            "issues": as_json(self.issues),
            "archived": as_json(self.archived),
            "effort": as_json(self.effort),
            "notices": list(self.notices),
        }

    def to_dataframe(self) -> Any:
        """Return the datasets as a pandas DataFrame, one row each, with units in the column names.

        Raises
        ------
        UsageError
            pandas is not installed.
        """
        columns = _dataset_columns(self)
        data = {column.key: [column.value(dataset) for dataset in self.datasets] for column in columns}
        return pandas_module().DataFrame(data)


def sessions_of(plan: Scan | str | os.PathLike[str] | Iterable[PlannedSession]) -> list[PlannedSession]:
    """The sessions that are to be archived, in their order: of a scan, of a plan that was edited, or at hand."""
    if isinstance(plan, Scan):
        plan = plan.sessions
    elif isinstance(plan, str | os.PathLike):
        plan = read_plan(plan)
    return [session for session in plan if session.archive]


def keep_out(path: Path, roots: Sequence[str]) -> None:
    """Refuse an output that would lie in one of the folders that are scanned."""
    folder = Path(os.path.realpath(path)).parent
    for root in roots:
        if folder.is_relative_to(os.path.realpath(root)):
            raise Refused(
                "this output would be in a scanned folder, and a scan writes nothing there",
                where=without_surrogates(str(path)),
                next="Name a file in another folder.",
            )


def _dataset_dict(dataset: ScannedDataset) -> dict[str, Any]:
    """A dataset with its facts beside it; the issues are listed for the whole scan, here only their codes."""
    plain = as_json(dataset)
    facts = plain.pop("facts")
    return {**plain, **facts, "issues": [issue.code for issue in dataset.issues]}


def _session_dict(session: PlannedSession) -> dict[str, Any]:
    parts = [without_surrogates(part) for part in session.parts]
    return {**as_json(session), "folder": without_surrogates(session.folder), "parts": parts}


# -- tables --------------------------------------------------------------------------------------------------------


def _dataset_columns(scan: Scan) -> Sequence[Column[ScannedDataset]]:
    titles = {session.id: session.title for session in scan.sessions}
    return (
        Column("session", "session", "text", lambda row: titles.get(row.session, "")),
        Column("folder", "folder", "text", lambda row: row.path.rpartition("/")[0]),
        Column("file", "file", "text", lambda row: row.name),
        Column("acquired", "acquired", "moment", lambda row: moment(row.facts.acquired)),
        Column("utc_offset", "UTC offset", "text", lambda row: _offset(row.facts.acquired)),
        Column("instrument", "instrument", "text", lambda row: row.facts.instrument),
        Column("voltage_kv", "voltage (kV)", "number", lambda row: _scaled(row.facts.voltage, 1e-3)),
        Column("mode", "mode", "text", lambda row: row.facts.mode),
        Column("magnification", "magnification (×)", "number", lambda row: row.facts.magnification),
        Column("kind", "kind", "text", lambda row: row.facts.kind.replace("_", " ")),
        Column("shape", "shape", "text", lambda row: shape_text(row.facts.shape)),
        Column("signals", "signals", "integer", lambda row: row.facts.signals or None),
        Column("pixel_size_nm", "pixel size (nm)", "number", lambda row: _scaled(row.facts.pixel_size, 1e9)),
        Column(
            "reciprocal_pixel_size_per_nm",
            "pixel size (1/nm)",
            "number",
            lambda row: _scaled(row.facts.reciprocal_pixel_size, 1e-9),
        ),
        Column("energy_step_ev", "energy step (eV)", "number", lambda row: _scaled(row.facts.energy_step, 1.0)),
        Column("detector", "detector", "text", lambda row: row.facts.detector),
        Column("sample", "sample", "text", lambda row: row.facts.sample),
        Column("operator", "operator", "text", lambda row: row.facts.operator),
        Column("format", "format", "text", lambda row: row.facts.format),
        Column("files", "files", "integer", lambda row: row.files),
        Column("bytes", "size (bytes)", "integer", lambda row: row.bytes),
        Column("changed", "file changed (local time)", "moment", lambda row: _changed(row.modified_ns)),
        Column("issues", "issues", "text", lambda row: "; ".join(issue.message for issue in row.issues)),
        Column("root", "scanned folder", "text", lambda row: row.root),
    )


_ISSUE_COLUMNS: Sequence[Column[ScanIssue]] = (
    Column("concern", "concern", "text", lambda row: str(row.concern)),
    Column("code", "code", "text", lambda row: row.code),
    Column("path", "path", "text", lambda row: row.path),
    Column("message", "what was found", "text", lambda row: row.message),
    Column("next", "what to do", "text", lambda row: row.next),
    Column("root", "scanned folder", "text", lambda row: row.root),
)
#: A duplicate is the number of its group, the group, and one of its paths.
_DUPLICATE_COLUMNS: Sequence[Column[tuple[int, DuplicateGroup, str]]] = (
    Column("group", "group", "integer", lambda row: row[0]),
    Column("path", "path", "text", lambda row: row[2]),
    Column("bytes", "size (bytes)", "integer", lambda row: row[1].size),
    Column("copies", "copies", "integer", lambda row: row[1].copies),
    Column("spare", "could be freed (bytes)", "integer", lambda row: row[1].spare),
    Column("digest", "BLAKE3", "text", lambda row: row[1].digest),
)
_SINGLE_COLUMNS: Sequence[Column[tuple[str, str]]] = (
    Column("root", "only in", "text", lambda row: row[0]),
    Column("path", "path", "text", lambda row: row[1]),
)
_TOTAL_COLUMNS: Sequence[Column[tuple[str, int, int | None]]] = (
    Column("what", "what", "text", lambda row: row[0]),
    Column("number", "number", "integer", lambda row: row[1]),
    Column("bytes", "size (bytes)", "integer", lambda row: row[2]),
)


def _workbook(scan: Scan) -> bytes:
    """All tables: datasets, sessions (the plan), issues, duplicates, single copies, totals."""
    copies = [(number, group, path) for number, group in enumerate(scan.duplicates, start=1) for path in group.paths]
    book = Workbook()
    book.add("datasets", _dataset_columns(scan), scan.datasets)
    add_plan(book, scan.sessions)
    book.add("issues", _ISSUE_COLUMNS, scan.issues)
    book.add("duplicates", _DUPLICATE_COLUMNS, copies)
    if len(scan.roots) > 1:
        singles = [(single.root, path) for single in scan.single_copies for path in single.paths]
        book.add("single copies", _SINGLE_COLUMNS, singles)
    book.add("totals", _TOTAL_COLUMNS, _total_rows(scan))
    return book.data()


def _total_rows(scan: Scan) -> list[tuple[str, int, int | None]]:
    """Sums, then formats, then what the files of unknown format are called."""
    totals = scan.totals
    return [
        ("files", totals.files, totals.bytes),
        ("datasets", totals.datasets, None),
        ("datasets of a known format", totals.known, None),
        ("datasets that could be read", totals.readable, None),
        ("sessions", len(scan.sessions), None),
        ("sessions to archive", sum(session.archive for session in scan.sessions), None),
        ("contents found more than once", len(scan.duplicates), sum(group.spare for group in scan.duplicates)),
        ("packages left alone", sum(archived.packages for archived in scan.archived), None),
        ("issues", len(scan.issues), None),
        *((f"only in {single.root}", single.files, single.bytes) for single in scan.single_copies),
        *((f"format {name}", *counts) for name, counts in totals.formats.items()),
        *((f"unknown format, named {name}", *counts) for name, counts in totals.unknown.items()),
    ]


def _offset(text: str) -> str:
    """The offset from UTC in an ISO 8601 time: ``+01:00``, or "" where it has none."""
    try:
        zone = datetime.datetime.fromisoformat(text).strftime("%z") if text else ""
    except ValueError:
        return ""
    return f"{zone[:3]}:{zone[3:5]}" if zone else ""


def _changed(modified_ns: int) -> datetime.datetime | None:
    """A file time as local time, to the second; None where the system cannot express it."""
    try:
        return datetime.datetime.fromtimestamp(modified_ns // 10**9)  # noqa: DTZ006 - as the file manager shows it
    except (OverflowError, ValueError, OSError):
        return None


def _scaled(value: float | None, factor: float) -> float | None:
    """A number in another unit, without the noise of the last digits."""
    return None if value is None else float(f"{value * factor:.9g}")
