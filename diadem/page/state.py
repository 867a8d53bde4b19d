"""What all pages of one run share: the node, the light that says how it stands, and pictures that were read before."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from diadem.errors import DiademError
from diadem.page.html import page

if TYPE_CHECKING:
    from diadem.api.nodes import Node
    from diadem.node.rules.status import Status

#: Seconds for which the light is believed, and at least as many times as long as judging the archive took.
_FRESH: Final = 30.0
#: Bytes of pictures that are kept.
_MOST: Final = 48 << 20


@dataclass(frozen=True, slots=True)
class Light:
    """How the archive stands, in a word: ``green``, ``amber``, ``red``, or ``grey`` while that is being found out."""

    colour: str
    text: str


class PageState:
    """A node, as its pages see it. Safe to use from several threads.

    Parameters
    ----------
    node : Node
        Opened.
    read_only : bool
        Whether nothing may be changed.
    """

    def __init__(self, node: Node, *, read_only: bool = False) -> None:
        self.node, self.read_only = node, read_only
        self._light = Light("grey", "checking the copies …")
        self._asked, self._fresh = -_FRESH, _FRESH
        self._asking, self._judging = threading.Lock(), threading.Lock()
        self._pictures: OrderedDict[str, Mapping[str, bytes]] = OrderedDict()
        self._held = 0
        self._guard = threading.Lock()

    def page(self, template: str, **values: Any) -> Response:
        """A page with what stands on all of them."""
        common = {"node": self.node, "light": self.light(), "read_only": self.read_only, "query": "", "focus": False}
        return page(template, common | values)

    def has(self, verb: str) -> bool:
        """Whether the node has a verb: one that is asked over the network has not all of them."""
        return hasattr(self.node, verb)

    def light(self) -> Light:
        """How the archive stood a short while ago; nobody waits for it."""
        if not self.has("status"):
            return Light("grey", "how it stands: on its own machine")
        if time.monotonic() - self._asked > self._fresh and self._asking.acquire(blocking=False):
            self._asked = time.monotonic()
            threading.Thread(target=self._look, name="status", daemon=True).start()
        return self._light

    def _look(self) -> None:
        try:
            self.status()
        except DiademError as error:
            self._light = Light("red", error.message)
        finally:
            self._asking.release()

    def status(self) -> Status:
        """How the archive stands now. One at a time is judged: of a large archive that takes time and memory.

        Raises
        ------
        DiademError
            It cannot be told.
        """
        with self._judging:
            began = time.monotonic()
            status = self.node.status()
            self._asked = time.monotonic()
            self._fresh = _FRESH * max(1.0, self._asked - began)
            self._light = _light_of(status)
        return status

    def pictures(self, package: str) -> Mapping[str, bytes]:
        """The small pictures of a package's datasets, read once. Raises `DiademError` where no copy can be read."""
        with self._guard:
            if (known := self._pictures.get(package)) is not None:
                self._pictures.move_to_end(package)
                return known
        found = self.node.previews(package)
        with self._guard:
            if package not in self._pictures:
                self._pictures[package] = found
                self._held += _weight(found)
            while self._held > _MOST and len(self._pictures) > 1:
                _, gone = self._pictures.popitem(last=False)
                self._held -= _weight(gone)
        return found


def _light_of(status: Status) -> Light:
    """The worst rule, in its words."""
    if not status.ok:
        broken = [line for line in status.rules if line.mark == "broken"]
        return Light("red", broken[0].text if broken else "something is at risk")
    warned = [line for line in status.rules if line.mark == "warning"]
    return Light("amber", warned[0].text) if warned else Light("green", "every rule holds")


def _weight(pictures: Mapping[str, bytes]) -> int:
    return 256 + sum(map(len, pictures.values()))
