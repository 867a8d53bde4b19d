"""What a peer answers: bytes as they come, a JSON object, or one of the errors that it stands for."""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from diadem.errors import DiademError, DocumentError, NotFound, Refused, Unreachable
from diadem.model import canonical
from diadem.model.carriers import CarrierFull
from diadem.model.peers import Unproven
from diadem.model.plain_text import one_line
from diadem.model.times import read_time
from diadem.network.messages import MAX_CHECKPOINT
from diadem.network.wire import Connection, why

#: Bytes of a JSON answer that are read.
_MAX_JSON: Final = 8 << 20
#: Characters of a peer's words that are shown.
_TEXT: Final = 300


class PeerRefused(Refused):
    """What a peer answers to what it will not do.

    Attributes
    ----------
    status : int
        HTTP's.
    code : str
        The peer's word for it.
    """

    def __init__(self, message: str, *, where: str, next: str | None, status: int, code: str) -> None:  # noqa: A002
        super().__init__(message, where=where, next=next)
        self.status, self.code = status, code


class Stream:
    """The bytes of an answer, read as they come. Use it in a ``with`` block.

    Attributes
    ----------
    length : int
        Bytes of the body.
    headers : mapping of str to str
        Names in lower case.
    """

    def __init__(
        self, response: http.client.HTTPResponse, connection: Connection, done: Callable[[bool], None]
    ) -> None:
        self._response, self._connection, self._done = response, connection, done
        self._url = url = connection.url
        if response.length is None:
            done(False)
            raise Unreachable("the answer does not say how long it is", where=url, next="Tell its operator.")
        self.length = self._left = response.length
        self.headers = {name.lower(): value for name, value in response.getheaders()}

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fill a buffer from its beginning as far as bytes have come; how many, 0 at the end.

        Raises
        ------
        Unreachable
            The connection broke before the end.
        """
        if not self._left or not len(buffer):
            return 0
        try:
            found = self._response.readinto(buffer)
        except (OSError, http.client.HTTPException) as error:
            raise broken(self._url, error) from error
        if not found:
            raise broken(self._url, None)
        self._left -= found
        return found

    def read(self, most: int) -> bytearray:
        """All that is left, once in memory.

        Raises
        ------
        Unreachable
            It is more than `most` bytes, or the connection broke before the end.
        """
        if self._left > most:
            message = f"the answer has {self._left:,} bytes; at most {most:,} are read"
            raise Unreachable(message, where=self._url, next="Do not trust it; tell its operator.")
        data, at = bytearray(self._left), 0
        with memoryview(data) as view:
            while found := self.readinto(view[at:]):
                at += found
        return data

    def abort(self) -> None:
        """Break the connection, from another thread: who reads waits no longer."""
        self._connection.abort()

    def hold(self, most: int) -> None:
        """Let so many bytes wait unread at most."""
        self._connection.hold(most)

    def __enter__(self) -> Self:
        """The stream."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the connection back where all was read; else end it."""
        self._done(kind is None and not self._left)


class OtherTime(Refused):
    """The peer's clock shows another time."""

    code = "clock"

    def __init__(self, message: str, *, where: str, next: str | None, server_time: float) -> None:  # noqa: A002
        super().__init__(message, where=where, next=next)
        self.server_time = server_time


def json_of(response: http.client.HTTPResponse, url: str) -> dict[str, Any]:
    """The JSON object of an answer; {} where there is none (204).

    Raises
    ------
    Unreachable
        What came is something else.
    """
    data = response.read(_MAX_JSON + 1)
    if not data and response.status == 204:
        return {}
    try:
        found = canonical.decode(data, where=url, limit=_MAX_JSON)
    except DocumentError as error:
        raise Unreachable(f"the answer is not JSON as DIADEM writes it: {error.message}", where=url) from None
    if not isinstance(found, dict):
        raise Unreachable("the answer is not a JSON object", where=url)
    return found


def refusal(response: http.client.HTTPResponse, *, name: str, url: str, now: float) -> DiademError:
    """The error that an answer stands for.

    Parameters
    ----------
    response : HTTPResponse
        Its body is read here.
    name, url : str
        Who answered, and where.
    now : float
        This machine's time, for a peer that says none.
    """
    try:
        told = json_of(response, url).get("error")
    except (DiademError, OSError, http.client.HTTPException):
        told = None
    error = _error_of(told)
    code, after = error.get("code", ""), error.get("next")
    message = f"{name}: {error.get('message') or one_line(response.reason, _TEXT)}"
    if response.status == 404:
        return NotFound(message, where=url, next=after)
    if response.status == 401 and code == OtherTime.code:
        return OtherTime(message, where=url, next=after, server_time=_moment(error, now))
    if response.status == 507:
        return CarrierFull(message, where=url, next=after)
    seen = told.get("seen") if isinstance(told, dict) else None  # a checkpoint of this node's log: lines, not words
    if code == Unproven.code and isinstance(seen, str) and len(seen) <= MAX_CHECKPOINT:
        return Unproven(message, seen, where=url, next=after)
    if response.status in (429, 500, 502, 503, 504):
        return Unreachable(message, where=url, next=after or "Try again later.")
    return PeerRefused(message, where=url, next=after, status=response.status, code=code or "refused")


def _moment(error: dict[str, str], now: float) -> float:
    try:
        return read_time(error.get("server_time", "")).timestamp()
    except DocumentError:
        return now


def _error_of(found: object) -> dict[str, str]:
    """Words of somebody else: short, and nothing that a terminal would obey."""
    if not isinstance(found, dict):
        return {}
    return {key: one_line(value, _TEXT) for key, value in found.items() if isinstance(value, str)}


_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/[0-9]{1,15}", re.ASCII)


def is_range(response: http.client.HTTPResponse, asked: tuple[int, int | None]) -> bool:
    """Whether the bytes that come are those that were asked for."""
    start, stop = asked
    if response.status == 200:
        return start == 0 and (stop is None or response.length == stop)
    found = _CONTENT_RANGE.fullmatch(response.getheader("content-range") or "")
    if found is None or int(found[1]) != start or response.length != int(found[2]) + 1 - start:
        return False
    return stop is None or int(found[2]) + 1 <= stop


def broken(url: str, error: Exception | None) -> Unreachable:
    """The error of a connection that ended too early."""
    words = why(error) if isinstance(error, OSError) else "the connection broke before the answer was complete"
    return Unreachable(words, where=url, next="Try again; what has arrived is kept.")
