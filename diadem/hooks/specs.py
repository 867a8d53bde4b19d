"""The hooks. Each returns offers; one implementation's failure never hides the others.

A plugin is a module with `@hookimpl` functions, named in the entry-point group ``diadem`` of its distribution.
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from diadem.hooks.offers import CheckOffer, FieldsOffer, PreviewOffer, ReaderOffer, SchemaOffer, TransportOffer

GROUP = "diadem"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def diadem_readers() -> Iterable[ReaderOffer]:  # type: ignore[empty-body]
    """Offer readers of instrument files.

    A reader runs in a worker process, under limits, and returns what the file says.

    Example
    -------
    ::

        @hookimpl
        def diadem_readers():
            yield ReaderOffer(name="my-format", suffixes=(".myf",), load="my_plugin.reader:read")
    """


@hookspec
def diadem_fields() -> Iterable[FieldsOffer]:  # type: ignore[empty-body]
    """Offer tables that turn what a file states into fields of the record.

    Tables run in the worker process; they add assertions, each with its evidence, and never overwrite another's.

    Example
    -------
    ::

        @hookimpl
        def diadem_fields():
            yield FieldsOffer(
                name="my-format",
                formats=("my-format",),
                blocks="my_plugin.blocks:read",
                tables={"my-header": "my_plugin.tables:HEADER"},
            )
    """


@hookspec
def diadem_schemas() -> Iterable[SchemaOffer]:  # type: ignore[empty-body]
    """Offer JSON Schemas of extension namespaces.

    The core judges the `Extension` objects of every plugin, and what people write under ``extensions``, by them: valid
    data are marked so, invalid ones are named with path and rule. Nothing is fetched.

    Example
    -------
    ::

        @hookimpl
        def diadem_schemas():
            yield SchemaOffer("org.example.cl", {"1.0.0": {"type": "object", "required": ["mirror"]}})
    """


@hookspec
def diadem_previews() -> Iterable[PreviewOffer]:  # type: ignore[empty-body]
    """Offer pictures of a format's datasets.

    Drawn in the worker process, checked, and shown in the package's page in place of DIADEM's own picture.

    Example
    -------
    ::

        @hookimpl
        def diadem_previews():
            yield PreviewOffer(name="my-format", formats=("my-format",), draw="my_plugin.preview:draw")
    """


@hookspec
def diadem_checks() -> Iterable[CheckOffer]:  # type: ignore[empty-body]
    """Offer checks of a dataset's quality.

    They run in the worker process, after reader and tables; what they find are issues of the dataset under their name.

    Example
    -------
    ::

        @hookimpl
        def diadem_checks():
            yield CheckOffer(name="my-format", formats=("my-format",), check="my_plugin.quality:check")
    """


@hookspec
def diadem_transports() -> Iterable[TransportOffer]:  # type: ignore[empty-body]
    """Offer carriers: ways for sealed packages between nodes that cannot reach each other.

    Connected in the node's process, to the addresses that people configured with ``diadem peer carrier add``.

    Example
    -------
    ::

        @hookimpl
        def diadem_transports():
            yield TransportOffer(scheme="my-cloud", connect="my_plugin.carrier:connect")
    """
