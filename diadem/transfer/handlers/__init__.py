"""Who answers which request: one module a subject, each with its `ROUTES`; nothing of HTTP here."""

from __future__ import annotations

from collections.abc import Sequence

from diadem.transfer.exchange import Route
from diadem.transfer.handlers import identity, packages, peers, statements


def routes() -> Sequence[Route]:
    """Every route that the transfer room answers."""
    return (*identity.ROUTES, *peers.ROUTES, *packages.ROUTES, *statements.ROUTES)
