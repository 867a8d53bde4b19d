"""JEOL's single spectra, ``.eds``: a header of fixed places, the counts, then lists of elements and the parameters.

Places and names as RosettaSciIO's JEOL reader has found them out.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from diadem.plugins.jeol.tree import text_of

#: First byte of the counts.
COUNTS = 458
#: Channels that a spectrum can have.
MOST_CHANNELS = 1 << 16
#: Elements, and lines of one element, that a footer can list.
_MOST_LISTED = 256

#: Name, place and code in `struct` of the header's values.
_HEADER: Sequence[tuple[str, int, str]] = (
    ("filedate", 10, "d"),
    ("sp_name", 18, "80s"),
    ("username", 98, "32s"),
    ("Esc", 226, "d"),
    ("Fano F", 234, "d"),
    ("E Noise", 242, "d"),
    ("CH Res", 250, "d"),
    ("live time", 258, "d"),
    ("real time", 266, "d"),
    ("DeadTime", 274, "d"),
    ("CountRate", 282, "d"),
    ("CoefA", 362, "d"),
    ("CoefB", 370, "d"),
    ("State", 378, "32s"),
    ("Tpl", 422, "32s"),
    ("NumCH", 454, "i"),
)
#: Name and code of the parameters, one after the other; "" is passed over.
_PARAMETERS: Sequence[tuple[str, str]] = (
    ("DetT", "16s"), ("SEM", "16s"), ("Port", "16s"), ("AccKV", "d"), ("AccNA", "d"), ("", "38s"), ("MnKaRES", "d"),
    ("WorkD", "d"), ("InsD", "d"), ("XtiltAng", "d"), ("TakeAng", "d"), ("IncAng", "d"), ("", "4s"), ("ScanSize", "d"),
    ("DT_64", "H"), ("DT_128", "H"), ("DT_256", "H"), ("DT_512", "H"), ("DT_1K", "H"), ("DetH", "d"), ("DirAng", "d"),
    ("XtalAng", "d"), ("ElevAng", "d"), ("ValidSize", "d"),
)  # fmt: skip
_BEFORE_PARAMETERS = 5


class DamagedSpectrum(ValueError):
    """The bytes are no such spectrum, or not all of it."""


class _Cursor:
    """Values taken from bytes one after the other."""

    def __init__(self, data: bytes, place: int) -> None:
        self._data = data
        self._place = place

    def take(self, code: str) -> tuple[Any, ...]:
        """Values by a code of `struct`, little-endian and unpadded."""
        try:
            values = struct.unpack_from("<" + code, self._data, self._place)
        except struct.error as error:
            raise DamagedSpectrum("it ends before its last value") from error
        self._place += struct.calcsize("<" + code)
        return values

    def one(self, code: str) -> Any:
        """One value."""
        return self.take(code)[0]

    def count(self) -> int:
        """How many elements or lines follow."""
        number = int(self.one("i"))
        if not 0 <= number <= _MOST_LISTED:
            raise DamagedSpectrum(f"a list of {number}")
        return number


def read_spectrum(data: bytes) -> dict[str, Any]:
    """Header and parameters of an ``.eds`` file.

    Parameters
    ----------
    data : bytes
        The whole file.

    Returns
    -------
    dict
        ``Header`` and ``Footer``; the latter has ``Parameters``, the elements' names and no counts.

    Raises
    ------
    DamagedSpectrum
        It is another kind of file, or truncated.
    """
    if len(data) < COUNTS:
        raise DamagedSpectrum("too short for a header")
    header = {name: _plain(struct.unpack_from("<" + code, data, place)[0]) for name, place, code in _HEADER}
    channels = header["NumCH"]
    if not 0 < channels <= MOST_CHANNELS or COUNTS + 4 * channels > len(data):
        raise DamagedSpectrum(f"{channels} channels")
    return {"Header": header, "Footer": _footer(_Cursor(data, COUNTS + 4 * channels))}


def _footer(cursor: _Cursor) -> dict[str, Any]:
    """Elements and parameters; lists that are absent are left out."""
    footer: dict[str, Any] = {}
    cursor.one("i")
    if excluded := cursor.count():
        footer["Excluded elements"] = list(cursor.take(f"{excluded}H"))
    if selected := [_element(cursor) for _ in range(cursor.count())]:
        footer["Selected elements"] = selected
    if results := cursor.count():
        cursor.take("3id2i")
        for _ in range(results):
            cursor.take("iH2i5d16s5d2id")
    if cursor.one("i") == _BEFORE_PARAMETERS:
        footer["Parameters"] = {
            name: value for name, code in _PARAMETERS if (value := _plain(cursor.one(code))) is not None and name
        }
    return footer


def _element(cursor: _Cursor) -> str:
    """Name of one selected element; its lines are passed over."""
    *_, name = cursor.take("iH2i2H14s4d32s")
    cursor.one("i")
    for _ in range(cursor.count()):
        cursor.take("idH")
        for _ in range(2):
            cursor.take(f"{cursor.one('B')}s")
        cursor.one("i")
    return str(_plain(name))


def _plain(value: Any) -> Any:
    return text_of(value.partition(b"\0")[0]) if isinstance(value, bytes) else value


def axis(header: Mapping[str, Any]) -> dict[str, Any]:
    """The energy axis in keV, as a reader gives it."""
    return {
        "name": "Energy",
        "size": header["NumCH"],
        "offset": header["CoefB"],
        "scale": header["CoefA"],
        "units": "keV",
        "navigate": False,
    }
