"""The record as its readers use it: frozen views of a JSON document whose unknown keys stay untouched."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, Self, SupportsIndex, overload

from diadem.errors import AmbiguousValue, DiademError, DocumentError, NotFound, UsageError
from diadem.model.assertions import Assertion, Quantity
from diadem.model.display import (
    Cell,
    Display,
    DisplayRows,
    FixedRows,
    cell_of,
    data_addresses,
    pandas_module,
    short_name,
)
from diadem.model.plain_text import first_of
from diadem.model.quantities import quantity_text, signal_text
from diadem.model.signals import Axis, RecordFile, Signal
from diadem.model.vendor import VendorBlock, VendorSource, blocks_of
from diadem.terms.fields import field as field_of
from diadem.terms.fields import looked_for_first, require_known

__all__ = ["Assertion", "Axis", "Dataset", "Datasets", "Quantity", "Record", "RecordFile", "Signal"]

#: Datasets that an `AmbiguousValue` names for each of the values.
_NAMED = 3


class HasPath(Protocol):
    """A dataset, or a file of a package."""

    @property
    def path(self) -> str:
        """Its path, with or without ``data/`` before it."""


#: What a file or dataset is called by.
Named = str | os.PathLike[str] | HasPath


def path_of(name: Named) -> str:
    """The path that is meant."""
    path = os.fspath(name) if isinstance(name, str | os.PathLike) else getattr(name, "path", None)
    if not isinstance(path, str):
        raise UsageError(
            f"{name!r} is not the name of a file or dataset", next="Give its path, a dataset or a file of the package."
        )
    return path


class Holder(Protocol):
    """What holds the files of a record: a package."""

    def load(self, path: str, *, lazy: bool = True, signal: int | str | None = None, verify: str = "proof") -> Any:
        """A dataset as HyperSpy signal, proven."""

    @property
    def picture(self) -> Callable[..., Any]:
        """Draws a dataset, by its path, as it can be looked at."""

    @property
    def local(self) -> Callable[..., Path]:
        """A file or dataset as a path on this machine, proven."""

    def previews(self) -> Mapping[str, bytes]:
        """Small pictures by the dataset's id."""


class Fields(DisplayRows, dict[str, tuple[Assertion, ...]]):
    """The fields that a dataset states, by key, each with its assertions. Shown as a table."""

    __slots__ = ()

    def _display_rows(self) -> Sequence[Any]:
        return [
            {
                "field": key,
                "value": quantity_text(one.value, one.unit),
                "status": one.status,
                "signals": list(one.applies_to),
                "place": one.source.get("locator") or one.source.get("statement") or one.source.get("person"),
            }
            for key, assertions in sorted(self.items())
            for one in assertions
        ]

    def to_dataframe(self) -> Any:
        """Return a pandas DataFrame, one row per assertion: ``field``, ``value``, ``unit``, ``status``, ``place`` ….

        Raises
        ------
        UsageError
            pandas is not installed.
        """
        rows = [
            (key, one.value, one.unit, one.status, one.preferred, ", ".join(one.applies_to), one.source.get("locator"))
            for key, assertions in self.items()
            for one in assertions
        ]
        columns = ["field", "value", "unit", "status", "preferred", "signals", "place"]
        return pandas_module().DataFrame(rows, columns=columns)


@dataclass(frozen=True, slots=True)
class Dataset(Display):
    """One acquisition: a primary file and its side files, the signals in it, and what they say.

    Attributes
    ----------
    document : mapping
        The dataset's JSON object, references resolved. Do not change it.
    known : frozenset of str
        The closed list of field keys.
    source : VendorSource or None
        Where the vendor's blocks are kept.
    holder : Holder or None
        The package that it belongs to, which is pickled with it; None if it was read without one.
    """

    document: Mapping[str, Any]
    known: frozenset[str] = field(repr=False)
    source: VendorSource | None = field(default=None, repr=False, compare=False)
    holder: Holder | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        """Id, path, and how much is in it."""
        shapes = [" × ".join(map(str, signal.shape)) for signal in self.signals]
        what = shapes[0] if len(shapes) == 1 else f"{len(shapes)} signals"
        return f"<Dataset {self.id} {self.path}: {what}, {len(self.document.get('fields', {}))} fields>"

    _internal = frozenset({"holder", "known", "source"})

    def _display_title(self) -> str:
        return self.path

    def _display_document(self) -> Mapping[str, Any]:
        stated = self.fields
        first = {
            field_of(key).label.lower(): quantity_text(stated[key][0].value, stated[key][0].unit)
            for key in looked_for_first()
            if key in stated
        }
        return {
            "id": self.id,
            "path": self.path,
            "format": self.primary.format,
            "signals": [signal_text(one) for one in self.document.get("signals", ())],
            **first,
            "fields": len(stated) or None,
            "files": len(self.files) if len(self.files) > 1 else None,
            "issues": [dict(one) for one in self.issues],
            "next": ".load()  .picture()  .local()  .fields" if self.holder is not None else None,
        }

    def _display_row(self) -> dict[str, Cell]:
        """In a table the sizes of its signals are enough, without their steps."""
        sizes = [signal_text({**one, "axes": ()}) for one in self.document.get("signals", ())]
        row = Display._display_row(self)  # noqa: SLF001 - of a dataclass with slots super() is another class
        return row | {"signals": cell_of("signals", sizes)._replace(kind="whole")}

    def _display_pictures(self) -> Mapping[str, str]:
        try:
            found = self.holder.previews().get(self.id) if self.holder is not None else None
        except (DiademError, OSError):  # a copy that is damaged or away has no picture
            return {}
        return data_addresses([(short_name(self.path), found)] if found else [])

    @property
    def id(self) -> str:
        """``d1``, ``d2`` …, unique in the record."""
        return str(self.document["id"])

    @property
    def files(self) -> tuple[RecordFile, ...]:
        """The primary file, its side files and parts."""
        return FixedRows(RecordFile.from_document(item) for item in self.document["files"])

    @property
    def primary(self) -> RecordFile:
        """The file that names the dataset."""
        return next(item for item in self.files if item.role == "primary")

    @property
    def path(self) -> str:
        """Path of the primary file, relative to `data/`."""
        return self.primary.path

    @property
    def signals(self) -> tuple[Signal, ...]:
        """The arrays that the reader found."""
        return FixedRows(Signal.from_document(item) for item in self.document.get("signals", ()))

    @property
    def fields(self) -> Fields:
        """Every field that is stated, with its assertions."""
        stated: Mapping[str, Any] = self.document.get("fields", {})
        return Fields({key: tuple(map(Assertion.from_document, items)) for key, items in stated.items()})

    @property
    def raw(self) -> tuple[Mapping[str, Any], ...]:
        """Blocks of the vendor's metadata, kept whole in `diadem/vendor.zip`: path, media type, sha256."""
        return FixedRows(self.document.get("raw", ()))

    @property
    def issues(self) -> tuple[Mapping[str, Any], ...]:
        """Problems found: code, message …"""
        return FixedRows(self.document.get("issues", ()))

    @property
    def extraction(self) -> Mapping[str, Any]:
        """How the metadata was read."""
        extraction: Mapping[str, Any] = self.document.get("extraction", {})
        return extraction

    @property
    def extensions(self) -> Mapping[str, Mapping[str, Any]]:
        """Metadata that plugins read for communities, by namespace: version, data, validated, by."""
        extensions: Mapping[str, Mapping[str, Any]] = self.document.get("extensions", {})
        return extensions

    def vendor(self) -> tuple[VendorBlock, ...]:
        """The vendor's own metadata: each block's bytes as in the file, and the tree parsed from them.

        Raises
        ------
        UsageError
            The record was read without its package.
        IntegrityError
            A block is missing or damaged.
        """
        if self.source is None:
            raise UsageError(
                "this record was loaded without its vendor metadata",
                where=self.id,
                next="Take it from a package: diadem.open(…).record.",
            )
        return FixedRows(blocks_of(self.raw, self.source))

    @property
    def package(self) -> Any:
        """The package that it belongs to.

        Raises
        ------
        UsageError
            The record was read without its package.
        """
        if self.holder is None:
            raise UsageError(
                "this dataset does not belong to a package",
                where=self.path,
                next="Take it from a package: diadem.open(…).record.datasets, or archive its files first.",
            )
        return self.holder

    def load(self, *, lazy: bool = True, signal: int | str | None = None, verify: str = "proof") -> Any:
        """Load it as a HyperSpy signal whose bytes are proven; parameters and errors as of `diadem.Package.load`."""
        return self.package.load(self.path, lazy=lazy, signal=signal, verify=verify)

    def picture(self, signal: int | str | None = None, size: int = 512, **shown: Any) -> Any:
        """Draw it; parameters and errors as of `diadem.Package.picture`: at, crop, percentiles, levels, gamma."""
        return self.package.picture(self.path, signal=signal, size=size, **shown)

    def local(self, **options: Any) -> Path:
        """Return a proven local path of its primary file or folder; see `diadem.Package.local`."""
        found: Path = self.package.local(self.path, **options)
        return found

    def assertions(self, key: str) -> tuple[Assertion, ...]:
        """Return all assertions of a field; empty if there are none.

        Raises
        ------
        UnknownField
            There is no such field; the message proposes similar names.
        """
        stated: Mapping[str, Any] = self.document.get("fields", {})
        if key not in stated:
            require_known(key, self.known)
        return FixedRows(map(Assertion.from_document, stated.get(key, ())))

    def assertion(self, key: str, signal: str | None = None) -> Assertion | None:
        """Return the preferred assertion, else the first; None if only others than the owner state it, or nobody.

        With `signal` (an id) only those that mean it are looked at; of these, one that names it goes before one
        that is made for the whole dataset.
        """
        stated = tuple(item for item in self.assertions(key) if not item.is_extra)
        if signal is not None:
            stated = tuple(item for item in stated if signal in item.applies_to or not item.applies_to)
        ranked = sorted(stated, key=lambda item: (not item.preferred, signal is not None and not item.applies_to))
        return ranked[0] if ranked else None

    def value(self, key: str, signal: str | None = None) -> Any:
        """Return the value of `assertion`; None if nothing is stated. Raises `UnknownField`."""
        chosen = self.assertion(key, signal)
        return None if chosen is None else chosen.value

    def quantity(self, key: str, signal: str | None = None) -> Quantity | None:
        """Return the value with its unit. Raises `UnknownField`."""
        chosen = self.assertion(key, signal)
        return None if chosen is None else Quantity(chosen.value, chosen.unit)


class Datasets(DisplayRows, Sequence[Dataset]):
    """The datasets of a record, by position or by name: ``record.datasets[0]``, ``record.datasets["scan.dm4"]``.

    Parameters
    ----------
    datasets : sequence of Dataset
        Parsed when needed.
    holder : Holder, optional
        The package that they belong to.
    """

    def __init__(self, datasets: Sequence[Dataset], holder: Holder | None = None) -> None:
        self._datasets: Sequence[Dataset] = datasets.loose if isinstance(datasets, Datasets) else datasets
        self._holder = holder

    @property
    def loose(self) -> Sequence[Dataset]:
        """The same without the package."""
        return self._datasets

    def __repr__(self) -> str:
        """How many."""
        return f"<{len(self)} dataset{'' if len(self) == 1 else 's'}>"

    def __len__(self) -> int:
        """How many."""
        return len(self._datasets)

    def __eq__(self, other: object) -> bool:
        """Whether they say the same."""
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __iter__(self) -> Iterator[Dataset]:
        """One after the other."""
        return map(self._held, self._datasets)

    @overload
    def __getitem__(self, index: int | Named) -> Dataset: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Dataset, ...]: ...
    def __getitem__(self, index: int | Named | slice) -> Dataset | tuple[Dataset, ...]:
        """One by its place, or by a name as `find` takes it; several by a slice."""
        if isinstance(index, slice):
            return FixedRows(map(self._held, self._datasets[index]))
        if not isinstance(index, SupportsIndex):
            return self.find(index)
        if not -len(self) <= index.__index__() < len(self):
            raise IndexError(f"there are {len(self)} datasets, and none has the number {index}")
        return self._held(self._datasets[index])

    def find(self, name: Named) -> Dataset:
        """Find the dataset of a name.

        Parameters
        ----------
        name : str, path, or file of a package
            The path of its primary file, with or without ``data/`` before it; its id, ``d1``; the end of its path, as
            in ``scan.dm4``; or any of these of another file of it.

        Raises
        ------
        NotFound
            None has this name, or several have; the message proposes similar names.
        """
        name = path_of(name)
        if (numbered := self._numbered(name)) is not None:
            return numbered
        path = name.replace("\\", "/").removeprefix("data/").rstrip("/")
        ends: list[Dataset] = []
        others: list[Dataset] = []
        for dataset in self:
            if name in (dataset.id, dataset.path) or path == dataset.path:
                return dataset
            if dataset.path.endswith(f"/{path}"):
                ends.append(dataset)
            elif any(path == one.path or f"/{one.path}".endswith(f"/{path}") for one in dataset.files):
                others.append(dataset)
        found = ends or others
        if len(found) == 1:
            return found[0]
        if found:
            named = ", ".join(one.path for one in found[:_NAMED])
            raise NotFound(f"several datasets are called '{name}'", next=f"Write more of the path: {named}")
        raise NotFound(f"the record has no dataset '{name}'", next=self._hint(path))

    def _numbered(self, name: str) -> Dataset | None:
        """The dataset whose id is its number, as nearly all are: of very many the others need not be parsed."""
        digits = name.removeprefix("d")
        if name == digits or not (digits.isascii() and digits.isdigit() and 0 < len(digits) < 10):
            return None
        place = int(digits) - 1
        found = self[place] if 0 <= place < len(self) else None
        return found if found is not None and found.id == name else None

    def _hint(self, path: str) -> str:
        from difflib import get_close_matches

        names = {dataset.path.rpartition("/")[2]: dataset.path for dataset in self}
        near = get_close_matches(path.rpartition("/")[2], names, _NAMED, 0.5)
        if near:
            return f"Did you mean {' or '.join(names[name] for name in near)}?"
        return f"It has: {', '.join(list(names.values())[:_NAMED]) or 'none'}{', …' if len(names) > _NAMED else ''}"

    def _held(self, dataset: Dataset) -> Dataset:
        return dataset if self._holder is None else replace(dataset, holder=self._holder)

    def __contains__(self, wanted: object) -> bool:
        """Whether a dataset is one of them, or one is called so."""
        if not isinstance(wanted, str):
            return any(dataset == wanted for dataset in self)
        try:
            return bool(self.find(wanted))
        except NotFound:
            return False

    def _ipython_key_completions_(self) -> list[str]:
        return [dataset.path for dataset in self]


def understood(datasets: Sequence[Dataset], start: int = 0, stop: int | None = None) -> Iterator[tuple[int, Dataset]]:
    """Datasets with their places, but for those of a later version, which this one cannot read."""
    for place in range(len(datasets))[start:stop]:
        try:
            dataset = datasets[place]
        except DocumentError:
            continue
        yield place, dataset


@dataclass(frozen=True, slots=True)
class Record(Display):
    """The extended metadata of a package.

    Attributes
    ----------
    schema : str
        ``diadem-record/1.0.0``.
    session, sample, instrument : mapping
        What people stated, as in the metadata document.
    people : sequence of mapping
        Who took part: name, orcid, role …
    datasets : Datasets
        Parsed when needed, by position or by name.
    omitted : sequence of mapping
        What the folder contained but the package does not: path, kind, reason.
    empty_dirs : sequence of str
        Empty folders, restored by `restore`.
    extensions : mapping
        Metadata of communities, by namespace.
    continues : str
        Id of the package that this one continues with only new or changed files, or "".
    sealed : bool
        False for the results of `diadem.extract`: no package holds them, and the files have no SHA-256.
    known : frozenset of str
        The closed list of field keys.
    unknown : mapping
        Top-level keys of a later version, kept and written back.
    """

    schema: str
    datasets: Datasets
    known: frozenset[str] = field(repr=False)
    session: Mapping[str, Any] = field(default_factory=dict)
    sample: Mapping[str, Any] = field(default_factory=dict)
    people: Sequence[Mapping[str, Any]] = ()
    instrument: Mapping[str, Any] = field(default_factory=dict)
    omitted: Sequence[Mapping[str, Any]] = ()
    empty_dirs: Sequence[str] = ()
    extensions: Mapping[str, Any] = field(default_factory=dict)
    continues: str = ""
    sealed: bool = True
    unknown: Mapping[str, Any] = field(default_factory=dict)

    _internal = frozenset({"held_by", "known"})

    def _display_document(self) -> Mapping[str, Any]:
        said = {key: getattr(self, key) for key in ("session", "sample", "people", "instrument")}
        return {**said, "continues": self.continues, "datasets": self.datasets, "omitted": self.omitted}

    def _display_title(self) -> str:
        return "" if self.sealed else "not sealed"

    def held_by(self, holder: Holder) -> Self:
        """The same, of datasets that lead on to their package."""
        return replace(self, datasets=Datasets(self.datasets, holder))

    def value(self, key: str) -> Any:
        """Return the value on which all datasets that state it agree; None if none states it.

        Raises
        ------
        AmbiguousValue
            They do not agree; the message names values and datasets.
        UnknownField
            There is no such field.
        """
        found: dict[Any, tuple[Any, list[str]]] = {}
        for dataset in self.datasets:
            if (value := dataset.value(key)) is not None:
                token = repr(value) if isinstance(value, list | dict) else value
                found.setdefault(token, (value, []))[1].append(dataset.id)
        if not found:
            require_known(key, self.known)
            part, _, name = key.partition(".")
            return {"session": self.session, "sample": self.sample, "instrument": self.instrument}.get(part, {}).get(
                name
            )
        if len(found) > 1:
            raise _ambiguous(key, list(found.values()))
        return next(iter(found.values()))[0]

    def vendor(self, dataset: Dataset | str | int = 0) -> tuple[VendorBlock, ...]:
        """Return the vendor's own metadata of a dataset, given by itself, its id, primary path or position.

        Raises
        ------
        NotFound
            There is no such dataset.
        UsageError, IntegrityError
            See `Dataset.vendor`.
        """
        if isinstance(dataset, Dataset):
            return dataset.vendor()
        if isinstance(dataset, int) and not -len(self.datasets) <= dataset < len(self.datasets):
            raise NotFound(f"the record has no dataset '{dataset}'", next=f"It has {len(self.datasets)}.")
        return self.datasets[dataset].vendor()

    def to_dict(self) -> dict[str, Any]:
        """The whole record as plain JSON values, references resolved. Shares nothing with the record."""
        head = {key: getattr(self, key) for key in ("schema", "session", "sample", "people", "instrument")}
        tail = {key: getattr(self, key) for key in ("omitted", "empty_dirs", "extensions")}
        if self.continues:
            tail["continues"] = self.continues
        if not self.sealed:
            tail["sealed"] = False
        datasets = [dataset.document for dataset in self.datasets]
        plain: dict[str, Any] = _plain({**head, "datasets": datasets, **tail, **self.unknown})
        return plain


def _ambiguous(key: str, found: list[tuple[Any, list[str]]]) -> AmbiguousValue:
    described = [f"{value!r} in {first_of(datasets, _NAMED)}" for value, datasets in found[:_NAMED]]
    more = f" and {len(found) - _NAMED} more values" if len(found) > _NAMED else ""
    return AmbiguousValue(
        f"'{key}' is not the same in all datasets: {'; '.join(described)}{more}",
        next="Ask one dataset: record.datasets[i].value(key).",
    )


def _plain(value: Any) -> Any:
    """Dicts and lists all the way down, none shared. JSON that was read is at most 64 deep."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
