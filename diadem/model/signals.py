"""The files of a dataset, the arrays in them, and their axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from diadem.model.display import Display
from diadem.model.quantities import quantity_text


@dataclass(frozen=True, slots=True)
class Axis(Display):
    """One axis of a signal.

    Attributes
    ----------
    name : str
        ``x``, ``Energy`` …
    size : int
        Elements along it.
    scale, offset : float or None
        Position of element i is ``offset + i * scale``, in `unit`.
    unit : str or None
        One of ``m 1/m s eV rad deg 1 px Hz V A K Pa``; None where the file's own text is not understood.
    unit_as_stored : str or None
        The file's own text for the unit, where it was kept.
    """

    name: str
    size: int
    scale: float | None = None
    offset: float | None = None
    unit: str | None = None
    unit_as_stored: str | None = None
    document: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def _display_document(self) -> Mapping[str, Any]:
        """Its elements are points; a `size` elsewhere is of bytes."""
        shown = {key: getattr(self, key) for key in ("scale", "offset", "unit", "unit_as_stored")}
        return {"name": self.name, "points": self.size, **shown}

    @property
    def step_text(self) -> str:
        """One step in words: ``0.2 nm``; "" where it is not known."""
        return "" if self.scale is None or self.unit is None else quantity_text(self.scale, self.unit)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """The axis of a valid record."""
        known = ("scale", "offset", "unit", "unit_as_stored")
        return cls(document["name"], document["size"], **{key: document.get(key) for key in known}, document=document)


@dataclass(frozen=True, slots=True)
class Signal(Display):
    """One array in a dataset. `shape` is slowest axis first, `dtype` as NumPy writes it (``<u2``)."""

    id: str
    shape: tuple[int, ...]
    title: str = ""
    kind: str = ""
    dtype: str = ""
    axes: tuple[Axis, ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def _display_title(self) -> str:
        return " × ".join(map(str, self.shape))

    def _display_document(self) -> Mapping[str, Any]:
        shown = {name: getattr(self, name) for name in ("id", "title", "kind", "dtype")}
        axes = [{"axis": one.name, "points": one.size, "step": one.step_text} for one in self.axes]
        return {**shown, "shape": " × ".join(map(str, self.shape)), "axes": axes}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """The signal of a valid record."""
        texts = {key: document.get(key, "") for key in ("title", "kind", "dtype")}
        axes = tuple(Axis.from_document(axis) for axis in document.get("axes", ()))
        return cls(document["id"], tuple(document["shape"]), **texts, axes=axes, document=document)


@dataclass(frozen=True, slots=True)
class RecordFile(Display):
    """One file of a dataset. `path` is the stored path relative to `data/`; what is not known is "".

    `format` is known where something read the file, `sha256` in the record of a package.
    """

    id: str
    path: str
    role: str
    bytes: int
    sha256: str
    format: str = ""
    format_evidence: tuple[str, ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """The file of a valid record."""
        return cls(
            id=document["id"],
            path=document["path"],
            role=document["role"],
            bytes=document["bytes"],
            sha256=document.get("sha256", ""),
            format=document.get("format", ""),
            format_evidence=tuple(document.get("format_evidence", ())),
            document=document,
        )
