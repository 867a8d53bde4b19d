"""What a person says of a sample, as the members of a statement; and which of them somebody wants to take back."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypedDict

from diadem.errors import NotFound, Refused, UsageError
from diadem.model.sample_cells import MAKER, merged_maker
from diadem.model.sample_custody import event_text
from diadem.model.samples import HAPPENINGS, Event, Sample
from diadem.serialization.validation import orcid_address

_TEXTS: Final = ("name", "composition", "comment")


class SampleWords(TypedDict, total=False):
    """What may be said of a sample beside its identifier; "" or an empty list takes back what was said.

    Attributes
    ----------
    name : str
        What it is: ``ZnO nanorods``.
    names : mapping of str to str or sequence of str
        What other labs call it, by lab: ``{"NMI": "K-2026-007"}``.
    identifiers : mapping of str to str
        Names that mean it everywhere, by what they are: ``{"igsn": …}``.
    parents : sequence of str
        The samples that it was made from, by any of their names.
    how : str
        How it was made from them: ``split``, ``lamella``, ``annealed``, ``mixed`` or ``other``.
    maker, lab, ror, orcid : str
        Who made it, where, and the addresses of lab and person in ROR and ORCID.
    composition, comment : str
        In words.
    elements : sequence of str
        Chemical symbols.
    preparation : sequence of str or mapping
        Its steps in order: in words, or as ``{"step": …, "date": …, "comment": …}``.
    """

    name: str
    names: Mapping[str, str | Sequence[str]]
    identifiers: Mapping[str, str]
    parents: Sequence[str]
    how: str
    maker: str
    lab: str
    ror: str
    orcid: str
    composition: str
    elements: Sequence[str]
    preparation: Sequence[str | Mapping[str, str]]
    comment: str


def members_of(said: SampleWords, find: Callable[[str], Sample], before: Sample | None = None) -> dict[str, Any]:
    """The members of a statement that defines or changes a sample.

    Each member counts as a whole, but of names, identifiers and the maker only those change that are said.
    """
    if unknown := sorted(said.keys() - SampleWords.__annotations__.keys()):
        raise UsageError(
            f"a sample has no {', '.join(unknown)}", next=f"Known: {', '.join(SampleWords.__annotations__)}."
        )
    members: dict[str, Any] = {key: said.get(key) or None for key in _TEXTS if key in said}
    if "names" in said:
        kept_names = [(one.name, one.lab) for one in (before.names if before else ()) if one.lab not in said["names"]]
        told = [(name, lab) for lab, one in said["names"].items() for name in _several(one) if name]
        members["names"] = [{"name": name, "lab": lab} for name, lab in dict.fromkeys([*kept_names, *told])]
    if "identifiers" in said:
        given = {key.strip().lower(): text for key, text in said["identifiers"].items()}
        kept = {**(before.identifiers if before else {}), **given}
        members["identifiers"] = {key: text for key, text in kept.items() if text}
    if "parents" in said:
        ids = dict.fromkeys(find(name).id for name in _several(said["parents"]))
        members["parents"] = [{"sample": one, "how": said.get("how", "other")} for one in ids]
    if said.keys() & MAKER.keys():
        parts = {name: str(said[key]) for key, name in MAKER.items() if key in said}  # type: ignore[literal-required]
        if parts.get("orcid"):
            parts["orcid"] = orcid_address(parts["orcid"], "maker")
        members["maker"] = merged_maker(before, parts)
    if "elements" in said:
        members["elements"] = list(dict.fromkeys(_several(said["elements"])))
    if "preparation" in said:
        members["preparation"] = [{"step": one} if isinstance(one, str) else dict(one) for one in said["preparation"]]
    return members


def tidied(said: Mapping[str, Any]) -> dict[str, Any]:
    """What is said, blanks at the ends of texts taken off. Only comments and reasons may have line breaks."""
    return {key: _tidied(key, value) for key, value in said.items()}


def _tidied(key: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return tidied(value)
    if isinstance(value, list):
        return [_tidied(key, one) for one in value]
    if not isinstance(value, str):
        return value
    if key not in ("comment", "reason") and any(unicodedata.category(letter) == "Cc" for letter in value):
        raise UsageError(f"{key} {value!r} has a line break or another control character", next="Leave it out.")
    return value.strip()


def _several(one: str | Sequence[str]) -> Sequence[str]:
    return [one] if isinstance(one, str) else one


#: The beginning of a statement's id, 8 digits or more.
_ID = re.compile(r"(?:statement:)?([0-9a-f]{8,64})\Z")


def event_meant(sample: Sample, events: Sequence[Event], what: str, *, date: str, by: str) -> Event:
    """The one of all events of a thing that is meant, by what happened, ``sent``, or the beginning of a statement's id.

    `date` is "" for any day, `by` who wants to take it back: nobody else's.
    """
    named = _ID.match(what.strip().lower())
    if named is None and what not in HAPPENINGS:
        raise UsageError(
            f"'{what}' is not an event of a sample", next=f"Write {', '.join(HAPPENINGS)}; or a statement's id."
        )
    said = [one for one in events if (one.statement.startswith(named[1]) if named else one.what == what)]
    found = [one for one in said if one.retracted is None and date in ("", one.date)]
    own = [one for one in found if one.by == by]
    if not found:
        taken = next((one for one in said if one.retracted is not None and date in ("", one.date)), None)
        message = f"nobody has stated that of {sample.identifier}" + (f" on {date}" if date else "")
        if taken is not None:
            message = f"that {sample.identifier} was {event_text(taken)} was retracted already"
        raise NotFound(message, where=sample.id, next=f"See: diadem sample show {sample.identifier}")
    if not own:
        raise Refused(
            f"{found[0].by} has stated that {sample.identifier} was {event_text(found[0])}, and only they can"
            " retract it",
            where=sample.id,
            next="State what you know: contradictions are shown.",
        )
    if len(own) > 1:
        told = "; ".join(f"{event_text(one)} [{one.statement[:12]}]" for one in own)
        raise UsageError(f"{len(own)} events are meant: {told}", next="Name the day with --date, or the statement.")
    return own[0]
