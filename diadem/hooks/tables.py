"""Tables as TOML: what the values of a vendor's blocks mean, as a person of the field can read, check and mend it.

Each ``[[table]]`` of a plugin's `formats.toml` is for blocks of a kind. Its groups have in common what they say; each
of their fields names a key, or says more in a table of its own. Out come `Rule` and `Derived` objects; what is said and
cannot be is noted on the way, for who asks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

from diadem.errors import PluginError
from diadem.hooks.fields import IN_TEXT, WILD, Derived, Dropped, Found, Rule, Table, Tree, look_up, places_of
from diadem.hooks.manifest import FILE, Document, Path, Said, required, several
from diadem.hooks.offers import target
from diadem.hooks.text import number
from diadem.hooks.times import PARTS, written
from diadem.hooks.values import absolute, contradictions, needs, reader
from diadem.terms import fields
from diadem.terms.units import convert, meanings


def table(address: str) -> Table:
    """A table by its address: ``package/kind`` of a package's `formats.toml`, or ``module:NAME``, written in Python.

    Raises `PluginError` where the file, or a statement in it, has a fault, and what the import of a module raises.
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
    return tables_of(required(package))


def tables_of(of: Document) -> Mapping[str, Table]:
    """The same of a document; a fault ends it, unless the document is being judged."""
    made: dict[str, list[Rule | Derived]] = {}
    for kind, field, said, path in _statements(of):
        rules = made.setdefault(kind, [])
        try:
            bases = [""] if "places" in said else several(said.get("base", ""))
            rules.extend(_rule(of, field, said, base, path) for base in bases)
        except PluginError as fault:
            if of.judged is None:
                raise
            of.judged.append(fault)
    return made


def _statements(of: Document) -> Iterator[tuple[str, str, Said, Path]]:
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


def _rule(of: Document, field: str, said: Said, base: str, path: Path) -> Rule | Derived:
    """The rule of a statement; one that looks when it is asked where its base stands for several places."""
    own = of.named(said["places"], (*path, "places")) if "places" in said else None
    rule = _Statement(of, field, said, base, path).rule()
    if own is None and not WILD.search(base):
        return rule

    def read(tree: Tree) -> Iterator[Found]:
        for place in places_of(tree, base) if own is None else own(tree):
            try:
                yield from _Statement(of, field, said, place, path).rule().find(tree)
            except Dropped:
                continue

    return Derived(rule.name, read, rule.cite, rule.keys)


class _Statement:
    """One statement of a field at a base, in whichever of its forms it is written."""

    def __init__(self, of: Document, field: str, said: Said, base: str, path: Path) -> None:
        if not said.get("proof"):
            raise of.fault(path, "nothing says how it is known", next="Add proof = '…' to it or to its group.")
        self.of, self.field, self.said, self.base, self.path = of, field, said, base, path
        self.proof, self.unit, self.status = str(said["proof"]), said.get("unit", ""), said.get("status", "")
        self.needs = needs(of, said["when"], base, (*path, "when")) if "when" in said else []

    def rule(self) -> Rule | Derived:
        """The statement as the core applies it."""
        said, found = self.said, None
        if "first" in said:
            common = {key: value for key, value in said.items() if key != "first"}
            own = [_Statement(self.of, self.field, _merged(common, one), self.base, self.path) for one in said["first"]]
            several_ = [one.rule() for one in own]
            keys = [" + ".join(rule.keys) for rule in several_]
            return Derived(self.field, partial(self._first, several_), self.proof, keys)
        self._judge()
        if "python" in said:
            name = said.get("name") or said["python"].partition(":")[2].replace("_", "-")
            function = self.of.named(said["python"], (*self.path, "python"))
            return Derived(name, partial(self._python, function), self.proof)
        if places := {name: self._key(said[name]) for name in PARTS if name in said}:
            keys, found = list(dict.fromkeys(places.values())), partial(self._time, places)
        elif "join" in said or "equal" in said:
            keys = [self._key(key) for key in several(said.get("join", said.get("equal")))]
            found = partial(self._join if "join" in said else self._equal, keys)
        elif "key" in said:
            keys = [self._key(said["key"])]
            found = partial(self._constant, keys[0]) if "constant" in said else None
        else:
            raise self.of.fault(
                self.path, "nothing says where the value is: key, first, join, equal, or parts of a time"
            )
        if found is not None:
            return Derived(self.field, found, self.proof, keys)
        beside = said["key"] + said["unit_at"] if "unit_at" in said else said.get("unit_key", "")
        unit_key = absolute(self.base, beside) if beside else ""
        read, drop = reader(self.of, said, self.path), tuple(said.get("drop", ()))
        when = self._met if self.needs else None
        return Rule(self.field, keys[0], self.unit, read, drop, when, unit_key, self.proof, self.status)

    def _judge(self) -> None:
        """Note what it says and cannot be."""
        of, said, path = self.of, self.said, self.path
        if of.judged is None:
            return
        beside = "unit_at" in said or "unit_key" in said
        if self.field and not fields.is_field(self.field):
            of.doubt(path, f"the record has no field '{self.field}'{near(self.field, fields.field_keys())}")
        elif self.field and (fault := unit_fault(self.field, self.unit, elsewhere=beside)):
            of.doubt((*path, "unit") if "unit" in said else path, fault)
        if "within" in said and said["within"][0] > said["within"][1]:
            of.doubt((*path, "within"), "no number is within these bounds: the first is larger than the second")
        for why in contradictions(self.needs):
            of.doubt((*path, "when"), why)

    def _key(self, key: str) -> str:
        return absolute(self.base, key if key.startswith("/") else key + self.said.get("value", ""))

    def _met(self, tree: Tree) -> bool:
        return all(need.holds(tree) for need in self.needs)

    def _require(self, tree: Tree) -> None:
        if not self._met(tree):
            raise Dropped("its condition is not met")

    def _python(self, function: Callable[[Any], Any], tree: Tree) -> Iterator[Found]:
        """What a function finds, for what is not data: it gets what lies at the base, and names keys from there."""
        if (below := look_up(tree, self.base.rstrip("/"))) is not None:
            self._require(tree)
            for found in function(below):
                yield replace(found, key=" + ".join(absolute(self.base, part) for part in found.key.split(" + ")))

    def _first(self, rules: list[Rule | Derived], tree: Tree) -> Iterator[Found]:
        """What the first of several rules finds; an empty text is nothing, zero is the last choice."""
        reasons: list[str] = []
        zeros: list[Found] = []
        for rule in rules:
            try:
                values = [one for one in rule.find(tree) if str(one.value).strip()]
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
                raise Dropped(f"{' '.join(map(str, raw.values()))!r} is not a time")
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


def unit_fault(field: str, unit: str, *, elsewhere: bool = False) -> str:
    """What is wrong with the unit of a statement, in words, or ""; `elsewhere`: whether the file says it, too."""
    wanted = fields.field(field).unit
    if unit not in ("", IN_TEXT) and not meanings(unit):
        return f"the unit '{unit}' is not known"
    if unit and not wanted:
        return f"the field has no unit, and the statement says '{unit}'"
    if not wanted or unit == IN_TEXT or elsewhere or convert(1.0, unit or "1", wanted) is not None:
        return ""
    return f"the statement says {repr(unit) if unit else 'no unit'}, which does not convert to the field's, {wanted}"


def near(word: str, known: Iterable[str]) -> str:
    """The end of a message that names what may have been meant."""
    alike = fields.close_matches(word, sorted(known))
    return f"; did you mean {' or '.join(alike)}?" if alike else ""
