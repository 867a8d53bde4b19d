"""Who may come in: from the head of a request to a route and an asker, in one fixed order, before a byte of the body.

1. the path is one of the table;
2. an address from which nobody known asks does not ask too often: what is open to all, and what 1 or the signature of
   3 turns away, counts for it. A signature by the name of a known key is looked at before: a connection has few
   guesses at each key, a new connection has them anew;
3. where a signature is needed: it is written in our form, for this node, of now, by a key that the node knows, and
   holds; where wrong ones of that key came by that connection too often, none of it is looked at. The key does not ask
   too often; and the request is new;
4. a peer that is not confirmed asks for nothing but what is open to it;
5. path, query and length of the body are as the route has them.

A key that is not known and a signature that does not hold have the same answer: nobody learns whom a node knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qsl

from diadem.errors import DocumentError
from diadem.model.signers import INTRODUCED, PENDING, Signer
from diadem.model.times import time_text
from diadem.network.exchange import BASE, PARAMETERS, Request, Response, Route, Services, nothing_here, problem
from diadem.network.http.limits import Buckets, Limits
from diadem.network.http.nonces import Nonces
from diadem.trust.http_signature import HEADERS, ClockWrong, SignedHead, check_time, holds, read
from diadem.trust.keys import PublicKey

#: Headers that stand once, or the request has two meanings.
ONCE: Final = frozenset({*HEADERS, "content-length", "diadem-key", "range", "transfer-encoding"})
KEY_HEADER: Final = "diadem-key"
_LENGTH: Final = re.compile("0|[1-9][0-9]{0,14}", re.ASCII)
_MAX_QUERY: Final = 2048


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request as it came.

    Attributes
    ----------
    method, path, query : str
        Raw; the query without its question mark.
    headers : mapping of str to str
        Names in lower case.
    twice : frozenset of str
        Names that stood more than once.
    address, connection : str
        From where it came; and by which connection, which one gateway has many of.
    size : int
        Characters of all of it.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    twice: frozenset[str]
    address: str
    connection: str
    size: int


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that may come in.

    Attributes
    ----------
    route : Route
        Who answers it.
    request : Request
        Without its body.
    length : int
        Bytes of the body.
    digest : bytes
        SHA-256 that the body must have; empty where nothing is signed.
    """

    route: Route
    request: Request
    length: int
    digest: bytes


class TurnedAway(Exception):
    """A request that may not come in.

    Parameters
    ----------
    reason : str
        A word for the counters.
    response : Response
        What is answered.
    route : Route or None
        What was asked for.
    asker : Signer or None
        Who asked, where that is known; then the body is read to its end, so that the answer arrives.
    """

    def __init__(
        self, reason: str, response: Response, *, route: Route | None = None, asker: Signer | None = None
    ) -> None:
        super().__init__(reason)
        self.reason, self.response, self.route, self.asker = reason, response, route, asker


class Gate:
    """Where every request passes. Used by many threads at once.

    Parameters
    ----------
    routes : sequence of Route
        The table.
    services : Services
        The node.
    nonces : Nonces
        Those that were used.
    limits : Limits
        Who may ask how often.
    clock : callable
        Seconds since 1970.
    """

    def __init__(
        self, routes: Sequence[Route], services: Services, nonces: Nonces, limits: Limits, clock: Callable[[], float]
    ) -> None:
        self._table = [(_pattern(route), route) for route in routes]
        self._services, self._nonces, self._clock = services, nonces, clock
        self._most = limits.header_bytes
        self._addresses = Buckets(limits.address_rate, limits.address_burst)
        self._keys = Buckets(limits.key_rate, limits.key_burst)
        self._guesses = Buckets(limits.address_rate, limits.address_burst)

    def admit(self, head: Head) -> Admitted:
        """Let a request in.

        Raises
        ------
        TurnedAway
            It may not come in.
        """
        with self._counted(head):
            route, params = self._route(head)
        if route.auth == "none":
            self._require_calm(head, route)
            return self._admitted(head, route, params, None, b"")
        if route.auth == "introduced":
            self._require_calm(head, route)
            signed, asker = self._signer(head, route)
        else:
            with self._counted(head):
                signed, asker = self._signer(head, route)
        if not self._keys.take(asker.key_id):
            raise _busy("key", route=route, asker=asker)
        if not self._nonces.use(signed.key_id, signed.nonce, expires=signed.expires):
            answer = problem(401, "replayed", "this request was answered already", next="Sign it again.")
            raise TurnedAway("replayed", answer, route=route)
        if asker.kind == PENDING and not route.pending:
            raise TurnedAway("pending", nothing_here(), route=route, asker=asker)
        return self._admitted(head, route, params, asker, signed.digest)

    @contextmanager
    def _counted(self, head: Head) -> Iterator[None]:
        """Whoever is turned away here counts for the address."""
        try:
            yield
        except TurnedAway as away:
            self._require_calm(head, away.route)
            raise

    def _require_calm(self, head: Head, route: Route | None) -> None:
        """That an address does not ask too often for what nobody known signed."""
        if not self._addresses.take(head.address):
            raise _busy("address", route=route) from None

    def _route(self, head: Head) -> tuple[Route, dict[str, str]]:
        if head.size > self._most:
            raise TurnedAway("head", problem(431, "head", f"the head of a request has {self._most:,} bytes at most"))
        allowed = []
        for pattern, route in self._table:
            if found := pattern.fullmatch(head.path):
                if route.method == head.method:
                    return route, found.groupdict()
                allowed.append(route.method)
        if allowed:
            refusal = problem(
                405, "method", "this cannot be requested like this", next=f"Use {', '.join(sorted(allowed))}."
            )
            raise TurnedAway(
                "method", replace(refusal, headers={**refusal.headers, "allow": ", ".join(sorted(allowed))})
            )
        raise TurnedAway("path", nothing_here())

    # -- signatures ------------------------------------------------------------------------------------------------

    def _signer(self, head: Head, route: Route) -> tuple[SignedHead, Signer]:
        """Who signed this request.

        Raises
        ------
        TurnedAway
            Nobody whom the node knows, or not this request.
        """
        now = int(self._clock())
        try:
            signed = read({} if head.twice & ONCE else head.headers)
            self._require_here(signed, route)
            check_time(signed, now=now)
        except ClockWrong as error:
            raise TurnedAway("clock", _clock_problem(error, now), route=route) from None
        except DocumentError as error:
            raise TurnedAway(
                "unsigned", problem(401, "unsigned", error.message, next=error.next), route=route
            ) from None
        asker = self._introduced(head) if route.auth == "introduced" else self._known(signed)
        if asker is None:
            raise TurnedAway("signature", nothing_here(), route=route)  # nobody can ask whose keys are known here
        guess = f"{head.connection} {asker.key_id}"  # behind a gateway, all have the address of who guesses
        if self._guesses.is_empty(guess):
            raise _busy("connection", route=route)
        if not holds(signed, head.method, head.path, head.query, key=PublicKey.from_text(asker.key)):
            self._guesses.take(guess)
            raise TurnedAway("signature", nothing_here(), route=route)
        return signed, asker

    def _require_here(self, signed: SignedHead, route: Route) -> None:
        if signed.to != self._services.context.settings.id:
            answer = problem(421, "misdirected", "the request is for another node", next="See: diadem peer ls")
            raise TurnedAway("misdirected", answer, route=route)

    def _known(self, signed: SignedHead) -> Signer | None:
        return self._services.find_asker(signed.key_id)

    def _introduced(self, head: Head) -> Signer | None:
        """Who brings the key along; what the key is worth is for the handler to judge."""
        text = head.headers.get(KEY_HEADER, "")
        try:
            key = PublicKey.from_text(text)
        except DocumentError:
            return None
        return Signer(INTRODUCED, key.key_id, text)

    # -- what the route asks for -----------------------------------------------------------------------------------

    def _admitted(
        self, head: Head, route: Route, params: dict[str, str], asker: Signer | None, digest: bytes
    ) -> Admitted:
        length = _length(head, route, asker)
        query = _query(head, route, asker)
        return Admitted(
            route, Request(head.method, route.path, params, query, head.headers, b"", asker), length, digest
        )


def _pattern(route: Route) -> re.Pattern[str]:
    parts = re.split(r"\{([a-z_]+)\}", BASE + route.path)
    literal, names = parts[::2], parts[1::2]
    text = re.escape(literal[0])
    for name, rest in zip(names, literal[1:], strict=True):
        text += f"(?P<{name}>{PARAMETERS[name]})" + re.escape(rest)
    return re.compile(text, re.ASCII)


def _length(head: Head, route: Route, asker: Signer | None) -> int:
    """Bytes of the body, which must be said beforehand."""
    text = head.headers.get("content-length", "0" if "transfer-encoding" not in head.headers else "")
    if not _LENGTH.fullmatch(text) or "transfer-encoding" in head.headers:
        answer = problem(411, "length", "the length of the body must be given in advance", next="Send Content-Length.")
        raise TurnedAway("length", answer, route=route)
    if int(text) > route.body:
        answer = problem(413, "too-large", f"at most {route.body:,} bytes are read here")
        raise TurnedAway("too-large", answer, route=route, asker=asker)
    return int(text)


def _query(head: Head, route: Route, asker: Signer | None) -> dict[str, str]:
    """The query, as the route has it."""
    try:
        text = head.query[:_MAX_QUERY]
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=16)
    except ValueError:
        pairs = [("", "")]
    found = dict(pairs)
    fine = all(name in route.query and re.fullmatch(route.query[name], found[name], re.ASCII) for name in found)
    if not fine or len(found) != len(pairs) or len(head.query) > _MAX_QUERY:
        known = ", ".join(sorted(route.query)) or "none"
        answer = problem(
            400, "query", "the query has parameters that this request does not know", next=f"Possible: {known}."
        )
        raise TurnedAway("query", answer, route=route, asker=asker)
    return found


def _busy(whose: str, *, route: Route | None = None, asker: Signer | None = None) -> TurnedAway:
    answer = problem(429, "busy", f"too many requests of this {whose}", next="Wait a second, and ask less often.")
    return TurnedAway(
        f"busy-{whose}", replace(answer, headers={**answer.headers, "retry-after": "1"}), route=route, asker=asker
    )


def _clock_problem(error: ClockWrong, now: int) -> Response:
    import datetime

    moment = time_text(datetime.datetime.fromtimestamp(now, datetime.UTC))
    return problem(401, ClockWrong.code, error.message, next=error.next, server_time=moment)
