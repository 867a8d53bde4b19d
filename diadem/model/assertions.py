"""One statement of one value, with its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Self

from diadem.errors import UsageError
from diadem.model.display import Display
from diadem.model.quantities import quantity_text
from diadem.terms.units import convert, meanings


@dataclass(frozen=True, slots=True)
class Quantity(Display):
    """A value and its unit; `unit` is "" for texts, times and lists."""

    value: Any
    unit: str

    def __repr__(self) -> str:
        """The value in words."""
        return f"<Quantity {self}>"

    def _display_title(self) -> str:
        return str(self)

    def __str__(self) -> str:
        """``200 kV``."""
        return quantity_text(self.value, self.unit)

    def to(self, unit: str) -> Quantity:
        """Convert to another unit: ``quantity("beam.acceleration_voltage").to("kV")``.

        Parameters
        ----------
        unit : str
            As files and people write it: ``kV``, ``nm``, ``Å``, ``mrad``, ``1/nm``, ``mbar``; or any that pint knows.

        Raises
        ------
        UsageError
            It is not a number, or not a unit of this kind.
        """
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise UsageError(f"'{self.value}' is not a number", next="Only numbers have a unit: use .value.")
        for meaning in meanings(unit):
            if meaning.unit == self.unit and not meaning.added:
                return Quantity(float(Fraction(self.value) / meaning.factor), unit)
        zero, one = convert(0.0, unit, self.unit), convert(1.0, unit, self.unit)
        if zero is not None and one is not None:
            return Quantity((self.value - zero) / (one - zero), unit)
        return Quantity(self._in_pint(unit).magnitude, unit)

    def to_pint(self) -> Any:
        """Return a quantity of pint, in pint's application registry, which HyperSpy uses too.

        Raises
        ------
        UsageError
            pint is not installed, or does not know the unit.
        """
        return self._in_pint("")

    def _in_pint(self, unit: str) -> Any:
        try:
            import pint
        except ImportError as error:
            raise UsageError("this unit needs pint", where=unit or self.unit, next="pip install pint") from error
        try:
            registry: Any = pint.application_registry
            found = registry.Quantity(self.value, self.unit.replace("px", "pixel") or "1")
            return found.to(unit) if unit else found
        except (pint.PintError, ValueError, AttributeError, TypeError) as error:
            asked = unit or self.unit
            raise UsageError(f"{self} cannot be given in '{asked}'", next="Name a unit of the same kind.") from error


@dataclass(frozen=True, slots=True)
class Assertion(Display):
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
        File id, locator (tag path), raw value and unit; or the person or statement that states it.
    by : mapping
        Plugin, version, rule and reader that made the assertion.
    applies_to : tuple of str
        Ids of the signals meant; empty means the whole dataset.
    preferred : bool
        True for at most one assertion of a field.
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

    _internal = frozenset({"from_document"})

    def _display_title(self) -> str:
        return quantity_text(self.value, self.unit)

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
