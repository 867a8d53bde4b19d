"""What is loaded, from where, what it offers and what failed: for people who ask why a format is not read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from diadem.errors import PluginError
from diadem.hooks.discovery import Plugin
from diadem.hooks.family import family, lies
from diadem.hooks.gathering import names_of

if TYPE_CHECKING:
    from diadem.hooks.manager import Offers


@dataclass(frozen=True, slots=True)
class PluginSummary:
    """One plugin and its offers.

    Attributes
    ----------
    name, module, distribution, version : str
        As in `Plugin`.
    bundled : bool
        Whether it comes with DIADEM.
    formats : sequence of str
        Readers, by name.
    fields : sequence of str
        Tables, by name.
    schemas : sequence of str
        Extension namespaces with their versions.
    previews, checks : sequence of str
        By name.
    transports : sequence of str
        Carriers, by the scheme of their addresses.
    failures : sequence of str
        What went wrong, in words; empty where all is well.
    """

    name: str
    module: str
    distribution: str
    version: str
    bundled: bool
    formats: Sequence[str] = ()
    fields: Sequence[str] = ()
    schemas: Sequence[str] = ()
    previews: Sequence[str] = ()
    checks: Sequence[str] = ()
    transports: Sequence[str] = ()
    failures: Sequence[str] = ()

    @property
    def ok(self) -> bool:
        """True where nothing failed."""
        return not self.failures

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute, and ``ok``."""
        told = {key: getattr(self, key) for key in ("name", "module", "distribution", "version", "bundled", "ok")}
        lists = ("formats", "fields", "schemas", "previews", "checks", "transports", "failures")
        return {**told, **{key: list(getattr(self, key)) for key in lists}}


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
    for namespace, version, reason in broken:
        owner = offers.origins["diadem_schemas", f"{namespace} {version}"]
        failures.setdefault(owner.name, []).append(
            f"plugin '{owner.name}': diadem_schemas: {namespace} {version} cannot be used: {reason}"
        )
    for name, lie in _lies(offers):
        failures.setdefault(name, []).append(f"plugin '{name}': {lie}")
    known = [_summary(plugin, offers, failures.pop(plugin.name, [])) for plugin in offers.plugins]
    return known + [
        PluginSummary(name, "", "", "", bundled=False, failures=tuple(told)) for name, told in failures.items()
    ]


def _lies(offers: Offers) -> Iterator[tuple[str, str]]:
    """Plugins, and what they name and is not there: functions of their `formats.toml`, formats that nobody reads."""
    for plugin in offers.plugins:
        try:
            found = family(plugin.module.partition(":")[0])
        except PluginError:  # told when it was loaded
            continue
        yield from ((plugin.name, lie.message) for lie in (lies(found) if found is not None else ()))
    read = {offer.name for offer in offers.readers}
    meant: Mapping[str, Sequence[Any]] = {
        "diadem_fields": offers.fields,
        "diadem_previews": offers.previews,
        "diadem_checks": offers.checks,
    }
    for hook, several in meant.items():
        for offer in several:
            owner = offers.origins[hook, offer.name].name
            for format_ in sorted(set(offer.formats) - read - {"*"}):
                yield owner, f"{hook}: {offer.name}: nobody reads the format '{format_}'"


def _summary(plugin: Plugin, offers: Offers, failures: list[str]) -> PluginSummary:
    def mine(hook: str, found: Iterable[Any]) -> tuple[str, ...]:
        names = (name for offer in found for name in names_of(offer))
        return tuple(dict.fromkeys(name for name in names if offers.origins.get((hook, name)) is plugin))

    return PluginSummary(
        plugin.name,
        plugin.module,
        plugin.distribution,
        plugin.version,
        plugin.bundled,
        formats=mine("diadem_readers", offers.readers),
        fields=mine("diadem_fields", offers.fields),
        schemas=mine("diadem_schemas", offers.schemas),
        previews=mine("diadem_previews", offers.previews),
        checks=mine("diadem_checks", offers.checks),
        transports=mine("diadem_transports", offers.transports),
        failures=tuple(failures),
    )
