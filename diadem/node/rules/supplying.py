"""``--set sample.name="S-12"``: single keys given on a command line, as the metadata document they stand for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from diadem.errors import UsageError
from diadem.hooks.units import convert
from diadem.model.fields import close_matches
from diadem.node.rules.required import ALIASES, keys_that_can_be_required

#: Keys whose value is a list, given with commas between its items.
_LISTS: Final = frozenset({"session.keywords", "sample.elements"})
_QUANTITY: Final = re.compile(r"\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*([A-Za-zµμÅ]*)\s*\Z")


def metadata_of_settings(settings: Sequence[str]) -> dict[str, Any]:
    """The metadata document that settings ``key=value`` stand for; still to be judged like any such document.

    Parameters
    ----------
    settings : sequence of str
        ``sample.name=S-12``, ``person.operator=Marie Curie``, ``sample.elements=Zn,O``, ``sample.thickness=60 nm``.
        ``person.operator`` names the operator; the other keys of ``person`` are about the operator if one is named,
        else about one person.

    Raises
    ------
    UsageError
        Not ``key=value``, an empty value, a key twice, or one that cannot be set; names those that come close.
    """
    given = _split(settings)
    document: dict[str, Any] = {}
    for key, value in given.items():
        section, _, name = ALIASES.get(key, key).partition(".")
        if section != "person":
            document.setdefault(section, {})[name] = _value(key, value)
    person = {key.removeprefix("person."): value for key, value in given.items() if key.startswith("person.")}
    return {**document, "people": [_person(person)]} if person else document


def _person(given: dict[str, str]) -> dict[str, str]:
    """One person; the operator's name, where it is given, is the name."""
    operator = given.pop("operator", "")
    if operator and given.get("name", operator) != operator:
        raise UsageError(
            "person.operator and person.name are two people", next="Give several people in a file with --meta."
        )
    if operator:
        given["name"] = operator
        given["role"] = f"operator, {given['role']}" if given.get("role", "operator") != "operator" else "operator"
    return given


def _split(settings: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        key, value = key.strip(), value.strip()
        if not equals or not value:
            raise UsageError(f"'{setting}' sets nothing", next='Write key=value: --set sample.name="S-12".')
        if key not in _settable():
            near = close_matches(key, _settable())
            advice = f"Did you mean {' or '.join(near)}?" if near else "Give it in a file with --meta."
            raise UsageError(f"'{key}' cannot be set", next=advice)
        if key in found:
            raise UsageError(f"'{key}' is set twice", next="Leave one of the two out.")
        found[key] = value
    return found


def _settable() -> frozenset[str]:
    return keys_that_can_be_required() - {"sample.other_names"}


def _value(key: str, text: str) -> Any:
    if key in _LISTS:
        return [item.strip() for item in text.split(",") if item.strip()]
    if key == "sample.thickness":
        return _metres(text)
    return text


def _metres(text: str) -> float:
    """A thickness in metres; without a unit it is in metres."""
    match = _QUANTITY.match(text)
    try:
        number = float(match.group(1)) if match else None
    except ValueError:
        number = None
    metres = convert(number, match.group(2) or "m", "m") if match and number is not None else None
    if metres is None:
        raise UsageError(f"'{text}' is not a thickness", next='Write --set sample.thickness="60 nm".')
    return metres
