"""Memory that is used again: new pages cost the system more than what is done with them."""

from __future__ import annotations


def fitted(room: bytearray | None, size: int) -> bytearray:
    """A buffer of so many bytes, whatever they are: `room` itself, unless somebody still looks into it; else a new one.

    Parameters
    ----------
    room : bytearray, optional
        What was used before. It should have room enough already: to grow costs as much as to begin.
    size : int
        Bytes.
    """
    if room is not None:
        try:
            del room[-1:]  # where somebody looks into it, this is an error
            if len(room) < size:
                room.extend(bytes(size - len(room)))
            else:
                del room[size:]
        except BufferError:
            pass
        else:
            return room
    return bytearray(size)
