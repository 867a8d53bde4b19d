"""Keeping the mirrors of a node up to date, and leaving it: what changed is mirrored, what is open is closed."""

from __future__ import annotations

import contextlib

from diadem.errors import DiademError
from diadem.node.context import Context
from diadem.node.mirroring import mirror_catalogue_if_due, mirror_chains, mirror_edited


def mirror(context: Context) -> None:
    """Bring the mirrors in the stores up to date if the log grew since they were.

    What was done is done: a store or a disk that fails now gets its snapshot the next time.
    """
    with contextlib.suppress(DiademError, OSError):
        size = context.ledger.size
        if context.writable and size != context.mirrored_at:
            context.mirrored_at = size
            context.ledger.push()
            mirror_edited(context)
            mirror_chains(context)
            mirror_catalogue_if_due(context)


def close(context: Context) -> None:
    """Bring the mirrors up to date, and release everything."""
    with contextlib.ExitStack() as closing:
        for release in (context.catalogue.close, context.ledger.close, context.close_kept):
            closing.enter_context(contextlib.suppress(DiademError, OSError))
            closing.callback(release)
        mirror(context)
        with contextlib.suppress(DiademError, OSError):
            if context.writable:
                context.stores.note_answers(context.folder, context.clock())
