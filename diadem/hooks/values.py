"""What a `formats.toml` asks of the values in a tree, and what it makes of them: conditions, words, parts, numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Number
from typing import Any, Final

from diadem.hooks.fields import Dropped, Tree, look_up, places_of
from diadem.hooks.manifest import Document, Path, Said, several
from diadem.hooks.text import number, positive
from diadem.terms.fields import symbols_of

#: Letters of a text that a pattern is tried on: on 20,000 one with two stars takes minutes.
LONGEST: Final = 4096


def _symbols(raw: Any) -> list[str] | None:
    """Symbols of atomic numbers in a list or a text, ``8,27,16``; numbers above fermium's are leftovers of memory."""
    numbers = filter(str.strip, re.split("[,;]", raw)) if isinstance(raw, str) else raw
    return symbols_of(map(int, numbers), last=100) or None


#: Words for `read`.
_READS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "number": number,
    "positive": positive,
    "nonzero": lambda raw: number(raw) or None,
    "absolute": lambda raw: None if (found := number(raw)) is None else abs(found),
    "symbols": _symbols,
    "text": lambda raw: None if isinstance(raw, (Mapping, list)) else " ".join(str(raw).split()),
}


# -- when a statement counts ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Need:
    """One of the things that a condition asks, all of which must hold.

    `name` is a condition's own, or the key of a value; of a value `test` is what is asked, and `values` those that come
    into question, where they are few.
    """

    name: str
    holds: Callable[[Tree], bool]
    test: Callable[[Any], bool] | None = None
    values: Sequence[Any] = ()


def needs(of: Document, said: Any, base: str, path: Path) -> list[Need]:
    """What a condition asks; keys are from its base. Raises `PluginError` where it cannot be understood."""
    if isinstance(said, list):
        return [need for one in said for need in needs(of, one, base, path)]
    if isinstance(said, str):
        return _named(of, said, base, path)
    if "all_same" in said:
        places = absolute(base, said["all_same"])
        return [Need("", lambda tree: len({str(look_up(tree, place)) for place in places_of(tree, places)}) == 1)]
    if "nonzero" in said:
        keys = [absolute(base, key) for key in several(said["nonzero"])]
        return [Need("", lambda tree: any(number(look_up(tree, key)) for key in keys))]
    key = absolute(base, said["key"])
    values = [*several(said.get("is", [])), *([None] if said.get("exists") is False else [])]
    return [_about(key, test, values) for test in _tests(of, said, path)]


def _named(of: Document, said: str, base: str, path: Path) -> list[Need]:
    """A condition of the document's `when`, its contrary, or a function."""
    if said.startswith("not "):
        inner = needs(of, said[4:].strip(), base, path)
        return [Need(said, lambda tree: not all(need.holds(tree) for need in inner))]
    if ":" in said:
        return [Need(said, of.named(said, path))]
    if said not in (known := of.content.get("when", {})):
        raise of.fault(path, f"there is no condition '{said}'; [when] has {', '.join(known) or 'none'}")
    try:
        return [Need(said, lambda _: True), *needs(of, known[said], "", ("when", said))]
    except RecursionError:
        raise of.fault(("when", said), "the condition refers to itself") from None


def _about(key: str, test: Callable[[Any], bool], values: Sequence[Any]) -> Need:
    return Need(key, lambda tree: test(look_up(tree, key)), test, values)


def _tests(of: Document, said: Any, path: Path) -> Iterator[Callable[[Any], bool]]:
    """What is asked of the value at a key."""
    words, others = ({word_of(one) for one in several(said.get(name, []))} for name in ("is", "is_not"))
    if "exists" in said:
        yield lambda raw: (raw is not None) is said["exists"]
    if words:
        yield lambda raw: raw is not None and word_of(raw) in words
    if others:
        yield lambda raw: raw is None or word_of(raw) not in others
    if "matches" in said:
        pattern = of.pattern(said["matches"], (*path, "matches"))
        yield lambda raw: raw is not None and pattern.search(str(raw)[:LONGEST]) is not None
    if "above" in said:
        yield lambda raw: (size := number(raw)) is not None and size > said["above"]


def contradictions(asked: Sequence[Need]) -> Iterator[str]:
    """Why no block can meet a condition, in words."""
    names = {need.name for need in asked if need.test is None}
    for name in sorted(name for name in names if f"not {name}" in names):
        yield f"nothing meets both '{name}' and 'not {name}'"
    for key in dict.fromkeys(need.name for need in asked if need.test is not None):
        tests = [need.test for need in asked if need.name == key and need.test is not None]
        values = [value for need in asked if need.name == key for value in need.values]
        if values and not any(all(test(value) for test in tests) for value in values):
            yield f"no value at '{key}' can meet it"


def absolute(base: str, key: str) -> str:
    """A key from the root of the tree: one that begins with / has no base before it."""
    return key[1:] if key.startswith("/") else f"{base}{key}"


def word_of(raw: Any) -> str:
    """A value as it is compared: without regard to large letters, whole numbers without a point."""
    whole = isinstance(raw, float) and raw.is_integer()
    return str(int(raw) if whole else raw).strip().casefold()


# -- what is made of a value ----------------------------------------------------------------------------------------


def reader(of: Document, said: Said, path: Path) -> Callable[[Any], Any] | None:
    """What is made of a raw value: part of it, the word that it means, a number, one that can be."""
    steps: list[Callable[[Any], Any]] = [_written] if said.keys() & {"part", "into"} else []
    if "part" in said:
        part = of.pattern(said["part"], (*path, "part"))
        if part.groups != 1:
            of.doubt((*path, "part"), "the pattern has one group, ( ), which is the value")
        steps.append(lambda raw: match[1].strip() if (match := part.fullmatch(_short(str(raw).strip()))) else None)
    if "means" in said:
        words = [re.escape(word_of(word)).replace(r"\*", ".*") for word in said["means"]]
        means = [(re.compile(word, re.DOTALL), to) for word, to in zip(words, said["means"].values(), strict=True)]
        steps.append(lambda raw: next((to for word, to in means if word.fullmatch(_short(word_of(raw)))), None))
    if "read" in said:
        steps.append(_READS.get(said["read"]) or of.named(said["read"], (*path, "read")))
    if "into" in said:
        steps.append(lambda raw: said["into"].replace("*", text) if (text := str(raw).strip()) else None)
    if "within" in said:
        low, high = said["within"]
        steps.append(lambda value: value if (size := number(value)) is not None and low <= abs(size) <= high else None)

    def read(raw: Any) -> Any:
        for step in steps:
            raw = None if raw is None else step(raw)
        return raw

    return read if steps else None


def _written(raw: Any) -> Any:
    """A text, or a number that is one: zero, a list or a group of tags stands where nobody has written anything."""
    number_ = isinstance(raw, Number) and not isinstance(raw, bool)
    return raw if isinstance(raw, str) or (number_ and raw != 0) else None


def _short(text: str) -> str:
    """A text that a pattern must match whole; of a longer one a part would be another text."""
    if len(text) > LONGEST:
        raise Dropped(f"the text has {len(text):,} characters; patterns are tried on at most {LONGEST:,}")
    return text
