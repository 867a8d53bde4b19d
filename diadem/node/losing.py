"""A store that is gone for good: its copies are stated to be missing, and the node looks there no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from diadem.errors import Refused, UsageError
from diadem.model.display import Display
from diadem.model.replicas import DROPPED, MISSING, PackageState
from diadem.model.statements import Draft
from diadem.node.context import POLICY_FILE, Context
from diadem.node.follow.replay import COPY_MISSING
from diadem.node.keep.copies import subject
from diadem.node.mirroring import mirror_settings

#: Packages that one statement names.
_BATCH: Final = 1000


@dataclass(frozen=True, slots=True)
class LostStore(Display):
    """What went with a store.

    Attributes
    ----------
    store : str
        Its name.
    copies : int
        Copies that it held.
    last : tuple of (id, title)
        Packages of which no other copy is known.
    """

    store: str
    copies: int
    last: tuple[tuple[str, str], ...]

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        last = [{"package": package, "title": title} for package, title in self.last]
        return {"store": self.store, "copies": self.copies, "last": last}


def lose(context: Context, name: str, *, reason: str) -> LostStore:
    """State that every copy in a store is missing, and take the store out of the node.

    Parameters
    ----------
    context : Context
        The node.
    name : str
        The store.
    reason : str
        What happened; stands in the log.

    Raises
    ------
    UsageError
        No reason is given, or it is the node's only store.
    Refused
        The store answers: nothing is lost; or the policy names it.
    """
    context.require_writable()
    settings = context.settings.store(name)
    if not reason.strip():
        raise UsageError("a reason is needed: it is kept in the log", next="--reason 'the disk died'")
    require_unnamed(context, name)
    if len(context.stores.names) == 1:
        raise UsageError("it is the node's only store", next="Add another one first: diadem store add PLACE")
    if context.stores.reachable(name):
        raise Refused(
            f"the store '{name}' answers: it is not lost",
            where=settings.url,
            next=f"What is damaged or missing in it: diadem scrub {name}, then diadem repair",
        )
    held = [package for package in context.catalogue.package_states() if _is_in(package, name)]
    for first in range(0, len(held), _BATCH):
        context.say([_statement(held[first : first + _BATCH], name, settings.id, reason.strip())])
    context.change_settings(lambda current: current.without_store(name))
    mirror_settings(context)
    return LostStore(name, len(held), tuple(_last(held, name)))


def require_unnamed(context: Context, name: str) -> None:
    """Raise `Refused` where the policy names a store that is to be taken out: it could not be read afterwards."""
    if name in context.policy.parity.stores:
        raise Refused(
            f"the policy wants parity on '{name}'",
            where=str(context.folder / POLICY_FILE),
            next=f"Remove '{name}' from stores in [parity] there, then try again.",
        )


def _is_in(package: PackageState, name: str) -> bool:
    return any(copy.store == name and not copy.adopted and copy.state != DROPPED for copy in package.replicas)


def _last(packages: Sequence[PackageState], name: str) -> Iterator[tuple[str, str]]:
    for package in packages:
        if not any(copy.store != name and copy.state not in (DROPPED, MISSING) for copy in package.replicas):
            yield package.id, package.title


def _statement(packages: Sequence[PackageState], name: str, store_id: str, reason: str) -> Draft:
    finding = {"code": COPY_MISSING, "path": None, "leaf": None, "message": f"the store is lost: {reason}"}
    said = {
        "store": name,
        "store_id": store_id,
        "level": "quick",
        "proven": [],
        "checked": {},
        "findings": [{"package": package.id, **finding} for package in packages],
    }
    return Draft("fixity", tuple(subject(package.id) for package in packages), said)
