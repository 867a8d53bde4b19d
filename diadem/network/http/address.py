"""Where to listen: ``host:port``, and whether it is free."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass
from typing import Final, Self

from diadem.errors import Refused, UsageError

#: Not given to any service by IANA, and not among the ports of its common neighbours.
DEFAULT_PORT: Final = 8642
DEFAULT_HOST: Final = "0.0.0.0"  # noqa: S104  a listener for others is what is asked for


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
