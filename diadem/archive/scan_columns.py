"""The columns of all tables: their headers with units, their types, their values."""

from __future__ import annotations

import datetime
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from diadem.archive.scan_facts import without_surrogates
from diadem.model.scan import DuplicateGroup, PlannedSession, ScanIssue, ScannedDataset

if TYPE_CHECKING:
    from diadem.archive.scan import Scan

T = TypeVar("T")
Kind = Literal["text", "integer", "number", "date", "moment"]


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """One column.

    Attributes
    ----------
    key : str
        Its name for programs.
    header : str
        Its name for people, with the unit.
    kind : str
        ``text``, ``integer``, ``number``, ``date`` or ``moment``.
    value : callable
        Text, int, float, `datetime.date` or `datetime.datetime` without zone; None where nothing is known.
    """

    key: str
    header: str
    kind: Kind
    value: Callable[[T], Any]


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


PLAN_COLUMNS: Sequence[Column[PlannedSession]] = (
    Column("archive", "archive", "text", lambda row: "yes" if row.archive else "no"),
    Column("title", "title", "text", lambda row: row.title),
    Column("date", "date", "date", lambda row: day(row.date)),
    Column("sample", "sample", "text", lambda row: row.sample),
    Column("operator", "operator", "text", lambda row: row.operator),
    Column("instrument", "instrument", "text", lambda row: row.instrument),
    Column("datasets", "datasets", "integer", lambda row: row.datasets),
    Column("files", "files", "integer", lambda row: row.files),
    Column("bytes", "size (bytes)", "integer", lambda row: row.bytes),
    Column("first", "first acquired", "moment", lambda row: moment(row.first)),
    Column("last", "last acquired", "moment", lambda row: moment(row.last)),
    Column("folder", "folder", "text", lambda row: row.folder),
    Column("parts", "parts", "text", lambda row: row.parts),
    Column("name", "package name", "text", lambda row: row.name),
    Column("formats", "formats", "text", lambda row: row.formats),
    Column("why", "why", "text", lambda row: row.why),
    Column("id", "id", "text", lambda row: row.id),
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
    rows += _counted("format", totals.formats) + _counted("unknown format, named", totals.unknown)
    return rows


def _counted(word: str, table: Mapping[str, tuple[int, int]]) -> list[tuple[str, Any, Any]]:
    return [(f"{word} {name}", count, size) for name, (count, size) in table.items()]


def moment(text: str) -> datetime.datetime | None:
    """An ISO 8601 time as it stands, without its offset; None where it is none."""
    try:
        return datetime.datetime.fromisoformat(text).replace(tzinfo=None) if text else None
    except ValueError:
        return None


def day(text: str) -> datetime.date | None:
    """An ISO 8601 date; None where it is none."""
    try:
        return datetime.date.fromisoformat(text) if text else None
    except ValueError:
        return None


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


def shape_text(shape: Sequence[int]) -> str:
    """``512 × 512``."""
    return " × ".join(map(str, shape))


#: Categories of characters that nothing shows: surrogates, controls, marks that turn the direction, the unassigned.
UNSHOWN = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})


def text_of_cell(value: str, *, lines: bool = False) -> str:
    """A text for a cell or a line of a terminal: U+FFFD for what nothing shows; with `lines`, line feeds may stay."""
    text = without_surrogates(value)
    if text.isprintable():
        return text
    return "".join(character if _shown(character, lines=lines) else "\ufffd" for character in text)


def _shown(character: str, *, lines: bool) -> bool:
    return unicodedata.category(character) not in UNSHOWN or (lines and character == "\n")
