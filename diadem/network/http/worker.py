"""One worker: the process that answers. It opens the node once, for all of its threads."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from diadem.errors import DocumentError
from diadem.model.signers import Signer
from diadem.network.askers import find_asker
from diadem.network.exchange import Route, Services
from diadem.network.handlers.transfers import PUSHED, let_go, refuse_pushed
from diadem.network.http.app import App, log_to_stderr
from diadem.network.http.connections import Connections
from diadem.network.http.gate import Gate
from diadem.network.http.limits import Limits
from diadem.network.http.metrics import Counts
from diadem.network.http.nonces import Nonces
from diadem.network.http.routes import every_route
from diadem.node.config import FILE as SETTINGS_FILE
from diadem.node.context import POLICY_FILE, Context
from diadem.node.node import Node
from diadem.node.peers.book import FOLDER
from diadem.store.system import use_one_heap

#: Seconds after which a change of settings or policy is seen at the latest.
_EVERY: Final = 2.0


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker process is started with; it travels to the process as it is.

    Attributes
    ----------
    node : str
        The node's folder.
    open_node : callable
        Opens it; it travels to the process as well.
    port : int
        Where it listens.
    limits : Limits
        What is allowed.
    level : int
        Of the log.
    routes : callable
        Gives the table.
    alone : bool
        Whether it is the only worker: one of several takes in nothing that is pushed.
    """

    node: str
    open_node: Callable[[str], Node]
    port: int
    limits: Limits
    level: int
    routes: Callable[[], Sequence[Route]] = every_route
    alone: bool = True

    def __call__(self) -> App:
        """Make the application, in its process."""
        use_one_heap()
        log_to_stderr(self.level)
        table = self.routes()
        if not self.alone:
            table = [replace(one, handler=refuse_pushed, intake=None) if one in PUSHED else one for one in table]
        return application(self.open_node(self.node), self.port, self.limits, table)


class SettingsWatcher:
    """Sees changes that other processes make to settings and policy."""

    def __init__(self, context: Context, *, every: float = _EVERY) -> None:
        self._context, self._every = context, every
        self._looked, self._seen = time.monotonic(), self._stamps()

    def _stamps(self) -> list[int]:
        paths = (self._context.folder / name for name in (SETTINGS_FILE, POLICY_FILE))
        return [path.stat().st_mtime_ns if path.exists() else 0 for path in paths]

    def look(self) -> None:
        """Read them again where they changed; at most every few seconds."""
        now = time.monotonic()
        if now - self._looked < self._every:
            return
        self._looked = now
        if (stamps := self._stamps()) != self._seen:
            with contextlib.suppress(DocumentError):  # somebody is in the middle of it; what was known stays known
                self._context.refresh()
                self._seen = stamps


def numbers_folder(node: Path) -> Path:
    """Where workers leave their numbers: beside what is under way with others."""
    folder = node / FOLDER / "serving"
    for one in (folder.parent, folder):
        one.mkdir(mode=0o700, exist_ok=True)
    return folder


def application(node: Node, port: int, limits: Limits, routes: Sequence[Route]) -> App:
    """The application of an opened node, which it closes in the end."""
    context = node.context
    watcher = SettingsWatcher(context)

    def asker(key_id: str) -> Signer | None:
        watcher.look()
        return find_asker(context, key_id)

    services = Services(context, asker, context.tools.software)
    nonces = Nonces.open(context.folder / FOLDER)
    gate = Gate(routes, services, nonces, limits, lambda: context.clock().timestamp())
    numbers = numbers_folder(context.folder) / f"{os.getpid()}.json"

    def leave() -> None:
        nonces.close()
        node.close()

    connections = Connections(port, limits)
    return App(gate, services, limits, Counts(), connections, numbers, partial(let_go, context), leave)
