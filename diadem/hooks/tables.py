"""Tables as TOML: what the values of a vendor's blocks mean, as a person of the field can read, check and mend it.

Each ``[[table]]`` of a plugin's `formats.toml` is for blocks of a kind. Its groups have in common what they say; each
of their fields names a key, or says more in a table of its own. Out come `Rule` and `Derived` objects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any, Final

from diadem.errors import PluginError
from diadem.hooks.fields import WILD, Derived, Dropped, Found, Rule, Table, Tree, look_up, places_of, stated
from diadem.hooks.manifest import FILE, Document, Path, Said, document, several
from diadem.hooks.offers import target
from diadem.hooks.text import number, positive
from diadem.hooks.times import PARTS, written

Condition = Callable[[Tree], bool]
#: Letters of a text that a pattern is tried on: on 20,000 one with two stars takes minutes.
LONGEST: Final = 4096
#: Words for `read`.
_READS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "number": number,
    "positive": positive,
    "nonzero": lambda raw: number(raw) or None,
    "absolute": lambda raw: None if (found := number(raw)) is None else abs(found),
    "text": lambda raw: None if isinstance(raw, (Mapping, list)) else " ".join(str(raw).split()),
}


def table(address: str) -> Table:
    """A table by its address.

    Parameters
    ----------
    address : str
        ``package/kind``: of blocks of a kind, in the package's `formats.toml`; ``module:NAME``: written in Python.

    Raises
    ------
    PluginError
        The file, or a statement in it, has a fault: its message names file, line and rule.
    Exception
        What the import of a Python module raises.
    """
    package, slash, kind = address.partition("/")
    if not slash:
        found: Table = target(address)
        return found
    if kind not in (known := tables(package)):
        raise PluginError(f"the {FILE} of {package} has no table for blocks '{kind}'; it has {', '.join(known)}")
    return known[kind]


@cache
def tables(package: str) -> Mapping[str, Table]:
    """All tables of a package's `formats.toml` by the kind of block; several of one kind follow one another."""
    if (found := document(package)) is None:
        raise PluginError(f"the package {package} has no {FILE}")
    made: dict[str, list[Rule | Derived]] = {}
    for kind, field, said, path in statements(found):
        made.setdefault(kind, []).extend(rules(found, field, said, path))
    return made


def statements(of: Document) -> Iterator[tuple[str, str, Said, Path]]:
    """Kind of block, field ("" for a function), all that is said of it with what table and group say, and where."""
    for place, one in enumerate(of.content.get("table", ())):
        for at, group in enumerate(one["group"]):
            path: Path = ("table", place, "group", at)
            common = {key: said for key, said in {**one, **group}.items() if key not in ("block", "group", "fields")}
            # A function finds its own keys: of the table it is told the proof alone.
            own: list[tuple[str, Said, Path]] = (
                [("", {"proof": common.get("proof"), **group}, path)] if "python" in group else []
            )
            for field, said in group.get("fields", {}).items():
                own += [(field, _merged(common, single), (*path, "fields", field)) for single in several(said)]
            yield from ((kind, *each) for kind in several(one["block"]) for each in own)


def _merged(common: Said, one: Any) -> Said:
    return {**common, **({"key": one} if isinstance(one, str) else one)}


def rules(of: Document, field: str, said: Said, path: Path) -> Iterator[Rule | Derived]:
    """The rules of a statement, one for each base; one that looks when it is asked where a base stands for several.

    Raises
    ------
    PluginError
        The statement has a fault.
    """
    own = of.named(said["places"], (*path, "places")) if "places" in said else None
    for base in several(said.get("base", "")) if own is None else [""]:
        rule = _Statement(of, field, said, base, path).rule()
        if own is None and not WILD.search(base):
            yield rule
            continue

        def read(tree: Tree, base: str = base) -> Iterator[Found]:
            for place in own(tree) if own is not None else places_of(tree, base):
                try:
                    yield from _found(_Statement(of, field, said, place, path).rule(), tree)
                except Dropped:
                    continue

        yield Derived(_name(rule), read, rule.cite, _keys(rule))


def _name(rule: Rule | Derived) -> str:
    return rule.field if isinstance(rule, Rule) else rule.name


def _keys(rule: Rule | Derived) -> list[str]:
    return [rule.key] if isinstance(rule, Rule) else list(rule.keys)


def _found(rule: Rule | Derived, tree: Tree) -> Iterator[Found]:
    yield from stated(rule, tree) if isinstance(rule, Rule) else rule.read(tree)


class _Statement:
    """One statement of a field at a base, in whichever of its forms it is written."""

    def __init__(self, of: Document, field: str, said: Said, base: str, path: Path) -> None:
        if not said.get("proof"):
            raise of.fault(path, "nothing says how it is known", next="Add proof = '…' to it or to its group.")
        self.of, self.field, self.said, self.base, self.path = of, field, said, base, path
        self.proof, self.unit, self.status = str(said["proof"]), said.get("unit", ""), said.get("status", "")
        self.when = condition(of, said["when"], base, (*path, "when")) if "when" in said else None

    def rule(self) -> Rule | Derived:
        """The statement as the core applies it."""
        said, found = self.said, None
        if "python" in said:
            name = said.get("name") or said["python"].partition(":")[2].replace("_", "-")
            return Derived(
                name, partial(self._python, self.of.named(said["python"], (*self.path, "python"))), self.proof
            )
        if "first" in said:
            common = {key: value for key, value in said.items() if key != "first"}
            own = [_Statement(self.of, self.field, _merged(common, one), self.base, self.path) for one in said["first"]]
            several_ = [one.rule() for one in own]
            keys = [" + ".join(_keys(rule)) for rule in several_]
            found = partial(self._first, several_)
        elif places := {name: self._key(said[name]) for name in PARTS if name in said}:
            keys, found = list(dict.fromkeys(places.values())), partial(self._time, places)
        elif "join" in said or "equal" in said:
            keys = [self._key(key) for key in several(said.get("join", said.get("equal")))]
            found = partial(self._join if "join" in said else self._equal, keys)
        elif "key" in said:
            keys = [self._key(said["key"])]
            found = partial(self._constant, keys[0]) if "constant" in said else None
        else:
            raise self.of.fault(
                self.path, "nothing says where the value is: key, first, join, equal, or those of a time"
            )
        if found is not None:
            return Derived(self.field, found, self.proof, keys)
        beside = said["key"] + said["unit_at"] if "unit_at" in said else said.get("unit_key", "")
        unit_key = beside[1:] if beside.startswith("/") else f"{self.base}{beside}" if beside else ""
        read, drop = _reader(self.of, said, self.path), tuple(said.get("drop", ()))
        return Rule(self.field, keys[0], self.unit, read, drop, self.when, unit_key, self.proof, self.status)

    def _key(self, key: str) -> str:
        return key[1:] if key.startswith("/") else f"{self.base}{key}{self.said.get('value', '')}"

    def _require(self, tree: Tree) -> None:
        if self.when is not None and not self.when(tree):
            raise Dropped("its condition is not met")

    def _python(self, function: Callable[[Any], Any], tree: Tree) -> Iterator[Found]:
        """What a function finds, for what is not data: it gets what lies at the base, and names keys from there."""
        if (below := look_up(tree, self.base.rstrip("/"))) is not None:
            self._require(tree)
            for found in function(below):
                keys = [part[1:] if part.startswith("/") else self.base + part for part in found.key.split(" + ")]
                yield replace(found, key=" + ".join(keys))

    def _first(self, rules: list[Rule | Derived], tree: Tree) -> Iterator[Found]:
        """What the first of several rules finds; an empty text is nothing, zero is the last choice."""
        reasons: list[str] = []
        zeros: list[Found] = []
        for rule in rules:
            try:
                values = [one for one in _found(rule, tree) if str(one.value).strip()]
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

    def _time(self, places: Mapping[str, str], tree: Tree) -> Iterator[Found]:
        raw = {name: there for name, key in places.items() if (there := look_up(tree, key)) not in (None, "")}
        if raw.keys() - {"same"}:
            self._require(tree)
            times = list(written(self.field, places, raw))
            if not times:
                raise Dropped(f"{' '.join(map(str, raw.values()))!r} is no time")
            yield from times

    def _constant(self, key: str, tree: Tree) -> Iterator[Found]:
        """A value that follows from a key's being there."""
        if (raw := look_up(tree, key)) is not None:
            self._require(tree)
            seen = key.rpartition("/")[2] if isinstance(raw, (Mapping, list)) else raw
            yield Found(self.field, self.said["constant"], key, seen, self.unit, self.status or "derived")

    def _join(self, keys: list[str], tree: Tree) -> Iterator[Found]:
        """Texts put together; none without the first of them."""
        raw = [look_up(tree, key) for key in keys]
        if raw[0] not in (None, ""):
            self._require(tree)
            texts = [text for one in raw if (text := str("" if one is None else one).strip())]
            value = self.said.get("with", " ").join(texts)
            yield Found(self.field, value, " + ".join(keys), raw, status=self.status or "stated")

    def _equal(self, keys: list[str], tree: Tree) -> Iterator[Found]:
        """A number that stands at two keys, or twice at one: ``2,2``."""
        raw = [look_up(tree, key) for key in keys]
        if any(one is None for one in raw):
            return
        self._require(tree)
        one = raw[0]
        pair = raw if len(raw) > 1 else re.split(r"[^\d.]+", str(one)) if isinstance(one, (str, int, float)) else one
        numbers = [number(each) for each in pair]
        if len(numbers) < 2 or None in numbers or len(set(numbers)) > 1:
            raise Dropped(f"{raw!r} are not the same")
        yield Found(self.field, numbers[0], keys[0], one, self.unit, self.status)


def _reader(of: Document, said: Said, path: Path) -> Callable[[Any], Any] | None:
    """What is made of a raw value: part of it, the word that it means, a number, one that can be."""
    steps: list[Callable[[Any], Any]] = []
    if "part" in said:
        part = pattern_of(of, said["part"], (*path, "part"))
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


def condition(of: Document, said: Any, base: str, path: Path) -> Condition:
    """When a statement counts; keys are from its base.

    Raises
    ------
    PluginError
        There is no such condition or function, or a pattern is none.
    """
    if isinstance(said, list):
        parts = [condition(of, one, base, path) for one in said]
        return lambda tree: all(part(tree) for part in parts)
    if isinstance(said, str):
        if said.startswith("not "):
            inner = condition(of, said[4:].strip(), base, path)
            return lambda tree: not inner(tree)
        if ":" in said:
            function: Condition = of.named(said, path)
            return function
        if said not in (known := of.content.get("when", {})):
            raise of.fault(path, f"there is no condition '{said}'; [when] has {', '.join(known) or 'none'}")
        try:
            return condition(of, known[said], "", ("when", said))
        except RecursionError:
            raise of.fault(("when", said), "the condition refers to itself") from None

    def at(tree: Tree, key: str) -> Any:
        return look_up(tree, key[1:] if key.startswith("/") else f"{base}{key}")

    if "all_same" in said:
        places = said["all_same"][1:] if said["all_same"].startswith("/") else f"{base}{said['all_same']}"
        return lambda tree: len({str(look_up(tree, place)) for place in places_of(tree, places)}) == 1
    if "nonzero" in said:
        return lambda tree: any(number(at(tree, key)) for key in several(said["nonzero"]))
    tests = tests_of(of, said, path)
    return lambda tree: all(test(at(tree, said["key"])) for test in tests)


def tests_of(of: Document, said: Said, path: Path) -> list[Callable[[Any], bool]]:
    """What a condition asks of the value at its key."""
    words, others = ({word_of(one) for one in several(said.get(name, []))} for name in ("is", "is_not"))
    tests: list[Callable[[Any], bool]] = []
    if "exists" in said:
        tests.append(lambda raw: (raw is not None) is said["exists"])
    if words:
        tests.append(lambda raw: raw is not None and word_of(raw) in words)
    if others:
        tests.append(lambda raw: raw is None or word_of(raw) not in others)
    if "matches" in said:
        pattern = pattern_of(of, said["matches"], (*path, "matches"))
        tests.append(lambda raw: raw is not None and pattern.search(str(raw)[:LONGEST]) is not None)
    if "above" in said:
        tests.append(lambda raw: (size := number(raw)) is not None and size > said["above"])
    return tests


def pattern_of(of: Document, text: str, path: Path) -> re.Pattern[str]:
    """A regular expression as it is written."""
    try:
        return re.compile(text, re.IGNORECASE | re.DOTALL)
    except re.error as error:
        raise of.fault(path, f"{text!r} is no regular expression: {error}") from error


def word_of(raw: Any) -> str:
    """A value as it is compared: without regard to large letters, whole numbers without a point."""
    whole = isinstance(raw, float) and raw.is_integer()
    return str(int(raw) if whole else raw).strip().casefold()


def _short(text: str) -> str:
    """A text that a pattern must match whole; of a longer one a part would be another text."""
    if len(text) > LONGEST:
        raise Dropped(f"the text has {len(text):,} letters, and patterns are tried on {LONGEST:,} at most")
    return text
