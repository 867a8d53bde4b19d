"""A request, its answer and the table that says who answers it: plain values, with no HTTP library.

A handler is a plain function ``handler(request, services) -> Response`` that runs in a thread. Who asks is known before
it is called, the signature is checked and the body is whole. What it raises becomes an answer (`problem_of`); the
messages of DIADEM's errors are sent, but never the place, which may be a path of this machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from diadem.errors import (
    DiademError,
    IntegrityError,
    NotFound,
    Refused,
    StoreError,
    Unreachable,
    UsageError,
)
from diadem.model import canonical
from diadem.model.carriers import OBJECT, RELAY, CarrierFull
from diadem.model.peers import Unproven
from diadem.network.limits import ASKED_AGAIN, BLOCK

if TYPE_CHECKING:
    from diadem.model.ports import RangeReader
    from diadem.model.signers import Signer
    from diadem.node.context import Context

#: What stands before every path of a route.
BASE: Final = "/diadem/v1/"
JSON: Final = "application/json"
BYTES: Final = "application/octet-stream"
#: What may stand in the places of a path. Anything else is no such path.
PARAMETERS: Final[Mapping[str, str]] = {
    "transfer": "[0-9a-f]{32}",
    "message": "[0-9a-f]{32}",
    "package": "[0-9a-f]{64}",
    "mailbox": f"[0-9a-f]{{64}}|{RELAY.pattern}",
    "object": f"{OBJECT.pattern}|[0-9a-f]{{32}}",
    "part": "[01]",
    "number": "0|[1-9][0-9]{0,8}",
}

#: ``none``: anybody; ``signed``: by a key that the node knows; ``introduced``: by the key in the header `Diadem-Key`.
Auth = Literal["none", "signed", "introduced"]


@dataclass(frozen=True, slots=True)
class Request:
    """One request, checked.

    Attributes
    ----------
    method : str
        ``GET``, ``POST`` or ``PUT``.
    path : str
        The route's template: ``transfers/{transfer}/windows/{number}``.
    params : mapping of str to str
        What stood in the places of the path; each matches its pattern in `PARAMETERS`.
    query : mapping of str to str
        What the route allows, each matching its pattern.
    headers : mapping of str to str
        Names in lower case.
    body : bytes
        Whole; its digest is checked.
    asker : Signer or None
        Who signed; None where the route asks for no signature.
    """

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    asker: Signer | None = None

    @property
    def known_asker(self) -> Signer:
        """Who signed, on a route that asks for a signature."""
        assert self.asker is not None, "a route without a signature has no asker"
        return self.asker

    def range(self, size: int) -> tuple[int, int]:
        """First byte and end of what is asked for of `size` bytes: one range, ``bytes=a-`` or ``bytes=a-b``.

        Raises
        ------
        OutOfRange
            Another form, or it begins beyond the end.
        """
        text = self.headers.get("range")
        if text is None:
            return 0, size
        found = _RANGE.fullmatch(text)
        start, stop = (int(found[1]), int(found[2]) + 1 if found[2] else size) if found else (size, size)
        if not start < stop or start >= size:
            raise OutOfRange("one range that begins within the bytes is expected", next="Ask for bytes=FIRST-.")
        return start, min(stop, size)


_RANGE: Final = re.compile(r"bytes=([0-9]{1,15})-([0-9]{1,15})?", re.ASCII)


class OutOfRange(UsageError):
    """A range that the bytes do not have."""

    code = "range"


class Begun:
    """The blocks of an answer, of which the first is read at once: what cannot be read is said as such.

    Parameters
    ----------
    blocks : iterator of bytes
        A generator: it is closed with this.
    """

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._first: bytes | None = next(blocks, None)

    def __iter__(self) -> Iterator[bytes]:
        """The blocks themselves."""
        return self

    def __next__(self) -> bytes:
        """The next bytes."""
        if (data := self._first) is not None:
            self._first = None
            return data
        return next(self._blocks)

    def close(self) -> None:
        """Let go of what is open."""
        _close(self._blocks)


def _close(blocks: Iterator[bytes]) -> None:
    if (close := getattr(blocks, "close", None)) is not None:
        close()


def file_range(reader: RangeReader, start: int, stop: int) -> Begun:
    """Bytes of a file that is open, from the first to the end (exclusive); it is closed with them.

    What was looked at is what goes, whatever takes its name meanwhile.
    """
    if reader.size < stop:
        reader.close()
        raise Unreachable("what is asked for cannot be read now", next="Try again later.")
    return Begun(read_blocks(reader, start, stop))


def read_blocks(reader: RangeReader, start: int, stop: int) -> Iterator[bytes]:
    """Such bytes, some at a time; fewer where the file has become shorter."""
    with reader:
        while start < stop and (data := reader.read_at(start, min(BLOCK, stop - start))):
            start += len(data)
            yield data
            del data  # or two are held while the next one is read


class WhileAllowed:
    """The blocks of a long answer, as long as its asker may have them: that is asked again all 16 MiB.

    Parameters
    ----------
    blocks : iterator of bytes
        Of the answer; closed with this, where it can be.
    require : callable
        Raises where the asker may not any more.
    """

    def __init__(self, blocks: Iterator[bytes], require: Callable[[], object]) -> None:
        self._blocks, self._require, self._given = blocks, require, 0

    def __iter__(self) -> Iterator[bytes]:
        """The blocks themselves."""
        return self

    def __next__(self) -> bytes:
        """The next bytes. Raises what `require` raises."""
        if self._given >= ASKED_AGAIN:
            self._require()
            self._given = 0
        data = next(self._blocks)
        self._given += len(data)
        return data

    def close(self) -> None:
        """Let go of what is open."""
        _close(self._blocks)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer.

    Attributes
    ----------
    status : int
        HTTP's.
    headers : mapping of str to str
        Besides those that the server adds.
    body : bytes or iterator of bytes
        An iterator is drawn in a thread and closed afterwards; give its length as the header ``content-length`` where
        it is known.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterator[bytes] = b""

    @classmethod
    def json(cls, document: Mapping[str, Any], *, status: int = 200) -> Response:
        """A JSON object in canonical form."""
        return cls(status, {"content-type": JSON}, canonical.encode(dict(document), where="answer"))

    @classmethod
    def line(cls, line: bytes) -> Response:
        """The same, with the bytes of it at hand."""
        return cls(200, {"content-type": JSON}, line)

    @classmethod
    def of_file(cls, reader: RangeReader, request: Request, *, size: int) -> Response:
        """The range that is asked for of an open file of `size` bytes; it is closed at the end of them."""
        try:
            start, stop = request.range(size) if size else (0, 0)
        except BaseException:
            reader.close()
            raise
        return cls.blocks(file_range(reader, start, stop), start, stop, of=size)

    @classmethod
    def blocks(cls, blocks: Iterator[bytes], start: int, stop: int, *, of: int) -> Response:
        """Bytes of something that has `of`; a part is told so (206)."""
        named = {"content-type": BYTES, "content-length": str(stop - start)}
        if stop - start == of:
            return cls(200, named, blocks)
        return cls(206, named | {"content-range": f"bytes {start}-{stop - 1}/{of}"}, blocks)


@dataclass(frozen=True, slots=True)
class Services:
    """What a handler works with. One for all threads of a process.

    Attributes
    ----------
    context : Context
        The node, opened once; everything of it that a handler uses may be used by many threads.
    find_asker : callable
        Who has this key id, or None.
    version : str
        Of this program.
    """

    context: Context
    find_asker: Callable[[str], Signer | None]
    version: str


class Intake(Protocol):
    """Takes in the body of one request as it comes, from one thread at a time."""

    def take(self, data: bytes) -> None:
        """The next bytes. Where it raises, the rest is dropped."""

    def end(self) -> Response:
        """All came, and it is what was signed: the answer. Not called where the line is cut before."""


Handler = Callable[[Request, Services], Response]


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the table.

    Attributes
    ----------
    method : str
        ``GET``, ``POST`` or ``PUT``.
    path : str
        Below `BASE`; ``{name}`` stands for what matches `PARAMETERS`.
    handler : callable
        Who answers.
    summary : str
        One line for people, in the description of the interface.
    auth : {"signed", "none", "introduced"}
        Whose signature is needed.
    body : int
        Bytes of the body at most; 0 for none.
    takes, gives : str
        Media types of body and answer.
    query : mapping of str to str
        Names and patterns that may stand in the query; others are refused.
    answers : mapping of int to str
        Every status that the handler gives itself, and what it means; the server adds its own.
    pending : bool
        Whether a peer that is not confirmed yet may ask.
    intake : callable or None
        Of a request without its body, and the bytes that this has: takes the body in as it comes, in place of the
        handler.
    waits : bool
        While the handler answers 204, it is asked again each second until the seconds in the query's ``wait`` are
        over, so that no thread waits.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    auth: Auth = "signed"
    body: int = 0
    takes: str = JSON
    gives: str = JSON
    query: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[int, str] = field(default_factory=lambda: {200: "done"})
    pending: bool = False
    intake: Callable[[Request, Services, int], Intake] | None = None
    waits: bool = False

    @property
    def name(self) -> str:
        """How logs and counters call it: the template, never what stood in its places."""
        return f"{self.method} {self.path}"


def route(method: str, path: str, **more: Any) -> Callable[[Handler], Route]:
    """Declare who answers a route: the function's docstring is its summary, `more` as `Route` has it."""
    return lambda handler: Route(method, path, handler, " ".join((handler.__doc__ or "").split()), **more)


#: What a route says that gives bytes, or a range of them.
RANGED: Final[Mapping[str, Any]] = {
    "gives": BYTES,
    "answers": {200: "all of it", 206: "the range that was asked for"},
}


def problem(status: int, code: str, message: str, *, next: str | None = None, **more: Any) -> Response:  # noqa: A002
    """An answer that says what is wrong, in the one shape of all of them."""
    return Response.json(
        {"error": {"code": code, "message": message, "where": None, "next": next, **more}}, status=status
    )


_ASK: Final = "This is a DIADEM node: ask its people for a ticket, or for access."


def nothing_here() -> Response:
    """The one answer to what is unknown, forbidden, revoked or not for this asker: nobody can tell which."""
    return problem(404, NotFound.code, "there is nothing here that you may see", next=_ASK)


#: The most special first.
_STATUS: Final[tuple[tuple[type[DiademError], int], ...]] = (
    (OutOfRange, 416),
    (UsageError, 400),
    (CarrierFull, 507),
    (Unreachable, 503),
    (Refused, 409),
    (IntegrityError, 422),
)


def problem_of(error: Exception) -> Response:
    """The answer where a handler raised.

    `NotFound` is the one 404; `UsageError` 400, `Refused` 409, `IntegrityError` 422, `Unreachable` 503 (`CarrierFull`
    507), with their messages; an `Unproven` says which checkpoint it means. Of anything else nothing is told: 500.
    """
    if isinstance(error, NotFound):
        return nothing_here()
    if isinstance(error, StoreError):
        return problem(503, StoreError.code, "this node cannot write now", next="Try again later.")
    for kind, status in _STATUS:
        if isinstance(error, kind):
            more = {"seen": error.seen} if isinstance(error, Unproven) else {}
            return problem(status, error.code, error.message, next=error.next, **more)
    return problem(500, DiademError.code, "this node failed to answer", next="Tell its operator the time.")
