"""What a node itself counted of its sealed objects at hubs: kept as they go, and stated in receipt and closure.

::

    <node>/network/tallies.sqlite
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from diadem.custody.remedies import aside_command
from diadem.custody.statements import relay_digest
from diadem.model.transfers import Transfer
from diadem.network.desk import NETWORK, Desk
from diadem.store.sqlite_file import SqliteFile

FILE: Final = "tallies.sqlite"
APPLICATION: Final = 0x44_54_4C_59
VERSION: Final = 1
_SCHEMA: Final = (
    """CREATE TABLE tallies (transfer TEXT NOT NULL, hub TEXT NOT NULL, relay TEXT NOT NULL, name TEXT NOT NULL,
        sha256 TEXT NOT NULL, bytes INTEGER NOT NULL, sure INTEGER NOT NULL,
        PRIMARY KEY (transfer, hub, name)) WITHOUT ROWID""",
)
_ADVICE: Final = "What is on its way will then be received without a statement of what went through hubs: "

#: Name, SHA-256 and bytes of a sealed object.
Row = tuple[str, str, int]


class TallyBook:
    """The tallies of a node. Safe for many threads and processes.

    Parameters
    ----------
    folder : Path
        ``<node>/network``.
    """

    def __init__(self, folder: Path) -> None:
        self._file = SqliteFile(folder / FILE, what="book of tallies", advice=_ADVICE + aside_command(folder / FILE))
        self._file.prepare(_SCHEMA, application=APPLICATION, version=VERSION)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def add(self, transfer: str, hub: str, relay: str, rows: Iterable[Row], *, sure: bool) -> None:
        """Count these; not `sure` until the hub has signed that."""
        with self._file.writing(durable=not sure) as connection:  # that something is sure can be asked again
            connection.executemany(
                "INSERT INTO tallies VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "sure = max(sure, excluded.sure)",
                [(transfer, hub, relay, *row, sure) for row in rows],
            )

    def forget(self, transfer: str, hub: str = "", names: Iterable[str] = ()) -> None:
        """Forget a transfer; or of one hub these, as far as they are not sure."""
        with self._file.writing(durable=False) as connection:
            if not hub:
                connection.execute("DELETE FROM tallies WHERE transfer = ?", [transfer])
            connection.executemany(
                "DELETE FROM tallies WHERE transfer = ? AND hub = ? AND name = ? AND NOT sure",
                [(transfer, hub, name) for name in names],
            )

    def rows(self, transfer: str, *, sure: bool) -> dict[tuple[str, str], list[Row]]:
        """What was counted of a transfer, by hub and relay."""
        sql = "SELECT hub, relay, name, sha256, bytes FROM tallies WHERE transfer = ? AND sure = ? ORDER BY hub, name"
        found: dict[tuple[str, str], list[Row]] = {}
        with self._file.reading() as connection:
            for hub, relay, name, sha256, size in connection.execute(sql, [transfer, sure]):
                found.setdefault((hub, relay), []).append((name, sha256, size))
        return found


def tallies_of(desk: Desk) -> TallyBook:
    """The tallies of a node; one book for all its threads."""
    return desk.context.once("tallies", lambda: TallyBook(desk.context.folder / NETWORK))


@dataclass(frozen=True, slots=True)
class Tally:
    """The tally of one transfer at one hub.

    Parameters
    ----------
    book : TallyBook
        Keeps it.
    transfer, hub : str
        Ids.
    """

    book: TallyBook
    transfer: str
    hub: str

    def add(self, relay: str, rows: Iterable[Row], *, sure: bool) -> None:
        """Count these; not `sure` until the hub has signed that."""
        self.book.add(self.transfer, self.hub, relay, rows, sure=sure)

    def unsure(self) -> Sequence[Row]:
        """What was counted, and not confirmed by the hub."""
        return [row for (hub, _), rows in self._rows(sure=False) if hub == self.hub for row in rows]

    def sure(self) -> Sequence[Row]:
        """What the hub has confirmed."""
        return [row for (hub, _), rows in self._rows(sure=True) if hub == self.hub for row in rows]

    def forget(self, names: Iterable[str]) -> None:
        """Do not count these, of which the hub says that nothing has happened."""
        self.book.forget(self.transfer, self.hub, names)

    def _rows(self, *, sure: bool) -> Iterable[tuple[tuple[str, str], list[Row]]]:
        return self.book.rows(self.transfer, sure=sure).items()


def relayed(desk: Desk, transfer: Transfer) -> list[dict[str, Any]]:
    """What went by hubs, as this side counted it; for receipt or closure.

    Of a hub that has not confirmed all that was put or taken there, nothing is said: a number that is wrong by one
    would look as if the hub lied.
    """
    book = tallies_of(desk)
    open_ = book.rows(transfer.id, sure=False)
    return [
        {
            "hub": hub,
            "relay": relay,
            "objects": len(rows),
            "bytes": sum(size for _, _, size in rows),
            "sha256": relay_digest(rows),
        }
        for (hub, relay), rows in book.rows(transfer.id, sure=True).items()
        if (hub, relay) not in open_
    ]
