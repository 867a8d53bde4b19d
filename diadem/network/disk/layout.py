"""What lies on a disk.

::

    <folder>/diadem-disk.json       for whom, from whom, which transfer: canonical JSON, not signed
    <folder>/message.age            the offer with its chain, signed, sealed for the node
    <folder>/<relay>/<name>.age     sealed windows, as a carrier holds them

Nothing in it is believed: the message proves itself, the windows are proven by the package.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final, Self

from diadem.errors import NotFound, Unreachable
from diadem.model.documents import Document, Id, NodeId
from diadem.network.desk import Desk
from diadem.network.relay.carriers import connected
from diadem.network.relay.guarded import Guarded
from diadem.node.config import CarrierSettings

HEADER: Final = "diadem-disk.json"
MESSAGE: Final = "message.age"
FORMAT: Final = "diadem-disk/1"


class DiskHeader(Document, frozen=True, tag_field="format", tag=FORMAT):
    """What a disk says of itself: two nodes, a transfer, the folder of its windows, the id of the message."""

    WHAT: ClassVar[str] = HEADER
    ADVICE: ClassVar[str] = "Name the folder that export made; or ask for a new disk."
    LIMIT: ClassVar[int] = 4096

    sender: NodeId
    recipient: NodeId
    transfer: Id
    relay: Id
    message: Id

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The header of a disk.

        Raises
        ------
        NotFound
            There is none.
        DocumentError
            It is another file.
        """
        return cls.from_bytes(read_file(folder / HEADER, cls.LIMIT))


def read_file(path: Path, most: int) -> bytes:
    """A file of a disk, no further than so many bytes and one.

    Raises
    ------
    NotFound
        It is not there, or is no file.
    Unreachable
        It cannot be read.
    """
    if path.is_symlink() or not path.is_file():
        raise NotFound(f"there is no {path.name}", where=str(path.parent), next="Name the folder that export made.")
    try:
        with path.open("rb") as source:
            return source.read(most + 1)
    except OSError as error:
        raise Unreachable(
            f"it cannot be read: {error.strerror}", where=str(path), next="Try another reader."
        ) from error


def windows_of(desk: Desk, folder: Path) -> Guarded:
    """The windows of a disk, as a carrier."""
    url = Path(os.path.abspath(folder)).as_uri().replace("file:", "drop:", 1)  # noqa: PTH100  a link may lead to a disk
    found = connected(desk.context, CarrierSettings("disk", url))
    found.label = "the disk"
    return found


class ReadOnly(Guarded):
    """A disk from which nothing is removed: it may be tried again, and may not be writable."""

    def __init__(self, carrier: Guarded) -> None:
        super().__init__(carrier, carrier.label)

    def remove(self, relay: str, names: Sequence[str]) -> None:
        """Nothing."""

    def end(self, relay: str) -> None:
        """Nothing."""
