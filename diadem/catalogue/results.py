"""What is found in the catalogue: rows, and all that a search returns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, overload

from diadem.errors import DiademError, NotFound, UsageError
from diadem.model.display import Display, data_addresses, pandas_module
from diadem.model.plain_text import count_text
from diadem.model.reopenable import Reopenable
from diadem.model.times import time_text
from diadem.scan.tables import Column, table_csv

if TYPE_CHECKING:
    from pathlib import Path

    from diadem.archive.package import Package
    from diadem.model.record import Dataset

#: A day; rows have an attribute of the name `date`.
Day = date


class DatasetVerbs:
    """What a row does with its dataset; that of a package, with the first dataset that matches."""

    __slots__ = ()

    @property
    def dataset(self) -> Dataset:
        """The dataset."""
        raise NotImplementedError

    def load(self, **options: Any) -> Any:
        """Load it as HyperSpy signal; see `diadem.Package.load`."""
        return self.dataset.load(**options)

    def local(self, **options: Any) -> Path:
        """It as a path on this machine, proven; see `diadem.Package.local`."""
        return self.dataset.local(**options)

    def picture(self, *arguments: Any, **options: Any) -> Any:
        """Draw it; see `diadem.Package.picture`."""
        return self.dataset.picture(*arguments, **options)


@dataclass(frozen=True, slots=True)
class DatasetRow(DatasetVerbs, Display):
    """One dataset: its id in the record, and the path of its primary file relative to `data/`."""

    id: str
    path: str
    row: PackageRow | None = field(default=None, repr=False, compare=False)

    @property
    def dataset(self) -> Dataset:
        """The dataset itself, of its opened package; errors as of `PackageRow.package`."""
        if self.row is None:
            raise UsageError("this row is of no search", where=self.path, next="Search with a node: node.search(…).")
        return self.row.package.record.datasets[self.id]

    def to_dict(self) -> dict[str, str]:
        """A JSON object with every attribute."""
        return {"id": self.id, "path": self.path}


#: A number in the unit of its field, or a text.
Value = float | str


@dataclass(frozen=True, slots=True)
class StatedDataset(Display):
    """A dataset that matches, its primary file, and what it states."""

    package: str
    #: In the record of the package.
    id: str
    path: str
    #: From 1, in the order of the record.
    number: int
    #: Values of the fields that were asked for; () for none.
    values: Mapping[str, tuple[Value, ...]]


class Named(Protocol):
    """Whatever has the id of a package: a row of a search, an opened package."""

    @property
    def id(self) -> str:
        """``diadem:<64 hex>``."""


def id_of(package: str | Named) -> str:
    """The id that is meant, whole or its beginning."""
    named = package if isinstance(package, str) else getattr(package, "id", None)
    if not isinstance(named, str):
        raise UsageError(f"{package!r} is not a package", next="Give its id, a row of a search, or the package itself.")
    return str(named)


class Opener(Reopenable):
    """Opens packages of a node, each once. In another process the node is opened first, when a package is asked for."""

    def __init__(self, node: Any, node_again: Callable[[], Any] | None = None) -> None:
        self._node, self._node_again = node, node_again
        self._opened: dict[str, Package] = {}

    @property
    def again(self) -> Callable[[], Opener] | None:  # type: ignore[override]  # of a node it is asked for only here
        """Opens the node and its packages in another process; None where the node has no address."""
        node_again = self._node_again or self._node.again
        return None if node_again is None else partial(Opener, None, node_again)

    @property
    def node(self) -> Any:
        """The node."""
        if self._node is None and self._node_again is not None:
            self._node = self._node_again()
        return self._node

    def __call__(self, package_id: str) -> Package:
        """A package of it."""
        if package_id not in self._opened:
            self._opened[package_id] = self.node.get(package_id)
        return self._opened[package_id]


class Source(Protocol):
    """Where a result came from: what is looked up when a table or a page is made of it."""

    def stated(self, query: str, ids: Sequence[str], fields: Sequence[str]) -> list[StatedDataset]:
        """Datasets that match in some packages, with values of fields. Raises `UsageError`."""

    def units(self, fields: Sequence[str]) -> Mapping[str, str]:
        """Units of those fields that are numbers. Raises `UsageError`."""

    def thumbnails(self, rows: Sequence[PackageRow]) -> Mapping[str, str]:
        """Small pictures as data addresses, by id of the package, as far as a copy is at hand."""


@dataclass(frozen=True, slots=True)
class PackageRow(DatasetVerbs, Display):
    """One package as the catalogue knows it.

    Attributes
    ----------
    id, payload_id : str
        ``diadem:<64 hex>``, and 64 hex digits.
    title : str
        The session's title, or what stands for it.
    date : date or None
        First day of the session; None where nothing tells it, only when it was archived (`ingested_at`).
    until : date or None
        Its last day, where that is another.
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

    _display_keys = (
        "id",
        "date",
        "title",
        "instrument",
        "sample",
        "operator",
        "datasets",
        "bytes",
        "stores",
        "quality",
        "warnings",
        "next",
    )

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
    until: Day | None = None
    opener: Callable[[str], Any] | None = field(default=None, repr=False, compare=False)

    def _display_title(self) -> str:
        return self.title

    def _display_document(self) -> Mapping[str, Any]:
        return self.to_dict() | {"next": ".load()  .picture()  .local()  .package"}

    def _display_pictures(self) -> Mapping[str, str]:
        if self.opener is None:
            return {}
        try:
            drawn = self.package.previews()
        except (DiademError, OSError):  # a copy that is damaged or away has no picture
            return {}
        return data_addresses((one.path.rpartition("/")[2], drawn[one.id]) for one in self.matched if one.id in drawn)

    def __repr__(self) -> str:
        """Id, days, title and size in short; `to_dict` has everything."""
        days = f"{self.date}{f' to {self.until}' if self.until else ''}" if self.date else "date unknown"
        return f"<PackageRow {self.id[7:19]} {days} {self.title!r}, {self.matching} of {self.datasets} datasets>"

    @property
    def copies(self) -> int:
        """Copies that are present, each store counted as one."""
        return len(self.stores)

    @property
    def package(self) -> Package:
        """The package, opened when it is first asked for: the same object for all rows of one search.

        Raises
        ------
        UsageError
            The row was not found by a node.
        NotFound, Unreachable
            No copy of it can be read now.
        """
        if self.opener is None:
            raise UsageError(
                "this row does not come from a search", where=self.id, next="Search with a node: node.search(…)."
            )
        opened: Package = self.opener(self.id)
        return opened

    @property
    def dataset(self) -> Dataset:
        """The first dataset that matches, whose picture a notebook shows; errors as of `package`.

        Raises
        ------
        NotFound
            No dataset of it matches, or it has none.
        """
        if not self.matched:
            raise NotFound("the package has no dataset", where=self.id, next="See .package.files for what it holds.")
        return self.package.record.datasets[self.matched[0].id]

    def opened_by(self, opener: Callable[[str], Package]) -> PackageRow:
        """The same row, which leads on to its package."""
        row = replace(self, opener=opener)
        return replace(row, matched=tuple(replace(one, row=row) for one in self.matched))

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute, and ``copies``."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "opener"}
        return plain | {
            "date": self.date.isoformat() if self.date else None,
            "until": self.until.isoformat() if self.until else None,
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
    "id", "date", "until", "title", "instrument", "sample", "operator", "formats", "datasets", "matching", "files",
    "bytes", "owner", "ingested_at", "copies", "stores", "session", "continues", "path", "payload_id", "quality",
    "warnings",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class WiderSearch(Display):
    """A search without one term of another that has found nothing.

    Attributes
    ----------
    query, left_out : str
        What is asked, and the term that is left out.
    total : int
        How many packages match, as far as they were counted.
    exact : bool
        Whether that is all.
    """

    query: str
    left_out: str
    total: int
    exact: bool

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class SearchResult(Display):
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
    offset : int
        Rows that were left out before.
    wider : tuple of WiderSearch
        Where nothing was found by several terms: what would be without one of them, as far as that is something.
    source : Source or None
        The node that was asked.
    """

    _display_keys = (
        "query",
        "hint",
        "names",
        "rows: id date title instrument sample operator matching copies",
        "wider: left_out total",
    )

    def _display_title(self) -> str:
        return f"{'' if self.exact else 'at least '}{count_text(self.total, 'package')}"

    query: str
    rows: tuple[PackageRow, ...]
    total: int
    exact: bool = True
    hint: str = ""
    names: tuple[str, ...] = ()
    offset: int = 0
    wider: tuple[WiderSearch, ...] = ()
    source: Source | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        """Rows on this page."""
        return len(self.rows)

    def __iter__(self) -> Iterator[PackageRow]:
        """Its rows."""
        return iter(self.rows)

    @overload
    def __getitem__(self, index: int) -> PackageRow: ...
    @overload
    def __getitem__(self, index: slice) -> SearchResult: ...
    def __getitem__(self, index: int | slice) -> PackageRow | SearchResult:
        """One row of this page: ``found[0]``; or a result of several: ``found[:3]``."""
        if not isinstance(index, slice):
            return self.rows[index]
        rows = self.rows[index]
        return replace(self, rows=rows, offset=self.offset + (index.indices(len(self.rows))[0] if rows else 0))

    def opened_by(self, opener: Callable[[str], Package]) -> SearchResult:
        """The same result, whose rows lead on to their packages."""
        return replace(self, rows=tuple(row.opened_by(opener) for row in self.rows))

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        rows = [row.to_dict() for row in self.rows]
        return {
            "query": self.query,
            "total": self.total,
            "exact": self.exact,
            "hint": self.hint,
            "names": list(self.names),
            "offset": self.offset,
            "wider": [one.to_dict() for one in self.wider],
            "rows": rows,
        }

    def to_csv(self) -> bytes:
        """The rows as CSV in UTF-8 with a byte-order mark; no text in it is taken for a formula."""
        return table_csv([Column(name, name, "text", partial(_cell, name)) for name in COLUMNS], self.rows)

    def to_dataframe(self, *, fields: Sequence[str] = (), datasets: bool = False) -> Any:
        """The rows as a pandas DataFrame; `date`, `until` and `ingested_at` are times, counts and sizes whole numbers.

        Parameters
        ----------
        fields : sequence of str
            Fields of the record, as in a search, each as a column behind the `id`: ``voltage``, ``stage.holder``.
            Numbers are in the unit that ``frame.attrs["units"]`` gives. A number is NaN where none, or where several
            different ones are stated; several texts are joined by semicolons.
        datasets : bool
            One row for each dataset that matches, with its `dataset` id and `file`, in place of one for each package.
            `path` is the package's in a store.

        Raises
        ------
        UsageError
            There is no such field, or pandas is not installed.
        """
        return _framed(self, [fields] if isinstance(fields, str) else list(fields), datasets=datasets)

    def _repr_html_(self) -> str:
        """For notebooks: a table with small pictures."""
        from diadem.notebook.tables import result_html

        shown = self.rows[:SHOWN]
        pictures = self.source.thumbnails(shown) if self.source is not None else {}
        return result_html(replace(self, rows=shown).to_dict() | {"found": len(self.rows)}, pictures)


#: Rows that a notebook shows.
SHOWN: Final = 50


def _framed(result: SearchResult, fields: list[str], *, datasets: bool) -> Any:
    """A frame of packages or of datasets, with values of fields."""
    pandas = pandas_module()
    found: list[StatedDataset] = []
    units: Mapping[str, str] = {}
    if fields or datasets:
        if result.source is None:
            raise UsageError("dataset values come from a node", next="Search with diadem.open_node().search.")
        units = result.source.units(fields)
        found = result.source.stated(result.query, [row.id for row in result.rows], fields)
    rows = {row.id: [getattr(row, name) for name in COLUMNS] for row in result.rows}
    if datasets:
        head = ["dataset", "file"]
        body = [
            [one.package, one.id, one.path, *_cells(one.values, fields, units), *rows[one.package][1:]] for one in found
        ]
    else:
        head = []
        together = _together(found)
        body = [[id_, *_cells(together.get(id_, {}), fields, units), *row[1:]] for id_, row in rows.items()]
    first, *others = COLUMNS
    frame = pandas.DataFrame(body, columns=[first, *head, *fields, *others])  # what was asked for is seen first
    frame = frame.loc[:, ~frame.columns.duplicated()].copy()
    for name in ("date", "until"):
        frame[name] = pandas.to_datetime(frame[name])
    frame["ingested_at"] = pandas.to_datetime(frame["ingested_at"], utc=True)
    whole = [name for name in ("datasets", "matching", "files", "bytes", "copies") if name not in fields]
    frame = frame.astype(
        dict.fromkeys(whole, "int64") | {name: "float64" if name in units else "object" for name in fields}
    )
    frame.attrs.update(query=result.query, total=result.total, exact=result.exact, units=dict(units))
    return frame


def _together(found: Sequence[StatedDataset]) -> dict[str, dict[str, tuple[Value, ...]]]:
    """By package and field, all values of the datasets that match, each once."""
    values: dict[str, dict[str, dict[Value, None]]] = {}
    for one in found:
        of_package = values.setdefault(one.package, {})
        for name, own in one.values.items():
            of_package.setdefault(name, {}).update(dict.fromkeys(own))
    return {package: {name: tuple(own) for name, own in fields.items()} for package, fields in values.items()}


def _cells(values: Mapping[str, tuple[Value, ...]], fields: Sequence[str], units: Mapping[str, str]) -> list[Any]:
    cells: list[Any] = []
    for name in fields:
        own = values.get(name, ())
        if name in units:
            cells.append(own[0] if len(own) == 1 else math.nan)
        else:
            cells.append("; ".join(map(str, own)) if own else None)
    return cells


def _cell(name: str, row: PackageRow) -> Any:
    value = getattr(row, name)
    if isinstance(value, tuple):
        return "; ".join(value)
    return time_text(value) if isinstance(value, datetime) else value
