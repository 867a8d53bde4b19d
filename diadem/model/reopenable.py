"""What goes to another process as the way to open it there: files, locks and connections stay where they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from diadem.errors import UsageError


class Reopenable:
    """Pickled as `again`, which gives the same in the process that unpickles it: by address and id, proven anew."""

    #: Opens it; must be pickled itself, as a `functools.partial` of a function is. None for what has no address.
    again: Callable[[], Any] | None = None

    def __reduce__(self) -> tuple[Callable[[], Any], tuple[()]]:
        """How it is opened again."""
        if self.again is None:
            raise UsageError(
                f"this {type(self).__name__} has no address by which another process could open it",
                next="Open it by its address, and send that: diadem.open(…), diadem.open_node(…).get(…).",
            )
        return self.again, ()

    def __copy__(self) -> Self:
        """Itself: nothing of it changes."""
        return self

    def __deepcopy__(self, memo: object) -> Self:
        """Itself."""
        return self
