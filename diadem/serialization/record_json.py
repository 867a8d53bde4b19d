"""The record of a package from its bytes: a dataset is parsed, resolved and validated when it is asked for.

A later *minor* version only adds keys, which are kept as they are; a later *major* version means something else by what
is there, and cannot be read. A record of an earlier version goes through every step between it and this version
(`Migration`); the record in the package stays as it is.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, overload

from diadem.errors import DocumentError
from diadem.model.manifest import RECORD_PATH
from diadem.model.record import Dataset, Datasets, Record
from diadem.model.vendor import VendorSource
from diadem.serialization.schemas import RECORD, check
from diadem.serialization.sharing import resolved
from diadem.serialization.strict_json import parse_object
from diadem.serialization.validation import validate_dataset
from diadem.terms.fields import field_keys

#: Of the records that this version writes.
SCHEMA: Final = "diadem-record/1.0.0"
_SCHEMA = re.compile(r"diadem-record/(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\Z")
#: Major and minor: patches change no record.
Version = tuple[int, int]
Change = Callable[[dict[str, Any]], dict[str, Any]]
#: A record above this is refused. 20,000 images take about 10 MB.
MAX_BYTES: Final = 1 << 30
#: The same for a record that does not lie one dataset a line, and must be parsed in one piece.
MAX_WHOLE: Final = 64 << 20
#: Stands for the datasets while the rest of the document is parsed.
_PLACE: Final = 0
#: What stands before the first dataset's line, and after the last one's.
_OPEN: Final = b'\n"datasets":[\n'
_CLOSE: Final = b"\n],\n"
_NEXT: Final = "The record is damaged: verify the package."
_TOO_LARGE: Final = "Nothing that DIADEM writes is so large: ask whoever made the package. Its files can be restored."


def _unchanged(document: dict[str, Any]) -> dict[str, Any]:
    return document  # a function with a name, which can be pickled


@dataclass(frozen=True, slots=True)
class Migration:
    """One step from a version to a later one: pure functions of copies, kept for ever.

    `head` gives the record without its datasets as the later version would have written it, but for the key `schema`,
    which is seen to; `dataset` the same of one dataset, references resolved.
    """

    before: Version
    after: Version
    head: Change = _unchanged
    dataset: Change = _unchanged

    def __post_init__(self) -> None:
        """Refuse a step that leads nowhere."""
        if self.after <= self.before:
            raise ValueError(f"a migration leads to a later version, not from {self.before} to {self.after}")


#: Every step there is; 1.0.0 is the first version.
MIGRATIONS: Final[Sequence[Migration]] = ()


def read_record(
    data: bytes,
    vendor: VendorSource | None = None,
    *,
    migrations: Sequence[Migration] = MIGRATIONS,
    sealed: bool = True,
) -> Record:
    """The record of a package, from bytes of any origin; `vendor` is where the vendor's blocks are kept.

    `sealed` says whether it is a package's, so that its files must have digests, or says itself that it is none's.
    Raises `DocumentError` where it is no record of a version that can be read; a malformed dataset raises when it is
    asked for.
    """
    require_size(len(data))
    document, count, load = _by_lines(data) or _whole(data)
    steps = steps_from(document.get("schema"), migrations)
    shared = document.get("shared", {})
    for step in steps:
        document = {**step.head(deepcopy(document)), "schema": SCHEMA}
    check(RECORD, document, closed=False)
    if document.get("sealed", True) is not sealed:
        raise DocumentError("it says that it belongs to no package", where=RECORD_PATH, next=_NEXT)
    rest = {key: document[key] for key in document if key not in {"datasets", "shared"}}
    own = {key: rest.pop(key) for key in ("schema", "session", "sample", "people", "instrument")}
    told = ("omitted", "empty_dirs", "extensions", "continues", "sealed")
    tail = {key: rest.pop(key) for key in told if key in rest}
    origin = _Origin(data, vendor, tuple(migrations), sealed)
    datasets = Datasets(_Datasets(count, load, shared, origin, steps))
    return Record(datasets=datasets, known=field_keys(), **own, **tail, unknown=rest)


def require_size(size: int, most: int | None = None, *, where: str = RECORD_PATH) -> None:
    """Raise `DocumentError` for a record, or another file that is derived from it, that is too large to be read."""
    most = MAX_BYTES if most is None else most
    if size > most:
        raise DocumentError(f"{size:,} bytes are more than the {most:,} that are read", where=where, next=_TOO_LARGE)


#: A document with no datasets yet, or all of them; how many it has; and what gives the one at a place.
_Parsed = tuple[dict[str, Any], int, Callable[[int], Any]]


def _by_lines(data: bytes) -> _Parsed | None:
    """A record that lies as `RecordWriter` writes it, all but its datasets parsed; None for another layout.

    A raw line feed cannot stand inside a JSON string, so a line is a piece of the structure. Whether the pieces are
    JSON is seen when they are parsed: the rest at once, each dataset when it is asked for.
    """
    begin = data.find(_OPEN)
    at = begin + len(_OPEN)
    end = data.find(_CLOSE, at)
    if begin < 0 or end < 0:
        return None
    skeleton = data[:at] + b"%d" % _PLACE + data[end:]
    starts, ends = array("Q"), array("Q")
    while at < end:  # every line is an object; all but the last are followed by a comma
        stop = data.find(b"\n", at, end)
        last = stop < 0
        stop = end if last else stop
        close = stop if last else stop - 1
        if data[at : at + 1] != b"{" or data[close - 1 : close] != b"}" or not (last or data[close:stop] == b","):
            return None
        starts.append(at)
        ends.append(close)
        at = stop + 1
    document = parse_object(skeleton, where=RECORD_PATH)
    if document.get("datasets") != [_PLACE]:  # the lines found were those of another list, deeper in the document
        return None

    def dataset(index: int) -> dict[str, Any]:
        return parse_object(data[starts[index] : ends[index]], where=f"{RECORD_PATH} dataset {index}")

    return {**document, "datasets": []}, len(starts), dataset


def _whole(data: bytes) -> _Parsed:
    require_size(len(data), MAX_WHOLE)
    document = parse_object(data, where=RECORD_PATH)
    listed = document.get("datasets")
    items: list[Any] = listed if isinstance(listed, list) else []
    return document, len(items), items.__getitem__


def steps_from(schema: object, migrations: Sequence[Migration] = MIGRATIONS) -> tuple[Migration, ...]:
    """The steps from a record's version to this one; none for this version and for later minor ones.

    Raises `DocumentError` for what is no version, or one that means something else.
    """

    def version_of(text: object) -> Version:
        match = _SCHEMA.match(text) if isinstance(text, str) else None
        return (int(match[1]), int(match[2])) if match else (-1, 0)

    version, current = version_of(schema), version_of(SCHEMA)
    by_version = {step.before: step for step in migrations}
    steps: list[Migration] = []
    while version < current and version in by_version:
        steps.append(by_version[version])
        version = steps[-1].after
    if version[0] != current[0]:
        raise DocumentError(
            f"'{str(schema)[:80]}' is not a record that this version reads",
            where=RECORD_PATH,
            next="Records of diadem-record/1.x can be read; a newer DIADEM may read others.",
        )
    return tuple(steps)


@dataclass(frozen=True, slots=True)
class _Origin:
    """What a record is read from, which is also what a pickle of its datasets holds."""

    data: bytes
    vendor: VendorSource | None
    migrations: tuple[Migration, ...]
    sealed: bool

    def datasets(self) -> Sequence[Dataset]:
        """What a pickle of datasets becomes again."""
        return read_record(self.data, self.vendor, migrations=self.migrations, sealed=self.sealed).datasets


class _Datasets(Sequence[Dataset]):
    """Datasets that are parsed, resolved and validated on access; the last 256 are kept. Pickled as their bytes."""

    def __init__(
        self,
        count: int,
        load: Callable[[int], Any],
        shared: Mapping[str, Any],
        origin: _Origin,
        steps: Sequence[Migration],
    ) -> None:
        self._count = count
        self._load = load
        self._shared = shared
        self._origin = origin
        self._steps = steps
        self._known = field_keys()
        self._cached = lru_cache(maxsize=256)(self._parsed)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Dataset: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Dataset, ...]: ...

    def __getitem__(self, index: int | slice) -> Dataset | tuple[Dataset, ...]:
        if isinstance(index, slice):
            return tuple(self._cached(i) for i in range(*index.indices(self._count)))
        return self._cached(range(self._count)[index])

    def __iter__(self) -> Iterator[Dataset]:
        return (self._parsed(index) for index in range(self._count))

    def __repr__(self) -> str:
        return f"<{self._count} datasets>"

    def __reduce__(self) -> tuple[Callable[[_Origin], Sequence[Dataset]], tuple[_Origin]]:
        return _Origin.datasets, (self._origin,)

    def _parsed(self, index: int) -> Dataset:
        where = f"{RECORD_PATH} dataset {index}"
        document = self._load(index)
        if not isinstance(document, dict):
            raise DocumentError("a dataset is a JSON object", where=where, next=_NEXT)
        complete = resolved(document, self._shared, where=where)
        for step in self._steps:
            complete = step.dataset(deepcopy(complete))
        validate_dataset(complete, closed=False, sealed=self._origin.sealed)
        return Dataset(complete, self._known, self._origin.vendor)
