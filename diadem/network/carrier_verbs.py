"""The verbs on carriers: `node.peers.carriers`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from diadem.errors import NotFound, Refused, UsageError
from diadem.model.carriers import NAME, VIA
from diadem.model.display import DisplayList, FixedRows
from diadem.model.transfers import MOVING
from diadem.network.desk import desk_of
from diadem.network.relay.carriers import connected
from diadem.node.config import CarrierSettings, NodeSettings
from diadem.node.context import Context
from diadem.node.peers.book import peer_book


@dataclass(frozen=True, slots=True)
class CarrierVerbs(DisplayList):
    """Carriers that take sealed packages to and from peers: `node.peers.carriers`.

    Parameters
    ----------
    context : Context
        The node.
    """

    _display_name = "carriers"

    context: Context

    def __iter__(self) -> Iterator[CarrierSettings]:
        """List the carriers, in the order in which they were added."""
        return iter(self.ls())

    def ls(self) -> Sequence[CarrierSettings]:
        """List the carriers, in the order in which they were added."""
        self.context.reread_settings()
        return FixedRows(self.context.settings.carriers)

    def add(self, name: str, url: str, *, peers: Sequence[str] = ()) -> CarrierSettings:
        """Add a carrier, or change the one of this name. The other node must add it under the same name.

        Parameters
        ----------
        name : str
            Its name at both nodes: lower case letters, digits and hyphens.
        url : str
            Where it is: ``drop:///mnt/group``, or an address that another plugin understands.
        peers : sequence of str
            Names of the nodes that share it; default all.

        Raises
        ------
        UsageError
            The name is not valid, no plugin knows such addresses, or the address is wrong.
        NotFound
            There is no such peer.
        Unreachable
            Nothing answers at the address.
        """
        if not NAME.fullmatch(name):
            raise UsageError(f"'{name}' cannot be the name of a carrier", next="Use a-z, 0-9 and hyphens: group-drive")
        book = peer_book(self.context)
        made = CarrierSettings(name, url, tuple(book.named(peer).id for peer in peers))
        carrier = connected(self.context, made)
        try:
            carrier.ls("0" * 32)  # whether it answers at all
        finally:
            carrier.close()
        self.context.change_settings(lambda settings: _with(settings, made))
        return made

    def rm(self, name: str) -> CarrierSettings:
        """Remove a carrier from the settings; what is stored there stays.

        Raises
        ------
        NotFound
            There is none of this name.
        Refused
            A transfer uses it.
        """
        found = next((one for one in self.ls() if one.name == name), None)
        if found is None:
            raise NotFound(f"there is no carrier '{name}'", next="See: diadem peer carrier ls")
        route = f"{VIA}{name}"
        if any(transfer.route == route for transfer in desk_of(self.context).book.all(states=MOVING)):
            raise Refused(f"a transfer uses '{name}'", next="Wait until it ends, or cancel it: diadem transfer ls")
        self.context.change_settings(lambda settings: _without(settings, name))
        return found


def _with(settings: NodeSettings, made: CarrierSettings) -> NodeSettings:
    known = [made if one.name == made.name else one for one in settings.carriers]
    return replace(settings, carriers=tuple(known if made in known else [*known, made]))


def _without(settings: NodeSettings, name: str) -> NodeSettings:
    return replace(settings, carriers=tuple(one for one in settings.carriers if one.name != name))
