"""A hub as its nodes see it: boxes of bytes in folders, and a list for each of who may put something there."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from diadem.errors import NotFound, Refused, Unreachable


@dataclass(frozen=True)
class Lying:
    """Something in a box."""

    name: str


@dataclass
class FolderHub:
    """A store of bytes; what its operator does to them is in its members."""

    root: Path
    down: bool = False
    #: Which of what is put down disappears.
    drops: Callable[[str, str], bool] = lambda _node, _message: False
    #: What was put down: for whom, under which name, and the bytes.
    log: list[tuple[str, str, bytes]] = field(default_factory=list)

    def of(self, node: str) -> FolderBoxes:
        """The hub as one node asks it."""
        return FolderBoxes(self, node)

    def box(self, node: str) -> Path:
        """The folder of a node."""
        place = self.root / node
        place.mkdir(parents=True, exist_ok=True)
        return place

    def lying(self, node: str) -> list[Path]:
        """What lies in a node's box, the oldest first."""
        found = [path for path in self.box(node).iterdir() if re.fullmatch("[0-9a-f]{32}", path.name)]
        return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))


@dataclass(frozen=True)
class FolderBoxes:
    """What `diadem.network.hub.client.HubClient` answers about boxes."""

    hub: FolderHub
    node: str

    def _asked(self) -> FolderHub:
        if self.hub.down:
            raise Unreachable("nobody listens there")
        return self.hub

    def set_box(self, senders: Sequence[str], invitations: Sequence[str]) -> None:
        (self._asked().box(self.node) / "list.json").write_text(json.dumps([*senders, *invitations]), "utf-8")

    def put(self, node: str, message: str, data: bytes, *, invitation: str = "") -> None:
        place = self._asked().box(node)
        listed = place / "list.json"
        if not {self.node, invitation} & set(json.loads(listed.read_text("utf-8")) if listed.exists() else ()):
            raise NotFound("there is nothing here that you may see")
        self.hub.log.append((node, message, data))
        if self.hub.drops(node, message):
            return
        target = place / message
        if target.exists() and target.read_bytes() != data:
            raise Refused("something else lies there under this name")
        target.write_bytes(data)

    def ls(self, node: str, *, wait: float = 0) -> list[Lying]:
        assert node == self.node
        until = time.monotonic() + wait
        while not (found := self._asked().lying(self.node)) and time.monotonic() < until:
            time.sleep(0.01)
        return [Lying(path.name) for path in found]

    def get(self, node: str, message: str) -> bytes:
        assert node == self.node
        try:
            return (self._asked().box(self.node) / message).read_bytes()
        except FileNotFoundError:
            raise NotFound("there is nothing here that you may see") from None

    def taken(self, node: str, messages: Sequence[str]) -> None:
        assert node == self.node
        for message in messages:
            (self._asked().box(self.node) / message).unlink(missing_ok=True)

    def permit(self, _relay: str, _data: bytes) -> None:
        raise Unreachable("it has boxes only")
