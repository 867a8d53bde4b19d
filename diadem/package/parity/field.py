"""Arithmetic of two parities P and Q over GF(2^8), polynomial 0x11d, on NumPy arrays of bytes.

With regions d_0 … d_19 of one stripe, P = Σ d_i and Q = Σ 2^(19-i) d_i; addition is XOR. Q is accumulated by Horner's
rule, Q ← 2 Q + d_i, so that each byte of the data is read once and in order. Any two of the twenty-two can be lost. The
construction is that of RAID 6 (H. P. Anvin, "The mathematics of RAID-6", 2004), which uses the same polynomial.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Bytes: TypeAlias = npt.NDArray[np.uint8]

#: Regions of data in a stripe.
DATA = 20
#: Bytes of an accumulator that are worked on at once: they and the data stay in the processor's second cache.
_CHUNK = 256 << 10
#: What is added when a doubling leaves the field: 0x11d without its highest bit.
_REDUCTION = np.uint8(0x1D)
_ZERO = np.int8(0)


def absorb(p: Bytes, q: Bytes, data: Bytes | None, scratch: Bytes) -> None:
    """Take one region's block into the accumulators P and Q of a column, which have one length.

    The block is shorter than they where the stream ends (zeros follow), and None where it is all zeros. `scratch` is at
    least as long as they, and overwritten.
    """
    length = 0 if data is None else len(data)
    for start in range(0, len(q), _CHUNK):
        stop = min(start + _CHUNK, len(q))
        # Multiply by 2 in place: shift each byte, and reduce those whose highest bit was set.
        doubled, high = q[start:stop], scratch[start:stop]
        np.less(doubled.view(np.int8), _ZERO, out=high.view(np.bool_))
        np.multiply(high, _REDUCTION, out=high)
        np.add(doubled, doubled, out=doubled)
        np.bitwise_xor(doubled, high, out=doubled)
        if data is not None and start < length:
            part = data[start:stop]
            end = start + len(part)
            np.bitwise_xor(q[start:end], part, out=q[start:end])
            np.bitwise_xor(p[start:end], part, out=p[start:end])


def solve(missing: Sequence[int], p: Bytes | None, q: Bytes | None) -> list[Bytes] | None:
    """The lost blocks of a column, one for each missing region (ascending); None where two parities cannot tell.

    `p` and `q` are what is left of P and Q when all blocks that are there have been taken out; None where P or Q is
    lost itself.
    """
    if not missing:
        return []
    if len(missing) == 1 and p is not None:
        return [p]
    if len(missing) == 1 and q is not None:
        return [_times(q, _inverse(_weight(missing[0])))]
    if len(missing) == 2 and p is not None and q is not None:
        first, second = (_weight(region) for region in missing)
        one = _times(q ^ _times(p, second), _inverse(first ^ second))
        return [one, p ^ one]
    return None


@cache
def _powers() -> list[int]:
    """2^0 … 2^254."""
    powers, value = [], 1
    for _ in range(255):
        powers.append(value)
        value = (value << 1) ^ (0x11D if value & 0x80 else 0)
    return powers


@cache
def _logarithms() -> dict[int, int]:
    return {value: exponent for exponent, value in enumerate(_powers())}


def _weight(region: int) -> int:
    """The factor of a region in Q."""
    return _powers()[DATA - 1 - region]


def _product(one: int, other: int) -> int:
    if not one or not other:
        return 0
    return _powers()[(_logarithms()[one] + _logarithms()[other]) % 255]


def _inverse(value: int) -> int:
    return _powers()[-_logarithms()[value] % 255]


@cache
def _table(factor: int) -> Bytes:
    return np.array([_product(factor, value) for value in range(256)], dtype=np.uint8)


def _times(data: Bytes, factor: int) -> Bytes:
    return np.take(_table(factor), data)
