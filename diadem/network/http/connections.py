"""Connections of a listener: those that say nothing, and too many strangers of one address, are ended.

granian counts connections and tells nobody whose they are, and keeps in memory whatever it is given to send. On Linux
and macOS this process can look at its own sockets, and shut one down; on Windows sockets cannot be listed, and only
granian's limits hold there.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import select
import socket
import stat
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from diadem.network.http.limits import Limits

_LOG: Final = logging.getLogger("diadem.network.http.connections")
#: Where a process finds its own descriptors.
_OPEN: Final = next((path for path in (Path("/proc/self/fd"), Path("/dev/fd")) if path.is_dir()), None)
#: Seconds between two looks.
_LOOK: Final = 0.2


class Connections:
    """The connections that one worker has taken at a port.

    Parameters
    ----------
    port : int
        Where it listens.
    limits : Limits
        `first_time` and `address_connections`.
    """

    def __init__(self, port: int, limits: Limits) -> None:
        self._port, self._limits = port, limits
        #: Since when each is there, by the other end; and of which a request was let in: True where a known key signed.
        self._since: dict[str, float] = {}
        self._met: dict[str, bool] = {}
        self._ended = threading.Event()

    def start(self) -> None:
        """Look again and again, in a thread of its own: a crowd keeps all others busy."""
        if _OPEN is not None:
            threading.Thread(target=self._watch, name="connections", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()

    def met(self, client: str, *, known: bool) -> None:
        """Note that a request of a connection was let in; `known` where a key signed it that the node knows."""
        host, _, port = client.rpartition(":")
        name = _name(host, port)
        self._met[name] = known or self._met.get(name, False)

    def held(self, client: str) -> socket.socket | None:
        """The socket of a connection, to look at and to be closed by who asked; None where sockets cannot be listed."""
        host, _, port = client.rpartition(":")
        if _OPEN is not None:
            for descriptor, found in self._sockets():
                with contextlib.suppress(OSError):
                    if found == _name(host, port) and self._client(descriptor) == found:
                        return socket.socket(fileno=os.dup(descriptor))
        return None

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK):
            try:
                self._look(time.monotonic())
            except OSError:  # connections come and go while it looks
                continue
            except Exception:  # without it nobody would end them any more
                _LOG.exception("the connections could not be looked at")

    def _look(self, now: float) -> None:
        strangers = defaultdict(list)
        there: dict[str, float] = {}
        for descriptor, client in self._sockets():
            since = there[client] = self._since.get(client, now)
            if client not in self._met and now - since > self._limits.first_time:
                self._end(descriptor, client)
            elif not self._met.get(client, False):
                strangers[_whose(client)].append((since, client, descriptor))
        for crowd in strangers.values():
            crowd.sort()
            for _, client, descriptor in crowd[: max(0, len(crowd) - self._limits.address_connections)]:
                self._end(descriptor, client)
        self._since = there
        for client in [one for one in list(self._met) if one not in there]:
            self._met.pop(client, None)

    def _sockets(self) -> Iterator[tuple[int, str]]:
        """Descriptor of each connection that was taken at the port, and its other end."""
        assert _OPEN is not None
        for name in os.listdir(_OPEN):
            with contextlib.suppress(OSError, ValueError):
                descriptor = int(name)
                if stat.S_ISSOCK(os.fstat(descriptor).st_mode) and (client := self._client(descriptor)):
                    yield descriptor, client

    def _client(self, descriptor: int) -> str:
        with socket.socket(fileno=os.dup(descriptor)) as one:
            return self._other_end(one)

    def _other_end(self, one: socket.socket) -> str:
        """Address and port of who called; "" for another socket than one that was taken at the port."""
        if one.family not in (socket.AF_INET, socket.AF_INET6) or one.getsockname()[1] != self._port:
            return ""
        return _name(*one.getpeername()[:2])

    def _end(self, descriptor: int, client: str) -> None:
        """Shut a connection down, if the descriptor still is that one: granian sees its end, and lets go of it."""
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as one:
            if self._other_end(one) == client:
                one.shutdown(socket.SHUT_RDWR)


def takes_more(one: socket.socket) -> bool:
    """Whether the system would take more for a connection, or it has ended: then what was given before has gone."""
    looking = select.poll()
    looking.register(one, select.POLLOUT)
    return bool(looking.poll(0))


def _name(host: str, port: object) -> str:
    """Address and port as one text, however the system or granian writes IPv6."""
    address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return f"{mapped or address} {port}"


def _whose(client: str) -> str:
    """The address that a connection counts for; of IPv6 its network, for one subscriber has all of it."""
    address = ipaddress.ip_address(client.partition(" ")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))
