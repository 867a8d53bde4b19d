"""Scanning: trees listed, datasets read, contents compared, sessions proposed. Nothing is written in the trees."""

from __future__ import annotations

import contextlib
import datetime
import os
import secrets
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
from diadem.scan.duplicates import Candidate, Comparison, compare, duplicates, single_copies
from diadem.scan.folders import moment_of
from diadem.scan.plan import add_plan, moment, read_plan, write_plan
from diadem.scan.reading import DatasetReading, Found, Orphans
from diadem.scan.sessions import propose_sessions, without_copies
from diadem.scan.tables import Column, Workbook, table_csv
from diadem.scan.tree import ScanTree, roots_of, shown_path
from diadem.scan.words import shape_text
from diadem.store.system import move

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
    sessions, membership = propose_sessions(trees, found)
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


#: Sessions and issues that a card shows.
_SHOWN = 50


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
        counts = (self.datasets, self.sessions, self.duplicates, self.issues)
        names = ("datasets", "sessions", "duplicates", "issues")
        said = ", ".join(f"{len(count):,} {name}" for count, name in zip(counts, names, strict=True))
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
        from diadem.scan.page import scan_page

        target = Path(path)
        ending = target.suffix.lower()
        if ending == ".xlsx":
            return written(target, self.roots, lambda place: write_workbook(place, self))
        if ending == ".csv":
            return written(target, self.roots, lambda place: place.write_bytes(datasets_csv(self)))
        if ending in (".html", ".htm"):
            return written(target, self.roots, lambda place: place.write_bytes(scan_page(self)))
        raise UsageError(f"a scan cannot be written as '{ending}'", where=str(target), next="Use .csv, .xlsx or .html.")

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

        rows = list(self.sessions if sessions is None else sessions)
        return written(Path(path), self.roots, lambda place: write_plan(place, rows))

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

        columns = dataset_columns(self)
        data = {column.key: [column.value(dataset) for dataset in self.datasets] for column in columns}
        return pandas_module().DataFrame(data)


def _dataset_dict(dataset: ScannedDataset) -> dict[str, Any]:
    """A dataset with its facts beside it; the issues are listed for the whole scan, here only their codes."""
    plain = as_json(dataset)
    facts = plain.pop("facts")
    return {**plain, **facts, "issues": [issue.code for issue in dataset.issues]}


def _session_dict(session: PlannedSession) -> dict[str, Any]:
    plain = as_json(session)
    return {
        **plain,
        "folder": without_surrogates(session.folder),
        "parts": [without_surrogates(part) for part in session.parts],
    }


def keep_out(path: Path, roots: Sequence[str]) -> None:
    """Refuse an output in a scanned folder.

    Raises
    ------
    Refused
        It lies in one of the folders.
    """
    folder = Path(os.path.realpath(path)).parent
    for root in roots:
        if folder.is_relative_to(os.path.realpath(root)):
            raise Refused(
                "this output would be in a scanned folder, and a scan writes nothing there",
                where=without_surrogates(str(path)),
                next="Name a file in another folder.",
            )


def written(path: Path, roots: Sequence[str], write: Callable[[Path], object]) -> Path:
    """Have a file written beside its place and moved there when it is whole.

    Raises
    ------
    Refused
        It lies in a scanned folder, or cannot be written.
    """
    keep_out(path, roots)
    draft = path.with_name(f".{path.name[:80]}.{secrets.token_hex(4)}{path.suffix}")
    try:
        write(draft)
        move(draft, path)
    except OSError as error:
        raise Refused(
            f"it cannot be written: {error.strerror or error}",
            where=without_surrogates(str(path)),
            next="Close it in other programs, or choose another place.",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
    return path


def write_workbook(path: Path, scan: Scan) -> None:
    """All tables of a scan: datasets, sessions (the plan), issues, duplicates, single copies, totals."""
    duplicates = [
        (number, group, path) for number, group in enumerate(scan.duplicates, start=1) for path in group.paths
    ]
    singles = [(single.root, path) for single in scan.single_copies for path in single.paths]
    book = Workbook(path)
    book.add("datasets", dataset_columns(scan), scan.datasets)
    add_plan(book, scan.sessions)
    book.add("issues", ISSUE_COLUMNS, scan.issues)
    book.add("duplicates", DUPLICATE_COLUMNS, duplicates)
    if len(scan.roots) > 1:
        book.add("single copies", SINGLE_COLUMNS, singles)
    book.add("totals", TOTAL_COLUMNS, total_rows(scan))
    book.close()


def dataset_columns(scan: Scan) -> Sequence[Column[ScannedDataset]]:
    """Columns of the datasets' table."""
    titles = {session.id: session.title for session in scan.sessions}
    return (
        Column("session", "session", "text", lambda row: titles.get(row.session, "")),
        Column("folder", "folder", "text", lambda row: row.path.rpartition("/")[0]),
        Column("file", "file", "text", lambda row: row.name),
        Column("acquired", "acquired", "moment", lambda row: moment(row.facts.acquired)),
        Column("utc_offset", "UTC offset", "text", lambda row: offset(row.facts.acquired)),
        Column("instrument", "instrument", "text", lambda row: row.facts.instrument),
        Column("voltage_kv", "voltage (kV)", "number", lambda row: scaled(row.facts.voltage, 1e-3)),
        Column("mode", "mode", "text", lambda row: row.facts.mode),
        Column("magnification", "magnification (×)", "number", lambda row: row.facts.magnification),
        Column("kind", "kind", "text", lambda row: row.facts.kind.replace("_", " ")),
        Column("shape", "shape", "text", lambda row: shape_text(row.facts.shape)),
        Column("signals", "signals", "integer", lambda row: row.facts.signals or None),
        Column("pixel_size_nm", "pixel size (nm)", "number", lambda row: scaled(row.facts.pixel_size, 1e9)),
        Column(
            "reciprocal_pixel_size_per_nm",
            "pixel size (1/nm)",
            "number",
            lambda row: scaled(row.facts.reciprocal_pixel_size, 1e-9),
        ),
        Column("energy_step_ev", "energy step (eV)", "number", lambda row: scaled(row.facts.energy_step, 1.0)),
        Column("detector", "detector", "text", lambda row: row.facts.detector),
        Column("sample", "sample", "text", lambda row: row.facts.sample),
        Column("operator", "operator", "text", lambda row: row.facts.operator),
        Column("format", "format", "text", lambda row: row.facts.format),
        Column("files", "files", "integer", lambda row: row.files),
        Column("bytes", "size (bytes)", "integer", lambda row: row.bytes),
        Column("changed", "file changed (local time)", "moment", lambda row: changed(row.modified_ns)),
        Column("issues", "issues", "text", lambda row: "; ".join(issue.message for issue in row.issues)),
        Column("root", "scanned folder", "text", lambda row: row.root),
    )


ISSUE_COLUMNS: Sequence[Column[ScanIssue]] = (
    Column("concern", "concern", "text", lambda row: str(row.concern)),
    Column("code", "code", "text", lambda row: row.code),
    Column("path", "path", "text", lambda row: row.path),
    Column("message", "what was found", "text", lambda row: row.message),
    Column("next", "what to do", "text", lambda row: row.next),
    Column("root", "scanned folder", "text", lambda row: row.root),
)
#: A duplicate is a group and the index of one of its paths.
DUPLICATE_COLUMNS: Sequence[Column[tuple[int, DuplicateGroup, str]]] = (
    Column("group", "group", "integer", lambda row: row[0]),
    Column("path", "path", "text", lambda row: row[2]),
    Column("bytes", "size (bytes)", "integer", lambda row: row[1].size),
    Column("copies", "copies", "integer", lambda row: row[1].copies),
    Column("spare", "could be freed (bytes)", "integer", lambda row: row[1].spare),
    Column("digest", "BLAKE3", "text", lambda row: row[1].digest),
)
SINGLE_COLUMNS: Sequence[Column[tuple[str, str]]] = (
    Column("root", "only in", "text", lambda row: row[0]),
    Column("path", "path", "text", lambda row: row[1]),
)
TOTAL_COLUMNS: Sequence[Column[tuple[str, Any, Any]]] = (
    Column("what", "what", "text", lambda row: row[0]),
    Column("number", "number", "integer", lambda row: row[1]),
    Column("bytes", "size (bytes)", "integer", lambda row: row[2] if row[2] != "" else None),
)


def total_rows(scan: Scan) -> list[tuple[str, Any, Any]]:
    """Sums, then formats, then what the files of unknown format are called."""
    totals = scan.totals
    spare = sum(group.spare for group in scan.duplicates)
    rows: list[tuple[str, Any, Any]] = [
        ("files", totals.files, totals.bytes),
        ("datasets", totals.datasets, ""),
        ("datasets of a known format", totals.known, ""),
        ("datasets that could be read", totals.readable, ""),
        ("sessions", len(scan.sessions), ""),
        ("sessions to archive", sum(session.archive for session in scan.sessions), ""),
        ("contents found more than once", len(scan.duplicates), spare),
        ("packages left alone", sum(archived.packages for archived in scan.archived), ""),
        ("issues", len(scan.issues), ""),
    ]
    rows += [(f"only in {single.root}", single.files, single.bytes) for single in scan.single_copies]
    rows += _format_rows("format", totals.formats) + _format_rows("unknown format, named", totals.unknown)
    return rows


def _format_rows(word: str, table: Mapping[str, tuple[int, int]]) -> list[tuple[str, Any, Any]]:
    return [(f"{word} {name}", count, size) for name, (count, size) in table.items()]


def offset(text: str) -> str:
    """The offset from UTC in an ISO 8601 time: ``+01:00``, or "" where it has none."""
    try:
        zone = datetime.datetime.fromisoformat(text).strftime("%z") if text else ""
    except ValueError:
        return ""
    return f"{zone[:3]}:{zone[3:5]}" if zone else ""


def changed(modified_ns: int) -> datetime.datetime | None:
    """A file time as local time, to the second; None where the system cannot express it."""
    try:
        return datetime.datetime.fromtimestamp(modified_ns // 10**9)  # noqa: DTZ006 - as the file manager shows it
    except (OverflowError, ValueError, OSError):
        return None


def scaled(value: float | None, factor: float) -> float | None:
    """A number in another unit, without the noise of the last digits."""
    return None if value is None else float(f"{value * factor:.9g}")


def datasets_csv(scan: Scan) -> bytes:
    """The datasets as CSV."""
    return table_csv(dataset_columns(scan), scan.datasets)


def sessions_of(plan: Scan | str | os.PathLike[str] | Iterable[PlannedSession]) -> list[PlannedSession]:
    """The sessions that are to be archived.

    Parameters
    ----------
    plan : Scan, path or iterable of PlannedSession
        What was found, a plan that was written and edited, or sessions at hand.

    Returns
    -------
    list of PlannedSession
        Those whose `archive` is true, in their order.

    Raises
    ------
    NotFound, DocumentError
        See `read_plan`.
    """
    if isinstance(plan, Scan):
        plan = plan.sessions
    elif isinstance(plan, str | os.PathLike):
        plan = read_plan(plan)
    return [session for session in plan if session.archive]
