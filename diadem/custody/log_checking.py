"""Reading the whole log of a node and checking all of it: for a scrub, and where damage is suspected."""

from __future__ import annotations

from collections.abc import Iterator

from diadem.custody.entries import Entry
from diadem.custody.log_proving import LogProver
from diadem.custody.tables import Tables
from diadem.errors import IntegrityError
from diadem.model.ports import Listener, Progress, silent
from diadem.trust.tree import Frontier, Subtree

#: Problems after which nobody reads on.
_ENOUGH = 100


class LogChecker(LogProver):
    """The log of a node, as it is checked."""

    def check(self, *, listener: Listener = silent) -> tuple[str, ...]:
        """Read everything, and say what is not as it was written.

        Every entry is parsed and hashed; the tree, every checkpoint, the indexes, and the link of each statement to the
        one before it are compared with what that gives. Other processes may append meanwhile.

        Parameters
        ----------
        listener : callable
            Told the entries done.

        Returns
        -------
        tuple of str
            What is wrong, in words; at most a hundred. Empty: the log is whole.
        """
        with self._data.reading() as connection:
            problems = [f"its file: {fault}" for fault in Tables(connection).faults(_ENOUGH)]
        newest: dict[str, str] = {}
        done, total = 0, self.total
        for epoch in self.epochs:
            size = self.size_of(epoch)
            for problem in self._check_epoch(epoch, size, newest):
                problems.append(problem)
                if len(problems) >= _ENOUGH:
                    return tuple(problems)
            done += size
            listener(Progress("check", done, total, item=f"epoch {epoch}", unit="files"))
        return tuple(problems)

    def _check_epoch(self, epoch: int, size: int, newest: dict[str, str]) -> Iterator[str]:
        frontier = Frontier()
        with self._data.reading() as connection:
            batches = Tables(connection).batches(epoch)
        stops = {batch.stop: batch.checkpoint for batch in batches}
        if [batch.start for batch in batches] != [0, *(batch.stop for batch in batches[:-1])]:
            yield f"epoch {epoch}: its transactions do not follow each other"
        try:
            for entry in self.entries(0, size, epoch=epoch):
                if entry.index != frontier.size:
                    yield f"epoch {epoch}: entry {frontier.size} is not there"
                    return
                yield from self._check_entry(entry, frontier.append(entry.leaf), newest)
                text = stops.pop(frontier.size, None)
                if text is not None and self._opened(text, epoch).root != frontier.root():
                    yield f"epoch {epoch}: the checkpoint of {frontier.size} entries is not of these entries"
        except IntegrityError as error:
            yield f"epoch {epoch}: {error.message}"
            return
        if frontier.size != size:
            yield f"epoch {epoch}: entry {frontier.size} is not there"

    def _check_entry(self, entry: Entry, grown: list[Subtree], newest: dict[str, str]) -> Iterator[str]:
        """What the file keeps beside the entry itself: subtrees, index, and the link to what was said before."""
        where = f"epoch {entry.epoch}, entry {entry.index}"
        with self._data.reading() as connection:
            tables = Tables(connection)
            kept = [tables.subtree(entry.epoch, part.start, part.stop) for part in grown]
            listed = all(tables.is_about(entry.place, sha256) for sha256 in entry.statement.prev)
        if kept != [part.hash for part in grown]:
            yield f"{where}: the tree is another one"
        if not listed:
            yield f"{where}: the index by subject has lost it"
        for sha256, prev in entry.statement.prev.items():
            if prev != newest.get(sha256) and (sha256 in newest or entry.epoch == min(self.epochs)):
                yield f"{where}: it does not follow the last statement on {sha256[:12]}…"
            newest[sha256] = entry.statement_id
