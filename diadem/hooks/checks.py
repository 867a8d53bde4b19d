"""What a check is told of a dataset, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Described:
    """A dataset as it will stand in the record. Not to be changed.

    Attributes
    ----------
    format : str
        Name of the reader that recognised it.
    signals : sequence of mapping
        ``{id, title, kind, shape, dtype, axes}`` each, lengths and energies in SI units; empty where the reader failed.
    fields : mapping of str to sequence of mapping
        Assertions by field key, as in the record; the preferred one first.
    extensions : mapping of str to object
        Data by namespace, not yet judged by their schemas.
    issues : sequence of mapping
        ``{code, message, …}`` each: what was found amiss already.
    arrays : mapping of str to array
        By the id of a signal, NumPy's or Dask's: read little of them. Empty for checks that run at every extraction.
    """

    format: str
    signals: Sequence[Mapping[str, Any]] = ()
    fields: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    extensions: Mapping[str, Any] = field(default_factory=dict)
    issues: Sequence[Mapping[str, Any]] = ()
    arrays: Mapping[str, Any] = field(default_factory=dict)

    def value(self, key: str) -> Any:
        """The first value stated for a field, in the field's unit; None where nothing is stated."""
        stated = self.fields.get(key, ())
        return stated[0]["value"] if stated else None


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that a careful colleague would point at.

    Attributes
    ----------
    code : str
        Short and stable, in lower case with dashes: ``drift``. The record has it behind the check's name: ``cl-drift``.
    message : str
        What was found, in plain words, with numbers and units.
    severity : {"error", "warning", "info"}
        Whether the data are wrong, doubtful, or merely worth a look.
    next : str
        What a person can do now, or "".
    """

    code: str
    message: str
    severity: Literal["error", "warning", "info"] = "warning"
    next: str = ""
