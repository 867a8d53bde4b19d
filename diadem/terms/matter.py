"""Elements and electrons: what is the same in every file."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

#: Chemical symbols by atomic number, hydrogen first, oganesson last.
SYMBOLS: Final = tuple(
    (  # noqa: SIM905 - a list of 118 lines reads worse
        "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr "
        "Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir "
        "Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh "
        "Fl Mc Lv Ts Og"
    ).split()
)
#: CODATA 2018: Planck constant (J s), electron mass (kg), elementary charge (C), speed of light (m/s).
_H, _M, _E, _C = 6.62607015e-34, 9.1093837015e-31, 1.602176634e-19, 299792458.0


def symbols_of(numbers: Iterable[int]) -> list[str]:
    """Symbols of atomic numbers, each once; none where one of them is no element."""
    found = list(numbers)
    if not all(0 < number <= len(SYMBOLS) for number in found):
        return []
    return list(dict.fromkeys(SYMBOLS[number - 1] for number in found))


def symbols_among(names: Iterable[object]) -> list[str]:
    """Chemical symbols in their order, each once; none where one of the names is no symbol."""
    found = list(dict.fromkeys(map(str, names)))
    return found if set(found) <= set(SYMBOLS) else []


def electron_wavelength(volts: float) -> float:
    """De Broglie wavelength in metres of electrons that a voltage has accelerated, relativistic."""
    energy = _E * volts
    return _H / math.sqrt(2 * _M * energy * (1 + energy / (2 * _M * _C**2)))
