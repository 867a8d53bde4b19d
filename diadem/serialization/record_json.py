"""The record as bytes: written, validated and shared dataset by dataset, one a line; read line by line."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from typing import Any, BinaryIO, Final, overload

from diadem.errors import DocumentError
from diadem.model.manifest import RECORD_PATH
from diadem.model.record import Dataset, Record
from diadem.serialization.fields import field_keys
from diadem.serialization.sharing import Pool, resolved
from diadem.serialization.strict_json import compact, parse_object
from diadem.serialization.validation import (
    validate_dataset,
    validate_head,
    validate_metadata,
    validate_record,
    validate_report,
)

__all__ = [
    "RecordWriter",
    "build_record",
    "read_record",
    "record_dict",
    "validate_dataset",
    "validate_metadata",
    "validate_record",
    "validate_report",
    "write_record",
]

SCHEMA: Final = "diadem-record/1.0.0"
#: A record above this is refused. 20,000 images take about 10 MB.
MAX_BYTES: Final = 1 << 30
#: The same for a record that does not lie one dataset a line, and must be parsed in one piece.
MAX_WHOLE: Final = 64 << 20
#: Stands for the datasets while the rest of the document is parsed.
_PLACE: Final = 0
_HEAD_KEYS: Final[Mapping[str, Any]] = {"session": {}, "sample": {}, "people": [], "instrument": {}}
_OPEN, _CLOSE = b'\n"datasets":[\n', b"\n],\n"
_NEXT = "The record is damaged: verify the package."


class RecordWriter:
    """Writes a record to a stream, dataset by dataset. Memory does not grow with their number.

    Parameters
    ----------
    stream : BinaryIO
        Where to; only `write` is used.
    metadata : mapping
        What a person says: see `validate_metadata`.

    Raises
    ------
    DocumentError
        The metadata are refused; nothing is written.
    """

    def __init__(self, stream: BinaryIO, *, metadata: Mapping[str, Any]) -> None:
        head = validate_metadata(metadata)
        self._start(stream, {"schema": SCHEMA, **_HEAD_KEYS, **head}, closed=True)

    def _start(self, stream: BinaryIO, head: dict[str, Any], *, closed: bool) -> None:
        self._stream = stream
        self._closed = closed
        self._extensions = head.pop("extensions", {})
        self._pool = Pool()
        self._ids: set[str] = set()
        lines = [_member(key, value) for key, value in head.items()]
        stream.write(b"{" + b",\n".join(lines) + b"," + _OPEN)

    def add(self, dataset: dict[str, Any]) -> None:
        """Validate one dataset and write it.

        Raises
        ------
        DocumentError
            The dataset is refused, or its id was used before; nothing of it is written, and the next may be added.
        """
        name = str(dataset.get("id", "?"))[:64]
        compact(dataset, where=f"dataset {name}")  # what is not JSON is refused before the pool has seen any of it
        validate_dataset(dataset, closed=self._closed)
        if name in self._ids:
            raise DocumentError(f"there are two datasets with the id '{name}'", where=name)
        line = compact(self._pool.compressed(dataset), where=f"dataset {name}")
        self._stream.write(b",\n" + line if self._ids else line)
        self._ids.add(name)

    def finish(
        self,
        *,
        omitted: Sequence[Mapping[str, Any]],
        empty_dirs: Sequence[str],
        extensions: Mapping[str, Any] | None = None,
    ) -> None:
        """Write what comes after the datasets, and the shared objects. The stream stays open.

        Parameters
        ----------
        omitted : sequence of mapping
            What the folder held and the package does not: path, kind, reason.
        empty_dirs : sequence of str
            Empty folders, stored paths relative to `data/`.
        extensions : mapping, optional
            More extensions, beside those of the metadata.

        Raises
        ------
        DocumentError
            The tail is refused.
        """
        tail = {
            "omitted": [dict(item) for item in omitted],
            "empty_dirs": list(empty_dirs),
            "extensions": {**self._extensions, **(extensions or {})},
        }
        self._end(tail)

    def _end(self, tail: dict[str, Any]) -> None:
        validate_head({"schema": SCHEMA, **_HEAD_KEYS, "datasets": [], **tail}, closed=self._closed)
        lines = b",\n".join(_member(key, value) for key, value in tail.items())
        self._stream.write((b"" if not self._ids else b"\n") + b"],\n" + lines + b',\n"shared":{')
        for index, (kind, shared) in enumerate(self._pool.lines()):
            self._stream.write(b",\n" if index else b"\n")
            self._stream.write(b'"%s":{\n' % kind.encode())
            self._stream.write(b",\n".join(b'"%s":%s' % (name.encode(), text) for name, text in shared) + b"}")
        self._stream.write(b"}}\n")


def write_record(stream: BinaryIO, record: Record) -> None:
    """Write a record that was read, keys of a later minor version included.

    Raises
    ------
    DocumentError
        A dataset of it is malformed.
    """
    writer = RecordWriter.__new__(RecordWriter)
    head = {key: getattr(record, key) for key in ("schema", *_HEAD_KEYS)}
    writer._start(stream, head, closed=False)  # noqa: SLF001
    for dataset in record.datasets:
        writer.add(dict(dataset.document))
    tail = {"omitted": list(record.omitted), "empty_dirs": list(record.empty_dirs), "extensions": record.extensions}
    writer._end({**tail, **record.unknown})  # noqa: SLF001


def build_record(
    datasets: Iterable[dict[str, Any]],
    *,
    metadata: Mapping[str, Any] | None = None,
    omitted: Sequence[Mapping[str, Any]] = (),
    empty_dirs: Sequence[str] = (),
) -> Record:
    """A record of datasets at hand, in memory, as it would be read from a package. Raises `DocumentError`."""
    stream = BytesIO()
    writer = RecordWriter(stream, metadata=metadata or {})
    for dataset in datasets:
        writer.add(dataset)
    writer.finish(omitted=omitted, empty_dirs=empty_dirs)
    return read_record(stream.getvalue())


def read_record(data: bytes) -> Record:
    """The record of a package. Datasets are parsed and validated when they are asked for.

    Parameters
    ----------
    data : bytes
        `data/diadem-record.json`, of any origin.

    Raises
    ------
    DocumentError
        Not a record: not JSON, another version's, or malformed. A malformed dataset raises when it is asked for.
    """
    _limit(data, MAX_BYTES)
    return _by_lines(data) or _whole(data)


def _by_lines(data: bytes) -> Record | None:
    """The record, if it lies as `RecordWriter` writes it; None for another layout."""
    found = _lines(data)
    if found is None:
        return None
    starts, ends, skeleton = found
    document = parse_object(skeleton, where=RECORD_PATH)
    if document.get("datasets") != [_PLACE]:  # the lines found were those of another list, deeper in the document
        return None

    def dataset(index: int) -> dict[str, Any]:
        return parse_object(data[starts[index] : ends[index]], where=f"{RECORD_PATH} dataset {index}")

    return _record({**document, "datasets": []}, len(starts), dataset)


def _whole(data: bytes) -> Record:
    """The record, parsed in one piece."""
    _limit(data, MAX_WHOLE)
    document = parse_object(data, where=RECORD_PATH)
    listed = document.get("datasets")
    items: list[Any] = listed if isinstance(listed, list) else []
    return _record(document, len(items), items.__getitem__)


def _limit(data: bytes, most: int) -> None:
    if len(data) > most:
        raise DocumentError(f"a record of {len(data)} bytes in this layout is too large", where=RECORD_PATH, next=_NEXT)


def record_dict(record: Record) -> dict[str, Any]:
    """The whole record as plain JSON values, references resolved: `Record.to_dict`."""
    return record.to_dict()


class _Datasets(Sequence[Dataset]):
    """Datasets that are parsed, resolved and validated on access; the last 256 are kept."""

    def __init__(self, count: int, load: Callable[[int], Any], shared: Mapping[str, Any]) -> None:
        self._count = count
        self._load = load
        self._shared = shared
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

    def _parsed(self, index: int) -> Dataset:
        where = f"{RECORD_PATH} dataset {index}"
        document = self._load(index)
        if not isinstance(document, dict):
            raise DocumentError("a dataset is a JSON object", where=where, next=_NEXT)
        complete = resolved(document, self._shared, where=where)
        validate_dataset(complete, closed=False)
        return Dataset(complete, self._known)


def _record(document: dict[str, Any], count: int, load: Callable[[int], Any]) -> Record:
    """The record of a parsed document; with `datasets` empty where they are parsed later."""
    if not str(document.get("schema", "")).startswith("diadem-record/1."):
        version = str(document.get("schema"))[:80]
        raise DocumentError(
            f"'{version}' is not a record that this version reads",
            where=RECORD_PATH,
            next="Records of diadem-record/1.x can be read; a newer DIADEM may read others.",
        )
    validate_head(document, closed=False)
    rest = {key: document[key] for key in document if key not in {"datasets", "shared"}}
    own = {key: rest.pop(key) for key in ("schema", *_HEAD_KEYS)}
    tail = {key: rest.pop(key) for key in ("omitted", "empty_dirs", "extensions") if key in rest}
    datasets = _Datasets(count, load, document.get("shared", {}))
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


def _member(key: str, value: Any) -> bytes:
    return compact(key, where=key) + b":" + compact(value, where=key)
