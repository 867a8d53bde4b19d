"""Where good bytes for a damaged copy may come from. Everything that leaves here is proven.

Tag files come from the copy's own sound ones, the parity file, other replicas, the catalogue: whichever gives the
package id. Leaves come from the parity file, then from other replicas.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from diadem.errors import DiademError, DigestMismatch, IntegrityError, Unreachable
from diadem.model.manifest import TAGMANIFEST, FileEntry, PackageId
from diadem.model.ports import Bundle, RangeReader
from diadem.package.examine import LIMITS, REQUIRED, TagFiles, open_tag_files
from diadem.package.tags import parse_manifest
from diadem.store.bags import MemoryBundle

if TYPE_CHECKING:
    from diadem.package.parity.rebuild import Parity, Rebuilder

PARITY, CATALOGUE, REPLICA = "parity", "catalogue", "replica:"
_PIECE = 1 << 20
Blocks = Callable[[str], Iterator[bytes]]


class TagSources:
    """Every place that may hold tag files of one package, in the order in which they are asked.

    `own` is the damaged copy. The id of the package is the only thing that is believed.
    """

    def __init__(
        self,
        package: PackageId,
        own: Bundle,
        parity: Parity | None,
        replicas: Mapping[str, Bundle],
        catalogue: Mapping[str, bytes],
    ) -> None:
        self._package, self._url = package, own.url
        self._own = _of_bundle(own)
        self._others: list[tuple[str, Blocks]] = []
        if parity is not None:
            self._others.append((PARITY, parity.tag_blocks))
        self._others += [(REPLICA + name, _of_bundle(bundle)) for name, bundle in replicas.items()]
        self._others.append((CATALOGUE, _of_bundle(MemoryBundle(catalogue))))
        self.listed = self._read_tagmanifest()

    def _read_tagmanifest(self) -> dict[str, str]:
        """Path to SHA-256 of every tag file, the tag manifest with them."""
        expected = self._package.hex
        for _, blocks in [("", self._own), *self._others]:
            try:
                text = b"".join(_limited(blocks(TAGMANIFEST), LIMITS[TAGMANIFEST]))
                if hashlib.sha256(text).hexdigest() == expected:
                    return {TAGMANIFEST: expected, **{path: sha for sha, path in parse_manifest(text, TAGMANIFEST)}}
            except (DiademError, OSError, KeyError):
                continue
        raise IntegrityError(
            f"no sound copy of the tag manifest of {self._package} was found",
            where=self._url,
            next="Connect a store that holds another copy.",
        )

    def open(self) -> TagFiles:
        """What the tag files say, each from the first place where it is sound.

        Raises
        ------
        IntegrityError
            If one of them is sound nowhere.
        """
        tags = {path: b"".join(self.anywhere(path)) for path in (TAGMANIFEST, *REQUIRED)}
        return open_tag_files(MemoryBundle(tags, self._url), expected_id=self._package)

    def is_sound(self, path: str) -> bool:
        """Whether the damaged copy's own tag file is sound."""
        try:
            for _ in self._proven(path, self._own):
                pass
        except (DiademError, OSError):
            return False
        return True

    def anywhere(self, path: str) -> Iterator[bytes]:
        """A tag file of moderate size, from the copy itself or from elsewhere."""
        try:
            return iter(list(self._proven(path, self._own)))
        except (DiademError, OSError):
            return iter(list(self._proven(path, self.elsewhere(path)[1])))

    def elsewhere(self, path: str) -> tuple[str, Blocks]:
        """The first other place that holds a sound copy of a tag file: its name, and the proven bytes.

        Raises
        ------
        IntegrityError
            If there is none.
        """
        for name, blocks in self._others:
            try:
                for _ in self._proven(path, blocks):
                    pass
            except (DiademError, OSError, KeyError):
                continue
            return name, lambda path, blocks=blocks: self._proven(path, blocks)
        raise IntegrityError("no sound copy of this tag file was found", where=path, next=_CONNECT)

    def _proven(self, path: str, blocks: Blocks) -> Iterator[bytes]:
        """The bytes of a tag file; an error at their end, if they are not what the tag manifest lists."""
        expected, digest = self.listed.get(path), hashlib.sha256()
        for block in blocks(path):
            digest.update(block)
            yield block
        if digest.hexdigest() != expected:
            raise DigestMismatch("the tag file is not what the tag manifest lists", where=path, next=_CONNECT)


_CONNECT = "Connect a store that holds another copy."


def _of_bundle(bundle: Bundle) -> Blocks:
    def blocks(path: str) -> Iterator[bytes]:
        with bundle.open(path) as file:
            offset = 0
            while piece := file.read_at(offset, _PIECE):
                offset += len(piece)
                yield piece

    return blocks


def _limited(blocks: Iterator[bytes], limit: int) -> Iterator[bytes]:
    for block in blocks:
        limit -= len(block)
        if limit < 0:
            raise IntegrityError("is larger than any tag manifest")
        yield block


class LeafSources:
    """Good leaves of one package: from parity, then from the other replicas in their order.

    A place that does not answer is not asked again.
    """

    def __init__(self, opened: TagFiles, rebuilder: Rebuilder | None, replicas: Mapping[str, Bundle]) -> None:
        self._opened = opened
        self._rebuilder = rebuilder
        self._replicas = dict(replicas)
        self._open: dict[str, tuple[str, RangeReader]] = {}

    def find(self, entry: FileEntry, leaf: int) -> tuple[str, bytes]:
        """The bytes of a leaf, and where they came from.

        Raises
        ------
        IntegrityError
            If they are good nowhere; the message says what each place had.
        """
        reasons = ["there is no parity and no other copy"] if self._rebuilder is None and not self._replicas else []
        if self._rebuilder is not None:
            try:
                return PARITY, self._rebuilder.leaf(entry, leaf)
            except IntegrityError as error:
                reasons.append(error.message)
        for name, bundle in list(self._replicas.items()):
            try:
                data = self._read(name, bundle, entry, leaf)
            except (DiademError, OSError) as error:
                reasons.append(f"{name}: {error.message if isinstance(error, DiademError) else error}")
                if isinstance(error, Unreachable):
                    del self._replicas[name]
                continue
            if self._opened.leaves.proves(entry, leaf, data):
                return REPLICA + name, data
            reasons.append(f"{name}: its leaf {leaf} is damaged too")
        raise IntegrityError("; ".join(reasons), where=entry.path, next=_CONNECT)

    def _read(self, name: str, bundle: Bundle, entry: FileEntry, leaf: int) -> bytes:
        path, reader = self._open.get(name, ("", None))
        if path != entry.path or reader is None:
            self._forget(name)
            reader = bundle.open(entry.path)
            self._open[name] = (entry.path, reader)
        start, end = self._opened.leaves.span(entry, leaf)
        return reader.read_at(start, end - start)

    def _forget(self, store: str) -> None:
        _, reader = self._open.pop(store, ("", None))
        if reader is not None:
            reader.close()

    def close(self) -> None:
        """Close the files that are open."""
        for store in list(self._open):
            self._forget(store)
