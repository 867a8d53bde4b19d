"""The hooks. Each returns offers; one implementation's failure never hides the others.

A plugin is a module with `@hookimpl` functions, named in the entry-point group ``diadem`` of its distribution.
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from diadem.hooks.offers import FieldsOffer, ReaderOffer

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
