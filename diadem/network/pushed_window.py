"""A part of a window that is pushed, taken in as it comes: what came before the line was cut is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from diadem.errors import DigestMismatch
from diadem.network.exchange import Response
from diadem.network.windows import Span, chunks

#: Bytes that are proven and written at once, a leaf at least: so much comes again where a connection breaks.
PORTION: Final = 1 << 20
_AGAIN: Final = "Send again what is missing of the window."

#: Proves and keeps whole leaves: the spans and their bytes; the first leaf that is wrong, and the file it is of.
Keep = Callable[[Sequence[Span], memoryview], tuple[Span, int] | None]


class WindowIntake:
    """Implements `diadem.network.exchange.Intake`: the leaves of some spans of a window.

    Parameters
    ----------
    spans : sequence of Span
        What comes.
    leaf_size : int
        Bytes of a leaf.
    keep : callable
        What becomes of leaves that came whole.
    end : callable
        Called when all came; the answer.
    """

    def __init__(self, spans: Sequence[Span], leaf_size: int, keep: Keep, end: Callable[[], Response]) -> None:
        self._chunks = chunks(spans, leaf_size, max(PORTION, leaf_size))
        self._keep, self._end = keep, end
        self._chunk = next(self._chunks, [])
        self._held = bytearray()
        self._wrong: tuple[Span, int] | None = None

    def take(self, data: bytes) -> None:
        """Bytes that came; leaves that are whole now are proven and kept."""
        self._held += data
        while self._chunk and len(self._held) >= (size := sum(span.length for span in self._chunk)):
            with memoryview(self._held) as view, view[:size] as portion:
                wrong = self._keep(self._chunk, portion)
            del self._held[:size]
            self._wrong = self._wrong or wrong
            self._chunk = next(self._chunks, [])

    def end(self) -> Response:
        """All came.

        Raises
        ------
        DigestMismatch
            A leaf was wrong; the others are kept.
        """
        if self._wrong is not None:
            span, leaf = self._wrong
            raise DigestMismatch(f"leaf {leaf} came wrong", where=span.entry.path, leaf=leaf, next=_AGAIN)
        return self._end()
