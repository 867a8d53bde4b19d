"""What tickets and notes of other nodes are held against: names, ids, addresses.

By hand, not by forms as in `diadem.model.documents`: every command of a node imports it.
"""

from __future__ import annotations

import re
from typing import Any, Final

from diadem.errors import DocumentError, UsageError

#: Addresses, pins of TLS keys, and hubs, of one node.
MAX_URLS: Final = 8
HEX: Final = re.compile(r"[0-9a-f]{64}")
#: Names of nodes, stores and users: they stand in addresses (``alice@hu-berlin``), statements and commands.
NAME: Final = re.compile("[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?")
_URL: Final = re.compile(
    r"https://(?:[A-Za-z0-9][A-Za-z0-9.-]{0,252}|\[[0-9a-fA-F:.]{2,45}\])(?::([0-9]{1,5}))?", re.ASCII
)


def require_url(url: str) -> str:
    """An address at which a node can be found.

    Raises
    ------
    UsageError
        It is none.
    """
    if not is_url(url):
        raise UsageError(f"'{url[:100]}' is not the address of a node", next="Write https://archive.example.org:8642")
    return url


def is_url(url: object) -> bool:
    found = _URL.fullmatch(url) if isinstance(url, str) else None
    return found is not None and (found[1] is None or 0 < int(found[1]) < 65_536)


def require_places(where: str, urls: tuple[str, ...], tls: tuple[str, ...]) -> None:
    for values in (urls, tls):
        require(len(values) <= MAX_URLS and len(set(values)) == len(values), where, "too many addresses, or one twice")
    require(all(map(is_url, urls)), where, "an address is not https://host:port")
    require(all(matches(HEX, pin) for pin in tls), where, "a TLS pin is not 64 hex digits")


def require_nodes(where: str, nodes: tuple[str, ...]) -> None:
    require(len(nodes) <= MAX_URLS and len(set(nodes)) == len(nodes), where, "too many hubs, or one twice")
    require(all(matches(HEX, node) for node in nodes), where, "a hub's id is not 64 hex digits")


def members_of(document: Any, where: str, names: str) -> dict[str, Any]:
    if not isinstance(document, dict) or document.keys() != set(names.split()):
        raise fault(where, f"an object with {', '.join(sorted(names.split()))} is expected")
    return document


def texts_of(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_URLS or not all(isinstance(item, str) for item in value):
        raise fault(where, f"a list of at most {MAX_URLS} texts is expected")
    return tuple(value)


def matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def require(holds: bool, where: str, message: str) -> None:
    if not holds:
        raise fault(where, message)


def fault(where: str, message: str) -> DocumentError:
    return DocumentError(message, where=where, next="Ask the other node's people for a new one.")
