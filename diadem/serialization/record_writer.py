"""Writing a record dataset by dataset, each validated, one a line, what repeats only once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import Any, BinaryIO, Final

from diadem.errors import DocumentError
from diadem.model.record import Record
from diadem.model.vendor import VendorSource
from diadem.serialization.record_json import SCHEMA, read_record
from diadem.serialization.schemas import RECORD, check
from diadem.serialization.sharing import Pool
from diadem.serialization.strict_json import compact
from diadem.serialization.validation import validate_dataset, validate_metadata

_HEAD: Final[Mapping[str, Any]] = {"schema": SCHEMA, "session": {}, "sample": {}, "people": [], "instrument": {}}


class RecordWriter:
    """Writes a record to a stream, dataset by dataset. Memory does not grow with what they say.

    `metadata` is what a person says, as `validate_metadata` takes it: where they are refused nothing is written. Of a
    record that does not become part of a package, not `sealed`, the files need no digests, and it says so.
    """

    def __init__(self, stream: BinaryIO, *, metadata: Mapping[str, Any], sealed: bool = True) -> None:
        said = validate_metadata(metadata)
        self._extensions = said.pop("extensions", {})
        said.pop("instruments", None)  # what they say stands in the datasets that are of them
        self._lines = _Lines(stream, {**_HEAD, **said, **({} if sealed else {"sealed": False})}, closed=True)

    def add(self, dataset: dict[str, Any], *, admitted: bool = False) -> None:
        """Validate one dataset and write it; what `validation.admitted` has just returned is not validated twice.

        Raises `DocumentError` where it is refused, or its id was used before: nothing of it is written, and the next
        may be added.
        """
        self._lines.add(dataset, admitted=admitted)

    def finish(
        self,
        *,
        omitted: Sequence[Mapping[str, Any]],
        empty_dirs: Sequence[str],
        continues: str = "",
    ) -> None:
        """Write what comes after the datasets, and the shared objects. The stream stays open.

        `omitted` is what the folder held and the package does not (path, kind, reason), `empty_dirs` are stored paths,
        `continues` is the id of the package to which this one adds.
        """
        tail = {
            "omitted": [dict(item) for item in omitted],
            "empty_dirs": list(empty_dirs),
            "extensions": self._extensions,
            **({"continues": str(continues)} if continues else {}),  # the validator knows no other kinds of text
        }
        self._lines.end(tail)


def write_record(stream: BinaryIO, record: Record) -> None:
    """Write a record that was read, keys of a later minor version included.

    Raises `DocumentError` where a dataset of it is malformed, or its files have no digests: what is written becomes
    part of a package.
    """
    lines = _Lines(stream, {key: getattr(record, key) for key in _HEAD}, closed=False)
    for dataset in record.datasets:
        lines.add(dataset.document)
    tail = {"omitted": list(record.omitted), "empty_dirs": list(record.empty_dirs), "extensions": record.extensions}
    continues = {"continues": record.continues} if record.continues else {}
    lines.end({**tail, **continues, **record.unknown})


def build_record(
    datasets: Iterable[dict[str, Any]],
    *,
    metadata: Mapping[str, Any] | None = None,
    sealed: bool = True,
    vendor: VendorSource | None = None,
) -> Record:
    """A record of datasets at hand, as it would be read from a package; see `RecordWriter`.

    They are taken one after the other: memory grows with what is new in each.
    """
    stream = BytesIO()
    writer = RecordWriter(stream, metadata=metadata or {}, sealed=sealed)
    for dataset in datasets:
        writer.add(dataset)
    writer.finish(omitted=(), empty_dirs=())
    return read_record(stream.getvalue(), vendor, sealed=sealed)


class _Lines:
    """The document on the stream: head, a line for each dataset, tail, shared objects."""

    def __init__(self, stream: BinaryIO, head: Mapping[str, Any], *, closed: bool) -> None:
        self._stream = stream
        self._closed = closed
        self._sealed = head.get("sealed", True)
        self._pool = Pool()
        self._ids: set[str] = set()
        stream.write(b"{" + _members(head) + b',\n"datasets":[\n')

    def add(self, dataset: Mapping[str, Any], *, admitted: bool = False) -> None:
        name = str(dataset.get("id", "?"))[:64]
        where = f"dataset {name}"
        if not admitted:
            compact(dataset, where=where)  # what is not JSON is refused before the pool has seen any of it
            validate_dataset(dataset, closed=self._closed, sealed=self._sealed)
        if name in self._ids:
            raise DocumentError(f"there are two datasets with the id '{name}'", where=name)
        line = compact(self._pool.compressed(dataset), where=where)
        self._stream.write(b",\n" + line if self._ids else line)
        self._ids.add(name)

    def end(self, tail: Mapping[str, Any]) -> None:
        check(RECORD, {**_HEAD, "datasets": [], **tail}, closed=self._closed)
        kinds = [b'"%s":{\n%s}' % (kind.encode(), _joined(shared)) for kind, shared in self._pool.shared()]
        shared = b"\n" + b",\n".join(kinds) if kinds else b""
        self._stream.write((b"\n" if self._ids else b"") + b"],\n" + _members(tail))
        self._stream.write(b',\n"shared":{' + shared + b"}}\n")


def _members(values: Mapping[str, Any]) -> bytes:
    """Members of an object, one a line."""
    return _joined([(key, compact(value, where=key)) for key, value in values.items()])


def _joined(members: Sequence[tuple[str, bytes]]) -> bytes:
    return b",\n".join(compact(key, where=key) + b":" + text for key, text in members)
