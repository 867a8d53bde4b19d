"""Where a node listens and where others find it, kept in `node.toml`: said once, it holds at the next start too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from diadem.errors import Refused, UsageError
from diadem.model.peer_checks import MAX_URLS, require_url
from diadem.network.http.address import DEFAULT_HOST, DEFAULT_PORT, Address
from diadem.node.config import ServerSettings
from diadem.node.context import Context
from diadem.node.mirrors import mirror_settings

#: What is said instead of an address by a node that only calls others.
NOWHERE: Final = "none"


def remembered(
    context: Context, *, listen: str = "", urls: Sequence[str] = (), hub: bool | None = None
) -> Address | None:
    """Where to listen, by what is said now or was said before; what is new is kept.

    Parameters
    ----------
    context : Context
        The node.
    listen : str
        ``host:port`` of this machine; ``none`` to listen nowhere, and only call others; "" for what was said before.
    urls : sequence of str
        ``https://host:port`` as others reach it, instead of those known before; none: these stay.
    hub : bool, optional
        Whether the node relays for its peers; None: as before.

    Raises
    ------
    UsageError
        That is no address; or one is named at which nobody listens.
    Refused
        A hub that nobody can reach.
    """
    if len(set(urls)) != len(urls) or len(urls) > MAX_URLS:
        raise UsageError(f"at most {MAX_URLS} addresses, each once, can be announced", next="Name fewer.")
    known = context.settings.server
    relays = known.hub if hub is None else hub
    said = listen or known.listen or f"{DEFAULT_HOST}:{DEFAULT_PORT}"
    if said == NOWHERE:
        if urls:
            raise UsageError("a node that listens nowhere has no address", next="Add --listen 0.0.0.0:8642.")
        address, wished = None, ServerSettings(NOWHERE, (), relays)
    else:
        address = Address.parse(said)
        wished = ServerSettings(str(address), tuple(require_url(url) for url in urls) or known.urls, relays)
    if wished.hub and not wished.urls:
        raise Refused(
            "a hub needs an address that others can reach, and this node has none",
            next="Give one: diadem serve --hub --url https://HOST:PORT   (or end it: diadem serve --no-hub)",
        )
    if wished != known:
        context.change_settings(lambda settings: replace(settings, server=wished))
        mirror_settings(context)
    return address
