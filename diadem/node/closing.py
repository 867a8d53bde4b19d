"""Leaving a node: what changed is mirrored, what is open is closed."""

from __future__ import annotations

import contextlib

from diadem.errors import DiademError
from diadem.node.context import Context
from diadem.node.mirroring import mirror_catalogue_if_due, mirror_policy


def close(context: Context) -> None:
    """Mirror policy and catalogue if the log grew while the node was open, and release everything."""
    with contextlib.suppress(DiademError):  # a store that does not answer gets its snapshot the next time
        if context.writable and context.ledger.size != context.opened_at:
            context.ledger.push()
            mirror_policy(context)
            mirror_catalogue_if_due(context)
    if context.writable:
        context.stores.note_answers(context.folder, context.clock())
    context.close_kept()
    context.ledger.close()
    context.catalogue.close()
