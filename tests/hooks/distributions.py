"""Small distributions as pip would leave them: a module and its metadata in a folder of the search path."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from diadem.hooks.manifest import offers, required
from diadem.hooks.offers import FieldsOffer


def install(
    folder: Path, module: str, source: str, *, distribution: str = "", version: str = "1.0", entry: str = ""
) -> str:
    """Write a module, and the metadata of a distribution that names it in the entry-point group ``diadem``.

    Parameters
    ----------
    folder : Path
        To be put on the search path by the caller.
    module : str
        Name of the module; also of the entry point.
    source : str
        Its text; indentation is removed.
    distribution : str
        By default the module's name with dashes.
    version : str
        Of the distribution.
    entry : str
        What the entry point names; by default the module.

    Returns
    -------
    str
        Name of the distribution.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{module}.py").write_text(textwrap.dedent(source), encoding="utf-8")
    name = distribution or module.replace("_", "-")
    about = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    (about / "entry_points.txt").write_text(f"[diadem]\n{module} = {entry or module}\n", encoding="utf-8")
    return name


def fields_of(package: str) -> Sequence[FieldsOffer]:
    """What a package's `formats.toml` offers of metadata."""
    return [offer for offer in offers(required(package)) if isinstance(offer, FieldsOffer)]


#: What a module of a plugin begins with.
IMPORTS = """
from diadem.hooks.offers import (
    CarrierOffer, CheckOffer, ExporterOffer, FieldsOffer, Magic, PreviewOffer, ReaderOffer, SchemaOffer, hookimpl
)
"""

#: A plugin that offers one of everything.
HONEST = (
    IMPORTS
    + """
@hookimpl
def diadem_formats():
    yield ReaderOffer(name="honest-{n}", suffixes=(".honest{n}",), load="honest_{n}:read")
    yield FieldsOffer(name="honest-{n}", formats=("honest-{n}",), tables={{"header": "honest_{n}:TABLE"}})
    yield SchemaOffer("org.example.honest{n}", {{"1.0.0": {{"type": "object"}}}})
    yield PreviewOffer(name="honest-{n}", formats=("honest-{n}",), draw="honest_{n}:draw")
    yield CheckOffer(name="honest-{n}", formats=("honest-{n}",), check="honest_{n}:check")
    yield CarrierOffer(scheme="honest-{n}", connect="honest_{n}:connect")

@hookimpl
def diadem_exporters():
    yield ExporterOffer(name="honest-{n}", title="Honest", export="honest_{n}:export", suffix=".honest")
"""
)
