"""From the words of a search to what is compared: names become keys of facts, values numbers in their unit.

A condition on a *dataset* holds for those datasets that state such a value; one on a *package* holds for all its
datasets or none. ``and``, ``or`` and ``not`` are of datasets: ``kV=200 HAADF`` finds packages in which one dataset has
both. What is said of the whole package (title, sample, people) holds for each of its datasets.
"""

from __future__ import annotations

import datetime
import itertools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from diadem.catalogue import facts, vocabulary
from diadem.catalogue.judgements import JUDGEMENTS, Judged, Unjudged, joined, judgement
from diadem.catalogue.package_key import ID_BITS, day_range
from diadem.catalogue.quantities import Unreadable, around, in_bytes, in_unit, period, split
from diadem.catalogue.query import And, Everything, Not, Or, Piece, Term, Tree, pointing
from diadem.catalogue.samples import is_short, needed
from diadem.catalogue.vocabulary import Key
from diadem.catalogue.words import words
from diadem.errors import UsageError
from diadem.model.access import Visible

_EPOCH = datetime.datetime(1970, 1, 1)  # noqa: DTZ001  (as the facts count)
_MIDNIGHT: Final = datetime.time()
_LAST: Final = datetime.datetime(9999, 12, 31)  # noqa: DTZ001
_HEX: Final = re.compile(r"[0-9a-f]{8,64}\Z")
_TEXTUAL: Final = frozenset({"text", "id", "store", "made-from", "used-for", *JUDGEMENTS})
_ORDERED: Final = ("<", "<=", ">", ">=")
#: Names of samples that one term may stand for.
MAX_NAMES: Final = 1_000
#: From the words of a sample's name to all names under which it may have been recorded, its parts among them.
Naming = Callable[[tuple[str, ...]], Iterable[tuple[str, ...]]]
#: From keys, a part of a text and whether it is the end, to the words of all texts of these keys that have it; None
#: where the texts of the keys are not listed.
Looking = Callable[[tuple[str, ...], str, bool], "Sequence[tuple[str, ...]] | None"]
#: From the key at which some days begin, and the moment, to that of the oldest session before that lasted so long.
Lasting = Callable[[int, float], "int | None"]
#: Combinations of judgements that one search asks for.
MAX_JUDGEMENTS: Final = 64


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that follow one another in a text of one of the keys; without keys in any text.

    `open` lets the last word go on, `whole` wants the text to have no other word; one of the `others`, of the same
    keys, will do as well.
    """

    keys: tuple[str, ...]
    words: tuple[str, ...]
    open: bool = False
    whole: bool = False
    others: tuple[Phrase, ...] = ()


@dataclass(frozen=True, slots=True)
class Between:
    """A number from `low` to `high`, both included, of one of the keys."""

    keys: tuple[str, ...]
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Linked:
    """Packages that were made from one whose id begins so, directly or not; `above`: from which it was made."""

    digits: str
    above: bool


@dataclass(frozen=True, slots=True)
class Days:
    """Packages whose key lies from `low` to before `high`: those of some days."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Ingested:
    """Packages archived from `low` to before `high`, as text; None for no limit."""

    low: str | None
    high: str | None


@dataclass(frozen=True, slots=True)
class Count:
    """Packages whose column (``bytes``, ``files``, ``datasets``) or ``copies`` lies from `low` to `high`."""

    column: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Begins:
    """Packages whose id or payload id begins with these digits."""

    digits: str


@dataclass(frozen=True, slots=True)
class InStore:
    """Packages that have a copy in this store."""

    name: str


@dataclass(frozen=True, slots=True)
class Within:
    """Packages that somebody may find."""

    visible: Visible


@dataclass(frozen=True, slots=True)
class AllOf:
    """All of the parts; without any, everything."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of the parts at least."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Deny:
    """Not the leaf; deeper ones do not come."""

    part: Leaf


OfDataset = Phrase | Between | Judged | Unjudged
OfPackage = Days | Ingested | Count | Begins | InStore | Linked | Within
Leaf = OfDataset | OfPackage
Condition = Leaf | AllOf | AnyOf | Deny
#: What no package fulfils.
NOTHING: Final = Days(0, 0)


def no_names(_: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
    """Where no samples are known."""
    return ()


def no_older(*_: object) -> int | None:
    """Where no session lasts longer than a day."""
    return None


def no_texts(*_: object) -> Sequence[tuple[str, ...]] | None:
    """Where no texts are listed."""
    return None


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the catalogue is asked for while a query is understood.

    Attributes
    ----------
    naming : Naming
        Other names of a sample: ``sample:S-12`` asks for each of them.
    looking : Looking
        Texts that have a part: ``instrument:*Titan*`` asks for each of them.
    owning : Naming
        Users who retired and were followed: what was theirs is found by ``owner:`` and their successor.
    lasting : Lasting
        The oldest session that began before some days and lasted into them: ``date:2026-03-14`` finds it, too.
    """

    naming: Naming = no_names
    looking: Looking = no_texts
    owning: Naming = no_names
    lasting: Lasting = no_older


def understand(query: str, tree: Tree, *, denied: bool = False, lookup: Lookup | None = None) -> Condition:
    """What a query means, denials moved down to its leaves.

    Parameters
    ----------
    query : str
        As it was written.
    tree : Tree
        The same, parsed.
    denied : bool
        Whether the opposite is meant.
    lookup : Lookup, optional
        What the catalogue is asked for; by default it knows nothing.

    Raises
    ------
    UsageError
        A name is not known, or a value does not fit it; points at the word.
    """
    lookup = lookup or Lookup()
    if isinstance(tree, Everything):
        return AllOf(())
    if isinstance(tree, Not):
        return understand(query, tree.part, denied=not denied, lookup=lookup)
    if isinstance(tree, And):
        together = one_judgement([understand(query, part, lookup=lookup) for part in tree.parts])
        return _denied(together) if denied else together
    if isinstance(tree, Or):
        parts = tuple(understand(query, part, denied=denied, lookup=lookup) for part in tree.parts)
        return AllOf(parts) if denied else AnyOf(parts)
    condition = _term(query, tree, lookup)
    return _denied(condition) if denied != (tree.operator == "!=") else condition


def one_judgement(parts: Sequence[Condition]) -> Condition:
    """All of some parts, where what is asked of judgements is asked of one and the same.

    ``(quality:reject or HAADF) purpose:EELS`` becomes ``quality:reject purpose:EELS or HAADF purpose:EELS``: of either
    way one judgement is asked.

    Raises
    ------
    UsageError
        There are too many ways.
    """
    flat = [one for part in parts for one in (part.parts if isinstance(part, AllOf) else (part,))]
    judging = [part for part in flat if _judges(part)]
    if len(judging) < 2 or all(isinstance(part, Judged | Unjudged) for part in judging):
        return _together(flat)
    ways = [part.parts if isinstance(part, AnyOf) else (part,) for part in judging]
    if math.prod(map(len, ways)) > MAX_JUDGEMENTS:
        raise UsageError(
            f"the search asks for more than {MAX_JUDGEMENTS} combinations of assessments", next="Ask for fewer at once."
        )
    either = AnyOf(tuple(dict.fromkeys(one_judgement(way) for way in itertools.product(*ways))))
    rest = [part for part in flat if part not in judging]
    return AllOf((*rest, either)) if rest else either


def _judges(condition: Condition) -> bool:
    """Whether what is asked of a judgement may become part of the question."""
    if isinstance(condition, AllOf | AnyOf):
        return any(map(_judges, condition.parts))
    return isinstance(condition, Judged | Unjudged)


def _together(parts: Iterable[Condition]) -> Condition:
    """All of some parts; two that are of one judgement become one."""
    kept: list[Condition] = []
    for part in parts:
        _join(kept, part)
    if Unjudged() in kept and any(isinstance(part, Judged) for part in kept):
        return NOTHING  # what nobody has judged, somebody has judged: it need not be looked for
    return kept[0] if len(kept) == 1 else AllOf(tuple(kept))


def _join(kept: list[Condition], part: Condition) -> None:
    """Add a part, to another one where both are of one judgement."""
    for place, other in enumerate(kept):
        both = joined(other, part) if isinstance(other, Judged) and isinstance(part, Judged) else None
        if both is not None:
            kept[place] = both
            return
    kept.append(part)


def _denied(condition: Condition) -> Condition:
    if isinstance(condition, AllOf | AnyOf):
        parts = tuple(map(_denied, condition.parts))
        return AnyOf(parts) if isinstance(condition, AllOf) else AllOf(parts)
    if isinstance(condition, Unjudged):  # what somebody has judged is listed too
        return Judged()
    if condition == Judged():
        return Unjudged()
    return condition.part if isinstance(condition, Deny) else Deny(condition)


def _term(query: str, term: Term, lookup: Lookup) -> Condition:
    operator = "=" if term.operator == "!=" else term.operator
    if term.key is None:
        return _word(query, term.value)
    key = _key(query, term.key)
    value = term.value
    try:
        if key.kind == "text" and operator in (":", "=") and _is_inside(value.text):
            return _inside(key, operator, value.text, lookup.looking)
        condition = _condition(key, operator, value.text)
        if key.kind == "day" and isinstance(condition, Days):
            return _lasting(condition, lookup.lasting)
        if key.name == facts.OWNER and isinstance(condition, Phrase):
            others = tuple(Phrase(condition.keys, name, whole=True) for name in lookup.owning(condition.words))
            return replace(condition, others=others)
        return (
            _by_any_name(condition, lookup.naming) if key.name == vocabulary.SAMPLE and operator == ":" else condition
        )
    except Unreadable as error:
        raise pointing(query, value.start, value.end, error.why, next=error.instead) from None


def _key(query: str, piece: Piece) -> Key:
    key = vocabulary.find(piece.text)
    if key is None:
        what, advice = f"there is no field '{piece.text}'", "If it is part of a text, put the whole in double quotes."
        if ends := vocabulary.several(piece.text):
            what, advice = f"'{piece.text}' may be several fields", f"Write one of {', '.join(ends)}."
        elif close := vocabulary.near(piece.text):
            advice = f"Did you mean {' or '.join(close)}?"
        raise pointing(query, piece.start, piece.end, what, next=advice)
    return key


def _word(query: str, piece: Piece) -> Condition:
    """A word alone: somewhere in the texts, or the beginning of an id."""
    try:
        phrase = _phrase((), piece.text, whole=False)
    except Unreadable as error:
        raise pointing(query, piece.start, piece.end, error.why, next=error.instead) from None
    digits = piece.text.lower()
    return AnyOf((phrase, Begins(digits))) if _HEX.match(digits) else phrase


def _condition(key: Key, operator: str, text: str) -> Condition:
    if key.kind in _TEXTUAL:
        if operator in _ORDERED:
            raise Unreadable(
                f"'{key.name}' is a text, and has no order", f"Write {key.name}:{text} or {key.name}={text}."
            )
        return _textual(key, operator, text)
    if key.kind in ("day", "ingested", "time"):
        return _dated(key, operator, text)
    low, high = _interval(key, operator, text)
    return Between(key.of, low, high) if key.kind == "number" else Count(key.of[0], low, high)


def _textual(key: Key, operator: str, text: str) -> Condition:
    if key.kind == "store":
        return InStore(text)
    if key.kind == "text":
        return _phrase(key.of, text, whole=operator == "=")
    if key.kind in JUDGEMENTS:
        return judgement(key.kind, text)
    digits = text.strip().lower().removeprefix("diadem:")
    if not re.fullmatch(r"[0-9a-f]{1,64}", digits):
        raise Unreadable(f"'{text}' is not the beginning of an id", "An id is made of the digits 0-9 and a-f.")
    return Begins(digits) if key.kind == "id" else Linked(digits, above=key.kind == "used-for")


def _phrase(keys: tuple[str, ...], text: str, *, whole: bool) -> Phrase:
    is_open = text.endswith("*")
    inner = text.removeprefix("*").removesuffix("*")
    found = tuple(words(inner))
    if not found:
        raise Unreadable(f"there is no letter or digit in '{text}'")
    if _is_inside(text) and "*" not in inner:
        raise Unreadable(
            "a * at the beginning of a word needs a field", f"Write for example instrument:{text} or sample:{text}."
        )
    if "*" in inner or (is_open and not inner[-1].isalnum()):
        raise Unreadable("a * is allowed only at the beginning or the end of a word, for anything that may be there")
    return Phrase(keys, found, open=is_open, whole=whole)


def _is_inside(text: str) -> bool:
    """Whether a text may begin in the middle of a word: ``*Titan``; the point of ``*.dm4`` begins one anyhow."""
    return text.startswith("*") and text[1:2].isalnum()


def _inside(key: Key, operator: str, text: str, looking: Looking) -> Condition:
    """A part of a text, wherever it begins: one of all texts that have it."""
    plain = _phrase(key.of, text[1:], whole=False)
    part = " ".join(plain.words) + ("" if plain.open else " ")
    texts = looking(key.of, part, operator == "=" and not plain.open)
    if texts is None:
        raise Unreadable(
            f"a * at the beginning of a word is not possible in '{key.name}', of which no list of all texts is kept",
            f"Write {key.name}:{text[1:]}, or ask for instrument, sample, person, detector, technique, format.",
        )
    if len(texts) > MAX_NAMES:
        raise Unreadable(f"more than {MAX_NAMES:,} different texts have '{text}' in them", "Write more letters.")
    phrases = [Phrase(key.of, found, whole=True) for found in texts]
    return replace(phrases[0], others=tuple(phrases[1:])) if phrases else NOTHING


def _by_any_name(condition: Condition, naming: Naming) -> Condition:
    """A sample by every name that it may have been recorded under; a beginning of a name is not a name."""
    if not isinstance(condition, Phrase) or condition.open:
        return condition
    others = [_name(condition.keys, name) for name in needed(condition.words, naming(condition.words))]
    if len(others) > MAX_NAMES:
        raise Unreadable(
            f"the sample and its parts have {len(others):,} names, and one search asks for {MAX_NAMES:,} at most",
            "Ask for some of its parts.",
        )
    return replace(condition, others=tuple(others))


def any_name(keys: tuple[str, ...], names: Iterable[tuple[str, ...]]) -> Phrase | None:
    """One of several names of samples; None for none."""
    parts = [_name(keys, name) for name in needed((), names)]
    return replace(parts[0], others=tuple(parts[1:])) if parts else None


def _name(keys: tuple[str, ...], name: tuple[str, ...]) -> Phrase:
    """One name: its words stand in the text; one that is too short to tell anything is all of it."""
    return Phrase(keys, name, whole=is_short(name))


def _limits(operator: str, text: str) -> tuple[str | None, str | None]:
    """Lower and upper text of a range; the same twice for one value; the operator's, with None for no limit."""
    if operator in ("<", "<="):
        return None, text
    if operator in (">", ">="):
        return text, None
    first, dots, last = text.partition("..")
    if not dots:
        return text, text
    if not first and not last:
        raise Unreadable("a range needs a beginning or an end", "Write for example 100kV..300kV, or 2026-01..2026-03.")
    return first or None, last or None


def _interval(key: Key, operator: str, text: str) -> tuple[float, float]:
    """Limits of a number, both included."""
    lower, upper = _limits(operator, text)
    upper_unit = split(upper)[1] if upper is not None else ""
    low = _number(key, lower, upper_unit) if lower is not None else -math.inf
    high = _number(key, upper, "") if upper is not None else math.inf
    if low > high:
        raise Unreadable("the range ends before it begins")
    margin = around if key.kind == "number" else _exactly
    if operator == "<":
        return -math.inf, math.nextafter(margin(high)[0], -math.inf)
    if operator == ">":
        return math.nextafter(margin(low)[1], math.inf), math.inf
    return margin(low)[0] if lower is not None else low, margin(high)[1] if upper is not None else high


def _exactly(number: float) -> tuple[float, float]:
    """Files are counted."""
    return number, number


def _number(key: Key, text: str, otherwise: str) -> float:
    """A number in the unit of its key; without a unit it has the other limit's, else the key's own."""
    number, written = split(text)
    written = written or otherwise
    if key.kind == "size":
        return in_bytes(number, written)
    if key.kind == "count":
        return in_unit(number, written, "")
    return in_unit(number, written or key.bare, key.unit)


def _dated(key: Key, operator: str, text: str) -> Condition:
    """A span of days, of moments of archiving, or of times that instruments noted."""
    low, high = _span(operator, text, in_utc=key.kind == "ingested")
    if key.kind == "day":
        if any(limit is not None and limit.time() != _MIDNIGHT for limit in (low, high)):
            raise Unreadable("a session has a day, and no time of day", "Ask for acquired>=2026-03-14T09:30.")
        return Days(*day_range(low.date() if low else None, high.date() if high else None))
    if key.kind == "ingested":
        return Ingested(low.isoformat() + "Z" if low else None, high.isoformat() + "Z" if high else None)
    first = (low - _EPOCH).total_seconds() if low else -math.inf
    end = (high - _EPOCH).total_seconds() if high else math.inf
    return Between(key.of, first, math.nextafter(end, -math.inf))


def _lasting(days: Days, lasting: Lasting) -> Condition:
    """Sessions that began on some days, or before and lasted into them.

    From the oldest of these on all are looked at: mostly there is none, and the days alone are counted by their keys.
    """
    since = (datetime.datetime.fromordinal(days.low >> ID_BITS) - _EPOCH).total_seconds()
    oldest = lasting(days.low, since)
    if oldest is None:
        return days
    return AllOf((Days(oldest, days.high), AnyOf((days, Between((facts.SESSION_END,), since, math.inf)))))


def _span(operator: str, text: str, *, in_utc: bool) -> tuple[datetime.datetime | None, datetime.datetime | None]:
    """Beginning, and end that is not of it; None for no limit."""
    lower, upper = _limits(operator, text)
    begin = period(lower, in_utc=in_utc) if lower is not None else None
    end = period(upper, in_utc=in_utc) if upper is not None else None
    if operator == ">":
        return (begin[1] or _LAST) if begin else None, None
    if operator == "<":
        return None, end[0] if end else None
    if begin and end and begin[0] > end[0]:
        raise Unreadable("the range ends before it begins")
    return begin[0] if begin else None, end[1] if end else None
