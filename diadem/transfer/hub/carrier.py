"""The hub as a carrier: what the engine of sealed transfers puts down and picks up."""

from __future__ import annotations

from collections.abc import Sequence

from diadem.errors import NotFound
from diadem.model.carriers import Carried
from diadem.transfer.hub.client import HubClient


class HubCarrier(HubClient):
    """Implements `diadem.model.carriers.Carrier`."""

    def put(self, relay: str, name: str, data: bytes | bytearray) -> None:
        """See `Carrier.put`."""
        self.put_object(relay, name, data)

    def ls(self, relay: str, *, wait: float = 0) -> Sequence[Carried]:
        """See `Carrier.ls`; nothing where the relay has ended."""
        try:
            return self.objects(relay, wait=wait)
        except NotFound:
            return ()

    def get(self, relay: str, name: str) -> bytes:
        """See `Carrier.get`."""
        return self.object(relay, name)

    def remove(self, relay: str, names: Sequence[str]) -> None:
        """See `Carrier.remove`; nothing is left to remove where the relay has ended."""
        try:
            self.taken_objects(relay, names)
        except NotFound:
            return
