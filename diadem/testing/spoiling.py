"""Copies of a file as disks, cables, other programs and enemies leave them: what a reader must survive."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

#: Bytes at the beginning in which headers lie.
_HEAD = 4096
_DIGITS = re.compile(rb"\d+")
#: Changes of the head by chance.
_BY_CHANCE = 12


@dataclass(frozen=True, slots=True)
class Spoiled:
    """One spoiled copy.

    Attributes
    ----------
    name : str
        What was done, in words.
    data : bytes
        What is left.
    incomplete : bool
        Whether so much is missing that a reader should notice.
    """

    name: str
    data: bytes
    incomplete: bool = False


def spoiled(data: bytes, seed: int = 0) -> Iterator[Spoiled]:
    """Spoil a file in some thirty ways, the same ones for the same seed.

    Parameters
    ----------
    data : bytes
        The file, at least one byte.
    seed : int
        Of what happens by chance.
    """
    random_ = random.Random(seed)  # noqa: S311 - faults, not secrets
    size = len(data)
    yield Spoiled("empty", b"", incomplete=True)
    for name, kept in (("cut to an eighth", size // 8), ("cut in half", size // 2)):
        yield Spoiled(name, data[:kept], incomplete=True)
    for name, kept in (("cut to its first 16 bytes", 16), ("cut by one byte", size - 1)):
        yield Spoiled(name, data[:kept])
    yield Spoiled("random bytes", random_.randbytes(size))
    yield Spoiled("random bytes after the first 32", data[:32] + random_.randbytes(max(0, size - 32)))
    yield Spoiled("zeros in its second half", data[: size // 2] + bytes(size - size // 2))
    yield Spoiled("zeros from the first 64 bytes on", data[:64] + bytes(max(0, size - 64)))
    yield Spoiled("written twice over", data + data)
    yield from _numbers(data)
    for number in range(_BY_CHANCE):
        yield Spoiled(f"bytes of the head changed by chance ({number + 1})", _changed(data, random_))


def _numbers(data: bytes) -> Iterator[Spoiled]:
    """Every number at the beginning huge, or negative, or none: as texts, and as binary words."""
    head, rest = data[:_HEAD], data[_HEAD:]
    for text in (b"999999999999", b"-1", b"0", b"1e308", b"nan"):
        yield Spoiled(f"every number of the head is {text.decode()}", _DIGITS.sub(text, head) + rest)
    for word, name in ((b"\xff\xff\xff\x7f", "the largest"), (b"\xff\xff\xff\xff", "-1"), (b"\0\0\0\0", "0")):
        for start in (4, 16, 64):
            spoilt = head[:start] + word * ((len(head[start:256]) + 3) // 4) + head[256:]
            yield Spoiled(f"every binary number from byte {start} on is {name}", spoilt + rest)


def _changed(data: bytes, random_: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(8):
        changed[random_.randrange(min(_HEAD, len(data)))] = random_.randrange(256)
    return bytes(changed)
