"""Reading a record line by line: a dataset is parsed, resolved and validated when it is asked for."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, overload

from diadem.errors import DocumentError
from diadem.model.manifest import RECORD_PATH
from diadem.model.record import Dataset, Datasets, Record
from diadem.model.vendor import VendorSource
from diadem.serialization.migrations import MIGRATIONS, Migration, migrated_dataset, migrated_head, steps_from
from diadem.serialization.sharing import resolved
from diadem.serialization.strict_json import parse_object
from diadem.serialization.validation import validate_dataset, validate_head
from diadem.terms.fields import field_keys

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


def read_record(
    data: bytes,
    vendor: VendorSource | None = None,
    *,
    migrations: Sequence[Migration] = MIGRATIONS,
    sealed: bool = True,
) -> Record:
    """The record of a package. Datasets are parsed and validated when they are asked for.

    Parameters
    ----------
    data : bytes
        `data/diadem-record.json`, of any origin.
    vendor : VendorSource, optional
        Where the vendor's blocks are kept, for `Dataset.vendor`.
    migrations : sequence of Migration
        Steps for records of earlier versions; `data` stays as it is.
    sealed : bool
        Whether it is a package's, so that its files must have digests, or says that it is none's.

    Raises
    ------
    DocumentError
        Not such a record: not JSON, another version's, or malformed. A malformed dataset raises when it is asked for.
    """
    require_size(len(data))
    origin = _Origin(data, vendor, tuple(migrations), sealed)
    return _by_lines(origin) or _whole(origin)


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


def _by_lines(origin: _Origin) -> Record | None:
    """The record, if it lies as `RecordWriter` writes it; None for another layout."""
    data = origin.data
    found = _lines(data)
    if found is None:
        return None
    starts, ends, skeleton = found
    document = parse_object(skeleton, where=RECORD_PATH)
    if document.get("datasets") != [_PLACE]:  # the lines found were those of another list, deeper in the document
        return None

    def dataset(index: int) -> dict[str, Any]:
        return parse_object(data[starts[index] : ends[index]], where=f"{RECORD_PATH} dataset {index}")

    return _record({**document, "datasets": []}, len(starts), dataset, origin)


def _whole(origin: _Origin) -> Record:
    """The record, parsed in one piece."""
    require_size(len(origin.data), MAX_WHOLE)
    document = parse_object(origin.data, where=RECORD_PATH)
    listed = document.get("datasets")
    items: list[Any] = listed if isinstance(listed, list) else []
    return _record(document, len(items), items.__getitem__, origin)


def require_size(size: int, most: int | None = None, *, where: str = RECORD_PATH) -> None:
    """Raise `DocumentError` for a record, or another file that is derived from it, that is too large to be read."""
    most = MAX_BYTES if most is None else most
    if size > most:
        raise DocumentError(f"{size:,} bytes are more than the {most:,} that are read", where=where, next=_TOO_LARGE)


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
        complete = migrated_dataset(resolved(document, self._shared, where=where), self._steps)
        validate_dataset(complete, closed=False, sealed=self._origin.sealed)
        return Dataset(complete, self._known, self._origin.vendor)


def _record(document: dict[str, Any], count: int, load: Callable[[int], Any], origin: _Origin) -> Record:
    """The record of a parsed document; with `datasets` empty where they are parsed later."""
    steps = steps_from(document.get("schema"), origin.migrations)
    shared = document.get("shared", {})
    document = migrated_head(document, steps)
    validate_head(document, closed=False)
    if document.get("sealed", True) is not origin.sealed:
        raise DocumentError("it says that it belongs to no package", where=RECORD_PATH, next=_NEXT)
    rest = {key: document[key] for key in document if key not in {"datasets", "shared"}}
    own = {key: rest.pop(key) for key in ("schema", "session", "sample", "people", "instrument")}
    told = ("omitted", "empty_dirs", "extensions", "continues", "sealed")
    tail = {key: rest.pop(key) for key in told if key in rest}
    datasets = Datasets(_Datasets(count, load, shared, origin, steps))
    return Record(datasets=datasets, known=field_keys(), **own, **tail, unknown=rest)


def _lines(data: bytes) -> tuple[array[int], array[int], bytes] | None:
    """Where each dataset's line is, and the document without them; None for another layout.

    A raw line feed cannot stand inside a JSON string, so a line is a piece of the structure. Whether the pieces are
    JSON is seen when they are parsed: the rest at once, each dataset when it is asked for.
    """
    begin = data.find(_OPEN)
    if begin < 0:
        return None
    at = begin + len(_OPEN)
    end = data.find(_CLOSE, at)
    bounds = _split(data, at, end) if end >= 0 else None
    return None if bounds is None else (*bounds, data[:at] + b"%d" % _PLACE + data[end:])


def _split(data: bytes, at: int, end: int) -> tuple[array[int], array[int]] | None:
    """Start and end of each line, if every one is an object; all but the last are followed by a comma."""
    starts, ends = array("Q"), array("Q")
    while at < end:
        stop = data.find(b"\n", at, end)
        last = stop < 0
        stop = end if last else stop
        close = stop if last else stop - 1
        if data[at : at + 1] != b"{" or data[close - 1 : close] != b"}" or not (last or data[close:stop] == b","):
            return None
        starts.append(at)
        ends.append(close)
        at = stop + 1
    return starts, ends
