"""Loading plugins and collecting their offers, each implementation on its own."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import cast

import pluggy

from diadem.errors import PluginError
from diadem.hooks import specs
from diadem.hooks.offers import ReaderOffer

#: Bundled plugins, by the same door as foreign ones.
BUNDLED = ("diadem.plugins.rosettasciio",)


@dataclass(frozen=True, slots=True)
class Offers:
    """Everything the plugins offer, and the failures met while asking."""

    readers: Sequence[ReaderOffer]
    failures: Sequence[PluginError]


def collect() -> Offers:
    """Load every plugin and collect its offers.

    Returns
    -------
    Offers
        A plugin that cannot be imported, or fails when asked, is a `PluginError` in `failures`; the others go on.
    """
    failures: list[PluginError] = []
    manager = pluggy.PluginManager(specs.GROUP)
    manager.add_hookspecs(specs)
    for name in (*BUNDLED, *(entry.value for entry in entry_points(group=specs.GROUP))):
        try:
            manager.register(importlib.import_module(name), name=name)
        except Exception as error:
            failures.append(PluginError(f"plugin '{name}' cannot be loaded: {error!r}", where=name))
    readers: list[ReaderOffer] = []
    for implementation in manager.hook.diadem_readers.get_hookimpls():
        try:
            readers.extend(cast("Iterable[ReaderOffer]", implementation.function()))
        except Exception as error:
            failures.append(PluginError(f"plugin '{implementation.plugin_name}' failed: {error!r}"))
    return Offers(tuple(readers), tuple(failures))
