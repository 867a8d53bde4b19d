"""The numbers before the first parameter of SmartSEM's tag, which are all that old LEO microscopes write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from diadem.hooks.fields import Found, Tree, look_up

#: Place of a number, field, unit, and the parameter that says the same better.
_PLACES = (
    (4, "optics.magnification", "1", "AP_MAG"),
    (6, "beam.acceleration_voltage", "V", "AP_ACTUALKV"),
    (9, "optics.working_distance", "m", "AP_WD"),
)


def numbers(tree: Tree) -> Iterator[Found]:
    """What no parameter states.

    Parameters
    ----------
    tree : mapping
        Of the block ``zeiss-sem``.
    """
    said = look_up(tree, "CZ_SEM") or {}
    unnamed: Sequence[float] = said.get("unnamed") or ()
    for place, field, unit, parameter in _PLACES:
        if len(unnamed) > place and unnamed[place] > 0 and parameter not in said:
            yield Found(field, unnamed[place], f"CZ_SEM/unnamed/{place}", unnamed[place], unit)
