"""Where a node listens: ``host:port``, whether it is free, and what `node.toml` keeps of it for the next start."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from diadem.errors import Refused, UsageError
from diadem.model.peer_checks import MAX_URLS, require_url
from diadem.node.config import ServerSettings
from diadem.node.context import Context
from diadem.node.mirrors import mirror_settings

#: Not given to any service by IANA, and not among the ports of its common neighbours.
DEFAULT_PORT: Final = 8642
DEFAULT_HOST: Final = "0.0.0.0"  # noqa: S104  a listener for others is what is asked for
#: What is said instead of an address by a node that only calls others.
NOWHERE: Final = "none"


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port of this machine.

    Attributes
    ----------
    host : str
        An address or a name; without the brackets of IPv6.
    port : int
        1 to 65535.
    """

    host: str
    port: int

    def __str__(self) -> str:
        """``host:port``, as people write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str, *, port: int = DEFAULT_PORT) -> Self:
        """The address of ``host:port``, ``host`` or ``:port``.

        Raises
        ------
        UsageError
            It is no such thing.
        """
        host, colon, number = text.rpartition(":")
        if not colon or text.endswith("]"):
            host, number = text, str(port)
        host = host.removeprefix("[").removesuffix("]") or DEFAULT_HOST
        if not number.isascii() or not number.isdecimal() or not 0 < int(number) < 65536 or " " in host:
            raise UsageError(f"'{text}' is not an address to listen on", next=f"Write HOST:PORT, as 0.0.0.0:{port}")
        return cls(host, int(number))

    def answers(self) -> bool:
        """Whether somebody listens here now."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104  every address: also this
        try:
            with socket.create_connection((host, self.port), timeout=1.0):
                return True
        except OSError:
            return False

    def require_free(self) -> None:
        """That nobody listens here. Workers share the port afterwards, which would hide a second server.

        Raises
        ------
        Refused
            Somebody listens, or this machine has no such address, or the port is for the administrator.
        """
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind, protocol) as probe:
                if os.name != "nt":  # there it would let two listen at one port
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(place)
                probe.listen(1)
        except OSError as error:
            raise Refused(_why(error), where=str(self), next=_advice(error)) from error


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program listens on this port"
    if error.errno == errno.EACCES:
        return "this account may not listen on this port"
    return f"it is not possible to listen there: {error.strerror or error}"


def _advice(error: OSError) -> str:
    if error.errno in (errno.EADDRINUSE, errno.EACCES):
        return f"Choose another port above 1023: --listen {DEFAULT_HOST}:{DEFAULT_PORT + 1}"
    return f"Name an address of this machine: --listen {DEFAULT_HOST}:{DEFAULT_PORT}"


def choose_address(
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
