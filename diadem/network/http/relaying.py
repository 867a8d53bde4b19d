"""What the server does for a hub besides answering: order at the start, what has expired, and its numbers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import Final

from diadem.network.hub.hub import has_hub, hub_of
from diadem.network.jobs import Job
from diadem.node.context import Context

_LOG: Final = logging.getLogger("diadem.network.http.hub")
#: Seconds between two looks for what has expired.
_EVERY: Final = 60.0


def begin(context: Context) -> None:
    """Put in order what a process left that was killed, before the first request; what there was is said."""
    if has_hub(context) and (tidied := hub_of(context).tidy()):
        _LOG.warning("hub tidied: %s", tidied)


def hub_jobs(context: Context) -> list[Job]:
    """The job that ends what has expired."""

    def sweep(_: threading.Event) -> bool:
        if swept := hub_of(context).endings.sweep():
            _LOG.info("hub deleted: %s", swept)
        return False

    return [Job("hub", sweep, every=_EVERY)] if has_hub(context) else []


def hub_numbers(context: Context) -> Iterable[tuple[str, float]]:
    """What the hub holds, in numbers."""
    if not has_hub(context):
        return ()
    held = hub_of(context).held()
    return tuple((f"hub_{name}", float(value)) for name, value in held.items())
