"""What is loaded, from where, what it offers, what failed, and what is said that cannot be: for who asks why.

A bundled `formats.toml` and a foreign one are judged alike, as far as it can be done without reading a file.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from diadem.errors import PluginError
from diadem.hooks.fields import IN_TEXT
from diadem.hooks.manifest import Document, Path, Said, offering, several
from diadem.hooks.offers import KINDS, CheckOffer, FieldsOffer, PreviewOffer, names_of
from diadem.hooks.tables import condition, rules, statements, tests_of
from diadem.terms import fields
from diadem.terms.units import convert, meanings

if TYPE_CHECKING:
    from diadem.hooks.manager import Offers

#: Keys whose texts are ``module:name``.
_TARGETS: Final = frozenset(
    {
        "open",
        "load",
        "describe",
        "layout",
        "probe",
        "blocks",
        "draw",
        "check",
        "connect",
        "python",
        "read",
        "form",
        "look",
        "when",
    }
)
#: As the schema has them; a regular expression in a condition may hold a colon, too.
_TARGET: Final = re.compile(r"(?:not )?[A-Za-z_.][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class PluginSummary:
    """One plugin and its offers.

    Attributes
    ----------
    name, module, distribution, version : str
        As in `Plugin`.
    bundled : bool
        Whether it comes with DIADEM.
    offers : mapping of str to sequence of str
        Names of what it offers by kind: ``formats``, ``fields``, ``schemas`` (namespaces with versions), ``previews``,
        ``checks``, ``carriers``.
    failures : sequence of str
        What went wrong, in words; empty where all is well.
    """

    name: str
    module: str
    distribution: str
    version: str
    bundled: bool
    offers: Mapping[str, Sequence[str]] = field(default_factory=lambda: dict.fromkeys(KINDS, ()))
    failures: Sequence[str] = ()

    @property
    def ok(self) -> bool:
        """True where nothing failed."""
        return not self.failures

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute, a list for each kind of offer, and ``ok``."""
        told = {key: getattr(self, key) for key in ("name", "module", "distribution", "version", "bundled", "ok")}
        return {**told, **{kind: list(names) for kind, names in self.offers.items()}, "failures": list(self.failures)}


def summaries(offers: Offers, broken: Iterable[tuple[str, str, str]] = ()) -> list[PluginSummary]:
    """Every plugin with what it offers and what failed.

    Parameters
    ----------
    offers : Offers
        What was collected.
    broken : iterable of (str, str, str)
        Namespace, version and reason of schemas that cannot be used.

    Returns
    -------
    list of PluginSummary
        In the order in which they were loaded; names that were asked for and not found come last.
    """
    failures: dict[str, list[str]] = {}
    for failure in offers.failures:
        failures.setdefault(str(failure.where), []).append(failure.message)
    for name, said in [*_schemas(offers, broken), *lies(offers)]:
        failures.setdefault(name, []).append(f"plugin '{name}': {said}")
    known = []
    for plugin in offers.plugins:
        names = ((kind, name) for kind, every in offers.by_kind.items() for offer in every for name in names_of(offer))
        mine: dict[str, list[str]] = {kind: [] for kind in KINDS}
        for kind, name in dict.fromkeys(names):
            if offers.origins.get((kind, name)) is plugin:
                mine[kind].append(name)
        about = (plugin.name, plugin.module, plugin.distribution, plugin.version, plugin.bundled)
        known.append(PluginSummary(*about, mine, tuple(failures.pop(plugin.name, ()))))
    return known + [PluginSummary(name, "", "", "", bundled=False, failures=told) for name, told in failures.items()]


def _schemas(offers: Offers, broken: Iterable[tuple[str, str, str]]) -> Iterator[tuple[str, str]]:
    for namespace, version, reason in broken:
        owner = offers.origins["schemas", f"{namespace} {version}"]
        yield owner.name, f"schemas: {namespace} {version} cannot be used: {reason}"


def lies(offers: Offers) -> Iterator[tuple[str, str]]:
    """Plugins by name, and what they say that cannot be: in their `formats.toml`, or of formats that nobody reads."""
    read = {offer.name for offer in offers.readers}
    told: set[tuple[str, str]] = set()
    for plugin in offers.plugins:
        try:
            found = offering(plugin.module.partition(":")[0])
        except PluginError:  # told when it was loaded
            continue
        if found is None:
            continue
        for lie in faults(found):
            yield plugin.name, lie.message
        for section in ("fields", "preview", "check"):
            for place, said in enumerate(found.content.get(section, ())):
                for missing in sorted(set(said["formats"]) - read - {"*"}):
                    told.add((said["name"], missing))
                    yield plugin.name, found.fault((section, place, "formats"), _unread(missing, read)).message
    for kind, type_ in KINDS.items():
        for offer in offers.by_kind[kind] if type_ in (FieldsOffer, PreviewOffer, CheckOffer) else ():
            for missing in sorted(set(offer.formats) - read - {"*"}):
                if (offer.name, missing) not in told:
                    yield offers.origins[kind, offer.name].name, f"{kind}: {offer.name}: {_unread(missing, read)}"


def _unread(missing: str, read: Iterable[str]) -> str:
    return f"nobody reads the format '{missing}'{near(missing, read)}"


def near(word: str, known: Iterable[str]) -> str:
    """The end of a message that names what may have been meant."""
    alike = fields.close_matches(word, sorted(known))
    return f"; did you mean {' or '.join(alike)}?" if alike else ""


def faults(of: Document) -> Iterator[PluginError]:
    """What a document says that cannot be; each names file, line, key and rule.

    Nothing of the plugin is imported: modules and functions are looked for in the source.
    """
    unimported = _Unimported(of.package, of.place, of.text, of.content, of.read)
    told: set[str] = set()
    for fault in (*_missing(of), *_in_tables(unimported)):
        if fault.message not in told:
            told.add(fault.message)
            yield fault


class _Unimported(Document):
    """A document whose functions are not asked for."""

    def named(self, dotted: str, path: Path) -> Any:  # noqa: ARG002 - whether they are there is told otherwise
        """Nothing that would be called."""
        return str


# -- what is named and is not there --------------------------------------------------------------------------------


def _missing(of: Document) -> Iterator[PluginError]:
    """Modules, and names in them, by their source."""
    for path, dotted in _named(of.content, ()):
        module, _, name = of.absolute(dotted).partition(":")
        try:
            spec = importlib.util.find_spec(module)
        except Exception as error:  # the import of a package above it
            yield of.fault(path, f"'{dotted}' cannot be looked for: {type(error).__name__}: {error}")
            continue
        if spec is None:
            yield of.fault(path, f"there is no module '{module}'")
        elif (names := _names(spec)) is not None and name not in names:
            yield of.fault(path, f"there is no '{name}' in '{module}'")


def _named(said: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Every ``module:name`` in a document, and where it stands."""
    for key, value in said.items() if isinstance(said, Mapping) else enumerate(said if isinstance(said, list) else ()):
        if isinstance(value, str):
            steps = {step for step in (*path[:1], *path[-1:], key) if isinstance(step, str)}
            if _TARGETS & steps and _TARGET.fullmatch(value):
                yield (*path, key), value.removeprefix("not ").strip()
        else:
            yield from _named(value, (*path, key))


def _names(spec: Any) -> set[str] | None:
    """Names at the top of a module; None where its source cannot tell."""
    try:
        tree = ast.parse(spec.loader.get_source(spec.name))
    except Exception:  # compiled, or no Python of ours
        return None
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return None if "*" in found else found


# -- what tables say and cannot be ---------------------------------------------------------------------------------


def _in_tables(of: Document) -> Iterator[PluginError]:
    """Fields, units, patterns, conditions and proofs."""
    for name, said in of.content.get("when", {}).items():
        yield from _in_condition(of, said, "", ("when", name))
    kinds = set()
    for kind, field_, said, path in statements(of):
        kinds.add(kind)
        yield from _in_statement(of, field_, said, path)
    for place, said in enumerate(of.content.get("fields", ())):
        for kind, address in said.get("tables", {}).items():
            if address.startswith("/") and (named := address[1:]) not in kinds:
                path = ("fields", place, "tables", kind)
                yield of.fault(path, f"there is no [[table]] for blocks '{named}'{near(named, kinds)}")


def _in_statement(of: Document, field_: str, said: Said, path: Path) -> Iterator[PluginError]:
    for one in said.get("first", ()):
        common = {key: value for key, value in said.items() if key != "first"}
        yield from _in_statement(of, field_, {**common, **({"key": one} if isinstance(one, str) else one)}, path)
    if "first" in said:
        return
    if field_ and not fields.is_field(field_):
        yield of.fault(path, f"the record has no field '{field_}'{near(field_, fields.field_keys())}")
    elif field_ and (
        fault := unit_fault(field_, said.get("unit", ""), elsewhere=bool({"unit_at", "unit_key"} & said.keys()))
    ):
        yield of.fault((*path, "unit") if "unit" in said else path, fault)
    if "within" in said and said["within"][0] > said["within"][1]:
        yield of.fault((*path, "within"), "no number is within these bounds: the first is the larger")
    if "part" in said and _groups(said["part"]) != 1:
        yield of.fault((*path, "part"), "the pattern has one group, ( ), which is the value")
    for base in several(said.get("base", "")) if "when" in said else ():
        yield from _in_condition(of, said["when"], base, (*path, "when"))
    try:
        list(rules(of, field_, said, path))
    except PluginError as error:
        yield error


def _groups(pattern: str) -> int:
    """How many groups a pattern has; that it is none is told otherwise."""
    try:
        return re.compile(pattern).groups
    except re.error:
        return 1


def unit_fault(field_: str, unit: str, *, elsewhere: bool = False) -> str:
    """What is wrong with the unit of a statement, in words, or "".

    Parameters
    ----------
    field_ : str
        Key of the field, which there is.
    unit : str
        As the statement says it.
    elsewhere : bool
        Whether the file says the unit, too.
    """
    wanted = fields.field(field_).unit
    if unit not in ("", IN_TEXT) and not meanings(unit):
        return f"nobody knows the unit '{unit}'"
    if unit and not wanted:
        return f"the field has no unit, and the statement says '{unit}'"
    if not wanted or unit == IN_TEXT or elsewhere or convert(1.0, unit or "1", wanted) is not None:
        return ""
    return f"the statement says {repr(unit) if unit else 'no unit'}, which is nothing in the field's unit, {wanted}"


def _in_condition(of: Document, said: Any, base: str, path: Path) -> Iterator[PluginError]:
    """A condition that is none, or that no block can meet."""
    try:
        asked = list(_asked(of, said, base, path))
    except PluginError as error:
        yield error
        return
    names = {name for name, test, _ in asked if test is None}
    for name in sorted(name for name in names if f"not {name}" in names):
        yield of.fault(path, f"nothing meets both '{name}' and 'not {name}'")
    for key in dict.fromkeys(key for key, test, _ in asked if test is not None):
        tests = [test for name, test, _ in asked if name == key and test is not None]
        values = [value for name, _, several_ in asked if name == key for value in several_]
        if values and not any(all(test(value) for test in tests) for value in values):
            yield of.fault(path, f"no value at '{key}' can meet it")


def _asked(
    of: Document, said: Any, base: str, path: Path
) -> Iterator[tuple[str, Callable[[Any], bool] | None, list[Any]]]:
    """What must hold together: key, test, and the values that come into question where there are few; or a name."""
    condition(of, said, base, path)
    if isinstance(said, str):
        yield said, None, []
        if not said.startswith("not ") and ":" not in said:
            yield from _asked(of, of.content["when"][said], "", ("when", said))
    elif isinstance(said, list):
        for one in said:
            yield from _asked(of, one, base, path)
    elif "key" in said:
        key = said["key"][1:] if said["key"].startswith("/") else f"{base}{said['key']}"
        values = [*several(said.get("is", [])), *([None] if said.get("exists") is False else [])]
        for test in tests_of(of, said, path):
            yield key, test, values
