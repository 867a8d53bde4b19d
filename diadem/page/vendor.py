"""A vendor's own metadata as a tree: folded, searched, and only as much of it sent as somebody looks at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from diadem.errors import NotFound
from diadem.model.display import short_name
from diadem.page.html import page
from diadem.page.state import PageState

#: Entries of one branch, and of what is found, that one page shows.
_MOST: Final = 500
_MOST_FOUND: Final = 200
#: Entries that are looked at in one search.
_MOST_SEARCHED: Final = 500_000
#: Characters of a value.
_LONGEST: Final = 400


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a tree.

    Attributes
    ----------
    name : str
        Of a block, a key, or the place in a list.
    address : str
        Places on the way to it: ``0.3.12``.
    text : str
        Its value; "" of a branch.
    count : int
        Entries below it.
    way : str
        Names above it, where it stands alone.
    """

    name: str
    address: str
    text: str = ""
    count: int = 0
    way: str = ""


def vendor(state: PageState, request: Request) -> Response:
    """A branch of the tree, or what is found in it; with ``part`` the list alone, to be put into a page."""
    asked = request.query_params
    package, id_ = request.path_params["package"], request.path_params["dataset"]
    tree = state.vendor(package, id_)
    wanted, at = asked.get("find", "").strip(), asked.get("at", "")
    here, way = _branch(tree, at)
    entries = list(_found(here, at, wanted.casefold()) if wanted else _entries(here, at))
    most = _MOST_FOUND if wanted else _MOST
    values = {
        "entries": entries[:most],
        "more": len(entries) - most,
        "wanted": wanted,
        "base": f"/vendor/{package}/{id_}",
    }
    if asked.get("part"):
        return page("vendor_list.html", values)
    about = state.dataset(package, id_)
    values |= {"way": way, "at": at, "name": short_name(about.path), "back": f"/session/{package}/{id_}"}
    return state.page("vendor.html", **values)


def _children(branch: Any) -> Sequence[tuple[str, Any]] | None:
    """Names and values below a branch; None for a value."""
    if isinstance(branch, Mapping):
        return [(str(name), value) for name, value in branch.items()]
    if isinstance(branch, list | tuple) and (len(branch) > 16 or any(isinstance(one, _BRANCHES) for one in branch)):
        return [(str(place), value) for place, value in enumerate(branch)]
    return None


_BRANCHES: Final = (Mapping, list, tuple)


def _branch(tree: Any, at: str) -> tuple[Any, list[tuple[str, str]]]:
    """What stands at an address, and names and addresses on the way to it."""
    way: list[tuple[str, str]] = []
    for number, part in enumerate(at.split(".") if at else []):
        children = _children(tree)
        if children is None or not (part.isascii() and part.isdigit() and len(part) < 10 and int(part) < len(children)):
            raise NotFound("there is no such branch", next="Open the tree from its root.")
        name, tree = children[int(part)]
        way.append((name, ".".join(at.split(".")[: number + 1])))
    return tree, way


def _entries(branch: Any, at: str) -> Iterator[Entry]:
    children = _children(branch)
    for place, (name, value) in enumerate(children if children is not None else [("", branch)]):
        address = f"{at}.{place}" if at else str(place)
        below = _children(value)
        yield Entry(name, address, _text(value)) if below is None else Entry(name, address, count=len(below))


def _found(branch: Any, at: str, wanted: str) -> Iterator[Entry]:
    """Entries whose name or value holds a text, the first ones."""
    waiting, looked, hits = [(branch, at, "")], 0, 0
    while waiting and looked < _MOST_SEARCHED and hits <= _MOST_FOUND:
        here, address, way = waiting.pop()
        below = []
        for place, (name, value) in enumerate(_children(here) or ()):
            looked += 1
            own = f"{address}.{place}" if address else str(place)
            children = _children(value)
            text = "" if children is not None else _text(value)
            if wanted in name.casefold() or wanted in text.casefold():
                hits += 1
                yield Entry(name, own, text, len(children or ()), way)
            if children is not None:
                below.append((value, own, f"{way} › {name}" if way else name))
        waiting += reversed(below)


def _text(value: Any) -> str:
    """A value in one line."""
    if isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value[:_LONGEST])
        text = data.decode("utf-8", "replace") if _is_text(data) else data[:32].hex(" ")
        return f"{text}{f' … {len(value):,} bytes' if len(value) > len(text) else ''}"
    if isinstance(value, np.ndarray):
        some = ", ".join(str(one) for one in value.reshape(-1)[:8])
        return f"{' × '.join(map(str, value.shape))} {value.dtype}: {some}{' …' if value.size > 8 else ''}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))[:_LONGEST]
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} … {len(text):,} characters"


def _is_text(data: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\r\n" for byte in data)
