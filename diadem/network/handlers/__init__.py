"""Who answers which request: one module a subject, whose functions say their `route`; nothing of HTTP here."""

from __future__ import annotations

from collections.abc import Sequence

from diadem.network.exchange import Route
from diadem.network.handlers import hub, packages, peers, statements, transfers


def routes() -> Sequence[Route]:
    """Every route that this room answers."""
    everyone = (peers, packages, statements, transfers, hub)
    return tuple(one for module in everyone for one in vars(module).values() if isinstance(one, Route))
