"""What is loaded, from where, what it offers, what failed, and what is said that cannot be: for who asks why.

A bundled `formats.toml` and a foreign one are judged alike, as far as it can be done without reading a file.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from diadem.errors import PluginError
from diadem.hooks.manifest import Document, Path, offering
from diadem.hooks.offers import KINDS, CheckOffer, FieldsOffer, PreviewOffer, names_of
from diadem.hooks.tables import near, tables_of
from diadem.hooks.values import contradictions, needs
from diadem.model.display import Display

if TYPE_CHECKING:
    from diadem.hooks.manager import Offers

#: Keys whose texts are ``module:name``.
_TARGETS: Final = frozenset(
    {
        "open",
        "load",
        "probe",
        "blocks",
        "draw",
        "check",
        "connect",
        "export",
        "python",
        "places",
        "read",
        "form",
        "look",
        "when",
    }
)
#: As the schema has them; a regular expression in a condition may hold a colon, too.
_TARGET: Final = re.compile(r"(?:not )?[A-Za-z_.][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class PluginSummary(Display):
    """One plugin and its offers.

    Attributes
    ----------
    name, module, distribution, version : str
        As in `Plugin`.
    bundled : bool
        Whether it comes with DIADEM.
    offers : mapping of str to sequence of str
        Names of what it offers by kind: ``formats``, ``fields``, ``schemas`` (namespaces with versions), ``previews``,
        ``checks``, ``carriers``, ``exporters``.
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
    """Every plugin with what it offers and what failed, in the order in which they were loaded.

    `broken` has namespace, version and reason of schemas that cannot be used. Names that were asked for and not found
    come last.
    """
    failures: dict[str, list[str]] = {}
    for failure in offers.failures:
        failures.setdefault(str(failure.where), []).append(failure.message)
    unusable = ((f"{namespace} {version}", reason) for namespace, version, reason in broken)
    said_of = [(offers.origins["schemas", one].name, f"schemas: {one} cannot be used: {why}") for one, why in unusable]
    for name, said in (*said_of, *lies(offers)):
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
    return f"no reader reads the format '{missing}'{near(missing, read)}"


def faults(of: Document) -> Iterator[PluginError]:
    """What a document says that cannot be; each names file, line, key and rule.

    Nothing of the plugin is imported: modules and functions are looked for in the source.
    """
    judged: list[PluginError] = []
    unimported = replace(of, judged=judged)
    for name, said in of.content.get("when", {}).items():
        try:
            for why in contradictions(needs(unimported, said, "", path := ("when", name))):
                unimported.doubt(path, why)
        except PluginError as fault:
            judged.append(fault)
    kinds = tables_of(unimported).keys()
    for place, said in enumerate(of.content.get("fields", ())):
        for kind, address in said.get("tables", {}).items():
            if address.startswith("/") and (named := address[1:]) not in kinds:
                what = f"there is no [[table]] for blocks '{named}'{near(named, kinds)}"
                unimported.doubt(("fields", place, "tables", kind), what)
    yield from {fault.message: fault for fault in (*_missing(of), *judged)}.values()


# -- what is named and is not there --------------------------------------------------------------------------------


def _missing(of: Document) -> Iterator[PluginError]:
    """Modules, and names in them, by their source."""
    known: dict[str, set[str] | None] = {}
    for path, dotted in _named(of.content, ()):
        module, _, name = of.absolute(dotted).partition(":")
        if module not in known:
            try:
                spec = importlib.util.find_spec(module)
            except Exception as error:  # the import of a package above it
                yield of.fault(path, f"'{dotted}' cannot be imported: {type(error).__name__}: {error}")
                continue
            if spec is None:
                yield of.fault(path, f"there is no module '{module}'")
                continue
            known[module] = _names(spec)
        if (names := known[module]) is not None and name not in names:
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
