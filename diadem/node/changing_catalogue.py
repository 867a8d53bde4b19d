"""A catalogue that is built in another place than it was: from a file to a server, or back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from diadem.catalogue import Catalogue
from diadem.errors import DiademError, Refused
from diadem.node.catalogue_place import catalogue_address, stated_address
from diadem.node.context import Context
from diadem.node.mirroring import mirror_settings


@contextmanager
def moving(context: Context, into: str | None) -> Iterator[Catalogue]:
    """The catalogue whose place a new one will take: that of the node, or an empty one in another place.

    An empty one that was made for nothing is removed. One that this node has had there before, and that could not be
    removed because its server was away, is replaced.

    Raises
    ------
    Refused
        There is another node's catalogue already.
    """
    if into is None:
        yield context.catalogue
        return
    stated = stated_address(into, context.settings.short_id)
    address = catalogue_address(replace(context.settings, catalogue=stated), context.folder)
    if address == catalogue_address(context.settings, context.folder):
        raise Refused("the catalogue is there already", where=address, next="To rebuild it: diadem reindex")
    target = Catalogue.open(address, create=True)
    former = target.count_statements() > 0
    if former and not _is_own(context, target):
        target.close()
        raise Refused(
            "there is a catalogue already, perhaps another node's",
            where=address,
            next="Name another schema: postgresql://user@host/database?schema=name, or remove what is there.",
        )
    try:
        yield target
    except BaseException:
        if context.catalogue is not target and not former:
            target.discard()
        raise


def _is_own(context: Context, target: Catalogue) -> bool:
    """Whether a catalogue is a former one of this node, which could not be removed while its server was away."""
    first = context.ledger.entry(0, epoch=context.ledger.epochs[0])
    return any(first.line in target.statements(subject.sha256) for subject in first.statement.subjects)


def change_over(context: Context, target: Catalogue, into: str) -> None:
    """Let the node have its catalogue there from now on; the former one is removed where that can be done."""
    stated = stated_address(into, context.settings.short_id)
    context.change_settings(lambda settings: replace(settings, catalogue=stated))
    former, context.catalogue = context.catalogue, target
    mirror_settings(context)
    with suppress(DiademError):
        former.discard()
