"""What lies on a disk.

::

    <folder>/diadem-disk.json       for whom, from whom, which transfer: canonical JSON, not signed
    <folder>/message.age            the offer with its chain, signed, sealed for the node
    <folder>/<relay>/<name>.age     sealed windows, as a carrier holds them

Nothing in it is believed: the message proves itself, the windows are proven by the package.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from diadem.errors import DocumentError, NotFound, Unreachable
from diadem.model import canonical
from diadem.model.carriers import RELAY
from diadem.model.peer_checks import HEX, matches
from diadem.network.desk import Desk
from diadem.network.relay.carriers import connected
from diadem.network.relay.guarded import Guarded
from diadem.node.config import CarrierSettings

HEADER: Final = "diadem-disk.json"
MESSAGE: Final = "message.age"
FORMAT: Final = "diadem-disk/1"
_MOST: Final = 4096
_ID: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class DiskHeader:
    """What a disk says of itself.

    Attributes
    ----------
    sender, recipient : str
        Node ids.
    transfer : str
        32 hex digits.
    relay : str
        The folder of the windows.
    message : str
        Id of the sealed message.
    """

    sender: str
    recipient: str
    transfer: str
    relay: str
    message: str

    def __post_init__(self) -> None:
        """Refuse what leads elsewhere."""
        nodes = matches(HEX, self.sender) and matches(HEX, self.recipient)
        if not nodes or not all(matches(_ID, text) for text in (self.transfer, self.message)):
            raise _fault("it does not name two nodes, a transfer and a message")
        if not matches(RELAY, self.relay):
            raise _fault("it names no folder")

    def to_bytes(self) -> bytes:
        """As it is written."""
        return canonical.encode({"format": FORMAT, **self._members()}, where=HEADER)

    def _members(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

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
        found = canonical.decode(read_file(folder / HEADER, _MOST), where=HEADER, limit=_MOST)
        if not isinstance(found, dict) or found.keys() != {"format", *cls.__slots__} or found["format"] != FORMAT:
            raise _fault(f"it is not of the form {FORMAT}")
        del found["format"]
        return cls(**found)


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


def _fault(message: str) -> DocumentError:
    return DocumentError(message, where=HEADER, next="Name the folder that export made; or ask for a new disk.")
