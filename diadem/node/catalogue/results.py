"""What is found in the catalogue: rows, and all that a search returns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from diadem.archive.scan_sheets import harmless
from diadem.model.times import time_text


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """One dataset: its id in the record, and the path of its primary file relative to `data/`."""

    id: str
    path: str

    def to_dict(self) -> dict[str, str]:
        """A JSON object with every attribute."""
        return {"id": self.id, "path": self.path}


@dataclass(frozen=True, slots=True)
class PackageRow:
    """One package as the catalogue knows it.

    Attributes
    ----------
    id, payload_id : str
        ``diadem:<64 hex>``, and 64 hex digits.
    title : str
        The session's title, or what stands for it.
    date : date or None
        Day of the session.
    instrument, sample, operator : str
        What the record says, up to three values.
    formats : tuple of str
        Formats of the datasets' primary files.
    datasets, files, bytes : int
        How many datasets and payload files, and their bytes.
    matching : int
        How many datasets a search has found; all, where it asked for nothing that datasets differ in.
    matched : tuple of DatasetRow
        The first of them.
    owner : str
        Who had it archived.
    ingested_at : datetime or None
        When, UTC.
    stores : tuple of str
        Stores with a copy that is present.
    path : str
        Path in a store.
    session : str
        Id of the first package of the chain that this one is of; its own, where it continues none.
    continues : str or None
        Id of the package that it continues.
    omitted : int
        How many things of the source were left out.
    issues : mapping of str to int
        Codes of issues, and how often each came.
    tombstone : mapping or None
        Why and when it was deleted.
    quality : tuple of str
        Verdicts on it or a dataset of it that count: ``accept``, ``limited``, ``reject``; and ``disputed``.
    warnings : tuple of str
        Doubts about what it was made from, in words.
    """

    id: str
    payload_id: str
    title: str
    date: date | None
    instrument: str
    sample: str
    operator: str
    formats: tuple[str, ...]
    datasets: int
    files: int
    bytes: int
    matching: int
    matched: tuple[DatasetRow, ...]
    owner: str
    ingested_at: datetime | None
    stores: tuple[str, ...]
    path: str
    session: str
    continues: str | None = None
    omitted: int = 0
    issues: Mapping[str, int] = field(default_factory=dict)
    tombstone: Mapping[str, Any] | None = None
    quality: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def copies(self) -> int:
        """Copies that are present, each store counted as one."""
        return len(self.stores)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute, and ``copies``."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return plain | {
            "date": self.date.isoformat() if self.date else None,
            "formats": list(self.formats),
            "matched": [dataset.to_dict() for dataset in self.matched],
            "ingested_at": time_text(self.ingested_at) if self.ingested_at else None,
            "stores": list(self.stores),
            "copies": self.copies,
            "issues": dict(self.issues),
            "tombstone": dict(self.tombstone) if self.tombstone else None,
            "quality": list(self.quality),
            "warnings": list(self.warnings),
        }


#: Columns of tables for people, in their order.
COLUMNS = (
    "id", "date", "title", "instrument", "sample", "operator", "formats", "datasets", "matching", "files", "bytes",
    "owner", "ingested_at", "copies", "stores", "session", "continues", "path", "payload_id", "quality", "warnings",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search has found, newest first; packages of one day by id.

    Attributes
    ----------
    query : str
        What was asked.
    rows : tuple of PackageRow
        The page asked for.
    total : int
        How many packages match, as far as they were counted.
    exact : bool
        Whether that is all; else there are at least so many.
    hint : str
        What may help where little or nothing was found, or "".
    names : tuple of str
        Other names of the samples that were asked for, and of their parts: they were looked for too.
    """

    query: str
    rows: tuple[PackageRow, ...]
    total: int
    exact: bool = True
    hint: str = ""
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Rows on this page."""
        return len(self.rows)

    def __iter__(self) -> Iterator[PackageRow]:
        """Its rows."""
        return iter(self.rows)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        rows = [row.to_dict() for row in self.rows]
        return {
            "query": self.query,
            "total": self.total,
            "exact": self.exact,
            "hint": self.hint,
            "names": list(self.names),
            "rows": rows,
        }

    def to_csv(self) -> bytes:
        """The rows as CSV in UTF-8 with a byte-order mark; no text in it is taken for a formula."""
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        for row in self.rows:
            writer.writerow([_cell(value) for value in _values(row)])
        return text.getvalue().encode("utf-8-sig")

    def to_dataframe(self) -> Any:
        """The rows as a pandas DataFrame; `date` and `ingested_at` are times.

        Raises
        ------
        UsageError
            pandas is not installed.
        """
        pandas = pandas_module()
        frame = pandas.DataFrame([list(_values(row)) for row in self.rows], columns=list(COLUMNS))
        frame["date"] = pandas.to_datetime(frame["date"])
        frame["ingested_at"] = pandas.to_datetime(frame["ingested_at"], utc=True)
        return frame


def _values(row: PackageRow) -> Sequence[Any]:
    return [getattr(row, name) for name in COLUMNS]


def _cell(value: Any) -> Any:
    if isinstance(value, tuple):
        value = "; ".join(value)
    if isinstance(value, datetime):
        return time_text(value)
    return harmless(value) if isinstance(value, str) else "" if value is None else value


def pandas_module() -> Any:
    """pandas, which is not installed everywhere. Raises `UsageError`."""
    from diadem.errors import UsageError

    try:
        import pandas
    except ImportError as error:
        raise UsageError("a DataFrame needs pandas", next="pip install pandas") from error
    return pandas
