"""For those who write carriers: a kit that tries every promise of `diadem.model.carriers.Carrier`.

>>> from diadem.plugins.drop.folder import connect
>>> from diadem.testing.carriers import check_carrier
>>> check_carrier(lambda: connect("drop:///mnt/group")).raise_for_findings()  # doctest: +SKIP
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Mapping
from functools import partial, update_wrapper
from typing import Final

from diadem.errors import NotFound, Refused
from diadem.model.carriers import MAX_OBJECT, Carrier
from diadem.testing.store_checks import need, refuses, together
from diadem.testing.stores import StoreReport, try_each

#: Connects to the same place, each time with an object of its own.
Connect = Callable[[], Carrier]


def check_gives_back(connect: Connect, relay: str) -> None:
    """What one connection puts another one gets, byte for byte; it is listed with its size, and may be empty."""
    objects = {"0-0-1": b"", "1-0-1": bytes(range(256)) * 999, "2-999999999-99": secrets.token_bytes(100_000)}
    for name, data in objects.items():
        connect().put(relay, name, bytearray(data))
    for name, data in objects.items():
        need(connect().get(relay, name) == data, f"the object '{name}' comes back changed")
    listed = {one.name: one.size for one in connect().ls(relay)}
    need(listed == {name: len(data) for name, data in objects.items()}, f"it lists {listed}")


def check_largest(connect: Connect, relay: str) -> None:
    """An object of `MAX_OBJECT` bytes comes back whole."""
    data = secrets.token_bytes(1 << 20) * (MAX_OBJECT >> 20)
    connect().put(relay, "2-0-1", data)
    need(connect().get(relay, "2-0-1") == data, "it comes back changed")


def check_keeps_no_memory(connect: Connect, relay: str) -> None:
    """What was put stays as it was when its memory is used for something else."""
    carrier, data = connect(), bytearray(b"first")
    carrier.put(relay, "2-0-1", data)
    data[:] = b"other"
    need(carrier.get(relay, "2-0-1") == b"first", "the object changes with the memory from which it was put")


def check_creates_only(connect: Connect, relay: str) -> None:
    """The same bytes again change nothing; other bytes under the same name are refused, and the first stay."""
    connect().put(relay, "2-0-1", b"first")
    connect().put(relay, "2-0-1", b"first")
    refuses(Refused, lambda: connect().put(relay, "2-0-1", b"other"), "different bytes under a name that is taken")
    need(connect().get(relay, "2-0-1") == b"first", "the first bytes were replaced")


def check_what_is_not_there(connect: Connect, relay: str) -> None:
    """Of a relay that nobody used it lists nothing, gets raise `NotFound`, and removing is no failure."""
    need(not list(connect().ls(relay)), "it lists objects where there are none")
    refuses(NotFound, lambda: connect().get(relay, "2-0-1"), "an object that is not there")
    connect().remove(relay, ["2-0-1"])
    connect().end(relay)


def check_removes(connect: Connect, relay: str) -> None:
    """What is removed is gone, what is not named stays, and a name can be used again."""
    for name in ("2-0-1", "2-1-1"):
        connect().put(relay, name, b"data")
    connect().remove(relay, ["2-0-1", "2-7-1"])
    need([one.name for one in connect().ls(relay)] == ["2-1-1"], "the wrong object was removed, or none")
    refuses(NotFound, lambda: connect().get(relay, "2-0-1"), "an object that was removed")
    connect().put(relay, "2-0-1", b"anew")


def check_keeps_relays_apart(connect: Connect, relay: str) -> None:
    """Objects of one relay are not seen, and not removed, by another one."""
    other = f"{int(relay, 16) ^ 1:032x}"
    connect().put(relay, "2-0-1", b"one")
    connect().put(other, "2-0-1", b"other")
    need(connect().get(relay, "2-0-1") == b"one", "the object of another relay is returned")
    connect().end(other)
    need([one.name for one in connect().ls(relay)] == ["2-0-1"], "the end of one relay removed an object of another")


def check_ends(connect: Connect, relay: str) -> None:
    """After the end of a relay nothing of it is there, and ending it again is no failure."""
    for name in ("0-0-1", "2-0-1", "2-1-2"):
        connect().put(relay, name, b"data")
    connect().end(relay)
    need(not list(connect().ls(relay)), "something is still listed")
    refuses(NotFound, lambda: connect().get(relay, "2-0-1"), "an object of a relay that ended")
    connect().end(relay)


def check_works_in_threads(connect: Connect, relay: str) -> None:
    """One connection may be used by several threads at once."""
    carrier = connect()
    together([partial(carrier.put, relay, f"2-{number}-1", bytes([number])) for number in range(8)])
    got = together([partial(carrier.get, relay, f"2-{number}-1") for number in range(8)])
    need(got == [bytes([number]) for number in range(8)], "an object came back changed")


def check_waits_no_longer(connect: Connect, relay: str) -> None:
    """`ls` with `wait` returns within that time, or soon after."""
    before = time.monotonic()
    connect().ls(relay, wait=0.2)
    need(time.monotonic() - before < 10, f"it took {time.monotonic() - before:.1f} seconds")


#: Every promise that is tried, by its name.
CHECKS: Final[Mapping[str, Callable[[Connect, str], None]]] = {
    name.removeprefix("check_").replace("_", "-"): check for name, check in vars().items() if name.startswith("check_")
}


def check_carrier(connect: Connect) -> StoreReport:
    """Try every promise of `diadem.model.carriers.Carrier`.

    Parameters
    ----------
    connect : callable
        Connects to the same empty place, with a new object each time. About 40 MB are written and removed.

    Returns
    -------
    StoreReport
        Which promises were kept; call ``raise_for_findings()`` to raise. Only an interruption is raised here.
    """

    def tried(check: Callable[[Connect, str], None], relay: str) -> None:
        try:
            check(connect, relay)
        finally:
            with contextlib.suppress(Exception):  # leave nothing behind, as far as it can be removed
                connect().end(relay)

    given = {
        name: (update_wrapper(partial(tried, check), check), secrets.token_hex(16)) for name, check in CHECKS.items()
    }
    return StoreReport("the carrier", *try_each(given))
