"""Where copies lie or should lie, as catalogue and log know it: nobody sweeps there, whatever a copy has lost."""

from __future__ import annotations

from functools import cached_property

from diadem.model.replicas import DROPPED
from diadem.node.context import Context
from diadem.node.follow.follow import places_kept


class KnownPlaces:
    """The paths in one store at which copies were written that nobody has given up.

    The log is read when the first path is asked about: mostly none is.

    Parameters
    ----------
    context : Context
        The node.
    store : str
        The store's name.
    """

    def __init__(self, context: Context, store: str) -> None:
        self._context, self._store = context, store

    def __contains__(self, path: object) -> bool:
        """Whether a copy lies, or should lie, at this path."""
        return path in self._paths

    @cached_property
    def _paths(self) -> set[str]:
        kept = places_kept(self._context.ledger.all_entries())
        for package in self._context.catalogue.package_states():
            kept |= {(one.store, one.path) for one in package.replicas if one.state != DROPPED}
        return {path for store, path in kept if store == self._store}
