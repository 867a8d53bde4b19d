"""Forms of statements that look at more than one key, or at none but whether it is there; and when statements count."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from diadem.hooks.fields import Derived, Dropped, Found, Rule, Tree, look_up, stated
from diadem.hooks.manifest import Document, Path, several
from diadem.hooks.text import number
from diadem.hooks.times import moments
from diadem.terms.dates import exif, from_epoch, from_filetime, from_ole, iso, moments_of

Condition = Callable[[Tree], bool]
#: A part of a base that stands for several places.
WILD: Final = re.compile(r"(?:^|(?<=/))\*(?=/|$)|\[\](?=/|$)")

_LOCAL: Final[Mapping[str, Callable[[Any], Any]]] = {"iso": iso, "exif": exif, "ole": from_ole}
_INSTANT: Final[Mapping[str, Callable[[Any], Any]]] = {
    "epoch": lambda raw: None if (seconds := number(raw)) is None else from_epoch(seconds),
    "filetime": lambda raw: from_filetime(int(raw)) if str(raw).strip().isdecimal() else None,
}


def found(rule: Rule | Derived, tree: Tree) -> Iterable[Found]:
    """What a rule finds in a tree; raises `Dropped`, and what the rule raises."""
    return stated(rule, tree) if isinstance(rule, Rule) else rule.read(tree)


def _require(when: Condition | None, tree: Tree) -> None:
    if when is not None and not when(tree):
        raise Dropped("its condition is not met")


def first(rules: Sequence[Rule | Derived], tree: Tree) -> Iterator[Found]:
    """What the first of several rules finds that finds something; an empty text is nothing, zero is the last choice."""
    reasons: list[str] = []
    zeros: list[Found] = []
    for rule in rules:
        try:
            values = [one for one in found(rule, tree) if str(one.value).strip()]
        except Dropped as why:
            reasons.append(str(why))
            continue
        if any(number(one.value) != 0 for one in values):
            yield from values
            return
        zeros = zeros or values
    yield from zeros
    if reasons and not zeros:
        raise Dropped("; ".join(reasons))


def constant(
    field: str, value: Any, key: str, unit: str, status: str, when: Condition | None, tree: Tree
) -> Iterator[Found]:
    """A value that follows from a key's being there."""
    raw = look_up(tree, key)
    if raw is not None:
        _require(when, tree)
        seen = key.rpartition("/")[2] if isinstance(raw, (Mapping, list)) else raw
        yield Found(field, value, key, seen, unit, status)


def joined(
    field: str, keys: Sequence[str], between: str, status: str, when: Condition | None, tree: Tree
) -> Iterator[Found]:
    """Texts put together; none without the first of them."""
    raw = [look_up(tree, key) for key in keys]
    if raw[0] not in (None, ""):
        _require(when, tree)
        value = between.join(text for one in raw if (text := str("" if one is None else one).strip()))
        yield Found(field, value, " + ".join(keys), raw, status=status or "stated")


def equal(
    field: str, keys: Sequence[str], unit: str, status: str, when: Condition | None, tree: Tree
) -> Iterator[Found]:
    """A number that stands at two keys, or twice at one: ``2,2``."""
    raw = [look_up(tree, key) for key in keys]
    if any(one is None for one in raw):
        return
    _require(when, tree)
    pair = raw if len(raw) > 1 else raw[0] if isinstance(raw[0], (list, tuple)) else re.split(r"[^\d.]+", str(raw[0]))
    numbers = [number(one) for one in pair]
    if len(numbers) < 2 or None in numbers or len(set(numbers)) > 1:
        raise Dropped(f"{raw!r} are not the same")
    yield Found(field, numbers[0], keys[0], raw[0], unit, status)


def time(field: str, places: Mapping[str, str], when: Condition | None, tree: Tree) -> Iterator[Found]:
    """A time: local, or an instant, or both, of which the offset follows.

    `places` are keys by what stands there: ``iso``, ``exif``, ``ole``, ``date`` and ``clock``, ``epoch``, ``filetime``;
    and ``same``, a time like ``exif`` of the same event, which tells day from month.
    """
    raw = {name: there for name, key in places.items() if (there := look_up(tree, key)) not in (None, "")}
    local = _first_time(_LOCAL, raw)
    if local is None and "date" in raw:
        written = str(raw["date"])
        date, clock = (written, str(raw.get("clock", ""))) if "clock" in places else written.strip().partition(" ")[::2]
        local = moments_of(date, clock)
    used = [name for name in places if name in raw and name != "same"]
    if not used:
        return
    _require(when, tree)
    keys = list(dict.fromkeys(places[name] for name in used))
    shown = raw[used[0]] if len(keys) == 1 else " ".join(str(raw[name]) for name in used)
    instant, same = _first_time(_INSTANT, raw), exif(raw.get("same"))
    times = list(moments(field, " + ".join(keys), shown, local=local, instant=instant, same=same))
    if not times:
        raise Dropped(f"{shown!r} is no time")
    yield from times


def _first_time(reads: Mapping[str, Callable[[Any], Any]], raw: Mapping[str, Any]) -> Any:
    return next((moment for name, read in reads.items() if name in raw and (moment := read(raw[name]))), None)


def condition(family: Document, said: Any, base: str, path: Path) -> Condition | None:
    """When a statement counts; keys are from its base."""
    if said is None:
        return None
    if isinstance(said, list):
        parts = [condition(family, one, base, path) for one in said]
        return lambda tree: all(part is None or part(tree) for part in parts)
    if isinstance(said, str):
        return _known(family, said, path)

    def full(key: str) -> str:
        return key[1:] if key.startswith("/") else f"{base}{key}"

    def at(tree: Tree, key: str) -> Any:
        return look_up(tree, full(key))

    if "all_same" in said:
        places = full(said["all_same"])
        return lambda tree: len({str(look_up(tree, place)) for place in places_of(tree, places)}) == 1
    if "nonzero" in said:
        return lambda tree: any(number(at(tree, key)) for key in several(said["nonzero"]))
    pattern = pattern_of(family, said["matches"], (*path, "when", "matches")) if "matches" in said else None
    words, others = ({word_of(one) for one in several(said.get(name, []))} for name in ("is", "is_not"))

    def met(tree: Tree) -> bool:
        raw = at(tree, said["key"])
        return (
            ("exists" not in said or (raw is not None) is said["exists"])
            and (not words or (raw is not None and word_of(raw) in words))
            and (not others or raw is None or word_of(raw) not in others)
            and (pattern is None or (raw is not None and pattern.search(str(raw)) is not None))
            and ("above" not in said or ((size := number(raw)) is not None and size > said["above"]))
        )

    return met


def _known(family: Document, name: str, path: Path) -> Condition:
    """A condition by its name, or a Python function."""
    if name.startswith("not "):
        inner = _known(family, name[4:].strip(), path)
        return lambda tree: not inner(tree)
    if ":" in name:
        function: Condition = family.named(name, (*path, "when"))
        return function
    conditions = family.content.get("when", {})
    if name not in conditions:
        raise family.fault(
            (*path, "when"), f"there is no condition '{name}'; [when] has {', '.join(conditions) or 'none'}"
        )
    found = condition(family, conditions[name], "", ("when", name))
    assert found is not None
    return found


def pattern_of(family: Document, text: str, path: Path) -> re.Pattern[str]:
    """A regular expression as it is written."""
    try:
        return re.compile(text, re.IGNORECASE | re.DOTALL)
    except re.error as error:
        raise family.fault(path, f"{text!r} is no regular expression: {error}") from error


def word_of(raw: Any) -> str:
    """A value as it is compared: without regard to large letters, whole numbers without a point."""
    whole = isinstance(raw, float) and raw.is_integer()
    return str(int(raw) if whole else raw).strip().casefold()


def places_of(tree: Tree, base: str) -> Iterator[str]:
    """Bases without ``*`` and ``[]``: each section or item of what is there; each item of a list, or the one thing."""
    wild = WILD.search(base)
    if wild is None:
        yield base
        return
    before, behind = base[: wild.start()], base[wild.end() :]
    there = look_up(tree, before.rstrip("/"))
    if wild[0] == "[]" and isinstance(there, Mapping):
        yield from places_of(tree, before + behind)
        return
    inner = before if wild[0] == "*" else f"{before}/"
    items: Iterable[tuple[Any, Any]] = there.items() if isinstance(there, Mapping) else ()
    for name, item in enumerate(there) if isinstance(there, list) else items:
        if isinstance(item, (Mapping, list)):
            yield from places_of(tree, f"{inner}{name}{behind}")
