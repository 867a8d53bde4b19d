"""What the verbs work with: the only place that asks the plugin manager."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from diadem import __version__

if TYPE_CHECKING:
    from diadem.extract.pool import Extractor
    from diadem.hooks.inventory import PluginSummary
    from diadem.hooks.manager import Offers
    from diadem.hooks.offers import ReaderOffer


#: Name and version that packages and documents carry.
SOFTWARE = f"diadem-em {__version__}"


@dataclass(frozen=True, slots=True)
class Tools:
    """What the verbs, and a node, work with: `tried` where it lasts as long as a `trying`."""

    offers: Offers
    software: str = SOFTWARE
    tried: bool = False

    @property
    def readers(self) -> Sequence[ReaderOffer]:
        """What can read files, in the order in which readers are asked."""
        return self.offers.readers

    @property
    def identity(self) -> str:
        """What extraction depends on, with versions: DIADEM, RosettaSciIO, and foreign plugins."""
        from importlib.metadata import PackageNotFoundError, version

        try:
            reader = f"RosettaSciIO {version('rosettasciio')}"
        except PackageNotFoundError:
            reader = "no RosettaSciIO"
        foreign = sorted({" ".join(origin.values()) for origin in self.offers.foreign.values()})
        return ", ".join([self.software, reader, *foreign])

    def extractor(
        self,
        *,
        timeout: float = 60.0,
        previews: bool = True,
        vendor: bool = True,
        assess: bool = False,
        explain: bool = False,
        workers: int | None = None,
    ) -> Extractor:
        """Make what reads files in worker processes; used as a context.

        `timeout` is the seconds for one dataset. `previews`: whether pictures are drawn, for which pixels are read;
        `vendor`: whether what the maker's software wrote is handed over; `assess`: whether the checks that judge data
        run too; `explain`: whether it is told what became of each rule of the plugins' tables. `workers` are processes
        at most: one for each core, four at most.
        """
        from diadem.extract.pool import Extractor
        from diadem.hooks.offers import CheckOffer, FieldsOffer, PreviewOffer

        return Extractor(
            self.offers.readers,
            self.offers.of(FieldsOffer),
            previewers=self.offers.of(PreviewOffer),
            checks=[check for check in self.offers.of(CheckOffer) if assess or check.when == "extract"],
            schemas=self.offers.schema_table,
            origins=self.offers.foreign,
            workers=workers or max(1, min(4, os.cpu_count() or 1)),
            timeout=timeout,
            previews=previews,
            vendor=vendor,
            explain=explain,
            lasting=self._lasting,
        )

    def warm(self) -> None:
        """Start a worker that waits for what is read next, where workers wait; its imports are not waited for."""
        if self._lasting:
            with self.extractor() as extractor:
                extractor.warm()

    @property
    def _lasting(self) -> bool:
        """Whether workers wait for the next call.

        On Windows a file that a worker has open cannot be moved; and who writes a plugin wants its latest lines, but
        has those of a `trying` in this process too.
        """
        return os.name != "nt" and (self.tried or not self.offers.foreign)

    def judged(self, metadata: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """Metadata with each extension marked by what the schemas at hand say of it. Raises `DocumentError`."""
        if metadata is None or (isinstance(metadata, Mapping) and not metadata.get("extensions")):
            return metadata
        from diadem.serialization.extensions import ExtensionSchemas, judged
        from diadem.serialization.validation import validate_metadata

        said = validate_metadata(metadata)
        return {**said, "extensions": judged(said["extensions"], ExtensionSchemas(self.offers.schema_table))}


#: What the plugins offer while `trying` lasts.
_TRIED: ContextVar[Offers | None] = ContextVar("_TRIED", default=None)


def tools() -> Tools:
    """What the installed plugins (looked for once in a process), and those that are being tried, give to work with."""
    tried = _TRIED.get()
    return Tools(_collected()) if tried is None else Tools(tried, tried=True)


@lru_cache(maxsize=1)
def _collected() -> Offers:
    from diadem.hooks.manager import collect

    return collect()


@contextmanager
def trying(*modules: str) -> Iterator[Offers]:
    """Look for plugins anew, and load some that are not installed as if they were, for as long as the block lasts.

    `modules` are importable packages with a `formats.toml`, or modules with the hook `diadem_formats`.
    """
    from diadem.extract.parent import end_resting
    from diadem.hooks import manifest, tables
    from diadem.hooks.manager import collect

    manifest.document.cache_clear()  # who writes a plugin wants its latest lines
    tables.tables.cache_clear()
    offers = collect(modules)
    token = _TRIED.set(offers)
    try:
        yield offers
    finally:
        _TRIED.reset(token)
        end_resting()


def plugins() -> list[PluginSummary]:
    """Every plugin, the bundled ones first: where it comes from, what it offers, and what failed."""
    from diadem.hooks.inventory import summaries
    from diadem.serialization.extensions import ExtensionSchemas

    offers = tools().offers
    return summaries(offers, ExtensionSchemas(offers.schema_table).broken())


def unnamed_plugins() -> Sequence[str]:
    """Distributions with plugins that no service loads: nobody named them (see `only_named_plugins`)."""
    from diadem.hooks.manager import unnamed

    return unnamed()


def failed_plugins() -> Sequence[str]:
    """What is wrong with the foreign plugins that `DIADEM_PLUGINS` names; none is loaded for it where it names none."""
    from diadem.hooks.manager import SELECTION

    if os.environ.get(SELECTION, "").strip().lower() in ("", "off"):
        return ()
    return [failure for plugin in plugins() if not plugin.bundled for failure in plugin.failures]


@contextmanager
def only_named_plugins() -> Iterator[Sequence[str]]:
    """Load, here and in the processes that this one starts, no foreign plugin but those that `DIADEM_PLUGINS` names.

    For what runs unattended and for long: else it would run whatever is installed beside it.
    """
    from diadem.hooks.manager import SELECTION

    before, left_out = os.environ.get(SELECTION, ""), unnamed_plugins()
    os.environ[SELECTION] = before.strip() or "off"
    try:
        yield left_out
    finally:
        os.environ[SELECTION] = before
