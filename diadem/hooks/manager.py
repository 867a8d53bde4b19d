"""Loading plugins and collecting their offers, each implementation on its own."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

import pluggy

from diadem.errors import PluginError
from diadem.hooks import specs
from diadem.hooks.offers import FieldsOffer, ReaderOffer

#: Bundled plugins, by the same door as foreign ones.
BUNDLED = tuple(
    f"diadem.plugins.{family}"
    for family in (
        "rosettasciio",
        "gatan",
        "tia",
        "velox",
        "ncem",
        "empad",
        "thermofisher",
        "zeiss",
        "jeol",
        "tescan",
        "fibics",
        "tvips",
        "hamamatsu",
        "merlin",
        "hyperspy",
        "msa",
        "mrc",
        "nanomegas",
        "pantarhei",
        "bruker",
        "edax",
        "optical",
        "insitu",
        "others",
    )
)


@dataclass(frozen=True, slots=True)
class Offers:
    """Everything the plugins offer, and the failures met while asking."""

    readers: Sequence[ReaderOffer]
    fields: Sequence[FieldsOffer]
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
    readers = tuple(_offered(manager, "diadem_readers", ReaderOffer, failures))
    fields = tuple(_offered(manager, "diadem_fields", FieldsOffer, failures))
    return Offers(readers, fields, tuple(failures))


def _offered(manager: pluggy.PluginManager, hook: str, kind: type[Any], failures: list[PluginError]) -> Iterator[Any]:
    """What every implementation of a hook offers; one that fails, or offers something else, is noted."""
    for implementation in getattr(manager.hook, hook).get_hookimpls():
        try:
            offered = list(implementation.function())
        except Exception as error:
            failures.append(PluginError(f"plugin '{implementation.plugin_name}' failed: {error!r}"))
            continue
        for item in offered:
            if isinstance(item, kind):
                yield item
            else:
                message = f"plugin '{implementation.plugin_name}': {hook} offers a {kind.__name__}, not {item!r}"
                failures.append(PluginError(message))
