"""Working with a node from a laptop."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diadem.transfer.remote.node import RemoteNode


def connect(url: str | None = None, user: str | None = None, *, ask: Callable[[str], str] | None = None) -> RemoteNode:
    """Work with a node over the network, as the user that `diadem login TICKET` has made of you.

    What comes from it is proven here: packages against their ids, each leaf (1 MiB) before it is used. Your key
    stays on this account; what you say is compared with what the node has written out, and signed here.

    Parameters
    ----------
    url : str, optional
        ``https://host:port`` of a node on which you are a user. Default: the environment variable DIADEM_NODE, else the
        only node that there is a profile for.
    user : str, optional
        ``bob`` or ``bob@hu-berlin``, where you are several.
    ask : callable, optional
        Asks a person for the passphrase of the key that it is given the name of; else DIADEM_PASSPHRASE counts.

    Raises
    ------
    Refused
        This account knows no key of a node at this address, so that anybody might answer there: log in first.
    UsageError
        Several profiles fit.
    Unreachable
        The node does not answer, or somebody else answers in its place.
    """
    from diadem.api.nodes import NODE_VARIABLE
    from diadem.api.tools import tools
    from diadem.transfer.client import PeerClient
    from diadem.transfer.profiles import choose_profile, open_key
    from diadem.transfer.remote.node import RemoteNode

    given = url or os.environ.get(NODE_VARIABLE, "")
    profile = choose_profile(given if given.startswith("https://") else "", user or "")
    key = open_key(profile, ask)
    at_hand, contact = tools(), profile.contact
    urls = sorted(contact.urls, key=lambda one: one != given.rstrip("/"))
    client = PeerClient(urls, contact.tls, contact.node, key, name=contact.name)
    return RemoteNode(
        client,
        profile,
        key,
        readers=tuple(at_hand.readers),
        extractor=at_hand.extractor,
        again=partial(connect, contact.urls[0], profile.address),
    )
