"""What is known of one dataset after extraction, as the JSON that a record holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from diadem.extract.survey import DatasetPlan

#: The format of a file that no reader knows.
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class VendorBlock:
    """A block of the vendor's metadata, or a parsed tree, to be kept in the package.

    Attributes
    ----------
    path : str
        What it is: a tag path or file name.
    media_type : str
        Of the bytes.
    data : bytes
        As they stand in the file, or typed JSON.
    file : str
        Id of the file that it comes from.
    byte_range : list of int, optional
        First byte in the file and the one after the last.
    """

    path: str
    media_type: str
    data: bytes
    file: str = "f1"
    byte_range: list[int] | None = None


@dataclass(frozen=True, slots=True)
class Extraction:
    """Signals, fields and issues of one dataset.

    Attributes
    ----------
    format : str
        Name of the reader that recognised the dataset, or ``unknown``.
    evidence : tuple of str
        Why: ``magic``, ``suffix``, ``content``.
    signals : list of dict
        ``{id, title, kind, shape, dtype, axes}`` each.
    fields : dict of str to list of dict
        Assertions by field key.
    issues : list of dict
        ``{code, message, …}`` each.
    extraction : dict
        How the values were come by: tool, reader, mode, time zone, isolation.
    preview : bytes or None
        A PNG of at most 12 kB.
    vendor : list of VendorBlock
        The vendor's own metadata, whole, and the trees parsed from it.
    extensions : dict
        Metadata of communities by namespace, judged.
    outcomes : list of dict
        What became of each rule of the tables, where that was asked for; see `diadem.extract.blocks.Cut.told`.
    """

    format: str
    evidence: tuple[str, ...]
    signals: list[dict[str, Any]]
    fields: dict[str, list[dict[str, Any]]]
    issues: list[dict[str, Any]]
    extraction: dict[str, Any]
    preview: bytes | None
    vendor: list[VendorBlock]
    extensions: dict[str, dict[str, Any]] = field(default_factory=dict)
    outcomes: list[dict[str, str]] = field(default_factory=list)


def issue(code: str, message: str, **more: Any) -> dict[str, Any]:
    """One issue of a dataset; `more` may name file, reader, next."""
    return {"code": code, "message": message, **{key: value for key, value in more.items() if value}}


def truncated(path: str, file: str, why: str) -> dict[str, Any]:
    """The issue of a file that is shorter than it says."""
    advice = "Copy it again from the instrument, if it is still there."
    return issue("truncated", f"'{path}' is not whole: {why}", file=file, next=advice)


def too_short(path: str, file: str, promised: int, size: int) -> dict[str, Any]:
    """The same, where the file says how long it is."""
    many = f"{promised} bytes" if promised < 1 << 63 else "more bytes than any file has"
    return truncated(path, file, f"its header promises {many}, {size} are there")


def unread(
    format_: str = UNKNOWN,
    evidence: Sequence[str] = (),
    issues: Sequence[Mapping[str, Any]] = (),
    extraction: Mapping[str, Any] | None = None,
) -> Extraction:
    """An extraction of a dataset that no reader has read."""
    return Extraction(
        format_, tuple(evidence), [], {}, [dict(found) for found in issues], dict(extraction or {}), None, []
    )


def empty_files(plan: DatasetPlan) -> list[dict[str, Any]]:
    """One issue for each file of zero length."""
    return [issue("empty", f"'{file.path}' is empty (0 bytes)", file=file.id) for file in plan.files if not file.size]
