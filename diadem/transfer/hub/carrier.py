"""The hub as a carrier: what the engine of sealed transfers puts down and picks up."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from diadem.errors import NotFound
from diadem.model.carriers import Carried
from diadem.transfer.hub.client import HubClient


@dataclass(frozen=True, slots=True)
class HubCarrier:
    """Implements `diadem.model.carriers.Carrier`.

    Parameters
    ----------
    client : HubClient
        Asks the hub.
    """

    client: HubClient

    def put(self, relay: str, name: str, data: bytes | bytearray) -> None:
        """See `Carrier.put`."""
        self.client.put_object(relay, name, data)

    def ls(self, relay: str, *, wait: float = 0) -> Sequence[Carried]:
        """See `Carrier.ls`; nothing where the relay has ended."""
        try:
            return self.client.objects(relay, wait=wait)
        except NotFound:
            return ()

    def get(self, relay: str, name: str) -> bytes:
        """See `Carrier.get`."""
        return self.client.object(relay, name)

    def remove(self, relay: str, names: Sequence[str]) -> None:
        """See `Carrier.remove`; where the relay has ended nothing is left to remove."""
        with contextlib.suppress(NotFound):
            self.client.taken_objects(relay, names)

    def end(self, relay: str) -> None:
        """See `Carrier.end`: the hub deletes what is left, and states what became of all of it."""
        with contextlib.suppress(NotFound):
            self.client.end(relay)
