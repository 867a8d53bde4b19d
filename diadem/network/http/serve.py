"""`diadem serve`: one listener for a node, its workers, and the jobs that run beside them."""

from __future__ import annotations

import gc
import json
import logging
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from diadem.errors import Refused, StoreError, UsageError
from diadem.model.peers import PeerState
from diadem.network.exchange import Route
from diadem.network.http.address import Address
from diadem.network.http.app import log_to_stderr
from diadem.network.http.limits import Limits
from diadem.network.http.metrics import Counts, MetricsServer, metrics_text
from diadem.network.http.nonces import Nonces
from diadem.network.http.routes import every_route
from diadem.network.http.worker import Worker, numbers_folder
from diadem.network.hub.book import has_hub
from diadem.network.hub.hub import hub_of
from diadem.network.jobs import Job, JobRunner, jobs
from diadem.network.open_ends import tell_verbs
from diadem.node.context import Context
from diadem.node.key_verbs import TlsFiles, tls_files
from diadem.node.locks import SERVE_LOCK, node_lock
from diadem.node.node import Node
from diadem.node.peers.book import FOLDER, peer_book
from diadem.node.peers.notes import own_hubs, relays
from diadem.node.tell.figures import Row
from diadem.node.tell.verbs import EVERY
from diadem.store.system import use_one_heap
from diadem.store.whole import write_whole

_HUB_LOG: Final = logging.getLogger("diadem.network.http.hub")
#: Which process serves a node, and where: beside the lock that it holds.
_SERVER_FILE: Final = f"locks/{SERVE_LOCK}.json"
#: Seconds that requests and jobs get to end when the server is stopped.
PATIENCE: Final = 5
#: Objects that are made between two looks for cycles; and looks before a longer one.
_COLLECTED: Final = (700, 10, 10)
#: Seconds between two looks at whether the port takes connections.
_LOOK: Final = 0.05
#: Threads of a worker for TLS and files, which need no interpreter: two of them give a third more than one.
_RUNTIME_THREADS: Final = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """How a node is served.

    Attributes
    ----------
    listen : Address or None
        Where; None for a node that only calls others.
    open_node : callable
        Opens a node by its folder, as each worker does: a function of a module, which another process can import.
    workers : int
        Processes that answer. Several take in nothing that is pushed.
    metrics : Address or None
        Where numbers are shown.
    limits : Limits
        What is allowed.
    quiet : bool
        No line for each request.
    routes : callable
        Gives the table of who answers what; it is called in each worker.
    """

    listen: Address | None
    open_node: Callable[[str], Node]
    workers: int = 1
    metrics: Address | None = None
    limits: Limits = field(default_factory=Limits)
    quiet: bool = False
    routes: Callable[[], Sequence[Route]] = every_route


@dataclass(frozen=True, slots=True)
class Announcement:
    """What is said when a server begins.

    Attributes
    ----------
    node : str
        Its id.
    name : str
        Its name.
    listen : str
        Where it listens; "" where it only calls others.
    urls : sequence of str
        As others reach it.
    tls : str
        SHA-256 of the listener's public key.
    peers, pending, users, packages : int
        Who may ask, who is still to be confirmed, and how much there is.
    metrics : str
        Where numbers are shown; "" for nowhere.
    hub : bool
        Whether it relays for its peers.
    hubs : sequence of str
        Names of the hubs where it picks up.
    left_hubs : sequence of str
        Names of those where it picks up nothing, because it relays itself.
    """

    node: str
    name: str
    listen: str
    urls: Sequence[str]
    tls: str
    peers: int
    pending: int
    users: int
    packages: int
    metrics: str
    hub: bool
    hubs: Sequence[str]
    left_hubs: Sequence[str]

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return plain | {"urls": list(self.urls), "hubs": list(self.hubs), "left_hubs": list(self.left_hubs)}


def serve(context: Context, plan: Plan, *, told: Callable[[Announcement], None]) -> None:
    """Serve until the process is told to end (Ctrl-C, SIGTERM); a node that listens nowhere only calls others.

    Parameters
    ----------
    context : Context
        The node.
    plan : Plan
        How.
    told : callable
        Told once, from another thread, when the first worker takes connections.

    Raises
    ------
    UsageError
        The extra ``server`` is not installed.
    Refused
        The node is served already, or the port is not free; or there are to be several workers, and a peer pushes.
    """
    gc.set_threshold(*_COLLECTED)  # what runs for months looks for cycles as usual: some hold a whole window
    use_one_heap()
    if plan.listen is None:
        _call_others(context, plan, told)
    else:
        _require_granian()
        _listen(context, plan, plan.listen, told)


def _call_others(context: Context, plan: Plan, told: Callable[[Announcement], None]) -> None:
    """Do what a node that serves does by itself, and answer nobody."""
    ended = threading.Event()
    with _only_server(context, "and only calls others"), _catch_signals(ended):
        log_to_stderr(_level(plan))
        work = JobRunner(jobs(context), lambda _name, _well: None)
        told(_announcement(context, plan, "", ""))
        work.start()
        try:
            while not ended.wait(1.0):
                pass
        finally:
            work.stop(PATIENCE)


@contextmanager
def _catch_signals(ended: threading.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM set an event, instead of ending what is just written."""
    names = (signal.SIGINT, signal.SIGTERM)
    before = {name: signal.signal(name, lambda *_: ended.set()) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _listen(context: Context, plan: Plan, listen: Address, told: Callable[[Announcement], None]) -> None:
    if plan.workers > 1:
        _require_nobody_pushes(context)
    with _only_server(context, f"at {listen}"):
        listen.require_free()
        files = tls_files(context)
        log_to_stderr(_level(plan))
        counts = Counts()
        counts.add("started_seconds", int(time.time()))
        folder = numbers_folder(context.folder)
        shutil.rmtree(folder)
        folder.mkdir(mode=0o700)
        if has_hub(context) and (tidied := hub_of(context).tidy()):  # before the first request
            _HUB_LOG.warning("hub tidied: %s", tidied)
        shown = partial(metrics_text, counts, folder, more=_Numbers(context))
        numbers = MetricsServer(plan.metrics, shown) if plan.metrics else None
        nonces = Nonces.open(context.folder / FOLDER)
        work = JobRunner(
            [*jobs(context), Job("nonces", partial(_sweep_nonces, context, nonces), every=30.0)],
            lambda name, well: counts.add("job_runs_total", job=name, result="done" if well else "failed"),
        )
        server = _server(plan, listen, files)
        metrics = f"{plan.metrics.host}:{numbers.port}" if plan.metrics and numbers else ""
        said = _announcement(context, plan, files.pin, metrics)
        opened = threading.Thread(target=_announce_once_open, args=(listen, partial(told, said)), daemon=True)
        server.on_startup(opened.start)
        try:
            if numbers is not None:
                numbers.start()
            work.start()
            with _spawn_workers():
                alone = plan.workers == 1
                worker = Worker(
                    str(context.folder), plan.open_node, listen.port, plan.limits, _level(plan), plan.routes, alone
                )
                server.serve(target_loader=worker, wrap_loader=False)
        except SystemExit as ended:
            if ended.code:
                raise Refused(
                    "a worker of the server ended by itself", next="See its message above, then start it again."
                ) from ended
        finally:
            work.stop(PATIENCE)
            nonces.close()
            if numbers is not None:
                numbers.stop()


class _Numbers:
    """What the hub holds, and how the archive stands, in numbers; at the archive is looked once a minute at most."""

    def __init__(self, context: Context) -> None:
        self._context, self._lock = context, threading.Lock()
        self._found, self._until = list[Row](), 0.0

    def __call__(self) -> list[Row]:
        held = hub_of(self._context).mailboxes.held() if has_hub(self._context) else {}
        with self._lock:
            if (began := time.monotonic()) >= self._until:
                self._found = list(tell_verbs(self._context).figures())
                self._until = time.monotonic() + max(EVERY, 20 * (time.monotonic() - began))
        return [*((f"hub_{name}", "", float(value)) for name, value in held.items()), *self._found]


def _require_nobody_pushes(context: Context) -> None:
    """That every peer has an address: one without pushes its packages, and one process alone can take them in."""
    for peer in peer_book(context).ls():
        if peer.state is PeerState.CONFIRMED and not peer.has_address:
            raise Refused(
                f"the node '{peer.name}' has no address and pushes its packages, which a single process must receive",
                next="Leave out --workers.",
            )


def _announce_once_open(listen: Address, tell: Callable[[], None]) -> None:
    """Tell once the first worker takes connections: whoever reads it may call at once."""
    while not listen.answers():
        time.sleep(_LOOK)
    tell()


def _announcement(context: Context, plan: Plan, pin: str, metrics: str) -> Announcement:
    settings = context.settings
    states = [peer.state for peer in peer_book(context).ls()]
    return Announcement(
        node=settings.id,
        name=settings.name,
        listen=str(plan.listen or ""),
        urls=settings.server.urls,
        tls=pin,
        peers=states.count(PeerState.CONFIRMED),
        pending=states.count(PeerState.PENDING),
        users=len(settings.users),
        packages=context.catalogue.count(),
        metrics=metrics,
        hub=settings.server.hub,
        hubs=[hub.name for hub in own_hubs(context, peer_book(context))],
        left_hubs=[peer.name for peer in peer_book(context).ls() if peer.is_hub and relays(context)],
    )


def _level(plan: Plan) -> int:
    return logging.ERROR if plan.quiet else logging.INFO


def _server(plan: Plan, listen: Address, files: TlsFiles) -> Any:
    """granian, as it is needed here: TLS 1.3, HTTP/1.1, no WebSockets, small heads."""
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces, Loops, SSLProtocols
    from granian.http import HTTP1Settings
    from granian.log import LogLevels

    limits = plan.limits
    return Granian(
        "diadem",
        listen.host,
        listen.port,
        interface=Interfaces.RSGI,
        workers=plan.workers,
        runtime_threads=min(_RUNTIME_THREADS, os.cpu_count() or 1),
        loop=Loops.asyncio,
        http=HTTPModes.http1,
        websockets=False,
        backpressure=max(1, limits.connections // plan.workers),
        http1_settings=HTTP1Settings(header_read_timeout=int(limits.header_time * 1000), max_buffer_size=limits.buffer),
        log_level=LogLevels.error,
        ssl_cert=files.certificate,
        ssl_key=files.key,
        ssl_protocol_min=SSLProtocols.tls13,
        respawn_failed_workers=True,
        workers_kill_timeout=PATIENCE,
        process_name=None,
    )


@contextmanager
def _spawn_workers() -> Iterator[None]:
    """Workers are started anew, not forked: this process has threads, and an open log."""
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("spawn", force=True)
    try:
        yield
    finally:
        multiprocessing.set_start_method(before, force=True)


@contextmanager
def _only_server(context: Context, where: str) -> Iterator[None]:
    """One server a node: two would share a port without a word, and do every job twice. Says `where` it listens."""
    lock, server = node_lock(context.folder, SERVE_LOCK), context.folder / _SERVER_FILE
    if not lock.acquire():
        raise Refused(
            f"this node is already served{_who(server)}",
            where=str(context.folder),
            next="Stop the other one, or leave it running.",
        )
    try:
        with suppress(StoreError):  # on a full disk who asks is told less; the lock says it too
            write_whole(server, json.dumps({"process": os.getpid(), "where": where}).encode())
        yield
    finally:
        with suppress(OSError):
            server.unlink()
        lock.remove()


def _who(server: Path) -> str:
    """Where a server listens and which process it is, as it has written; "" where that cannot be read."""
    try:
        said = json.loads(server.read_bytes())
        return f" {said['where']} (process {said['process']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _sweep_nonces(context: Context, nonces: Nonces, _: threading.Event) -> bool:
    nonces.sweep(now=int(context.clock().timestamp()))
    return False


def _require_granian() -> None:
    try:
        import granian  # noqa: F401  only whether it is there
    except ImportError as error:
        raise UsageError(
            "serving needs a package that is missing", next="Install it: pip install 'diadem-em[server]'."
        ) from error
