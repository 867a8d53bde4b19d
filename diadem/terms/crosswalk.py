"""What a field is called elsewhere: terms of the EM Glossary, of NXem and of HyperSpy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from diadem.terms.fields import Field, Place, all_fields

_INSTRUMENT = "Acquisition_instrument."
_TOPS = ("*.", "TEM.", "SEM.")
#: Category of units that NeXus asks for, by the unit of the record, in which values are written.
NEXUS_UNITS: Mapping[str, str] = {
    "V": "NX_VOLTAGE", "A": "NX_CURRENT", "m": "NX_LENGTH", "1/m": "NX_WAVENUMBER", "s": "NX_TIME",
    "1/s": "NX_FREQUENCY", "rad": "NX_ANGLE", "deg": "NX_ANGLE", "eV": "NX_ENERGY", "K": "NX_TEMPERATURE",
    "Pa": "NX_PRESSURE", "1": "NX_DIMENSIONLESS", "bit": "NX_DIMENSIONLESS",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Leaf:
    """A field at one of its places in HyperSpy's metadata."""

    field: Field
    place: Place

    @property
    def unit(self) -> str:
        """The unit there; "" for texts."""
        return self.place.unit or self.field.unit

    @property
    def may_be_zero(self) -> bool:
        """Whether 0 is a value: a current, magnification or time of 0 is what programs write where they know none."""
        return self.field.least is not None and self.field.least < 0

    def path(self, instrument: str) -> str:
        """The whole path for ``TEM`` or ``SEM``; "" where that instrument has no such leaf."""
        if below := self.path_below(instrument):
            return f"{_INSTRUMENT}{instrument}.{below}"
        return "" if self.place.path.startswith(_TOPS) else self.place.path

    def path_below(self, instrument: str) -> str:
        """The path below ``Acquisition_instrument.TEM`` or ``.SEM``; "" where it is not there."""
        top, _, below = self.place.path.partition(".")
        return below if top in ("*", instrument) else ""


@cache
def written() -> tuple[Leaf, ...]:
    """Leaves that a record fills; the later of two for the same path counts."""
    leaves = [leaf for leaf in _leaves() if leaf.place.way in ("", "write")]
    return tuple(sorted(leaves, key=lambda leaf: not leaf.place.weak))


@cache
def read_below_instrument() -> tuple[Leaf, ...]:
    """Leaves of ``Acquisition_instrument`` that a record is filled from."""
    leaves = [leaf for leaf in _leaves() if leaf.place.way in ("", "read")]
    return tuple(leaf for leaf in leaves if leaf.place.path.startswith(_TOPS))


def _leaves() -> Iterator[Leaf]:
    for field in all_fields().values():
        for place in field.hyperspy:
            yield Leaf(field, place)


def transmission_mode(said: str) -> str:
    """``TEM`` or ``STEM``, which are HyperSpy's two modes, where a maker's word for the mode says so; else ""."""
    words = said.upper().replace("_", " ").split()
    return next((word for word in words if word in ("STEM", "TEM")), "")


def terms(field: Field) -> tuple[str, ...]:
    """What the field means elsewhere: address in the EM Glossary, ``NXem:`` path, ``HyperSpy:`` paths."""
    nxem = f"NXem:ENTRY/{field.nxem}" if field.nxem else ""
    paths = [Leaf(field, place).path(instrument) for place in field.hyperspy for instrument in ("TEM", "SEM")]
    hyperspy = (f"HyperSpy:{path}" for path in paths if path)
    return tuple(dict.fromkeys(term for term in (field.emg, nxem, *hyperspy) if term))
