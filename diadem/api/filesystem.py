"""``diadem://``: addresses of files in packages, for fsspec and all that reads through it.

::

    diadem://1aea5271529c/HAADF 01.dm3                    a package of the node that this account uses
    diadem://hu-berlin/1aea5271529c/HAADF 01.dm3          the same, with the node's name
    diadem:///srv/node/1aea5271529c/HAADF 01.dm3          of another node, or a store of one, by its folder
    diadem://bob@hu-berlin/1aea5271529c/HAADF 01.dm3      of a node that this account logged in to
"""

from __future__ import annotations

import re
import threading
from typing import Any

from diadem.api.packages import ID
from diadem.archive.filesystem import PackageFileSystem, ReadOnlyFileSystem
from diadem.archive.verified_file import VerifiedFile
from diadem.errors import NotFound, PackageError, Unreachable

_DRIVE = re.compile(r"/[A-Za-z]:/")
#: Packages that are kept open, those that were asked for last.
_KEPT = 32
#: Packages that a node is asked for at once.
_PAGE = 1000


class DiademFileSystem(ReadOnlyFileSystem):
    """The packages of nodes as folders; see this module for the addresses.

    Parameters
    ----------
    node : path or URL, optional
        The node, or a store of one, as `diadem.open_node` takes it: for addresses that begin with a package's id, or
        with the name of this node.
    **options
        fsspec's own.
    """

    def __init__(self, node: str | None = None, **options: Any) -> None:
        super().__init__(node=node, **options)
        self._node = node
        self._nodes: dict[str, Any] = {}
        self._packages: dict[tuple[str, str], PackageFileSystem] = {}
        self._turn = threading.RLock()

    def __repr__(self) -> str:
        """Whose packages they are."""
        return f"<DiademFileSystem of {self._node or 'the node of this account'}>"

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """What lies in a folder of a package; of a node, its packages. Raises `NotFound`."""
        place, package, rest = self._parsed(path)
        prefix = f"{place}/" if place else ""
        if package:
            found = [_below(f"{prefix}{package}", one) for one in self._files(place, package).ls(rest)]
        else:
            found = [{"name": prefix + one, "size": 0, "type": "directory"} for one in self._ids(place)]
        return found if detail else [one["name"] for one in found]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """See `PackageFileSystem.info`."""
        place, package, rest = self._parsed(path)
        if not package:
            self._opened(place)
            return {"name": place, "size": 0, "type": "directory"}
        return _below(f"{place}/{package}" if place else package, self._files(place, package).info(rest))

    def _open(self, path: str, mode: str = "rb", **_: Any) -> VerifiedFile:
        place, package, rest = self._parsed(path)
        if not package:
            raise NotFound("the address names no file", where=f"diadem://{path}", next="Write diadem://<id>/<path>.")
        try:
            return self._files(place, package)._open(rest, mode)  # noqa: SLF001 - fsspec's own way
        except (NotFound, Unreachable, PackageError):
            self._files(place, package).info(rest)
            self._packages.pop((place, package), None)  # the copy has gone away: the node may have another
            return self._files(place, package)._open(rest, mode)  # noqa: SLF001

    def _parsed(self, path: str) -> tuple[str, str, str]:
        """Node, package and path in it; "" for what an address does not say."""
        whole = str(self._strip_protocol(path))
        parts = whole.split("/")
        if whole.startswith("/"):
            number = next((n for n, part in enumerate(parts) if n > 1 and ID.match(part)), len(parts))
        else:
            number = 0 if ID.match(parts[0]) else 1
        package, *rest = parts[number:] or [""]
        return "/".join(parts[:number]), package, "/".join(rest)

    def _files(self, place: str, package: str) -> PackageFileSystem:
        """The files of a package of a node, opened once."""
        key = (place, package)
        with self._turn:
            found = self._packages.pop(key, None) or PackageFileSystem(self._opened(place).get(package))
            self._packages[key] = found
            while len(self._packages) > _KEPT:
                del self._packages[next(iter(self._packages))]
        return found

    def _ids(self, place: str) -> list[str]:
        """Ids of all packages of a node."""
        node = self._opened(place)
        found: list[str] = []
        while len(rows := node.search("", limit=_PAGE, offset=len(found)).rows) > 0:
            found += [row.id.removeprefix("diadem:") for row in rows]
        return found

    def _opened(self, place: str) -> Any:
        """The node at a place, opened once."""
        with self._turn:
            if place not in self._nodes:
                self._nodes[place] = self._node_at(place)
            return self._nodes[place]

    def _node_at(self, place: str) -> Any:
        from diadem.api.nodes import connect, open_node

        if place.startswith("/"):
            return open_node(place[1:] if _DRIVE.match(place) else place)
        if "@" in place:
            return connect(user=place)
        own = open_node(self._node) if not place else self._opened("")
        if place not in ("", own.name):
            advice = (
                "An address begins with 8 digits or more of a package's id; with user@name, for a node that you logged"
                " in to; or with a node's folder: diadem:///srv/node/<id>/<path>"
            )
            raise NotFound(f"the node '{place}' is not the one of this account, '{own.name}'", next=advice)
        return own


def _below(folder: str, facts: dict[str, Any]) -> dict[str, Any]:
    return {**facts, "name": f"{folder}/{facts['name']}".rstrip("/")}
