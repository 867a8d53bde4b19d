"""Tables as TOML: what the values of a vendor's blocks mean, as a person of the field can read, check and mend it.

Each ``[[table]]`` of a family's `formats.toml` is for blocks of a kind. Its groups have in common what they say; each
of their fields names a key, or says more in a table of its own. Out come `Rule` and `Derived` objects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any, Final

from diadem.errors import PluginError
from diadem.hooks import forms
from diadem.hooks.fields import Derived, Dropped, Found, Rule, Table, Tree, look_up
from diadem.hooks.forms import WILD, condition, pattern_of, places_of, word_of
from diadem.hooks.manifest import FILE, Document, Path, document, several
from diadem.hooks.targets import target
from diadem.hooks.text import number, positive

Said = Mapping[str, Any]

#: Words for `read`.
_READS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "number": number,
    "positive": positive,
    "nonzero": lambda raw: number(raw) or None,
    "absolute": lambda raw: None if (found := number(raw)) is None else abs(found),
    "text": lambda raw: None if isinstance(raw, (Mapping, list)) else str(raw).strip(),
}
#: What a statement of a time is made of.
_TIMES: Final = ("iso", "exif", "date", "clock", "ole", "epoch", "filetime")


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
    family = document(package)
    if family is None:
        raise PluginError(f"the package {package} has no {FILE}")
    found: dict[str, list[Rule | Derived]] = {}
    for place, one in enumerate(family.content.get("table", ())):
        common = {key: said for key, said in one.items() if key not in ("block", "group")}
        rules = [
            rule
            for number, group in enumerate(one["group"])
            for rule in _group(family, common, group, ("table", place, "group", number))
        ]
        for kind in several(one["block"]):
            found.setdefault(kind, []).extend(rules)
    return found


def _group(family: Document, common: Said, group: Said, path: Path) -> Iterator[Rule | Derived]:
    if "python" in group:
        yield _function(family, {"proof": common.get("proof", ""), **group}, path)
    for field, statements in group.get("fields", {}).items():
        for one in several(statements):
            own = {**common, **group, **({"key": one} if isinstance(one, str) else one)}
            for base in several(own.get("base", "")):
                yield _placed(family, field, own, base, (*path, "fields", field))


def _function(family: Document, said: Said, path: Path) -> Derived:
    """A function for what is not data: it gets what lies at the group's base, and names keys from there."""
    function = family.named(said["python"], (*path, "python"))

    def read(tree: Tree) -> Iterator[Found]:
        for base in several(said.get("base", "")):
            for place in places_of(tree, base):
                below, when = look_up(tree, place.rstrip("/")), condition(family, said.get("when"), place, path)
                if below is None or (when is not None and not when(tree)):
                    continue
                for found in function(below):
                    keys = [part[1:] if part.startswith("/") else place + part for part in found.key.split(" + ")]
                    yield replace(found, key=" + ".join(keys))

    name = said.get("name") or said["python"].partition(":")[2].replace("_", "-")
    return Derived(name, read, _proof(family, said, path))


def _placed(family: Document, field: str, said: Said, base: str, path: Path) -> Rule | Derived:
    """A statement at its base; at every place that the base stands for."""
    plain = _statement(family, field, said, base, path)
    if not WILD.search(base):
        return plain

    def read(tree: Tree) -> Iterator[Found]:
        for place in places_of(tree, base):
            try:
                yield from forms.found(_statement(family, field, said, place, path), tree)
            except Dropped:
                continue

    return Derived(field, read, plain.cite, [plain.key] if isinstance(plain, Rule) else plain.keys)


def _statement(family: Document, field: str, said: Said, base: str, path: Path) -> Rule | Derived:
    """One statement of a field, in whichever of its forms it is written."""

    def key_of(key: str) -> str:
        return key[1:] if key.startswith("/") else f"{base}{key}{said.get('value', '')}"

    proof, when = _proof(family, said, path), condition(family, said.get("when"), base, path)
    unit, status = said.get("unit", ""), said.get("status", "")
    if "first" in said:
        common = {key: value for key, value in said.items() if key != "first"}
        own = [{**common, **({"key": one} if isinstance(one, str) else one)} for one in said["first"]]
        rules = [_statement(family, field, one, base, path) for one in own]
        keys = [rule.key if isinstance(rule, Rule) else " + ".join(rule.keys) for rule in rules]
        return Derived(field, partial(forms.first, rules), proof, keys)
    if places := {name: key_of(said[name]) for name in (*_TIMES, "same") if name in said}:
        return Derived(field, partial(forms.time, field, places, when), proof, list(dict.fromkeys(places.values())))
    if "join" in said:
        keys = [key_of(key) for key in said["join"]]
        joined = partial(forms.joined, field, keys, said.get("with", " "), status, when)
        return Derived(field, joined, proof, keys)
    if "equal" in said:
        keys = [key_of(key) for key in several(said["equal"])]
        return Derived(field, partial(forms.equal, field, keys, unit, status, when), proof, keys)
    if "key" not in said:
        raise family.fault(path, "nothing says where the value is: key, first, join, equal, or those of a time")
    key = key_of(said["key"])
    if "constant" in said:
        constant = partial(forms.constant, field, said["constant"], key, unit, status or "derived", when)
        return Derived(field, constant, proof, [key])
    beside = said["key"] + said["unit_at"] if "unit_at" in said else said.get("unit_key", "")
    unit_key = beside[1:] if beside.startswith("/") else f"{base}{beside}" if beside else ""
    read = _reader(family, said, path)
    return Rule(field, key, unit, read, tuple(said.get("drop", ())), when, unit_key, proof, status)


def _proof(family: Document, said: Said, path: Path) -> str:
    if not said.get("proof"):
        raise family.fault(path, "nothing says how it is known", next="Add proof = '…' to it or to its group.")
    return str(said["proof"])


def _reader(family: Document, said: Said, path: Path) -> Callable[[Any], Any] | None:
    """What is made of a raw value: part of it, the word that it means, a number, one that can be."""
    steps: list[Callable[[Any], Any]] = []
    if "part" in said:
        steps.append(partial(_part, pattern_of(family, said["part"], (*path, "part"))))
    if "means" in said:
        words = [
            (re.compile(re.escape(word_of(word)).replace(r"\*", ".*"), re.DOTALL), to)
            for word, to in said["means"].items()
        ]
        steps.append(lambda raw: next((to for word, to in words if word.fullmatch(word_of(raw))), None))
    if "read" in said:
        steps.append(_READS.get(said["read"]) or family.named(said["read"], (*path, "read")))
    if "within" in said:
        low, high = said["within"]
        steps.append(lambda value: value if (size := number(value)) is not None and low <= abs(size) <= high else None)

    def read(raw: Any) -> Any:
        for step in steps:
            raw = None if raw is None else step(raw)
        return raw

    return read if steps else None


def _part(pattern: re.Pattern[str], raw: Any) -> str | None:
    match = pattern.fullmatch(str(raw).strip())
    return match[1].strip() if match else None
