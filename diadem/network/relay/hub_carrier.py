"""The hub as a carrier: what the engine of sealed transfers puts down and picks up."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from diadem.errors import NotFound, Refused
from diadem.model.carriers import Carried, NameTaken
from diadem.network.hub.client import HubClient
from diadem.network.relay_book import Tally

_LATER: Final = "It will be tried again. Ask the recipient's people to run: diadem transfer sync"


@dataclass(frozen=True, slots=True)
class HubCarrier:
    """Implements `diadem.model.carriers.Carrier`.

    Parameters
    ----------
    client : HubClient
        Asks the hub.
    tally : Tally
        Counts along.
    permit : callable or None
        Lets the sender put something there, at its recipient: called where the hub knows nothing of the relay.
    """

    client: HubClient
    tally: Tally
    permit: Callable[[], object] | None = None
    _listed: dict[str, Carried] = field(default_factory=dict, init=False, repr=False)

    def put(self, relay: str, name: str, data: bytes | bytearray) -> None:
        """See `Carrier.put`; where this name is taken an earlier call did it, whose answer was lost.

        What lies there was sealed anew since, so that it has other bytes; how many, this node does not know any more.
        """
        try:
            note = self.client.put(relay, name, data)
        except NotFound as error:
            raise NotFound(
                "its recipient has not permitted this at the hub, or has ended it there",
                where=error.where,
                next=_LATER,
            ) from None
        except Refused as error:
            if error.code != NameTaken.code:
                raise
            self.tally.add(relay, [(name, "", len(data))], sure=False)
            return
        self.tally.add(relay, [(name, note.sha256[0], note.size)], sure=True)

    def ls(self, relay: str, *, wait: float = 0) -> Sequence[Carried]:
        """See `Carrier.ls`; nothing where the relay has ended, or was not permitted until now.

        A permit that is refused is sought again as long as there is time to `wait`.
        """
        try:
            found = self.client.ls(relay, wait=wait)
        except NotFound:
            if self.permit is not None:  # the hub was away when it was accepted, or its disk is an older one
                try:
                    self.permit()
                except (NotFound, Refused):
                    if not wait:
                        raise
            return ()
        self._listed.update({one.name: one for one in found})
        return found

    def get(self, relay: str, name: str) -> bytearray:
        """See `Carrier.get`."""
        return self.client.get(relay, name)

    def remove(self, relay: str, names: Sequence[str]) -> None:
        """See `Carrier.remove`; where the relay has ended nothing is left to remove.

        What an earlier call took, whose answer was lost, is said again: the hub tells what it has delivered.
        """
        listed = [self._listed[name] for name in names if name in self._listed]
        if listed:
            self.tally.add(relay, [(one.name, one.sha256, one.size) for one in listed], sure=False)
        asked = {row[0]: row for row in self.tally.rows(sure=False)}
        with contextlib.suppress(NotFound):
            notes = self.client.taken(relay, [*dict.fromkeys([*names, *asked])])
            taken = {name for note in notes for name in note.names}
            self.tally.add(relay, [row for name, row in asked.items() if name in taken], sure=True)
            self.tally.forget(asked.keys() - taken)

    def end(self, relay: str) -> None:
        """See `Carrier.end`: the hub deletes what is left, and states what became of all of it."""
        with contextlib.suppress(NotFound):
            self.client.end(relay)
