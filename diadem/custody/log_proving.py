"""Proofs from the log of a node, each checked against a signed checkpoint before it is given to anyone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from diadem.custody.entries import Entry
from diadem.custody.log_reading import LogReader
from diadem.custody.tables import Tables
from diadem.custody.trees import log_origin, root_at
from diadem.errors import IntegrityError
from diadem.trust import tree
from diadem.trust.note import Checkpoint, open_checkpoint

#: Earlier checkpoints that an export proves itself consistent with, besides those that its reader names.
_SHOWN: Final = 64


class LogProver(LogReader):
    """The log of a node, as others can check it."""

    def inclusion(self, index: int, size: int | None = None, *, epoch: int | None = None) -> list[bytes]:
        """Proof that an entry is in the tree of the first `size` entries (RFC 9162); None: of all."""
        with self._data.reading() as connection:
            tables, epoch = Tables(connection), epoch or self.epoch
            size = tables.size(epoch) if size is None else size
            return tree.inclusion_proof(index, self._hashes(tables, epoch), size)

    def consistency(self, first: int, size: int | None = None, *, epoch: int | None = None) -> list[bytes]:
        """Proof that the tree of `size` entries begins with that of the `first` (RFC 9162); None: of all."""
        with self._data.reading() as connection:
            tables, epoch = Tables(connection), epoch or self.epoch
            size = tables.size(epoch) if size is None else size
            return tree.consistency_proof(first, size, self._hashes(tables, epoch))

    def root(self, size: int, *, epoch: int | None = None) -> bytes:
        """Root of the tree of the first `size` entries, 32 bytes."""
        with self._data.reading() as connection:
            return root_at(self._hashes(Tables(connection), epoch or self.epoch), size)

    def compare(self, text: str) -> Checkpoint:
        """Compare the log with a checkpoint that it signed earlier, and that someone kept.

        Raises
        ------
        IntegrityError
            It is not signed by this log; or the log no longer begins with what the checkpoint saw: it was rewritten.
        """
        for epoch, key in reversed(self._keys.items()):
            if text.startswith(log_origin(self.origin, epoch) + "\n"):
                seen = open_checkpoint(text, key, log_origin(self.origin, epoch))
                if seen.size > self.size_of(epoch) or self.root(seen.size, epoch=epoch) != seen.root:
                    raise self._damaged(f"it does not begin with the {seen.size} entries that the checkpoint saw")
                return seen
        raise IntegrityError("a checkpoint of another log", where=text.partition("\n")[0][:120])

    def require_linked(self, found: Sequence[Entry], sha256: str) -> None:
        """That the entries about a subject follow each other without a gap.

        Only where a recovery could not read all of an epoch may a later epoch follow what is lost.

        Raises
        ------
        IntegrityError
            The file has lost an entry, or the way to it.
        """
        before: Entry | None = None
        for entry in found:
            prev = entry.statement.prev[sha256]
            begun = before.epoch if before is not None else min(self.epochs)
            if prev != (before.statement_id if before else None) and entry.epoch == begun:
                raise self._damaged(f"entry {entry.index} of epoch {entry.epoch} does not follow the one before it")
            before = entry

    def prove(self, entries: Iterable[Entry], size: int, *, epoch: int) -> list[list[bytes]]:
        """Inclusion proofs of entries of one epoch in its tree of `size` entries, each checked before it is given.

        Raises
        ------
        IntegrityError
            An entry, or the tree, is not what the checkpoint was signed over: the file is damaged.
        """
        opened = self._opened(self.checkpoint(epoch=epoch, size=size), epoch)
        proofs = []
        with self._data.reading() as connection:
            hashes = self._hashes(Tables(connection), epoch)
            for entry in entries:
                proof = tree.inclusion_proof(entry.index, hashes, size)
                if not tree.verify_inclusion(entry.leaf, entry.index, size, proof, opened.root):
                    raise self._damaged(f"entry {entry.index} of epoch {epoch} is not what was logged")
                proofs.append(proof)
        return proofs

    def shown(self, epoch: int, size: int, also: Iterable[int] = ()) -> list[tuple[int, bytes, list[bytes]]]:
        """Earlier trees that were shown outside: size, root, and the proof that the tree of `size` begins with it.

        The newest of them, and those of the sizes in `also`.
        """
        newest = self._opened(self.checkpoint(epoch=epoch, size=size), epoch).root
        with self._data.reading() as connection:
            sizes = sorted({*Tables(connection).shown(epoch, _SHOWN), *also})
        found = []
        for known in (one for one in sizes if 0 < one < size):
            root, proof = self.root(known, epoch=epoch), self.consistency(known, size, epoch=epoch)
            if not tree.verify_consistency(known, size, root, newest, proof):
                raise self._damaged(f"it does not begin with the {known} entries of an earlier checkpoint")
            found.append((known, root, proof))
        return found
