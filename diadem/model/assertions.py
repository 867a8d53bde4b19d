"""One statement of one value, with its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value and its unit; `unit` is "" for texts, times and lists."""

    value: Any
    unit: str


@dataclass(frozen=True, slots=True)
class Assertion:
    """One statement of one value, with its evidence.

    Attributes
    ----------
    value : Any
        Number, text or list.
    unit : str
        The field's one unit; "" for texts, times and lists.
    status : str
        ``stated``, ``converted``, ``derived``, ``assumed`` or ``user``.
    source : mapping
        File id, locator (tag path), raw value and unit; or the person or statement that said it.
    by : mapping
        Plugin, version, rule and reader that made the assertion.
    applies_to : tuple of str
        Ids of the signals meant; empty means the whole dataset.
    preferred : bool
        At most one assertion of a field is.
    offset_status : str
        Of times: ``known``, ``derived``, ``assumed`` or ``unknown``; else "".
    uncertainty : float or None
        Standard uncertainty, in `unit`.
    """

    value: Any
    unit: str
    status: str
    source: Mapping[str, Any]
    by: Mapping[str, Any]
    applies_to: tuple[str, ...] = ()
    preferred: bool = False
    offset_status: str = ""
    uncertainty: float | None = None
    document: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_extra(self) -> bool:
        """Whether somebody merely says so in a statement that does not change the record."""
        return "statement" in self.source and not self.preferred

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """The assertion of a valid record."""
        return cls(
            value=document["value"],
            unit=document.get("unit", ""),
            status=document["status"],
            source=document["source"],
            by=document["by"],
            applies_to=tuple(document.get("applies_to", ())),
            preferred=document.get("preferred", False),
            offset_status=document.get("offset_status", ""),
            uncertainty=document.get("uncertainty"),
            document=document,
        )
