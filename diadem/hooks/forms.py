"""Forms of statements that look at more than one key, or at none but whether it is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from diadem.hooks.fields import Derived, Dropped, Found, Rule, Tree, look_up, stated
from diadem.hooks.text import number
from diadem.hooks.times import moments
from diadem.terms.dates import exif, from_epoch, from_filetime, from_ole, iso, moments_of

Condition = Callable[[Tree], bool]

_LOCAL: Final[Mapping[str, Callable[[Any], Any]]] = {"iso": iso, "exif": exif, "ole": from_ole}
_INSTANT: Final[Mapping[str, Callable[[Any], Any]]] = {
    "epoch": lambda raw: from_epoch(float(raw)),
    "filetime": lambda raw: from_filetime(int(raw)),
}


def found(rule: Rule | Derived, tree: Tree) -> Iterable[Found]:
    """What a rule finds in a tree; raises `Dropped`, and what the rule raises."""
    return stated(rule, tree) if isinstance(rule, Rule) else rule.read(tree)


def _require(when: Condition | None, tree: Tree) -> None:
    if when is not None and not when(tree):
        raise Dropped("its condition is not met")


def first(rules: Sequence[Rule | Derived], tree: Tree) -> Iterator[Found]:
    """What the first of several rules finds that finds something; zero and an empty text are nothing."""
    reasons: list[str] = []
    for rule in rules:
        try:
            several = [one for one in found(rule, tree) if one.value != "" and number(one.value) != 0]
        except Dropped as why:
            reasons.append(str(why))
            continue
        if several:
            yield from several
            return
    if reasons:
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
    several = list(moments(field, " + ".join(keys), shown, local=local, instant=instant, same=same))
    if not several:
        raise Dropped(f"{shown!r} is no time")
    yield from several


def _first_time(reads: Mapping[str, Callable[[Any], Any]], raw: Mapping[str, Any]) -> Any:
    return next((moment for name, read in reads.items() if name in raw and (moment := read(raw[name]))), None)
