"""Keeping the mirrors of a node up to date, and leaving it: what changed is mirrored, what is open is closed."""

from __future__ import annotations

import contextlib

from diadem.errors import DiademError
from diadem.node.context import Context
from diadem.node.mirroring import mirror_catalogue_if_due, mirror_chains, mirror_edited, owes_chains


def mirror(context: Context) -> None:
    """Bring the mirrors in the stores up to date, of a node that stays open."""
    with contextlib.suppress(DiademError, OSError):
        size = context.ledger.size
        if context.writable and (size != context.mirrored_at or owes_chains(context)):
            context.mirrored_at = size
            _mirror(context)
        elif context.writable and size != context.opened_at:
            mirror_catalogue_if_due(context)  # it may not have been due when the log grew


def _mirror(context: Context) -> None:
    """What was done is done: a store or a disk that fails now gets its part the next time."""
    for step in (_push, mirror_edited, mirror_chains, mirror_catalogue_if_due):
        with contextlib.suppress(DiademError, OSError):
            step(context)


def _push(context: Context) -> None:
    context.ledger.push()


def close(context: Context) -> None:
    """Bring the mirrors up to date if there is something new, and release everything."""
    with contextlib.ExitStack() as closing:
        for release in (context.catalogue.close, context.ledger.close, context.close_kept):
            closing.enter_context(contextlib.suppress(DiademError, OSError))
            closing.callback(release)
        with contextlib.suppress(DiademError, OSError):
            if context.writable and (context.ledger.size != context.opened_at or owes_chains(context)):
                _mirror(context)
        with contextlib.suppress(DiademError, OSError):
            if context.writable:
                context.stores.note_answers(context.folder, context.clock())
