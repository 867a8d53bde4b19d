"""From what people call somebody to whose key counts: the users of this node, and peers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from diadem.errors import NotFound, UsageError
from diadem.model.access import EVERYBODY, PEER, RETIRED, USER, Asker

if TYPE_CHECKING:
    from diadem.node.context import Context


_DIGEST: Final = re.compile(r"[0-9a-f]{64}\Z")


def node_of(context: Context, address: str) -> str | None:
    """Id of the node in ``marie@nmi``, by what it is called here; None where no such node is known.

    The own name goes before those of peers, which `Context.peer_id` knows.
    """
    name = address.rpartition("@")[2]
    return context.settings.id if name == context.settings.name else context.peer_id(name)


def whole_address(context: Context, who: str) -> str:
    """``alice@hu-berlin`` for ``alice``: without a node, this one is meant.

    Raises
    ------
    UsageError
        It is not an address.
    """
    address = who.strip() if "@" in who else f"{who.strip()}@{context.settings.name}"
    user, _, node = address.partition("@")
    if not user or not node or "@" in node or len(address.split()) != 1:
        raise UsageError(f"'{who}' is not an address", next="Write user@node: marie@nmi; or *@nmi for everybody there.")
    return address


def recipient_of(context: Context, address: str, given: str = "") -> str:
    """Id of the node whose user may be granted something.

    Parameters
    ----------
    context : Context
        The node.
    address : str
        ``marie@nmi``.
    given : str
        Id of the node, where a person names it.

    Raises
    ------
    NotFound
        No node is called so, or this node has no such user.
    UsageError
        The node that is called so is another one than is given.
    """
    if given and not _DIGEST.match(given):
        raise UsageError(f"'{given}' is not the id of a node", next="It has 64 hex digits; its people know it.")
    node, name = node_of(context, address), address.rpartition("@")[2]
    if node is None and not given:
        raise NotFound(f"no node is called '{name}' here", next="Name it by its id: --recipient NODEID")
    if given and node not in (None, given):
        raise UsageError(f"'{name}' is the node {str(node)[:12]}… here, and not {given[:12]}…")
    if node == context.settings.id and address.partition("@")[0] != EVERYBODY:
        _require_at_work(context, address)
    return given or str(node)


def _require_at_work(context: Context, address: str) -> None:
    try:
        found = context.settings.user(address)
    except NotFound:  # who has just logged in, at the server's process
        context.reread_settings()
        found = context.settings.user(address)
    if (end := context.grants.now().successions.get(address)) is not None:
        raise NotFound(f"{found.name} has retired", next=f"{end.successor} follows.")


def asker_of(context: Context, who: str) -> Asker:
    """Somebody as one who asks, by what people call them: to explain what they may.

    Raises
    ------
    NotFound
        No node is called so, or this node has no such user.
    """
    address = whole_address(context, who)
    node = node_of(context, address)
    if node is None:
        name = address.rpartition("@")[2]
        raise NotFound(f"no node is called '{name}' here", next="See what was granted: diadem grant ls")
    if node != context.settings.id:
        return Asker(node, address, kind=PEER)
    if address.partition("@")[0] != EVERYBODY:
        context.settings.user(address)
    kind = RETIRED if address in context.grants.now().successions else USER
    return Asker(node, address, kind=kind, guest=_is_guest(context, address))


def user_of_key(context: Context, key_id: str) -> Asker | None:
    """The user of this node whose key signs what is asked; None for every other key, and one that is in force no more.

    Parameters
    ----------
    context : Context
        The node.
    key_id : str
        64 hex digits.
    """
    now = context.clock()
    for card in context.grants.now().ring.users():
        ended = bool(card.successor) or (card.expires is not None and card.expires <= now)
        if card.public.key_id == key_id and not ended:
            return Asker(context.settings.id, card.name, key_id, USER, _is_guest(context, card.name))
    return None


def _is_guest(context: Context, address: str) -> bool:
    """Whether a user is from outside the group; also of one whom the settings do not name."""
    name = context.settings.name
    return next((one.guest for one in context.settings.users if f"{one.name}@{name}" == address), True)
