"""Which plugins there are: the bundled ones, and those that installed distributions name."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from typing import Any, Final

from diadem.hooks.specs import GROUP

#: The distribution that the bundled plugins come with.
OURS: Final = "diadem-em"
#: ``off``: no foreign plugin; names with commas between them: of the foreign ones only these; unset or empty: all.
SELECTION: Final = "DIADEM_PLUGINS"

#: Told of a plugin's name and what is wrong with it.
Complaint = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Plugin:
    """One plugin that was found.

    Attributes
    ----------
    name : str
        Of the entry point; of the module where it is bundled or not installed.
    module : str
        What the entry point names.
    distribution, version : str
        Of what was installed; "" where the module is not part of any distribution.
    bundled : bool
        Whether it comes with DIADEM.
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


def bundled(modules: Sequence[str]) -> Iterator[Plugin]:
    """The plugins that come with DIADEM.

    Parameters
    ----------
    modules : sequence of str
        Their modules.
    """
    try:
        ours = version(OURS)
    except PackageNotFoundError:  # run from a folder of sources
        ours = str(importlib.import_module("diadem").__version__)
    return (Plugin(name, name, OURS, ours, bundled=True) for name in modules)


def selected(complain: Complaint) -> Iterator[Plugin]:
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


def _installed(complain: Complaint) -> Sequence[EntryPoint]:
    try:
        return sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value))
    except Exception as error:  # the metadata of some distribution cannot be read
        complain("entry points", f"the installed distributions cannot be listed: {said(error)}")
        return ()


def _plugin_of(entry: EntryPoint) -> Plugin:
    about = entry.dist
    return Plugin(entry.name, entry.value, *((about.name, about.version) if about is not None else ("", "")))


def _normal(name: str) -> str:
    """Names of distributions are compared like this: PEP 503."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def imported(entry: str) -> Any:
    """What an entry point names: a module, or an object in one. Raises whatever the import raises."""
    module, _, name = entry.partition(":")
    found = importlib.import_module(module.strip())
    for part in filter(None, name.split("[")[0].strip().split(".")):
        found = getattr(found, part)
    return found


def said(error: BaseException) -> str:
    """Kind and beginning of a foreign error's message, in one line."""
    try:
        text = " ".join(str(error).split())[:300]
    except Exception:  # an error class of the plugin's own
        text = ""
    return f"{type(error).__name__}: {text}".removesuffix(": ")
