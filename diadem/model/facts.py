"""What the crate and the page of a package tell a person: plain facts, already worked out, for two renderers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: Datasets that the crate and the page describe one by one; above it only the root and a count.
MAX_DESCRIBED = 1000
#: Datasets shown as cards with their picture; those after it, up to `MAX_DESCRIBED`, are rows of a table.
MAX_PICTURED = 200


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """One dataset in plain words.

    Attributes
    ----------
    id : str
        ``d1``, ``d2`` … as in the record.
    primary : str
        Path of the primary file relative to `data/`, stored form.
    format : str
        Name of the format, or ``unknown``.
    size : int
        Bytes of all files of the dataset.
    file_count : int
        Files of the dataset, side files included.
    signals : sequence of str
        One line a signal: ``HAADF, 512 × 512, 2 nm/px``.
    rows : sequence of (label, value)
        Chosen fields as text with units: ``("Acceleration voltage", "200 kV")``.
    properties : sequence of (field key, term IRI or "", value, unit)
        The same as data, for the crate's `PropertyValue`s.
    issues : sequence of str
        Messages of the dataset's issues.
    instrument : mapping
        The instrument that it states, as one of `PackageFacts.instruments`; empty where it states none.
    preview : bytes or None
        A PNG or JPEG of at most a few kilobytes.
    """

    id: str
    primary: str
    format: str
    size: int
    file_count: int
    signals: Sequence[str] = ()
    rows: Sequence[tuple[str, str]] = ()
    properties: Sequence[tuple[str, str, Any, str]] = ()
    issues: Sequence[str] = ()
    preview: bytes | None = None
    instrument: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PackageFacts:
    """A package in plain words.

    `session`, `sample`, `instrument` and `people` are the record's own objects. `omitted` is (path, kind, reason).
    `days`, `instruments` and `operators` are what the datasets state: first and last day, microscopes (each as
    `instrument`, with the keys that are known), people.
    `archived` is the archiving date, ISO 8601 with offset: the one date of the package. `datasets` holds at most
    `MAX_DESCRIBED` of `dataset_count`. `continues` is the id of the package to which this one adds, or "".
    """

    name: str
    archived: str
    payload_id: str
    file_count: int
    total_bytes: int
    dataset_count: int
    datasets: Sequence[DatasetFacts] = ()
    description: str = ""
    license: str = ""
    session: Mapping[str, Any] = field(default_factory=dict)
    sample: Mapping[str, Any] = field(default_factory=dict)
    instrument: Mapping[str, Any] = field(default_factory=dict)
    people: Sequence[Mapping[str, Any]] = ()
    omitted: Sequence[tuple[str, str, str]] = ()
    software: str = ""
    days: tuple[str, str] | None = None
    instruments: Sequence[Mapping[str, Any]] = ()
    operators: Sequence[str] = ()
    continues: str = ""
