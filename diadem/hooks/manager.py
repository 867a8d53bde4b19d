"""Every plugin, bundled or foreign, by the same door: loaded, asked what it offers, and named where it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from diadem.errors import PluginError
from diadem.hooks.discovery import Plugin, bundled, selected
from diadem.hooks.gathering import HOOKS, Gathering
from diadem.hooks.offers import CheckOffer, FieldsOffer, PreviewOffer, ReaderOffer, SchemaOffer, TransportOffer

#: Bundled plugins, by the same door as foreign ones.
BUNDLED = tuple(
    f"diadem.plugins.{family}"
    for family in (
        "rosettasciio",
        "tiff",
        "gatan",
        "tia",
        "velox",
        "ncem",
        "empad",
        "epu",
        "thermofisher",
        "zeiss",
        "jeol",
        "tescan",
        "fibics",
        "aspex",
        "sightx",
        "sem_text",
        "hitachi",
        "olympus",
        "pictures",
        "imagej",
        "tvips",
        "tvips_movie",
        "hamamatsu",
        "merlin",
        "hyperspy",
        "msa",
        "ripple",
        "mrc",
        "nanomegas",
        "pantarhei",
        "bruker",
        "edax",
        "ebsd",
        "optical",
        "insitu",
        "others",
        "quality",
        "drop",
    )
)


@dataclass(frozen=True, slots=True)
class Offers:
    """Everything the plugins offer, and the failures met while asking.

    Attributes
    ----------
    readers, fields, schemas, previews, checks, transports : sequence
        Offers, those of the bundled plugins first.
    failures : sequence of PluginError
        ``where`` is the plugin's name.
    plugins : sequence of Plugin
        Those that were found, also where they failed.
    origins : mapping of (str, str) to Plugin
        Hook and name of an offer to the plugin that made it; for schemas the name is namespace and version.
    """

    readers: Sequence[ReaderOffer]
    fields: Sequence[FieldsOffer]
    failures: Sequence[PluginError]
    schemas: Sequence[SchemaOffer] = ()
    previews: Sequence[PreviewOffer] = ()
    checks: Sequence[CheckOffer] = ()
    transports: Sequence[TransportOffer] = ()
    plugins: Sequence[Plugin] = ()
    origins: Mapping[tuple[str, str], Plugin] = field(default_factory=dict)

    @property
    def schema_table(self) -> dict[str, dict[str, Mapping[str, Any]]]:
        """Schemas of extensions: namespace to version to schema."""
        table: dict[str, dict[str, Mapping[str, Any]]] = {}
        for offer in self.schemas:
            table.setdefault(offer.namespace, {}).update(offer.versions)
        return table

    @property
    def foreign(self) -> dict[tuple[str, str], dict[str, str]]:
        """Hook and name of each foreign offer to plugin and version, as a record names them."""
        return {key: plugin.by for key, plugin in self.origins.items() if not plugin.bundled}


def collect(also: Sequence[str] = ()) -> Offers:
    """Load every plugin that the environment admits, and collect its offers.

    Parameters
    ----------
    also : sequence of str
        Modules to load beside those that are installed, such as one that is being written.

    Returns
    -------
    Offers
        A plugin that cannot be imported, fails when asked, or offers what cannot be used, is a `PluginError` in
        `failures`; what it has offered besides, and all others, go on.
    """
    gathering = Gathering()
    for plugin in (*bundled(BUNDLED), *selected(gathering.failed), *(Plugin(name, name) for name in also)):
        gathering.load(plugin)
    found = {hook: tuple(gathering.offers(hook)) for hook in HOOKS}
    return Offers(
        readers=found["diadem_readers"],
        fields=found["diadem_fields"],
        schemas=found["diadem_schemas"],
        previews=found["diadem_previews"],
        checks=found["diadem_checks"],
        transports=found["diadem_transports"],
        failures=tuple(gathering.failures),
        plugins=tuple(gathering.plugins),
        origins=gathering.origins,
    )
