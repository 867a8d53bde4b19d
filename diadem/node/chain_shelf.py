"""The chains of custody that other nodes gave this one: about a transfer, or about a package that came with its own.

::

    <node>/network/chains/<transfer>/<node id>.json                    the newest chain of the other side
    <node>/network/chains/<64 hex digits of a package>/<node id>.json  what came beside the package
    <node>/network/chains/<the same>-<epoch>/<node id>.json            and after the node had lost the end of its log

Every store has them too, see `diadem.node.mirrors`. They are checked whenever they are shown, and believed no more than
when they came.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from diadem.errors import DocumentError
from diadem.node.mirrors import KEPT_CHAINS, MIRRORED
from diadem.store.system import translated
from diadem.store.whole import write_whole


class ChainShelf:
    """The chains of other nodes that are kept, one of each node about each thing.

    Parameters
    ----------
    folder : Path
        The node's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / KEPT_CHAINS

    def about(self, what: str) -> Sequence[Path]:
        """The chains that are kept about a transfer or a package; the names of the files are the ids of the nodes."""
        folders = [self._folder / what, *sorted(self._folder.glob(f"{what}-*"))]
        return [path for folder in folders for path in sorted(folder.glob("[!.]*.json"))]

    def readable(self, what: str, *, most: int | None = None) -> dict[Path, bytes]:
        """The same with their bytes, but for those that this disk has spoilt: another one takes their place.

        And but for those of more than `most` bytes.
        """
        from diadem.custody.chain import Chain

        kept = {}
        for path in self.about(what):
            with suppress(OSError, DocumentError):
                if most is not None and path.stat().st_size > most:
                    continue
                data = path.read_bytes()
                Chain.from_bytes(data)
                kept[path] = data
        return kept

    def get(self, what: str, node: str) -> bytes | None:
        """The chain that was kept, or None. Raises `StoreError` where the disk does not give it."""
        path = self._path(what, node)
        with translated(str(path), "it waits where it came from"):
            try:
                return path.read_bytes()
            except FileNotFoundError:
                return None

    def keep(self, what: str, node: str, chain: bytes) -> None:
        """Keep a chain in the place of the one before, which it was compared with. Raises `StoreError`."""
        path = self._path(what, node)
        with translated(str(path), "it waits where it came from"):
            for folder in (*self._folder.parents[:1], self._folder, path.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
            (self._folder / MIRRORED).unlink(missing_ok=True)  # the stores do not have it yet
            write_whole(path, chain, mode=0o600)
            (self._folder / MIRRORED).unlink(missing_ok=True)

    def _path(self, what: str, node: str) -> Path:
        return self._folder / what / f"{node}.json"
