"""A process that puts objects into a hub's folder, as a worker of its server does; run as a program.

Arguments: the hub's folder, a relay, the letter of which the objects are made, and how many objects. It prints the
names of those that it stored, a line each.
"""

from __future__ import annotations

import datetime
import hashlib
import sys
from pathlib import Path
from typing import Final

from diadem.errors import Refused, Unreachable
from diadem.model.policy import Hub as Rules
from diadem.model.times import time_text
from diadem.network.hub.book import open_book
from diadem.network.hub.mailboxes import Mailbox, Mailboxes
from diadem.network.hub.storage import Storage
from diadem.store.sqlite_file import SqliteFile

SENDER, RECIPIENT = "aa" * 32, "bb" * 32
SIZE: Final = 300_000
_RULES: Final = Rules(free=0)


def opened(folder: Path) -> tuple[SqliteFile, Storage, Mailboxes]:
    """The book, disk and mailboxes of a hub in a folder."""
    file = open_book(folder)
    storage = Storage(file, folder, now)
    return file, storage, Mailboxes(file, storage, lambda: _RULES, now)


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def permit(mailboxes: Mailboxes, relay: str) -> None:
    """Let the sender put there what it likes."""
    until = time_text(now() + datetime.timedelta(days=1))
    mailboxes.permit(Mailbox(relay, RECIPIENT, "cc" * 32, SENDER, 10**9, expires=until))


def main() -> None:
    """Put them."""
    folder, relay, letter, count = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    file, _, mailboxes = opened(folder)
    data = letter.encode() * SIZE
    digest = hashlib.sha256(data).hexdigest()
    for number in range(count):
        try:
            mailboxes.put(SENDER, relay, f"2-{number}-1", data, digest)
        except (Refused, Unreachable):
            continue
        sys.stdout.write(f"2-{number}-1\n")
        sys.stdout.flush()
    file.close()


if __name__ == "__main__":
    main()
