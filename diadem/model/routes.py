"""Ways from one node to another: by which names they go, and how each of them does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from diadem.model.display import Display

#: Straight to the other node; sealed, through a node that relays; within one node; on a disk in the post.
DIRECT: Final = "direct"
HUB: Final = "hub"
LOCAL: Final = "local"
DISK: Final = "disk"


@dataclass(frozen=True, slots=True)
class Health:
    """How a way did, as far as it was tried.

    Attributes
    ----------
    tried, worked : str
        When last, UTC; "" for never.
    failing : str
        Since when it has not worked, UTC; "" where it worked when it was tried last.
    error : str
        What went wrong last.
    """

    tried: str = ""
    worked: str = ""
    failing: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class RouteView(Display):
    """One way to a peer, as it is shown.

    Attributes
    ----------
    route : str
        ``direct`` or ``hub``.
    hub : str
        What the hub is called here; "" where none lies on the way.
    allowed : bool
        Whether policy lets anything go there by it.
    possible : bool
        Whether there is an address, or a common hub.
    why : str
        In one sentence: which way it is, or why it is none.
    health : Health
        How it did.
    """

    route: str
    hub: str
    allowed: bool
    possible: bool
    why: str
    health: Health = Health()

    @property
    def works(self) -> bool | None:
        """Whether it worked when it was tried last; None where it never was."""
        return not self.health.failing if self.health.tried else None

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        plain = {name: getattr(self, name) for name in ("route", "hub", "allowed", "possible", "why")}
        told = {name: getattr(self.health, name) for name in ("tried", "worked", "failing", "error")}
        return plain | told | {"works": self.works}


@dataclass(frozen=True, slots=True)
class PeerRoutes(Display):
    """The ways to one peer, as they are shown.

    Attributes
    ----------
    peer : str
        What it is called here.
    chosen : str
        The way that is taken now, and why, in one sentence.
    routes : sequence of RouteView
        Each way that there could be.
    """

    peer: str
    chosen: str
    routes: Sequence[RouteView]

    @property
    def trouble(self) -> str:
        """What does not work though it is to be used; "" where all is well."""
        broken = [one for one in self.routes if one.allowed and one.possible and one.works is False]
        return "; ".join(f"{one.why} has failed since {one.health.failing}: {one.health.error}" for one in broken)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        routes = [one.to_dict() for one in self.routes]
        return {"peer": self.peer, "chosen": self.chosen, "routes": routes, "trouble": self.trouble}
