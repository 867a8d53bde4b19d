"""Hints: which package holds a payload. Never trusted, always checked on use; a reindex makes them anew.

::

    <store>/.diadem/by-payload/<payload id>/<id>    the path of the package with this payload
    <store>/.diadem/by-tree/<digest>/<payload id>   a payload with these paths and sizes
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator

from diadem.model.manifest import PackageId
from diadem.package.examine import TagFiles
from diadem.package.names import unsafe
from diadem.store.own_files import OwnFiles
from diadem.store.package_copy import NO_YEARS, tree_of

_BY_PAYLOAD = "by-payload"
_BY_TREE = "by-tree"
#: A hint holds one path.
_LIMIT = 4096
#: The digits of the payload id at the end of a package's name, perhaps with a number after them.
_DIGITS = re.compile(r"([0-9a-f]{12})(?:-[0-9]{1,3})?\Z")


class Hints:
    """The hints of one store."""

    def __init__(self, own: OwnFiles, tagmanifest_at: Callable[[str], bytes | None]) -> None:
        self._own, self._tagmanifest_at = own, tagmanifest_at

    def find(self, payload: str) -> Iterator[tuple[PackageId, str]]:
        """Packages that hold a payload, with their path: those that are there, with the id they are said to have."""
        for name, path in self.of_payload(payload):
            if path and unsafe(path) is None and path.split("/")[0] not in NO_YEARS and self.package_at(path) == name:
                yield PackageId(name), path

    def package_at(self, path: str) -> str | None:
        """SHA-256 of the tag manifest at a path, 64 hex digits; None where there is none, and so no package."""
        data = self._tagmanifest_at(path)
        return None if data is None else hashlib.sha256(data).hexdigest()

    def of_payload(self, payload: str) -> Iterator[tuple[str, str]]:
        """Hints for a payload, true or not: the package's id in hex, and the path that they name."""
        for name, data in self._own.contents(f"{_BY_PAYLOAD}/{payload}", _LIMIT):
            yield name, data.decode("utf-8", "replace").strip()

    def knows_tree(self, tree: str) -> bool:
        """Whether some package has these paths and sizes (see `tree_digest`)."""
        return any(True for _ in self._own.contents(f"{_BY_TREE}/{tree}", _LIMIT))

    def is_named(self, path: str) -> bool:
        """Whether a hint names this path: there was a package once."""
        return any(named == path for like in self._payloads_like(path) for _, named in self.of_payload(like))

    def _payloads_like(self, path: str) -> Iterator[str]:
        """Payloads with hints whose id begins as the name of a package says."""
        match = _DIGITS.search(path)
        yield from (name for name in self._own.folders(_BY_PAYLOAD) if match and name.startswith(match.group(1)))

    def write(self, payload: str, package: PackageId, path: str, tree: str = "") -> None:
        """Leave the hints for a package, over those that are there."""
        self._write(f"{_BY_PAYLOAD}/{payload}/{package.hex}", path)
        if tree:
            self._write(f"{_BY_TREE}/{tree}/{payload}", "")

    def renew(self, payload: str, package: PackageId, path: str, tree: str) -> None:
        """Leave the same hints where they are not there, or wrong: mostly they are right, and reading is cheap."""
        if (package.hex, path) not in self.of_payload(payload):
            self._write(f"{_BY_PAYLOAD}/{payload}/{package.hex}", path)
        if all(name != payload for name, _ in self._own.contents(f"{_BY_TREE}/{tree}", _LIMIT)):
            self._write(f"{_BY_TREE}/{tree}/{payload}", "")

    def _write(self, key: str, content: str) -> None:
        data = content.encode()
        self._own.write(key, (data,), len(data), hint=True)

    def drop(self, opened: TagFiles | None, path: str) -> None:
        """Remove the hints to a place. Where the package is too damaged to say its payload, all that fit its name."""
        for payload in {opened.payload_id} if opened else list(self._payloads_like(path)):
            left = 0
            for name, named in list(self.of_payload(payload)):
                if named == path:
                    self._own.remove(f"{_BY_PAYLOAD}/{payload}/{name}")
                else:
                    left += 1
            if opened is not None and not left:
                self._own.remove(f"{_BY_TREE}/{tree_of(opened)}/{payload}")

    def drop_one(self, payload: str, package: PackageId) -> None:
        """Remove the hint of one package."""
        self._own.remove(f"{_BY_PAYLOAD}/{payload}/{package.hex}")
