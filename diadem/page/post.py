"""What waits at other nodes: asked for in the background, so that no page waits for somebody who is away."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING, Final

from diadem.errors import DiademError

if TYPE_CHECKING:
    from diadem.api.nodes import Node

#: Seconds for which an answer is fresh.
_FRESH: Final = 15.0


class Post:
    """Hands over what waits here for other nodes, and takes what waits there. Safe to use from several threads.

    Parameters
    ----------
    node : Node
        Opened.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._asking = threading.Lock()
        self._last = -_FRESH
        self.asked: datetime | None = None
        self.problem = ""

    @property
    def asking(self) -> bool:
        """Whether it is being asked just now."""
        return self._asking.locked()

    def ask(self) -> None:
        """Begin to ask, unless that was done a moment ago."""
        if time.monotonic() - self._last > _FRESH and self._asking.acquire(blocking=False):
            threading.Thread(target=self._ask, name="post", daemon=True).start()

    def _ask(self) -> None:
        try:
            self._node.inbox()  # waits five seconds at most; who does not answer is asked again the next time
            self.problem = ""
        except DiademError as error:
            self.problem = error.message
        finally:
            self.asked, self._last = datetime.now().astimezone(), time.monotonic()
            self._asking.release()
