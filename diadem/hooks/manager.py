"""Every plugin, bundled or foreign, by the same door: found, asked what it offers, and named where it fails.

A plugin is a package with a `formats.toml`, which is read without importing it, or a module or object with a hook,
`diadem_formats` or `diadem_exporters`. Each is asked on its own: one that fails hides no other, and names belong to who
came first.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache
from importlib import resources
from importlib.metadata import EntryPoint, entry_points
from itertools import islice
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

import pluggy

from diadem import __version__
from diadem.errors import PluginError
from diadem.hooks import manifest
from diadem.hooks import offers as specifications
from diadem.hooks.offers import GROUP, HOOKS, KINDS, ReaderOffer, SchemaOffer, kind_of, names_of

#: The distribution that the bundled plugins come with.
OURS: Final = "diadem-em"
#: ``off``: no foreign plugin; names with commas between them: of the foreign ones only these; unset or empty: all.
SELECTION: Final = "DIADEM_PLUGINS"
#: Bytes of a file's beginning in which a magic number can be looked for.
REACH: Final = 4096
#: Offers of one plugin that are taken; a generator without an end stops here.
MOST_OFFERS: Final = 1000
#: Failures of one plugin that are told.
MOST_TOLD: Final = 10
#: What a plugin may raise and is only noted. Ctrl-C is the user's.
_FAILURES: Final = (Exception, SystemExit)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plugin:
    """One plugin that was found: the entry point's name, what it names, of which distribution and version.

    The name is the module's where it is bundled or not installed; distribution and version are "" where it is part of
    none.
    """

    name: str
    module: str
    distribution: str = ""
    version: str = ""
    bundled: bool = False

    @property
    def by(self) -> dict[str, str]:
        """Who is named in a record for what a foreign plugin states."""
        return {"plugin": self.distribution or self.module.partition(":")[0], "version": self.version or "unknown"}


@dataclass(frozen=True, slots=True)
class Offers:
    """Everything the plugins offer by the names of `KINDS`, bundled ones first, and the failures met while asking.

    `failures` have the plugin's name in `where`; `plugins` are all that were found; `origins` has kind and name of an
    offer, of schemas namespace and version, and the plugin that made it.
    """

    by_kind: Mapping[str, Sequence[Any]]
    failures: Sequence[PluginError] = ()
    plugins: Sequence[Plugin] = ()
    origins: Mapping[tuple[str, str], Plugin] = field(default_factory=dict)

    def of(self, type_: type[T]) -> Sequence[T]:
        """The offers of one type."""
        return next(self.by_kind.get(kind, ()) for kind, offered in KINDS.items() if offered is type_)

    def made_by(self, plugins: Sequence[Plugin]) -> Offers:
        """The offers of some plugins alone."""
        mine = {key: plugin for key, plugin in self.origins.items() if plugin in plugins}
        by_kind = {
            kind: [offer for offer in offers if any((kind, name) in mine for name in names_of(offer))]
            for kind, offers in self.by_kind.items()
        }
        return replace(self, by_kind=by_kind, plugins=plugins, origins=mine)

    @property
    def readers(self) -> Sequence[ReaderOffer]:
        """Who can read files."""
        return self.of(ReaderOffer)

    @property
    def schema_table(self) -> dict[str, dict[str, Mapping[str, Any]]]:
        """Schemas of extensions: namespace to version to schema."""
        table: dict[str, dict[str, Mapping[str, Any]]] = {}
        for offer in self.of(SchemaOffer):
            table.setdefault(offer.namespace, {}).update(offer.versions)
        return table

    @property
    def foreign(self) -> dict[tuple[str, str], dict[str, str]]:
        """Kind and name of each foreign offer to plugin and version, as a record names them."""
        return {key: plugin.by for key, plugin in self.origins.items() if not plugin.bundled}


def collect(also: Sequence[str] = ()) -> Offers:
    """Look for every plugin that the environment admits, and collect its offers; load modules beside the installed.

    A plugin that cannot be imported, fails when asked, or offers what cannot be used, is a `PluginError` in `failures`;
    what it has offered besides, and all others, go on.
    """
    found = _Collection()
    for plugin in (*bundled(), *_selected(found.failed), *(Plugin(name, name) for name in also)):
        found.add(plugin)
    by_kind = {kind: tuple(offers) for kind, offers in found.offers.items()}
    return Offers(by_kind, tuple(found.failures), tuple(found.plugins), found.origins)


# -- which there are -----------------------------------------------------------------------------------------------


def bundled() -> list[Plugin]:
    """The plugins that come with DIADEM: every package in its folder of plugins that has a `formats.toml`."""
    folder = resources.files("diadem.plugins")
    names = sorted(one.name for one in folder.iterdir() if one.joinpath(manifest.FILE).is_file())
    modules = [f"diadem.plugins.{name}" for name in names]
    return [Plugin(module, module, OURS, __version__, bundled=True) for module in modules]


def _selected(complain: Callable[[str, str], None]) -> Iterator[Plugin]:
    """The installed foreign plugins that `SELECTION` admits; a name in it that nobody has is complained about."""
    wanted = os.environ.get(SELECTION, "").strip()
    if wanted.lower() == "off":
        return
    names = {_normal(name): name.strip() for name in wanted.split(",") if name.strip()}
    met: set[str] = set()
    for plugin in map(_plugin_of, _installed(complain)):
        known = {_normal(plugin.name), _normal(plugin.distribution)}
        met |= known
        if not names or known & names.keys():
            yield plugin
    for missing in names.keys() - met:
        complain(names[missing], f"{SELECTION} names it, and no such plugin is installed")


def unnamed() -> Sequence[str]:
    """Distributions with plugins, none of which is imported for that; none where `SELECTION` says which are meant."""
    if os.environ.get(SELECTION, "").strip():
        return ()
    found = map(_plugin_of, _installed(lambda _name, _words: None))
    return sorted({plugin.distribution or plugin.name for plugin in found})


def _installed(complain: Callable[[str, str], None]) -> Sequence[EntryPoint]:
    try:
        return sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value))
    except Exception as error:  # the metadata of some distribution cannot be read
        complain("entry points", f"the installed distributions cannot be listed: {_said(error)}")
        return ()


def _plugin_of(entry: EntryPoint) -> Plugin:
    about = entry.dist
    return Plugin(entry.name, entry.value, *((about.name, about.version) if about is not None else ("", "")))


def _normal(name: str) -> str:
    """Names of distributions are compared like this: PEP 503."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _said(error: BaseException) -> str:
    """Kind and beginning of a foreign error's message, in one line."""
    try:
        text = " ".join(str(error).split())[:300]
    except Exception:  # an error class of the plugin's own
        text = ""
    return f"{type(error).__name__}: {text}".removesuffix(": ")


# -- what they offer -----------------------------------------------------------------------------------------------


class _Collection:
    """What has been found, offered and refused so far."""

    def __init__(self) -> None:
        self.plugins: list[Plugin] = []
        self.failures: list[PluginError] = []
        self.offers: dict[str, list[Any]] = {kind: [] for kind in KINDS}
        self.origins: dict[tuple[str, str], Plugin] = {}

    def failed(self, name: str, why: str) -> None:
        """Note a failure of a plugin; of very many only the first."""
        if sum(failure.where == name for failure in self.failures) < MOST_TOLD:
            self.failures.append(PluginError(f"plugin '{name}': {why}", where=name))

    def add(self, plugin: Plugin) -> None:
        """Ask a plugin, and take what can be used: of its type, well-formed, under a name that is free."""
        if any(other.module == plugin.module for other in self.plugins):
            if plugin.distribution:  # a module at hand that is installed, too, is no mistake
                self.failed(plugin.name, f"'{plugin.module}' is named twice among the installed plugins")
            return
        if any(other.name == plugin.name for other in self.plugins):
            plugin = replace(plugin, name=f"{plugin.name} of {plugin.distribution or plugin.module}")
        self.plugins.append(plugin)
        for offer in self._offered(plugin):
            try:
                kind = kind_of(offer)
                if kind:
                    wrong = [f"{kind}: {names_of(offer)[0]}: {one}" for one in _faults(offer)]
                else:
                    known = ", ".join(type_.__name__ for type_ in KINDS.values())
                    wrong = [f"{repr(offer)[:80]} is none of {known}"]
                wrong = wrong or list(self._taken(plugin, kind, offer))
            except _FAILURES as error:
                wrong = [f"an offer that cannot be inspected: {_said(error)}"]
            for fault in wrong:
                self.failed(plugin.name, fault)
            if not wrong:
                self.offers[kind].append(offer)
                self.origins.update({(kind, name): plugin for name in names_of(offer)})

    def _offered(self, plugin: Plugin) -> Iterator[Any]:
        """What a plugin's document offers, then what its hook does."""
        module = plugin.module
        try:
            found = manifest.offering(module.partition(":")[0])
        except PluginError as error:
            self.failed(plugin.name, error.message)
            return
        if found is not None:
            for offer in manifest.offers(found):
                if isinstance(offer, PluginError):
                    self.failed(plugin.name, offer.message)
                else:
                    yield offer
            if "python" not in found.content:
                return
            module = found.absolute(found.content["python"])
        yield from self._asked(plugin, module)

    def _asked(self, plugin: Plugin, module: str) -> list[Any]:
        """What a plugin's hook offers, by a manager of its own, until it ends or fails."""
        offered: list[Any] = []
        manager = pluggy.PluginManager(GROUP)
        manager.add_hookspecs(specifications)
        try:
            manager.register(_imported(module))
        except _FAILURES as error:
            self.failed(plugin.name, f"cannot be loaded: {_said(error)}")
            return offered
        names = [hook.__name__ for hook in HOOKS]
        try:
            manager.check_pending()
        except pluggy.PluginValidationError as error:
            self.failed(plugin.name, f"there are the hooks {' and '.join(names)}: {_said(error)}")
        hooks = [hook for hook in (getattr(manager.hook, name) for name in names) if hook.get_hookimpls()]
        if not hooks:
            self.failed(plugin.name, f"'{module}' has no function {' or '.join(names)} marked with @hookimpl")
        for hook in hooks:
            try:
                if not (returned := hook()):
                    self.failed(plugin.name, "its hook returns nothing; return a list of offers, or yield them")
                for several in returned:
                    if kind_of(several):
                        self.failed(plugin.name, "return a list of offers, or yield them, not one alone")
                    for offer in islice([several] if kind_of(several) else several, MOST_OFFERS + 1):
                        offered.append(offer)  # noqa: PERF402 - what came before a failure is kept
            except _FAILURES as error:
                self.failed(plugin.name, f"it failed: {_said(error)}")
        if len(offered) > MOST_OFFERS:
            self.failed(plugin.name, f"it offers more than {MOST_OFFERS} things; only the first are used")
        return offered[:MOST_OFFERS]

    def _taken(self, plugin: Plugin, kind: str, offer: Any) -> Iterator[str]:
        """Names of the offer that another has; several tables of one plugin may share theirs."""
        for name in names_of(offer):
            owner = self.origins.get((kind, name))
            if owner is not None and not (owner is plugin and kind == "fields"):
                whose = "itself" if owner is plugin else f"'{owner.name}'"
                yield f"{kind}: the name '{name}' is taken by {whose}"


def _imported(entry: str) -> Any:
    """What an entry point names: a module, or an object in one. Raises whatever the import raises."""
    module, _, name = entry.partition(":")
    found = importlib.import_module(module.strip())
    for part in filter(None, name.split("[")[0].strip().split(".")):
        found = getattr(found, part)
    return found


# -- whether an offer is what its type says: a plugin may be untyped code ------------------------------------------


def _faults(offer: Any) -> Iterator[str]:
    """What is wrong with an offer, in words for its author; nothing for one that can be used."""
    wrong = list(_misfits(offer))
    yield from wrong
    if wrong or not isinstance(offer, ReaderOffer):
        return
    if not offer.name or offer.name != offer.name.lower() or " " in offer.name:
        yield f"the name '{offer.name}' must be lower case with dashes"
    if not offer.suffixes and not offer.folders:
        yield "it has neither suffixes nor folders, so that no file would ever be given to it"
    for suffix in (*offer.suffixes, *offer.folders):
        if len(suffix) < 2 or "/" in suffix or "*" in suffix:
            yield f"'{suffix}' is not a suffix"
    for magic in offer.magic:
        if not magic.data or magic.offset < 0 or magic.offset + len(magic.data) > REACH:
            yield f"a magic number has at least one byte and is in the first {REACH} bytes of the file, not {magic}"
    try:
        json.dumps(dict(offer.options), allow_nan=False)
    except (TypeError, ValueError) as error:
        yield f"options must be JSON values: {error}"


def _misfits(item: Any) -> Iterator[str]:
    """Attributes that are not of their declared type."""
    kind: Any = type(item)
    hints = _hints(kind)
    for name in (declared.name for declared in fields(item)):
        if not _fits(value := getattr(item, name), hints[name]):
            yield f"{name} is {repr(value)[:80]}; it must be {_words(hints[name])}"


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type: of those that offers are made of."""
    if hint is Any:
        return True
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Sequence:
        return isinstance(value, list | tuple) and all(_fits(item, arguments[0]) for item in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(
            _fits(key, arguments[0]) and _fits(item, arguments[1]) for key, item in value.items()
        )
    if origin is types.UnionType:
        return any(_fits(value, argument) for argument in arguments)
    if is_dataclass(hint):
        return isinstance(value, hint) and not any(_misfits(value))  # type: ignore[arg-type]
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def _words(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Sequence:
        return f"a tuple or list, each item {_words(arguments[0])}"
    if origin is Mapping:
        return f"a mapping of {_words(arguments[0])} to {_words(arguments[1])}"
    return "anything" if hint is Any else str(getattr(hint, "__name__", hint))
