"""The record as bytes: all that other rooms need of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import Any

from diadem.model.record import Record
from diadem.model.vendor import VendorSource
from diadem.serialization.record_reading import MAX_BYTES, read_record
from diadem.serialization.record_writing import RecordWriter, write_record
from diadem.serialization.validation import (
    admitted,
    validate_dataset,
    validate_metadata,
    validate_record,
    validate_report,
)

__all__ = [
    "MAX_BYTES",
    "RecordWriter",
    "admitted",
    "build_record",
    "read_record",
    "validate_dataset",
    "validate_metadata",
    "validate_record",
    "validate_report",
    "write_record",
]


def build_record(
    datasets: Iterable[dict[str, Any]],
    *,
    metadata: Mapping[str, Any] | None = None,
    omitted: Sequence[Mapping[str, Any]] = (),
    empty_dirs: Sequence[str] = (),
    sealed: bool = True,
    vendor: VendorSource | None = None,
) -> Record:
    """A record of datasets at hand, in memory, as it would be read from a package. Raises `DocumentError`.

    Parameters
    ----------
    datasets : iterable of dict
        Taken one after the other; memory grows with what is new in each.
    metadata, sealed
        See `RecordWriter`.
    omitted, empty_dirs
        See `RecordWriter.finish`.
    vendor : VendorSource, optional
        Where the vendor's blocks are kept.
    """
    stream = BytesIO()
    writer = RecordWriter(stream, metadata=metadata or {}, sealed=sealed)
    for dataset in datasets:
        writer.add(dataset)
    writer.finish(omitted=omitted, empty_dirs=empty_dirs)
    return read_record(stream.getvalue(), vendor, sealed=sealed)
