"""The desk of an opened node: one for all its threads, opened when it is first needed."""

from __future__ import annotations

from typing import NoReturn

from diadem.errors import Unreachable
from diadem.node.context import Context
from diadem.transfer.desk import Desk
from diadem.transfer.log_access import LogAccess
from diadem.transfer.network import Network, Peer


class NoPeers:
    """A node that knows no other. Implements `diadem.transfer.network.Peers`."""

    def get(self, node_id: str) -> Peer | None:  # noqa: ARG002  the protocol's
        """None."""
        return None

    def named(self, name: str) -> Peer | None:  # noqa: ARG002  the protocol's
        """None."""
        return None


def desk_of(context: Context) -> Desk:
    """The desk of a node; closed with it."""
    with context.locked("desk"):
        for one in context.kept:
            if isinstance(one, Desk):
                return one
        desk = Desk.open(context, network_of(context))
        context.kept.append(desk)
        return desk


def network_of(context: Context) -> Network:
    """The peers that a node knows, who may read there, and the ways to them."""
    return Network(NoPeers(), LogAccess(context), _no_way)


def _no_way(peer: str) -> NoReturn:
    raise Unreachable(f"there is no way to the node {peer[:12]}…", next="See: diadem peer ls")
