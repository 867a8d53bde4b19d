"""The RSGI application: between the event loop of a worker and the handlers, which are plain functions in threads."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import multiprocessing
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from diadem.errors import DiademError, NotFound, Refused, StoreError, Unreachable
from diadem.model.signers import INTRODUCED, Signer
from diadem.model.times import time_text
from diadem.network.exchange import Intake, Response, Route, Services, problem, problem_of
from diadem.network.http.connections import Connections, takes_more
from diadem.network.http.gate import Admitted, Gate, Head, TurnedAway
from diadem.network.http.limits import Limits
from diadem.network.http.metrics import Counts
from diadem.network.limits import PORTION
from diadem.network.memory import BODIES, TRANSFERS, Memory, NoRoom
from diadem.trust.http_signature import body_digest

T = TypeVar("T")

#: Memory of a body that is taken in as it comes: a portion, its pieces, and what is no whole leaf yet, twice. And the
#: seconds after which one that is slow hands over what came of a portion, and leaves its room to the next one.
_TAKEN_IN: Final = 4 * PORTION
_TURN: Final = 1.0
#: Seconds for which a body waits for room, at its beginning or for its next portion. Who sends it waits for a minute.
_PATIENCE: Final = 30.0
#: Seconds between two looks at whether the system takes more of an answer.
_UNTIL_TAKEN: Final = 0.005
#: Seconds between two looks for news that a request waits for, and for which it may wait.
_LOOK_AGAIN: Final = 1.0
_LONGEST_WAIT: Final = 60.0
#: Seconds that a worker has to end by itself when the process that started it is gone.
_ORPHANED: Final = 5
#: What stands in every answer.
_ALWAYS: Final = {"cache-control": "no-store", "server": "diadem"}
_SLOW: Final = problem(408, "slow", "the body came too slowly", next="Ask again.")
_FULL: Final = problem(503, "busy", "this node is moving as much as it can", next="Try again later.")
_OTHER_BODY: Final = problem(400, "digest", "the body is not the one that was signed", next="Send it again.")
ACCESS: Final = logging.getLogger("diadem.network.http.access")
FAULTS: Final = logging.getLogger("diadem.network.http")


class _Slow(Exception):
    """A body that does not come."""


@dataclass
class _Story:
    """What is said of a request afterwards."""

    began: float
    client: str
    route: Route | None = None
    asker: Signer | None = None
    reason: str = ""
    received: int = 0
    sent: int = 0

    @property
    def address(self) -> str:
        """From where it came."""
        return self.client.rpartition(":")[0]


@dataclass
class App:
    """The application of one worker.

    Parameters
    ----------
    gate : Gate
        Who may come in.
    services : Services
        For the handlers.
    limits : Limits
        Of bodies and time.
    counts : Counts
        What this worker did.
    connections : Connections
        Those that this worker has.
    numbers : Path
        Where the numbers are left.
    tidy : callable
        Done every second.
    leave : callable
        Closes what the worker has open.
    """

    gate: Gate
    services: Services
    limits: Limits
    counts: Counts
    connections: Connections
    numbers: Path
    tidy: Callable[[], None]
    leave: Callable[[], None]
    _door: ThreadPoolExecutor = field(init=False, repr=False)
    _hands: ThreadPoolExecutor = field(init=False, repr=False)
    _foreign: dict[bool, Memory] = field(init=False, repr=False)
    _small: Memory = field(init=False, repr=False)

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin: two pools, so that handlers that work long keep nobody at the door."""
        self._door = ThreadPoolExecutor(4, thread_name_prefix="door")
        self._hands = ThreadPoolExecutor(self.limits.handlers, thread_name_prefix="handler")
        half = self.limits.foreign_bodies // 2
        self._foreign = {small: Memory(half, share=half // 4) for small in (False, True)}
        self._small = Memory(self.limits.small_bodies, share=self.limits.small_bodies // 4)
        self.counts.add("workers")
        self.connections.start()
        self._reporting = loop.create_task(self._report())

    def __rsgi_del__(self, _: asyncio.AbstractEventLoop) -> None:
        """End."""
        self._reporting.cancel()
        self.connections.stop()
        self._door.shutdown(wait=False, cancel_futures=True)
        self._hands.shutdown(wait=False, cancel_futures=True)
        self.leave()

    async def _report(self) -> None:
        """Leave the numbers and tidy, again and again; and end where the process that started this one is gone."""
        loop, parent, told = asyncio.get_running_loop(), multiprocessing.parent_process(), ""
        while True:
            fault = ""
            try:
                await loop.run_in_executor(self._door, self.counts.leave, self.numbers)
                await loop.run_in_executor(self._hands, self.tidy)
            except Exception as error:  # a full disk stops no answer
                fault = error.message if isinstance(error, DiademError) else type(error).__name__
            if fault and fault != told:  # once, not every second
                FAULTS.warning("metrics could not be written, or folders not tidied: %s", fault)
            told = fault
            if parent is not None and not parent.is_alive():
                _end_soon()
                signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(1.0)

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer one request."""
        story = _Story(time.perf_counter(), scope.client)
        self.counts.add("open_requests")
        status = 500
        try:
            response = await self._answer(_head(scope, story), protocol, story)
            status = response.status
            await self._send(response, protocol, story)
        except Exception as error:
            self._note(error, story)
        finally:
            self.counts.add("open_requests", -1)
            self._tell(status, story)

    # -- answering -------------------------------------------------------------------------------------------------

    async def _answer(self, head: Head, protocol: Any, story: _Story) -> Response:
        loop = asyncio.get_running_loop()
        try:
            admitted = await loop.run_in_executor(self._door, self.gate.admit, head)
        except TurnedAway as away:
            story.route, story.asker, story.reason = away.route, away.asker, away.reason
            if away.asker is not None and away.asker.kind != INTRODUCED:
                self.connections.met(story.client, known=True)
            self.counts.add("refused_total", reason=away.reason)
            return await self._without_body(away, head, protocol)
        except Exception as error:  # the disk is full, a file is being changed
            self._fault(error, None)
            return _closing(problem_of(error))
        story.route, story.asker = admitted.route, admitted.request.asker
        self.connections.met(story.client, known=story.asker is not None and story.asker.kind != INTRODUCED)
        if not admitted.length:
            return await self._handled(admitted, b"", protocol)
        try:
            if admitted.route.intake is not None:
                return await self._taken_in(admitted, protocol, story)
            memory, who = self._memory_of(admitted, head)
            # its pieces, and the whole
            async with memory.holding(2 * admitted.length, who, use=BODIES, patience=_PATIENCE):
                body = await self._body(protocol, admitted.length)
                story.received = len(body)
                return await self._handled(admitted, body, protocol)
        except NoRoom:
            return self._given_up(story, "memory", replace(_FULL, headers={**_FULL.headers, "retry-after": "10"}))
        except _Slow:
            return self._given_up(story, "slow", _SLOW)

    def _memory_of(self, admitted: Admitted, head: Head) -> tuple[Memory, str]:
        """From what the memory of a body is taken, and whose share of it."""
        asker, small = admitted.request.asker, admitted.length <= self.limits.small_body
        if asker is not None and asker.kind == INTRODUCED:
            return self._foreign[small], head.address
        # what is small does not wait behind what moves: a poll would be given up before that has come
        return self._small if small else TRANSFERS, asker.key_id if asker is not None else ""

    async def _taken_in(self, admitted: Admitted, protocol: Any, story: _Story) -> Response:
        """The answer of a route that takes in the body as it comes: what came before the line was cut is kept."""
        work, run = BodyIntake(admitted, self.services, partial(self._fault, route=admitted.route)), self._in_hands
        pieces, key = self._pieces(protocol, admitted.length), admitted.request.known_asker.key_id
        await run(work.begin)
        now = asyncio.get_running_loop().time
        while story.received < admitted.length and work.refusal is None:  # each portion waits for its turn
            parts, owed = list[bytes](), min(story.received + PORTION, admitted.length)
            async with TRANSFERS.holding(_TAKEN_IN, key, patience=_PATIENCE):
                until = now() + _TURN
                try:
                    while story.received < owed and (not parts or now() < until):
                        parts.append(await anext(pieces))
                        story.received += len(parts[-1])
                finally:
                    if parts:
                        await run(work.take, b"".join(parts))
        async for piece in pieces:  # of a body that is refused; of another there is no more than was said
            story.received += len(piece)
        response = await run(work.end)
        if response.status == 400:
            self.counts.add("refused_total", reason="digest")
        return response

    async def _in_hands(self, action: Callable[..., T], *values: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._hands, action, *values)

    def _given_up(self, story: _Story, reason: str, answer: Response) -> Response:
        """The answer to a body that was not read to its end."""
        story.reason = reason
        self.counts.add("refused_total", reason=reason)
        return _closing(answer)

    async def _handled(self, admitted: Admitted, body: bytes, protocol: Any) -> Response:
        """The handler's answer; where it waits for news, asked again and again."""
        admitted = replace(admitted, request=replace(admitted.request, body=body))
        loop = asyncio.get_running_loop()
        wait = float(admitted.request.query.get("wait", 0)) if admitted.route.waits else 0.0
        until = loop.time() + min(wait, _LONGEST_WAIT)
        while True:
            response = await loop.run_in_executor(self._hands, self._call, admitted)
            if response.status != 204 or loop.time() >= until:
                return response
            self.counts.add("waiting_requests")
            try:
                gone = asyncio.ensure_future(protocol.client_disconnect())
                await asyncio.wait({gone}, timeout=min(_LOOK_AGAIN, until - loop.time()))
            finally:
                self.counts.add("waiting_requests", -1)
            if gone.done():
                return response
            gone.cancel()

    def _call(self, admitted: Admitted) -> Response:
        if admitted.digest and body_digest(admitted.request.body) != admitted.digest:
            self.counts.add("refused_total", reason="digest")
            return _OTHER_BODY
        try:
            response = admitted.route.handler(admitted.request, self.services)
        except Exception as error:
            response = problem_of(error)
            if response.status == 500:
                self._fault(error, admitted.route)
        return response

    async def _without_body(self, away: TurnedAway, head: Head, protocol: Any) -> Response:
        """The answer to who is turned away. Of a known asker the body is read and dropped, or the answer is lost."""
        length = head.headers.get("content-length", "0")
        if length == "0" and "transfer-encoding" not in head.headers:
            return away.response
        most = away.route.body if away.route is not None and away.asker is not None else 0
        if length.isdecimal() and int(length) <= most:
            with contextlib.suppress(_Slow):
                await self._body(protocol, int(length), keep=False)
                return away.response
        return _closing(away.response)

    async def _body(self, protocol: Any, length: int, *, keep: bool = True) -> bytes:
        """The whole body."""
        parts = [piece async for piece in self._pieces(protocol, length) if keep]
        return b"".join(parts)

    async def _pieces(self, protocol: Any, length: int) -> AsyncIterator[bytes]:
        """The body as it comes; `_Slow` where nothing comes for too long, or less than was said."""
        pieces, found = aiter(protocol), 0
        now, left = asyncio.get_running_loop().time, self.limits.body_time(length)
        while True:
            began = now()
            try:
                async with asyncio.timeout_at(began + min(self.limits.silence, left)):
                    piece = await anext(pieces)
            except StopAsyncIteration:
                break
            except TimeoutError:
                raise _Slow from None
            left -= now() - began  # while the body waits for room here, it is not slow
            found += len(piece)
            yield piece
        if found != length:
            raise _Slow

    # -- sending ---------------------------------------------------------------------------------------------------

    async def _send(self, response: Response, protocol: Any, story: _Story) -> None:
        headers = [(name, value) for name, value in (_ALWAYS | dict(response.headers)).items()]
        body = response.body
        if isinstance(body, bytes):
            story.sent = len(body)
            if body:
                protocol.response_bytes(response.status, headers, body)
            else:
                protocol.response_empty(response.status, headers)
        else:
            await self._stream(response.status, headers, body, protocol, story)

    async def _stream(
        self, status: int, headers: list[tuple[str, str]], body: Iterator[bytes], protocol: Any, story: _Story
    ) -> None:
        loop, held = asyncio.get_running_loop(), None
        try:
            transport = protocol.response_stream(status, headers)
            while piece := await loop.run_in_executor(self._hands, next, body, b""):
                if story.sent and held is None:
                    held = await loop.run_in_executor(self._hands, self.connections.held, story.client)
                # or all of it would wait in memory for who reads slowly
                while held is not None and not takes_more(held):
                    await asyncio.sleep(_UNTIL_TAKEN)
                await transport.send_bytes(piece)
                story.sent += len(piece)
                del piece  # or two are held while the next one is read
        finally:
            if held is not None:
                held.close()
            close = getattr(body, "close", None)
            if close is not None:
                await loop.run_in_executor(self._hands, close)

    # -- telling ---------------------------------------------------------------------------------------------------

    def _tell(self, status: int, story: _Story) -> None:
        """One line for the log, and the numbers. Never what stood in the places of a path, nor the query."""
        seconds = time.perf_counter() - story.began
        route = story.route.name if story.route is not None else "-"
        self.counts.request(route, status, seconds=seconds, received=story.received, sent=story.sent)
        if ACCESS.isEnabledFor(logging.INFO):
            asker = story.asker
            line: dict[str, Any] = {
                "time": time_text(self.services.context.clock()),
                "asker": (asker.address or asker.node_id[:16] or asker.kind) if asker is not None else "",
                "route": route,
                "status": status,
                "received": story.received,
                "sent": story.sent,
                "seconds": round(seconds, 4),
            }
            if story.reason:
                line |= {"refused": story.reason, "address": story.address}
            ACCESS.info("%s", json.dumps(line))

    def _note(self, error: Exception, story: _Story) -> None:
        if type(error).__name__ in ("RSGIProtocolClosed", "RSGIProtocolError"):  # the asker went away
            story.reason = story.reason or "gone"
            return
        if not isinstance(error, NotFound | Refused | Unreachable):
            self._fault(error, story.route)
            return
        story.reason = story.reason or "ended"
        if isinstance(error, Unreachable | StoreError):  # else it was taken back, removed or paused while it was sent
            name = story.route.name if story.route is not None else "-"
            FAULTS.warning("%s broke off: %s", name, type(error).__name__)

    def _fault(self, error: Exception, route: Route | None) -> None:
        """Where it failed; not with what words, for they may be somebody else's."""
        name = route.name if route is not None else "-"
        frames = traceback.extract_tb(error.__traceback__)
        places = " < ".join(f"{frame.name} ({Path(frame.filename).name}:{frame.lineno})" for frame in reversed(frames))
        FAULTS.error("%s failed: %s in %s", name, type(error).__name__, places)


class BodyIntake:
    """A body that is handed over as it comes, a portion at a time, by whatever thread is free; never by two at once.

    Parameters
    ----------
    admitted : Admitted
        The request.
    services : Services
        For the route.
    fault : callable
        Told of what is no refusal.
    """

    def __init__(self, admitted: Admitted, services: Services, fault: Callable[[Exception], None]) -> None:
        self._admitted, self._services, self._fault = admitted, services, fault
        self._digest = hashlib.sha256()
        self._intake: Intake | None = None
        #: Once there is one, what still comes is dropped: who sends it would not hear the answer otherwise.
        self.refusal: Response | None = None

    def begin(self) -> None:
        """Ask the route, before the body is read."""
        intake = self._admitted.route.intake
        assert intake is not None
        try:
            self._intake = intake(self._admitted.request, self._services, self._admitted.length)
        except Exception as error:
            self._refuse(error)

    def take(self, data: bytes) -> None:
        """Hand over a portion."""
        if self.refusal is None and self._intake is not None:
            try:
                self._digest.update(data)
                self._intake.take(data)
            except Exception as error:
                self._refuse(error)

    def end(self) -> Response:
        """The answer, when all came. What was taken in of a body that is not the one that was signed stays."""
        if self.refusal is None and self._intake is not None:
            if self._digest.digest() != self._admitted.digest:
                return _OTHER_BODY
            try:
                return self._intake.end()
            except Exception as error:
                self._refuse(error)
        assert self.refusal is not None
        return self.refusal

    def _refuse(self, error: Exception) -> None:
        self.refusal = problem_of(error)
        if self.refusal.status == 500:
            self._fault(error)


def _end_soon() -> None:
    """Let the system end this process, should its listener wait for ever for what nobody will answer any more.

    By an alarm of the system: where a native thread waits with the interpreter's lock, nothing of Python runs.
    """
    if sys.platform != "win32":
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_ORPHANED)


def log_to_stderr(level: int) -> None:
    """Access lines and faults go to standard error, a line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    FAULTS.handlers[:] = [handler]
    FAULTS.setLevel(level)
    FAULTS.propagate = False


def _closing(response: Response) -> Response:
    return replace(response, headers={**response.headers, "connection": "close"})


def _head(scope: Any, story: _Story) -> Head:
    items = scope.headers.items()
    names = Counter(name for name, _ in items)
    headers: Mapping[str, str] = dict(items)
    twice = frozenset(name for name, times in names.items() if times > 1)
    size = sum(len(name) + len(value) for name, value in items) + len(scope.path) + len(scope.query_string)
    return Head(scope.method, scope.path, scope.query_string, headers, twice, story.address, story.client, size)
