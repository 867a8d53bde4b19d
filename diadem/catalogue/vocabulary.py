"""Names that a search may ask for: the record's fields, short names for them, and what the catalogue knows beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType
from typing import Final

from diadem.catalogue import facts
from diadem.errors import UsageError
from diadem.terms.fields import all_fields, field_keys, is_time


@dataclass(frozen=True, slots=True)
class Key:
    """What a name means."""

    #: As it is written in full.
    name: str
    #: ``number``, ``text`` or ``time`` for what datasets state; of packages ``day``, ``ingested``, ``count``, ``size``,
    #: ``id``, ``store``, ``made-from``, ``used-for``; of judgements ``quality``, ``not``, ``purpose``, ``criterion``,
    #: ``assessor``.
    kind: str
    #: Keys of facts that are looked at, any of them; or the column of a package.
    of: tuple[str, ...] = ()
    #: Of numbers; "" for none.
    unit: str = ""
    #: Unit of a number written without one, where that is not `unit`.
    bare: str = ""


#: The name that asks for a sample by any of its names.
SAMPLE: Final = "sample"
#: Where a record says which sample it is.
SAMPLE_KEYS: Final = ("sample.name", "sample.identifier", facts.OTHER_NAME)
#: Short names of what is no field, or of more than fields; case does not count.
_ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    SAMPLE: SAMPLE_KEYS,
    "format": (facts.FORMAT, facts.SUFFIX),
    "suffix": (facts.SUFFIX,),
    "file": (facts.FILE,),
    "title": (facts.TITLE,),
    "owner": (facts.OWNER,),
    "about": (facts.ABOUT, facts.TITLE),
    "doi": (facts.IDENTIFIER,),
    "kind": (facts.KIND,),
    "signal": (facts.SIGNAL,),
    "issue": (facts.ISSUE,),
}
#: What the catalogue itself knows.
_OWN: Final[Mapping[str, Key]] = {
    "kv": Key("kV", "number", ("beam.acceleration_voltage",), "V", bare="kV"),
    "kev": Key("keV", "number", ("beam.acceleration_voltage",), "V", bare="kV"),
    **{name: Key(name, "day") for name in ("date", "year")},  # any day of the session, as results are counted by year
    facts.SESSION_DATE: Key("date", "day"),
    facts.SESSION_END: Key(facts.SESSION_END, "time", (facts.SESSION_END,)),
    "ingested": Key("ingested", "ingested"),
    "id": Key("id", "id"),
    "diadem": Key("id", "id"),
    "store": Key("store", "store"),
    "copies": Key("copies", "count", ("copies",)),
    "files": Key("files", "count", ("files",)),
    "datasets": Key("datasets", "count", ("datasets",)),
    "size": Key("size", "size", ("bytes",)),
    "bytes": Key("size", "size", ("bytes",)),
    **{name: Key("quality", "quality") for name in ("quality", "assessment", "verdict")},
    "not": Key("not", "not"),
    "purpose": Key("purpose", "purpose"),
    "criterion": Key("criterion", "criterion"),
    "assessed_by": Key("assessed-by", "assessor"),
    "derived_from": Key("derived-from", "made-from"),
    "source_of": Key("source-of", "used-for"),
}


def find(name: str) -> Key | None:
    """What a name means; None for one that is not known or could be several fields."""
    folded = _folded(name)
    return _OWN.get(folded) or _known().get(folded)


def stated_fields(names: Sequence[str]) -> dict[str, Key]:
    """What names of fields of a record mean, in their order. Raises `UsageError` where there is no such field."""
    found = {name: find(name) for name in names}
    for name, key in found.items():
        if key is None or key.kind not in ("text", "number", "time"):
            close = near(name)
            raise UsageError(
                f"'{name}' is not a field of a record", next=f"Did you mean {' or '.join(close)}?" if close else None
            )
    return {name: key for name, key in found.items() if key is not None}


def several(name: str) -> list[str]:
    """Fields that end in a name, where those are more than one."""
    ends = [key for key in sorted(field_keys()) if key.endswith("." + _folded(name))]
    return ends if len(ends) > 1 else []


def near(name: str) -> list[str]:
    """Up to three names that come close to one that is not known."""
    short = {**dict.fromkeys(_OWN), **dict.fromkeys(_known())}
    found = get_close_matches(_folded(name), list(short), n=3, cutoff=0.65)
    return [_shown(text) for text in found]


def names() -> list[str]:
    """Every short name, and every field."""
    return [*sorted({_shown(name) for name in (*_OWN, *_aliases())}, key=str.lower), *sorted(field_keys())]


def measured() -> dict[str, str]:
    """The units of all fields that have one, by their first short names, in the order of the fields."""
    fields = [field for field in all_fields().values() if field.unit not in ("", "1") and field.aliases]
    return {field.aliases[0]: _known()[field.aliases[0]].unit for field in fields}


def _shown(name: str) -> str:
    return _OWN[name].name if name in _OWN else name


def _folded(name: str) -> str:
    return name.strip().casefold().replace("-", "_")


@cache
def _aliases() -> Mapping[str, tuple[str, ...]]:
    """Short names, of fields and of what the catalogue knows beside."""
    found: dict[str, tuple[str, ...]] = {}
    for key, field in all_fields().items():
        found |= {alias: (*found.get(alias, ()), key) for alias in field.aliases}
    return found | dict(_ALIASES)


@cache
def _known() -> Mapping[str, Key]:
    """Fields by full name, by every ending that only one has, and by short name."""
    known: dict[str, Key] = {}
    endings: dict[str, list[str]] = {}
    for key in field_keys():
        known[key] = _key(key, (key,))
        endings.setdefault(key.partition(".")[2], []).append(key)
    known |= {ending: known[keys[0]] for ending, keys in endings.items() if len(keys) == 1}
    known |= {alias: _key(alias if len(of) > 1 else of[0], of) for alias, of in _aliases().items()}
    return MappingProxyType(known)


def _key(name: str, of: tuple[str, ...]) -> Key:
    field = all_fields().get(of[0])
    if field is None or not field.unit:
        return Key(name, "time" if is_time(of[0]) else "text", of)
    return Key(name, "number", of, field.unit)
