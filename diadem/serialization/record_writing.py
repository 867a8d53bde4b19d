"""Writing a record dataset by dataset, each validated, one a line, what repeats only once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, Final

from diadem.errors import DocumentError
from diadem.model.record import Record
from diadem.serialization.migrations import SCHEMA
from diadem.serialization.sharing import Pool
from diadem.serialization.strict_json import compact
from diadem.serialization.validation import validate_dataset, validate_head, validate_metadata

_HEAD: Final[Mapping[str, Any]] = {"schema": SCHEMA, "session": {}, "sample": {}, "people": [], "instrument": {}}


class RecordWriter:
    """Writes a record to a stream, dataset by dataset. Memory does not grow with what they say.

    Parameters
    ----------
    stream : BinaryIO
        Where to; only `write` is used.
    metadata : mapping
        What a person says: see `validate_metadata`.
    sealed : bool
        Whether it becomes part of a package; else its files need no digests, and it says so.

    Raises
    ------
    DocumentError
        The metadata are refused; nothing is written.
    """

    def __init__(self, stream: BinaryIO, *, metadata: Mapping[str, Any], sealed: bool = True) -> None:
        said = validate_metadata(metadata)
        self._extensions = said.pop("extensions", {})
        said.pop("instruments", None)  # what they say stands in the datasets that are of them
        self._lines = _Lines(stream, {**_HEAD, **said, **({} if sealed else {"sealed": False})}, closed=True)

    def add(self, dataset: dict[str, Any], *, admitted: bool = False) -> None:
        """Validate one dataset and write it.

        Parameters
        ----------
        dataset : dict
            The dataset.
        admitted : bool
            True for what `admitted` has just returned: it need not be validated twice.

        Raises
        ------
        DocumentError
            The dataset is refused, or its id was used before; nothing of it is written, and the next may be added.
        """
        self._lines.add(dataset, admitted=admitted)

    def finish(
        self,
        *,
        omitted: Sequence[Mapping[str, Any]],
        empty_dirs: Sequence[str],
        extensions: Mapping[str, Any] | None = None,
        continues: str = "",
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
        continues : str
            Id of the package to which this one adds, or "".

        Raises
        ------
        DocumentError
            The tail is refused.
        """
        tail = {
            "omitted": [dict(item) for item in omitted],
            "empty_dirs": list(empty_dirs),
            "extensions": {**self._extensions, **(extensions or {})},
            **({"continues": str(continues)} if continues else {}),  # the validator knows no other kinds of text
        }
        self._lines.end(tail)


def write_record(stream: BinaryIO, record: Record) -> None:
    """Write a record that was read, keys of a later minor version included.

    Raises
    ------
    DocumentError
        A dataset of it is malformed, or its files have no digests: what is written becomes part of a package.
    """
    lines = _Lines(stream, {key: getattr(record, key) for key in _HEAD}, closed=False)
    for dataset in record.datasets:
        lines.add(dataset.document)
    tail = {"omitted": list(record.omitted), "empty_dirs": list(record.empty_dirs), "extensions": record.extensions}
    continues = {"continues": record.continues} if record.continues else {}
    lines.end({**tail, **continues, **record.unknown})


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
        validate_head({**_HEAD, "datasets": [], **tail}, closed=self._closed)
        kinds = [b'"%s":{\n%s}' % (kind.encode(), _joined(shared)) for kind, shared in self._pool.shared()]
        shared = b"\n" + b",\n".join(kinds) if kinds else b""
        self._stream.write((b"\n" if self._ids else b"") + b"],\n" + _members(tail))
        self._stream.write(b',\n"shared":{' + shared + b"}}\n")


def _members(values: Mapping[str, Any]) -> bytes:
    """Members of an object, one a line."""
    return _joined([(key, compact(value, where=key)) for key, value in values.items()])


def _joined(members: Sequence[tuple[str, bytes]]) -> bytes:
    return b",\n".join(compact(key, where=key) + b":" + text for key, text in members)
