"""The boxes of a hub, as a node that is reached through it uses them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Waiting(Protocol):
    """Something that lies in this node's box."""

    @property
    def id(self) -> str:
        """32 hex digits, chosen by who put it there."""


class Boxes(Protocol):
    """A hub that is asked by one of its nodes. Safe to use from many threads.

    Failures are `Unreachable` (may work later), `NotFound` (nothing there for us) and `Refused`.
    """

    def set_box(self, senders: Sequence[str], invitations: Sequence[str]) -> None:
        """Say who may put something into this node's box: node ids, and the SHA-256 of tickets' secrets."""

    def put_message(self, node: str, message: str, data: bytes, *, invitation: str = "") -> object:
        """Put something into a node's box; the same again changes nothing."""

    def messages(self, *, wait: float = 0) -> Sequence[Waiting]:
        """What lies in this node's box, the oldest first; waits so many seconds until there is something."""

    def message(self, message: str) -> bytes:
        """One of them."""

    def taken(self, messages: Sequence[str]) -> None:
        """They were taken, and can be deleted."""
