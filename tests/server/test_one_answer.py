"""What is not there, and what is not for the one who asks: on the wire, the same answer to the byte."""

from __future__ import annotations

import re

import pytest

from tests.server.conftest import Served
from tests.server.test_serving import answered, head, tls

#: The same moment.
_DATE = re.compile(rb"(?<=\r\ndate: )[^\r]*", re.IGNORECASE)
UNKNOWN = "ab" * 16
PATHS = {
    "no such path": ("GET", "packages"),
    "no such transfer": ("GET", f"transfers/{UNKNOWN}/have"),
    "no such part": ("GET", f"transfers/{UNKNOWN}/parts/0"),
    "a part that has no number": ("GET", f"transfers/{UNKNOWN}/parts/2"),
    "messages of nodes": ("GET", "messages"),
    "how a peer is seen": ("GET", "peer"),
    "another place of the node": ("GET", "../../etc/passwd"),
    "a package": ("GET", f"packages/{'ab' * 32}"),
}


@pytest.fixture
def nothing(served: Served) -> bytes:
    return raw(served, "GET", "no/such/path")


def raw(served: Served, method: str, path: str) -> bytes:
    with tls(served) as connection:
        connection.sendall(head(served, method, path))
        return _DATE.sub(b"", answered(connection))


@pytest.mark.parametrize("case", PATHS)
def test_everything_that_is_not_there_is_the_same(served: Served, nothing: bytes, case: str) -> None:
    assert nothing.startswith(b"HTTP/1.1 404 ")
    assert raw(served, *PATHS[case]) == nothing
