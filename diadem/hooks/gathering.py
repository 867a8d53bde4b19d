"""Asking plugins what they offer, each implementation on its own: one that fails hides no other, and is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Final

import pluggy

from diadem.errors import PluginError
from diadem.hooks import specs
from diadem.hooks.discovery import Plugin, imported, said
from diadem.hooks.family import family, offers
from diadem.hooks.manifest import Document
from diadem.hooks.offers import CheckOffer, FieldsOffer, PreviewOffer, ReaderOffer, SchemaOffer, TransportOffer
from diadem.hooks.vetting import faults

#: Each hook and what it offers.
HOOKS: Final[Mapping[str, type[Any]]] = {
    "diadem_readers": ReaderOffer,
    "diadem_fields": FieldsOffer,
    "diadem_schemas": SchemaOffer,
    "diadem_previews": PreviewOffer,
    "diadem_checks": CheckOffer,
    "diadem_transports": TransportOffer,
}
#: Offers of one implementation that are taken; a generator without an end stops here.
MOST_OFFERS: Final = 1000
#: Failures of one plugin in one hook that are told.
MOST_TOLD: Final = 10
#: What a plugin may raise and is only noted. Ctrl-C is the user's.
_FAILURES = (Exception, SystemExit)


class Gathering:
    """What has been loaded and offered so far.

    Attributes
    ----------
    plugins : list of Plugin
        Those that were to be loaded, also where they failed.
    failures : list of PluginError
        ``where`` is the plugin's name.
    origins : dict of (str, str) to Plugin
        Hook and name of an offer to the plugin that made it; for schemas the name is namespace and version.
    """

    def __init__(self) -> None:
        self.plugins: list[Plugin] = []
        self.failures: list[PluginError] = []
        self.origins: dict[tuple[str, str], Plugin] = {}
        self._manager = pluggy.PluginManager(specs.GROUP)
        self._manager.add_hookspecs(specs)
        self._registered: dict[str, Plugin] = {}
        self._families: dict[str, Document] = {}
        self._told: Counter[tuple[str, str]] = Counter()

    def failed(self, name: str, why: str, hook: str = "") -> None:
        """Note a failure of a plugin; of very many in one hook only the first."""
        self._told[name, hook] += 1
        if self._told[name, hook] <= MOST_TOLD:
            self.failures.append(PluginError(f"plugin '{name}': {hook}{': ' if hook else ''}{why}", where=name))

    def load(self, plugin: Plugin) -> None:
        """Import a plugin and make its hooks known."""
        if any(other.module == plugin.module for other in self.plugins):
            if plugin.distribution:  # a module at hand that is installed, too, is no mistake
                self.failed(plugin.name, f"'{plugin.module}' is named twice among the installed plugins")
            return
        if any(other.name == plugin.name for other in self.plugins):
            plugin = replace(plugin, name=f"{plugin.name} of {plugin.distribution or plugin.module}")
        self.plugins.append(plugin)
        key = f"{len(self.plugins)} {plugin.name}"
        self._registered[key] = plugin
        module = plugin.module
        try:
            if (found := family(module.partition(":")[0])) is not None:
                self._families[key] = found
                if "python" not in found.content:
                    return
                module = found.absolute(found.content["python"])
        except PluginError as error:
            self.failed(plugin.name, error.message)
            return
        try:
            implementation = imported(module)
            self._manager.register(implementation, name=key)
            callers = self._manager.get_hookcallers(implementation) or ()
        except _FAILURES as error:
            self.failed(plugin.name, f"cannot be loaded: {said(error)}")
            return
        if not callers and not plugin.bundled:
            self.failed(plugin.name, f"'{plugin.module}' has no function marked with @hookimpl")
        for caller in callers:
            mine = [item for item in caller.get_hookimpls() if item.plugin_name == key]
            if not caller.has_spec() and not any(item.optionalhook for item in mine):
                self.failed(plugin.name, f"there is no hook '{caller.name}'; there are {', '.join(HOOKS)}")

    def offers(self, hook: str) -> Iterator[Any]:
        """What every plugin offers of a kind and can be used, in the order in which plugins were loaded."""
        implementations = getattr(self._manager.hook, hook).get_hookimpls()
        for key, plugin in self._registered.items():
            offered = self._stated(plugin, hook, self._families[key]) if key in self._families else []
            for implementation in implementations:
                if implementation.plugin_name == key:
                    offered += self._asked(plugin, hook, implementation)
            for offer in offered:
                if self._admits(plugin, hook, offer):
                    yield offer

    def _stated(self, plugin: Plugin, hook: str, found: Document) -> list[Any]:
        """What a plugin's document offers, until a fault in it."""
        offered: list[Any] = []
        try:
            for offer in offers(found, hook):
                offered.append(offer)  # noqa: PERF402 - what came before a failure is kept
        except PluginError as error:
            self.failed(plugin.name, error.message)
        return offered

    def _asked(self, plugin: Plugin, hook: str, implementation: Any) -> Sequence[Any]:
        """What one implementation gives until it ends or fails."""
        offers: list[Any] = []
        if implementation.wrapper or implementation.hookwrapper:
            self.failed(plugin.name, "this is a wrapper; offers cannot be wrapped", hook)
            return offers
        try:
            offered = implementation.function()
            if isinstance(offered, HOOKS[hook]):
                self.failed(plugin.name, "return a list of offers, or yield them, not one alone", hook)
                return [offered]
            for item in islice(offered, MOST_OFFERS + 1):
                offers.append(item)  # noqa: PERF402 - what came before a failure is kept
        except _FAILURES as error:
            self.failed(plugin.name, f"it failed: {said(error)}", hook)
        if len(offers) > MOST_OFFERS:
            self.failed(plugin.name, f"it offers more than {MOST_OFFERS} things; the first are looked at", hook)
        return offers[:MOST_OFFERS]

    def _admits(self, plugin: Plugin, hook: str, offer: Any) -> bool:
        """Whether an offer can be used: of its type, well-formed, under a name that is free."""
        kind = HOOKS[hook]
        try:
            if isinstance(offer, kind):
                wrong = [f"{names_of(offer)[0]}: {fault}" for fault in faults(offer)]
            else:
                wrong = [f"{repr(offer)[:80]} is no {kind.__name__}"]
        except _FAILURES as error:
            wrong = [f"an offer that cannot be looked at: {said(error)}"]
        wrong = wrong or list(self._taken(plugin, hook, offer))
        for fault in wrong:
            self.failed(plugin.name, fault, hook)
        if not wrong:
            self.origins.update({(hook, name): plugin for name in names_of(offer)})
        return not wrong

    def _taken(self, plugin: Plugin, hook: str, offer: Any) -> Iterator[str]:
        """Names of the offer that another has; several tables of one plugin may share theirs."""
        for name in names_of(offer):
            owner = self.origins.get((hook, name))
            if owner is not None and not (owner is plugin and hook == "diadem_fields"):
                whose = "itself" if owner is plugin else f"'{owner.name}'"
                yield f"the name '{name}' is taken by {whose}"


def names_of(offer: Any) -> list[str]:
    """What an offer is known by: its name; namespace and version of each schema."""
    if isinstance(offer, SchemaOffer):
        return [f"{offer.namespace} {version}" for version in offer.versions]
    return [offer.name]
