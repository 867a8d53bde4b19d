"""The hooks. Each returns offers; one implementation's failure never hides the others.

A plugin is a module with `@hookimpl` functions, named in the entry-point group ``diadem`` of its distribution.
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from diadem.hooks.offers import ReaderOffer

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
