"""A real listener whose table has, besides the usual routes, some that show what the listener does with them.

Run as a program with a node's folder, a port and a port for numbers; it prints one JSON line when it listens.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from diadem.errors import IntegrityError, NotFound, Refused, StoreError, Unreachable
from diadem.network.exchange import BYTES, Request, Response, Route, Services, file_range
from diadem.network.http.limits import Limits
from diadem.network.tag_parts import LENGTH
from diadem.store.bags import open_below

#: Small enough that a test sees each of them at work within a second or two.
LIMITS: Final = Limits(
    address_rate=1000.0,
    address_burst=1000.0,
    silence=0.5,
    slowest=256 * 1024.0,
    first_time=1.2,
    header_time=2.5,
    connections=64,
    address_connections=24,
)
BODY: Final = 1 << 20
#: What the file of `probe/file` holds.
FILE: Final = bytes(range(256)) * 4096
_CALLS: Final = itertools.count(1)
#: What may end an answer when its head is out.
_ENDS: Final = {"taken": NotFound, "paused": Refused, "short": Unreachable, "store": StoreError}
#: Bytes that came at once of the last body that was taken in as it came.
GATHERED: Final[list[int]] = []
#: Bytes of an answer that is long, and what was given of all of them.
LONG: Final = 128 * BODY
GIVEN: Final[list[int]] = []


#: Packages whose tag files are lies: another one's tag manifest, a wrong file, one without an end.
_LISTED: Final = f"{hashlib.sha256(b'right').hexdigest()}  bagit.txt\n".encode()
OTHER: Final = "cd" * 32
FALSE: Final = hashlib.sha256(_LISTED).hexdigest()
HUGE: Final = "ef" * 32
_LIES: Final = {
    OTHER: LENGTH.pack(len(_LISTED)) + _LISTED,
    FALSE: LENGTH.pack(len(_LISTED)) + _LISTED + LENGTH.pack(5) + b"wrong",
    HUGE: LENGTH.pack(1 << 60),
}


def lie(request: Request, _: Services) -> Response:
    """Give tag files that are not those of the package that was asked for."""
    data = _LIES[request.path.split("/")[1]]
    return Response(200, {"content-type": BYTES, "content-length": str(len(data))}, data)


def take(request: Request, _: Services) -> Response:
    """Say how many bytes came."""
    return Response.json({"bytes": len(request.body), "method": request.method})


class Gathering:
    """Takes in a body as it comes; refuses one that says so at its beginning."""

    def __init__(self, request: Request, _: Services, length: int) -> None:
        if request.query.get("why") == "refused":
            raise Refused("not now", where="/a/secret/place")
        self._length = length
        GATHERED.clear()

    def take(self, data: bytes) -> None:
        """Keep how much came at once."""
        if data.startswith(b"wrong"):
            raise IntegrityError("this is wrong")
        GATHERED.append(len(data))

    def end(self) -> Response:
        """Say how it came."""
        return Response.json({"portions": GATHERED, "length": self._length})


def gathered(_: Request, __: Services) -> Response:
    """Say what came of the last body that was taken in."""
    return Response.json({"portions": GATHERED})


def file(request: Request, services: Services) -> Response:
    """Give a file, or a part of it."""
    start, stop = request.range(len(FILE))
    return _probe(services, start, stop, len(FILE))


def _probe(services: Services, start: int, stop: int, size: int) -> Response:
    reader = open_below(str(services.context.folder), ["probe.bin"], "probe.bin")
    return Response.blocks(file_range(reader, start, stop), start, stop, of=size)


def gone(_: Request, services: Services) -> Response:
    """Promise more of a file than there is."""
    return _probe(services, 0, len(FILE) + 1, len(FILE) + 1)


def stream(_: Request, __: Services) -> Response:
    """Give bytes as they are made."""
    return Response(200, {"content-type": BYTES, "content-length": str(3 << 16)}, iter([bytes(1 << 16)] * 3))


def long(_: Request, __: Services) -> Response:
    """Give far more than a system takes for a connection, and keep how much of it was asked for."""

    def pieces() -> Iterator[bytes]:
        for _ in range(LONG // BODY):
            GIVEN.append(BODY)
            yield bytes(BODY)

    return Response(200, {"content-type": BYTES, "content-length": str(LONG)}, pieces())


def given(_: Request, __: Services) -> Response:
    """Say how much was given of what is long."""
    return Response.json({"bytes": sum(GIVEN)})


def broken(_: Request, __: Services) -> Response:
    """Give fewer bytes than were said."""

    def pieces() -> Iterator[bytes]:
        yield bytes(1 << 16)
        raise IntegrityError("a secret of this node")

    return Response(200, {"content-type": BYTES, "content-length": str(3 << 16)}, pieces())


def ends(request: Request, _: Services) -> Response:
    """Give fewer bytes than were said, for a reason that is no fault of this program."""

    def pieces() -> Iterator[bytes]:
        yield bytes(1 << 16)
        raise _ENDS[request.query["why"]]("a secret of this node")

    return Response(200, {"content-type": BYTES, "content-length": str(3 << 16)}, pieces())


def fail(_: Request, __: Services) -> Response:
    """Fail in a way that nobody thought of."""
    raise RuntimeError("a secret of this node")


def missing(request: Request, _: Services) -> Response:
    """Find nothing, or refuse."""
    if request.query.get("why") == "refused":
        raise Refused("not now", where="/a/secret/place")
    raise NotFound("a secret of this node")


def news(request: Request, _: Services) -> Response:
    """Have news at the second look."""
    if "never" in request.query or next(_CALLS) % 2:
        return Response(204)
    return Response.json({"news": True})


def introduce(request: Request, _: Services) -> Response:
    """Say who introduces itself."""
    asker = request.known_asker
    return Response.json({"kind": asker.kind, "key": asker.key, "bytes": len(request.body)})


def routes() -> Sequence[Route]:
    """The usual table and the probes."""
    from diadem.network.http.routes import every_route

    wait = {"wait": "[0-9]{1,2}", "never": "1"}
    lies = [Route("GET", f"packages/{one}/tags", lie, "lie", gives=BYTES) for one in _LIES]
    return (
        *lies,
        *every_route(),
        Route("PUT", "probe/body", take, "take", body=BODY, takes=BYTES),
        Route("POST", "probe/body", take, "take", body=BODY),
        Route(
            "PUT",
            "probe/gathered",
            take,
            "take in",
            body=4 * BODY,
            takes=BYTES,
            intake=Gathering,
            query={"why": "refused"},
        ),
        Route("GET", "probe/gathered", gathered, "gathered"),
        Route("GET", "probe/file", file, "file", gives=BYTES),
        Route("GET", "probe/gone", gone, "gone", gives=BYTES),
        Route("GET", "probe/long", long, "long", gives=BYTES),
        Route("GET", "probe/given", given, "given"),
        Route("GET", "probe/stream", stream, "stream", gives=BYTES),
        Route("GET", "probe/broken", broken, "broken", gives=BYTES),
        Route("GET", "probe/ends", ends, "ends", gives=BYTES, query={"why": "|".join(_ENDS)}),
        Route("GET", "probe/fail", fail, "fail"),
        Route("GET", "probe/missing", missing, "missing", query={"why": "refused"}),
        Route("GET", "probe/news", news, "news", query=wait, waits=True),
        Route("GET", "probe/{transfer}/{number}", take, "places in the path"),
        Route("POST", "probe/introduced", introduce, "introduce", auth="introduced", body=BODY),
    )


def main() -> None:
    """Serve until the process is told to end."""
    from diadem.api.nodes import open_node
    from diadem.network.http.address import Address
    from diadem.network.http.serve import Announcement, Plan, serve

    folder, port, numbers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

    def told(started: Announcement) -> None:
        document: dict[str, Any] = started.to_dict()
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()

    with open_node(folder) as node:
        (Path(folder) / "probe.bin").write_bytes(FILE)
        plan = Plan(
            Address("127.0.0.1", port), open_node, metrics=Address("127.0.0.1", numbers), limits=LIMITS, routes=routes
        )
        serve(node.context, plan, told=told)


if __name__ == "__main__":
    main()
